/* inproc: buses of one process, on one thread and on several. */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "local/side.h"

#define START(s) CHECK_INT(side_start(s, CL_URL_INPROC, "t", NULL), 0)

static void a_call_and_its_answer(void)
{
    side a, b;
    int node_a, node_b;
    START(&a);
    START(&b);
    UNTIL2(&a, &b, a.ups == 1 && b.ups == 1);
    side_node(&a, &node_a, "s.1");
    side_node(&b, &node_b, "c.1");
    side_register(&a, &node_a, "other");
    b.bus->ops->lookup(b.bus, CL_STR("m"), 0);
    UNTIL(&b, b.lists == 1);
    CHECK_INT(b.list_n, 0);
    side_register(&a, &node_a, "m"); /* who asked for it hears of it, and nobody else */
    UNTIL2(&a, &b, b.server_ups == 1);
    CHECK_INT(a.server_ups, 0);
    CHECK_INT(a.bus->ops->unregister_method(a.bus, &node_a, CL_STR("other"), 1), 0);
    b.bus->ops->lookup(b.bus, CL_STR("m"), 0);
    UNTIL(&b, b.lists == 2);
    CHECK_STR(b.list, strlen(b.list), "s.1 ");
    a.answer = 1;
    CHECK_INT(side_call(&b, &node_b, "c.1", "s.1", "[1,2]", 9), 0);
    UNTIL2(&a, &b, b.envelopes == 1);
    CHECK_STR(b.last_args, strlen(b.last_args), "[1,2]");
    CHECK_INT(side_call(&b, &node_b, "c.1", "nobody", "[1,2]", 9), 0);
    UNTIL(&b, b.deliveries[CL_DELIVERY_NOBODY] == 1);
    CHECK_INT(side_message(&b, &node_b, "c.1", "s.1", "5", 10), 0);
    UNTIL2(&a, &b, b.deliveries[CL_DELIVERY_WRITTEN] == 1 && a.envelopes == 2);
    b.bus->ops->status(b.bus, 1);
    UNTIL(&b, b.status_ends == 1);
    CHECK_STR(b.rows, strlen(b.rows), "m@s.1 ");
    a.bus->ops->node_drain(a.bus, &node_a);
    UNTIL2(&a, &b, b.drainings == 1 && b.server_downs == 1);
    a.bus->ops->node_close(a.bus, &node_a);
    UNTIL2(&a, &b, a.node_closed == 1 && b.peer_downs == 1);
    CHECK_STR(b.peer, strlen(b.peer), "s.1");
    a.bus->ops->close(a.bus);
    b.bus->ops->close(b.bus);
    UNTIL2(&a, &b, a.closed && b.closed);
    CHECK_INT(b.node_closed, 1);
    side_end(&a);
    side_end(&b);
}

/* Does it have anything to read? */
static int is_woken(side *s)
{
    struct pollfd fd = {.fd = cl_loop_fd(s->loop), .events = POLLIN};
    return poll(&fd, 1, 0) > 0;
}

static void lets_rest(side *s)
{
    UNTIL(s, !is_woken(s));
}

static void end_of(side *server, int *node)
{
    server->bus->ops->node_drain(server->bus, node);
    cl_loop_run(server->loop, 0);
    server->bus->ops->node_close(server->bus, node);
    UNTIL(server, server->node_closed == 1);
}

/* Of an end hears who asked for one of the methods, and who has sent something; nobody else is woken. */
static void an_end_wakes_only_whom_it_concerns(void)
{
    side server, asked, sent, neither;
    int node, node_sent, node_neither;
    START(&server);
    START(&asked);
    START(&sent);
    START(&neither);
    side_node(&server, &node, "s.1");
    side_node(&sent, &node_sent, "c.1");
    side_node(&neither, &node_neither, "c.2");
    side_register(&server, &node, "one");
    side_register(&server, &node, "two");
    asked.bus->ops->lookup(asked.bus, CL_STR("one"), 0);
    asked.bus->ops->lookup(asked.bus, CL_STR("two"), 0);
    neither.bus->ops->lookup(neither.bus, CL_STR("one"), 0);
    neither.bus->ops->lookup(neither.bus, CL_STR("three"), 0);
    UNTIL(&asked, asked.lists == 2);
    UNTIL(&neither, neither.lists == 2);
    neither.bus->ops->unwatch(neither.bus, CL_STR("one"));
    CHECK_INT(side_call(&sent, &node_sent, "c.1", "s.1", "[1]", 1), 0);
    UNTIL(&server, server.envelopes == 1);
    lets_rest(&asked);
    lets_rest(&sent);
    lets_rest(&neither);
    end_of(&server, &node);
    CHECK(is_woken(&asked) && is_woken(&sent) && !is_woken(&neither));
    UNTIL(&asked, asked.server_downs == 2);
    CHECK_INT(asked.drainings, 1);
    UNTIL(&sent, sent.peer_downs == 1);
    CHECK_STR(sent.peer, strlen(sent.peer), "s.1");
    lets_rest(&asked);
    lets_rest(&sent);
    cl_loop_run(neither.loop, 0);
    CHECK(asked.peer_downs == 0 && sent.drainings == 0 && sent.server_downs == 0);
    CHECK(neither.drainings == 0 && neither.server_downs == 0 && neither.peer_downs == 0);
    side_end(&server);
    side_end(&asked);
    side_end(&sent);
    side_end(&neither);
}

static void an_id_in_use(void)
{
    side a, b;
    int node_a, node_b;
    START(&a);
    START(&b);
    side_node(&a, &node_a, "s.1");
    CHECK_INT(b.bus->ops->node_open(b.bus, &node_b, CL_STR("s.1"), 1), 0);
    UNTIL(&b, b.ready == 1);
    CHECK_INT(b.ready_code, CLOUDS_EEXIST);
    side_end(&b);
    CHECK_INT(side_message(&a, &node_a, "s.1", "s.1", "1", 1), 0); /* the first still has it */
    UNTIL(&a, a.envelopes == 1);
    side_end(&a);
}

static void names_are_apart(void)
{
    side a, b;
    int node_a, node_b;
    CHECK_INT(side_start(&a, CL_URL_INPROC, "one", NULL), 0);
    CHECK_INT(side_start(&b, CL_URL_INPROC, "two", NULL), 0);
    side_node(&a, &node_a, "s.1");
    side_node(&b, &node_b, "s.1");
    side_register(&a, &node_a, "m");
    b.bus->ops->lookup(b.bus, CL_STR("m"), 0);
    UNTIL2(&a, &b, b.lists == 1);
    CHECK_INT(b.list_n, 0);
    side_end(&a);
    side_end(&b);
}

static void a_full_mailbox(void)
{
    side a, b;
    int node_a, node_b;
    cl_limits limits = side_limits();
    limits.write_soft = 1000;
    CHECK_INT(side_start(&a, CL_URL_INPROC, "t", &limits), 0);
    START(&b);
    side_node(&a, &node_a, "s.1");
    side_node(&b, &node_b, "c.1");
    int code, sent = 0;
    while ((code = side_call(&b, &node_b, "c.1", "s.1", "[1,2]", 0)) == 0 && sent < 1000) sent++;
    CHECK_INT(code, CLOUDS_ELIMIT);
    CHECK(sent > 5 && sent < 100);
    UNTIL(&a, a.envelopes == sent);
    CHECK_INT(side_call(&b, &node_b, "c.1", "s.1", "[1,2]", 0), 0);
    side_end(&a);
    side_end(&b);
}

/* News for a bus that nobody runs does not pile up; its next look tells what counts. */
static void news_has_a_limit(void)
{
    side a, b;
    int node;
    cl_limits limits = side_limits();
    limits.write_hard = 2000;
    START(&a);
    CHECK_INT(side_start(&b, CL_URL_INPROC, "t", &limits), 0);
    side_node(&a, &node, "s.1");
    b.bus->ops->lookup(b.bus, CL_STR("m"), 0);
    UNTIL(&b, b.lists == 1);
    for (int i = 0; i < 1000; i++) {
        CHECK_INT(a.bus->ops->register_method(a.bus, &node, CL_STR("m"), 1), 0);
        CHECK_INT(a.bus->ops->unregister_method(a.bus, &node, CL_STR("m"), 2), 0);
    }
    CHECK_INT(a.bus->ops->register_method(a.bus, &node, CL_STR("m"), 1), 0);
    UNTIL(&b, b.server_ups > 0);
    CHECK(b.server_ups < 100);
    b.bus->ops->lookup(b.bus, CL_STR("m"), 0);
    UNTIL(&b, b.lists == 2);
    CHECK_STR(b.list, strlen(b.list), "s.1 ");
    side_end(&a);
    side_end(&b);
}

/* Calls that lie in the mailbox of a node when it closes are answered, and their callers hear of its end after that. */
static void what_was_accepted_is_answered(void)
{
    side a, b;
    int node_a, node_b;
    START(&a);
    START(&b);
    side_node(&a, &node_a, "s.1");
    side_node(&b, &node_b, "c.1");
    a.answer = 1;
    CHECK_INT(side_call(&b, &node_b, "c.1", "s.1", "[1,2]", 9), 0);
    a.bus->ops->node_drain(a.bus, &node_a);
    a.bus->ops->node_close(a.bus, &node_a);
    CHECK_INT(side_call(&b, &node_b, "c.1", "s.1", "[1,2]", 10), 0); /* too late */
    UNTIL2(&a, &b, a.node_closed == 1 && b.peer_downs == 1 && b.deliveries[CL_DELIVERY_NOBODY] == 1);
    CHECK_INT(a.envelopes, 1);
    CHECK_INT(b.envelopes, 1);
    CHECK(b.envelope_order < b.down_order);
    CHECK_INT(a.bus->ops->node_open(a.bus, &node_a, CL_STR("s.1"), 1), 0); /* the id is free again */
    UNTIL(&a, a.ready == 2);
    CHECK_INT(a.ready_code, 0);
    side_end(&a);
    side_end(&b);
}

enum { THREADS = 4, CALLS = 2000 };

static atomic_int servers_up, clients_left;

static void *server_thread(void *id)
{
    side s;
    int node;
    START(&s);
    s.answer = 1;
    side_node(&s, &node, id);
    side_register(&s, &node, "m");
    atomic_fetch_add(&servers_up, 1);
    while (atomic_load(&clients_left)) cl_loop_run(s.loop, 20);
    side_end(&s);
    return NULL;
}

static void *client_thread(void *id)
{
    side s;
    int node, sent = 0;
    START(&s);
    side_node(&s, &node, id);
    while (atomic_load(&servers_up) < THREADS) cl_loop_run(s.loop, 1);
    int64_t until = cl_loop_now() + 30000;
    while (s.envelopes < CALLS && cl_loop_now() < until) {
        char to[8];
        for (; sent < CALLS && sent - s.envelopes < 50; sent++) {
            snprintf(to, sizeof to, "s.%d", sent % THREADS);
            CHECK_INT(side_call(&s, &node, id, to, "[1]", 0), 0);
        }
        cl_loop_run(s.loop, 20);
    }
    CHECK_INT(s.envelopes, CALLS);
    atomic_fetch_sub(&clients_left, 1);
    side_end(&s);
    return NULL;
}

/* Every client calls every server; then contexts end while others still run. */
static void many_threads(void)
{
    static char ids[2 * THREADS][8];
    pthread_t threads[2 * THREADS];
    atomic_store(&servers_up, 0);
    atomic_store(&clients_left, THREADS);
    for (int i = 0; i < 2 * THREADS; i++) {
        snprintf(ids[i], sizeof ids[i], "%c.%d", i < THREADS ? 's' : 'c', i % THREADS);
        pthread_create(&threads[i], NULL, i < THREADS ? server_thread : client_thread, ids[i]);
    }
    for (int i = 0; i < 2 * THREADS; i++) pthread_join(threads[i], NULL);
}

static void a_forked_child_harms_nobody(void)
{
    side a;
    int node;
    START(&a);
    side_node(&a, &node, "s.1");
    pid_t pid = fork();
    if (pid == 0) {
        side_end(&a);
        _exit(0);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    CHECK_INT(status, 0);
    CHECK_INT(side_message(&a, &node, "s.1", "s.1", "1", 1), 0);
    UNTIL(&a, a.envelopes == 1);
    side_end(&a);
}

int main(void)
{
    RUN(a_call_and_its_answer);
    RUN(an_end_wakes_only_whom_it_concerns);
    RUN(an_id_in_use);
    RUN(names_are_apart);
    RUN(a_full_mailbox);
    RUN(what_was_accepted_is_answered);
    RUN(news_has_a_limit);
    RUN(many_threads);
    RUN(a_forked_child_harms_nobody);
    return tap_end();
}
