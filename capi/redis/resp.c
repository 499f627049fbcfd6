/* Design note. hiredis' reader does the parsing, but builds nothing: its object functions write into one flat list that
 * is used again for every reply, and a published message touches not even that - its channel and its payload are handed
 * on from the reader's own buffer. The reader moves what it has not parsed yet to the front after every kilobyte, so it
 * is fed in small slices: with large ones it would copy each byte many times.
 *
 * The reader sets no limits of its own. Ours: a line that does not end, an array that announces more elements than
 * could ever fit, and the bytes that one reply may take. Whatever breaks a limit ends the stream. */
#include "redis/resp.h"

#include <stdio.h>
#include <hiredis/read.h>

#include "base/mem.h"
#include "clouds.h"

enum { SLICE = 4096 };

struct cl_resp {
    redisReader *reader;
    cl_resp_hooks hooks;
    cl_resp_limits limits;
    cl_reply reply;
    int pushes;
    int is_message; /* the array being read is a published message */
    int stopped;
    int code; /* why it broke, 0: it did not */
    const char *words;
};

/* hiredis wants an object for each value; it only passes it around. */
static char dummy;

static void *broken(cl_resp *r, int code, const char *words)
{
    if (!r->code) {
        r->code = code;
        r->words = words;
    }
    return NULL;
}

static cl_reply_item *add_item(cl_resp *r, int type, int64_t number)
{
    cl_reply *reply = &r->reply;
    if (reply->len == reply->cap) {
        size_t cap = reply->cap ? reply->cap * 2 : 16;
        if (cap * sizeof(cl_reply_item) > r->limits.buffered * 2)
            return broken(r, CLOUDS_EPROTO, "Redis sent a reply of too many elements");
        cl_reply_item *items = cl_realloc(reply->items, cap * sizeof *items);
        if (!items) return broken(r, CLOUDS_ENOMEM, "out of memory");
        reply->items = items;
        reply->cap = cap;
    }
    cl_reply_item *item = &reply->items[reply->len++];
    *item = (cl_reply_item){.type = type, .number = number, .at = reply->text.len};
    return item;
}

static void *add_text(cl_resp *r, int type, const char *s, size_t n)
{
    if (r->reply.text.len + n > r->limits.buffered) return broken(r, CLOUDS_EPROTO, "Redis sent too long a reply");
    if (!add_item(r, type, (int64_t)n)) return NULL;
    if (cl_buf_put(&r->reply.text, s, n)) return broken(r, CLOUDS_ENOMEM, "out of memory");
    return &dummy;
}

static int is_message_head(const cl_resp *r, const redisReadTask *task, const char *s, size_t n)
{
    return r->pushes && task->idx == 0 && task->parent->elements == 3 && !task->parent->parent && n == 7 &&
           memcmp(s, "message", 7) == 0;
}

static void *on_message_part(cl_resp *r, const redisReadTask *task, const char *s, size_t n)
{
    if (task->type != REDIS_REPLY_STRING) return broken(r, CLOUDS_EPROTO, "Redis sent a broken message");
    if (task->idx == 1) r->hooks.channel(r->hooks.self, cl_str_of(s, n));
    else r->hooks.message(r->hooks.self, cl_str_of(s, n));
    return &dummy;
}

static void *on_string(const redisReadTask *task, char *s, size_t n)
{
    cl_resp *r = task->privdata;
    if (r->stopped) return NULL;
    if (r->is_message) return on_message_part(r, task, s, n);
    if (task->parent && is_message_head(r, task, s, n)) {
        r->is_message = 1;
        return &dummy;
    }
    int type = task->type == REDIS_REPLY_ERROR    ? CL_REPLY_ERROR
               : task->type == REDIS_REPLY_STATUS ? CL_REPLY_STATUS
                                                  : CL_REPLY_STRING;
    return add_text(r, type, s, n);
}

static void *on_other(const redisReadTask *task, int type, int64_t number)
{
    cl_resp *r = task->privdata;
    if (r->stopped) return NULL;
    if (r->is_message) return broken(r, CLOUDS_EPROTO, "Redis sent a broken message");
    return add_item(r, type, number) ? &dummy : NULL;
}

static void *on_array(const redisReadTask *task, int elements)
{
    cl_resp *r = task->privdata;
    if ((size_t)elements > r->limits.buffered / 4)
        return broken(r, CLOUDS_EPROTO, "Redis announced an array of too many elements");
    return on_other(task, CL_REPLY_ARRAY, elements);
}

static void *on_integer(const redisReadTask *task, long long value)
{
    return on_other(task, CL_REPLY_INTEGER, value);
}

static void *on_nil(const redisReadTask *task)
{
    return on_other(task, CL_REPLY_NIL, 0);
}

static void on_free(void *object)
{
    (void)object; /* there is only the dummy */
}

static redisReplyObjectFunctions functions = {on_string, on_array, on_integer, on_nil, on_free};

int cl_resp_create(const cl_resp_hooks *hooks, cl_resp_limits limits, int pushes, cl_resp **out)
{
    cl_resp *r = cl_calloc(1, sizeof *r);
    if (!r) return CLOUDS_ENOMEM;
    r->reader = redisReaderCreateWithFunctions(&functions);
    if (!r->reader) {
        cl_free(r);
        return CLOUDS_ENOMEM;
    }
    r->reader->privdata = r;
    r->hooks = *hooks;
    r->limits = limits;
    r->pushes = pushes;
    *out = r;
    return 0;
}

void cl_resp_destroy(cl_resp *r)
{
    if (!r) return;
    redisReaderFree(r->reader);
    cl_free(r->reply.items);
    cl_buf_free(&r->reply.text);
    cl_free(r);
}

static int fail(cl_resp *r, int code, const char *words)
{
    broken(r, code, words);
    return r->code;
}

/* What the reader holds and could not finish must be within the limits. */
static int check_rest(cl_resp *r)
{
    const redisReader *reader = r->reader;
    size_t rest = reader->len - reader->pos;
    if (rest > r->limits.buffered) return fail(r, CLOUDS_EPROTO, "Redis sent too long a payload");
    if (rest <= r->limits.line) return 0;
    int type = reader->ridx >= 0 ? reader->rstack[reader->ridx].type : -1;
    const char *p = reader->buf + reader->pos;
    if (type == REDIS_REPLY_STRING && memchr(p, '\n', rest < 64 ? rest : 64)) return 0; /* a payload on its way */
    return fail(r, CLOUDS_EPROTO, "Redis sent a line that does not end");
}

/* A buffer that one large reply blew up is not kept. */
static void reset_reply(cl_reply *reply)
{
    reply->len = 0;
    cl_buf_clear(&reply->text);
    if (reply->text.cap > 256 * 1024) cl_buf_free(&reply->text);
}

static int feed_slice(cl_resp *r, const char *p, size_t n)
{
    if (redisReaderFeed(r->reader, p, n) != REDIS_OK) return fail(r, CLOUDS_ENOMEM, "out of memory");
    for (;;) {
        void *done = NULL;
        int ok = redisReaderGetReply(r->reader, &done);
        if (r->stopped) return 0;
        if (ok != REDIS_OK)
            return fail(r, r->reader->err == REDIS_ERR_OOM ? CLOUDS_ENOMEM : CLOUDS_EPROTO, r->reader->errstr);
        if (!done) return check_rest(r);
        if (!r->is_message) r->hooks.reply(r->hooks.self, &r->reply);
        r->is_message = 0;
        reset_reply(&r->reply);
        if (r->stopped) return 0;
    }
}

int cl_resp_feed(cl_resp *r, const char *p, size_t n)
{
    while (n > 0 && !r->code && !r->stopped) {
        size_t slice = n < SLICE ? n : SLICE;
        feed_slice(r, p, slice);
        p += slice;
        n -= slice;
    }
    return r->stopped ? 0 : r->code;
}

const char *cl_resp_words(const cl_resp *r)
{
    return r->words ? r->words : "";
}

void cl_resp_stop(cl_resp *r)
{
    r->stopped = 1;
}

int cl_reply_is_text(const cl_reply *r, size_t i)
{
    return i < r->len && (r->items[i].type == CL_REPLY_STRING || r->items[i].type == CL_REPLY_STATUS);
}

void cl_resp_add_head(cl_buf *out, char mark, size_t n)
{
    cl_buf_add_char(out, mark);
    out->len += cl_digits(out->data + out->len, n);
    cl_buf_add(out, "\r\n", 2);
}

int cl_resp_command(cl_buf *out, size_t argc, const cl_str *argv)
{
    size_t need = 32;
    for (size_t i = 0; i < argc; i++) need += argv[i].n + 32;
    if (cl_buf_reserve(out, need)) return CLOUDS_ENOMEM;
    cl_resp_add_head(out, '*', argc);
    for (size_t i = 0; i < argc; i++) {
        cl_resp_add_head(out, '$', argv[i].n);
        cl_buf_add_str(out, argv[i]);
        cl_buf_add(out, "\r\n", 2);
    }
    return 0;
}
