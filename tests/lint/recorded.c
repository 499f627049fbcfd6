/* A program as it was built with a recorded header. It uses every function, with the sizes of then, and must run with
 * today's library, in inline mode and in thread mode; behind every record of its own are bytes that nobody may touch. What
 * later versions have more stands under CLOUDS_VERSION_NUMBER. */
#include <clouds.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition, clouds_last_error()), exit(1);         \
    } while (0)

enum { PATIENCE = 30, TEXT = 4096, BATCH = 3, GUARD = 64, GUARDED = 0xa5 };

/* A record, and what must stay as it is. */
#define BOXED(record, count)                                                                                           \
    struct {                                                                                                           \
        record here[count];                                                                                            \
        unsigned char guard[GUARD];                                                                                    \
    }
#define CLOSE(box) memset((box).guard, GUARDED, sizeof(box).guard)
#define CHECK_BOX(box)                                                                                                 \
    do {                                                                                                               \
        for (int at = 0; at < GUARD; at++) CHECK((box).guard[at] == GUARDED);                                          \
    } while (0)

static clouds_context *context;
static clouds_node *server, *client;
static char text[TEXT];
static unsigned long logged, allocated;

static void log_line(void *user_data, int level, const char *line)
{
    CHECK(user_data == text && level >= CLOUDS_LOG_DEBUG && line);
    logged++;
}

static void *allocate(void *user_data, void *block, size_t size)
{
    __atomic_add_fetch((unsigned long *)user_data, 1, __ATOMIC_RELAXED);
    if (size) return realloc(block, size);
    free(block);
    return NULL;
}

static BOXED(clouds_event, BATCH) batch;
static int had, given;

/* Every other poll is one into memory of ours. */
static void poll_batch(void)
{
    static int turn;
    size_t needed = 0;
    memset(&batch, 0, sizeof batch);
    CLOSE(batch);
    had = turn++ % 2 ? clouds_poll(context, batch.here, sizeof *batch.here, BATCH, PATIENCE)
                     : clouds_poll_into(context, batch.here, sizeof *batch.here, BATCH, text, sizeof text, &needed,
                                        PATIENCE);
    CHECK(had >= 1 && had <= BATCH);
    CHECK_BOX(batch);
    given = 0;
}

/* The next event of this type; answers on the way which server it shall be. */
static clouds_event next(uint32_t type)
{
    for (int i = 0; i < 1000; i++) {
        if (given == had) poll_batch();
        clouds_event event = batch.here[given++];
        if (event.type == CLOUDS_EVENT_FIND_SERVER) {
            const char *id = clouds_node_id(server);
            CHECK(clouds_choose(context, event.id, id, strlen(id)) == 0);
        }
        if (event.type == CLOUDS_EVENT_ATTEMPT) CHECK(clouds_attempt(context, event.id, "[1]", 3) == 0);
        if (event.type == type) return event;
    }
    CHECK(!"this event comes");
    abort();
}

static int is(const char *have, size_t len, const char *want)
{
    return len == strlen(want) && memcmp(have, want, len) == 0;
}

static void about_its_shape(void)
{
    unsigned rows = 0;
    BOXED(clouds_layout_info, 1) row = {.here = {{.size = sizeof *row.here}}};
    const clouds_layout_info *info = row.here;
    CLOSE(row);
    for (; clouds_layout(rows, row.here) == 0; rows++) {
        int is_last = strcmp(info->record, "clouds_event") == 0 && strcmp(info->member, "error_len") == 0;
        if (is_last) CHECK(info->offset == offsetof(clouds_event, error_len) && strcmp(info->kind, "size") == 0);
        CHECK(info->offset + info->length <= info->record_size);
    }
    CHECK(rows > 40);
    CHECK_BOX(row);
    CHECK(strcmp(clouds_event_name(CLOUDS_EVENT_RESULT), "RESULT") == 0);
    CHECK(clouds_error_at(0) == CLOUDS_EINVAL);
}

static void about_the_library(void)
{
    unsigned rows = 0;
    BOXED(clouds_option_info, 1) row = {.here = {{.size = sizeof *row.here}}};
    const clouds_option_info *info = row.here;
    CHECK(clouds_version()[0] && clouds_version_number() > 0 && clouds_has_feature("inproc") == 1);
    CHECK(strcmp(clouds_err_name(CLOUDS_ETIMEOUT), "CLOUDS_CALL_SERVICE_TIMEOUT") == 0);
    CHECK(strcmp(clouds_strerror(CLOUDS_ETIMEOUT), "timeout") == 0);
    CHECK(clouds_err_outcome(CLOUDS_ETIMEOUT) == CLOUDS_OUTCOME_UNKNOWN);
    CHECK(clouds_retry_rule(CLOUDS_ETIMEOUT) == CLOUDS_RETRY_NOW);
    CHECK(strcmp(clouds_outcome_name(CLOUDS_OUTCOME_NOT_DONE), "NOT_DONE") == 0);
    CLOSE(row);
    while (clouds_option_describe(rows, row.here) == 0) {
        CHECK(info->name[0] && info->type[0] && info->scope[0] && info->help[0] && info->unit && info->default_value);
        rows++;
    }
    CHECK(rows > 20);
    CHECK_BOX(row);
    about_its_shape();
    CHECK(clouds_set_allocator(allocate, &allocated) == 0);
    CHECK(clouds_set_log(log_line, text, CLOUDS_LOG_DEBUG) == 0);
}

static void start(const char *mode)
{
    clouds_options *options;
    CHECK(clouds_options_create(&options) == 0);
    CHECK(clouds_options_set_string(options, "nonsense", "x") == CLOUDS_EOPTION &&
          strstr(clouds_last_error(), "nonsense"));
    CHECK(strstr(clouds_last_error_json(), "CLOUDS_INVALID_OPTION"));
    CHECK(clouds_options_set_string(options, "url", "inproc:recorded") == 0);
    CHECK(clouds_options_set_string(options, "mode", mode) == 0);
    CHECK(clouds_options_set_number(options, "timeout", PATIENCE) == 0);
    CHECK(clouds_context_create(options, &context) == 0 && clouds_fd(context) >= 0);
    CHECK(clouds_node_create(context, options, &server) == 0 && clouds_node_id(server)[0]);
    CHECK(clouds_options_set_bool(options, "find_server", 1) == 0);
    CHECK(clouds_options_set_integer(options, "user_data", UINT64_MAX) == 0);
    CHECK(clouds_node_create(context, options, &client) == 0);
    clouds_options_destroy(options);
}

static uint64_t call(const char *method, uint32_t flags)
{
    BOXED(clouds_call_options, 1) how = {.here = {{.size = sizeof *how.here, .flags = flags, .user_data = 42}}};
    uint64_t id = 0;
    CLOSE(how);
    CHECK(clouds_node_call(client, method, strlen(method), "[1]", 3, how.here, &id) == 0 && id);
    CHECK_BOX(how);
    return id;
}

static void serve(void)
{
    uint64_t operation = 0;
    clouds_event event;
    CHECK(clouds_node_register(server, "old", 3, NULL, &operation) == 0);
    CHECK(next(CLOUDS_EVENT_REGISTERED).id == operation);

    uint64_t id = call("old", 0);
    event = next(CLOUDS_EVENT_REQUEST);
    CHECK(event.node == server && is(event.method, event.method_len, "old") && is(event.data, event.data_len, "[1]"));
    CHECK(event.time_left > 0 && is(event.peer, event.peer_len, clouds_node_id(client)));
    CHECK(clouds_reply(context, event.id, "[2]", 3) == 0);
    event = next(CLOUDS_EVENT_RESULT);
    CHECK(event.id == id && event.code == 0 && event.outcome == CLOUDS_OUTCOME_OK && event.user_data == 42);
    CHECK(is(event.data, event.data_len, "[2]"));

    id = call("old", CLOUDS_CALL_ASK);
    CHECK(clouds_fail(context, next(CLOUDS_EVENT_REQUEST).id, "{\"message\":\"no\"}", 16, NULL, 0) == 0);
    event = next(CLOUDS_EVENT_RESULT);
    CHECK(event.id == id && event.code == CLOUDS_EAPP && event.outcome == CLOUDS_OUTCOME_APP_ERROR && event.error_len > 0);

    id = call("old", 0);
    next(CLOUDS_EVENT_REQUEST);
    CHECK(clouds_cancel(context, id) == 0 && next(CLOUDS_EVENT_RESULT).code == CLOUDS_ECANCELED);
}

#if CLOUDS_VERSION_NUMBER >= 3000
/* It has no master. */
static void check_worker(void)
{
    BOXED(clouds_worker_event, 1) told = {0};
    int fd;
    CLOSE(told);
    CHECK(clouds_worker_open() == CLOUDS_ENOTSUP && clouds_worker_tell(CLOUDS_WORKER_READY, NULL, 0) == CLOUDS_ENOTSUP);
    CHECK(clouds_worker_send("web", 3, 0, "1", 1) == CLOUDS_ENOTSUP);
    CHECK(clouds_worker_next(told.here, sizeof *told.here, 0) == CLOUDS_ENOTSUP);
    CHECK(clouds_worker_take(CLOUDS_WORKER_TAKE_CONNECTIONS) == CLOUDS_ENOTSUP);
    CHECK(clouds_worker_accept(1, &fd) == CLOUDS_ENOTSUP && clouds_worker_give_back(1, 0) == CLOUDS_ENOTSUP);
    CHECK(clouds_worker_count(CLOUDS_WORKER_COUNT_CONNECTIONS, 1) == CLOUDS_ENOTSUP);
    CHECK_BOX(told);
    CHECK(clouds_counts_use(NULL, 0) == CLOUDS_EINVAL && clouds_counts_add(NULL, 1, "x", 1, 1) == NULL);
}

static void protect(void)
{
    uint64_t operation = 0;
    CHECK(clouds_key_create("/") == CLOUDS_EEXIST);
    CHECK(clouds_runtime_folder("a/b", NULL, 0) == CLOUDS_EINVAL);
    check_worker();
    BOXED(clouds_offer_options, 1) how = {.here = {{.size = sizeof *how.here, .flags = CLOUDS_OFFER_SERIAL, .queue = 1}}};
    CLOSE(how);
    CHECK(clouds_node_offer(server, "old", 3, how.here, NULL, &operation) == 0);
    CHECK_BOX(how);
    CHECK(next(CLOUDS_EVENT_REGISTERED).id == operation);
    call("old", 0);
    uint64_t first = next(CLOUDS_EVENT_REQUEST).id;
    call("old", 0);
    CHECK(clouds_reply(context, first, "[]", 2) == 0);
    CHECK(next(CLOUDS_EVENT_RESULT).code == 0);
    CHECK(clouds_reply(context, next(CLOUDS_EVENT_REQUEST).id, "[]", 2) == 0);
    CHECK(next(CLOUDS_EVENT_RESULT).code == 0);
    CHECK(clouds_node_pause(server, "old", 3, 1, NULL, &operation) == 0);
    CHECK(next(CLOUDS_EVENT_PAUSED).id == operation);
    CHECK(clouds_node_pause(server, NULL, 0, 0, NULL, NULL) == 0);
    CHECK(next(CLOUDS_EVENT_PAUSED).number == 0);
    CHECK(clouds_node_explain(client, "old", 3, NULL, &operation) == 0);
    CHECK(next(CLOUDS_EVENT_STATUS).id == operation);
    CHECK(clouds_node_links(client, NULL, &operation) == 0);
    CHECK(next(CLOUDS_EVENT_STATUS).id == operation);
    int code = clouds_node_stats(client, NULL, &operation); /* in thread mode the event says so */
    CHECK((code ? code : next(CLOUDS_EVENT_STATUS).code) == CLOUDS_ENOTSUP);
    const char *id = clouds_node_id(server);
    CHECK(clouds_node_ask(client, id, strlen(id), "ping", NULL, 0, NULL, &operation) == 0);
    CHECK(next(CLOUDS_EVENT_STATUS).id == operation);
}

static void publish(void)
{
    uint64_t id = 0, operation = 0;
    BOXED(clouds_subscribe_options, 1) how = {.here = {{.size = sizeof *how.here, .queue = 3, .user_data = 8}}};
    BOXED(clouds_payload, 1) what = {.here = {{.size = sizeof *what.here, .json = "[7]", .json_len = 3}}};
    CLOSE(how);
    CLOSE(what);
    CHECK(clouds_node_subscribe(server, "[\"old\"]", 7, how.here, NULL, &id) == 0);
    clouds_event event = next(CLOUDS_EVENT_SUBSCRIBED);
    CHECK(event.id == id && event.code == 0);
    CHECK(clouds_node_publish(client, "old", 3, what.here, CLOUDS_SEND_CONFIRM, NULL, &operation) == 0);
    event = next(CLOUDS_EVENT_PUBLISHED);
    CHECK(event.id == id && event.user_data == 8 && event.sequence == 1 && is(event.method, event.method_len, "old"));
    CHECK(is(event.data, event.data_len, "[7]"));
    CHECK(clouds_unsubscribe(context, id) == 0);
    CHECK(next(CLOUDS_EVENT_UNSUBSCRIBED).id == id);
    CHECK_BOX(how);
    CHECK_BOX(what);
}

static void along(void)
{
    uint64_t operation = 0;
    const char *to = clouds_node_id(client);
    BOXED(clouds_payload, 1)
    what = {.here = {{.size = sizeof *what.here, .json = "[7]", .json_len = 3, .bytes = "b", .bytes_len = 1}}};
    CLOSE(what);
    call("old", 0);
    CHECK(clouds_reply_payload(context, next(CLOUDS_EVENT_REQUEST).id, what.here) == 0);
    clouds_event event = next(CLOUDS_EVENT_RESULT);
    CHECK(event.flags == CLOUDS_FLAG_BYTES && is(event.bytes, event.bytes_len, "b"));
    CHECK(clouds_attempt_payload(context, event.id, what.here) == CLOUDS_ESTALE);
    call("old", 0);
    uint64_t unbegun = next(CLOUDS_EVENT_REQUEST).id;
    CHECK(clouds_refuse(context, unbegun, CLOUDS_EOVERLOAD) == 0);
    CHECK(clouds_refuse(context, unbegun, CLOUDS_EOVERLOAD) == CLOUDS_ESTALE);
    event = next(CLOUDS_EVENT_RESULT);
    CHECK(event.code == CLOUDS_EOVERLOAD && event.outcome == CLOUDS_OUTCOME_NOT_DONE);
    CHECK(clouds_bytes_mark("$bytes", 6) == 1);
    char trace[33];
    CHECK(clouds_trace_id("{}", 2, trace) == 0 && !*trace);
    char span[CLOUDS_SPAN_MORE + 2];
    CHECK(clouds_span_id("{}", 2, trace) == 0 && !*trace);
    CHECK(clouds_span_begin(client, "{}", 2, span, sizeof span) == 0 && !*span);
    CHECK(clouds_span_end(client, "{}", 2, CLOUDS_SPAN_INTERNAL, "of old", 6, NULL, 0) == 0);
    CHECK(clouds_exit_code(CLOUDS_ETIMEOUT, CLOUDS_OUTCOME_UNKNOWN) == CLOUDS_EXIT_UNKNOWN);
    CHECK(clouds_node_send_payload(server, to, strlen(to), what.here, CLOUDS_SEND_CONFIRM, NULL, &operation) == 0);
    event = next(CLOUDS_EVENT_MESSAGE);
    CHECK(is(event.data, event.data_len, "[7]") && is(event.bytes, event.bytes_len, "b"));
    CHECK_BOX(what);
}
#endif

static void wait_for_calls(void)
{
    BOXED(clouds_event, 1) box;
    clouds_event *event = box.here;
    size_t needed = 0;
    uint64_t id = call("old", CLOUDS_CALL_WAIT);
    uint64_t request = next(CLOUDS_EVENT_REQUEST).id;
    CLOSE(box);
    CHECK(clouds_request_open(context, request) == 1);
    CHECK(clouds_reply(context, request, "[3]", 3) == 0);
    CHECK(clouds_request_open(context, request) == 0);
    CHECK(clouds_wait(context, id, PATIENCE, event, sizeof *event) == 1 && is(event->data, event->data_len, "[3]"));
    clouds_event_release(event);
    CHECK_BOX(box);

    id = call("old", CLOUDS_CALL_WAIT);
    CHECK(clouds_reply(context, next(CLOUDS_EVENT_REQUEST).id, "[4]", 3) == 0);
    CHECK(clouds_wait_into(context, id, PATIENCE, event, sizeof *event, text, 1, &needed) == CLOUDS_ETOOBIG);
    CHECK(needed > 1 && needed < sizeof text);
    CHECK(clouds_wait_into(context, id, PATIENCE, event, sizeof *event, text, sizeof text, &needed) == 1);
    CHECK(is(event->data, event->data_len, "[4]") && event->data >= text && event->data < text + sizeof text);
    CHECK_BOX(box);

    id = call("old", CLOUDS_CALL_WAIT);
    CHECK(clouds_reply(context, next(CLOUDS_EVENT_REQUEST).id, "[5]", 3) == 0);
    CHECK(clouds_wait_any_into(context, &id, 1, PATIENCE, event, sizeof *event, text, 1, &needed) == CLOUDS_ETOOBIG);
    CHECK(clouds_wait_any(context, &id, 1, PATIENCE, event, sizeof *event) == 1);
    CHECK(event->id == id && is(event->data, event->data_len, "[5]"));
    clouds_event_release(event);
    CHECK_BOX(box);
}

static void others(void)
{
    uint64_t operation = 0, value = 0;
    const char *id = clouds_node_id(server), *name = NULL;
    clouds_event event;
    CHECK(clouds_node_send(client, id, strlen(id), "\"hi\"", 4, CLOUDS_SEND_CONFIRM, NULL, &operation) == 0);
    event = next(CLOUDS_EVENT_MESSAGE);
    CHECK(event.node == server && is(event.data, event.data_len, "\"hi\""));
    CHECK(next(CLOUDS_EVENT_SENT).id == operation);
    BOXED(clouds_operation_options, 1) how = {.here = {{.size = sizeof *how.here, .timeout = PATIENCE, .user_data = 7}}};
    CLOSE(how);
    CHECK(clouds_node_status(client, how.here, &operation) == 0);
    CHECK_BOX(how);
    event = next(CLOUDS_EVENT_STATUS);
    CHECK(event.id == operation && event.user_data == 7 && event.data_len > 0);
    CHECK(clouds_counter(context, "calls", 0, NULL, &value) == 0 && value >= 5);
    CHECK(clouds_counter(context, NULL, 0, &name, &value) == 0 && name[0]);
    CHECK(given == had && clouds_wakeup(context) == 0);
    while (clouds_poll(context, &event, sizeof event, 1, -1) != 0) continue;
}

static void change(void)
{
    clouds_options *options;
    CHECK(clouds_options_create(&options) == 0 && clouds_options_set_number(options, "timeout", 5) == 0);
    CHECK(clouds_node_configure(client, options) == 0);
    clouds_options_destroy(options);
}

static void stop(void)
{
    uint64_t operation = 0;
    clouds_event event;
    CHECK(clouds_node_unregister(server, "old", 3, NULL, &operation) == 0);
    CHECK(next(CLOUDS_EVENT_UNREGISTERED).id == operation);
    CHECK(clouds_node_close(client, 0, NULL, NULL) == 0 && next(CLOUDS_EVENT_NODE_CLOSED).node == client);
    clouds_node_destroy(client);
    CHECK(clouds_context_close(context, 0, NULL, NULL) == 0);
    next(CLOUDS_EVENT_CONTEXT_CLOSED);
    CHECK(clouds_poll(context, &event, sizeof event, 1, 0) == CLOUDS_ECLOSED);
    clouds_context_destroy(context);
}

int main(void)
{
    about_the_library();
    for (int i = 0; i < 2; i++) {
        start(i ? "thread" : "inline");
        serve();
#if CLOUDS_VERSION_NUMBER >= 3000
        protect();
        publish();
        along();
#endif
        wait_for_calls();
        others();
        change();
        stop();
    }
    CHECK(clouds_open("inproc:recorded", "base", &context, &client) == 0);
    clouds_context_destroy(context);
    CHECK(allocated > 0 && clouds_set_allocator(NULL, NULL) == 0 && clouds_set_log(NULL, NULL, CLOUDS_LOG_ERROR) == 0);
    puts("runs");
    return 0;
}
