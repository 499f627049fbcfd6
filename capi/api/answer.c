/* clouds_reply, clouds_fail, clouds_refuse, clouds_request_open, clouds_choose, clouds_attempt. */
#include <stdint.h>
#include <stdio.h>

#include "api/check.h"
#include "api/internal.h"
#include "base/error.h"
#include "proto/error_object.h"

/* In thread mode the core is asked later, so `open` says here what may be answered, once each. The lock is held until
 * the command is queued: what could not be queued is open as before, unless the core closes it, which then finds it. */
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

/* The code for the caller, with its text. */
static int with_text(cl_context *context, int code)
{
    if (code == CLOUDS_ESTALE) cl_error(code, "no such id, or it is answered, expired or closed");
    return cl_refused(context, code);
}

static int submit(cl_context *context, enum cl_open_kind kind, const cl_command *command)
{
    int code = context->threaded ? enqueue(context, kind, command) : cl_submit(context, command);
    return with_text(context, code);
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
    int code = cl_guard_context(handle, &context);
    if (code != 0) return code;
    code = is_open(context, request);
    cl_guard_leave(context);
    return code;
}

static int answer(cl_context *context, uint64_t request, cl_str error, const cl_payload *result)
{
    if (!context->threaded) {
        int done = cl_execute_answer(context, request, error, result);
        cl_context_touch(context);
        return with_text(context, done);
    }
    const cl_command command = {
        .kind = CL_DO_ANSWER,
        .answer = {
            .id = request, .error = error, .result = result->json, .meta = result->meta, .bytes = result->bytes}};
    int code = submit(context, CL_OPEN_REQUEST, &command);
    if (code != CLOUDS_ELIMIT) return code;
    return cl_error_limit(code, context->config.max_event_bytes, context->config.max_event_bytes,
                          "too many bytes of answers wait already (max_event_bytes); the request stays open");
}

/* An answer that is too large, too deep or of too many values: its caller gets what was found of it, and so does the
 * user.
 */
CL_RARE static int answer_too_big(cl_context *context, uint64_t request)
{
    char words[400];
    cl_buf error = {0};
    cl_facts facts = cl_error_facts();
    const cl_payload nothing = {CL_STR_NONE, CL_STR_NONE, CL_STR_NONE};
    snprintf(words, sizeof words, "%s", clouds_last_error());
    int code = cl_error_object(&error, CLOUDS_ETOOBIG, cl_str_z(words), &facts);
    code = code == 0 ? answer(context, request, cl_buf_str(&error), &nothing) : cl_error(CLOUDS_ENOMEM, NULL);
    cl_buf_free(&error);
    if (code != 0) return code;
    return cl_error_limit(CLOUDS_ETOOBIG, facts.size, facts.limit, "%s; its caller was told", words);
}

static int check_size(const cl_context *context, size_t bytes)
{
    return bytes <= context->config.limits.message
               ? 0
               : cl_error_too_big("the answer", bytes, context->config.limits.message);
}

static int check_reply(const cl_context *context, cl_str result)
{
    int code = cl_check_text(result.p, result.n, "the result");
    if (code == 0) code = check_size(context, result.n);
    return code == 0 ? cl_check_json(&context->config.limits, cl_str_of(result.p, result.n), '[', "the result") : code;
}

static int check_failure(const cl_context *context, cl_str error, cl_str result)
{
    int code = cl_check_text(error.p, error.n, "the error");
    if (code == 0) code = cl_check_text(result.p, result.n, "the result");
    if (code == 0) code = check_size(context, error.n + result.n < error.n ? SIZE_MAX : error.n + result.n);
    if (code == 0) code = cl_check_error(&context->config.limits, cl_str_of(error.p, error.n));
    return code == 0 && result.n ? cl_check_json(&context->config.limits, result, '[', "the result") : code;
}

/* `code`: what was found of it. Others look at the first byte of a text, or at the last: white space goes not along. */
static int answer_checked(cl_context *context, uint64_t request, int code, cl_str error, const cl_payload *result)
{
    if (code != 0) return code == CLOUDS_ETOOBIG ? answer_too_big(context, request) : code;
    const cl_payload bare = {cl_json_trim(result->json), result->meta, result->bytes};
    return answer(context, request, cl_json_trim(cl_str_of(error.p, error.n)), &bare);
}

int clouds_reply(clouds_context *handle, uint64_t request, const char *result, size_t result_len)
{
    cl_context *context;
    int code = cl_guard_context(handle, &context);
    if (code != 0) return code;
    code = check_reply(context, (cl_str){result, result_len});
    const cl_payload values = {cl_str_of(result, result_len), CL_STR_NONE, CL_STR_NONE};
    code = answer_checked(context, request, code, CL_STR_NONE, &values);
    cl_guard_leave(context);
    return code;
}

static int check_payload(const cl_context *context, const clouds_payload *p)
{
    const cl_limits *limits = &context->config.limits;
    int code = cl_payload_check(limits, p, '[');
    if (code == 0 && p->bytes_len > limits->message) code = check_size(context, p->bytes_len);
    return code ? code : check_size(context, p->json_len + p->meta_len + p->bytes_len);
}

int clouds_reply_payload(clouds_context *handle, uint64_t request, const clouds_payload *result)
{
    cl_context *context;
    clouds_payload p;
    int code = cl_guard_context(handle, &context);
    if (code != 0) return code;
    code = cl_payload_read(result, &p);
    if (code == 0) {
        code = check_payload(context, &p);
        const cl_payload values = {cl_str_of(p.json, p.json_len), cl_str_of(p.meta, p.meta_len),
                                   cl_str_of(p.bytes, p.bytes_len)};
        code = answer_checked(context, request, code, CL_STR_NONE, &values);
    }
    cl_guard_leave(context);
    return code;
}

int clouds_fail(clouds_context *handle, uint64_t request, const char *error, size_t error_len, const char *result,
                size_t result_len)
{
    cl_context *context;
    int code = cl_guard_context(handle, &context);
    if (code != 0) return code;
    cl_str words = {error, error_len}, values = {result, result_len};
    code = check_failure(context, words, values);
    const cl_payload payload = {cl_str_of(result, result_len), CL_STR_NONE, CL_STR_NONE};
    code = answer_checked(context, request, code, words, &payload);
    cl_guard_leave(context);
    return code;
}

/* Thread mode. What is over is refused as well: then its deadline is why. */
static int enqueue_refusal(cl_context *context, const cl_command *command)
{
    uint64_t key = cl_open_key(CL_OPEN_REQUEST, command->id);
    enum cl_wake whom = CL_WAKE_NONE;
    pthread_mutex_lock(&context->inbox.lock);
    const void *until = cl_idmap_get(&context->inbox.open, key);
    int is_open = until && until != CL_OPEN_LEFT_OUT;
    int code = is_open ? 0 : CLOUDS_ESTALE;
    if (is_open && command->refusal.code == CLOUDS_EEXPIRED && cl_open_has_key(context, command->id))
        code =
            cl_error(CLOUDS_EINVAL, "one with an idempotency key ends by itself: who repeats it may wait for longer");
    if (code == 0) code = cl_queue_put(context, command, &whom);
    if (code == 0) cl_open_leave_out(context, command->id);
    pthread_mutex_unlock(&context->inbox.lock);
    cl_queue_wake(context, whom);
    return code;
}

int clouds_refuse(clouds_context *handle, uint64_t request, int why)
{
    cl_context *context;
    int code = cl_guard_context(handle, &context);
    if (code != 0) return code;
    const cl_command command = {.kind = CL_DO_REFUSE, .refusal = {.id = request, .code = why}};
    if (why != CLOUDS_EOVERLOAD && why != CLOUDS_EEXPIRED && why != CLOUDS_ENOMETHOD)
        code = cl_error(CLOUDS_EINVAL, "expected CLOUDS_EOVERLOAD, CLOUDS_EEXPIRED or CLOUDS_ENOMETHOD, not %d", why);
    else
        code =
            with_text(context, context->threaded ? enqueue_refusal(context, &command) : cl_submit(context, &command));
    cl_guard_leave(context);
    return code;
}

int clouds_choose(clouds_context *handle, uint64_t question, const char *server, size_t server_len)
{
    cl_context *context;
    int code = cl_guard_context(handle, &context);
    if (code != 0) return code;
    cl_command command = {.kind = CL_DO_CHOOSE, .change = {.id = question, .text = cl_str_of(server, server_len)}};
    code = cl_check_text(server, server_len, "the server");
    if (code == 0 && server_len) code = cl_check_name(command.change.text, 65535, "server");
    if (code == 0) code = submit(context, CL_OPEN_QUESTION, &command);
    cl_guard_leave(context);
    return code;
}

int clouds_attempt(clouds_context *handle, uint64_t call, const char *args, size_t args_len)
{
    cl_context *context;
    int code = cl_guard_context(handle, &context);
    if (code != 0) return code;
    cl_command command = {.kind = CL_DO_ATTEMPT,
                          .change = {.id = call, .text = cl_json_trim(cl_str_of(args, args_len))}};
    code = cl_check_text(args, args_len, "the list of arguments");
    if (code == 0 && args)
        code = cl_check_json(&context->config.limits, command.change.text, '[', "the list of arguments");
    if (code == 0) code = submit(context, CL_OPEN_ATTEMPT, &command);
    cl_guard_leave(context);
    return code;
}

int clouds_attempt_payload(clouds_context *handle, uint64_t call, const clouds_payload *args)
{
    cl_context *context;
    clouds_payload p;
    int code = cl_guard_context(handle, &context);
    if (code != 0) return code;
    code = cl_payload_read(args, &p);
    if (code == 0) code = cl_payload_check(&context->config.limits, &p, '[');
    if (code == 0 && p.meta_len) code = cl_error(CLOUDS_EINVAL, "an attempt has the meta of its call");
    if (code == 0) {
        const cl_command command = {.kind = CL_DO_ATTEMPT,
                                    .change = {.id = call,
                                               .text = cl_json_trim(cl_str_of(p.json, p.json_len)),
                                               .bytes = cl_str_of(p.bytes, p.bytes_len),
                                               .with_bytes = 1}};
        code = submit(context, CL_OPEN_ATTEMPT, &command);
    }
    cl_guard_leave(context);
    return code;
}
