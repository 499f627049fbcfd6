/* The client in C: see README.md for its commands. */
#include "bytes.h"
#include "lines.h"

#include <stdlib.h>
#include <string.h>

static const double TIMEOUT = 60;
static clouds_context *context;
static clouds_node *node, *monitor;

/* ---- calls with on_retry: each attempt has its number behind the arguments */

enum { HOOKED = 64 };

static struct {
    uint64_t tag; /* 0: free */
    char *args;
    size_t length;
    int attempts;
} hooked[HOOKED];

static int find_hooked(uint64_t tag)
{
    for (int i = 0; i < HOOKED; i++)
        if (hooked[i].tag == tag) return i;
    return -1;
}

static void hook(uint64_t tag, const char *args, size_t length)
{
    int i = find_hooked(0);
    if (i < 0) abort();
    hooked[i].tag = tag;
    hooked[i].args = strndup(args, length);
    hooked[i].length = length;
    hooked[i].attempts = 0;
}

static void on_attempt(const clouds_event *e)
{
    int i = find_hooked(e->user_data);
    if (i < 0 || e->number != hooked[i].attempts) abort();
    char *text = NULL;
    size_t length = hooked[i].length - 1; /* without its bracket */
    int n = asprintf(&text, "%.*s%s%d]", (int)length, hooked[i].args, length > 1 ? "," : "", ++hooked[i].attempts);
    check(clouds_attempt(context, e->id, text, (size_t)n), "attempt");
    free(text);
}

static void put_attempts(FILE *out, uint64_t tag)
{
    int i = find_hooked(tag);
    if (i < 0 || tag == 0) return;
    fprintf(out, ",\"attempts\":%d", hooked[i].attempts);
    free(hooked[i].args);
    hooked[i].tag = 0;
}

/* ---- calls: the event of a call carries the number of its command */

/* A text of the options; the caller frees it. */
static char *text_option(span options, const char *name, const char **text, size_t *length)
{
    span value = json_member(options, name);
    char *word = value.p ? json_word(value) : NULL;
    *text = word;
    *length = word ? strlen(word) : 0;
    return word;
}

static uint64_t call(clouds_node *from, span line, const char *args, size_t args_len, uint64_t tag)
{
    span method = json_member(line, "method"), options = json_member(line, "options");
    span server = json_member(options, "server");
    clouds_call_options how = {.size = sizeof how, .user_data = tag};
    uint64_t id;
    how.timeout = json_number(json_member(options, "timeout"));
    how.deadline = json_number(json_member(options, "deadline"));
    how.retries = (int32_t)json_number(json_member(options, "retry"));
    if (json_member(options, "on_retry").p) {
        how.flags |= CLOUDS_CALL_ASK;
        hook(tag, args, args_len);
    }
    if (server.p) {
        how.server = server.p + 1;
        how.server_len = server.n - 2;
    }
    span meta = json_member(options, "meta");
    how.meta = meta.p;
    how.meta_len = meta.n;
    char *texts[] = {text_option(options, "once", &how.once, &how.once_len),
                     text_option(options, "reply_to", &how.reply_to, &how.reply_to_len),
                     text_option(options, "correlation", &how.correlation, &how.correlation_len)};
    span what_to_do = json_member(line, "do");
    if (what_to_do.n == 8 && memcmp(what_to_do.p, "\"notify\"", 8) == 0) how.flags |= CLOUDS_CALL_NOTIFY;
    packed what = bytes_pack((span){args, args_len});
    how.bytes = what.bytes_len ? what.bytes : NULL;
    how.bytes_len = what.bytes_len;
    check(clouds_node_call(from, method.p + 1, method.n - 2, what.json, what.json_len, &how, &id), "call");
    bytes_drop(&what);
    for (int i = 0; i < 3; i++) free(texts[i]);
    return id;
}

static void put_error(FILE *out, const clouds_event *e)
{
    span error = {e->error, e->error_len}, code = json_member(error, "code"), message = json_member(error, "message");
    fprintf(out, ",\"error\":{\"outcome\":\"%s\"", clouds_outcome_name((int)e->outcome));
    int has_code = code.p && *code.p != 'n'; /* a null is as if it were absent */
    if (has_code) fprintf(out, ",\"code\":%.*s", (int)code.n, code.p);
    else fprintf(out, ",\"code\":\"%s\"", clouds_err_name(e->code));
    if (message.p) fprintf(out, ",\"message\":%.*s", (int)message.n, message.p);
}

/* A member whose value is canonical text. */
static void put_canonical(FILE *out, const char *name, span value, const char *const *hidden)
{
    char *text;
    size_t length;
    FILE *made = open_memstream(&text, &length);
    if (hidden) json_put_members(made, value, hidden);
    else json_put_canonical(made, value);
    fclose(made);
    fprintf(out, ",\"%s\":", name);
    json_put_text(out, text, length);
    free(text);
}

static void say_result(const clouds_event *e)
{
    static const char *const ours[] = {"message", "code", "originStack", "outcome", NULL};
    FILE *out = answer_begin((double)e->user_data);
    if (e->code == 0) {
        bytes_came(e->bytes, e->bytes_len);
        put_canonical(out, "values", (span){e->data, e->data_len}, NULL);
        bytes_came(NULL, 0);
    } else {
        put_error(out, e);
        put_canonical(out, "members", (span){e->error, e->error_len}, ours);
        if (e->data_len > 2) put_canonical(out, "values", (span){e->data, e->data_len}, NULL);
        fputc('}', out);
    }
    put_attempts(out, e->user_data);
    answer_end();
}

/* ---- a node of its own with calls outstanding, closed at once */

typedef struct closing {
    clouds_node *node;
    double n;
    FILE *codes;
    char *text;
    size_t length;
    int calls, left;
    span line; /* a copy */
} closing;

static closing own;

static void begin_closing(span line)
{
    own = (closing){.n = json_number(json_member(line, "n")), .calls = (int)json_number(json_member(line, "calls"))};
    own.left = own.calls;
    own.line = (span){strndup(line.p, line.n), line.n};
    own.codes = open_memstream(&own.text, &own.length);
    own.node = open_node(context, "client", TIMEOUT, 0);
}

static void close_own(void)
{
    for (int i = 0; i < own.calls; i++) call(own.node, own.line, "[]", 2, 0);
    check(clouds_node_close(own.node, 0, NULL, NULL), "close");
}

static void own_result(const clouds_event *e)
{
    fprintf(own.codes, "%s\"%s\"", own.left < own.calls ? "," : "", clouds_err_name(e->code));
    if (--own.left > 0) return;
    fclose(own.codes);
    fprintf(answer_begin(own.n), ",\"codes\":[%s]", own.text);
    answer_end();
    clouds_node_destroy(own.node);
    free(own.text);
    free((char *)own.line.p);
    own.node = NULL;
}

/* ---- status: the answer knows its command by the operation */

enum { ASKED = 16 };

static struct {
    uint64_t operation; /* 0: free */
    double n;
} asked[ASKED];

static void ask_status(double n)
{
    int i = 0;
    while (asked[i].operation && i < ASKED - 1) i++;
    asked[i].n = n;
    check(clouds_node_status(monitor, NULL, &asked[i].operation), "status");
}

static void say_status(const clouds_event *e)
{
    check(e->code, "status");
    for (int i = 0; i < ASKED; i++) {
        if (asked[i].operation != e->id) continue;
        fprintf(answer_begin(asked[i].n), ",\"status\":%.*s", (int)e->data_len, e->data);
        answer_end();
        asked[i].operation = 0;
    }
}

/* ---- */

static int ready = 2;

static void on_event(const clouds_event *e)
{
    if (e->type == CLOUDS_EVENT_RESULT) own.node && e->node == own.node ? own_result(e) : say_result(e);
    if (e->type == CLOUDS_EVENT_ATTEMPT) on_attempt(e);
    if (e->type == CLOUDS_EVENT_STATUS) say_status(e);
    if (e->type == CLOUDS_EVENT_MESSAGE) heard(e);
    if (e->type == CLOUDS_EVENT_READY && e->node == own.node) close_own();
    else if (e->type == CLOUDS_EVENT_READY && --ready == 0) say_ready(node);
}

static void on_command(const char *what, span line)
{
    double n = json_number(json_member(line, "n"));
    span args = json_member(line, "args");
    if (common_command(node, what, line)) return;
    if (strcmp(what, "close") == 0) {
        begin_closing(line);
    } else if (strcmp(what, "status") == 0) {
        ask_status(n);
    } else {
        uint64_t id = call(node, line, args.p, args.n, (uint64_t)n);
        if (strcmp(what, "cancel") == 0) check(clouds_cancel(context, id), "cancel");
    }
}

int main(void)
{
    static const driver client = {on_command, on_event, NULL};
    context = open_context("inline");
    node = open_node(context, "client", TIMEOUT, 0);
    monitor = open_node(context, "monitor", 0, 0);
    run(context, &client);
    close_context(context);
    return 0;
}
