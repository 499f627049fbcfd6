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
    cl_core_server_up(f.core, CL_STR("m"), (cl_server){.id = CL_STR("s.2"), .native = CL_NATIVE_OURS});
    for (int i = 0; i < KEYS; i++) CHECK_INT(server_of(&f, i), at[i]);
    cl_core_server_up(f.core, CL_STR("m"), (cl_server){.id = CL_STR("s.5"), .native = CL_NATIVE_OURS});
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

/* ---- weights */

/* m is served by s.0 and so on, with these weights and tags. */
static void start_weighted(fake *f, int balance, int servers, const uint32_t *weights, const char *const *tags)
{
    static const char *const ids[] = {"s.0", "s.1", "s.2", "s.3", "s.4"};
    cl_server list[5];
    if (!f->config.timeout) f->config = fake_node_config("client");
    f->config.balance = balance;
    f->seed = 4711;
    fake_start(f);
    fake_call(f, "m");
    for (int i = 0; i < servers; i++)
        list[i] = (cl_server){cl_str_z(ids[i]), CL_NATIVE_OURS, 0, {weights[i], cl_str_z(tags ? tags[i] : "")}};
    cl_core_servers(f->core, CL_STR("m"), list, (size_t)servers, 0);
    fake_answer(f, 0, "", "[]");
    f->n_sent = f->n_events = 0;
}

/* Where the next call goes, which is answered at once. */
static int next_server(fake *f)
{
    f->n_sent = f->n_events = 0;
    fake_call(f, "m");
    int server = fake_last_sent(f)->to[2] - '0';
    fake_answer(f, 0, "", "[]");
    return server;
}

/* Exactly so many of the calls, and never more of one in a row than has to be. */
static void turns_go_by_weight(void)
{
    fake f = {0};
    int share[3] = {0}, row = 0, longest = 0, last = -1;
    start_weighted(&f, CL_BALANCE_TURNS, 3, (const uint32_t[]){5, 2, 1}, NULL);
    for (int i = 0; i < 800; i++) {
        int server = next_server(&f);
        share[server]++;
        row = server == last ? row + 1 : 1;
        last = server;
        if (row > longest) longest = row;
    }
    CHECK_INT(share[0], 500);
    CHECK_INT(share[1], 200);
    CHECK_INT(share[2], 100);
    CHECK(longest <= 3);
    fake_end(&f);
}

/* Who is out leaves its part to the others, by their weights; and one that changes its weight is heard. */
static void weights_of_those_that_are_left(void)
{
    fake f = {0};
    int share[4] = {0};
    start_weighted(&f, CL_BALANCE_TURNS, 3, (const uint32_t[]){5, 2, 1}, NULL);
    cl_core_server_down(f.core, CL_STR("m"), CL_STR("s.0"));
    for (int i = 0; i < 300; i++) share[next_server(&f)]++;
    CHECK_INT(share[0], 0);
    CHECK_INT(share[1], 200);
    CHECK_INT(share[2], 100);
    cl_core_server_up(f.core, CL_STR("m"), (cl_server){CL_STR("s.1"), CL_NATIVE_OURS, 0, {1, CL_STR_NONE}});
    cl_core_server_up(f.core, CL_STR("m"), (cl_server){CL_STR("s.3"), CL_NATIVE_OURS, 0, {8, CL_STR_NONE}});
    memset(share, 0, sizeof share);
    for (int i = 0; i < 1000; i++) share[next_server(&f)]++;
    CHECK_INT(share[1], 100);
    CHECK_INT(share[2], 100);
    CHECK_INT(share[3], 800);
    fake_end(&f);
}

/* Many of every weight, some of which come, go, and weigh something else: whoever was there all the time has its part in each
 * round, but for a call. */
static void many_turns_while_the_list_changes(void)
{
    enum { MANY = 300, ROUNDS = 40 };
    static char ids[MANY][8];
    static cl_server list[MANY];
    static int share[MANY];
    fake f = {0};
    uint32_t sum = 0;
    f.config = fake_node_config("client");
    fake_start(&f);
    fake_call(&f, "m");
    for (int i = 0; i < MANY; i++) {
        snprintf(ids[i], sizeof ids[i], "s.%d", i);
        list[i] = (cl_server){cl_str_z(ids[i]), CL_NATIVE_OURS, 0, {(uint32_t)(1 + i % 7), CL_STR_NONE}};
        sum += list[i].traits.weight;
    }
    cl_core_servers(f.core, CL_STR("m"), list, MANY, 0);
    fake_answer(&f, 0, "", "[]");
    for (int round = 0; round < ROUNDS; round++) {
        memset(share, 0, sizeof share);
        for (uint32_t i = 0; i < sum; i++) {
            f.n_sent = f.n_events = 0;
            fake_call(&f, "m");
            share[atoi(fake_last_sent(&f)->to + 2)]++;
            fake_answer(&f, 0, "", "[]");
        }
        for (int i = 0; i < MANY; i++)
            CHECK(abs(share[i] - (int)list[i].traits.weight) <= 1 || i == MANY - 1 || i == MANY - 2);
        /* The last leaves and comes again, and the one before it has another weight. */
        uint32_t *weight = &list[MANY - 2].traits.weight;
        cl_core_server_down(f.core, CL_STR("m"), list[MANY - 1].id);
        cl_core_server_up(f.core, CL_STR("m"), list[MANY - 1]);
        sum -= *weight;
        sum += *weight = round % 2 ? 1 : 100;
        cl_core_server_up(f.core, CL_STR("m"), list[MANY - 2]);
    }
    fake_end(&f);
}

static void chance_goes_by_weight(int balance)
{
    fake f = {0};
    int share[3] = {0};
    start_weighted(&f, balance, 3, (const uint32_t[]){6, 3, 1}, NULL);
    for (int i = 0; i < 10000; i++) share[next_server(&f)]++;
    CHECK(share[0] > 5700 && share[0] < 6300);
    CHECK(share[1] > 2700 && share[1] < 3300);
    CHECK(share[2] > 800 && share[2] < 1200);
    fake_end(&f);
}

static void random_goes_by_weight(void)
{
    chance_goes_by_weight(CL_BALANCE_RANDOM);
}

/* While nothing is under way all are alike but for that. */
static void least_goes_by_weight(void)
{
    chance_goes_by_weight(CL_BALANCE_LEAST);
}

/* Calls that are not answered pile up by weight. */
static void least_fills_by_weight(void)
{
    fake f = {0};
    int share[2] = {0};
    start_weighted(&f, CL_BALANCE_LEAST, 2, (const uint32_t[]){3, 1}, NULL);
    for (int i = 0; i < 400; i++) {
        fake_call(&f, "m");
        share[fake_last_sent(&f)->to[2] - '0']++;
    }
    CHECK(share[0] > 270 && share[0] < 330);
    fake_end(&f);
}

static void keys_go_by_weight(void)
{
    fake f = {0};
    int at[10000], share[3] = {0}, moved = 0;
    start_weighted(&f, CL_BALANCE_TURNS, 3, (const uint32_t[]){6, 3, 1}, NULL);
    for (int i = 0; i < 10000; i++) share[at[i] = server_of(&f, i)]++;
    CHECK(share[0] > 5700 && share[0] < 6300);
    CHECK(share[1] > 2700 && share[1] < 3300);
    CHECK(share[2] > 800 && share[2] < 1200);
    /* More weight takes keys from all others, and moves none between them. */
    cl_core_server_up(f.core, CL_STR("m"), (cl_server){CL_STR("s.2"), CL_NATIVE_OURS, 0, {3, CL_STR_NONE}});
    for (int i = 0; i < 10000; i++) {
        int now = server_of(&f, i);
        CHECK(now == at[i] || now == 2);
        moved += now != at[i];
    }
    CHECK(moved > 1300 && moved < 1700); /* a tenth is a quarter now */
    fake_end(&f);
}

/* Weights that are all the same are none: each key stays where it is. */
static void equal_weights_move_no_key(void)
{
    fake f = {0};
    start_weighted(&f, CL_BALANCE_TURNS, 3, (const uint32_t[]){1, 1, 1}, NULL);
    int at[KEYS];
    for (int i = 0; i < KEYS; i++) at[i] = server_of(&f, i);
    fake_end(&f);
    fake g = {0};
    start_weighted(&g, CL_BALANCE_TURNS, 3, (const uint32_t[]){7, 7, 7}, NULL);
    for (int i = 0; i < KEYS; i++) CHECK_INT(server_of(&g, i), at[i]);
    fake_end(&g);
}

static void others_are_told_its_weight(void)
{
    fake f = {0};
    f.config = fake_node_config("server");
    f.config.weight = 4;
    strcpy(f.config.tags, "zone=a");
    fake_start(&f);
    CHECK_INT(cl_node_open(f.node, 5), 0);
    CHECK_INT(f.n_describes, 1);
    CHECK_INT(f.weight, 4);
    CHECK_STR(f.tags, strlen(f.tags), "zone=a");
    f.config.timeout = 3;
    cl_node_configure(f.node, &f.config);
    CHECK_INT(f.n_describes, 1);
    f.config.weight = 5;
    cl_node_configure(f.node, &f.config);
    CHECK_INT(f.n_describes, 2);
    CHECK_INT(f.weight, 5);
    fake_end(&f);
}

/* ---- near */

static void prefer(fake *f, const char *tags, const char *name)
{
    f->config = fake_node_config("client");
    strcpy(f->config.tags, tags);
    strcpy(f->config.prefer, name);
}

static const char *const zones[] = {"zone=a,host=x", "zone=b,host=x", "host=y,zone=a", "", "zone=aa"};

static void who_is_near_is_asked(void)
{
    static const int ways[] = {CL_BALANCE_TURNS, CL_BALANCE_LEAST, CL_BALANCE_RANDOM, CL_BALANCE_HASH};
    static const uint32_t even[] = {1, 1, 1, 1, 1}, uneven[] = {1, 50, 3, 50, 50};
    for (size_t way = 0; way < 8; way++) {
        fake f = {0};
        int share[5] = {0};
        prefer(&f, "rack=7,zone=a", "zone");
        start_weighted(&f, ways[way / 2], 5, way % 2 ? uneven : even, zones);
        for (int i = 0; i < 400; i++) share[server_of(&f, i)]++;
        CHECK_INT(share[0] + share[2], 400);
        CHECK(share[0] > (way % 2 ? 60 : 120) && share[2] > 120);
        fake_end(&f);
    }
}

/* One that is near and not well is left for the others, and asked again when it is. */
static void nobody_near_is_well(void)
{
    fake f = {0};
    prefer(&f, "zone=b", "zone");
    start_weighted(&f, CL_BALANCE_TURNS, 5, (const uint32_t[]){1, 1, 1, 1, 1}, zones);
    for (int i = 0; i < 5; i++) CHECK_INT(next_server(&f), 1);
    f.n_sent = f.n_events = 0;
    fake_call(&f, "m");
    fake_refuse_busy(&f, 0, "0.5");
    CHECK_INT(f.n_sent, 2);
    CHECK(fake_last_sent(&f)->to[2] != '1');
    fake_answer(&f, 1, "", "[]");
    for (int i = 0; i < 5; i++) CHECK(next_server(&f) != 1);
    fake_advance(&f, 600);
    for (int i = 0; i < 5; i++) CHECK_INT(next_server(&f), 1);
    cl_core_server_down(f.core, CL_STR("m"), CL_STR("s.1"));
    for (int i = 0; i < 5; i++) CHECK(next_server(&f) != 1);
    fake_end(&f);
}

/* ---- latencies */

/* The answer comes after so many milliseconds. */
static int takes(fake *f, const int64_t *ms)
{
    f->n_sent = f->n_events = 0;
    fake_call(f, "m");
    int server = fake_last_sent(f)->to[2] - '0';
    fake_advance(f, ms[server]);
    fake_answer(f, 0, "", "[]");
    return server;
}

/* Of two servers the one that is slow loses wherever both are drawn: it has a quarter, when it is drawn twice. */
static void the_slow_get_less(void)
{
    fake f = {0};
    int share[2] = {0};
    start_weighted(&f, CL_BALANCE_LEAST, 2, (const uint32_t[]){1, 1}, NULL);
    for (int i = 0; i < 4000; i++) share[takes(&f, (const int64_t[]){5, 50})]++;
    CHECK(share[1] > 850 && share[1] < 1150);
    /* It gets well, and has its half again. */
    for (int i = 0; i < 1000; i++) takes(&f, (const int64_t[]){4 + i % 3, 4 + i % 3});
    memset(share, 0, sizeof share);
    for (int i = 0; i < 4000; i++) share[takes(&f, (const int64_t[]){4 + i % 3, 4 + i % 3})]++;
    CHECK(share[1] > 1500 && share[1] < 2500);
    fake_end(&f);
}

/* Who is ten times as slow is asked when the other has ten times as many calls under way. */
static void latency_times_calls(void)
{
    fake f = {0};
    start_weighted(&f, CL_BALANCE_LEAST, 2, (const uint32_t[]){1, 1}, NULL);
    for (int i = 0; i < 400; i++) takes(&f, (const int64_t[]){10, 100});
    int share[2] = {0};
    f.n_sent = f.n_events = 0;
    for (int i = 0; i < 440; i++) {
        fake_call(&f, "m");
        share[fake_last_sent(&f)->to[2] - '0']++;
    }
    CHECK(share[1] >= 40); /* 400 and 40, were both drawn always */
    CHECK(share[0] > 240);
    fake_end(&f);
}

/* A new server begins as one in the middle, and not as the fastest or the slowest. */
static void the_new_begin_in_the_middle(void)
{
    fake f = {0};
    start_weighted(&f, CL_BALANCE_LEAST, 3, (const uint32_t[]){1, 1, 1}, NULL);
    const int64_t ms[] = {10, 20, 40, 20};
    for (int i = 0; i < 600; i++) takes(&f, ms);
    cl_core_server_up(f.core, CL_STR("m"), (cl_server){.id = CL_STR("s.3"), .native = CL_NATIVE_OURS});
    int share[4] = {0};
    for (int i = 0; i < 4000; i++) share[takes(&f, ms)]++;
    /* of the 16 pairs: s.0 wins in 7, s.2 is drawn twice in 1, and the two in the middle share 8 */
    CHECK(share[0] > 1600 && share[0] < 1900);
    CHECK(share[2] > 180 && share[2] < 330);
    CHECK(share[3] > 700 && share[3] < 1300);
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
    RUN(turns_go_by_weight);
    RUN(weights_of_those_that_are_left);
    RUN(many_turns_while_the_list_changes);
    RUN(random_goes_by_weight);
    RUN(least_goes_by_weight);
    RUN(least_fills_by_weight);
    RUN(keys_go_by_weight);
    RUN(equal_weights_move_no_key);
    RUN(others_are_told_its_weight);
    RUN(who_is_near_is_asked);
    RUN(nobody_near_is_well);
    RUN(the_slow_get_less);
    RUN(latency_times_calls);
    RUN(the_new_begin_in_the_middle);
    return tap_end();
}
