/* Queues that are full, a process without descriptors, hooks for log lines, secrets in files. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>

#include "api/kit.h"

static const char *mode;

static uint64_t counter(clouds_context *context, const char *name)
{
    uint64_t value = 0;
    CHECK_INT(clouds_counter(context, name, 0, NULL, &value), 0);
    return value;
}

/* A server whose queue holds 16 events, and a client. */
static kit_pair open_narrow(void)
{
    const char *url = kit_url("inproc:");
    clouds_options *options = KIT_OPTIONS("url", url, "mode", mode, "max_events", "16");
    kit_pair p = {.client = kit_context(url, "inline")};
    CHECK_INT(clouds_context_create(options, &p.server), 0);
    clouds_options_destroy(options);
    p.server_node = kit_node(p.server, "server");
    p.client_node = kit_node(p.client, "client");
    CHECK_INT(kit_register(p.server, p.server_node, "echo"), 0);
    CHECK_INT(kit_register(p.server, p.server_node, "silent"), 0);
    CHECK(kit_find(&p));
    return p;
}

static void messages_are_dropped_and_counted(void)
{
    kit_pair p = open_narrow();
    clouds_event e;
    const char *to = clouds_node_id(p.server_node);
    for (int i = 0; i < 200; i++) CHECK_INT(clouds_node_send(p.client_node, to, strlen(to), "1", 1, 0, NULL, NULL), 0);
    int got = 0, threaded = strcmp(mode, "thread") == 0;
    double until = kit_now() + KIT_PATIENCE;
    do kit_next(p.client, &e, 0.01);
    while (threaded && counter(p.server, "dropped_events") == 0 && kit_now() < until); /* before room is made */
    while (got + (int)counter(p.server, "dropped_events") < 200 && kit_now() < until) {
        if (kit_next(p.server, &e, 0.05) == 1) got += e.type == CLOUDS_EVENT_MESSAGE;
        kit_next(p.client, &e, 0);
    }
    CHECK(got >= 16 && got < 200);
    CHECK_INT(got + (int)counter(p.server, "dropped_events"), 200);
    kit_close(&p);
}

static void requests_are_refused(void)
{
    kit_pair p = open_narrow();
    clouds_event e;
    enum { CALLS = 200 };
    for (int i = 0; i < CALLS; i++) kit_call(p.client_node, "silent", "[]", NULL);
    int requests = 0, refused = 0, others = 0;
    double until = kit_now() + KIT_PATIENCE;
    while (requests + refused + others < CALLS && kit_now() < until) {
        while (kit_next(p.client, &e, 0.02) == 1) {
            if (e.type != CLOUDS_EVENT_RESULT) continue;
            if (e.code == CLOUDS_EOVERLOAD && e.outcome == CLOUDS_OUTCOME_NOT_DONE) refused++;
            else others++;
        }
        if (kit_next(p.server, &e, 0.005) == 1) requests += e.type == CLOUDS_EVENT_REQUEST;
    }
    CHECK(requests >= 16 && requests < CALLS);
    CHECK_INT(requests + refused, CALLS);
    CHECK(counter(p.server, "queue_refusals") > 0);
    kit_close(&p);
}

static void in_flight(void)
{
    clouds_options *options = KIT_OPTIONS("url", kit_url("inproc:"), "mode", mode, "max_in_flight", "10");
    clouds_context *context;
    clouds_event e;
    uint64_t call;
    CHECK_INT(clouds_context_create(options, &context), 0);
    clouds_options_destroy(options);
    clouds_node *node = kit_node(context, "base");
    CHECK_INT(kit_register(context, node, "silent"), 0);
    for (int i = 0; i < 10; i++)
        kit_call(node, "silent", "[]", &(clouds_call_options){.size = sizeof(clouds_call_options), .timeout = 2});
    CHECK_INT(clouds_node_call(node, "silent", 6, "[]", 2, NULL, &call), CLOUDS_ELIMIT);
    CHECK(strlen(clouds_last_error()) > 0);
    for (int i = 0; i < 10; i++) CHECK_INT(kit_await(context, NULL, CLOUDS_EVENT_RESULT, &e), 1);
    CHECK_INT(clouds_node_call(node, "silent", 6, "[]", 2, NULL, &call), 0);
    clouds_context_destroy(context);
}

/* ---- no descriptors left */

static int descriptors(void)
{
    int n = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (readdir(folder)) n++;
    closedir(folder);
    return n - 3;
}

static void without_descriptors(void)
{
    struct rlimit before, low;
    getrlimit(RLIMIT_NOFILE, &before);
    int failures = 0, codes_ok = 1;
    const char *kinds[] = {"inproc:", "local:"};
    for (int k = 0; k < 2; k++) clouds_context_destroy(kit_context(kit_url(kinds[k]), mode)); /* what is opened once */
    int had = descriptors();
    for (int k = 0; k < 2; k++)
        for (int more = 0; more < 24; more++) {
            const char *url = kit_url(kinds[k]);
            clouds_options *options = KIT_OPTIONS("url", url, "mode", mode);
            clouds_context *context = NULL;
            clouds_node *node = NULL;
            clouds_event e;
            int fd = open("/dev/null", O_RDONLY);
            low = before;
            low.rlim_cur = (rlim_t)(fd + more);
            close(fd);
            setrlimit(RLIMIT_NOFILE, &low);
            int code = clouds_context_create(options, &context);
            failures += code != 0;
            if (code != 0 && code != CLOUDS_ESYSTEM && code != CLOUDS_ENOMEM) codes_ok = 0;
            if (code == 0) {
                code = clouds_fd(context);
                if (code < 0 && code != CLOUDS_ESYSTEM) codes_ok = 0;
                clouds_node_create(context, NULL, &node);
                for (int i = 0; i < 3; i++) kit_next(context, &e, 0.005);
            }
            clouds_context_destroy(context);
            setrlimit(RLIMIT_NOFILE, &before);
            clouds_options_destroy(options);
        }
    CHECK(failures > 0);
    CHECK(codes_ok);
    /* uv_loop_init of libuv 1.44 leaves its epoll descriptor open when it fails. */
    CHECK(descriptors() <= had + failures);
}

/* ---- the log hook */

static int lines, reentered;

static void on_line(void *user_data, int level, const char *text)
{
    clouds_options *options;
    lines++;
    if (user_data != &lines || level < CLOUDS_LOG_DEBUG || level > CLOUDS_LOG_ERROR || !*text || strchr(text, '\n'))
        reentered += 100;
    if (clouds_options_create(&options) == CLOUDS_EBUSY && clouds_set_log(NULL, NULL, 0) == CLOUDS_EBUSY) reentered++;
}

static void *refusing_realloc(void *unused, void *block, size_t size)
{
    clouds_context_destroy((clouds_context *)unused); /* from a hook: refused, and logged */
    if (size) return realloc(block, size);
    free(block);
    return NULL;
}

static void log_lines(void)
{
    CHECK_INT(clouds_set_log(on_line, &lines, CLOUDS_LOG_DEBUG), 0);
    clouds_options *options;
    CHECK_INT(clouds_set_allocator(refusing_realloc, (void *)8), 0);
    CHECK_INT(clouds_options_create(&options), 0);
    clouds_options_destroy(options);
    CHECK_INT(clouds_set_allocator(NULL, NULL), 0);
    CHECK(lines > 0);
    CHECK_INT(reentered, lines);
    CHECK_INT(clouds_set_log(NULL, NULL, CLOUDS_LOG_INFO), 0);
}

/* The lines of a context as events: those of its level, a bound, and nothing behind the end. */
static void log_events(void)
{
    clouds_options *options =
        KIT_OPTIONS("url", "redis+unix:///nonexistent/%1b.sock", "mode", mode, "log_level", "warn");
    clouds_context *context;
    clouds_event e;
    CHECK_INT(clouds_context_create(options, &context), 0);
    CHECK_INT(clouds_options_set_string(options, "log_level", "loud"), 0);
    clouds_context *refused = NULL;
    CHECK_INT(clouds_context_create(options, &refused), CLOUDS_EOPTION);
    clouds_options_destroy(options);
    REQUIRE(kit_await(context, NULL, CLOUDS_EVENT_LOG, &e) == 1);
    CHECK_INT(e.number, CLOUDS_LOG_WARN);
    CHECK(memmem(e.data, e.data_len, "{\"message\":\"redis+unix:///nonexistent/\\\\x1b.sock: connect", 54));
    CHECK_INT(clouds_context_close(context, 0, NULL, NULL), 0);
    REQUIRE(kit_await(context, NULL, CLOUDS_EVENT_CONTEXT_CLOSED, &e) == 1);
    CHECK_INT(kit_next(context, &e, 0), CLOUDS_ECLOSED);
    clouds_context_destroy(context);
}

static int says(const clouds_event *e, const char *words)
{
    int found = memmem(e->error, e->error_len, words, strlen(words)) != NULL;
    if (!found) printf("# error is %.*s\n", (int)e->error_len, e->error);
    return found;
}

/* Nothing waits for ever for a cluster that is not there; what is known of the reason is told. */
static void operations_have_a_limit(void)
{
    clouds_context *context = kit_context("redis+unix:///nonexistent/clouds.sock", mode);
    clouds_node *node = kit_node_of(context, KIT_OPTIONS("type", "base", "operation_timeout", "0.2"));
    const clouds_operation_options wait = {.size = sizeof wait, .flags = CLOUDS_OPERATION_WAIT};
    const clouds_operation_options longer = {.size = sizeof wait, .flags = CLOUDS_OPERATION_WAIT, .timeout = 100};
    uint64_t ids[4], patient;
    clouds_event e = {0};
    CHECK_INT(kit_await(context, NULL, CLOUDS_EVENT_BUS_DOWN, &e), 1);
    CHECK_INT(clouds_node_register(node, "m", 1, &longer, &patient), 0);
    CHECK_INT(clouds_node_register(node, "m", 1, &wait, &ids[0]), 0);
    CHECK_INT(clouds_node_send(node, "s.1", 3, "1", 1, CLOUDS_SEND_CONFIRM, &wait, &ids[1]), 0);
    CHECK_INT(clouds_node_status(node, &wait, &ids[2]), 0);
    CHECK_INT(clouds_node_unregister(node, "m", 1, &wait, &ids[3]), 0);
    for (int i = 0; i < 4; i++) {
        CHECK_INT(clouds_wait(context, ids[i], KIT_PATIENCE, &e, sizeof e), 1);
        int ended = e.type == CLOUDS_EVENT_UNREGISTERED || e.code == CLOUDS_EUNREACHABLE;
        if (!CHECK(ended && (!e.code || says(&e, "no such file or directory"))))
            printf("# event %u: %d %.*s\n", e.type, e.code, (int)e.error_len, e.error);
        if (e.type == CLOUDS_EVENT_REGISTERED) CHECK_INT(e.number, 1); /* it stays wanted */
        clouds_event_release(&e);
    }
    CHECK_INT(clouds_wait(context, patient, 0, &e, sizeof e), 0);
    CHECK_INT(clouds_cancel(context, patient), 0);
    CHECK_INT(clouds_node_register(node, "n", 1, &(clouds_operation_options){.size = 4}, &patient), CLOUDS_EINVAL);
    CHECK_INT(clouds_node_close(node, 0, &longer, &patient), CLOUDS_EINVAL);
    clouds_context_destroy(context);
}

/* ---- a secret in a file */

static int with_password(const char *content)
{
    char path[64] = "/tmp/clouds-api-secret-XXXXXX";
    int fd = mkstemp(path);
    CHECK(write(fd, content, strlen(content)) == (ssize_t)strlen(content));
    close(fd);
    clouds_options *options = KIT_OPTIONS("url", "redis://127.0.0.1:1", "password_file", path);
    clouds_context *context = NULL;
    int code = clouds_context_create(options, &context);
    clouds_options_destroy(options);
    clouds_context_destroy(context);
    unlink(path);
    return code;
}

static void password_files(void)
{
    CHECK_INT(with_password("secret\n"), 0);
    CHECK_INT(with_password("secret"), 0);
    CHECK_INT(with_password(""), CLOUDS_EOPTION);
    CHECK_INT(with_password("\nsecond line"), CLOUDS_EOPTION);
    CHECK(strstr(clouds_last_error(), "password_file") && !strstr(clouds_last_error(), "second"));
}

static int with_sentinels(const char *url, const char *user, const char *password, const char *file)
{
    clouds_options *options = KIT_OPTIONS("url", url, "sentinel_user", user, "sentinel_password", password, "sentinel_password_file", file);
    clouds_context *context = NULL;
    int code = clouds_context_create(options, &context);
    clouds_options_destroy(options);
    clouds_context_destroy(context);
    return code;
}

static void sentinel_logins(void)
{
    static const char url[] = "redis+sentinel://127.0.0.1:1/m";
    CHECK_INT(with_sentinels(url, "", "", ""), 0);
    CHECK_INT(with_sentinels(url, "", "p", ""), 0);
    CHECK_INT(with_sentinels(url, "u", "p", ""), 0);
    CHECK_INT(with_sentinels(url, "u", "", ""), CLOUDS_EOPTION);
    CHECK(strstr(clouds_last_error(), "option 'sentinel_user': a user has a password, too"));
    CHECK_INT(with_sentinels(url, "", "", "/nowhere/file"), CLOUDS_EOPTION);
    CHECK(strstr(clouds_last_error(), "option 'sentinel_password_file': /nowhere/file: "));
    CHECK_INT(with_sentinels("redis://127.0.0.1:1", "", "hidden", ""), CLOUDS_EOPTION);
    CHECK(strstr(clouds_last_error(), "option 'sentinel_password': only redis+sentinel:// has sentinels"));
    CHECK(!strstr(clouds_last_error(), "hidden"));
    CHECK_INT(with_sentinels("local:", "u", "", ""), CLOUDS_EOPTION);
}

/* What waited in vain for the cluster says why: here its name has no one behind it. */
static void expired_says_why(void)
{
    clouds_context *context = kit_context("redis+unix:///nonexistent/clouds.sock", mode);
    clouds_node *node = kit_node(context, "client");
    clouds_event e;
    CHECK_INT(kit_await(context, NULL, CLOUDS_EVENT_BUS_DOWN, &e), 1);
    char why[300];
    CHECK(says(&e, ",\"cluster\":\"redis+unix:///nonexistent/clouds.sock\"}"));
    const char *end = memmem(e.error, e.error_len, "\",\"code\"", 8);
    REQUIRE(end && end - e.error < 250);
    snprintf(why, sizeof why, ": %.*s\"", (int)(end - e.error - 12), e.error + 12);
    kit_call(node, "m", "[]", &(clouds_call_options){.size = sizeof(clouds_call_options), .timeout = 0.05});
    CHECK_INT(kit_await(context, NULL, CLOUDS_EVENT_RESULT, &e), 1);
    CHECK_INT(e.code, CLOUDS_EEXPIRED);
    CHECK(says(&e, "{\"message\":\"the deadline passed before m was sent: ") && says(&e, why));
    CHECK(says(&e, ",\"code\":\"CLOUDS_EXPIRED\",\"method\":\"m\",\"cluster\":\"redis+unix:"));
    clouds_context_destroy(context);
}

static void in_each_mode(void)
{
    RUN(messages_are_dropped_and_counted);
    RUN(requests_are_refused);
    RUN(in_flight);
    RUN(without_descriptors);
    RUN(expired_says_why);
    RUN(log_events);
    RUN(operations_have_a_limit);
}

int main(void)
{
    kit_url("inproc:");
    kit_modes(&mode, in_each_mode);
    RUN(log_lines);
    RUN(password_files);
    RUN(sentinel_logins);
    return kit_end();
}
