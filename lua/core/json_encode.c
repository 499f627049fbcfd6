/* Lua values to JSON text.
 *
 * Design note. One pass with lua_next: a table whose keys come as 1, 2, 3 ... is written as an array while they come,
 * one whose first key is a string as an object. Only a table that turns out otherwise (integer keys in the hash part,
 * a field n) is begun again the slow way. Nothing of a table is ever left out in silence: a key that has no place in an
 * array is a failure. The encoder never raises: it remembers why it failed and where, from the keys on the Lua stack.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <lauxlib.h>

#include "json_encoder.h"
#include "number.h"
#include "utf8.h"

static bool encode(encoder *e, int index);

static bool no_memory(encoder *e)
{
    lc_json_fail(e, "not enough memory");
    return lc_json_refuse(e, LC_JSON_NO_MEMORY);
}

static bool too_long(encoder *e)
{
    lc_json_fail(e, "the JSON text is larger than 256 MB");
    return lc_json_refuse(e, LC_JSON_TOO_LONG);
}

static bool add(encoder *e, const char *bytes, size_t len)
{
    if (e->out->len + len > LC_JSON_MAX_LENGTH) return too_long(e);
    return lc_text_add(e->out, bytes, len) || no_memory(e);
}

static inline bool add_char(encoder *e, char c)
{
    return lc_text_add_char(e->out, c) || no_memory(e);
}

/* ---- strings and numbers ---- */

static bool encode_string(encoder *e, int index)
{
    size_t len, bad_at;
    const char *s = lua_tolstring(e->L, index, &len);
    bool ok;
    if (e->out->len + len > LC_JSON_MAX_LENGTH) return too_long(e);
    lc_encode_string(e->out, s, len, &ok, &bad_at);
    if (ok) return true;
    if (bad_at == SIZE_MAX) return no_memory(e);
    lc_json_fail(e, "cannot encode a string that is not UTF-8 (byte %zu)", bad_at + 1);
    return lc_json_refuse(e, LC_JSON_BAD_TEXT);
}

static bool encode_number(encoder *e, int index)
{
    if (!lc_text_reserve(e->out, LC_NUMBER_ROOM)) return no_memory(e);
    e->out->len += lc_number_write(lua_tonumber(e->L, index), e->out->data + e->out->len);
    return true;
}

/* ---- bytes ---- */

static bool encode_bytes(encoder *e, int index)
{
    char place[64];
    size_t len = lua_objlen(e->L, index);
    if (!e->bytes || !e->codec->bytes_mark)
        return lc_json_fail(e, "cannot encode bytes here: arguments, results, messages and what is published may have them");
    if (!e->has_bytes) return lc_json_refuse(e, LC_JSON_HAS_BYTES);
    if (e->bytes->len + len > LC_JSON_MAX_LENGTH) return too_long(e);
    int n = snprintf(place, sizeof place, "{\"$bytes\":[%zu,%zu]}", e->bytes->len, len);
    return add(e, place, (size_t)n) && (lc_text_add(e->bytes, lua_touserdata(e->L, index), len) || no_memory(e));
}

/* The first pair of the table at `index` is at the top. Is it an object that looks like a piece of bytes, or as one
 * that does would be written? */
static bool looks_like_bytes(encoder *e, int index)
{
    size_t len;
    if (!e->has_bytes) return false;
    const char *name = lua_tolstring(e->L, -2, &len);
    if (!e->codec->bytes_mark(name, len)) return false;
    lua_pushvalue(e->L, -2);
    if (!lua_next(e->L, index)) return true;
    lua_pop(e->L, 2);
    return false;
}

/* Such an object, and its only pair: its name has one '$' more. */
static bool encode_escaped(encoder *e)
{
    int top = lua_gettop(e->L);
    size_t at = e->out->len + 1;
    if (!encode_string(e, top - 1) || !add_char(e, '$')) return false;
    memmove(e->out->data + at + 1, e->out->data + at, e->out->len - 1 - at);
    e->out->data[at] = '$';
    if (!add_char(e, ':') || !encode(e, top)) return false;
    lua_pop(e->L, 2);
    return add_char(e, '}');
}

/* ---- tables ---- */

static bool enter(encoder *e, int index)
{
    const void *table = lua_topointer(e->L, index);
    for (int i = 0; i < e->depth; i++)
        if (e->levels[i].table == table) return lc_json_fail(e, "cannot encode a table that contains itself");
    if (e->depth == LC_JSON_MAX_DEPTH) {
        lc_json_fail(e, "cannot encode tables nested deeper than %d", LC_JSON_MAX_DEPTH);
        return lc_json_refuse(e, LC_JSON_TOO_DEEP);
    }
    if (!lua_checkstack(e->L, 8)) return no_memory(e);
    e->levels[e->depth++] = (level){.table = table};
    return true;
}

static bool is_marked(encoder *e, int index)
{
    if (!lua_getmetatable(e->L, index)) return false;
    bool marked = lua_topointer(e->L, -1) == e->codec->array;
    lua_pop(e->L, 1);
    return marked;
}

static bool encode_elements(encoder *e, int index, size_t count)
{
    level *here = &e->levels[e->depth - 1];
    here->key = 0;
    if (!add_char(e, '[')) return false;
    for (size_t i = 1; i <= count; i++) {
        if (i > 1 && !add_char(e, ',')) return false;
        lua_rawgeti(e->L, index, (int)i);
        here->number = (lua_Number)i;
        if (!encode(e, lua_gettop(e->L))) return false;
        lua_pop(e->L, 1);
    }
    return add_char(e, ']');
}

/* The keys are not 1, 2, 3 ... in this order: fine if they are exactly 1 .. n in another one. */
static bool encode_unordered(encoder *e, int index)
{
    lua_State *L = e->L;
    size_t count = 0, most = 0;
    bool strings = false;
    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        lua_Number key = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : 0;
        if (key >= 1 && key == floor(key) && key <= LC_JSON_MAX_LENGTH) {
            count++;
            if ((size_t)key > most) most = (size_t)key;
        } else if (lua_type(L, -1) == LUA_TSTRING) {
            strings = true;
        } else {
            e->levels[e->depth - 1].key = lua_gettop(L);
            return lc_json_fail(e, "cannot encode a table with a %s key%s", key ? "fractional" : luaL_typename(L, -1),
                        lua_type(L, -1) == LUA_TNUMBER ? " that is no index" : "");
        }
    }
    e->depth--;
    if (strings) return lc_json_fail(e, "cannot encode a table with both numbers and strings as keys");
    if (most != count) return lc_json_fail(e, "cannot encode an array with holes (clouds.array(t, n) can)");
    e->depth++;
    return encode_elements(e, index, count);
}

static bool encode_member(encoder *e)
{
    int top = lua_gettop(e->L);
    return encode_string(e, top - 1) && add_char(e, ':') && encode(e, top);
}

/* What the keys of a list say: the largest index, how many indices there are, and its field n (-1: none). */
typedef struct extent {
    lua_Number most, count, n;
} extent;

static bool is_index(lua_State *L, int index)
{
    lua_Number key = lua_type(L, index) == LUA_TNUMBER ? lua_tonumber(L, index) : 0;
    return key >= 1 && key == floor(key) && key <= LC_JSON_MAX_LENGTH;
}

/* The pair at the top is n and a count. */
static bool take_n(encoder *e, extent *to)
{
    lua_Number n = lua_type(e->L, -1) == LUA_TNUMBER ? lua_tonumber(e->L, -1) : -1;
    if (n < 0 || n != floor(n)) return lc_json_fail(e, "the field n of a list is a count, not a %s", luaL_typename(e->L, -1));
    if (n > LC_JSON_MAX_LENGTH / 2) return lc_json_fail(e, "cannot encode an array of %.14g elements", n);
    to->n = n;
    return true;
}

static bool no_list(encoder *e)
{
    char key[48];
    level at = {.key = lua_gettop(e->L) - 1};
    if (lua_type(e->L, at.key) == LUA_TSTRING || lua_type(e->L, at.key) == LUA_TNUMBER)
        lc_json_append_key(e, &at, key, sizeof key);
    else snprintf(key, sizeof key, "a %s", luaL_typename(e->L, at.key));
    return lc_json_fail(e, "a list cannot have the key %s: to send a table as one value, put it into the list: { { a = 1 } }",
                key[0] == '.' ? key + 1 : key);
}

static bool measure(encoder *e, int index, extent *to)
{
    lua_State *L = e->L;
    *to = (extent){.n = -1};
    lua_rawgeti(L, LUA_REGISTRYINDEX, e->codec->n_ref);
    int n = lua_gettop(L);
    lua_pushnil(L);
    while (lua_next(L, index)) {
        if (is_index(L, -2)) {
            to->count++;
            if (lua_tonumber(L, -2) > to->most) to->most = lua_tonumber(L, -2);
        } else if (lua_rawequal(L, -2, n) ? !take_n(e, to) : !no_list(e)) {
            return false;
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return true;
}

/* The slow way for lists: with a field n, with holes, or with their keys in another order. */
static bool encode_measured(encoder *e, int index)
{
    extent is;
    e->depth--; /* what is wrong is wrong with the list itself */
    if (!measure(e, index, &is)) return false;
    if (is.n < 0 && is.most != is.count)
        return lc_json_fail(e, "a list with holes must say how many it has: clouds.array(t, n), or the field n");
    if (is.n >= 0 && is.most > is.n)
        return lc_json_fail(e, "a list whose field n is %.14g has an element %.14g", is.n, is.most);
    e->depth++;
    return encode_elements(e, index, (size_t)(is.n < 0 ? is.count : is.n));
}

/* The pair at the top is a field n that may be right for a list of `count` elements: then it is *n. */
static bool is_field_n(lua_State *L, lua_Number count, lua_Number *n)
{
    size_t length;
    if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TNUMBER) return false;
    const char *key = lua_tolstring(L, -2, &length);
    if (length != 1 || *key != 'n') return false;
    *n = lua_tonumber(L, -1);
    return *n >= count && *n <= LC_JSON_MAX_LENGTH / 2 && *n == floor(*n);
}

/* The usual arrays in one pass; the first pair is on the stack. The keys come as 1, 2, 3 ..., and behind them perhaps,
 * in a list that may count itself, n. *again: they do not. */
static bool encode_in_order(encoder *e, int index, bool may_count, bool *again)
{
    lua_State *L = e->L;
    level *here = &e->levels[e->depth - 1];
    lua_Number count = 0, n = -1;
    if (!add_char(e, '[')) return false;
    do {
        if (n < 0 && lua_type(L, -2) == LUA_TNUMBER && lua_tonumber(L, -2) == count + 1) {
            here->number = ++count;
            if (count > 1 && !add_char(e, ',')) return false;
            if (!encode(e, lua_gettop(L))) return false;
        } else if (n >= 0 || !may_count || !is_field_n(L, count, &n)) {
            *again = true;
            return true;
        }
        lua_pop(L, 1);
    } while (lua_next(L, index));
    for (; count < n; count++)
        if (!add(e, count > 0 ? ",null" : "null", count > 0 ? 5 : 4)) return false;
    return add_char(e, ']');
}

/* What is certainly a list: one that is marked as an array, or arguments. */
static bool encode_list(encoder *e, int index)
{
    size_t start = e->out->len;
    int top = lua_gettop(e->L);
    bool again = false;
    lua_pushnil(e->L);
    if (!lua_next(e->L, index)) return add(e, "[]", 2);
    if (!encode_in_order(e, index, true, &again)) return false;
    if (!again) return true;
    e->out->len = start;
    lua_settop(e->L, top);
    return encode_measured(e, index);
}

/* The first pair is on the stack. */
static bool encode_object(encoder *e, int index, bool *again)
{
    lua_State *L = e->L;
    level *here = &e->levels[e->depth - 1];
    bool first = true;
    here->key = lua_gettop(L) - 1;
    if (!add_char(e, '{')) return false;
    if (looks_like_bytes(e, index)) return encode_escaped(e);
    do {
        if (lua_type(L, -2) != LUA_TSTRING) {
            *again = true;
            return true;
        }
        if (!first && !add_char(e, ',')) return false;
        first = false;
        if (!encode_member(e)) return false;
        lua_pop(L, 1);
    } while (lua_next(L, index));
    return add_char(e, '}');
}

static bool encode_unmarked(encoder *e, int index)
{
    lua_State *L = e->L;
    size_t start = e->out->len;
    bool again = false;
    lua_pushnil(L);
    if (!lua_next(L, index)) return add(e, "{}", 2);
    bool done =
        lua_type(L, -2) == LUA_TSTRING ? encode_object(e, index, &again) : encode_in_order(e, index, false, &again);
    if (!done || !again) return done;
    e->out->len = start;
    lua_settop(L, lua_gettop(L) - 2);
    return encode_unordered(e, index);
}

static bool encode_table(encoder *e, int index)
{
    if (!enter(e, index)) return false;
    if (!(is_marked(e, index) ? encode_list(e, index) : encode_unmarked(e, index))) return false;
    e->depth--;
    return true;
}

static bool encode(encoder *e, int index)
{
    int type = lua_type(e->L, index);
    if (type == LUA_TNUMBER) return encode_number(e, index);
    switch (type) {
    case LUA_TSTRING:
        return encode_string(e, index);
    case LUA_TTABLE:
        return encode_table(e, index);
    case LUA_TBOOLEAN:
        return lua_toboolean(e->L, index) ? add(e, "true", 4) : add(e, "false", 5);
    case LUA_TNONE:
    case LUA_TNIL:
        return add(e, "null", 4);
    case LUA_TUSERDATA:
        if (lua_touserdata(e->L, index) == e->codec->null) return add(e, "null", 4);
        if (lc_is_bytes(e->L, e->codec, index)) return encode_bytes(e, index);
        break;
    default:
        break;
    }
    return lc_json_fail(e, "cannot encode a %s", luaL_typename(e->L, index));
}

/* ---- the entrances ---- */

/* What both runs of an entrance share. */
typedef struct entrance {
    lua_State *L;
    lc_codec *codec;
    lc_text *out, *bytes;
    size_t start; /* of the text */
    bool has_bytes;
} entrance;

static entrance enter_codec(lua_State *L, lc_codec *codec, lc_text *out, lc_text *bytes)
{
    if (bytes) bytes->len = 0;
    return (entrance){L, codec, out, bytes, out->len, false};
}

/* After a run that failed: is it because of the first bytes? */
static bool begins_anew(entrance *in)
{
    if (in->codec->fault != LC_JSON_HAS_BYTES) return false;
    in->out->len = in->start;
    return in->has_bytes = true;
}

static encoder encoder_of(const entrance *in)
{
    encoder e;
    e.L = in->L, e.codec = in->codec, e.out = in->out, e.bytes = in->bytes, e.has_bytes = in->has_bytes, e.depth = 0;
    return e;
}

/* Bytes that are all empty are told from none by one that no piece has. */
static bool complete(const entrance *in)
{
    if (!in->has_bytes || in->bytes->len > 0) return true;
    encoder e = encoder_of(in);
    return lc_text_add_char(in->bytes, 0) || no_memory(&e);
}

/* Whatever happened, the stack is left as it was found. */
static bool finish(encoder *e, int top, bool ok)
{
    if (!ok) lua_settop(e->L, top);
    return ok;
}

static bool encode_once(const entrance *in, int index)
{
    encoder e = encoder_of(in);
    int top = lua_gettop(in->L);
    return finish(&e, top, encode(&e, index));
}

bool lc_encode_value(lua_State *L, lc_codec *codec, int index, lc_text *out, lc_text *bytes)
{
    entrance in = enter_codec(L, codec, out, bytes);
    while (!encode_once(&in, index))
        if (!begins_anew(&in)) return false;
    return complete(&in);
}

static bool no_room(const entrance *in)
{
    encoder e = encoder_of(in);
    return no_memory(&e);
}

/* The element of this number, and a comma. */
static bool encode_element(const entrance *in, int index, int number)
{
    encoder e = encoder_of(in);
    e.depth = 1;
    e.levels[0] = (level){.number = number};
    int top = lua_gettop(in->L);
    return finish(&e, top, encode(&e, index) && add_char(&e, ','));
}

/* Short lists of numbers are what is encoded most: these need no encoder, with its room for all levels. */
static bool encode_values_once(const entrance *in, int first, int last)
{
    lua_State *L = in->L;
    lc_text *out = in->out;
    if (!lc_text_reserve(out, 2)) return no_room(in);
    out->data[out->len++] = '[';
    for (int i = first; i <= last; i++) {
        if (lua_type(L, i) == LUA_TNUMBER && lc_text_reserve(out, LC_NUMBER_ROOM + 1)) {
            out->len += lc_number_write(lua_tonumber(L, i), out->data + out->len);
            out->data[out->len++] = ',';
        } else if (!encode_element(in, i, i - first + 1)) {
            return false;
        }
    }
    if (first <= last) out->len--; /* the last comma */
    out->data[out->len++] = ']';
    return true;
}

bool lc_encode_values(lua_State *L, lc_codec *codec, int first, int last, lc_text *out, lc_text *bytes)
{
    entrance in = enter_codec(L, codec, out, bytes);
    while (!encode_values_once(&in, first, last))
        if (!begins_anew(&in)) return false;
    return complete(&in);
}

static bool encode_list_once(const entrance *in, int index)
{
    encoder e = encoder_of(in);
    int top = lua_gettop(in->L);
    return enter(&e, index) && finish(&e, top, encode_list(&e, index));
}

bool lc_encode_list(lua_State *L, lc_codec *codec, int index, lc_text *out, lc_text *bytes)
{
    entrance in = enter_codec(L, codec, out, bytes);
    while (!encode_list_once(&in, index))
        if (!begins_anew(&in)) return false;
    return complete(&in);
}
