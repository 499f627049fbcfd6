#include "proto/url.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"

static const char expected[] = "expected redis://[user:password@]host[:port][/db][?prefix=...], "
                               "redis+unix:///path/to/socket[?db=..&prefix=..], local:[name] or inproc:[name]";

/* The text is cut into pieces in a copy of its own: each piece is unescaped in place and ended with a NUL. */
static int bad(const char *what)
{
    return cl_error(CLOUDS_EURL, "invalid URL: %s; %s", what, expected);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int unescape(char *s)
{
    char *out = s;
    for (; *s; s++) {
        int high = *s == '%' ? hex_digit(s[1]) : 0, low = *s == '%' && high >= 0 ? hex_digit(s[2]) : 0;
        if (*s == '%' && (high < 0 || low < 0 || high + low == 0)) return bad("a % that is not followed by two hex digits");
        *out++ = *s == '%' ? (char)(high * 16 + low) : *s;
        if (*s == '%') s += 2;
    }
    *out = '\0';
    return 0;
}

static char *cut(char *s, char at)
{
    char *found = strchr(s, at);
    if (found) *found++ = '\0';
    return found;
}

static int number_in(const char *s, int max, int *out)
{
    char *end;
    if (*s < '0' || *s > '9') return -1;
    long v = strtol(s, &end, 10);
    if (*end || v > max) return -1;
    *out = (int)v;
    return 0;
}

static int set_db(cl_url *url, const char *text)
{
    return number_in(text, 1000000, &url->db) == 0 ? 0 : bad("the database is not a number");
}

static int parse_query(cl_url *url, char *query)
{
    while (query && *query) {
        char *next = cut(query, '&'), *value = cut(query, '=');
        int code = value ? unescape(value) : bad("a parameter without a value");
        if (code != 0) return code;
        if (strcmp(query, "prefix") == 0) url->prefix = *value ? value : url->prefix;
        else if (strcmp(query, "db") == 0) code = set_db(url, value);
        else code = bad("a parameter other than prefix and db");
        if (code != 0) return code;
        query = next;
    }
    return 0;
}

static int parse_login(cl_url *url, char *login)
{
    char *password = cut(login, ':');
    if (password) url->user = login, url->password = password;
    else url->password = login;
    int code = unescape(url->user);
    return code ? code : unescape(url->password);
}

static int parse_host(cl_url *url, char *host)
{
    char *port = NULL;
    if (*host == '[') {
        char *close = cut(++host, ']');
        if (!close || (*close && *close != ':')) return bad("a [ without its ]");
        port = *close ? close + 1 : NULL;
    } else {
        port = cut(host, ':');
    }
    if (port && (number_in(port, 65535, &url->port) != 0 || url->port == 0)) return bad("the port is not a number up to 65535");
    if (*host) url->host = host;
    return unescape(url->host);
}

static int parse_redis(cl_url *url, char *rest)
{
    int code = parse_query(url, cut(rest, '?'));
    if (code != 0) return code;
    char *at = strrchr(rest, '@'), *host = rest;
    if (at) {
        *at = '\0';
        host = at + 1;
        if ((code = parse_login(url, rest)) != 0) return code;
    }
    char *db = cut(host, '/');
    if (db && *db && (code = set_db(url, db)) != 0) return code;
    return parse_host(url, host);
}

static int parse_redis_unix(cl_url *url, char *rest)
{
    int code = parse_query(url, cut(rest, '?'));
    if (code != 0) return code;
    char *slash = strchr(rest, '/');
    if (slash && slash > rest && slash[-1] == '@') {
        slash[-1] = '\0';
        if ((code = parse_login(url, rest)) != 0) return code;
    } else if (slash != rest) {
        return bad("the path of the socket does not begin with /");
    }
    url->path = slash;
    if (unescape(slash) != 0) return CLOUDS_EURL;
    return slash[1] ? 0 : bad("no path of a socket");
}

static int parse_name(cl_url *url, char *rest)
{
    for (const char *p = rest; *p; p++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-", *p))
            return bad("a name takes letters, digits, _, . and -");
    if (strlen(rest) > 64) return bad("a name takes up to 64 characters");
    if (rest[0] == '.') return bad("a name does not begin with .");
    url->name = rest;
    return 0;
}

static const struct scheme {
    const char *text;
    enum cl_url_kind kind;
    int (*parse)(cl_url *url, char *rest);
} schemes[] = {
    {"redis://", CL_URL_REDIS, parse_redis},
    {"redis+unix://", CL_URL_REDIS_UNIX, parse_redis_unix},
    {"local:", CL_URL_LOCAL, parse_name},
    {"inproc:", CL_URL_INPROC, parse_name},
};

static int parse(cl_str text, cl_url *url)
{
    /* Room for the text, and behind it an empty text for what is absent and the defaults. */
    static const char defaults[] = "\0" "127.0.0.1\0clouds";
    url->memory = cl_malloc(text.n + 1 + sizeof defaults);
    if (!url->memory) return cl_error(CLOUDS_ENOMEM, NULL);
    memcpy(url->memory, text.p, text.n);
    url->memory[text.n] = '\0';
    char *rest = url->memory + text.n + 1;
    memcpy(rest, defaults, sizeof defaults);
    url->user = url->password = url->path = url->name = rest;
    url->host = rest + 1;
    url->prefix = rest + 11;
    url->port = 6379;
    if (strlen(url->memory) != text.n) return bad("it holds a NUL");
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        if (!cl_str_starts(text, cl_str_z(schemes[i].text))) continue;
        url->kind = schemes[i].kind;
        return schemes[i].parse(url, url->memory + strlen(schemes[i].text));
    }
    return bad("unknown scheme");
}

int cl_url_parse(cl_str text, cl_url *out)
{
    cl_url url = {0};
    int code = parse(text, &url);
    if (code != 0) {
        cl_free(url.memory);
        return code;
    }
    *out = url;
    return 0;
}

void cl_url_free(cl_url *url)
{
    cl_free(url->memory);
    *url = (cl_url){0};
}

void cl_url_describe(const cl_url *url, char *out, size_t cap)
{
    int v6 = url->host && strchr(url->host, ':') != NULL;
    switch (url->kind) {
    case CL_URL_REDIS:
        snprintf(out, cap, "redis://%s%s%s:%d/%d", v6 ? "[" : "", url->host, v6 ? "]" : "", url->port, url->db);
        break;
    case CL_URL_REDIS_UNIX: snprintf(out, cap, "redis+unix://%s", url->path); break;
    case CL_URL_LOCAL: snprintf(out, cap, "local:%s", url->name); break;
    case CL_URL_INPROC: snprintf(out, cap, "inproc:%s", url->name); break;
    }
}
