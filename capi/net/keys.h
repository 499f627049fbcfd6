/* The keys of a cluster: who has one may be linked with over TCP. A file has one in each line, 64 hex digits; the first
 * is used to dial, all of them are accepted, so that keys can be changed one process after the other. */
#ifndef CL_KEYS_H
#define CL_KEYS_H

#include <stddef.h>

enum { CL_KEY_BYTES = 32, CL_KEY_NAME = 8, CL_KEYS = 16 };

typedef struct cl_key {
    unsigned char bytes[CL_KEY_BYTES];
    char name[CL_KEY_NAME + 1]; /* hex digits, drawn from the key: what may be said of it */
} cl_key;

typedef struct cl_key_ring {
    size_t n;
    cl_key keys[CL_KEYS];
} cl_key_ring;

/* Reads a file that only its owner may read, us or root. Loads OpenSSL. 0, CLOUDS_EOPTION, CLOUDS_ENOTSUP or
 * CLOUDS_ENOMEM, in words. */
int cl_key_ring_read(const char *path, cl_key_ring **out);
void cl_key_ring_free(cl_key_ring *ring); /* NULL is fine */
/* The key of that name; NULL: there is none. */
const cl_key *cl_key_find(const cl_key_ring *ring, const char *name, size_t n);
/* Makes a file with a new key; there must be none yet. 0, CLOUDS_EEXIST or CLOUDS_ESYSTEM. */
int cl_key_create(const char *path);

#endif
