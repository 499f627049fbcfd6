/* Option sets: the values behind a clouds_options handle, read by name with their defaults filled in. */
#ifndef CL_OPTIONS_H
#define CL_OPTIONS_H

#include "clouds.h"

enum cl_option_index {
#define OPTION(symbol, ...) CL_OPTION_##symbol,
#include "api/options.def"
#undef OPTION
    CL_OPTIONS
};

typedef struct cl_option_value {
    int is_set;
    double number; /* number, count, bool */
    uint64_t word; /* word */
    char *text;    /* text */
} cl_option_value;

typedef struct cl_options {
    cl_option_value values[CL_OPTIONS];
} cl_options;

/* Enters an options handle; NULL means all defaults and gives a set without values. 0 or an error. */
int cl_options_enter(const clouds_options *handle, const cl_options **out);
void cl_options_leave(const clouds_options *handle);

double cl_options_number(const cl_options *options, enum cl_option_index which);
uint64_t cl_options_word(const cl_options *options, enum cl_option_index which);
/* 0 when all that are set can change while a node lives, else an error. */
int cl_options_check_live(const cl_options *options);
const char *cl_options_text(const cl_options *options, enum cl_option_index which);

/* The error of a value: keeps "option 'x': got 'y', expected z" and returns CLOUDS_EOPTION. */
int cl_options_refuse(const char *name, const char *got, const char *expected);

#endif
