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
    CLOUDS_CHANNEL_FDS = 8,       /* descriptors beside a message, at most */
    CLOUDS_CHANNEL_WINDOW = 8     /* connections given to a worker that it has not answered, at most */
};

/* Messages to a worker: docs/CHANNEL.md. */
enum clouds_channel_to_worker {
    CLOUDS_CHANNEL_DRAIN = 'D',  /* "SECONDS REASON": finish what was accepted, and end */
    CLOUDS_CHANNEL_QUIET = 'Q',  /* "METHOD", or nothing: take no requests of callers for it, or for any */
    CLOUDS_CHANNEL_RESUME = 'U', /* the same: take them again */
    CLOUDS_CHANNEL_ASK = 'I',    /* answer with the same, from where the work is done */
    CLOUDS_CHANNEL_MESSAGE = 'M', /* "GROUP INDEX\nJSON": of that worker; from a worker "GROUP[ INDEX]\nJSON": for it */
    CLOUDS_CHANNEL_CONNECTION = 'C', /* a clouds_channel_connection, and its descriptor */
    CLOUDS_CHANNEL_LISTENER = 'O',   /* a clouds_channel_listener, and its descriptor: accept from it */
    CLOUDS_CHANNEL_UNLISTEN = 'K',   /* a clouds_channel_listener: from this one no more */
    CLOUDS_CHANNEL_TURN = 'T'        /* it has the token of its group */
};

/* Messages of a worker. */
enum clouds_channel_of_worker {
    CLOUDS_CHANNEL_READY = 'R',
    CLOUDS_CHANNEL_STOPPING = 'S', /* it stops, and not because it was told to */
    CLOUDS_CHANNEL_ALIVE = 'I',    /* the answer */
    CLOUDS_CHANNEL_ENOUGH = 'L',   /* it has begun most_requests */
    CLOUDS_CHANNEL_RETIRE = 'W',   /* it wants to be replaced */
    CLOUDS_CHANNEL_RELOAD = 'P',   /* "GROUP", or nothing: everything */
    CLOUDS_CHANNEL_VARIABLES = 'V', /* a JSON object */
    CLOUDS_CHANNEL_TAKEN = 'A',     /* uint32_t: so many connections are taken, the oldest that were not answered */
    CLOUDS_CHANNEL_BACK = 'H',      /* a clouds_channel_connection, and its descriptor: it is for another worker */
    CLOUDS_CHANNEL_WITHOUT = 'N',   /* one came without its descriptor */
    CLOUDS_CHANNEL_TAKES_NONE = 'E',
    CLOUDS_CHANNEL_TAKES = 'B',
    CLOUDS_CHANNEL_WANTS_TURN = 'G', /* the token of its group; once, until it has given it back */
    CLOUDS_CHANNEL_ENDS_TURN = 'F',
    CLOUDS_CHANNEL_ACCEPTS = 'O' /* it accepts from its listeners by itself, and cannot be kept from it */
};

/* A worker answers each CONNECTION, in order: TAKEN, BACK when it takes none any more, or WITHOUT. Later, when it drains,
 * it may give one back that nothing has been read of that is not answered. */
typedef struct clouds_channel_connection {
    uint16_t listener; /* its number */
    uint16_t flags;
} clouds_channel_connection;

enum clouds_channel_connection_flags {
    CLOUDS_CONNECTION_BACK = 1, /* a worker had it before, which has read nothing that it has not answered */
    CLOUDS_CONNECTION_KEPT = 2  /* of BACK alone: the worker had taken it before */
};

/* A listener that the worker accepts from itself. */
typedef struct clouds_channel_listener {
    uint16_t listener;
    uint16_t unused;
    uint32_t connections; /* at most, open at once */
} clouds_channel_listener;
/* What is counted by name, in memory that a process gives to clouds_counts_use, or that a master shares with a worker as
 * the descriptor behind that of the board (a memfd; without it nobody wants to know): a head, and rows, one behind the
 * other, each of 8 bytes' alignment. A row is a clouds_counts_row, its values, and its name. Rows are only ever added.
 * Who reads believes no size that is written there: a worker may be hostile. */
enum { CLOUDS_COUNTS_VERSION = 1 };

typedef struct clouds_counts {
    uint32_t version;
    uint32_t merged; /* by the master: the worker has ended, and what it had counted is among what was counted before */
    uint64_t size;   /* bytes of all of it */
    uint64_t used;   /* of these; what is behind is not there yet */
    uint64_t merges; /* of what was counted before: it grows at the beginning and at the end of each change */
} clouds_counts;

typedef struct clouds_counts_row {
    uint32_t size; /* bytes, all of it */
    uint16_t kind; /* enum clouds_counts_kind */
    uint16_t name_len;
    uint32_t value_count; /* uint64_t each */
    uint32_t held;        /* 1: somebody counts in it */
} clouds_counts_row;

enum clouds_counts_kind {
    CLOUDS_COUNTS_METHOD = 1,  /* a clouds_method_counts; the name is that of the method */
    CLOUDS_COUNTS_CONTEXT = 2, /* a context: "open", "up", "nodes", and its counters. Its name has theirs, with blanks between */
    CLOUDS_COUNTS_ROUTE = 3,   /* a clouds_route_counts; the name is the pattern of the path */
    CLOUDS_COUNTS_LOOP = 5,    /* a clouds_loop_counts, of a process whose loop tells; without a name */
    CLOUDS_COUNTS_STATUS = 4   /* one value, how many requests of HTTP were answered so; "CODE PATTERN" */
};

enum { CLOUDS_BOUNDS = 14, CLOUDS_REFUSALS = 9 };

/* Microseconds, of the buckets of what is timed. */
#define CLOUDS_BOUNDS_LIST                                                                                            \
    {500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000}

/* Why requests were refused, in the order of clouds_method_counts. */
#define CLOUDS_REFUSALS_LIST                                                                                          \
    {"rate", "queue", "age", "concurrency", "limit", "paused", "draining", "expired", "invalid"}

typedef struct clouds_tally {
    uint64_t ended[4]; /* by enum clouds_outcome */
    uint64_t took[CLOUDS_BOUNDS + 1]; /* those that began, by the least bound that was not exceeded */
    uint64_t micros;                  /* all of these together */
    uint64_t open;
    uint64_t is_used;
} clouds_tally;

typedef struct clouds_method_counts {
    clouds_tally calls, requests;
    uint64_t wait_took[CLOUDS_BOUNDS + 1]; /* how long what began had waited for its turn; of methods with limits */
    uint64_t wait_micros, has_waits;
    uint64_t refused[CLOUDS_REFUSALS];
    uint64_t waiting, limit; /* requests that wait for their turn, and how many may run (0: no limit) */
} clouds_method_counts;

typedef struct clouds_loop_counts {
    uint64_t took[CLOUDS_BOUNDS + 1]; /* how long its turns were, that is how long others waited */
    uint64_t micros;
} clouds_loop_counts;

typedef struct clouds_route_counts {
    uint64_t took[CLOUDS_BOUNDS + 1];
    uint64_t micros;
    uint64_t open;       /* requests */
    uint64_t websockets; /* open ones */
} clouds_route_counts;

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
