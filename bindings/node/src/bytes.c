/* Bytes that go along, and the names by which pieces of them are known in JSON. */
#include "internal.h"

#include <stdlib.h>

addon_area addon_area_at(napi_env env, napi_value areas, double number)
{
    napi_value area;
    void *p = NULL;
    size_t n = 0;
    bool is_list = false, is_buffer = false;
    if (!(number >= 1 && number <= UINT32_MAX) || napi_is_array(env, areas, &is_list) != napi_ok || !is_list ||
        napi_get_element(env, areas, (uint32_t)number - 1, &area) != napi_ok ||
        napi_is_buffer(env, area, &is_buffer) != napi_ok || !is_buffer ||
        napi_get_buffer_info(env, area, &p, &n) != napi_ok)
        return (addon_area){0};
    return (addon_area){p, n};
}

/* traceId(meta): the id of the trace that it is in, or "" */
napi_value addon_trace_id(napi_env env, napi_callback_info info)
{
    char meta[8192 + 1], id[33];
    size_t argc = 1, n = 0;
    napi_value argument, found;
    napi_get_cb_info(env, info, &argc, &argument, NULL, NULL);
    napi_get_value_string_utf8(env, argument, meta, sizeof meta, &n);
    clouds_trace_id(meta, n, id);
    napi_create_string_utf8(env, id, NAPI_AUTO_LENGTH, &found);
    return found;
}

/* bytesMark(name): what clouds_bytes_mark says of it */
napi_value addon_bytes_mark(napi_env env, napi_callback_info info)
{
    size_t argc = 1, n = 0;
    napi_value name, marks;
    char few[64], *text = few;
    napi_get_cb_info(env, info, &argc, &name, NULL, NULL);
    if (napi_get_value_string_utf8(env, name, NULL, 0, &n) != napi_ok) return addon_refuse(env, CLOUDS_EINVAL);
    if (n >= sizeof few && !(text = malloc(n + 1))) return addon_refuse(env, CLOUDS_ENOMEM);
    napi_get_value_string_utf8(env, name, text, n + 1, &n);
    napi_create_int32(env, clouds_bytes_mark(text, n), &marks);
    if (text != few) free(text);
    return marks;
}
