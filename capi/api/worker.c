/* clouds_worker_open, clouds_worker_next, clouds_worker_tell: what the messages of a channel mean. */
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "api/deadline.h"
#include "api/guard.h"
#include "api/record.h"
#include "base/error.h"
#include "clouds_worker.h"
#include "worker/worker.h"

enum { USUAL_DRAIN = 8 }; /* seconds, where the master has not said how many */

static atomic_bool told_of_end;

int clouds_worker_open(void)
{
    int code = cl_guard_hooks();
    return code != 0 ? code : cl_worker_open();
}

static double seconds_of(const char *text)
{
    char *end;
    double seconds = text && *text ? strtod(text, &end) : -1;
    return seconds >= 0 && !*end ? cl_at_most(seconds) : USUAL_DRAIN;
}

/* 1: the event is one for the program. What this version does not know is none. */
static int read_message(const cl_worker_message *m, clouds_worker_event *event)
{
    switch (m->type) {
    case CLOUDS_CHANNEL_DRAIN:
        *event = (clouds_worker_event){.type = CLOUDS_WORKER_DRAIN, .seconds = seconds_of(m->body)};
        return 1;
    case CLOUDS_CHANNEL_QUIET:
    case CLOUDS_CHANNEL_RESUME:
        *event = (clouds_worker_event){.type = CLOUDS_WORKER_QUIET, .number = m->type == CLOUDS_CHANNEL_QUIET};
        return 1;
    case CLOUDS_CHANNEL_ASK:
        *event = (clouds_worker_event){.type = CLOUDS_WORKER_ASK};
        return 1;
    default:
        return 0;
    }
}

/* The end of the master is a word to stop, once. */
static int end(clouds_worker_event *event)
{
    if (atomic_exchange(&told_of_end, true)) return CLOUDS_ECLOSED;
    *event =
        (clouds_worker_event){.type = CLOUDS_WORKER_DRAIN, .number = 1, .seconds = seconds_of(getenv("CLOUDS_DRAIN"))};
    return 1;
}

static int milliseconds_until(int64_t until)
{
    int64_t left = cl_deadline_left(until);
    return left > 1000000 ? 1000000 : (int)left;
}

static int next(clouds_worker_event *event, double timeout)
{
    int64_t until = cl_deadline_ms(timeout);
    cl_worker_message message;
    for (;;) {
        int left = milliseconds_until(until), n = cl_worker_receive(&message, left);
        if (n == CLOUDS_ECLOSED) return end(event);
        if (n < 0 || (n > 0 && read_message(&message, event))) return n;
        if (n == 0 && left >= 0 && cl_deadline_left(until) == 0) return 0;
    }
}

int clouds_worker_next(clouds_worker_event *event, size_t event_size, double timeout)
{
    clouds_worker_event own = {0};
    int code = cl_guard_hooks();
    if (code == 0 && (!event || isnan(timeout)))
        code = cl_error(CLOUDS_EINVAL, "clouds_worker_next: expected an event and a number of seconds");
    if (code == 0) code = cl_record_check(CL_RECORD_clouds_worker_event, event_size);
    if (code == 0) code = next(&own, timeout);
    if (code > 0) cl_record_write(event, event_size, &own, sizeof own);
    return code;
}

int clouds_worker_tell(uint32_t word)
{
    static const char types[] = {[CLOUDS_WORKER_READY] = CLOUDS_CHANNEL_READY,
                                 [CLOUDS_WORKER_STOPPING] = CLOUDS_CHANNEL_STOPPING,
                                 [CLOUDS_WORKER_ALIVE] = CLOUDS_CHANNEL_ALIVE};
    int code = cl_guard_hooks();
    if (code != 0) return code;
    if (word >= sizeof types || !types[word])
        return cl_error(CLOUDS_EINVAL, "clouds_worker_tell: there is no word %u", (unsigned)word);
    return cl_worker_send(types[word], NULL, 0);
}
