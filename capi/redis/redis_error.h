/* What an error reply of Redis means, in our codes and in words that say what to do. */
#ifndef CL_REDIS_ERROR_H
#define CL_REDIS_ERROR_H

#include <stddef.h>

#include "base/str.h"

enum { CL_REDIS_ERROR_TEXT = 320 };

typedef struct cl_redis_error_text {
    char text[CL_REDIS_ERROR_TEXT];
} cl_redis_error_text;

/* Fills words and returns CLOUDS_EREDIS or CLOUDS_EAUTH. */
int cl_redis_explain(cl_str error, cl_redis_error_text *words);

/* The same for the answer to a command: names it, and what is missing for keys and channels that begin so. */
int cl_redis_explain_command(cl_str error, const char *verb, cl_str prefix, cl_redis_error_text *words);

/* 1 when the server has no password but was given one: no error, as in npm clouds. */
int cl_redis_needs_no_password(cl_str error);
/* 1 when the command is not there or not permitted, which a caller that can do without it accepts. */
int cl_redis_is_refusal(cl_str error);
/* 1 when the server runs as a cluster. */
int cl_redis_is_cluster(cl_str error);
/* 1 when the server cannot serve yet, but soon will. */
int cl_redis_is_loading(cl_str error);
/* 1 when the server is a replica, and so takes no writes. */
int cl_redis_is_replica(cl_str error);

#endif
