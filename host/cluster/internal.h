/* What the files of the dispatch share. */
#ifndef HOST_CLUSTER_INTERNAL_H
#define HOST_CLUSTER_INTERNAL_H

#include "host/cluster/cluster.h"

typedef struct held_connection {
    struct held_connection *next;
    int fd;
    clouds_channel_connection about;
} held_connection;

struct host_target {
    struct host_target *next;
    host_dispatch *dispatch;
    host_channel *channel;
    const host_board *board;
    bool shares; /* it has the listeners */
    bool is_ready, is_short; /* is_short: it gets none until the pause is over */
    unsigned first_copy, copy_count;
    uint64_t silent_since; /* nanoseconds of the steady clock: it has something to acknowledge, and has not */
    held_connection copies[CLOUDS_CHANNEL_WINDOW]; /* of what it has not acknowledged, a ring */
};

typedef struct listener {
    uv_poll_t poll;
    struct listener *next;
    host_dispatch *dispatch;
    int fd;
    unsigned number;
    bool reads;
} listener;

/* A client that has been told that nobody is there, until it has read so. */
typedef struct leaving leaving;

struct host_dispatch {
    uv_loop_t *loop;
    host_dispatch_options options;
    host_dispatch_counts counts;
    listener *listeners;
    host_target *targets;
    held_connection *held, **last_held;
    leaving *leavings;
    unsigned leaving_count;
    int reserve; /* a descriptor for when there are no others */
    bool is_paused, is_short, is_gone;
    uv_timer_t hold_timer, pause_timer;
    int open_timers;
};

void host_dispatch_update(host_dispatch *dispatch);

/* gone.c: tells the client, and closes the connection when it has read that; takes `fd` over. */
void host_dispatch_say_gone(host_dispatch *dispatch, int fd);
void host_dispatch_close_gone(host_dispatch *dispatch);

#endif
