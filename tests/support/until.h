/* Runs the loops of one or two sides, each a `side` with a loop, until a condition holds; it fails when that takes too
 * long. */
#ifndef TEST_UNTIL_H
#define TEST_UNTIL_H

#include "net/loop.h"
#include "support/tap.h"

enum { BOUND_MS = 20000 };

#define UNTIL2(a, b, condition)                                                                                        \
    do {                                                                                                               \
        side *until_sides[] = {a, b};                                                                                  \
        int64_t until_end = cl_loop_now() + BOUND_MS;                                                                  \
        while (!(condition) && cl_loop_now() < until_end)                                                              \
            for (int until_i = 0; until_i < 2; until_i++)                                                              \
                if (until_sides[until_i]) cl_loop_run(until_sides[until_i]->loop, 1);                                  \
        CHECK(condition);                                                                                              \
    } while (0)
#define UNTIL(a, condition) UNTIL2(a, NULL, condition)

#endif
