/* Commands: what the user asks of the engine. In inline mode they are carried out at once; in thread mode they are
 * copied, queued, and carried out by whoever runs the engine. */
#ifndef CL_COMMAND_H
#define CL_COMMAND_H

#include <pthread.h>
#include <stdint.h>

#include "base/str.h"
#include "core/core.h"

struct cl_context;
struct cl_api_node;

enum cl_command_kind {
    CL_DO_CALL,
    CL_DO_CANCEL, /* a call or an operation */
    CL_DO_ANSWER, /* a request */
    CL_DO_REFUSE, /* a request that was not begun: its deadline passed before it was handed out, or the program says so */
    CL_DO_CHOOSE,
    CL_DO_ATTEMPT,
    CL_DO_SEND,
    CL_DO_REGISTER,
    CL_DO_UNREGISTER,
    CL_DO_PAUSE,
    CL_DO_STATUS,
    CL_DO_EXPLAIN,
    CL_DO_LINKS,
    CL_DO_STATS,
    CL_DO_ASK,
    CL_DO_PUBLISH,
    CL_DO_SUBSCRIBE,
    CL_DO_UNSUBSCRIBE,
    CL_DO_END_SPAN,
    CL_DO_CONFIGURE,
    CL_DO_OPEN,
    CL_DO_CLOSE_NODE,
    CL_DO_DESTROY,
    CL_DO_CLOSE
};

typedef struct cl_command {
    struct cl_command *next;
    struct cl_api_node *node; /* of which it is asked; NULL: of the context */
    size_t bytes;             /* queued: of the texts */
    enum cl_command_kind kind;
    int embedded; /* lies in a node or context: not freed after it was carried out */
    union {
        struct {
            uint64_t id, user_data; /* each of the others begins with them */
        };
        cl_call_spec call;
        cl_subscribe_spec subscribe;
        struct {
            cl_op_spec spec;
            cl_str name, value; /* send: the receiver, and what it is sent; register, unregister: the method, and for
                                   limits a cl_offer_spec; publish: the topic; ask: the peer, and the arguments */
            cl_str meta, bytes; /* publish, send; ask: meta is what is asked; register: its schema */
            cl_str trace;       /* publish */
            int confirm;        /* send, publish: ends with an event; pause: 1, or 0 to resume */
        } operation;
        struct {
            uint64_t id, user_data;
            cl_str error, result, meta, bytes;
        } answer;
        struct {
            uint64_t id, user_data;
            int code;
        } refusal;
        struct {
            uint64_t id, user_data;
            cl_str text;    /* choose: the server; attempt: the arguments; configure: a cl_config_change[] */
            cl_str bytes;   /* attempt */
            int with_bytes; /* attempt: in the place of those of the call */
        } change;
        struct {
            uint64_t id, user_data;
            cl_own_span span;
        } own;
        struct {
            uint64_t id, user_data;
            double drain;
            int no_event; /* destroy: its end raises no event */
        } close;
    };
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
    int woken; /* the engine was woken since it last took the list */
} cl_command_queue;

void cl_queue_init(cl_command_queue *queue);
/* Drops what is in it. */
void cl_queue_free(cl_command_queue *queue);
/* Does something wait for which the engine was woken? */
int cl_queue_is_urgent(cl_command_queue *queue);
/* Who runs the engine: carries out everything that is queued. */
void cl_queue_run(struct cl_context *context);

/* The same for the answers that found no room. */
void cl_queue_run_late(struct cl_context *context);

/* Thread mode, in two steps, for who holds the lock of the context meanwhile: queues, and wakes the engine. */
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
int cl_execute_answer(struct cl_context *context, uint64_t request, cl_str error, const cl_payload *result);

#endif
