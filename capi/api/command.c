/* Design note. The queue of thread mode: one lock for a push, one wake for as many pushes as happen before the engine
 * takes the whole list; none for a call whose author is about to wait for it while nobody runs the engine, and so will
 * (leader.c). A record carries its texts behind itself; those of the small size are used again. */
#include "api/command.h"

#include <string.h>

#include "api/internal.h"
#include "base/error.h"
#include "base/mem.h"
#include "proto/error_object.h"

enum { SMALL_TEXT = 384, SPARES = 4096, LATE_TRIES = 64 };

void cl_queue_init(cl_command_queue *q)
{
    pthread_mutex_init(&q->lock, NULL);
    q->end = &q->first;
    q->late_end = &q->late;
}

static void free_chain(cl_command *c)
{
    while (c) {
        cl_command *next = c->next;
        if (!c->embedded) cl_free(c);
        c = next;
    }
}

void cl_queue_free(cl_command_queue *q)
{
    free_chain(q->first);
    free_chain(q->spare);
    free_chain(q->late);
    q->first = q->spare = q->late = NULL;
    pthread_mutex_destroy(&q->lock);
}

static cl_str keep(char **to, cl_str text)
{
    if (text.n) memcpy(*to, text.p, text.n);
    cl_str kept = cl_str_of(*to, text.n);
    *to += text.n;
    return kept;
}

enum { TEXTS = 9 }; /* that a command has at most */

static int texts_of(cl_command *c, cl_str *texts[TEXTS])
{
    switch (c->kind) {
    case CL_DO_CALL:
        texts[0] = &c->call.method, texts[1] = &c->call.args, texts[2] = &c->call.server;
        if (!(c->call.meta.n | c->call.bytes.n | c->call.once.n | c->call.reply_to.n | c->call.trace.n)) return 3;
        texts[3] = &c->call.meta, texts[4] = &c->call.bytes, texts[5] = &c->call.once;
        texts[6] = &c->call.reply_to, texts[7] = &c->call.correlation;
        return texts[8] = &c->call.trace, 9;
    case CL_DO_REGISTER:
        texts[0] = &c->operation.name, texts[1] = &c->operation.value;
        return texts[2] = &c->operation.meta, 3;
    case CL_DO_UNREGISTER:
    case CL_DO_PAUSE:
    case CL_DO_EXPLAIN:
        return texts[0] = &c->operation.name, texts[1] = &c->operation.value, 2;
    case CL_DO_SEND:
    case CL_DO_ASK:
    case CL_DO_PUBLISH:
        texts[0] = &c->operation.name;
        texts[1] = &c->operation.value;
        texts[2] = &c->operation.meta, texts[3] = &c->operation.bytes;
        return texts[4] = &c->operation.trace, 5;
    case CL_DO_SUBSCRIBE:
        return texts[0] = &c->subscribe.topics, texts[1] = &c->subscribe.group, 2;
    case CL_DO_ANSWER:
        texts[0] = &c->answer.error, texts[1] = &c->answer.result;
        return texts[2] = &c->answer.meta, texts[3] = &c->answer.bytes, 4;
    case CL_DO_ATTEMPT:
        return texts[0] = &c->change.text, texts[1] = &c->change.bytes, 2;
    case CL_DO_END_SPAN:
        texts[0] = &c->own.span.text, texts[1] = &c->own.span.name;
        return texts[2] = &c->own.span.error, 3;
    case CL_DO_CHOOSE:
    case CL_DO_CONFIGURE:
        return texts[0] = &c->change.text, 1;
    default:
        return 0;
    }
}

static size_t text_bytes(const cl_command *command)
{
    cl_command c = *command;
    cl_str *texts[TEXTS];
    size_t bytes = 0;
    for (int n = texts_of(&c, texts), i = 0; i < n; i++) bytes += texts[i]->n;
    return bytes;
}

/* Copies the texts to the bytes behind the record. */
static void keep_texts(cl_command *c)
{
    char *to = (char *)(c + 1);
    cl_str *texts[TEXTS];
    for (int n = texts_of(c, texts), i = 0; i < n; i++) *texts[i] = keep(&to, *texts[i]);
}

/* What a record takes, whatever it asks for: a command without texts counts too. */
static size_t record_size(size_t bytes)
{
    return sizeof(cl_command) + (bytes > SMALL_TEXT ? bytes : SMALL_TEXT);
}

/* Under the lock: a record with room for so many bytes of text. */
static cl_command *record(cl_command_queue *q, size_t bytes)
{
    if (bytes > SMALL_TEXT) return cl_malloc(record_size(bytes));
    cl_command *c = q->spare;
    if (!c) return cl_malloc(record_size(bytes));
    q->spare = c->next;
    q->spares--;
    return c;
}

static int is_waited_for(const cl_command *c)
{
    return c->kind == CL_DO_CALL && cl_id_is_waited_for(c->id);
}

/* Under the lock: whom a further command wakes. */
static enum cl_wake who_is_woken(cl_context *context, const cl_command *c)
{
    cl_command_queue *q = &context->thread.queue;
    int nobody = atomic_load(&context->thread.leader.who) == CL_LEADER_NONE;
    if (q->woken || (nobody && is_waited_for(c))) return CL_WAKE_NONE;
    q->woken = 1;
    return nobody ? CL_WAKE_THREAD : CL_WAKE_LOOP;
}

void cl_queue_wake(cl_context *context, enum cl_wake whom)
{
    if (whom != CL_WAKE_NONE) cl_loop_wake(context->engine.loop);
    if (whom == CL_WAKE_THREAD) cl_leader_wake_thread(context);
}

static enum cl_wake push(cl_context *context, cl_command *c)
{
    cl_command_queue *q = &context->thread.queue;
    c->next = NULL;
    *q->end = c;
    q->end = &c->next;
    q->bytes += c->embedded ? 0 : record_size(c->bytes);
    q->count++;
    return who_is_woken(context, c);
}

CL_RARE static int full(const cl_context *context, size_t waits)
{
    return cl_error_limit(CLOUDS_ELIMIT, waits, context->config.max_event_bytes,
                          "%zu bytes wait for the library's thread already (max_event_bytes)", waits);
}

/* The end of a subscription and the refusal of a request, of which there is one for each, make room. */
static int needs_room(const cl_command *command)
{
    return command->kind != CL_DO_UNSUBSCRIBE && command->kind != CL_DO_REFUSE;
}

int cl_queue_put(cl_context *context, const cl_command *command, enum cl_wake *whom)
{
    cl_command_queue *q = &context->thread.queue;
    size_t bytes = text_bytes(command);
    pthread_mutex_lock(&q->lock);
    size_t waits = q->bytes + q->late_bytes;
    int is_full = (q->count || q->late_bytes) && needs_room(command) &&
                  waits + record_size(bytes) > context->config.max_event_bytes;
    cl_command *c = is_full ? NULL : record(q, bytes);
    if (!c) {
        pthread_mutex_unlock(&q->lock);
        return is_full ? full(context, waits) : cl_error(CLOUDS_ENOMEM, NULL);
    }
    *c = *command;
    c->bytes = bytes;
    keep_texts(c);
    *whom = push(context, c);
    pthread_mutex_unlock(&q->lock);
    return 0;
}

static int enqueue(cl_context *context, const cl_command *command)
{
    enum cl_wake whom;
    int code = cl_queue_put(context, command, &whom);
    if (code == 0) cl_queue_wake(context, whom);
    return code;
}

int cl_submit(cl_context *context, const cl_command *command)
{
    if (context->threaded) return enqueue(context, command);
    int code = cl_execute(context, command); /* now, on this thread */
    cl_context_touch(context);
    return code;
}

int cl_submit_embedded(cl_context *context, cl_command *command)
{
    if (!context->threaded) return cl_submit(context, command);
    command->embedded = 1;
    command->bytes = 0;
    pthread_mutex_lock(&context->thread.queue.lock);
    enum cl_wake whom = push(context, command);
    pthread_mutex_unlock(&context->thread.queue.lock);
    cl_queue_wake(context, whom);
    return 0;
}

int cl_refused(cl_context *context, int code)
{
    if (code != CLOUDS_ELIMIT || context->threaded) return code;
    cl_error_record why;
    cl_error_save(&why);
    cl_engine_turn_once(context);
    cl_context_tell_news(context);
    cl_error_restore(&why);
    return code;
}

/* ---- the engine's side */

/* An accepted command failed: this is the event that completes it. */
static void complete_failed(cl_context *context, const cl_command *c, int code)
{
    static const uint32_t types[] = {[CL_DO_CALL] = CLOUDS_EVENT_RESULT,
                                     [CL_DO_SEND] = CLOUDS_EVENT_SENT,
                                     [CL_DO_REGISTER] = CLOUDS_EVENT_REGISTERED,
                                     [CL_DO_UNREGISTER] = CLOUDS_EVENT_UNREGISTERED,
                                     [CL_DO_PAUSE] = CLOUDS_EVENT_PAUSED,
                                     [CL_DO_STATUS] = CLOUDS_EVENT_STATUS,
                                     [CL_DO_EXPLAIN] = CLOUDS_EVENT_STATUS,
                                     [CL_DO_LINKS] = CLOUDS_EVENT_STATUS,
                                     [CL_DO_STATS] = CLOUDS_EVENT_STATUS,
                                     [CL_DO_ASK] = CLOUDS_EVENT_STATUS,
                                     [CL_DO_PUBLISH] = CLOUDS_EVENT_SENT,
                                     [CL_DO_SUBSCRIBE] = CLOUDS_EVENT_SUBSCRIBED,
                                     [CL_DO_OPEN] = CLOUDS_EVENT_READY,
                                     [CL_DO_CLOSE_NODE] = CLOUDS_EVENT_NODE_CLOSED,
                                     [CL_DO_CLOSE] = 0};
    uint32_t type = types[c->kind];
    int publishes = c->kind == CL_DO_PUBLISH;
    if (!type) return;
    if (type == CLOUDS_EVENT_SENT && !c->operation.confirm) {
        if (publishes && c->node->core) cl_publish_lost(c->node->core, c->operation.name);
        return;
    }
    int named = type == CLOUDS_EVENT_RESULT || type == CLOUDS_EVENT_REGISTERED || type == CLOUDS_EVENT_UNREGISTERED ||
                type == CLOUDS_EVENT_PAUSED || c->kind == CL_DO_EXPLAIN || type == CLOUDS_EVENT_SUBSCRIBED || publishes;
    cl_facts facts = cl_error_facts();
    cl_str name = type == CLOUDS_EVENT_RESULT          ? c->call.method
                  : type == CLOUDS_EVENT_SUBSCRIBED    ? c->subscribe.topics
                  : named || type == CLOUDS_EVENT_SENT ? c->operation.name
                                                       : CL_STR_NONE;
    if (named && !publishes && type != CLOUDS_EVENT_SUBSCRIBED) facts.method = name;
    facts.cluster = cl_str_z(context->config.url_text);
    if (type == CLOUDS_EVENT_SENT && !publishes) facts.node = name;
    else if (type != CLOUDS_EVENT_RESULT) facts.node = cl_str_z(c->node->id);
    cl_buf error = {0};
    if (cl_error_object(&error, code, cl_str_z(clouds_last_error()), &facts) != 0) cl_buf_clear(&error);
    cl_deliver(context, c->node,
               &(clouds_event){.type = type,
                               .code = code,
                               .outcome = (uint32_t)clouds_err_outcome(code),
                               .id = c->id,
                               .user_data = c->user_data,
                               .time_left = -1,
                               .peer = "",
                               .data = "",
                               .error = error.len ? error.data : "",
                               .error_len = error.len,
                               .method = named ? name.p : "",
                               .method_len = named ? name.n : 0});
    cl_buf_free(&error);
}

static cl_command *take_all(cl_command_queue *q)
{
    pthread_mutex_lock(&q->lock);
    cl_command *first = q->first;
    q->first = NULL;
    q->end = &q->first;
    q->bytes = q->count = 0;
    q->woken = 0;
    pthread_mutex_unlock(&q->lock);
    return first;
}

/* Gives a chain of records back: small ones to be used again. */
static void give_back(cl_command_queue *q, cl_command *chain)
{
    pthread_mutex_lock(&q->lock);
    while (chain) {
        cl_command *next = chain->next;
        if (chain->bytes > SMALL_TEXT || q->spares >= SPARES) {
            cl_free(chain);
        } else {
            chain->next = q->spare;
            q->spare = chain;
            q->spares++;
        }
        chain = next;
    }
    pthread_mutex_unlock(&q->lock);
}

int cl_queue_is_urgent(cl_command_queue *q)
{
    pthread_mutex_lock(&q->lock);
    int urgent = q->woken;
    pthread_mutex_unlock(&q->lock);
    return urgent;
}

/* ---- answers that found no room */

/* They were accepted, so they wait here, their bytes counted with those of the queue, until
 * there is room or their requests are closed. */

static int may_wait(const cl_command *c, int code)
{
    return c->kind == CL_DO_ANSWER && (code == CLOUDS_ELIMIT || code == CLOUDS_ENOMEM);
}

static void count_late(cl_command_queue *q, size_t add, size_t remove)
{
    pthread_mutex_lock(&q->lock);
    q->late_bytes += add;
    q->late_bytes -= remove;
    pthread_mutex_unlock(&q->lock);
}

static void put_off(cl_command_queue *q, cl_command *c)
{
    c->next = NULL;
    *q->late_end = c;
    q->late_end = &c->next;
    q->late_count++;
}

static cl_command *take_late(cl_command_queue *q)
{
    cl_command *c = q->late;
    q->late = c->next;
    if (!q->late) q->late_end = &q->late;
    q->late_count--;
    return c;
}

/* Some a turn, each of them in its turn: the queue towards one peer may be full for long. */
void cl_queue_run_late(cl_context *context)
{
    cl_command_queue *q = &context->thread.queue;
    size_t tries = q->late_count < LATE_TRIES ? q->late_count : LATE_TRIES;
    for (; tries > 0; tries--) {
        cl_command *c = take_late(q);
        if (may_wait(c, cl_execute(context, c))) {
            put_off(q, c);
            continue;
        }
        count_late(q, 0, record_size(c->bytes));
        c->next = NULL;
        give_back(q, c);
    }
    if (q->late_count) cl_core_check_room_soon(context->engine.core);
}

void cl_queue_run(cl_context *context)
{
    cl_command *done = NULL;
    for (cl_command *c = take_all(&context->thread.queue), *next; c; c = next) {
        next = c->next;
        int embedded = c->embedded; /* carrying it out may free what it lies in */
        int code = cl_execute(context, c);
        if (!embedded && may_wait(c, code)) {
            count_late(&context->thread.queue, record_size(c->bytes), 0);
            put_off(&context->thread.queue, c);
            cl_core_check_room_soon(context->engine.core);
            continue;
        }
        if (code != 0) complete_failed(context, c, code);
        if (embedded) continue;
        c->next = done;
        done = c;
    }
    give_back(&context->thread.queue, done);
}
