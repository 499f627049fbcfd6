/* clouds_worker.h - what a master (`clouds start`) and its workers share: the messages of a channel, and a page of
 * memory.
 *
 * A program that uses libclouds needs clouds_worker_open of clouds.h, and nothing of this. It is for one that is a
 * worker without the library, and for a master.
 *
 * A worker inherits two descriptors: the one whose number the environment's CLOUDS_CHANNEL has, and the next. The first
 * is a socket of SOCK_SEQPACKET: a message is a byte, its type, and a body. The second is a memfd with a clouds_board
 * at its beginning, which both map. Either end takes the end of the other for a message: a worker without a master
 * stops in order. A type that somebody does not know is left alone, and descriptors where none belong are closed. */
#ifndef CLOUDS_WORKER_H
#define CLOUDS_WORKER_H

#include <stdint.h>

enum {
    CLOUDS_CHANNEL_BYTES = 65000, /* of a body, at most */
    CLOUDS_CHANNEL_FDS = 8        /* descriptors beside a message, at most */
};

/* Messages to a worker. Those of connections, and what else there is: docs/CHANNEL.md. */
enum clouds_channel_to_worker {
    CLOUDS_CHANNEL_DRAIN = 'D',  /* "SECONDS REASON": finish what was accepted, and end */
    CLOUDS_CHANNEL_QUIET = 'Q',  /* take no requests of callers */
    CLOUDS_CHANNEL_RESUME = 'U', /* take them again */
    CLOUDS_CHANNEL_ASK = 'I',    /* answer with the same, from where the work is done */
    CLOUDS_CHANNEL_MESSAGE = 'M' /* "GROUP INDEX\nJSON": of that worker; from a worker "GROUP[ INDEX]\nJSON": for it */
};

/* Messages of a worker. */
enum clouds_channel_of_worker {
    CLOUDS_CHANNEL_READY = 'R',
    CLOUDS_CHANNEL_STOPPING = 'S', /* it stops, and not because it was told to */
    CLOUDS_CHANNEL_ALIVE = 'I',    /* the answer */
    CLOUDS_CHANNEL_ENOUGH = 'L',   /* it has begun most_requests */
    CLOUDS_CHANNEL_RETIRE = 'W',   /* it wants to be replaced */
    CLOUDS_CHANNEL_RELOAD = 'P',   /* "GROUP", or nothing: everything */
    CLOUDS_CHANNEL_VARIABLES = 'V' /* a JSON object */
};

enum { CLOUDS_BOARD_VERSION = 2, CLOUDS_BOARD_DOING = 64 };

/* What a worker says of itself, without a message: single words, each true by itself, read at any time. It grows at its
 * end only, and the page behind it is zero. */
typedef struct clouds_board {
    uint32_t version, generation;
    int32_t pid;
    uint32_t uses_remain; /* the script counts what is under way by itself */
    uint64_t busy_since;  /* nanoseconds of CLOCK_MONOTONIC; 0: the loop waits, or the worker does not tell */
    uint64_t turns, lag_most;
    uint64_t open; /* connections */
    uint64_t in_flight, remain;
    uint64_t accepted, requests, errors, lua_bytes;
    uint64_t most_requests;         /* by the master: when it has begun so many, the worker says so; 0: never */
    char doing[CLOUDS_BOARD_DOING]; /* the method or path that this turn of the loop began last; empty: none */
} clouds_board;

#endif
