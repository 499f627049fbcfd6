/* One POST and its answer. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/seconds.h"
#include "http/internal.h"

enum { HEAD_MOST = 64 * 1024, KEEPALIVE_S = 5, KEPT_MOST = 4096 };

/* ---- what comes */

static size_t on_head(char *p, size_t size, size_t n, void *self)
{
    cl_http_request *request = self;
    request->head += size * n;
    if (request->head <= HEAD_MOST) return size * n;
    request->failure = cl_error(CLOUDS_EPROTO, "the head of the answer is longer than %d bytes", HEAD_MOST);
    return 0;
}

static size_t on_body(char *p, size_t size, size_t n, void *self)
{
    cl_http_request *request = self;
    size *= n;
    if (!request->status) {
        long status = 0;
        request->http->curl->easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
        request->status = (int)status;
    }
    if (request->in.len + size > request->most)
        request->failure = cl_error(CLOUDS_ETOOBIG, "the answer is longer than %zu bytes", request->most);
    else if (cl_buf_put(&request->in, p, size) != 0) request->failure = cl_error(CLOUDS_ENOMEM, NULL);
    if (request->failure) {
        snprintf(request->from_curl, sizeof request->from_curl, "%s", clouds_last_error());
        return size + 1;
    }
    if (request->handler.data) cl_http_is_fresh(request);
    return size;
}

/* ---- the end */

static int code_of(CURLcode result)
{
    switch (result) {
    case CURLE_OK:
        return 0;
    case CURLE_OUT_OF_MEMORY:
        return CLOUDS_ENOMEM;
    case CURLE_PEER_FAILED_VERIFICATION:
        return CLOUDS_EAUTH;
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
        return CLOUDS_EOPTION;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
        return CLOUDS_EPROTO;
    default:
        return CLOUDS_EUNREACHABLE;
    }
}

/* libcurl says that it could not connect, and not why. */
static const char *reason_of(cl_http_request *request, CURLcode result)
{
    long error = 0;
    if (result == CURLE_COULDNT_CONNECT) {
        request->http->curl->easy_getinfo(request->easy, CURLINFO_OS_ERRNO, &error);
        if (error) return strerror((int)error);
    }
    if (result == CURLE_OPERATION_TIMEDOUT) return "no answer in time";
    if (result == CURLE_GOT_NOTHING) return "it closed the connection without an answer";
    return *request->from_curl ? request->from_curl : request->http->curl->easy_strerror(result);
}

void cl_http_over(cl_http_request *request, CURLcode result)
{
    int code = request->failure ? request->failure : code_of(result);
    long status = 0;
    request->over = 1;
    request->http->curl->easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
    const char *why = request->failure ? clouds_last_error() : reason_of(request, result);
    if (request->failure && *request->from_curl) why = request->from_curl;
    snprintf(request->words, sizeof request->words, "%s: %s", request->where, code ? why : "answered");
    char *local = NULL;
    request->http->curl->easy_getinfo(request->easy, CURLINFO_LOCAL_IP, &local);
    snprintf(request->local, sizeof request->local, "%.63s", local ? local : "");
    request->end = (cl_http_end){.code = code,
                                 .status = (int)status,
                                 .broken = result == CURLE_GOT_NOTHING || result == CURLE_RECV_ERROR,
                                 .words = request->words,
                                 .local = request->local};
}

/* In a child after fork libcurl's part of it stays. */
static void destroy(cl_http_request *request)
{
    cl_http *http = request->http;
    cl_http_guard guard;
    if (request->easy && http->owner == getpid()) {
        cl_http_enter(http, &guard);
        http->curl->easy_cleanup(request->easy);
        cl_http_leave(http, &guard);
        http->curl->slist_free_all(request->headers);
        http->curl->slist_free_all(request->resolve);
        http->curl->slist_free_all(request->connect_to);
    }
    cl_buf_free(&request->asked);
    cl_buf_free(&request->in);
    cl_free(request);
}

void cl_http_spare_free(cl_http *http)
{
    if (http->spare) destroy(http->spare);
    http->spare = NULL;
}

void cl_http_request_free(cl_http_request *request)
{
    cl_http *http = request->http;
    cl_http_guard guard;
    int is_child = http->owner != getpid();
    cl_list_remove(&request->place);
    cl_list_remove(&request->fresh);
    if (request->easy && !is_child) {
        cl_http_enter(http, &guard);
        http->curl->multi_remove_handle(http->multi, request->easy);
        cl_http_leave(http, &guard);
    }
    int went_well = request->over && request->end.code == 0 && request->asked.len;
    if (!went_well || is_child || http->spare || http->destroyed) {
        destroy(request);
        return;
    }
    if (request->in.cap > KEPT_MOST) cl_buf_free(&request->in);
    http->spare = request;
}

void cl_http_cancel(cl_http_request *request)
{
    if (!request) return;
    if (request->http->told == request) request->http->told = NULL;
    cl_http_request_free(request);
}

/* ---- the beginning */

static int add(cl_http *http, struct curl_slist **list, const char *text)
{
    struct curl_slist *longer = http->curl->slist_append(*list, text);
    if (!longer) return CLOUDS_ENOMEM;
    *list = longer;
    return 0;
}

/* As an address of HTTP has it. */
static void name_site(cl_http_request *request, const cl_http_question *q)
{
    int is_ipv6 = strchr(q->host, ':') != NULL;
    const char *name = request->http->server_name, *scheme = request->http->tls ? "https" : "http";
    snprintf(request->where, sizeof request->where, is_ipv6 ? "[%.255s]:%d" : "%.255s:%d", q->host, q->port);
    if (*name) snprintf(request->site, sizeof request->site, "%s://%.255s:%d", scheme, name, q->port);
    else snprintf(request->site, sizeof request->site, "%s://%s", scheme, request->where);
}

/* Who has another name than its host is asked by that name, and the connection goes to the host. */
static int add_way(cl_http_request *request, cl_buf *text)
{
    cl_buf_clear(text);
    int code = cl_buf_printf(text, "::%s%c", request->where, '\0');
    return code == 0 ? add(request->http, &request->connect_to, text->data) : code;
}

static int add_headers(cl_http_request *request, cl_str lines)
{
    cl_buf line = {0};
    int code = 0;
    for (const char *end; code == 0 && lines.n && (end = memchr(lines.p, '\n', lines.n));) {
        size_t n = (size_t)(end - lines.p);
        cl_buf_clear(&line);
        code = cl_buf_put(&line, lines.p, n);
        if (code == 0) code = cl_buf_put_char(&line, '\0');
        if (code == 0) code = add(request->http, &request->headers, line.data);
        lines = cl_str_of(end + 1, lines.n - n - 1);
    }
    cl_buf_free(&line);
    return code;
}

static int make_lists(cl_http_request *request, const cl_http_question *q)
{
    cl_http *http = request->http;
    cl_buf text = {0};
    int is_ipv6 = strchr(q->host, ':') != NULL;
    int code = cl_buf_printf(&text, "Authorization: %s%c", q->authorization, '\0');
    if (code == 0) code = add(http, &request->headers, "Content-Type: application/json");
    if (code == 0) code = add(http, &request->headers, "Expect:");
    if (code == 0 && *q->authorization) code = add(http, &request->headers, text.data);
    if (code == 0) code = add_headers(request, q->headers);
    cl_buf_clear(&text);
    if (code == 0 && !is_ipv6) {
        code = cl_buf_printf(&text, "%s:%d:%s%c", q->host, q->port, q->addresses->text, '\0');
        if (code == 0) code = add(http, &request->resolve, text.data);
    }
    if (code == 0 && *http->server_name) code = add_way(request, &text);
    cl_buf_free(&text);
    return code;
}

#define SET(option, value)                                                                                             \
    do {                                                                                                               \
        if (curl->easy_setopt(easy, CURLOPT_##option, value) != CURLE_OK) return CLOUDS_ENOMEM;                        \
    } while (0)

static int set_member(cl_http_request *request)
{
    const cl_curl *curl = request->http->curl;
    CURL *easy = request->easy;
    SET(RESOLVE, request->resolve);
    SET(PROXY, "");
    SET(PROTOCOLS, (long)(request->http->tls ? CURLPROTO_HTTPS : CURLPROTO_HTTP));
    SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    return 0;
}

/* A key of which the file is not said is in that of the certificate. */
static int set_trust(cl_http_request *request)
{
    const cl_http *http = request->http;
    const cl_curl *curl = http->curl;
    CURL *easy = request->easy;
    if (*http->ca_file) SET(CAINFO, http->ca_file);
    if (*http->cert_file) SET(SSLCERT, http->cert_file);
    if (*http->cert_file) SET(SSLKEY, *http->cert_key_file ? http->cert_key_file : http->cert_file);
    if (request->connect_to) SET(CONNECT_TO, request->connect_to);
    if (!http->takes_any_server) return 0;
    SET(SSL_VERIFYPEER, 0L);
    SET(SSL_VERIFYHOST, 0L);
    return 0;
}

static int set_connection(cl_http_request *request, const cl_http_question *q)
{
    const cl_curl *curl = request->http->curl;
    CURL *easy = request->easy;
    SET(NOSIGNAL, 1L);
    SET(OPENSOCKETFUNCTION, cl_http_open_socket);
    SET(OPENSOCKETDATA, request->http);
    SET(CLOSESOCKETFUNCTION, cl_http_close_socket);
    SET(CLOSESOCKETDATA, request->http);
    SET(TCP_KEEPALIVE, 1L);
    SET(TCP_KEEPIDLE, (long)KEEPALIVE_S);
    SET(TCP_KEEPINTVL, (long)KEEPALIVE_S);
    SET(CONNECTTIMEOUT_MS, (long)cl_ms(request->http->connect_timeout));
    return 0;
}

static int set_handlers(cl_http_request *request)
{
    const cl_curl *curl = request->http->curl;
    CURL *easy = request->easy;
    SET(PRIVATE, request);
    SET(ERRORBUFFER, request->from_curl);
    SET(USERAGENT, "clouds");
    SET(HTTPHEADER, request->headers);
    SET(HEADERFUNCTION, on_head);
    SET(HEADERDATA, request);
    SET(WRITEFUNCTION, on_body);
    SET(WRITEDATA, request);
    return 0;
}

/* What is another with each question. */
static int set_question(cl_http_request *request, const cl_http_question *q)
{
    const cl_curl *curl = request->http->curl;
    CURL *easy = request->easy;
    char url[700];
    snprintf(url, sizeof url, "%s%s", request->site, q->path);
    SET(URL, url);
    SET(TIMEOUT_MS, (long)cl_ms(q->timeout));
    SET(POSTFIELDSIZE_LARGE, (curl_off_t)q->body.n);
    SET(COPYPOSTFIELDS, q->body.p);
    return 0;
}

/* Whom a question is for, and in whose name. */
static int put_key(cl_buf *out, const cl_http_question *q)
{
    return cl_buf_printf(out, "%s\n%d\n%s\n%s\n%.*s", q->host, q->port, q->addresses->text, q->authorization,
                         (int)q->headers.n, q->headers.p);
}

static cl_http_request *make(cl_http *http, const cl_http_question *q, cl_buf *key)
{
    cl_http_request *request = cl_calloc(1, sizeof *request);
    if (!request) return NULL;
    request->http = http;
    request->easy = http->curl->easy_init();
    name_site(request, q);
    int code = request->easy ? make_lists(request, q) : CLOUDS_ENOMEM;
    if (code == 0) code = set_member(request);
    if (code == 0) code = set_trust(request);
    if (code == 0) code = set_connection(request, q);
    if (code == 0) code = set_handlers(request);
    if (code == 0) {
        request->asked = *key;
        *key = (cl_buf){0};
        return request;
    }
    destroy(request);
    return NULL;
}

/* One that is over begins anew: what libcurl knows of it stays. */
static cl_http_request *take_spare(cl_http *http)
{
    cl_http_request *request = http->spare;
    http->spare = NULL;
    cl_buf_clear(&request->in);
    request->head = 0;
    request->status = request->failure = request->over = 0;
    *request->from_curl = '\0';
    return request;
}

static cl_http_request *get(cl_http *http, const cl_http_question *q)
{
    cl_buf key = {0};
    cl_http_request *request = NULL;
    int code = put_key(&key, q);
    int fits = code == 0 && http->spare && cl_str_eq(cl_buf_str(&http->spare->asked), cl_buf_str(&key));
    if (http->spare && !fits) cl_http_spare_free(http);
    if (code == 0) request = fits ? take_spare(http) : make(http, q, &key);
    cl_buf_free(&key);
    return request;
}

int cl_http_post(cl_http *http, const cl_http_question *question, const cl_http_handler *handler, cl_http_request **out)
{
    cl_http_guard guard;
    cl_http_enter(http, &guard);
    cl_http_request *request = get(http, question);
    if (!request) {
        cl_http_leave(http, &guard);
        return cl_error(CLOUDS_ENOMEM, NULL);
    }
    request->handler = *handler;
    request->most = question->most;
    cl_list_init(&request->fresh);
    cl_list_append(&http->requests, &request->place);
    int code = set_question(request, question);
    if (code == 0 && http->curl->multi_add_handle(http->multi, request->easy) != CURLM_OK) code = CLOUDS_ENOMEM;
    cl_http_leave(http, &guard);
    if (code == 0) {
        *out = request;
        return 0;
    }
    cl_http_request_free(request);
    return cl_error(code, NULL);
}
