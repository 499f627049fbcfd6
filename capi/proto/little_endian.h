/* Numbers as frames have them, little-endian on every machine. */
#ifndef CL_LITTLE_ENDIAN_H
#define CL_LITTLE_ENDIAN_H

#include <stddef.h>
#include <stdint.h>

static inline void cl_put16(unsigned char *p, size_t v)
{
    p[0] = (unsigned char)v;
    p[1] = (unsigned char)(v >> 8);
}

static inline void cl_put32(unsigned char *p, uint32_t v)
{
    cl_put16(p, v & 0xffff);
    cl_put16(p + 2, v >> 16);
}

static inline void cl_put64(unsigned char *p, uint64_t v)
{
    cl_put32(p, (uint32_t)v);
    cl_put32(p + 4, (uint32_t)(v >> 32));
}

static inline uint32_t cl_get16(const unsigned char *p)
{
    return p[0] | (uint32_t)p[1] << 8;
}

static inline uint32_t cl_get32(const unsigned char *p)
{
    return cl_get16(p) | cl_get16(p + 2) << 16;
}

static inline uint64_t cl_get64(const unsigned char *p)
{
    return cl_get32(p) | (uint64_t)cl_get32(p + 4) << 32;
}

#endif
