/* Design note: one alarm serves all that takes time here. It is set for the earliest thing and looks at everything when
 * it rings, so a thing that got earlier or vanished costs nothing. */
#include "bus/local/internal.h"

#include "base/log.h"
#include "base/mem.h"

enum { PROBE_MS = 200 };

void cl_local_tick_by(cl_local *bus, int64_t when)
{
    if (when >= bus->tick_at) return;
    bus->tick_at = when;
    cl_loop_timer_set(bus->tick, when);
}

/* ---- links */

static int64_t in_ms(double seconds)
{
    return (int64_t)(seconds * 1000);
}

static void keepalive(cl_local_link *link, int64_t now)
{
    const cl_limits *limits = &link->bus->limits;
    if (link->pinged > link->heard) {
        if (now < link->pinged + in_ms(limits->ping_timeout))
            cl_local_tick_by(link->bus, link->pinged + in_ms(limits->ping_timeout));
        else cl_link_cut(link);
        return;
    }
    int64_t due = link->heard + in_ms(limits->ping_interval);
    if (now < due) {
        cl_local_tick_by(link->bus, due);
        return;
    }
    link->pinged = now > link->heard ? now : link->heard + 1;
    if (cl_link_send_control(link, CL_FRAME_PING, CL_STR_NONE) != 0) cl_link_cut(link);
    cl_local_tick_by(link->bus, link->pinged + in_ms(limits->ping_timeout));
}

static void tick_link(cl_local_link *link, int64_t now)
{
    if (link->waiting && (link->state == CL_LINK_DIALING || link->state == CL_LINK_HELLO)) {
        cl_link_give_back(link, now);
        if (link->give_back != INT64_MAX) cl_local_tick_by(link->bus, link->give_back);
    }
    if (link->state == CL_LINK_HELLO) {
        if (now < link->hello_by) cl_local_tick_by(link->bus, link->hello_by);
        else cl_link_cut(link);
    } else if (link->state == CL_LINK_OPEN && link->watched) {
        if (link->calls > 0) keepalive(link, now);
        else link->watched = 0;
    }
}

/* ---- probes */

/* Its link broke: if its lock is free it is swept away, else it counts again. The lock of a process that was killed may
 * still be held for a moment after its links are closed. */
void cl_local_probe(cl_local *bus, cl_str id, int was_open)
{
    char key[CL_KEY + 1];
    cl_file_key(id, key);
    if (!cl_strmap_get(&bus->registry.peers, id) || bus->closing) return;
    if (!cl_file_is_alive(&bus->folder, key, NULL)) {
        cl_registry_forget(bus, id);
        return;
    }
    if (!was_open) return;
    cl_probe *probe = cl_malloc(sizeof *probe + id.n);
    if (!probe) return; /* the next look sees to it */
    *probe = (cl_probe){.when = cl_loop_now() + PROBE_MS, .n = id.n};
    memcpy(probe->id, id.p, id.n);
    memcpy(probe->key, key, sizeof key);
    cl_list_append(&bus->probes, &probe->place);
    cl_local_tick_by(bus, probe->when);
}

static void run_probes(cl_local *bus, int64_t now)
{
    while (!cl_list_empty(&bus->probes)) {
        cl_probe *probe = CL_OWNER(bus->probes.next, cl_probe, place);
        if (probe->when > now) {
            cl_local_tick_by(bus, probe->when);
            return;
        }
        cl_list_remove(&probe->place);
        cl_str id = {probe->id, probe->n};
        if (cl_file_is_alive(&bus->folder, probe->key, NULL)) cl_registry_tell(bus, id, 1);
        else cl_registry_forget(bus, id);
        cl_free(probe);
    }
}

void cl_local_tick(void *self)
{
    cl_local *bus = self;
    int64_t now = cl_loop_now();
    bus->tick_at = INT64_MAX;
    CL_LIST_EACH(it, &bus->links) tick_link(CL_OWNER(it, cl_local_link, place), now);
    run_probes(bus, now);
    if (!bus->closing) cl_local_nodes_retry(bus, now);
    if (bus->republish && !bus->closing) cl_local_republish(bus);
    cl_local_inspect(bus, now);
    if (bus->sweep) cl_local_sweep(bus);
    if (bus->ending) cl_loop_defer(bus->loop);
}
