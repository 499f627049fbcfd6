/* Servers, and nodes that may become one. */
#ifndef CL_CORE_PEER_H
#define CL_CORE_PEER_H

#include "base/list.h"
#include "core/breaker.h"
#include "core/core.h"

/* A server, or a node that may become one. */
typedef struct cl_peer {
    cl_list_node breakers;      /* those of its methods */
    cl_list_node calls;         /* attempts that wait for its answer */
    cl_list_node blocked;       /* calls that wait for room in the queue towards it, in their order */
    cl_list_node blocked_large; /* the same, of those that a link would send in fragments */
    int64_t small_left; /* bytes of small ones before it is a large one's turn, where both wait for the same room */
    cl_list_node blocked_place; /* in core->blocked_peers while there are such */
    uint32_t refs;              /* entries of lists, and calls that point here */
    uint32_t strikes;           /* timeouts in a row */
    int64_t failed_at;          /* when a call was lost or timed out there last; INT64_MIN: never */
    uint64_t listed;            /* the new list that named it last */
    int native;                 /* enum cl_native */
    int64_t avoid_until;
    int several;           /* that a call reached several nodes of this id was logged */
    const void *silent_in; /* the method of which it last did not answer a call; only compared */
    uint64_t hash;         /* of the id: cl_balance_key */
    uint32_t weight;       /* 1 and more: how many calls it takes beside others */
    char *tags;            /* NULL: it has none */
    cl_str id;             /* in `text` */
    char text[];
} cl_peer;

cl_peer *cl_peer_get(cl_core *core, cl_str id);        /* counted; NULL: no memory */
cl_peer *cl_peer_find(const cl_core *core, cl_str id); /* not counted */
void cl_peer_hold(cl_peer *peer);
void cl_peer_release(cl_core *core, cl_peer *peer);
/* What it says of itself. */
void cl_peer_describe(cl_core *core, cl_peer *peer, const cl_traits *traits);
/* Do calls wait for room in the queue towards it? */
static inline int cl_peer_is_blocked(const cl_peer *peer)
{
    return !cl_list_empty(&peer->blocked) || !cl_list_empty(&peer->blocked_large);
}
int cl_peer_in_flight(const cl_peer *peer, int most); /* attempts that wait for its answer, up to `most` */
void cl_peer_avoid(cl_core *core, cl_peer *peer, int64_t now);
static inline void cl_peer_forgive(cl_peer *peer)
{
    peer->strikes = 0;
    peer->avoid_until = INT64_MIN;
}
/* It was avoided, and is not any more. */
void cl_peer_well_again(cl_core *core, cl_peer *peer);
static inline int cl_peer_is_well(const cl_peer *peer, int64_t now)
{
    return peer->avoid_until <= now;
}

#endif
