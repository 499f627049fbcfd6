/* Bytes to a request: the callbacks of llhttp. */
#include <stdlib.h>
#include <string.h>

#include "host/http/internal.h"

enum { OVERHEAD = 16384, OVERHEAD_FACTOR = 8, BODY_FIRST = 4096 };

static const char too_long[] = "the body is too long";

static host_http_parser *of(llhttp_t *llhttp)
{
    return llhttp->data;
}

/* Ends llhttp_execute; what it would say of itself is not used. */
static int refuse(host_http_parser *p, int status, const char *why)
{
    p->status = status;
    p->why = why;
    return -1;
}

/* Pieces follow each other in memory. What does not is caught by check.c, too. */
static int extend(host_http_parser *p, host_http_text *text, const char *at, size_t n)
{
    if (!text->p) text->p = at;
    else if (text->p + text->n != at) return refuse(p, 400, "a continued header field");
    text->n += n;
    return 0;
}

static int on_method(llhttp_t *llhttp, const char *at, size_t n)
{
    return extend(of(llhttp), &of(llhttp)->request.method, at, n);
}

static int on_url(llhttp_t *llhttp, const char *at, size_t n)
{
    host_http_parser *p = of(llhttp);
    if (extend(p, &p->request.target, at, n) != 0) return -1;
    return p->request.target.n > p->limits->target ? refuse(p, 414, "the target is too long") : 0;
}

static int on_header_field(llhttp_t *llhttp, const char *at, size_t n)
{
    host_http_parser *p = of(llhttp);
    host_http_request *r = &p->request;
    if (p->has_head) return refuse(p, 400, "header fields behind the body are not taken");
    if (r->field_count == HOST_HTTP_FIELDS) return refuse(p, 431, "more than 100 header fields");
    return extend(p, &r->fields[r->field_count].name, at, n);
}

static int on_header_value(llhttp_t *llhttp, const char *at, size_t n)
{
    host_http_parser *p = of(llhttp);
    if (p->request.field_count == HOST_HTTP_FIELDS) return refuse(p, 431, "more than 100 header fields");
    return extend(p, &p->request.fields[p->request.field_count].value, at, n);
}

/* The next one begins as nothing: the place for all of them is not cleared for each request. */
static void begin_field(host_http_request *r)
{
    if (r->field_count < HOST_HTTP_FIELDS) r->fields[r->field_count] = (host_http_field){{NULL, 0}, {NULL, 0}};
}

static int on_header_value_complete(llhttp_t *llhttp)
{
    host_http_request *r = &of(llhttp)->request;
    host_http_text *value = &r->fields[r->field_count++].value;
    if (!value->p) value->p = "";
    while (value->n && (value->p[0] == ' ' || value->p[0] == '\t')) value->p++, value->n--;
    while (value->n && (value->p[value->n - 1] == ' ' || value->p[value->n - 1] == '\t')) value->n--;
    begin_field(r);
    return 0;
}

static int on_headers_complete(llhttp_t *llhttp)
{
    host_http_parser *p = of(llhttp);
    host_http_request *r = &p->request;
    p->has_head = true;
    r->minor = llhttp->http_minor;
    r->keep_alive = llhttp_should_keep_alive(llhttp);
    return HPE_PAUSED;
}

static int grow(host_http_parser *p, size_t need)
{
    size_t cap = p->body_cap ? p->body_cap : BODY_FIRST;
    while (cap < need) cap *= 2;
    char *body = realloc(p->body, cap);
    if (!body) return refuse(p, 503, "no memory for the body");
    p->body = body;
    p->body_cap = cap;
    return 0;
}

static int on_body(llhttp_t *llhttp, const char *at, size_t n)
{
    host_http_parser *p = of(llhttp);
    p->body_total += n;
    if (p->body_total > p->body_limit) return refuse(p, 413, too_long);
    if (p->body_len + n > p->body_cap && grow(p, p->body_len + n) != 0) return -1;
    memcpy(p->body + p->body_len, at, n);
    p->body_len += n;
    return 0;
}

static void complete(host_http_parser *p)
{
    p->is_complete = true;
    p->request.body = (host_http_text){p->body ? p->body : "", p->body_len};
}

static int on_message_complete(llhttp_t *llhttp)
{
    complete(of(llhttp));
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {.on_url = on_url,
                                           .on_method = on_method,
                                           .on_header_field = on_header_field,
                                           .on_header_value = on_header_value,
                                           .on_headers_complete = on_headers_complete,
                                           .on_body = on_body,
                                           .on_message_complete = on_message_complete,
                                           .on_header_value_complete = on_header_value_complete};

void host_http_parser_begin(host_http_parser *p, const host_http_limits *limits)
{
    memset(p, 0, offsetof(host_http_parser, request) + offsetof(host_http_request, fields));
    begin_field(&p->request);
    p->limits = limits;
    p->body_limit = limits->body;
    llhttp_init(&p->llhttp, HTTP_REQUEST, &settings);
    p->llhttp.data = p;
}

void host_http_parser_end(host_http_parser *p)
{
    free(p->body);
    p->body = NULL;
}

bool host_http_parser_is_fresh(const host_http_parser *p)
{
    return p->head == NULL;
}

int host_http_refuse_long(host_http_parser *p, const char *data, size_t size)
{
    bool in_target = !memchr(data, '\n', size);
    refuse(p, in_target ? 414 : 431, in_target ? "the target is too long" : "the head is too long");
    return p->status;
}

static int status_of(llhttp_errno_t code)
{
    return code == HPE_INVALID_VERSION ? 505 : code == HPE_INVALID_TRANSFER_ENCODING ? 501 : 400;
}

static enum host_http_progress refused(host_http_parser *p, llhttp_errno_t code)
{
    if (!p->status) refuse(p, status_of(code), llhttp_get_error_reason(&p->llhttp));
    if (!p->why || !*p->why) p->why = "not HTTP";
    return HOST_HTTP_BAD;
}

/* llhttp would take an upgrade as the end of HTTP: nothing here is upgraded, which a server may decide. */
static enum host_http_progress head_ended(host_http_parser *p, const char *end)
{
    host_http_request *r = &p->request;
    const host_http_text raw = {p->head, (size_t)(end - p->head)};
    const host_http_facts facts = host_http_facts_of(r);
    p->status = host_http_check(r, &facts, raw, p->llhttp.upgrade, &p->why);
    if (p->status) return HOST_HTTP_BAD;
    p->llhttp.upgrade = 0;
    r->expects_continue = r->minor == 1 && facts.expect.p;
    p->is_chunked = facts.encodings > 0;
    p->length = p->is_chunked ? 0 : p->llhttp.content_length;
    if (!p->is_chunked && !p->length) complete(p);
    return HOST_HTTP_HEAD;
}

/* The sizes and extensions of chunks are bytes, too, of which nothing comes. */
static bool has_too_much_overhead(host_http_parser *p, size_t used, uint64_t body_before)
{
    p->overhead += used - (size_t)(p->body_total - body_before);
    return p->overhead > OVERHEAD + OVERHEAD_FACTOR * p->body_total;
}

enum host_http_progress host_http_parse(host_http_parser *p, const char *data, size_t size, size_t *used)
{
    bool in_body = p->has_head;
    uint64_t body_before = p->body_total;
    if (p->is_complete) return *used = 0, HOST_HTTP_END;
    if (in_body && p->length > p->body_limit) {
        refuse(p, 413, too_long);
        return HOST_HTTP_BAD;
    }
    if (!p->head) p->head = data;
    if (llhttp_get_errno(&p->llhttp) == HPE_PAUSED) llhttp_resume(&p->llhttp);
    llhttp_errno_t code = llhttp_execute(&p->llhttp, data, size);
    if (code != HPE_OK && code != HPE_PAUSED) return refused(p, code);
    *used = code == HPE_OK ? size : (size_t)(llhttp_get_error_pos(&p->llhttp) - data);
    if (!in_body && p->has_head) return head_ended(p, data + *used);
    if (in_body && has_too_much_overhead(p, *used, body_before)) {
        refuse(p, 400, "more between the chunks than in them");
        return HOST_HTTP_BAD;
    }
    return p->is_complete ? HOST_HTTP_END : HOST_HTTP_MORE;
}
