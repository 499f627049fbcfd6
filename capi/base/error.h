/* The last failure of this thread: its words, and what it is about. */
#ifndef CL_ERROR_H
#define CL_ERROR_H

#include "base/str.h"
#include "clouds.h"

enum { CL_ERROR_TEXT = 512, CL_ERROR_NAME = 160 };

typedef struct cl_error_name {
    size_t n;
    char p[CL_ERROR_NAME];
} cl_error_name;

/* A failure as it is kept. */
typedef struct cl_error_record {
    int code;
    char text[CL_ERROR_TEXT];
    cl_error_name method, server, node, cluster;
    uint64_t size, limit;
    char reason[16];
    uint64_t retry_after;
} cl_error_record;

/* What an error is about. An empty text, and a limit of 0, is not known. */
typedef struct cl_facts {
    cl_str method, server, node, cluster;
    uint64_t size, limit; /* what was too large or too many, and how much is possible */
    cl_str reason;        /* why a server is busy: a word */
    uint64_t retry_after; /* ms until it is worth to ask it again; 0: not known */
} cl_facts;

/* Keeps the words and returns the code, so that a function can end with `return cl_error(CLOUDS_E..., "...")`.
 * With a NULL format the text of the code itself is kept. The error is about nothing then. */
int cl_error(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same for what reached a limit. */
int cl_error_limit(int code, uint64_t size, uint64_t limit, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* CLOUDS_ETOOBIG: `what` has so many bytes, and no message may be longer than max_message. */
int cl_error_too_big(const char *what, uint64_t size, uint64_t max_message);

/* The last error of this thread says that a server is busy: why, a word, and for how many milliseconds. */
void cl_error_busy(cl_str reason, uint64_t retry_after);

/* The last error of this thread is one of this method: its text begins with the name. */
void cl_error_prefix(cl_str method);

/* Adds the texts that are not empty to the last error of this thread; one too long to be kept is left out. */
void cl_error_about(const cl_facts *facts);

int cl_error_code(void);
/* The facts of the last error of this thread; they live until the next. */
cl_facts cl_error_facts(void);

/* The last failure of this thread, to be said again after others. */
void cl_error_save(cl_error_record *out);
int cl_error_restore(const cl_error_record *record);

/* Rises with every cl_error of this thread: tells whether a failure has left words of its own. */
unsigned cl_error_serial(void);

#endif
