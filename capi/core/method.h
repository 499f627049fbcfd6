/* Methods that are called from here, who serves them, and the choice of a server. */
#ifndef CL_CORE_METHOD_H
#define CL_CORE_METHOD_H

#include "base/buf.h"
#include "core/peer.h"
#include "core/throttle.h"
#include "core/timers.h"

enum {
    CL_METHODS_MAX = 10000, /* methods whose lists are kept */
    CL_SERVERS_MAX = 20000, /* servers of one method */
};

/* What is known of a server as one of a method. */
typedef struct cl_share {
    uint64_t due;   /* when its turn comes, where turns are by weight (turns.c) */
    uint32_t up_to; /* the weights of all before it, and its own */
    int has_turn;   /* 0: it is new */
    float latency;  /* milliseconds from a call to its answer, the latest counting most; 0: not known */
} cl_share;

/* A method somebody here calls, and who serves it. */
typedef struct cl_method {
    cl_list_node recent;  /* core->recent, least recently used first */
    cl_list_node waiting; /* calls that wait for the list */
    cl_list_node paused;  /* calls that found no server, and have retries */
    cl_list_node breakers;
    cl_peer **servers;
    cl_share *shares; /* of the servers, in their order */
    uint32_t *turns; /* places in `servers`: a heap by when their turns come, and behind it those that are set aside */
    uint64_t time;   /* when the turn came that was taken last */
    uint32_t aside;
    int is_ordered; /* 0: the list or a weight has changed since */
    uint32_t n, cap, turn;
    uint32_t picked; /* where the server stands that was chosen, or looked for, last */
    int is_uneven; /* not all of them weigh 1 */
    int is_known;  /* a list came once */
    int is_unused; /* since forget_unused looked last */
    cl_buf departed; /* peer_events.c: (length, id)* of those of whom is to be told why they left */
    cl_throttle throttle;
    struct cl_latencies *latencies; /* NULL: nobody asks for them */
    struct cl_stats *stats;         /* NULL: not called yet, or nothing is counted */
    uint32_t paused_n; /* servers that the last list named and that are paused */
    uint32_t refs;   /* calls */
    int64_t learned; /* when the list was complete; INT64_MIN: never, or not since the bus was lost */
    int64_t asked;   /* when the outstanding look was asked for */
    int lookup;      /* 0 none, 1 a refresh, 2 one that calls wait for */
    cl_str name;     /* in `text` */
    char text[];
} cl_method;

struct cl_call;

/* directory.c */
int cl_directory_method(cl_core *core, cl_str name, cl_method **out); /* counted for a call */
void cl_directory_release(cl_core *core, cl_method *m);
void cl_directory_free(cl_core *core, cl_method *m);
void cl_directory_forget_due(cl_core *core, cl_timed *timed, int64_t now); /* of core->forget */
void cl_directory_lookup(cl_core *core, cl_method *m, int known, int64_t now);
void cl_directory_refresh(cl_core *core, cl_method *m, int64_t now); /* when it is old */
void cl_directory_drop(cl_core *core, cl_method *m, cl_peer *peer);
void cl_directory_drop_all(cl_core *core, cl_peer *peer);
void cl_directory_bus_up(cl_core *core, int64_t now);
void cl_directory_lookup_waiting(cl_core *core, int64_t now);
int cl_directory_ids(const cl_method *m, cl_buf *out); /* a JSON array */
void cl_directory_weigh(cl_core *core);                /* the weight of a server changed */

/* peer_events.c: a CLOUDS_EVENT_PEER for the nodes that want it, of one method or (NULL) of all. */
int cl_peer_events_wanted(const cl_core *core);
void cl_peer_tell(cl_core *core, cl_str id, const cl_method *m, int state);
int cl_peer_is_listed(const cl_core *core, const cl_peer *peer);
/* It left the list, since a new one does not name it so; or without a word why, which the next list says. */
void cl_peer_left(cl_core *core, const cl_method *m, cl_str id, const cl_server *servers, size_t n);
void cl_peer_departed(cl_core *core, cl_method *m, const cl_peer *peer, int64_t now);
void cl_peers_departed(cl_core *core, cl_method *m, const cl_server *servers, size_t n);

/* turns.c: by weight. First whose turn it is, then, as long as that one may not be asked, who comes next (UINT32_MAX: nobody);
 * in the end the turn is taken, or left. O(log n) each. */
uint32_t cl_turns_first(cl_method *m);
uint32_t cl_turns_next(cl_method *m);
void cl_turns_take(cl_method *m);
void cl_turns_leave(cl_method *m);
/* One of the servers, of which there is one at least, by chance; O(log n). */
uint32_t cl_turns_draw(cl_method *m, uint64_t random);

/* balance.c */
cl_peer *cl_balance_pick(cl_method *m, const struct cl_call *call, int tried_too, int64_t now);
cl_peer *cl_balance_pick_reached(cl_method *m, const struct cl_call *call);
/* Its server took until now to answer, or has not answered yet. */
void cl_balance_took(const struct cl_call *call, int64_t now);
/* What the choice for a call would be, without making it. */
typedef struct cl_choice {
    const cl_peer *peer; /* NULL: none, or chance or the key of a call decides */
    const char *rule;    /* "near", "well", "any" or "none": of which servers one is taken */
    uint32_t among;      /* how many these are */
} cl_choice;

void cl_balance_explain(cl_method *m, const struct cl_call *call, int64_t now, cl_choice *out);
/* state.c: "well", "avoided", "busy", "open" or "probing", and until when (INT64_MIN: it is well). counts: its breaker
 * does. */
const char *cl_state_of_server(const cl_peer *peer, const cl_method *m, int counts, int64_t now, int64_t *until);
/* Has it the tag that the node prefers? */
int cl_balance_is_near(const cl_node *node, const cl_peer *peer);
int cl_call_has_tried(const struct cl_call *call, const cl_peer *peer);

#endif
