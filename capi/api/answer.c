/* clouds_reply, clouds_fail, clouds_request_open, clouds_choose, clouds_attempt. */
#include "api/check.h"
#include "api/internal.h"
#include "base/error.h"

/* In thread mode the core is asked later, so what may be answered is known here: once each. The lock is held until the
 * command is queued: what could not be queued is open as before, unless the core closes it, which then finds it. */
static int enqueue(cl_context *context, enum cl_open_kind kind, const cl_command *command)
{
    uint64_t key = cl_open_key(kind, command->id);
    enum cl_wake whom = CL_WAKE_NONE;
    pthread_mutex_lock(&context->inbox.lock);
    const void *until = cl_idmap_get(&context->inbox.open, key);
    int code = until && !cl_open_is_over(until) ? cl_queue_put(context, command, &whom) : CLOUDS_ESTALE;
    if (code == 0) cl_idmap_take(&context->inbox.open, key);
    pthread_mutex_unlock(&context->inbox.lock);
    cl_queue_wake(context, whom);
    return code;
}

/* What the caller hears of it. */
static int told(cl_context *context, int code)
{
    if (code == CLOUDS_ESTALE) cl_error(code, "no such id, or it is answered, expired or closed");
    return cl_refused(context, code);
}

static int submit(cl_context *context, enum cl_open_kind kind, const cl_command *command)
{
    int code = context->threaded ? enqueue(context, kind, command) : cl_submit(context, command);
    return told(context, code);
}

static int is_open(cl_context *context, uint64_t request)
{
    int64_t deadline = 0;
    if (!context->threaded) {
        int there = cl_core_request(context->engine.core, request, &deadline);
        return there && !(deadline && cl_loop_now_about() >= deadline); /* as clouds_reply decides */
    }
    pthread_mutex_lock(&context->inbox.lock);
    const void *until = cl_idmap_get(&context->inbox.open, cl_open_key(CL_OPEN_REQUEST, request));
    pthread_mutex_unlock(&context->inbox.lock);
    return until && !cl_open_is_over(until);
}

int clouds_request_open(clouds_context *handle, uint64_t request)
{
    cl_context *context;
    int code = cl_guard_context(handle, CL_USE, &context);
    if (code != 0) return code;
    code = is_open(context, request);
    cl_guard_leave(context, CL_USE);
    return code;
}

/* An answer that is too large by itself: the caller is told so, and so is ours. */
static int answer(cl_context *context, uint64_t request, cl_str error, cl_str result, int too_big)
{
    if (!context->threaded && !too_big) {
        int done = cl_execute_answer(context, request, error, result);
        cl_context_touch(context);
        return told(context, done);
    }
    cl_command command = {.kind = CL_DO_ANSWER, .id = request, .a = error, .b = result};
    if (too_big) {
        command.a = command.b = CL_STR_NONE;
        command.size = error.n + result.n;
    }
    int code = submit(context, CL_OPEN_REQUEST, &command);
    if (code == CLOUDS_ELIMIT && context->threaded)
        return cl_error_limit(code, context->config.max_event_bytes, context->config.max_event_bytes,
                              "too many bytes of answers wait already (max_event_bytes); the request stays open");
    if (!too_big || code != 0) return code;
    return cl_error_limit(CLOUDS_ETOOBIG, error.n + result.n, context->config.limits.message,
                          "the answer has %zu bytes, max_message is %zu; its caller was told", error.n + result.n,
                          context->config.limits.message);
}

static int is_too_big(const cl_context *context, size_t bytes)
{
    return bytes > context->config.limits.message;
}

int clouds_reply(clouds_context *handle, uint64_t request, const char *result, size_t result_len)
{
    cl_context *context;
    int code = cl_guard_context(handle, CL_USE, &context);
    if (code != 0) return code;
    cl_str text = cl_str_of(result, result_len);
    int too_big = is_too_big(context, result_len);
    code = cl_check_text(result, result_len, "the result");
    if (code == 0 && !too_big) code = cl_check_json(&context->config.limits, text, '[', "the result");
    if (code == 0) code = answer(context, request, CL_STR_NONE, text, too_big);
    cl_guard_leave(context, CL_USE);
    return code;
}

int clouds_fail(clouds_context *handle, uint64_t request, const char *error, size_t error_len, const char *result,
                size_t result_len)
{
    cl_context *context;
    int code = cl_guard_context(handle, CL_USE, &context);
    if (code != 0) return code;
    cl_str words = cl_str_of(error, error_len), values = cl_str_of(result, result_len);
    int too_big = is_too_big(context, error_len) || is_too_big(context, result_len) ||
                  is_too_big(context, error_len + result_len);
    code = cl_check_text(error, error_len, "the error");
    if (code == 0) code = cl_check_text(result, result_len, "the result");
    if (code == 0 && !too_big) code = cl_check_error(&context->config.limits, words);
    if (code == 0 && !too_big && values.n) code = cl_check_json(&context->config.limits, values, '[', "the result");
    if (code == 0) code = answer(context, request, words, values, too_big);
    cl_guard_leave(context, CL_USE);
    return code;
}

int clouds_choose(clouds_context *handle, uint64_t question, const char *server, size_t server_len)
{
    cl_context *context;
    int code = cl_guard_context(handle, CL_USE, &context);
    if (code != 0) return code;
    cl_command command = {.kind = CL_DO_CHOOSE, .id = question, .a = cl_str_of(server, server_len)};
    code = cl_check_text(server, server_len, "the server");
    if (code == 0 && server_len) code = cl_check_name(command.a, 65535, "server");
    if (code == 0) code = submit(context, CL_OPEN_QUESTION, &command);
    cl_guard_leave(context, CL_USE);
    return code;
}

int clouds_attempt(clouds_context *handle, uint64_t call, const char *args, size_t args_len)
{
    cl_context *context;
    int code = cl_guard_context(handle, CL_USE, &context);
    if (code != 0) return code;
    cl_command command = {.kind = CL_DO_ATTEMPT, .id = call, .a = cl_str_of(args, args_len)};
    code = cl_check_text(args, args_len, "the list of arguments");
    if (code == 0 && args) code = cl_check_json(&context->config.limits, command.a, '[', "the list of arguments");
    if (code == 0) code = submit(context, CL_OPEN_ATTEMPT, &command);
    cl_guard_leave(context, CL_USE);
    return code;
}
