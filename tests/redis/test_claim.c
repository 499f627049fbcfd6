/* Two nodes with one id: one of them wins, the other is told who holds it, and neither loses what it registered. */
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clouds.h"
#include "redis/kit.h"
#include "support/tap.h"

static test_redis server;
static kit a, b, c;
static int node_a, node_b, node_c;

#define ID "s.686c821a.1.0"
#define KEY "clouds:S:m:" ID
#define RECORD "clouds:N:" ID

static void begin(void)
{
    test_redis_command(&server, "FLUSHALL");
    REQUIRE(kit_open(&a, server.url, NULL) == 0);
    REQUIRE(kit_node(&a, &node_a, ID, 1) == 0);
    REQUIRE(kit_register(&a, &node_a, "m") == 0);
}

#define says(command, expected) (strcmp(test_redis_command(&server, command), expected) == 0)

static void a_living_id_is_refused(void)
{
    char pid[32];
    begin();
    REQUIRE(kit_open(&b, server.url, NULL) == 0);
    REQUIRE(b.bus->ops->node_open(b.bus, &node_b, CL_STR(ID), 1) == 0);
    REQUIRE(b.bus->ops->register_method(b.bus, &node_b, CL_STR("m"), 7) == 0);
    kit_note *n = kit_take(&b, "ready");
    CHECK_INT(n->code, CLOUDS_EEXIST);
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    CHECK(strstr(n->text, ID) != NULL && strstr(n->text, pid) != NULL);
    CHECK_INT(kit_take(&b, "registered")->code, CLOUDS_EEXIST);
    WAIT_FOR(says("PUBSUB NUMSUB clouds:L:" ID, "clouds:L:" ID "\n1"));
    CHECK_INT(kit_call(&a, ID, ID, "m", "iiiiiiii", "[]", 3), 0);
    CHECK(kit_take(&a, "envelope")->node == &node_a);
    kit_idle(20);
    CHECK(kit_find(&b, "envelope") == NULL);
    b.bus->ops->node_close(b.bus, &node_b);
    kit_take(&b, "closed");
    CHECK(says("EXISTS " KEY " " RECORD, "2")); /* the end of one takes nothing from the other */
    kit_close(&b, 0);
    CHECK(says("EXISTS " KEY " " RECORD, "2"));
    a.bus->ops->node_close(a.bus, &node_a);
    kit_take(&a, "closed");
    CHECK(says("EXISTS " KEY " " RECORD, "0"));
    kit_close(&a, 0);
}

static void one_of_two_wins(void)
{
    REQUIRE(kit_open(&a, server.url, NULL) == 0);
    REQUIRE(kit_open(&b, server.url, NULL) == 0);
    REQUIRE(a.bus->ops->node_open(a.bus, &node_a, CL_STR(ID), 1) == 0);
    REQUIRE(b.bus->ops->node_open(b.bus, &node_b, CL_STR(ID), 1) == 0);
    int first = kit_take(&a, "ready")->code, second = kit_take(&b, "ready")->code;
    CHECK((first == 0) + (second == 0) == 1);
    CHECK_INT(first + second, CLOUDS_EEXIST);
    kit_close(&a, 0);
    kit_close(&b, 0);
}

static void of_two_at_once_one_wins(void)
{
    test_redis_command(&server, "FLUSHALL");
    for (int i = 0; i < 5; i++) one_of_two_wins();
}

/* It is what one left that came too late to let it go, and none of the two gets it: they do not both lose. */
static void of_two_one_wins_beside_a_lock_of_nobody(void)
{
    test_redis_command(&server, "FLUSHALL");
    test_redis_command(&server, "SET clouds:C:" ID " x PX 600000");
    one_of_two_wins();
}

static int times_asked(void)
{
    const char *at = strstr(test_redis_command(&server, "INFO commandstats"), "numsub:calls=");
    return at ? atoi(at + strlen("numsub:calls=")) : 0;
}

/* `a` stands for one that wants what a dead process left as `b` does, and gets no turn. */
static void become_the_last_one(void)
{
    begin();
    test_redis_command(&server, "SET " RECORD " {\"pid\":1,\"token\":\"x\"} EX 600");
    REQUIRE(kit_open(&b, server.url, NULL) == 0);
    REQUIRE(b.bus->ops->node_open(b.bus, &node_b, CL_STR(ID), 1) == 0);
    WAIT_FOR(says("EXISTS clouds:C:" ID, "1"));
}

/* Of those that contend all but one leave. That one waits for them, and not so briefly that all lose. */
static void the_last_one_waits_for_a_slow_one(void)
{
    become_the_last_one();
    test_redis_command(&server, "CONFIG RESETSTAT");
    WAIT_FOR(times_asked() >= 6);
    a.bus->ops->node_close(a.bus, &node_a);
    CHECK_INT(kit_take(&b, "ready")->code, 0);
    WAIT_FOR(says("EXISTS clouds:C:" ID, "0"));
    kit_close(&b, 0);
    kit_close(&a, 0);
}

/* Else those that come next would all lose for a while. */
static void the_last_one_may_be_closed(void)
{
    become_the_last_one();
    b.bus->ops->node_close(b.bus, &node_b);
    kit_take(&b, "closed");
    CHECK(says("EXISTS clouds:C:" ID, "0"));
    kit_close(&b, 0);
    kit_close(&a, 0);
}

/* Turns the loop of one alone: the other gets no turn meanwhile. */
#define TURN_UNTIL(k, condition)                                                                                       \
    do {                                                                                                               \
        int64_t turn_end = cl_loop_now() + 20000;                                                                      \
        while (!(condition) && cl_loop_now() < turn_end) cl_loop_run((k)->loop, 0);                                    \
        CHECK(condition);                                                                                              \
    } while (0)

static int listeners(void)
{
    const char *at = strchr(test_redis_command(&server, "PUBSUB NUMSUB clouds:L:" ID), '\n');
    return at ? atoi(at + 1) : 0;
}

/* Somebody who listens, and never leaves by itself. */
static int listen_plainly(void)
{
    static const char command[] = "SUBSCRIBE clouds:L:" ID "\r\n";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int before = listeners();
    snprintf(address.sun_path, sizeof address.sun_path, "%s", server.socket);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK(write(fd, command, sizeof command - 1) == sizeof command - 1);
    WAIT_FOR(listeners() == before + 1);
    return fd;
}

static void want_the_id(kit *k, void *node)
{
    REQUIRE(kit_open(k, server.url, NULL) == 0);
    TURN_UNTIL(k, k->up);
    REQUIRE(k->bus->ops->node_open(k->bus, node, CL_STR(ID), 1) == 0);
}

/* The refusal was made for one who has given up long since. */
static void who_hears_late_that_it_lost_asks_again(void)
{
    test_redis_command(&server, "FLUSHALL");
    int fd = listen_plainly();
    test_redis_command(&server, "SET " RECORD " {\"pid\":1,\"token\":\"x\"} EX 600");
    test_redis_command(&server, "SET clouds:C:" ID " another PX 60000");
    test_redis_command(&server, "CONFIG RESETSTAT");
    want_the_id(&b, &node_b);
    TURN_UNTIL(&b, times_asked() == 5); /* then it asks for the lock, or has just done so */
    test_redis_command(&server, "CLIENT PAUSE 1000 WRITE");
    usleep(300000); /* no turn */
    close(fd);
    CHECK_INT(kit_take(&b, "ready")->code, 0);
    CHECK_INT(listeners(), 1);
    kit_close(&b, 0);
}

/* It ends before it knows that its record is there. */
static void who_ends_while_it_asks_leaves_no_record(void)
{
    test_redis_command(&server, "FLUSHALL");
    test_redis_command(&server, "CLIENT PAUSE 60000 WRITE");
    want_the_id(&b, &node_b);
    TURN_UNTIL(&b, strstr(test_redis_command(&server, "CLIENT LIST"), "cmd=set") != NULL);
    b.bus->ops->node_close(b.bus, &node_b);
    test_redis_command(&server, "CLIENT UNPAUSE");
    kit_take(&b, "closed");
    CHECK(says("EXISTS " RECORD, "0"));
    kit_close(&b, 0);
    CHECK(says("EXISTS " RECORD, "0"));
}

/* A node that drains has a deletion to repeat, and waits for its id; meanwhile the next one of its context has taken that
 * and registered the same. */
static void a_late_deletion_leaves_what_the_next_registered(void)
{
    begin();
    int fd = listen_plainly();
    test_redis_command(&server, "CLIENT KILL TYPE normal");
    REQUIRE(a.bus->ops->unregister_method(a.bus, &node_a, CL_STR("m"), 5) == 0); /* it is lost with the connection */
    a.bus->ops->node_drain(a.bus, &node_a);
    test_redis_command(&server, "SET " RECORD " {\"pid\":1,\"token\":\"x\"} EX 600");
    test_redis_command(&server, "CONFIG RESETSTAT");
    TURN_UNTIL(&a, !a.up);
    TURN_UNTIL(&a, times_asked() == 1);
    close(fd);
    while (listeners() > 1) usleep(1000); /* no turn: the one that drains asks again in a while */
    a.bus->ops->node_close(a.bus, &node_a);
    REQUIRE(a.bus->ops->node_open(a.bus, &node_b, CL_STR(ID), 60) == 0);
    REQUIRE(a.bus->ops->register_method(a.bus, &node_b, CL_STR("m"), 6) == 0);
    int ended = 0;
    for (kit_note *n; ended < 2 && (n = kit_take(&a, "registered")); ended++) CHECK_INT(n->code, 0);
    CHECK_INT(ended, 2);
    CHECK(says("EXISTS " KEY " " RECORD, "2"));
    CHECK(says("SISMEMBER clouds:M:m " ID, "1"));
    kit_close(&a, 0);
}

/* The one that waits for the others looks again after the last of them can have been told to leave. */
static void who_leaves_at_the_last_moment_is_seen_to_leave(void)
{
    test_redis_command(&server, "FLUSHALL");
    int fd = listen_plainly();
    test_redis_command(&server, "SET " RECORD " {\"pid\":1,\"token\":\"x\"} EX 600");
    want_the_id(&a, &node_a);
    TURN_UNTIL(&a, says("EXISTS clouds:C:" ID, "1"));
    test_redis_command(&server, "CONFIG RESETSTAT");
    TURN_UNTIL(&a, times_asked() == 12); /* all it asks while it is the last one */
    want_the_id(&b, &node_b);
    test_redis_command(&server, "CONFIG RESETSTAT");
    TURN_UNTIL(&b, times_asked() == 5); /* those that any contender asks */
    close(fd);
    TURN_UNTIL(&b, listeners() == 1 || kit_find(&b, "ready"));
    CHECK_INT(kit_take(&a, "ready")->code, 0);
    CHECK_INT(listeners(), 1);
    kit_close(&b, 0);
    kit_close(&a, 0);
}

/* What a killed process left is taken over at once. */
static void a_dead_owner_does_not_count(void)
{
    begin();
    test_redis_command(&server, "SET " RECORD " {\"pid\":1,\"token\":\"x\"} EX 600");
    kit_close(&a, 1);
    test_redis_command(&server, "SET " RECORD " {\"pid\":1,\"token\":\"x\"} EX 600");
    REQUIRE(kit_open(&b, server.url, NULL) == 0);
    CHECK_INT(kit_node(&b, &node_b, ID, 1), 0);
    CHECK_INT(kit_register(&b, &node_b, "m"), 0);
    CHECK(atoi(test_redis_command(&server, "TTL " RECORD)) <= 2);
    kit_close(&b, 0);
}

static void who_listens_without_a_record_counts(void)
{
    test_redis_command(&server, "FLUSHALL");
    REQUIRE(kit_open(&a, server.url, NULL) == 0);
    REQUIRE(kit_node(&a, &node_a, ID, 60) == 0);
    test_redis_command(&server, "FLUSHALL");
    REQUIRE(kit_open(&b, server.url, NULL) == 0);
    CHECK_INT(kit_node(&b, &node_b, ID, 1), CLOUDS_EEXIST);
    WAIT_FOR(says("EXISTS " RECORD, "0"));
    kit_close(&b, 0);
    kit_close(&a, 0);
}

/* The owner was away, and another came: it is not an owner any more, and comes back when the other is gone. */
static void who_was_away_too_long_waits(void)
{
    begin();
    test_redis_command(&server, "ACL SETUSER default resetchannels");
    test_redis_command(&server, "CLIENT KILL TYPE pubsub");
    WAIT_FOR(says("PUBSUB NUMSUB clouds:L:" ID, "clouds:L:" ID "\n0"));
    test_redis_command(&server, "DEL " RECORD);
    test_redis_command(&server, "ACL SETUSER other on nopass +@all ~* &*");
    char url[200];
    snprintf(url, sizeof url, "redis+unix://other:x@%s", server.socket);
    REQUIRE(kit_open(&c, url, NULL) == 0);
    REQUIRE(kit_node(&c, &node_c, ID, 1) == 0);
    REQUIRE(kit_register(&c, &node_c, "m") == 0);
    test_redis_command(&server, "ACL SETUSER default allchannels");
    kit_idle(1500);
    kit_forget(&a);
    CHECK_INT(kit_call(&c, ID, ID, "m", "iiiiiiii", "[]", 3), 0);
    CHECK(kit_take(&c, "envelope")->node == &node_c);
    CHECK(kit_find(&a, "envelope") == NULL);
    kit_close(&c, 0);
    WAIT_FOR(says("GET " KEY, "1"));
    WAIT_FOR(says("PUBSUB NUMSUB clouds:L:" ID, "clouds:L:" ID "\n1"));
    CHECK_INT(kit_say(&a, ID, ID, "1", 3), 0);
    CHECK(kit_take(&a, "envelope")->node == &node_a);
    kit_close(&a, 0);
}

/* A call that comes between the new subscription and the answer who owns the id is not lost. */
static void nothing_is_lost_while_it_asks(void)
{
    begin();
    REQUIRE(kit_open(&b, server.url, NULL) == 0);
    WAIT_FOR(b.up);
    for (int i = 0; i < 10; i++) {
        test_redis_command(&server, "CLIENT KILL TYPE pubsub");
        int64_t receivers = 0, end = cl_loop_now() + 20000;
        while (!receivers && cl_loop_now() < end) {
            receivers =
                atoi(test_redis_command(&server, "PUBLISH clouds:L:" ID " {\"t\":\"m\",\"s\":\"x\",\"d\":%d}", i));
            cl_loop_run(a.loop, 0);
        }
        CHECK_INT(receivers, 1);
        kit_note *n = kit_take(&a, "envelope");
        char data[16];
        snprintf(data, sizeof data, "data=%d", i);
        CHECK(strstr(n->text, data) != NULL);
        WAIT_FOR(a.up && b.up);
    }
    kit_close(&b, 0);
    kit_close(&a, 0);
}

/* Who was told meanwhile that nobody listens waits for news, not for its timeout. */
static void a_blink_is_told_to_the_callers(void)
{
    begin();
    REQUIRE(kit_open(&c, server.url, NULL) == 0);
    WAIT_FOR(c.up);
    c.bus->ops->lookup(c.bus, CL_STR("m"), 0);
    kit_take(&c, "servers");
    kit_forget(&c);
    int64_t end = cl_loop_now() + 20000;
    kit_note *n = NULL;
    while (!n && cl_loop_now() < end) { /* the one who asks may have lost its connection with the same blow */
        test_redis_command(&server, "CLIENT KILL TYPE pubsub");
        WAIT_FOR(!a.up);
        WAIT_FOR(a.up && c.up);
        kit_idle(30);
        n = kit_find(&c, "up");
    }
    CHECK(n != NULL);
    if (n) CHECK_STR(n->text, strlen("m " ID "+"), "m " ID "+");
    kit_close(&a, 0);
    kit_close(&c, 0);
}

int main(void)
{
    if (test_redis_start(&server, NULL)) return EXIT_FAILURE;
    RUN(a_living_id_is_refused);
    RUN(of_two_at_once_one_wins);
    RUN(of_two_one_wins_beside_a_lock_of_nobody);
    RUN(the_last_one_waits_for_a_slow_one);
    RUN(the_last_one_may_be_closed);
    RUN(who_hears_late_that_it_lost_asks_again);
    RUN(who_ends_while_it_asks_leaves_no_record);
    RUN(who_leaves_at_the_last_moment_is_seen_to_leave);
    RUN(a_late_deletion_leaves_what_the_next_registered);
    RUN(a_dead_owner_does_not_count);
    RUN(who_listens_without_a_record_counts);
    RUN(who_was_away_too_long_waits);
    RUN(nothing_is_lost_while_it_asks);
    RUN(a_blink_is_told_to_the_callers);
    test_redis_stop(&server);
    return tap_end();
}
