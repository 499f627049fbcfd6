/* Every allocation of a whole life made to fail in turn, once and from then on: documented errors, nothing hangs, no
 * block is left, and what was accepted completes exactly once. */
#include <pthread.h>

#include "api/kit.h"

static const char *kind, *mode;
/* Over Redis a status scans, and so does a call of nobody, and a second scan within a second would have to wait. */
static int asks_status = 1, calls_nobody = 1;

/* ---- the failing allocator, in front of malloc */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long made, live, fail_at;
static int for_ever;

static int must_fail(void)
{
    made++;
    return fail_at && (for_ever ? made >= fail_at : made == fail_at);
}

static void *failing_realloc(void *unused, void *block, size_t size)
{
    void *result = NULL;
    pthread_mutex_lock(&lock);
    if (size == 0) {
        live--;
        free(block);
    } else if (!must_fail()) {
        result = realloc(block, size);
        live += !block;
    }
    pthread_mutex_unlock(&lock);
    return result;
}

/* ---- the life */

static clouds_context *context;
static int failures; /* errors that were returned or told */

/* 1 when it went well; an error must be one that lack of memory explains. */
static int ok(int code, const char *what)
{
    if (code >= 0) return 1;
    failures++;
    int known = code == CLOUDS_ENOMEM || code == CLOUDS_ELIMIT || code == CLOUDS_ECLOSED ||
                code == CLOUDS_EUNREACHABLE || code == CLOUDS_ESTALE || code == CLOUDS_EINVAL ||
                code == CLOUDS_ESYSTEM || code == CLOUDS_EREDIS || code == CLOUDS_EPROTO;
    if (!known) {
        tap_bad++;
        printf("# allocation %ld%s: %s gave %s\n", fail_at, for_ever ? " and all after it" : "", what,
               clouds_err_name(code));
    }
    return 0;
}

/* What was accepted and has not completed yet: (type, id). */
static struct {
    uint32_t type;
    uint64_t id;
} pending[32];
static int pendings;

static void say(const char *what, uint32_t type)
{
    tap_bad++;
    printf("# allocation %ld%s: %s %u\n", fail_at, for_ever ? " and all after it" : "", what, type);
}

/* An event came: it must complete something that is pending, if it completes anything. 1 if it is the one. */
static int see(const clouds_event *e, uint32_t type, uint64_t id)
{
    if (e->type == CLOUDS_EVENT_REQUEST && e->method_len == 4) clouds_reply(context, e->id, "[1]", 3);
    int operation = e->type == CLOUDS_EVENT_RESULT || e->type == CLOUDS_EVENT_SUBSCRIBED ||
                    (e->type >= CLOUDS_EVENT_REGISTERED && e->type <= CLOUDS_EVENT_CONTEXT_CLOSED);
    if (!operation) return 0;
    failures += e->code != 0;
    for (int i = 0; i < pendings; i++)
        if (pending[i].type == e->type && pending[i].id == e->id) {
            pending[i] = pending[--pendings];
            return e->type == type && e->id == id;
        }
    say("an event nobody waits for, of type", e->type);
    return 0;
}

/* Something was accepted: waits for its completion. Without any memory a bus may not be reached, and then what is kept,
 * a registration or a subscription, waits - until the node is closed, which ends everything. */
static int completion(uint32_t type, uint64_t id)
{
    int is_kept = type == CLOUDS_EVENT_REGISTERED || type == CLOUDS_EVENT_SUBSCRIBED;
    clouds_event e;
    pending[pendings].type = type;
    pending[pendings++].id = id;
    double until = kit_now() + (for_ever && is_kept ? 0.05 : KIT_PATIENCE);
    while (kit_now() < until) {
        int n = kit_next(context, &e, for_ever ? 0.05 : 0.5);
        if (n < 0) break;
        if (n == 1 && see(&e, type, id)) return 1;
    }
    if (!(for_ever && is_kept)) say("no event of type", type);
    return 0;
}

static clouds_node *node_of(const char *type)
{
    clouds_options *options = NULL;
    clouds_node *node = NULL;
    if (!ok(clouds_options_create(&options), "options_create")) return NULL;
    /* What a bus could not even note down ends by the timeout. */
    if (ok(clouds_options_set_string(options, "type", type), "set_string") &&
        ok(clouds_options_set_number(options, "timeout", 0.5), "set_number") &&
        ok(clouds_options_set_number(options, "operation_timeout", 0.5), "set_number") &&
        ok(clouds_options_set_number(options, "heartbeat", 0.5), "set_number"))
        ok(clouds_node_create(context, options, &node), "node_create");
    clouds_options_destroy(options);
    return node;
}

static void operations(clouds_node *server, clouds_node *client)
{
    const clouds_call_options fast = {.size = sizeof fast, .timeout = 0.01, .deadline = 0.3};
    const clouds_call_options kept = {.size = sizeof fast, .timeout = 0.01, .deadline = 0.3, .flags = CLOUDS_CALL_WAIT};
    uint64_t id;
    int before = failures;
    if (ok(clouds_node_register(server, "echo", 4, NULL, &id), "register")) completion(CLOUDS_EVENT_REGISTERED, id);
    int has_scanned = failures > before && !calls_nobody; /* who calls what is in no list scans */
    if (ok(clouds_node_register(server, "silent", 6, NULL, &id), "register")) completion(CLOUDS_EVENT_REGISTERED, id);
    if (ok(clouds_node_call(client, "echo", 4, "[1,2]", 5, &fast, &id), "call")) completion(CLOUDS_EVENT_RESULT, id);
    if (ok(clouds_node_call(client, "silent", 6, "[]", 2, &fast, &id), "call")) completion(CLOUDS_EVENT_RESULT, id);
    if (ok(clouds_node_call(client, "silent", 6, "[]", 2, &fast, &id), "call")) {
        ok(clouds_cancel(context, id), "cancel");
        completion(CLOUDS_EVENT_RESULT, id);
    }
    clouds_event e = {0};
    if (calls_nobody && ok(clouds_node_call(client, "nobody", 6, "[]", 2, &kept, &id), "call")) {
        if (clouds_wait(context, id, KIT_PATIENCE, &e, sizeof e) == 1) clouds_event_release(&e);
        else tap_bad++, printf("# allocation %ld: wait: %s\n", fail_at, clouds_last_error());
    }
    const char *to = clouds_node_id(server);
    if (ok(clouds_node_send(client, to, strlen(to), "{}", 2, CLOUDS_SEND_CONFIRM, NULL, &id), "send"))
        completion(CLOUDS_EVENT_SENT, id);
    if (asks_status && !has_scanned && ok(clouds_node_status(client, NULL, &id), "status"))
        completion(CLOUDS_EVENT_STATUS, id);
    if (ok(clouds_node_unregister(server, "echo", 4, NULL, &id), "unregister"))
        completion(CLOUDS_EVENT_UNREGISTERED, id);
}

static void channels(clouds_node *subscriber, clouds_node *publisher)
{
    static const char topics[] = "[\"a.b\",\"a.*\"]";
    const clouds_subscribe_options in_group = {.size = sizeof in_group, .group = "g", .group_len = 1};
    const clouds_payload payload = {.size = sizeof payload, .json = "[1]", .json_len = 3};
    uint64_t id;
    if (ok(clouds_node_subscribe(subscriber, topics, sizeof topics - 1, NULL, NULL, &id), "subscribe"))
        completion(CLOUDS_EVENT_SUBSCRIBED, id);
    if (ok(clouds_node_subscribe(subscriber, "[\"a.b\"]", 7, &in_group, NULL, &id), "subscribe"))
        completion(CLOUDS_EVENT_SUBSCRIBED, id);
    for (int i = 0; i < 2; i++)
        if (ok(clouds_node_publish(publisher, "a.b", 3, &payload, CLOUDS_SEND_CONFIRM, NULL, &id), "publish"))
            completion(CLOUDS_EVENT_SENT, id);
}

static void live_once(const char *url)
{
    clouds_options *options = NULL;
    context = NULL;
    pendings = 0;
    if (!ok(clouds_options_create(&options), "options_create")) return;
    if (ok(clouds_options_set_string(options, "url", url), "set_string") &&
        ok(clouds_options_set_string(options, "mode", mode), "set_string") &&
        ok(clouds_options_set_number(options, "linger", 0.01), "set_number"))
        ok(clouds_context_create(options, &context), "context_create");
    clouds_options_destroy(options);
    if (!context) return;
    clouds_node *server = node_of("server"), *client = node_of("client");
    if (server && client) operations(server, client);
    if (server && client) channels(server, client);
    uint64_t id = 0;
    if (server && ok(clouds_node_close(server, 0.01, NULL, &id), "node_close"))
        completion(CLOUDS_EVENT_NODE_CLOSED, id);
    if (client) clouds_node_destroy(client);
    if (ok(clouds_context_close(context, 0, NULL, &id), "context_close")) completion(CLOUDS_EVENT_CONTEXT_CLOSED, id);
    for (int i = 0; i < pendings; i++) say("never completed, of type", pending[i].type);
    clouds_context_destroy(context);
}

static long run(long at, int on)
{
    made = 0;
    failures = 0;
    fail_at = at;
    for_ever = on;
    live_once(kit_url(kind));
    long n = made;
    fail_at = 0;
    if (live != 0) {
        tap_bad++;
        printf("# allocation %ld%s: %ld blocks are left\n", at, on ? " and all after it" : "", live);
        live = 0;
    }
    return n;
}

/* Every `step`th. */
static void every_allocation(int on, long step)
{
    CHECK_INT(clouds_set_allocator(failing_realloc, NULL), 0);
    long n = run(0, 0);
    printf("# %s %s: %ld allocations, %d failures without a failing allocation\n", kind, mode, n, failures);
    CHECK(n > 20);
    for (long at = 1; at <= n && tap_bad < 20; at += step) run(at, on);
    CHECK_INT(clouds_set_allocator(NULL, NULL), 0);
}

static void each(int on, long step)
{
    int scans = strncmp(kind, "redis", 5) == 0;
    asks_status = !scans;
    every_allocation(on, step);
    if (!scans) return;
    asks_status = 1, calls_nobody = 0;
    every_allocation(on, step);
    calls_nobody = 1;
}

/* Sanitizers cost most where least is left to fail: there, without CLOUDS_LONG, not every one. */
#ifdef __SANITIZE_THREAD__
enum { STEP_ONCE = 5, STEP_ON = 11 };
#elif defined __SANITIZE_ADDRESS__
enum { STEP_ONCE = 1, STEP_ON = 3 };
#else
enum { STEP_ONCE = 1, STEP_ON = 1 };
#endif

static void once(void)
{
    each(0, getenv("CLOUDS_LONG") ? 1 : STEP_ONCE);
}

static void from_then_on(void)
{
    each(1, getenv("CLOUDS_LONG") ? 1 : STEP_ON);
}

int main(int argc, char **argv)
{
    kind = argc > 1 ? argv[1] : "inproc:";
    mode = argc > 2 ? argv[2] : "inline";
    kit_url(kind);
    RUN(once);
    RUN(from_then_on);
    return kit_end();
}
