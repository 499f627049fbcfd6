/* A simulated cluster: many cores, one virtual clock, a seeded network that delays, reorders, loses and duplicates,
 * nodes that crash, stop in order and come back, a registry that lags. The same seed gives the same run, to the last
 * event.
 *
 * Checked: exactly one completion for each accepted call, in time; its answer belongs to it; what ended as NOT_DONE was
 * not executed; no handler starts after the deadline towards nodes of ours; what has an idempotency key runs once at
 * most at each server. */
#ifndef SIM_H
#define SIM_H

#include <stdlib.h>

#include "base/list.h"
#include "base/heap.h"
#include "base/rand.h"
#include "core/core.h"

enum { SIM_NODES = 100, SIM_METHODS = 8, SIM_TEXT = 160, SIM_ENTRIES = 4096, SIM_RAN = 8 };

/* Deliberate breaks: the checker must notice each. */
enum sim_break {
    SIM_SOUND,
    SIM_SWAP,   /* the network exchanges the ids of two answers */
    SIM_LATE,   /* the network delivers calls without their deadline */
    SIM_TWICE,  /* a completion is told twice */
    SIM_SILENT, /* a completion is not told */
    SIM_LIAR,   /* the network says "nobody there" of what it delivers */
    SIM_SLOW,   /* timers fire half a second late */
    SIM_NO_KEY, /* the network drops idempotency keys */
    SIM_BREAKS
};

typedef struct sim sim;

enum sim_what {
    SIM_TICK,
    SIM_PACKET,
    SIM_DELIVERY,
    SIM_LOOKED,
    SIM_ANSWER,
    SIM_CALL,
    SIM_CRASH,
    SIM_CLOSE,
    SIM_RETURN,
    SIM_READY,
    SIM_CLOSED,
    SIM_BUS_UP,
    SIM_BUS_DOWN,
    SIM_NEWS_UP,
    SIM_NEWS_DOWN,
    SIM_PEER_DOWN,
    SIM_PEER_DRAINING,
    SIM_UNLIST,
    SIM_REGISTERED
};

/* Something that will happen to a node, unless that life of it is over. */
typedef struct sim_item {
    cl_timer timer;
    enum sim_what what;
    int node, life, method;
    uint64_t id; /* token, request, operation, parent */
    int number;
    size_t id_n; /* of wire_id */
    int type, duplicate;
    unsigned flags;
    int64_t deadline;
    char from[24], to[24], wire_id[40], name[8], text[SIM_TEXT], error[SIM_TEXT], once[16];
} sim_item;

typedef struct sim_node {
    cl_bus bus;
    sim *world;
    int index, life, alive, server, native, bus_up;
    int methods[3], n_methods;
    char id[24];
    cl_node_config config;
    cl_core *core;
    cl_node *node;
    sim_item *tick; /* the one that is armed */
} sim_node;

/* A call some node made; its number is its argument. One that repeats another has that one's number and key. */
typedef struct sim_call {
    uint64_t id;
    int node, life;
    int64_t deadline;
    int completions, duplicated, outcome, started;
    int once, method;
    size_t content;         /* the number that is its argument */
    int64_t latest;         /* the deadline of the last that repeats it */
    int ran[SIM_RAN];       /* with a key: lives of nodes in which it ran */
} sim_call;

typedef struct sim_entry {
    int node, life, method, listed;
} sim_entry;

struct sim {
    uint64_t seed, state, hash, next_id;
    int64_t now, quiet; /* after `quiet` nothing new begins */
    enum sim_break broken;
    double loss, duplicate, chaos;
    int max_delay;
    cl_heap agenda;
    sim_node nodes[SIM_NODES];
    sim_call *calls;
    size_t n_calls, cap_calls;
    sim_entry entries[SIM_ENTRIES];
    int n_entries;
    long completions, starts, events, outcomes[4];
    char failure[256]; /* "": none */
};

/* sim.c: the checker */
void sim_fail(sim *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_note(sim *w, uint64_t a, uint64_t b); /* into the hash of the run */
sim_call *sim_call_new(sim *w, int node);
void sim_started(sim *w, sim_node *n, const clouds_event *e);
void sim_completed(sim *w, sim_node *n, const clouds_event *e);

/* sim_net.c: clock and network */
uint64_t sim_random(sim *w, uint64_t below);
int sim_chance(sim *w, double p);
sim_item *sim_later(sim *w, int64_t delay, enum sim_what what, int node);
int sim_send(cl_bus *bus, void *node, const cl_envelope *e, uint64_t token);
void sim_deliver(sim *w, sim_item *item);
int64_t sim_delay(sim *w);

/* sim_world.c: nodes and the registry */
void sim_populate(sim *w);
void sim_happen(sim *w, sim_item *item);
sim_node *sim_find(sim *w, const char *id);
void sim_depopulate(sim *w);

#endif
