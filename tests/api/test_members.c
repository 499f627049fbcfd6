/* The records of clouds.h: their layout, what is laid out for later, who owns what they point to, and the words of a
 * failure in a room of the caller's. */
#include <math.h>
#include <pthread.h>

#include "api/kit.h"

static const char *mode;
static clouds_context *context;
static clouds_node *node;

static void open_node(void)
{
    context = kit_context(kit_url("inproc:"), mode);
    node = kit_node(context, "base");
}

/* Each is as large as its members: so no ABI has another place for one. */
static void no_padding(void)
{
    enum { WORD = sizeof(void *) };
    CHECK_INT(sizeof(clouds_event), 4 * 4 + 5 * 8 + 14 * WORD);
    CHECK_INT(sizeof(clouds_call_options), 4 * 4 + 5 * 8 + 18 * WORD);
    CHECK_INT(sizeof(clouds_operation_options), 2 * 4 + 2 * 8 + 2 * WORD);
    CHECK_INT(sizeof(clouds_option_info), 2 * 4 + 2 * 8 + 6 * WORD);
}

static void options_tell_their_limits(void)
{
    clouds_option_info info = {.size = sizeof info};
    int live = 0, clamped = 0, found = 0;
    for (uint32_t i = 0; clouds_option_describe(i, &info) == 0; i++) {
        live += (info.flags & CLOUDS_OPTION_LIVE) != 0;
        clamped += (info.flags & CLOUDS_OPTION_CLAMPED) != 0;
        CHECK(info.minimum <= info.maximum);
        if (strcmp(info.name, "max_message") != 0) continue;
        found = 1;
        CHECK(info.flags == 0 && info.minimum == 1024 && info.maximum == 1073741824);
    }
    CHECK(found && live > 5 && clamped > 5);
}

/* ---- who owns the texts */

static uint64_t kept_call(void)
{
    return kit_call(node, "nobody", "[]", &(clouds_call_options){.size = sizeof(clouds_call_options),
                                                                 .flags = CLOUDS_CALL_WAIT});
}

static void released_once(void)
{
    clouds_event e = {0}, other = {0};
    open_node();
    CHECK_INT(clouds_wait(context, kept_call(), KIT_PATIENCE, &e, sizeof e), 1);
    CHECK(e.owned != NULL && e.error_len > 0);
    clouds_event copy = e;
    CHECK_INT(clouds_event_release(&e), 0);
    CHECK_INT(e.error_len, 0);
    CHECK(e.error && e.meta && e.bytes); /* absent texts are valid pointers */
    CHECK_INT(clouds_event_release(&e), CLOUDS_ESTALE);
    CHECK_INT(clouds_event_release(&copy), CLOUDS_ESTALE);
    CHECK_INT(clouds_wait(context, kept_call(), KIT_PATIENCE, &other, sizeof other), 1);
    CHECK_INT(clouds_event_release(&copy), CLOUDS_ESTALE); /* not what came after it */
    CHECK(other.error_len > 0 && other.error[0] == '{');
    copy = other;
    CHECK_INT(clouds_event_release(&copy), 0);
    CHECK_INT(clouds_event_release(&other), CLOUDS_ESTALE);
    CHECK_INT(clouds_event_release(NULL), 0);
    CHECK_INT(clouds_event_release(&(clouds_event){0}), 0);
    CHECK_INT(clouds_event_release(&(clouds_event){.owned = &e}), CLOUDS_ESTALE); /* no handle of ours */
    clouds_context_destroy(context);
    CHECK_INT(clouds_set_allocator(NULL, NULL), 0); /* everything is released */
}

enum { RACERS = 4, ROUNDS = 200 };

typedef struct racer {
    pthread_t thread;
    pthread_barrier_t *start;
    const clouds_event *shared;
    int released;
} racer;

static void *race(void *self)
{
    racer *r = self;
    for (int i = 0; i < ROUNDS; i++) {
        pthread_barrier_wait(r->start);
        clouds_event copy = *r->shared;
        r->released += clouds_event_release(&copy) == 0;
        pthread_barrier_wait(r->start);
    }
    return NULL;
}

/* Threads that release copies of one event: one of them does. */
static void released_by_one(void)
{
    clouds_event e;
    racer racers[RACERS];
    pthread_barrier_t start;
    open_node();
    pthread_barrier_init(&start, NULL, RACERS + 1);
    for (int i = 0; i < RACERS; i++) {
        racers[i] = (racer){.start = &start, .shared = &e};
        pthread_create(&racers[i].thread, NULL, race, &racers[i]);
    }
    for (int i = 0; i < ROUNDS; i++) {
        CHECK_INT(clouds_wait(context, kept_call(), KIT_PATIENCE, &e, sizeof e), 1);
        pthread_barrier_wait(&start);
        pthread_barrier_wait(&start);
    }
    int released = 0;
    for (int i = 0; i < RACERS; i++) {
        pthread_join(racers[i].thread, NULL);
        released += racers[i].released;
    }
    CHECK_INT(released, ROUNDS);
    pthread_barrier_destroy(&start);
    clouds_context_destroy(context);
}

/* ---- what has its place, and cannot be done yet */

static int call_with(clouds_call_options o)
{
    uint64_t call = 0;
    o.size = sizeof o;
    return clouds_node_call(node, "m", 1, "[]", 2, &o, &call);
}

static void for_later(void)
{
    open_node();
    CHECK_INT(call_with((clouds_call_options){.key = NULL, .key_len = 1}), CLOUDS_EINVAL);
    CHECK_INT(call_with((clouds_call_options){.hedge = 1}), CLOUDS_EINVAL); /* it may run twice */
    CHECK_INT(call_with((clouds_call_options){.hedge = -1}), CLOUDS_EINVAL);
    CHECK_INT(call_with((clouds_call_options){.hedge = NAN, .flags = CLOUDS_CALL_IDEMPOTENT}), CLOUDS_EINVAL);
    CHECK_INT(call_with((clouds_call_options){
                  .hedge = 1, .flags = CLOUDS_CALL_IDEMPOTENT, .server = "s.1", .server_len = 3}),
              CLOUDS_EINVAL);
    CHECK_INT(call_with((clouds_call_options){.hedge = 1, .flags = CLOUDS_CALL_IDEMPOTENT | CLOUDS_CALL_NOTIFY}),
              CLOUDS_EINVAL);
    CHECK_INT(call_with((clouds_call_options){.hedge = 1, .flags = CLOUDS_CALL_IDEMPOTENT}), 0);
    CHECK_INT(call_with((clouds_call_options){.hedge = -1, .once = "x", .once_len = 1}), 0);
    CHECK_INT(call_with((clouds_call_options){.reserved = 1}), CLOUDS_EINVAL);
    CHECK_INT(call_with((clouds_call_options){.flags = 1u << 31}), CLOUDS_ENOTSUP);
    CHECK_INT(call_with((clouds_call_options){.meta = "{}"}), 0); /* empty: not asked for */
    CHECK_INT(call_with((clouds_call_options){.meta = "{}", .once = "", .reply_to = ""}), 0); /* empty: not asked for */
    clouds_context_destroy(context);
}

/* ---- the words of a failure */

typedef struct failing {
    char call[1024], send[1024], status[1024], small[8];
} failing;

static void *fail_elsewhere(void *self)
{
    failing *f = self;
    uint64_t id = 0;
    clouds_call_options call = {.size = sizeof call, .error = f->call, .error_size = sizeof f->call};
    clouds_operation_options send = {.size = sizeof send, .error = f->send, .error_size = sizeof f->send};
    clouds_operation_options status = {.size = sizeof status, .error = f->status, .error_size = sizeof f->status};
    CHECK_INT(clouds_node_call(node, "sum", 3, "[1", 2, &call, &id), CLOUDS_EJSON);
    CHECK_INT(clouds_node_send(node, "", 0, "1", 1, 0, &send, NULL), CLOUDS_EINVAL);
    CHECK_INT(clouds_node_status(NULL, &status, NULL), CLOUDS_EHANDLE);
    call.error = f->small;
    call.error_size = sizeof f->small;
    CHECK_INT(clouds_node_call(node, "sum", 3, "[1", 2, &call, &id), CLOUDS_EJSON);
    return NULL;
}

/* The thread that reads them is another than the one that failed. */
static void words_in_a_room(void)
{
    failing f;
    pthread_t thread;
    memset(&f, 'x', sizeof f);
    open_node();
    CHECK_INT(clouds_cancel(NULL, 1), CLOUDS_EHANDLE);
    pthread_create(&thread, NULL, fail_elsewhere, &f);
    pthread_join(thread, NULL);
    CHECK(strstr(f.call, "\"code\":\"CLOUDS_INVALID_JSON\"") && strstr(f.call, "\"method\":\"sum\""));
    CHECK(strstr(f.send, "\"code\":\"CLOUDS_INVALID_ARGUMENT\"") && strstr(f.send, "receiver"));
    CHECK(strstr(f.status, "\"code\":\"CLOUDS_BAD_HANDLE\""));
    CHECK_INT(f.small[0], 0);
    CHECK(strstr(clouds_last_error_json(), "CLOUDS_BAD_HANDLE")); /* of this thread */
    clouds_context_destroy(context);
}

static void in_each_mode(void)
{
    RUN(released_once);
    RUN(released_by_one);
    RUN(for_later);
    RUN(words_in_a_room);
}

int main(void)
{
    RUN(no_padding);
    RUN(options_tell_their_limits);
    kit_modes(&mode, in_each_mode);
    return kit_end();
}
