/* Which machine this is, for nodes that say it: the same in all of its processes, in whatever container they are, and
 * another one after each boot. It is made from the boot's random id, which cannot be found from it; so it says nothing
 * but who is on one machine with whom. */
#ifndef CL_MACHINE_H
#define CL_MACHINE_H

enum { CL_MACHINE_DIGITS = 12 };

void cl_machine(char out[CL_MACHINE_DIGITS + 1]);

#endif
