/* What every directory has to do, asked of each by the same program: memory, folder, redis, etcd. A further directory is one
 * more row in `kinds`. */
#include "base/error.h"
#include "base/mem.h"
#include "directory/directory.h"
#include "directory/own/own.h"
#include "../../examples/extend/extend.h"
#include "local/folder.h"
#include "net/loop.h"
#include "redis/client.h"
#include "support/etcd.h"
#include "support/redis.h"
#include "support/until.h"
#include "transport/transport.h"

/* One context: a loop, a directory, and what its sink was told. */
typedef struct side {
    cl_loop *loop;
    cl_directory *d;
    cl_redis_client client; /* redis: and who listens, for an id is asked of those who do */
    cl_transport *listens;
    int ups, downs, claimed, announced, announced_code, left, registered, registered_code, lists, list_code, server_ups,
        server_downs, status_ends, status_code, status_rows, closed, subscribed, subscribed_code, told, lists_of_subscribers;
    size_t list_n;
    char list[512], up[64], up_traits[CL_TRAITS_TEXT], down[64], rows[512], heard[512];
} side;

static const struct kind {
    const char *name;
    int (*create)(side *s, const cl_directory_sink *sink);
} * kind;

/* The example of a directory of one's own, as it is registered. */
static cl_own_directory_kind own;

static test_redis server;
static test_etcd etcd_server;

/* ---- the sink */

static void copy(char *out, size_t cap, cl_str s)
{
    snprintf(out, cap, "%.*s", (int)s.n, s.p);
}

static void on_state(void *self, int up, int code, const char *words)
{
    side *s = self;
    if (up) s->ups++;
    else s->downs++;
}

/* The transport of the redis directory says when a node listens. */
static void on_opened(void *self, void *node, int code, const char *words)
{
    side *s = self;
    const cl_address at = {"channel:"};
    if (code == 0) s->d->ops->announce(s->d, node, &at, 1);
}

static int listen_for(side *s, void *node, const char *id, const cl_address *at)
{
    cl_address addresses[CL_NODE_ADDRESSES];
    size_t n = 1;
    if (s->listens) return s->listens->ops->open(s->listens, node, cl_str_z(id), at, addresses, &n);
    addresses[0] = *at;
    return s->d->ops->announce(s->d, node, addresses, n);
}

static void on_announced(void *self, void *node, int code, const char *words)
{
    side *s = self;
    s->announced++;
    s->announced_code = code;
    if (s->listens) s->listens->ops->confirm(s->listens, node, code);
}

static void on_claimed(void *self, void *node, int code, const char *words, const cl_address *at)
{
    ((side *)self)->claimed++;
}

static int on_relisten(void *self, void *node, const cl_address *at)
{
    return 0;
}

static void on_left(void *self, void *node)
{
    ((side *)self)->left++;
}

static void on_registered(void *self, uint64_t operation, int code, const char *words)
{
    side *s = self;
    s->registered++;
    s->registered_code = code;
}

static void on_servers(void *self, cl_str method, const cl_server *servers, size_t n, int code)
{
    side *s = self;
    s->lists++;
    s->list_code = code;
    s->list_n = n;
    s->list[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        size_t at = strlen(s->list);
        char about[CL_TRAITS_TEXT];
        cl_traits_write(&servers[i].traits, about);
        snprintf(s->list + at, sizeof s->list - at, "%.*s%s%s%s ", (int)servers[i].id.n, servers[i].id.p,
                 servers[i].paused ? "!" : "", *about ? "*" : "", about);
    }
}

static void on_server_up(void *self, cl_str method, cl_server one)
{
    side *s = self;
    s->server_ups++;
    copy(s->up, sizeof s->up, one.id);
    cl_traits_write(&one.traits, s->up_traits);
}

static void on_server_down(void *self, cl_str method, cl_str one)
{
    side *s = self;
    s->server_downs++;
    copy(s->down, sizeof s->down, one);
}

static void on_peer(void *self, cl_str id)
{
}

static void on_located(void *self, cl_str id, int code, const cl_address *address)
{
}

static void on_dropped(void *self, int code)
{
}

static void on_status(void *self, uint64_t operation, const cl_str *methods, const cl_server *servers, size_t n,
                      int end, int code)
{
    side *s = self;
    for (size_t i = 0; i < n; i++, s->status_rows++) {
        size_t at = strlen(s->rows);
        char about[CL_TRAITS_TEXT];
        cl_traits_write(&servers[i].traits, about);
        snprintf(s->rows + at, sizeof s->rows - at, "%.*s@%.*s%s%s%s ", (int)methods[i].n, methods[i].p,
                 (int)servers[i].id.n, servers[i].id.p, servers[i].paused ? "!" : "", *about ? "*" : "", about);
    }
    s->status_ends += end;
    if (end) s->status_code = code;
}

static void on_subscribed(void *self, void *node, cl_str topic, cl_str group, int code, const char *words)
{
    side *s = self;
    s->subscribed++;
    s->subscribed_code = code;
}

/* What is told twice is told once: the list that comes of it is what counts. */
static void on_subscription(void *self, cl_str id, cl_str topic, cl_str group, int on)
{
    side *s = self;
    char one[128];
    snprintf(one, sizeof one, "%.*s:%.*s/%.*s ", (int)id.n, id.p, (int)topic.n, topic.p, (int)group.n, group.p);
    char *there = strstr(s->heard, one);
    s->told++;
    if (!topic.n) s->heard[0] = '\0';
    else if (on && !there) strncat(s->heard, one, sizeof s->heard - strlen(s->heard) - 1);
    else if (!on && there) memmove(there, there + strlen(one), strlen(there + strlen(one)) + 1);
}

static void on_subscriptions(void *self, int begins)
{
    side *s = self;
    if (begins) s->heard[0] = '\0';
    else s->lists_of_subscribers++;
}

static void on_closed(void *self)
{
    ((side *)self)->closed++;
}

/* ---- the kinds */

static cl_limits limits(void)
{
    return (cl_limits){.message = 1 << 20,
                       .method = 128,
                       .json = {64, 10000},
                       .links = 100,
                       .write_soft = 1 << 20,
                       .write_hard = 8 << 20,
                       .resp_line = 64 << 10,
                       .resp_buffered = 16 << 20,
                       .connect_timeout = 5,
                       .hello_timeout = 5,
                       .ping_interval = 5,
                       .ping_timeout = 10,
                       .reconnect_min = 0.02,
                       .reconnect_max = 0.5};
}

static int create_memory(side *s, const cl_directory_sink *sink)
{
    const cl_limits l = limits();
    return cl_memory_directory_create(s->loop, "t", &l, sink, &s->d);
}

static int create_folder(side *s, const cl_directory_sink *sink)
{
    return cl_folder_directory_create(s->loop, "t", sink, &s->d);
}

static void on_node_closed(void *self, void *node)
{
}

static void on_peer_closed(void *self)
{
}

static int create_redis(side *s, const cl_directory_sink *sink)
{
    const cl_limits l = limits();
    cl_url url;
    int code = cl_url_parse(cl_str_z(server.url), &url);
    if (code) return code;
    code = cl_redis_client_init(&s->client, s->loop, &url, &l);
    cl_url_free(&url);
    if (code) return code;
    const cl_transport_sink listener = {
        .self = s, .state = on_state, .opened = on_opened, .node_closed = on_node_closed, .closed = on_peer_closed};
    code = cl_redis_directory_create(&s->client, 0, sink, &s->d);
    return code ? code : cl_pubsub_transport_create(&s->client, &listener, &s->listens);
}

static int create_etcd(side *s, const cl_directory_sink *sink)
{
    const cl_limits l = limits();
    cl_url url;
    int code = cl_url_parse(cl_str_z(etcd_server.url), &url);
    if (code == 0) code = cl_etcd_directory_create(s->loop, &url, &l, sink, &s->d);
    cl_url_free(&url);
    return code;
}

static int create_own(side *s, const cl_directory_sink *sink)
{
    const cl_limits l = limits();
    return cl_own_directory_create(s->loop, &own, cl_str_z(folder), 1, &l, sink, &s->d);
}

static const struct kind kinds[] = {
    {"memory", create_memory},
    {"folder", create_folder},
    {"redis", create_redis},
    {"etcd", create_etcd},
    {"one's own", create_own},
};

/* ---- life of a side */

static void turn(void *self)
{
    side *s = self;
    if (s->d && s->d->has_work) s->d->ops->flush(s->d);
    if (s->listens && s->listens->has_work) s->listens->ops->flush(s->listens);
}

static void start(side *s)
{
    const cl_directory_sink sink = {.self = s,
                                    .state = on_state,
                                    .claimed = on_claimed,
                                    .announced = on_announced,
                                    .relisten = on_relisten,
                                    .left = on_left,
                                    .registered = on_registered,
                                    .servers = on_servers,
                                    .server_up = on_server_up,
                                    .server_down = on_server_down,
                                    .peer_draining = on_peer,
                                    .peer_gone = on_peer,
                                    .located = on_located,
                                    .subscribed = on_subscribed,
                                    .subscription = on_subscription,
                                    .subscriptions = on_subscriptions,
                                    .dropped = on_dropped,
                                    .status = on_status,
                                    .closed = on_closed};
    const cl_loop_hooks hooks = {.self = s, .turn = turn};
    *s = (side){0};
    if (cl_loop_create(&hooks, &s->loop) != 0) exit(97);
    if (kind->create(s, &sink) != 0) printf("# %s\n", clouds_last_error()), exit(98);
    UNTIL(s, s->d->up);
}

static void end(side *s)
{
    if (s->listens) s->listens->ops->close(s->listens);
    for (int i = 0; s->listens && i < 20; i++) cl_loop_run(s->loop, 1);
    s->d->ops->close(s->d);
    UNTIL(s, s->closed);
    CHECK_INT(s->closed, 1);
    cl_loop_close(s->loop);
    if (s->listens) s->listens->ops->destroy(s->listens);
    s->d->ops->destroy(s->d);
    if (s->client.memory) cl_redis_client_free(&s->client);
}

/* 0, or why the id is refused: at once, or in the end. */
static int claim(side *s, void *node, const char *id)
{
    cl_address at = {""};
    int before = s->announced, code = s->d->ops->claim(s->d, node, cl_str_z(id), 1, &at);
    if (code == CL_PENDING) {
        UNTIL(s, s->claimed);
        return CL_PENDING;
    }
    if (code == 0) code = listen_for(s, node, id, &at);
    if (code != CL_PENDING) return code;
    UNTIL(s, s->announced > before);
    return s->announced_code;
}

static int done(side *s, int before, int code)
{
    if (code != CL_PENDING) return code;
    UNTIL(s, s->registered > before);
    return s->registered_code;
}

static int add(side *s, void *node, const char *method)
{
    int before = s->registered;
    return done(s, before, s->d->ops->add(s->d, node, cl_str_z(method), 7));
}

static int take_back(side *s, void *node, const char *method)
{
    int before = s->registered;
    return done(s, before, s->d->ops->remove(s->d, node, cl_str_z(method), 8));
}

static void lookup(side *s, const char *method)
{
    int before = s->lists;
    s->d->ops->lookup(s->d, cl_str_z(method), 0);
    UNTIL(s, s->lists > before);
    CHECK_INT(s->list_code, 0);
}

static void leave(side *s, void *node)
{
    int before = s->left;
    s->d->ops->drain(s->d, node);
    if (s->listens) {
        s->listens->ops->close_node(s->listens, node, 0);
        for (int i = 0; i < 50; i++) cl_loop_run(s->loop, 1);
    }
    if (s->d->ops->leave(s->d, node) == CL_PENDING) UNTIL(s, s->left > before);
}

static int node_a, node_b;

/* ---- what is asked of each */

static void who_serves_is_found(void)
{
    side a, b;
    start(&a);
    start(&b);
    CHECK_INT(claim(&a, &node_a, "s.1"), 0);
    lookup(&b, "m");
    CHECK_INT(b.list_n, 0);
    CHECK_INT(add(&a, &node_a, "m"), 0);
    UNTIL2(&a, &b, b.server_ups == 1); /* who asked hears of it */
    CHECK_STR(b.up, strlen(b.up), "s.1");
    CHECK_INT(add(&a, &node_a, "other"), 0);
    lookup(&b, "m");
    CHECK_STR(b.list, strlen(b.list), "s.1 ");
    CHECK_INT(take_back(&a, &node_a, "m"), 0);
    UNTIL2(&a, &b, b.server_downs == 1);
    CHECK_STR(b.down, strlen(b.down), "s.1");
    lookup(&b, "m");
    CHECK_INT(b.list_n, 0);
    lookup(&b, "other");
    CHECK_STR(b.list, strlen(b.list), "s.1 ");
    leave(&a, &node_a);
    end(&a);
    end(&b);
}

/* It is a server that is down; lists name it, and say why. */
static void who_is_paused_is_known(void)
{
    side a, b, c;
    start(&a);
    start(&b);
    CHECK_INT(claim(&a, &node_a, "s.1"), 0);
    CHECK_INT(add(&a, &node_a, "m"), 0);
    CHECK_INT(add(&a, &node_a, "other"), 0);
    if (!a.d->ops->pause) return;
    lookup(&b, "m");
    CHECK_STR(b.list, strlen(b.list), "s.1 ");
    a.d->ops->pause(a.d, &node_a, CL_STR("m"), 1);
    a.d->ops->pause(a.d, &node_a, CL_STR("m"), 1); /* again is nothing new */
    a.d->ops->pause(a.d, &node_a, CL_STR("unknown"), 1);
    UNTIL2(&a, &b, b.server_downs >= 1);
    CHECK_STR(b.down, strlen(b.down), "s.1");
    lookup(&b, "m");
    CHECK_STR(b.list, strlen(b.list), "s.1! ");
    lookup(&b, "other");
    CHECK_STR(b.list, strlen(b.list), "s.1 ");
    start(&c); /* who comes later */
    lookup(&c, "m");
    CHECK_STR(c.list, strlen(c.list), "s.1! ");
    int ups = b.server_ups;
    a.d->ops->pause(a.d, &node_a, CL_STR("m"), 0);
    UNTIL2(&a, &b, b.server_ups > ups);
    CHECK_STR(b.up, strlen(b.up), "s.1");
    lookup(&b, "m");
    CHECK_STR(b.list, strlen(b.list), "s.1 ");
    a.d->ops->pause(a.d, &node_a, CL_STR("m"), 1);
    CHECK_INT(take_back(&a, &node_a, "m"), 0); /* and so it is no more */
    lookup(&b, "m");
    CHECK_INT(b.list_n, 0);
    CHECK_INT(add(&a, &node_a, "m"), 0);
    lookup(&b, "m");
    CHECK_STR(b.list, strlen(b.list), "s.1 ");
    leave(&a, &node_a);
    end(&a);
    end(&b);
    end(&c);
}

static void describe(side *s, void *node, uint32_t weight, const char *tags)
{
    const cl_traits traits = {weight, cl_str_z(tags)};
    s->d->ops->describe(s->d, node, &traits);
}

/* Before it serves, and while it does: who has looked hears of it, and who looks finds it. */
static void what_it_says_of_itself_is_known(void)
{
    side a, b, c;
    start(&a);
    start(&b);
    CHECK_INT(claim(&a, &node_a, "s.1"), 0);
    CHECK_INT(claim(&b, &node_b, "s.2"), 0);
    describe(&a, &node_a, 3, "zone=a,host=x");
    CHECK_INT(add(&a, &node_a, "m"), 0);
    lookup(&b, "m");
    CHECK_STR(b.list, strlen(b.list), "s.1*3 zone=a,host=x ");
    CHECK_INT(take_back(&a, &node_a, "m"), 0);
    UNTIL2(&a, &b, b.server_downs >= 1);
    int ups = b.server_ups;
    CHECK_INT(add(&a, &node_a, "m"), 0);
    UNTIL2(&a, &b, b.server_ups > ups);
    CHECK_STR(b.up_traits, strlen(b.up_traits), "3 zone=a,host=x");
    describe(&a, &node_a, 7, "zone=a,host=x");
    UNTIL2(&a, &b, strcmp(b.up_traits, "7 zone=a,host=x") == 0);
    CHECK_STR(b.up, strlen(b.up), "s.1");
    describe(&a, &node_a, 1, "zone=b");
    UNTIL2(&a, &b, strcmp(b.up_traits, "1 zone=b") == 0);
    lookup(&b, "m");
    CHECK_STR(b.list, strlen(b.list), "s.1*1 zone=b ");
    describe(&a, &node_a, 2, "");
    UNTIL2(&a, &b, strcmp(b.up_traits, "2 ") == 0);
    start(&c); /* who comes later */
    lookup(&c, "m");
    CHECK_STR(c.list, strlen(c.list), "s.1*2  ");
    a.d->ops->pause(a.d, &node_a, CL_STR("m"), 1);
    UNTIL2(&a, &b, b.server_downs >= 2);
    lookup(&c, "m");
    CHECK_STR(c.list, strlen(c.list), "s.1!*2  ");
    a.d->ops->pause(a.d, &node_a, CL_STR("m"), 0);
    describe(&a, &node_a, 1, ""); /* and nothing any more */
    UNTIL2(&a, &b, strcmp(b.up_traits, "") == 0);
    lookup(&c, "m");
    CHECK_STR(c.list, strlen(c.list), "s.1 ");
    leave(&a, &node_a);
    leave(&b, &node_b);
    end(&a);
    end(&b);
    end(&c);
}

static void an_id_has_one_owner(void)
{
    side a, b;
    start(&a);
    start(&b);
    CHECK_INT(claim(&a, &node_a, "s.1"), 0);
    cl_address at;
    int code = b.d->ops->claim(b.d, &node_b, CL_STR("s.1"), 1, &at);
    if (code == 0) code = listen_for(&b, &node_b, "s.1", &at);
    if (code == CL_PENDING) {
        UNTIL2(&a, &b, b.announced || b.claimed);
        code = b.announced ? b.announced_code : CLOUDS_EEXIST;
    }
    CHECK_INT(code, CLOUDS_EEXIST);
    if (b.announced) leave(&b, &node_b);
    a.d->ops->drain(a.d, &node_a);
    leave(&a, &node_a);
    side c;
    int node_c;
    start(&c);
    CHECK_INT(claim(&c, &node_c, "s.1"), 0); /* it is free again */
    leave(&c, &node_c);
    end(&a);
    end(&b);
    end(&c);
}

static void who_drains_is_not_found(void)
{
    side a, b;
    start(&a);
    start(&b);
    CHECK_INT(claim(&a, &node_a, "s.1"), 0);
    CHECK_INT(add(&a, &node_a, "m"), 0);
    CHECK_INT(add(&a, &node_a, "n"), 0);
    lookup(&b, "m");
    lookup(&b, "n");
    CHECK_STR(b.list, strlen(b.list), "s.1 ");
    a.d->ops->drain(a.d, &node_a);
    UNTIL2(&a, &b, b.server_downs == 2);
    lookup(&b, "m");
    CHECK_INT(b.list_n, 0);
    leave(&a, &node_a);
    end(&a);
    end(&b);
}

static void what_is_added_early_is_found_later(void)
{
    side a, b;
    cl_address at = {""};
    start(&a);
    start(&b);
    CHECK_INT(a.d->ops->claim(a.d, &node_a, CL_STR("s.1"), 1, &at), 0);
    int before = a.registered, code = a.d->ops->add(a.d, &node_a, CL_STR("m"), 7);
    CHECK(code == 0 || code == CL_PENDING);
    CHECK_INT(a.d->ops->add(a.d, &node_a, CL_STR("m"), 8), code); /* not done before the first is */
    listen_for(&a, &node_a, "s.1", &at);
    if (code == CL_PENDING) UNTIL(&a, a.registered == before + 2);
    CHECK_INT(a.registered_code, 0);
    lookup(&b, "m");
    CHECK_STR(b.list, strlen(b.list), "s.1 ");
    leave(&a, &node_a);
    end(&a);
    end(&b);
}

static void everything_is_listed(void)
{
    side a, b;
    start(&a);
    start(&b);
    CHECK_INT(claim(&a, &node_a, "s.1"), 0);
    CHECK_INT(add(&a, &node_a, "m"), 0);
    b.d->ops->status(b.d, 9);
    UNTIL2(&a, &b, b.status_ends == 1);
    CHECK_INT(b.status_code, 0);
    CHECK_STR(b.rows, strlen(b.rows), "m@s.1 ");
    describe(&a, &node_a, 3, "zone=a"); /* and what it says of itself */
    a.d->ops->pause(a.d, &node_a, CL_STR("m"), 1);
    for (int i = 2; i < 100 && strcmp(b.rows, "m@s.1!*3 zone=a ") != 0; i++) {
        b.rows[0] = '\0';
        b.d->ops->status(b.d, 9);
        UNTIL2(&a, &b, b.status_ends == i);
    }
    CHECK_STR(b.rows, strlen(b.rows), "m@s.1!*3 zone=a ");
    leave(&a, &node_a);
    end(&a);
    end(&b);
}

static void a_node_is_located(void)
{
    side a;
    cl_address at = {"?"};
    start(&a);
    CHECK_INT(claim(&a, &node_a, "s.1"), 0);
    CHECK_INT(a.d->ops->locate(a.d, CL_STR("s.1"), &at), 0);
    CHECK(strcmp(at.text, "?") != 0);
    if (a.d->ops->abandon) a.d->ops->abandon(a.d, 4711); /* unknown ones are fine */
    take_back(&a, &node_a, "never");
    leave(&a, &node_a);
    end(&a);
}

static void subscribe(side *s, void *node, const char *topic, const char *group)
{
    int before = s->subscribed, code = s->d->ops->subscribe(s->d, node, cl_str_z(topic), cl_str_z(group));
    if (code == CL_PENDING) UNTIL(s, s->subscribed > before);
    CHECK_INT(code == CL_PENDING ? s->subscribed_code : code, 0);
}

static int has_heard(side *s, const char *all)
{
    s->d->ops->follow(s->d);
    return strcmp(s->heard, all) == 0;
}

/* Of what a transport does not tell by itself: patterns, and groups. */
static void who_subscribed_is_known_to_who_publishes(void)
{
    side a, b;
    start(&a);
    start(&b);
    CHECK_INT(claim(&a, &node_a, "s.1"), 0);
    subscribe(&a, &node_a, "a.*", "");
    UNTIL2(&a, &b, has_heard(&b, "s.1:a.*/ ")); /* who comes first, and later */
    CHECK(b.lists_of_subscribers >= 1);
    subscribe(&a, &node_a, "job", "g");
    UNTIL2(&a, &b, has_heard(&b, "s.1:a.*/ s.1:job/g "));
    a.d->ops->unsubscribe(a.d, &node_a, CL_STR("a.*"), CL_STR(""));
    UNTIL2(&a, &b, has_heard(&b, "s.1:job/g "));
    UNTIL2(&a, &b, has_heard(&a, "s.1:job/g ")); /* its own, too */
    a.d->ops->unsubscribe(a.d, &node_a, CL_STR("unknown"), CL_STR(""));
    subscribe(&a, &node_a, "b.>", "");
    UNTIL2(&a, &b, has_heard(&b, "s.1:job/g s.1:b.>/ "));
    leave(&a, &node_a);
    UNTIL2(&a, &b, has_heard(&b, ""));
    UNTIL2(&a, &b, has_heard(&a, ""));
    end(&a);
    end(&b);
}

/* In place of the library's, which registers. */
int clouds_directory_register(const char *scheme, const clouds_directory_ops *ops)
{
    own.theirs = *ops;
    return cl_own_directory_prepare(&own);
}

int main(void)
{
    folder_begin();
    if (board_register()) return EXIT_FAILURE;
    if (test_redis_start(&server, NULL) || test_etcd_start(&etcd_server)) return EXIT_FAILURE;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        kind = &kinds[i];
        printf("# %s\n", kind->name);
        RUN(who_serves_is_found);
        RUN(who_is_paused_is_known);
        RUN(what_it_says_of_itself_is_known);
        RUN(an_id_has_one_owner);
        RUN(who_drains_is_not_found);
        RUN(what_is_added_early_is_found_later);
        RUN(everything_is_listed);
        RUN(a_node_is_located);
        RUN(who_subscribed_is_known_to_who_publishes);
        test_redis_command(&server, "FLUSHALL");
    }
    test_redis_stop(&server);
    test_etcd_stop(&etcd_server);
    return folder_end();
}
