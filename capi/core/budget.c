#include "core/internal.h"

#include <string.h>

/* A window of ten one-second slots. */

enum { SLOTS = 10, FLOOR = 10 * SLOTS };

static unsigned slot_of(int64_t second)
{
    return (unsigned)((uint64_t)second % SLOTS);
}

static void advance(cl_budget *b, int64_t now)
{
    int64_t second = now / 1000;
    if (second <= b->second) return;
    if (second - b->second >= SLOTS) memset(b, 0, sizeof *b);
    else
        for (int64_t s = b->second + 1; s <= second; s++) {
            unsigned slot = slot_of(s);
            b->calls_sum -= b->calls[slot], b->calls[slot] = 0;
            b->spent_sum -= b->spent[slot], b->spent[slot] = 0;
        }
    b->second = second;
}

void cl_budget_call(cl_budget *b, int64_t now)
{
    advance(b, now);
    b->calls[slot_of(b->second)]++;
    b->calls_sum++;
}

int cl_budget_take(cl_budget *b, int64_t now)
{
    advance(b, now);
    uint64_t limit = b->calls_sum / 10 > FLOOR ? b->calls_sum / 10 : FLOOR;
    if (b->spent_sum >= limit) return 0;
    b->spent[slot_of(b->second)]++;
    b->spent_sum++;
    return 1;
}

void cl_budget_give_back(cl_budget *b)
{
    b->spent[slot_of(b->second)]--;
    b->spent_sum--;
}
