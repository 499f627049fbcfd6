/* SipHash-2-4 (Aumasson, Bernstein: "SipHash: a fast short-input PRF") in steps, for one key or several side by side.
 */
#ifndef CL_SIPHASH_H
#define CL_SIPHASH_H

#include <stdint.h>

typedef struct cl_sip {
    uint64_t a, b, c, d;
} cl_sip;

static inline uint64_t cl_sip_rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static inline cl_sip cl_sip_start(const uint64_t key[2])
{
    return (cl_sip){key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du, key[0] ^ 0x6c7967656e657261u,
                    key[1] ^ 0x7465646279746573u};
}

static inline cl_sip cl_sip_round(cl_sip s)
{
    s.a += s.b, s.b = cl_sip_rotate(s.b, 13), s.b ^= s.a, s.a = cl_sip_rotate(s.a, 32);
    s.c += s.d, s.d = cl_sip_rotate(s.d, 16), s.d ^= s.c;
    s.a += s.d, s.d = cl_sip_rotate(s.d, 21), s.d ^= s.a;
    s.c += s.b, s.b = cl_sip_rotate(s.b, 17), s.b ^= s.c, s.c = cl_sip_rotate(s.c, 32);
    return s;
}

/* The sum of all, after four rounds that follow s.c ^= 0xff. */
static inline uint64_t cl_sip_sum(cl_sip s)
{
    return s.a ^ s.b ^ s.c ^ s.d;
}

#endif
