/* The inside of the redis bus: one struct for the whole, and what its files offer each other.
 *
 *   session.c     a connection that stays alive               (session.h)
 *   subscriber.c  what comes in: envelopes and announcements
 *   publish.c     envelopes that go out
 *   batch.c       several of them in one message, between nodes of ours
 *   commands.c    all other commands, and the answers to every one
 *   backlog.c     results and messages that wait for Redis to come back
 *   nodes.c       the life of a node on the bus
 *   claim.c       that an id has one owner
 *   registry.c    its registrations and their heartbeat
 *   announcements.c              what native nodes announce about registrations
 *   lookup.c, scan.c, status.c   who serves what
 *   redis_bus.c   the bus itself */
#ifndef CL_REDIS_BUS_INTERNAL_H
#define CL_REDIS_BUS_INTERNAL_H

#include "base/list.h"
#include "base/map.h"
#include "bus/bus.h"
#include "net/loop.h"
#include "redis/client.h"

typedef struct redis_node {
    cl_link link;
    struct redis_bus *bus;
    cl_link deferred; /* in bus->deferred_nodes while there is something to do for it */
    void *handle;     /* the owner's name for it */
    char *memory;     /* channel and record key */
    cl_str channel, id, record_key;
    int64_t period; /* of the heartbeat, ms */
    char ttl[24];
    cl_strmap regs;       /* by method */
    cl_loop_timer *timer; /* heartbeat, later linger */
    unsigned refs;        /* pending commands that point here */
    unsigned renewing;    /* renewals under way */
    int subscribed;       /* its SUBSCRIBE is confirmed */
    int listening, told;  /* and so is that the id is its own; the owner knows */
    int refused_code;     /* why it was refused, 0: it was not */
    int recorded;         /* its record is known to be there */
    int owned;            /* the id was its own once, and nobody is known to have taken it */
    int again;            /* it had to subscribe once more: others may have missed what it serves */
    int claiming;         /* questions for the owner of the id are under way */
    int64_t listeners;    /* on its channel; -1: not known */
    int is_foreign;       /* the record is another's */
    int is_last;          /* of those that contend for the id, all others leave */
    unsigned tries;       /* in a row that failed */
    char holder[120];     /* whose it is, in words */
    cl_buf held;          /* what arrived before the id was known to be its own */
    int was_registered, draining, closing, leaving, to_announce;
    int64_t started; /* ms since 1970 */
} redis_node;

typedef struct redis_reg {
    redis_node *node;
    char *memory;
    cl_str key, method, index_key;
    int wanted;      /* to be registered; else to be taken back */
    int listed;      /* the key is known to be there */
    int fresh;       /* others are to be told */
    int sent;        /* a SET left once: Redis may hold the key */
    int owed;        /* its deletion is to be answered yet */
    int64_t indexed; /* when it was put into the index; 0: it is not known to be there */
    unsigned refs;
    cl_link registers, unregisters; /* redis_op */
} redis_reg;

typedef struct redis_op {
    cl_link link;
    redis_reg *reg;
    uint64_t operation;
} redis_op;

/* What the latest scan found: methods and the ids below each. */
typedef struct redis_scan_result {
    cl_strmap methods; /* redis_scan_method */
    size_t bytes;
} redis_scan_result;

typedef struct redis_scan_method {
    char *memory;
    cl_str method;
    cl_strmap ids; /* values are the texts themselves */
} redis_scan_method;

typedef struct redis_scan {
    int running;
    uint64_t round;      /* number of the scan that runs or ran last; the first is 1 */
    int64_t started;     /* when; INT64_MIN: never */
    unsigned pages;      /* that this walk has read */
    int64_t spacing;     /* until the next may start; 0: the shortest */
    int must;            /* the next walks, whoever listens */
    cl_strmap natives;   /* ids that were seen with a record */
    cl_strmap strangers; /* ids of this round that listen and whose records are asked for; values are the texts */
    cl_loop_timer *timer;
    redis_scan_result next, result;
} redis_scan;

/* The tokens of a batch, until its fate is known. */
typedef struct redis_tokens {
    cl_link link; /* in bus->awaited, once the batch is sent */
    size_t n;
    uint64_t list[];
} redis_tokens;

typedef struct redis_batch redis_batch;

/* So much of the name that a Redis gives itself tells it from others. */
enum { REDIS_HOME = 16 };

enum { REDIS_FAILED_STATUSES = 16, REDIS_FAILED_LOOKUPS = 8 };

typedef struct redis_bus {
    cl_bus base;
    cl_loop *loop;
    cl_bus_sink sink;
    cl_redis_client client;
    char home[REDIS_HOME + 1]; /* the Redis that the subscriber is or was at */
    int up, closing, open_sessions;
    unsigned unconfirmed; /* SUBSCRIBEs under way */
    unsigned claiming;    /* nodes whose ids are being claimed */
    char token[20];       /* tells the records of this context from those of others */
    char place[80];       /* the name of this machine, fit for JSON */
    cl_idmap by_handle;   /* redis_node */
    cl_idmap ops;         /* redis_op by operation */
    cl_strmap by_channel; /* redis_node */
    cl_link nodes;
    redis_node *current; /* the message being read is for it */
    int current_is_announcement;
    int64_t read_at; /* when this message was read */
    int wants_announcements; /* something here looked for servers, so who comes and goes matters */
    int hears_announcements; /* the channel is subscribed, or refused */
    cl_buf scratch, text;
    cl_loop_timer *deferred_timer;
    cl_link deferred_nodes;         /* redis_node */
    cl_link lookups;                /* redis_lookup */
    cl_strmap lookups_by_method[2]; /* the urgent, and those that only refresh */
    struct redis_failed_lookup {
        size_t n;
        char text[256];
    } failed_lookups[REDIS_FAILED_LOOKUPS]; /* lookups that there was no memory for */
    size_t failed_lookups_len;
    redis_scan scan;
    cl_link statuses;
    uint64_t failed_statuses[REDIS_FAILED_STATUSES]; /* questions for the status that there was no memory for */
    size_t failed_statuses_len;
    cl_link backlog;
    size_t backlog_bytes;
    cl_strmap batches; /* redis_batch by receiver: those that are open */
    redis_batch *last_batch; /* the one added to last, most often the one added to next; or NULL */
    cl_link open_batches, idle_batches;
    cl_link awaited; /* redis_tokens whose answer is to come */
    size_t idle_len, batched_bytes;
} redis_bus;

/* The `self` of the sessions' hooks and of all handlers is the client. */
static inline redis_bus *redis_bus_of(void *client)
{
    return CL_OWNER(client, redis_bus, client);
}

/* ---- redis_bus.c */
void cl_redis_check_up(redis_bus *bus);
void cl_redis_down(redis_bus *bus, int code, const char *words);
void cl_redis_session_closed(redis_bus *bus);
/* Deferred work runs soon, from the loop: what cannot be reported from inside a call. */
void cl_redis_defer(redis_bus *bus, redis_node *node); /* node may be NULL */
/* ---- claim.c */
void cl_redis_claim_prepare(redis_bus *bus);
/* Asks for the id of a node that is subscribed. */
void cl_redis_claim(redis_bus *bus, redis_node *node);
/* The text of a record; "" without memory. */
cl_str cl_redis_record(redis_bus *bus, const redis_node *node);

/* ---- subscriber.c */
void cl_redis_held_deliver(redis_bus *bus, redis_node *node);
int cl_redis_subscriber_create(redis_bus *bus);
void cl_redis_subscribe(redis_bus *bus, redis_node *node);
/* From the first lookup on; 1: what is asked now misses no announcement. */
int cl_redis_hear_announcements(redis_bus *bus);
void cl_redis_unsubscribe(redis_bus *bus, redis_node *node);

/* ---- commands.c */
int cl_redis_commands_create(redis_bus *bus);
/* ---- publish.c: a PUBLISH of one envelope, whose token is the ref. */
extern const cl_redis_handler cl_redis_publish_handler;
extern const cl_redis_handler cl_redis_publish_native_handler; /* the same, of what only a native node receives */
/* What became of a PUBLISH. */
enum cl_fate cl_redis_publish_fate(redis_bus *bus, const cl_reply *reply, int to_native, int64_t *receivers);
int cl_redis_send(cl_bus *base, void *handle, const cl_envelope *e, uint64_t token);
/* Appends the command that publishes an envelope. 0, CLOUDS_ETOOBIG or CLOUDS_ENOMEM with the buffer unchanged. */
int cl_redis_publish_format(const redis_bus *bus, const cl_envelope *e, cl_buf *out);

/* Appends a PUBLISH to this node up to its payload. 0 or CLOUDS_ENOMEM. */
int cl_redis_publish_head(const redis_bus *bus, cl_str to, cl_buf *out);

/* ---- batch.c */
/* Takes an envelope for a node of ours into this turn's message for it. 0, or an error with nothing kept. */
int cl_redis_batch_add(redis_bus *bus, const cl_envelope *e, uint64_t token);
void cl_redis_batch_flush(redis_bus *bus);
void cl_redis_batch_free(redis_bus *bus);
int cl_redis_is_batch(cl_str payload);
/* `limits` are those of the whole, `of_each` those of an envelope. `read` is what it says if that is clear already, or
 * NULL: then it must be decoded. */
int cl_redis_batch_read(cl_str payload, cl_json_limits limits, cl_json_limits of_each,
                        void (*each)(void *self, cl_str envelope, cl_envelope *read), void *self);

/* ---- backlog.c */
int cl_redis_backlog_add(redis_bus *bus, const cl_envelope *e, uint64_t token);
void cl_redis_backlog_send(redis_bus *bus);
void cl_redis_backlog_drop(redis_bus *bus, int tell);

/* ---- nodes.c */
redis_node *cl_redis_node_of(redis_bus *bus, void *handle);
int cl_redis_node_open(cl_bus *base, void *handle, cl_str id, double heartbeat);
void cl_redis_node_drain(cl_bus *base, void *handle);
void cl_redis_node_close(cl_bus *base, void *handle);
void cl_redis_node_confirmed(redis_bus *bus, redis_node *node, int code, const char *words);
void cl_redis_node_listens(redis_bus *bus, redis_node *node);
/* It may not listen: told to the owner when it never did, else tried again. */
void cl_redis_node_refused(redis_bus *bus, redis_node *node, int code, const char *words);
/* The timer of a node that does not listen. */
void cl_redis_node_pursue(redis_bus *bus, redis_node *node);
/* Sets the timer of a node. 0 or CLOUDS_ENOMEM. */
int cl_redis_node_set_timer(redis_bus *bus, redis_node *node, int64_t delay);
void cl_redis_nodes_announce(redis_bus *bus); /* node_ready for those that listen */
void cl_redis_node_leave(redis_bus *bus, redis_node *node);
void cl_redis_node_unref(redis_bus *bus, redis_node *node);
void cl_redis_node_settle(redis_bus *bus, redis_node *node); /* ends it if nothing holds it any more */
void cl_redis_node_free(redis_bus *bus, redis_node *node);

/* ---- registry.c */
int cl_redis_register(cl_bus *base, void *handle, cl_str method, uint64_t operation);
int cl_redis_unregister(cl_bus *base, void *handle, cl_str method, uint64_t operation);
void cl_redis_abandon(cl_bus *base, uint64_t operation);
void cl_redis_restore(redis_bus *bus, redis_node *node); /* when it listens, and after a reconnect */
void cl_redis_renew(redis_bus *bus, redis_node *node);
void cl_redis_node_due(void *node);                              /* the timer of a node */
void cl_redis_node_unanswered(redis_bus *bus, redis_node *node); /* Redis does not confirm that it left */
void cl_redis_regs_unlist(redis_node *node);
int cl_redis_has_heartbeat(const redis_node *node);
void cl_redis_send_record(redis_bus *bus, redis_node *node);
void cl_redis_unregister_all(redis_bus *bus, redis_node *node);
void cl_redis_registers_end(redis_bus *bus, redis_node *node, int code, const char *words);
void cl_redis_regs_end(redis_bus *bus, redis_node *node);
void cl_redis_regs_free(redis_node *node);

/* ---- announcements.c */
void cl_redis_announce(redis_bus *bus, redis_node *node, char type, cl_str method);
/* 'u': the fresh ones, 'd': all, 'w': this one. */
void cl_redis_announced(redis_bus *bus, cl_str text);

/* ---- lookup.c */
typedef struct redis_lookup redis_lookup;
void cl_redis_lookup(cl_bus *base, cl_str method, int known);
void cl_redis_forget(cl_bus *base, cl_str method, cl_str server);
void cl_redis_lookups_begin(redis_bus *bus); /* announcements are received */
/* A scan ended; code not 0: badly. */
void cl_redis_lookups_scanned(redis_bus *bus, int code);
int cl_redis_lookups_want_scan(redis_bus *bus, uint64_t round);
void cl_redis_lookups_fail(redis_bus *bus);   /* Redis is away: ends those that wait for a scan */
void cl_redis_lookups_failed(redis_bus *bus); /* deferred: reports those that failed at once */
void cl_redis_lookups_free(redis_bus *bus);

/* ---- scan.c */
int cl_redis_scan_create(redis_bus *bus);
/* Its id is that of a generated client, base or monitor. */
int cl_redis_is_client(cl_str id);
void cl_redis_scan_want(redis_bus *bus);
void cl_redis_scan_free(redis_bus *bus);
redis_scan_method *cl_redis_scan_get(const redis_scan_result *result, cl_str method);

/* ---- status.c */
void cl_redis_status(cl_bus *base, uint64_t operation);
void cl_redis_statuses_scanned(redis_bus *bus, int code);
int cl_redis_statuses_want_scan(redis_bus *bus, uint64_t round);
void cl_redis_statuses_failed(redis_bus *bus);
void cl_redis_statuses_fail(redis_bus *bus);
void cl_redis_statuses_free(redis_bus *bus);

#endif
