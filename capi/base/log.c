#include "log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>

enum { LINE_MAX_BYTES = 512, ESCAPED = 2 * LINE_MAX_BYTES };

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static cl_log_fn log_fn;
static void *log_user_data;
static atomic_int log_level = CL_LOG_OFF;
static _Thread_local int log_in_hook;
static _Thread_local const cl_log_sink *log_sink;

void cl_log_hook(cl_log_fn hook, void *user_data, int level)
{
    pthread_mutex_lock(&log_lock);
    log_fn = hook;
    log_user_data = user_data;
    atomic_store(&log_level, hook ? level : CL_LOG_OFF);
    pthread_mutex_unlock(&log_lock);
}

void cl_log_to(const cl_log_sink *sink)
{
    log_sink = sink;
}

const cl_log_sink **cl_log_place(void)
{
    return &log_sink;
}

/* The control characters, those of C1 (U+0080 to U+009F) too. */
static void escape(char *out, size_t cap, const char *text)
{
    size_t n = 0;
    for (; *text && n + 9 < cap; text++) {
        unsigned char c = (unsigned char)*text, next = (unsigned char)text[1];
        int c1 = c == 0xc2 && next >= 0x80 && next <= 0x9f;
        if (c1) n += (size_t)snprintf(out + n, 9, "\\x%02x\\x%02x", c, next), text++;
        else if (c < 0x20 || c == 0x7f) n += (size_t)snprintf(out + n, 5, "\\x%02x", c);
        else out[n++] = (char)c;
    }
    out[n] = '\0';
}

static int is_heard(int level)
{
    if (log_in_hook) return 0;
    return level >= atomic_load_explicit(&log_level, memory_order_relaxed) || (log_sink && level >= log_sink->level);
}

static size_t put_fact(char *out, size_t cap, const char *name, cl_str value)
{
    if (value.n == 0 || cap < 2) return 0;
    int n = snprintf(out, cap, "%s %.*s", name, (int)(value.n < 200 ? value.n : 200), value.p);
    return n < 0 ? 0 : (size_t)n < cap ? (size_t)n : cap - 1;
}

/* The line of the hook has what it is about behind its text. */
static void to_hook(int level, const char *text, const cl_log_facts *facts)
{
    char raw[LINE_MAX_BYTES + 800], line[ESCAPED];
    int begun = snprintf(raw, sizeof raw, "%s", text);
    size_t n = begun > 0 ? (size_t)begun : 0;
    n += put_fact(raw + n, sizeof raw - n, "; method", facts->method);
    n += put_fact(raw + n, sizeof raw - n, "; caller", facts->caller);
    n += put_fact(raw + n, sizeof raw - n, "; node", facts->node);
    n += put_fact(raw + n, sizeof raw - n, "; trace", facts->trace);
    if (facts->request) snprintf(raw + n, sizeof raw - n, "; request %llu", (unsigned long long)facts->request);
    escape(line, sizeof line, raw);
    pthread_mutex_lock(&log_lock);
    if (log_fn && level >= atomic_load_explicit(&log_level, memory_order_relaxed)) log_fn(log_user_data, level, line);
    pthread_mutex_unlock(&log_lock);
}

static void to_sink(int level, const char *text, const cl_log_facts *facts)
{
    char line[ESCAPED];
    if (!log_sink || level < log_sink->level) return;
    escape(line, sizeof line, text);
    log_sink->line(log_sink->self, level, line, facts);
}

static void say(int level, const cl_log_facts *facts, const char *format, va_list args)
{
    char raw[LINE_MAX_BYTES];
    vsnprintf(raw, sizeof raw, format, args);
    log_in_hook = 1;
    if (level >= atomic_load_explicit(&log_level, memory_order_relaxed)) to_hook(level, raw, facts);
    log_in_hook = 0;
    to_sink(level, raw, facts);
}

void cl_log(int level, const char *format, ...)
{
    if (!is_heard(level)) return;
    va_list args;
    va_start(args, format);
    say(level, &(cl_log_facts){0}, format, args);
    va_end(args);
}

void cl_log_about(int level, const cl_log_facts *facts, const char *format, ...)
{
    if (!is_heard(level)) return;
    va_list args;
    va_start(args, format);
    say(level, facts, format, args);
    va_end(args);
}

int cl_log_in_hook(void)
{
    return log_in_hook;
}
