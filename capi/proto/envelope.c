#include "proto/envelope.h"

#include "clouds.h"

/* ---- writing
 *
 * One list of pieces serves both the length and the text, so the two cannot differ. */

enum { MAX_PIECES = 20 };

typedef struct pieces {
    cl_str list[MAX_PIECES];
    size_t n, bytes;
    char digits[24];
    cl_buf from, method; /* quoted, when they are not plain */
    int failed;
} pieces;

static inline void piece(pieces *p, cl_str s)
{
    p->list[p->n++] = s;
    p->bytes += s.n;
}

/* Text between quotes: as it is when that is possible, which is nearly always. */
static void quoted_piece(pieces *p, cl_str text, cl_buf *room)
{
    if (cl_json_is_plain(text)) {
        piece(p, CL_STR("\""));
        piece(p, text);
        piece(p, CL_STR("\""));
    } else if (cl_json_quote(text, room) == 0) {
        piece(p, cl_buf_str(room));
    } else {
        p->failed = 1;
    }
}

static void call_pieces(pieces *p, const cl_envelope *e)
{
    piece(p, CL_STR(",\"d\":{\"i\":\""));
    piece(p, e->id);
    piece(p, CL_STR("\",\"m\":"));
    quoted_piece(p, e->method, &p->method);
    piece(p, CL_STR(",\"a\":"));
    piece(p, e->args);
    if ((e->flags & CL_NATIVE) && e->deadline > 0) {
        piece(p, CL_STR(",\"x\":"));
        piece(p, cl_str_of(p->digits, cl_digits(p->digits, (uint64_t)e->deadline)));
    }
    piece(p, CL_STR("}}"));
}

static void result_pieces(pieces *p, const cl_envelope *e)
{
    piece(p, CL_STR(",\"d\":{\"i\":\""));
    piece(p, e->id);
    piece(p, CL_STR("\",\"e\":"));
    piece(p, e->error.n ? e->error : CL_STR("null"));
    if (e->result.n) {
        piece(p, CL_STR(",\"r\":"));
        piece(p, e->result);
    }
    piece(p, e->flags & CL_REFUSED ? CL_STR(",\"n\":1}}") : CL_STR("}}"));
}

static void message_pieces(pieces *p, const cl_envelope *e)
{
    if (e->data.n) {
        piece(p, CL_STR(",\"d\":"));
        piece(p, e->data);
    }
    piece(p, CL_STR("}"));
}

static void all_pieces(pieces *p, const cl_envelope *e)
{
    p->n = p->bytes = 0;
    p->failed = 0;
    p->from = p->method = (cl_buf){0};
    piece(p, e->type == CL_CALL     ? CL_STR("{\"t\":\"c\",\"s\":")
             : e->type == CL_RESULT ? CL_STR("{\"t\":\"r\",\"s\":")
                                    : CL_STR("{\"t\":\"m\",\"s\":"));
    quoted_piece(p, e->from, &p->from);
    if (e->type == CL_CALL) call_pieces(p, e);
    else if (e->type == CL_RESULT) result_pieces(p, e);
    else message_pieces(p, e);
}

static void free_pieces(pieces *p)
{
    if (p->from.cap) cl_buf_free(&p->from);
    if (p->method.cap) cl_buf_free(&p->method);
}

int cl_envelope_encode(const cl_envelope *e, cl_buf *out)
{
    pieces p;
    all_pieces(&p, e);
    int code = p.failed ? CLOUDS_ENOMEM : cl_buf_reserve(out, p.bytes);
    if (code == 0)
        for (size_t i = 0; i < p.n; i++) cl_buf_add_str(out, p.list[i]);
    free_pieces(&p);
    return code;
}

size_t cl_envelope_length(const cl_envelope *e)
{
    pieces p;
    all_pieces(&p, e);
    free_pieces(&p);
    return p.bytes;
}

/* ---- reading */

typedef struct reader {
    cl_json j;
    cl_buf *scratch;
} reader;

/* The plain text behind a raw string. */
static int plain(reader *r, cl_str raw, int escaped, cl_str *out)
{
    if (!escaped) {
        *out = raw;
        return 0;
    }
    size_t start = r->scratch->len;
    int code = cl_json_unescape(raw, r->scratch);
    if (code == 0) *out = cl_str_of(r->scratch->data + start, r->scratch->len - start);
    return code;
}

/* A member that ought to be a text; another kind leaves *out empty and *is_text 0. */
static int text_member(reader *r, int raw_wanted, cl_str *out, int *is_text)
{
    cl_str raw;
    int escaped;
    *out = CL_STR_NONE;
    *is_text = cl_json_peek(&r->j) == '"';
    if (!*is_text) return cl_json_value(&r->j, &raw);
    int code = cl_json_string(&r->j, &raw, &escaped);
    if (code == 0 && raw_wanted) *out = raw;
    else if (code == 0) code = plain(r, raw, escaped, out);
    return code;
}

static int is_key(cl_str key, char c)
{
    return key.n == 1 && key.p[0] == c;
}

static int array_member(reader *r, cl_str *out, int *is_array)
{
    *is_array = cl_json_peek(&r->j) == '[';
    int code = cl_json_value(&r->j, out);
    if (code == 0 && !*is_array) *out = CL_STR_NONE;
    return code;
}

/* A time in milliseconds: an integer without sign, fraction or exponent; anything else is no deadline. */
static int64_t milliseconds(cl_str span)
{
    int64_t v = 0;
    if (span.n == 0 || span.n > 15) return 0;
    for (size_t i = 0; i < span.n; i++) {
        if (span.p[i] < '0' || span.p[i] > '9') return 0;
        v = v * 10 + (span.p[i] - '0');
    }
    return v;
}

static int call_body(reader *r, cl_envelope *e)
{
    int more, escaped, has_id = 0, has_method = 0, is_array = 0, code = cl_json_enter(&r->j, '{');
    cl_str key, span;
    if (code != 0) return code;
    while ((more = cl_json_member(&r->j, &key, &escaped)) == 1) {
        if (is_key(key, 'i')) code = text_member(r, 1, &e->id, &has_id);
        else if (is_key(key, 'm')) code = text_member(r, 0, &e->method, &has_method);
        else if (is_key(key, 'a')) code = array_member(r, &e->args, &is_array);
        else code = cl_json_value(&r->j, &span);
        if (code == 0 && is_key(key, 'x')) e->deadline = milliseconds(span);
        if (code != 0) return code;
    }
    if (more < 0) return more;
    if (e->deadline) e->flags |= CL_NATIVE;
    if (!is_array) e->flags |= CL_NO_ARRAY;
    return has_id && has_method ? 0 : CLOUDS_EJSON;
}

/* What JavaScript calls falsy is no error. */
static cl_str truthy(cl_str span)
{
    static const char *const falsy[] = {"null", "false", "\"\"", "0", "-0", "0.0"};
    for (size_t i = 0; i < sizeof falsy / sizeof *falsy; i++)
        if (cl_str_eq(span, cl_str_z(falsy[i]))) return CL_STR_NONE;
    return span;
}

static int result_member(reader *r, cl_envelope *e, cl_str key)
{
    cl_str span;
    int code = cl_json_value(&r->j, &span);
    if (code != 0) return code;
    if (is_key(key, 'e')) e->error = truthy(span);
    if (is_key(key, 'n') && cl_str_eq(span, CL_STR("1"))) e->flags |= CL_REFUSED;
    if (!is_key(key, 'r')) return 0;
    e->result = span.p[0] == '[' ? span : CL_STR_NONE;
    return span.p[0] == '[' || span.p[0] == 'n' ? 0 : CLOUDS_EJSON;
}

static int result_body(reader *r, cl_envelope *e)
{
    int more, escaped, has_id = 0, code = cl_json_enter(&r->j, '{');
    cl_str key;
    if (code != 0) return code;
    while ((more = cl_json_member(&r->j, &key, &escaped)) == 1) {
        code = is_key(key, 'i') ? text_member(r, 1, &e->id, &has_id) : result_member(r, e, key);
        if (code != 0) return code;
    }
    if (more < 0) return more;
    return has_id ? 0 : CLOUDS_EJSON;
}

static void forget_body(cl_envelope *e)
{
    e->id = e->args = e->error = e->result = e->data = CL_STR_NONE;
    if (e->type != CL_OTHER) e->method = CL_STR_NONE;
    e->flags = 0;
    e->deadline = 0;
}

static int body(reader *r, cl_envelope *e)
{
    forget_body(e);
    if (e->type == CL_CALL) return call_body(r, e);
    if (e->type == CL_RESULT) return result_body(r, e);
    return cl_json_value(&r->j, &e->data);
}

static int type_of(cl_str t)
{
    return t.n == 1 && (t.p[0] == 'c' || t.p[0] == 'r' || t.p[0] == 'm') ? t.p[0] : CL_OTHER;
}

typedef struct top {
    int has_type, has_from, is_read; /* is_read: `d` was taken apart already, its type being known */
    cl_str d;
} top;

static int top_member(reader *r, cl_envelope *e, cl_str key, top *t)
{
    if (is_key(key, 't')) {
        cl_str name;
        int code = text_member(r, 0, &name, &t->has_type);
        e->type = type_of(name);
        e->method = e->type == CL_OTHER ? name : CL_STR_NONE;
        t->is_read = 0;
        return code;
    }
    if (is_key(key, 's')) return text_member(r, 0, &e->from, &t->has_from);
    if (!is_key(key, 'd')) return cl_json_value(&r->j, &(cl_str){0});
    cl_json_peek(&r->j);
    const char *start = r->j.p;
    t->is_read = t->has_type;
    int code = t->has_type ? body(r, e) : cl_json_value(&r->j, &e->data);
    t->d = cl_str_of(start, (size_t)(r->j.p - start));
    return code;
}

/* `d` came before the last `t`. */
static int late_body(reader *r, cl_envelope *e, const top *t, cl_json_limits limits)
{
    cl_json whole = r->j;
    cl_json_start(&r->j, t->d, limits);
    int code = body(r, e);
    r->j = whole;
    return code;
}

static int decode(cl_str text, cl_json_limits limits, reader *r, cl_envelope *e)
{
    int more, escaped;
    cl_str key;
    top t = {0};
    t.d = CL_STR_NONE;
    *e = (cl_envelope){.type = CL_OTHER, .raw = text};
    e->from = e->to = e->method = CL_STR_NONE;
    forget_body(e);
    cl_json_start(&r->j, text, limits);
    int code = cl_json_enter(&r->j, '{');
    if (code != 0) return code;
    while ((more = cl_json_member(&r->j, &key, &escaped)) == 1)
        if ((code = top_member(r, e, key, &t)) != 0) return code;
    if (more < 0) return more;
    if (cl_json_end(&r->j) != 0) return CLOUDS_EJSON;
    if (e->type == CL_OTHER) return 0;
    if (!t.has_from) return CLOUDS_EJSON;
    if (t.d.n && !t.is_read) return late_body(r, e, &t, limits);
    return t.d.n || e->type == CL_MESSAGE ? 0 : CLOUDS_EJSON;
}

int cl_envelope_decode(cl_str text, cl_json_limits limits, cl_buf *scratch, cl_envelope *out)
{
    reader r = {.scratch = scratch};
    cl_buf_clear(scratch);
    /* Unescaped text is never longer than the whole: with this room scratch does not move under the spans. Text without a
     * backslash needs none. */
    if (memchr(text.p, '\\', text.n) && cl_buf_reserve(scratch, text.n * 2) != 0) return CLOUDS_ENOMEM;
    int code = decode(text, limits, &r, out);
    if (!r.j.bad_utf8 || code != 0) return code;
    cl_buf_clear(scratch);
    if (cl_utf8_mend(text, scratch) != 0 || cl_buf_reserve(scratch, scratch->len * 2) != 0) return CLOUDS_ENOMEM;
    cl_str mended = cl_buf_str(scratch);
    r.j.bad_utf8 = 0;
    return decode(mended, limits, &r, out);
}
