/* What every transport has to do, asked of each by the same program: mailbox, link (between nodes, and between contexts
 * over unix sockets and TCP), pubsub. A further transport is one more row in `kinds`. */
#include "base/error.h"
#include "base/mem.h"
#include "../../examples/extend/extend.h"
#include "directory/directory.h"
#include "local/folder.h"
#include "net/loop.h"
#include "proto/direct.h"
#include "redis/client.h"
#include "support/redis.h"
#include "support/until.h"
#include "transport/own/own.h"
#include "transport/transport.h"

enum { MANY = 200, AGAIN = 1000, CARRIED = 1024 };

/* One context: a loop, a transport, and what its sink was told. */
typedef struct side {
    cl_loop *loop;
    cl_transport *t;
    cl_redis_client client; /* pubsub: and the directory that has the connection for commands */
    cl_directory *d;
    void *node;
    int opened, opened_code, node_closed, envelopes, closed, dropped, lost, suspended, refused;
    int answers;  /* calls are answered with their arguments */
    int calls_again; /* the node that a result is from is called once more, at once, with the token AGAIN */
    int lost_before; /* peers that were lost before this call reached nobody */
    int in_order; /* messages came in the order of their numbers */
    int deliveries[8];
    int64_t number;
    cl_carried carried[CARRIED]; /* by token */
    char args[64], from[64], lost_id[64];
} side;

static const struct kind {
    const char *name;
    int (*create)(side *s, const cl_transport_sink *sink, const cl_limits *limits);
    int tells_loss;     /* a transport that keeps a way to its peers notices that one is gone */
    const char *listen; /* where contexts listen, NULL: nodes do, each for itself */
} * kind;

/* As a directory of contexts does: what was announced for each id. */
enum { ANNOUNCED = 8 };
static struct {
    char id[32];
    cl_address at;
} announced[ANNOUNCED];

static void announce(const char *id, const cl_address *addresses, size_t n)
{
    int i = 0;
    while (announced[i].id[0] && strcmp(announced[i].id, id) != 0) i++;
    if (i == ANNOUNCED) exit(96);
    snprintf(announced[i].id, sizeof announced[i].id, "%s", id);
    cl_address_join(addresses, n, &announced[i].at);
}

/* The example of a transport of one's own, as it is registered. */
static cl_own_transport_kind own;

static test_redis server;

/* ---- the sink */

static void on_state(void *self, int up, int code, const char *words)
{
}

static void on_opened(void *self, void *node, int code, const char *words)
{
    side *s = self;
    s->opened++;
    s->opened_code = code;
    if (code == 0 && s->t->ops->confirm) s->t->ops->confirm(s->t, node, 0);
}

static void on_node_closed(void *self, void *node)
{
    ((side *)self)->node_closed++;
}

static void answer(side *s, void *node, const cl_envelope *e)
{
    const cl_envelope r = {
        .type = CL_RESULT, .from = e->to, .to = e->from, .id = e->id, .result = e->args, .link = e->link};
    s->t->ops->send(s->t, node, &r, 0);
}

static int call(side *s, const char *from, const char *to, const char *args, uint64_t token);
static cl_carried *carried_by(side *s, uint64_t token);

static void on_envelope(void *self, void *node, const cl_envelope *e)
{
    side *s = self;
    cl_str what = e->type == CL_CALL ? e->args : e->type == CL_RESULT ? e->result : e->data;
    snprintf(s->args, sizeof s->args, "%.*s", (int)what.n, what.p);
    snprintf(s->from, sizeof s->from, "%.*s", (int)e->from.n, e->from.p);
    if (e->flags & CL_REFUSED) {
        s->refused++;
        return;
    }
    if (e->type == CL_RESULT && s->calls_again) {
        s->calls_again = 0;
        CHECK_INT(call(s, "c.1", s->from, "[]", AGAIN), 0);
    }
    if (e->type == CL_MESSAGE) s->in_order &= atoi(s->args) == s->envelopes;
    s->envelopes++;
    CHECK(node == s->node);
    if (s->answers && e->type == CL_CALL) answer(s, node, e);
}

static void on_dropped(void *self, int code)
{
    ((side *)self)->dropped++;
}

static void on_delivery(void *self, uint64_t token, enum cl_delivery delivery, int64_t number)
{
    side *s = self;
    cl_list_remove(&carried_by(s, token)->place);
    s->deliveries[delivery]++;
    s->number = number;
    if (token == AGAIN && delivery != CL_DELIVERY_LOST) s->lost_before = s->lost;
}

/* As the folder directory does: a socket for each id. */
static int on_locate(void *self, cl_str id, cl_address *address)
{
    snprintf(address->text, sizeof address->text, "unix:%s/%.*s", folder, (int)id.n, id.p);
    if (!kind->listen) return 0;
    snprintf(address->text, sizeof address->text, "link:0123456789abcdef tcp:127.0.0.1:1"); /* nobody */
    for (int i = 0; i < ANNOUNCED; i++)
        if (cl_str_eq(id, cl_str_z(announced[i].id))) *address = announced[i].at;
    return 0;
}

static int on_has_other(void *self, cl_str id)
{
    return 0;
}

static void on_suspended(void *self, cl_str id, int on)
{
    ((side *)self)->suspended++;
}

static void on_peer_lost(void *self, cl_str id, int was_open)
{
    side *s = self;
    s->lost++;
    snprintf(s->lost_id, sizeof s->lost_id, "%.*s", (int)id.n, id.p);
}

static void on_peer_draining(void *self, cl_str id)
{
}

static void on_closed(void *self)
{
    ((side *)self)->closed++;
}

/* ---- the kinds */

static int create_mailbox(side *s, const cl_transport_sink *sink, const cl_limits *limits)
{
    return cl_mailbox_transport_create(s->loop, "t", limits, sink, &s->t);
}

static int create_link(side *s, const cl_transport_sink *sink, const cl_limits *limits)
{
    return cl_link_transport_create(s->loop, limits, sink, &s->t);
}

static int create_context(side *s, const cl_transport_sink *sink, const cl_limits *limits)
{
    cl_direct direct = {.ping = 1, .timeout = 2, .idle = 300};
    cl_limits with = *limits;
    with.direct = &direct;
    int code = cl_direct_parse(kind->listen, &direct);
    return code ? code : cl_link_transport_create(s->loop, &with, sink, &s->t);
}

static void on_directory_closed(void *self)
{
}

static int create_pubsub(side *s, const cl_transport_sink *sink, const cl_limits *limits)
{
    const cl_directory_sink nobody = {.self = s, .state = on_state, .closed = on_directory_closed};
    cl_url url;
    int code = cl_url_parse(cl_str_z(server.url), &url);
    if (code) return code;
    code = cl_redis_client_init(&s->client, s->loop, &url, limits);
    cl_url_free(&url);
    if (code == 0) code = cl_redis_directory_create(&s->client, 0, &nobody, &s->d);
    return code ? code : cl_pubsub_transport_create(&s->client, sink, &s->t);
}

static int create_own(side *s, const cl_transport_sink *sink, const cl_limits *limits)
{
    return cl_own_transport_create(s->loop, &own, CL_STR_NONE, cl_str_z(folder), limits, sink, &s->t);
}

static const struct kind kinds[] = {
    {"mailbox", create_mailbox, 1, NULL},
    {"link", create_link, 1, NULL},
    {"link over unix sockets of contexts", create_context, 1, "unix"},
    {"link over TCP", create_context, 1, "tcp://127.0.0.1:0"},
    {"link over TCP of IPv6", create_context, 1, "tcp://[::1]:0"},
    {"pubsub", create_pubsub, 0, NULL},
    {"one's own", create_own, 0, NULL},
};

/* ---- life of a side */

static void turn(void *self)
{
    side *s = self;
    if (s->d && s->d->has_work) s->d->ops->flush(s->d);
    if (s->t && s->t->has_work) s->t->ops->flush(s->t);
}

static void start(side *s, void *node, const char *id)
{
    const cl_transport_sink sink = {.self = s,
                                    .state = on_state,
                                    .opened = on_opened,
                                    .node_closed = on_node_closed,
                                    .receiver = s,
                                    .envelope = on_envelope,
                                    .dropped = on_dropped,
                                    .delivery = on_delivery,
                                    .locate = on_locate,
                                    .has_other = on_has_other,
                                    .suspended = on_suspended,
                                    .peer_lost = on_peer_lost,
                                    .peer_draining = on_peer_draining,
                                    .closed = on_closed};
    const cl_limits limits = {.message = 1 << 20,
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
    const cl_loop_hooks hooks = {.self = s, .turn = turn};
    cl_address at, addresses[CL_NODE_ADDRESSES];
    size_t n = 0;
    *s = (side){.in_order = 1, .node = node};
    if (cl_loop_create(&hooks, &s->loop) != 0) exit(97);
    if (kind->create(s, &sink, &limits) != 0) printf("# %s\n", clouds_last_error()), exit(98);
    on_locate(s, cl_str_z(id), &at);
    int code = s->t->ops->open(s->t, node, cl_str_z(id), &at, addresses, &n);
    if (code == CL_PENDING) {
        UNTIL(s, s->opened);
        code = s->opened_code;
    }
    CHECK_INT(code, 0);
    UNTIL(s, s->t->up);
    if (kind->listen) announce(id, addresses, n);
}

static void end(side *s)
{
    s->t->ops->close(s->t);
    UNTIL(s, s->closed);
    CHECK_INT(s->closed, 1);
    CHECK_INT(s->node_closed, 1); /* a transport that closes has closed its nodes */
    cl_loop_close(s->loop);
    s->t->ops->destroy(s->t);
    if (s->d) s->d->ops->destroy(s->d);
    if (s->client.memory) cl_redis_client_free(&s->client);
}

static cl_carried *carried_by(side *s, uint64_t token)
{
    cl_carried *c = &s->carried[token % CARRIED];
    if (!c->place.next) cl_list_init(&c->place);
    return c;
}

static int call(side *s, const char *from, const char *to, const char *args, uint64_t token)
{
    cl_carried *carried = carried_by(s, token);
    const cl_envelope e = {.type = CL_CALL,
                           .flags = CL_NATIVE,
                           .from = cl_str_z(from),
                           .to = cl_str_z(to),
                           .id = CL_STR("1"),
                           .method = CL_STR("m"),
                           .args = cl_str_z(args),
                           .deadline = cl_loop_now() + 10000,
                           .carried = carried};
    cl_list_remove(&carried->place);
    return s->t->ops->send(s->t, s->node, &e, token);
}

static int message(side *s, const char *from, const char *to, int number, uint64_t token)
{
    char data[16];
    snprintf(data, sizeof data, "%d", number);
    const cl_envelope e = {.type = CL_MESSAGE, .from = cl_str_z(from), .to = cl_str_z(to), .data = cl_str_z(data)};
    return s->t->ops->send(s->t, s->node, &e, token);
}

/* The same, so many bytes long: JSON may end with blanks. */
static int long_message(side *s, const char *from, const char *to, int number, size_t n)
{
    char *data = malloc(n);
    if (!data) exit(95);
    memset(data, ' ', n);
    data[0] = (char)('0' + number);
    const cl_envelope e = {
        .type = CL_MESSAGE, .from = cl_str_z(from), .to = cl_str_z(to), .data = cl_str_of(data, n)};
    int code = s->t->ops->send(s->t, s->node, &e, (uint64_t)number + 1);
    free(data);
    return code;
}

static int node_a, node_b, node_c;

/* ---- what is asked of each */

static void a_call_and_its_answer(void)
{
    side a, b;
    start(&a, &node_a, "s.1");
    start(&b, &node_b, "c.1");
    a.answers = 1;
    CHECK_INT(call(&b, "c.1", "s.1", "[1,2]", 5), 0);
    UNTIL2(&a, &b, b.envelopes == 1);
    CHECK_STR(a.from, strlen(a.from), "c.1");
    CHECK_STR(b.from, strlen(b.from), "s.1");
    CHECK_STR(b.args, strlen(b.args), "[1,2]");
    CHECK_INT(b.deliveries[CL_DELIVERY_NOBODY] + b.deliveries[CL_DELIVERY_NOT_SENT] + b.deliveries[CL_DELIVERY_LOST],
              0);
    end(&b);
    end(&a);
}

static void what_is_sent_in_order_comes_in_order(void)
{
    side a, b;
    start(&a, &node_a, "s.1");
    start(&b, &node_b, "c.1");
    for (int i = 0; i < MANY; i++) CHECK_INT(message(&b, "c.1", "s.1", i, (uint64_t)i + 1), 0);
    UNTIL2(&a, &b, a.envelopes == MANY && b.deliveries[CL_DELIVERY_WRITTEN] == MANY);
    CHECK(a.in_order);
    CHECK_INT(b.number, 1); /* one has it */
    end(&b);
    end(&a);
}

/* Whatever their sizes, and however a transport carries what is large. */
static void the_order_is_that_of_all_sizes(void)
{
    static const size_t sizes[] = {1, 600000, 1, 300000, 1, 500000, 200, 70000};
    enum { N = sizeof sizes / sizeof *sizes };
    side a, b;
    start(&a, &node_a, "s.1");
    start(&b, &node_b, "c.1");
    a.answers = 1;
    CHECK_INT(call(&b, "c.1", "s.1", "[1]", 50), 0);
    UNTIL2(&a, &b, b.envelopes == 1);
    a.envelopes = b.deliveries[CL_DELIVERY_WRITTEN] = 0;
    for (int i = 0; i < N; i++) {
        int code = long_message(&b, "c.1", "s.1", i, sizes[i]);
        for (; code == CLOUDS_ELIMIT; code = long_message(&b, "c.1", "s.1", i, sizes[i])) {
            cl_loop_run(a.loop, 1);
            cl_loop_run(b.loop, 1);
        }
        CHECK_INT(code, 0);
    }
    UNTIL2(&a, &b, a.envelopes == N && b.deliveries[CL_DELIVERY_WRITTEN] == N);
    CHECK(a.in_order);
    end(&b);
    end(&a);
}

static void nobody_there_is_said(void)
{
    side b;
    start(&b, &node_b, "c.1");
    CHECK_INT(call(&b, "c.1", "s.none", "[]", 5), 0);
    UNTIL(&b, b.deliveries[CL_DELIVERY_NOBODY] == 1);
    CHECK_INT(b.deliveries[CL_DELIVERY_NOT_SENT] + b.deliveries[CL_DELIVERY_LOST], 0);
    end(&b);
}

static void too_much_is_refused_at_once(void)
{
    enum { BYTES = 2 << 20 };
    side b;
    char *args = malloc(BYTES + 1);
    start(&b, &node_b, "c.1");
    memset(args, ' ', BYTES);
    args[0] = '[', args[BYTES - 1] = ']', args[BYTES] = '\0';
    CHECK_INT(call(&b, "c.1", "s.none", args, 5), CLOUDS_ETOOBIG);
    for (int i = 0; i < 10; i++) cl_loop_run(b.loop, 1);
    for (int i = 0; i < 8; i++) CHECK_INT(b.deliveries[i], 0);
    free(args);
    end(&b);
}

static void what_was_accepted_is_written_before_the_end(void)
{
    side a, b;
    start(&a, &node_a, "s.1");
    start(&b, &node_b, "c.1");
    for (int i = 0; i < MANY; i++) CHECK_INT(message(&b, "c.1", "s.1", i, 0), 0);
    b.t->ops->drain(b.t, &node_b);
    b.t->ops->close_node(b.t, &node_b, 0);
    UNTIL2(&a, &b, b.node_closed == 1 && a.envelopes == MANY);
    CHECK(a.in_order);
    end(&b);
    end(&a);
}

static void who_is_closed_is_reached_no_more(void)
{
    side a, b;
    start(&a, &node_a, "s.1");
    start(&b, &node_b, "c.1");
    a.answers = 1;
    call(&b, "c.1", "s.1", "[1]", 5);
    UNTIL2(&a, &b, b.envelopes == 1);
    a.t->ops->drain(a.t, &node_a);
    a.t->ops->close_node(a.t, &node_a, 0);
    UNTIL2(&a, &b, a.node_closed == 1);
    if (kind->tells_loss) {
        for (int i = 0; i < 10; i++) cl_loop_run(b.loop, 1);
    }
    int before = a.envelopes;
    int code = call(&b, "c.1", "s.1", "[2]", 6);
    if (code == 0)
        UNTIL2(&a, &b, b.refused + b.deliveries[CL_DELIVERY_NOBODY] + b.deliveries[CL_DELIVERY_NOT_SENT] == 1);
    CHECK_INT(a.envelopes, before);
    end(&b);
    end(&a);
}

/* A node that comes back under its id is another one: what it gets is not lost by the end of the one before. */
static void the_end_of_one_is_not_that_of_the_next(void)
{
    side a, b;
    start(&a, &node_a, "s.1");
    start(&b, &node_b, "c.1");
    a.answers = 1;
    call(&b, "c.1", "s.1", "[1]", 5);
    UNTIL2(&a, &b, b.envelopes == 1);
    a.t->ops->drain(a.t, &node_a);
    a.t->ops->close_node(a.t, &node_a, 1);
    UNTIL(&a, a.node_closed == 1);
    a.node_closed = a.opened = 0;
    cl_address at, addresses[CL_NODE_ADDRESSES];
    size_t n = 0;
    on_locate(&a, CL_STR("s.1"), &at);
    if (a.t->ops->open(a.t, &node_a, CL_STR("s.1"), &at, addresses, &n) == CL_PENDING) UNTIL(&a, a.opened);
    int before = a.envelopes;
    for (uint64_t token = 6; a.envelopes == before && token < 2000; token++) {
        int lost = b.lost;
        call(&b, "c.1", "s.1", "[2]", token);
        for (int i = 0; i < 20; i++) cl_loop_run((i % 2 ? &a : &b)->loop, 1);
        if (a.envelopes > before) CHECK_INT(b.lost, lost);
    }
    CHECK_INT(a.envelopes, before + 1);
    end(&b);
    end(&a);
}

/* That a node has ended, told or not yet, concerns nobody who calls another. */
static void the_end_of_another_hinders_nobody(void)
{
    side a, b, c;
    start(&a, &node_a, "s.1");
    start(&b, &node_b, "c.1");
    start(&c, &node_c, "s.2");
    a.answers = 1;
    CHECK_INT(call(&b, "c.1", "s.1", "[1]", 5), 0);
    UNTIL2(&a, &b, b.envelopes == 1);
    c.t->ops->drain(c.t, &node_c);
    c.t->ops->close_node(c.t, &node_c, 1);
    UNTIL(&c, c.node_closed == 1);
    CHECK_INT(call(&b, "c.1", "s.1", "[2]", 6), 0);
    UNTIL2(&a, &b, b.envelopes == 2);
    end(&c);
    CHECK_INT(call(&b, "c.1", "s.1", "[3]", 7), 0);
    UNTIL2(&a, &b, b.envelopes == 3);
    end(&b);
    end(&a);
}

/* A call that follows the last answer of a node reaches nobody, which is said before it is said that the node is gone. */
static void what_reached_nobody_is_not_lost(void)
{
    if (!kind->tells_loss) return;
    side a, b;
    start(&a, &node_a, "s.1");
    start(&b, &node_b, "c.1");
    a.answers = 1;
    CHECK_INT(call(&b, "c.1", "s.1", "[1]", 5), 0);
    UNTIL2(&a, &b, b.envelopes == 1);
    b.calls_again = 1;
    CHECK_INT(call(&b, "c.1", "s.1", "[2]", 6), 0);
    for (int i = 0; i < 20 && a.envelopes < 2; i++) cl_loop_run(a.loop, 1); /* b, if it has to, writes and no more */
    UNTIL2(&a, &b, a.envelopes >= 2);
    int before = a.envelopes;
    a.t->ops->drain(a.t, &node_a);
    a.t->ops->close_node(a.t, &node_a, 1);
    for (int i = 0; i < 20 && !a.node_closed; i++) cl_loop_run(a.loop, 1); /* a link closes when its other end does */
    UNTIL2(&a, &b,
           b.deliveries[CL_DELIVERY_NOBODY] + b.deliveries[CL_DELIVERY_NOT_SENT] + b.deliveries[CL_DELIVERY_LOST] +
                   b.lost + b.refused + (a.envelopes - before) >
               0);
    if (a.envelopes == before && !b.refused) CHECK_INT(b.lost_before, 0);
    end(&b);
    end(&a);
}

/* In place of the library's, which registers. */
int clouds_transport_register(const char *name, const clouds_transport_ops *ops)
{
    own.theirs = *ops;
    return cl_own_transport_prepare(&own);
}

int main(void)
{
    folder_begin();
    if (box_register()) return EXIT_FAILURE;
    if (test_redis_start(&server, NULL)) return EXIT_FAILURE;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        kind = &kinds[i];
        printf("# %s\n", kind->name);
        RUN(a_call_and_its_answer);
        RUN(what_is_sent_in_order_comes_in_order);
        RUN(the_order_is_that_of_all_sizes);
        RUN(nobody_there_is_said);
        RUN(too_much_is_refused_at_once);
        RUN(what_was_accepted_is_written_before_the_end);
        RUN(who_is_closed_is_reached_no_more);
        RUN(the_end_of_one_is_not_that_of_the_next);
        RUN(the_end_of_another_hinders_nobody);
        RUN(what_reached_nobody_is_not_lost);
    }
    test_redis_stop(&server);
    return folder_end();
}
