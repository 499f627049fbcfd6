/* Log lines of a context as events. They may be lost for lack of room, but not in silence. */
#include <inttypes.h>
#include <stdio.h>

#include "api/internal.h"
#include "proto/json.h"

enum { MOST = 256 }; /* lines that wait */

void cl_log_events_begin(cl_context *context)
{
    if (context->log.line) cl_log_to(&context->log);
}

void cl_log_events_end(cl_context *context)
{
    if (context->log.line) cl_log_to(NULL);
}

void cl_log_events_taken(cl_context *context, size_t n)
{
    context->inbox.log_waiting -= n < context->inbox.log_waiting ? n : context->inbox.log_waiting;
}

static int put_text(cl_buf *out, const char *name, cl_str value)
{
    if (!value.n) return 0;
    int code = cl_buf_printf(out, ",\"%s\":", name);
    return code ? code : cl_json_quote(value, out);
}

static int put_line(cl_buf *out, const char *text, const cl_log_facts *facts)
{
    int code = cl_buf_put_str(out, CL_STR("{\"message\":"));
    if (!code) code = cl_json_quote(cl_str_z(text), out);
    if (!code) code = put_text(out, "method", facts->method);
    if (!code && facts->request) code = cl_buf_printf(out, ",\"request\":%" PRIu64, facts->request);
    if (!code) code = put_text(out, "caller", facts->caller);
    if (!code) code = put_text(out, "node", facts->node);
    if (!code) code = put_text(out, "trace", facts->trace);
    return code ? code : cl_buf_put_char(out, '}');
}

/* Under the lock. */
static int add(cl_context *context, int level, const char *text, const cl_log_facts *facts)
{
    cl_buf data = {0};
    clouds_event event = {
        .type = CLOUDS_EVENT_LOG, .number = level, .time_left = -1, .peer = "", .method = "", .error = ""};
    int code = put_line(&data, text, facts);
    event.data = data.data;
    event.data_len = data.len;
    if (code == 0) code = cl_events_add(&context->inbox.events, &event, NULL);
    if (code == 0) {
        context->inbox.log_waiting++;
        context->inbox.counters[CL_COUNT_EVENTS]++;
        context->engine.signal_due = 1;
    }
    cl_buf_free(&data);
    return code;
}

/* Under the lock. */
static int add_missed(cl_context *context)
{
    char text[80];
    if (!context->inbox.log_missed) return 0;
    snprintf(text, sizeof text, "%" PRIu64 " log lines before this one found no room", context->inbox.log_missed);
    int code = add(context, CLOUDS_LOG_WARN, text, &(cl_log_facts){0});
    if (code == 0) context->inbox.log_missed = 0;
    return code;
}

static int has_room(const cl_context *context)
{
    return context->inbox.log_waiting < MOST && context->inbox.events.bytes < context->config.max_event_bytes;
}

void cl_log_events_line(void *self, int level, const char *text, const cl_log_facts *facts)
{
    cl_context *context = self;
    if (context->engine.is_over) return;
    cl_context_lock(context);
    if (!has_room(context) || add_missed(context) != 0 || add(context, level, text, facts) != 0)
        context->inbox.log_missed++;
    cl_context_unlock(context);
}
