/* What a bus has to tell its sink about an operation becomes a task, since operations never call the sink themselves.
 * Tasks run in flush, once a turn, in their order. Shared by the buses that need no connection. */
#ifndef CL_BUS_TASK_H
#define CL_BUS_TASK_H

#include "base/list.h"
#include "bus/bus.h"

enum cl_task_kind {
    CL_TASK_UP,
    CL_TASK_READY,
    CL_TASK_NODE_CLOSED,
    CL_TASK_REGISTERED,
    CL_TASK_FATE,
    /* These are the bus's own to carry out: */
    CL_TASK_LOOKUP,
    CL_TASK_STATUS,
    CL_TASK_FILE
};

typedef struct cl_task {
    cl_link place;
    enum cl_task_kind kind;
    int code;
    void *node;
    uint64_t number; /* operation or token */
    cl_str text;     /* words, or a method; ended with a NUL */
    char memory[];
} cl_task;

typedef struct cl_tasks {
    cl_link list;
    struct cl_loop *loop;
    const cl_bus_sink *sink;
    void *bus;
    void (*own)(void *bus, const cl_task *task);
} cl_tasks;

void cl_tasks_init(cl_tasks *tasks, struct cl_loop *loop, const cl_bus_sink *sink, void *bus,
                   void (*own)(void *bus, const cl_task *task));
/* 0 or CLOUDS_ENOMEM. */
int cl_task_add(cl_tasks *tasks, enum cl_task_kind kind, void *node, uint64_t number, int code, cl_str text);
/* Takes back what was added last: for a word that is kept first, so that it cannot fail afterwards. */
void cl_task_drop_last(cl_tasks *tasks);
/* Asks for a method's servers, once however often it is asked in a turn. */
void cl_task_lookup(cl_tasks *tasks, cl_str method);
void cl_tasks_run(cl_tasks *tasks);
void cl_tasks_free(cl_tasks *tasks);

#endif
