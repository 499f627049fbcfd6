/* What the client and the server of the history tests share: a clock that all processes of the machine agree on, the
 * end of the program when the library refuses what has to work, and a log that survives kill -9. */
#ifndef HISTORY_COMMON_H
#define HISTORY_COMMON_H

#include <clouds.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static inline double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline int must(int code, const char *what)
{
    if (code >= 0) return code;
    fprintf(stderr, "%s: %s: %s\n", what, clouds_err_name(code), clouds_last_error());
    exit(1);
}

static inline clouds_options *options_for(const char *url, const char *type)
{
    clouds_options *options;
    must(clouds_options_create(&options), "options");
    must(clouds_options_set_string(options, "url", url), "url");
    must(clouds_options_set_string(options, "type", type), "type");
    return options;
}

#endif
