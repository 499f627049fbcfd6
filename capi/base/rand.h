/* Randomness and keyed hashes. */
#ifndef CL_RAND_H
#define CL_RAND_H

#include <stdint.h>

#include "str.h"

/* Fills from the kernel's generator; 0 or CLOUDS_ESYSTEM. */
int cl_random_bytes(void *out, size_t n);

/* SipHash-2-4 with a 128-bit key (Aumasson, Bernstein: "SipHash: a fast short-input PRF"). */
uint64_t cl_siphash(const uint64_t key[2], const void *data, size_t n);

/* SipHash with a secret drawn once per process: for maps whose keys come from outside. */
uint64_t cl_hash(cl_str s);

/* splitmix64: fast, seeded, not secret; for jitter and simulations. */
uint64_t cl_rand_next(uint64_t *state);

#endif
