/* clouds_open: the short way to a context with one node. */
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "clouds.h"

static const char *default_url(void)
{
    const char *url = getenv("CLOUDS_URL");
    return url && *url ? url : "local:";
}

static int fill(clouds_options *options, const char *url, const char *type)
{
    int code = clouds_options_set_string(options, "url", url ? url : default_url());
    return code == 0 && type ? clouds_options_set_string(options, "type", type) : code;
}

static int make_both(const clouds_options *options, clouds_context **context, clouds_node **node)
{
    clouds_context *made;
    int code = clouds_context_create(options, &made);
    if (code != 0) return code;
    code = clouds_node_create(made, options, node);
    if (code == 0) *context = made;
    else clouds_context_destroy(made);
    return code;
}

/* An address that the caller did not give has a place where it can be mended. */
static int explain(int code, const char *url)
{
    char why[400];
    if (code != CLOUDS_EURL || url) return code;
    snprintf(why, sizeof why, "%s", clouds_last_error());
    return cl_error(code, "%s (from the environment's CLOUDS_URL)", why);
}

int clouds_open(const char *url, const char *type, clouds_context **context, clouds_node **node)
{
    clouds_options *options;
    if (!context || !node) return cl_error(CLOUDS_EINVAL, "clouds_open: a pointer is NULL");
    int code = clouds_options_create(&options);
    if (code != 0) return code;
    code = fill(options, url, type);
    if (code == 0) code = make_both(options, context, node);
    clouds_options_destroy(options);
    return explain(code, url);
}
