/* What llhttp takes although it may mean one thing to us and another to a proxy in front: refused.
 *
 * A head is refused by what stands in it, not by what llhttp made of it: a continued line, for example, is seen in the
 * bytes, since llhttp 8.1 hides a Content-Length behind one (CVE-2024-27982). */
#include <string.h>

#include "host/http/internal.h"

static int refuse(int status, const char *text, const char **why)
{
    *why = text;
    return status;
}

/* The first line: METHOD, one blank, the target, one blank, the version. What comes before it are empty lines. */
static int check_line(const host_http_request *request, host_http_text raw, const char **why)
{
    const char *at = raw.p, *end = raw.p + raw.n;
    while (at < end && (*at == '\r' || *at == '\n')) at++;
    const char *line_end = memchr(at, '\r', (size_t)(end - at));
    size_t length = line_end ? (size_t)(line_end - at) : 0;
    size_t expected = request->method.n + 1 + request->target.n + 1 + strlen("HTTP/1.x");
    if (length != expected) return refuse(400, "more or less than one blank in the first line", why);
    const char *version = line_end - strlen("HTTP/1.x");
    if (memcmp(version, "HTTP/1.0", 8) != 0 && memcmp(version, "HTTP/1.1", 8) != 0)
        return refuse(505, "expected HTTP/1.1 or HTTP/1.0", why);
    return 0;
}

/* Each line ends by CR LF, none goes on with a blank, and there is no other control character but a tab. */
static int check_bytes(host_http_text raw, const char **why)
{
    for (size_t i = 0; i < raw.n; i++) {
        unsigned char c = (unsigned char)raw.p[i];
        if (c >= ' ' && c != 127) continue; /* nearly all */
        char next = i + 1 < raw.n ? raw.p[i + 1] : '\0';
        if (c == '\r' && next != '\n') return refuse(400, "a CR without LF", why);
        if (c == '\n' && (i == 0 || raw.p[i - 1] != '\r')) return refuse(400, "an LF without CR", why);
        if (c == '\n' && (next == ' ' || next == '\t')) return refuse(400, "a continued header field", why);
        if ((c < ' ' && c != '\r' && c != '\n' && c != '\t') || c == 127)
            return refuse(400, "a control character in the head", why);
    }
    return 0;
}

static int check_target(host_http_text target, const char **why)
{
    bool is_star = target.n == 1 && target.p[0] == '*';
    if (target.n == 0 || (target.p[0] != '/' && !is_star)) return refuse(400, "expected a path as the target", why);
    for (size_t i = 0; i < target.n; i++)
        if ((unsigned char)target.p[i] <= ' ' || (unsigned char)target.p[i] >= 127 || target.p[i] == '#')
            return refuse(400, "a character that may not stand in a target", why);
    return 0;
}

static int check_names(const host_http_request *request, const char **why)
{
    for (size_t i = 0; i < request->field_count; i++)
        if (!host_http_is_token(request->fields[i].name)) return refuse(400, "a header field with no proper name", why);
    return 0;
}

static size_t count(const host_http_request *request, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < request->field_count; i++) n += host_http_is(request->fields[i].name, name);
    return n;
}

static int check_host(const host_http_request *request, const char **why)
{
    size_t hosts = count(request, "host");
    if (hosts > 1) return refuse(400, "more than one Host", why);
    if (hosts == 0 && request->minor == 1) return refuse(400, "no Host", why);
    return 0;
}

/* How long the body is has to be said once, and in one way. */
static int check_length(const host_http_request *request, const char **why)
{
    size_t encodings = count(request, "transfer-encoding"), lengths = count(request, "content-length");
    if (lengths > 1) return refuse(400, "more than one Content-Length", why);
    if (encodings == 0) return 0;
    if (request->minor == 0) return refuse(400, "Transfer-Encoding in HTTP/1.0", why);
    if (lengths) return refuse(400, "Content-Length and Transfer-Encoding", why);
    if (encodings > 1) return refuse(400, "more than one Transfer-Encoding", why);
    if (!host_http_is(host_http_find(request, "transfer-encoding"), "chunked"))
        return refuse(501, "expected no Transfer-Encoding but chunked", why);
    return 0;
}

static bool has_body(const host_http_request *request)
{
    host_http_text length = host_http_find(request, "content-length");
    for (size_t i = 0; i < length.n; i++)
        if (length.p[i] != '0') return true;
    return host_http_find(request, "transfer-encoding").p != NULL;
}

static int check_rest(const host_http_request *request, bool is_upgrade, const char **why)
{
    host_http_text expect = host_http_find(request, "expect");
    if (is_upgrade && has_body(request)) return refuse(400, "an upgrade with a body", why);
    if (host_http_is(request->method, "CONNECT")) return refuse(501, "this is no proxy", why);
    if (expect.p && !host_http_is(expect, "100-continue"))
        return refuse(417, "expected nothing but 100-continue in Expect", why);
    return 0;
}

int host_http_check(const host_http_request *request, host_http_text raw, bool is_upgrade, const char **why)
{
    int status = check_bytes(raw, why);
    if (status == 0) status = check_line(request, raw, why);
    if (status == 0) status = check_names(request, why);
    if (status == 0) status = check_host(request, why);
    if (status == 0) status = check_length(request, why);
    if (status == 0) status = check_rest(request, is_upgrade, why);
    if (status == 0) status = check_target(request->target, why);
    return status;
}
