/* The exact JSON codec: Lua values <-> JSON text. Nothing here needs libclouds.
 *
 * Null inside of a value is one userdata (clouds.null); at the top level of a list of values it is nil. A table that is
 * an array although it is empty or has holes carries the array metatable, and may count itself in its field n. */
#ifndef LC_JSON_H
#define LC_JSON_H

#include <lua.h>

#include "text.h"

enum { LC_JSON_MAX_DEPTH = 256, LC_JSON_MAX_LENGTH = 256 << 20, LC_JSON_MAX_VALUES = 7000 };

/* Why a value cannot be encoded: a mistake in the program (a type that no data has, a list that is none), or what data
 * may be at run time. */
typedef enum lc_json_fault {
    LC_JSON_MISUSE,
    LC_JSON_BAD_TEXT, /* a string that is not UTF-8 */
    LC_JSON_TOO_DEEP,
    LC_JSON_TOO_LONG,
    LC_JSON_NO_MEMORY
} lc_json_fault;

typedef struct lc_codec {
    const void *null, *array; /* identities of the null and of the array metatable */
    int null_ref, array_ref;  /* where the registry has them */
    int n_ref;                /* and the string "n" */
    lc_text scratch;          /* strings being unescaped */
    lc_json_fault fault;      /* the kind of the last failure to encode */
    char error[256];          /* why the last encode or decode failed */
} lc_codec;

/* Makes null and the array metatable and anchors them in the registry. May raise for want of memory. */
void lc_codec_open(lua_State *L, lc_codec *codec);
void lc_codec_close(lc_codec *codec);

void lc_push_null(lua_State *L, const lc_codec *codec);

/* Each appends to `out`. false: codec->fault and codec->error say why, and `out` has what was written so far. */
bool lc_encode_value(lua_State *L, lc_codec *codec, int index, lc_text *out);
/* The values first .. last of the stack as one array; nil is null. */
bool lc_encode_values(lua_State *L, lc_codec *codec, int first, int last, lc_text *out);
/* A list in a table, whose nils are null: the arguments of a call. With holes its field n has to count; a table with
 * any other key is no list. */
bool lc_encode_list(lua_State *L, lc_codec *codec, int index, lc_text *out);
void lc_encode_string(lc_text *out, const char *s, size_t len, bool *ok, size_t *bad_at);

/* Pushes the value of the text. false: codec->error says why, and nothing is pushed. May raise for want of memory. */
bool lc_decode_value(lua_State *L, lc_codec *codec, const char *text, size_t len);
/* Pushes the elements of an array, nil for null; the number of them, or -1 as above. For the first of them the caller
 * has room: LUA_MINSTACK / 2. */
int lc_decode_values(lua_State *L, lc_codec *codec, const char *text, size_t len);
/* Adds the members of an object to the table at `index` that it has not yet. */
bool lc_decode_into(lua_State *L, lc_codec *codec, const char *text, size_t len, int index);

/* The functions encode, decode, array, is_array and the value null, added to the table at the top of the stack. */
void lc_json_add(lua_State *L, lc_codec *codec);

#endif
