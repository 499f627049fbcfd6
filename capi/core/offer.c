#include "core/offer.h"

#include "base/error.h"
#include "core/internal.h"

/* Requests for a method with limits. One runs at once, waits for its turn, or is refused. What waits is no request of
 * the user's yet: it gets its id when it begins, since ids rise in the order in which requests are handed out.
 *
 * Who waits is refused when it has waited too long, by the rule of CoDel in the form for servers: while the queue is
 * empty now and then, `age` is too long; when it has not been for as long as that, `target` is, and the queue becomes
 * as short as it can be without running dry. */

enum { RETRY_MS = 100 }; /* what a busy server asks for that has no limit of age */

typedef struct waiter {
    cl_timed timed; /* its deadline */
    cl_list_node arrival, place;
    cl_offer *offer;
    cl_offer_key *key;
    int holds;         /* the key is its own: it is ready */
    int is_cancelable; /* the offer's map of those has it */
    uint64_t number;   /* of the order in which they came */
    int64_t since;
    size_t bytes;
    cl_extension along; /* where call.extension points, if there is one */
    cl_envelope call;   /* its texts are in `text` */
    char text[];
} waiter;

static waiter *first_of(const cl_list_node *arrivals)
{
    return cl_list_empty(arrivals) ? NULL : CL_OWNER(arrivals->next, waiter, arrival);
}

uint32_t cl_offer_limit(const cl_offer *offer)
{
    return offer->adaptive ? cl_adaptive_limit(offer->adaptive) : offer->spec.concurrency;
}

static int has_slot(const cl_offer *offer)
{
    uint32_t limit = cl_offer_limit(offer);
    return !limit || offer->running < limit;
}

/* ---- keys */

static cl_offer_key *create_key(cl_offer *offer, cl_str value)
{
    cl_offer_key *key = cl_malloc(sizeof *key + value.n + 1);
    if (!key) return NULL;
    memcpy(key->text, value.p, value.n);
    key->value = cl_str_of(key->text, value.n);
    cl_list_init(&key->behind);
    if (cl_strmap_put(&offer->keys, key->value, key) == 0) return key;
    cl_free(key);
    return NULL;
}

/* Its request has ended, or will not run: the next of the same key is ready. */
static void pass_key(cl_offer *offer, cl_offer_key *key)
{
    if (!key) return;
    if (cl_list_empty(&key->behind)) {
        cl_strmap_take(&offer->keys, key->value);
        cl_free(key);
        return;
    }
    waiter *next = CL_OWNER(key->behind.next, waiter, place);
    next->holds = 1;
    cl_list_remove(&next->place);
    cl_list_append(&offer->ready, &next->place);
}

/* ---- refusals */

static uint64_t retry_after(const cl_offer *offer)
{
    return offer->spec.age ? (uint64_t)offer->spec.age : RETRY_MS;
}

CL_RARE static void refuse_at_rate(cl_offer *offer, const cl_envelope *e, const char *whose, double rate, double wait)
{
    offer->node->core->counters[CL_COUNT_RATE_REFUSALS]++;
    char text[CL_NUMBER_TEXT];
    cl_error(CLOUDS_EOVERLOAD, "the server is busy: it takes %s calls a second%s", cl_number_text(text, rate, 6),
             whose);
    cl_error_busy(CL_STR("rate"), (uint64_t)cl_ms(wait));
    cl_request_refuse_busy(offer->node, e, CL_REFUSAL_RATE);
}

CL_RARE static void refuse_full(cl_offer *offer, const cl_envelope *e)
{
    int no_queue = offer->spec.queue == 0;
    if (no_queue) cl_error(CLOUDS_EOVERLOAD, "the server is busy: no more of its calls may run at a time");
    else cl_error(CLOUDS_EOVERLOAD, "the server is busy: %u calls wait there already", offer->queued);
    cl_error_busy(no_queue ? CL_STR("concurrency") : CL_STR("queue"), retry_after(offer));
    cl_request_refuse_busy(offer->node, e, no_queue ? CL_REFUSAL_CONCURRENCY : CL_REFUSAL_QUEUE);
}

CL_RARE static void refuse_aged(cl_offer *offer, const cl_envelope *e)
{
    offer->node->core->counters[CL_COUNT_SHED_REQUESTS]++;
    cl_error(CLOUDS_EOVERLOAD, "the server is busy: the call waited there for too long");
    cl_error_busy(CL_STR("age"), retry_after(offer));
    cl_request_refuse_busy(offer->node, e, CL_REFUSAL_AGE);
}

/* ---- waiting */

/* Its caller and the id that it gave stand one behind the other. */
static cl_str name_of(const waiter *w)
{
    return cl_str_of(w->call.from.p, w->call.from.n + w->call.id.n);
}

CL_RARE static void forget_name(waiter *w)
{
    cl_strmap *map = &w->offer->cancelable;
    if (cl_strmap_get(map, name_of(w)) == w) cl_strmap_take(map, name_of(w));
}

/* Out of all lists; its key, if it is its own, is still to be passed on. */
static void take_out(waiter *w, int64_t now)
{
    cl_offer *offer = w->offer;
    cl_core *core = offer->node->core;
    if (w->is_cancelable) forget_name(w);
    cl_timers_abandon(core, &w->timed);
    cl_list_remove(&w->arrival);
    cl_list_remove(&w->place);
    core->request_bytes -= w->bytes;
    core->queued--;
    if (--offer->queued == 0) offer->empty_at = now;
}

static void drop(waiter *w, int64_t now)
{
    take_out(w, now);
    if (w->holds) pass_key(w->offer, w->key);
    cl_free(w);
}

/* `since`: when it came. */
static int run(cl_offer *offer, const cl_envelope *e, cl_offer_key *key, int64_t since, int64_t now)
{
    if (offer->adaptive) cl_adaptive_began(offer->adaptive, offer->running, now);
    offer->running++;
    if (cl_request_begin(offer->node, e, offer, key, now) == 0) return cl_stats_waited(offer->stats, now - since), 0;
    offer->running--;
    pass_key(offer, key);
    return -1;
}

static int is_expired(const waiter *w, int64_t now)
{
    return w->call.deadline && now >= w->call.deadline;
}

static void begin(waiter *w, int64_t now)
{
    take_out(w, now);
    if (is_expired(w, now)) {
        cl_request_refuse(w->offer->node, &w->call, CLOUDS_EEXPIRED);
        pass_key(w->offer, w->key);
    } else {
        run(w->offer, &w->call, w->key, w->since, now);
    }
    cl_free(w);
}

static int64_t longest_wait(const cl_offer *offer, int64_t now)
{
    int standing = offer->queued > 1 && now - offer->empty_at >= offer->spec.age;
    return standing ? offer->spec.target : offer->spec.age;
}

static void look_next(cl_offer *offer, int64_t now)
{
    const waiter *oldest = first_of(&offer->waiting);
    if (!oldest || !offer->spec.age) {
        cl_timers_stop(offer->node->core, &offer->shed);
        return;
    }
    int64_t standing = offer->empty_at + offer->spec.age, when = oldest->since + longest_wait(offer, now);
    if (standing > now && standing < when) when = standing;
    cl_timers_set(offer->node->core, &offer->shed, when > now ? when : now + 1);
}

static void shed(cl_offer *offer, int64_t now)
{
    if (!offer->spec.age) return;
    for (waiter *w; (w = first_of(&offer->waiting)) && now - w->since >= longest_wait(offer, now);) {
        refuse_aged(offer, &w->call);
        drop(w, now);
    }
}

static void destroy(cl_offer *offer)
{
    cl_core *core = offer->node->core;
    cl_list_remove(&offer->of_node);
    cl_timers_abandon(core, &offer->shed);
    cl_offer_forget_callers(offer);
    cl_strmap_free(&offer->keys);
    cl_strmap_free(&offer->cancelable);
    cl_free(offer->adaptive);
    if (offer->stats) offer->stats->n->waiting = offer->stats->n->limit = 0;
    cl_free(offer);
}

static void end_leaving(cl_offer *offer)
{
    if (!offer->leaves || (offer->queued && !offer->offered)) return;
    offer->leaves = 0;
    cl_op_end_unregistered(offer->node, offer->method);
}

/* Something has ended, or is allowed: who may begins. The offer may be gone after this. */
static void go_on(cl_offer *offer, int64_t now)
{
    shed(offer, now);
    while (!cl_list_empty(&offer->ready) && has_slot(offer)) begin(CL_OWNER(offer->ready.next, waiter, place), now);
    look_next(offer, now);
    end_leaving(offer);
    if (!offer->offered && !offer->running && !offer->queued) destroy(offer);
}

static void shed_due(cl_core *core, cl_timed *timed, int64_t now)
{
    cl_timers_stop(core, timed);
    go_on(CL_OWNER(timed, cl_offer, shed), now);
}

static void waiter_due(cl_core *core, cl_timed *timed, int64_t now)
{
    waiter *w = CL_OWNER(timed, waiter, timed);
    cl_offer *offer = w->offer;
    cl_request_refuse(offer->node, &w->call, CLOUDS_EEXPIRED);
    drop(w, now);
    go_on(offer, now);
}

static cl_str keep(char **to, cl_str text)
{
    if (text.n) memcpy(*to, text.p, text.n);
    cl_str kept = cl_str_of(*to, text.n);
    *to += text.n;
    return kept;
}

static size_t bytes_of(const cl_envelope *e)
{
    const cl_extension *x = e->extension;
    return e->args.n + (x ? cl_extension_texts(x) : 0);
}

static waiter *create_waiter(cl_offer *offer, const cl_envelope *e)
{
    const cl_extension *x = e->extension;
    waiter *w = cl_malloc(sizeof *w + e->from.n + e->id.n + e->method.n + bytes_of(e) + 1);
    if (!w) return NULL;
    if (cl_timers_adopt(offer->node->core, &w->timed, waiter_due) != 0) return cl_free(w), NULL;
    char *to = w->text;
    w->offer = offer;
    cl_str from = keep(&to, e->from), id = keep(&to, e->id); /* name_of: in this order */
    w->call = cl_envelope_of(CL_CALL, from, offer->node->id, id);
    w->call.method = keep(&to, e->method);
    w->call.args = keep(&to, e->args);
    w->call.flags = e->flags;
    w->call.deadline = e->deadline;
    w->call.link = e->link;
    if (x) {
        w->along = cl_extension_copy(x, &to);
        w->call.extension = &w->along;
    }
    w->bytes = bytes_of(e);
    w->is_cancelable = 0;
    cl_list_init(&w->arrival);
    cl_list_init(&w->place);
    return w;
}

CL_RARE static void refuse_without_room(cl_offer *offer, const cl_envelope *e)
{
    offer->node->core->counters[CL_COUNT_LIMIT_HITS]++;
    cl_request_refuse(offer->node, e, CLOUDS_EOVERLOAD);
}

/* `key` NULL: it has none. `holds`: it has its key already. */
static int wait_for_turn(cl_offer *offer, const cl_envelope *e, cl_offer_key *key, int holds, int64_t now)
{
    cl_core *core = offer->node->core;
    if (offer->queued >= offer->spec.queue) return refuse_full(offer, e), -1;
    waiter *w = cl_request_has_room(core, bytes_of(e)) ? create_waiter(offer, e) : NULL;
    if (!w) return refuse_without_room(offer, e), -1;
    if (offer->queued++ == 0) offer->empty_at = now;
    core->queued++;
    core->request_bytes += w->bytes;
    core->counters[CL_COUNT_QUEUED_REQUESTS]++;
    w->key = key;
    w->holds = key && holds;
    w->since = now;
    w->number = ++offer->last_number;
    cl_list_append(&offer->waiting, &w->arrival);
    cl_list_append(key && !holds ? &key->behind : &offer->ready, &w->place);
    if (w->call.deadline) cl_timers_set_next(core, &w->timed, w->call.deadline);
    if (offer->queued <= 2) look_next(offer, now);
    return 0;
}

/* ---- callers that give up */

/* From the newest on to those that the map has. One for which there is no memory cannot be canceled. */
static void note_new(cl_offer *offer)
{
    for (cl_list_node *it = offer->waiting.prev; it != &offer->waiting; it = it->prev) {
        waiter *w = CL_OWNER(it, waiter, arrival);
        if (w->number <= offer->cancelable_to) break;
        w->is_cancelable = cl_strmap_put(&offer->cancelable, name_of(w), w) == 0;
    }
    offer->cancelable_to = offer->last_number;
}

int cl_offer_cancel(cl_node *node, const cl_envelope *e, cl_str name)
{
    CL_LIST_EACH(it, &node->offers)
    {
        cl_offer *offer = CL_OWNER(it, cl_offer, of_node);
        if (!offer->queued) continue;
        note_new(offer);
        waiter *w = cl_strmap_get(&offer->cancelable, name);
        if (!w || w->call.from.n != e->from.n || !cl_cancel_is_meant(e, w->call.link)) continue;
        if (cl_once_has_key(&w->call) && cl_once_is_wanted(node, &w->call)) return 1;
        int64_t now = cl_core_now(node->core);
        drop(w, now);
        go_on(offer, now);
        return 1;
    }
    return 0;
}

/* ---- what comes */

/* 1: it was faster than it may be, and is refused. Tokens are taken only when there is one of both. */
static int exceeds_rate(cl_offer *offer, const cl_envelope *e, int64_t now)
{
    const cl_offer_spec *spec = &offer->spec;
    cl_bucket *own = spec->caller_rate > 0 ? cl_offer_caller(offer, e->from, now) : NULL;
    double wait = own ? cl_bucket_wait(own, spec->caller_rate, spec->caller_burst, now) : 0;
    if (wait > 0) return refuse_at_rate(offer, e, " from one caller", spec->caller_rate, wait), 1;
    if (spec->rate > 0) wait = cl_bucket_wait(&offer->bucket, spec->rate, spec->burst, now);
    if (wait > 0) return refuse_at_rate(offer, e, "", spec->rate, wait), 1;
    if (own) own->tokens--;
    if (spec->rate > 0) offer->bucket.tokens--;
    return 0;
}

void cl_offer_call(cl_offer *offer, const cl_envelope *e, int64_t now)
{
    if (exceeds_rate(offer, e, now)) return;
    cl_offer_key *key = NULL;
    int is_free = 1;
    if (offer->spec.key_arg) {
        cl_buf room = {0};
        cl_str value = cl_offer_key_of(offer, e->args, &room);
        key = cl_strmap_get(&offer->keys, value);
        is_free = key == NULL;
        if (is_free) key = create_key(offer, value);
        cl_buf_free(&room);
        if (!key) {
            refuse_without_room(offer, e);
            return;
        }
    }
    if (is_free && has_slot(offer)) run(offer, e, key, now, now);
    else if (wait_for_turn(offer, e, key, is_free, now) != 0 && is_free) pass_key(offer, key);
}

void cl_offer_ended(cl_offer *offer, cl_offer_key *key)
{
    int64_t now = cl_core_now(offer->node->core);
    if (offer->adaptive && cl_adaptive_ended(offer->adaptive, offer->running, now))
        offer->node->core->counters[CL_COUNT_LIMIT_CHANGES]++;
    offer->running--;
    pass_key(offer, key);
    go_on(offer, now);
}

/* ---- the life of an offer */

static cl_offer *find(const cl_node *node, cl_str method)
{
    CL_LIST_EACH(it, &node->offers)
    {
        cl_offer *offer = CL_OWNER(it, cl_offer, of_node);
        if (cl_str_eq(offer->method, method)) return offer;
    }
    return NULL;
}

static cl_offer *create(cl_node *node, cl_str method)
{
    cl_offer *offer = cl_calloc(1, sizeof *offer + method.n + 1);
    if (!offer) return NULL;
    if (cl_timers_adopt(node->core, &offer->shed, shed_due) != 0) return cl_free(offer), NULL;
    memcpy(offer->text, method.p, method.n);
    offer->method = cl_str_of(offer->text, method.n);
    offer->node = node;
    offer->stats = cl_stats_of(node->core, offer->method);
    cl_list_init(&offer->waiting);
    cl_list_init(&offer->ready);
    cl_list_init(&offer->recent_callers);
    cl_list_append(&node->offers, &offer->of_node);
    return offer;
}

/* One that is found already goes on as it is. 0 or CLOUDS_ENOMEM. */
static int set_adaptive(cl_offer *offer, int is_adaptive, int64_t now)
{
    const cl_port *port = &offer->node->core->port;
    if (is_adaptive == (offer->adaptive != NULL)) return 0;
    cl_free(offer->adaptive);
    offer->adaptive = NULL;
    if (!is_adaptive) return 0;
    if (!(offer->adaptive = cl_malloc(sizeof *offer->adaptive))) return CLOUDS_ENOMEM;
    cl_adaptive_start(offer->adaptive, now, port->random(port->self));
    return 0;
}

cl_offer *cl_offer_set(cl_node *node, cl_str method, const cl_offer_spec *spec)
{
    cl_offer *offer = find(node, method);
    int is_new = !offer;
    if (is_new && !(offer = create(node, method))) return NULL;
    int64_t now = cl_core_now(node->core);
    if (set_adaptive(offer, spec->is_adaptive, now) != 0) {
        if (is_new) destroy(offer);
        return NULL;
    }
    if (is_new || offer->spec.rate <= 0) offer->bucket = (cl_bucket){spec->burst, now};
    offer->spec = *spec;
    offer->offered = 1;
    go_on(offer, now);
    return offer;
}

void cl_offer_withdraw(cl_offer *offer)
{
    offer->offered = 0;
    go_on(offer, cl_core_now(offer->node->core));
}

int cl_offer_leaves(cl_node *node, cl_str method)
{
    cl_offer *offer = find(node, method);
    if (!offer || offer->offered || !offer->queued) return 0;
    return offer->leaves = 1;
}

void cl_offer_refuse_waiting(cl_node *node)
{
    int64_t now = cl_core_now(node->core);
    CL_LIST_EACH(it, &node->offers)
    {
        cl_offer *offer = CL_OWNER(it, cl_offer, of_node);
        for (waiter *w; (w = first_of(&offer->waiting));) {
            cl_request_refuse(node, &w->call, CLOUDS_EDRAINING);
            drop(w, now);
            node->unanswered++;
        }
        end_leaving(offer);
    }
}

void cl_offer_discard_all(cl_node *node)
{
    CL_LIST_EACH(it, &node->offers)
    {
        cl_offer *offer = CL_OWNER(it, cl_offer, of_node);
        for (waiter *w; (w = first_of(&offer->waiting));) drop(w, 0);
        offer->offered = 0;
        if (!offer->running) destroy(offer);
    }
}
