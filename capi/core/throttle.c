#include "core/throttle.h"

#include "base/error.h"
#include "core/internal.h"

/* Where servers take less than half of what they are asked, more calls cost them without use: some end here already, as
 * many as leave the servers about twice of what they take. With n attempts that ended, of which a were done, one is
 * refused with the probability (n - 2a) / (n + 1). */

enum { RETRY_MS = 1000 };

static unsigned slot_of(int64_t second)
{
    return (unsigned)((uint64_t)second % CL_THROTTLE_SECONDS);
}

static void advance(cl_throttle *t, int64_t now)
{
    int64_t second = now / 1000;
    if (second - t->second >= CL_THROTTLE_SECONDS) t->second = second - CL_THROTTLE_SECONDS;
    while (t->second < second) {
        t->second++;
        t->ended[slot_of(t->second)] = t->accepted[slot_of(t->second)] = 0;
    }
}

static void count(cl_throttle *t, int accepted, int64_t now)
{
    advance(t, now);
    t->ended[slot_of(now / 1000)]++;
    t->accepted[slot_of(now / 1000)] += accepted != 0;
}

void cl_throttle_ended(const cl_call *call, int accepted, int64_t now)
{
    if (call->node->config.throttle && !call->pinned) count(&call->method->throttle, accepted, now);
}

static double chance(cl_throttle *t, int64_t now)
{
    double n = 0, a = 0;
    advance(t, now);
    for (int i = 0; i < CL_THROTTLE_SECONDS; i++) n += t->ended[i], a += t->accepted[i];
    return (n - 2 * a) / (n + 1);
}

int cl_throttle_holds_back(const cl_call *call, int64_t now)
{
    if (call->pinned) return 0;
    const cl_port *port = &call->node->core->port;
    cl_throttle *t = &call->method->throttle;
    double p = chance(t, now);
    if (!(p > 0) || (double)(port->random(port->self) >> 11) * 0x1p-53 >= p) return 0;
    count(t, 0, now);
    return 1;
}

int cl_throttle_refuses(cl_call *call, int64_t now)
{
    if (!cl_throttle_holds_back(call, now)) return 0;
    call->node->core->counters[CL_COUNT_THROTTLED_CALLS]++;
    cl_error(CLOUDS_EOVERLOAD, "it was not sent: the servers refuse most calls (throttle)");
    cl_error_busy(CL_STR("throttle"), RETRY_MS);
    cl_attempt_keep_reason(call, CLOUDS_EOVERLOAD, cl_error_text_of_call(call, CLOUDS_EOVERLOAD, 1));
    return 1;
}
