/* Channels through the exported functions, over each bus, in each mode. Two contexts: `there` publishes, `here`
 * subscribes. */
#include "api/kit.h"

static const char *kind, *mode;
static clouds_context *here, *there;
static clouds_node *node, *other;

static void begin(void)
{
    const char *url = kit_url(kind);
    clouds_event e;
    here = kit_context(url, mode);
    there = kit_context(url, mode);
    node = kit_node(here, "base");
    other = kit_node(there, "base");
    REQUIRE(kit_await(here, there, CLOUDS_EVENT_READY, &e) == 1);
    CHECK_INT(e.code, 0);
}

static void end(void)
{
    clouds_context_destroy(here);
    clouds_context_destroy(there);
}

static void settle(clouds_node *of);

/* The code of SUBSCRIBED, or of the function. */
static int subscribe_on(clouds_context *context, clouds_node *of, const char *topics, const clouds_subscribe_options *o,
                        uint64_t *id)
{
    clouds_event e;
    int code = clouds_node_subscribe(of, topics, strlen(topics), o, NULL, id);
    if (code) return code;
    code = kit_await(context, context == here ? there : here, CLOUDS_EVENT_SUBSCRIBED, &e) == 1 && e.id == *id ? e.code
                                                                                                               : -1000;
    if (code == 0 && context == here) settle(of);
    return code;
}

static uint64_t subscribe(const char *topics, const clouds_subscribe_options *o)
{
    uint64_t id = 0;
    if (!CHECK(subscribe_on(here, node, topics, o, &id) == 0)) printf("# %s\n", clouds_last_error());
    return id;
}

static int publish_from(clouds_node *of, const char *topic, const char *json)
{
    clouds_payload p = {.size = sizeof p, .json = json, .json_len = strlen(json)};
    return clouds_node_publish(of, topic, strlen(topic), &p, 0, NULL, NULL);
}

static void publish(const char *topic, const char *json)
{
    if (!CHECK(publish_from(other, topic, json) == 0)) printf("# %s\n", clouds_last_error());
}

/* How many got it. */
static int64_t publish_confirmed(clouds_context *context, clouds_node *of, const char *topic, const char *json)
{
    clouds_event e;
    uint64_t id = 0;
    clouds_payload p = {.size = sizeof p, .json = json, .json_len = strlen(json)};
    if (!CHECK(clouds_node_publish(of, topic, strlen(topic), &p, CLOUDS_SEND_CONFIRM, NULL, &id) == 0)) return -2;
    if (!CHECK(kit_await(context, context == here ? there : here, CLOUDS_EVENT_SENT, &e) == 1)) return -2;
    CHECK(e.id == id);
    CHECK_INT(e.code, 0);
    CHECK_STR(e.method, e.method_len, topic);
    return e.number;
}

static int next(clouds_event *e)
{
    return kit_await(here, there, CLOUDS_EVENT_PUBLISHED, e) == 1;
}

static void comes(uint64_t id, const char *topic, const char *json)
{
    clouds_event e;
    REQUIRE(next(&e));
    CHECK(e.id == id);
    CHECK(e.node == node);
    CHECK_STR(e.method, e.method_len, topic);
    CHECK_STR(e.data, e.data_len, json);
    CHECK_STR(e.peer, e.peer_len, clouds_node_id(other));
    CHECK_INT(e.number, 0);
    CHECK_INT(e.flags, 0);
}

/* Patterns and groups are known to who publishes a moment after SUBSCRIBED, over Redis. */
static void until_known(const char *topic, uint64_t id)
{
    double until = kit_now() + KIT_PATIENCE;
    clouds_event e;
    int came = 0;
    while (!came && kit_now() < until) {
        publish(topic, "\"known?\"");
        double slice = kit_now() + 0.2;
        while (!came && kit_now() < slice) {
            while (kit_next(there, &e, 0) == 1) continue;
            came = kit_next(here, &e, 0.01) == 1 && e.type == CLOUDS_EVENT_PUBLISHED && e.id == id;
        }
    }
    CHECK(came);
}

/* Over etcd that goes for all topics; what a node has subscribed to becomes known in its order. */
static void settle(clouds_node *of)
{
    static int number;
    char topic[32], topics[40];
    clouds_event e;
    uint64_t id = 0;
    if (strncmp(kind, "etcd:", 5) != 0) return;
    snprintf(topic, sizeof topic, "settled.%d", number++);
    snprintf(topics, sizeof topics, "[\"%s\"]", topic);
    REQUIRE(clouds_node_subscribe(of, topics, strlen(topics), NULL, NULL, &id) == 0);
    CHECK(kit_await(here, there, CLOUDS_EVENT_SUBSCRIBED, &e) == 1 && e.id == id);
    until_known(topic, id);
    CHECK_INT(clouds_unsubscribe(here, id), 0);
    CHECK(kit_await(here, there, CLOUDS_EVENT_UNSUBSCRIBED, &e) == 1 && e.id == id);
}

/* All that was published before has come. */
static void drain(void)
{
    clouds_event e;
    uint64_t id = 0;
    REQUIRE(subscribe_on(here, node, "[\"end.of.it\"]", NULL, &id) == 0);
    publish("end.of.it", "1");
    do REQUIRE(next(&e));
    while (e.id != id);
    CHECK_INT(clouds_unsubscribe(here, id), 0);
    CHECK(kit_await(here, there, CLOUDS_EVENT_UNSUBSCRIBED, &e) == 1 && e.id == id);
}

/* ---- what is refused */

typedef struct refusal {
    const char *topics;
    clouds_subscribe_options options;
    int code;
    const char *words;
} refusal;

static void what_is_wrong_is_said(void)
{
    static const refusal rows[] = {
        {"[]", {0}, CLOUDS_EINVAL, "there is no topic"},
        {"\"a\"", {0}, CLOUDS_EJSON, "the list of topics is not a valid JSON array"},
        {"[1]", {0}, CLOUDS_EINVAL, "topic number 1 is no text"},
        {"[\"a..b\"]", {0}, CLOUDS_EINVAL, "the topic 'a..b' has an empty token"},
        {"[\"a\",\"b.\"]", {0}, CLOUDS_EINVAL, "the topic 'b.' ends with a dot"},
        {"[\"a.b*\"]", {0}, CLOUDS_EINVAL, "the topic 'a.b*' has a wildcard that is no whole token"},
        {"[\"$a\"]", {0}, CLOUDS_EINVAL, "the topic '$a' begins with '$', which is for names of the library"},
        {"[\"a\",\"a\"]", {0}, CLOUDS_EINVAL, "the topic 'a' is there twice"},
        {"[\"a.*\"]",
         {.group = "g", .group_len = 1},
         CLOUDS_EINVAL,
         "'a.*' is a pattern, and a group takes topics only"},
        {"[\"a\",\"b.>\"]",
         {.flags = CLOUDS_SUBSCRIBE_ALL},
         CLOUDS_EINVAL,
         "'b.>' is a pattern, and all-of takes topics only"},
        {"[\"a\"]", {.flags = CLOUDS_SUBSCRIBE_ALL}, CLOUDS_EINVAL, "all-of takes two topics or more"},
        {"[\"a\",\"b\"]",
         {.flags = CLOUDS_SUBSCRIBE_ALL, .group = "g", .group_len = 1},
         CLOUDS_EINVAL,
         "all-of is not possible in a group"},
        {"[\"a\"]", {.group = ""}, CLOUDS_EINVAL, "the name of the group is empty"},
        {"[\"a\"]", {.flags = 64}, CLOUDS_ENOTSUP, "does not know the flags 64"},
        {"[\"a\"]", {.reserved = 1}, CLOUDS_EINVAL, "reserved is not 0"},
        {"[\"a\"]", {.queue_bytes = -1}, CLOUDS_EINVAL, "a queue of -1 bytes"},
    };
    begin();
    uint64_t id = 77;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        clouds_subscribe_options o = rows[i].options;
        o.size = sizeof o;
        CHECK_INT(clouds_node_subscribe(node, rows[i].topics, strlen(rows[i].topics), &o, NULL, &id), rows[i].code);
        if (!CHECK(strstr(clouds_last_error(), rows[i].words) != NULL)) printf("# %s\n", clouds_last_error());
    }
    char many[2048] = "[";
    for (int i = 0; i <= CLOUDS_SUBSCRIBE_TOPICS; i++) sprintf(many + strlen(many), "%s\"t%d\"", i ? "," : "", i);
    strcat(many, "]");
    CHECK_INT(clouds_node_subscribe(node, many, strlen(many), NULL, NULL, &id), CLOUDS_EINVAL);
    CHECK(strstr(clouds_last_error(), "there are more than 64 topics in one subscription") != NULL);
    CHECK(id == 77);
    CHECK_INT(publish_from(other, "a.*", "1"), CLOUDS_EINVAL);
    CHECK(strstr(clouds_last_error(), "the topic 'a.*' has a wildcard, and only a subscription may have one") != NULL);
    CHECK_INT(publish_from(other, "", "1"), CLOUDS_EINVAL);
    CHECK_INT(publish_from(other, "a", "{"), CLOUDS_EJSON);
    CHECK_INT(publish_from(other, "a", ""), CLOUDS_EJSON);
    CHECK_INT(clouds_node_publish(other, "a", 1, NULL, 0, NULL, NULL), CLOUDS_EINVAL);
    CHECK_INT(clouds_unsubscribe(here, 12345), CLOUDS_ESTALE);
    end();
}

/* ---- one, any, all */

static void a_message_reaches_who_subscribed(void)
{
    begin();
    uint64_t id = subscribe("[\"chat.room\"]", NULL);
    publish("chat.other", "0");
    publish("chat.room", "[1,{\"a\":null}]");
    publish("chat.room", "\"zwei\"");
    comes(id, "chat.room", "[1,{\"a\":null}]");
    comes(id, "chat.room", "\"zwei\"");
    end();
}

static void they_are_numbered(void)
{
    begin();
    clouds_event e;
    subscribe("[\"a\",\"b\"]", NULL);
    for (int i = 0; i < 3; i++) publish("a", "1");
    publish("b", "1");
    for (uint64_t i = 1; i <= 3; i++) {
        REQUIRE(next(&e));
        CHECK(e.sequence == i);
    }
    REQUIRE(next(&e));
    CHECK(e.sequence == 1);
    end();
}

static void bytes_and_meta_go_along(void)
{
    begin();
    clouds_event e;
    clouds_payload p = {.size = sizeof p,
                        .json = "{\"$bytes\":[0,4]}",
                        .json_len = 16,
                        .bytes = "\0\xff\n\r",
                        .bytes_len = 4,
                        .meta = "{\"trace\":\"x\"}",
                        .meta_len = 13};
    subscribe("[\"a\"]", &(clouds_subscribe_options){.size = sizeof(clouds_subscribe_options), .user_data = 7});
    CHECK_INT(clouds_node_publish(other, "a", 1, &p, 0, NULL, NULL), 0);
    REQUIRE(next(&e));
    CHECK(e.bytes_len == 4 && memcmp(e.bytes, "\0\xff\n\r", 4) == 0);
    CHECK_STR(e.meta, e.meta_len, "{\"trace\":\"x\"}");
    CHECK_INT(e.flags, CLOUDS_FLAG_BYTES);
    CHECK_INT(e.user_data, 7);
    end();
}

static void any_of_comes_once(void)
{
    begin();
    uint64_t id = subscribe("[\"a.b\",\"a.*\",\"c.>\"]", NULL);
    until_known("c.x", id);
    drain();
    publish("a.b", "1");
    publish("a.c", "2");
    publish("c.d.e", "3");
    publish("a", "4");
    publish("a.b", "5");
    comes(id, "a.b", "1");
    comes(id, "a.c", "2");
    comes(id, "c.d.e", "3");
    comes(id, "a.b", "5");
    end();
}

static void each_subscription_has_its_own(void)
{
    begin();
    clouds_event e;
    uint64_t exact = subscribe("[\"a.b\"]", NULL), pattern = subscribe("[\"a.*\"]", NULL);
    int got[2] = {0};
    until_known("a.z", pattern);
    drain();
    for (int i = 0; i < 5; i++) publish("a.b", "1");
    for (int i = 0; i < 10; i++) {
        REQUIRE(next(&e));
        CHECK(e.id == exact || e.id == pattern);
        got[e.id == pattern]++;
        CHECK_INT(e.number, 0);
    }
    CHECK(got[0] == 5 && got[1] == 5);
    end();
}

static void all_of_joins_the_kth_with_the_kth(void)
{
    begin();
    clouds_subscribe_options o = {.size = sizeof o, .flags = CLOUDS_SUBSCRIBE_ALL};
    uint64_t id = subscribe("[\"x\",\"y\",\"z\"]", &o);
    publish("x", "1");
    publish("x", "2");
    publish("z", "[3]");
    publish("y", "\"a\"");
    publish("y", "\"b\"");
    publish("z", "null");
    comes(id, "y", "[1,\"a\",[3]]");
    comes(id, "z", "[2,\"b\",null]");
    end();
}

static void publish_bytes(const char *topic, const char *value, const char *bytes)
{
    const clouds_payload payload = {
        .size = sizeof payload, .json = value, .json_len = strlen(value), .bytes = bytes, .bytes_len = strlen(bytes)};
    CHECK_INT(clouds_node_publish(other, topic, strlen(topic), &payload, 0, NULL, NULL), 0);
}

/* The pieces of each are pieces of all; what only looks like one in a value without bytes is made an object of the
 * user's. */
static void all_of_joins_bytes(void)
{
    begin();
    clouds_event e;
    clouds_subscribe_options o = {.size = sizeof o, .flags = CLOUDS_SUBSCRIBE_ALL};
    uint64_t id = subscribe("[\"x\",\"y\",\"z\"]", &o);
    publish("x", "{\"$bytes\":[0,1]}");
    publish_bytes("y", "[{\"$bytes\":[1,2]},{\"$$bytes\":1}]", "abc");
    publish_bytes("z", "{\"a\":{\"$bytes\":[0,2]}}", "de");
    REQUIRE(next(&e));
    CHECK(e.id == id);
    CHECK_STR(e.data, e.data_len,
              "[{\"$$bytes\":[0,1]},[{\"$bytes\":[1,2]},{\"$$bytes\":1}],{\"a\":{\"$bytes\":[3,2]}}]");
    CHECK_STR((const char *)e.bytes, e.bytes_len, "abcde");
    CHECK_INT(e.flags, CLOUDS_FLAG_BYTES);
    publish("x", "{\"$bytes\":[0,1]}");
    publish("y", "1");
    publish("z", "2");
    REQUIRE(next(&e));
    CHECK_STR(e.data, e.data_len, "[{\"$bytes\":[0,1]},1,2]");
    CHECK(e.bytes_len == 0 && e.flags == 0);
    end();
}

static void the_publisher_hears_itself(void)
{
    begin();
    clouds_event e;
    uint64_t id = subscribe("[\"a\"]", NULL);
    CHECK_INT(publish_from(node, "a", "1"), 0);
    REQUIRE(next(&e));
    CHECK(e.id == id);
    CHECK_STR(e.peer, e.peer_len, clouds_node_id(node));
    end();
}

/* How long after SUBSCRIBED it takes until what is published comes: the longest of a few is printed. */
static void it_is_known_soon(void)
{
    begin();
    clouds_event e;
    double longest = 0;
    for (int i = 0; i < 10; i++) {
        char topics[32], topic[32];
        uint64_t id = 0;
        snprintf(topics, sizeof topics, "[\"soon.%d.*\"]", i);
        snprintf(topic, sizeof topic, "soon.%d.x", i);
        REQUIRE(clouds_node_subscribe(node, topics, strlen(topics), NULL, NULL, &id) == 0);
        REQUIRE(kit_await(here, there, CLOUDS_EVENT_SUBSCRIBED, &e) == 1 && e.code == 0);
        double begun = kit_now();
        int came = 0;
        while (!came && kit_now() < begun + KIT_PATIENCE) {
            publish(topic, "1");
            while (kit_next(there, &e, 0) == 1) continue;
            while (!came && kit_next(here, &e, 0.001) == 1) came = e.type == CLOUDS_EVENT_PUBLISHED && e.id == id;
        }
        CHECK(came);
        if (kit_now() - begun > longest) longest = kit_now() - begun;
    }
    printf("# known after %.1f ms at most\n", longest * 1000);
    end();
}

static void how_many_got_it_is_told(void)
{
    begin();
    uint64_t mine = 0;
    subscribe("[\"a\"]", NULL);
    CHECK_INT(publish_confirmed(there, other, "a", "1"), 1);
    CHECK_INT(publish_confirmed(there, other, "b", "1"), 0);
    CHECK_INT(subscribe_on(there, other, "[\"a\"]", NULL, &mine), 0);
    CHECK_INT(publish_confirmed(there, other, "a", "2"), 2);
    end();
}

/* Two nodes of one context: each gets what it subscribed to. */
static void nodes_of_one_context(void)
{
    begin();
    clouds_event e;
    clouds_node *second = kit_node(here, "base");
    REQUIRE(kit_await(here, there, CLOUDS_EVENT_READY, &e) == 1);
    uint64_t first_id = subscribe("[\"a\"]", NULL), id = 0;
    CHECK_INT(subscribe_on(here, second, "[\"a\",\"b\"]", NULL, &id), 0);
    publish("b", "1");
    REQUIRE(next(&e));
    CHECK(e.id == id && e.node == second);
    publish("a", "2");
    for (int i = 0; i < 2; i++) {
        REQUIRE(next(&e));
        CHECK((e.id == id && e.node == second) || (e.id == first_id && e.node == node));
    }
    end();
}

/* ---- groups */

static void one_of_a_group_gets_it(void)
{
    enum { MEMBERS = 3, MESSAGES = 30 };
    begin();
    clouds_event e;
    clouds_subscribe_options o = {.size = sizeof o, .group = "workers", .group_len = 7};
    clouds_node *members[MEMBERS] = {node, kit_node(here, "base"), kit_node(here, "base")};
    uint64_t ids[MEMBERS];
    int got[MEMBERS] = {0}, sum = 0;
    for (int i = 1; i < MEMBERS; i++) REQUIRE(kit_await(here, there, CLOUDS_EVENT_READY, &e) == 1);
    for (int i = 0; i < MEMBERS; i++) {
        CHECK_INT(subscribe_on(here, members[i], "[\"job\"]", &o, &ids[i]), 0);
        until_known("job", ids[i]);
    }
    drain();
    for (int i = 0; i < MESSAGES; i++) publish("job", "1");
    for (; sum < MESSAGES; sum++) {
        REQUIRE(next(&e));
        CHECK_INT(e.number, 0);
        for (int i = 0; i < MEMBERS; i++) got[i] += e.id == ids[i];
    }
    for (int i = 0; i < MEMBERS; i++) CHECK_INT(got[i], MESSAGES / MEMBERS);
    drain();
    end();
}

/* ---- queues */

/* Messages 0 to n-1 wait here, unless the queue is full. */
static void fill(const char *topic, int n)
{
    clouds_event e;
    char json[16];
    double until = kit_now() + KIT_PATIENCE;
    uint64_t delivered = 0, before;
    REQUIRE(clouds_counter(here, "delivered", 0, NULL, &before) == 0);
    for (int i = 0; i < n; i++) {
        snprintf(json, sizeof json, "%d", i);
        publish(topic, json);
        while (kit_next(there, &e, 0) == 1) continue;
    }
    while (kit_now() < until && delivered < before + (uint64_t)n) {
        kit_next(there, &e, 0.001);
        /* In inline mode a poll that cannot give anything does the I/O all the same. */
        CHECK(clouds_poll_into(here, &e, sizeof e, 1, NULL, 0, NULL, 0) <= 0);
        CHECK_INT(clouds_counter(here, "delivered", 0, NULL, &delivered), 0);
    }
    CHECK(delivered >= before + (uint64_t)n);
}

static void row(const char *json, int missed)
{
    clouds_event e;
    REQUIRE(next(&e));
    CHECK_STR(e.data, e.data_len, json);
    CHECK_INT(e.number, missed);
    CHECK_INT(e.flags, missed ? CLOUDS_FLAG_LAGGED : 0);
}

static void a_full_queue_drops_the_oldest(void)
{
    begin();
    clouds_subscribe_options o = {.size = sizeof o, .queue = 3};
    uint64_t lagged = 0;
    subscribe("[\"a\"]", &o);
    fill("a", 10);
    row("7", 7);
    row("8", 0);
    row("9", 0);
    CHECK_INT(clouds_counter(here, "lagged", 0, NULL, &lagged), 0);
    CHECK(lagged == 7);
    end();
}

static void or_the_newest(void)
{
    begin();
    clouds_subscribe_options o = {.size = sizeof o, .queue = 3, .flags = CLOUDS_SUBSCRIBE_DROP_NEWEST};
    subscribe("[\"a\"]", &o);
    fill("a", 10);
    row("0", 0);
    row("1", 0);
    row("2", 0);
    fill("a", 1);
    row("0", 7);
    end();
}

static void bytes_are_bounded_too(void)
{
    begin();
    clouds_subscribe_options o = {.size = sizeof o, .queue_bytes = 100};
    clouds_event e;
    char large[128];
    memset(large, '1', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    subscribe("[\"a\"]", &o);
    publish("a", large);
    drain();
    publish("a", "2");
    REQUIRE(next(&e));
    CHECK_STR(e.data, e.data_len, "2");
    CHECK_INT(e.number, 1);
    CHECK_INT(e.flags, CLOUDS_FLAG_LAGGED);
    end();
}

/* A subscription that is not kept up with keeps nothing of the others. */
static void turns_are_fair(void)
{
    begin();
    clouds_event e;
    uint64_t loud = subscribe("[\"loud\"]", NULL), soft = subscribe("[\"soft\"]", NULL);
    fill("loud", 500);
    fill("soft", 1);
    int before = 0;
    do {
        REQUIRE(next(&e));
        before += e.id == loud;
    } while (e.id != soft);
    CHECK(before <= 16);
    end();
}

/* ---- ends */

static void nothing_comes_after_the_end(void)
{
    begin();
    clouds_event e;
    uint64_t id = subscribe("[\"a\"]", NULL), second = subscribe("[\"a\"]", NULL);
    fill("a", 5);
    CHECK_INT(clouds_unsubscribe(here, id), 0);
    CHECK_INT(clouds_unsubscribe(here, id), CLOUDS_ESTALE);
    int ended = 0, rest = 0;
    while (!ended || rest < 5) {
        REQUIRE(kit_await(here, there, 0, &e) == 1);
        CHECK(e.type != CLOUDS_EVENT_PUBLISHED || e.id == second);
        ended += e.type == CLOUDS_EVENT_UNSUBSCRIBED && e.id == id && e.code == 0;
        rest += e.type == CLOUDS_EVENT_PUBLISHED;
    }
    CHECK(ended == 1);
    publish("a", "6");
    comes(second, "a", "6");
    end();
}

static void it_ends_with_its_node(void)
{
    begin();
    clouds_event e;
    uint64_t id = subscribe("[\"a\",\"b.*\"]", NULL);
    int ended = 0;
    CHECK_INT(clouds_node_close(node, -1, NULL, NULL), 0);
    do {
        REQUIRE(kit_await(here, there, 0, &e) == 1);
        ended += e.type == CLOUDS_EVENT_UNSUBSCRIBED && e.id == id && e.code == 0;
    } while (e.type != CLOUDS_EVENT_NODE_CLOSED);
    CHECK(ended == 1);
    CHECK_INT(publish_from(node, "a", "1"), CLOUDS_ECLOSED);
    CHECK_INT(clouds_node_subscribe(node, "[\"a\"]", 5, NULL, NULL, &id), CLOUDS_ECLOSED);
    publish("a", "1"); /* nobody is there, and that is fine */
    end();
}

static void a_subscription_is_waited_for(void)
{
    begin();
    clouds_event e;
    uint64_t id = 0;
    clouds_operation_options o = {.size = sizeof o, .flags = CLOUDS_OPERATION_WAIT, .user_data = 9};
    CHECK_INT(clouds_node_subscribe(node, "[\"a\"]", 5, NULL, &o, &id), 0);
    REQUIRE(clouds_wait(here, id, KIT_PATIENCE, &e, sizeof e) == 1);
    CHECK_INT(e.type, CLOUDS_EVENT_SUBSCRIBED);
    CHECK_STR(e.method, e.method_len, "a");
    CHECK_INT(e.code, 0);
    CHECK_INT(e.user_data, 9);
    clouds_event_release(&e);
    settle(node);
    publish("a", "1");
    comes(id, "a", "1");
    CHECK_INT(clouds_unsubscribe(here, id), 0);
    CHECK(kit_await(here, there, CLOUDS_EVENT_UNSUBSCRIBED, &e) == 1 && e.id == id);
    end();
}

/* What is published and subscribed before the node listens waits for that. */
static void before_the_node_is_ready(void)
{
    const char *url = kit_url(kind);
    clouds_event e;
    uint64_t id = 0;
    here = kit_context(url, mode);
    node = kit_node(here, "base");
    CHECK_INT(clouds_node_subscribe(node, "[\"a\"]", 5, NULL, NULL, &id), 0);
    REQUIRE(kit_await(here, NULL, CLOUDS_EVENT_SUBSCRIBED, &e) == 1);
    CHECK_INT(e.code, 0);
    CHECK_INT(publish_from(node, "a", "1"), 0);
    REQUIRE(kit_await(here, NULL, CLOUDS_EVENT_PUBLISHED, &e) == 1);
    CHECK(e.id == id);
    clouds_context_destroy(here);
}

static void texts_in_a_room(void)
{
    begin();
    clouds_event e[4];
    char room[256];
    size_t needed = 0;
    uint64_t id = subscribe("[\"a\"]", NULL);
    fill("a", 3);
    CHECK_INT(clouds_poll_into(here, e, sizeof *e, 4, room, 4, &needed, 0), CLOUDS_ETOOBIG);
    CHECK(needed > 4 && needed < sizeof room);
    int n = 0;
    while (n < 3) {
        int got = clouds_poll_into(here, e, sizeof *e, 4, room, sizeof room, &needed, 1);
        REQUIRE(got > 0);
        for (int i = 0; i < got; i++) n += e[i].type == CLOUDS_EVENT_PUBLISHED && e[i].id == id && e[i].data >= room;
    }
    end();
}

static void all(void)
{
    RUN(what_is_wrong_is_said);
    RUN(a_message_reaches_who_subscribed);
    RUN(they_are_numbered);
    RUN(bytes_and_meta_go_along);
    RUN(any_of_comes_once);
    RUN(each_subscription_has_its_own);
    RUN(all_of_joins_the_kth_with_the_kth);
    RUN(all_of_joins_bytes);
    RUN(the_publisher_hears_itself);
    RUN(it_is_known_soon);
    RUN(how_many_got_it_is_told);
    RUN(nodes_of_one_context);
    RUN(one_of_a_group_gets_it);
    RUN(a_full_queue_drops_the_oldest);
    RUN(or_the_newest);
    RUN(bytes_are_bounded_too);
    RUN(turns_are_fair);
    RUN(nothing_comes_after_the_end);
    RUN(it_ends_with_its_node);
    RUN(a_subscription_is_waited_for);
    RUN(before_the_node_is_ready);
    RUN(texts_in_a_room);
}

int main(int argc, char **argv)
{
    kind = argc > 1 ? argv[1] : "inproc:";
    kit_modes(&mode, all);
    return kit_end();
}
