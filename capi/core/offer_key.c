/* The key of a request: of those that have the same one runs at a time. */
#include <string.h>

#include "core/internal.h"
#include "core/offer.h"

static cl_str argument_of(const cl_offer *offer, cl_str args)
{
    cl_json j;
    cl_str value;
    cl_json_start(&j, args, offer->node->core->config.limits.json);
    if (cl_json_enter(&j, '[') != 0) return CL_STR("null");
    for (uint32_t i = 1; cl_json_element(&j) == 1 && cl_json_value(&j, &value) == 0; i++)
        if (i == offer->spec.key_arg) return value;
    return CL_STR("null");
}

/* Whole numbers of some digits, and texts without escapes: what keys are nearly always. */
static int has_one_text(cl_str value)
{
    if (value.p[0] == '"') return !memchr(value.p, '\\', value.n);
    return value.n < 16 && value.p[0] != '-' && strspn(value.p, "0123456789") >= value.n;
}

/* The argument that is the key, as JSON; one that is left out is null. Where others may write it otherwise, as one
 * language escapes what another does not, what all these have in common: in `room`. */
cl_str cl_offer_key_of(const cl_offer *offer, cl_str args, cl_buf *room)
{
    cl_str value = argument_of(offer, args);
    if (has_one_text(value) || cl_json_canonical(value, room) != 0) return value;
    return cl_str_of(room->data, room->len);
}
