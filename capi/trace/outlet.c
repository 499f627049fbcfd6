/* The way out of a batch: one POST, or lines at the end of a file, which is opened anew each time, so that it may be
 * put aside meanwhile. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "http/http.h"
#include "proto/json.h"
#include "trace/internal.h"

enum { ANSWER_MOST = 65536, FILE_MODE = 0640, WORDS = 600 };
static const double connect_timeout = 5;

struct cl_outlet {
    cl_loop *loop;
    cl_trace_settings settings;
    void (*done)(void *self, const cl_outlet_end *end);
    void *self;
    cl_http *http;
    cl_http_request *request;
    cl_name *name;
    cl_addresses addresses;
    int has_addresses;
    cl_buf body;      /* while the name is looked up */
    int is_line_open; /* the file ends with a piece of a line */
    char where[400];
};

const char *cl_outlet_where(const cl_outlet *outlet)
{
    return outlet->where;
}

static void end(cl_outlet *o, enum cl_sent sent, size_t refused, const char *words)
{
    const cl_outlet_end said = {sent, refused, words};
    cl_buf_free(&o->body);
    o->done(o->self, &said);
}

/* ---- a file */

/* A pipe that nobody reads, or reads in time, is no reason to wait. */
static int open_file(const cl_outlet *o)
{
    return open(o->settings.file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, FILE_MODE);
}

/* In one piece, so that several processes can write to one file. */
static void write_file(cl_outlet *o, cl_str body)
{
    int fd = open_file(o);
    if (fd >= 0 && o->is_line_open) o->is_line_open = write(fd, "\n", 1) != 1;
    ssize_t n = fd < 0 || o->is_line_open ? -1 : write(fd, body.p, body.n);
    int error = errno;
    if (fd >= 0) close(fd);
    if (n > 0 && n < (ssize_t)body.n) o->is_line_open = 1;
    if (n == (ssize_t)body.n) end(o, CL_SENT, 0, "");
    else end(o, CL_SENT_NEVER, 0, n < 0 ? strerror(error) : "it is full");
}

/* ---- a collector */

/* {"partialSuccess":{"rejectedSpans":"3","errorMessage":"..."}}: most often it is empty. */
static size_t rejected(cl_str body, cl_buf *message)
{
    cl_json j;
    cl_str name, value;
    int escaped;
    size_t count = 0;
    if (cl_json_check(body, '{', CL_JSON_ANY) != 0) return 0;
    cl_json_start(&j, body, CL_JSON_ANY);
    cl_json_enter(&j, '{');
    while (cl_json_member(&j, &name, &escaped) == 1) {
        if (cl_str_eq(name, CL_STR("partialSuccess")) && cl_json_peek(&j) == '{') {
            cl_json_enter(&j, '{');
            continue; /* its members follow, and at their end nothing more is wanted */
        }
        int kind = cl_json_item(&j, &value, &escaped), number;
        if (kind < 0) break;
        if (cl_str_eq(name, CL_STR("rejectedSpans")) && cl_str_number(value, 0, 999999999, &number))
            count = (size_t)number;
        if (cl_str_eq(name, CL_STR("errorMessage")) && kind == '"') cl_json_unescape(value, message);
    }
    return count;
}

static void taken(cl_outlet *o, cl_str body)
{
    cl_buf message = {0};
    char words[WORDS];
    size_t refused = rejected(body, &message);
    snprintf(words, sizeof words, "it refuses some: %.*s", (int)(message.len < 300 ? message.len : 300),
             message.data ? message.data : "");
    cl_buf_free(&message);
    end(o, CL_SENT, refused, words);
}

/* OTLP says which answers are worth another try. */
static int may_try_again(int status)
{
    return status == 429 || status == 502 || status == 503 || status == 504;
}

static void on_done(void *self, const cl_http_end *said)
{
    cl_outlet *o = self;
    char words[WORDS];
    o->request = NULL;
    if (said->code == 0 && said->status >= 200 && said->status < 300) {
        taken(o, said->body);
        return;
    }
    if (said->code) o->has_addresses = 0; /* the name may stand for another by now */
    if (said->code) snprintf(words, sizeof words, "%s", said->words);
    else snprintf(words, sizeof words, "it answers with status %d", said->status);
    int again = said->code ? said->code != CLOUDS_ETOOBIG : may_try_again(said->status);
    end(o, again ? CL_SENT_AGAIN : CL_SENT_NEVER, 0, words);
}

static void post(cl_outlet *o, cl_str body)
{
    const cl_trace_settings *s = &o->settings;
    const cl_http_handler handler = {.self = o, .done = on_done};
    const cl_http_question question = {.host = s->host,
                                       .port = s->port,
                                       .addresses = &o->addresses,
                                       .path = s->path,
                                       .authorization = "",
                                       .headers = cl_buf_str(&s->headers),
                                       .body = body,
                                       .timeout = s->timeout,
                                       .most = ANSWER_MOST};
    if (cl_http_post(o->http, &question, &handler, &o->request) != 0) end(o, CL_SENT_AGAIN, 0, clouds_last_error());
}

static void on_found(void *self, const cl_addresses *found, const char *words)
{
    cl_outlet *o = self;
    cl_name_forget(o->name);
    o->name = NULL;
    if (!found) {
        end(o, CL_SENT_AGAIN, 0, words);
        return;
    }
    o->addresses = *found;
    o->has_addresses = 1;
    cl_buf body = o->body;
    o->body = (cl_buf){0};
    post(o, cl_buf_str(&body));
    cl_buf_free(&body);
}

static void look_up(cl_outlet *o, cl_str body)
{
    cl_buf_clear(&o->body);
    int code = cl_buf_put_str(&o->body, body);
    if (code == 0) code = cl_name_look_up(o->loop, o->settings.host, connect_timeout, on_found, o, &o->name);
    if (code) end(o, CL_SENT_AGAIN, 0, clouds_strerror(code));
}

void cl_outlet_send(cl_outlet *o, cl_str body)
{
    if (o->settings.file) write_file(o, body);
    else if (o->has_addresses || cl_name_is_address(o->settings.host, &o->addresses)) post(o, body);
    else look_up(o, body);
}

void cl_outlet_cancel(cl_outlet *o)
{
    cl_name_forget(o->name);
    o->name = NULL;
    cl_http_cancel(o->request);
    o->request = NULL;
    cl_buf_free(&o->body);
}

/* ---- life */

/* Whether it can be written is found out now. */
static int check_file(const cl_outlet *o)
{
    int fd = open_file(o);
    if (fd < 0) return cl_error(CLOUDS_EOPTION, "option 'trace': %.200s: %s", o->settings.file, strerror(errno));
    close(fd);
    return 0;
}

static int make_http(cl_outlet *o)
{
    const cl_trace_settings *s = &o->settings;
    const cl_http_options options = {
        .tls = s->is_tls,
        .trust = {.ca_file = s->ca_file, .cert_file = s->cert_file, .cert_key_file = s->cert_key_file},
        .connect_timeout = connect_timeout};
    return cl_http_create(o->loop, &options, &o->http);
}

int cl_outlet_create(cl_loop *loop, cl_trace_settings *settings, void (*done)(void *self, const cl_outlet_end *end),
                     void *self, cl_outlet **out)
{
    cl_outlet *o = cl_calloc(1, sizeof *o);
    if (!o) return cl_error(CLOUDS_ENOMEM, NULL);
    o->loop = loop;
    o->settings = *settings;
    *settings = (cl_trace_settings){0};
    o->done = done;
    o->self = self;
    const cl_trace_settings *s = &o->settings;
    if (s->file) snprintf(o->where, sizeof o->where, "%.399s", s->file);
    else snprintf(o->where, sizeof o->where, "%s:%d", s->host, s->port);
    int code = s->file ? check_file(o) : make_http(o);
    if (code == 0) *out = o;
    else cl_outlet_destroy(o);
    return code;
}

void cl_outlet_destroy(cl_outlet *o)
{
    if (!o) return;
    cl_outlet_cancel(o);
    cl_http_destroy(o->http);
    cl_trace_settings_free(&o->settings);
    cl_free(o);
}
