/* A small TAP harness: a program of tests, each a function. CHECK goes on after a failure, REQUIRE leaves the test. */
#ifndef TAP_H
#define TAP_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int tap_number, tap_failed, tap_bad;

#define CHECK(condition) \
    ((condition) ? 1 : (tap_bad++, printf("# %s:%d: failed: %s\n", __FILE__, __LINE__, #condition), 0))

#define CHECK_INT(got, want) \
    do { \
        long long tap_got = (long long)(got), tap_want = (long long)(want); \
        if (tap_got != tap_want) \
            tap_bad++, printf("# %s:%d: %s is %lld, not %lld\n", __FILE__, __LINE__, #got, tap_got, tap_want); \
    } while (0)

#define CHECK_STR(got, len, want) \
    do { \
        const char *tap_got = (got); \
        size_t tap_len = (len); \
        if (tap_len != strlen(want) || memcmp(tap_got, want, tap_len) != 0) \
            tap_bad++, printf("# %s:%d: %s is '%.*s', not '%s'\n", __FILE__, __LINE__, #got, (int)tap_len, tap_got, want); \
    } while (0)

#define REQUIRE(condition) \
    do { \
        if (!CHECK(condition)) return; \
    } while (0)

#define RUN(test) \
    do { \
        tap_bad = 0; \
        test(); \
        printf("%sok %d - %s\n", tap_bad ? "not " : "", ++tap_number, #test); \
        fflush(stdout); \
        if (tap_bad) tap_failed++; \
    } while (0)

static inline int tap_end(void)
{
    printf("1..%d\n", tap_number);
    return tap_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
