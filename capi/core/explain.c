#include "core/internal.h"
#include "core/offer.h"

/* Who would be called now, and why: all that the choice goes by, of each server. The list is asked for anew, so that
 * servers that take no calls are named, too; while the bus is away what is known is told at once. */

typedef struct row {
    cl_str id;
    const char *state, *breaker;
    const cl_peer *peer;   /* NULL: nothing was ever asked of it here */
    int64_t until, failed; /* until when it is left alone (INT64_MIN: it is not); its last failure (INT64_MIN: none) */
    float latency;
    cl_traits traits;
    int is_near;
    const cl_offer *limits; /* of a server of this context; NULL: none, or not known */
} row;

static int put_seconds(cl_buf *out, const char *name, double ms)
{
    int code = cl_buf_printf(out, ",\"%s\":", name);
    return code ? code : cl_buf_put_real(out, ms > 0 ? ms / 1000 : 0.0, 6);
}

static int put_text(cl_buf *out, const char *name, cl_str text)
{
    int code = cl_buf_printf(out, ",\"%s\":", name);
    return code ? code : cl_json_quote(text, out);
}

static int put_way(cl_core *core, cl_buf *out, cl_str id)
{
    cl_address at = {""};
    cl_bus *bus = core->bus;
    int is_link = bus->ops->find_way && bus->ops->find_way(bus, id, &at);
    int code = put_text(out, "route", is_link ? CL_STR("link") : CL_STR("bus"));
    return code ? code : put_text(out, "address", cl_str_z(at.text));
}

static int put_limits(cl_buf *out, const cl_offer *offer, int64_t now)
{
    int code = cl_buf_put_str(out, CL_STR(",\"limits\":{"));
    if (code == 0) code = cl_state_put_limits(offer, now, out);
    return code ? code : cl_buf_put_char(out, '}');
}

static int put_row(cl_core *core, cl_buf *out, const row *r, int64_t now)
{
    int code = cl_buf_put_str(out, CL_STR("{\"id\":"));
    if (code == 0) code = cl_json_quote(r->id, out);
    if (code == 0) code = cl_buf_printf(out, ",\"state\":\"%s\"", r->state);
    if (code == 0 && r->until > now) code = put_seconds(out, "for", (double)(r->until - now));
    if (code == 0) code = put_way(core, out, r->id);
    if (code == 0) code = cl_buf_printf(out, ",\"breaker\":\"%s\",\"in_flight\":%d", r->breaker,
                                        r->peer ? cl_peer_in_flight(r->peer, INT32_MAX) : 0);
    if (code == 0 && r->latency > 0) code = put_seconds(out, "latency", (double)r->latency);
    if (code == 0) code = cl_buf_printf(out, ",\"strikes\":%u", r->peer ? r->peer->strikes : 0);
    if (code == 0 && r->failed != INT64_MIN) code = put_seconds(out, "last_failure", (double)(now - r->failed));
    if (code == 0) code = cl_buf_printf(out, ",\"weight\":%u", cl_traits_weight(&r->traits));
    if (code == 0) code = cl_buf_put_str(out, CL_STR(",\"tags\":"));
    if (code == 0) code = cl_tags_put(cl_traits_tags(&r->traits), out);
    if (code == 0) code = cl_buf_printf(out, ",\"near\":%s", r->is_near ? "true" : "false");
    if (code == 0 && r->limits) code = put_limits(out, r->limits, now);
    return code ? code : cl_buf_put_char(out, '}');
}

static const cl_offer *own_limits(const cl_core *core, cl_str id, cl_str method)
{
    CL_LIST_EACH(it, &core->nodes)
    {
        const cl_node *node = CL_OWNER(it, cl_node, of_core);
        const cl_service *service = cl_str_eq(node->id, id) ? cl_strmap_get(&node->services, method) : NULL;
        if (service) return service->offer;
    }
    return NULL;
}

static row row_of(const cl_node *node, const cl_method *m, uint32_t at, int64_t now)
{
    const cl_peer *peer = m->servers[at];
    row r = {.id = peer->id, .peer = peer, .breaker = "closed", .latency = m->shares[at].latency};
    const cl_breaker *b = cl_breaker_find(peer, m);
    if (b && b->state != CL_BREAKER_CLOSED) r.breaker = b->state == CL_BREAKER_OPEN ? "open" : "probing";
    r.state = cl_state_of_server(peer, m, node->config.breaker, now, &r.until);
    r.failed = peer->failed_at;
    r.traits = (cl_traits){peer->weight, cl_str_z(peer->tags ? peer->tags : "")};
    r.is_near = cl_balance_is_near(node, peer);
    r.limits = own_limits(node->core, r.id, m->name);
    return r;
}

static int put_servers(cl_core *core, cl_buf *out, const cl_node *node, const cl_method *m, const cl_server *servers,
                       size_t n, int64_t now)
{
    int count = 0, code = cl_buf_put_str(out, CL_STR(",\"servers\":["));
    for (uint32_t i = 0; code == 0 && i < m->n; i++) {
        const row r = row_of(node, m, i, now);
        if (count++) code = cl_buf_put_char(out, ',');
        if (code == 0) code = put_row(core, out, &r, now);
    }
    for (size_t i = 0; code == 0 && i < n; i++) {
        if (!servers[i].paused) continue;
        const cl_peer *peer = cl_peer_find(core, servers[i].id);
        const row r = {.id = servers[i].id, .state = "paused", .breaker = "closed", .peer = peer, .until = INT64_MIN,
                       .failed = peer ? peer->failed_at : INT64_MIN, .traits = servers[i].traits,
                       .limits = own_limits(core, servers[i].id, m->name)};
        if (count++) code = cl_buf_put_char(out, ',');
        if (code == 0) code = put_row(core, out, &r, now);
    }
    return code ? code : cl_buf_put_char(out, ']');
}

/* A call that is not made: without arguments, without a key. */
static int put_choice(cl_buf *out, cl_node *node, cl_method *m, int64_t now)
{
    const cl_call call = {.node = node, .method = m, .balance = (uint8_t)node->config.balance};
    cl_choice choice;
    cl_balance_explain(m, &call, now, &choice);
    const char *rule = node->config.find_server ? "find_server" : choice.rule;
    int is_known = choice.peer && !node->config.find_server;
    int code = cl_buf_printf(out, ",\"choice\":{\"rule\":\"%s\",\"among\":%u", rule, choice.among);
    if (code == 0 && is_known) code = put_text(out, "server", choice.peer->id);
    return code ? code : cl_buf_put_char(out, '}');
}

static int put_all(cl_core *core, cl_buf *out, cl_node *node, cl_method *m, const cl_server *servers, size_t n)
{
    static const char *const balances[] = {[CL_BALANCE_TURNS] = "rr",
                                           [CL_BALANCE_LEAST] = "least",
                                           [CL_BALANCE_RANDOM] = "random",
                                           [CL_BALANCE_HASH] = "hash"};
    int64_t now = cl_core_now(core);
    int code = cl_buf_put_str(out, CL_STR("{\"method\":"));
    if (code == 0) code = cl_json_quote(m->name, out);
    if (code == 0) code = cl_buf_printf(out, ",\"bus\":\"%s\",\"balance\":\"%s\"", core->bus_up ? "up" : "down",
                                        balances[node->config.balance]);
    if (code == 0 && node->near.n)
        code = cl_buf_printf(out, ",\"prefer\":\"%s=%.*s\"", node->config.prefer, (int)node->near.n, node->near.p);
    if (code == 0) code = put_choice(out, node, m, now);
    if (code == 0) code = put_servers(core, out, node, m, servers, n, now);
    return code ? code : cl_buf_put_char(out, '}');
}

static void finish(cl_op *op, cl_method *m, const cl_server *servers, size_t n)
{
    cl_buf out = {0};
    int code = put_all(op->node->core, &out, op->node, m, servers, n);
    cl_op_end(op, code, NULL, 0, code ? CL_STR_NONE : cl_buf_str(&out));
    cl_buf_free(&out);
}

static void ask(cl_op *op)
{
    cl_core *core = op->node->core;
    cl_method *m;
    int code = cl_directory_method(core, op->text, &m);
    if (code) {
        cl_op_end(op, code, NULL, 0, CL_STR_NONE);
        return;
    }
    cl_directory_release(core, m);
    op->asked = core->bus_up;
    if (core->bus_up) cl_directory_lookup(core, m, 0, cl_core_now(core));
    else if (core->was_up) finish(op, m, NULL, 0);
}

/* Of a bus that was never there nothing is known: the question waits for it. */
int cl_node_explain(cl_node *node, cl_str method, const cl_op_spec *spec)
{
    cl_op *op;
    if (node->state == CL_NODE_CLOSING) return CLOUDS_ECLOSED;
    int code = cl_op_create(node, CL_OP_EXPLAIN, spec, method, &op);
    if (code == 0) ask(op);
    return code;
}

static void each_question(cl_core *core, void (*fn)(cl_op *op, void *self), void *self)
{
    CL_LIST_EACH(of_core, &core->nodes)
    {
        cl_node *node = CL_OWNER(of_core, cl_node, of_core);
        CL_LIST_EACH(it, &node->ops)
        {
            cl_op *op = CL_OWNER(it, cl_op, of_node);
            if (op->kind == CL_OP_EXPLAIN) fn(op, self);
        }
    }
}

static void ask_if_waiting(cl_op *op, void *self)
{
    if (!op->asked) ask(op);
}

void cl_explain_ask_all(cl_core *core)
{
    each_question(core, ask_if_waiting, NULL);
}

typedef struct answer {
    cl_method *method;
    const cl_server *servers;
    size_t n;
    int code;
} answer;

static void answer_if_same(cl_op *op, void *self)
{
    const answer *a = self;
    if (!op->asked || !cl_str_eq(op->text, a->method->name)) return;
    if (a->code) cl_op_end(op, a->code, NULL, 0, CL_STR_NONE);
    else finish(op, a->method, a->servers, a->n);
}

void cl_explain_listed(cl_core *core, cl_method *m, const cl_server *servers, size_t n, int code)
{
    answer a = {m, servers, n, code == CLOUDS_EUNREACHABLE ? 0 : code};
    each_question(core, answer_if_same, &a);
}
