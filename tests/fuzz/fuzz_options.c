/* Fuzz target: options by name, as texts that a configuration or another language hands on. A line is "name=value".
 * What is taken is a row of the table, a refusal has words that name the option, and a context is made of any set or
 * refused. */
#include "clouds.h"
#include "fuzz.h"

static int is_in_table(const char *name)
{
    clouds_option_info info = {.size = sizeof info};
    for (uint32_t i = 0; clouds_option_describe(i, &info) == 0; i++)
        if (strcmp(info.name, name) == 0) return 1;
    return 0;
}

static void set_one(clouds_options *options, char *line)
{
    char *value = strchr(line, '=');
    if (!value) return;
    *value++ = '\0';
    int code = clouds_options_set_string(options, line, value);
    HOLDS(code == 0 || code == CLOUDS_EOPTION);
    if (code == 0) HOLDS(is_in_table(line));
    else HOLDS(strlen(clouds_last_error()) > 0);
    int number = clouds_options_set_number(options, line, strtod(value, NULL));
    HOLDS(number == 0 || number == CLOUDS_EOPTION);
}

/* No connection is tried: only inproc: and refusals. */
static void create_from(clouds_options *options)
{
    clouds_context *context;
    clouds_node *node;
    if (clouds_options_set_string(options, "url", "inproc:fuzz") ||
        clouds_options_set_string(options, "mode", "inline"))
        return;
    int code = clouds_context_create(options, &context);
    HOLDS(code == 0 || code == CLOUDS_EOPTION || code == CLOUDS_EURL || code == CLOUDS_ESYSTEM ||
          code == CLOUDS_EINVAL);
    if (code) return;
    code = clouds_node_create(context, options, &node);
    HOLDS(code == 0 || code == CLOUDS_EOPTION || code == CLOUDS_EINVAL);
    clouds_context_destroy(context);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    clouds_options *options;
    if (!text) return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    HOLDS(clouds_options_create(&options) == 0);
    for (char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = '\0';
        set_one(options, line);
    }
    if (size % 16 == 0) create_from(options);
    clouds_options_destroy(options);
    free(text);
    return 0;
}
