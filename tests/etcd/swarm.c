/* Many contexts on one etcd (E5): all are found, a join is heard of by who looks for servers, and idling costs etcd little.
 * As a test few of them; with CLOUDS_LONG, or a number as argument, 1024. What was measured is printed. */
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "directory/directory.h"
#include "net/loop.h"
#include "proto/limits.h"
#include "proto/url.h"
#include "support/etcd.h"
#include "support/tap.h"

enum { FEW = 64, MANY = 1024, HEARTBEAT_S = 5, IDLE_MS = 5000, BOUND_MS = 120000 };

typedef struct side {
    cl_loop *loop;
    cl_directory *d;
    char id[32];
    int node, announced, registered, code, ups, closed, left;
    size_t listed;
} side;

static side sides[MANY + 1], caller;
static test_etcd server;
static int count = FEW;

static void on_state(void *self, int up, int code, const char *words)
{
}

static void on_announced(void *self, void *node, int code, const char *words)
{
    ((side *)self)->announced++;
    ((side *)self)->code |= code;
}

static void on_registered(void *self, uint64_t operation, int code, const char *words)
{
    ((side *)self)->registered++;
    ((side *)self)->code |= code;
}

static void on_servers(void *self, cl_str method, const cl_server *servers, size_t n, int code)
{
    ((side *)self)->listed = n;
}

static void on_server_up(void *self, cl_str method, cl_server one)
{
    ((side *)self)->ups++;
}

static void on_server_down(void *self, cl_str method, cl_str one)
{
}

static void on_peer(void *self, cl_str id)
{
}

static void on_located(void *self, cl_str id, int code, const cl_address *address)
{
}

static void on_dropped(void *self, int code)
{
    ((side *)self)->code |= code;
}

static void on_left(void *self, void *node)
{
    ((side *)self)->left++;
}

static void on_closed(void *self)
{
    ((side *)self)->closed++;
}

static void turn(void *self)
{
    side *s = self;
    if (s->d && s->d->has_work) s->d->ops->flush(s->d);
}

static void start(side *s, int number)
{
    const cl_directory_sink sink = {.self = s,
                                    .state = on_state,
                                    .announced = on_announced,
                                    .left = on_left,
                                    .registered = on_registered,
                                    .servers = on_servers,
                                    .server_up = on_server_up,
                                    .server_down = on_server_down,
                                    .peer_draining = on_peer,
                                    .peer_gone = on_peer,
                                    .located = on_located,
                                    .dropped = on_dropped,
                                    .closed = on_closed};
    const cl_limits limits = {
        .connect_timeout = 60, .ping_interval = 10, .ping_timeout = 60, .reconnect_min = 0.05, .reconnect_max = 2};
    const cl_loop_hooks hooks = {.self = s, .turn = turn};
    cl_url url;
    cl_address at = {"link:0123456789abcdef"};
    snprintf(s->id, sizeof s->id, "s.%d", number);
    if (cl_loop_create(&hooks, &s->loop) != 0 || cl_url_parse(cl_str_z(server.url), &url) != 0) exit(97);
    if (cl_etcd_directory_create(s->loop, &url, &limits, &sink, &s->d) != 0) exit(98);
    cl_url_free(&url);
    if (number < 0) return;
    CHECK_INT(s->d->ops->claim(s->d, &s->node, cl_str_z(s->id), HEARTBEAT_S, &at), 0);
    CHECK_INT(s->d->ops->add(s->d, &s->node, CL_STR("m"), 1), 1);
    snprintf(at.text, sizeof at.text, "link:0123456789abcdef");
    CHECK_INT(s->d->ops->announce(s->d, &s->node, &at, 1), 1);
}

static void run_all(int n)
{
    for (int i = 0; i < n; i++) cl_loop_run(sides[i].loop, 0);
    cl_loop_run(caller.loop, 1);
}

#define UNTIL_ALL(n, condition)                                                                                        \
    do {                                                                                                               \
        int64_t until_end = cl_loop_now() + BOUND_MS;                                                                  \
        while (!(condition) && cl_loop_now() < until_end) run_all(n);                                                  \
        CHECK(condition);                                                                                              \
    } while (0)

static int are_registered(int n)
{
    int sum = 0;
    for (int i = 0; i < n; i++) sum += sides[i].registered;
    return sum == n;
}

static double seconds_of_etcd(void)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)server.pid);
    FILE *f = fopen(path, "r");
    unsigned long user = 0, kernel = 0;
    if (f && fscanf(f, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel) != 2) user = 0;
    if (f) fclose(f);
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

static void all_are_found(void)
{
    int64_t from = cl_loop_now();
    start(&caller, -1);
    for (int i = 0; i < count; i++) start(&sides[i], i);
    UNTIL_ALL(count, are_registered(count));
    for (int i = 0; i < count; i++) CHECK_INT(sides[i].code, 0);
    CHECK_INT(caller.code, 0);
    printf("# %d contexts registered in %lld ms\n", count, (long long)(cl_loop_now() - from));
    caller.d->ops->lookup(caller.d, CL_STR("m"), 0);
    UNTIL_ALL(count, caller.listed == (size_t)count);
    int before = caller.ups;
    from = cl_loop_now();
    start(&sides[count], count);
    UNTIL_ALL(count + 1, caller.ups == before + 1);
    printf("# a join was seen after %lld ms\n", (long long)(cl_loop_now() - from));
}

static void idling_costs_little(void)
{
    double before = seconds_of_etcd();
    int64_t from = cl_loop_now();
    while (cl_loop_now() - from < IDLE_MS) run_all(count + 1);
    double took = (double)(cl_loop_now() - from) / 1000, share = (seconds_of_etcd() - before) / took;
    printf("# idle: etcd takes %.1f %% of a core\n", 100 * share);
    CHECK(share < 0.5);
}

static int have_left(int n)
{
    int sum = 0;
    for (int i = 0; i < n; i++) sum += sides[i].left;
    return sum == n;
}

static int are_closed(int n)
{
    int sum = 0;
    for (int i = 0; i < n; i++) sum += sides[i].closed;
    return sum == n;
}

static void all_leave(void)
{
    int n = count + 1;
    for (int i = 0; i < n; i++) {
        side *s = &sides[i];
        s->d->ops->drain(s->d, &s->node);
        if (s->d->ops->leave(s->d, &s->node) == 0) s->left++;
    }
    UNTIL_ALL(n, have_left(n));
    for (int i = 0; i < n; i++) sides[i].d->ops->close(sides[i].d);
    UNTIL_ALL(n, are_closed(n));
    caller.d->ops->close(caller.d);
    UNTIL_ALL(0, caller.closed);
    for (int i = 0; i < n; i++) {
        cl_loop_close(sides[i].loop);
        sides[i].d->ops->destroy(sides[i].d);
    }
    cl_loop_close(caller.loop);
    caller.d->ops->destroy(caller.d);
}

int main(int argc, char **argv)
{
    struct rlimit files;
    if (argc > 1) count = atoi(argv[1]);
    else if (getenv("CLOUDS_LONG")) count = MANY;
    if (count < 1 || count > MANY) return 2;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (test_etcd_start(&server)) return EXIT_FAILURE;
    RUN(all_are_found);
    RUN(idling_costs_little);
    RUN(all_leave);
    test_etcd_stop(&server);
    return tap_end();
}
