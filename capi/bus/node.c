/* The life of a node on a bus, whatever the directory and the transports are:
 *
 *   CLAIMING    the directory makes sure that the id is its own, and gives the place where to listen
 *   OPENING     the transports listen
 *   ANNOUNCING  the directory makes it known
 *   READY       reported once, when the bus is up
 *   FAILED      one of these could not be done, ever: reported instead
 *
 * A step that is done at once goes on to the next within the call; what is reported then is deferred, in a cell that
 * was reserved when the node was opened. Closing is: drain, the transports close, the directory is left, node_closed.
 */
#include "bus/internal.h"

#include <stdio.h>

#include "base/error.h"
#include "base/mem.h"

enum state { CLAIMING, OPENING, ANNOUNCING, READY, FAILED };

enum { WORDS = 256 };

typedef struct cl_bus_node {
    cl_list_node place;
    cl_composed *bus;
    void *handle;
    cl_str id;
    enum state state;
    int failure; /* FAILED: why */
    char words[WORDS];
    int claimed, told;
    unsigned opening, listening; /* a bit for each transport */
    int draining, closing;
    int ending;    /* closing, and the transports were told */
    unsigned shut; /* a bit for each transport that was told before, since the node is refused */
    int served;    /* a method was registered once */
    int is_closed; /* counted in closing_n */
    cl_deferred *ready;
    cl_address *addresses; /* where others reach it: for each announcement */
    size_t addresses_n;
} cl_bus_node;

static cl_bus_node *node_of(cl_composed *bus, const void *handle)
{
    return cl_idmap_get(&bus->by_handle, (uint64_t)(uintptr_t)handle);
}

/* ---- opening */

static void tell_ready(void *owner, const cl_deferred *d)
{
    cl_composed *bus = owner;
    cl_bus_node *node = node_of(bus, d->node);
    if (!node || node->told) return;
    node->told = 1;
    bus->sink.node_ready(bus->sink.self, d->node, d->code, d->text.p);
}

static void report(cl_bus_node *node, int code, const char *words)
{
    cl_deferred *d = node->ready;
    node->ready = NULL;
    if (!d) return;
    cl_deferred_set(d, code, words);
    cl_deferred_put(&node->bus->deferred, d);
}

static void fail(cl_bus_node *node, int code, const char *words)
{
    node->state = FAILED;
    node->failure = code;
    snprintf(node->words, sizeof node->words, "%s", words);
    report(node, code, node->words);
}

/* Where whoever listens gets what is for the id, one that is refused must not go on. */
static void confirm_by(cl_bus_node *node, unsigned i, int code)
{
    cl_transport *t = node->bus->transports[i];
    if (!(node->listening & 1u << i)) return;
    if (t->ops->confirm) t->ops->confirm(t, node->handle, code);
    if (!code || !t->takes_ids || node->shut & 1u << i) return;
    node->shut |= 1u << i;
    t->ops->close_node(t, node->handle, 0);
}

static void confirm(cl_bus_node *node, int code)
{
    for (unsigned i = 0; i < node->bus->transports_n; i++) confirm_by(node, i, code);
}

static void became_ready(cl_bus_node *node)
{
    node->state = READY;
    if (node->bus->up) report(node, 0, "");
    confirm(node, 0);
}

/* Again when it had to listen anew. */
static void announce(cl_bus_node *node)
{
    cl_directory *d = node->bus->directory;
    if (node->state != READY) node->state = ANNOUNCING;
    int code = d->ops->announce(d, node->handle, node->addresses, node->addresses_n);
    if (code < 0) fail(node, code, clouds_last_error());
    else if (code == 0) became_ready(node);
}

/* 0: all listen; CL_PENDING, or an error. Room for all addresses is made first, so that nothing fails afterwards. */
static int listen_at(cl_bus_node *node, const cl_address *at)
{
    cl_composed *bus = node->bus;
    size_t n = 0;
    if (node->shut & node->listening) return cl_error(CLOUDS_EUNREACHABLE, "the end of its last listening is to come");
    cl_address *found = cl_realloc(node->addresses, CL_TRANSPORTS * CL_NODE_ADDRESSES * sizeof *found);
    if (!found) return cl_error(CLOUDS_ENOMEM, NULL);
    node->addresses = found;
    node->addresses_n = 0;
    for (size_t i = 0; i < bus->transports_n; i++) {
        cl_transport *t = bus->transports[i];
        size_t more = 0;
        int code = t->ops->open(t, node->handle, node->id, at, found + n, &more);
        if (code < 0) return code;
        n += more;
        node->listening |= 1u << i;
        node->shut &= ~(1u << i);
        if (code == CL_PENDING) node->opening |= 1u << i;
        else node->opening &= ~(1u << i);
    }
    found = cl_realloc(node->addresses, (n + !n) * sizeof *found);
    if (found) node->addresses = found;
    node->addresses_n = n;
    return node->opening ? CL_PENDING : 0;
}

static void claimed(cl_bus_node *node, const cl_address *at)
{
    node->claimed = 1;
    node->state = OPENING;
    int code = listen_at(node, at);
    if (code < 0) fail(node, code, clouds_last_error());
    else if (code == 0) announce(node);
}

static void claim(cl_bus_node *node, double heartbeat)
{
    cl_directory *d = node->bus->directory;
    cl_address at;
    int code = d->ops->claim(d, node->handle, node->id, heartbeat, &at);
    if (code < 0) fail(node, code, clouds_last_error());
    else if (code == 0) claimed(node, &at);
}

static void node_free(cl_bus_node *node)
{
    cl_composed *bus = node->bus;
    if (node_of(bus, node->handle) == node) cl_idmap_take(&bus->by_handle, (uint64_t)(uintptr_t)node->handle);
    bus->closing_n -= (size_t)node->is_closed;
    cl_bus_channels_forget(bus, node->handle);
    cl_list_remove(&node->place);
    cl_deferred_discard(node->ready);
    cl_free(node->addresses);
    cl_free(node);
}

/* What memory is short for is no failure of the node: it was never opened. Nothing listens for it. */
static void undo(cl_bus_node *node)
{
    cl_directory *d = node->bus->directory;
    if (node->claimed) d->ops->leave(d, node->handle);
    node_free(node);
}

int cl_bus_node_open(cl_bus *base, void *handle, cl_str id, double heartbeat)
{
    cl_composed *bus = CL_OWNER(base, cl_composed, base);
    char room[WORDS];
    memset(room, ' ', sizeof room);
    if (bus->closing) return cl_error(CLOUDS_ECLOSED, NULL);
    cl_bus_node *node = cl_calloc(1, sizeof *node);
    if (!node) return cl_error(CLOUDS_ENOMEM, NULL);
    node->bus = bus;
    node->handle = handle;
    node->id = id;
    cl_list_append(&bus->nodes, &node->place);
    node->ready = cl_deferred_reserve(tell_ready, handle, 0, 0, cl_str_of(room, sizeof room));
    if (!node->ready || cl_idmap_put(&bus->by_handle, (uint64_t)(uintptr_t)handle, node) != 0) {
        node_free(node);
        return cl_error(CLOUDS_ENOMEM, NULL);
    }
    claim(node, heartbeat);
    if (node->state != FAILED) return 0;
    int code = node->failure;
    if ((code != CLOUDS_ENOMEM && !bus->directory->refuses_at_once) || node->listening) return 0;
    undo(node);
    return code == CLOUDS_ENOMEM ? cl_error(code, NULL) : code;
}

void cl_bus_node_describe(cl_bus *base, void *handle, const cl_traits *traits)
{
    cl_composed *bus = CL_OWNER(base, cl_composed, base);
    const cl_bus_node *node = node_of(bus, handle);
    if (node && (node->claimed || node->state == CLAIMING) && !node->draining)
        bus->directory->ops->describe(bus->directory, handle, traits);
}

void cl_bus_nodes_up(cl_composed *bus)
{
    CL_LIST_EACH(it, &bus->nodes)
    {
        cl_bus_node *node = CL_OWNER(it, cl_bus_node, place);
        if (node->state != READY || node->closing || !node->ready) continue;
        cl_deferred_discard(node->ready);
        node->ready = NULL;
        node->told = 1;
        bus->sink.node_ready(bus->sink.self, node->handle, 0, "");
    }
}

/* ---- what is reported of it */

void cl_bus_node_claimed(void *self, void *handle, int code, const char *words, const cl_address *at)
{
    cl_bus_node *node = node_of(self, handle);
    if (!node || node->closing) return;
    if (code) fail(node, code, words);
    else claimed(node, at);
}

void cl_bus_node_opened(void *self, void *handle, int code, const char *words)
{
    const cl_way *way = self;
    cl_bus_node *node = node_of(way->bus, handle);
    if (!node || node->closing || node->state == CLAIMING || node->state == FAILED) return;
    const cl_directory_ops *ops = node->bus->directory->ops;
    node->opening &= ~(1u << way->number);
    if (code && ops->unlistened) ops->unlistened(node->bus->directory, handle, code, words);
    else if (code) fail(node, code, words);
    else if (!node->opening) announce(node);
}

void cl_bus_node_announced(void *self, void *handle, int code, const char *words)
{
    cl_bus_node *node = node_of(self, handle);
    if (!node || node->closing || node->state == CLAIMING || node->state == FAILED) return;
    if (code == 0) {
        became_ready(node);
        return;
    }
    if (node->state != READY || node->ready) fail(node, code, words);
    confirm(node, code);
}

int cl_bus_node_relisten(void *self, void *handle, const cl_address *at)
{
    cl_bus_node *node = node_of(self, handle);
    return node && !node->closing && node->state != FAILED ? listen_at(node, at) : CLOUDS_ECLOSED;
}

/* ---- registrations */

static void tell_registered(void *owner, const cl_deferred *d)
{
    cl_composed *bus = owner;
    bus->sink.registered(bus->sink.self, d->number, 0, "");
}

/* What will be reported is reserved first, so that it cannot fail afterwards. */
static int change(cl_composed *bus, void *handle, cl_str method, uint64_t operation,
                  int (*op)(cl_directory *d, void *node, cl_str method, uint64_t operation))
{
    cl_deferred *d = cl_deferred_reserve(tell_registered, NULL, operation, 0, CL_STR_NONE);
    if (!d) return CLOUDS_ENOMEM;
    int code = op(bus->directory, handle, method, operation);
    if (code == 0) cl_deferred_put(&bus->deferred, d);
    else cl_deferred_discard(d);
    return code < 0 ? code : 0;
}

int cl_bus_node_register(cl_bus *base, void *handle, cl_str method, uint64_t operation)
{
    cl_composed *bus = CL_OWNER(base, cl_composed, base);
    cl_bus_node *node = node_of(bus, handle);
    if (!node || node->draining || node->closing) return cl_error(CLOUDS_ECLOSED, NULL);
    if (node->state == FAILED) return cl_error(node->failure, "%s", node->words);
    int code = change(bus, handle, method, operation, bus->directory->ops->add);
    if (code == 0) node->served = 1;
    return code;
}

int cl_bus_node_unregister(cl_bus *base, void *handle, cl_str method, uint64_t operation)
{
    cl_composed *bus = CL_OWNER(base, cl_composed, base);
    const cl_bus_node *node = node_of(bus, handle);
    if (!node || node->closing) return cl_error(CLOUDS_ECLOSED, NULL);
    return change(bus, handle, method, operation, bus->directory->ops->remove);
}

void cl_bus_node_pause(cl_bus *base, void *handle, cl_str method, int paused)
{
    cl_directory *d = CL_OWNER(base, cl_composed, base)->directory;
    const cl_bus_node *node = node_of(CL_OWNER(base, cl_composed, base), handle);
    if (node && !node->draining && !node->closing && d->ops->pause) d->ops->pause(d, handle, method, paused);
}

/* ---- the end */

static void drain(cl_bus_node *node)
{
    cl_composed *bus = node->bus;
    if (node->draining) return;
    node->draining = 1;
    if (node->claimed || node->state == CLAIMING) bus->directory->ops->drain(bus->directory, node->handle);
    for (size_t i = 0; i < bus->transports_n; i++)
        if (node->listening & 1u << i) bus->transports[i]->ops->drain(bus->transports[i], node->handle);
}

void cl_bus_node_drain(cl_bus *base, void *handle)
{
    cl_bus_node *node = node_of(CL_OWNER(base, cl_composed, base), handle);
    if (node) drain(node);
}

static void no_longer_listens(cl_bus_node *node)
{
    node->is_closed = 1;
    node->bus->closing_n++;
    cl_loop_defer(node->bus->loop);
}

static void listen_no_more(cl_bus_node *node)
{
    cl_composed *bus = node->bus;
    node->ending = 1;
    if (!node->listening) no_longer_listens(node);
    for (size_t i = 0; i < bus->transports_n; i++)
        if (node->listening & ~node->shut & 1u << i)
            bus->transports[i]->ops->close_node(bus->transports[i], node->handle, node->served);
}

/* What it has sent and waits here goes first. */
static void close_node(cl_bus_node *node)
{
    const cl_composed *bus = node->bus;
    if (node->closing) return;
    drain(node);
    node->closing = 1;
    if (bus->closing || !cl_bus_holds(bus, node->handle)) listen_no_more(node);
}

void cl_bus_node_close(cl_bus *base, void *handle)
{
    cl_bus_node *node = node_of(CL_OWNER(base, cl_composed, base), handle);
    if (node) close_node(node);
}

int cl_bus_node_is_closing(cl_composed *bus, const void *handle)
{
    const cl_bus_node *node = node_of(bus, handle);
    return !node || node->closing;
}

void cl_bus_nodes_unheld(cl_composed *bus)
{
    CL_LIST_EACH(it, &bus->nodes)
    {
        cl_bus_node *node = CL_OWNER(it, cl_bus_node, place);
        if (node->closing && !node->ending && (bus->closing || !cl_bus_holds(bus, node->handle))) listen_no_more(node);
    }
}

void cl_bus_nodes_close(cl_composed *bus)
{
    CL_LIST_EACH(it, &bus->nodes) close_node(CL_OWNER(it, cl_bus_node, place));
}

static void gone(cl_bus_node *node)
{
    cl_composed *bus = node->bus;
    void *handle = node->handle;
    node_free(node);
    bus->sink.node_closed(bus->sink.self, handle);
}

static void leave(cl_bus_node *node)
{
    cl_directory *d = node->bus->directory;
    node->bus->closing_n -= (size_t)node->is_closed;
    node->is_closed = 0;
    int claims = node->claimed || (node->state == CLAIMING);
    if (!claims || d->ops->leave(d, node->handle) != CL_PENDING) gone(node);
}

void cl_bus_node_closed(void *self, void *handle)
{
    const cl_way *way = self;
    cl_bus_node *node = node_of(way->bus, handle);
    if (!node) return;
    node->listening &= ~(1u << way->number);
    if (!node->listening && node->ending) leave(node);
}

void cl_bus_node_left(void *self, void *handle)
{
    cl_bus_node *node = node_of(self, handle);
    if (node) gone(node);
}

void cl_bus_nodes_flush(cl_composed *bus)
{
    if (!bus->closing_n) return;
    CL_LIST_EACH(it, &bus->nodes)
    {
        cl_bus_node *node = CL_OWNER(it, cl_bus_node, place);
        if (node->is_closed) leave(node);
    }
}

void cl_bus_nodes_free(cl_composed *bus)
{
    CL_LIST_EACH(it, &bus->nodes) node_free(CL_OWNER(it, cl_bus_node, place));
}
