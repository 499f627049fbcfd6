/* RESP, the protocol of Redis: replies read by hiredis' reader without a tree, commands written by hand. */
#ifndef CL_REDIS_RESP_H
#define CL_REDIS_RESP_H

#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

typedef struct cl_resp cl_resp;

enum cl_reply_type { CL_REPLY_STRING, CL_REPLY_STATUS, CL_REPLY_ERROR, CL_REPLY_INTEGER, CL_REPLY_NIL, CL_REPLY_ARRAY };

/* One value of a reply. The values of an array follow it, in order, arrays inside it likewise. */
typedef struct cl_reply_item {
    int type;       /* enum cl_reply_type */
    int64_t number; /* the integer, the length of the text, or the number of elements */
    size_t at;      /* where the text begins */
} cl_reply_item;

typedef struct cl_reply {
    cl_reply_item *items; /* items[0] is the reply itself */
    size_t len, cap;
    cl_buf text;
} cl_reply;

static inline cl_str cl_reply_text(const cl_reply *r, size_t i)
{
    return cl_str_of(r->text.data ? r->text.data + r->items[i].at : "", (size_t)r->items[i].number);
}

/* 1 when item i exists and has text (a string or a status). */
int cl_reply_is_text(const cl_reply *r, size_t i);

typedef struct cl_resp_hooks {
    void *self;
    /* A complete reply; valid during the call. */
    void (*reply)(void *self, const cl_reply *reply);
    /* A published message, told in two steps, straight from the read buffer: first its channel, then its payload. Only
     * on a reader made for pushes. */
    void (*channel)(void *self, cl_str channel);
    void (*message)(void *self, cl_str payload);
} cl_resp_hooks;

typedef struct cl_resp_limits {
    size_t line;     /* the longest line that is no payload */
    size_t buffered; /* bytes of one reply, read or still to be understood */
} cl_resp_limits;

/* pushes 1: arrays that begin with "message" are messages. 0 or CLOUDS_ENOMEM. */
int cl_resp_create(const cl_resp_hooks *hooks, cl_resp_limits limits, int pushes, cl_resp **out);
void cl_resp_destroy(cl_resp *resp); /* NULL is fine; never from inside a hook */

/* Takes bytes and calls the hooks for what is complete. 0, CLOUDS_EPROTO or CLOUDS_ENOMEM: then the stream is beyond
 * repair and cl_resp_words says why. */
int cl_resp_feed(cl_resp *resp, const char *p, size_t n);
const char *cl_resp_words(const cl_resp *resp);

/* From inside a hook: nothing more is to be told. cl_resp_feed drops what is left and returns 0. */
void cl_resp_stop(cl_resp *resp);

/* Appends a command. 0, or CLOUDS_ENOMEM with the buffer unchanged. */
int cl_resp_command(cl_buf *out, size_t argc, const cl_str *argv);

/* Appends "<mark><n>\r\n"; room for 24 bytes must be there. */
void cl_resp_add_head(cl_buf *out, char mark, size_t n);

#endif
