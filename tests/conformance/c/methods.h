/* The methods of the server in C: see README.md. */
#ifndef CONFORMANCE_METHODS_H
#define CONFORMANCE_METHODS_H

#include <clouds.h>

#include "json.h"

typedef void (*behaviour)(const clouds_event *event, span args);

void methods_begin(clouds_context *context);
/* A call that a method has made ended. */
void methods_result(const clouds_event *event);

int methods_count(void);
const char *method_name(int number);

/* What a method of this name does; the program ends when there is none. */
behaviour behaviour_of(const char *name);

#endif
