/* What a name stands for, for those who do not connect through net. The loop never waits for a resolver. */
#ifndef CL_NAME_H
#define CL_NAME_H

#include "net/loop.h"

typedef struct cl_name cl_name;

/* "192.0.2.1,[2001:db8::1]": as many as there is room for. */
typedef struct cl_addresses {
    char text[512];
} cl_addresses;

/* A host that is an address already needs no lookup: 1, and it is what was found. */
int cl_name_is_address(const char *host, cl_addresses *out);

/* Looks a name up; `done` follows, never from inside: found, or NULL and why, in words. It waits no longer than
 * `seconds`. The lookup is the caller's until it is forgotten, which it may be inside `done`, too. */
int cl_name_look_up(cl_loop *loop, const char *host, double seconds,
                    void (*done)(void *self, const cl_addresses *found, const char *words), void *self, cl_name **out);
/* Nothing is told any more. NULL is fine. */
void cl_name_forget(cl_name *name);

#endif
