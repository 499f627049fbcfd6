/* The module: one state for each environment that loads it. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>

static void on_end(napi_env env, void *data, void *hint)
{
    addon_state *state = data;
    free(state->in.p);
    free(state->out.p);
    free(state);
}

/* numbers(): the array of the events' numbers, one for all that use the addon in this environment. */
static napi_value numbers(napi_env env, napi_callback_info info)
{
    napi_value buffer, array = NULL;
    addon_state *state = NULL;
    napi_get_instance_data(env, (void **)&state);
    if (state->array) {
        napi_get_reference_value(env, state->array, &array);
        return array;
    }
    if (napi_create_arraybuffer(env, ADDON_BATCH * ADDON_EVENT_NUMBERS * sizeof(double), (void **)&state->numbers,
                                &buffer) ||
        napi_create_typedarray(env, napi_float64_array, ADDON_BATCH * ADDON_EVENT_NUMBERS, buffer, 0, &array))
        return NULL;
    napi_create_reference(env, array, 1, &state->array);
    return array;
}

/* errors(): [code, name, text, outcome, retry rule, ...] */
static napi_value errors(napi_env env, napi_callback_info info)
{
    napi_value list, number;
    napi_create_array(env, &list);
    for (uint32_t i = 0; clouds_error_at(i) != 0; i++) {
        int code = clouds_error_at(i);
        napi_create_int32(env, code, &number);
        napi_set_element(env, list, 5 * i, number);
        addon_put_text(env, list, 5 * i + 1, clouds_err_name(code));
        addon_put_text(env, list, 5 * i + 2, clouds_strerror(code));
        addon_put_text(env, list, 5 * i + 3, clouds_outcome_name(clouds_err_outcome(code)));
        napi_create_int32(env, clouds_retry_rule(code), &number);
        napi_set_element(env, list, 5 * i + 4, number);
    }
    return list;
}

/* The library was compiled against one libuv and runs on the one inside node. */
static bool check_uv(napi_env env)
{
    unsigned have = uv_version(), need = CLOUDS_UV_NEEDED;
    if (have >= need && have >> 16 == need >> 16) return true;
    char words[128];
    snprintf(words, sizeof words, "clouds needs a node with libuv %u.%u or later, this one has %s", need >> 16,
             need >> 8 & 255, uv_version_string());
    napi_throw_error(env, "CLOUDS_NOT_SUPPORTED", words);
    return false;
}

/* A later library has all that this one has. */
static bool check_library(napi_env env)
{
    if (clouds_version_number() >= CLOUDS_VERSION_NUMBER) return true;
    char words[128];
    snprintf(words, sizeof words, "clouds needs libclouds " CLOUDS_VERSION " or later, this one is %s",
             clouds_version());
    napi_throw_error(env, "CLOUDS_NOT_SUPPORTED", words);
    return false;
}

static napi_value export_all(napi_env env, napi_value exports)
{
    static const struct {
        const char *name;
        napi_callback fn;
    } all[] = {{"numbers", numbers},
               {"errors", errors},
               {"listOptions", addon_list_options},
               {"open", addon_open},
               {"close", addon_close},
               {"id", addon_node_id},
               {"hold", addon_hold},
               {"configure", addon_configure},
               {"counters", addon_counters},
               {"submit", addon_submit},
               {"bytesMark", addon_bytes_mark},
               {"exitCode", addon_exit_code},
               {"requestOpen", addon_request_is_open},
               {"requestExpire", addon_request_expire},
               {"spanBegin", addon_span_begin},
               {"spanEnd", addon_span_end},
               {"spanId", addon_span_id},
               {"traceId", addon_trace_id},
               {"finish", addon_finish},
               {"workerOpen", addon_worker_open},
               {"workerHold", addon_worker_hold},
               {"workerTell", addon_worker_tell},
               {"workerSend", addon_worker_send},
               {"workerTake", addon_worker_take},
               {"workerCount", addon_worker_count},
               {"workerGiveBack", addon_worker_give_back}};
    napi_value value;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        napi_create_function(env, all[i].name, NAPI_AUTO_LENGTH, all[i].fn, NULL, &value);
        napi_set_named_property(env, exports, all[i].name, value);
    }
    napi_create_string_utf8(env, clouds_version(), NAPI_AUTO_LENGTH, &value);
    napi_set_named_property(env, exports, "version", value);
    napi_set_named_property(env, exports, "shape", addon_shape(env));
    return exports;
}

NAPI_MODULE_INIT()
{
    if (!check_uv(env) || !check_library(env)) return NULL;
    addon_state *state = calloc(1, sizeof *state);
    if (!state || napi_set_instance_data(env, state, on_end, NULL) != napi_ok) {
        free(state);
        napi_throw_error(env, "CLOUDS_OUT_OF_MEMORY", "no memory for the addon");
        return NULL;
    }
    state->env = env;
    return export_all(env, exports);
}
