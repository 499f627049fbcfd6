/* Who serves what: by the index, by a scan, and never by KEYS. */
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clouds.h"
#include "redis/kit.h"
#include "redis/monitor.h"
#include "support/tap.h"

static test_redis server;
static kit a, b;
static int node_a, node_b;
static monitor seen;

#define ID_A "s.686c821a.100.0"
#define ID_B "s.686c821a.100.1"

/* A node that is there, as far as Redis knows: it listens. */
static int listener(const char *id)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char text[200], answer[400];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(at.sun_path, sizeof at.sun_path, "%s", server.socket);
    int n = snprintf(text, sizeof text, "SUBSCRIBE %s\r\n", id);
    CHECK(connect(fd, (struct sockaddr *)&at, sizeof at) == 0 && write(fd, text, (size_t)n) == n);
    CHECK(read(fd, answer, sizeof answer) > 0);
    return fd;
}

static void begin(void)
{
    test_redis_command(&server, "FLUSHALL");
    CHECK(kit_open(&a, server.url, NULL) == 0);
    CHECK(kit_node(&a, &node_a, ID_A, 2) == 0);
}

static void look(const char *method, int known, const char *want)
{
    a.bus->ops->lookup(a.bus, cl_str_z(method), known);
    kit_note *n = kit_take(&a, "servers");
    CHECK_INT(n->code, 0);
    CHECK_STR(n->text, strlen(n->text), want);
}

static void the_index_answers_without_a_scan(void)
{
    begin();
    CHECK_INT(kit_register(&a, &node_a, "idx"), 0);
    REQUIRE(monitor_start(&seen, &server) == 0);
    look("idx", 0, "idx " ID_A "+");
    look("idx", 0, "idx " ID_A "+");
    monitor_read(&seen, &server);
    CHECK_INT(monitor_count(&seen, "\"SCAN\""), 0);
    CHECK_INT(monitor_count(&seen, "\"SMEMBERS\""), 2);
    CHECK_INT(monitor_count(&seen, "\"KEYS\""), 0);
    monitor_stop(&seen);
    kit_close(&a, 0);
}

static void npm_servers_are_found_by_a_scan(void)
{
    begin();
    int npm = listener("clouds:L:s.aaaaaaaa.1.0");
    test_redis_command(&server, "SETEX clouds:S:npm.m:s.aaaaaaaa.1.0 100 1");
    test_redis_command(&server, "SETEX clouds:S:npm.m:s.aaaaaaaa.2.0 100 1");
    test_redis_command(&server, "SETEX clouds:S:npm.m:sub:s.aaaaaaaa.3.0 100 1"); /* another method: npm.m:sub */
    test_redis_command(&server, "SETEX clouds:S:npm.m: 100 1");                   /* no id (WIRE.md 5.4) */
    test_redis_command(&server, "SETEX clouds:S:npm.mm:s.aaaaaaaa.4.0 100 1");
    test_redis_command(&server, "SETEX clouds2:S:npm.m:s.aaaaaaaa.5.0 100 1");
    look("npm.m", 0, "npm.m s.aaaaaaaa.1.0 s.aaaaaaaa.2.0");
    kit_close(&a, 0);
    close(npm);
}

static void a_refresh_sees_both_kinds(void)
{
    begin();
    int npm = listener("clouds:L:s.aaaaaaaa.1.0");
    CHECK_INT(kit_register(&a, &node_a, "mixed"), 0);
    test_redis_command(&server, "SETEX clouds:S:mixed:s.aaaaaaaa.1.0 100 1");
    look("mixed", 0, "mixed " ID_A "+"); /* the index has one: no call waits for a scan */
    look("mixed", 1, "mixed " ID_A "+ s.aaaaaaaa.1.0");
    look("mixed", 0, "mixed " ID_A "+ s.aaaaaaaa.1.0");
    test_redis_command(&server, "DEL clouds:S:mixed:s.aaaaaaaa.1.0"); /* what the scan saw is verified */
    look("mixed", 0, "mixed " ID_A "+");
    kit_close(&a, 0);
    close(npm);
}

/* Keys of others, however many, are not walked where nobody listens who has to be found so. */
static void without_npm_nodes_no_key_is_walked(void)
{
    begin();
    CHECK_INT(kit_register(&a, &node_a, "ours"), 0);
    int named = listener("clouds:L:c.aaaaaaaa.1.0"), other = listener("elsewhere:L:s.aaaaaaaa.1.0");
    REQUIRE(kit_open(&b, server.url, NULL) == 0);
    REQUIRE(kit_node(&b, &node_b, "some-name", 0.2) == 0);
    REQUIRE(monitor_start(&seen, &server) == 0);
    kit_idle(2500); /* the record of a name that says nothing is kept */
    for (int i = 0; i < 3; i++) {
        look("ours", 1, "ours " ID_A "+");
        look("theirs", 0, "theirs");
    }
    monitor_read(&seen, &server);
    CHECK_INT(monitor_count(&seen, "\"SCAN\""), 0);
    monitor_stop(&seen);
    close(named);
    close(other);
    kit_close(&b, 0);
    kit_close(&a, 0);
}

/* Killed a moment ago, with keys and records that live for a while: none of them is in the list. */
static void the_killed_are_passed_over_in_one_look(void)
{
    begin();
    CHECK_INT(kit_register(&a, &node_a, "grave"), 0);
    for (int i = 0; i < 3000; i++) {
        test_redis_command(&server, "SADD clouds:M:grave s.eeeeeeee.%d.0", i);
        test_redis_command(&server, "SETEX clouds:S:grave:s.eeeeeeee.%d.0 100 1", i);
        test_redis_command(&server, "SETEX clouds:N:s.eeeeeeee.%d.0 100 {}", i);
    }
    look("grave", 0, "grave " ID_A "+");
    kit_close(&a, 0);
}

/* Its handler runs for so long that its keys run out. */
static void the_only_one_is_busy(void)
{
    begin();
    int busy = listener("clouds:L:s.bbbbbbbb.1.1");
    test_redis_command(&server, "SADD clouds:M:busy s.bbbbbbbb.1.1 s.bbbbbbbb.1.2");
    look("busy", 0, "busy s.bbbbbbbb.1.1+");
    look("busy", 1, "busy s.bbbbbbbb.1.1+");
    look("busy", 0, "busy s.bbbbbbbb.1.1+"); /* the index keeps it */
    CHECK_INT(kit_register(&a, &node_a, "busy"), 0);
    look("busy", 0, "busy " ID_A "+");
    close(busy);
    kit_close(&a, 0);
}

/* A key of somebody else's stands where the index should: the servers are found all the same. */
static void a_key_of_another_kind_is_passed_over(void)
{
    begin();
    test_redis_command(&server, "SET clouds:M:odd text");
    CHECK_INT(kit_register(&a, &node_a, "odd"), 0);
    look("odd", 0, "odd " ID_A "+");
    CHECK(strcmp(test_redis_command(&server, "GET clouds:M:odd"), "text") == 0);
    kit_close(&a, 0);
}

static void nobody_is_an_empty_list(void)
{
    begin();
    look("nothing", 0, "nothing");
    kit_close(&a, 0);
}

static void the_dead_leave_the_index(void)
{
    begin();
    test_redis_command(&server, "SADD clouds:M:dead s.bbbbbbbb.1.1 s.bbbbbbbb.1.2");
    test_redis_command(&server, "SETEX clouds:S:dead:s.bbbbbbbb.1.2 100 1");
    test_redis_command(&server, "SETEX clouds:N:s.bbbbbbbb.1.2 100 {}");
    int alive = listener("clouds:L:s.bbbbbbbb.1.2");
    look("dead", 0, "dead s.bbbbbbbb.1.2+");
    WAIT_FOR(strcmp(test_redis_command(&server, "SMEMBERS clouds:M:dead"), "s.bbbbbbbb.1.2") == 0);
    close(alive);
    kit_close(&a, 0);
}

/* One scan serves many looks, and the next begins a second later at the earliest. */
static void scans_are_rare(void)
{
    begin();
    int npm = listener("clouds:L:s.aaaaaaaa.1.0");
    REQUIRE(monitor_start(&seen, &server) == 0);
    for (int i = 0; i < 50; i++) {
        char method[16];
        snprintf(method, sizeof method, "none.%d", i);
        a.bus->ops->lookup(a.bus, cl_str_z(method), 0);
        a.bus->ops->lookup(a.bus, cl_str_z(method), 0);
    }
    for (int i = 0; i < 50; i++) CHECK_INT(kit_take(&a, "servers")->code, 0);
    monitor_read(&seen, &server);
    CHECK(monitor_count(&seen, "\"SCAN\" \"0\"") <= 2);
    CHECK(kit_find(&a, "servers") == NULL);
    int64_t start = cl_loop_now();
    look("none.1", 0, "none.1");
    CHECK(cl_loop_now() - start < 10000);
    monitor_read(&seen, &server);
    CHECK(monitor_count(&seen, "\"SCAN\" \"0\"") <= 3);
    monitor_stop(&seen);
    kit_close(&a, 0);
    close(npm);
}

static void many_keys(void)
{
    begin();
    int npm = listener("clouds:L:s.aaaaaaaa.1.0");
    test_redis_command(&server, "DEBUG POPULATE 20000 other");
    for (int i = 0; i < 3000; i++) test_redis_command(&server, "SETEX clouds:S:m%d:s.cccccccc.%d.0 100 1", i % 7, i);
    a.bus->ops->lookup(a.bus, CL_STR("m3"), 0);
    CHECK_INT(kit_take(&a, "servers")->number, 429);
    kit_close(&a, 0);
    close(npm);
}

static void looks_are_independent_of_prefix_signs(void)
{
    static const char *const prefixes[] = {"a*", "p?", "q[x]", "x:y", "b%5Cs"};
    test_redis_command(&server, "FLUSHALL");
    test_redis_command(&server, "SETEX aX:S:m:s.aaaaaaaa.9.9 100 1");
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        char url[400];
        snprintf(url, sizeof url, "%s?prefix=%s", server.url, prefixes[i]);
        REQUIRE(kit_open(&a, url, NULL) == 0);
        REQUIRE(kit_node(&a, &node_a, ID_A, 2) == 0);
        const char *plain = i == 4 ? "b\\s" : prefixes[i];
        char key[64], channel[64];
        snprintf(channel, sizeof channel, "\"%s%s:L:s.aaaaaaaa.1.0\"", i == 4 ? "b\\" : plain, i == 4 ? "\\s" : "");
        int npm = listener(channel);
        snprintf(key, sizeof key, "%s:S:m:s.aaaaaaaa.1.0", plain);
        test_redis_argv(&server, 5, (const char *[]){"SET", key, "1", "EX", "100"}, NULL);
        look("m", 0, "m s.aaaaaaaa.1.0");
        close(npm);
        kit_close(&a, 0);
    }
}

static void prefixes_are_worlds(void)
{
    char url[400];
    test_redis_command(&server, "FLUSHALL");
    snprintf(url, sizeof url, "%s?prefix=other", server.url);
    REQUIRE(kit_open(&a, server.url, NULL) == 0);
    REQUIRE(kit_open(&b, url, NULL) == 0);
    REQUIRE(kit_node(&a, &node_a, ID_A, 2) == 0);
    REQUIRE(kit_node(&b, &node_b, ID_A, 2) == 0);
    CHECK_INT(kit_register(&b, &node_b, "m"), 0);
    look("m", 0, "m");
    CHECK(kit_find(&a, "up") == NULL);
    kit_close(&a, 0);
    kit_close(&b, 0);
}

/* app and app:x are two worlds; with app:S, keys of one would be read by the other. */
static void prefixes_that_begin_alike(void)
{
    char url[400];
    static const char *const refused[] = {"app:S", "app:M:x", "a:b:L", "x:D"};
    test_redis_command(&server, "FLUSHALL");
    snprintf(url, sizeof url, "%s?prefix=app", server.url);
    REQUIRE(kit_open(&a, url, NULL) == 0);
    snprintf(url, sizeof url, "%s?prefix=app:x", server.url);
    REQUIRE(kit_open(&b, url, NULL) == 0);
    REQUIRE(kit_node(&a, &node_a, ID_A, 2) == 0);
    REQUIRE(kit_node(&b, &node_b, ID_B, 2) == 0);
    CHECK_INT(kit_register(&b, &node_b, "m"), 0);
    look("m", 0, "m");
    a.bus->ops->status(a.bus, 72);
    CHECK_INT(kit_take(&a, "end")->code, 0);
    CHECK(kit_find(&a, "status") == NULL && kit_find(&a, "up") == NULL);
    kit_close(&a, 0);
    kit_close(&b, 0);
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        snprintf(url, sizeof url, "%s?prefix=%s", server.url, refused[i]);
        CHECK_INT(kit_open(&a, url, NULL), CLOUDS_EURL);
        CHECK(strstr(clouds_last_error(), refused[i]) != NULL);
        kit_close(&a, 1);
    }
}

/* Channels know no database, so what is told there does. */
static void databases_are_worlds(void)
{
    char url[400];
    test_redis_command(&server, "FLUSHALL");
    snprintf(url, sizeof url, "%s?db=3", server.url);
    REQUIRE(kit_open(&a, url, NULL) == 0);
    snprintf(url, sizeof url, "%s?db=1", server.url);
    REQUIRE(kit_open(&b, url, NULL) == 0);
    REQUIRE(kit_node(&a, &node_a, ID_A, 2) == 0);
    REQUIRE(kit_node(&b, &node_b, ID_B, 2) == 0);
    a.bus->ops->lookup(a.bus, CL_STR("m"), 0);
    kit_take(&a, "servers");
    b.bus->ops->lookup(b.bus, CL_STR("m"), 0);
    kit_take(&b, "servers");
    CHECK_INT(kit_register(&a, &node_a, "m"), 0);
    CHECK_STR(kit_take(&a, "up")->text, strlen("m " ID_A "+"), "m " ID_A "+");
    b.bus->ops->lookup(b.bus, CL_STR("m"), 0);
    CHECK_INT(kit_take(&b, "servers")->number, 0);
    CHECK(kit_find(&b, "up") == NULL);
    kit_close(&a, 0);
    kit_close(&b, 0);
}

static void databases_part_the_registry(void)
{
    char url[400];
    test_redis_command(&server, "FLUSHALL");
    snprintf(url, sizeof url, "%s?db=3", server.url);
    REQUIRE(kit_open(&a, url, NULL) == 0);
    REQUIRE(kit_node(&a, &node_a, ID_A, 2) == 0);
    CHECK_INT(kit_register(&a, &node_a, "m"), 0);
    CHECK_STR(test_redis_command(&server, "EXISTS clouds:S:m:" ID_A), 1, "0");
    test_redis_command(&server, "SELECT 3");
    CHECK_STR(test_redis_command(&server, "EXISTS clouds:S:m:" ID_A), 1, "1");
    test_redis_command(&server, "SELECT 0");
    look("m", 0, "m " ID_A "+");
    kit_close(&a, 0);
}

static void status_tells_every_row(void)
{
    begin();
    CHECK_INT(kit_register(&a, &node_a, "one"), 0);
    CHECK_INT(kit_register(&a, &node_a, "a:b"), 0);
    test_redis_command(&server, "SETEX clouds:S:one:s.aaaaaaaa.1.0 100 1");
    for (int i = 0; i < 600; i++) test_redis_command(&server, "SETEX clouds:S:bulk:s.dddddddd.%d.0 100 1", i);
    a.bus->ops->status(a.bus, 70);
    kit_note *n = kit_take(&a, "end");
    CHECK_INT(n->id, 70);
    CHECK_INT(n->code, 0);
    int rows = 0, found = 0;
    while ((n = kit_find(&a, "status"))) {
        rows++;
        found +=
            !strcmp(n->text, "one " ID_A) || !strcmp(n->text, "a:b " ID_A) || !strcmp(n->text, "one s.aaaaaaaa.1.0");
    }
    CHECK_INT(rows, 603);
    CHECK_INT(found, 3);
    kit_close(&a, 0);
}

static void questions_while_redis_is_away(void)
{
    REQUIRE(kit_open(&a, "redis+unix:///nonexistent/socket", NULL) == 0);
    kit_note *n = kit_take(&a, "state");
    CHECK_INT(n->number, 0);
    CHECK(n->code < 0 && strstr(n->text, "/nonexistent/socket"));
    a.bus->ops->lookup(a.bus, CL_STR("m"), 0);
    CHECK(kit_find(&a, "servers") == NULL); /* never from inside */
    CHECK_INT(kit_take(&a, "servers")->code, CLOUDS_EUNREACHABLE);
    a.bus->ops->status(a.bus, 71);
    CHECK(kit_find(&a, "end") == NULL);
    CHECK_INT(kit_take(&a, "end")->code, CLOUDS_EUNREACHABLE);
    CHECK_INT(kit_call(&a, ID_A, ID_B, "m", "iiiiiiii", "[]", 1), CLOUDS_EUNREACHABLE);
    kit_close(&a, 0);
}

int main(void)
{
    if (test_redis_start(&server, &(test_redis_options){.extra = {"--enable-debug-command", "yes"}}))
        return EXIT_FAILURE;
    RUN(the_index_answers_without_a_scan);
    RUN(npm_servers_are_found_by_a_scan);
    RUN(a_refresh_sees_both_kinds);
    RUN(without_npm_nodes_no_key_is_walked);
    RUN(the_killed_are_passed_over_in_one_look);
    RUN(the_only_one_is_busy);
    RUN(a_key_of_another_kind_is_passed_over);
    RUN(nobody_is_an_empty_list);
    RUN(the_dead_leave_the_index);
    RUN(scans_are_rare);
    RUN(many_keys);
    RUN(looks_are_independent_of_prefix_signs);
    RUN(prefixes_are_worlds);
    RUN(prefixes_that_begin_alike);
    RUN(databases_are_worlds);
    RUN(databases_part_the_registry);
    RUN(status_tells_every_row);
    RUN(questions_while_redis_is_away);
    test_redis_stop(&server);
    return tap_end();
}
