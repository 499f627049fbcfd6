#include "fuzz.h"
#include "reference.h"

#include "proto/json.h"
#include "proto/utf8.h"

enum { DEPTH = 200 };

static const cl_json_limits wide = {DEPTH, 100000}, narrow = {4, 12};

static void both_validators_agree(cl_str text)
{
    const uint8_t *p = (const uint8_t *)text.p;
    HOLDS((cl_json_check(text, 0, wide) == 0) == reference_is_json(p, text.n, wide.depth, wide.values));
    HOLDS((cl_json_check(text, 0, narrow) == 0) == reference_is_json(p, text.n, narrow.depth, narrow.values));
}

/* What was unescaped comes back the same through quoting. */
static void string_survives(cl_str raw)
{
    cl_buf plain = {0}, quoted = {0}, again = {0};
    HOLDS(cl_json_unescape(raw, &plain) == 0);
    HOLDS(cl_json_quote(cl_buf_str(&plain), &quoted) == 0 && quoted.len >= 2);
    HOLDS(cl_json_unescape(cl_str_of(quoted.data + 1, quoted.len - 2), &again) == 0);
    HOLDS(cl_str_eq(cl_buf_str(&plain), cl_buf_str(&again)));
    cl_buf_free(&plain);
    cl_buf_free(&quoted);
    cl_buf_free(&again);
}

static int walk(cl_json *j, int good_utf8);

static int walk_object(cl_json *j, int good_utf8)
{
    cl_str key;
    int escaped, more, code = cl_json_enter(j, '{');
    while (code == 0 && (more = cl_json_member(j, &key, &escaped)) != 0) {
        if (more < 0) return more;
        HOLDS(escaped == (memchr(key.p, '\\', key.n) != NULL));
        if (good_utf8) string_survives(key);
        code = walk(j, good_utf8);
    }
    return code;
}

static int walk_array(cl_json *j, int good_utf8)
{
    int more, code = cl_json_enter(j, '[');
    while (code == 0 && (more = cl_json_element(j)) != 0) {
        if (more < 0) return more;
        code = walk(j, good_utf8);
    }
    return code;
}

/* Step by step instead of by whole values. */
static int walk(cl_json *j, int good_utf8)
{
    cl_str span;
    int escaped = 0, c = cl_json_peek(j);
    if (c == '{') return walk_object(j, good_utf8);
    if (c == '[') return walk_array(j, good_utf8);
    int kind = cl_json_item(j, &span, &escaped);
    if (kind < 0) return kind;
    HOLDS(kind == c);
    if (kind == '"' && good_utf8) string_survives(span);
    return 0;
}

static void walking_agrees(cl_str text)
{
    cl_json j, whole;
    cl_str span;
    cl_json_start(&whole, text, wide);
    int code = cl_json_value(&whole, &span), is_utf8 = reference_is_utf8((const uint8_t *)text.p, text.n);
    if (code == 0) {
        HOLDS(span.p >= text.p && span.p + span.n == whole.p && whole.p <= whole.end);
        HOLDS(!whole.bad_utf8 || !is_utf8);
    }
    cl_json_start(&j, text, wide);
    HOLDS((walk(&j, is_utf8) == 0) == (code == 0));
    if (code != 0) return;
    HOLDS(j.p == whole.p && j.bad_utf8 == whole.bad_utf8);
    HOLDS(j.depth_left == wide.depth && j.values_left == whole.values_left);
}

static void any_text_can_be_quoted(cl_str text)
{
    cl_buf quoted = {0};
    HOLDS(cl_json_quote(text, &quoted) == 0);
    HOLDS(quoted.len == cl_json_quoted_length(text));
    HOLDS(reference_is_json((const uint8_t *)quoted.data, quoted.len, 1, 1));
    int unchanged = quoted.len == text.n + 2 && cl_str_eq(cl_str_of(quoted.data + 1, text.n), text);
    HOLDS(cl_json_is_plain(text) == unchanged);
    cl_buf_free(&quoted);
}

static void mending_mends(cl_str text)
{
    cl_buf once = {0}, twice = {0};
    HOLDS(cl_utf8_mend(text, &once) == 0);
    HOLDS(reference_is_utf8((const uint8_t *)once.data, once.len));
    HOLDS(cl_utf8_mend(cl_buf_str(&once), &twice) == 0);
    HOLDS(cl_str_eq(cl_buf_str(&once), cl_buf_str(&twice)));
    HOLDS(cl_str_eq(cl_buf_str(&once), text) == reference_is_utf8((const uint8_t *)text.p, text.n));
    cl_buf_free(&once);
    cl_buf_free(&twice);
}

/* A form that others have in common is one itself, and JSON but for what stood behind a backslash. */
static void one_form_stays(cl_str text)
{
    cl_buf once = {0}, twice = {0};
    if (cl_json_check(text, 0, wide) != 0) return;
    HOLDS(cl_json_canonical(text, &once) == 0 && once.len > 0);
    if (memchr(text.p, '\\', text.n)) {
        cl_buf_free(&once);
        return;
    }
    HOLDS(reference_is_json((const uint8_t *)once.data, once.len, wide.depth, wide.values));
    HOLDS(cl_json_canonical(cl_buf_str(&once), &twice) == 0);
    HOLDS(cl_str_eq(cl_buf_str(&once), cl_buf_str(&twice)));
    cl_buf_free(&once);
    cl_buf_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cl_str text = {(const char *)data, size};
    both_validators_agree(text);
    walking_agrees(text);
    any_text_can_be_quoted(text);
    mending_mends(text);
    one_form_stays(text);
    return 0;
}
