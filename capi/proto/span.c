#include "proto/span.h"

#include <inttypes.h>

#include "base/hex.h"
#include "clouds.h"
#include "proto/json.h"

/* What is longer is cut: a span is for people, and many wait in memory. */
enum { NAME_MOST = 255, MESSAGE_MOST = 1000 };

static const uint8_t no_parent[CL_SPAN_ID];

static cl_str cut(cl_str text, size_t most)
{
    return text.n > most ? cl_str_of(text.p, most) : text;
}

static int put_hex(cl_buf *out, const char *name, const uint8_t *bytes, size_t n)
{
    char digits[2 * CL_TRACE_ID];
    cl_hex_write(bytes, n, digits);
    return cl_buf_printf(out, "\"%s\":\"%.*s\",", name, (int)(2 * n), digits);
}

/* ---- attributes */

int cl_span_put_attribute(cl_buf *out, const char *key, cl_str text)
{
    int code = cl_buf_printf(out, "{\"key\":\"%s\",\"value\":{\"stringValue\":", key);
    if (code == 0) code = cl_json_quote(text, out);
    return code ? code : cl_buf_put_str(out, CL_STR("}}"));
}

static int put_text(cl_buf *out, const char *key, cl_str text)
{
    if (!text.n) return 0;
    int code = out->data[out->len - 1] == '[' ? 0 : cl_buf_put_char(out, ',');
    return code ? code : cl_span_put_attribute(out, key, cut(text, NAME_MOST));
}

/* Numbers of 64 bits are texts. */
static int put_number(cl_buf *out, const char *key, uint64_t value)
{
    return cl_buf_printf(out, ",{\"key\":\"%s\",\"value\":{\"intValue\":\"%" PRIu64 "\"}}", key, value);
}

static cl_str outcome_name(uint32_t outcome)
{
    static const char *const names[] = {[CLOUDS_OUTCOME_OK] = "OK",
                                        [CLOUDS_OUTCOME_APP_ERROR] = "APP_ERROR",
                                        [CLOUDS_OUTCOME_NOT_DONE] = "NOT_DONE",
                                        [CLOUDS_OUTCOME_UNKNOWN] = "UNKNOWN"};
    return outcome < sizeof names / sizeof *names ? cl_str_z(names[outcome]) : CL_STR_NONE;
}

/* ---- the error */

typedef struct said {
    cl_buf code, message;
} said;

static void read_member(cl_json *j, cl_str name, said *out)
{
    cl_str value;
    int escaped, kind = cl_json_item(j, &value, &escaped);
    cl_buf *to = cl_str_eq(name, CL_STR("code"))      ? &out->code
                 : cl_str_eq(name, CL_STR("message")) ? &out->message
                                                      : NULL;
    if (kind < 0 || !to) return;
    cl_buf_clear(to);
    if (kind == '"') cl_json_unescape(value, to);
    else cl_buf_put_str(to, value);
}

/* As far as memory allows. An error that is no object is its own message. */
static void read_error(const cl_span *span, said *out)
{
    cl_json j;
    cl_str name;
    int escaped;
    *out = (said){0};
    cl_json_start(&j, span->error, CL_JSON_ANY);
    if (cl_json_check(span->error, '{', CL_JSON_ANY) == 0 && cl_json_enter(&j, '{') == 0)
        while (cl_json_member(&j, &name, &escaped) == 1) read_member(&j, name, out);
    else cl_buf_put_str(&out->message, span->error);
    if (!out->code.len && span->code) cl_buf_put_str(&out->code, cl_str_z(clouds_err_name(span->code)));
    if (!out->message.len && span->code) cl_buf_put_str(&out->message, cl_str_z(clouds_strerror(span->code)));
}

/* ---- its parts */

static int put_subject(const cl_span *s, cl_buf *out)
{
    if (s->subject == CL_SPAN_OF_PROGRAM) return 0;
    int is_call = s->subject == CL_SPAN_OF_CALL;
    int code = put_text(out, is_call ? "rpc.system" : "messaging.system", CL_STR("clouds"));
    return code ? code : put_text(out, is_call ? "rpc.method" : "messaging.destination.name", s->method);
}

static int put_attributes(const cl_span *s, const said *error, cl_buf *out)
{
    int is_asked = s->subject == CL_SPAN_OF_CALL;
    int is_call = is_asked && (s->kind == CL_SPAN_CLIENT || s->kind == CL_SPAN_PRODUCER);
    int code = cl_buf_put_str(out, CL_STR("\"attributes\":["));
    if (code == 0) code = put_subject(s, out);
    if (code == 0) code = put_text(out, "clouds.node", s->node);
    if (code == 0) code = put_text(out, is_call ? "clouds.server" : "clouds.caller", s->peer);
    if (code == 0 && is_asked) code = put_text(out, "clouds.outcome", outcome_name(s->outcome));
    if (code == 0) code = put_text(out, "error.type", cl_buf_str(&error->code));
    if (code == 0 && is_call) code = put_number(out, "clouds.attempts", s->attempts);
    if (code == 0 && is_call) code = put_number(out, "clouds.sends", s->sends);
    if (code == 0 && s->request) code = put_number(out, "clouds.request", s->request);
    return code ? code : cl_buf_put_char(out, ']');
}

static int begin_event(cl_buf *out, const char *name, int64_t at)
{
    const char *before = out->data[out->len - 1] == '[' ? "" : ",";
    return cl_buf_printf(out, "%s{\"timeUnixNano\":\"%" PRIi64 "\",\"name\":\"%s\",\"attributes\":[", before, at, name);
}

static int put_event(const cl_span_event *e, cl_buf *out)
{
    static const char *const names[] = {
        [CL_SPAN_RETRY] = "retry", [CL_SPAN_FAILOVER] = "failover", [CL_SPAN_HEDGE] = "hedge"};
    int code = begin_event(out, names[e->kind], e->at);
    if (code == 0 && e->code) code = put_text(out, "error.type", cl_str_z(clouds_err_name(e->code)));
    if (code == 0) code = put_text(out, "clouds.server", e->peer);
    return code ? code : cl_buf_put_str(out, CL_STR("]}"));
}

static int put_exception(const cl_span *s, const said *error, cl_buf *out)
{
    int code = begin_event(out, "exception", s->ended);
    if (code == 0) code = put_text(out, "exception.type", cl_buf_str(&error->code));
    if (code == 0) code = put_text(out, "exception.message", cut(cl_buf_str(&error->message), MESSAGE_MOST));
    return code ? code : cl_buf_put_str(out, CL_STR("]}"));
}

static int put_events(const cl_span *s, const said *error, cl_buf *out)
{
    int has_failed = s->outcome != CLOUDS_OUTCOME_OK;
    if (!s->event_count && !has_failed) return 0;
    int code = cl_buf_put_str(out, CL_STR(",\"events\":["));
    for (size_t i = 0; code == 0 && i < s->event_count; i++) code = put_event(&s->events[i], out);
    if (code == 0 && has_failed) code = put_exception(s, error, out);
    if (code == 0) code = cl_buf_put_char(out, ']');
    if (code == 0 && s->dropped_events) code = cl_buf_printf(out, ",\"droppedEventsCount\":%zu", s->dropped_events);
    return code;
}

static int put_status(const cl_span *s, const said *error, cl_buf *out)
{
    if (s->outcome == CLOUDS_OUTCOME_OK) return 0;
    int code = cl_buf_put_str(out, CL_STR(",\"status\":{\"code\":2,\"message\":"));
    if (code == 0) code = cl_json_quote(cut(cl_buf_str(&error->message), MESSAGE_MOST), out);
    return code ? code : cl_buf_put_char(out, '}');
}

static int put_head(const cl_span *s, cl_buf *out)
{
    int code = cl_buf_put_char(out, '{');
    if (code == 0) code = put_hex(out, "traceId", s->place.trace, CL_TRACE_ID);
    if (code == 0) code = put_hex(out, "spanId", s->place.span, CL_SPAN_ID);
    if (code == 0 && memcmp(s->parent, no_parent, CL_SPAN_ID) != 0)
        code = put_hex(out, "parentSpanId", s->parent, CL_SPAN_ID);
    if (code == 0 && s->state.n) code = cl_buf_printf(out, "\"traceState\":\"%.*s\",", (int)s->state.n, s->state.p);
    if (code == 0) code = cl_buf_put_str(out, CL_STR("\"name\":"));
    if (code == 0) code = cl_json_quote(cut(s->method, NAME_MOST), out);
    if (code == 0)
        code = cl_buf_printf(out,
                             ",\"kind\":%d,\"startTimeUnixNano\":\"%" PRIi64 "\",\"endTimeUnixNano\":\"%" PRIi64 "\",",
                             (int)s->kind, s->began, s->ended);
    return code;
}

int cl_span_put(const cl_span *span, cl_buf *out)
{
    size_t before = out->len;
    said error = {0};
    if (span->outcome != CLOUDS_OUTCOME_OK) read_error(span, &error);
    int code = put_head(span, out);
    if (code == 0) code = put_attributes(span, &error, out);
    if (code == 0) code = put_events(span, &error, out);
    if (code == 0) code = put_status(span, &error, out);
    if (code == 0) code = cl_buf_put_char(out, '}');
    if (code) out->len = before;
    cl_buf_free(&error.code);
    cl_buf_free(&error.message);
    return code;
}
