/* A server that speaks just enough RESP to be taken for Redis, and then misbehaves as it is told. It runs in a thread.
 */
#ifndef TEST_REDIS_FAKE_H
#define TEST_REDIS_FAKE_H

#include <pthread.h>
#include <stddef.h>

typedef struct fake {
    char folder[64], socket[96], url[128];
    int listener, stop_pipe[2];
    pthread_t thread;
    pthread_mutex_t lock;
    char verb[24];     /* commands that begin so are answered with `bytes`; "" none, "*" all */
    const char *bytes; /* NULL: the connection is closed instead */
    size_t len;
    long budget;       /* closes each connection after so many bytes; < 0: never */
    const char *burst; /* sent on a connection right after the answer to `after` */
    size_t burst_len;
    char after[24];
    const char *push; /* sent unasked on the connection that subscribes, or on the other */
    size_t push_len;
    int push_to_subscriber;
    int accepted; /* connections so far */
    int asked;    /* commands so far */
} fake;

/* 0 or -1. */
int fake_start(fake *f);
void fake_stop(fake *f);
/* What follows is answered so. bytes NULL with verb "" : well. */
void fake_answer(fake *f, const char *verb, const char *bytes, size_t len);
void fake_burst(fake *f, const char *after, const char *bytes, size_t len);
/* Now, on each open connection of that kind. The bytes must live on. */
void fake_push(fake *f, int subscriber, const char *bytes, size_t len);
void fake_budget(fake *f, long bytes);
int fake_accepted(fake *f);

/* A proxy in a thread: whoever connects to url reaches `target`, a unix socket, with every byte that comes back
 * delivered alone. What goes there, for a parser that is not ours, goes in pieces of some bytes. */
typedef struct splitter {
    char folder[64], socket[96], url[128];
    const char *target;
    int listener, stop_pipe[2];
    pthread_t thread;
} splitter;

int splitter_start(splitter *s, const char *target);
void splitter_stop(splitter *s);

#endif
