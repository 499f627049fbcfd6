#include "error.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local cl_error_record last;
static _Thread_local unsigned serial;

static void begin(int code)
{
    serial++;
    last.code = code;
    last.method.n = last.server.n = last.node.n = last.cluster.n = 0;
    last.size = last.limit = 0;
    last.reason[0] = '\0';
    last.retry_after = 0;
}

/* vsnprintf may have cut a character of several bytes in two. */
static void cut_whole(char *text, int wanted)
{
    if (wanted < CL_ERROR_TEXT) return;
    size_t n = CL_ERROR_TEXT - 1;
    while (n > 0 && ((unsigned char)text[n - 1] & 0xc0) == 0x80) n--;
    if (n > 0 && (unsigned char)text[n - 1] >= 0xc0) text[n - 1] = '\0';
}

static void say(const char *format, va_list args)
{
    cut_whole(last.text, vsnprintf(last.text, sizeof last.text, format, args));
}

int cl_error(int code, const char *format, ...)
{
    begin(code);
    if (!format) {
        snprintf(last.text, sizeof last.text, "%s", clouds_strerror(code));
        return code;
    }
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
    return code;
}

int cl_error_limit(int code, uint64_t size, uint64_t limit, const char *format, ...)
{
    begin(code);
    last.size = size;
    last.limit = limit;
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
    return code;
}

int cl_error_too_big(const char *what, uint64_t size, uint64_t max_message)
{
    return cl_error_limit(CLOUDS_ETOOBIG, size, max_message, "%s has %" PRIu64 " bytes, max_message is %" PRIu64, what,
                          size, max_message);
}

void cl_error_busy(cl_str reason, uint64_t retry_after)
{
    size_t n = reason.n < sizeof last.reason ? reason.n : 0;
    memcpy(last.reason, reason.p, n);
    last.reason[n] = '\0';
    last.retry_after = retry_after;
}

void cl_error_prefix(cl_str method)
{
    char text[CL_ERROR_TEXT];
    memcpy(text, last.text, sizeof text);
    int wanted = snprintf(last.text, sizeof last.text, "%.*s: %s", (int)method.n, method.p, text);
    cut_whole(last.text, wanted);
}

static void keep(cl_error_name *to, cl_str text)
{
    if (text.n == 0 || text.n > CL_ERROR_NAME) return;
    memcpy(to->p, text.p, text.n);
    to->n = text.n;
}

void cl_error_about(const cl_facts *facts)
{
    keep(&last.method, facts->method);
    keep(&last.server, facts->server);
    keep(&last.node, facts->node);
    keep(&last.cluster, facts->cluster);
}

int cl_error_code(void)
{
    return last.code;
}

static cl_str text_of(const cl_error_name *kept)
{
    return cl_str_of(kept->p, kept->n);
}

cl_facts cl_error_facts(void)
{
    return (cl_facts){.method = text_of(&last.method),
                      .server = text_of(&last.server),
                      .node = text_of(&last.node),
                      .cluster = text_of(&last.cluster),
                      .size = last.size,
                      .limit = last.limit,
                      .reason = cl_str_z(last.reason),
                      .retry_after = last.retry_after};
}

void cl_error_save(cl_error_record *out)
{
    *out = last;
}

int cl_error_restore(const cl_error_record *record)
{
    serial++;
    last = *record;
    return last.code;
}

unsigned cl_error_serial(void)
{
    return serial;
}

const char *clouds_last_error(void)
{
    return last.text;
}

typedef struct error_row {
    int code, outcome;
    const char *name, *text;
} error_row;

#define ROW(symbol, number, outcome, name, text) {symbol, outcome, name, text},
static const error_row rows[] = {CLOUDS_ERRORS(ROW)};
#undef ROW

static const error_row *find(int code)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].code == code) return &rows[i];
    return NULL;
}

const char *clouds_strerror(int code)
{
    const error_row *row = find(code);
    return row ? row->text : code == 0 ? "ok" : "unknown error";
}

const char *clouds_err_name(int code)
{
    const error_row *row = find(code);
    return row ? row->name : code == 0 ? "CLOUDS_OK" : "CLOUDS_E?";
}

int clouds_error_at(uint32_t index)
{
    return index < sizeof rows / sizeof *rows ? rows[index].code : CLOUDS_OK;
}

int clouds_err_outcome(int code)
{
    const error_row *row = find(code);
    return row ? row->outcome : code == 0 ? CLOUDS_OUTCOME_OK : CLOUDS_OUTCOME_UNKNOWN;
}

/* Every other code is CLOUDS_RETRY_NO: the call could never work, has been given up, was answered, or, when a server is
 * busy, would be more of what keeps it busy. */
int clouds_retry_rule(int code)
{
    switch (code) {
    case CLOUDS_ETIMEOUT:
    case CLOUDS_ELOST:
    case CLOUDS_EEXPIRED:
        return CLOUDS_RETRY_NOW;
    case CLOUDS_ENOSERVER:
    case CLOUDS_EDRAINING:
        return CLOUDS_RETRY_LATER;
    default:
        return CLOUDS_RETRY_NO;
    }
}

static int is_misuse(int code)
{
    return code == CLOUDS_EINVAL || code == CLOUDS_EURL || code == CLOUDS_EOPTION || code == CLOUDS_EJSON ||
           code == CLOUDS_ETOOBIG || code == CLOUDS_EBADARG;
}

int clouds_exit_code(int code, int outcome)
{
    switch (outcome) {
    case CLOUDS_OUTCOME_OK:
        return CLOUDS_EXIT_OK;
    case CLOUDS_OUTCOME_APP_ERROR:
        return CLOUDS_EXIT_ERROR;
    case CLOUDS_OUTCOME_NOT_DONE:
        return is_misuse(code) ? CLOUDS_EXIT_USAGE : CLOUDS_EXIT_UNREACHABLE;
    default:
        return CLOUDS_EXIT_UNKNOWN;
    }
}

const char *clouds_outcome_name(int outcome)
{
    static const char *const names[] = {"OK", "APP_ERROR", "NOT_DONE", "UNKNOWN"};
    return outcome >= 0 && outcome < 4 ? names[outcome] : "UNKNOWN";
}
