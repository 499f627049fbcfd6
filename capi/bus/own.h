/* The directories and transports that the program has registered (clouds_extend.h), and buses that are made with them.
 */
#ifndef CL_BUS_OWN_H
#define CL_BUS_OWN_H

#include "directory/own/own.h"
#include "proto/url.h"
#include "transport/own/own.h"

/* Registers; `kind` is copied. 0 or an error. Any thread. */
int cl_bus_register_directory(const char *scheme, const cl_own_directory_kind *kind);
int cl_bus_register_transport(const char *name, const cl_own_transport_kind *kind);

/* Reads an address that names one of them: 1 and *out; 0: it names none; or an error. */
int cl_bus_own_url(cl_str text, cl_url *out);
/* Is it on the Redis that sentinels name? */
int cl_bus_own_has_sentinels(const cl_url *url);

#endif
