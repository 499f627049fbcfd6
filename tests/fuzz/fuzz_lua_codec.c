/* The JSON codec of Lua: what it takes is JSON and what it writes is JSON that reads back as the same, and numbers are
 * rounded as strtod rounds them. */
#include "fuzz.h"
#include "reference.h"

#include <locale.h>
#include <math.h>
#include <lauxlib.h>
#include <lualib.h>

#include "json.h"
#include "number.h"

enum { MOST_VALUES = 1 << 20 };

static lua_State *L;
static lc_codec codec;
static lc_text out, area;
static locale_t plain;

/* Of infinities, which JSON has not, comes null. Interpreted: compiled code of such recursion has crashed. */
static const char equal_source[] =
    "local null = ...\n"
    "local function equal(a, b)\n"
    "  if type(a) == 'number' and (a == 1 / 0 or a == -1 / 0) then return b == null end\n"
    "  if type(a) ~= 'table' or type(b) ~= 'table' then return a == b end\n"
    "  if getmetatable(a) ~= getmetatable(b) then return false end\n"
    "  for k, v in pairs(a) do if not equal(v, b[k]) then return false end end\n"
    "  for k in pairs(b) do if a[k] == nil then return false end end\n"
    "  return true\n"
    "end\n"
    "jit.off(equal)\n"
    "return equal\n";

static int equal_ref;

/* As clouds_bytes_mark, without the library. */
static int mark_of(const char *name, size_t n)
{
    static const char word[] = "bytes";
    size_t marks = n > sizeof word - 1 ? n - (sizeof word - 1) : 0;
    if (!marks || memcmp(name + marks, word, sizeof word - 1) != 0) return 0;
    for (size_t i = 0; i < marks; i++)
        if (name[i] != '$') return 0;
    return (int)marks;
}

static void start(void)
{
    if (L) return;
    L = luaL_newstate();
    plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    HOLDS(L && plain);
    luaL_openlibs(L);
    lc_codec_open(L, &codec);
    codec.bytes_mark = mark_of;
    HOLDS(luaL_loadstring(L, equal_source) == 0);
    lc_push_null(L, &codec);
    lua_call(L, 1, 1);
    equal_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

static int are_equal(int a, int b)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, equal_ref);
    lua_pushvalue(L, a);
    lua_pushvalue(L, b);
    lua_call(L, 2, 1);
    int equal = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return equal;
}

static void values_survive(const char *text, size_t n)
{
    int taken = lc_decode_value(L, &codec, text, n, (lc_area){0});
    int is_json = reference_is_json((const uint8_t *)text, n, LC_JSON_MAX_DEPTH, MOST_VALUES);
    int is_too_large = !taken && strncmp(codec.error, "number out of range", 19) == 0; /* told before what follows */
    HOLDS(taken == is_json || is_too_large || (taken && !reference_is_utf8((const uint8_t *)text, n))); /* mended */
    if (!taken) {
        HOLDS(lua_gettop(L) == 0 && codec.error[0]);
        return;
    }
    out.len = 0;
    HOLDS(lc_encode_value(L, &codec, 1, &out, NULL));
    HOLDS(reference_is_json((const uint8_t *)out.data, out.len, LC_JSON_MAX_DEPTH, MOST_VALUES));
    HOLDS(reference_is_utf8((const uint8_t *)out.data, out.len));
    HOLDS(lc_decode_value(L, &codec, out.data, out.len, (lc_area){0}));
    HOLDS(lua_gettop(L) == 2 && are_equal(1, 2));
    lua_settop(L, 0);
}

/* The bytes of the text are the first half of it: what it has stand for them comes back, and so does what looks like
 * it. */
static void bytes_survive(const char *text, size_t n)
{
    if (!lc_decode_value(L, &codec, text, n, (lc_area){text, n / 2})) return;
    out.len = 0;
    HOLDS(lc_encode_value(L, &codec, 1, &out, &area));
    HOLDS(reference_is_json((const uint8_t *)out.data, out.len, LC_JSON_MAX_DEPTH + 2, MOST_VALUES));
    HOLDS(lc_decode_value(L, &codec, out.data, out.len, (lc_area){area.data, area.len}));
    HOLDS(lua_gettop(L) == 2 && are_equal(1, 2));
    lua_settop(L, 0);
}

static void lists_survive(const char *text, size_t n)
{
    int count = lc_decode_values(L, &codec, text, n, (lc_area){0});
    HOLDS(lua_gettop(L) == (count < 0 ? 0 : count));
    if (count < 0) return;
    out.len = 0;
    HOLDS(lc_encode_values(L, &codec, 1, count, &out, NULL));
    HOLDS(lc_decode_values(L, &codec, out.data, out.len, (lc_area){0}) == count);
    for (int i = 1; i <= count; i++) HOLDS(are_equal(i, count + i) || lua_isnil(L, count + i));
    lua_settop(L, 0);
}

/* Also of what is no text: it is refused, or comes back the same. */
static void strings_survive(const char *bytes, size_t n)
{
    bool ok;
    size_t bad_at;
    out.len = 0;
    lc_encode_string(&out, bytes, n, &ok, &bad_at);
    HOLDS(ok || bad_at < n);
    if (!ok) return;
    HOLDS(lc_decode_value(L, &codec, out.data, out.len, (lc_area){0}));
    size_t length;
    const char *back = lua_tolstring(L, -1, &length);
    HOLDS(length == n && (n == 0 || memcmp(back, bytes, n) == 0));
    lua_settop(L, 0);
}

static int same(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

/* Every number in the text, wherever it begins. */
static void numbers_are_rounded_once(const char *text, size_t n)
{
    for (size_t i = 0; i < n;) {
        double got;
        const char *behind = lc_number_read(text + i, text + n, &got);
        if (!behind) {
            i++;
            continue;
        }
        size_t length = (size_t)(behind - text) - i;
        char *copy = malloc(length + 1);
        HOLDS(copy);
        memcpy(copy, text + i, length);
        copy[length] = 0;
        HOLDS(same(got, strtod_l(copy, NULL, plain)));
        free(copy);
        i += length;
    }
}

static void any_double_survives(const char *bytes, size_t n)
{
    for (size_t i = 0; i + sizeof(double) <= n; i += sizeof(double)) {
        double d, back;
        char text[LC_NUMBER_ROOM];
        memcpy(&d, bytes + i, sizeof d);
        size_t length = lc_number_write(d, text);
        HOLDS(length > 0 && length < sizeof text);
        HOLDS(reference_is_json((const uint8_t *)text, length, 1, 1));
        if (!isfinite(d)) continue;
        HOLDS(lc_number_read(text, text + length, &back) == text + length);
        HOLDS(d == back);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    start();
    values_survive(text, size);
    bytes_survive(text, size);
    lists_survive(text, size);
    strings_survive(text, size);
    numbers_are_rounded_once(text, size);
    any_double_survives(text, size);
    return 0;
}
