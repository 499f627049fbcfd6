/* Options. The table in options.def is the one source: for names, types, defaults, limits, clouds_option_describe, and
 * docs/CONFIGURATION.md. */
#include "api/options.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/guard.h"
#include "api/handle.h"
#include "api/record.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

enum option_kind { TEXT, NUMBER, COUNT, WORD, BOOL };

/* So far a double tells every whole number. */
#define EXACT 9007199254740991.0
enum option_rule { STRICT, PERIOD, LAX };

typedef struct option_row {
    const char *name, *scope, *unit, *initial, *help;
    enum option_kind kind;
    enum option_rule rule;
    double min, max;
    int live;
} option_row;

#define SCOPE_CONTEXT "context"
#define SCOPE_NODE "node"
#define SCOPE_LIVE SCOPE_NODE
enum { LIVE_CONTEXT, LIVE_NODE = LIVE_CONTEXT, LIVE_LIVE };
static const option_row rows[] = {
#define OPTION(symbol, scope, kind, unit, initial, min, max, rule, help)                                               \
    {#symbol, SCOPE_##scope, unit, initial, help, kind, rule, min, max, LIVE_##scope},
#include "api/options.def"
#undef OPTION
};

static const cl_options no_values;

static int find(const char *name)
{
    for (int i = 0; i < CL_OPTIONS; i++)
        if (strcmp(rows[i].name, name) == 0) return i;
    return -1;
}

int cl_options_refuse(const char *name, const char *got, const char *expected)
{
    return cl_error(CLOUDS_EOPTION, "option '%s': got '%.80s', expected %s", name, got, expected);
}

/* What the option takes, for error texts. */
static const char *expected(const option_row *row, char *out, size_t cap)
{
    if (row->kind == TEXT) return "text";
    if (row->kind == BOOL) return "true or false";
    if (row->kind == WORD) return "a whole number of 64 bits (as a double: up to 2^53 - 1)";
    const char *what = row->kind == COUNT ? "a whole number" : "a number";
    char least[CL_NUMBER_TEXT], most[CL_NUMBER_TEXT];
    snprintf(out, cap, "%s from %s to %s%s%s", what, cl_number_text(least, row->min, 15),
             cl_number_text(most, row->max, 15), *row->unit ? " " : "", row->unit);
    return out;
}

static int refuse(const option_row *row, const char *got)
{
    char words[128];
    return cl_options_refuse(row->name, got, expected(row, words, sizeof words));
}

static int refuse_number(const option_row *row, double got)
{
    char text[CL_NUMBER_TEXT];
    return refuse(row, cl_number_text(text, got, 17));
}

static int parse_bool(const char *text, double *out)
{
    int yes = strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
    int no = strcmp(text, "false") == 0 || strcmp(text, "0") == 0;
    *out = yes;
    return yes || no;
}

static double initial_number(const option_row *row)
{
    double value = 0;
    if (row->kind == BOOL) parse_bool(row->initial, &value);
    else cl_str_real(cl_str_z(row->initial), &value);
    return value;
}

/* Brings a number into its limits, or refuses it. */
static int settle_number(const option_row *row, double *value)
{
    if (row->rule == LAX && !(*value > 0)) *value = initial_number(row);
    if (row->rule != STRICT && *value > row->max) *value = row->max;
    if (row->rule == LAX && *value < row->min) *value = row->min;
    if (!(*value >= row->min && *value <= row->max)) return refuse_number(row, *value);
    if (row->kind == COUNT && floor(*value) != *value) return refuse_number(row, *value);
    return 0;
}

static int store_word(cl_option_value *to, uint64_t value)
{
    to->word = value;
    to->is_set = 1;
    return 0;
}

static int store_number(cl_option_value *to, const option_row *row, double value)
{
    if (row->kind == WORD) {
        int exact = value >= 0 && value <= EXACT && floor(value) == value;
        return exact ? store_word(to, (uint64_t)value) : refuse_number(row, value);
    }
    int code = settle_number(row, &value);
    if (code != 0) return code;
    to->number = value;
    to->is_set = 1;
    return 0;
}

static int store_text(cl_option_value *to, const char *value)
{
    char *copy = cl_str_dup(cl_str_z(value));
    if (!copy) return cl_error(CLOUDS_ENOMEM, NULL);
    cl_free(to->text);
    to->text = copy;
    to->is_set = 1;
    return 0;
}

/* Reads a whole number of 64 bits in digits alone. 1, or 0 when it is none. */
static int parse_word(const char *text, uint64_t *out)
{
    uint64_t value = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++) {
        unsigned digit = (unsigned)(*p - '0');
        if (value > (UINT64_MAX - digit) / 10) return 0;
        value = value * 10 + digit;
    }
    *out = value;
    return p > text && !*p;
}

static int store_from_text(cl_option_value *to, const option_row *row, const char *value)
{
    double number;
    uint64_t word;
    if (row->kind == WORD && parse_word(value, &word)) return store_word(to, word);
    if (row->kind == TEXT) return store_text(to, value);
    if (row->kind == BOOL ? !parse_bool(value, &number) : !cl_str_real(cl_str_z(value), &number))
        return refuse(row, value);
    return store_number(to, row, number);
}

/* ---- the exported functions */

int clouds_options_create(clouds_options **out)
{
    int code = cl_guard_hooks();
    if (code != 0) return code;
    if (!out) return cl_error(CLOUDS_EINVAL, "clouds_options_create: out is NULL");
    cl_options *options = cl_calloc(1, sizeof *options);
    clouds_options *handle = options ? cl_handle_open(CL_HANDLE_OPTIONS, options) : NULL;
    if (!handle) {
        cl_free(options);
        return cl_error(CLOUDS_ENOMEM, NULL);
    }
    cl_guard_keep(1);
    *out = handle;
    return 0;
}

void clouds_options_destroy(clouds_options *handle)
{
    void *object;
    if (!handle || cl_guard_hooks() != 0 || !cl_handle_revoke(handle, CL_HANDLE_OPTIONS, &object)) return;
    cl_handle_retire(handle);
    cl_options *options = object;
    for (int i = 0; i < CL_OPTIONS; i++) cl_free(options->values[i].text);
    cl_free(options);
    cl_guard_keep(-1);
}

/* Enters for writing and finds the row; on success leave with cl_handle_leave. */
static int enter_for(clouds_options *handle, const char *name, cl_options **options, int *index)
{
    int code = cl_guard_hooks();
    if (code != 0) return code;
    if (!name) return cl_error(CLOUDS_EINVAL, "the name of the option is NULL");
    *index = find(name);
    *options = cl_handle_enter(handle, CL_HANDLE_OPTIONS);
    if (!*options) return cl_error(CLOUDS_EHANDLE, "not a live options handle");
    if (*index >= 0) return 0;
    cl_handle_leave(handle);
    return cl_error(CLOUDS_EOPTION, "unknown option '%.80s'", name);
}

int clouds_options_set_string(clouds_options *handle, const char *name, const char *value)
{
    cl_options *options;
    int index;
    int code = enter_for(handle, name, &options, &index);
    if (code != 0) return code;
    if (value) code = store_from_text(&options->values[index], &rows[index], value);
    else code = cl_error(CLOUDS_EINVAL, "option '%s': the value is NULL", name);
    cl_handle_leave(handle);
    return code;
}

int clouds_options_set_number(clouds_options *handle, const char *name, double value)
{
    cl_options *options;
    int index;
    int code = enter_for(handle, name, &options, &index);
    if (code != 0) return code;
    const option_row *row = &rows[index];
    if (row->kind == TEXT || row->kind == BOOL) code = refuse_number(row, value);
    else code = store_number(&options->values[index], row, value);
    cl_handle_leave(handle);
    return code;
}

int clouds_options_set_integer(clouds_options *handle, const char *name, uint64_t value)
{
    cl_options *options;
    int index;
    int code = enter_for(handle, name, &options, &index);
    if (code != 0) return code;
    const option_row *row = &rows[index];
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, value);
    if (row->kind == WORD) code = store_word(&options->values[index], value);
    else if (row->kind == TEXT || row->kind == BOOL || (double)value > EXACT) code = refuse(row, text);
    else code = store_number(&options->values[index], row, (double)value);
    cl_handle_leave(handle);
    return code;
}

int clouds_options_set_bool(clouds_options *handle, const char *name, int value)
{
    cl_options *options;
    int index;
    int code = enter_for(handle, name, &options, &index);
    if (code != 0) return code;
    const option_row *row = &rows[index];
    if (row->kind != BOOL) code = refuse(row, value ? "true" : "false");
    else code = store_number(&options->values[index], row, value);
    cl_handle_leave(handle);
    return code;
}

int clouds_option_describe(uint32_t index, clouds_option_info *out)
{
    static const char *const types[] = {"string", "number", "number", "number", "bool"};
    if (!out) return cl_error(CLOUDS_EINVAL, "clouds_option_describe: out is NULL");
    int code = cl_record_check(CL_RECORD_clouds_option_info, out->size);
    if (code != 0) return code;
    if (index >= CL_OPTIONS) return cl_error(CLOUDS_EINVAL, "there are %d options", CL_OPTIONS);
    const option_row *row = &rows[index];
    const clouds_option_info info = {.size = out->size,
                                     .flags = (row->live ? CLOUDS_OPTION_LIVE : 0) |
                                              (row->rule == STRICT ? 0 : CLOUDS_OPTION_CLAMPED),
                                     .minimum = row->min,
                                     .maximum = row->max,
                                     .name = row->name,
                                     .type = types[row->kind],
                                     .scope = row->scope,
                                     .unit = row->unit,
                                     .default_value = row->initial,
                                     .help = row->help};
    cl_record_write(out, out->size, &info, sizeof info);
    return 0;
}

/* ---- for the rest of the library */

int cl_options_enter(const clouds_options *handle, const cl_options **out)
{
    *out = handle ? cl_handle_enter(handle, CL_HANDLE_OPTIONS) : &no_values;
    return *out ? 0 : cl_error(CLOUDS_EHANDLE, "not a live options handle");
}

void cl_options_leave(const clouds_options *handle)
{
    if (handle) cl_handle_leave(handle);
}

double cl_options_number(const cl_options *options, enum cl_option_index which)
{
    const cl_option_value *value = &options->values[which];
    return value->is_set ? value->number : initial_number(&rows[which]);
}

uint64_t cl_options_word(const cl_options *options, enum cl_option_index which)
{
    return options->values[which].word;
}

int cl_options_check_live(const cl_options *options)
{
    for (int i = 0; i < CL_OPTIONS; i++)
        if (options->values[i].is_set && !rows[i].live)
            return cl_error(CLOUDS_EOPTION, "option '%s' cannot change while the node lives", rows[i].name);
    return 0;
}

const char *cl_options_text(const cl_options *options, enum cl_option_index which)
{
    const cl_option_value *value = &options->values[which];
    return value->is_set ? value->text : rows[which].initial;
}
