/* Announcements: a channel for each method, listened to by those who look for it; and nodes of version 0.2, which have
 * one channel for all, miss nothing and are not missed. */
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clouds.h"
#include "redis/kit.h"
#include "redis/monitor.h"
#include "support/tap.h"

static test_redis server;
static kit a, b, c;
static int node_a;
static monitor seen;

#define ID "s.686c821a.100.0"

#define says(expected, ...) (strcmp(test_redis_command(&server, __VA_ARGS__), expected) == 0)

/* A connection that is subscribed to the channel of all methods, as a node of 0.2. */
static int listen_as_old(void)
{
    char text[512];
    size_t n = 0;
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = 10};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(at.sun_path, sizeof at.sun_path, "%s", server.socket);
    if (connect(fd, (struct sockaddr *)&at, sizeof at)) return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (write(fd, "SUBSCRIBE clouds:D\r\n", 20) != 20) return -1;
    for (text[0] = '\0'; n + 1 < sizeof text && !strstr(text, ":1\r\n"); text[n] = '\0') {
        ssize_t got = read(fd, text + n, sizeof text - n - 1);
        if (got <= 0) return -1;
        n += (size_t)got;
    }
    return fd;
}

/* The next message that it gets is this one. */
static int hears(int fd, const char *message)
{
    char want[512], got[512];
    int n = snprintf(want, sizeof want, "*3\r\n$7\r\nmessage\r\n$8\r\nclouds:D\r\n$%zu\r\n%s\r\n", strlen(message), message);
    int64_t end = cl_loop_now() + 20000;
    for (int len = 0; len < n && cl_loop_now() < end;) {
        kit_turn_all(5);
        ssize_t more = recv(fd, got + len, (size_t)(n - len), MSG_DONTWAIT);
        if (more > 0) len += (int)more;
        if (len == n && memcmp(got, want, (size_t)n) == 0) return 1;
        if (len == n) printf("# heard %.*s\n", len, got);
    }
    return 0;
}

static void look(kit *k, const char *method)
{
    k->bus->ops->lookup(k->bus, cl_str_z(method), 0);
    kit_take(k, "servers");
}

static void begin(void)
{
    test_redis_command(&server, "FLUSHALL");
    REQUIRE(kit_open(&a, server.url, NULL) == 0);
    REQUIRE(kit_open(&b, server.url, NULL) == 0);
    REQUIRE(kit_open(&c, server.url, NULL) == 0);
    REQUIRE(kit_node(&a, &node_a, ID, 5) == 0);
    WAIT_FOR(b.up && c.up);
}

static void end(void)
{
    kit_close(&a, 0);
    kit_close(&b, 0);
    kit_close(&c, 0);
}

static void wakes_only_who_looks_for_the_method(void)
{
    begin();
    CHECK(says("", "PUBSUB CHANNELS clouds:D*")); /* nobody looks for anybody */
    look(&b, "one");
    look(&c, "two");
    CHECK(says("clouds:D0:one\n1\nclouds:D0:two\n1\nclouds:D0:three\n0",
               "PUBSUB NUMSUB clouds:D0:one clouds:D0:two clouds:D0:three"));
    CHECK_INT(kit_register(&a, &node_a, "one"), 0);
    kit_note *n = kit_take(&b, "up");
    CHECK_STR(n->text, strlen(n->text), "one " ID "+");
    CHECK_INT(kit_register(&a, &node_a, "two"), 0);
    n = kit_take(&c, "up");
    CHECK_STR(n->text, strlen(n->text), "two " ID "+"); /* and this is the first that it hears */
    CHECK(kit_find(&b, "up") == NULL);
    a.bus->ops->node_drain(a.bus, &node_a);
    n = kit_take(&b, "down");
    CHECK_STR(n->text, strlen(n->text), "one " ID);
    n = kit_take(&c, "down");
    CHECK_STR(n->text, strlen(n->text), "two " ID);
    CHECK(kit_take(&b, "draining") && kit_take(&c, "draining"));
    kit_idle(20);
    CHECK(!kit_find(&b, "down") && !kit_find(&c, "down"));
    end();
}

static void a_pause_has_letters_of_its_own(void)
{
    begin();
    look(&b, "m");
    CHECK_INT(kit_register(&a, &node_a, "m"), 0);
    kit_take(&b, "up");
    REQUIRE(monitor_start(&seen, &server) == 0);
    a.bus->ops->pause(a.bus, &node_a, CL_STR("m"), 1);
    kit_note *n = kit_take(&b, "down");
    CHECK_STR(n->text, strlen(n->text), "m " ID);
    a.bus->ops->pause(a.bus, &node_a, CL_STR("m"), 0);
    n = kit_take(&b, "up");
    CHECK_STR(n->text, strlen(n->text), "m " ID "+");
    monitor_read(&seen, &server);
    CHECK_INT(monitor_count(&seen, "\"PUBLISH\" \"clouds:D0:m\" \"{\\\"t\\\":\\\"p\\\",\\\"s\\\":\\\"" ID
                                   "\\\",\\\"d\\\":{\\\"f\\\":1,\\\"m\\\":[\\\"m\\\"]}}\""),
              1);
    CHECK_INT(monitor_count(&seen, "\"PUBLISH\" \"clouds:D0:m\" \"{\\\"t\\\":\\\"r\\\""), 1);
    monitor_stop(&seen);
    end();
}

static void leaves_when_nobody_looks_any_more(void)
{
    begin();
    look(&b, "one");
    look(&b, "two");
    b.bus->ops->unwatch(b.bus, CL_STR("one"));
    b.bus->ops->unwatch(b.bus, CL_STR("one"));
    b.bus->ops->unwatch(b.bus, CL_STR("never"));
    WAIT_FOR(says("clouds:D0:one\n0\nclouds:D0:two\n1", "PUBSUB NUMSUB clouds:D0:one clouds:D0:two"));
    look(&b, "one");
    CHECK(says("clouds:D0:one\n1", "PUBSUB NUMSUB clouds:D0:one"));
    b.bus->ops->unwatch(b.bus, CL_STR("one")); /* and at once again: what is under way is not believed */
    look(&b, "one");
    CHECK(says("clouds:D0:one\n1", "PUBSUB NUMSUB clouds:D0:one"));
    CHECK_INT(kit_register(&a, &node_a, "one"), 0);
    CHECK(kit_take(&b, "up") != NULL);
    b.bus->ops->lookup(b.bus, CL_STR("three"), 0); /* left while it waits to be heard: answered all the same */
    b.bus->ops->unwatch(b.bus, CL_STR("three"));
    CHECK(kit_take(&b, "servers") != NULL);
    WAIT_FOR(says("clouds:D0:three\n0", "PUBSUB NUMSUB clouds:D0:three"));
    look(&b, "three");
    CHECK(says("clouds:D0:three\n1", "PUBSUB NUMSUB clouds:D0:three"));
    end();
}

static void listens_again_after_a_loss(void)
{
    begin();
    look(&b, "one");
    look(&b, "two");
    kit_forget(&b);
    test_redis_command(&server, "CLIENT KILL TYPE pubsub");
    WAIT_FOR(!b.up);
    WAIT_FOR(a.up && b.up); /* up means that all is heard again */
    CHECK(says("clouds:D0:one\n1\nclouds:D0:two\n1", "PUBSUB NUMSUB clouds:D0:one clouds:D0:two"));
    CHECK_INT(kit_register(&a, &node_a, "two"), 0);
    kit_note *n = kit_take(&b, "up");
    CHECK_STR(n->text, strlen(n->text), "two " ID "+");
    end();
}

/* Without one of 0.2 there nothing is said on its channel, which all who look listen to. */
static void an_old_one_hears_all(void)
{
    begin();
    look(&b, "m");
    REQUIRE(monitor_start(&seen, &server) == 0);
    CHECK_INT(kit_register(&a, &node_a, "m"), 0);
    kit_take(&b, "up");
    kit_idle(20);
    monitor_read(&seen, &server);
    CHECK_INT(monitor_count(&seen, "\"PUBLISH\" \"clouds:D0:m\""), 1);
    CHECK_INT(monitor_count(&seen, "\"PUBLISH\" \"clouds:D\""), 0);
    monitor_stop(&seen);
    int old = listen_as_old();
    REQUIRE(old >= 0);
    CHECK_INT(kit_register(&a, &node_a, "x"), 0);
    CHECK(hears(old, "{\"t\":\"u\",\"s\":\"" ID "\",\"d\":{\"f\":1,\"n\":1,\"m\":[\"x\"]}}"));
    a.bus->ops->pause(a.bus, &node_a, CL_STR("x"), 1);
    CHECK(hears(old, "{\"t\":\"w\",\"s\":\"" ID "\",\"d\":{\"f\":1,\"n\":1,\"m\":[\"x\"]}}"));
    a.bus->ops->pause(a.bus, &node_a, CL_STR("x"), 0);
    CHECK(hears(old, "{\"t\":\"u\",\"s\":\"" ID "\",\"d\":{\"f\":1,\"n\":1,\"m\":[\"x\"]}}"));
    CHECK_INT(a.bus->ops->unregister_method(a.bus, &node_a, CL_STR("x"), 5), 0);
    CHECK(hears(old, "{\"t\":\"w\",\"s\":\"" ID "\",\"d\":{\"f\":1,\"n\":1,\"m\":[\"x\"]}}"));
    kit_forget(&b);
    a.bus->ops->node_drain(a.bus, &node_a);
    a.bus->ops->node_close(a.bus, &node_a); /* its last words are not lost with it */
    CHECK(hears(old, "{\"t\":\"d\",\"s\":\"" ID "\",\"d\":{\"f\":1,\"n\":1,\"m\":[\"m\"]}}"));
    kit_take(&b, "down");
    kit_take(&a, "closed");
    kit_idle(20);
    CHECK(!kit_find(&b, "down")); /* what it hears twice counts once */
    close(old);
    end();
}

static void an_old_one_is_heard(void)
{
    begin();
    look(&b, "m");
    test_redis_command(&server, "PUBLISH clouds:D {\"t\":\"u\",\"s\":\"s.old.1.1\",\"d\":{\"f\":1,\"m\":[\"x\",\"m\"]}}");
    kit_note *n = kit_take(&b, "up");
    CHECK_STR(n->text, strlen(n->text), "x s.old.1.1+");
    n = kit_take(&b, "up");
    CHECK_STR(n->text, strlen(n->text), "m s.old.1.1+");
    test_redis_command(&server, "PUBLISH clouds:D {\"t\":\"w\",\"s\":\"s.old.1.1\",\"d\":{\"f\":1,\"m\":[\"m\"]}}");
    n = kit_take(&b, "down");
    CHECK_STR(n->text, strlen(n->text), "m s.old.1.1");
    end();
}

/* Who may not count the listeners says it to those of 0.2 always. */
static void without_the_right_to_count(void)
{
    test_redis_command(&server, "ACL SETUSER limited on >pw ~* &* +@all -pubsub|numsub");
    begin();
    char url[300];
    kit_close(&c, 0);
    snprintf(url, sizeof url, "redis+unix://limited:pw@%s", server.socket);
    REQUIRE(kit_open(&c, url, NULL) == 0);
    REQUIRE(kit_node(&c, &c, "s.686c821a.100.9", 5) == 0);
    REQUIRE(monitor_start(&seen, &server) == 0);
    CHECK_INT(kit_register(&c, &c, "m"), 0);
    int64_t until = cl_loop_now() + 20000;
    do {
        kit_turn_all(5);
        monitor_read(&seen, &server);
    } while (!monitor_count(&seen, "\"PUBLISH\" \"clouds:D\"") && cl_loop_now() < until);
    CHECK_INT(monitor_count(&seen, "\"PUBLISH\" \"clouds:D\""), 1);
    monitor_stop(&seen);
    end();
}

/* A method may be called as a database is. */
static void databases_are_kept_apart(void)
{
    char url[300];
    begin();
    kit_close(&c, 0);
    snprintf(url, sizeof url, "%s?db=3", server.url);
    REQUIRE(kit_open(&c, url, NULL) == 0);
    WAIT_FOR(c.up);
    look(&b, "3");
    look(&c, "3");
    CHECK(says("clouds:D0:3\n1\nclouds:D3:3\n1", "PUBSUB NUMSUB clouds:D0:3 clouds:D3:3"));
    CHECK_INT(kit_register(&a, &node_a, "3"), 0);
    kit_take(&b, "up");
    kit_idle(20);
    CHECK(!kit_find(&c, "up"));
    end();
}

int main(void)
{
    if (test_redis_start(&server, NULL)) return EXIT_FAILURE;
    RUN(wakes_only_who_looks_for_the_method);
    RUN(a_pause_has_letters_of_its_own);
    RUN(leaves_when_nobody_looks_any_more);
    RUN(listens_again_after_a_loss);
    RUN(an_old_one_hears_all);
    RUN(an_old_one_is_heard);
    RUN(without_the_right_to_count);
    RUN(databases_are_kept_apart);
    test_redis_stop(&server);
    return tap_end();
}
