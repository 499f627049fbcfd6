/* Deferred work: what cannot be done or reported from inside a call of the owner is done later in this turn, in its
 * order. A cell can be reserved beforehand, so that what it will report cannot be lost for lack of memory. */
#ifndef CL_DEFERRED_H
#define CL_DEFERRED_H

#include "base/list.h"
#include "base/str.h"
#include "net/loop.h"

typedef struct cl_deferred {
    cl_list_node place;
    void (*run)(void *owner, const struct cl_deferred *d);
    void *node;
    uint64_t number; /* operation or token */
    int code;
    cl_str text; /* ended with a NUL */
    char memory[];
} cl_deferred;

typedef struct cl_deferred_queue {
    cl_list_node list;
    cl_loop *loop;
    void *owner;
    int *has_work; /* set whenever something is put; or NULL */
} cl_deferred_queue;

void cl_deferred_init(cl_deferred_queue *queue, cl_loop *loop, void *owner, int *has_work);
/* A cell that is in no queue yet; the fields but `text` may be changed until it is. NULL: no memory. */
cl_deferred *cl_deferred_reserve(void (*run)(void *owner, const cl_deferred *d), void *node, uint64_t number, int code,
                                 cl_str text);
/* Changes what is reported; of the words as much is kept as the text had room for. */
void cl_deferred_set(cl_deferred *d, int code, const char *words);
void cl_deferred_put(cl_deferred_queue *queue, cl_deferred *d);
void cl_deferred_discard(cl_deferred *d); /* not in a queue; NULL is fine */
/* Reserve and put. 0 or CLOUDS_ENOMEM. */
int cl_defer(cl_deferred_queue *queue, void (*run)(void *owner, const cl_deferred *d), void *node, uint64_t number,
             int code, cl_str text);
/* The same unless one for this text waits already. */
int cl_defer_once(cl_deferred_queue *queue, void (*run)(void *owner, const cl_deferred *d), cl_str text);
/* What is put meanwhile waits for the next turn, and keeps it from sleeping. */
void cl_deferred_run(cl_deferred_queue *queue);
void cl_deferred_free(cl_deferred_queue *queue);

static inline int cl_deferred_is_empty(const cl_deferred_queue *queue)
{
    return cl_list_empty(&queue->list);
}

#endif
