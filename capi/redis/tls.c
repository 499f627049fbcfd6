#include "redis/tls.h"

#include "base/error.h"
#include "base/mem.h"

int cl_redis_tls_init(cl_redis_tls *tls, const cl_url *url)
{
    const cl_url_tls *said = &url->tls;
    const cl_tls_trust trust = {said->ca_file, said->cert_file, said->cert_key_file, said->takes_any_server};
    if (!url->is_tls) return 0;
    if (said->server_name && *said->server_name) {
        tls->server_name = cl_str_dup(cl_str_z(said->server_name));
        if (!tls->server_name) return cl_error(CLOUDS_ENOMEM, NULL);
    }
    return cl_tls_context_create_trusting(&trust, &tls->context);
}

void cl_redis_tls_free(cl_redis_tls *tls)
{
    cl_tls_context_free(tls->context);
    cl_free(tls->server_name);
}

int cl_redis_tls_secure(const cl_redis_tls *tls, cl_conn *conn, const char *host)
{
    if (!tls->context) return 0;
    return cl_conn_secure_to(conn, tls->context, tls->server_name ? tls->server_name : host);
}

/* The type of the record, and the version. */
int cl_redis_tls_is_spoken(const char *p, size_t n)
{
    return n >= 2 && p[0] == CL_TLS_ALERT && p[1] == 3;
}

const char *cl_redis_tls_hint(const cl_redis_tls *tls, const cl_conn *conn)
{
    if (cl_conn_is_secured(conn)) return "";
    return tls->context ? " (is it a port without TLS, redis://?)" : " (is it a port of TLS, rediss://?)";
}
