/* A library that is loaded when somebody first needs it: linked, it would cost every process memory and time at its
 * start. Who loads one does so once (pthread_once) and never lets go of it. */
#ifndef CL_LIBRARY_H
#define CL_LIBRARY_H

#include <stddef.h>

typedef struct cl_library {
    /* What it needs it takes from its own libraries, although the program has functions of the same names: Node brings
     * an OpenSSL of its own. Set before it is opened. */
    int is_apart;
    void *handle;
    char why[256]; /* it cannot be had; empty: it can */
} cl_library;

/* Loads the first of several names that is there. 0, or -1: `why` is about the first. */
int cl_library_open(cl_library *library, const char *const *names, size_t n);
/* Sets *function, a pointer to a function, to the one of that name. 0 or -1. */
int cl_library_find(cl_library *library, const char *name, void *function);

#endif
