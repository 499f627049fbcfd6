/* Where a node listens or is reached, as a directory keeps it and a transport understands it. */
#ifndef CL_ADDRESS_H
#define CL_ADDRESS_H

/* "unix:/path", "tcp:host:port", "channel:name"; empty: the id of the node is all that is needed. The beginning tells a
 * transport whether it can reach it. */
typedef struct cl_address {
    char text[256];
} cl_address;

/* What an operation of a directory or a transport returns whose end is reported later; 0: it is done, < 0: an error. */
enum { CL_PENDING = 1 };

#endif
