#include "proto/url.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/hex.h"
#include "base/mem.h"

/* Design note. Messages quote the address without what may be the password, whatever is wrong with it. Texts are
 * unescaped into one block, which is large enough because nothing grows but by the defaults and the ending NULs. */

enum { PATH_LONGEST = 107, HOST_LONGEST = 255, NAME_LONGEST = 64, ETCD_PORT = 2379, SENTINEL_PORT = 26379 };

enum { SEEN_DB = 1, SEEN_PREFIX = 2 };

typedef struct parser {
    cl_url url;
    char *free; /* what is left of the block */
    int seen;   /* SEEN_* */
} parser;

static int refuse(const char *expected)
{
    return cl_error(CLOUDS_EURL, "%s", expected); /* the address is added by cl_url_parse */
}

/* ---- pieces of text */

static const char *find_char(cl_str s, char c)
{
    return s.n ? memchr(s.p, c, s.n) : NULL;
}

static const char *find_last(cl_str s, char c)
{
    return s.n ? memrchr(s.p, c, s.n) : NULL;
}

/* Takes from *s what is before `at`, and drops the character there; without `at` takes all. */
static cl_str cut(cl_str *s, const char *at)
{
    cl_str before = *s;
    if (at) before.n = (size_t)(at - s->p);
    size_t gone = before.n + (at != NULL);
    *s = cl_str_of(s->p + gone, s->n - gone);
    return before;
}

static int unescape(parser *p, cl_str s, char **out)
{
    char *start = p->free;
    for (size_t i = 0; i < s.n; i++) {
        int c = (unsigned char)s.p[i];
        if (c == '%') {
            int high = i + 2 < s.n ? cl_hex_value(s.p[i + 1]) : -1, low = i + 2 < s.n ? cl_hex_value(s.p[i + 2]) : -1;
            if (high < 0 || low < 0) return refuse("expected two hex digits after '%' (a '%' itself is written %25)");
            c = high * 16 + low;
            i += 2;
        } else if (c <= ' ' || c == 0x7f) {
            return refuse("expected no spaces or control characters (a space is written %20)");
        }
        if (c == 0) return refuse("expected no NUL character");
        *p->free++ = (char)c;
    }
    *p->free++ = '\0';
    *out = start;
    return 0;
}

/* ---- parts of an address */

static int read_db(parser *p, cl_str text)
{
    if (p->seen & SEEN_DB) return refuse("expected the database once");
    p->seen |= SEEN_DB;
    if (!cl_str_number(text, 0, 999999, &p->url.db)) return refuse("expected a database number, 0 to 999999");
    return 0;
}

static int read_prefix(parser *p, cl_str text)
{
    if (p->seen & SEEN_PREFIX) return refuse("expected prefix once");
    p->seen |= SEEN_PREFIX;
    return text.n ? unescape(p, text, &p->url.prefix) : 0; /* an empty one means the default */
}

static int read_tls_word(parser *p, const char **out, cl_str text)
{
    char *word;
    if (*out) return refuse("expected ca_file, cert_file, cert_key_file and server_name once each");
    if (!text.n) return refuse("expected a text after '='");
    int code = unescape(p, text, &word);
    if (code == 0) *out = word;
    return code;
}

static int unknown_word(const parser *p)
{
    const char *of_redis = "expected db=NUMBER or prefix=TEXT after '?'";
    const char *of_tls =
        "expected ca_file=, cert_file=, cert_key_file= or server_name= after '?' (of Redis db= and prefix=, too)";
    return refuse(p->url.is_tls ? of_tls : of_redis);
}

/* name=value&name=value...; of an etcd only what concerns TLS. */
static int read_query(parser *p, cl_str query)
{
    int is_redis = p->url.kind != CL_URL_ETCD;
    while (query.n) {
        cl_str value = cut(&query, find_char(query, '&'));
        const char *equals = find_char(value, '=');
        if (!equals) return unknown_word(p);
        cl_str name = cut(&value, equals);
        const char **word = p->url.is_tls ? cl_url_tls_word(&p->url.tls, name) : NULL;
        int code = word                                            ? read_tls_word(p, word, value)
                   : is_redis && cl_str_eq(name, CL_STR("db"))     ? read_db(p, value)
                   : is_redis && cl_str_eq(name, CL_STR("prefix")) ? read_prefix(p, value)
                                                                   : unknown_word(p);
        if (code != 0) return code;
    }
    return 0;
}

static int read_user(parser *p, cl_str text)
{
    const char *colon = find_char(text, ':');
    if (!colon) return refuse("expected user:password before '@' (only a password: \":password@\")");
    int code = unescape(p, cut(&text, colon), &p->url.user);
    return code == 0 ? unescape(p, text, &p->url.password) : code;
}

/* "[::1]" or a name or an IPv4 address; leaves what follows in *text. */
static int read_host(parser *p, cl_str *text)
{
    cl_str host;
    if (text->n && text->p[0] == '[') {
        const char *bracket = find_char(*text, ']');
        if (!bracket) return refuse("expected ']' after the IPv6 address");
        cut(text, text->p);
        host = cut(text, bracket);
        if (!find_char(host, ':')) return refuse("expected an IPv6 address between '[' and ']'");
    } else {
        const char *colon = find_char(*text, ':');
        host = cl_str_of(text->p, colon ? (size_t)(colon - text->p) : text->n);
        *text = cl_str_of(text->p + host.n, text->n - host.n);
        if (find_char(host, '[') || find_char(host, ']')) return refuse("expected a host name");
    }
    if (host.n > HOST_LONGEST) return refuse("expected a host name of at most 255 characters");
    return host.n ? unescape(p, host, &p->url.host) : 0;
}

/* [host][:port] */
static int read_host_and_port(parser *p, cl_str text)
{
    int code = read_host(p, &text);
    if (code != 0 || text.n == 0) return code;
    if (text.p[0] != ':' || !cl_str_number(cl_str_of(text.p + 1, text.n - 1), 1, 65535, &p->url.port))
        return refuse("expected a port from 1 to 65535 after ':' (an IPv6 address stands in brackets)");
    return 0;
}

/* ---- the kinds of address, each behind its scheme */

static char *default_host(parser *p)
{
    char *host = strcpy(p->free, "127.0.0.1");
    p->free += sizeof "127.0.0.1";
    return host;
}

static int read_redis(parser *p, cl_str text)
{
    p->url.kind = CL_URL_REDIS;
    p->url.port = 6379;
    p->url.host = default_host(p);
    cl_str address = cut(&text, find_char(text, '?'));
    const char *at = find_last(address, '@');
    int code = at ? read_user(p, cut(&address, at)) : 0;
    cl_str host = cut(&address, find_char(address, '/'));
    if (code == 0) code = read_host_and_port(p, host);
    if (code == 0 && address.n) code = read_db(p, address);
    return code == 0 ? read_query(p, text) : code;
}

static int read_redis_unix(parser *p, cl_str text)
{
    p->url.kind = CL_URL_REDIS_UNIX;
    cl_str path = cut(&text, find_char(text, '?'));
    const char *slash = find_char(path, '/');
    cl_str user = cl_str_of(path.p, slash ? (size_t)(slash - path.p) : path.n);
    if (!slash || path.n - user.n < 2) return refuse("expected redis+unix:///path/to/socket");
    if (user.n && user.p[user.n - 1] != '@') return refuse("expected redis+unix:///path/to/socket, with three slashes");
    int code = user.n ? read_user(p, cl_str_of(user.p, user.n - 1)) : 0;
    if (code == 0) code = unescape(p, cl_str_of(slash, path.n - user.n), &p->url.path);
    if (code != 0) return code;
    if (strlen(p->url.path) > PATH_LONGEST) return refuse("expected a socket path of at most 107 bytes");
    return read_query(p, text);
}

/* It becomes part of an address of HTTP. */
static int is_host(const char *name)
{
    return name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-")] == '\0';
}

/* h1[:port],h2[:port]...; nothing at all is the default. */
static int read_hosts(parser *p, cl_str text, int port)
{
    char *standard = p->url.host;
    do {
        const char *comma = find_char(text, ',');
        cl_str one = cut(&text, comma);
        cl_url_host *host = &p->url.hosts[p->url.hosts_n];
        if (p->url.hosts_n == CL_URL_HOSTS) return refuse("expected at most 16 hosts");
        if (comma && !(one.n && text.n)) return refuse("expected a host name before and after ','");
        p->url.host = standard;
        p->url.port = port;
        int code = read_host_and_port(p, one);
        if (code != 0) return code;
        if (!is_host(p->url.host)) return refuse("expected a host name of letters, digits, '.', '_' and '-'");
        *host = (cl_url_host){p->url.host, p->url.port};
        p->url.hosts_n++;
    } while (text.n);
    p->url.host = (char *)(uintptr_t)p->url.hosts[0].name;
    p->url.port = p->url.hosts[0].port;
    return 0;
}

static int read_etcd_prefix(parser *p, cl_str path)
{
    while (path.n && path.p[path.n - 1] == '/') path.n--;
    if (path.n && path.p[0] == '/') return refuse("expected a prefix after one '/'");
    return path.n ? read_prefix(p, path) : 0;
}

static int read_etcd(parser *p, cl_str text)
{
    p->url.kind = CL_URL_ETCD;
    p->url.host = default_host(p);
    cl_str address = cut(&text, find_char(text, '?'));
    const char *at = find_last(address, '@');
    int code = at ? read_user(p, cut(&address, at)) : 0;
    cl_str hosts = cut(&address, find_char(address, '/'));
    if (code == 0) code = read_hosts(p, hosts, ETCD_PORT);
    if (code == 0) code = read_etcd_prefix(p, address);
    if (code == 0 && text.n && !p->url.is_tls) code = refuse("expected no '?' in the address of an etcd");
    return code == 0 ? read_query(p, text) : code;
}

static int is_name_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || c == '.' ||
           c == '-';
}

static int read_name(parser *p, enum cl_url_kind kind, cl_str text)
{
    p->url.kind = kind;
    for (size_t i = 0; i < text.n; i++)
        if (!is_name_char(text.p[i]))
            return refuse("expected a name of letters, digits, '_', '.' and '-' after the colon");
    if (text.n > NAME_LONGEST) return refuse("expected a name of at most 64 characters");
    if (text.n && text.p[0] == '.') return refuse("expected a name that does not begin with '.'");
    return unescape(p, text, &p->url.name);
}

static int read_local(parser *p, cl_str text)
{
    return read_name(p, CL_URL_LOCAL, text);
}

static int read_inproc(parser *p, cl_str text)
{
    return read_name(p, CL_URL_INPROC, text);
}

/* [user:password@]h1[:port],h2[:port].../master[/db] */
static int read_sentinel(parser *p, cl_str text)
{
    static const char expected[] = "expected redis+sentinel://[user:password@]host[:port][,...]/master-name[/db]";
    p->url.host = default_host(p);
    cl_str address = cut(&text, find_char(text, '?'));
    const char *at = find_last(address, '@');
    int code = at ? read_user(p, cut(&address, at)) : 0;
    cl_str hosts = cut(&address, find_char(address, '/'));
    if (code == 0) code = read_hosts(p, hosts, SENTINEL_PORT);
    cl_str name = cut(&address, find_char(address, '/'));
    if (code == 0 && !name.n) code = refuse(expected);
    if (code == 0 && (name.n > NAME_LONGEST || name.p[0] == '.'))
        code = refuse("expected a master name of at most 64 characters that does not begin with '.'");
    for (size_t i = 0; code == 0 && i < name.n; i++)
        if (!is_name_char(name.p[i])) code = refuse("expected a master name of letters, digits, '_', '.' and '-'");
    if (code == 0) code = unescape(p, name, &p->url.name);
    if (code == 0 && address.n) code = read_db(p, address);
    p->url.kind = CL_URL_REDIS_SENTINEL;
    return code == 0 ? read_query(p, text) : code;
}

typedef struct kind {
    const char *scheme;
    int (*read)(parser *p, cl_str text);
    int is_tls;
} kind;

static const kind *find_kind(cl_str text)
{
    static const kind kinds[] = {{"redis://", read_redis, 0},
                                 {"rediss://", read_redis, 1},
                                 {"redis+unix://", read_redis_unix, 0},
                                 {"redis+sentinel://", read_sentinel, 0},
                                 {"rediss+sentinel://", read_sentinel, 1},
                                 {"local:", read_local, 0},
                                 {"inproc:", read_inproc, 0},
                                 {"etcd://", read_etcd, 0},
                                 {"etcds://", read_etcd, 1}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t n = strlen(kinds[i].scheme);
        if (text.n >= n && strncasecmp(text.p, kinds[i].scheme, n) == 0) return &kinds[i];
    }
    return NULL;
}

/* Where the user and the password begin: behind the scheme and its slashes, or at the beginning. */
static size_t authority_of(cl_str text)
{
    const char *colon = find_char(text, ':'), *at = find_last(text, '@');
    if (!colon || (at && at < colon)) return 0;
    size_t begin = (size_t)(colon - text.p) + 1;
    while (begin < text.n && text.p[begin] == '/') begin++;
    return begin;
}

/* What follows a colon and is no port may be a password whose '@' is missing. */
static int is_port(cl_str text)
{
    size_t n = 0;
    while (n < text.n && text.p[n] >= '0' && text.p[n] <= '9') n++;
    return n > 0 && n <= 5 && (n == text.n || text.p[n] == '/' || text.p[n] == '?');
}

static cl_str shortened(cl_str text, size_t most)
{
    return cl_str_of(text.p, text.n < most ? text.n : most);
}

static int quote(cl_str text, const char *expected)
{
    size_t begin = authority_of(text);
    cl_str scheme = shortened(cl_str_of(text.p, begin), 40);
    cl_str before = cl_str_of(text.p + begin, text.n - begin), after = CL_STR_NONE;
    const char *at = find_last(before, '@'), *colon = find_last(before, ':'), *hidden = "";
    if (at) {
        after = shortened(cl_str_of(at, before.n - (size_t)(at - before.p)), 120);
        before.n = 0;
        hidden = "***";
    } else if (colon && before.p[0] != '[' &&
               !is_port(cl_str_of(colon + 1, before.n - (size_t)(colon + 1 - before.p)))) {
        before.n = (size_t)(colon + 1 - before.p);
        hidden = "***";
    }
    before = shortened(before, 120);
    return cl_error(CLOUDS_EURL, "not a valid url '%.*s%.*s%s%.*s': %s", (int)scheme.n, scheme.p, (int)before.n,
                    before.p, hidden, (int)after.n, after.p, expected);
}

static int refuse_scheme(cl_str text)
{
    if (text.n >= 12 && strncasecmp(text.p, "rediss+unix:", 12) == 0)
        return refuse("there is no TLS over a unix socket: expected redis+unix:///path");
    return refuse("expected redis://[user:password@]host[:port][/db] (rediss:// over TLS), redis+unix:///path, "
                  "redis+sentinel://[user:password@]host[:port][,...]/master, "
                  "etcd://[user:password@]host[:port][/prefix], local:[name] or inproc:[name]");
}

static int parse(cl_str text, cl_url *out)
{
    const kind *found = find_kind(text);
    if (!found) return refuse_scheme(text);
    parser p = {.url.is_tls = found->is_tls};
    size_t size = text.n + 64;
    p.url.memory = p.free = cl_malloc(size);
    if (!p.free) return cl_error(CLOUDS_ENOMEM, NULL);
    p.url.user = p.url.password = p.url.host = p.url.path = p.url.name = p.free;
    *p.free++ = '\0';
    p.url.prefix = strcpy(p.free, "clouds");
    p.free += sizeof "clouds";
    size_t scheme = strlen(found->scheme);
    int code = found->read(&p, cl_str_of(text.p + scheme, text.n - scheme));
    if (code == 0) {
        *out = p.url;
    } else {
        explicit_bzero(p.url.memory, size);
        cl_free(p.url.memory);
    }
    return code;
}

int cl_url_of_own(cl_str text, cl_url *out)
{
    char *p = cl_malloc(text.n + 2);
    if (!p) return cl_error(CLOUDS_ENOMEM, NULL);
    memcpy(p, text.p, text.n);
    p[text.n] = p[text.n + 1] = '\0';
    *out = (cl_url){.kind = CL_URL_OWN, .memory = p, .path = p};
    out->user = out->password = out->host = out->prefix = out->name = p + text.n;
    return 0;
}

int cl_url_parse(cl_str text, cl_url *out)
{
    int code = parse(text, out);
    if (code != CLOUDS_EURL) return code;
    char expected[320];
    snprintf(expected, sizeof expected, "%s", clouds_last_error());
    return quote(text, expected);
}

void cl_url_free(cl_url *url)
{
    if (url->memory && url->kind == CL_URL_OWN) explicit_bzero(url->path, strlen(url->path));
    else if (url->memory && url->password) explicit_bzero(url->password, strlen(url->password));
    cl_free(url->memory);
    *url = (cl_url){0};
}

/* Some of the texts may be elsewhere than in its memory. */
static char *put_text(char **to, const char *text)
{
    char *begin = *to;
    size_t n = strlen(text) + 1;
    memcpy(begin, text, n);
    *to += n;
    return begin;
}

int cl_url_copy(const cl_url *url, cl_url *out)
{
    char *const from[] = {url->user, url->password, url->host, url->path, url->prefix, url->name};
    char **const to[] = {&out->user, &out->password, &out->host, &out->path, &out->prefix, &out->name};
    size_t size = 0, texts = sizeof from / sizeof *from;
    for (size_t i = 0; i < texts; i++) size += strlen(from[i]) + 1;
    for (size_t i = 0; i < url->hosts_n; i++) size += strlen(url->hosts[i].name) + 1;
    char *p = cl_malloc(size);
    *out = p ? *url : (cl_url){0};
    if (!p) return CLOUDS_ENOMEM;
    out->memory = p;
    out->tls = (cl_url_tls){0};
    out->sentinel_user = out->sentinel_password = NULL;
    for (size_t i = 0; i < texts; i++) *to[i] = put_text(&p, from[i]);
    for (size_t i = 0; i < url->hosts_n; i++) out->hosts[i].name = put_text(&p, url->hosts[i].name);
    return 0;
}
