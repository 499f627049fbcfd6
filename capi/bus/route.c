/* Which transport carries an envelope: the first, in order of preference, that reaches the address of its receiver.
 * With one transport nothing is to be decided, and `direct` leads around this. With several, what was decided last is
 * kept until anything is reported that could change it: the next envelope mostly goes the same way.
 *
 * Links beside Redis are another matter: there the way depends on whether a link is open just now. No call waits for
 * one. Messages always go by Redis, so that those between two nodes keep their order. So it is with a transport of the
 * program's beside Redis, which reaches those in whose records an address of it is, as far as it takes what it is
 * given.
 */
#include "bus/internal.h"

#include <string.h>

#include "base/error.h"
#include "clouds.h"

static cl_transport *find(cl_composed *bus, cl_str to, unsigned *way)
{
    cl_address address;
    int code = bus->directory->ops->locate(bus->directory, to, &address);
    for (unsigned i = 0; i < bus->transports_n && code == 0; i++) {
        cl_transport *t = bus->transports[ *way = i];
        if (!t->ops->reaches || t->ops->reaches(t, &address)) return t;
    }
    return NULL;
}

cl_transport *cl_bus_route(cl_composed *bus, cl_str to)
{
    struct cl_route *last = &bus->route;
    if (last->transport && cl_str_eq(to, cl_str_of(last->to, last->n))) {
        bus->base.way = last->way;
        return last->transport;
    }
    if (bus->closing) return cl_error(CLOUDS_ECLOSED, NULL), NULL;
    cl_transport *t = find(bus, to, &bus->base.way);
    if (!t) return cl_error(CLOUDS_EUNREACHABLE, "no way leads to %.*s", to.n < 150 ? (int)to.n : 150, to.p), NULL;
    if (to.n > sizeof last->to) return t;
    memcpy(last->to, to.p, to.n);
    last->n = to.n;
    last->way = bus->base.way;
    last->transport = t;
    return t;
}

void cl_bus_route_forget(cl_composed *bus)
{
    bus->route.transport = NULL;
}

enum { LINKS, OWN = LINKS, OTHERS };

static int send_by(cl_composed *bus, unsigned way, void *node, const cl_envelope *e, uint64_t token)
{
    cl_transport *t = bus->transports[way];
    bus->base.way = way;
    return t->ops->send(t, node, e, token);
}

/* What only a link may carry. */
static int send_by_link(cl_composed *bus, void *node, const cl_envelope *e, uint64_t token)
{
    int code = send_by(bus, LINKS, node, e, token);
    bus->base.counts[CL_BUS_LINK_CALLS] += e->type == CL_CALL && code == 0;
    return code;
}

int cl_bus_send_beside_links(cl_composed *bus, void *node, const cl_envelope *e, uint64_t token)
{
    cl_transport *links = bus->transports[LINKS];
    if (e->flags & CL_BY_LINK) return send_by_link(bus, node, e, token);
    if (e->type == CL_RESULT) return send_by(bus, e->link ? LINKS : OTHERS, node, e, token);
    if (e->type == CL_CANCEL) return send_by(bus, links->ops->is_open(links, e->to) ? LINKS : OTHERS, node, e, token);
    if (e->type != CL_CALL) return send_by(bus, OTHERS, node, e, token);
    int code = CLOUDS_EUNREACHABLE;
    if (links->ops->is_open(links, e->to)) code = send_by(bus, LINKS, node, e, token);
    bus->base.counts[CL_BUS_LINK_CALLS] += code == 0;
    if (code != CLOUDS_EUNREACHABLE) return code;
    code = send_by(bus, OTHERS, node, e, token);
    bus->base.counts[CL_BUS_BUS_CALLS] += code == 0;
    return code;
}

int cl_bus_send_beside_own(cl_composed *bus, void *node, const cl_envelope *e, uint64_t token)
{
    int is_direct = e->type == CL_CALL || e->type == CL_RESULT || e->type == CL_CANCEL, code = CLOUDS_EUNREACHABLE;
    if (is_direct && cl_bus_route(bus, e->to) == bus->transports[OWN]) code = send_by(bus, OWN, node, e, token);
    return code == CLOUDS_EUNREACHABLE ? send_by(bus, OTHERS, node, e, token) : code;
}

int cl_bus_is_linked(cl_bus *base, cl_str id)
{
    const cl_composed *bus = CL_OWNER(base, cl_composed, base);
    cl_transport *links = bus->transports[LINKS];
    return bus->beside == CL_BESIDE_LINKS && !bus->closing && links->ops->is_open(links, id);
}

int cl_bus_is_reached(cl_bus *base, cl_str id)
{
    cl_composed *bus = CL_OWNER(base, cl_composed, base);
    if (bus->beside != CL_BESIDE_OWN) return cl_bus_is_linked(base, id);
    return !bus->closing && cl_bus_route(bus, id) == bus->transports[OWN];
}

/* Beside another way a link counts when it is open; where all is by links, it is opened for the call. */
int cl_bus_find_way(cl_bus *base, cl_str id, cl_address *at)
{
    const cl_composed *bus = CL_OWNER(base, cl_composed, base);
    if (bus->closing || bus->directory->ops->locate(bus->directory, id, at) != 0) at->text[0] = '\0';
    return bus->beside == CL_BESIDE_LINKS ? cl_bus_is_linked(base, id) : bus->transports[0]->ops->is_open != NULL;
}

int cl_bus_put_links(cl_bus *base, uint64_t asked_by, cl_buf *out)
{
    cl_composed *bus = CL_OWNER(base, cl_composed, base);
    int code = cl_buf_put_char(out, '[');
    for (size_t i = 0; code == 0 && i < bus->transports_n; i++) {
        cl_transport *t = bus->transports[i];
        if (t->ops->put_links) code = t->ops->put_links(t, asked_by, out);
    }
    return code ? code : cl_buf_put_char(out, ']');
}
