/* A response as bytes: one piece, written at once; or its head alone. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/http/internal.h"

static const struct {
    int status;
    const char *text;
} reasons[] = {{200, "OK"},
               {201, "Created"},
               {202, "Accepted"},
               {206, "Partial Content"},
               {301, "Moved Permanently"},
               {302, "Found"},
               {303, "See Other"},
               {307, "Temporary Redirect"},
               {308, "Permanent Redirect"},
               {204, "No Content"},
               {304, "Not Modified"},
               {400, "Bad Request"},
               {401, "Unauthorized"},
               {403, "Forbidden"},
               {404, "Not Found"},
               {405, "Method Not Allowed"},
               {408, "Request Timeout"},
               {406, "Not Acceptable"},
               {409, "Conflict"},
               {410, "Gone"},
               {412, "Precondition Failed"},
               {413, "Content Too Large"},
               {414, "URI Too Long"},
               {415, "Unsupported Media Type"},
               {416, "Range Not Satisfiable"},
               {417, "Expectation Failed"},
               {422, "Unprocessable Content"},
               {426, "Upgrade Required"},
               {429, "Too Many Requests"},
               {431, "Request Header Fields Too Large"},
               {500, "Internal Server Error"},
               {501, "Not Implemented"},
               {502, "Bad Gateway"},
               {503, "Service Unavailable"},
               {504, "Gateway Timeout"},
               {505, "HTTP Version Not Supported"}};

static const char *reason_of(int status)
{
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].status == status) return reasons[i].text;
    return "";
}

/* The words of the standard, whatever the locale of the process is. Made anew once a second. */
static host_http_text date_line(void)
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    static char line[64];
    static host_http_text made;
    static time_t made_at;
    time_t now = time(NULL);
    struct tm t;
    if (made.p && now == made_at) return made;
    gmtime_r(&now, &t);
    made.n = (size_t)snprintf(line, sizeof line, "Date: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n", days[t.tm_wday],
                              t.tm_mday, months[t.tm_mon], t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
    made.p = line;
    made_at = now;
    return made;
}

static bool is_value(host_http_text text)
{
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if ((c < ' ' && c != '\t') || c == 127) return false;
    }
    return true;
}

/* How long a body is, and what becomes of the connection, is for this file to say. */
static bool may_be_set(host_http_text name)
{
    return !host_http_is(name, "content-length") && !host_http_is(name, "transfer-encoding") &&
           !host_http_is(name, "connection") && !host_http_is(name, "date");
}

static char *put(char *to, host_http_text text)
{
    memcpy(to, text.p, text.n);
    return to + text.n;
}

static char *put_field(char *to, const host_http_field *field)
{
    to = put(to, field->name);
    to = put(to, (host_http_text){": ", 2});
    to = put(to, field->value);
    return put(to, (host_http_text){"\r\n", 2});
}

bool host_http_has_no_body(int status)
{
    return status < 200 || status == 204 || status == 304;
}

static char *put_word(char *to, const char *word)
{
    return put(to, (host_http_text){word, strlen(word)});
}

static char *put_number(char *to, uint64_t number)
{
    char digits[20];
    size_t n = sizeof digits;
    do digits[--n] = (char)('0' + number % 10);
    while (number /= 10);
    return put(to, (host_http_text){digits + n, sizeof digits - n});
}

static char *put_status(char *to, int status)
{
    if (status == 200) return put_word(to, "HTTP/1.1 200 OK\r\n");
    to = put_number(put_word(to, "HTTP/1.1 "), (uint64_t)status);
    return put_word(put_word(put_word(to, " "), reason_of(status)), "\r\n");
}

/* The lines that say how the body ends, and what becomes of the connection. */
static char *put_end(char *to, int status, enum host_http_framing framing, uint64_t length, bool keep_alive)
{
    if (framing == HOST_HTTP_CHUNKED) to = put_word(to, "Transfer-Encoding: chunked\r\n");
    else if (framing == HOST_HTTP_COUNTED && !host_http_has_no_body(status))
        to = put_word(put_number(put_word(to, "Content-Length: "), length), "\r\n");
    return put_word(to, keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n");
}

/* Adds the bytes that the fields take; false, and errno EINVAL, when one cannot be sent. */
static bool measure(const host_http_response *r, size_t *need)
{
    for (size_t i = 0; i < r->field_count; i++) {
        const host_http_field *f = &r->fields[i];
        if (!host_http_is_token(f->name) || !is_value(f->value) || !may_be_set(f->name)) return errno = EINVAL, false;
        *need += f->name.n + f->value.n + 4;
    }
    return true;
}

/* The first line and those of put_end take no more. */
enum { LINES = 192 };

char *host_http_lines(const host_http_field *fields, size_t count, size_t *size)
{
    const host_http_response r = {.fields = fields, .field_count = count};
    *size = 0;
    if (!measure(&r, size)) return NULL;
    char *text = malloc(*size + 1), *at = text;
    for (size_t i = 0; text && i < count; i++) at = put_field(at, &fields[i]);
    return text;
}

static char *format(const host_http_response *r, host_http_text always, enum host_http_framing framing, uint64_t length,
                    bool keep_alive, host_http_text body, size_t *size)
{
    size_t need = body.n + always.n + r->lines.n;
    host_http_text date = date_line();
    if (!measure(r, &need)) return NULL;
    char *text = host_http_room(LINES + date.n + need), *at = text;
    if (!text) return NULL;
    at = put(put_status(at, r->status), date);
    if (always.n) at = put(at, always);
    if (r->lines.n) at = put(at, r->lines);
    for (size_t i = 0; i < r->field_count; i++) at = put_field(at, &r->fields[i]);
    at = put_end(at, r->status, framing, length, keep_alive);
    if (body.n) at = put(at, body);
    *size = (size_t)(at - text);
    return text;
}

char *host_http_format(const host_http_response *r, host_http_text always, bool is_head, bool keep_alive, size_t *size)
{
    static const host_http_text none = {"", 0};
    host_http_text body = is_head || host_http_has_no_body(r->status) ? none : r->body;
    return format(r, always, HOST_HTTP_COUNTED, r->body.n, keep_alive, body, size);
}

char *host_http_format_head(const host_http_response *r, host_http_text always, enum host_http_framing framing,
                            uint64_t length, bool keep_alive, size_t *size)
{
    return format(r, always, framing, length, keep_alive, (host_http_text){"", 0}, size);
}

char *host_http_format_refusal(int status, const char *why, host_http_text always, size_t *size)
{
    static const char type[] = "Content-Type: application/json\r\n";
    char text[256];
    int n = snprintf(text, sizeof text, "{\"error\":{\"message\":\"%s\"}}\n", why);
    const host_http_response response = {.status = status,
                                         .lines = {type, sizeof type - 1},
                                         .body = {text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1}};
    return host_http_format(&response, always, false, false, size);
}
