/* The insides of a context and of a node, shared by the files of this layer. */
#ifndef CL_CONTEXT_H
#define CL_CONTEXT_H

#include <pthread.h>
#include <stdatomic.h>

#include "api/command.h"
#include "api/events.h"
#include "api/guard.h"
#include "api/subscriptions.h"
#include "api/wait_slots.h"
#include "api/leader.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/rare.h"
#include "bus/bus.h"
#include "clouds.h"
#include "core/core.h"
#include "net/clock.h"
#include "net/keys.h"
#include "net/loop.h"
#include "proto/direct.h"
#include "trace/trace.h"
#include "worker/worker.h"

/* Counters of this layer, after those of the core. */
enum cl_api_counter {
    CL_COUNT_EVENTS,
    CL_COUNT_DROPPED_EVENTS,
    CL_COUNT_QUEUE_REFUSALS,
    CL_COUNT_LOST_RESULTS,
    CL_COUNT_SPANS,
    CL_COUNT_LOST_SPANS,
    CL_API_COUNTERS
};

/* Requests that found the event queue full, to be refused at the end of the turn. */
enum { CL_REFUSALS = 256 };

enum { CL_TLS_TEXTS = 4 };

enum { CL_FLUSH_MS = 1000 }; /* how long the end of a context waits for a collector of spans */

/* What the options of a context say. */
typedef struct cl_context_config {
    cl_url url;
    char *password, *prefix; /* instead of those in the url */
    char *tls[CL_TLS_TEXTS]; /* the texts of url.tls that are options */
    char *sentinel_user, *sentinel_password;
    char url_text[256]; /* the url without the password, for errors */
    char about[64]; /* version and process, as members of a JSON object */
    char host[256]; /* the name of this machine; "": it has none */
    int answers_questions;
    int trace_for_others;      /* see cl_core_config, as the next */
    int trace_by_parent;
    uint64_t trace_below;
    cl_limits limits;
    cl_key_ring *keys;
    cl_direct direct; /* what limits.direct points to, if there are such links */
    size_t max_in_flight, max_events, max_event_bytes;
    size_t max_result_bytes; /* of all texts that wait for the user; beyond it a result completes without its own */
} cl_context_config;

/* Loop, bus and core, used by one thread at a time: in inline mode by the one that is inside (guard.c), in
 * thread mode by the I/O thread, or by one that waits for a call (leader.c). */
typedef struct cl_engine {
    cl_loop *loop;
    cl_loop_timer *timer;
    cl_clock clock;
    cl_bus *bus;
    cl_core *core;
    cl_exporter *exporter; /* NULL: no spans are recorded */
    uint64_t random_state;
    int wait_done;  /* thread mode: a call completed that is waited for */
    int signal_due; /* events were added in this turn */
    int unflushed;  /* inline: something may wait in an output buffer */
    int64_t turned; /* inline: when poll last let the loop turn */
    uint64_t measured_turn;
    int64_t measured; /* microseconds, in that turn of the loop */
    int finish_due; /* the last node of a closing context is gone: close the bus at the end of the turn */
    int bus_closing, bus_closed;
    int is_over; /* CLOUDS_EVENT_CONTEXT_CLOSED is given, after which nothing comes */
    int close_begun;
    uint64_t close_id, close_user_data; /* of the operation */
    size_t nodes;                       /* that the core has */
    uint64_t refusals[CL_REFUSALS];
    size_t refusal_count;
    cl_worker_share share; /* what the master was told of this context */
    uint64_t *counts; /* the row of this context, where this process counts for others; NULL: it does not */
    uint64_t before[CL_COUNTERS + CL_API_COUNTERS]; /* what its counters were then */
} cl_engine;

/* What lies between the engine and the user; in thread mode under `lock`. */
typedef struct cl_inbox {
    pthread_mutex_t lock;
    pthread_cond_t arrived;
    cl_events events;
    cl_subscriptions subscriptions;
    cl_idmap wait_slots;
    size_t wait_bytes; /* of the texts in them */
    cl_idmap open;     /* thread mode: calls, requests and questions that can still be canceled or answered */
    size_t calls_open;
    uint64_t begun;   /* the latest request that was handed out */
    size_t withdrawn; /* requests in `events` that are not handed out any more */
    cl_list_node nodes;
    uint64_t counters[CL_API_COUNTERS];
    uint64_t core_counters[CL_COUNTERS]; /* thread mode: as of the last turn */
    int over;                            /* CLOUDS_EVENT_CONTEXT_CLOSED was handed out */
    int polling;                         /* thread mode: a thread is in clouds_poll ... */
    int poll_sleeps;                     /* ... and waits for `arrived` */
    size_t log_waiting;                  /* log lines in `events` */
    uint64_t log_missed;                 /* for which there was no room since */
} cl_inbox;

/* What clouds_fd gives: the loop's descriptor, or in thread mode an eventfd. */
typedef struct cl_descriptor {
    int used;
    int readable; /* inline: the loop's was made readable since the last run */
    int event_fd; /* thread mode: -1 until asked for */
    int event_fd_set;
} cl_descriptor;

/* Thread mode: the I/O thread, and the commands that other threads hand to the engine. */
typedef struct cl_io_thread {
    pthread_t id;
    cl_leader leader;
    atomic_int serves; /* methods were registered */
    cl_command_queue queue;
} cl_io_thread;

typedef struct cl_context {
    clouds_context *handle;
    int threaded;
    unsigned fork_generation;
    atomic_int ending;  /* destroy has begun */
    atomic_int closing; /* clouds_context_close was accepted */
    atomic_int woken;   /* clouds_wakeup, not yet consumed */
    _Atomic uint64_t next_id;
    cl_engine engine;
    cl_inbox inbox;
    cl_descriptor descriptor;
    cl_io_thread thread;
    cl_context_config config;
    cl_log_sink log; /* takes its log lines as events */
    cl_command close_command;
} cl_context;

typedef struct cl_api_node {
    clouds_node *handle;
    cl_context *context;
    clouds_context *context_handle;
    cl_list_node link; /* in context->inbox.nodes */
    char *id;
    cl_node_config config;
    double heartbeat;
    atomic_int closing; /* no new work is taken */
    /* engine */
    cl_node *core;                      /* NULL before it is opened and after it closed */
    int destroyed;                      /* the user has no handle any more: freed when it is closed */
    int open_failed;                    /* its opening failed half-way: it raises no events */
    int no_close_event;                 /* destroyed without a close: its end raises no event */
    int promised;                       /* events reserved and not raised yet: READY and NODE_CLOSED */
    uint64_t close_id, close_user_data; /* of the operation that closes it; 0: the context does */
    cl_command close_command, destroy_command;
} cl_api_node;

static inline void cl_context_lock(cl_context *context)
{
    if (context->threaded) pthread_mutex_lock(&context->inbox.lock);
}

static inline void cl_context_unlock(cl_context *context)
{
    if (context->threaded) pthread_mutex_unlock(&context->inbox.lock);
}

/* Inline mode: something was carried out, which may have left output for the next turn. */
static inline void cl_context_touch(cl_context *context)
{
    context->engine.unflushed = 1;
    if (context->descriptor.used && !context->descriptor.readable) {
        cl_loop_defer(context->engine.loop);
        context->descriptor.readable = 1;
    }
}

/* The next poll would not wait: the descriptor is readable then. An end is news for every poll from then on. */
static inline int cl_context_has_news(const cl_context *context)
{
    return context->inbox.events.len || context->inbox.subscriptions.waiting || context->inbox.over ||
           atomic_load(&context->woken);
}

/* Inline mode: the loop ran, which may have taken what made the descriptor readable. */
static inline void cl_context_tell_news(cl_context *context)
{
    if (context->descriptor.used && cl_context_has_news(context)) cl_loop_defer(context->engine.loop);
}

/* A fresh id: even, or odd for a call whose completion is kept for clouds_wait. In inline mode one thread at a time is
 * inside, so that a locked step would be paid for nothing. */
static inline uint64_t cl_context_id(cl_context *context, int waited)
{
    uint64_t id;
    if (context->threaded) {
        id = atomic_fetch_add_explicit(&context->next_id, 2, memory_order_relaxed);
    } else {
        id = atomic_load_explicit(&context->next_id, memory_order_relaxed);
        atomic_store_explicit(&context->next_id, id + 2, memory_order_relaxed);
    }
    return id + (waited ? 1 : 0);
}

static inline int cl_id_is_waited_for(uint64_t id)
{
    return (int)(id & 1);
}

/* Keys of `open`: what an id belongs to. */
enum cl_open_kind { CL_OPEN_ATTEMPT, CL_OPEN_CALL, CL_OPEN_REQUEST, CL_OPEN_QUESTION };

static inline uint64_t cl_open_key(enum cl_open_kind kind, uint64_t id)
{
    return id << 2 | (uint64_t)kind;
}

/* Thread mode: what `open` keeps with a key. Until when it can be answered, 0: always. */
static inline void *cl_open_until(int64_t deadline)
{
    return (void *)(uintptr_t)(deadline ? deadline : INTPTR_MAX);
}

/* A request that poll left out because its deadline had passed, or that the program refused, until the core has heard of
 * that: it was not begun. */
#define CL_OPEN_LEFT_OUT ((void *)(intptr_t)-1)

static inline int cl_open_is_over(const void *until)
{
    return (intptr_t)until != INTPTR_MAX && cl_loop_now_about() >= (intptr_t)until;
}

/* Thread mode, under the lock: a request with an idempotency key ends when the core says so, whose thread sees to it in
 * time: a repeat may wait for longer than who called first. */
static inline int cl_open_has_key(const cl_context *context, uint64_t request)
{
    return cl_idmap_get(&context->inbox.open, cl_open_key(CL_OPEN_REQUEST, request)) == cl_open_until(0);
}

/* Thread mode, under the lock: its place in `open` says so to the core, whose timer may be before the command. */
static inline void cl_open_leave_out(cl_context *context, uint64_t request)
{
    uint64_t key = cl_open_key(CL_OPEN_REQUEST, request);
    if (cl_idmap_take(&context->inbox.open, key)) cl_idmap_put(&context->inbox.open, key, CL_OPEN_LEFT_OUT);
}

/* Under the lock: room for the completion of a call or an operation, and what cancel needs of it. 0 or CLOUDS_ENOMEM.
 */
static inline int cl_completion_reserve(cl_context *context, uint64_t id)
{
    cl_inbox *inbox = &context->inbox;
    int waited = cl_id_is_waited_for(id);
    int code =
        waited ? cl_wait_slot_add(&inbox->wait_slots, id, &inbox->wait_bytes) : cl_events_reserve(&inbox->events, 1);
    if (code != 0 || !context->threaded) return code;
    code = cl_idmap_put(&inbox->open, cl_open_key(CL_OPEN_CALL, id), context);
    if (code == 0) return 0;
    if (waited) cl_wait_slot_drop(&inbox->wait_slots, id);
    else cl_events_unreserve(&inbox->events, 1);
    return code;
}

static inline void cl_completion_unreserve(cl_context *context, uint64_t id)
{
    if (cl_id_is_waited_for(id)) cl_wait_slot_drop(&context->inbox.wait_slots, id);
    else cl_events_unreserve(&context->inbox.events, 1);
    if (context->threaded) cl_idmap_take(&context->inbox.open, cl_open_key(CL_OPEN_CALL, id));
}

/* engine.c: the port that the core sees, and the turn of the loop. */
void cl_engine_port(cl_context *context, cl_port *port);
void cl_engine_turn(void *context);
/* Inline mode: one turn of the loop that waits for nothing. */
void cl_engine_turn_once(cl_context *context);

/* deliver.c: one event for the user, from the engine. 0; for a question also CLOUDS_ENOMEM: it was not asked. */
int cl_deliver(cl_context *context, cl_api_node *node, const clouds_event *event);
/* The end of a node, or of the context (NULL), that did not come from the core. */
void cl_deliver_end(cl_context *context, cl_api_node *node);
/* Under the lock: the texts that wait for the user leave no room for those of one more result. */
int cl_deliver_is_full(const cl_context *context, size_t bytes);
/* Room for the event of a request that arrived; 0 or why it must be refused. */
int cl_deliver_reserve_request(cl_context *context);
/* See cl_port. */
int cl_deliver_withdraw(cl_context *context, uint64_t request);
void cl_deliver_forget(cl_context *context, uint64_t request);
/* Thread mode: who polls is to return; see clouds_wakeup. */
void cl_deliver_wakeup(cl_context *context);
/* At the end of a turn: wakes who waits. */
void cl_deliver_flush(cl_context *context);

/* log_events.c: the lines of this thread are the context's; or nobody's any more. */
void cl_log_events_begin(cl_context *context);
void cl_log_events_end(cl_context *context);
/* The sink of its lines. */
void cl_log_events_line(void *self, int level, const char *text, const cl_log_facts *facts);
/* Under the lock: `n` of them were handed out. */
void cl_log_events_taken(cl_context *context, size_t n);

/* event_fd.c */
void cl_event_fd_write(int fd);
void cl_event_fd_clear(int fd);

/* thread.c */
int cl_thread_start(cl_context *context);
void cl_thread_stop(cl_context *context);

/* operation.c: what every operation has in common. */
/* Reads the options of the caller's (NULL: all zero), and checks them. */
int cl_operation_read(const clouds_operation_options *theirs, const uint64_t *operation, int is_close,
                      clouds_operation_options *out);
/* Draws the id of the command, makes room for its completion, and submits it. */
int cl_operation_start(cl_context *context, const clouds_operation_options *options, cl_command *command,
                       uint64_t *operation);
/* The same for a close, whose event has its room already; `command` lies in the node or the context. */
int cl_operation_start_close(cl_context *context, const clouds_operation_options *options, cl_command *command,
                             uint64_t *operation);

/* node_free.c */
void cl_api_node_free(cl_api_node *node);

#endif
