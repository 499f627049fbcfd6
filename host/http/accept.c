/* Sec-WebSocket-Accept: SHA-1 of the client's key and a fixed text, in base64. It keeps no secret; it shows that the
 * other end knows WebSocket. */
#include <string.h>

#include "host/http/internal.h"

static uint32_t rotate(uint32_t x, int by)
{
    return x << by | x >> (32 - by);
}

/* One block of 64 bytes (FIPS 180-4, 6.1.2). */
static void add_block(uint32_t h[5], const unsigned char *block)
{
    uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (int t = 0; t < 16; t++)
        w[t] = (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16 | (uint32_t)block[4 * t + 2] << 8 |
               block[4 * t + 3];
    for (int t = 16; t < 80; t++) w[t] = rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    for (int t = 0; t < 80; t++) {
        uint32_t f = t < 20 ? (b & c) | (~b & d) : t < 40 || t >= 60 ? b ^ c ^ d : (b & c) | (b & d) | (c & d);
        uint32_t k = t < 20 ? 0x5a827999u : t < 40 ? 0x6ed9eba1u : t < 60 ? 0x8f1bbcdcu : 0xca62c1d6u;
        uint32_t next = rotate(a, 5) + f + e + k + w[t];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    h[0] += a;
    h[1] += b;
    h[2] += c;
    h[3] += d;
    h[4] += e;
}

/* Of a text of less than 120 bytes: two blocks. */
static void digest_of(const unsigned char *text, size_t n, unsigned char out[20])
{
    uint32_t h[5] = {0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u, 0xc3d2e1f0u};
    unsigned char blocks[128] = {0};
    memcpy(blocks, text, n);
    blocks[n] = 0x80;
    size_t end = n < 56 ? 64 : 128;
    blocks[end - 2] = (unsigned char)(n * 8 >> 8);
    blocks[end - 1] = (unsigned char)(n * 8);
    for (size_t at = 0; at < end; at += 64) add_block(h, blocks + at);
    for (int i = 0; i < 20; i++) out[i] = (unsigned char)(h[i / 4] >> (24 - 8 * (i % 4)));
}

static void encode(const unsigned char *from, size_t n, char *to)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        unsigned one = from[i], two = i + 1 < n ? from[i + 1] : 0u, three = i + 2 < n ? from[i + 2] : 0u;
        *to++ = letters[one >> 2];
        *to++ = letters[(one & 3u) << 4 | two >> 4];
        *to++ = i + 1 < n ? letters[(two & 15u) << 2 | three >> 6] : '=';
        *to++ = i + 2 < n ? letters[three & 63u] : '=';
    }
    *to = '\0';
}

void host_http_accept_key(host_http_text key, char out[HOST_HTTP_ACCEPT])
{
    static const char fixed[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char text[HOST_HTTP_KEY + sizeof fixed], digest[20];
    size_t n = key.n < HOST_HTTP_KEY ? key.n : HOST_HTTP_KEY;
    memcpy(text, key.p, n);
    memcpy(text + n, fixed, sizeof fixed - 1);
    digest_of(text, n + sizeof fixed - 1, digest);
    encode(digest, sizeof digest, out);
}

/* 16 bytes in base64: 22 letters and two signs that stand for nothing. */
bool host_http_is_key(host_http_text key)
{
    if (key.n != HOST_HTTP_KEY || memcmp(key.p + 22, "==", 2) != 0) return false;
    for (size_t i = 0; i < 22; i++) {
        char c = key.p[i];
        bool is_letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!is_letter && c != '+' && c != '/') return false;
    }
    return true;
}
