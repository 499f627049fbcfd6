/* What the files of the HTTP client share. */
#ifndef CL_HTTP_INTERNAL_H
#define CL_HTTP_INTERNAL_H

#include <signal.h>
#include <sys/types.h>

#include "base/list.h"
#include "base/map.h"
#include "http/curl.h"
#include "http/http.h"

/* A descriptor that libcurl was given. */
typedef struct cl_http_socket {
    cl_list_node place;
    int fd;
    cl_fd_watch *watch;  /* NULL: not needed so far */
    int wanted, watched; /* what libcurl waits for, and what is watched: CL_FD_READABLE, CL_FD_WRITABLE */
} cl_http_socket;

struct cl_http {
    cl_loop *loop;
    const cl_curl *curl;
    CURLM *multi;
    cl_loop_timer *timer;
    pid_t owner;
    int tls;
    double connect_timeout;
    char *ca_file, *cert_file, *cert_key_file, *server_name; /* "": not given */
    int takes_any_server;
    cl_list_node requests, sockets;
    cl_list_node fresh;            /* requests with something new for their handler */
    struct cl_http_request *told;  /* whose handler runs; NULL: it was canceled meanwhile, or none */
    struct cl_http_request *spare; /* one that is over, whose handle serves the next question to the same member */
    int telling;
    int destroyed; /* by a handler */
};

struct cl_http_request {
    cl_list_node place, fresh;
    cl_http *http;
    CURL *easy;
    struct curl_slist *headers, *resolve, *connect_to;
    cl_http_handler handler;
    cl_buf in;
    size_t most, head; /* bytes of the head so far */
    int status;
    int failure; /* why it was ended by us; 0: it was not */
    int over;    /* `end` is to be told */
    cl_http_end end;
    char words[CURL_ERROR_SIZE + 320];
    char from_curl[CURL_ERROR_SIZE];
    char where[300]; /* host and port */
    char site[320];  /* where its path begins */
    cl_buf asked;    /* whom, and in whose name; empty: its handle serves no other */
    char local[64];
};

/* client.c */
/* The request has something to tell, from a loop callback. */
void cl_http_is_fresh(cl_http_request *request);
/* libcurl is entered and left: it may write to a connection that its peer has closed. */
typedef struct cl_http_guard {
    int guarded;
    sigset_t before;
} cl_http_guard;
void cl_http_enter(cl_http *http, cl_http_guard *guard);
void cl_http_leave(cl_http *http, const cl_http_guard *guard);

curl_socket_t cl_http_open_socket(void *self, curlsocktype purpose, struct curl_sockaddr *address);
int cl_http_close_socket(void *self, curl_socket_t fd);

/* request.c */
/* What libcurl says of its end. */
void cl_http_over(cl_http_request *request, CURLcode result);
void cl_http_request_free(cl_http_request *request);
/* The one that is kept goes, too. */
void cl_http_spare_free(cl_http *http);

#endif
