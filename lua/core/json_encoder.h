/* The encoder of JSON, for the files that it is made of. */
#ifndef LC_JSON_ENCODER_H
#define LC_JSON_ENCODER_H

#include "json.h"

typedef struct level {
    const void *table;
    int key; /* stack index of the key, or 0: it is `number` */
    lua_Number number;
} level;

typedef struct encoder {
    lua_State *L;
    lc_codec *codec;
    lc_text *out, *bytes; /* bytes NULL: there may be none */
    bool has_bytes;       /* there are some: objects that look like one are escaped */
    int depth;
    level levels[LC_JSON_MAX_DEPTH];
} encoder;

/* Each keeps why it failed, and returns false: a mistake of the program, with the place in the value; and what data may
 * be, whose words are there or need none. */
__attribute__((format(printf, 2, 3))) bool lc_json_fail(encoder *e, const char *format, ...);
bool lc_json_refuse(encoder *e, lc_json_fault fault);
/* The key as it stands in a place, ".name" or "[1]"; its length. */
size_t lc_json_append_key(encoder *e, const level *at, char *to, size_t room);

#endif
