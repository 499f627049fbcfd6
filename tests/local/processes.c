/* Local buses in several processes: peers that die, stop and fork, and what they leave. */
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "local/inside.h"
#include "local/pair.h"
#include "support/freeze.h"

static pid_t child_server(const char *id, int stop_after_open)
{
    int ready[2];
    if (pipe(ready) != 0) exit(96);
    pid_t pid = fork();
    if (pid == 0) {
        side s;
        int node;
        if (side_start(&s, CL_URL_LOCAL, "t", NULL) != 0) _exit(1);
        s.answer = 1;
        side_node(&s, &node, id);
        side_register(&s, &node, "m");
        if (write(ready[1], "x", 1) != 1) _exit(2);
        for (;;) cl_loop_run(s.loop, -1);
    }
    char x;
    close(ready[1]);
    if (read(ready[0], &x, 1) != 1) exit(95);
    close(ready[0]);
    return pid;
}

static void kill_child(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void a_killed_peer(void)
{
    pid_t pid = child_server("s.dead", 0);
    side b;
    int node_b;
    START(&b);
    side_node(&b, &node_b, "c.1");
    ask(&b, CL_STR("m"));
    side_call(&b, &node_b, "c.1", "s.dead", "[1]", 0);
    UNTIL(&b, b.envelopes == 1);
    kill_child(pid);
    UNTIL(&b, b.peer_downs == 1);
    CHECK_STR(b.peer, strlen(b.peer), "s.dead");
    ask(&b, CL_STR("m"));
    CHECK_INT(b.list_n, 0);
    UNTIL(&b, files_left() == 2); /* ours */
    CHECK_INT(side_call(&b, &node_b, "c.1", "s.dead", "[1]", 3), 0);
    UNTIL(&b, b.deliveries[CL_DELIVERY_NOBODY] == 1);
    side_end(&b);
    CHECK_INT(files_left(), 0);
}

/* Killed while nobody had a link to it: it stands in memory until it is used; then the call reaches nobody, and that is
 * told before its node is called down. */
static void a_stale_entry(void)
{
    pid_t pid = child_server("s.stale", 0);
    side b;
    int node_b;
    START(&b);
    side_node(&b, &node_b, "c.1");
    ask(&b, CL_STR("m"));
    kill_child(pid);
    CHECK(files_left() > 2);
    CHECK_INT(side_call(&b, &node_b, "c.1", "s.stale", "[1]", 3), 0);
    UNTIL(&b, b.peer_downs == 1);
    CHECK_INT(b.deliveries[CL_DELIVERY_NOBODY], 1);
    CHECK(b.delivery_order < b.down_order);
    CHECK(b.server_downs >= 1);
    UNTIL(&b, files_left() == 2);
    side_end(&b);
}

/* Sweeping is due once in a while; from now on it is due again. */
static void forget_the_last_sweep(void)
{
    char stamp[128];
    snprintf(stamp, sizeof stamp, "%s/.t.swept", folder);
    unlink(stamp);
}

/* Nodes that were killed before they served anything: no look at a method meets them. */
static void leftovers_without_entries(void)
{
    enum { N = 30 };
    for (int i = 0; i < N; i++) {
        char file[160];
        for (int kind = 0; kind < 2; kind++) {
            snprintf(file, sizeof file, "%s/t/%016x.%s", folder, i, kind ? "lock" : "sock");
            close(open(file, O_CREAT | O_WRONLY, 0600));
        }
    }
    side b;
    START(&b); /* somebody looked a moment ago */
    for (int i = 0; i < 10; i++) cl_loop_run(b.loop, 1);
    CHECK_INT(files_left(), 2 * N);
    side_end(&b);
    forget_the_last_sweep();
    START(&b);
    UNTIL(&b, files_left() == 0);
    side_end(&b);
}

static void leftovers_are_swept_by_the_next(void)
{
    pid_t one = child_server("s.one", 0), two = child_server("s.two", 0), three = child_server("s.three", 0);
    kill_child(one);
    kill_child(two);
    CHECK(files_left() >= 6);
    side b;
    START(&b);
    b.bus->ops->lookup(b.bus, CL_STR("m"), 0);
    UNTIL(&b, b.lists == 1);
    CHECK_STR(b.list, strlen(b.list), "s.three ");
    CHECK_INT(files_left(), 3);
    kill_child(three);
    int node;
    side_node(&b, &node, "s.three"); /* takes over the name of a dead one */
    side_register(&b, &node, "m2");
    side_end(&b);
    CHECK_INT(files_left(), 0);
}

/* A stopped process listens but does not say hello. */
static void a_stopped_peer(void)
{
    pid_t pid = child_server("s.stopped", 0);
    test_freeze(pid, 1);
    side b;
    int node_b;
    cl_limits limits = side_limits();
    limits.hello_timeout = 1;
    CHECK_INT(side_start(&b, CL_URL_LOCAL, "t", &limits), 0);
    side_node(&b, &node_b, "c.1");
    CHECK_INT(side_call(&b, &node_b, "c.1", "s.stopped", "[1]", 3), 0);
    UNTIL(&b, b.deliveries[CL_DELIVERY_NOT_SENT] == 1 && b.peer_downs == 1);
    test_freeze(pid, 0);
    CHECK_INT(side_call(&b, &node_b, "c.1", "s.stopped", "[1]", 3), 0);
    UNTIL(&b, b.envelopes == 1);
    kill_child(pid);
    side_end(&b);
}

/* A call does not spend all of its time on a link that does not open: it is given back, provably not sent, while there
 * is time to ask another, and the caller hears that this server does not count for now. */
static void a_call_is_given_back_in_time(void)
{
    pid_t pid = child_server("s.frozen", 0), other = child_server("s.other", 0);
    side b;
    int node_b;
    cl_limits limits = side_limits();
    limits.hello_timeout = 1000;
    CHECK_INT(side_start(&b, CL_URL_LOCAL, "t", &limits), 0);
    side_node(&b, &node_b, "c.1");
    ask(&b, CL_STR("m"));
    CHECK_INT(b.list_n, 2);
    test_freeze(pid, 1);
    int64_t from = cl_loop_now();
    int downs = b.server_downs;
    cl_envelope e = {.type = CL_CALL,
                     .from = CL_STR("c.1"),
                     .to = CL_STR("s.frozen"),
                     .id = CL_STR("1"),
                     .method = CL_STR("m"),
                     .args = CL_STR("[1]"),
                     .deadline = from + 2000};
    CHECK_INT(b.bus->ops->send(b.bus, &node_b, &e, 3), 0);
    CHECK_INT(side_message(&b, &node_b, "c.1", "s.frozen", "1", 4), 0);
    UNTIL(&b, b.deliveries[CL_DELIVERY_NOT_SENT] == 1);
    CHECK(cl_loop_now() - from >= 990);
    CHECK_INT(b.server_downs, downs + 1);
    CHECK_INT(b.peer_downs, 0);
    /* One that nobody else could take is left to its caller, who can take it back. */
    kill_child(other);
    for (int i = 0; i < 400 && cl_entries_has_other(folder_of(b.bus), e.to); i++) {
        ask(&b, CL_STR("m")); /* sees now and then whether they live */
        cl_loop_run(b.loop, 50);
    }
    e.deadline = cl_loop_now() + 200;
    CHECK_INT(b.bus->ops->send(b.bus, &node_b, &e, 5), 0);
    int64_t until = e.deadline;
    UNTIL(&b, cl_loop_now() > until);
    CHECK_INT(b.deliveries[CL_DELIVERY_NOT_SENT], 1);
    CHECK_INT(b.bus->ops->recall(b.bus, e.to, 5), 1);
    CHECK_INT(b.bus->ops->recall(b.bus, e.to, 5), 0);
    CHECK_INT(b.bus->ops->recall(b.bus, CL_STR("nobody"), 5), 0);
    test_freeze(pid, 0); /* what still waits goes out, and the server counts again */
    UNTIL(&b, b.deliveries[CL_DELIVERY_WRITTEN] == 1 && b.server_ups == 1);
    CHECK_INT(b.envelopes, 0); /* the call did not go out after all */
    CHECK_INT(side_call(&b, &node_b, "c.1", "s.frozen", "[2]", 5), 0);
    UNTIL(&b, b.envelopes == 1);
    CHECK_STR(b.last_args, strlen(b.last_args), "[2]");
    /* At the end nobody waits for a peer to take a call whose node is gone. */
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    UNTIL(&b, b.peer_downs == 1);
    pid = child_server("s.frozen", 0);
    test_freeze(pid, 1);
    CHECK_INT(side_call(&b, &node_b, "c.1", "s.frozen", "[3]", 6), 0);
    b.bus->ops->node_close(b.bus, &node_b);
    UNTIL(&b, b.node_closed == 1);
    CHECK_INT(links_of(b.bus)->ending, 0);
    kill_child(pid);
    side_end(&b);
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* All calls that wait for a peer that is stopped run out of time one after the other: to take one back costs what it
 * costs to send one, however many wait. */
static void many_calls_are_taken_back(void)
{
    enum { MANY = 20000 };
    pid_t pid = child_server("s.frozen", 0);
    side b;
    int node_b;
    START(&b);
    side_node(&b, &node_b, "c.1");
    test_freeze(pid, 1);
    double from = cpu_seconds();
    for (uint64_t i = 1; i <= MANY; i++) CHECK_INT(side_call(&b, &node_b, "c.1", "s.frozen", "[]", i), 0);
    double sent = cpu_seconds();
    for (uint64_t i = MANY; i > 1; i--) CHECK_INT(b.bus->ops->recall(b.bus, CL_STR("s.frozen"), i), 1);
    double back = cpu_seconds();
    CHECK(back - sent < 5 * (sent - from));
    CHECK_INT(b.bus->ops->recall(b.bus, CL_STR("s.frozen"), MANY), 0);
    test_freeze(pid, 0);
    UNTIL(&b, b.envelopes == 1); /* the one that was not */
    CHECK_INT(b.bus->ops->recall(b.bus, CL_STR("s.frozen"), 1), 0);
    CHECK_INT(b.deliveries[CL_DELIVERY_NOT_SENT] + b.deliveries[CL_DELIVERY_NOBODY], 0);
    kill_child(pid);
    side_end(&b);
}

static void a_silent_peer_is_pinged_and_cut(void)
{
    pid_t pid = child_server("s.silent", 0);
    side b;
    int node_b;
    cl_limits limits = side_limits();
    limits.ping_interval = 0.1;
    limits.ping_timeout = 2;
    CHECK_INT(side_start(&b, CL_URL_LOCAL, "t", &limits), 0);
    side_node(&b, &node_b, "c.1");
    ask(&b, CL_STR("m"));
    side_call(&b, &node_b, "c.1", "s.silent", "[1]", 0);
    UNTIL(&b, b.envelopes == 1);
    int64_t from = cl_loop_now();
    while (cl_loop_now() < from + 2500) cl_loop_run(b.loop, 50);
    CHECK_INT(b.peer_downs, 0); /* no open calls: nobody minds */
    test_freeze(pid, 1);
    side_call(&b, &node_b, "c.1", "s.silent", "[1]", 0);
    UNTIL(&b, b.peer_downs == 1);
    test_freeze(pid, 0);
    UNTIL(&b, b.server_ups >= 1); /* its lock is held, so it counts again */
    side_call(&b, &node_b, "c.1", "s.silent", "[1]", 0);
    UNTIL(&b, b.envelopes == 2);
    kill_child(pid);
    side_end(&b);
}

/* Somebody removed the folder: registrations come back. */
static void the_folder_is_removed(void)
{
    side a, b;
    int node_a, node_b;
    start_both(&a, &node_a, "s.1", &b, &node_b, "c.1");
    side_register(&a, &node_a, "m");
    ask(&b, CL_STR("m"));
    CHECK_INT(b.list_n, 1);
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s/t'", folder);
    for (int i = 0; i < 50 && system(command) != 0; i++) continue;
    UNTIL2(&a, &b, b.server_downs >= 1 && b.server_ups >= 1);
    a.answer = 1;
    CHECK_INT(side_call(&b, &node_b, "c.1", "s.1", "[1]", 3), 0);
    UNTIL2(&a, &b, b.envelopes == 1);
    end_both(&a, &b);
    CHECK_INT(files_left(), 0);
}

/* A child after fork lets go without a trace. */
static void a_forked_child_harms_nobody(void)
{
    side a, b;
    int node_a, node_b;
    start_both(&a, &node_a, "s.1", &b, &node_b, "c.1");
    side_register(&a, &node_a, "m");
    int before = files_left();
    pid_t pid = fork();
    if (pid == 0) {
        side_end(&a);
        side_end(&b);
        _exit(0);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    CHECK_INT(status, 0);
    CHECK_INT(files_left(), before);
    a.answer = 1;
    side_call(&b, &node_b, "c.1", "s.1", "[1]", 0);
    UNTIL2(&a, &b, b.envelopes == 1);
    end_both(&a, &b);
}

/* A fork without exec keeps the lock held after its parent died. */
static void a_lock_that_outlives_its_process(void)
{
    int ready[2];
    CHECK_INT(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        side s;
        int node;
        if (side_start(&s, CL_URL_LOCAL, "t", NULL) != 0) _exit(1);
        side_node(&s, &node, "s.parent");
        side_register(&s, &node, "m");
        pid_t keeper = fork();
        if (keeper == 0)
            for (;;) pause();
        if (write(ready[1], &keeper, sizeof keeper) < 0) _exit(2);
        for (;;) cl_loop_run(s.loop, -1);
    }
    pid_t keeper = 0;
    CHECK_INT(read(ready[0], &keeper, sizeof keeper), sizeof keeper);
    kill_child(pid);
    side b;
    START(&b);
    b.bus->ops->lookup(b.bus, CL_STR("m"), 0);
    UNTIL(&b, b.lists == 1);
    CHECK_INT(b.list_n, 0);
    kill(keeper, SIGKILL);
    side_end(&b);
    close(ready[0]);
    close(ready[1]);
    int64_t until = cl_loop_now() + 5000;
    while (files_left() && cl_loop_now() < until) {
        forget_the_last_sweep();
        START(&b);
        cl_loop_run(b.loop, 5);
        side_end(&b);
    }
    CHECK_INT(files_left(), 0);
}

static void two_hundred_nodes(void)
{
    enum { N = 200 };
    side a, b;
    static int nodes[N + 1];
    static char ids[N][16];
    START(&a);
    START(&b);
    ask(&b, CL_STR("m"));
    for (int i = 0; i < N; i++) {
        snprintf(ids[i], sizeof ids[i], "s.%d", i);
        a.bus->ops->node_open(a.bus, &nodes[i], cl_str_z(ids[i]), 1);
        a.bus->ops->register_method(a.bus, &nodes[i], CL_STR("m"), 1);
    }
    UNTIL2(&a, &b, a.ready == N && a.registered == N && b.server_ups == N);
    side_node(&b, &nodes[N], "c.1");
    a.answer = 1;
    for (int i = 0; i < N; i++) CHECK_INT(side_call(&b, &nodes[N], "c.1", ids[i], "[1]", 0), 0);
    UNTIL2(&a, &b, b.envelopes == N);
    for (int i = 0; i < N; i++) a.bus->ops->node_close(a.bus, &nodes[i]);
    UNTIL2(&a, &b, a.node_closed == N && b.server_downs == N);
    end_both(&a, &b);
    CHECK_INT(files_left(), 0);
}

int main(void)
{
    folder_begin();
    RUN(a_killed_peer);
    RUN(a_stale_entry);
    RUN(leftovers_are_swept_by_the_next);
    RUN(leftovers_without_entries);
    RUN(a_stopped_peer);
    RUN(a_call_is_given_back_in_time);
    RUN(many_calls_are_taken_back);
    RUN(a_silent_peer_is_pinged_and_cut);
    RUN(the_folder_is_removed);
    RUN(a_forked_child_harms_nobody);
    RUN(a_lock_that_outlives_its_process);
    RUN(two_hundred_nodes);
    return folder_end();
}
