#include "net/deferred.h"

#include "base/error.h"
#include "base/mem.h"

void cl_deferred_init(cl_deferred_queue *queue, cl_loop *loop, void *owner, int *has_work)
{
    *queue = (cl_deferred_queue){.loop = loop, .owner = owner, .has_work = has_work};
    cl_list_init(&queue->list);
}

cl_deferred *cl_deferred_reserve(void (*run)(void *owner, const cl_deferred *d), void *node, uint64_t number, int code,
                                 cl_str text)
{
    cl_deferred *d = cl_malloc(sizeof *d + text.n + 1);
    if (!d) {
        cl_error(CLOUDS_ENOMEM, NULL);
        return NULL;
    }
    *d = (cl_deferred){.run = run, .node = node, .number = number, .code = code, .text = {d->memory, text.n}};
    memcpy(d->memory, text.p, text.n);
    d->memory[text.n] = '\0';
    return d;
}

void cl_deferred_set(cl_deferred *d, int code, const char *words)
{
    size_t n = strlen(words);
    if (n < d->text.n) d->text.n = n;
    memcpy(d->memory, words, d->text.n);
    d->memory[d->text.n] = '\0';
    d->code = code;
}

void cl_deferred_put(cl_deferred_queue *queue, cl_deferred *d)
{
    cl_list_append(&queue->list, &d->place);
    if (queue->has_work) *queue->has_work = 1;
    cl_loop_defer(queue->loop);
}

void cl_deferred_discard(cl_deferred *d)
{
    cl_free(d);
}

int cl_defer(cl_deferred_queue *queue, void (*run)(void *owner, const cl_deferred *d), void *node, uint64_t number,
             int code, cl_str text)
{
    cl_deferred *d = cl_deferred_reserve(run, node, number, code, text);
    if (!d) return CLOUDS_ENOMEM;
    cl_deferred_put(queue, d);
    return 0;
}

int cl_defer_once(cl_deferred_queue *queue, void (*run)(void *owner, const cl_deferred *d), cl_str text)
{
    CL_LIST_EACH(it, &queue->list)
    {
        const cl_deferred *d = CL_OWNER(it, cl_deferred, place);
        if (d->run == run && cl_str_eq(d->text, text)) return 0;
    }
    return cl_defer(queue, run, NULL, 0, 0, text);
}

void cl_deferred_run(cl_deferred_queue *queue)
{
    cl_list_node now;
    if (cl_list_empty(&queue->list)) return;
    cl_list_move(&queue->list, &now);
    while (!cl_list_empty(&now)) {
        cl_deferred *d = CL_OWNER(now.next, cl_deferred, place);
        cl_list_remove(&d->place);
        d->run(queue->owner, d);
        cl_free(d);
    }
}

void cl_deferred_free(cl_deferred_queue *queue)
{
    while (!cl_list_empty(&queue->list)) {
        cl_deferred *d = CL_OWNER(queue->list.next, cl_deferred, place);
        cl_list_remove(&d->place);
        cl_free(d);
    }
}
