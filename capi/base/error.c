#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char last_error[256];
static _Thread_local unsigned serial;

int cl_error(int code, const char *format, ...)
{
    serial++;
    if (!format) {
        snprintf(last_error, sizeof last_error, "%s", clouds_strerror(code));
        return code;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(last_error, sizeof last_error, format, args);
    va_end(args);
    return code;
}

unsigned cl_error_serial(void)
{
    return serial;
}

const char *clouds_last_error(void)
{
    return last_error;
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

int clouds_err_outcome(int code)
{
    const error_row *row = find(code);
    return row ? row->outcome : code == 0 ? CLOUDS_DONE : CLOUDS_UNKNOWN;
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

const char *clouds_outcome_name(int outcome)
{
    static const char *const names[] = {"OK", "APP_ERROR", "NOT_DONE", "UNKNOWN"};
    return outcome >= 0 && outcome < 4 ? names[outcome] : "UNKNOWN";
}
