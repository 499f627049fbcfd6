#include "core/adaptive.h"

#include <math.h>

/* A gradient, as in Envoy's adaptive concurrency and in Netflix' concurrency-limits: what a request takes now, against
 * what it takes where none waits for another inside the service. As long as more at a time take no longer, there may be
 * more of them: twice as many in each window while it begins, then by the square root of the limit. When they take
 * longer by half, they only wait for each other, and the limit falls by half of what it is too high, at most by a
 * quarter: one window in which the machine stood still is forgiven. So it comes to rest at about one and a half of what
 * the service does at a time.
 *
 * What a service can do, and what it takes for it, changes over the day. So the latency to compare with is measured again
 * and again, as Envoy and brpc do: for a window half of the limit counts, with which nothing waits, and with which most
 * of what the service can do is done nevertheless. That happens soon when the limit has fallen by half, since it falls
 * as well when requests take longer for reasons of their own.
 *
 * A latency is the mean of a window by Little's law, requests that ran over requests that ended, so that those are no
 * longer left out that take longer than the window. Windows in which no request found all places taken say nothing of
 * the limit, and leave it as it is. The clock has milliseconds, so latencies below one are all alike. */

enum {
    WINDOW_MS = 250,   /* and at least twice of what requests take, */
    ENOUGH = 20,       /* and so many requests; */
    ENOUGH_TO_MEASURE = 50,
    IDLE_MS = 1000,    /* it begins anew after that long without any */
    SETTLE_MS = 10000, /* so long is waited at most for the effect of another limit */
    APART_MS = 2000,   /* measurements, */
    EVERY_MS = 30000,  /* and how far at most, a fifth more or less; */
    SHARE = 20,        /* of all time they take one part in so many at most, */
    SHARE_QUEUED = 5   /* and while they find less each time */
};

static const double tolerance = 1.5, most_fall = 0.25, still_queued = 0.55;

static void begin_window(cl_adaptive *a, int64_t when)
{
    a->since = a->at = when;
    a->area = 0;
    a->ended = 0;
    a->is_reached = 0;
}

void cl_adaptive_start(cl_adaptive *a, int64_t now, uint64_t random)
{
    *a = (cl_adaptive){.limit = CL_ADAPTIVE_LEAST,
                       .peak = CL_ADAPTIVE_LEAST,
                       .spread = (uint32_t)(random >> 32),
                       .measured = now,
                       .measure_at = now + EVERY_MS,
                       .is_starting = 1};
    begin_window(a, now);
}

uint32_t cl_adaptive_limit(const cl_adaptive *a)
{
    return (uint32_t)(a->is_measuring ? a->limit / 2 : a->limit);
}

/* ---- the end of a window */

static void set_limit(cl_adaptive *a, double limit)
{
    if (limit < CL_ADAPTIVE_LEAST) limit = CL_ADAPTIVE_LEAST;
    if (limit > CL_ADAPTIVE_MOST) limit = CL_ADAPTIVE_MOST;
    a->limit = limit;
    if (limit > a->peak) a->peak = limit;
}

/* Half of them that take half as long have waited for each other, too: soon less is measured. */
static void end_measuring(cl_adaptive *a, double before, double latency, int64_t now)
{
    int is_queued = a->is_reached && latency < before * still_queued;
    double pause = (double)(now - a->since) * (is_queued ? SHARE_QUEUED : SHARE);
    pause = fmax(pause, is_queued ? APART_MS : EVERY_MS);
    a->is_measuring = 0;
    a->unqueued = latency;
    a->peak = a->limit;
    a->measured = now;
    a->measure_at = now + (int64_t)(pause * (0.8 + 0.4 * a->spread / UINT32_MAX));
}

static void adapt(cl_adaptive *a, double latency, int64_t now)
{
    double too_high = 1 - a->unqueued * tolerance / latency; /* a part of the limit */
    int is_high = too_high > 0, was_starting = a->is_starting;
    a->is_starting = a->is_starting && !is_high;
    if (is_high) set_limit(a, a->limit * (1 - fmin(too_high / 2, most_fall)));
    else set_limit(a, a->is_starting ? a->limit * 2 : a->limit + sqrt(a->limit));
    int has_fallen = a->limit < a->peak / 2 && now - a->measured >= APART_MS;
    a->is_measuring = has_fallen || was_starting > a->is_starting || now >= a->measure_at;
}

static int end_window(cl_adaptive *a, double latency, int64_t now)
{
    uint32_t limit = cl_adaptive_limit(a);
    double before = a->latest;
    a->latest = latency;
    latency = fmax(latency, 1);
    if (a->is_measuring) end_measuring(a, before, latency, now);
    else if (!(a->unqueued > 0)) a->unqueued = latency;
    else if (a->is_reached) adapt(a, latency, now);
    int is_other = cl_adaptive_limit(a) != limit;
    begin_window(a, now + (is_other ? (int64_t)fmin(a->latest, SETTLE_MS) : 0));
    return is_other;
}

static int is_over(const cl_adaptive *a, double latency, int64_t now)
{
    int64_t lasted = now - a->since;
    return lasted >= WINDOW_MS && (double)lasted >= 2 * latency &&
           a->ended >= (a->is_measuring ? ENOUGH_TO_MEASURE : ENOUGH);
}

/* ---- what comes */

/* 1: this moment counts in the window. It does not while more run than may, of the time of another limit. */
static int counts(cl_adaptive *a, uint32_t running, int64_t now)
{
    if (now < a->since) return 0;
    if (running > cl_adaptive_limit(a) && a->at == a->since) {
        begin_window(a, now);
        return 0;
    }
    a->area += (double)running * (double)(now - a->at);
    a->at = now;
    return 1;
}

void cl_adaptive_began(cl_adaptive *a, uint32_t running, int64_t now)
{
    if (running == 0 && now - a->at > IDLE_MS) begin_window(a, now);
    counts(a, running, now);
    if (running + 1 >= cl_adaptive_limit(a)) a->is_reached = 1;
}

int cl_adaptive_ended(cl_adaptive *a, uint32_t running, int64_t now)
{
    if (!counts(a, running, now)) return 0;
    a->ended++;
    double latency = a->area / a->ended;
    return is_over(a, latency, now) && end_window(a, latency, now);
}
