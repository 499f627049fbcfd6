/* Calls with an idempotency key.
 *
 * Design note. A key stands for the first call that came with it: while that runs or waits for its turn those that
 * repeat it wait for its answer, and then the answer is kept for a window. A call that is refused was not executed, so
 * its key is free again. Who gave up may repeat: so a handler that has begun is not told that its caller gave up, and
 * may answer for a window beyond the deadline (serve.c).
 *
 * All that is kept is bounded, in keys and bytes; the oldest answers go first. Those that run stay: when they are too
 * many, a call is refused as busy. An answer that has no room is not kept, and who repeats its call is told so. */
#include "core/once.h"

#include "base/error.h"
#include "base/rand.h"
#include "core/internal.h"

enum {
    OVERHEAD = 112, /* bytes of a key in the map, which is up to half empty, and of its blocks of memory */
    SWEEP_MS = 1000
};

/* One that repeats the first, or the first itself. */
typedef struct repeat {
    cl_list_node place;
    int64_t deadline;
    cl_caller caller; /* its texts are in `text` */
    char text[];
} repeat;

struct cl_once {
    cl_list_node place;
    cl_node *node;
    cl_request *request;  /* while it runs */
    repeat *first;        /* until it is answered */
    cl_list_node repeats; /* until then */
    uint64_t content;     /* hash of method, arguments and bytes */
    int64_t until;        /* answered: the end of its window */
    char *answer;         /* error, result, meta and bytes, one behind the other; NULL: it was not kept */
    size_t error_n, result_n, meta_n, bytes_n;
    cl_str key; /* in `text`, behind the address of the node */
    char text[];
};

/* ---- what is kept */

static size_t cost_of(const cl_once *o)
{
    return sizeof *o + o->key.n + sizeof o->node + OVERHEAD;
}

static size_t answer_size(const cl_once *o)
{
    return o->answer ? o->error_n + o->result_n + o->meta_n + o->bytes_n : 0;
}

static void forget_repeat(cl_core *core, repeat *r)
{
    cl_list_remove(&r->place);
    core->queued--;
    cl_free(r);
}

static void forget_callers(cl_core *core, cl_once *o)
{
    while (!cl_list_empty(&o->repeats)) forget_repeat(core, CL_OWNER(o->repeats.next, repeat, place));
    cl_free(o->first);
    o->first = NULL;
}

static void destroy(cl_core *core, cl_once *o)
{
    cl_strmap_take(&core->once.keys, cl_str_of(o->text, sizeof o->node + o->key.n));
    cl_list_remove(&o->place);
    forget_callers(core, o);
    if (o->request) o->request->once = NULL;
    core->once.bytes -= cost_of(o) + answer_size(o);
    cl_free(o->answer);
    cl_free(o);
}

static cl_once *oldest_answered(const cl_core *core)
{
    const cl_list_node *list = &core->once.answered;
    return cl_list_empty(list) ? NULL : CL_OWNER(list->next, cl_once, place);
}

static void sweep(cl_core *core, int64_t now)
{
    cl_once *o;
    while ((o = oldest_answered(core)) && o->until <= now) destroy(core, o);
    if (!o) cl_timers_stop(core, &core->once.sweep);
    else cl_timers_set(core, &core->once.sweep, o->until > now + SWEEP_MS ? o->until : now + SWEEP_MS);
}

static void sweep_due(cl_core *core, cl_timed *timed, int64_t now)
{
    (void)timed;
    sweep(core, now);
}

/* Room for so many more. 0, or -1: those that run take it all. */
static int make_room(cl_core *core, size_t keys, size_t bytes)
{
    const cl_core_config *most = &core->config;
    while (core->once.keys.len + keys > most->once_keys || core->once.bytes + bytes > most->once_bytes) {
        cl_once *oldest = oldest_answered(core);
        if (!oldest) return -1;
        destroy(core, oldest);
    }
    return 0;
}

int cl_once_open(cl_core *core)
{
    cl_list_init(&core->once.running);
    cl_list_init(&core->once.answered);
    return cl_timers_adopt(core, &core->once.sweep, sweep_due);
}

void cl_once_close(cl_core *core)
{
    cl_strmap_free(&core->once.keys);
}

void cl_once_free_of_node(cl_node *node)
{
    cl_once_table *table = &node->core->once;
    cl_list_node *const lists[] = {&table->running, &table->answered};
    for (int i = 0; i < 2; i++)
        CL_LIST_EACH(it, lists[i])
        {
            cl_once *o = CL_OWNER(it, cl_once, place);
            if (o->node == node) destroy(node->core, o);
        }
}

/* ---- finding */

static uint64_t content_of(const cl_core *core, const cl_envelope *e)
{
    const uint64_t *secret = core->config.secret;
    cl_str bytes = e->extension->bytes;
    const uint64_t parts[] = {cl_siphash(secret, e->method.p, e->method.n), cl_siphash(secret, e->args.p, e->args.n),
                              cl_siphash(secret, bytes.p, bytes.n)};
    return cl_siphash(secret, parts, sizeof parts);
}

static cl_once *find(const cl_node *node, const cl_envelope *e)
{
    char room[sizeof node + CL_ONCE_MAX];
    cl_str key = e->extension->key;
    if (key.n > CL_ONCE_MAX) return NULL;
    memcpy(room, &node, sizeof node);
    memcpy(room + sizeof node, key.p, key.n);
    return cl_strmap_get(&node->core->once.keys, cl_str_of(room, sizeof node + key.n));
}

static int is_first(const cl_once *o, const cl_envelope *e)
{
    return o->first && cl_str_eq(o->first->caller.id, e->from) && cl_str_eq(o->first->caller.wire_id, e->id);
}

int cl_once_is_repeated(const cl_once *o)
{
    return !cl_list_empty(&o->repeats);
}

int cl_once_is_wanted(cl_node *node, const cl_envelope *e)
{
    cl_once *o = find(node, e);
    if (!o || o->request || !is_first(o, e)) return 0;
    if (cl_once_is_repeated(o)) return 1;
    destroy(node->core, o);
    return 0;
}

/* ---- answers */

static void tell(cl_node *node, const cl_caller *to, cl_str error, cl_str result, const cl_extension *x)
{
    int code = cl_caller_answer(node, to, error, result, x);
    node->core->counters[code == 0 ? CL_COUNT_REPLIES : CL_COUNT_LOST_ANSWERS]++;
}

static cl_str take(const char **from, size_t n)
{
    cl_str text = cl_str_of(*from, n);
    *from += n;
    return text;
}

static void tell_answer(const cl_once *o, const cl_caller *to)
{
    if (!o->answer) {
        tell(o->node, to,
             CL_STR("{\"message\":\"the call was executed, and its answer was not kept: it had no room (once_bytes)\","
                    "\"code\":\"CLOUDS_LIMIT_REACHED\"}"),
             CL_STR_NONE, NULL);
        return;
    }
    const char *at = o->answer;
    cl_extension x = CL_EXTENSION_NONE;
    cl_str error = take(&at, o->error_n), result = take(&at, o->result_n);
    x.meta = take(&at, o->meta_n);
    x.bytes = take(&at, o->bytes_n);
    tell(o->node, to, error, result, x.meta.n | x.bytes.n ? &x : NULL);
}

static char *put(char *to, cl_str text)
{
    if (text.n) memcpy(to, text.p, text.n);
    return to + text.n;
}

/* Without room for it the key alone is kept. */
static void keep_answer(cl_core *core, cl_once *o, cl_str error, cl_str result, const cl_extension *x)
{
    cl_str meta = x ? x->meta : CL_STR_NONE, bytes = x ? x->bytes : CL_STR_NONE;
    size_t n = error.n + result.n + meta.n + bytes.n;
    if (make_room(core, 0, n) != 0 || !(o->answer = cl_malloc(n + 1))) return;
    put(put(put(put(o->answer, error), result), meta), bytes);
    o->error_n = error.n;
    o->result_n = result.n;
    o->meta_n = meta.n;
    o->bytes_n = bytes.n;
    core->once.bytes += n;
}

void cl_once_answered(cl_request *r, cl_str error, cl_str result, const cl_extension *x)
{
    cl_once *o = r->once;
    cl_node *node = o->node;
    cl_core *core = node->core;
    r->once = NULL;
    o->request = NULL;
    CL_LIST_EACH(it, &o->repeats) tell(node, &CL_OWNER(it, repeat, place)->caller, error, result, x);
    forget_callers(core, o);
    keep_answer(core, o, error, result, x);
    o->until = cl_core_now(core) + core->config.once_window;
    cl_list_remove(&o->place);
    cl_list_append(&core->once.answered, &o->place);
    if (!cl_timers_is_set(&core->once.sweep)) cl_timers_set(core, &core->once.sweep, o->until);
}

/* Its caller heard what became of it, or waits no longer. */
void cl_once_dropped(cl_request *r)
{
    destroy(r->node->core, r->once);
}

static void refuse_repeats(cl_once *o, unsigned flags, cl_str error)
{
    cl_node *node = o->node;
    CL_LIST_EACH(it, &o->repeats)
    {
        const cl_caller *to = &CL_OWNER(it, repeat, place)->caller;
        cl_extension x = CL_EXTENSION_NONE;
        x.reply_to = to->reply_to;
        x.correlation = to->correlation;
        cl_envelope repeated = cl_envelope_of(CL_CALL, to->id, node->id, to->wire_id);
        repeated.flags = to->flags;
        repeated.link = to->link;
        repeated.extension = &x;
        cl_request_refuse_with(node, &repeated, flags, CL_REFUSAL_LIMIT, error); /* no method: it is not counted */
    }
    destroy(node->core, o);
}

void cl_once_refused(cl_node *node, const cl_envelope *e, unsigned flags, cl_str error)
{
    cl_once *o = find(node, e);
    if (o && !o->request && is_first(o, e)) refuse_repeats(o, flags, error);
}

void cl_once_request_refused(cl_request *r, unsigned flags, cl_str error)
{
    refuse_repeats(r->once, flags, error);
}

/* ---- calls that come */

static repeat *create_repeat(const cl_envelope *e)
{
    cl_caller c = cl_caller_of(e);
    repeat *r = cl_malloc(sizeof *r + c.id.n + c.wire_id.n + c.reply_to.n + c.correlation.n);
    if (!r) return NULL;
    cl_str *const texts[] = {&c.id, &c.wire_id, &c.reply_to, &c.correlation};
    char *to = r->text;
    for (int i = 0; i < 4; i++) {
        char *end = put(to, *texts[i]);
        *texts[i] = cl_str_of(to, texts[i]->n);
        to = end;
    }
    r->caller = c;
    r->deadline = e->deadline;
    cl_list_init(&r->place);
    return r;
}

static void forget_expired(cl_core *core, cl_once *o, int64_t now)
{
    CL_LIST_EACH(it, &o->repeats)
    {
        repeat *r = CL_OWNER(it, repeat, place);
        if (r->deadline && r->deadline <= now) forget_repeat(core, r);
    }
}

CL_RARE static void refuse_without_room(cl_node *node, const cl_envelope *e)
{
    node->core->counters[CL_COUNT_LIMIT_HITS]++;
    cl_request_refuse(node, e, CLOUDS_EOVERLOAD);
}

static void wait_for_answer(cl_once *o, const cl_envelope *e, int64_t now)
{
    cl_core *core = o->node->core;
    const cl_caller to = cl_caller_of(e);
    if (!cl_caller_wants_answer(&to)) return;
    forget_expired(core, o, now);
    repeat *r = cl_request_has_room(core, 0) ? create_repeat(e) : NULL;
    if (!r) {
        refuse_without_room(o->node, e);
        return;
    }
    core->queued++;
    cl_list_append(&o->repeats, &r->place);
    if (o->request && e->deadline > o->request->deadline) o->request->deadline = e->deadline;
}

int cl_once_repeats(cl_node *node, const cl_envelope *e, int64_t now)
{
    cl_core *core = node->core;
    cl_once *o = oldest_answered(core);
    if (o && o->until <= now) sweep(core, now);
    o = find(node, e);
    if (!o) return 0;
    if (o->content != content_of(core, e)) {
        cl_request_refuse(node, e, CLOUDS_EKEY);
        return 1;
    }
    core->counters[CL_COUNT_ONCE_HITS]++;
    if (o->first) {
        wait_for_answer(o, e, now);
        return 1;
    }
    const cl_caller to = cl_caller_of(e);
    if (cl_caller_wants_answer(&to)) tell_answer(o, &to);
    return 1;
}

static cl_once *create(cl_node *node, const cl_envelope *e)
{
    cl_core *core = node->core;
    cl_str key = e->extension->key;
    cl_once *o = cl_calloc(1, sizeof *o + sizeof node + key.n);
    if (!o) return NULL;
    memcpy(o->text, &node, sizeof node);
    memcpy(o->text + sizeof node, key.p, key.n);
    o->node = node;
    o->key = cl_str_of(o->text + sizeof node, key.n);
    o->content = content_of(core, e);
    cl_list_init(&o->repeats);
    if (!(o->first = create_repeat(e))) return cl_free(o), NULL;
    if (cl_strmap_put(&core->once.keys, cl_str_of(o->text, sizeof node + key.n), o) != 0)
        return cl_free(o->first), cl_free(o), NULL;
    core->once.bytes += cost_of(o);
    cl_list_append(&core->once.running, &o->place);
    return o;
}

int cl_once_begin(cl_node *node, const cl_envelope *e)
{
    size_t cost = sizeof(cl_once) + sizeof node + e->extension->key.n + OVERHEAD;
    int has_room = make_room(node->core, 1, cost) == 0 && cl_request_has_room(node->core, 0);
    if (has_room && create(node, e)) return 0;
    refuse_without_room(node, e);
    return -1;
}

void cl_once_admitted(cl_node *node, const cl_envelope *e, cl_request *r)
{
    cl_once *o = find(node, e);
    if (!o || !is_first(o, e)) return;
    o->request = r;
    r->once = o;
}
