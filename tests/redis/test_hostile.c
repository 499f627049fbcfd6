/* A Redis that lies, breaks off, or sends what never ends: the connection is dropped in words, tried again, and nothing
 * else. */
#include <stdio.h>
#include <sys/resource.h>

#include "clouds.h"
#include "redis/fake.h"
#include "redis/kit.h"
#include "support/tap.h"

static fake f;
static kit a;
static int node_a;
static cl_limits limits;

#define ID_A "s.686c821a.100.0"

#define BYTES(text)                                                                                                    \
    {                                                                                                                  \
        text, sizeof text - 1                                                                                          \
    }

typedef struct bytes {
    const char *p;
    size_t n;
} bytes;

/* The answers to pings are waited for so long. */
static void begin(double ping_interval, double ping_timeout)
{
    kit_limits(&limits);
    limits.reconnect_min = 0.001;
    limits.reconnect_max = 0.002;
    limits.ping_interval = ping_interval;
    limits.ping_timeout = ping_timeout;
    limits.resp_line = 1000;
    limits.resp_buffered = 200000;
    CHECK(fake_start(&f) == 0);
}

/* Where nothing has to be missed. */
static void begin_patient(void)
{
    begin(5, 10);
}

/* Where some of the nonsense is the beginning of an answer, whose rest is missed. */
static void begin_impatient(void)
{
    begin(0.1, 0.5);
}

/* A bus that looks for servers, and so subscribes even without a node. */
static void open_bus(const char *url, const cl_limits *its_limits)
{
    REQUIRE(kit_open(&a, url, its_limits) == 0);
    a.bus->ops->lookup(a.bus, CL_STR("m"), 0);
}

static void end(void)
{
    fake_answer(&f, "", NULL, 0);
    fake_burst(&f, "", NULL, 0);
    fake_budget(&f, -1);
    WAIT_FOR(a.up);
    kit_close(&a, 0);
    fake_stop(&f);
}

/* Every one of these, as the answer to anything, ends the connection. */
static const bytes nonsense[] = {
    BYTES("\0\0\0\0"),
    BYTES("HTTP/1.1 400 Bad Request\r\n\r\n"),
    BYTES("hello\r\n"),
    BYTES("%1\r\n+a\r\n+b\r\n"),
    BYTES("_\r\n"),
    BYTES("*-2\r\n"),
    BYTES("*99999999999999999999\r\n"),
    BYTES("*2147483648\r\n"),
    BYTES("*2147483647\r\n"),
    BYTES("*1000000\r\n"),
    BYTES("$-2\r\n"),
    BYTES("$99999999999999999999\r\n"),
    BYTES("$9223372036854775807\r\n"),
    BYTES("$x\r\n"),
    BYTES(":12x\r\n"),
    BYTES(":\r\n"),
    BYTES(":99999999999999999999999\r\n"),
    BYTES("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n+x\r\n"),
    BYTES("*3\r\n$7\r\nmessage\r\n*0\r\n$1\r\nx\r\n"),
    BYTES("*3\r\n$7\r\nmessage\r\n:1\r\n:2\r\n"),
    BYTES("*3\r\n$7\r\nmessage\r\n$-1\r\n$-1\r\n"),
    BYTES("*3\r\n$7\r\nmessage\r\n+x\r\n+y\r\n"),
    BYTES("*0\r\n"),
    BYTES("*-1\r\n"),
    BYTES("$-1\r\n"),
    BYTES("$0\r\n\r\n"),
    BYTES("+\r\n"),
    BYTES("-\r\n"),
    BYTES("-ERR \0x\r\n"),
    BYTES("*2\r\n:1\r\n:2\r\n"),
    BYTES("*2\r\n$1\r\n1\r\n$1\r\nx\r\n"),
    BYTES("*2\r\n$20\r\n99999999999999999999\r\n$1\r\n1\r\n"),
    BYTES("*2\r\n$2\r\n-1\r\n$2\r\n-1\r\n"),
    BYTES("*1\r\n$3\r\nfoo\r\n"),
    BYTES("*3\r\n:1\r\n:2\r\n:3\r\n"),
    BYTES("+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n"),
};

static void goes_down(const char *what, size_t i)
{
    int64_t limit = cl_loop_now() + 20000;
    while (a.up && cl_loop_now() < limit) kit_turn_all(5);
    if (!CHECK(!a.up)) printf("# %s number %zu\n", what, i);
}

static void comes_back(void)
{
    fake_answer(&f, "", NULL, 0);
    fake_burst(&f, "", NULL, 0);
    WAIT_FOR(a.up);
}

/* While greeting: whatever is answered to TIME or SUBSCRIBE, the bus says why, and comes up when Redis behaves. */
static void nonsense_while_greeting(void)
{
    begin_impatient();
    fake_answer(&f, "*", "-ERR no\r\n", 9);
    open_bus(f.url, &limits);
    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
        fake_answer(&f, "*", nonsense[i].p, nonsense[i].n);
        kit_forget(&a);
        for (int k = 0; k < 2; k++) {
            kit_note *n = kit_take(&a, "state");
            CHECK_INT(n->number, 0);
            CHECK(n->code < 0 && n->text[0]);
        }
        CHECK(!a.up);
    }
    end();
}

static void nonsense_to_subscribe(void)
{
    begin_impatient();
    open_bus(f.url, &limits);
    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
        if (nonsense[i].p[0] == '-') continue; /* an error is an answer */
        fake_answer(&f, "SUBSCRIBE", nonsense[i].p, nonsense[i].n);
        fake_push(&f, 1, "?", 1); /* makes it subscribe again */
        goes_down("subscribe", i);
        kit_forget(&a);
        kit_note *n = kit_take(&a, "state");
        for (int k = 0; k < 10 && n->number; k++) n = kit_take(&a, "state");
        CHECK_INT(n->number, 0);
        comes_back();
    }
    end();
}

/* Unasked for, on each of the two connections, once the bus is up. */
static void nonsense_out_of_the_blue(void)
{
    static const char *const names[] = {"for commands", "subscribed"};
    begin_impatient();
    open_bus(f.url, &limits);
    WAIT_FOR(a.up);
    for (int subscriber = 0; subscriber < 2; subscriber++)
        for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
            fake_push(&f, subscriber, nonsense[i].p, nonsense[i].n);
            goes_down(names[subscriber], i);
            comes_back();
        }
    end();
}

/* A bus that has not scanned yet: it does so once in a second. */
static void open_anew(void)
{
    if (a.loop) kit_close(&a, 1);
    open_bus(f.url, &limits);
    REQUIRE(kit_node(&a, &node_a, ID_A, 0.1) == 0);
}

static void wrong_answers_to_commands(void)
{
    static const struct {
        const char *verb;
        bytes answer;
    } rows[] = {
        {"PUBLISH", BYTES("+OK\r\n")},
        {"PUBLISH", BYTES("*0\r\n")},
        {"PUBLISH", BYTES("$-1\r\n")},
        {"SET", BYTES(":1\r\n")},
        {"SET", BYTES("$-1\r\n")},
        {"EXPIRE", BYTES("+OK\r\n")},
        {"SMEMBERS", BYTES("+OK\r\n")},
        {"SMEMBERS", BYTES("*1\r\n:7\r\n")},
        {"SMEMBERS", BYTES("*1\r\n*1\r\n+x\r\n")},
        {"MGET", BYTES("*0\r\n")},
        {"MGET", BYTES("*1\r\n$1\r\n1\r\n")},
        {"MGET", BYTES(":0\r\n")},
        {"SCAN", BYTES("*0\r\n")},
        {"SCAN", BYTES("*2\r\n:0\r\n*0\r\n")},
        {"SCAN", BYTES("*2\r\n$1\r\n0\r\n:1\r\n")},
        {"SCAN", BYTES("*2\r\n$1\r\n0\r\n*1\r\n:1\r\n")},
        {"SCAN", BYTES("*2\r\n$1\r\n0\r\n*1\r\n*0\r\n")},
        {"SCAN", BYTES("$1\r\n0\r\n")},
        {"DEL", BYTES("+OK\r\n")},
    };
    begin_impatient();
    open_anew();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].verb, "SCAN") == 0) open_anew();
        WAIT_FOR(a.up);
        fake_answer(&f, strcmp(rows[i].verb, "MGET") ? "" : "SMEMBERS", "*1\r\n$1\r\nx\r\n", 11);
        if (strcmp(rows[i].verb, "MGET") == 0) {
            /* the index has a member, whose life is then asked for */
            fake_burst(&f, "SMEMBERS", rows[i].answer.p, rows[i].answer.n);
        } else {
            fake_answer(&f, rows[i].verb, rows[i].answer.p, rows[i].answer.n);
        }
        kit_say(&a, ID_A, ID_A, "1", 1);
        char method[16]; /* a new one is SET, an old one renewed */
        snprintf(method, sizeof method, "m%zu", i);
        a.bus->ops->register_method(a.bus, &node_a, cl_str_z(method), 2);
        a.bus->ops->lookup(a.bus, CL_STR("other"), 0);
        if (strcmp(rows[i].verb, "DEL") == 0) a.bus->ops->unregister_method(a.bus, &node_a, cl_str_z(method), 3);
        goes_down(rows[i].verb, i);
        comes_back();
    }
    end();
}

/* A message whose answer says nothing may have been delivered; one that was answered with an error was not. A look that
 * was answered so has sent nothing. */
static void what_a_wrong_answer_means(void)
{
    begin_patient();
    open_bus(f.url, &limits);
    REQUIRE(kit_node(&a, &node_a, ID_A, 5) == 0);
    fake_answer(&f, "PUBLISH", "+OK\r\n", 5);
    CHECK_INT(kit_say(&a, ID_A, "x", "1", 5), 0);
    CHECK_INT(kit_take(&a, "delivery")->code, CL_DELIVERY_LOST);
    comes_back();
    fake_answer(&f, "PUBLISH", "-ERR no\r\n", 9);
    CHECK_INT(kit_say(&a, ID_A, "x", "1", 6), 0);
    CHECK_INT(kit_take(&a, "delivery")->code, CL_DELIVERY_NOT_SENT);
    CHECK(a.up);
    static const bytes wrong[] = {BYTES("+OK\r\n"), BYTES("*1\r\n:7\r\n")};
    for (int i = 0; i < 2; i++) {
        kit_forget(&a);
        fake_answer(&f, "SMEMBERS", wrong[i].p, wrong[i].n);
        a.bus->ops->lookup(a.bus, CL_STR("m"), 0);
        CHECK_INT(kit_take(&a, "servers")->code, CLOUDS_EUNREACHABLE);
        comes_back();
    }
    end();
}

static long resident_kb(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

static void what_never_ends(void)
{
    static char line[1 << 20], bulk[1 << 20], many[1 << 20];
    begin_patient();
    memset(line, '+', sizeof line);
    memset(bulk, 'x', sizeof bulk);
    memcpy(bulk, "$900000\r\n", 9);
    for (size_t i = 0; i + 4 <= sizeof many; i += 4) memcpy(many + i, ":1\r\n", 4);
    memcpy(many, "*040000\r\n:1\r", 12);
    const bytes endless[] = {{line, sizeof line}, {bulk, sizeof bulk}, {many, sizeof many}};
    open_bus(f.url, &limits);
    WAIT_FOR(a.up);
    long before = resident_kb();
    for (int round = 0; round < 10; round++)
        for (size_t i = 0; i < 3; i++) {
            fake_push(&f, round % 2, endless[i].p, endless[i].n);
            goes_down("endless", i);
            comes_back();
        }
    CHECK(resident_kb() - before < 20000);
    end();
}

/* The whole conversation, broken off after every byte. */
static void truncated_at_every_byte(void)
{
    begin_impatient();
    open_bus(f.url, &limits);
    REQUIRE(kit_node(&a, &node_a, ID_A, 0.1) == 0);
    a.bus->ops->register_method(a.bus, &node_a, CL_STR("m"), 2);
    for (long budget = 0; budget < 330; budget += 1) {
        int before = fake_accepted(&f);
        fake_budget(&f, budget);
        int64_t limit = cl_loop_now() + 20000;
        while (fake_accepted(&f) < before + 2 && cl_loop_now() < limit) {
            if (a.up) kit_say(&a, ID_A, ID_A, "1", 1);
            kit_turn_all(1);
        }
        CHECK(fake_accepted(&f) >= before + 2);
    }
    end();
}

/* Messages that Redis does deliver, but whose content is broken: dropped, counted, and life goes on. */
static void broken_envelopes(void)
{
    static const char *const payloads[] = {
        "",
        "not json",
        "null",
        "true",
        "5",
        "\"str\"",
        "[]",
        "{}",
        "{\"t\":\"r\"}",
        "{\"t\":\"c\"}",
        "{\"t\":\"c\",\"s\":\"x\",\"d\":null}",
        "{\"t\":\"r\",\"s\":\"x\",\"d\":null}",
        "{\"t\":\"c\",\"s\":5,\"d\":{}}",
        "{\"t\":\"m\",\"s\":\"x\",\"d\":\"\x01\"}",
        "{\"t\":\"b\"}",
        "{\"t\":\"b\",\"d\":5}",
        "{\"t\":\"b\",\"d\":[{}]}",
        "{\"t\":\"b\",\"d\":[[[[1]]]]}",
        "{\"t\":\"b\",\"d\":[",
    };
    static test_redis server;
    REQUIRE(test_redis_start(&server, NULL) == 0);
    open_bus(server.url, NULL);
    REQUIRE(kit_node(&a, &node_a, ID_A, 2) == 0);
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        const char *argv[] = {"PUBLISH", "clouds:L:" ID_A, payloads[i]}, *news[] = {"PUBLISH", "clouds:D", payloads[i]};
        test_redis_argv(&server, 3, argv, NULL);
        test_redis_argv(&server, 3, news, NULL);
    }
    static char deep[60000];
    memset(deep, '[', sizeof deep - 1);
    test_redis_argv(&server, 3, (const char *[]){"PUBLISH", "clouds:L:" ID_A, deep}, NULL);
    test_redis_argv(&server, 3, (const char *[]){"PUBLISH", "clouds:D", deep}, NULL);
    static const char *const odd_news[] = {"{\"t\":\"u\",\"s\":\"x\",\"d\":{\"m\":5}}",
                                           "{\"t\":\"u\",\"s\":\"x\",\"d\":{\"m\":[5]}}",
                                           "{\"t\":\"u\",\"s\":\"\",\"d\":{\"m\":[\"a\"]}}",
                                           "{\"t\":\"zz\",\"s\":\"x\",\"d\":{\"m\":[\"a\"]}}",
                                           "{\"t\":\"u\",\"d\":{\"m\":[\"a\"]}}",
                                           "{\"t\":\"d\",\"s\":\"x\"}",
                                           "{\"t\":\"u\",\"s\":\"\\ud800\",\"d\":{\"m\":[\"\\u0000\"]}}"};
    for (size_t i = 0; i < sizeof odd_news / sizeof *odd_news; i++)
        test_redis_argv(&server, 3, (const char *[]){"PUBLISH", "clouds:D", odd_news[i]}, NULL);
    test_redis_argv(&server, 3, (const char *[]){"PUBLISH", "clouds:L:" ID_A, "{\"t\":\"m\",\"s\":\"x\",\"d\":1}"},
                    NULL);
    kit_note *n;
    do n = kit_take(&a, "envelope");
    while (strcmp(n->what, "none") != 0 && n->text[0] != 'm');
    CHECK_STR(n->text, strlen(n->text), "m from=x to=" ID_A " id= method= args= error= result= data=1");
    int dropped = 0;
    while (kit_find(&a, "dropped")) dropped++;
    CHECK(dropped >= 20);
    CHECK(a.up);
    kit_close(&a, 0);
    test_redis_stop(&server);
}

/* We never send what a node of 0.1.14 dies of. */
static void broken_envelopes_are_not_sent(void)
{
    static test_redis server;
    REQUIRE(test_redis_start(&server, NULL) == 0);
    REQUIRE(kit_open(&a, server.url, NULL) == 0);
    REQUIRE(kit_node(&a, &node_a, ID_A, 2) == 0);
    cl_envelope e = {
        .type = CL_CALL, .from = CL_STR(ID_A), .to = CL_STR(ID_A), .id = CL_STR("i"), .method = CL_STR("m")};
    static const char *const args[] = {"", "{}", "null", "5", "\"x\""};
    for (size_t i = 0; i < sizeof args / sizeof *args; i++) {
        e.args = cl_str_z(args[i]);
        CHECK(a.bus->ops->send(a.bus, &node_a, &e, 1) < 0);
    }
    e = (cl_envelope){
        .type = CL_RESULT, .from = CL_STR(ID_A), .to = CL_STR(ID_A), .id = CL_STR("i"), .result = CL_STR("{}")};
    CHECK(a.bus->ops->send(a.bus, &node_a, &e, 1) < 0);
    e.result = CL_STR("[]");
    e.error = CL_STR("\"text\"");
    CHECK(a.bus->ops->send(a.bus, &node_a, &e, 1) < 0);
    e = (cl_envelope){.type = CL_OTHER, .from = CL_STR(ID_A), .to = CL_STR(ID_A), .raw = CL_STR("x")};
    CHECK(a.bus->ops->send(a.bus, &node_a, &e, 1) < 0);
    static char big[5 << 20];
    memset(big, '1', sizeof big);
    e = (cl_envelope){.type = CL_MESSAGE, .from = CL_STR(ID_A), .to = CL_STR(ID_A), .data = {big, sizeof big}};
    CHECK_INT(a.bus->ops->send(a.bus, &node_a, &e, 1), CLOUDS_ETOOBIG);
    CHECK(strstr(clouds_last_error(), "max_message") != NULL);
    kit_say(&a, ID_A, ID_A, "1", 0);
    CHECK(kit_take(&a, "envelope")->text[0] == 'm');
    CHECK_INT(a.envelopes, 1);
    kit_close(&a, 0);
    test_redis_stop(&server);
}

static void error_words(void)
{
    static const struct {
        const char *error;
        int code;
        const char *words;
    } rows[] = {
        {"-MOVED 1234 10.0.0.1:6379\r\n", CLOUDS_EREDIS, "cluster mode"},
        {"-CLUSTERDOWN Hash slot not served\r\n", CLOUDS_EREDIS, "cluster mode"},
        {"-MISCONF Redis is configured to save\r\n", CLOUDS_EREDIS, "cannot save to disk"},
        {"-READONLY You can't write against a read only replica.\r\n", CLOUDS_EREDIS, "replica"},
        {"-ERR something\r\n", CLOUDS_EREDIS, "something"},
    };
    begin_patient();
    open_bus(f.url, &limits);
    REQUIRE(kit_node(&a, &node_a, ID_A, 5) == 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char method[8];
        snprintf(method, sizeof method, "m%zu", i);
        fake_answer(&f, "SET", rows[i].error, strlen(rows[i].error));
        REQUIRE(a.bus->ops->register_method(a.bus, &node_a, cl_str_z(method), 10 + i) == 0);
        kit_note *n = kit_take(&a, "registered");
        CHECK_INT(n->id, 10 + i);
        CHECK_INT(n->code, rows[i].code);
        CHECK(strstr(n->text, rows[i].words) != NULL);
    }
    end();
}

static void loading_is_waited_for(void)
{
    begin_patient();
    fake_answer(&f, "EXISTS", "-LOADING Redis is loading the dataset in memory\r\n", 49);
    open_bus(f.url, &limits);
    kit_note *n = kit_take(&a, "state");
    CHECK_INT(n->number, 0);
    CHECK_INT(n->code, CLOUDS_EREDIS);
    CHECK(strstr(n->text, "still loading") != NULL);
    end();
}

static void in_cluster_mode_zero_proves_nothing(void)
{
    begin_patient();
    fake_answer(&f, "INFO", "$17\r\ncluster_enabled:1\r\n", 24);
    open_bus(f.url, &limits);
    REQUIRE(kit_node(&a, &node_a, ID_A, 5) == 0);
    fake_answer(&f, "PUBLISH", ":0\r\n", 4);
    CHECK_INT(kit_say(&a, ID_A, "x", "1", 5), 0);
    kit_note *n = kit_take(&a, "delivery");
    CHECK_INT(n->code, CL_DELIVERY_WRITTEN);
    CHECK_INT(n->number, -1);
    end();
}

int main(void)
{
    RUN(nonsense_while_greeting);
    RUN(nonsense_to_subscribe);
    RUN(nonsense_out_of_the_blue);
    RUN(wrong_answers_to_commands);
    RUN(what_a_wrong_answer_means);
    RUN(what_never_ends);
    RUN(truncated_at_every_byte);
    RUN(broken_envelopes);
    RUN(broken_envelopes_are_not_sent);
    RUN(error_words);
    RUN(loading_is_waited_for);
    RUN(in_cluster_mode_zero_proves_nothing);
    return tap_end();
}
