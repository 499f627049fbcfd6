/* clouds_offer_options, as the core takes them. */
#ifndef CL_API_OFFER_H
#define CL_API_OFFER_H

#include "clouds.h"
#include "core/core.h"

/* 0, or an error with its words. */
int cl_offer_read(const clouds_offer_options *theirs, cl_offer_spec *out);

#endif
