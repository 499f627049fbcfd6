/* What the loop does for a directory or a transport that the program has registered (clouds_extend.h): its host, and
 * whether it may be talked to now. */
#ifndef CL_PLUGIN_H
#define CL_PLUGIN_H

#include "clouds_extend.h"

#include "base/map.h"
#include "net/loop.h"

/* Its functions that the loop calls. NULL: it has none. */
typedef struct cl_plugin_ops {
    void (*ready)(void *theirs, int fd, int events);
    void (*due)(void *theirs);
    void (*woken)(void *theirs);
    void (*flush)(void *theirs);
} cl_plugin_ops;

typedef struct cl_plugin {
    cl_loop *loop;
    cl_plugin_ops ops;
    void *theirs; /* the instance; NULL: it is being made */
    clouds_host host;
    cl_loop_timer *timer;
    cl_waker *waker;
    cl_idmap watches;            /* by descriptor + 1 */
    const void *_Atomic caller;  /* a mark of the thread whose calls are taken; NULL: of none */
    int *has_work;               /* of the base of what it is */
    int ended;                   /* it is being destroyed: nothing of it is wanted any more */
} cl_plugin;

int cl_plugin_init(cl_plugin *plugin, cl_loop *loop, const cl_plugin_ops *ops, uint64_t max_message, int *has_work);
void cl_plugin_free(cl_plugin *plugin);

/* Around each call of one of its functions. takes 1: it may report meanwhile. What `enter` gives is for `leave`. */
const void *cl_plugin_enter(cl_plugin *plugin, int takes);
void cl_plugin_leave(cl_plugin *plugin, const void *before);
/* Calls a function of the program's, in `call`. o: what has the plugin. */
#define CL_PLUGIN_ASK(o, takes, call)                                                                                  \
    do {                                                                                                               \
        const void *before_ = cl_plugin_enter(&(o)->plugin, takes);                                                    \
        call;                                                                                                          \
        cl_plugin_leave(&(o)->plugin, before_);                                                                        \
    } while (0)
/* What it returned: 0 to `most`, or an error with its text. What is neither is an error of the program's; whose: "the
 * directory". */
int cl_plugin_ended(int code, int most, const char *whose);
void cl_plugin_flush(cl_plugin *plugin);

/* 0, or CLOUDS_EBUSY: it reports at a time when nothing is taken. */
int cl_plugin_check(const cl_plugin *plugin);
/* 1 while this thread is inside of a function of one. */
int cl_plugin_is_inside(void);

#endif
