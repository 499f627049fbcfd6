/* What llhttp takes although it may mean one thing to us and another to a proxy in front: refused.
 *
 * A head is refused by what stands in it, not by what llhttp made of it: a continued line, for example, is seen in the
 * bytes, since llhttp 8.1 hides a Content-Length behind one (CVE-2024-27982). Nearly every head is plain: what llhttp
 * made of it, with one blank here, a colon there and CR LF behind each line, is all that it has, and there is no other
 * control character. That is seen at once; only others are read byte by byte, for the reason. */
#include <endian.h>
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

/* Moves on over the text, if it begins there; over these bytes, if they stand there. */
static bool pass(const char **at, host_http_text text)
{
    if (text.p != *at) return false;
    *at += text.n;
    return true;
}

static bool pass_bytes(const char **at, const char *end, const char *bytes)
{
    size_t n = strlen(bytes);
    if ((size_t)(end - *at) < n || memcmp(*at, bytes, n) != 0) return false;
    *at += n;
    return true;
}

static bool pass_line(const char **at, const char *end, const host_http_request *request)
{
    if (!pass(at, request->method) || !pass_bytes(at, end, " ") || !pass(at, request->target)) return false;
    return pass_bytes(at, end, request->minor ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n");
}

static bool pass_field(const char **at, const char *end, const host_http_field *field)
{
    if (!pass(at, field->name) || !pass_bytes(at, end, ":")) return false;
    while (*at < end && **at == ' ') ++*at;
    if (field->value.n && !pass(at, field->value)) return false;
    while (*at < end && **at == ' ') ++*at;
    return pass_bytes(at, end, "\r\n");
}

#define EACH_BYTE UINT64_C(0x0101010101010101)

/* Of the control characters among eight bytes the highest bits; of the first byte the lowest. */
static uint64_t controls(const char *at)
{
    static const uint64_t high = EACH_BYTE * 0x80, low = EACH_BYTE * 0x7f;
    uint64_t word;
    memcpy(&word, at, sizeof word);
    word = le64toh(word);
    uint64_t from_blank = ((word & low) + EACH_BYTE * (0x80 - ' ')) | word; /* the byte is a blank, or more */
    uint64_t other = ((word ^ low) & low) + low;                       /* it is not 127, if it is less than 128 */
    return ~(from_blank & (other | word)) & high;
}

static bool is_control(char c)
{
    return (unsigned char)c < ' ' || c == 127;
}

static size_t count_controls(host_http_text raw)
{
    size_t count = 0, i = 0;
    for (; i + sizeof(uint64_t) <= raw.n; i += sizeof(uint64_t)) count += (controls(raw.p + i) >> 7) * EACH_BYTE >> 56;
    for (; i < raw.n; i++) count += is_control(raw.p[i]);
    return count;
}

static bool is_plain(const host_http_request *request, host_http_text raw)
{
    const char *at = raw.p, *end = raw.p + raw.n;
    if (!pass_line(&at, end, request)) return false;
    for (size_t i = 0; i < request->field_count; i++)
        if (!pass_field(&at, end, &request->fields[i])) return false;
    size_t lines = request->field_count + 2;
    return pass_bytes(&at, end, "\r\n") && at == end && count_controls(raw) == 2 * lines;
}

/* One that is a control character. */
static int check_control(host_http_text raw, size_t i, const char **why)
{
    char c = raw.p[i], next = i + 1 < raw.n ? raw.p[i + 1] : '\0';
    if (c == '\r' && next != '\n') return refuse(400, "a CR without LF", why);
    if (c == '\n' && (i == 0 || raw.p[i - 1] != '\r')) return refuse(400, "an LF without CR", why);
    if (c == '\n' && (next == ' ' || next == '\t')) return refuse(400, "a continued header field", why);
    if (c != '\r' && c != '\n' && c != '\t') return refuse(400, "a control character in the head", why);
    return 0;
}

/* Each line ends by CR LF, none goes on with a blank, and there is no other control character but a tab. */
static int check_bytes(host_http_text raw, const char **why)
{
    int status = 0;
    size_t i = 0;
    for (; i + sizeof(uint64_t) <= raw.n && status == 0; i += sizeof(uint64_t))
        for (uint64_t found = controls(raw.p + i); found && status == 0; found &= found - 1)
            status = check_control(raw, i + (size_t)__builtin_ctzll(found) / 8, why);
    for (; i < raw.n && status == 0; i++)
        if (is_control(raw.p[i])) status = check_control(raw, i, why);
    return status;
}

static int check_form(const host_http_request *request, host_http_text raw, const char **why)
{
    if (is_plain(request, raw)) return 0;
    int status = check_bytes(raw, why);
    return status ? status : check_line(request, raw, why);
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

static void note(size_t *count, host_http_text *first, host_http_text value)
{
    if ((*count)++ == 0) *first = value;
}

host_http_facts host_http_facts_of(const host_http_request *request)
{
    host_http_facts f = {0};
    for (size_t i = 0; i < request->field_count; i++) {
        host_http_text name = request->fields[i].name, value = request->fields[i].value;
        if (host_http_is(name, "host")) f.hosts++;
        else if (host_http_is(name, "content-length")) note(&f.lengths, &f.length, value);
        else if (host_http_is(name, "transfer-encoding")) note(&f.encodings, &f.encoding, value);
        else if (host_http_is(name, "expect") && !f.expect.p) f.expect = value;
    }
    return f;
}

static int check_host(const host_http_request *request, const host_http_facts *f, const char **why)
{
    size_t hosts = f->hosts;
    if (hosts > 1) return refuse(400, "more than one Host", why);
    if (hosts == 0 && request->minor == 1) return refuse(400, "no Host", why);
    return 0;
}

/* How long the body is has to be said once, and in one way. */
static int check_length(const host_http_request *request, const host_http_facts *f, const char **why)
{
    if (f->lengths > 1) return refuse(400, "more than one Content-Length", why);
    if (f->encodings == 0) return 0;
    if (request->minor == 0) return refuse(400, "Transfer-Encoding in HTTP/1.0", why);
    if (f->lengths) return refuse(400, "Content-Length and Transfer-Encoding", why);
    if (f->encodings > 1) return refuse(400, "more than one Transfer-Encoding", why);
    if (!host_http_is(f->encoding, "chunked")) return refuse(501, "expected no Transfer-Encoding but chunked", why);
    return 0;
}

static bool has_body(const host_http_facts *f)
{
    for (size_t i = 0; i < f->length.n; i++)
        if (f->length.p[i] != '0') return true;
    return f->encodings > 0;
}

static int check_rest(const host_http_request *request, const host_http_facts *f, bool is_upgrade, const char **why)
{
    host_http_text expect = f->expect;
    if (is_upgrade && has_body(f)) return refuse(400, "an upgrade with a body", why);
    if (host_http_is(request->method, "CONNECT")) return refuse(501, "this is no proxy", why);
    if (expect.p && !host_http_is(expect, "100-continue"))
        return refuse(417, "expected nothing but 100-continue in Expect", why);
    return 0;
}

int host_http_check(const host_http_request *request, const host_http_facts *f, host_http_text raw, bool is_upgrade,
                    const char **why)
{
    int status = check_form(request, raw, why);
    if (status == 0) status = check_names(request, why);
    if (status == 0) status = check_host(request, f, why);
    if (status == 0) status = check_length(request, f, why);
    if (status == 0) status = check_rest(request, f, is_upgrade, why);
    if (status == 0) status = check_target(request->target, why);
    return status;
}
