#include "rand.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "clouds.h"
#include "error.h"
#include "siphash.h"

int cl_random_bytes(void *out, size_t n)
{
    char *p = out;
    while (n) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return cl_error(CLOUDS_ESYSTEM, "no random bytes: %s", strerror(errno));
        p += got;
        n -= (size_t)got;
    }
    return 0;
}

static inline cl_sip add_word(cl_sip s, uint64_t word)
{
    s.d ^= word;
    s = cl_sip_round(cl_sip_round(s));
    s.a ^= word;
    return s;
}

uint64_t cl_siphash(const uint64_t key[2], const void *data, size_t n)
{
    cl_sip s = cl_sip_start(key);
    const char *p = data;
    size_t left = n;
    for (; left >= 8; left -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        s = add_word(s, word);
    }
    uint64_t last = (uint64_t)n << 56;
    for (size_t i = 0; i < left; i++) last |= (uint64_t)(unsigned char)p[i] << (8 * i);
    s = add_word(s, last);
    s.c ^= 0xff;
    for (int i = 0; i < 4; i++) s = cl_sip_round(s);
    return cl_sip_sum(s);
}

static uint64_t process_key[2];
static pthread_once_t process_key_once = PTHREAD_ONCE_INIT;

static void draw_process_key(void)
{
    /* Without getrandom the maps still work; only the defence against chosen keys is gone. */
    if (cl_random_bytes(process_key, sizeof process_key) != 0) process_key[0] = (uint64_t)(uintptr_t)&process_key;
}

uint64_t cl_hash(cl_str s)
{
    pthread_once(&process_key_once, draw_process_key);
    return cl_siphash(process_key, s.p, s.n);
}

uint64_t cl_rand_next(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}
