/* The exact JSON codec: Lua values <-> JSON text. Nothing here needs libclouds.
 *
 * Bytes (clouds.bytes) are userdata. They stand beside the JSON, which has objects in their places; a text without any
 * is JSON as it is. So an encoder begins anew when it meets the first, since objects that look like such a place are
 * written otherwise from there on. Null inside of a value is one userdata (clouds.null); at the top level of a list of
 * values it is nil. A table that is an array although it is empty or has holes carries the array metatable, and may
 * count itself in its field n. */
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
    LC_JSON_NO_MEMORY,
    LC_JSON_HAS_BYTES /* within the encoder: it begins anew */
} lc_json_fault;

/* The bytes of a message. */
typedef struct lc_area {
    const void *p;
    size_t len;
} lc_area;

typedef struct lc_codec {
    const void *null, *array; /* identities of the null and of the array metatable */
    int null_ref, array_ref;  /* where the registry has them */
    int n_ref;                /* and the string "n" */
    const void *bytes;        /* the metatable of bytes */
    int bytes_ref;
    int (*bytes_mark)(const char *name, size_t name_len); /* clouds_bytes_mark; NULL: there are no bytes */
    lc_text scratch;          /* strings being unescaped */
    lc_json_fault fault;      /* the kind of the last failure to encode */
    char error[256];          /* why the last encode or decode failed */
} lc_codec;

/* Makes null and the array metatable and anchors them in the registry. May raise for want of memory. */
void lc_codec_open(lua_State *L, lc_codec *codec);
void lc_codec_close(lc_codec *codec);

void lc_push_null(lua_State *L, const lc_codec *codec);

/* Each appends to `out`, and what bytes the value has to `bytes`, from 0 on; NULL: it may have none. false:
 * codec->fault and codec->error say why, and `out` has what was written so far. */
bool lc_encode_value(lua_State *L, lc_codec *codec, int index, lc_text *out, lc_text *bytes);
/* The values first .. last of the stack as one array; nil is null. */
bool lc_encode_values(lua_State *L, lc_codec *codec, int first, int last, lc_text *out, lc_text *bytes);
/* A list in a table, whose nils are null: the arguments of a call. With holes its field n has to count; a table with
 * any other key is no list. */
bool lc_encode_list(lua_State *L, lc_codec *codec, int index, lc_text *out, lc_text *bytes);
void lc_encode_string(lc_text *out, const char *s, size_t len, bool *ok, size_t *bad_at);

/* Pushes the value of the text, which came with these bytes. false: codec->error says why, and nothing is pushed. May
 * raise for want of memory. */
bool lc_decode_value(lua_State *L, lc_codec *codec, const char *text, size_t len, lc_area bytes);
/* Pushes the elements of an array, nil for null; the number of them, or -1 as above. For the first of them the caller
 * has room: LUA_MINSTACK / 2. */
int lc_decode_values(lua_State *L, lc_codec *codec, const char *text, size_t len, lc_area bytes);
/* Adds the members of an object to the table at `index` that it has not yet. */
bool lc_decode_into(lua_State *L, lc_codec *codec, const char *text, size_t len, int index);

/* Pushes bytes of Lua's own. */
void lc_push_bytes(lua_State *L, const lc_codec *codec, const void *p, size_t len);
bool lc_is_bytes(lua_State *L, const lc_codec *codec, int index);

/* Within the codec: bytes.c. */
void lc_bytes_open(lua_State *L, lc_codec *codec);
int lc_json_bytes(lua_State *L);
int lc_json_is_bytes(lua_State *L);
lc_codec *lc_codec_of(lua_State *L); /* upvalue 1 of a function of the codec */

/* The functions encode, decode, array, is_array, bytes, is_bytes and the value null, added to the table at the top of
 * the stack. */
void lc_json_add(lua_State *L, lc_codec *codec);

#endif
