/* Log lines for the hook of the process, and for the context whose engine this thread runs. Control characters are
 * escaped, so that no peer can forge a line. */
#ifndef CL_LOG_H
#define CL_LOG_H

#include <stdint.h>

#include "base/str.h"

typedef void (*cl_log_fn)(void *user_data, int level, const char *text);

enum { CL_LOG_OFF = 100 };

/* What a line is about: absent texts are empty, no request is 0. */
typedef struct cl_log_facts {
    cl_str method, caller, node, trace;
    uint64_t request;
} cl_log_facts;

/* Who else takes the lines of this thread, from `level` on. */
typedef struct cl_log_sink {
    void (*line)(void *self, int level, const char *text, const cl_log_facts *facts);
    void *self;
    int level;
} cl_log_sink;

/* From now on, on this thread; NULL: nobody. */
void cl_log_to(const cl_log_sink *sink);
/* Where that is kept for this thread: who sets it often need not look up the thread each time. */
const cl_log_sink **cl_log_place(void);

void cl_log_hook(cl_log_fn hook, void *user_data, int level);

/* Levels are enum clouds_log_level. Costs one comparison when nobody listens. */
void cl_log(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cl_log_about(int level, const cl_log_facts *facts, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* 1 while this thread is inside the hook. */
int cl_log_in_hook(void);

#endif
