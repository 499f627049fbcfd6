/* Requests of HTTP. However they are cut into pieces, the same is understood; and what is understood keeps the rules. */
#include "fuzz.h"

#include "host/http/internal.h"

enum { SAID = 1 << 16 };

typedef struct outcome {
    char text[SAID];
    size_t n;
} outcome;

static const host_http_limits limits = {.head = 1024, .target = 256, .body = 2048};

static void say(outcome *o, const char *text, size_t n)
{
    if (n > SAID - o->n) n = SAID - o->n;
    memcpy(o->text + o->n, text, n);
    o->n += n;
}

static void say_number(outcome *o, size_t number)
{
    char text[32];
    say(o, text, (size_t)snprintf(text, sizeof text, " %zu ", number));
}

static int is_inside(host_http_text text, const uint8_t *data, size_t size)
{
    const char *begin = (const char *)data;
    return text.n == 0 || (text.p >= begin && text.p + text.n <= begin + size);
}

static size_t count(const host_http_request *r, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < r->field_count; i++) n += host_http_is(r->fields[i].name, name);
    return n;
}

static void head_is_sound(const host_http_request *r, const uint8_t *data, size_t size)
{
    HOLDS(r->method.n && is_inside(r->method, data, size) && is_inside(r->target, data, size));
    HOLDS(r->target.n && r->target.n <= limits.target && r->field_count <= HOST_HTTP_FIELDS);
    for (size_t i = 0; i < r->field_count; i++) {
        HOLDS(r->fields[i].name.n && is_inside(r->fields[i].name, data, size));
        HOLDS(is_inside(r->fields[i].value, data, size));
        HOLDS(!memchr(r->fields[i].value.p, '\n', r->fields[i].value.n) && !memchr(r->fields[i].value.p, '\r', r->fields[i].value.n));
    }
    HOLDS(count(r, "host") <= 1 && (count(r, "host") == 1 || r->minor == 0));
    HOLDS(count(r, "content-length") + count(r, "transfer-encoding") <= 1);
}

/* Lines that end by CR LF, of which none goes on with a blank, and no other control character but a tab. */
static void bytes_are_sound(const uint8_t *head, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (head[i] == '\r') HOLDS(i + 1 < size && head[i + 1] == '\n');
        else if (head[i] == '\n') HOLDS(i > 0 && head[i - 1] == '\r' && (i + 1 == size || (head[i + 1] != ' ' && head[i + 1] != '\t')));
        else HOLDS((head[i] >= ' ' && head[i] != 127) || head[i] == '\t');
    }
}

static void say_request(outcome *o, const host_http_request *r)
{
    say(o, r->method.p, r->method.n);
    say(o, r->target.p, r->target.n);
    for (size_t i = 0; i < r->field_count; i++) {
        say(o, r->fields[i].name.p, r->fields[i].name.n);
        say(o, r->fields[i].value.p, r->fields[i].value.n);
    }
    say_number(o, (size_t)r->keep_alive);
    HOLDS(r->body.n <= limits.body);
    say(o, r->body.p, r->body.n);
}

/* One request from `at` on; where it ends, or 0: it does not, or it is refused. */
static size_t read_one(const uint8_t *data, size_t size, size_t at, size_t piece, outcome *o)
{
    host_http_parser p;
    enum host_http_progress progress = HOST_HTTP_MORE;
    host_http_parser_begin(&p, &limits);
    size_t begin = at, end = 0;
    while (progress == HOST_HTTP_MORE || progress == HOST_HTTP_HEAD) {
        size_t n = size - at < piece ? size - at : piece, used = 0;
        if (n == 0 && progress == HOST_HTTP_MORE) break;
        progress = host_http_parse(&p, (const char *)data + at, n, &used);
        HOLDS(used <= n);
        at += used;
        if (progress != HOST_HTTP_HEAD) continue;
        head_is_sound(&p.request, data, size);
        bytes_are_sound(data + begin, at - begin);
    }
    if (progress == HOST_HTTP_BAD) HOLDS(p.status >= 400 && p.status < 600 && p.why && *p.why);
    if (progress == HOST_HTTP_BAD) say(o, "refused", 7); /* of several reasons it may be another */
    if (progress == HOST_HTTP_END) say_request(o, &p.request), end = at;
    host_http_parser_end(&p);
    return end;
}

static void read_all(const uint8_t *data, size_t size, size_t piece, outcome *o)
{
    size_t at = 0, next;
    o->n = 0;
    while (at < size && (next = read_one(data, size, at, piece, o)) > at) at = next;
    say_number(o, at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static outcome whole, cut;
    read_all(data, size, size, &whole);
    for (size_t piece = 1; piece < 8 && piece < size; piece += 3) {
        read_all(data, size, piece, &cut);
        HOLDS(cut.n == whole.n && memcmp(cut.text, whole.text, cut.n) == 0);
    }
    return 0;
}
