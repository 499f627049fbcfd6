/* Design notes
 *
 * A span is known to others by the member `traceparent` of the meta alone: a request has in its meta the place of its
 * own span, so whatever inherits the meta is in the trace, and handlers see where they are. Where nothing is recorded
 * the member goes on as it came, which W3C Trace Context allows.
 *
 * Tracing may cost memory and time, but never a call: without memory, or without room in the meta or the message, there
 * is no span, or none of what is called after it.
 *
 * Times are those of the calendar at the beginning, and from then on those of a clock that nobody sets. */
#include "core/trace.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/hex.h"
#include "core/internal.h"
#include "proto/json.h"
#include "proto/meta.h"

enum { EVENTS = 16, PEER_MOST = 255 };

typedef struct noted {
    int64_t micros;
    int32_t code;
    uint8_t kind, peer_n;
    uint32_t peer_at; /* in `texts` */
} noted;

struct cl_open_span {
    enum cl_span_kind kind;
    cl_trace_place place;
    uint8_t parent[CL_SPAN_ID];
    int64_t began, micros; /* both are the beginning */
    uint32_t count, dropped;
    noted events[EVENTS];
    size_t state_n, to_n; /* they stand first in `texts`, one behind the other */
    size_t method_n;      /* of a request; behind them */
    cl_buf texts, error;
    int32_t code;
};

/* ---- time and chance */

int64_t cl_trace_micros(const cl_core *core)
{
    const cl_port *port = &core->port;
    return port->micros ? port->micros(port->self) : port->now(port->self) * 1000;
}

static int64_t calendar(const cl_core *core)
{
    const cl_port *port = &core->port;
    return port->wall ? port->wall(port->self) : port->now(port->self) * 1000000;
}

static int64_t moment(const cl_open_span *span, int64_t then)
{
    return span->began + (then - span->micros) * 1000;
}

/* Never all zero. */
static void draw(const cl_port *chance, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i += sizeof(uint64_t)) {
        uint64_t word = chance->random(chance->self);
        if (!word) word = 1;
        memcpy(out + i, &word, sizeof word);
    }
}

/* ---- whether it is recorded */

/* By its last 63 bits, as the samplers of OpenTelemetry do it: so all of them choose the same traces. */
static int is_among(const cl_core *core, const cl_trace_place *place)
{
    uint64_t number = 0;
    for (int i = CL_TRACE_ID - 8; i < CL_TRACE_ID; i++) number = number << 8 | place->trace[i];
    return (number & INT64_MAX) < core->config.trace_below;
}

int cl_trace_is_asked(const cl_core *core, cl_str meta)
{
    static const char name[] = "\"trace-to\"";
    return meta.n && core->config.trace_for_others && memmem(meta.p, meta.n, name, sizeof name - 1) != NULL;
}

/* What was decided of a span that begins. */
typedef struct decision {
    cl_meta_trace said;
    cl_trace_place from; /* the span that it is in, unless it is the first */
    int is_first, is_recorded;
} decision;

static decision decide(const cl_core *core, const cl_port *chance, cl_str meta)
{
    decision d = {.said = cl_meta_trace_of(meta)};
    int is_asked = d.said.to.n && core->config.trace_for_others;
    d.is_first = cl_traceparent_read(d.said.parent, &d.from) != 0;
    if (d.is_first) {
        draw(chance, d.from.trace, CL_TRACE_ID);
        draw(chance, d.from.span, CL_SPAN_ID);
        d.said.state = CL_STR_NONE;
    }
    int follows = !d.is_first && core->config.trace_by_parent;
    int is_chosen = follows ? d.from.flags & CL_TRACE_SAMPLED : is_among(core, &d.from);
    d.is_recorded = is_asked || (core->config.traces && is_chosen);
    return d;
}

/* ---- its beginning */

static cl_open_span *create(const cl_core *core, const decision *d, enum cl_span_kind kind, cl_str method)
{
    cl_open_span *span = cl_calloc(1, sizeof *span);
    if (!span) return NULL;
    int code = cl_buf_put_str(&span->texts, d->said.state);
    if (code == 0 && core->config.trace_for_others) code = cl_buf_put_str(&span->texts, d->said.to);
    size_t method_at = span->texts.len;
    if (code == 0) code = cl_buf_put_str(&span->texts, method);
    if (code) return cl_trace_discard(span), NULL;
    span->state_n = d->said.state.n;
    span->to_n = method_at - span->state_n;
    span->method_n = method.n;
    span->kind = kind;
    span->place = d->from;
    span->place.flags = CL_TRACE_SAMPLED;
    if (!d->is_first) {
        memcpy(span->parent, d->from.span, CL_SPAN_ID);
        draw(&core->port, span->place.span, CL_SPAN_ID);
    }
    span->began = calendar(core);
    span->micros = cl_trace_micros(core);
    return span;
}

/* Appends the meta with the place of a span, or with the decision that there is none. 1, or 0: it is as it was. */
static int put_meta(const cl_core *core, const decision *d, const cl_open_span *span, cl_str meta, cl_buf *out)
{
    char text[CL_TRACEPARENT];
    cl_meta_trace trace = d->said;
    cl_trace_place place = d->from;
    int was_sampled = !d->is_first && (place.flags & CL_TRACE_SAMPLED);
    if (span) place = span->place;
    else place.flags &= (uint8_t)~CL_TRACE_SAMPLED;
    if (!span && !d->is_first && !was_sampled) return 0;
    if (!span && !core->config.traces) return 0;
    cl_traceparent_write(&place, text);
    trace.parent = cl_str_of(text, sizeof text);
    return cl_meta_with_trace(meta, &trace, out) == 0 && cl_buf_put_char(out, '\0') == 0;
}

/* The same. *span: the one that begins; NULL: none does. */
static int begin(const cl_core *core, cl_str meta, enum cl_span_kind kind, cl_str method, cl_open_span **span,
                 cl_buf *out)
{
    const decision d = decide(core, &core->port, meta);
    *span = d.is_recorded ? create(core, &d, kind, method) : NULL;
    if (d.is_recorded && !*span) return 0;
    return put_meta(core, &d, *span, meta, out);
}

void cl_trace_call(cl_core *core, cl_call *call, size_t rest, cl_str *meta, cl_buf *kept)
{
    cl_buf out = {0};
    enum cl_span_kind kind = call->notify ? CL_SPAN_PRODUCER : CL_SPAN_CLIENT;
    int is_new = begin(core, *meta, kind, CL_STR_NONE, &call->span, &out);
    size_t n = out.len - (size_t)is_new;
    if (!is_new || n > CL_META_MAX || n > rest) {
        cl_buf_free(&out);
        return;
    }
    cl_buf_free(kept);
    *kept = out;
    *meta = cl_str_of(out.data, n);
}

/* Of `other`, where the meta says nothing of a trace by itself. */
static cl_str with_trace(cl_str meta, cl_str other, cl_buf *merged)
{
    const cl_meta_trace theirs = cl_meta_trace_of(other);
    if (!theirs.parent.n || cl_meta_trace_of(meta).parent.n) return meta;
    return cl_meta_with_trace(meta, &theirs, merged) == 0 ? cl_buf_str(merged) : meta;
}

cl_open_span *cl_trace_publish(cl_core *core, cl_str topic, cl_str other, size_t rest, cl_payload *payload,
                               cl_buf *kept)
{
    cl_buf out = {0};
    cl_open_span *span;
    cl_str meta = with_trace(payload->meta, other, kept);
    if (begin(core, meta, CL_SPAN_PRODUCER, topic, &span, &out)) {
        cl_buf_free(kept);
        *kept = out;
        meta = cl_str_of(out.data, out.len - 1);
    } else {
        cl_buf_free(&out);
    }
    if (meta.n <= CL_META_MAX && meta.n <= rest) payload->meta = meta;
    return span;
}

void cl_trace_request(cl_core *core, cl_request *r, cl_str method)
{
    cl_buf out = {0};
    enum cl_span_kind kind = r->native & CL_NOTIFY ? CL_SPAN_CONSUMER : CL_SPAN_SERVER;
    int is_new = begin(core, cl_str_of(r->meta, r->meta_len), kind, method, &r->span, &out);
    if (!is_new || out.len - 1 > CL_META_MAX) {
        cl_buf_free(&out);
        return;
    }
    cl_free(r->meta);
    r->meta = out.data;
    r->meta_len = out.len - 1;
}

/* ---- what happens */

void cl_trace_note(const cl_core *core, cl_open_span *span, enum cl_span_event_kind kind, int code, cl_str peer)
{
    if (!span) return;
    size_t n = peer.n < PEER_MOST ? peer.n : PEER_MOST, at = span->texts.len;
    if (span->count == EVENTS || cl_buf_put(&span->texts, peer.p, n) != 0) {
        span->dropped++;
        return;
    }
    span->events[span->count++] = (noted){cl_trace_micros(core), code, (uint8_t)kind, (uint8_t)n, (uint32_t)at};
}

void cl_trace_failed(cl_open_span *span, int code, cl_str error)
{
    if (!span) return;
    span->code = code;
    cl_buf_clear(&span->error);
    cl_buf_put_str(&span->error, error); /* without memory the code says it */
}

/* ---- its end */

void cl_trace_discard(cl_open_span *span)
{
    if (!span) return;
    cl_buf_free(&span->texts);
    cl_buf_free(&span->error);
    cl_free(span);
}

/* A message that is lost is a span less. */
static void send_span(cl_node *node, cl_str to, const cl_span *span)
{
    cl_buf value = {0};
    int code = cl_buf_put_str(&value, CL_STR("{\"$span\":"));
    if (code == 0) code = cl_span_put(span, &value);
    if (code == 0) code = cl_buf_put_char(&value, '}');
    if (code == 0) cl_node_send(node, to, cl_buf_str(&value), NULL, 0);
    cl_buf_free(&value);
}

static void fill_events(const cl_open_span *open, cl_span_event out[EVENTS])
{
    for (uint32_t i = 0; i < open->count; i++) {
        const noted *e = &open->events[i];
        out[i] = (cl_span_event){(enum cl_span_event_kind)e->kind, moment(open, e->micros), e->code,
                                 cl_str_of(open->texts.data + e->peer_at, e->peer_n)};
    }
}

/* To whom it goes. to: the node that wants it; empty: none does. */
static void give(cl_node *node, cl_str to, const cl_span *span)
{
    cl_core *core = node->core;
    if (core->config.traces && core->port.span) core->port.span(core->port.self, span);
    if (to.n) send_span(node, to, span);
}

static void end(cl_node *node, cl_open_span *open, cl_span *span)
{
    cl_core *core = node->core;
    cl_span_event events[EVENTS];
    fill_events(open, events);
    span->kind = open->kind;
    span->place = open->place;
    memcpy(span->parent, open->parent, CL_SPAN_ID);
    span->began = open->began;
    span->ended = moment(open, cl_trace_micros(core));
    span->state = cl_str_of(open->texts.data, open->state_n);
    span->node = node->id;
    span->events = events;
    span->event_count = open->count;
    span->dropped_events = open->dropped;
    give(node, cl_str_of(open->texts.data + open->state_n, open->to_n), span);
    cl_trace_discard(open);
}

void cl_trace_called(cl_core *core, cl_call *call, uint32_t outcome, int code, cl_str error)
{
    cl_open_span *open = call->span;
    cl_span span = {.method = call->method->name,
                    .attempts = call->attempts,
                    .sends = call->sends,
                    .outcome = outcome,
                    .code = code,
                    .error = error};
    if (call->peer && call->sends) span.peer = call->peer->id;
    call->span = NULL;
    end(call->node, open, &span);
}

void cl_trace_served(cl_core *core, cl_request *r)
{
    cl_open_span *open = r->span;
    cl_span span = {.method = cl_str_of(open->texts.data + open->state_n + open->to_n, open->method_n),
                    .peer = r->caller,
                    .request = r->id,
                    .outcome = r->outcome,
                    .code = open->code,
                    .error = cl_buf_str(&open->error)};
    r->span = NULL;
    end(r->node, open, &span);
}

void cl_trace_published(cl_node *node, cl_open_span *open, int code)
{
    cl_span span = {.subject = CL_SPAN_OF_MESSAGE,
                    .method = cl_str_of(open->texts.data + open->state_n + open->to_n, open->method_n),
                    .outcome = code ? CLOUDS_OUTCOME_NOT_DONE : CLOUDS_OUTCOME_OK,
                    .code = code};
    end(node, open, &span);
}

/* ---- spans of the program's own
 *
 * Such a span is a text that its program keeps: a meta whose members of a trace go along with what is called in it, and
 * a member for one hop, "-span", of its parent and its beginning. So there is nothing to free, and any thread may have
 * it. */

static const uint8_t no_parent[CL_SPAN_ID];
static const int64_t LATEST = INT64_MAX / 2; /* the year 2116 */

static int put_begun(const cl_core *core, const decision *d, cl_buf *out)
{
    char digits[2 * CL_SPAN_ID];
    cl_hex_write(d->is_first ? no_parent : d->from.span, CL_SPAN_ID, digits);
    out->len--; /* the brace */
    return cl_buf_printf(out, ",\"-span\":\"%.*s %" PRIi64 " %" PRIi64 "\"}", (int)sizeof digits, digits, calendar(core),
                         cl_trace_micros(core));
}

int cl_trace_begin(const cl_core *core, const cl_port *chance, cl_str meta, cl_buf *out)
{
    char text[CL_TRACEPARENT];
    if (!core->config.traces && !cl_trace_is_asked(core, meta)) return 0;
    decision d = decide(core, chance, meta);
    cl_trace_place place = d.from;
    if (!d.is_recorded && !d.is_first && !(place.flags & CL_TRACE_SAMPLED)) return 0;
    if (d.is_recorded && !d.is_first) draw(chance, place.span, CL_SPAN_ID);
    if (d.is_recorded) place.flags = CL_TRACE_SAMPLED;
    else place.flags &= (uint8_t)~CL_TRACE_SAMPLED;
    cl_traceparent_write(&place, text);
    d.said.parent = cl_str_of(text, sizeof text);
    int code = cl_meta_with_trace(CL_STR_NONE, &d.said, out);
    return code == 0 && d.is_recorded ? put_begun(core, &d, out) : code;
}

/* The text of the member "-span"; empty: there is none. */
static cl_str begun_of(cl_str text)
{
    cl_json j;
    cl_str name, value, found = CL_STR_NONE;
    int escaped;
    cl_json_start(&j, text, CL_JSON_ANY);
    cl_json_enter(&j, '{');
    while (cl_json_member(&j, &name, &escaped) == 1) {
        int kind = cl_json_item(&j, &value, &escaped);
        if (kind < 0) break;
        if (kind == '"' && cl_str_eq(name, CL_STR("-span"))) found = value;
    }
    return found;
}

static int read_begun(cl_str text, uint8_t parent[CL_SPAN_ID], int64_t *began, int64_t *micros)
{
    char room[80];
    int used = 0;
    if (text.n >= sizeof room) return CLOUDS_EINVAL;
    *cl_str_copy(room, text) = '\0';
    if (strspn(room, "0123456789abcdef") != 2 * CL_SPAN_ID) return CLOUDS_EINVAL;
    for (int i = 0; i < CL_SPAN_ID; i++)
        parent[i] = (uint8_t)(cl_hex_value(room[2 * i]) << 4 | cl_hex_value(room[2 * i + 1]));
    int count = sscanf(room + 2 * CL_SPAN_ID, " %" SCNi64 " %" SCNi64 "%n", began, micros, &used);
    return count == 2 && room[2 * CL_SPAN_ID + used] == '\0' ? 0 : CLOUDS_EINVAL;
}

int cl_trace_read(const cl_own_span *own, cl_span *out)
{
    const cl_meta_trace said = cl_meta_trace_of(own->text);
    cl_str begun = begun_of(own->text);
    int64_t micros;
    *out = (cl_span){.kind = own->kind, .method = own->name, .error = own->error, .state = said.state};
    out->subject = own->kind == CL_SPAN_INTERNAL ? CL_SPAN_OF_PROGRAM : CL_SPAN_OF_MESSAGE;
    out->outcome = own->error.n ? CLOUDS_OUTCOME_APP_ERROR : CLOUDS_OUTCOME_OK;
    if (!begun.n) return 0;
    if (cl_traceparent_read(said.parent, &out->place) != 0) return CLOUDS_EINVAL;
    int code = read_begun(begun, out->parent, &out->began, &micros);
    if (code || micros < 0 || own->ended < micros || out->began < 0 || out->began > LATEST) return CLOUDS_EINVAL;
    out->ended = out->began + (own->ended - micros) * 1000;
    return 1;
}

int cl_trace_end(cl_node *node, const cl_own_span *own)
{
    cl_span span;
    if (cl_trace_read(own, &span) != 1) return CLOUDS_EINVAL;
    span.node = node->id;
    give(node, node->core->config.trace_for_others ? cl_meta_trace_of(own->text).to : CL_STR_NONE, &span);
    return 0;
}
