/* What can be answered or canceled, while the queue of commands is full and it ends by itself: nothing is lost, and
 * nothing is kept. */
#include <pthread.h>
#include <stdatomic.h>

#include "api/inside.h"

enum { MANY = 300 };

static atomic_int go_on, refused;
static clouds_context *hammered;
static uint64_t ids[MANY];
static int count;

/* The queue of commands is full, or not any more. */
static void fill(clouds_context *handle, int full)
{
    cl_context *context = cl_handle_enter(handle, CL_HANDLE_CONTEXT);
    pthread_mutex_lock(&context->thread.queue.lock);
    context->thread.queue.late_bytes = full ? (size_t)1 << 40 : 0;
    pthread_mutex_unlock(&context->thread.queue.lock);
    cl_handle_leave(handle);
}

static size_t open_now(clouds_context *handle)
{
    cl_context *context = cl_handle_enter(handle, CL_HANDLE_CONTEXT);
    pthread_mutex_lock(&context->inbox.lock);
    size_t n = context->inbox.open.len;
    pthread_mutex_unlock(&context->inbox.lock);
    cl_handle_leave(handle);
    return n;
}

/* Begins it, and goes on once something was refused. */
static pthread_t hammer(clouds_context *context, void *(*what)(void *))
{
    pthread_t thread;
    double until = kit_now() + KIT_PATIENCE;
    fill(context, 1);
    hammered = context;
    atomic_store(&refused, 0);
    atomic_store(&go_on, 1);
    pthread_create(&thread, NULL, what, NULL);
    while (atomic_load(&refused) == 0 && kit_now() < until) usleep(100);
    CHECK(atomic_load(&refused) > 0);
    return thread;
}

static void end_hammer(pthread_t thread)
{
    atomic_store(&go_on, 0);
    pthread_join(thread, NULL);
    fill(hammered, 0);
}

static void *answer_again_and_again(void *unused)
{
    while (atomic_load(&go_on))
        for (int i = 0; i < count; i++)
            if (clouds_reply(hammered, ids[i], "[1]", 3) == CLOUDS_ELIMIT) atomic_fetch_add(&refused, 1);
    return NULL;
}

static void answers_while_requests_end(void)
{
    kit_pair p = kit_open("inproc:", "thread", "thread");
    clouds_event e;
    for (int i = 0; i < MANY; i++) kit_call(p.client_node, "silent", "[]", NULL);
    for (count = 0; count < MANY && kit_await(p.server, NULL, CLOUDS_EVENT_REQUEST, &e) == 1; count++)
        ids[count] = e.id;
    pthread_t thread = hammer(p.server, answer_again_and_again);
    CHECK_INT(clouds_node_close(p.server_node, 0, NULL, NULL), 0);
    CHECK_INT(kit_await(p.server, NULL, CLOUDS_EVENT_NODE_CLOSED, &e), 1);
    end_hammer(thread);
    CHECK_INT(open_now(p.server), 0);
    for (int i = 0; i < MANY; i++) CHECK_INT(clouds_reply(p.server, ids[i], "[1]", 3), CLOUDS_ESTALE);
    kit_close(&p);
}

static void *cancel_again_and_again(void *unused)
{
    while (atomic_load(&go_on))
        for (int i = 0; i < count; i++)
            if (clouds_cancel(hammered, ids[i]) == CLOUDS_ELIMIT) atomic_fetch_add(&refused, 1);
    return NULL;
}

/* A cancel that is refused changes nothing: each call has its result. */
static void cancels_while_calls_end(void)
{
    kit_pair p = kit_open("inproc:", "thread", "thread");
    const clouds_call_options options = {.size = sizeof options, .deadline = 0.5};
    clouds_event e;
    for (count = 0; count < MANY; count++) ids[count] = kit_call(p.client_node, "silent", "[]", &options);
    pthread_t thread = hammer(p.client, cancel_again_and_again);
    for (int i = 0; i < MANY; i++) CHECK_INT(kit_await(p.client, NULL, CLOUDS_EVENT_RESULT, &e), 1);
    end_hammer(thread);
    CHECK_INT(open_now(p.client), 0);
    for (int i = 0; i < MANY; i++) CHECK_INT(clouds_cancel(p.client, ids[i]), CLOUDS_ESTALE);
    kit_close(&p);
}

/* A request that is refused at the end of the turn has no event that would be left out. */
static void one_to_be_refused_is_withdrawn(void)
{
    clouds_context *handle = kit_context(kit_url("inproc:"), "inline");
    cl_context *context = cl_handle_enter(handle, CL_HANDLE_CONTEXT);
    context->engine.refusals[context->engine.refusal_count++] = 1000;
    CHECK_INT(cl_deliver_withdraw(context, 1000), 1);
    CHECK_INT(context->inbox.withdrawn, 0);
    CHECK_INT(cl_deliver_withdraw(context, 1002), 1);
    CHECK_INT(context->inbox.withdrawn, 1);
    context->engine.refusal_count = 0;
    cl_handle_leave(handle);
    clouds_context_destroy(handle);
}

/* What poll left out was not begun, whoever is first to say that it is over: the command, or the core's own timer. */
static void one_left_out_was_not_begun(void)
{
    clouds_context *handle = kit_context(kit_url("inproc:"), "thread");
    cl_context *context = cl_handle_enter(handle, CL_HANDLE_CONTEXT);
    const uint64_t key = cl_open_key(CL_OPEN_REQUEST, 1000);
    pthread_mutex_lock(&context->inbox.lock);
    context->inbox.begun = 1001;
    CHECK_INT(cl_idmap_put(&context->inbox.open, key, CL_OPEN_LEFT_OUT), 0);
    pthread_mutex_unlock(&context->inbox.lock);
    CHECK_INT(clouds_reply(handle, 1000, "[]", 2), CLOUDS_ESTALE);
    CHECK_INT(clouds_request_open(handle, 1000), 0);
    CHECK_INT(cl_deliver_withdraw(context, 1000), 1);
    CHECK_INT(open_now(handle), 0);
    CHECK_INT(cl_deliver_withdraw(context, 1000), 0); /* begun, for all that is known */
    CHECK_INT(context->inbox.withdrawn, 0);
    cl_handle_leave(handle);
    clouds_context_destroy(handle);
}

static uint64_t counter(clouds_context *context, const char *name)
{
    uint64_t value = 0;
    CHECK_INT(clouds_counter(context, name, 0, NULL, &value), 0);
    return value;
}

/* Requests that are taken about when they are due: only what was handed out can be overdue. */
static void what_expires_as_it_is_polled_was_not_begun(void)
{
    enum { ROUNDS = 100, CALLS = 100 };
    kit_pair p = kit_open("inproc:", "thread", "thread");
    const clouds_call_options options = {.size = sizeof options, .deadline = 0.003};
    uint64_t begun = counter(p.server, "overdue_requests"), ended = 0;
    clouds_event events[CALLS];
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < CALLS; i++) kit_call(p.client_node, "silent", "[]", &options);
        usleep(2500 + (unsigned)(round % 10) * 100);
        int n = clouds_poll(p.server, events, sizeof *events, CALLS, 0);
        for (int i = 0; i < n; i++) begun += events[i].type == CLOUDS_EVENT_REQUEST;
        for (int i = 0; i < CALLS; i++) ended += kit_await(p.client, NULL, CLOUDS_EVENT_RESULT, events) == 1;
        while ((n = clouds_poll(p.server, events, sizeof *events, CALLS, 0)) > 0)
            for (int i = 0; i < n; i++) begun += events[i].type == CLOUDS_EVENT_REQUEST;
    }
    CHECK_INT(ended, ROUNDS * CALLS);
    CHECK(counter(p.server, "overdue_requests") <= begun);
    kit_close(&p);
    printf("# %llu were begun\n", (unsigned long long)begun);
}

int main(void)
{
    RUN(answers_while_requests_end);
    RUN(cancels_while_calls_end);
    RUN(one_to_be_refused_is_withdrawn);
    RUN(one_left_out_was_not_begun);
    RUN(what_expires_as_it_is_polled_was_not_begun);
    return kit_end();
}
