#include "fake.h"

/* Who would be called, and why. */

static void start(fake *f, int balance)
{
    f->config = fake_node_config("client");
    f->config.balance = balance;
    strcpy(f->config.tags, "zone=a");
    f->seed = 1;
    fake_start(f);
}

static uint64_t ask(fake *f)
{
    const cl_op_spec spec = {.id = ++f->ids, .user_data = 77};
    CHECK_INT(cl_node_explain(f->node, CL_STR("m"), &spec), 0);
    return spec.id;
}

static const cl_server servers[] = {{{"s.0", 3}, CL_NATIVE_OURS, 0, {1, {"zone=a,host=x", 13}}},
                                    {{"s.1", 3}, CL_NATIVE_OURS, 0, {3, {"zone=b", 6}}},
                                    {{"s.2", 3}, CL_NATIVE_OURS, 1, {2, {"", 0}}}};

/* The answer to a question, which must be the last event. */
static const char *answer(fake *f, uint64_t id, size_t n)
{
    cl_core_servers(f->core, CL_STR("m"), servers, n, 0);
    const fake_event *e = fake_last_event(f);
    CHECK(e->e.type == CLOUDS_EVENT_STATUS && e->e.id == id && e->e.code == 0 && e->e.user_data == 77);
    CHECK_STR(e->method, strlen(e->method), "m");
    return e->data;
}

static void a_server_is_told_of(void)
{
    fake f = {0};
    start(&f, CL_BALANCE_TURNS);
    uint64_t id = ask(&f);
    CHECK_INT(f.n_looks, 1);
    const char *data = answer(&f, id, 1);
    CHECK_STR(data, strlen(data),
              "{\"method\":\"m\",\"bus\":\"up\",\"balance\":\"rr\",\"choice\":{\"rule\":\"well\",\"among\":1,\"server\":"
              "\"s.0\"},\"servers\":[{\"id\":\"s.0\",\"state\":\"well\",\"route\":\"link\",\"address\":\"at:s.0\","
              "\"breaker\":\"closed\",\"in_flight\":0,\"strikes\":0,\"weight\":1,\"tags\":{\"zone\":\"a\",\"host\":\"x\"},"
              "\"near\":false}]}");
    fake_end(&f);
}

#define HAS(data, text) CHECK(strstr(data, text) != NULL)

/* Questions neither count as turns nor move them. */
static void nothing_is_changed_by_it(void)
{
    fake f = {0};
    char before[1024];
    start(&f, CL_BALANCE_TURNS);
    snprintf(before, sizeof before, "%s", answer(&f, ask(&f), 3));
    HAS(before, "\"choice\":{\"rule\":\"well\",\"among\":2,\"server\":\"s.1\"}"); /* the heavy one */
    for (int i = 0; i < 3; i++) {
        const char *data = answer(&f, ask(&f), 3);
        CHECK_STR(data, strlen(data), before);
    }
    f.n_sent = 0;
    fake_call(&f, "m");
    CHECK_STR(fake_last_sent(&f)->to, 3, "s.1");
    fake_end(&f);
}

static void the_next_is_the_one_that_is_called(void)
{
    static const int ways[] = {CL_BALANCE_TURNS, CL_BALANCE_LEAST};
    for (int way = 0; way < 2; way++)
        for (size_t n = 1; n <= 3; n++) {
            fake f = {0};
            start(&f, ways[way]);
            for (int i = 0; i < 12; i++) {
                char expected[80];
                const char *data = answer(&f, ask(&f), n);
                f.n_sent = 0;
                fake_call(&f, "m");
                snprintf(expected, sizeof expected, "\"server\":\"%s\"", fake_last_sent(&f)->to);
                if (way == 0) HAS(data, expected);
                HAS(data, "\"server\":\"s.");
                if (way == 0) fake_answer(&f, 0, "", "[]");
            }
            fake_end(&f);
        }
}

static void by_chance_and_by_key_nobody_is_named(void)
{
    static const int ways[] = {CL_BALANCE_RANDOM, CL_BALANCE_HASH};
    for (int way = 0; way < 2; way++) {
        fake f = {0};
        start(&f, ways[way]);
        const char *data = answer(&f, ask(&f), 3);
        HAS(data, way ? "\"balance\":\"hash\",\"choice\":{\"rule\":\"well\",\"among\":2},"
                      : "\"balance\":\"random\",\"choice\":{\"rule\":\"well\",\"among\":2},");
        HAS(answer(&f, ask(&f), 1), "\"choice\":{\"rule\":\"well\",\"among\":1,\"server\":\"s.0\"}");
        fake_end(&f);
    }
}

static void a_paused_one_is_named(void)
{
    fake f = {0};
    start(&f, CL_BALANCE_TURNS);
    HAS(answer(&f, ask(&f), 3), "{\"id\":\"s.2\",\"state\":\"paused\",\"route\":\"link\",\"address\":\"at:s.2\","
                                "\"breaker\":\"closed\",\"in_flight\":0,\"strikes\":0,\"weight\":2,\"tags\":{},\"near\":false}]}");
    fake_end(&f);
}

static void what_is_known_of_failures(void)
{
    fake f = {0};
    start(&f, CL_BALANCE_TURNS);
    f.config.timeout = 2;
    cl_node_configure(f.node, &f.config);
    cl_core_servers(f.core, CL_STR("m"), servers, 0, 0);
    answer(&f, ask(&f), 1);
    fake_call(&f, "m"); /* answered after 20 ms */
    fake_advance(&f, 20);
    fake_answer(&f, f.n_sent - 1, "", "[]");
    fake_call(&f, "m");
    const char *data = answer(&f, ask(&f), 1);
    HAS(data, "\"in_flight\":1,\"latency\":0.02,\"strikes\":0,\"weight\"");
    fake_advance(&f, 2100); /* and this one is not */
    data = answer(&f, ask(&f), 1);
    HAS(data, "\"choice\":{\"rule\":\"any\",\"among\":1,\"server\":\"s.0\"}");
    HAS(data, "\"state\":\"avoided\",\"for\":0.9,");
    HAS(data, "\"in_flight\":0,\"latency\":0.218,\"strikes\":1,\"last_failure\":0.1,");
    for (int i = 0; i < 4; i++) {
        fake_call(&f, "m");
        fake_advance(&f, 2000);
    }
    fake_advance(&f, 10);
    cl_core_server_up(f.core, CL_STR("m"), servers[0]); /* so it is not avoided, but its breaker is open */
    HAS(answer(&f, ask(&f), 1), "\"breaker\":\"open\"");
    f.config.breaker = 0;
    cl_node_configure(f.node, &f.config);
    data = answer(&f, ask(&f), 1);
    HAS(data, "\"state\":\"well\"");
    HAS(data, "\"breaker\":\"open\"");
    fake_end(&f);
}

static void a_busy_one_is_named(void)
{
    fake f = {0};
    start(&f, CL_BALANCE_TURNS);
    answer(&f, ask(&f), 2);
    fake_call(&f, "m");
    fake_refuse_busy(&f, 0, "0.5");
    const char *data = answer(&f, ask(&f), 2);
    HAS(data, "{\"id\":\"s.1\",\"state\":\"busy\",\"for\":0.5,");
    HAS(data, "\"choice\":{\"rule\":\"well\",\"among\":1,\"server\":\"s.0\"}");
    fake_end(&f);
}

static void who_is_near_is_named(void)
{
    fake f = {0};
    start(&f, CL_BALANCE_TURNS);
    strcpy(f.config.prefer, "zone");
    cl_node_configure(f.node, &f.config);
    const char *data = answer(&f, ask(&f), 2);
    HAS(data, "\"prefer\":\"zone=a\",\"choice\":{\"rule\":\"near\",\"among\":1,\"server\":\"s.0\"}");
    HAS(data, "\"tags\":{\"zone\":\"a\",\"host\":\"x\"},\"near\":true}");
    HAS(data, "\"tags\":{\"zone\":\"b\"},\"near\":false}");
    fake_end(&f);
}

static void nobody_is_there(void)
{
    fake f = {0};
    start(&f, CL_BALANCE_TURNS);
    HAS(answer(&f, ask(&f), 0), "\"choice\":{\"rule\":\"none\",\"among\":0},\"servers\":[]}");
    f.config.find_server = 1;
    cl_node_configure(f.node, &f.config);
    HAS(answer(&f, ask(&f), 1), "\"choice\":{\"rule\":\"find_server\",\"among\":1},");
    fake_end(&f);
}

/* Before the bus was ever there the question waits; later what is known is told. */
static void without_the_bus(void)
{
    fake f = {0};
    const cl_core_config config = fake_core_config();
    CHECK_INT(fake_open(&f, &config), 0);
    f.config = fake_node_config("client");
    f.node = fake_node(&f, "c.1", &f.config);
    uint64_t id = ask(&f);
    CHECK_INT(f.n_looks, 0);
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_STATUS), 0);
    cl_core_bus(f.core, CL_BUS_UP, 0, "");
    CHECK_INT(f.n_looks, 1);
    answer(&f, id, 1);
    cl_core_bus(f.core, CL_BUS_DOWN, CLOUDS_EUNREACHABLE, "gone");
    f.n_events = 0;
    id = ask(&f);
    CHECK_INT(f.n_looks, 1);
    CHECK_INT(fake_last_event(&f)->e.id, id);
    HAS(fake_last_event(&f)->data, "\"bus\":\"down\"");
    HAS(fake_last_event(&f)->data, "\"id\":\"s.0\"");
    cl_core_bus(f.core, CL_BUS_UP, 0, "");
    id = ask(&f);
    fake_servers_code(&f, "m", CLOUDS_EUNREACHABLE); /* it went meanwhile */
    CHECK_INT(fake_last_event(&f)->e.id, id);
    HAS(fake_last_event(&f)->data, "\"id\":\"s.0\"");
    fake_end(&f);
}

static void it_ends(void)
{
    fake f = {0};
    start(&f, CL_BALANCE_TURNS);
    uint64_t id = ask(&f);
    fake_servers_code(&f, "m", CLOUDS_EAUTH);
    CHECK(fake_last_event(&f)->e.id == id && fake_last_event(&f)->e.code == CLOUDS_EAUTH);
    id = ask(&f);
    CHECK_INT(cl_core_cancel(f.core, id), 0);
    CHECK(fake_last_event(&f)->e.id == id && fake_last_event(&f)->e.code == CLOUDS_ECANCELED);
    id = ask(&f);
    fake_advance(&f, 60000);
    CHECK(fake_last_event(&f)->e.id == id && fake_last_event(&f)->e.code == CLOUDS_ETIMEOUT);
    HAS(fake_last_event(&f)->error, "\"message\":\"cannot explain m");
    HAS(fake_last_event(&f)->error, "\"method\":\"m\"");
    id = ask(&f);
    CHECK_INT(cl_node_close(f.node, 0), 0);
    CHECK(fake_find(&f, CLOUDS_EVENT_STATUS)->e.id == id && fake_find(&f, CLOUDS_EVENT_STATUS)->e.code == CLOUDS_ECLOSED);
    fake_end(&f);
}

/* ---- whose latency it is */

enum { MANY = 6 };

static const char ids[MANY][4] = {"s.0", "s.1", "s.2", "s.3", "s.4", "s.5"};

/* Each takes as many milliseconds as its number says, and a hundred. Calls that are under way are answered in the order
 * of their servers, so that lists may change in between. */
static void answer_all(fake *f)
{
    int64_t ms = 0;
    for (int server = 0; server < MANY; server++) {
        fake_advance(f, 100 + server - ms);
        ms = 100 + server;
        for (int i = 0; i < f->n_sent; i++)
            if (strcmp(f->sent[i].to, ids[server]) == 0) fake_answer(f, i, "", "[]");
    }
    f->n_sent = f->n_events = 0;
}

static void list(fake *f, cl_server *out, unsigned without)
{
    size_t n = 0;
    for (int i = 0; i < MANY; i++)
        if (!(without & 1u << i)) out[n++] = (cl_server){.id = cl_str_z(ids[i]), .native = CL_NATIVE_OURS, .traits = {1, {"", 0}}};
    cl_core_servers(f->core, CL_STR("m"), out, n, 0);
}

static void check_latencies(fake *f, unsigned without)
{
    cl_server room[MANY];
    char want[32];
    ask(f);
    list(f, room, without);
    const char *at = fake_last_event(f)->data;
    for (int i = 0; i < MANY; i++) {
        if (without & 1u << i) continue;
        snprintf(want, sizeof want, "\"id\":\"%s\"", ids[i]);
        at = strstr(at, want);
        if (!CHECK(at)) return;
        snprintf(want, sizeof want, "\"latency\":%g,", (100 + i) / 1000.0);
        HAS(at, want);
        CHECK(strstr(at, "latency") == strstr(at, want) + 1);
    }
}

/* However it was chosen, and though the list changes while its answer is awaited. */
static void a_latency_is_that_of_who_answered(void)
{
    for (int balance = CL_BALANCE_TURNS; balance <= CL_BALANCE_RANDOM; balance++) {
        fake f = {0};
        cl_server room[MANY];
        start(&f, balance);
        fake_call(&f, "m");
        list(&f, room, 0);
        for (int i = 0; i < 60; i++) fake_call(&f, "m");
        for (int i = 0; i < MANY; i++) fake_call_spec(&f, (cl_call_spec){.server = cl_str_z(ids[i])});
        answer_all(&f);
        check_latencies(&f, 0);
        for (int i = 0; i < 60; i++) fake_call(&f, "m");
        cl_core_server_down(f.core, CL_STR("m"), CL_STR("s.2"));
        list(&f, room, 1 | 4);
        answer_all(&f);
        check_latencies(&f, 1 | 4);
        fake_end(&f);
    }
}

int main(void)
{
    RUN(a_server_is_told_of);
    RUN(nothing_is_changed_by_it);
    RUN(the_next_is_the_one_that_is_called);
    RUN(by_chance_and_by_key_nobody_is_named);
    RUN(a_paused_one_is_named);
    RUN(what_is_known_of_failures);
    RUN(a_busy_one_is_named);
    RUN(who_is_near_is_named);
    RUN(nobody_is_there);
    RUN(without_the_bus);
    RUN(it_ends);
    RUN(a_latency_is_that_of_who_answered);
    return tap_end();
}
