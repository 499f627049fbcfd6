#include "api/offer.h"

#include "api/check.h"
#include "api/record.h"
#include "base/error.h"
#include "base/seconds.h"
#include "proto/schema.h"

enum { QUEUE = 1000, ADAPTIVE = -1 /* the concurrency that is found */ };

#define QUEUE_AGE 0.1
#define QUEUE_TARGET 0.005

static int check_flags(const clouds_offer_options *o)
{
    if (o->flags & ~(uint32_t)CLOUDS_OFFER_SERIAL)
        return cl_error(CLOUDS_ENOTSUP, "this version does not know the flags %u of clouds_offer_options", o->flags);
    if (o->reserved) return cl_error(CLOUDS_EINVAL, "clouds_offer_options.reserved is %u, and must be 0", o->reserved);
    if (o->concurrency < ADAPTIVE)
        return cl_error(CLOUDS_ENOTSUP, "this version cannot do a concurrency of %d", o->concurrency);
    if (o->flags & CLOUDS_OFFER_SERIAL && o->concurrency == ADAPTIVE)
        return cl_error(CLOUDS_EINVAL, "serial is a concurrency of 1, and not one that is found");
    if (o->flags & CLOUDS_OFFER_SERIAL && o->concurrency > 1)
        return cl_error(CLOUDS_EINVAL, "serial is a concurrency of 1, not of %d", o->concurrency);
    return 0;
}

static int check_burst(double rate, double burst, const char *whose)
{
    if (burst <= 0 || rate > 0) return 0;
    return cl_error(CLOUDS_EINVAL, "%sburst is %g and %srate is not set: a burst is what a rate allows at once", whose,
                    burst, whose);
}

static int check(const clouds_offer_options *o)
{
    int code = check_flags(o);
    if (code == 0) code = cl_check_period(o->queue_age < 0 ? 0 : o->queue_age, "queue_age");
    if (code == 0) code = cl_check_period(o->queue_target, "queue_target");
    if (code == 0) code = cl_check_amount(o->rate, "rate");
    if (code == 0) code = cl_check_amount(o->burst, "burst");
    if (code == 0) code = cl_check_amount(o->caller_rate, "caller_rate");
    if (code == 0) code = cl_check_amount(o->caller_burst, "caller_burst");
    if (code == 0) code = check_burst(o->rate, o->burst, "");
    if (code == 0) code = check_burst(o->caller_rate, o->caller_burst, "caller_");
    return code;
}

/* Where order is what is asked for, a request waits as long as its caller does. */
static int64_t age_of(const clouds_offer_options *o)
{
    if (o->queue_age < 0) return 0;
    if (o->queue_age > 0) return cl_ms(o->queue_age);
    return o->concurrency != 0 && !(o->flags & CLOUDS_OFFER_SERIAL) ? cl_ms(QUEUE_AGE) : 0;
}

static double burst_of(double burst, double rate)
{
    double given = burst > 0 ? burst : rate;
    return given > 1 ? given : 1;
}

static int has_limits(const clouds_offer_options *o)
{
    return o->flags || o->concurrency || o->key_arg || o->queue || o->queue_age || o->queue_target || o->rate > 0 ||
           o->caller_rate > 0;
}

int cl_offer_check_schema(const cl_limits *limits, cl_str schema)
{
    cl_schema *known = NULL;
    int code = schema.n ? cl_check_json(limits, schema, '{', "the schema") : 0;
    if (code == 0 && schema.n) code = cl_schema_create(schema, &known);
    cl_schema_destroy(known);
    return code;
}

int cl_offer_read(const clouds_offer_options *theirs, cl_offer_spec *out, cl_str *schema)
{
    clouds_offer_options o;
    int code = cl_record_read(CL_RECORD_clouds_offer_options, theirs, &o);
    if (code == 0) code = check(&o);
    if (code == 0) code = cl_check_text(o.schema, o.schema_len, "the schema");
    if (code != 0) return code;
    *schema = cl_str_of(o.schema_len ? o.schema : "", o.schema_len);
    if (schema->n && !has_limits(&o)) return 1;
    int is_adaptive = o.concurrency == ADAPTIVE;
    *out = (cl_offer_spec){.concurrency = o.flags & CLOUDS_OFFER_SERIAL ? 1 : is_adaptive ? 0 : (uint32_t)o.concurrency,
                           .is_adaptive = (uint32_t)is_adaptive,
                           .key_arg = o.key_arg,
                           .queue = o.queue < 0 ? 0
                                    : o.queue   ? (uint32_t)o.queue
                                                : QUEUE,
                           .age = age_of(&o),
                           .target = cl_ms(o.queue_target > 0 ? o.queue_target : QUEUE_TARGET),
                           .rate = o.rate,
                           .burst = burst_of(o.burst, o.rate),
                           .caller_rate = o.caller_rate,
                           .caller_burst = burst_of(o.caller_burst, o.caller_rate)};
    return 0;
}
