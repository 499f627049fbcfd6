/* A bus under test: its loop, and a record of everything that its sink was told. */
#ifndef TEST_REDIS_KIT_H
#define TEST_REDIS_KIT_H

#include <stdint.h>

#include "base/buf.h"
#include "bus/bus.h"
#include "net/loop.h"
#include "support/redis.h"

enum { KIT_NOTES = 4096, KIT_TEXT = 400 };

/* One thing that was told. `text` holds what it had to say, fields parted by blanks. */
typedef struct kit_note {
    char what[12]; /* state, ready, closed, registered, envelope, dropped, delivery, servers, up, down, draining,
                    * status, end
                    */
    void *node;
    uint64_t id; /* operation or token */
    int code;
    int64_t number; /* delivery, deadline, receivers, count of servers */
    int64_t at;     /* when */
    char text[KIT_TEXT];
} kit_note;

typedef struct kit {
    cl_loop *loop;
    cl_bus *bus;
    cl_limits limits;
    kit_note notes[KIT_NOTES];
    size_t len;
    uint64_t envelopes, deliveries; /* counted even when quiet */
    int quiet;                      /* no notes of envelopes and deliveries */
    int up, closed;
    void (*on_envelope)(struct kit *kit, void *node, const cl_envelope *e);
} kit;

void kit_limits(cl_limits *limits);
/* 0 or an error. limits NULL: kit_limits. */
int kit_open(kit *k, const char *url, const cl_limits *limits);
/* Closes the bus in order, or only the loop (abrupt 1), and frees. */
void kit_close(kit *k, int abrupt);

/* Turns the loops of all open kits once, waiting up to ms for the first to have something. */
void kit_turn_all(int ms);
/* Turns until a note of this kind came that was not taken before; NULL: none within 20 s. Takes it. */
kit_note *kit_take(kit *k, const char *what);
/* The same, but only what is there. */
kit_note *kit_find(kit *k, const char *what);
/* Turns all loops for this long. */
void kit_idle(int ms);
void kit_forget(kit *k); /* drops all notes */

/* Opens a node and waits until it is ready. */
int kit_node(kit *k, void *node, const char *id, double heartbeat);
int kit_register(kit *k, void *node, const char *method); /* and waits; the code */

int kit_call(kit *k, const char *from, const char *to, const char *method, const char *id, const char *args,
             uint64_t token);
int kit_say(kit *k, const char *from, const char *to, const char *value, uint64_t token);

/* Turns all loops until the condition holds, 20 s at most. */
#define WAIT_FOR(condition)                                                                                            \
    do {                                                                                                               \
        int64_t wait_end = cl_loop_now() + 20000;                                                                      \
        int wait_done;                                                                                                 \
        while (!(wait_done = (condition) ? 1 : 0) && cl_loop_now() < wait_end) kit_turn_all(5);                        \
        if (!wait_done) tap_bad++, printf("# %s:%d: never came: %s\n", __FILE__, __LINE__, #condition);                \
    } while (0)

#endif
