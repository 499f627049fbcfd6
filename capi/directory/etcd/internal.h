/* What the files of the etcd directory share.
 *
 *   directory.c               the directory: what it is asked, its life
 *   session.c                 the members of the cluster, one at a time: up and down, and each request
 *   lease.c                   the lease of this context, under which its keys live
 *   nodes.c, put.c            nodes of ours, and their keys
 *   walk.c                    all keys, a page at a time; status
 *   view.c, watch.c, doubt.c  all nodes, as somebody here asked for some
 *   subscribers.c             who has subscribed to what
 *   questions.c, answers.c    etcd's JSON; record.c: ours */
#ifndef CL_ETCD_INTERNAL_H
#define CL_ETCD_INTERNAL_H

#include <sys/types.h>

#include "base/list.h"
#include "base/map.h"
#include "directory/directory.h"
#include "directory/etcd/answers.h"
#include "directory/etcd/questions.h"
#include "directory/etcd/record.h"
#include "http/http.h"
#include "net/deferred.h"
#include "proto/limits.h"
#include "proto/url.h"

struct etcd;

/* ---- session.c */

enum etcd_state {
    ETCD_RESTING,        /* no member answered; the next is tried at `retry_at` */
    ETCD_RESOLVING,      /* the name of a member is looked up */
    ETCD_AUTHENTICATING, /* a token is asked for */
    ETCD_PROBING,        /* does it answer, and may we read? */
    ETCD_READY
};

typedef struct etcd_member {
    char *host;
    int port;
    cl_addresses addresses; /* "": not known */
} etcd_member;

/* An answer, or why there is none of use: then `body` is empty. */
typedef struct etcd_answer {
    cl_str body;
    int code; /* 0: as asked */
    int grpc; /* of a refusal, enum cl_etcd_code */
    const char *words;
} etcd_answer;

typedef void etcd_done(struct etcd *d, void *of, const etcd_answer *answer);

typedef struct etcd_request {
    cl_list_node place; /* in d->requests */
    struct etcd *d;
    const char *path;
    etcd_done *done;
    void *of;
    cl_http_request *http;
} etcd_request;

/* ---- nodes.c */

/* An add or a remove that is to be reported. */
typedef struct etcd_operation {
    cl_list_node place; /* in its node */
    uint64_t operation;
    uint64_t generation; /* of the record that has it */
} etcd_operation;

enum etcd_hold {
    ETCD_FREE,    /* nobody is known to have the key */
    ETCD_OURS,    /* put under the lease of d->lease */
    ETCD_FORMER,  /* we have put it under an earlier lease; `revision` */
    ETCD_FOREIGN, /* another's: its lease is watched until it ends, or is seen to be kept */
    ETCD_REFUSED  /* another's, who lives: asked again now and then */
};

/* A node of ours. */
typedef struct etcd_node {
    cl_list_node place;
    struct etcd *d;
    void *handle;
    cl_str id, key; /* key: in `memory` */
    char *memory;
    int64_t heartbeat; /* ms */
    cl_address addresses[CL_RECORD_ADDRESSES];
    size_t addresses_n;
    char traits[CL_TRAITS_TEXT];
    cl_strmap methods;       /* cl_etcd_method */
    cl_strmap subscriptions; /* cl_etcd_subscription */
    cl_list_node subscribing; /* of those, the ones that are not confirmed yet, in their order */
    size_t bytes;            /* of all of them, as they stand in the record */
    cl_list_node operations; /* etcd_operation, in their order */
    uint64_t generation;     /* rises with each change */
    uint64_t putting, put;   /* the generation that is being put (0: none), and the one that is there */
    enum etcd_hold hold;
    int64_t revision;       /* FORMER: of its last change */
    int64_t foreign_lease;  /* FOREIGN */
    int64_t foreign_until;  /* when that would have ended, unless it is kept */
    int64_t foreign_left;   /* seconds that it had at the last look */
    int64_t again_at;       /* not before */
    int64_t leave_by;       /* then it has left, whatever etcd says */
    char holder[128];       /* whose it is */
    int announced;          /* it listens */
    int found;              /* reported as announced */
    int failed;             /* it never was, and is given up */
    int draining, leaving;
    int deleting;           /* a deletion is under way */
} etcd_node;

/* ---- view.c */

/* A node that is known. */
typedef struct etcd_peer {
    cl_str id;
    cl_etcd_record record;
    int64_t modified;
    int suspended;  /* its link does not open, or broke: not a server for now */
    int64_t rests;  /* until when; 0: until its link says so */
    int64_t gone;   /* its key is gone; until when that is overlooked. 0: it is there */
    unsigned falls; /* how often in a row it was not reached */
    unsigned round; /* of the snapshot that saw it */
    char text[];
} etcd_peer;

/* The servers of a method. */
typedef struct etcd_service {
    etcd_peer **peers;
    size_t n, cap;
    size_t name_n;
    char name[];
} etcd_service;

/* All keys below the prefix, a page at a time, as of one moment. */
typedef struct etcd_walk {
    int is_under_way;
    cl_buf from;
    int64_t revision;
    int (*each)(struct etcd *d, const cl_etcd_kv *kv);
    void (*end)(struct etcd *d, const etcd_answer *answer);
} etcd_walk;

enum { ETCD_ABSENT = 8 };

typedef struct etcd {
    cl_directory base;
    cl_loop *loop;
    cl_directory_sink sink;
    cl_limits limits;
    pid_t owner;
    cl_loop_timer *timer;
    int64_t due; /* INT64_MAX: not set */
    int closing, told_closed;
    char words[512]; /* of the last failure */

    /* session */
    cl_http *http;
    etcd_member *members;
    size_t members_n, current;
    char *user, *password;
    int tls;
    enum etcd_state state;
    cl_name *name;
    char *token; /* NULL: none */
    int token_worked, no_login;
    unsigned failures; /* in a row */
    int64_t retry_at;
    cl_list_node requests;
    cl_buf body;
    uint64_t cluster;
    uint64_t random;

    /* lease */
    int64_t lease, ttl; /* 0: none; seconds */
    int granting, keeping; /* requests that are under way */
    int confirmed;         /* the lease is known to live, in this session */
    int64_t shortest; /* heartbeat that the lease was made for, ms */
    int64_t tick_at;
    unsigned ticks;

    /* nodes */
    cl_str prefix, end; /* of all keys: "<prefix>/n/", "<prefix>/n0" */
    char *memory;       /* of those */
    cl_list_node nodes;
    cl_idmap by_handle;
    cl_strmap by_id;
    unsigned puts;     /* under way */
    int revoking;
    cl_list_node left; /* etcd_left: keys to be deleted when etcd is there again */
    int deleting_left;
    unsigned orphans; /* requests under way for nodes that have gone meanwhile */
    cl_etcd_record_writer writer;
    char context[17];
    cl_buf host;
    char own[64]; /* the address of our end of the connection; "": not known */

    /* view */
    int wanted, synced;
    int follows, tells; /* somebody publishes; and was told who has subscribed, so hears of each change */
    int64_t revision; /* up to which it is known */
    unsigned round;
    cl_strmap peers, services;
    int64_t rest_at; /* when the first of them has rested, or is gone for good; INT64_MAX: none */
    cl_deferred_queue waiting;  /* lookups */
    cl_deferred_queue locating; /* ids that were asked for before anything was known */
    cl_deferred_queue doubts;   /* what is not known, and may have come */
    cl_deferred_queue doubted;  /* of those, the ones that the question under way answers */
    int doubting;
    struct etcd_absent {
        int64_t until;
        size_t n;
        char text[160];
    } absent[ETCD_ABSENT];
    unsigned absent_next;
    etcd_walk snapshot, listing;
    cl_http_request *watch;
    int watching;          /* the watch was made */
    int64_t watch_by;      /* when it should have been; 0: it is, or is not asked for */
    int64_t watch_at;      /* not before */
    unsigned watch_faults; /* in a row */
    cl_list_node statuses; /* etcd_status; the first is under way when `listing` is */
} etcd;

static inline etcd *cl_etcd_of(cl_directory *base)
{
    return CL_OWNER(base, etcd, base);
}

/* ---- directory.c */
/* Something is due at a time. */
void cl_etcd_due_by(etcd *d, int64_t when);
void cl_etcd_defer(etcd *d);
/* Is it as its sink was told? */
void cl_etcd_check_up(etcd *d);

/* ---- session.c */
int cl_etcd_session_init(etcd *d, const cl_url *url);
void cl_etcd_session_free(etcd *d);
void cl_etcd_session_start(etcd *d);
void cl_etcd_session_due(etcd *d, int64_t now);
/* The member does not do: the next is tried, at once or after a pause. */
void cl_etcd_session_fail(etcd *d, int code, const char *words);
/* What is in d->body, as a question to the member that is in use. `most`: bytes of an answer, or of a line of it. */
cl_http_question cl_etcd_question(const etcd *d, const char *path, size_t most);
/* Posts d->body. `done` follows with what etcd said, unless the session fails meanwhile: then whatever is still wanted
 * is asked again by cl_etcd_work. NULL without memory. */
etcd_request *cl_etcd_post(etcd *d, const char *path, etcd_done *done, void *of);
/* The answer to a request that is not in the list: as to one that is. */
void cl_etcd_answered_badly(etcd *d, const char *path, etcd_done *done, const cl_http_end *end);
/* A watch was refused, in a message of its own. */
void cl_etcd_watch_refused(etcd *d, cl_str message, int code);
/* What came is not what etcd says. */
void cl_etcd_session_broken(etcd *d, const char *path);
/* Does whatever is wanted and not under way. */
void cl_etcd_work(etcd *d);
/* The member that is asked, in words. */
const char *cl_etcd_where(const etcd *d, char out[300]);

/* ---- lease.c */
void cl_etcd_lease_work(etcd *d);
void cl_etcd_lease_due(etcd *d, int64_t now);
/* The lease is gone, or does not do: a new one is asked for, and all keys are put under it. */
void cl_etcd_lease_lost(etcd *d);
void cl_etcd_lease_reset(etcd *d); /* requests of it are gone */
int64_t cl_etcd_patience(const etcd *d);

/* ---- nodes.c */
int cl_etcd_claim(cl_directory *base, void *node, cl_str id, double heartbeat, cl_address *at);
int cl_etcd_announce(cl_directory *base, void *node, const cl_address *addresses, size_t n);
int cl_etcd_add(cl_directory *base, void *node, cl_str method, uint64_t operation);
int cl_etcd_remove(cl_directory *base, void *node, cl_str method, uint64_t operation);
void cl_etcd_pause(cl_directory *base, void *node, cl_str method, int paused);
void cl_etcd_describe(cl_directory *base, void *handle, const cl_traits *traits);
void cl_etcd_abandon(cl_directory *base, uint64_t operation);
void cl_etcd_drain(cl_directory *base, void *node);
int cl_etcd_leave(cl_directory *base, void *node);
etcd_node *cl_etcd_node_by_id(etcd *d, cl_str id);
etcd_node *cl_etcd_node_of(etcd *d, const void *handle);
void cl_etcd_node_free(etcd_node *node);
/* What they were about is gone: their answers concern nobody. */
void cl_etcd_orphan_requests(etcd *d, const void *of);
/* The operations up to a generation end. */
void cl_etcd_operations_end(etcd_node *node, uint64_t up_to, int code, const char *words);
/* It has left: reported. */
void cl_etcd_node_left(etcd_node *node);
/* Nobody answers: those that leave have left, and their keys are deleted later. */
void cl_etcd_leavers_end(etcd *d);
/* Its time to leave is over: it has left, and if its key may be there that is deleted later. */
void cl_etcd_leaves_late(etcd_node *node);
void cl_etcd_left_work(etcd *d);
void cl_etcd_left_free(etcd *d);

/* ---- put.c */
void cl_etcd_put_work(etcd *d);
void cl_etcd_put_due(etcd *d, int64_t now);
/* Requests of it are gone. */
void cl_etcd_put_reset(etcd *d);
/* What is known of our key: it was deleted. */
void cl_etcd_put_gone(etcd_node *node);
/* Is all that is announced there? */
int cl_etcd_put_is_complete(const etcd *d);

/* ---- walk.c */
void cl_etcd_walk_begin(etcd *d, etcd_walk *walk);
void cl_etcd_walk_reset(etcd_walk *walk);
void cl_etcd_status(cl_directory *base, uint64_t operation);
void cl_etcd_status_work(etcd *d);
void cl_etcd_statuses_end(etcd *d, int code);
void cl_etcd_statuses_free(etcd *d);

/* ---- subscribers.c */
int cl_etcd_subscribe(cl_directory *base, void *node, cl_str topic, cl_str group);
void cl_etcd_unsubscribe(cl_directory *base, void *node, cl_str topic, cl_str group);
int cl_etcd_follow(cl_directory *base);
/* Those of a node of ours up to a generation are confirmed (0), or refused. */
void cl_etcd_subscriptions_end(etcd_node *node, uint64_t up_to, int code, const char *words);
/* The id is its own from now on. */
void cl_etcd_subscriptions_are_ours(etcd_node *node);
/* It has subscribed to nothing any more. */
void cl_etcd_subscriptions_drop(etcd_node *node);
/* The record of a peer has changed; or it is no more. */
void cl_etcd_subscriptions_change(etcd *d, const etcd_peer *peer, const cl_etcd_record *before,
                                  const cl_etcd_record *now);
void cl_etcd_subscriptions_forget(etcd *d, const etcd_peer *peer);
/* Everything is known: whoever publishes is told. */
void cl_etcd_subscriptions_tell(etcd *d);

/* ---- view.c */
/* Everything is to be known, from now on. */
void cl_etcd_want(etcd *d);
/* The order of the texts of a record. */
int cl_etcd_order(cl_str a, cl_str b);
void cl_etcd_lookup(cl_directory *base, cl_str method, int known);
int cl_etcd_locate(cl_directory *base, cl_str id, cl_address *address);
int cl_etcd_has_other(cl_directory *base, cl_str id);
void cl_etcd_suspend(cl_directory *base, cl_str id, int on);
void cl_etcd_drains(cl_directory *base, cl_str id);
void cl_etcd_suspect(cl_directory *base, cl_str id, int was_open);
void cl_etcd_view_due(etcd *d, int64_t now);
/* A key that is there, or that is gone. Broken ones are dropped. 0 or CLOUDS_ENOMEM. */
int cl_etcd_view_put(etcd *d, const cl_etcd_kv *kv);
void cl_etcd_view_delete(etcd *d, cl_str key, int64_t revision);
/* The database is another one: revisions count anew. */
void cl_etcd_view_is_outdated(etcd *d);
/* Those that the snapshot of this round has not named are gone. */
void cl_etcd_view_sweep(etcd *d);
void cl_etcd_view_free(etcd *d);
/* Lookups that waited are answered. */
void cl_etcd_lookups_run(etcd *d);
/* The id in a key of ours; empty: it is none. */
cl_str cl_etcd_id_of(const etcd *d, cl_str key);

/* ---- doubt.c */
/* Runs it when everything is known that etcd knows now. */
void cl_etcd_doubt(etcd *d, void (*run)(void *owner, const cl_deferred *question), cl_str text);
void cl_etcd_doubt_work(etcd *d);
void cl_etcd_doubt_reset(etcd *d);
int cl_etcd_is_absent(const etcd *d, cl_str id);
void cl_etcd_set_absent(etcd *d, cl_str id);

/* ---- watch.c */
void cl_etcd_watch_work(etcd *d);
void cl_etcd_watch_due(etcd *d, int64_t now);
void cl_etcd_watch_reset(etcd *d);

#endif
