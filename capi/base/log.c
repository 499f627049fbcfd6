#include "log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>

enum { OFF = 100, LINE_MAX_BYTES = 512 };

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static cl_log_fn log_fn;
static void *log_user_data;
static atomic_int log_level = OFF;
static _Thread_local int log_in_hook;

void cl_log_hook(cl_log_fn hook, void *user_data, int level)
{
    pthread_mutex_lock(&log_lock);
    log_fn = hook;
    log_user_data = user_data;
    atomic_store(&log_level, hook ? level : OFF);
    pthread_mutex_unlock(&log_lock);
}

static void escape(char *out, size_t cap, const char *text)
{
    size_t n = 0;
    for (; *text && n + 5 < cap; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == 0x7f) n += (size_t)snprintf(out + n, 5, "\\x%02x", c);
        else out[n++] = (char)c;
    }
    out[n] = '\0';
}

void cl_log(int level, const char *format, ...)
{
    if (level < atomic_load_explicit(&log_level, memory_order_relaxed) || log_in_hook) return;
    char raw[LINE_MAX_BYTES], line[LINE_MAX_BYTES * 2];
    va_list args;
    va_start(args, format);
    vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    escape(line, sizeof line, raw);
    log_in_hook = 1;
    pthread_mutex_lock(&log_lock);
    if (log_fn) log_fn(log_user_data, level, line);
    pthread_mutex_unlock(&log_lock);
    log_in_hook = 0;
}

int cl_log_in_hook(void)
{
    return log_in_hook;
}
