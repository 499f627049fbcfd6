/* What the files of core share. Nothing outside of core includes this.
 *
 * Design notes
 *
 * - Every record that can wait has a cl_timed, adopted once (cl_timers_adopt): setting a timer cannot fail later.
 *
 * - A call is in one state and one place: the parked list, the waiting list of its method, the calls of its peer or
 *   those that wait for room towards it, none.
 *
 * - Peers are counted: one lives while a list names it or a call points to it. Methods live while calls use them, and
 *   then as long as the cache has room.
 *
 * - port.event never calls back, so a function may go on after it; the bus may refuse a send at once. */
#ifndef CL_CORE_INTERNAL_H
#define CL_CORE_INTERNAL_H

#include "base/buf.h"
#include "base/error.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rare.h"
#include "base/seconds.h"
#include "core/budget.h"
#include "core/call.h"
#include "core/channel.h"
#include "core/core.h"
#include "core/error_text.h"
#include "core/method.h"
#include "core/node.h"
#include "core/once.h"
#include "core/operation.h"
#include "core/peer.h"
#include "core/request.h"
#include "core/stats.h"
#include "core/timers.h"
#include "core/trace.h"

enum { CL_OVERDUE = 256 };

struct cl_core {
    cl_core_config config;
    cl_port port;
    cl_bus *bus;
    int muted; /* what the bus reports is ignored */
    uint64_t counters[CL_COUNTERS];
    uint64_t second_key[2];
    uint64_t link_mask; /* hides the tokens in the ids towards linked peers */
    uint64_t newest;    /* the highest id of a call so far */
    cl_heap timers;
    cl_list_node row; /* timers that were set in the order in which they are due */
    size_t timed;     /* records that may be in the heap */
    int64_t armed;    /* what the port was armed with last; INT64_MIN while ticking */
    cl_timed retry, room;
    cl_idmap calls, requests, ops, subscriptions;
    uint64_t arrivals; /* published messages that came */
    cl_strmap methods, peers;
    cl_list_node recent, parked, nodes;
    cl_list_node blocked_peers; /* peers towards which calls wait for room */
    cl_pool spare_calls, spare_requests;
    size_t call_bytes;            /* arguments that are held outside of call records */
    size_t request_bytes;         /* arguments of the open requests, and of those that wait for their turn */
    size_t queued;                /* requests that wait for their turn */
    uint64_t overdue[CL_OVERDUE]; /* requests that were begun and ended at their deadline, the latest */
    unsigned overdue_at;
    cl_once_table once;
    cl_budget budget;
    struct cl_stats_table *stats; /* NULL: nothing is counted by method */
    cl_timed forget; /* set while methods are known */
    int bus_up, was_up, bus_code;
    int bus_sends;      /* it is up, or blind */
    int down_logged;    /* since the bus was there last */
    char bus_text[200]; /* why the bus is not there */
    uint64_t number; /* by which others know that it is the same; 0: not drawn yet */
    int64_t began, up_since;
    int64_t max_age;
    int64_t max_deadline;
    uint64_t lists;         /* lists learned so far */
    cl_method *last_method; /* the one called last, most often the one called next */
    cl_buf scratch;         /* JSON under construction */
    cl_buf message;         /* words under construction */
    cl_str cluster;
};

int64_t cl_core_now(const cl_core *core);
/* Something was refused although the bus seemed fine: look again soon. */
void cl_core_retry_soon(cl_core *core, int64_t now);
/* The bus is down, and no link leads to whom a call is for: one that failed may be dialled again after a while. */
void cl_core_retry_links(cl_core *core, int64_t now);

/* core.c */
int cl_emit(cl_core *core, const cl_node *node, clouds_event *event);
/* CLOUDS_EVENT_UNKNOWN of an envelope whose type, or whose call, this node does not take. */
void cl_emit_unknown(cl_core *core, const cl_node *node, const cl_envelope *e, cl_str type, cl_str data);
static inline void cl_set_text(const char **p, size_t *n, cl_str s)
{
    *p = s.p;
    *n = s.n;
}

#endif
