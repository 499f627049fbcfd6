/* The connection for commands: what goes out on it beside envelopes, and whom each answer belongs to. */
#include <stdio.h>

#include "bus/redis/inside.h"
#include "clouds.h"

int cl_redis_command(redis_bus *bus, enum redis_kind kind, const void *ref, size_t argc, const cl_str *argv)
{
    if (!cl_session_is_ready(bus->commands)) return CLOUDS_EUNREACHABLE;
    return cl_session_send(bus->commands, kind, redis_ref(ref), argc, argv);
}

int cl_redis_is_bad(redis_bus *bus, const cl_reply *reply, int type, const char *what)
{
    if (reply->items[0].type == type) return 0;
    if (reply->items[0].type == CL_REPLY_ERROR) {
        cl_redis_complain(bus, what, cl_reply_text(reply, 0));
        return 1;
    }
    cl_redis_words words;
    snprintf(words.text, sizeof words.text, "Redis answered %s with something else", what);
    cl_session_cut(bus->commands, CLOUDS_EPROTO, words.text);
    return 1;
}

/* What the answer to a PUBLISH says of its message. */
static enum cl_fate fate_of(redis_bus *bus, const cl_reply *reply, int64_t *receivers)
{
    *receivers = 0;
    int is_error = reply->items[0].type == CL_REPLY_ERROR;
    if (cl_redis_is_bad(bus, reply, CL_REPLY_INTEGER, "PUBLISH")) return is_error ? CL_FATE_NOT_SENT : CL_FATE_LOST;
    *receivers = cl_session_is_cluster(bus->commands) ? -1 : reply->items[0].number;
    return *receivers == 0 ? CL_FATE_NOBODY : CL_FATE_WRITTEN;
}

static void published(redis_bus *bus, const cl_pending *pending, const cl_reply *reply)
{
    int64_t receivers;
    enum cl_fate fate = fate_of(bus, reply, &receivers);
    if (pending->kind == KIND_BATCH) cl_redis_batch_fate(bus, redis_from_ref(pending->ref), fate, receivers);
    else if (pending->ref) bus->sink.fate(bus->sink.self, pending->ref, fate, receivers);
}

static void on_reply(void *self, const cl_pending *pending, const cl_reply *reply)
{
    redis_bus *bus = self;
    switch (pending->kind) {
    case KIND_PUBLISH:
    case KIND_BATCH:
        published(bus, pending, reply);
        break;
    case KIND_NEWS:
        if (reply->items[0].type == CL_REPLY_ERROR) cl_redis_complain(bus, "Redis", cl_reply_text(reply, 0));
        break;
    case KIND_FENCE:
        cl_redis_node_unref(bus, redis_from_ref(pending->ref));
        break;
    case KIND_CLAIM_SET:
    case KIND_CLAIM_GET:
    case KIND_CLAIM_COUNT:
    case KIND_CLAIM_LOCK:
        cl_redis_claim_reply(bus, pending, reply);
        break;
    case KIND_MEMBERS:
        cl_redis_look_members(bus, redis_from_ref(pending->ref), reply);
        break;
    case KIND_LIVING:
        cl_redis_look_living(bus, redis_from_ref(pending->ref), reply);
        break;
    case KIND_SCAN:
        cl_redis_scan_page(bus, reply);
        break;
    default:
        cl_redis_registry_reply(bus, pending, reply);
        break;
    }
}

static void on_unanswered(void *self, const cl_pending *pending, int handed)
{
    redis_bus *bus = self;
    enum cl_fate lost = handed ? CL_FATE_LOST : CL_FATE_NOT_SENT;
    switch (pending->kind) {
    case KIND_PUBLISH:
        if (pending->ref) bus->sink.fate(bus->sink.self, pending->ref, lost, 0);
        break;
    case KIND_BATCH:
        cl_redis_batch_fate(bus, redis_from_ref(pending->ref), lost, 0);
        break;
    case KIND_NEWS:
        break;
    case KIND_FENCE:
        cl_redis_node_unref(bus, redis_from_ref(pending->ref));
        break;
    case KIND_CLAIM_SET:
    case KIND_CLAIM_GET:
    case KIND_CLAIM_COUNT:
    case KIND_CLAIM_LOCK:
        cl_redis_claim_unanswered(bus, pending);
        break;
    case KIND_MEMBERS:
    case KIND_LIVING:
        cl_redis_look_lost(bus, redis_from_ref(pending->ref));
        break;
    case KIND_SCAN:
        cl_redis_scan_lost(bus);
        break;
    default:
        cl_redis_registry_unanswered(bus, pending);
        break;
    }
}

static void on_ready(void *self)
{
    redis_bus *bus = self;
    CL_LIST_EACH(link, &bus->nodes)
    {
        redis_node *node = CL_OWNER(link, redis_node, link);
        node->tries = 0;
        if (node->subscribed) cl_redis_claim(bus, node);
        else cl_redis_restore(bus, node);
    }
    cl_redis_backlog_send(bus);
    cl_redis_check_up(bus);
}

static void on_down(void *self, int was_ready, int code, const char *words)
{
    redis_bus *bus = self;
    if (cl_session_role(bus->commands)->is_replica) cl_session_cut(bus->subscriber, code, words);
    cl_redis_looks_fail(bus);
    cl_redis_statuses_fail(bus);
    cl_redis_down(bus, code, words);
}

static void on_nothing(void *self, cl_str text)
{
    /* This connection subscribes to nothing, and its reader knows no pushes. */
}

static void on_closed(void *self)
{
    cl_redis_session_closed(self);
}

int cl_redis_commands_create(redis_bus *bus)
{
    cl_session_hooks hooks = {bus, on_ready, on_down, on_reply, on_unanswered, on_nothing, on_nothing, on_closed};
    return cl_session_create(bus->loop, &bus->address, &bus->limits, 0, &hooks, &bus->commands);
}
