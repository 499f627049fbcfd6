#include "base/rand.h"

#include "support/tap.h"

/* The reference vectors of SipHash-2-4: key 00..0f, message 00..n-1. */
static void siphash_vectors(void)
{
    static const struct {
        size_t n;
        uint64_t want;
    } rows[] = {{0, 0x726fdb47dd0e0e31}, {1, 0x74f839c593dc67fd}, {2, 0x0d6c8009d9a94f5a}, {3, 0x85676696d7fb7e2d},
                {4, 0xcf2794e0277187b7}, {5, 0x18765564cd99a68d}, {6, 0xcbc9466e58fee3ce}, {7, 0xab0200f58b01d137},
                {8, 0x93f5f5799a932462}, {15, 0xa129ca6149be45e5}};
    static const uint64_t key[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
    unsigned char message[16];
    for (int i = 0; i < 16; i++) message[i] = (unsigned char)i;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) CHECK(cl_siphash(key, message, rows[i].n) == rows[i].want);
}

static void hash_is_stable_in_a_process_and_depends_on_every_byte(void)
{
    char text[33] = "0123456789abcdef0123456789abcdef";
    uint64_t first = cl_hash(cl_str_of(text, 32));
    CHECK(cl_hash(cl_str_of(text, 32)) == first);
    for (int i = 0; i < 32; i++) {
        text[i] ^= 1;
        CHECK(cl_hash(cl_str_of(text, 32)) != first);
        text[i] ^= 1;
        CHECK(cl_hash(cl_str_of(text, (size_t)i)) != first);
    }
}

static void random_bytes_differ(void)
{
    unsigned char a[32] = {0}, b[32] = {0};
    CHECK_INT(cl_random_bytes(a, sizeof a), 0);
    CHECK_INT(cl_random_bytes(b, sizeof b), 0);
    CHECK(memcmp(a, b, sizeof a) != 0);
}

/* splitmix64 with state 0, as published. */
static void seeded_numbers_repeat(void)
{
    uint64_t state = 0;
    CHECK(cl_rand_next(&state) == 0xe220a8397b1dcdaf);
    CHECK(cl_rand_next(&state) == 0x6e789e6aa1b965f4);
    CHECK(cl_rand_next(&state) == 0x06c45d188009454f);
}

int main(void)
{
    RUN(siphash_vectors);
    RUN(hash_is_stable_in_a_process_and_depends_on_every_byte);
    RUN(random_bytes_differ);
    RUN(seeded_numbers_repeat);
    return tap_end();
}
