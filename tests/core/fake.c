#include "fake.h"

#include "base/rand.h"

static void keep(char *out, size_t cap, const char *p, size_t n)
{
    if (n >= cap) n = cap - 1;
    if (n) memcpy(out, p, n);
    out[n] = 0;
}

#define KEEP(field, s) keep(field, sizeof field, (s).p, (s).n)

static int64_t port_now(void *self)
{
    return ((fake *)self)->now;
}

static uint64_t port_random(void *self)
{
    fake *f = self;
    return f->seed ? cl_rand_next(&f->seed) : ++f->ids;
}

static void port_arm(void *self, int64_t when)
{
    fake *f = self;
    f->armed = when;
    f->arms++;
}

static int bus_send(cl_bus *bus, void *node, const cl_envelope *e, uint64_t token)
{
    fake *f = CL_OWNER(bus, fake, bus);
    if (e->type == CL_CANCEL) {
        f->n_canceled++;
        f->canceled = (fake_sent){.type = e->type, .flags = e->flags, .at = f->now, .token = token, .id_n = e->id.n};
        KEEP(f->canceled.from, e->from), KEEP(f->canceled.to, e->to), KEEP(f->canceled.id, e->id);
        return 0;
    }
    if (e->extension && !(e->flags & CL_FRAMES)) return CLOUDS_ENOTSUP;
    if (f->send_code) return f->send_code;
    if (f->link_code && (e->flags & CL_BY_LINK)) return f->link_code;
    if (f->full && cl_str_eq(e->to, cl_str_z(f->full)) && e->args.n >= f->full_above) return CLOUDS_ELIMIT;
    if (f->room_most && (f->waits > f->room_most || f->waits + e->args.n > f->room_hard)) return CLOUDS_ELIMIT;
    f->waits += e->args.n;
    if (f->n_sent == FAKE_MAX) return 0;
    fake_sent *s = &f->sent[f->n_sent++];
    *s = (fake_sent){.type = e->type,
                     .flags = e->flags,
                     .deadline = e->deadline,
                     .at = f->now,
                     .token = token,
                     .link = e->link,
                     .id_n = e->id.n,
                     .args_n = e->args.n,
                     .meta_n = e->extension ? e->extension->meta.n : 0,
                     .tag = cl_node_tag(node)};
    KEEP(s->from, e->from), KEEP(s->to, e->to), KEEP(s->id, e->id), KEEP(s->method, e->method);
    KEEP(s->once, e->extension ? e->extension->key : CL_STR_NONE);
    KEEP(s->meta, e->extension ? e->extension->meta : CL_STR_NONE);
    KEEP(s->args, e->args), KEEP(s->error, e->error), KEEP(s->result, e->result), KEEP(s->data, e->data);
    return 0;
}

static void bus_lookup(cl_bus *bus, cl_str method, int known)
{
    fake *f = CL_OWNER(bus, fake, bus);
    if (f->n_looks == FAKE_MAX) return;
    fake_look *l = &f->looks[f->n_looks++];
    KEEP(l->method, method);
    l->known = known;
}

static void bus_forget(cl_bus *bus, cl_str method, cl_str server)
{
    fake *f = CL_OWNER(bus, fake, bus);
    f->n_forgets++;
    KEEP(f->forgot_method, method);
    KEEP(f->forgot_server, server);
}

static void bus_unwatch(cl_bus *bus, cl_str method)
{
    fake *f = CL_OWNER(bus, fake, bus);
    f->n_unwatched++;
    KEEP(f->unwatched, method);
}

static int bus_register(cl_bus *bus, void *node, cl_str method, uint64_t operation)
{
    fake *f = CL_OWNER(bus, fake, bus);
    f->n_registers++;
    return f->register_code;
}

static int bus_unregister(cl_bus *bus, void *node, cl_str method, uint64_t operation)
{
    fake *f = CL_OWNER(bus, fake, bus);
    f->n_unregisters++;
    return f->register_code;
}

static int bus_node_open(cl_bus *bus, void *node, cl_str id, double heartbeat)
{
    return 0;
}

static int bus_find_way(cl_bus *bus, cl_str id, cl_address *at)
{
    snprintf(at->text, sizeof at->text, "at:%.*s", (int)id.n, id.p);
    return 1;
}

static void bus_describe(cl_bus *bus, void *node, const cl_traits *traits)
{
    fake *f = CL_OWNER(bus, fake, bus);
    f->n_describes++;
    f->weight = traits->weight;
    KEEP(f->tags, traits->tags);
}

static void bus_pause(cl_bus *bus, void *node, cl_str method, int paused)
{
    fake *f = CL_OWNER(bus, fake, bus);
    f->n_pauses++;
    KEEP(f->paused_method, method);
    f->paused = paused;
}

static void bus_abandon(cl_bus *bus, uint64_t operation)
{
    CL_OWNER(bus, fake, bus)->n_abandoned++;
}

static void bus_drain(cl_bus *bus, void *node)
{
    CL_OWNER(bus, fake, bus)->n_drains++;
}

static void bus_close_node(cl_bus *bus, void *node)
{
    CL_OWNER(bus, fake, bus)->n_closes++;
}

static void bus_status(cl_bus *bus, uint64_t operation)
{
    CL_OWNER(bus, fake, bus)->n_status++;
}

static int bus_subscribe(cl_bus *bus, void *node, cl_str topic, cl_str group)
{
    fake *f = CL_OWNER(bus, fake, bus);
    if (f->subscribe_code) return f->subscribe_code;
    f->n_subscribes++;
    KEEP(f->subscribed, topic), KEEP(f->group, group);
    return 0;
}

static void bus_unsubscribe(cl_bus *bus, void *node, cl_str topic, cl_str group)
{
    CL_OWNER(bus, fake, bus)->n_unsubscribes++;
}

static int bus_publish(cl_bus *bus, void *node, const cl_envelope *e, uint64_t token, size_t *drops)
{
    fake *f = CL_OWNER(bus, fake, bus);
    if (f->publish_code < 0) return f->publish_code;
    f->n_publishes++;
    f->epoch = e->extension->epoch;
    f->sequence = e->extension->sequence;
    *drops = 1;
    return f->publish_code;
}

static int port_event(void *self, void *tag, const clouds_event *event)
{
    fake *f = self;
    int is_question = event->type == CLOUDS_EVENT_FIND_SERVER || event->type == CLOUDS_EVENT_ATTEMPT;
    if (is_question && f->question_code) return f->question_code;
    if (f->n_events == FAKE_MAX) return 0;
    fake_event *e = &f->events[f->n_events++];
    e->e = *event;
    e->tag = tag;
    e->at = f->now;
    keep(e->peer, sizeof e->peer, event->peer, event->peer_len);
    keep(e->method, sizeof e->method, event->method, event->method_len);
    keep(e->data, sizeof e->data, event->data, event->data_len);
    keep(e->error, sizeof e->error, event->error, event->error_len);
    keep(e->meta, sizeof e->meta, event->meta, event->meta_len);
    return 0;
}

static int port_reserve(void *self)
{
    fake *f = self;
    if (f->reserve_code == 0) f->n_reserved++;
    return f->reserve_code;
}

static int port_withdraw_request(void *self, uint64_t request)
{
    return ((fake *)self)->waiting;
}

static void port_forget_request(void *self, uint64_t request)
{
}

static int bus_recall(cl_bus *bus, cl_str to, uint64_t token)
{
    const fake *f = CL_OWNER(bus, fake, bus);
    return f->recalls && token == f->sent[f->n_sent - 1].token;
}

static int bus_is_linked(cl_bus *bus, cl_str id)
{
    const fake *f = CL_OWNER(bus, fake, bus);
    return f->linked && cl_str_eq(id, cl_str_z(f->linked));
}

static uint64_t port_next_id(void *self)
{
    return ++((fake *)self)->ids;
}

static const cl_bus_ops bus_ops = {
    .node_drain = bus_drain,
    .node_close = bus_close_node,
    .register_method = bus_register,
    .unregister_method = bus_unregister,
    .pause = bus_pause,
    .node_open = bus_node_open,
    .describe = bus_describe,
    .find_way = bus_find_way,
    .abandon = bus_abandon,
    .subscribe = bus_subscribe,
    .unsubscribe = bus_unsubscribe,
    .publish = bus_publish,
    .send = bus_send,
    .recall = bus_recall,
    .is_linked = bus_is_linked,
    .is_reached = bus_is_linked,
    .lookup = bus_lookup,
    .unwatch = bus_unwatch,
    .forget = bus_forget,
    .status = bus_status,
};

cl_core_config fake_core_config(void)
{
    return (cl_core_config){
        .limits =
            {.message = 1 << 20, .method = 128, .json = {256, 1000000}, .write_soft = 1 << 20, .write_hard = 8 << 20},
        .max_in_flight = 1000,
        .max_in_flight_bytes = 64 << 20,
        .max_deadline = 86400,
        .once_window = 60000,
        .once_keys = 10000,
        .once_bytes = 16 << 20,
        .secret = {1, 2},
    };
}

cl_node_config fake_node_config(const char *type)
{
    cl_node_config c = {
        .timeout = 2, .server_max_age = 60, .auto_clean = 1, .breaker = 1, .drain_timeout = 8, .operation_timeout = 2};
    snprintf(c.type, sizeof c.type, "%s", type);
    return c;
}

int fake_open(fake *f, const cl_core_config *config)
{
    f->now = 1000000;
    f->armed = INT64_MAX;
    f->ids = 100;
    f->sent = calloc(FAKE_MAX, sizeof *f->sent);
    f->events = calloc(FAKE_MAX, sizeof *f->events);
    f->looks = calloc(FAKE_MAX, sizeof *f->looks);
    f->port = (cl_port){.self = f,
                        .now = port_now,
                        .now_about = port_now,
                        .random = port_random,
                        .arm = port_arm,
                        .event = port_event,
                        .reserve = port_reserve,
                        .reserve_request = port_reserve,
                        .withdraw_request = port_withdraw_request,
                        .forget_request = port_forget_request,
                        .next_id = port_next_id,
                        .span = f->span};
    f->bus.ops = &bus_ops;
    int code = cl_core_create(config, &f->port, &f->core);
    if (code == 0) cl_core_set_bus(f->core, &f->bus);
    return code;
}

cl_node *fake_node(fake *f, const char *id, const cl_node_config *config)
{
    cl_node *node = NULL;
    static int tags[16], next;
    if (cl_node_create(f->core, cl_str_z(id), config, &tags[next++ % 16], &node) != 0) return NULL;
    return node;
}

void fake_start(fake *f)
{
    cl_core_config config = fake_core_config();
    if (!f->config.timeout) f->config = fake_node_config("client");
    fake_open(f, &config);
    f->node = fake_node(f, "c.1", &f->config);
    cl_core_bus(f->core, 1, 0, NULL);
    cl_node_ready(f->node, 0, NULL);
}

void fake_end(fake *f)
{
    cl_core_destroy(f->core);
    free(f->sent);
    free(f->events);
    free(f->looks);
    *f = (fake){0};
}

int fake_call_code(fake *f, cl_node *node, cl_call_spec spec)
{
    if (!spec.method.p) spec.method = CL_STR("m");
    if (!spec.args.p) spec.args = CL_STR("[1]");
    if (!spec.server.p) spec.server = CL_STR_NONE;
    spec.made_at = f->now;
    return cl_node_call(node, &spec);
}

uint64_t fake_call_spec(fake *f, cl_call_spec spec)
{
    spec.id = ++f->ids;
    return fake_call_code(f, f->node, spec) == 0 ? spec.id : 0;
}

uint64_t fake_call(fake *f, const char *method)
{
    return fake_call_spec(f, (cl_call_spec){.method = cl_str_z(method)});
}

void fake_servers(fake *f, const char *method, const char *ids)
{
    cl_server servers[64];
    size_t n = 0;
    for (const char *p = ids; *p; n++) {
        size_t len = strcspn(p, ",");
        int native = *p == 'n'   ? CL_NATIVE_NOT
                     : *p == 'l' ? CL_NATIVE_LINKED
                     : *p == 'f' ? CL_NATIVE_FRAMES
                                 : CL_NATIVE_OURS;
        servers[n] = (cl_server){.id = cl_str_of(p, len), .native = native, .paused = *p == 'p'};
        p += len + (p[len] == ',');
    }
    cl_core_servers(f->core, cl_str_z(method), servers, n, 0);
}

void fake_servers_code(fake *f, const char *method, int code)
{
    cl_core_servers(f->core, cl_str_z(method), NULL, 0, code);
}

static void answer(fake *f, int i, unsigned flags, const char *error, const char *result)
{
    const fake_sent *s = &f->sent[i];
    cl_envelope e = {.type = CL_RESULT,
                     .flags = flags,
                     .from = cl_str_z(s->to),
                     .to = cl_str_z(s->from),
                     .id = cl_str_of(s->id, s->id_n),
                     .link = f->answer_link,
                     .method = CL_STR_NONE,
                     .args = CL_STR_NONE,
                     .error = cl_str_z(error),
                     .result = cl_str_z(result),
                     .data = CL_STR_NONE,
                     .raw = CL_STR_NONE};
    cl_core_envelope(f->core, f->node, &e);
}

void fake_answer(fake *f, int i, const char *error, const char *result)
{
    answer(f, i, 0, error, result);
}

void fake_refuse(fake *f, int i, int code)
{
    char error[200];
    snprintf(error, sizeof error, "{\"message\":\"from the server\",\"code\":\"%s\"}", clouds_err_name(code));
    answer(f, i, CL_REFUSED, error, "[]");
}

void fake_refuse_with(fake *f, int i, const char *error)
{
    answer(f, i, CL_REFUSED, error, "[]");
}

void fake_refuse_busy(fake *f, int i, const char *seconds)
{
    char error[200];
    snprintf(error, sizeof error,
             "{\"message\":\"busy\",\"code\":\"CLOUDS_OVERLOADED\",\"reason\":\"rate\",\"retry_after\":%s}", seconds);
    answer(f, i, CL_REFUSED, error, "[]");
}

void fake_delivery(fake *f, int i, enum cl_delivery delivery)
{
    cl_core_delivery(f->core, f->sent[i].token, delivery, delivery == CL_DELIVERY_WRITTEN);
}

uint64_t fake_inbound(fake *f, cl_node *node, const char *from, const char *id, const char *method, unsigned flags,
                      int64_t deadline)
{
    return fake_inbound_args(f, node, from, id, method, "[7]", flags, deadline);
}

uint64_t fake_inbound_args(fake *f, cl_node *node, const char *from, const char *id, const char *method,
                           const char *args, unsigned flags, int64_t deadline)
{
    int before = f->n_events;
    cl_envelope e = {.type = CL_CALL,
                     .flags = flags,
                     .from = cl_str_z(from),
                     .to = cl_node_id(node),
                     .id = cl_str_z(id),
                     .method = cl_str_z(method),
                     .args = flags & CL_NO_ARRAY ? CL_STR_NONE : cl_str_z(args),
                     .error = CL_STR_NONE,
                     .result = CL_STR_NONE,
                     .data = CL_STR_NONE,
                     .raw = CL_STR("raw"),
                     .deadline = deadline,
                     .link = 77};
    cl_extension x = CL_EXTENSION_NONE;
    if (f->once) x.key = cl_str_z(f->once), e.extension = &x;
    if (f->meta) x.meta = cl_str_z(f->meta), e.extension = &x;
    cl_core_envelope(f->core, node, &e);
    if (f->n_events == before || f->events[f->n_events - 1].e.type != CLOUDS_EVENT_REQUEST) return 0;
    return f->events[f->n_events - 1].e.id;
}

void fake_cancel(fake *f, cl_node *node, const char *from, const char *id)
{
    cl_envelope e = cl_envelope_of(CL_CANCEL, cl_str_z(from), cl_node_id(node), cl_str_z(id));
    cl_core_envelope(f->core, node, &e);
}

void fake_advance(fake *f, int64_t ms)
{
    int64_t end = f->now + ms;
    while (f->armed <= end) {
        if (f->armed > f->now) f->now = f->armed;
        cl_core_tick(f->core);
    }
    f->now = end;
}

fake_sent *fake_last_sent(fake *f)
{
    static fake_sent none;
    return f->n_sent ? &f->sent[f->n_sent - 1] : &none;
}

fake_event *fake_last_event(fake *f)
{
    static fake_event none;
    return f->n_events ? &f->events[f->n_events - 1] : &none;
}

int fake_results(const fake *f, uint64_t id)
{
    int n = 0;
    for (int i = 0; i < f->n_events; i++) n += f->events[i].e.type == CLOUDS_EVENT_RESULT && f->events[i].e.id == id;
    return n;
}

fake_event *fake_result(fake *f, uint64_t id)
{
    static fake_event none = {.e.code = 1};
    CHECK_INT(fake_results(f, id), 1);
    for (int i = 0; i < f->n_events; i++)
        if (f->events[i].e.type == CLOUDS_EVENT_RESULT && f->events[i].e.id == id) return &f->events[i];
    return &none;
}

fake_event *fake_find(fake *f, uint32_t type)
{
    static fake_event none = {.e.code = 1};
    for (int i = f->n_events - 1; i >= 0; i--)
        if (f->events[i].e.type == type) return &f->events[i];
    return &none;
}

int fake_count(const fake *f, uint32_t type)
{
    int n = 0;
    for (int i = 0; i < f->n_events; i++) n += f->events[i].e.type == type;
    return n;
}
