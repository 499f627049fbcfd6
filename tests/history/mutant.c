/* A library with a fault, to show that the checker sees it: loaded before libclouds, it changes what clouds_poll hands
 * out. The environment's HISTORY_MUTANT says how: twice     every hundredth result is handed out two times lost every
 * hundredth result is not handed out turned    what is UNKNOWN is called NOT_DONE foreign   every hundredth result is
 * that of another call again     every hundredth request is handed out two times late      every hundredth request is
 * handed out when its time is over */
#include <clouds.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef int poll_fn(clouds_context *, clouds_event *, size_t, size_t, double);

static int is(const char *mutant)
{
    const char *chosen = getenv("HISTORY_MUTANT");
    return chosen && strcmp(chosen, mutant) == 0;
}

static int chosen_one(const clouds_event *e, uint32_t type)
{
    static unsigned results, requests;
    if (e->type != type) return 0;
    return (type == CLOUDS_EVENT_RESULT ? ++results : ++requests) % 100 == 0;
}

/* Makes room for one more record behind record `at`, a copy of it; the last one goes if there is no room. */
static int repeat(clouds_event *events, int n, int at, int capacity)
{
    int last = n < capacity ? n : capacity - 1;
    memmove(events + at + 1, events + at, (size_t)(last - at) * sizeof *events);
    return last + 1;
}

static int drop(clouds_event *events, int n, int at)
{
    memmove(events + at, events + at + 1, (size_t)(n - at - 1) * sizeof *events);
    return n - 1;
}

static void make_late(clouds_event *e)
{
    if (e->time_left < 0) return;
    double rest = e->time_left + 2; /* the deadline of a call is later than that of its attempt */
    struct timespec nap = {(time_t)rest + 1, 0};
    for (struct timespec left = nap; nanosleep(&left, &left) != 0;) continue; /* a SIGTERM does not shorten it */
    e->number += 1000 * (nap.tv_sec + 1);                                     /* or the program would see by itself that it is late */
}

int clouds_poll(clouds_context *context, clouds_event *events, size_t event_size, size_t capacity, double timeout)
{
    poll_fn *real;
    *(void **)&real = dlsym(RTLD_NEXT, "clouds_poll");
    int n = real(context, events, event_size, capacity, timeout);
    for (int i = 0; i < n; i++) {
        clouds_event *e = &events[i];
        if (is("twice") && chosen_one(e, CLOUDS_EVENT_RESULT)) n = repeat(events, n, i++, (int)capacity);
        else if (is("again") && chosen_one(e, CLOUDS_EVENT_REQUEST)) n = repeat(events, n, i++, (int)capacity);
        else if (is("lost") && chosen_one(e, CLOUDS_EVENT_RESULT)) n = drop(events, n, i--);
        else if (is("late") && chosen_one(e, CLOUDS_EVENT_REQUEST)) make_late(e);
        else if (is("foreign") && i > 0 && events[i - 1].type == e->type && chosen_one(e, CLOUDS_EVENT_RESULT))
            e->data = events[i - 1].data, e->data_len = events[i - 1].data_len;
        else if (is("turned") && e->type == CLOUDS_EVENT_RESULT && e->outcome == CLOUDS_OUTCOME_UNKNOWN)
            e->outcome = CLOUDS_OUTCOME_NOT_DONE;
    }
    return n;
}
