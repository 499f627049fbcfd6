/* Commands: what the user asks of the engine. In inline mode they are carried out at once; in thread mode they are
 * copied, queued, and carried out by whoever runs the engine. */
#ifndef CL_COMMAND_H
#define CL_COMMAND_H

#include <pthread.h>
#include <stdint.h>

#include "base/str.h"

struct cl_context;
struct cl_api_node;

enum cl_command_kind {
    CL_DO_CALL,       /* a method, b args, c server; flags: enum clouds_call_flags */
    CL_DO_CANCEL,     /* id */
    CL_DO_ANSWER,     /* id; a error, b result */
    CL_DO_EXPIRE,     /* id: a request whose deadline passed before it was handed out */
    CL_DO_CHOOSE,     /* id; a server */
    CL_DO_ATTEMPT,    /* id; a args */
    CL_DO_SEND,       /* a receiver, b value; flags 1: confirm; operation */
    CL_DO_REGISTER,   /* a method; operation */
    CL_DO_UNREGISTER, /* a method; operation */
    CL_DO_STATUS,     /* operation: id, x timeout, user_data */
    CL_DO_CONFIGURE,  /* node; a cl_config_change[] */
    CL_DO_OPEN,       /* node */
    CL_DO_CLOSE_NODE, /* node, x drain, id, user_data */
    CL_DO_DESTROY,    /* node */
    CL_DO_CLOSE       /* x drain, id, user_data */
};

typedef struct cl_command {
    struct cl_command *next;
    enum cl_command_kind kind;
    unsigned flags;
    int embedded; /* lies in a node or context: not freed after it was carried out */
    int32_t retries;
    struct cl_api_node *node;
    uint64_t id, parent, user_data;
    double x, y; /* call: timeout, deadline; operation: timeout */
    int64_t made_at;
    cl_str a, b, c;
    size_t bytes; /* queued: of the texts */
} cl_command;

typedef struct cl_command_queue {
    pthread_mutex_t lock;
    cl_command *first, **end;
    cl_command *spare; /* records of the small size */
    size_t spares, count;
    size_t bytes;                 /* of the records that wait */
    cl_command *late, **late_end; /* the engine's: answers that could not be queued yet */
    size_t late_bytes;            /* of their records; under the lock */
    size_t late_count;
    int woken; /* the engine was told since it last took the list */
} cl_command_queue;

void cl_queue_init(cl_command_queue *queue);
/* Drops what is in it. */
void cl_queue_free(cl_command_queue *queue);
/* Does something wait that the engine was told of? */
int cl_queue_is_urgent(cl_command_queue *queue);
/* Who runs the engine: carries out everything that is queued. */
void cl_queue_run(struct cl_context *context);

/* The same for the answers that found no room. */
void cl_queue_run_late(struct cl_context *context);

/* Thread mode, in two steps, for who holds the lock of the context meanwhile: queues, and tells the engine of it. */
enum cl_wake { CL_WAKE_NONE, CL_WAKE_LOOP, CL_WAKE_THREAD };
int cl_queue_put(struct cl_context *context, const cl_command *command, enum cl_wake *whom);
void cl_queue_wake(struct cl_context *context, enum cl_wake whom);

/* Carries out or queues. 0: accepted. In thread mode a failure after that becomes the event that completes it. */
int cl_submit(struct cl_context *context, const cl_command *command);
/* The same for an embedded command, which needs no memory. */
int cl_submit_embedded(struct cl_context *context, cl_command *command);
/* Hands a code on. Inline: who tries again at once because there was no room must not keep the loop from making some,
 * so after CLOUDS_ELIMIT it turns once. */
int cl_refused(struct cl_context *context, int code);

/* Carries out, on the engine's thread. A failure leaves words of its own, and what they are about. */
int cl_execute(struct cl_context *context, const cl_command *command);
/* The same for an answer, without a command: they are as many as the requests. */
int cl_execute_answer(struct cl_context *context, uint64_t request, cl_str error, cl_str result);

#endif
