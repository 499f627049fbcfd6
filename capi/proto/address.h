/* Where a node listens or is reached, as a directory keeps it and a transport understands it. */
#ifndef CL_ADDRESS_H
#define CL_ADDRESS_H

#include <stddef.h>

/* "unix:/path", "channel:name", or empty: the id of the node is all that is needed. The beginning tells a transport
 * whether it can reach it.
 *
 * Links between contexts (transport/link) have several at once, "link:<context>" first, then where that listens:
 * "unix:<device>:<inode>:<path>", "tcp:<host>:<port>". A directory keeps each as it is; only where the host is "*" it
 * knows better: it is the address of its own connection, by which the others come, too. locate gives them as one text,
 * with a space between them. */
typedef struct cl_address {
    char text[512];
} cl_address;

/* Those that there is room for; of the first ones none is left out for a later one. */
void cl_address_join(const cl_address *list, size_t n, cl_address *out);
/* A text as a directory keeps it, "*" replaced by `own` (NULL: not known; then it is no address). 1, or 0: leave it out.
 */
int cl_address_complete(const cl_address *address, const char *own, cl_address *out);

/* What an operation of a directory or a transport returns whose end is reported later; 0: it is done, < 0: an error. */
enum { CL_PENDING = 1 };

#endif
