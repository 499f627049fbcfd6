/* Why a value cannot be encoded, and where: from the keys on the Lua stack. */
#include <stdarg.h>
#include <stdio.h>
#include <lauxlib.h>

#include "json_encoder.h"
#include "utf8.h"

/* A name of data's: control characters are shown as what they are. Never cut inside of a character. */
static size_t append_name(encoder *e, int index, char *to, size_t room)
{
    enum { MOST_SHOWN = 40, LONGEST_STEP = 5 };
    size_t len, used = 0;
    const unsigned char *name = (const unsigned char *)lua_tolstring(e->L, index, &len);
    if (room < LONGEST_STEP + 1) return 0;
    to[used++] = '.';
    for (size_t i = 0; i < len && i < MOST_SHOWN && used + LONGEST_STEP < room;) {
        int step = name[i] < 0x80 ? 1 : lc_utf8_step(name + i, len - i);
        if (step == 1 && name[i] >= 0x20 && name[i] != 0x7F) to[used++] = (char)name[i];
        else if (step > 1) memcpy(to + used, name + i, (size_t)step), used += (size_t)step;
        else used += (size_t)snprintf(to + used, room - used, "\\x%02x", name[i]);
        i += step > 1 ? (size_t)step : 1;
    }
    to[used] = 0;
    return used;
}

size_t lc_json_append_key(encoder *e, const level *at, char *to, size_t room)
{
    int len;
    if (at->key && lua_type(e->L, at->key) == LUA_TSTRING) return append_name(e, at->key, to, room);
    len = snprintf(to, room, "[%.14g]", at->key ? lua_tonumber(e->L, at->key) : at->number);
    return len < 0 ? 0 : (size_t)len;
}

bool lc_json_fail(encoder *e, const char *format, ...)
{
    char *text = e->codec->error;
    size_t room = sizeof e->codec->error, len;
    va_list list;
    va_start(list, format);
    len = (size_t)vsnprintf(text, room, format, list);
    va_end(list);
    e->codec->fault = LC_JSON_MISUSE;
    if (e->depth > 0 && len + 8 < room) {
        len += (size_t)snprintf(text + len, room - len, " at ");
        int shown = e->depth > 6 ? 6 : e->depth;
        for (int i = 0; i < shown && len < room; i++)
            len += lc_json_append_key(e, &e->levels[i], text + len, room - len);
        if (shown < e->depth && len < room) snprintf(text + len, room - len, "...");
    }
    return false;
}

bool lc_json_refuse(encoder *e, lc_json_fault fault)
{
    e->codec->fault = fault;
    return false;
}
