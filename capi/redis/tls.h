/* TLS to Redis and to its sentinels. */
#ifndef CL_REDIS_TLS_H
#define CL_REDIS_TLS_H

#include "net/tls.h"
#include "proto/url.h"

typedef struct cl_redis_tls {
    cl_tls_context *context; /* NULL: without TLS */
    char *server_name;       /* in all certificates; NULL: that of the host that is dialled */
} cl_redis_tls;

/* Without TLS when the address has none. 0 or an error in words; cl_redis_tls_free in both cases. */
int cl_redis_tls_init(cl_redis_tls *tls, const cl_url *url);
void cl_redis_tls_free(cl_redis_tls *tls); /* all zero is fine */

/* For a conn that has just been opened: it speaks TLS from now on, or nothing is done. 0 or an error. */
int cl_redis_tls_secure(const cl_redis_tls *tls, cl_conn *conn, const char *host);

/* Whether this is what a server of TLS answers to who does not speak it. */
int cl_redis_tls_is_spoken(const char *p, size_t n);
/* "" or, in brackets, what is added to the words for the end, or the silence, of a conn over which nothing came: that
 * may be TLS at one end only. */
const char *cl_redis_tls_hint(const cl_redis_tls *tls, const cl_conn *conn);

#endif
