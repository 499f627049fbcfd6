/* Which Redis is the master of a name, as sentinels say. One of them is asked at a time, and the next when it does not
 * answer or does not know; the one that answered is listened to, since it says at once when the master is another. */
#ifndef CL_REDIS_SENTINEL_H
#define CL_REDIS_SENTINEL_H

#include "base/list.h"
#include "net/loop.h"
#include "proto/limits.h"
#include "proto/url.h"
#include "redis/tls.h"

typedef struct cl_sentinel cl_sentinel;

typedef struct cl_sentinel_hooks {
    void *self;
    /* The master is another one now, although nobody asked. */
    void (*moved)(void *self, const char *words);
} cl_sentinel_hooks;

/* A question that waits. All zero before the first. */
typedef struct cl_sentinel_question {
    cl_list_node place;
    int is_asked;
    uint64_t answer; /* the last one that it got */
    void *self;
    /* 0: cl_sentinel_master says it; or why not. May be told from inside cl_sentinel_ask. */
    void (*told)(void *self, int code, const char *words);
} cl_sentinel_question;

/* Copies what the address says. `limits` and `tls` are borrowed. */
int cl_sentinel_create(cl_loop *loop, const cl_url *url, const cl_limits *limits, const cl_redis_tls *tls,
                       const cl_sentinel_hooks *hooks, cl_sentinel **out);
/* Whoever asks again has found the answer to be of no use, so another sentinel is asked. */
void cl_sentinel_ask(cl_sentinel *sentinel, cl_sentinel_question *question);
void cl_sentinel_forget(cl_sentinel_question *question);
const char *cl_sentinel_master(const cl_sentinel *sentinel, int *port);
/* Nobody asks any more. */
void cl_sentinel_close(cl_sentinel *sentinel);
void cl_sentinel_destroy(cl_sentinel *sentinel); /* NULL is fine */

#endif
