/* Hexadecimal digits. */
#ifndef CL_HEX_H
#define CL_HEX_H

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

#endif
