#include "base/log.h"
#include "core/internal.h"

/* Calls from others: taken in, handed to the user, answered through their id. */

enum { SWEEP_MS = 100 };

cl_request *cl_request_find(const cl_core *core, uint64_t id)
{
    return cl_idmap_get(&core->requests, id);
}

static int keep_texts(cl_request *r, const cl_envelope *e)
{
    r->big = NULL;
    char *at = r->small;
    if (e->from.n + e->id.n > CL_REQUEST_INLINE && !(at = r->big = cl_malloc(e->from.n + e->id.n)))
        return CLOUDS_ENOMEM;
    memcpy(at, e->from.p, e->from.n);
    memcpy(at + e->from.n, e->id.p, e->id.n);
    r->caller = cl_str_of(at, e->from.n);
    r->wire_id = cl_str_of(at + e->from.n, e->id.n);
    return 0;
}

static void drop(cl_core *core, cl_request *r)
{
    cl_idmap_take(&core->requests, r->id);
    cl_list_remove(&r->of_node);
    cl_free(r->big);
    cl_pool_give(&core->spare_requests, r);
}

static size_t drop_overdue(cl_core *core, cl_node *node, int64_t now)
{
    size_t n = 0;
    CL_LIST_EACH(it, &node->requests)
    {
        cl_request *r = CL_OWNER(it, cl_request, of_node);
        if (!r->deadline || now < r->deadline) continue;
        drop(core, r);
        n++;
    }
    return n;
}

/* Handlers that never answer must not shut out everybody else for ever: those whose callers gave up lose their places.
 */
static int is_full(cl_core *core, int64_t now)
{
    if (core->requests.len < core->config.max_in_flight) return 0;
    if (now < core->swept + SWEEP_MS) return 1;
    core->swept = now;
    size_t n = 0;
    CL_LIST_EACH(it, &core->nodes)
    {
        cl_node *node = CL_OWNER(it, cl_node, of_core);
        if (!node->draining) n += drop_overdue(core, node, now);
    }
    if (n) cl_log(CLOUDS_LOG_WARN, "%zu requests were not answered before their deadline; others take their places", n);
    return core->requests.len >= core->config.max_in_flight;
}

static cl_request *admit(cl_core *core, cl_node *node, const cl_envelope *e, int64_t now)
{
    if (is_full(core, now)) return NULL;
    cl_request *r = cl_pool_take(&core->spare_requests, sizeof *r);
    if (!r) return NULL;
    if (keep_texts(r, e) != 0) return cl_pool_give(&core->spare_requests, r), NULL;
    r->node = node;
    r->id = core->port.next_id(core->port.self);
    r->link = e->link;
    r->deadline = e->deadline;
    r->native = (e->flags & CL_NATIVE) != 0;
    cl_list_init(&r->of_node);
    if (cl_idmap_put(&core->requests, r->id, r) != 0 || core->port.reserve(core->port.self) != 0)
        return drop(core, r), NULL;
    cl_list_append(&node->requests, &r->of_node);
    return r;
}

static void refuse_with(cl_core *core, cl_node *node, const cl_envelope *e, unsigned flags, cl_str error)
{
    cl_envelope answer = {
        .type = CL_RESULT,
        .flags = (e->flags & CL_NATIVE) | flags,
        .from = node->id,
        .to = e->from,
        .id = e->id,
        .link = e->link,
        .error = error,
        .result = CL_STR("[]"),
        .method = CL_STR_NONE,
        .args = CL_STR_NONE,
        .data = CL_STR_NONE,
        .raw = CL_STR_NONE,
    };
    core->counters[CL_COUNT_REFUSED_REQUESTS]++;
    if (core->port.send(core->port.self, node->tag, &answer, 0) != 0) core->counters[CL_COUNT_LOST_ANSWERS]++;
}

static void refuse(cl_core *core, cl_node *node, const cl_envelope *e, int code)
{
    int native = (e->flags & CL_NATIVE) != 0;
    if (code == CLOUDS_ENOMETHOD && !native) {
        refuse_with(core, node, e, 0, CL_STR("{\"message\":\"service handler not found\"}"));
        return;
    }
    refuse_with(core, node, e, native ? CL_REFUSED : 0, cl_words_of(core, code));
}

static void tell_request(cl_core *core, cl_node *node, const cl_request *r, const cl_envelope *e, int64_t now)
{
    clouds_event event = {.type = CLOUDS_EVENT_REQUEST,
                          .id = r->id,
                          .number = r->deadline,
                          .time_left = r->deadline ? (double)(r->deadline - now) / 1000.0 : -1};
    cl_set_text(&event.peer, &event.peer_len, r->caller);
    cl_set_text(&event.method, &event.method_len, e->method);
    cl_set_text(&event.data, &event.data_len, e->args);
    cl_emit(core, node, &event);
}

static void tell_unknown(cl_core *core, cl_node *node, const cl_envelope *e)
{
    clouds_event event = {.type = CLOUDS_EVENT_UNKNOWN};
    cl_set_text(&event.peer, &event.peer_len, e->from);
    cl_set_text(&event.method, &event.method_len, CL_STR("c"));
    cl_set_text(&event.data, &event.data_len, e->args);
    cl_set_text(&event.error, &event.error_len, e->raw);
    cl_emit(core, node, &event);
    /* The original answers nothing; a caller of ours need not wait for its timeout. */
    if (e->flags & CL_NATIVE) refuse(core, node, e, CLOUDS_ENOMETHOD);
}

static int serves(cl_node *node, cl_str method)
{
    const cl_service *service = node->last_service;
    if (service && cl_str_eq(service->name, method)) return 1;
    return (node->last_service = cl_strmap_get(&node->services, method)) != NULL;
}

static int serves_nothing(const cl_node *node)
{
    return node->services.len == 0 && strcmp(node->config.type, "server") != 0;
}

void cl_serve_call(cl_core *core, cl_node *node, const cl_envelope *e)
{
    int64_t now = e->arrived ? e->arrived : cl_core_now(core); /* the user's poll looks at the deadline once more */
    int known = serves(node, e->method);
    if (e->deadline && now >= e->deadline) {
        core->counters[CL_COUNT_EXPIRED_REQUESTS]++;
    } else if (node->draining && (e->flags & CL_NATIVE)) {
        refuse(core, node, e, CLOUDS_EDRAINING);
    } else if (serves_nothing(node)) {
        tell_unknown(core, node, e);
    } else if (!known) {
        refuse(core, node, e, CLOUDS_ENOMETHOD);
    } else if (e->flags & CL_NO_ARRAY) {
        refuse_with(
            core, node, e, 0,
            CL_STR("{\"message\":\"the arguments of a call must be an array\",\"code\":\"CLOUDS_INVALID_ARGUMENT\"}"));
    } else {
        cl_request *r = admit(core, node, e, now);
        if (!r) {
            core->counters[CL_COUNT_LIMIT_HITS]++;
            refuse(core, node, e, CLOUDS_EOVERLOAD);
            return;
        }
        core->counters[CL_COUNT_REQUESTS]++;
        tell_request(core, node, r, e, now);
    }
}

static int send_answer(cl_core *core, const cl_request *r, cl_str error, cl_str result)
{
    cl_envelope answer = {
        .type = CL_RESULT,
        .flags = r->native ? CL_NATIVE : 0,
        .from = r->node->id,
        .to = r->caller,
        .id = r->wire_id,
        .link = r->link,
        .error = error,
        .result = result.n ? result : CL_STR("[]"),
        .method = CL_STR_NONE,
        .args = CL_STR_NONE,
        .data = CL_STR_NONE,
        .raw = CL_STR_NONE,
    };
    return core->port.send(core->port.self, r->node->tag, &answer, 0);
}

/* There may be room for it later. */
static int may_wait(int code)
{
    return code == CLOUDS_ELIMIT || code == CLOUDS_ENOMEM;
}

int cl_core_answer(cl_core *core, uint64_t request, cl_str error, cl_str result)
{
    cl_request *r = cl_request_find(core, request);
    if (!r) return CLOUDS_ESTALE;
    int code = send_answer(core, r, error, result);
    /* The caller need not wait for what can't be sent. */
    int told = code == CLOUDS_ETOOBIG ? send_answer(core, r, cl_words_said(core, code), CL_STR_NONE) : 0;
    if (code == CLOUDS_ETOOBIG || code == CLOUDS_ELIMIT) core->counters[CL_COUNT_LIMIT_HITS]++;
    if (may_wait(told)) code = told;
    if (may_wait(code)) return code;
    core->counters[code == 0 ? CL_COUNT_REPLIES : CL_COUNT_LOST_ANSWERS]++;
    cl_node *node = r->node;
    drop(core, r);
    cl_node_settle(node);
    return code;
}

int cl_core_expire(cl_core *core, uint64_t request)
{
    cl_request *r = cl_request_find(core, request);
    if (!r) return CLOUDS_ESTALE;
    core->counters[CL_COUNT_EXPIRED_REQUESTS]++;
    cl_node *node = r->node;
    drop(core, r);
    cl_node_settle(node);
    return 0;
}

size_t cl_request_drop_all(cl_node *node)
{
    size_t n = 0;
    for (; !cl_list_empty(&node->requests); n++) drop(node->core, CL_OWNER(node->requests.next, cl_request, of_node));
    return n;
}
