/* clouds_offer_options, as the core takes them. */
#ifndef CL_API_OFFER_H
#define CL_API_OFFER_H

#include "clouds.h"
#include "core/core.h"

/* 0, or an error with its words; 1: it has no limits. `schema`: what it says of the method, or nothing. */
int cl_offer_read(const clouds_offer_options *theirs, cl_offer_spec *out, cl_str *schema);
/* A schema is one. */
int cl_offer_check_schema(const cl_limits *limits, cl_str schema);

#endif
