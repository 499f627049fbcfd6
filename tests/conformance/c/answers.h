/* Answers of the server in C: now, when somebody else says so, or after a time. */
#ifndef CONFORMANCE_ANSWERS_H
#define CONFORMANCE_ANSWERS_H

#include <clouds.h>

#include "json.h"

void answers_begin(clouds_context *context);
void answers_forget(void);

/* Answers with an array of values. What cannot be sent is told to the caller. */
void reply_text(uint64_t request, const char *values, size_t length);
void reply(uint64_t request, const char *values);

/* Keeps a request for later; how many of the key are there. */
int keep(uint64_t request, span key);

/* How many of the key are kept. */
int held(span key);

/* The caller of a request has given up; did one of the key? */
void note_canceled(uint64_t request);
int is_canceled(span key);

/* Answers all requests of the key; how many. */
int answer_kept(span key, const char *values);

/* Answers after so many seconds, and frees `values` then. */
void answer_later(uint64_t request, double seconds, char *values);

/* Answers what is due; how long until the next is, < 0 when there is none. */
double answer_due(void);

/* How often it was called with this key. */
int count(span key);

#endif
