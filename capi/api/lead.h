/* Thread mode: who runs the engine. */
#ifndef CL_LEAD_H
#define CL_LEAD_H

#include <pthread.h>
#include <stdatomic.h>

struct cl_context;

enum cl_leader { CL_LED_BY_THREAD, CL_LED_BY_NOBODY, CL_LED_BY_WAITER };

typedef struct cl_lead {
    pthread_mutex_t lock; /* may be taken under the context's, and the queue's under it */
    pthread_cond_t turn;  /* for the I/O thread */
    atomic_int leader;    /* enum cl_leader; changed under the lock */
    unsigned takes;       /* how often a waiter took over */
    int wanted;           /* the I/O thread is needed at once */
    int asleep;           /* it waits until it is told */
} cl_lead;

void cl_lead_init(cl_lead *lead);
void cl_lead_free(cl_lead *lead);

/* The I/O thread, after a run: leaves the engine to waiters for as long as that is better. */
void cl_lead_step_back(struct cl_context *context);
/* A waiter: 1 when the engine is its own from now on, until cl_lead_leave. Under the context's lock. */
int cl_lead_take(struct cl_context *context);
void cl_lead_leave(struct cl_context *context);
/* Makes the I/O thread take over when nobody leads. */
void cl_lead_call_thread(struct cl_context *context);

#endif
