/* Hexadecimal digits. */
#ifndef CL_HEX_H
#define CL_HEX_H

#include <stddef.h>
#include <stdint.h>

/* The value of a digit; -1: it is none. */
static inline int cl_hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The digit of a value from 0 to 15. */
static inline char cl_hex_digit(unsigned value)
{
    return "0123456789abcdef"[value & 15];
}

/* Two digits for each byte, without a NUL. */
static inline void cl_hex_write(const uint8_t *bytes, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++) {
        *out++ = cl_hex_digit(bytes[i] >> 4);
        *out++ = cl_hex_digit(bytes[i]);
    }
}

#endif
