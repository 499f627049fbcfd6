#include "fake.h"

/* How a server is chosen, other than by turns. */

enum { SERVERS = 5, KEYS = 2000, KEY_OF_K1 = 346107 };

static void start(fake *f, int balance, int servers)
{
    char ids[64] = "";
    f->config = fake_node_config("client");
    f->config.balance = balance;
    fake_start(f);
    for (int i = 0; i < servers; i++) snprintf(ids + strlen(ids), sizeof ids - strlen(ids), "%ss.%d", i ? "," : "", i);
    fake_call(f, "m");
    fake_servers(f, "m", ids);
    fake_answer(f, 0, "", "[]");
    f->n_sent = f->n_events = 0;
}

/* The server that a call of this key goes to, which answers. */
static int server_of(fake *f, int key)
{
    char text[16];
    f->n_sent = f->n_events = 0;
    snprintf(text, sizeof text, "k%d", key);
    fake_call_spec(f, (cl_call_spec){.has_key = 1, .key = cl_balance_key(cl_str_z(text))});
    int server = fake_last_sent(f)->to[2] - '0';
    fake_answer(f, 0, "", "[]");
    return server;
}

static void a_key_has_its_server(void)
{
    fake f = {0};
    start(&f, CL_BALANCE_TURNS, SERVERS);
    int at[KEYS], share[SERVERS + 1] = {0}, moved = 0;
    for (int i = 0; i < KEYS; i++) share[at[i] = server_of(&f, i)]++;
    for (int i = 0; i < SERVERS; i++) CHECK(share[i] > KEYS / SERVERS * 3 / 4 && share[i] < KEYS / SERVERS * 5 / 4);
    for (int i = 0; i < KEYS; i++) CHECK_INT(server_of(&f, i), at[i]);
    /* Who leaves moves its own keys, and who comes takes some; all others stay. */
    cl_core_server_down(f.core, CL_STR("m"), CL_STR("s.2"));
    for (int i = 0; i < KEYS; i++) {
        int now = server_of(&f, i);
        CHECK(now != 2);
        CHECK(now == at[i] || at[i] == 2);
    }
    cl_core_server_up(f.core, CL_STR("m"), (cl_server){CL_STR("s.2"), CL_NATIVE_OURS, 0});
    for (int i = 0; i < KEYS; i++) CHECK_INT(server_of(&f, i), at[i]);
    cl_core_server_up(f.core, CL_STR("m"), (cl_server){CL_STR("s.5"), CL_NATIVE_OURS, 0});
    for (int i = 0; i < KEYS; i++) {
        int now = server_of(&f, i);
        CHECK(now == at[i] || now == 5);
        moved += now != at[i];
    }
    CHECK(moved > KEYS / (SERVERS + 1) * 3 / 4 && moved < KEYS / (SERVERS + 1) * 5 / 4);
    fake_end(&f);
}

/* Every process computes the same. */
static void a_key_is_the_same_everywhere(void)
{
    CHECK(cl_balance_key(CL_STR("k1")) == cl_balance_key(CL_STR("k1")));
    CHECK(cl_balance_key(CL_STR("k1")) != cl_balance_key(CL_STR("k2")));
    CHECK_INT(cl_balance_key(CL_STR("k1")) % 1000000, KEY_OF_K1);
}

static void when_its_server_fails_another_is_asked(void)
{
    fake f = {0};
    start(&f, CL_BALANCE_TURNS, SERVERS);
    int first = server_of(&f, 7);
    f.n_sent = f.n_events = 0;
    uint64_t id = fake_call_spec(&f, (cl_call_spec){.has_key = 1, .key = cl_balance_key(CL_STR("k7"))});
    CHECK_INT(fake_last_sent(&f)->to[2] - '0', first);
    fake_refuse(&f, 0, CLOUDS_EOVERLOAD);
    CHECK_INT(f.n_sent, 2);
    CHECK(fake_last_sent(&f)->to[2] - '0' != first);
    fake_answer(&f, 1, "", "[]");
    CHECK_INT(fake_result(&f, id)->e.code, 0);
    CHECK_INT(server_of(&f, 7), first);
    fake_end(&f);
}

static void equal_arguments_go_to_one_server(void)
{
    fake f = {0};
    int at[20], others = 0;
    start(&f, CL_BALANCE_HASH, SERVERS);
    for (int i = 0; i < 60; i++) {
        char args[16];
        f.n_sent = 0;
        snprintf(args, sizeof args, "[%d]", i % 20);
        fake_call_spec(&f, (cl_call_spec){.args = cl_str_z(args)});
        int server = fake_last_sent(&f)->to[2] - '0';
        fake_answer(&f, 0, "", "[]");
        if (i >= 20) CHECK_INT(server, at[i % 20]);
        others += server != at[0];
        at[i % 20] = server;
    }
    CHECK(others > 20);
    fake_end(&f);
}

static void any_server_is_chosen(void)
{
    fake f = {0};
    int share[SERVERS] = {0};
    start(&f, CL_BALANCE_RANDOM, SERVERS);
    for (int i = 0; i < 1000; i++) {
        f.n_sent = f.n_events = 0;
        fake_call(&f, "m");
        share[fake_last_sent(&f)->to[2] - '0']++;
        fake_answer(&f, 0, "", "[]");
    }
    for (int i = 0; i < SERVERS; i++) CHECK(share[i] > 100);
    fake_end(&f);
}

/* A server that answers none gets few calls, and the others the same. */
static void fewer_calls_under_way(void)
{
    fake f = {0};
    int share[SERVERS] = {0};
    start(&f, CL_BALANCE_LEAST, SERVERS);
    for (int i = 0; i < 1000; i++) {
        fake_call(&f, "m");
        int server = fake_last_sent(&f)->to[2] - '0';
        share[server]++;
        if (server != 3) fake_answer(&f, f.n_sent - 1, "", "[]");
    }
    CHECK(share[3] < 100);
    for (int i = 0; i < SERVERS; i++) CHECK(i == 3 || share[i] > 100);
    fake_end(&f);
}

int main(void)
{
    RUN(a_key_has_its_server);
    RUN(a_key_is_the_same_everywhere);
    RUN(when_its_server_fails_another_is_asked);
    RUN(equal_arguments_go_to_one_server);
    RUN(any_server_is_chosen);
    RUN(fewer_calls_under_way);
    return tap_end();
}
