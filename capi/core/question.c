#include "base/error.h"
#include "core/internal.h"
#include "core/offer.h"
#include "proto/error_object.h"
#include "proto/schema.h"

/* Questions of other nodes to one of ours: answered here, and the program hears of what concerns it, a pause and a
 * stop. */

typedef struct question {
    cl_str what, method; /* method: unescaped, in `text`; empty: all */
    int has_method;
    double drain; /* < 0: not said */
    cl_buf text;
} question;

/* ---- reading */

static int read_method(cl_json *j, question *q)
{
    cl_str raw;
    int escaped;
    if (cl_json_peek(j) != '"') return cl_error(CLOUDS_EINVAL, "'method' must be the name of a method");
    int code = cl_json_string(j, &raw, &escaped);
    if (code == 0) code = cl_json_unescape(raw, &q->text);
    q->method = cl_buf_str(&q->text);
    q->has_method = 1;
    if (code == 0 && !q->method.n) code = cl_error(CLOUDS_EINVAL, "'method' must be the name of a method");
    return code;
}

/* Digits, and perhaps a point and digits, whatever the locale of the process writes; -1: something else. */
static double seconds_of(cl_str text)
{
    double value = 0, place = 0;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '.' && place == 0) place = 1;
        else if (c < '0' || c > '9') return -1;
        else if (place == 0) value = value * 10 + (c - '0');
        else value += (c - '0') * (place /= 10);
    }
    return value;
}

static int read_drain(cl_json *j, question *q)
{
    cl_str value;
    int code = cl_json_value(j, &value);
    if (code != 0) return code;
    q->drain = seconds_of(value);
    if (q->drain >= 0 && q->drain <= CLOUDS_LONGEST_SECONDS) return 0;
    return cl_error(CLOUDS_EINVAL, "'drain' must be a number of seconds, 0 or more, without an exponent");
}

static int read_member(cl_json *j, question *q, cl_str key)
{
    int pauses = cl_str_eq(q->what, CL_STR("pause")) || cl_str_eq(q->what, CL_STR("resume"));
    if (pauses && cl_str_eq(key, CL_STR("method"))) return read_method(j, q);
    if (cl_str_eq(q->what, CL_STR("stop")) && cl_str_eq(key, CL_STR("drain"))) return read_drain(j, q);
    return cl_error(CLOUDS_EINVAL, "'%.*s' does not take '%.*s'", (int)q->what.n, q->what.p,
                    key.n < 100 ? (int)key.n : 100, key.p);
}

/* ["what",{...}]; what one of another version asks for more is refused by its name. */
static int read_question(const cl_core *core, cl_str args, question *q)
{
    cl_json j;
    int escaped, more;
    cl_json_start(&j, args, core->config.limits.json);
    if (cl_json_enter(&j, '[') != 0 || cl_json_element(&j) != 1 || cl_json_peek(&j) != '"' ||
        cl_json_string(&j, &q->what, &escaped) != 0)
        return cl_error(CLOUDS_EINVAL, "expected what is asked for");
    if (!cl_ask_is_known(q->what))
        return cl_error(CLOUDS_ENOTSUP, "it does not know the question '%.*s'", q->what.n < 100 ? (int)q->what.n : 100,
                        q->what.p);
    if (cl_json_element(&j) != 1) return 0;
    if (cl_json_peek(&j) != '{')
        return cl_error(CLOUDS_EINVAL, "expected an object behind '%.*s'", (int)q->what.n, q->what.p);
    int code = cl_json_enter(&j, '{');
    for (cl_str key; code == 0 && (more = cl_json_member(&j, &key, &escaped)) != 0;)
        code = more < 0 ? more : read_member(&j, q, key);
    return code;
}

/* ---- answering */

static void refuse(cl_node *node, const cl_envelope *e, int code, unsigned flags)
{
    node->core->counters[CL_COUNT_REFUSED_REQUESTS]++;
    cl_request_answer(node, e, flags, cl_error_text_last(node->core, code), CL_STR_NONE);
}

/* {"id":...,"version":...,"pid":...,"state":...  and no end. */
static int put_about(const cl_node *node, cl_buf *out)
{
    const char *about = node->core->config.about;
    int code = cl_buf_put_str(out, CL_STR("{\"id\":"));
    if (code == 0) code = cl_json_quote(node->id, out);
    if (code == 0 && about) code = cl_buf_printf(out, ",%s", about);
    const char *state = node->draining ? "draining" : "ready";
    return code ? code : cl_buf_printf(out, ",\"state\":\"%s\",\"paused\":%s", state, node->paused ? "true" : "false");
}

static int put_schema(const cl_service *s, cl_buf *out)
{
    int code = cl_buf_put_str(out, CL_STR(",\"schema\":"));
    return code ? code : cl_buf_put_str(out, cl_buf_str(&s->schema->text));
}

static int put_methods(cl_node *node, int with_schemas, cl_buf *out)
{
    size_t at = 0;
    const char *lead = "";
    int code = cl_buf_put_str(out, CL_STR(",\"methods\":{"));
    for (cl_service *s; code == 0 && (s = cl_strmap_next(&node->services, &at)); lead = ",") {
        code = cl_buf_put_str(out, cl_str_z(lead));
        if (code == 0) code = cl_json_quote(s->name, out);
        const char *paused = cl_service_is_paused(node, s) ? "true" : "false";
        if (code == 0) code = cl_buf_printf(out, ":{\"paused\":%s", paused);
        if (code == 0 && s->offer) code = cl_buf_put_char(out, ',');
        if (code == 0 && s->offer) code = cl_state_put_limits(s->offer, cl_core_now(node->core), out);
        if (code == 0 && with_schemas && s->schema) code = put_schema(s, out);
        if (code == 0) code = cl_buf_put_char(out, '}');
    }
    return code ? code : cl_buf_put_char(out, '}');
}

static size_t length_of(const cl_list_node *list)
{
    size_t n = 0;
    CL_LIST_EACH(it, list) n++;
    return n;
}

static int put_status(cl_node *node, cl_buf *out)
{
    const uint64_t *counters = cl_core_counters(node->core);
    int code = put_methods(node, 0, out);
    if (code == 0)
        code = cl_buf_printf(out, ",\"requests\":%zu,\"calls\":%zu,\"counters\":{", length_of(&node->requests),
                             length_of(&node->calls));
    for (int i = 0; i < CL_COUNTERS && code == 0; i++)
        code = cl_buf_printf(out, "%s\"%s\":%llu", i ? "," : "", cl_counter_names[i], (unsigned long long)counters[i]);
    return code ? code : cl_buf_put_char(out, '}');
}

/* The process and its machine. */
static int put_process(const cl_core *core, cl_buf *out)
{
    int code = cl_buf_put_str(out, CL_STR(",\"host\":"));
    if (code == 0) code = cl_json_quote(cl_str_z(core->config.host ? core->config.host : ""), out);
    if (code == 0) code = cl_buf_put_str(out, CL_STR(",\"uptime\":"));
    if (code == 0) code = cl_buf_put_real(out, (double)(cl_core_now(core) - core->began) / 1000, 3);
    return code ? code : cl_buf_printf(out, ",\"counts\":%s", core->stats ? "true" : "false");
}

static int put_info(const cl_node *node, cl_buf *out)
{
    const cl_traits traits = {(uint32_t)node->config.weight, cl_str_z(node->config.tags)};
    int code = put_process(node->core, out);
    if (code == 0)
        code = cl_buf_printf(out, ",\"type\":\"%s\",\"weight\":%u,\"tags\":", node->config.type,
                             cl_traits_weight(&traits));
    return code ? code : cl_tags_put(cl_traits_tags(&traits), out);
}

/* Nodes of one context have the same: who adds them up must know. */
static int put_stats(cl_node *node, cl_buf *out)
{
    cl_core *core = node->core;
    while (!core->number) core->number = core->port.random(core->port.self);
    int code = cl_buf_printf(out, ",\"context\":\"%016llx\",", (unsigned long long)core->number);
    return code ? code : cl_stats_put(core, out);
}

static int put_links(cl_node *node, const cl_envelope *e, cl_buf *out)
{
    int code = cl_buf_put_str(out, CL_STR(",\"links\":"));
    return code ? code : cl_links_put_all(node->core, e->link, out);
}

static int put_answer(cl_node *node, const cl_envelope *e, cl_str what, cl_buf *out)
{
    if (cl_str_eq(what, CL_STR("info"))) return put_info(node, out);
    if (cl_str_eq(what, CL_STR("status"))) return put_status(node, out);
    if (cl_str_eq(what, CL_STR("stats"))) return put_stats(node, out);
    if (cl_str_eq(what, CL_STR("methods"))) return put_methods(node, 1, out);
    return cl_str_eq(what, CL_STR("links")) ? put_links(node, e, out) : 0;
}

static void answer(cl_node *node, const cl_envelope *e, cl_str what)
{
    cl_buf out = {0};
    int code = cl_buf_put_char(&out, '[');
    if (code == 0) code = put_about(node, &out);
    if (code == 0) code = put_answer(node, e, what, &out);
    if (code == 0) code = cl_buf_put_str(&out, CL_STR("}]"));
    size_t most = node->core->config.limits.message;
    if (code) cl_error(code, NULL);
    else if (out.len > most) code = cl_error_too_big("the answer", out.len, most);
    if (code == 0) cl_request_answer(node, e, 0, CL_STR_NONE, cl_buf_str(&out));
    else refuse(node, e, code, CL_REFUSED);
    cl_buf_free(&out);
}

/* What the program hears of. Room for it is made first. */
static void tell(cl_node *node, const cl_envelope *e, clouds_event *event)
{
    event->user_data = node->config.user_data;
    cl_set_text(&event->peer, &event->peer_len, e->from);
    cl_emit(node->core, node, event);
}

static int make_room(cl_core *core)
{
    if (core->port.reserve_request(core->port.self) == 0) return 0;
    return cl_error(CLOUDS_EOVERLOAD, "its program does not take its events");
}

static void pause_or_resume(cl_node *node, const cl_envelope *e, const question *q)
{
    int paused = cl_str_eq(q->what, CL_STR("pause"));
    clouds_event event = {.type = CLOUDS_EVENT_PAUSED, .number = paused, .time_left = -1};
    int code = cl_pause_may(node, q->method);
    if (code) {
        refuse(node, e, code, 0);
        return;
    }
    if ((code = make_room(node->core)) != 0) {
        refuse(node, e, code, CL_REFUSED);
        return;
    }
    cl_pause_set(node, q->method, paused);
    cl_set_text(&event.method, &event.method_len, q->method);
    tell(node, e, &event);
    answer(node, e, q->what);
}

/* Once for each node: how it stops is the program's to do. */
static void stop(cl_node *node, const cl_envelope *e, const question *q)
{
    clouds_event event = {
        .type = CLOUDS_EVENT_STOP, .time_left = q->drain, .number = q->drain < 0 ? -1 : cl_ms(q->drain)};
    int code = node->asked_to_stop || node->draining ? 0 : make_room(node->core);
    if (code) {
        refuse(node, e, code, CL_REFUSED);
        return;
    }
    if (!node->asked_to_stop && !node->draining) {
        node->asked_to_stop = 1;
        tell(node, e, &event);
    }
    answer(node, e, q->what);
}

void cl_question_arrived(cl_core *core, cl_node *node, const cl_envelope *e)
{
    question q = {.drain = -1};
    if (!core->config.answers_questions) {
        cl_error(CLOUDS_ENOTSUP, "it answers no questions (option admin)");
        refuse(node, e, CLOUDS_ENOTSUP, CL_REFUSED);
        return;
    }
    int code = e->flags & (CL_TOO_BIG | CL_UNSUPPORTED | CL_NO_ARRAY)
                   ? cl_error(CLOUDS_EINVAL, "expected what is asked for")
                   : read_question(core, e->args, &q);
    if (code) refuse(node, e, code, code == CLOUDS_ENOTSUP ? CL_REFUSED : 0);
    else if (cl_str_eq(q.what, CL_STR("stop"))) stop(node, e, &q);
    else if (cl_str_eq(q.what, CL_STR("pause")) || cl_str_eq(q.what, CL_STR("resume"))) pause_or_resume(node, e, &q);
    else if (cl_str_eq(q.what, CL_STR("stats")) && !core->stats) refuse(node, e, cl_stats_missing(), CL_REFUSED);
    else answer(node, e, q.what);
    cl_buf_free(&q.text);
}
