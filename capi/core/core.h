/* core: what a node is. Calls, requests, messages, the directory, balancing, retry, deadlines - as a pure state
 * machine: no socket, no clock, no thread. It reaches the outside through a cl_bus and a cl_port, and the outside
 * reaches it through the inputs below. One cl_core serves all nodes of a context. Time is int64_t milliseconds of any
 * monotonic clock. */
#ifndef CL_CORE_H
#define CL_CORE_H

#include <stdint.h>

#include "clouds.h"
#include "bus/bus.h"
#include "proto/span.h"

typedef struct cl_core cl_core;
typedef struct cl_node cl_node;

typedef struct cl_port {
    void *self;
    int64_t (*now)(void *self);
    int64_t (*now_about)(void *self); /* cheaper: up to some milliseconds behind, never ahead */
    uint64_t (*random)(void *self);
    /* The earliest moment at which cl_core_tick wants to be called changed; INT64_MAX: never. */
    void (*arm)(void *self, int64_t when);
    /* Something for the user; `tag` is what cl_node_create was given. The port copies it, all text is valid during the
     * call only. A completion cannot fail, since room for its record was reserved; when there is no memory for its
     * texts it is raised without them, as CLOUDS_ENOMEM. event->node is unset (the port knows it by tag). Must not call
     * back into the core. 0; for a question (FIND_SERVER, ATTEMPT) also CLOUDS_ENOMEM: it was not asked. */
    int (*event)(void *self, void *tag, const clouds_event *event);
    /* Promise room for one more completion, so that event cannot fail later. 0 or CLOUDS_ENOMEM / CLOUDS_ELIMIT. Asked
     * once for every event of the types RESULT, REGISTERED, UNREGISTERED, SENT, STATUS, PAUSED, READY, NODE_CLOSED,
     * SUBSCRIBED and UNSUBSCRIBED (a subscription that ends with the former has no latter, whose promise is void then),
     * before what it completes is accepted; for no other. */
    int (*reserve)(void *self);
    /* The same for a REQUEST, which may begin while another is answered, and for what else comes of a peer: STOP, and PAUSED
     * without an id. */
    int (*reserve_request)(void *self);
    /* A request ends although the user has not answered it. withdraw: its event is not handed out any more (1), or was
     * handed out before (0). forget: the request cannot be answered any more. */
    int (*withdraw_request)(void *self, uint64_t request);
    void (*forget_request)(void *self, uint64_t request);
    /* A new id from the one space of ids (below 2^53, never 0, never again): for inbound requests. */
    uint64_t (*next_id)(void *self);
    /* The node is gone, after its CLOUDS_EVENT_NODE_CLOSED; tag NULL: the bus is closed. May be NULL. */
    void (*closed)(void *self, void *tag);
    /* now, in microseconds, for what is measured. NULL: now is fine enough. */
    int64_t (*micros)(void *self);
    /* The same, but one for all that happens in a turn of the loop, in which nothing is waited for. NULL: micros is
     * cheap enough. */
    int64_t (*micros_of_turn)(void *self);
    /* The same, as of the last call of now. NULL, too. */
    int64_t (*micros_looked)(void *self);
    /* Nanoseconds since 1970. NULL: so many milliseconds as now says. */
    int64_t (*wall)(void *self);
    /* A span that is recorded has ended. May be NULL. */
    void (*span)(void *self, const cl_span *span);
} cl_port;

typedef struct cl_core_config {
    cl_limits limits;
    uint32_t max_in_flight;     /* calls out, and requests in, each */
    size_t max_in_flight_bytes; /* of their arguments, each */
    double max_deadline;        /* seconds */
    int64_t once_window;        /* ms for which the answer of a call with an idempotency key is kept */
    size_t once_keys, once_bytes;
    uint64_t secret[2];         /* key for the ids of attempts */
    const char *cluster;        /* its address, for errors; lives as long as the core; NULL: not said */
    const char *about;          /* members of a JSON object that tell of this process; lives as long; NULL: none */
    const char *host;           /* the name of its machine; lives as long; NULL: not said */
    int answers_questions;      /* of other nodes */
    int stats;                  /* calls and requests are counted and timed by method */
    /* Where the values of that are, when others are to read them; NULL: nobody is. add_counts may give none. */
    uint64_t *(*add_counts)(uint32_t kind, cl_str name, uint32_t value_count);
    void (*free_counts)(uint64_t *values);
    int traces;                 /* their spans are recorded */
    int trace_by_parent;        /* a trace that was begun elsewhere is recorded if it is there */
    uint64_t trace_below;       /* of the others those are whose last 63 bits are below this */
    int trace_for_others;       /* who asks for the spans of a call by its meta gets them */
} cl_core_config;

enum cl_counter {
    CL_COUNT_CALLS,
    CL_COUNT_RESULTS,
    CL_COUNT_TIMEOUTS,
    CL_COUNT_RETRIES,
    CL_COUNT_FAILOVERS,
    CL_COUNT_LATE_ANSWERS,
    CL_COUNT_FOREIGN_ANSWERS,
    CL_COUNT_REQUESTS,
    CL_COUNT_REPLIES,
    CL_COUNT_EXPIRED_REQUESTS,
    CL_COUNT_REFUSED_REQUESTS,
    CL_COUNT_MESSAGES_IN,
    CL_COUNT_MESSAGES_OUT,
    CL_COUNT_BROKEN_INPUT,
    CL_COUNT_LIMIT_HITS,
    CL_COUNT_LOOKUPS,
    CL_COUNT_RECONNECTS,
    CL_COUNT_LOST_ANSWERS,      /* answers and refusals that could not be sent */
    CL_COUNT_OVERDUE_REQUESTS,  /* begun, and not answered before their deadline */
    CL_COUNT_QUEUED_REQUESTS,   /* waited for their turn */
    CL_COUNT_SHED_REQUESTS,     /* refused, since they had waited too long for it */
    CL_COUNT_RATE_REFUSALS,     /* refused, since they came faster than the rate of their method or caller */
    CL_COUNT_BREAKER_OPENS,     /* a server failed so often that it was left alone for a while */
    CL_COUNT_PROBES,            /* calls by which such a server was tried again */
    CL_COUNT_CANCELED_REQUESTS, /* their callers gave up and said so */
    CL_COUNT_PUBLISHED,
    CL_COUNT_PUBLISH_DROPS, /* not sent to a subscriber, whose queue is full or who is not reached */
    CL_COUNT_DELIVERED,     /* published messages handed to subscriptions */
    CL_COUNT_GAPS,          /* published messages that are missing */
    CL_COUNT_LAGGED,        /* dropped here, since a subscription did not keep up */
    CL_COUNT_ONCE_HITS,     /* calls that repeated another, by their idempotency key */
    CL_COUNT_THROTTLED_CALLS, /* ended here, since the servers refuse most calls */
    CL_COUNT_HEDGES,        /* calls that were sent to a second server, too */
    CL_COUNT_HEDGE_WINS,    /* those whose second server answered first */
    CL_COUNT_LIMIT_CHANGES, /* a limit that is found (adaptive.c) became another */
    CL_COUNT_LINKS,         /* from here on those of the bus, in its order */
    CL_COUNTERS = CL_COUNT_LINKS + CL_BUS_COUNTS
};

int cl_core_create(const cl_core_config *config, const cl_port *port, cl_core **out);
/* The sink for the bus of this core, which is made with it and then given to cl_core_set_bus before anything is asked
 * of the core. A node's handle on the bus is the cl_node. */
void cl_core_sink(cl_core *core, cl_bus_sink *out);
void cl_core_set_bus(cl_core *core, cl_bus *bus);
int cl_core_is_up(const cl_core *core); /* connected */
/* Brings up to date what is counted by method and is not at any time: how many requests wait for their turn. */
void cl_stats_look(cl_core *core);
/* Whatever the bus reports from now on is ignored. */
void cl_core_mute(cl_core *core);
/* Frees everything; no event is raised. */
void cl_core_destroy(cl_core *core);

const uint64_t *cl_core_counters(cl_core *core);
uint64_t *cl_core_counter(cl_core *core, enum cl_counter which);
extern const char *const cl_counter_names[CL_COUNTERS];

/* ---- nodes */

/* How a server is chosen. */
enum cl_balance {
    CL_BALANCE_TURNS,  /* one after the other */
    CL_BALANCE_LEAST,  /* of two the one with fewer calls under way from here */
    CL_BALANCE_RANDOM, /* any */
    CL_BALANCE_HASH    /* by the key of the call, or by its arguments */
};

typedef struct cl_node_config {
    char type[16];            /* server, client, monitor, base, or any other word */
    double timeout, deadline; /* seconds; deadline 0: from attempts */
    int32_t retries;
    double server_max_age;
    int auto_clean;  /* a timeout deletes the registration of an npm server */
    int balance;     /* enum cl_balance */
    int32_t weight;  /* calls that it takes as a server beside others */
    char tags[CL_TAGS_MOST + 1];
    char prefer[40]; /* the name of the tag whose servers of the own value are asked first; "": none */
    int breaker;     /* a server that fails again and again is left alone for a while */
    int throttle;    /* calls that would most likely be refused end here */
    int shun_silent; /* while the last server is avoided, not even it is asked for a method that it did not answer */
    int find_server, save_servers, remove_server, clear_servers; /* taken over by the user */
    int cancel_events;                                           /* the user is told that a caller gave up */
    int peer_events;                                             /* and what becomes of servers */
    double drain_timeout, operation_timeout;
    uint64_t user_data;
} cl_node_config;

/* `id` is copied. cl_node_open follows. */
int cl_node_create(cl_core *core, cl_str id, const cl_node_config *config, void *tag, cl_node **out);
/* Opens its address on the bus, whose answer raises CLOUDS_EVENT_READY. On an error the node is to be ended by
 * cl_core_node_closed. */
int cl_node_open(cl_node *node, double heartbeat);
/* Changes all of it but the type, for what begins from now on. */
void cl_node_configure(cl_node *node, const cl_node_config *config);
cl_str cl_node_id(const cl_node *node);
void *cl_node_tag(const cl_node *node);
void cl_node_ready(cl_node *node, int code, const char *words); /* raises CLOUDS_EVENT_READY */

/* ---- what the user asks for. Ids are drawn by the caller (below 2^53, unique). Errors mean: no event will follow. */

typedef struct cl_call_spec {
    uint64_t id, user_data;
    cl_str method, args, server; /* args: valid JSON array, checked by the caller */
    double timeout, deadline;    /* 0: the node's */
    uint64_t parent;
    int64_t made_at; /* when the user called (its clock starts then) */
    int32_t retries;
    int ask;            /* CLOUDS_EVENT_ATTEMPT before every attempt */
    int notify;         /* no answer is wanted: it ends when a server has it */
    cl_str meta, bytes; /* go along; meta: a valid JSON object, or empty */
    cl_str trace; /* the meta of a request that is not the parent: what it says of a trace goes along; or empty */
    cl_str once;        /* idempotency key; empty: none */
    int question; /* to a node, for its library: ends with CLOUDS_EVENT_STATUS (cl_node_ask) */
    double hedge;       /* seconds after which a second server is asked; < 0: by what the method takes; 0: never */
    cl_str reply_to, correlation; /* with a topic: `notify`, and the answer is published there */
    int has_key;
    uint64_t key; /* calls of one key go to the same server (cl_balance_key) */
} cl_call_spec;

/* The same in every process. */
uint64_t cl_balance_key(cl_str text);

/* 0, CLOUDS_EINVAL, ETOOBIG, ELIMIT, ENOMEM, ECLOSED, or why the node never listened. The outcome of the completion is
 * that of its code, except for NOT_DONE when an earlier attempt of the call may have been executed: that is UNKNOWN. */
int cl_node_call(cl_node *node, const cl_call_spec *spec);
int cl_core_cancel(cl_core *core, uint64_t id); /* a call or an operation; 0 or CLOUDS_ESTALE */

typedef struct cl_op_spec {
    uint64_t id, user_data;
    double timeout; /* 0: the node's operation_timeout */
} cl_op_spec;

/* The limits of a method. */
typedef struct cl_offer_spec {
    uint32_t concurrency; /* requests that run at a time; 0: no limit, or it is found (adaptive.c) */
    uint32_t key_arg;     /* the argument by which requests wait for each other, from 1 on; 0: none */
    uint32_t queue;       /* requests that wait */
    uint32_t is_adaptive; /* the limit is found */
    int64_t age,
        target;         /* ms: the longest wait, and the longest while some have waited all the time; age 0: no limit */
    double rate, burst; /* requests a second, and at once; rate 0: no limit */
    double caller_rate, caller_burst; /* the same for each caller */
} cl_offer_spec;

int cl_node_register(cl_node *node, cl_str method, const cl_op_spec *spec);
/* The same with limits, which are changed when it was offered before; NULL: none. */
int cl_node_offer(cl_node *node, cl_str method, const cl_offer_spec *limits, const cl_op_spec *spec);
/* The same, with what the method says of itself, as clouds_offer_options.schema; empty: nothing. */
int cl_node_offer_schema(cl_node *node, cl_str method, const cl_offer_spec *limits, cl_str schema, const cl_op_spec *spec);
int cl_node_unregister(cl_node *node, cl_str method, const cl_op_spec *spec);
/* Callers are told not to choose it for this method, or (empty) for all of its methods, or to do so again; ends at
 * once. */
int cl_node_pause(cl_node *node, cl_str method, int paused, const cl_op_spec *spec);
/* Asks the library of another node; `what` is a word that cl_ask_is_known, `args` a valid JSON object, or empty. */
int cl_node_ask(cl_node *node, cl_str peer, cl_str what, cl_str args, const cl_op_spec *spec);
int cl_ask_is_known(cl_str what);
/* No program may offer it. */
int cl_ask_is_method(cl_str method);
int cl_node_send(cl_node *node, cl_str receiver, cl_str value, const cl_op_spec *spec, int confirm);
int cl_node_status(cl_node *node, const cl_op_spec *spec);
/* Who would be called for a method now, and why; ends with CLOUDS_EVENT_STATUS. */
int cl_node_explain(cl_node *node, cl_str method, const cl_op_spec *spec);
int cl_node_links(cl_node *node, const cl_op_spec *spec);  /* CLOUDS_EVENT_STATUS */
int cl_node_stats(cl_node *node, const cl_op_spec *spec);  /* the same; CLOUDS_ENOTSUP: nothing is counted */

/* What is published: JSON, and what goes along. */
typedef struct cl_payload {
    cl_str json, meta, bytes;
} cl_payload;

/* The topic is valid. confirm: it ends with CLOUDS_EVENT_SENT. */
int cl_node_send_along(cl_node *node, cl_str receiver, const cl_payload *payload, const cl_op_spec *spec, int confirm);
/* trace: the meta of what it is published on behalf of, or empty. */
int cl_node_publish(cl_node *node, cl_str topic, const cl_payload *payload, cl_str trace, const cl_op_spec *spec,
                    int confirm);
/* A span of the program's own, which begins and ends on any thread, and is recorded by whoever runs the core. */
typedef struct cl_own_span {
    cl_str text; /* what cl_trace_begin gave */
    cl_str name, error;
    enum cl_span_kind kind;
    int64_t ended; /* by cl_trace_micros */
} cl_own_span;

int64_t cl_trace_micros(const cl_core *core); /* on a clock that nobody sets */
/* Begins one in the trace of a meta, or where that is in none a trace: appends the text of it, or nothing when there is
 * none and the meta stays what counts. chance: in the place of that of the core. 0 or CLOUDS_ENOMEM. */
int cl_trace_begin(const cl_core *core, const cl_port *chance, cl_str meta, cl_buf *out);
/* What it comes to. 1; 0: it is not recorded; CLOUDS_EINVAL: the text, which is a JSON object, is none of ours. */
int cl_trace_read(const cl_own_span *own, cl_span *out);
int cl_trace_end(cl_node *node, const cl_own_span *own);

/* It was accepted, failed, and who published is not told: its subscribers see that one is missing. */
void cl_publish_lost(cl_node *node, cl_str topic);

typedef struct cl_subscribe_spec {
    cl_op_spec op; /* its id is that of the subscription */
    uint64_t user_data;
    cl_str topics, group; /* topics: valid, one a line, none twice */
    int all;
    uint32_t queue; /* all: so many values wait for each topic */
    size_t queue_bytes;
} cl_subscribe_spec;

/* CLOUDS_EVENT_SUBSCRIBED; then, if that was no failure (or its number is 1), CLOUDS_EVENT_PUBLISHED until
 * CLOUDS_EVENT_UNSUBSCRIBED. */
int cl_node_subscribe(cl_node *node, const cl_subscribe_spec *spec);
int cl_core_unsubscribe(cl_core *core, uint64_t subscription); /* 0 or CLOUDS_ESTALE */

/* Both texts checked by the caller; error empty: success. CLOUDS_ELIMIT and CLOUDS_ENOMEM: it cannot be queued now, and
 * the request stays open. */
int cl_core_answer(cl_core *core, uint64_t request, cl_str error, cl_str result);
/* The same with what goes along; CLOUDS_ENOTSUP: its caller cannot take that, and gets an error. */
int cl_core_answer_along(cl_core *core, uint64_t request, cl_str error, const struct cl_payload *result);
/* The user will not get it; its caller gets the code as an error. 0 or CLOUDS_ESTALE; CLOUDS_EINVAL: it has not expired,
 * since a repeat of it waits for longer. */
int cl_core_refuse(cl_core *core, uint64_t request, int code);
/* 1 and its deadline (0: none), or 0: it has ended. */
int cl_core_request(const cl_core *core, uint64_t request, int64_t *deadline);
size_t cl_core_open_requests(const cl_core *core);
int cl_core_choose(cl_core *core, uint64_t question, cl_str server);
/* Answers CLOUDS_EVENT_ATTEMPT; args empty: those it has; bytes NULL: those it has. 0 (also when there is no room for
 * them, and the call ends by that) or CLOUDS_ESTALE. */
int cl_core_attempt(cl_core *core, uint64_t call, cl_str args, const cl_str *bytes);
/* In order: unregister, finish or refuse requests, complete own calls, close; then cl_core_node_closed raises
 * CLOUDS_EVENT_NODE_CLOSED and frees the node. drain in seconds, < 0: its own. A second time: CLOUDS_ECLOSED. */
int cl_node_close(cl_node *node, double drain);
int cl_node_is_closing(const cl_node *node);

/* ---- what the outside reports: the bus through the sink, tests directly */

void cl_core_tick(cl_core *core); /* timers that are due */
/* Something waits for room in a queue: there will be a tick soon. */
void cl_core_check_room_soon(cl_core *core);
/* There may be room in the queues of the bus: the number of calls that waited for it and went out. */
size_t cl_core_check_room(cl_core *core);
void cl_core_envelope(cl_core *core, cl_node *node, const cl_envelope *e);
void cl_core_delivery(cl_core *core, uint64_t token, enum cl_delivery delivery, int64_t number);
void cl_core_registered(cl_core *core, uint64_t operation, int code, const char *words);
void cl_core_subscribed(cl_core *core, cl_node *node, cl_str topic, cl_str group, int code, const char *words);
void cl_core_servers(cl_core *core, cl_str method, const cl_server *servers, size_t n, int code);
void cl_core_server_up(cl_core *core, cl_str method, cl_server server);
void cl_core_server_down(cl_core *core, cl_str method, cl_str server);
void cl_core_peer_down(cl_core *core, cl_str id);
void cl_core_way_lost(cl_core *core, cl_str id, unsigned way);
void cl_core_peer_draining(cl_core *core, cl_str id);
void cl_core_peer_gone(cl_core *core, cl_str id);
void cl_core_linked(cl_core *core);
/* enum cl_bus_state; raises BUS_UP / BUS_DOWN. */
void cl_core_bus(cl_core *core, int state, int code, const char *words);
void cl_core_status(cl_core *core, uint64_t operation, const cl_str *methods, const cl_server *servers, size_t n,
                    int end, int code);
/* The bus closed the node's address: raises CLOUDS_EVENT_NODE_CLOSED and frees the node. */
void cl_core_node_closed(cl_core *core, cl_node *node);

#endif
