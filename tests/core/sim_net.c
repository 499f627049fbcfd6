#include "sim.h"

uint64_t sim_random(sim *w, uint64_t below)
{
    return cl_rand_next(&w->state) % below;
}

int sim_chance(sim *w, double p)
{
    return (double)(cl_rand_next(&w->state) >> 11) / 9007199254740992.0 < p;
}

sim_item *sim_later(sim *w, int64_t delay, enum sim_what what, int node)
{
    sim_item *item = calloc(1, sizeof *item);
    item->what = what;
    item->node = node;
    item->life = w->nodes[node].life;
    cl_heap_set(&w->agenda, &item->timer, w->now + delay);
    return item;
}

/* Mostly quick, now and then very slow: that is what reorders. */
int64_t sim_delay(sim *w)
{
    if (sim_chance(w, 0.03)) return (int64_t)sim_random(w, (uint64_t)w->max_delay * 10) + 1;
    return (int64_t)sim_random(w, (uint64_t)w->max_delay) + 1;
}

static void keep(char *out, size_t cap, cl_str s)
{
    if (s.n >= cap) abort(); /* the simulation's own texts are short */
    memcpy(out, s.p, s.n);
    out[s.n] = 0;
}

static void fill(sim_item *p, const cl_envelope *e)
{
    p->type = e->type;
    p->flags = e->flags;
    p->deadline = e->deadline;
    keep(p->from, sizeof p->from, e->from);
    keep(p->to, sizeof p->to, e->to);
    keep(p->wire_id, sizeof p->wire_id, e->id);
    p->id_n = e->id.n;
    keep(p->name, sizeof p->name, e->method);
    keep(p->text, sizeof p->text, e->type == CL_CALL ? e->args : e->result);
    keep(p->error, sizeof p->error, e->error);
    if (e->extension) keep(p->once, sizeof p->once, e->extension->key);
}

static void mark_duplicated(sim *w, const sim_item *p)
{
    size_t number = strtoul(p->text + 1, NULL, 10);
    if (p->type == CL_CALL && number < w->n_calls) w->calls[number].duplicated = 1;
}

int sim_send(cl_bus *bus, void *node, const cl_envelope *e, uint64_t token)
{
    sim_node *n = CL_OWNER(bus, sim_node, bus);
    sim *w = n->world;
    if (e->extension && !(e->flags & CL_FRAMES)) return CLOUDS_ENOTSUP;
    if (!n->bus_up && e->type == CL_CALL) return CLOUDS_EUNREACHABLE;
    if (sim_chance(w, 0.0005)) return CLOUDS_ELIMIT;
    if (e->type == CL_CALL && sim_chance(w, w->loss / 4)) {
        sim_item *delivery = sim_later(w, sim_delay(w), SIM_DELIVERY, n->index);
        delivery->id = token;
        delivery->number = CL_DELIVERY_NOT_SENT;
        return 0;
    }
    if (!n->bus_up || sim_chance(w, w->loss)) {
        if (token && sim_chance(w, 0.5)) {
            sim_item *delivery = sim_later(w, sim_delay(w), SIM_DELIVERY, n->index);
            delivery->id = token;
            delivery->number = CL_DELIVERY_LOST;
        }
        return 0;
    }
    sim_item *p = sim_later(w, sim_delay(w), SIM_PACKET, n->index);
    fill(p, e);
    p->id = token;
    if (sim_chance(w, w->duplicate)) {
        sim_item *twin = sim_later(w, sim_delay(w), SIM_PACKET, n->index);
        fill(twin, e);
        twin->duplicate = 1;
        mark_duplicated(w, twin);
    }
    return 0;
}

static void tell_nobody(sim *w, const sim_item *p)
{
    sim_node *from = &w->nodes[p->node];
    if (!p->id || p->duplicate || from->life != p->life) return;
    sim_item *delivery = sim_later(w, sim_delay(w), SIM_DELIVERY, p->node);
    delivery->id = p->id;
    delivery->number = CL_DELIVERY_NOBODY;
}

/* Exchanges the id of this answer with that of another on its way to the same node. */
static void swap_ids(sim *w, sim_item *p)
{
    for (size_t i = 0; i < w->agenda.len; i++) {
        sim_item *other = (sim_item *)(void *)((char *)w->agenda.items[i] - offsetof(sim_item, timer));
        if (other->what != SIM_PACKET || other->type != CL_RESULT || strcmp(other->to, p->to) != 0) continue;
        char id[sizeof p->wire_id];
        size_t n = p->id_n;
        memcpy(id, p->wire_id, sizeof id);
        memcpy(p->wire_id, other->wire_id, sizeof id);
        memcpy(other->wire_id, id, sizeof id);
        p->id_n = other->id_n;
        other->id_n = n;
        return;
    }
}

void sim_deliver(sim *w, sim_item *p)
{
    sim_node *to = sim_find(w, p->to);
    if (!to || !to->bus_up) {
        if (!to && sim_chance(w, 0.7)) tell_nobody(w, p);
        return;
    }
    if (w->broken == SIM_SWAP && p->type == CL_RESULT && sim_chance(w, 0.2)) swap_ids(w, p);
    if (w->broken == SIM_LIAR && p->type == CL_CALL && sim_chance(w, 0.5)) tell_nobody(w, p);
    unsigned flags = p->type == CL_CALL && !to->native ? 0 : p->flags; /* an npm server knows nothing of them */
    int knows_deadline = p->type == CL_CALL && to->native && w->broken != SIM_LATE;
    cl_envelope e = {
        .type = p->type,
        .flags = flags,
        .from = cl_str_z(p->from),
        .to = cl_str_z(p->to),
        .id = cl_str_of(p->wire_id, p->id_n),
        .method = cl_str_z(p->name),
        .args = cl_str_z(p->text),
        .error = cl_str_z(p->error),
        .result = cl_str_z(p->text),
        .data = CL_STR_NONE,
        .raw = CL_STR_NONE,
        .deadline = knows_deadline ? p->deadline : 0,
        .link = 1,
    };
    cl_extension x = CL_EXTENSION_NONE;
    x.key = cl_str_z(p->once);
    if (x.key.n && w->broken != SIM_NO_KEY) e.extension = &x;
    cl_core_envelope(to->core, to->node, &e);
}
