/* Spans of the program's own. */
#include "internal.h"

#include <stdlib.h>

/* spanBegin(bridge, meta): the text of a span in the trace of the meta; "": none is recorded there */
napi_value addon_span_begin(napi_env env, napi_callback_info info)
{
    size_t argc = 2, n = 0;
    napi_value a[2], span = NULL;
    napi_get_cb_info(env, info, &argc, a, NULL, NULL);
    addon_bridge *bridge = addon_bridge_of(env, a[0]);
    char *meta = bridge ? addon_text_of(env, a[1], &n) : NULL, *text = meta ? malloc(n + CLOUDS_SPAN_MORE) : NULL;
    int length = text ? clouds_span_begin(bridge->node, meta, n, text, n + CLOUDS_SPAN_MORE) : 0;
    napi_create_string_utf8(env, length > 0 ? text : "", length > 0 ? (size_t)length : 0, &span);
    free(meta);
    free(text);
    return span;
}

/* spanEnd(bridge, text, kind, name, error): one that did not fail has the error "" */
napi_value addon_span_end(napi_env env, napi_callback_info info)
{
    size_t argc = 5, text_n = 0, name_n = 0, error_n = 0;
    napi_value a[5];
    uint32_t kind = 0;
    napi_get_cb_info(env, info, &argc, a, NULL, NULL);
    addon_bridge *bridge = addon_bridge_of(env, a[0]);
    if (!bridge) return NULL;
    napi_get_value_uint32(env, a[2], &kind);
    char *text = addon_text_of(env, a[1], &text_n), *name = addon_text_of(env, a[3], &name_n),
         *error = addon_text_of(env, a[4], &error_n);
    if (text && name && error) clouds_span_end(bridge->node, text, text_n, kind, name, name_n, error, error_n);
    free(text);
    free(name);
    free(error);
    return NULL;
}

/* spanId(meta): { span, recorded } */
napi_value addon_span_id(napi_env env, napi_callback_info info)
{
    char id[17] = "";
    size_t argc = 1, n = 0;
    napi_value argument, found, span, recorded;
    napi_get_cb_info(env, info, &argc, &argument, NULL, NULL);
    char *meta = addon_text_of(env, argument, &n);
    int is_recorded = meta ? clouds_span_id(meta, n, id) : 0;
    free(meta);
    if (napi_create_object(env, &found) != napi_ok || napi_create_string_utf8(env, id, NAPI_AUTO_LENGTH, &span) != napi_ok ||
        napi_get_boolean(env, is_recorded, &recorded) != napi_ok)
        return NULL;
    napi_set_named_property(env, found, "span", span);
    napi_set_named_property(env, found, "recorded", recorded);
    return found;
}
