/* Log lines for the hook of the process. Control characters are escaped, so that no peer can forge a line. */
#ifndef CL_LOG_H
#define CL_LOG_H

typedef void (*cl_log_fn)(void *user_data, int level, const char *text);

void cl_log_hook(cl_log_fn hook, void *user_data, int level);

/* Levels are enum clouds_log_level. Costs one comparison when nobody listens. */
void cl_log(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* 1 while this thread is inside the hook. */
int cl_log_in_hook(void);

#endif
