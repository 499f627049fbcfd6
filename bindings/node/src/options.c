/* Options: a list of names and values, all of them text, from JavaScript; and the library's table of them to it. */
#include "internal.h"

#include <stdlib.h>

/* The text of element `index`, ended by NUL, to be freed. */
static char *element(napi_env env, napi_value list, uint32_t index)
{
    napi_value value;
    size_t length;
    return napi_get_element(env, list, index, &value) == napi_ok ? addon_text_of(env, value, &length) : NULL;
}

static int set(napi_env env, napi_value list, uint32_t index, clouds_options *options)
{
    char *name = element(env, list, index), *value = element(env, list, index + 1);
    int code = name && value ? clouds_options_set_string(options, name, value) : CLOUDS_EINVAL;
    free(name);
    free(value);
    return code;
}

bool addon_read_options(napi_env env, napi_value list, clouds_options **out)
{
    uint32_t count = 0;
    clouds_options *options = NULL;
    napi_get_array_length(env, list, &count);
    int code = clouds_options_create(&options);
    for (uint32_t i = 0; code == 0 && i + 1 < count; i += 2) code = set(env, list, i, options);
    if (code == 0) {
        *out = options;
        return true;
    }
    addon_throw(env, code);
    clouds_options_destroy(options);
    return false;
}

/* listOptions(): [name, scope, ...] */
napi_value addon_list_options(napi_env env, napi_callback_info info)
{
    napi_value list;
    napi_create_array(env, &list);
    clouds_option_info option = {.size = sizeof option};
    for (uint32_t i = 0; clouds_option_describe(i, &option) == 0; i++) {
        addon_put_text(env, list, 2 * i, option.name);
        addon_put_text(env, list, 2 * i + 1, option.scope);
    }
    return list;
}
