/* Drives fuzz_resp without a fuzzer: seeds that are mutated at random from a seed number, for a while. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rand.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const seeds[] = {
    "+OK\r\n", "-ERR no\r\n", ":12\r\n", "$3\r\nabc\r\n", "$-1\r\n", "*0\r\n", "*-1\r\n", "*2\r\n$1\r\n0\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n",
    "*3\r\n$7\r\nmessage\r\n$10\r\nclouds:L:x\r\n$2\r\n{}\r\n", "*3\r\n$9\r\nsubscribe\r\n$3\r\nabc\r\n:1\r\n",
    "*2\r\n$10\r\n1795257064\r\n$6\r\n515608\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
};

static size_t mutate(uint8_t *out, size_t cap, uint64_t *random)
{
    static const char *const bits[] = {"\r\n", "*", "$", ":", "-1", "99999999999", "0", "message", "*3\r\n$7\r\nmessage\r\n"};
    size_t n = 1;
    out[0] = (uint8_t)cl_rand_next(random);
    for (uint64_t parts = 1 + cl_rand_next(random) % 4; parts > 0; parts--) {
        const char *seed = seeds[cl_rand_next(random) % (sizeof seeds / sizeof *seeds)];
        size_t len = strlen(seed);
        if (n + len > cap) break;
        memcpy(out + n, seed, len);
        n += len;
    }
    for (uint64_t changes = cl_rand_next(random) % 6; changes > 0; changes--) {
        size_t at = 1 + cl_rand_next(random) % n;
        const char *bit = bits[cl_rand_next(random) % (sizeof bits / sizeof *bits)];
        size_t len = strlen(bit);
        switch (cl_rand_next(random) % 4) {
        case 0: if (at < n) out[at] = (uint8_t)cl_rand_next(random); break;
        case 1: n = at; break;
        case 2:
            if (at < n && n + len < cap) {
                memmove(out + at + len, out + at, n - at);
                memcpy(out + at, bit, len);
                n += len;
            }
            break;
        default:
            if (at + 1 < n) {
                memmove(out + at, out + at + 1, n - at - 1);
                n--;
            }
        }
    }
    return n;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 3;
    uint64_t random = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)time(NULL), runs = 0;
    static uint8_t input[2048];
    printf("# seed %llu\n", (unsigned long long)random);
    fflush(stdout);
    clock_t end = clock() + (clock_t)(seconds * CLOCKS_PER_SEC);
    for (; clock() < end; runs++) {
        size_t n = mutate(input, sizeof input, &random);
        LLVMFuzzerTestOneInput(input, n);
    }
    printf("ok 1 - %llu inputs\n1..1\n", (unsigned long long)runs);
    return 0;
}
