/* Checks of what the user hands over: 0 or an error with its words. */
#ifndef CL_CHECK_H
#define CL_CHECK_H

#include "api/events.h"
#include "base/str.h"
#include "proto/limits.h"

int cl_check_utf8(cl_str text);

/* Is a pointer there for the length? */
int cl_check_text(const char *p, size_t n, const char *what);

/* A name: 1 to `max` bytes of UTF-8. */
int cl_check_name(cl_str name, size_t max, const char *what);

/* A JSON text, within the limits. bracket '[', '{' or 0: any. */
int cl_check_json(const cl_limits *limits, cl_str text, char bracket, const char *what);

/* The same for an error object: it must have a text member "message". */
int cl_check_error(const cl_limits *limits, cl_str error);

/* What goes along: an object of not too many bytes. */
int cl_check_meta(const cl_limits *limits, cl_str meta);

/* payload.c: the caller's record, NULL is an error; and what it holds. bracket as for cl_check_json. */
int cl_payload_read(const clouds_payload *theirs, clouds_payload *out);
int cl_payload_check(const cl_limits *limits, const clouds_payload *payload, char bracket);

/* A period: seconds, not negative, no NaN. */
int cl_check_period(double seconds, const char *what);

/* A number that is not negative, no NaN and not infinite. */
int cl_check_amount(double amount, const char *what);

/* Where events are to go: room for a record, for its texts if they have a room of their own, and how long to wait. */
int cl_check_target(const void *records, size_t size, const cl_text_room *room, double timeout);

#endif
