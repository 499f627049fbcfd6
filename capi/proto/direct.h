/* Direct links to other contexts, as the options of a context ask for them: where it listens, what it tells others of
 * that, and when a link ends. */
#ifndef CL_DIRECT_H
#define CL_DIRECT_H

#include "base/str.h"

struct cl_key_ring;

typedef struct cl_direct {
    int unix_socket;     /* a socket in the runtime folder of the user */
    int tcp;             /* and a port */
    char host[48];       /* numeric */
    int first, last;     /* ports, tried from a place in the range that differs from process to process; 0: any */
    char advertise[192]; /* the host, or host:port, that others dial; "": found out; "none": others are not told */
    int insecure;        /* TCP beyond this machine without a key */
    double ping;         /* seconds of silence after which a link with calls pending is pinged */
    double timeout;      /* seconds after which one that does not answer is dead */
    double idle;         /* seconds without a call after which whoever opened a link closes it */
    const struct cl_key_ring *keys; /* of TCP; NULL: none */
} cl_direct;

/* Reads the option `listen`: "unix", "tcp://HOST:PORT", "tcp://HOST:FIRST-LAST", both with a comma between them, or
 * "none". 0, or CLOUDS_EOPTION with words that name the address. */
int cl_direct_parse(const char *listen, cl_direct *out);

/* Is a numeric address one of this machine only? */
int cl_is_loopback(const char *host);

/* The parts of "HOST:PORT", "[HOST]:PORT" or, with default_port, of a HOST alone. 0 or -1. */
int cl_host_port(cl_str text, int default_port, char *host, size_t cap, int *port);

#endif
