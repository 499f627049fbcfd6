/* Design note. An entry stays for the life of its core, since what is counted only grows: so who calls names that it
 * makes up must not make entries without end, and past the bound all further methods are one. */
#include "core/stats.h"

#include "base/error.h"
#include "core/internal.h"
#include "core/offer.h"

struct cl_stats_table {
    cl_strmap methods;
    cl_stats *other;
};

static const int64_t bounds[CLOUDS_BOUNDS] = CLOUDS_BOUNDS_LIST;

_Static_assert((int)CL_REFUSALS == (int)CLOUDS_REFUSALS, "each reason has its count");

/* A look at the clock is most of what counting costs: all that comes at once shares one, ... */
static int64_t micros(const cl_core *core)
{
    const cl_port *port = &core->port;
    return port->micros_of_turn ? port->micros_of_turn(port->self) : cl_trace_micros(core);
}

/* ... and what has just asked what time it is needs no other. */
static int64_t micros_looked(const cl_core *core)
{
    const cl_port *port = &core->port;
    return port->micros_looked ? port->micros_looked(port->self) : cl_trace_micros(core);
}

/* ---- entries */

static void discard(const cl_core *core, cl_stats *s)
{
    if (s->is_own) cl_free(s->n);
    else {
        s->n->calls.open = s->n->requests.open = s->n->waiting = s->n->limit = 0;
        core->config.free_counts((uint64_t *)(void *)s->n);
    }
    cl_free(s);
}

static clouds_method_counts *create_counts(const cl_core *core, cl_str name, int *is_own)
{
    enum { VALUES = sizeof(clouds_method_counts) / sizeof(uint64_t) };
    uint64_t *values = core->config.add_counts ? core->config.add_counts(CLOUDS_COUNTS_METHOD, name, VALUES) : NULL;
    *is_own = !values;
    return values ? (clouds_method_counts *)(void *)values : cl_calloc(1, sizeof(clouds_method_counts));
}

static cl_stats *create(const cl_core *core, cl_str name)
{
    cl_stats *s = cl_calloc(1, sizeof *s + name.n + 1);
    if (!s) return NULL;
    cl_str_copy(s->text, name);
    s->name = cl_str_of(s->text, name.n);
    s->n = create_counts(core, name, &s->is_own);
    if (s->n) return s;
    cl_free(s);
    return NULL;
}

int cl_stats_open(cl_core *core)
{
    if (!core->config.stats) return 0;
    core->stats = cl_calloc(1, sizeof *core->stats);
    if (core->stats && (core->stats->other = create(core, CL_STR("other")))) return 0;
    cl_free(core->stats);
    return CLOUDS_ENOMEM;
}

void cl_stats_close(cl_core *core)
{
    struct cl_stats_table *table = core->stats;
    size_t at = 0;
    if (!table) return;
    for (cl_stats *s; (s = cl_strmap_next(&table->methods, &at));) discard(core, s);
    cl_strmap_free(&table->methods);
    discard(core, table->other);
    cl_free(table);
}

cl_stats *cl_stats_of(cl_core *core, cl_str method)
{
    struct cl_stats_table *table = core->stats;
    if (!table) return NULL;
    cl_stats *s = cl_strmap_get(&table->methods, method);
    if (s) return s;
    if (table->methods.len >= CL_STATS_METHODS || cl_str_eq(method, table->other->name)) return table->other;
    if (!(s = create(core, method))) return table->other;
    if (cl_strmap_put(&table->methods, s->name, s) == 0) return s;
    discard(core, s);
    return table->other;
}

cl_stats *cl_stats_of_service(cl_core *core, cl_str method)
{
    cl_stats *s = cl_stats_of(core, method);
    if (s) s->n->requests.is_used = 1;
    return s;
}

/* ---- counting */

static int64_t begins(clouds_tally *tally, int64_t micros)
{
    tally->open++;
    tally->is_used = 1;
    return micros;
}

static int bound_of(int64_t took)
{
    int i = 0;
    while (i < CLOUDS_BOUNDS && took > bounds[i]) i++;
    return i;
}

static void ended(const cl_core *core, clouds_tally *tally, int64_t began, uint32_t outcome)
{
    int64_t took = micros(core) - began;
    tally->open--;
    tally->ended[outcome]++;
    tally->took[bound_of(took)]++;
    tally->micros += (uint64_t)(took > 0 ? took : 0);
}

void cl_stats_call(cl_core *core, cl_call *call)
{
    cl_method *m = call->method;
    if (!m->stats) m->stats = cl_stats_of(core, m->name);
    call->stats = m->stats;
    call->began = begins(&call->stats->n->calls, micros_looked(core));
}

void cl_stats_called(cl_core *core, const cl_call *call, uint32_t outcome)
{
    ended(core, &call->stats->n->calls, call->began, outcome);
}

void cl_stats_request(cl_core *core, cl_request *r, cl_stats *stats)
{
    r->stats = stats;
    r->began = begins(&stats->n->requests, micros(core));
}

void cl_stats_served(cl_core *core, const cl_request *r)
{
    ended(core, &r->stats->n->requests, r->began, r->outcome);
}

CL_RARE void cl_stats_refused(cl_node *node, cl_str method, enum cl_refusal why)
{
    const cl_service *service = method.n ? cl_strmap_get(&node->services, method) : NULL;
    if (!service || !service->stats) return;
    service->stats->n->requests.ended[CLOUDS_OUTCOME_NOT_DONE]++;
    service->stats->n->refused[why]++;
}

CL_RARE void cl_stats_taken_back(cl_stats *stats, enum cl_refusal why)
{
    stats->n->refused[why]++;
}

void cl_stats_waited(cl_stats *stats, int64_t ms)
{
    if (!stats) return;
    stats->n->has_waits = 1;
    stats->n->wait_took[bound_of(ms * 1000)]++;
    stats->n->wait_micros += (uint64_t)(ms > 0 ? ms * 1000 : 0);
}

/* ---- telling */

/* Not as a double, whose text would be that of the locale of the process. */
static int put_seconds(cl_buf *out, uint64_t us)
{
    return cl_buf_printf(out, "%llu.%06llu", (unsigned long long)(us / 1000000), (unsigned long long)(us % 1000000));
}

static int put_took(const uint64_t *took, cl_buf *out)
{
    int code = 0;
    for (int i = 0; i <= CLOUDS_BOUNDS && code == 0; i++)
        code = cl_buf_printf(out, "%s%llu", i ? "," : ",\"took\":[", (unsigned long long)took[i]);
    return code ? code : cl_buf_put_char(out, ']');
}

static int put_tally(const char *before, const clouds_tally *t, cl_buf *out)
{
    const uint64_t *n = t->ended;
    int code =
        cl_buf_printf(out,
                      "%s{\"open\":%llu,\"ok\":%llu,\"app_error\":%llu,\"not_done\":%llu,\"unknown\":%llu,"
                      "\"seconds\":",
                      before, (unsigned long long)t->open, (unsigned long long)n[CLOUDS_OUTCOME_OK],
                      (unsigned long long)n[CLOUDS_OUTCOME_APP_ERROR], (unsigned long long)n[CLOUDS_OUTCOME_NOT_DONE],
                      (unsigned long long)n[CLOUDS_OUTCOME_UNKNOWN]);
    if (code == 0) code = put_seconds(out, t->micros);
    return code ? code : put_took(t->took, out);
}

static int put_waits(const clouds_method_counts *n, cl_buf *out)
{
    int code = cl_buf_put_str(out, CL_STR(",\"queue\":{\"seconds\":"));
    if (code == 0) code = put_seconds(out, n->wait_micros);
    if (code == 0) code = put_took(n->wait_took, out);
    return code ? code : cl_buf_put_char(out, '}');
}

/* Those that there were. */
static int put_refused(const uint64_t *refused, cl_buf *out)
{
    static const char *const names[CL_REFUSALS] = CLOUDS_REFUSALS_LIST;
    int code = 0, count = 0;
    for (int i = 0; i < CL_REFUSALS && code == 0; i++)
        if (refused[i])
            code = cl_buf_printf(out, "%s\"%s\":%llu", count++ ? "," : ",\"refused\":{", names[i],
                                 (unsigned long long)refused[i]);
    return code || !count ? code : cl_buf_put_char(out, '}');
}

static int put_requests(const clouds_method_counts *n, cl_buf *out)
{
    int code = put_tally(n->calls.is_used ? ",\"requests\":" : "\"requests\":", &n->requests, out);
    if (code == 0) code = cl_buf_printf(out, ",\"waiting\":%llu", (unsigned long long)n->waiting);
    if (code == 0 && n->limit) code = cl_buf_printf(out, ",\"limit\":%llu", (unsigned long long)n->limit);
    if (code == 0 && n->has_waits) code = put_waits(n, out);
    if (code == 0) code = put_refused(n->refused, out);
    return code ? code : cl_buf_put_char(out, '}');
}

static int put_method(const cl_stats *s, int *count, cl_buf *out)
{
    const clouds_method_counts *n = s->n;
    if (!n->calls.is_used && !n->requests.is_used) return 0;
    int code = cl_buf_put_str(out, (*count)++ ? CL_STR(",") : CL_STR(""));
    if (code == 0) code = cl_json_quote(s->name, out);
    if (code == 0) code = cl_buf_put_str(out, CL_STR(":{"));
    if (code == 0 && n->calls.is_used) {
        code = put_tally("\"calls\":", &n->calls, out);
        if (code == 0) code = cl_buf_put_char(out, '}');
    }
    if (code == 0 && n->requests.is_used) code = put_requests(n, out);
    return code ? code : cl_buf_put_char(out, '}');
}

/* Several offers may have one entry. */
void cl_stats_look(cl_core *core)
{
    for (int adds = 0; adds < 2; adds++) CL_LIST_EACH(of_core, &core->nodes)
    CL_LIST_EACH(it, &CL_OWNER(of_core, cl_node, of_core)->offers)
    {
        const cl_offer *offer = CL_OWNER(it, cl_offer, of_node);
        if (!offer->stats) continue;
        clouds_method_counts *n = offer->stats->n;
        n->waiting = adds ? n->waiting + offer->queued : 0;
        n->limit = adds ? n->limit + cl_offer_limit(offer) : 0;
    }
}

int cl_stats_put(cl_core *core, cl_buf *out)
{
    int count = 0;
    size_t at = 0;
    cl_stats_look(core);
    int code = cl_buf_put_str(out, CL_STR("\"bounds\":["));
    for (int i = 0; i < CLOUDS_BOUNDS && code == 0; i++) {
        if (i) code = cl_buf_put_char(out, ',');
        if (code == 0) code = put_seconds(out, (uint64_t)bounds[i]);
    }
    if (code == 0) code = cl_buf_put_str(out, CL_STR("],\"methods\":{"));
    for (const cl_stats *s; code == 0 && (s = cl_strmap_next(&core->stats->methods, &at));)
        code = put_method(s, &count, out);
    if (code == 0) code = put_method(core->stats->other, &count, out);
    return code ? code : cl_buf_put_char(out, '}');
}

CL_RARE int cl_stats_missing(void)
{
    return cl_error(CLOUDS_ENOTSUP, "calls are not counted by method there (context option stats)");
}

/* It is known here, so it is told at once, whether the bus is there or not. */
int cl_node_stats(cl_node *node, const cl_op_spec *spec)
{
    cl_core *core = node->core;
    cl_op *op;
    cl_buf out = {0};
    if (node->state == CL_NODE_CLOSING) return CLOUDS_ECLOSED;
    if (!core->stats) return cl_error(CLOUDS_ENOTSUP, "calls are not counted by method here (context option stats)");
    int code = cl_op_create(node, CL_OP_STATUS, spec, CL_STR_NONE, &op);
    if (code) return code;
    code = cl_buf_put_char(&out, '{');
    if (code == 0) code = cl_stats_put(core, &out);
    if (code == 0) code = cl_buf_put_char(&out, '}');
    cl_op_end(op, code, NULL, 0, code ? CL_STR_NONE : cl_buf_str(&out));
    cl_buf_free(&out);
    return 0;
}
