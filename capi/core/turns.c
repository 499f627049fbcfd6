/* Design note. Turns by weight. Each server has a time at which its turn comes, in a time that only choosing makes
 * pass: at weight 1 it comes once a ROUND, at weight 5 five times, evenly spread, so heavy ones come more often, and
 * not several times in a row. The servers are a heap by that time, so the next one is found, and put back, in O(log n).
 *
 * One that may not be asked is set aside behind the heap until somebody is found; its turn has passed then, so that it
 * does not come again and again meanwhile, nor several times once it may be asked. When nobody is found nothing has
 * changed.
 *
 * Times wrap around, and lie within a round of each other. The heap, and the sums by which a server is drawn by chance,
 * are made anew when the list or a weight has changed, by who needs them next. */
#include "core/internal.h"

#define ROUND (INT64_C(1) << 40)

static int64_t stride(const cl_method *m, uint32_t at)
{
    return ROUND / m->servers[at]->weight;
}

static int64_t later(uint64_t a, uint64_t b)
{
    return (int64_t)(a - b);
}

static int comes_before(const cl_method *m, uint32_t a, uint32_t b)
{
    int64_t behind = later(m->shares[a].due, m->shares[b].due);
    return behind ? behind < 0 : a < b;
}

static void swap(uint32_t *heap, uint32_t i, uint32_t j)
{
    uint32_t at = heap[i];
    heap[i] = heap[j];
    heap[j] = at;
}

static void sift_up(cl_method *m, uint32_t i)
{
    for (; i && comes_before(m, m->turns[i], m->turns[(i - 1) / 2]); i = (i - 1) / 2) swap(m->turns, i, (i - 1) / 2);
}

static void sift_down(cl_method *m, uint32_t i, uint32_t n)
{
    for (uint32_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && comes_before(m, m->turns[child + 1], m->turns[child])) child++;
        if (!comes_before(m, m->turns[child], m->turns[i])) return;
        swap(m->turns, i, child);
    }
}

/* Who is new begins in the middle of its way, and who weighs more now does not wait any longer than that takes. */
static void settle(cl_method *m, uint32_t at)
{
    cl_share *share = &m->shares[at];
    int64_t way = stride(m, at), left = later(share->due, m->time);
    if (!share->has_turn) share->due = m->time + (uint64_t)way / 2;
    else if (left > way || left < 0) share->due = m->time + (uint64_t)(left < 0 ? 0 : way);
    share->has_turn = 1;
}

static void prepare(cl_method *m)
{
    uint32_t sum = 0;
    if (m->is_ordered) return;
    for (uint32_t at = 0; at < m->n; at++) {
        m->turns[at] = at;
        m->shares[at].up_to = sum += m->servers[at]->weight;
        settle(m, at);
    }
    for (uint32_t i = m->n / 2; i-- > 0;) sift_down(m, i, m->n);
    m->is_ordered = 1;
}

uint32_t cl_turns_first(cl_method *m)
{
    prepare(m);
    m->aside = 0;
    return m->n ? m->turns[0] : UINT32_MAX;
}

uint32_t cl_turns_next(cl_method *m)
{
    uint32_t left = m->n - ++m->aside;
    swap(m->turns, 0, left);
    sift_down(m, 0, left);
    return left ? m->turns[0] : UINT32_MAX;
}

/* Who was set aside is put back. */
void cl_turns_leave(cl_method *m)
{
    for (; m->aside; m->aside--) sift_up(m, m->n - m->aside);
}

void cl_turns_take(cl_method *m)
{
    uint32_t taken = m->turns[0];
    m->time = m->shares[taken].due;
    m->shares[taken].due += (uint64_t)stride(m, taken);
    sift_down(m, 0, m->n - m->aside);
    for (uint32_t i = m->n - m->aside; i < m->n; i++)
        m->shares[m->turns[i]].due = m->time + (uint64_t)stride(m, m->turns[i]);
    cl_turns_leave(m);
}

uint32_t cl_turns_draw(cl_method *m, uint64_t random)
{
    prepare(m);
    uint32_t low = 0, high = m->n - 1, wanted = (uint32_t)(random % m->shares[m->n - 1].up_to);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (m->shares[middle].up_to > wanted) high = middle;
        else low = middle + 1;
    }
    return low;
}
