#include "base/md5.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

static uint32_t rotl(uint32_t x, unsigned by)
{
    return x << by | x >> (32 - by);
}

static uint32_t read_word(const unsigned char *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void mix(uint32_t state[4], const unsigned char block[64])
{
    static const unsigned char shifts[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    for (unsigned i = 0; i < 64; i++) {
        uint32_t f;
        unsigned word;
        if (i < 16) f = (b & c) | (~b & d), word = i;
        else if (i < 32) f = (d & b) | (~d & c), word = (5 * i + 1) % 16;
        else if (i < 48) f = b ^ c ^ d, word = (3 * i + 5) % 16;
        else f = c ^ (b | ~d), word = 7 * i % 16;
        uint32_t sine = (uint32_t)(int64_t)(fabs(sin(i + 1.0)) * 4294967296.0);
        uint32_t sum = a + f + sine + read_word(block + 4 * word);
        a = d, d = c, c = b;
        b += rotl(sum, shifts[i / 16][i % 4]);
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
}

void cl_md5(const void *data, size_t n, unsigned char digest[16])
{
    uint32_t state[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    const unsigned char *p = data;
    size_t left = n;
    for (; left >= 64; left -= 64, p += 64) mix(state, p);
    unsigned char tail[128] = {0};
    if (left) memcpy(tail, p, left);
    tail[left] = 0x80;
    size_t blocks = left + 9 > 64 ? 2 : 1;
    for (unsigned i = 0; i < 8; i++) tail[blocks * 64 - 8 + i] = (unsigned char)((uint64_t)n * 8 >> (8 * i));
    for (size_t i = 0; i < blocks; i++) mix(state, tail + 64 * i);
    for (unsigned i = 0; i < 16; i++) digest[i] = (unsigned char)(state[i / 4] >> (8 * (i % 4)));
}
