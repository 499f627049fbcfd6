/* A port and a bus that do nothing but remember, and a clock that stands still: what the tests of core see of the
 * outside. */
#ifndef FAKE_H
#define FAKE_H

#include <stdio.h>

#include "core/core.h"
#include "base/list.h"
#include "support/tap.h"

enum { FAKE_MAX = 4096 };

typedef struct fake_sent {
    int type;
    unsigned flags;
    char from[48], to[48], id[64], method[64], once[16], args[256], error[256], result[256], data[1024], meta[256];
    size_t args_n, meta_n;
    int64_t deadline, at;
    size_t id_n; /* an id may hold any byte */
    uint64_t token, link;
    void *tag;
} fake_sent;

typedef struct fake_event {
    clouds_event e; /* its texts point into the members below */
    void *tag;
    int64_t at;
    char peer[48], method[64], data[2048], error[512], meta[256];
} fake_event;

typedef struct fake_look {
    char method[64];
    int known;
} fake_look;

typedef struct fake {
    cl_core *core;
    cl_node *node;
    cl_port port;
    cl_bus bus;
    cl_node_config config;
    int64_t now, armed;
    int arms;
    uint64_t ids, seed; /* seed: not 0: random numbers are random, and not one after the other */
    int waiting; /* requests were not handed to the user yet */
    int send_code, reserve_code, question_code, register_code;
    int recalls;      /* what was sent last has not left */
    const char *full; /* the queue to this server is full */
    size_t full_above; /* for arguments of so many bytes or more */
    size_t room_most, room_hard, waits; /* room_most not 0: one queue for all, which takes more while no more waits than
                                           that, and never more than room_hard */
    const char *linked; /* this server is reached although the bus is down */
    int link_code;      /* of what only a link may carry */
    uint64_t answer_link; /* by which answers come */
    const char *once, *meta; /* of calls from outside */
    void (*span)(void *fake, const cl_span *span); /* takes what is recorded; NULL: nobody */
    fake_sent *sent;
    fake_sent canceled; /* the last cancel that was sent; they are not among the others */
    int n_canceled;
    fake_event *events;
    fake_look *looks;
    int n_sent, n_events, n_looks, n_forgets, n_registers, n_unregisters, n_drains, n_closes, n_status, n_reserved,
        n_abandoned, n_pauses;
    char paused_method[64]; /* of the last pause */
    int paused;
    int n_describes;
    uint32_t weight; /* of the last description */
    char tags[CL_TAGS_MOST + 1];
    char forgot_method[64], forgot_server[64];
    int n_unwatched;
    char unwatched[64]; /* the last one */
    int subscribe_code, publish_code; /* publish: so many deliveries, or the error */
    int n_subscribes, n_unsubscribes, n_publishes;
    char subscribed[64], group[64];
    uint64_t epoch, sequence; /* of what was published last */
} fake;

cl_core_config fake_core_config(void);
cl_node_config fake_node_config(const char *type);
/* A core with no node and the bus down; 0 or the error of cl_core_create. */
int fake_open(fake *f, const cl_core_config *config);
cl_node *fake_node(fake *f, const char *id, const cl_node_config *config);
/* The usual start: bus up, one client node c.1 that is ready. f->config was set before, or is the default. */
void fake_start(fake *f);
void fake_end(fake *f);

uint64_t fake_call(fake *f, const char *method);
uint64_t fake_call_spec(fake *f, cl_call_spec spec); /* id is drawn here; 0: refused */
int fake_call_code(fake *f, cl_node *node, cl_call_spec spec);

/* A comma-separated list of ids: those starting with n are npm servers, with l linked ones, with f those that read
 * frames, with p paused ones. */
void fake_servers(fake *f, const char *method, const char *ids);
void fake_servers_code(fake *f, const char *method, int code);

/* Answers what was sent as number i. */
void fake_answer(fake *f, int i, const char *error, const char *result);
void fake_refuse(fake *f, int i, int code);
void fake_refuse_with(fake *f, int i, const char *error);
/* As a server at its rate does; `seconds`: what it says to be the time until it is worth to ask it again. */
void fake_refuse_busy(fake *f, int i, const char *seconds);
void fake_delivery(fake *f, int i, enum cl_delivery delivery);

/* A call from outside; returns the id of the request of the event raised, or 0. */
uint64_t fake_inbound(fake *f, cl_node *node, const char *from, const char *id, const char *method, unsigned flags,
                      int64_t deadline);
/* The same with arguments. */
uint64_t fake_inbound_args(fake *f, cl_node *node, const char *from, const char *id, const char *method,
                           const char *args, unsigned flags, int64_t deadline);

/* The caller of such a call gives up. */
void fake_cancel(fake *f, cl_node *node, const char *from, const char *id);

/* Lets the clock go on, ticking whenever the core wants to. */
void fake_advance(fake *f, int64_t ms);

fake_sent *fake_last_sent(fake *f);
fake_event *fake_last_event(fake *f);
/* The only completion of a call; NULL (and a failed check) when there is none or more than one. */
fake_event *fake_result(fake *f, uint64_t id);
int fake_results(const fake *f, uint64_t id);
fake_event *fake_find(fake *f, uint32_t type); /* the last of a type */
int fake_count(const fake *f, uint32_t type);

#endif
