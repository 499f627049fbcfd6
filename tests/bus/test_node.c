/* The life of a node on a bus, over a directory and two transports that do what they are told: each step at once,
 * later, or not at all. */
#include "base/error.h"
#include "base/mem.h"
#include "bus/internal.h"
#include "support/tap.h"

typedef struct fake_transport {
    cl_transport base;
    cl_transport_sink sink;
    int open_code, opens, closes, drains, confirms, confirm_code, sends, send_code, reach, closing;
    void *node;
} fake_transport;

static struct {
    cl_loop *loop;
    cl_bus *bus;
    cl_directory directory;
    cl_directory_sink sink;
    fake_transport t[2];
    int claim_code, announce_code, add_code, leave_code;
    int locates, claims, announces, addresses, drains, leaves, unlistened, suspects, directory_closes;
    /* what the bus reported */
    int ups, downs, ready, ready_code, node_closed, registered, registered_code, peers_down, drainings, closed;
    int ways_lost[2], linked;
} w;

static int node;

/* ---- the directory */

static int claim(cl_directory *d, void *n, cl_str id, double heartbeat, cl_address *at)
{
    w.claims++;
    snprintf(at->text, sizeof at->text, "here");
    return w.claim_code < 0 ? cl_error(w.claim_code, "not this id") : w.claim_code;
}

static int announce(cl_directory *d, void *n, const cl_address *addresses, size_t count)
{
    w.announces++;
    w.addresses = (int)count;
    return w.announce_code < 0 ? cl_error(w.announce_code, "not announced") : w.announce_code;
}

static void unlistened(cl_directory *d, void *n, int code, const char *words)
{
    w.unlistened++;
    w.sink.announced(w.sink.self, n, code, words);
}

static int add(cl_directory *d, void *n, cl_str method, uint64_t operation)
{
    return w.add_code < 0 ? cl_error(w.add_code, "not added") : w.add_code;
}

static void drain(cl_directory *d, void *n)
{
    w.drains++;
}

static int leave(cl_directory *d, void *n)
{
    w.leaves++;
    return w.leave_code;
}

static void lookup(cl_directory *d, cl_str method, int known)
{
}

static int locate(cl_directory *d, cl_str id, cl_address *address)
{
    w.locates++;
    snprintf(address->text, sizeof address->text, "%.*s", (int)id.n, id.p);
    return 0;
}

static void suspect(cl_directory *d, cl_str id, int was_open)
{
    w.suspects++;
    CHECK_INT(w.ways_lost[0], 1); /* the calls are lost first */
}

static void status(cl_directory *d, uint64_t operation)
{
}

static void close_directory(cl_directory *d)
{
    w.directory_closes++;
    w.sink.closed(w.sink.self);
}

static void nothing_d(cl_directory *d)
{
}

static const cl_directory_ops directory_ops = {.claim = claim,
                                               .announce = announce,
                                               .unlistened = unlistened,
                                               .add = add,
                                               .remove = add,
                                               .drain = drain,
                                               .leave = leave,
                                               .lookup = lookup,
                                               .locate = locate,
                                               .suspect = suspect,
                                               .status = status,
                                               .close = close_directory,
                                               .destroy = nothing_d};

/* ---- the transports */

static fake_transport *of(cl_transport *base)
{
    return CL_OWNER(base, fake_transport, base);
}

static int open_node(cl_transport *base, void *n, cl_str id, const cl_address *at, cl_address *addresses, size_t *count)
{
    fake_transport *t = of(base);
    t->opens++;
    CHECK(strcmp(at->text, "here") == 0);
    addresses[0] = *at;
    *count = 1;
    return t->open_code < 0 ? cl_error(t->open_code, "does not listen") : t->open_code;
}

static void confirm(cl_transport *base, void *n, int code)
{
    of(base)->confirms++;
    of(base)->confirm_code = code;
}

static int reaches(cl_transport *base, const cl_address *address)
{
    return of(base)->reach;
}

static int send_over(cl_transport *base, void *n, const cl_envelope *e, uint64_t token)
{
    of(base)->sends++;
    return of(base)->send_code;
}

static void drain_node(cl_transport *base, void *n)
{
    of(base)->drains++;
}

static void close_node(cl_transport *base, void *n, int served)
{
    of(base)->closes++;
    of(base)->node = n;
}

static void flush(cl_transport *base)
{
    fake_transport *t = of(base);
    if (!t->closing || t->node) return;
    t->closing = 0;
    t->sink.closed(t->sink.self);
}

static void close_transport(cl_transport *base)
{
    of(base)->closing = 1;
}

static void nothing_t(cl_transport *base)
{
}

static const cl_transport_ops transport_ops = {.open = open_node,
                                               .confirm = confirm,
                                               .reaches = reaches,
                                               .send = send_over,
                                               .drain = drain_node,
                                               .close_node = close_node,
                                               .flush = flush,
                                               .close = close_transport,
                                               .destroy = nothing_t};

static void closed_by(int i)
{
    void *n = w.t[i].node;
    w.t[i].node = NULL;
    w.t[i].sink.node_closed(w.t[i].sink.self, n);
}

/* ---- what the bus reports */

static void on_state(void *self, int up, int code, const char *words)
{
    if (up) w.ups++;
    else w.downs++;
}

static void on_ready(void *self, void *n, int code, const char *words)
{
    CHECK(n == &node);
    w.ready++;
    w.ready_code = code;
}

static void on_node_closed(void *self, void *n)
{
    CHECK(n == &node);
    w.node_closed++;
}

static void on_registered(void *self, uint64_t operation, int code, const char *words)
{
    w.registered++;
    w.registered_code = code;
}

static void on_servers(void *self, cl_str method, const cl_server *servers, size_t n, int code)
{
}

static void on_peer_down(void *self, cl_str id)
{
    w.peers_down++;
}

static void on_way_lost(void *self, cl_str id, unsigned way)
{
    w.ways_lost[way]++;
}

static void on_linked(void *self)
{
    w.linked++;
}

static void on_peer_draining(void *self, cl_str id)
{
    w.drainings++;
}

static void on_closed(void *self)
{
    w.closed++;
}

static void begin(void)
{
    static const cl_bus_sink sink = {.state = on_state,
                                     .node_ready = on_ready,
                                     .node_closed = on_node_closed,
                                     .registered = on_registered,
                                     .servers = on_servers,
                                     .peer_down = on_peer_down,
                                     .way_lost = on_way_lost,
                                     .linked = on_linked,
                                     .peer_draining = on_peer_draining,
                                     .closed = on_closed};
    const cl_loop_hooks hooks = {0};
    memset(&w, 0, sizeof w);
    if (cl_loop_create(&hooks, &w.loop) != 0) exit(97);
    cl_composed *bus = cl_bus_allocate(w.loop, &sink);
    w.bus = &bus->base;
    w.sink = cl_bus_directory_sink(bus);
    w.directory = (cl_directory){.ops = &directory_ops, .up = 1};
    bus->directory = &w.directory;
    for (int i = 0; i < 2; i++) {
        w.t[i] = (fake_transport){.base = {.ops = &transport_ops, .up = 1, .has_work = 1},
                                  .sink = cl_bus_transport_sink(bus, (unsigned)i)};
        bus->transports[i] = &w.t[i].base;
    }
    CHECK_INT(cl_bus_start(bus), 0);
}

static void flush_bus(void)
{
    w.bus->ops->flush(w.bus);
}

static int open_bus_node(void)
{
    int code = w.bus->ops->node_open(w.bus, &node, CL_STR("s.1"), 1);
    flush_bus();
    return code;
}

static void end(void)
{
    w.bus->ops->close(w.bus);
    for (int i = 0; i < 2; i++)
        if (w.t[i].node) closed_by(i);
    flush_bus();
    flush_bus();
    CHECK_INT(w.closed, 1);
    CHECK_INT(w.directory_closes, 1);
    cl_loop_close(w.loop);
    w.bus->ops->destroy(w.bus);
}

/* ---- opening */

static void everything_at_once(void)
{
    begin();
    CHECK_INT(w.bus->ops->node_open(w.bus, &node, CL_STR("s.1"), 1), 0);
    CHECK_INT(w.ready, 0); /* never from inside */
    flush_bus();
    CHECK_INT(w.ups, 1);
    CHECK_INT(w.ready, 1);
    CHECK_INT(w.ready_code, 0);
    CHECK_INT(w.addresses, 2); /* of both */
    CHECK_INT(w.t[1].confirms, 1);
    end();
    CHECK_INT(w.node_closed, 1);
}

static void each_step_may_take_time(void)
{
    const cl_address here = {"here"};
    begin();
    w.claim_code = w.announce_code = w.t[0].open_code = w.t[1].open_code = CL_PENDING;
    CHECK_INT(open_bus_node(), 0);
    CHECK_INT(w.t[0].opens + w.t[1].opens, 0);
    w.sink.claimed(w.sink.self, &node, 0, "", &here);
    CHECK_INT(w.t[0].opens + w.t[1].opens, 2);
    w.t[0].sink.opened(w.t[0].sink.self, &node, 0, "");
    CHECK_INT(w.announces, 0); /* not before both listen */
    w.t[1].sink.opened(w.t[1].sink.self, &node, 0, "");
    CHECK_INT(w.announces, 1);
    flush_bus();
    CHECK_INT(w.ready, 0);
    w.sink.announced(w.sink.self, &node, 0, "");
    flush_bus();
    CHECK_INT(w.ready, 1);
    CHECK_INT(w.ready_code, 0);
    end();
}

/* A transport that lost its connection and listens anew says so again: that is no word about the other one. */
static void one_that_listens_twice(void)
{
    begin();
    w.t[0].open_code = w.t[1].open_code = CL_PENDING;
    CHECK_INT(open_bus_node(), 0);
    for (int i = 0; i < 2; i++) w.t[1].sink.opened(w.t[1].sink.self, &node, 0, "");
    CHECK_INT(w.announces, 0);
    w.t[0].sink.opened(w.t[0].sink.self, &node, 0, "");
    CHECK_INT(w.announces, 1);
    end();
}

static void one_that_closes_twice(void)
{
    begin();
    CHECK_INT(open_bus_node(), 0);
    w.bus->ops->node_close(w.bus, &node);
    for (int i = 0; i < 2; i++) w.t[1].sink.node_closed(w.t[1].sink.self, &node);
    w.t[1].node = NULL;
    CHECK_INT(w.leaves, 0);
    closed_by(0);
    CHECK_INT(w.leaves, 1);
    CHECK_INT(w.node_closed, 1);
    end();
}

static void a_refused_claim(void)
{
    begin();
    w.claim_code = CLOUDS_EEXIST;
    CHECK_INT(open_bus_node(), 0);
    CHECK_INT(w.ready_code, CLOUDS_EEXIST);
    CHECK_INT(w.bus->ops->register_method(w.bus, &node, CL_STR("m"), 1), CLOUDS_EEXIST);
    w.bus->ops->node_close(w.bus, &node);
    flush_bus();
    CHECK_INT(w.node_closed, 1);
    CHECK_INT(w.leaves + w.t[0].closes, 0); /* there is nothing to leave */
    w.directory.refuses_at_once = 1;
    CHECK_INT(open_bus_node(), CLOUDS_EEXIST);
    flush_bus();
    CHECK_INT(w.ready, 1);
    w.claim_code = CL_PENDING;
    CHECK_INT(open_bus_node(), 0);
    w.sink.claimed(w.sink.self, &node, CLOUDS_EEXIST, "another's", NULL);
    flush_bus();
    CHECK_INT(w.ready, 2);
    CHECK_INT(w.ready_code, CLOUDS_EEXIST);
    end();
}

static void who_may_not_listen(void)
{
    begin();
    w.t[1].open_code = CLOUDS_ESYSTEM;
    CHECK_INT(open_bus_node(), 0);
    CHECK_INT(w.ready_code, CLOUDS_ESYSTEM);
    end();
    begin();
    w.t[1].open_code = CLOUDS_ENOMEM;
    CHECK_INT(open_bus_node(), 0); /* one listens already, so it ends in order */
    CHECK_INT(w.ready_code, CLOUDS_ENOMEM);
    end();
    CHECK_INT(w.node_closed, 1);
    begin();
    w.t[0].open_code = CLOUDS_ENOMEM;
    CHECK_INT(open_bus_node(), CLOUDS_ENOMEM); /* it was never opened */
    CHECK_INT(w.leaves, 1);
    CHECK_INT(w.ready, 0);
    end();
    CHECK_INT(w.node_closed, 0);
    begin();
    w.t[0].open_code = CL_PENDING;
    CHECK_INT(open_bus_node(), 0);
    w.t[0].sink.opened(w.t[0].sink.self, &node, CLOUDS_EAUTH, "a right is missing");
    flush_bus();
    CHECK_INT(w.unlistened, 1); /* what waits for the announcement ends there */
    CHECK_INT(w.ready, 1);
    CHECK_INT(w.ready_code, CLOUDS_EAUTH);
    end();
}

/* ---- losses */

static void a_node_that_listens_anew(void)
{
    const cl_address here = {"here"};
    begin();
    CHECK_INT(open_bus_node(), 0);
    w.t[0].open_code = CL_PENDING;
    CHECK_INT(w.sink.relisten(w.sink.self, &node, &here), CL_PENDING);
    w.t[0].sink.opened(w.t[0].sink.self, &node, 0, "");
    CHECK_INT(w.announces, 2);
    flush_bus();
    CHECK_INT(w.ready, 1); /* told once */
    CHECK_INT(w.t[0].confirms, 2);
    w.sink.announced(w.sink.self, &node, CLOUDS_EEXIST, "taken meanwhile");
    CHECK_INT(w.t[0].confirm_code, CLOUDS_EEXIST);
    flush_bus();
    CHECK_INT(w.ready, 1);
    end();
}

/* What is for the id would come to this one. */
static void who_is_refused_listens_no_more(void)
{
    const cl_address here = {"here"};
    begin();
    w.t[0].base.takes_ids = 1;
    CHECK_INT(open_bus_node(), 0);
    w.sink.announced(w.sink.self, &node, CLOUDS_EEXIST, "taken meanwhile");
    CHECK_INT(w.t[0].closes, 1);
    CHECK_INT(w.t[1].closes, 0);
    w.sink.announced(w.sink.self, &node, CLOUDS_EEXIST, "still");
    CHECK_INT(w.t[0].closes, 1);
    CHECK_INT(w.sink.relisten(w.sink.self, &node, &here), CLOUDS_EUNREACHABLE); /* it is still closing */
    closed_by(0);
    CHECK_INT(w.leaves, 0);
    CHECK_INT(w.sink.relisten(w.sink.self, &node, &here), 0);
    CHECK_INT(w.t[0].opens, 2);
    w.sink.announced(w.sink.self, &node, CLOUDS_EEXIST, "again");
    CHECK_INT(w.t[0].closes, 2);
    w.bus->ops->node_close(w.bus, &node);
    CHECK_INT(w.t[0].closes, 2);
    CHECK_INT(w.t[1].closes, 1);
    closed_by(1);
    CHECK_INT(w.leaves, 0);
    closed_by(0);
    flush_bus();
    CHECK_INT(w.leaves, 1);
    CHECK_INT(w.node_closed, 1);
    end();
}

static void up_and_down(void)
{
    begin();
    w.directory.up = w.t[1].base.up = 0;
    CHECK_INT(open_bus_node(), 0);
    CHECK_INT(w.ups + w.ready, 0);
    w.directory.up = 1;
    w.sink.state(w.sink.self, 1, 0, "");
    CHECK_INT(w.ups, 0);
    w.t[1].base.up = 1;
    w.t[1].sink.state(w.t[1].sink.self, 1, 0, "");
    CHECK_INT(w.ups, 1);
    flush_bus();
    CHECK_INT(w.ready, 1);
    w.sink.state(w.sink.self, 1, 0, ""); /* no change */
    CHECK_INT(w.ups, 1);
    w.t[1].base.up = 0;
    w.t[1].sink.state(w.t[1].sink.self, 0, CLOUDS_ELOST, "lost");
    CHECK_INT(w.downs, 1);
    end();
}

/* What the other transport carried is not lost. */
static void a_lost_way(void)
{
    begin();
    w.t[0].sink.peer_lost(w.t[0].sink.self, CL_STR("s.9"), 1);
    CHECK_INT(w.ways_lost[0], 1);
    CHECK_INT(w.ways_lost[1], 0);
    CHECK_INT(w.peers_down, 0);
    CHECK_INT(w.suspects, 1);
    end();
}

/* The link has yet to break, and an answer may be under way on it; the other transport never hears of it. */
static void a_dead_peer(void)
{
    begin();
    w.t[0].base.knows_losses = 1;
    w.sink.peer_gone(w.sink.self, CL_STR("s.9"));
    CHECK_INT(w.drainings, 1); /* no further call goes to it */
    CHECK_INT(w.ways_lost[0], 0);
    CHECK_INT(w.ways_lost[1], 1);
    CHECK_INT(w.peers_down, 0);
    end();
}

/* ---- the way */

static void the_first_transport_that_reaches(void)
{
    const cl_envelope e = {.type = CL_CALL, .to = CL_STR("s.9")};
    begin();
    CHECK_INT(w.bus->ops->send(w.bus, &node, &e, 1), CLOUDS_EUNREACHABLE);
    w.t[1].reach = 1;
    for (int i = 0; i < 3; i++) CHECK_INT(w.bus->ops->send(w.bus, &node, &e, 1), 0);
    CHECK_INT(w.bus->way, 1);
    CHECK_INT(w.locates, 2); /* what was decided last is kept */
    w.t[0].reach = 1;
    w.t[0].sink.suspended(w.t[0].sink.self, CL_STR("s.9"), 0); /* until a transport reports a change */
    CHECK_INT(w.bus->ops->send(w.bus, &node, &e, 1), 0);
    CHECK_INT(w.t[0].sends, 1);
    CHECK_INT(w.bus->way, 0);
    CHECK_INT(w.t[1].sends, 3);
    const cl_server found = {.id = CL_STR("s.9"), .native = 1};
    w.t[0].reach = 0;
    w.sink.servers(w.sink.self, CL_STR("m"), &found, 1, 0); /* or the directory does */
    CHECK_INT(w.bus->ops->send(w.bus, &node, &e, 1), 0);
    CHECK_INT(w.t[1].sends, 4);
    w.bus->ops->close(w.bus);
    CHECK_INT(w.bus->ops->send(w.bus, &node, &e, 1), CLOUDS_ECLOSED);
    end();
}

/* What it does not reach, or take, goes by the other; so does what must keep an order. */
static void a_transport_beside_another(void)
{
    cl_envelope e = {.type = CL_CALL, .to = CL_STR("s.9")};
    begin();
    CL_OWNER(w.bus, cl_composed, base)->beside = CL_BESIDE_OWN;
    w.t[1].reach = 1;
    CHECK_INT(w.bus->ops->send(w.bus, &node, &e, 1), 0);
    CHECK_INT(w.t[1].sends, 1);
    CHECK_INT(w.bus->ops->is_reached(w.bus, e.to), 0);
    w.t[0].reach = 1;
    w.sink.located(w.sink.self, e.to, 0, NULL);
    CHECK_INT(w.bus->ops->is_reached(w.bus, e.to), 1);
    CHECK_INT(w.bus->ops->is_linked(w.bus, e.to), 0); /* its answers may come by the other */
    const int types[] = {CL_CALL, CL_RESULT, CL_CANCEL, CL_MESSAGE, CL_PUBLISH}, ways[] = {0, 0, 0, 1, 1};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        e.type = types[i];
        CHECK_INT(w.bus->ops->send(w.bus, &node, &e, 1), 0);
        CHECK_INT(w.bus->way, ways[i]);
    }
    e.type = CL_CALL;
    w.t[0].send_code = CLOUDS_EUNREACHABLE;
    CHECK_INT(w.bus->ops->send(w.bus, &node, &e, 1), 0);
    CHECK_INT(w.bus->way, 1);
    w.t[0].send_code = CLOUDS_ELIMIT; /* it takes it, later */
    CHECK_INT(w.bus->ops->send(w.bus, &node, &e, 1), CLOUDS_ELIMIT);
    end();
}

/* The other is enough to be up. */
static void a_transport_beside_another_goes(void)
{
    begin();
    CL_OWNER(w.bus, cl_composed, base)->beside = CL_BESIDE_OWN;
    w.t[0].base.up = 0;
    CHECK_INT(open_bus_node(), 0);
    CHECK_INT(w.ups, 1);
    w.t[0].sink.state(w.t[0].sink.self, 0, CLOUDS_ELOST, "lost");
    CHECK_INT(w.downs, 0);
    CHECK_INT(w.linked, 0);
    w.t[0].base.up = 1;
    w.t[0].sink.state(w.t[0].sink.self, 1, 0, "");
    CHECK_INT(w.ups, 1);
    CHECK_INT(w.linked, 1); /* who waits may go now */
    w.t[1].base.up = 0;
    w.t[1].sink.state(w.t[1].sink.self, 0, CLOUDS_ELOST, "lost");
    CHECK_INT(w.downs, 1);
    end();
}

/* ---- registrations */

static void what_is_registered(void)
{
    begin();
    CHECK_INT(open_bus_node(), 0);
    CHECK_INT(w.bus->ops->register_method(w.bus, &node, CL_STR("m"), 1), 0);
    CHECK_INT(w.registered, 0);
    flush_bus();
    CHECK_INT(w.registered, 1);
    w.add_code = CL_PENDING;
    CHECK_INT(w.bus->ops->register_method(w.bus, &node, CL_STR("n"), 2), 0);
    flush_bus();
    CHECK_INT(w.registered, 1);
    w.sink.registered(w.sink.self, 2, CLOUDS_EREDIS, "full");
    CHECK_INT(w.registered_code, CLOUDS_EREDIS);
    w.add_code = CLOUDS_ETOOBIG;
    CHECK_INT(w.bus->ops->register_method(w.bus, &node, CL_STR("o"), 3), CLOUDS_ETOOBIG);
    flush_bus();
    CHECK_INT(w.registered, 2);
    w.bus->ops->node_drain(w.bus, &node);
    CHECK_INT(w.bus->ops->register_method(w.bus, &node, CL_STR("p"), 4), CLOUDS_ECLOSED);
    end();
}

/* ---- closing */

static void the_directory_is_left_last(void)
{
    begin();
    w.leave_code = CL_PENDING;
    CHECK_INT(open_bus_node(), 0);
    w.bus->ops->node_close(w.bus, &node);
    CHECK_INT(w.drains, 1);
    CHECK_INT(w.t[0].drains + w.t[1].drains, 2);
    CHECK_INT(w.t[0].closes + w.t[1].closes, 2);
    closed_by(1);
    CHECK_INT(w.leaves, 0);
    closed_by(0);
    CHECK_INT(w.leaves, 1);
    CHECK_INT(w.node_closed, 0);
    w.sink.left(w.sink.self, &node);
    CHECK_INT(w.node_closed, 1);
    end();
    CHECK_INT(w.node_closed, 1);
}

static void closed_while_it_opens(void)
{
    const cl_address here = {"here"};
    begin();
    w.claim_code = CL_PENDING;
    CHECK_INT(open_bus_node(), 0);
    w.bus->ops->node_close(w.bus, &node);
    flush_bus();
    CHECK_INT(w.leaves, 1);
    CHECK_INT(w.node_closed, 1);
    w.sink.claimed(w.sink.self, &node, 0, "", &here); /* nobody knows it any more */
    CHECK_INT(w.t[0].opens, 0);
    CHECK_INT(w.ready, 0);
    end();
}

int main(void)
{
    RUN(everything_at_once);
    RUN(each_step_may_take_time);
    RUN(a_refused_claim);
    RUN(who_may_not_listen);
    RUN(a_node_that_listens_anew);
    RUN(who_is_refused_listens_no_more);
    RUN(up_and_down);
    RUN(a_lost_way);
    RUN(a_dead_peer);
    RUN(one_that_listens_twice);
    RUN(one_that_closes_twice);
    RUN(the_first_transport_that_reaches);
    RUN(a_transport_beside_another);
    RUN(a_transport_beside_another_goes);
    RUN(what_is_registered);
    RUN(the_directory_is_left_last);
    RUN(closed_while_it_opens);
    return tap_end();
}
