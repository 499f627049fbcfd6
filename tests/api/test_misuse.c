/* Misuse is an error code (PROMISES 30): every exported function with NULL, freed, foreign and wrong-kind handles,
 * wrong sizes, bad texts, after close, from another thread, from inside a hook, after fork. */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "api/kit.h"

/* Every function that takes a handle, called well but for that; the result is its code. */
typedef struct call_site {
    const char *name;
    char takes; /* o options, c context, n node */
    int (*call)(void *handle);
} call_site;

static uint64_t id_out;
static clouds_event event_out;
static clouds_node *node_out;
static clouds_context *context_out;
static const char *mode;

static int options_string(void *h)
{
    return clouds_options_set_string(h, "url", "inproc:");
}
static int options_number(void *h)
{
    return clouds_options_set_number(h, "timeout", 1);
}
static int options_bool(void *h)
{
    return clouds_options_set_bool(h, "auto_clean", 1);
}
static int context_create(void *h)
{
    return h ? clouds_context_create(h, &context_out) : CLOUDS_EHANDLE; /* NULL is allowed */
}
static int context_fd(void *h)
{
    return clouds_fd(h);
}
static int context_poll(void *h)
{
    return clouds_poll(h, &event_out, sizeof event_out, 1, 0);
}
static int context_poll_into(void *h)
{
    return clouds_poll_into(h, &event_out, sizeof event_out, 1, NULL, 0, NULL, 0);
}
static int context_wait_into(void *h)
{
    return clouds_wait_into(h, 999999, 0, &event_out, sizeof event_out, NULL, 0, NULL);
}
static int context_wait(void *h)
{
    return clouds_wait(h, 999999, 0, &event_out, sizeof event_out);
}
static int context_wakeup(void *h)
{
    return clouds_wakeup(h);
}
static int context_counter(void *h)
{
    return clouds_counter(h, "calls", 0, NULL, &id_out);
}
static int node_create(void *h)
{
    return clouds_node_create(h, NULL, &node_out);
}
static int cancel(void *h)
{
    return clouds_cancel(h, 999998);
}
static int reply(void *h)
{
    return clouds_reply(h, 999998, "[]", 2);
}
static int fail(void *h)
{
    return clouds_fail(h, 999998, "{\"message\":\"\"}", 14, NULL, 0);
}
static int choose(void *h)
{
    return clouds_choose(h, 999998, "x", 1);
}
static int node_configure(void *h)
{
    clouds_options *options;
    if (clouds_options_create(&options) != 0) return CLOUDS_EBUSY; /* inside a hook */
    int code = clouds_node_configure(h, options);
    clouds_options_destroy(options);
    return code;
}
static int node_close(void *h)
{
    return clouds_node_close(h, 0, NULL, NULL);
}
static int node_register(void *h)
{
    return clouds_node_register(h, "m", 1, NULL, &id_out);
}
static int node_offer(void *h)
{
    return clouds_node_offer(h, "m", 1, &(clouds_offer_options){.size = sizeof(clouds_offer_options)}, NULL, &id_out);
}
static int node_pause(void *h)
{
    return clouds_node_pause(h, "m", 1, 1, NULL, &id_out);
}
static int node_unregister(void *h)
{
    return clouds_node_unregister(h, "m", 1, NULL, &id_out);
}
static int node_call(void *h)
{
    return clouds_node_call(h, "m", 1, "[]", 2, NULL, &id_out);
}
static int node_send(void *h)
{
    return clouds_node_send(h, "m", 1, "1", 1, 0, NULL, NULL);
}
static int node_status(void *h)
{
    return clouds_node_status(h, NULL, &id_out);
}
static int node_id(void *h)
{
    return clouds_node_id(h) ? 0 : CLOUDS_EHANDLE;
}
static int context_close(void *h)
{
    return clouds_context_close(h, 0, NULL, NULL);
}

static const call_site sites[] = {
    {"options_set_string", 'o', options_string},
    {"options_set_number", 'o', options_number},
    {"options_set_bool", 'o', options_bool},
    {"context_create", 'o', context_create},
    {"fd", 'c', context_fd},
    {"poll", 'c', context_poll},
    {"wait", 'c', context_wait},
    {"wakeup", 'c', context_wakeup},
    {"counter", 'c', context_counter},
    {"node_create", 'c', node_create},
    {"cancel", 'c', cancel},
    {"reply", 'c', reply},
    {"fail", 'c', fail},
    {"choose", 'c', choose},
    {"context_close", 'c', context_close},
    {"node_id", 'n', node_id},
    {"node_register", 'n', node_register},
    {"node_unregister", 'n', node_unregister},
    {"node_offer", 'n', node_offer},
    {"node_pause", 'n', node_pause},
    {"node_call", 'n', node_call},
    {"node_send", 'n', node_send},
    {"node_status", 'n', node_status},
    {"node_configure", 'n', node_configure},
    {"poll_into", 'c', context_poll_into},
    {"wait_into", 'c', context_wait_into},
    {"node_close", 'n', node_close},
};
enum { SITES = sizeof sites / sizeof *sites };

static void expect(const call_site *site, void *handle, int want)
{
    int got = site->call(handle);
    if (got != want) {
        tap_bad++;
        printf("# clouds_%s: %d (%s), not %d\n", site->name, got, clouds_last_error(), want);
    }
}

static void bad_handles(void)
{
    clouds_context *context = kit_context(kit_url("inproc:"), mode);
    clouds_node *node = kit_node(context, "base"), *freed_node = kit_node(context, "base");
    clouds_options *options = KIT_OPTIONS(NULL), *freed_options = KIT_OPTIONS(NULL);
    clouds_context *freed_context = kit_context(kit_url("inproc:"), mode);
    clouds_node_destroy(freed_node);
    clouds_options_destroy(freed_options);
    clouds_context_destroy(freed_context);
    int somewhere = 0;
    for (int i = 0; i < SITES; i++) {
        const call_site *s = &sites[i];
        void *wrong[] = {NULL,
                         &somewhere,
                         (void *)1,
                         (void *)0x7ffffffffff8,
                         (void *)UINTPTR_MAX,
                         freed_node,
                         freed_options,
                         freed_context,
                         s->takes == 'o' ? NULL : (void *)options,
                         s->takes == 'c' ? NULL : (void *)context,
                         s->takes == 'n' ? NULL : (void *)node};
        for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) expect(s, wrong[k], CLOUDS_EHANDLE);
    }
    /* Destructors take anything, and twice. */
    clouds_node_destroy(NULL);
    clouds_node_destroy((void *)options);
    clouds_node_destroy(freed_node);
    clouds_context_destroy(NULL);
    clouds_context_destroy((void *)node);
    clouds_context_destroy(freed_context);
    clouds_options_destroy(NULL);
    clouds_options_destroy((void *)context);
    clouds_options_destroy(freed_options);
    clouds_options_destroy(options);
    CHECK(clouds_node_id(node) != NULL);
    clouds_context_destroy(context);
    clouds_node_destroy(node);
    CHECK_INT(node_call(node), CLOUDS_EHANDLE);
}

static void bad_arguments(void)
{
    clouds_context *context = kit_context(kit_url("inproc:"), mode);
    clouds_node *node = kit_node(context, "base");
    clouds_event e;
    CHECK_INT(clouds_options_create(NULL), CLOUDS_EINVAL);
    CHECK_INT(clouds_context_create(NULL, NULL), CLOUDS_EINVAL);
    CHECK_INT(clouds_node_create(context, NULL, NULL), CLOUDS_EINVAL);
    CHECK_INT(clouds_poll(context, NULL, sizeof e, 1, 0), CLOUDS_EINVAL);
    CHECK_INT(clouds_poll(context, &e, sizeof e, 0, 0), CLOUDS_EINVAL);
    CHECK_INT(clouds_poll(context, &e, 0, 1, 0), CLOUDS_EINVAL);
    CHECK_INT(clouds_poll(context, &e, sizeof e - 8, 1, 0), CLOUDS_EINVAL);
    CHECK_INT(clouds_poll(context, &e, sizeof e + 4, 1, 0), CLOUDS_EINVAL);
    CHECK_INT(clouds_poll(context, &e, SIZE_MAX - 7, 1, 0), CLOUDS_EINVAL);
    CHECK_INT(clouds_poll(context, &e, sizeof e, 1, NAN), CLOUDS_EINVAL);
    CHECK_INT(clouds_wait(context, 1, 0, NULL, sizeof e), CLOUDS_EINVAL);
    CHECK_INT(clouds_wait(context, 1, 0, &e, 8), CLOUDS_EINVAL);
    CHECK_INT(clouds_wait(context, 0, 0, &e, sizeof e), CLOUDS_ESTALE);
    CHECK_INT(clouds_wait(context, UINT64_MAX, 0, &e, sizeof e), CLOUDS_ESTALE);
    CHECK_INT(clouds_counter(context, "calls", 0, NULL, NULL), CLOUDS_EINVAL);
    CHECK_INT(clouds_counter(context, "nonsense", 0, NULL, &id_out), CLOUDS_EINVAL);
    CHECK_INT(clouds_counter(context, NULL, 10000, NULL, &id_out), CLOUDS_EINVAL);
    CHECK_INT(clouds_node_close(node, NAN, NULL, NULL), CLOUDS_EINVAL);
    CHECK_INT(clouds_context_close(context, NAN, NULL, NULL), CLOUDS_EINVAL);
    CHECK_INT(clouds_cancel(context, 0), CLOUDS_ESTALE);
    CHECK_INT(clouds_cancel(context, UINT64_MAX), CLOUDS_ESTALE);
    CHECK_INT(clouds_reply(context, 0, "[]", 2), CLOUDS_ESTALE);
    CHECK_INT(clouds_reply(context, 1, NULL, 2), CLOUDS_EINVAL);
    CHECK_INT(clouds_fail(context, 1, NULL, 2, NULL, 0), CLOUDS_EINVAL);
    CHECK_INT(clouds_choose(context, 1, NULL, 2), CLOUDS_EINVAL);
    CHECK_INT(clouds_set_log(NULL, NULL, 9), CLOUDS_EINVAL);
    clouds_event_release(NULL);
    memset(&e, 0, sizeof e);
    clouds_event_release(&e);
    clouds_context_destroy(context);
}

static void bad_calls(void)
{
    clouds_context *context = kit_context(kit_url("inproc:"), mode);
    clouds_node *node = kit_node(context, "base");
    uint64_t call = 4711;
    static char long_name[70000];
    memset(long_name, 'a', sizeof long_name);
    CHECK_INT(clouds_node_call(node, "", 0, "[]", 2, NULL, &call), CLOUDS_EINVAL);
    CHECK_INT(clouds_node_call(node, NULL, 3, "[]", 2, NULL, &call), CLOUDS_EINVAL);
    CHECK_INT(clouds_node_call(node, "\xc0\x80", 2, "[]", 2, NULL, &call), CLOUDS_EINVAL);
    CHECK_INT(clouds_node_call(node, long_name, sizeof long_name, "[]", 2, NULL, &call), CLOUDS_EINVAL);
    CHECK_INT(clouds_node_call(node, "m", 1, NULL, 2, NULL, &call), CLOUDS_EINVAL);
    CHECK_INT(clouds_node_call(node, "m", 1, "", 0, NULL, &call), CLOUDS_EJSON);
    CHECK_INT(clouds_node_call(node, "m", 1, "{}", 2, NULL, &call), CLOUDS_EJSON);
    CHECK_INT(clouds_node_call(node, "m", 1, "[1", 2, NULL, &call), CLOUDS_EJSON);
    CHECK_INT(clouds_node_call(node, "m", 1, "[\"\xff\"]", 5, NULL, &call), CLOUDS_EJSON);
    CHECK_INT(clouds_node_call(node, "m", 1, "[]", 2, NULL, NULL), CLOUDS_EINVAL);
    clouds_call_options o = {.size = 0};
    CHECK_INT(clouds_node_call(node, "m", 1, "[]", 2, &o, &call), CLOUDS_EINVAL);
    o.size = offsetof(clouds_call_options, error_size); /* shorter than its first version */
    CHECK_INT(clouds_node_call(node, "m", 1, "[]", 2, &o, &call), CLOUDS_EINVAL);
    o.size = 0x40000000;
    CHECK_INT(clouds_node_call(node, "m", 1, "[]", 2, &o, &call), CLOUDS_EINVAL);
    o = (clouds_call_options){.size = sizeof o, .timeout = -1};
    CHECK_INT(clouds_node_call(node, "m", 1, "[]", 2, &o, &call), CLOUDS_EINVAL);
    o = (clouds_call_options){.size = sizeof o, .deadline = NAN};
    CHECK_INT(clouds_node_call(node, "m", 1, "[]", 2, &o, &call), CLOUDS_EINVAL);
    o = (clouds_call_options){.size = sizeof o, .flags = 0x80};
    CHECK_INT(clouds_node_call(node, "m", 1, "[]", 2, &o, &call), CLOUDS_ENOTSUP);
    o = (clouds_call_options){.size = sizeof o, .server = NULL, .server_len = 5};
    CHECK_INT(clouds_node_call(node, "m", 1, "[]", 2, &o, &call), CLOUDS_EINVAL);
    CHECK_INT(call, 4711); /* untouched on failure */
    CHECK_INT(clouds_node_register(node, "", 0, NULL, &call), CLOUDS_EINVAL);
    CHECK_INT(clouds_node_register(node, long_name, 129, NULL, &call), CLOUDS_EINVAL);
    CHECK_INT(clouds_node_register(node, "m", 1, NULL, NULL), 0); /* who does not wait needs no id */
    CHECK_INT(clouds_node_status(node, NULL, NULL), 0);
    CHECK_INT(clouds_node_unregister(node, "m", 1, NULL, NULL), 0);
    CHECK_INT(clouds_node_send(node, "", 0, "1", 1, 0, NULL, NULL), CLOUDS_EINVAL);
    CHECK_INT(clouds_node_send(node, "x", 1, "{", 1, 0, NULL, NULL), CLOUDS_EJSON);
    CHECK_INT(clouds_node_send(node, "x", 1, "1", 1, CLOUDS_SEND_CONFIRM, NULL, NULL), CLOUDS_EINVAL);
    CHECK_INT(clouds_node_send(node, "x", 1, "1", 1, 64, NULL, NULL), CLOUDS_ENOTSUP);
    CHECK_INT(call, 4711);
    /* A record of a later version is taken. */
    struct {
        clouds_call_options options;
        uint64_t more[2];
    } newer = {.options = {.size = sizeof newer, .timeout = 0.01}};
    CHECK_INT(clouds_node_call(node, "m", 1, "[]", 2, &newer.options, &call), 0);
    struct {
        clouds_event event;
        uint64_t more[2];
    } later;
    memset(&later, 0xff, sizeof later);
    double until = kit_now() + KIT_PATIENCE;
    while (kit_now() < until && clouds_poll(context, &later.event, sizeof later, 1, 0.1) >= 0)
        if (later.event.type == CLOUDS_EVENT_RESULT && later.event.id == call) break;
    CHECK(later.event.id == call && later.more[0] == 0 && later.more[1] == 0);
    clouds_context_destroy(context);
}

static void deep_and_wide(void)
{
    const char *url = kit_url("inproc:");
    clouds_options *options = KIT_OPTIONS("url", url, "mode", mode, "max_depth", "10", "max_values", "100");
    clouds_context *context;
    CHECK_INT(clouds_context_create(options, &context), 0);
    clouds_options_destroy(options);
    clouds_node *node = kit_node(context, "base");
    uint64_t call;
    static const char deep[] = "[[[[[[[[[[[[]]]]]]]]]]]]";
    CHECK_INT(clouds_node_call(node, "m", 1, deep, sizeof deep - 1, NULL, &call), CLOUDS_ETOOBIG);
    char wide[500] = "[0";
    while (strlen(wide) < 400) strcat(wide, ",0");
    strcat(wide, "]");
    CHECK_INT(clouds_node_call(node, "m", 1, wide, strlen(wide), NULL, &call), CLOUDS_ETOOBIG);
    clouds_context_destroy(context);
}

/* ---- threads */

static atomic_int intruder_result;
static clouds_context *visited;
static clouds_node *visited_node;

static void *intrude(void *unused)
{
    int code = 0;
    double until = kit_now() + KIT_PATIENCE;
    while (code != CLOUDS_ETHREAD && kit_now() < until) {
        code = clouds_cancel(visited, 4); /* until the owner is inside, this is let in */
        usleep(1000);
    }
    uint64_t id;
    clouds_event e;
    int wrong = clouds_node_call(visited_node, "m", 1, "[]", 2, NULL, &id) != CLOUDS_ETHREAD;
    wrong += clouds_poll(visited, &e, sizeof e, 1, 0) != CLOUDS_ETHREAD;
    wrong += clouds_node_id(visited_node) != NULL;
    wrong += clouds_wakeup(visited) != 0; /* this one may */
    atomic_store(&intruder_result, wrong ? wrong : code);
    return NULL;
}

static void wrong_thread(void)
{
    pthread_t thread;
    clouds_event e;
    int n;
    visited = kit_context(kit_url("inproc:"), "inline");
    visited_node = kit_node(visited, "base");
    while (kit_next(visited, &e, 0.05) == 1) continue;
    atomic_store(&intruder_result, 0);
    pthread_create(&thread, NULL, intrude, NULL);
    do n = kit_next(visited, &e, KIT_PATIENCE * 2);
    while (n == CLOUDS_ETHREAD); /* the intruder was inside at that moment */
    CHECK_INT(n, 0);
    pthread_join(thread, NULL);
    CHECK_INT(atomic_load(&intruder_result), CLOUDS_ETHREAD);
    clouds_context_destroy(visited);
}

static void *poll_too(void *unused)
{
    int code = 0;
    clouds_event e;
    double until = kit_now() + KIT_PATIENCE;
    while (code != CLOUDS_ETHREAD && kit_now() < until) code = clouds_poll(visited, &e, sizeof e, 1, 0);
    atomic_store(&intruder_result, code);
    clouds_wakeup(visited);
    return NULL;
}

static void two_polls(void)
{
    pthread_t thread;
    clouds_event e;
    visited = kit_context(kit_url("inproc:"), "thread");
    while (kit_next(visited, &e, 0.05) == 1) continue;
    atomic_store(&intruder_result, 0);
    pthread_create(&thread, NULL, poll_too, NULL);
    while (atomic_load(&intruder_result) == 0) clouds_poll(visited, &e, sizeof e, 1, KIT_PATIENCE);
    pthread_join(thread, NULL);
    CHECK_INT(atomic_load(&intruder_result), CLOUDS_ETHREAD);
    clouds_context_destroy(visited);
}

/* ---- hooks */

static void *hook_handles[3];
static int hook_depth, hook_calls, hook_wrong;

static void call_all_from_hook(void)
{
    if (hook_depth++ == 0) {
        hook_calls++;
        for (int i = 0; i < SITES; i++) {
            const call_site *s = &sites[i];
            void *h = hook_handles[s->takes == 'o' ? 0 : s->takes == 'c' ? 1 : 2];
            int code = s->call(h);
            int want = s->call == node_id ? CLOUDS_EHANDLE : s->call == context_wakeup ? 0 : CLOUDS_EBUSY;
            if (code != want) {
                hook_wrong++;
                printf("# clouds_%s in a hook: %d\n", s->name, code);
            }
        }
        if (clouds_set_log(NULL, NULL, 0) != CLOUDS_EBUSY || clouds_set_allocator(NULL, NULL) != CLOUDS_EBUSY)
            hook_wrong++;
        clouds_options *options;
        if (clouds_options_create(&options) != CLOUDS_EBUSY) hook_wrong++;
        clouds_context_destroy(hook_handles[1]);
        clouds_node_destroy(hook_handles[2]);
        clouds_options_destroy(hook_handles[0]);
    }
    hook_depth--;
}

static void *nosy_realloc(void *unused, void *block, size_t size)
{
    if (hook_handles[0]) call_all_from_hook();
    if (size) return realloc(block, size);
    free(block);
    return NULL;
}

static void from_a_hook(void)
{
    CHECK_INT(clouds_set_allocator(nosy_realloc, NULL), 0);
    clouds_context *context = kit_context(kit_url("inproc:"), "inline");
    clouds_node *node = kit_node(context, "base");
    clouds_options *options = KIT_OPTIONS("url", "inproc:");
    CHECK_INT(clouds_set_allocator(NULL, NULL), CLOUDS_EBUSY);
    hook_handles[1] = context;
    hook_handles[2] = node;
    hook_handles[0] = options;
    clouds_event e;
    CHECK_INT(kit_register(context, node, "echo"), 0);
    kit_call(node, "echo", "[]", NULL);
    CHECK_INT(kit_await(context, NULL, CLOUDS_EVENT_RESULT, &e), 1);
    CHECK(hook_calls > 0);
    CHECK_INT(hook_wrong, 0);
    hook_handles[0] = NULL;
    clouds_options_destroy(options);
    clouds_context_destroy(context);
    CHECK_INT(clouds_set_allocator(NULL, NULL), 0);
}

/* A hook that calls what refuses it with words, for which memory is needed. */
static clouds_node *hook_node;
static int deepest;
static char hook_words[256];

static void *calling_realloc(void *unused, void *block, size_t size)
{
    const clouds_operation_options options = {
        .size = sizeof options, .error = hook_words, .error_size = sizeof hook_words};
    if (hook_node && hook_depth < 50) {
        if (++hook_depth > deepest) deepest = hook_depth;
        CHECK_INT(clouds_node_send(hook_node, "x", 1, "1", 1, 0, &options, NULL), CLOUDS_EBUSY);
        hook_depth--;
    }
    if (size) return realloc(block, size);
    free(block);
    return NULL;
}

static void words_of_a_refusal_in_a_hook(void)
{
    CHECK_INT(clouds_set_allocator(calling_realloc, NULL), 0);
    clouds_context *context = kit_context(kit_url("inproc:"), "inline");
    clouds_node *node = kit_node(context, "base");
    hook_node = node;
    kit_call(node, "echo",
             "[\"long enough for memory of its own long enough for memory of its own long enough for memory of "
             "its own long enough for memory of its own long enough for memory of its own\"]",
             NULL);
    hook_node = NULL;
    CHECK(deepest > 0 && deepest < 5);
    clouds_context_destroy(context);
    CHECK_INT(clouds_set_allocator(NULL, NULL), 0);
}

/* ---- fork */

static void after_fork(void)
{
    clouds_context *context = kit_context(kit_url("inproc:"), mode);
    clouds_node *node = kit_node(context, "base");
    clouds_event e;
    CHECK_INT(kit_register(context, node, "echo"), 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int bad = 0;
        for (int i = 0; i < SITES; i++) {
            if (sites[i].takes == 'o') continue;
            int code = sites[i].call(sites[i].takes == 'c' ? (void *)context : (void *)node);
            if (code != (sites[i].call == node_id ? CLOUDS_EHANDLE : CLOUDS_EFORK)) {
                printf("# clouds_%s after fork: %d\n", sites[i].name, code);
                bad++;
            }
        }
        clouds_node_destroy(node);
        clouds_context_destroy(context);
        if (clouds_poll(context, &e, sizeof e, 1, 0) != CLOUDS_EHANDLE) bad++;
            /* A context of its own works. */
#ifdef __SANITIZE_THREAD__
        const char *own_mode = "inline"; /* it knows no new threads after a fork */
#else
        const char *own_mode = mode;
#endif
        clouds_context *own = kit_context(kit_url("inproc:"), own_mode);
        clouds_node *worker = kit_node(own, "base");
        if (kit_register(own, worker, "echo") != 0) bad++;
        kit_call(worker, "echo", "[]", NULL);
        if (kit_await(own, NULL, CLOUDS_EVENT_RESULT, &e) != 1 || e.code != 0) bad++;
        clouds_context_destroy(own);
        fflush(stdout);
        _exit(bad || tap_bad);
    }
    int status = -1;
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
    /* The parent's goes on. */
    kit_call(node, "echo", "[]", NULL);
    REQUIRE(kit_await(context, NULL, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK_INT(e.code, 0);
    clouds_context_destroy(context);
}

static void error_names(void)
{
    static const int codes[] = {
#define CODE(symbol, number, outcome, name, text) symbol,
        CLOUDS_ERRORS(CODE)
#undef CODE
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        CHECK(strncmp(clouds_err_name(codes[i]), "CLOUDS_", 7) == 0 &&
              strcmp(clouds_err_name(codes[i]), "CLOUDS_E?") != 0);
        CHECK(*clouds_strerror(codes[i]) && strcmp(clouds_strerror(codes[i]), "unknown error") != 0);
        CHECK(clouds_err_outcome(codes[i]) >= CLOUDS_OUTCOME_APP_ERROR &&
              clouds_err_outcome(codes[i]) <= CLOUDS_OUTCOME_UNKNOWN);
    }
    CHECK_INT(strcmp(clouds_err_name(-12345), "CLOUDS_E?"), 0);
    CHECK_INT(clouds_err_outcome(12345), CLOUDS_OUTCOME_UNKNOWN);
    CHECK_INT(strcmp(clouds_strerror(INT32_MIN), "unknown error"), 0);
    CHECK_INT(strcmp(clouds_outcome_name(-1), "UNKNOWN"), 0);
}

static void in_each_mode(void)
{
    RUN(bad_handles);
    RUN(bad_arguments);
    RUN(bad_calls);
    RUN(deep_and_wide);
    RUN(after_fork);
}

int main(void)
{
    RUN(error_names);
    kit_modes(&mode, in_each_mode);
    RUN(wrong_thread);
    RUN(two_polls);
    RUN(from_a_hook);
    RUN(words_of_a_refusal_in_a_hook);
    return kit_end();
}
