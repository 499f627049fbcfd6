/* libcurl, loaded at run time. Its header is needed to build, its library only by who uses it. */
#ifndef CL_HTTP_CURL_H
#define CL_HTTP_CURL_H

#define CURL_DISABLE_DEPRECATION /* what is new there, older libraries do not know */
#include <curl/curl.h>

#define CL_CURL_FUNCTIONS(X)                                                                                           \
    X(CURLcode, global_init, (long flags))                                                                             \
    X(CURL *, easy_init, (void))                                                                                       \
    X(CURLcode, easy_setopt, (CURL * easy, CURLoption option, ...))                                                    \
    X(CURLcode, easy_getinfo, (CURL * easy, CURLINFO info, ...))                                                       \
    X(void, easy_cleanup, (CURL * easy))                                                                               \
    X(const char *, easy_strerror, (CURLcode code))                                                                    \
    X(CURLM *, multi_init, (void))                                                                                     \
    X(CURLMcode, multi_setopt, (CURLM * multi, CURLMoption option, ...))                                               \
    X(CURLMcode, multi_add_handle, (CURLM * multi, CURL * easy))                                                       \
    X(CURLMcode, multi_remove_handle, (CURLM * multi, CURL * easy))                                                    \
    X(CURLMcode, multi_socket_action, (CURLM * multi, curl_socket_t fd, int events, int *running))                     \
    X(CURLMcode, multi_assign, (CURLM * multi, curl_socket_t fd, void *of_socket))                                     \
    X(CURLMsg *, multi_info_read, (CURLM * multi, int *left))                                                          \
    X(CURLMcode, multi_cleanup, (CURLM * multi))                                                                       \
    X(struct curl_slist *, slist_append, (struct curl_slist * list, const char *text))                                 \
    X(void, slist_free_all, (struct curl_slist * list))

typedef struct cl_curl {
#define CL_CURL_MEMBER(type, name, arguments) type(*name) arguments;
    CL_CURL_FUNCTIONS(CL_CURL_MEMBER)
#undef CL_CURL_MEMBER
} cl_curl;

/* Loaded once per process and never let go. NULL: it cannot be had, and the last error says why. */
const cl_curl *cl_curl_get(void);

#endif
