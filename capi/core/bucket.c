#include "core/internal.h"
#include "core/offer.h"

/* Rates: a bucket fills with tokens, and a request takes one. */

double cl_bucket_wait(cl_bucket *bucket, double rate, double burst, int64_t now)
{
    double tokens = bucket->tokens + (double)(now - bucket->at) * rate / 1000.0;
    bucket->tokens = tokens < burst ? tokens : burst;
    bucket->at = now;
    return bucket->tokens > 1 - 1e-9 ? 0 : (1 - bucket->tokens) / rate;
}

typedef struct caller {
    cl_list_node recent;
    cl_bucket bucket;
    cl_str id; /* in `text` */
    char text[];
} caller;

static void forget(cl_offer *offer, caller *c)
{
    cl_strmap_take(&offer->callers, c->id);
    cl_list_remove(&c->recent);
    cl_free(c);
}

static caller *create(cl_offer *offer, cl_str id, int64_t now)
{
    if (offer->callers.len >= CL_OFFER_CALLERS) forget(offer, CL_OWNER(offer->recent_callers.next, caller, recent));
    caller *c = cl_malloc(sizeof *c + id.n + 1);
    if (!c) return NULL;
    memcpy(c->text, id.p, id.n);
    c->id = cl_str_of(c->text, id.n);
    c->bucket = (cl_bucket){offer->spec.caller_burst, now};
    cl_list_init(&c->recent);
    if (cl_strmap_put(&offer->callers, c->id, c) == 0) return c;
    cl_free(c);
    return NULL;
}

cl_bucket *cl_offer_caller(cl_offer *offer, cl_str id, int64_t now)
{
    caller *c = cl_strmap_get(&offer->callers, id);
    if (!c) c = create(offer, id, now);
    if (!c) return NULL;
    cl_list_remove(&c->recent);
    cl_list_append(&offer->recent_callers, &c->recent);
    return &c->bucket;
}

void cl_offer_forget_callers(cl_offer *offer)
{
    while (!cl_list_empty(&offer->recent_callers)) forget(offer, CL_OWNER(offer->recent_callers.next, caller, recent));
    cl_strmap_free(&offer->callers);
}
