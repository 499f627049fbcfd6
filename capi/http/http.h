/* A client for HTTP/1.1 over libcurl, which is loaded when the first client is made: who needs none pays nothing.
 *
 * Names are resolved by whoever asks (net/name.h) and handed over, so nothing here ever waits for a resolver. No proxy,
 * no redirect, no file with passwords is looked at. Everything happens on the loop's thread; a handler is called from
 * loop callbacks only, and may cancel, destroy and ask again. */
#ifndef CL_HTTP_H
#define CL_HTTP_H

#include "base/buf.h"
#include "net/loop.h"
#include "net/name.h"
#include "net/tls.h"

typedef struct cl_http cl_http;
typedef struct cl_http_request cl_http_request;

typedef struct cl_http_options {
    int tls;
    cl_tls_trust trust;      /* copied, as the name is */
    const char *server_name; /* in its certificate; NULL or "": the host */
    double connect_timeout;
} cl_http_options;

/* The end of a request. */
typedef struct cl_http_end {
    int code;   /* 0: there is an answer, of whatever status */
    int status; /* of HTTP */
    int broken; /* the server closed a connection without an answer */
    const char *words;
    const char *local; /* the address of our end of the connection; "": there was none */
    cl_str body;       /* what was not taken by `data` */
} cl_http_end;

typedef struct cl_http_handler {
    void *self;
    /* More of the body has come; what is taken is consumed. 0, or an error that ends the request (with the last words).
     * NULL: all of it is handed over at the end. */
    int (*data)(void *self, int status, cl_buf *in);
    /* Exactly once, but not after a cancel. */
    void (*done)(void *self, const cl_http_end *end);
} cl_http_handler;

typedef struct cl_http_question {
    const char *host;
    int port;
    const cl_addresses *addresses; /* of the host */
    const char *path;
    const char *authorization; /* "": none */
    cl_str headers;            /* more of them, each a line that ends with \n */
    cl_str body;               /* JSON */
    double timeout;            /* of the whole; 0: none */
    size_t most;               /* bytes of the answer that are kept until they are taken */
} cl_http_question;

/* 0, CLOUDS_ENOTSUP when libcurl cannot be loaded (with its words), CLOUDS_ENOMEM. */
int cl_http_create(cl_loop *loop, const cl_http_options *options, cl_http **out);
/* Ends every request without a word. After the end of the loop, too. NULL is fine. */
void cl_http_destroy(cl_http *http);

int cl_http_post(cl_http *http, const cl_http_question *question, const cl_http_handler *handler,
                 cl_http_request **out);
/* NULL is fine. */
void cl_http_cancel(cl_http_request *request);

#endif
