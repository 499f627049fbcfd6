/* Addresses of clusters, as docs/CONFIGURATION.md gives them. */
#ifndef CL_URL_H
#define CL_URL_H

#include "base/str.h"

enum cl_url_kind {
    CL_URL_REDIS,
    CL_URL_REDIS_UNIX,
    CL_URL_REDIS_SENTINEL,
    CL_URL_LOCAL,
    CL_URL_INPROC,
    CL_URL_ETCD,
    CL_URL_OWN
};

enum { CL_URL_HOSTS = 16 };

typedef struct cl_url_host {
    const char *name;
    int port;
} cl_url_host;

/* How a server over TLS is known, and what it is shown. Each text NULL or "": not given. */
typedef struct cl_url_tls {
    const char *ca_file; /* whom to trust; not given: the system's authorities */
    const char *cert_file, *cert_key_file;
    const char *server_name; /* in its certificate; not given: the host */
    int takes_any_server;    /* never in the text */
} cl_url_tls;

typedef struct cl_url {
    enum cl_url_kind kind;
    int is_tls; /* rediss, rediss+sentinel, etcds */
    int port;   /* redis: 6379 by default, sentinels: 26379, etcd: 2379 */
    int db;
    /* Each ends with NUL and points into `memory`; "" when absent. Percent-escapes are resolved. */
    char *user, *password, *host, *path, *prefix, *name; /* sentinels: `name` is that of the master */
    char *memory;
    cl_url_host hosts[CL_URL_HOSTS]; /* the members of an etcd, or sentinels; the first is host and port, too */
    size_t hosts_n;
    cl_url_tls tls;
    /* Sentinels: who we are for them, if not who we are for Redis; never in the text. NULL: the same, or no user. */
    const char *sentinel_user, *sentinel_password;
} cl_url;

/* Parses; free with cl_url_free. 0, CLOUDS_ENOMEM or CLOUDS_EURL; then clouds_last_error says what was expected (never
 * the password). Host default 127.0.0.1 ("redis://", "etcd://"), prefix default "clouds", [::1] brackets allowed, name
 * [A-Za-z0-9_.-]*. */
int cl_url_parse(cl_str text, cl_url *out);
void cl_url_free(cl_url *url);
/* Without `tls`, and what is never in the text of sentinels. 0 or CLOUDS_ENOMEM; free with cl_url_free. */
int cl_url_copy(const cl_url *url, cl_url *out);

/* The text that has this name as a word of an address; NULL: there is none. */
const char **cl_url_tls_word(cl_url_tls *tls, cl_str name);
/* What `from` gives is taken into `to`; the texts stay where they are. */
void cl_url_tls_override(cl_url_tls *to, const cl_url_tls *from);

/* An address that somebody else reads: all of it is the path. 0 or CLOUDS_ENOMEM. */
int cl_url_of_own(cl_str text, cl_url *out);

/* Writes the address without the password to out (for status and messages). */
void cl_url_describe(const cl_url *url, char *out, size_t cap);
/* Such a text, or one that ends with it, for a place before a colon: without one at its end, as "local:" has. */
cl_str cl_url_before_colon(cl_str described);

#endif
