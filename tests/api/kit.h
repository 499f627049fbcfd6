/* What the tests of the API share: contexts on addresses of their own, and waiting for events with a bound. */
#ifndef API_KIT_H
#define API_KIT_H

#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include "clouds.h"
#include "support/tap.h"

/* Longest wait for anything: far beyond what it takes. */
enum { KIT_PATIENCE = 20 };

static inline double kit_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A new address of a kind ("inproc:" or "local:"), in a runtime folder of the test's own. */
static inline const char *kit_url(const char *kind)
{
    static char url[256], folder[64];
    static int number;
    if (!*folder) {
        snprintf(folder, sizeof folder, "/tmp/clouds-api-XXXXXX");
        if (!mkdtemp(folder)) abort();
        setenv("CLOUDS_RUNTIME_DIR", folder, 1);
    }
    snprintf(url, sizeof url, "%sapi%d-%d", kind, (int)getpid(), number++);
    return url;
}

/* Removes the runtime folder of kit_url. */
static inline void kit_clean(void)
{
    const char *folder = getenv("CLOUDS_RUNTIME_DIR");
    char command[128];
    if (!folder || strncmp(folder, "/tmp/clouds-api-", 16) != 0) return;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command) != 0) printf("# cannot remove %s\n", folder);
}

/* Runs the tests once in each mode of a context. */
static inline void kit_modes(const char **mode, void (*tests)(void))
{
    static const char *const modes[] = {"inline", "thread"};
    for (int i = 0; i < 2; i++) {
        *mode = modes[i];
        printf("# mode %s\n", *mode);
        tests();
    }
}

/* Runs the tests once for each mode of the server's context and of the client's. */
static inline void kit_mode_pairs(const char **server_mode, const char **client_mode, void (*tests)(void))
{
    static const char *const modes[] = {"inline", "thread"};
    for (int i = 0; i < 4; i++) {
        *server_mode = modes[i / 2];
        *client_mode = modes[i % 2];
        tests();
    }
}

/* The end of main. */
static inline int kit_end(void)
{
    kit_clean();
    return tap_end();
}

static inline clouds_options *kit_options(const char *const *pairs)
{
    clouds_options *options = NULL;
    CHECK_INT(clouds_options_create(&options), 0);
    for (; pairs && pairs[0]; pairs += 2)
        if (!CHECK(clouds_options_set_string(options, pairs[0], pairs[1]) == 0)) printf("# %s\n", clouds_last_error());
    return options;
}

#define KIT_OPTIONS(...) kit_options((const char *const[]){__VA_ARGS__, NULL})

static inline clouds_context *kit_context(const char *url, const char *mode)
{
    clouds_context *context = NULL;
    clouds_options *options = KIT_OPTIONS("url", url, "mode", mode);
    int code = clouds_context_create(options, &context);
    if (!CHECK(code == 0)) printf("# %s\n", clouds_last_error());
    clouds_options_destroy(options);
    return context;
}

static inline clouds_node *kit_node_of(clouds_context *context, clouds_options *options)
{
    clouds_node *node = NULL;
    int code = clouds_node_create(context, options, &node);
    if (!CHECK(code == 0)) printf("# %s\n", clouds_last_error());
    clouds_options_destroy(options);
    return node;
}

static inline clouds_node *kit_node(clouds_context *context, const char *type)
{
    return kit_node_of(context, KIT_OPTIONS("type", type));
}

static inline int kit_next(clouds_context *context, clouds_event *event, double timeout)
{
    return clouds_poll(context, event, sizeof *event, 1, timeout);
}

/* What a test's service does by itself with a request: by the method's name. */
static inline void kit_answer(clouds_context *context, const clouds_event *e)
{
    if (e->type != CLOUDS_EVENT_REQUEST) return;
    if (e->method_len == 4 && memcmp(e->method, "echo", 4) == 0) {
        CHECK_INT(clouds_reply(context, e->id, e->data, e->data_len), 0);
    } else if (e->method_len == 4 && memcmp(e->method, "fail", 4) == 0) {
        static const char error[] = "{\"message\":\"no\",\"code\":\"E_NO\",\"extra\":[1]}";
        CHECK_INT(clouds_fail(context, e->id, error, sizeof error - 1, "[7]", 3), 0);
    }
}

/* Polls `context` until an event of the type (0: any) comes, and meanwhile serves on `server` (may be NULL). */
static inline int kit_await(clouds_context *context, clouds_context *server, uint32_t type, clouds_event *event)
{
    double until = kit_now() + KIT_PATIENCE;
    clouds_event other;
    while (kit_now() < until) {
        int n = kit_next(context, event, server ? 0.002 : 0.5);
        if (n < 0) {
            printf("# poll: %s\n", clouds_last_error());
            return n;
        }
        if (n == 1 && (type == 0 || event->type == type)) return 1;
        if (n == 1) kit_answer(context, event);
        while (server && server != context && kit_next(server, &other, 0) == 1) kit_answer(server, &other);
    }
    printf("# no event of type %u came\n", type);
    return 0;
}

static inline int kit_register(clouds_context *context, clouds_node *node, const char *method)
{
    uint64_t operation = 0;
    clouds_event e;
    int code = clouds_node_register(node, method, strlen(method), NULL, &operation);
    if (code != 0) return code;
    return kit_await(context, NULL, CLOUDS_EVENT_REGISTERED, &e) == 1 && e.id == operation ? e.code : -1000;
}

static inline uint64_t kit_call(clouds_node *node, const char *method, const char *args,
                                const clouds_call_options *options)
{
    uint64_t call = 0;
    int code = clouds_node_call(node, method, strlen(method), args, strlen(args), options, &call);
    if (!CHECK(code == 0)) printf("# %s\n", clouds_last_error());
    return call;
}

/* A pair of contexts on one address, with a node each; the server offers echo, fail and silent. */
typedef struct kit_pair {
    clouds_context *server, *client;
    clouds_node *server_node, *client_node;
} kit_pair;

/* Until the client knows the server. */
static inline int kit_find(kit_pair *p)
{
    double until = kit_now() + KIT_PATIENCE;
    clouds_event e = {.code = CLOUDS_ENOSERVER};
    while (e.code == CLOUDS_ENOSERVER && kit_now() < until) {
        kit_call(p->client_node, "echo", "[]", NULL);
        if (kit_await(p->client, p->server, CLOUDS_EVENT_RESULT, &e) != 1) return 0;
    }
    return e.code == 0;
}

static inline kit_pair kit_open(const char *kind, const char *server_mode, const char *client_mode)
{
    const char *url = kit_url(kind);
    kit_pair p = {.server = kit_context(url, server_mode), .client = kit_context(url, client_mode)};
    p.server_node = kit_node(p.server, "server");
    p.client_node = kit_node(p.client, "client");
    CHECK_INT(kit_register(p.server, p.server_node, "echo"), 0);
    CHECK_INT(kit_register(p.server, p.server_node, "fail"), 0);
    CHECK_INT(kit_register(p.server, p.server_node, "silent"), 0);
    CHECK(kit_find(&p));
    return p;
}

static inline void kit_close(kit_pair *p)
{
    clouds_context_destroy(p->client);
    clouds_context_destroy(p->server);
}

#endif
