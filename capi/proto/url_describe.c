/* Addresses as text, without what is secret. */
#include "proto/url.h"

#include <stdio.h>
#include <string.h>

static void describe_redis(const cl_url *url, char *out, size_t cap)
{
    int is_ipv6 = strchr(url->host, ':') != NULL;
    snprintf(out, cap, "redis%s://%s%s%s%s%s:%d/%d", url->is_tls ? "s" : "", url->user, *url->user ? "@" : "",
             is_ipv6 ? "[" : "", url->host, is_ipv6 ? "]" : "", url->port, url->db);
}

static void describe_hosts(const cl_url *url, const char *scheme, char *out, size_t cap)
{
    snprintf(out, cap, "%s://%s%s", scheme, url->user, *url->user ? "@" : "");
    for (size_t i = 0; i < url->hosts_n; i++) {
        const cl_url_host *host = &url->hosts[i];
        size_t n = strlen(out);
        int is_ipv6 = strchr(host->name, ':') != NULL;
        snprintf(out + n, cap - n, "%s%s%s%s:%d", i ? "," : "", is_ipv6 ? "[" : "", host->name, is_ipv6 ? "]" : "",
                 host->port);
    }
}

static void describe_sentinels(const cl_url *url, char *out, size_t cap)
{
    describe_hosts(url, url->is_tls ? "rediss+sentinel" : "redis+sentinel", out, cap);
    size_t n = strlen(out);
    snprintf(out + n, cap - n, url->db ? "/%s/%d" : "/%s", url->name, url->db);
}

static void describe_etcd(const cl_url *url, char *out, size_t cap)
{
    describe_hosts(url, url->is_tls ? "etcds" : "etcd", out, cap);
    size_t n = strlen(out);
    if (strcmp(url->prefix, "clouds") != 0) snprintf(out + n, cap - n, "/%s", url->prefix);
}

/* What may be a user and a password is left out. */
static void describe_own(const cl_url *url, char *out, size_t cap)
{
    const char *slashes = strstr(url->path, "//"), *begin = slashes ? slashes + 2 : url->path;
    cl_str authority = cl_str_of(begin, strcspn(begin, "/?"));
    const char *at = slashes ? memrchr(authority.p, '@', authority.n) : NULL;
    if (at) snprintf(out, cap, "%.*s***%s", (int)(begin - url->path), url->path, at);
    else snprintf(out, cap, "%s", url->path);
}

static void describe_options(const cl_url *url, char *out, size_t cap)
{
    size_t n = strlen(out);
    const char *mark = "?";
    if (url->kind == CL_URL_REDIS_UNIX && url->db) {
        snprintf(out + n, cap - n, "?db=%d", url->db);
        n = strlen(out);
        mark = "&";
    }
    if (strcmp(url->prefix, "clouds") != 0) snprintf(out + n, cap - n, "%sprefix=%s", mark, url->prefix);
}

cl_str cl_url_before_colon(cl_str described)
{
    int ends_with_one = described.n && described.p[described.n - 1] == ':';
    return cl_str_of(described.p, described.n - (size_t)ends_with_one);
}

void cl_url_describe(const cl_url *url, char *out, size_t cap)
{
    if (cap == 0) return;
    switch (url->kind) {
    case CL_URL_OWN:
        describe_own(url, out, cap);
        return;
    case CL_URL_REDIS:
        describe_redis(url, out, cap);
        break;
    case CL_URL_REDIS_UNIX:
        snprintf(out, cap, "redis+unix://%s", url->path);
        break;
    case CL_URL_REDIS_SENTINEL:
        describe_sentinels(url, out, cap);
        break;
    case CL_URL_LOCAL:
        snprintf(out, cap, "local:%s", url->name);
        return;
    case CL_URL_INPROC:
        snprintf(out, cap, "inproc:%s", url->name);
        return;
    case CL_URL_ETCD:
        describe_etcd(url, out, cap);
        return;
    }
    describe_options(url, out, cap);
}
