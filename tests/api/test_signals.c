/* clouds_wakeup from a signal's handler, wherever it interrupts the program. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "api/kit.h"

static const char *mode;
static _Atomic(clouds_context *) target;
static atomic_int returned, over, handled;

static void on_signal(int number)
{
    int before = errno;
    int code = clouds_wakeup(atomic_load(&target));
    if (errno != before || (code != 0 && code != CLOUDS_EHANDLE)) abort();
    atomic_fetch_add(&handled, number != 0);
}

static void *poll_for_ever(void *context)
{
    clouds_event e;
    for (int code = 0; code >= 0;) {
        code = clouds_poll(context, &e, sizeof e, 1, -1);
        if (code >= 0) atomic_fetch_add(&returned, 1); /* an event may come at the same moment */
    }
    return NULL;
}

/* The handler runs in the thread that polls: its own poll returns. */
static void in_the_polling_thread(void)
{
    enum { ROUNDS = 500 };
    pthread_t poller;
    clouds_context *context = kit_context(kit_url("inproc:"), mode);
    atomic_store(&target, context);
    atomic_store(&returned, 0);
    pthread_create(&poller, NULL, poll_for_ever, context);
    int rounds = 0;
    for (int returns = 1; returns && rounds < ROUNDS; rounds += returns) {
        double until = kit_now() + KIT_PATIENCE;
        int seen = atomic_load(&returned);
        pthread_kill(poller, SIGUSR1);
        while (atomic_load(&returned) == seen && kit_now() < until) sched_yield();
        returns = atomic_load(&returned) != seen;
    }
    CHECK_INT(rounds, ROUNDS);
    clouds_context_destroy(context); /* it sleeps in poll, without limit */
    pthread_join(poller, NULL);
}

/* Uses what has locks: the table of handles, the allocator, the queues. */
static void *be_busy(void *context)
{
    clouds_node *node = kit_node(context, "base");
    while (!atomic_load(&over)) {
        clouds_options *options = KIT_OPTIONS("timeout", "3");
        clouds_options_destroy(options);
        uint64_t call = 0;
        const clouds_call_options kept = {.size = sizeof kept, .flags = CLOUDS_CALL_WAIT};
        clouds_event e;
        if (clouds_node_call(node, "nobody", 6, "[]", 2, &kept, &call) != 0) continue;
        CHECK_INT(clouds_wait(context, call, KIT_PATIENCE, &e, sizeof e), 1);
        CHECK_INT(clouds_event_release(&e), 0);
        (void)clouds_wakeup(NULL);
    }
    return NULL;
}

/* The handler interrupts a thread anywhere, inside of the library too. */
static void anywhere(void)
{
    enum { SIGNALS = 3000, LEAST = SIGNALS / 10 }; /* where others have the processors each takes its time */
    pthread_t busy, poller;
    clouds_context *context = kit_context(kit_url("inproc:"), mode);
    int threaded = strcmp(mode, "thread") == 0;
    atomic_store(&target, context);
    atomic_store(&over, 0);
    atomic_store(&handled, 0);
    atomic_store(&returned, 0);
    pthread_create(&busy, NULL, be_busy, context);
    if (threaded) pthread_create(&poller, NULL, poll_for_ever, context);
    double until = kit_now() + KIT_PATIENCE;
    for (int i = 0; i < SIGNALS && kit_now() < until; i++) {
        pthread_kill(busy, SIGUSR1);
        int before = i;
        while (atomic_load(&handled) < before && kit_now() < until) sched_yield();
    }
    CHECK(atomic_load(&handled) > LEAST);
    if (threaded) CHECK(atomic_load(&returned) > 0);
    atomic_store(&over, 1);
    pthread_join(busy, NULL);
    clouds_context_destroy(context);
    if (threaded) pthread_join(poller, NULL);
}

static void *be_interrupted(void *unused)
{
    while (!atomic_load(&over)) {
        clouds_options *options = KIT_OPTIONS("timeout", "3");
        clouds_options_destroy(options);
    }
    return unused;
}

/* The context goes while handlers wake it. */
static void destroyed_meanwhile(void)
{
    enum { ROUNDS = 60 };
    pthread_t victim;
    atomic_store(&over, 0);
    atomic_store(&target, NULL);
    pthread_create(&victim, NULL, be_interrupted, NULL);
    for (int i = 0; i < ROUNDS; i++) {
        clouds_context *context = kit_context(kit_url("inproc:"), mode);
        atomic_store(&target, context);
        for (int k = 0; k < 5; k++) pthread_kill(victim, SIGUSR1);
        clouds_context_destroy(context);
        pthread_kill(victim, SIGUSR1);
    }
    atomic_store(&over, 1);
    pthread_join(victim, NULL);
}

static void in_each_mode(void)
{
    RUN(in_the_polling_thread);
    RUN(anywhere);
    RUN(destroyed_meanwhile);
}

int main(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
    kit_modes(&mode, in_each_mode);
    return kit_end();
}
