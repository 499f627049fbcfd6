/* Passwords, users, rights: what is refused is said in words that help, and mends by itself when the cause is gone. */
#include <stdio.h>

#include "base/log.h"
#include "clouds.h"
#include "redis/kit.h"
#include "support/tap.h"

static test_redis server, open_server;
static kit a;
static int node_a;

#define ID_A "s.686c821a.100.0"

static void url_with(char *out, size_t cap, const char *userinfo)
{
    snprintf(out, cap, "redis+unix://%s%s", userinfo, server.socket);
}

static void the_password_opens(void)
{
    REQUIRE(kit_open(&a, server.url, NULL) == 0);
    CHECK_INT(kit_node(&a, &node_a, ID_A, 2), 0);
    CHECK_INT(kit_register(&a, &node_a, "m"), 0);
    kit_close(&a, 0);
    REQUIRE(kit_open(&a, server.tcp_url, NULL) == 0);
    CHECK_INT(kit_node(&a, &node_a, ID_A, 2), 0);
    kit_close(&a, 0);
}

static void refused(const char *userinfo, const char *words)
{
    char url[300];
    url_with(url, sizeof url, userinfo);
    REQUIRE(kit_open(&a, url, NULL) == 0);
    for (int i = 0; i < 2; i++) { /* it goes on trying, and says so each time */
        kit_note *n = kit_take(&a, "state");
        CHECK_INT(n->number, 0);
        CHECK_INT(n->code, CLOUDS_EAUTH);
        CHECK(strstr(n->text, words) != NULL);
        CHECK(strstr(n->text, "secret") == NULL && strstr(n->text, "wrong:") == NULL);
    }
    kit_close(&a, 0);
}

static void no_password_is_named(void)
{
    refused("", "asks for a password");
}

static void a_wrong_password_is_named(void)
{
    refused(":wrong@", "does not accept this");
}

static char told[20000];

static void on_log(void *self, int level, const char *line)
{
    size_t n = strlen(told);
    if (level >= CLOUDS_LOG_WARN) snprintf(told + n, sizeof told - n, "%s\n", line);
}

static int times(const char *words)
{
    int n = 0;
    for (const char *p = told; (p = strstr(p, words)); p++) n++;
    return n;
}

/* Both connections are told so, and the user is once. */
static void a_needless_password_does_no_harm(void)
{
    char url[300];
    snprintf(url, sizeof url, "redis+unix://:needless@%s", open_server.socket);
    told[0] = '\0';
    cl_log_hook(on_log, NULL, CLOUDS_LOG_DEBUG);
    REQUIRE(kit_open(&a, url, NULL) == 0);
    CHECK_INT(kit_node(&a, &node_a, ID_A, 2), 0);
    kit_close(&a, 0);
    cl_log_hook(NULL, NULL, 0);
    CHECK_INT(times("the address has a password"), 1);
}

static void a_user_with_just_enough_rights(void)
{
    char url[300];
    test_redis_command(&server,
                       "ACL SETUSER little on >pw resetchannels resetkeys -@all ~clouds:* &clouds:* "
                       "+subscribe +unsubscribe +publish +set +expire +del +sadd +srem +smembers +mget +scan +ping");
    url_with(url, sizeof url, "little:pw@");
    REQUIRE(kit_open(&a, url, NULL) == 0);
    CHECK_INT(kit_node(&a, &node_a, ID_A, 2), 0); /* no TIME, EXISTS, INFO, CLIENT */
    CHECK_INT(kit_register(&a, &node_a, "acl"), 0);
    CHECK_INT(kit_say(&a, ID_A, ID_A, "1", 4), 0);
    CHECK_INT(kit_take(&a, "delivery")->number, 1);
    cl_envelope e = {.type = CL_CALL,
                     .flags = CL_NATIVE,
                     .from = CL_STR(ID_A),
                     .to = CL_STR(ID_A),
                     .id = CL_STR("iiiiiiii"),
                     .method = CL_STR("acl"),
                     .args = CL_STR("[]"),
                     .deadline = cl_loop_now() + 1000};
    CHECK_INT(a.bus->ops->send(a.bus, &node_a, &e, 0), 0);
    kit_take(&a, "envelope");
    CHECK_INT(kit_take(&a, "envelope")->number, 0); /* without a common clock no deadline travels */
    a.bus->ops->lookup(a.bus, CL_STR("acl"), 0);
    CHECK_INT(kit_take(&a, "servers")->number, 1);
    kit_close(&a, 0);
}

static void a_missing_right_is_named(void)
{
    char url[300];
    test_redis_command(&server, "ACL SETUSER noset on >pw resetchannels resetkeys +@all -set ~* &clouds:*");
    url_with(url, sizeof url, "noset:pw@");
    REQUIRE(kit_open(&a, url, NULL) == 0);
    REQUIRE(kit_node(&a, &node_a, ID_A, 0.2) == 0);
    REQUIRE(a.bus->ops->register_method(a.bus, &node_a, CL_STR("m2"), 5) == 0);
    kit_note *n = kit_take(&a, "registered");
    CHECK_INT(n->code, CLOUDS_EAUTH);
    CHECK(strstr(n->text, "lacks a right") && strstr(n->text, "NOPERM"));
    test_redis_command(&server, "ACL SETUSER noset +set");
    WAIT_FOR(strcmp(test_redis_command(&server, "EXISTS clouds:S:m2:" ID_A), "1") == 0);
    kit_close(&a, 0);
}

static void a_forbidden_channel_is_named(void)
{
    char url[300];
    test_redis_command(&server, "ACL SETUSER deaf on >pw resetchannels +@all ~* &clouds:D*");
    url_with(url, sizeof url, "deaf:pw@");
    REQUIRE(kit_open(&a, url, NULL) == 0);
    REQUIRE(a.bus->ops->node_open(a.bus, &node_a, CL_STR(ID_A), 2) == 0);
    REQUIRE(a.bus->ops->register_method(a.bus, &node_a, CL_STR("unheard"), 8) == 0);
    kit_note *n = kit_take(&a, "ready");
    CHECK_INT(n->code, CLOUDS_EAUTH);
    CHECK(strstr(n->text, "NOPERM") != NULL);
    CHECK_INT(kit_take(&a, "registered")->code, CLOUDS_EAUTH);
    CHECK_INT(a.bus->ops->register_method(a.bus, &node_a, CL_STR("unheard"), 9), CLOUDS_EAUTH);
    CHECK_INT(kit_say(&a, ID_A, "x", "1", 9), 0); /* nor may it publish there */
    CHECK_INT(kit_take(&a, "delivery")->code, CL_DELIVERY_NOT_SENT);
    kit_close(&a, 0);
}

static void a_password_that_changes_and_comes_back(void)
{
    REQUIRE(kit_open(&a, server.url, NULL) == 0);
    REQUIRE(kit_node(&a, &node_a, ID_A, 2) == 0);
    test_redis_command(&server, "CONFIG SET requirepass other");
    test_redis_command(&server, "CLIENT KILL TYPE normal SKIPME yes");
    test_redis_command(&server, "CLIENT KILL TYPE pubsub");
    WAIT_FOR(!a.up);
    kit_forget(&a);
    WAIT_FOR(kit_find(&a, "state"));
    test_redis_command(&server, "CONFIG SET requirepass secret");
    WAIT_FOR(a.up);
    kit_close(&a, 0);
}

static void too_many_clients_is_named(void)
{
    test_redis_command(&open_server, "CONFIG SET maxclients 2");
    REQUIRE(kit_open(&a, open_server.url, NULL) == 0);
    kit_note *n;
    int named = 0;
    for (int i = 0; i < 60 && !named; i++) { /* at times the write fails before the words are read */
        n = kit_take(&a, "state");
        named = n->code == CLOUDS_EREDIS && strstr(n->text, "maxclients") != NULL;
    }
    CHECK(named);
    test_redis_command(&open_server, "CONFIG SET maxclients 100");
    WAIT_FOR(a.up);
    kit_close(&a, 0);
}

/* However often it is tried: once when it begins, and once when it is over. */
static void a_refusal_is_told_once_each_way(void)
{
    told[0] = '\0';
    cl_log_hook(on_log, NULL, CLOUDS_LOG_DEBUG);
    REQUIRE(kit_open(&a, open_server.url, NULL) == 0);
    REQUIRE(kit_node(&a, &node_a, ID_A, 0.2) == 0);
    REQUIRE(kit_register(&a, &node_a, "m") == 0);
    CHECK_INT(times("\n"), 0);
    test_redis_command(&open_server, "CONFIG SET min-replicas-to-write 1");
    WAIT_FOR(times("NOREPLICAS") == 1);
    kit_idle(700);
    CHECK_INT(times("NOREPLICAS"), 1);
    test_redis_command(&open_server, "CONFIG SET min-replicas-to-write 0");
    WAIT_FOR(times("EXPIRE is taken again") == 1);
    WAIT_FOR(strcmp(test_redis_command(&open_server, "EXISTS clouds:S:m:" ID_A), "1") == 0);
    test_redis_command(&open_server, "ACL SETUSER default -publish");
    for (int i = 0; i < 20; i++) {
        CHECK_INT(kit_call(&a, ID_A, ID_A, "m", "iiiiiiii", "[]", 5), 0);
        kit_note *n = kit_take(&a, "delivery");
        CHECK_INT(n->code, CL_DELIVERY_NOT_SENT);
        CHECK_INT(n->number, CLOUDS_EAUTH);
        CHECK(strstr(clouds_last_error(), "PUBLISH") && strstr(clouds_last_error(), "+publish"));
    }
    CHECK_INT(times("PUBLISH: this Redis user lacks"), 1);
    test_redis_command(&open_server, "ACL SETUSER default +publish");
    CHECK_INT(kit_call(&a, ID_A, ID_A, "m", "iiiiiiii", "[]", 5), 0);
    kit_take(&a, "envelope");
    WAIT_FOR(times("PUBLISH is taken again") == 1);
    kit_close(&a, 0);
    cl_log_hook(NULL, NULL, 0);
}

int main(void)
{
    if (test_redis_start(&server, &(test_redis_options){.tcp = 1, .password = "secret"})) return EXIT_FAILURE;
    if (test_redis_start(&open_server, NULL)) return EXIT_FAILURE;
    RUN(the_password_opens);
    RUN(no_password_is_named);
    RUN(a_wrong_password_is_named);
    RUN(a_needless_password_does_no_harm);
    RUN(a_user_with_just_enough_rights);
    RUN(a_missing_right_is_named);
    RUN(a_forbidden_channel_is_named);
    RUN(a_password_that_changes_and_comes_back);
    RUN(too_many_clients_is_named);
    RUN(a_refusal_is_told_once_each_way);
    test_redis_stop(&server);
    test_redis_stop(&open_server);
    return tap_end();
}
