/* Calls whose answer is published, through the exported functions, over each bus, in each mode on each side. */
#include "api/kit.h"

static const char *kind, *server_mode, *client_mode;

static uint64_t counter(clouds_context *context, const char *name)
{
    uint64_t value = 0;
    CHECK_INT(clouds_counter(context, name, 0, NULL, &value), 0);
    return value;
}

/* The client has subscribed to the topic of the answers, and the server knows. */
static kit_pair open_pair(void)
{
    kit_pair p = kit_open(kind, server_mode, client_mode);
    clouds_event e;
    uint64_t id = 0;
    CHECK_INT(clouds_node_subscribe(p.client_node, "[\"answers\"]", 11, NULL, NULL, &id), 0);
    CHECK(kit_await(p.client, p.server, CLOUDS_EVENT_SUBSCRIBED, &e) == 1 && e.code == 0);
    const clouds_payload probe = {.size = sizeof probe, .json = "0", .json_len = 1};
    double until = kit_now() + KIT_PATIENCE;
    do {
        CHECK_INT(clouds_node_publish(p.server_node, "answers", 7, &probe, 0, NULL, NULL), 0);
        kit_next(p.server, &e, 0.001);
    } while (!(kit_next(p.client, &e, 0.02) == 1 && e.type == CLOUDS_EVENT_PUBLISHED) && kit_now() < until);
    return p;
}

static uint64_t call_for(kit_pair *p, const char *method, const char *correlation, clouds_call_options o)
{
    o.size = sizeof o;
    o.reply_to = "answers";
    o.reply_to_len = 7;
    o.correlation = correlation;
    o.correlation_len = correlation ? strlen(correlation) : 0;
    return kit_call(p->client_node, method, "[5]", &o);
}

/* The next that is published and no probe. */
static clouds_event next_answer(kit_pair *p)
{
    clouds_event e = {.data = ""};
    do {
        if (kit_await(p->client, p->server, CLOUDS_EVENT_PUBLISHED, &e) != 1) break;
    } while (e.data_len == 1 && e.data[0] == '0');
    CHECK_STR(e.method, e.method_len, "answers");
    CHECK_STR(e.peer, e.peer_len, clouds_node_id(p->server_node));
    return e;
}

static void check_completed(kit_pair *p, uint64_t call)
{
    clouds_event e;
    REQUIRE(kit_await(p->client, NULL, CLOUDS_EVENT_RESULT, &e) == 1);
    CHECK(e.id == call);
    CHECK_INT(e.code, 0);
    CHECK_STR(e.data, e.data_len, "[]");
}

static uint64_t next_request(kit_pair *p)
{
    clouds_event e = {0};
    CHECK(kit_await(p->server, p->client, CLOUDS_EVENT_REQUEST, &e) == 1);
    CHECK_INT(e.flags, 0); /* it is answered as any other */
    return e.id;
}

static void an_answer_is_published(void)
{
    kit_pair p = open_pair();
    uint64_t call = call_for(&p, "silent", "order \"7\"", (clouds_call_options){.timeout = 30});
    check_completed(&p, call);
    uint64_t request = next_request(&p);
    const clouds_payload answer = {.size = sizeof answer,
                                   .json = "[7,8]",
                                   .json_len = 5,
                                   .meta = "{\"a\":1}",
                                   .meta_len = 7,
                                   .bytes = "xyz",
                                   .bytes_len = 3};
    CHECK_INT(clouds_reply_payload(p.server, request, &answer), 0);
    CHECK_INT(clouds_reply(p.server, request, "[]", 2), CLOUDS_ESTALE);
    clouds_event e = next_answer(&p);
    CHECK_STR(e.data, e.data_len, "{\"result\":[7,8]}");
    CHECK(memmem(e.meta, e.meta_len, "\"in-reply-to\":\"order \\\"7\\\"\"", 27) != NULL);
    CHECK(memmem(e.meta, e.meta_len, "\"a\":1", 5) != NULL);
    CHECK_STR((const char *)e.bytes, e.bytes_len, "xyz");
    check_completed(&p, call_for(&p, "silent", NULL, (clouds_call_options){0}));
    CHECK_INT(clouds_reply(p.server, next_request(&p), "[]", 2), 0);
    e = next_answer(&p);
    CHECK_STR(e.data, e.data_len, "{\"result\":[]}");
    CHECK_INT(e.meta_len, 0);
    kit_close(&p);
}

static void errors_and_refusals_are_answers(void)
{
    kit_pair p = open_pair();
    clouds_event e;
    uint64_t operation = 0;
    const clouds_offer_options one = {.size = sizeof one, .flags = CLOUDS_OFFER_SERIAL, .queue = -1};
    CHECK_INT(clouds_node_offer(p.server_node, "silent", 6, &one, NULL, &operation), 0);
    REQUIRE(kit_await(p.server, p.client, CLOUDS_EVENT_REGISTERED, &e) == 1);
    CHECK_INT(e.code, 0);
    check_completed(&p, call_for(&p, "silent", "1", (clouds_call_options){0}));
    uint64_t request = next_request(&p);
    call_for(&p, "silent", "2", (clouds_call_options){0}); /* the server is busy, and says so perhaps before it ends */
    e = next_answer(&p);
    CHECK(memmem(e.data, e.data_len, "{\"error\":{", 10) == e.data);
    CHECK(memmem(e.data, e.data_len, "CLOUDS_OVERLOADED", 17) != NULL);
    CHECK_STR(e.meta, e.meta_len, "{\"in-reply-to\":\"2\"}");
    static const char error[] = "{\"message\":\"no\"}";
    CHECK_INT(clouds_fail(p.server, request, error, sizeof error - 1, "[]", 2), 0);
    e = next_answer(&p);
    CHECK_STR(e.data, e.data_len, "{\"error\":{\"message\":\"no\"}}");
    CHECK_STR(e.meta, e.meta_len, "{\"in-reply-to\":\"1\"}");
    kit_close(&p);
}

static void what_cannot_be_published_is_counted(void)
{
    static char meta[8192];
    kit_pair p = open_pair();
    memset(meta, ' ', sizeof meta);
    memcpy(meta, "{\"a\":\"", 6);
    memcpy(meta + sizeof meta - 2, "\"}", 2);
    check_completed(&p, call_for(&p, "silent", "1", (clouds_call_options){0}));
    const clouds_payload answer = {
        .size = sizeof answer, .json = "[]", .json_len = 2, .meta = meta, .meta_len = sizeof meta};
    clouds_reply_payload(p.server, next_request(&p), &answer); /* inline mode says so at once */
    double until = kit_now() + KIT_PATIENCE;
    clouds_event e;
    while (counter(p.server, "lost_answers") == 0 && kit_now() < until) kit_next(p.server, &e, 0.001);
    CHECK_INT(counter(p.server, "lost_answers"), 1);
    kit_close(&p);
}

static void a_repeat_has_it_published_too(void)
{
    kit_pair p = open_pair();
    const clouds_call_options once = {.once = "k", .once_len = 1};
    check_completed(&p, call_for(&p, "silent", "1", once));
    uint64_t request = next_request(&p);
    check_completed(&p, call_for(&p, "silent", "2", once)); /* waits there */
    clouds_event e;
    double until = kit_now() + KIT_PATIENCE;
    while (counter(p.server, "once_hits") < 1 && kit_now() < until) kit_next(p.server, &e, 0.001);
    CHECK_INT(clouds_reply(p.server, request, "[9]", 3), 0);
    int seen = 0;
    for (int i = 0; i < 3; i++) {
        e = next_answer(&p);
        CHECK_STR(e.data, e.data_len, "{\"result\":[9]}");
        REQUIRE(e.meta_len == 19);
        for (int k = 1; k <= 3; k++) seen |= e.meta[16] == '0' + k ? 1 << k : 0;
        if (i == 1) call_for(&p, "silent", "3", once); /* has it */
    }
    CHECK_INT(seen, 14);
    kit_close(&p);
}

static void what_is_wrong_is_said(void)
{
    static const char long_text[256] = "";
    kit_pair p = kit_open(kind, server_mode, client_mode);
    static const struct {
        const char *topic, *correlation;
        size_t topic_n, correlation_n;
        const char *words;
    } rows[] = {{"a..b", NULL, 4, 0, "topic"},
                {"a.*", NULL, 3, 0, "topic"},
                {NULL, NULL, 3, 0, "topic"},
                {NULL, "x", 0, 1, "reply_to"},
                {"a", "\xff", 1, 1, "UTF-8"},
                {"a", long_text, 1, 256, "255"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const clouds_call_options o = {.size = sizeof o,
                                       .reply_to = rows[i].topic,
                                       .reply_to_len = rows[i].topic_n,
                                       .correlation = rows[i].correlation,
                                       .correlation_len = rows[i].correlation_n};
        uint64_t call = 0;
        CHECK_INT(clouds_node_call(p.client_node, "echo", 4, "[]", 2, &o, &call), CLOUDS_EINVAL);
        if (!CHECK(strstr(clouds_last_error(), rows[i].words) != NULL)) printf("# %s\n", clouds_last_error());
    }
    kit_close(&p);
}

static void each(void)
{
    printf("# %s: server %s, client %s\n", kind, server_mode, client_mode);
    RUN(an_answer_is_published);
    RUN(errors_and_refusals_are_answers);
    RUN(what_cannot_be_published_is_counted);
    RUN(a_repeat_has_it_published_too);
    RUN(what_is_wrong_is_said);
}

int main(int argc, char **argv)
{
    kind = argc > 1 ? argv[1] : "inproc:";
    kit_mode_pairs(&server_mode, &client_mode, each);
    return kit_end();
}
