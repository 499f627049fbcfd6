/* What the files of the Redis directory share.
 *
 *   directory.c          the directory: up and down, the life of a node
 *   claim.c              that an id has one owner
 *   registry.c           registrations and their heartbeat
 *   pause.c              which of them take no calls
 *   announcements.c      what native nodes announce about registrations
 *   news.c               on which channels that is listened to
 *   lookup.c, scan.c, status.c   who serves what
 *   places.c             where native nodes are */
#ifndef CL_REDIS_DIRECTORY_INTERNAL_H
#define CL_REDIS_DIRECTORY_INTERNAL_H

#include "base/list.h"
#include "base/map.h"
#include "directory/directory.h"
#include "net/loop.h"
#include "redis/client.h"

enum { REDIS_ADDRESSES = 4 };

typedef struct redis_node {
    cl_list_node link;
    struct redis_directory *d;
    cl_list_node deferred; /* in d->deferred_nodes while there is something to announce for it */
    void *handle;          /* the owner's name for it */
    char *memory;          /* channel and record key */
    cl_str channel, id, record_key;
    int64_t period; /* of the heartbeat, ms */
    char ttl[24];
    cl_strmap regs;       /* by method */
    cl_loop_timer *timer; /* the heartbeat, or the next try */
    unsigned refs;        /* pending commands that point here */
    unsigned renewing;    /* renewals under way */
    int subscribed;       /* it listens, as its transport says */
    int listening;        /* and the id is known to be its own */
    int announced;        /* that was reported once */
    int refused_code;     /* why it was refused, 0: it was not */
    int recorded;         /* its record is known to be there */
    int record_ended;     /* the deletion of it is behind whatever wrote it */
    int owned;            /* the id was its own once, and nobody is known to have taken it */
    int again;            /* it had to subscribe once more: others may have missed what it serves */
    int claiming;         /* questions for the owner of the id are under way */
    int64_t listeners;    /* on its channel; -1: not known */
    int is_foreign;       /* the record is another's */
    int is_last;          /* of those that contend for the id, all others leave */
    int was_last;         /* it waits for those who are still about to leave */
    int64_t lock_asked;   /* when it asked to be the last */
    unsigned tries;       /* in a row that failed */
    char holder[120];     /* whose it is, in words */
    cl_list_node subscriptions;
    unsigned writes, written; /* of them: sent, and answered */
    int was_registered, draining, leaving, to_announce;
    char traits[CL_TRAITS_TEXT];
    int64_t started; /* ms since 1970 */
    cl_address *addresses; /* where links lead to it */
    size_t addresses_n;
} redis_node;

/* A pattern, or a topic in a group, that a node has subscribed to. */
typedef struct redis_subscription {
    cl_list_node link;
    unsigned sent; /* the write that has it; 0: none yet */
    int told;
    cl_str topic, group; /* in `text` */
    char text[];
} redis_subscription;

typedef struct redis_reg {
    redis_node *node;
    char *memory;
    cl_str key, method, index_key;
    int paused;      /* no calls are taken: the record says so */
    int wanted;      /* to be registered; else to be taken back */
    int listed;      /* the key is known to be there */
    int fresh;       /* others are to be told */
    int resumed;     /* that it was only paused */
    int sent;        /* a SET left once: Redis may hold the key */
    int owed;        /* its deletion is to be answered yet */
    int64_t indexed; /* when it was put into the index; 0: it is not known to be there */
    unsigned refs;
    cl_list_node registers, unregisters; /* redis_op */
} redis_reg;

typedef struct redis_op {
    cl_list_node link;
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

enum { REDIS_FAILED_STATUSES = 16, REDIS_FAILED_LOOKUPS = 8 };

typedef struct redis_directory {
    cl_directory base;
    cl_loop *loop;
    cl_directory_sink sink;
    cl_redis_client *client;
    int closing, told_closed;
    unsigned subscribing; /* SUBSCRIBEs for announcements under way */
    unsigned claiming;    /* nodes whose ids are being claimed */
    char token[20];       /* tells the records of this context from those of others */
    char place[80];       /* the name of this machine, fit for JSON */
    cl_idmap by_handle;   /* redis_node */
    cl_idmap ops;         /* redis_op by operation */
    cl_strmap by_channel; /* redis_node */
    cl_list_node nodes;
    int wants_announcements; /* something here looked for servers, so who comes and goes matters */
    int refuses_news;        /* Redis does, and that is logged */
    cl_strmap news;          /* the channels of methods, in news.c */
    cl_buf scratch, text;
    cl_list_node deferred_nodes;    /* redis_node */
    cl_list_node lookups;           /* redis_lookup */
    cl_strmap lookups_by_method[2]; /* the urgent, and those that only refresh */
    struct redis_failed_lookup {
        size_t n;
        char text[256];
    } failed_lookups[REDIS_FAILED_LOOKUPS]; /* lookups that there was no memory for */
    size_t failed_lookups_len;
    int follows;            /* something was published, so who has subscribed matters */
    int hears_subscribers;  /* their channel is subscribed, or refused */
    int asks_subscribers;   /* a complete list is under way */
    int knows_subscribers;  /* there was one */
    cl_list_node questions; /* for subscriptions, under way */
    redis_scan scan;
    int wants_places; /* records have addresses, and somebody asks for them */
    cl_strmap places; /* redis_place by the id of the node */
    cl_list_node statuses;
    uint64_t failed_statuses[REDIS_FAILED_STATUSES]; /* questions for the status that there was no memory for */
    size_t failed_statuses_len;
} redis_directory;

static inline redis_directory *redis_of(cl_directory *base)
{
    return CL_OWNER(base, redis_directory, base);
}

/* The `self` of all handlers is the client. */
static inline redis_directory *redis_directory_of(void *client)
{
    return ((cl_redis_client *)client)->directory.self;
}

/* ---- places.c */
/* The addresses in a record, joined; "": none. */
void cl_redis_record_address(cl_str record, cl_address *out);
/* The record of a node, or nothing: it has none. */
void cl_redis_place_learn(redis_directory *d, cl_str id, cl_str record);
/* The node came, maybe from elsewhere. */
void cl_redis_place_announced(redis_directory *d, cl_str id);
int cl_redis_locate(cl_directory *base, cl_str id, cl_address *address);
void cl_redis_places_free(redis_directory *d);

/* ---- directory.c */
void cl_redis_check_up(redis_directory *d);
/* Deferred work is done in flush: what cannot be reported from inside a call. node may be NULL. */
void cl_redis_defer(redis_directory *d, redis_node *node);
redis_node *cl_redis_node_of(redis_directory *d, void *handle);
/* The id is its own: it is found from now on. */
void cl_redis_node_listens(redis_directory *d, redis_node *node);
/* It may not listen: reported when it never did, else tried again. */
void cl_redis_node_refused(redis_directory *d, redis_node *node, int code, const char *words);
/* Sets the timer of a node. 0 or CLOUDS_ENOMEM. */
int cl_redis_node_set_timer(redis_directory *d, redis_node *node, int64_t delay);
/* The same for the next heartbeat: together with those of other nodes, and with what is asked of the connections. */
int cl_redis_node_beat_later(redis_directory *d, redis_node *node);
void cl_redis_node_unref(redis_directory *d, redis_node *node);

/* ---- claim.c */
void cl_redis_claim_prepare(redis_directory *d);
/* Asks for the id of a node that is subscribed. */
void cl_redis_claim(redis_directory *d, redis_node *node);
/* The node drains: what it holds while it asks is let go. */
void cl_redis_claim_end(redis_directory *d, redis_node *node);
/* The text of a record; "" without memory. */
cl_str cl_redis_record(redis_directory *d, const redis_node *node);

/* ---- pause.c */
void cl_redis_pause(cl_directory *base, void *handle, cl_str method, int paused);
void cl_redis_describe(cl_directory *base, void *handle, const cl_traits *traits);
/* The member of a record, behind a comma, if there is something to say. */
int cl_redis_put_paused(const redis_node *node, cl_buf *out);
/* Does a record say that this method is paused? */
/* What the records in a reply, from item `first` on, say of their nodes: the texts are in `tags`. Without memory nothing
 * is said. */
void cl_redis_read_traits(const cl_reply *reply, size_t first, cl_server *servers, size_t n, cl_buf *tags);
int cl_redis_record_pauses(redis_directory *d, cl_str record, cl_str method);
/* What the record says has changed. */
void cl_redis_publish_record(redis_directory *d, redis_node *node);

/* ---- node_record.c */
void cl_redis_send_record(redis_directory *d, redis_node *node);
void cl_redis_keep_record(redis_directory *d, redis_node *node); /* renews it, or writes what is not there */
void cl_redis_end_record(redis_directory *d, redis_node *node);
/* Redis has written it. */
void cl_redis_record_came(redis_directory *d, redis_node *node);

/* ---- registry.c */
int cl_redis_register(cl_directory *base, void *handle, cl_str method, uint64_t operation);
int cl_redis_unregister(cl_directory *base, void *handle, cl_str method, uint64_t operation);
void cl_redis_abandon(cl_directory *base, uint64_t operation);
void cl_redis_restore(redis_directory *d, redis_node *node); /* when it listens, and after a reconnect */
void cl_redis_renew(redis_directory *d, redis_node *node);
void cl_redis_regs_unlist(redis_node *node);
int cl_redis_has_heartbeat(const redis_node *node);
int cl_redis_wants_any(const redis_node *node);
void cl_redis_unregister_all(redis_directory *d, redis_node *node);
void cl_redis_registers_end(redis_directory *d, redis_node *node, int code, const char *words);
void cl_redis_regs_end(redis_directory *d, redis_node *node);
void cl_redis_regs_free(redis_node *node);

/* ---- news.c */
/* The method is looked for: 0 when what is asked now misses no announcement of it, CL_PENDING when that waits for
 * lookups_begin, or CLOUDS_ENOMEM. */
int cl_redis_news_want(redis_directory *d, cl_str method);
void cl_redis_unwatch(cl_directory *base, cl_str method);
void cl_redis_news_ready(redis_directory *d); /* the connection that subscribes is there */
void cl_redis_news_down(redis_directory *d);
void cl_redis_news_free(redis_directory *d);

/* ---- announcements.c */
void cl_redis_announce(redis_directory *d, redis_node *node, char type, cl_str method);
/* 'u': the fresh ones, 'd': all, 'w': this one. */
void cl_redis_announced(redis_directory *d, cl_str text);

/* ---- subscribers.c: who has subscribed to a pattern or in a group */
int cl_redis_subscribe(cl_directory *base, void *handle, cl_str topic, cl_str group);
void cl_redis_unsubscribe(cl_directory *base, void *handle, cl_str topic, cl_str group);
int cl_redis_follow(cl_directory *base);
void cl_redis_subscriptions_restore(redis_directory *d, redis_node *node);
void cl_redis_subscriptions_renew(redis_directory *d, redis_node *node);
void cl_redis_subscriptions_end(redis_directory *d, redis_node *node);
void cl_redis_subscriptions_free(redis_node *node);
void cl_redis_subscribers_ready(redis_directory *d); /* the subscribing connection */
void cl_redis_subscribers_down(redis_directory *d);
void cl_redis_subscribers_ask(redis_directory *d); /* the connection for commands is there */
void cl_redis_subscriber_changed(redis_directory *d, cl_str id);
void cl_redis_questions_free(redis_directory *d);

/* ---- lookup.c */
typedef struct redis_lookup redis_lookup;
void cl_redis_lookup(cl_directory *base, cl_str method, int known);
void cl_redis_forget(cl_directory *base, cl_str method, cl_str server);
/* Announcements of this method are received, or of none: nobody waits for that any more. */
void cl_redis_lookups_begin(redis_directory *d, cl_str method);
/* A scan ended; code not 0: badly. */
void cl_redis_lookups_scanned(redis_directory *d, int code);
int cl_redis_lookups_want_scan(redis_directory *d, uint64_t round);
void cl_redis_lookups_fail(redis_directory *d);   /* Redis is away: ends those that wait for a scan */
void cl_redis_lookups_failed(redis_directory *d); /* deferred: reports those that failed at once */
void cl_redis_lookups_free(redis_directory *d);

/* ---- scan.c */
int cl_redis_scan_create(redis_directory *d);
/* Its id is that of a generated client, base or monitor. */
int cl_redis_is_client(cl_str id);
void cl_redis_scan_want(redis_directory *d);
void cl_redis_scan_free(redis_directory *d);
redis_scan_method *cl_redis_scan_get(const redis_scan_result *result, cl_str method);

/* ---- status.c */
void cl_redis_status(cl_directory *base, uint64_t operation);
void cl_redis_statuses_scanned(redis_directory *d, int code);
int cl_redis_statuses_want_scan(redis_directory *d, uint64_t round);
void cl_redis_statuses_failed(redis_directory *d);
void cl_redis_statuses_fail(redis_directory *d);
void cl_redis_statuses_free(redis_directory *d);

#endif
