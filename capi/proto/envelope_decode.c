#include "clouds.h"
#include "base/hex.h"
#include "proto/envelope.h"
#include "proto/envelope_fast.h"

/* Design note. One pass finds the members t, s, d and, if d is an object, those of d that calls and results have; a
 * message's d may have them too, which harms nobody. What they mean is settled after it, for t may come last. Only bad
 * UTF-8 costs a second pass, over the mended text. All that only when the text has not the fast form. */

enum field {
    F_TYPE,
    F_FROM,
    F_DATA,
    F_ID,
    F_METHOD,
    F_ARGS,
    F_ERROR,
    F_RESULT,
    F_DEADLINE,
    F_HOME,
    F_REFUSED,
    F_COUNT
};

typedef struct fields {
    char kind[F_COUNT];    /* first character of the value; 0: absent */
    char escaped[F_COUNT]; /* text: has escapes */
    cl_str span[F_COUNT];  /* of a text what stands between its quotes. Set where kind is */
} fields;

static int hex_value(cl_str digits)
{
    int value = 0;
    for (size_t i = 0; i < digits.n; i++) value = value * 16 + cl_hex_value(digits.p[i]);
    return value;
}

/* A name of one character, even if it is written as an escape; else 0. */
static inline int short_name(cl_str key, int escaped)
{
    if (!escaped) return key.n == 1 ? (unsigned char)key.p[0] : 0;
    int code = key.n == 6 && key.p[0] == '\\' && key.p[1] == 'u' ? hex_value(cl_str_of(key.p + 2, 4)) : 0;
    return code < 0x80 ? code : 0;
}

static inline int read_value(cl_json *j, fields *f, enum field field)
{
    int escaped = 0, kind = cl_json_item(j, &f->span[field], &escaped);
    f->kind[field] = (char)kind;
    f->escaped[field] = (char)escaped;
    return kind < 0 ? kind : 0;
}

static int skip_value(cl_json *j)
{
    cl_str span;
    return cl_json_value(j, &span);
}

static inline int payload_field(int name)
{
    switch (name) {
    case 'i':
        return F_ID;
    case 'm':
        return F_METHOD;
    case 'a':
        return F_ARGS;
    case 'e':
        return F_ERROR;
    case 'r':
        return F_RESULT;
    case 'x':
        return F_DEADLINE;
    case 'h':
        return F_HOME;
    case 'n':
        return F_REFUSED;
    default:
        return -1;
    }
}

static int read_payload_members(cl_json *j, fields *f)
{
    cl_str key;
    int escaped, more, code = cl_json_enter(j, '{');
    if (code != 0) return code;
    while ((more = cl_json_member(j, &key, &escaped)) == 1) {
        int field = payload_field(short_name(key, escaped));
        code = field < 0 ? skip_value(j) : read_value(j, f, (enum field)field);
        if (code != 0) return code;
    }
    return more;
}

static int read_payload(cl_json *j, fields *f)
{
    memset(&f->kind[F_ID], 0, F_COUNT - F_ID); /* of several d the last counts */
    f->kind[F_DATA] = (char)cl_json_peek(j);
    if (f->kind[F_DATA] != '{') return cl_json_value(j, &f->span[F_DATA]);
    const char *start = j->p;
    int code = read_payload_members(j, f);
    f->span[F_DATA] = cl_str_of(start, (size_t)(j->p - start));
    return code;
}

static int read_members(cl_json *j, fields *f)
{
    cl_str key;
    int escaped, more, code = cl_json_enter(j, '{');
    if (code != 0) return code;
    while ((more = cl_json_member(j, &key, &escaped)) == 1) {
        switch (short_name(key, escaped)) {
        case 't':
            code = read_value(j, f, F_TYPE);
            break;
        case 's':
            code = read_value(j, f, F_FROM);
            break;
        case 'd':
            code = read_payload(j, f);
            break;
        default:
            code = skip_value(j);
        }
        if (code != 0) return code;
    }
    return more;
}

static int read_text(cl_str text, cl_json_limits limits, fields *f, int *bad_utf8)
{
    memset(f->kind, 0, sizeof f->kind);
    cl_json j;
    cl_json_start(&j, text, limits);
    int kind = cl_json_peek(&j);
    int code = kind == '{' ? read_members(&j, f) : kind == 'n' ? CLOUDS_EJSON : skip_value(&j);
    *bad_utf8 = j.bad_utf8;
    return code == 0 ? cl_json_end(&j) : code;
}

/* ---- the meaning */

/* A text as it is meant; empty when the field is none. The room for what was escaped has been made. */
static inline cl_str plain(const fields *f, enum field field, cl_buf *scratch)
{
    if (f->kind[field] != '"') return CL_STR_NONE;
    if (!f->escaped[field]) return f->span[field];
    size_t at = scratch->len;
    if (cl_json_unescape(f->span[field], scratch) != 0) return CL_STR_NONE;
    return cl_str_of(scratch->data + at, scratch->len - at);
}

static size_t room_for(const fields *f, enum field field)
{
    return f->kind[field] == '"' && f->escaped[field] ? f->span[field].n : 0;
}

/* A whole number that is not negative and has at most 18 digits. */
static int read_time(const fields *f, int64_t *out)
{
    cl_str s = f->span[F_DEADLINE];
    int64_t value = 0;
    if (f->kind[F_DEADLINE] < '0' || f->kind[F_DEADLINE] > '9' || s.n > 18) return 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') return 0;
        value = value * 10 + (s.p[i] - '0');
    }
    *out = value;
    return 1;
}

static int finish_call(const fields *f, cl_buf *scratch, cl_envelope *out)
{
    out->type = CL_CALL;
    if (out->from.n == 0 || f->kind[F_DATA] != '{' || f->kind[F_ID] != '"') return CLOUDS_EJSON;
    out->id = f->span[F_ID];
    out->method = plain(f, F_METHOD, scratch);
    if (f->kind[F_ARGS] == '[') out->args = f->span[F_ARGS];
    else out->flags |= CL_NO_ARRAY;
    if (f->kind[F_DEADLINE] && read_time(f, &out->deadline)) out->flags |= CL_NATIVE;
    if (out->flags & CL_NATIVE && f->kind[F_HOME] == '"' && !f->escaped[F_HOME]) out->home = f->span[F_HOME];
    return 0;
}

static int finish_result(const fields *f, cl_envelope *out)
{
    out->type = CL_RESULT;
    if (f->kind[F_DATA] != '{' || f->kind[F_ID] != '"') return CLOUDS_EJSON;
    out->id = f->span[F_ID];
    if (f->kind[F_RESULT] == '[') out->result = f->span[F_RESULT];
    else if (f->kind[F_RESULT] && f->kind[F_RESULT] != 'n') return CLOUDS_EJSON;
    cl_str error = f->kind[F_ERROR] ? f->span[F_ERROR] : CL_STR_NONE;
    if (f->kind[F_ERROR] == '"') error = cl_str_of(error.p - 1, error.n + 2);
    if (!cl_json_is_falsy(error)) out->error = error;
    if (f->span[F_REFUSED].n == 1 && f->kind[F_REFUSED] == '1') out->flags |= CL_REFUSED;
    if (f->span[F_REFUSED].n == 1 && f->kind[F_REFUSED] == '2') out->flags |= CL_LOST;
    return 0;
}

static int finish(const fields *f, cl_str text, cl_buf *scratch, cl_envelope *out)
{
    *out = cl_envelope_empty;
    size_t room = room_for(f, F_FROM) + room_for(f, F_METHOD) + room_for(f, F_TYPE);
    if (room && cl_buf_reserve(scratch, room) != 0) return CLOUDS_ENOMEM;
    out->from = plain(f, F_FROM, scratch);
    cl_str type = plain(f, F_TYPE, scratch);
    int letter = type.n == 1 ? type.p[0] : 0;
    if (letter == 'c') return finish_call(f, scratch, out);
    if (letter == 'r') return finish_result(f, out);
    if (f->kind[F_DATA]) out->data = f->span[F_DATA];
    out->type = CL_MESSAGE;
    if (letter == 'm') return 0;
    out->type = CL_OTHER;
    out->method = type;
    out->raw = text;
    return 0;
}

int cl_envelope_decode(cl_str text, cl_json_limits limits, cl_buf *scratch, cl_envelope *out)
{
    fields f;
    int bad_utf8;
    cl_buf_clear(scratch);
    size_t fast = cl_envelope_decode_fast(text, limits, out);
    if (fast && fast == text.n) return 0;
    int code = read_text(text, limits, &f, &bad_utf8);
    if (code == 0 && bad_utf8) {
        if (cl_utf8_mend(text, scratch) != 0) return CLOUDS_ENOMEM;
        size_t length = scratch->len;
        if (cl_buf_reserve(scratch, length) != 0) return CLOUDS_ENOMEM; /* for names: nothing may move any more */
        text = cl_str_of(scratch->data, length);
        code = read_text(text, limits, &f, &bad_utf8);
    }
    return code == 0 ? finish(&f, text, scratch, out) : code;
}

static void leave_out(cl_envelope *e, unsigned why)
{
    e->args = e->error = e->result = e->data = e->raw = CL_STR_NONE;
    e->extension = NULL;
    e->flags = (e->flags & (CL_NATIVE | CL_FRAMES | CL_NOTIFY)) | why;
}

void cl_envelope_mark_too_big(cl_envelope *e, size_t size)
{
    leave_out(e, CL_TOO_BIG);
    e->size = size;
}

void cl_envelope_mark_unsupported(cl_envelope *e)
{
    leave_out(e, CL_UNSUPPORTED);
}

int cl_envelope_decode_too_big(cl_str text, cl_buf *scratch, cl_envelope *out)
{
    int code = cl_envelope_decode(text, CL_JSON_ANY, scratch, out);
    if (code != 0 || (out->type != CL_CALL && out->type != CL_RESULT)) return CLOUDS_ETOOBIG;
    cl_envelope_mark_too_big(out, text.n);
    return 0;
}
