/* Thread mode: who runs the engine. */
#ifndef CL_LEADER_H
#define CL_LEADER_H

#include <pthread.h>
#include <stdatomic.h>

struct cl_context;

enum cl_leader_kind { CL_LEADER_THREAD, CL_LEADER_NONE, CL_LEADER_WAITER };

typedef struct cl_leader {
    pthread_mutex_t lock; /* may be taken under the context's, and the queue's under it */
    pthread_cond_t turn;  /* for the I/O thread */
    atomic_int who;       /* enum cl_leader_kind; changed under the lock */
    unsigned takes;       /* how often a waiter took over */
    int wanted;           /* the I/O thread is needed at once */
    int asleep;           /* it waits without a limit */
} cl_leader;

void cl_leader_init(cl_leader *leader);
void cl_leader_free(cl_leader *leader);

/* The I/O thread, after a run: leaves the engine to waiters for as long as that is better. */
void cl_leader_step_back(struct cl_context *context);
/* A waiter: 1 when the engine is its own from now on, until cl_leader_leave. Under the context's lock. */
int cl_leader_take(struct cl_context *context);
void cl_leader_leave(struct cl_context *context);
/* Makes the I/O thread take over when nobody leads. */
void cl_leader_wake_thread(struct cl_context *context);

#endif
