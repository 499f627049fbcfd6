/* What a node offers with limits: how many requests for a method run at a time, which of them wait for each other, how
 * long they wait, and how many come in a second. */
#ifndef CL_OFFER_H
#define CL_OFFER_H

#include "base/map.h"
#include "core/adaptive.h"
#include "core/request.h"
#include "core/timers.h"

enum { CL_OFFER_CALLERS = 10000 }; /* buckets of callers that are kept */

/* Tokens that come at a rate, and are taken by requests. */
typedef struct cl_bucket {
    double tokens;
    int64_t at; /* when they were counted last */
} cl_bucket;

/* The value of the argument by which requests wait for each other, while one of them runs or is ready. */
struct cl_offer_key {
    cl_list_node behind; /* those that wait until it is free */
    cl_str value;        /* in `text` */
    char text[];
};

/* A method with limits. It lives while it is offered, or a request of it runs or waits. */
struct cl_offer {
    cl_list_node of_node;
    cl_node *node;
    cl_offer_spec spec;
    cl_adaptive *adaptive; /* NULL: the limit is that of `spec` */
    int offered, leaves;   /* leaves: who unregisters it waits for those that wait */
    uint32_t running, queued;
    cl_list_node waiting; /* those that wait, in the order in which they came */
    cl_list_node ready;   /* those of them whose key is free */
    int64_t empty_at;     /* when nobody waited last */
    cl_timed shed;        /* the next look at who has waited too long */
    cl_strmap keys;
    cl_strmap cancelable; /* by caller and id: those that waited when something was canceled last */
    uint64_t last_number, cancelable_to;
    struct cl_stats *stats; /* NULL: nothing is counted */
    cl_bucket bucket;
    cl_strmap callers;
    cl_list_node recent_callers; /* least recently used first */
    cl_str method;               /* in `text` */
    char text[];
};

/* bucket.c: 0 when there is a token, which `take` takes, else the seconds until there is one. Of the offer itself, and
 * of a caller: without memory for a bucket of its own it has no limit. */
double cl_bucket_wait(cl_bucket *bucket, double rate, double burst, int64_t now);
double cl_offer_rate_wait(cl_offer *offer, int64_t now);
cl_bucket *cl_offer_caller(cl_offer *offer, cl_str id, int64_t now);
void cl_offer_forget_callers(cl_offer *offer);

/* offer_key.c: the key of a request with these arguments, as JSON; in `room` where others may write it otherwise. */
cl_str cl_offer_key_of(const cl_offer *offer, cl_str args, cl_buf *room);

/* offer.c: how many may run at a time now; 0: no limit. */
uint32_t cl_offer_limit(const cl_offer *offer);
/* The offer of a method, made or changed. NULL: no memory. */
cl_offer *cl_offer_set(cl_node *node, cl_str method, const cl_offer_spec *spec);
/* It is offered no more, or without limits; what waits goes on. */
void cl_offer_withdraw(cl_offer *offer);
/* A method is unregistered. 1: requests that were accepted wait for their turn; cl_op_end_unregistered follows behind
 * the last of them. */
int cl_offer_leaves(cl_node *node, cl_str method);
/* A call came for it: it runs, waits or is refused. */
void cl_offer_call(cl_offer *offer, const cl_envelope *e, int64_t now);
/* A request of it has ended. */
void cl_offer_ended(cl_offer *offer, cl_offer_key *key);
/* Its caller has given up. `name`: the caller, and behind it the id that it gave. 1: it waited for its turn. */
int cl_offer_cancel(cl_node *node, const cl_envelope *cancel, cl_str name);
/* The node stops to serve: those that wait are refused. */
void cl_offer_refuse_waiting(cl_node *node);
void cl_offer_discard_all(cl_node *node);

/* state.c: the members of an object that tell of its limits. */
int cl_state_put_limits(const cl_offer *offer, int64_t now, cl_buf *out);

#endif
