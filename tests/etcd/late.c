/* A node that leaves before etcd has answered what was asked for it: the answer finds nobody, and leaves nothing behind. */
#include <string.h>

#include "base/error.h"
#include "directory/directory.h"
#include "proto/limits.h"
#include "proto/url.h"
#include "support/etcd.h"
#include "support/until.h"

enum { HEARTBEAT_S = 600 }; /* so no answer is awaited in vain for a lease's sake */

typedef struct side {
    cl_loop *loop;
    cl_directory *d;
    int announced, registered, left, closed, code;
    void *last_left;
} side;

static test_etcd server;

static void on_state(void *self, int up, int code, const char *words)
{
    ((side *)self)->code |= code;
}

static void on_announced(void *self, void *node, int code, const char *words)
{
    ((side *)self)->announced++;
    ((side *)self)->code |= code;
}

static void on_registered(void *self, uint64_t operation, int code, const char *words)
{
    ((side *)self)->registered++;
}

static void on_left(void *self, void *node)
{
    ((side *)self)->left++;
    ((side *)self)->last_left = node;
}

static void on_dropped(void *self, int code)
{
    ((side *)self)->code |= code;
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

static void start(side *s)
{
    const cl_directory_sink sink = {.self = s,
                                    .state = on_state,
                                    .announced = on_announced,
                                    .registered = on_registered,
                                    .left = on_left,
                                    .dropped = on_dropped,
                                    .closed = on_closed};
    const cl_limits limits = {
        .connect_timeout = 60, .ping_interval = 600, .ping_timeout = 600, .reconnect_min = 0.05, .reconnect_max = 2};
    const cl_loop_hooks hooks = {.self = s, .turn = turn};
    cl_url url;
    *s = (side){0};
    if (cl_loop_create(&hooks, &s->loop) != 0 || cl_url_parse(cl_str_z(server.url), &url) != 0) exit(97);
    if (cl_etcd_directory_create(s->loop, &url, &limits, &sink, &s->d) != 0) exit(98);
    cl_url_free(&url);
}

static void end(side *s, int *stays)
{
    s->d->ops->drain(s->d, stays);
    CHECK_INT(s->d->ops->leave(s->d, stays), CL_PENDING);
    UNTIL(s, s->left == 2);
    s->d->ops->close(s->d);
    UNTIL(s, s->closed == 1);
    cl_loop_close(s->loop);
    s->d->ops->destroy(s->d);
}

/* `node` is what the directory is told it by. */
static void ask_for(side *s, int *node, const char *id)
{
    cl_address at = {"link:0123456789abcdef"};
    CHECK_INT(s->d->ops->claim(s->d, node, cl_str_z(id), HEARTBEAT_S, &at), 0);
    snprintf(at.text, sizeof at.text, "link:0123456789abcdef");
    CHECK_INT(s->d->ops->announce(s->d, node, &at, 1), CL_PENDING);
    cl_loop_run(s->loop, 0);
}

static void leaves_unanswered(side *s, int *node)
{
    int before = s->left;
    s->d->ops->drain(s->d, node);
    CHECK_INT(s->d->ops->leave(s->d, node), CL_PENDING);
    UNTIL(s, s->left == before + 1);
    CHECK(s->last_left == node);
}

/* What is asked from now on is answered behind all that was asked before. */
static void is_answered(side *s, int *node)
{
    int before = s->registered;
    CHECK_INT(s->d->ops->add(s->d, node, CL_STR("m"), 1), CL_PENDING);
    UNTIL(s, s->registered == before + 1);
}

static int is_gone(const char *id)
{
    char key[64];
    snprintf(key, sizeof key, "clouds/n/%s", id);
    return test_etcd_lease_of(&server, key)[0] == '\0';
}

/* One connection may still bring the key when another was answered that it is deleted; then it is deleted again. */
static int stays_gone(side *s, const char *id)
{
    for (int i = 0; i < 50; i++) {
        if (!is_gone(id)) return 0;
        cl_loop_run(s->loop, 2);
    }
    return 1;
}

static void before_its_key_was_there(void)
{
    side s;
    int stays, leaves;
    start(&s);
    ask_for(&s, &stays, "s.stays");
    UNTIL(&s, s.announced == 1);
    test_etcd_freeze(&server, 1);
    ask_for(&s, &leaves, "s.leaves");
    leaves_unanswered(&s, &leaves);
    CHECK_INT(s.announced, 1);
    test_etcd_freeze(&server, 0);
    is_answered(&s, &stays);
    UNTIL(&s, stays_gone(&s, "s.leaves"));
    CHECK(!is_gone("s.stays"));
    CHECK_INT(s.code, 0);
    end(&s, &stays);
}

static void before_its_key_was_deleted(void)
{
    side s;
    int stays, leaves;
    start(&s);
    ask_for(&s, &stays, "s.stays");
    ask_for(&s, &leaves, "s.leaves");
    UNTIL(&s, s.announced == 2);
    test_etcd_freeze(&server, 1);
    leaves_unanswered(&s, &leaves);
    test_etcd_freeze(&server, 0);
    is_answered(&s, &stays);
    UNTIL(&s, is_gone("s.leaves"));
    CHECK(!is_gone("s.stays"));
    CHECK_INT(s.code, 0);
    end(&s, &stays);
}

int main(void)
{
    if (test_etcd_start(&server)) return EXIT_FAILURE;
    RUN(before_its_key_was_there);
    test_etcd_clear(&server);
    RUN(before_its_key_was_deleted);
    test_etcd_stop(&server);
    return tap_end();
}
