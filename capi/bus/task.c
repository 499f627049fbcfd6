#include "bus/task.h"

#include "base/error.h"
#include "base/mem.h"
#include "net/loop.h"

void cl_tasks_init(cl_tasks *tasks, cl_loop *loop, const cl_bus_sink *sink, void *bus,
                   void (*own)(void *bus, const cl_task *task))
{
    *tasks = (cl_tasks){.loop = loop, .sink = sink, .bus = bus, .own = own};
    cl_list_init(&tasks->list);
}

int cl_task_add(cl_tasks *tasks, enum cl_task_kind kind, void *node, uint64_t number, int code, cl_str text)
{
    cl_task *task = cl_malloc(sizeof *task + text.n + 1);
    if (!task) return cl_error(CLOUDS_ENOMEM, NULL);
    *task = (cl_task){.kind = kind, .code = code, .node = node, .number = number, .text = {task->memory, text.n}};
    memcpy(task->memory, text.p, text.n);
    task->memory[text.n] = '\0';
    cl_list_append(&tasks->list, &task->place);
    cl_loop_defer(tasks->loop);
    return 0;
}

void cl_task_drop_last(cl_tasks *tasks)
{
    cl_task *task = CL_OWNER(tasks->list.prev, cl_task, place);
    cl_list_remove(&task->place);
    cl_free(task);
}

void cl_task_lookup(cl_tasks *tasks, cl_str method)
{
    CL_LIST_EACH(it, &tasks->list)
    {
        const cl_task *task = CL_OWNER(it, cl_task, place);
        if (task->kind == CL_TASK_LOOKUP && cl_str_eq(task->text, method)) return;
    }
    cl_task_add(tasks, CL_TASK_LOOKUP, NULL, 0, 0, method); /* without memory the caller's own deadline ends its wait */
}

static void run(cl_tasks *tasks, const cl_task *task)
{
    const cl_bus_sink *sink = tasks->sink;
    switch (task->kind) {
    case CL_TASK_UP:
        sink->state(sink->self, 1, 0, "");
        break;
    case CL_TASK_READY:
        sink->node_ready(sink->self, task->node, task->code, task->text.p);
        break;
    case CL_TASK_NODE_CLOSED:
        sink->node_closed(sink->self, task->node);
        break;
    case CL_TASK_REGISTERED:
        sink->registered(sink->self, task->number, task->code, task->text.p);
        break;
    case CL_TASK_FATE:
        sink->fate(sink->self, task->number, (enum cl_fate)task->code, task->code == CL_FATE_WRITTEN);
        break;
    default:
        tasks->own(tasks->bus, task);
        break;
    }
}

/* What is added meanwhile waits for the next turn (and keeps it from sleeping). */
void cl_tasks_run(cl_tasks *tasks)
{
    cl_link now;
    cl_list_move(&tasks->list, &now);
    while (!cl_list_empty(&now)) {
        cl_task *task = CL_OWNER(now.next, cl_task, place);
        cl_list_remove(&task->place);
        run(tasks, task);
        cl_free(task);
    }
}

void cl_tasks_free(cl_tasks *tasks)
{
    while (!cl_list_empty(&tasks->list)) cl_task_drop_last(tasks);
}
