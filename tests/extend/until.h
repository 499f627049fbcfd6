/* Waiting in the programs of this folder, each of which has a `side` of its own, and turn() for one. */
#ifndef EXTEND_UNTIL_H
#define EXTEND_UNTIL_H

/* Turns these sides until the condition holds. */
#define UNTIL(condition, ...)                                                                                          \
    do {                                                                                                               \
        side *until_sides[] = {__VA_ARGS__};                                                                           \
        int until_turns = 0;                                                                                           \
        while (!(condition) && until_turns++ < 4000)                                                                   \
            for (size_t until_i = 0; until_i < sizeof until_sides / sizeof *until_sides; until_i++)                    \
                turn(until_sides[until_i]);                                                                            \
        CHECK(condition);                                                                                              \
    } while (0)

#endif
