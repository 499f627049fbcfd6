/* Errors and texts for JavaScript. */
#include "internal.h"

napi_value addon_throw(napi_env env, int code)
{
    const char *words = clouds_last_error();
    napi_throw_error(env, clouds_err_name(code), *words ? words : clouds_strerror(code));
    return NULL;
}

napi_value addon_refuse(napi_env env, int code)
{
    napi_throw_error(env, clouds_err_name(code), clouds_strerror(code));
    return NULL;
}

void addon_put_text(napi_env env, napi_value list, uint32_t index, const char *text)
{
    napi_value value;
    napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value);
    napi_set_element(env, list, index, value);
}
