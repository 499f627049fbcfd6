/* JSON text to Lua values.
 *
 * Design note. Values are pushed as they are read. The first elements of an array wait on the stack until their number
 * is known, so that a short array gets a table of exactly its size. Strict as RFC 8259, except that bytes which are no
 * UTF-8 become U+FFFD, as everywhere in clouds; lone surrogates become their three bytes (WTF-8), which the encoder
 * writes back. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <lauxlib.h>

#include "json.h"
#include "number.h"
#include "utf8.h"

typedef struct decoder {
    lua_State *L;
    lc_codec *codec;
    const char *start, *p, *end;
    lc_area bytes; /* that came along */
    int depth;
} decoder;

enum { ON_STACK = 32, ROOM = 8 /* values that there is room for on the stack, always */ };

static bool decode(decoder *d);

static bool fail(decoder *d, const char *what)
{
    snprintf(d->codec->error, sizeof d->codec->error, "%s at byte %zu", what, (size_t)(d->p - d->start) + 1);
    return false;
}

static int peek(decoder *d)
{
    for (; d->p < d->end; d->p++) {
        unsigned char c = (unsigned char)*d->p;
        if (c > ' ' || (c != ' ' && c != '\n' && c != '\t' && c != '\r')) return c;
    }
    return -1;
}

static bool expected(decoder *d, const char *what)
{
    char text[64];
    snprintf(text, sizeof text, "expected %s", what);
    return fail(d, d->p < d->end ? text : "unexpected end of JSON");
}

/* ---- strings ---- */

static bool is_hex4(const char *p, const char *end, uint32_t *code)
{
    if (end - p < 4) return false;
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)p[i];
        uint32_t digit = c - '0';
        if (digit > 9) {
            digit = (c | 32u) - 'a' + 10u;
            if (digit < 10 || digit > 15) return false;
        }
        value = value << 4 | digit;
    }
    *code = value;
    return true;
}

/* At the 'u' of an escape; a pair of surrogates is one character. */
static bool unescape_unicode(decoder *d, lc_text *to)
{
    uint32_t code, low;
    char bytes[4];
    if (!is_hex4(d->p + 1, d->end, &code)) return fail(d, "bad \\u escape");
    d->p += 5;
    if (code >= 0xD800 && code < 0xDC00 && d->end - d->p >= 6 && d->p[0] == '\\' && d->p[1] == 'u' &&
        is_hex4(d->p + 2, d->end, &low) && low >= 0xDC00 && low < 0xE000) {
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        d->p += 6;
    }
    return lc_text_add(to, bytes, (size_t)lc_utf8_put(code, bytes)) || fail(d, "not enough memory");
}

static bool unescape(decoder *d, lc_text *to)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    if (++d->p >= d->end) return expected(d, "an escape");
    if (*d->p == 'u') return unescape_unicode(d, to);
    const char *found = *d->p ? strchr(from, *d->p) : NULL;
    if (!found) return fail(d, "bad escape");
    d->p++;
    return lc_text_add_char(to, into[found - from]) || fail(d, "not enough memory");
}

/* The whole way, through the scratch text: what cannot be taken over byte by byte. d->p is behind the quote. */
static bool decode_string_slow(decoder *d)
{
    lc_text *to = &d->codec->scratch;
    bool ok = true;
    to->len = 0;
    for (;;) {
        unsigned char c = d->p < d->end ? (unsigned char)*d->p : 0;
        if (d->p >= d->end) return fail(d, "unexpected end of JSON");
        if (c == '"') break;
        if (c < 0x20) return fail(d, "control character in a string");
        if (c == '\\') {
            if (!unescape(d, to)) return false;
            continue;
        }
        int step = c < 0x80 ? 1 : lc_utf8_step((const unsigned char *)d->p, (size_t)(d->end - d->p));
        ok = step > 0 ? lc_text_add(to, d->p, (size_t)step) : lc_text_add(to, "\xEF\xBF\xBD", 3);
        if (!ok) return fail(d, "not enough memory");
        d->p += step > 0 ? step : 1;
    }
    d->p++;
    lua_pushlstring(d->L, to->data ? to->data : "", to->len);
    return true;
}

/* At the quote. */
static bool decode_string(decoder *d)
{
    const char *start = ++d->p, *p = start, *end = d->end;
    while (p < end) {
        unsigned char c = (unsigned char)*p;
        if (c == '"') {
            lua_pushlstring(d->L, start, (size_t)(p - start));
            d->p = p + 1;
            return true;
        }
        if (c == '\\' || c < 0x20) break;
        int step = c < 0x80 ? 1 : lc_utf8_step((const unsigned char *)p, (size_t)(end - p));
        if (step <= 0) break;
        p += step;
    }
    return decode_string_slow(d);
}

/* ---- arrays and objects ---- */

static bool enter(decoder *d)
{
    if (++d->depth > LC_JSON_MAX_DEPTH) return fail(d, "nested deeper than 256");
    if (!lua_checkstack(d->L, ON_STACK + 8)) return fail(d, "not enough memory");
    d->p++;
    return true;
}

/* Behind an element: 1 another one follows, 0 it was the last, -1 failed. */
static int next_element(decoder *d, char close)
{
    int c = peek(d);
    if (c == ',') {
        d->p++;
        return 1;
    }
    if (c != close) return expected(d, close == ']' ? "',' or ']'" : "',' or '}'") - 1;
    d->p++;
    return 0;
}

/* Puts the `count` values at the top into a new table, in whose place they stood. */
static void gather(decoder *d, int count, int room)
{
    lua_State *L = d->L;
    int base = lua_gettop(L) - count + 1;
    lua_createtable(L, room, 0);
    lua_insert(L, base);
    for (int i = count; i > 0; i--) lua_rawseti(L, base, i);
}

static bool decode_array(decoder *d)
{
    lua_State *L = d->L;
    if (!enter(d)) return false;
    int count = 0, table = 0;
    if (peek(d) == ']') {
        d->p++;
    } else {
        for (int more = 1; more > 0;) {
            if (!decode(d)) return false;
            count++;
            if (table) lua_rawseti(L, table, count);
            else if (count == ON_STACK) {
                gather(d, count, count * 2);
                table = lua_gettop(L);
            }
            if ((more = next_element(d, ']')) < 0) return false;
        }
    }
    if (!table) gather(d, count, count);
    lua_rawgeti(L, LUA_REGISTRYINDEX, d->codec->array_ref);
    lua_setmetatable(L, -2);
    d->depth--;
    return true;
}

static bool decode_member(decoder *d)
{
    if (peek(d) != '"') return expected(d, "a string as the key");
    if (!decode_string(d)) return false;
    if (peek(d) != ':') return expected(d, "':'");
    d->p++;
    return decode(d);
}

/* An element of the array at the top, if it is a whole number up to `most`. */
static bool offset_at(lua_State *L, int i, size_t most, size_t *out)
{
    lua_rawgeti(L, -1, i);
    lua_Number n = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
    lua_pop(L, 1);
    if (n < 0 || n > (lua_Number)most || n != (lua_Number)(size_t)n) return false;
    *out = (size_t)n;
    return true;
}

/* The only member of the table below it is at the top, and has the name of bytes: they take the place of all, if they
 * are some. */
static void take_bytes(decoder *d)
{
    lua_State *L = d->L;
    size_t offset, len;
    if (lua_istable(L, -1) && lua_objlen(L, -1) == 2 && offset_at(L, 1, d->bytes.len, &offset) &&
        offset_at(L, 2, d->bytes.len - offset, &len)) {
        lua_pop(L, 3);
        lc_push_bytes(L, d->codec, (const char *)d->bytes.p + offset, len);
    } else {
        lua_pop(L, 2);
    }
}

/* The table at the top has one member: it may stand for bytes, or be an object that looks so, which was escaped. */
static void look_for_bytes(decoder *d)
{
    lua_State *L = d->L;
    size_t len;
    lua_pushnil(L);
    if (!lua_next(L, -2)) return;
    const char *name = lua_tolstring(L, -2, &len);
    int mark = d->codec->bytes_mark(name, len);
    if (mark == 1) {
        take_bytes(d);
    } else if (mark > 1) {
        lua_pushlstring(L, name + 1, len - 1);
        lua_insert(L, -2);
        lua_rawset(L, -4);
        lua_pushnil(L);
        lua_rawset(L, -3);
    } else {
        lua_pop(L, 2);
    }
}

static bool decode_object(decoder *d)
{
    lua_State *L = d->L;
    int members = 0;
    if (!enter(d)) return false;
    lua_createtable(L, 0, 4);
    int table = lua_gettop(L);
    if (peek(d) == '}') {
        d->p++;
    } else {
        for (int more = 1; more > 0; members++) {
            if (!decode_member(d)) return false;
            lua_rawset(L, table);
            if ((more = next_element(d, '}')) < 0) return false;
        }
    }
    d->depth--;
    if (d->bytes.len && members == 1) look_for_bytes(d);
    return true;
}

static bool decode_word(decoder *d, const char *word, size_t len)
{
    if ((size_t)(d->end - d->p) < len || memcmp(d->p, word, len) != 0) return expected(d, "a value");
    d->p += len;
    if (*word == 'n') lc_push_null(d->L, d->codec);
    else lua_pushboolean(d->L, *word == 't');
    return true;
}

static bool decode_any_number(decoder *d)
{
    double number;
    const char *behind = lc_number_read_any(d->p, d->end, &number);
    if (!behind) return expected(d, "a value");
    if (isinf(number)) return fail(d, "number out of range");
    d->p = behind;
    lua_pushnumber(d->L, number);
    return true;
}

static inline bool decode_number(decoder *d)
{
    double number;
    const char *behind = lc_number_read_small(d->p, d->end, &number);
    if (!behind) return decode_any_number(d);
    d->p = behind;
    lua_pushnumber(d->L, number);
    return true;
}

static bool decode(decoder *d)
{
    switch (peek(d)) {
    case '"':
        return decode_string(d);
    case '[':
        return decode_array(d);
    case '{':
        return decode_object(d);
    case 't':
        return decode_word(d, "true", 4);
    case 'f':
        return decode_word(d, "false", 5);
    case 'n':
        return decode_word(d, "null", 4);
    default:
        return decode_number(d);
    }
}

/* ---- the entrances ---- */

static decoder start(lua_State *L, lc_codec *codec, const char *text, size_t len, lc_area bytes)
{
    return (decoder){.L = L, .codec = codec, .start = text, .p = text, .end = text + len, .bytes = bytes};
}

static bool finish(decoder *d, int top, bool ok)
{
    if (ok && peek(d) >= 0) ok = fail(d, "unexpected text behind the value");
    if (!ok) lua_settop(d->L, top);
    if (d->codec->scratch.cap > 1 << 20) lc_text_trim(&d->codec->scratch);
    return ok;
}

bool lc_decode_value(lua_State *L, lc_codec *codec, const char *text, size_t len, lc_area bytes)
{
    decoder d = start(L, codec, text, len, bytes);
    int top = lua_gettop(L);
    return finish(&d, top, lua_checkstack(L, 8) ? decode(&d) : fail(&d, "not enough memory"));
}

static bool decode_top(decoder *d, int *count)
{
    int c = peek(d);
    if (c >= '0' && c <= '9') {
        if (!decode_number(d)) return false;
    } else if (c == 'n') {
        if (!decode_word(d, "null", 4)) return false;
        lua_pop(d->L, 1);
        lua_pushnil(d->L);
    } else if (!decode(d)) {
        return false;
    }
    ++*count;
    if (*count % ROOM != 0) return true;
    if (*count > LC_JSON_MAX_VALUES) return fail(d, "more than 7000 values in a list");
    return lua_checkstack(d->L, 2 * ROOM) || fail(d, "not enough memory");
}

int lc_decode_values(lua_State *L, lc_codec *codec, const char *text, size_t len, lc_area bytes)
{
    decoder d = start(L, codec, text, len, bytes);
    int top = lua_gettop(L), count = 0, more = 1;
    bool ok = peek(&d) == '[' || expected(&d, "'['");
    d.p += ok;
    d.depth = 1;
    if (ok && peek(&d) == ']') {
        d.p++;
        more = 0;
    }
    while (ok && more > 0) {
        ok = decode_top(&d, &count);
        if (ok && (more = next_element(&d, ']')) < 0) ok = false;
    }
    return finish(&d, top, ok) ? count : -1;
}

/* Keeps what the table has under a key already. */
static bool add_member(decoder *d, int table)
{
    lua_State *L = d->L;
    if (!decode_member(d)) return false;
    lua_pushvalue(L, -2);
    lua_rawget(L, table);
    bool has = !lua_isnil(L, -1);
    lua_pop(L, 1);
    if (has) lua_pop(L, 2);
    else lua_rawset(L, table);
    return true;
}

bool lc_decode_into(lua_State *L, lc_codec *codec, const char *text, size_t len, int index)
{
    decoder d = start(L, codec, text, len, (lc_area){0});
    int top = lua_gettop(L), more = 1;
    bool ok = lua_checkstack(L, 16) || fail(&d, "not enough memory");
    if (ok && peek(&d) != '{') ok = expected(&d, "'{'");
    d.p += ok;
    d.depth = 1;
    if (ok && peek(&d) == '}') {
        d.p++;
        more = 0;
    }
    while (ok && more > 0) {
        ok = add_member(&d, index);
        if (ok && (more = next_element(&d, '}')) < 0) ok = false;
    }
    return finish(&d, top, ok);
}
