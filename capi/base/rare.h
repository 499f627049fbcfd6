/* Functions that run seldom and are called from where much runs: out of line, so that their locals and texts cost the
 * frequent way nothing. */
#ifndef CL_RARE_H
#define CL_RARE_H

#define CL_RARE __attribute__((noinline, cold))

#endif
