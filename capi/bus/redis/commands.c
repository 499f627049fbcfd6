/* The connection for commands: what goes out on it beside envelopes, and whom each answer belongs to. */
#include <stdio.h>

#include "bus/redis/internal.h"
#include "clouds.h"

enum { PROMOTION_MS = 15000 };

int cl_redis_command(redis_bus *bus, enum redis_kind kind, const void *ref, size_t argc, const cl_str *argv)
{
    if (!cl_session_is_ready(bus->commands)) return CLOUDS_EUNREACHABLE;
    if (kind == KIND_UNAWAITED) ref = argv[0].p; /* the verbs are literals */
    return cl_session_send(bus->commands, kind, redis_ref(ref), argc, argv);
}

int cl_redis_is_bad(redis_bus *bus, const cl_reply *reply, int type, const char *what)
{
    if (reply->items[0].type == type) return 0;
    if (reply->items[0].type == CL_REPLY_ERROR) {
        cl_redis_log_once(bus, what, cl_reply_text(reply, 0));
        return 1;
    }
    cl_redis_error_text words;
    snprintf(words.text, sizeof words.text, "Redis answered %s with something else", what);
    cl_session_cut(bus->commands, CLOUDS_EPROTO, words.text);
    return 1;
}

/* No receiver means that nobody has it - unless a replica has subscribers, who get it too and are not counted, at once
 * or when the replica comes to it. A node of ours takes no call from there that says where it was published. Others
 * leave a replica as soon as they know; so for a while after a promotion, which is when this connection is young, the
 * number proves nothing of them. */
static int proves_nobody(redis_bus *bus, int to_ours)
{
    const cl_redis_role *role = cl_session_role(bus->commands);
    if (to_ours && role->run_id[0]) return 1;
    if (!role->known || role->is_replica) return 0;
    return !role->was_promoted || cl_loop_now() - cl_session_since(bus->commands) > PROMOTION_MS;
}

/* What the answer to a PUBLISH says of its message. */
static enum cl_fate fate_of(redis_bus *bus, const cl_pending *pending, const cl_reply *reply, int64_t *receivers)
{
    *receivers = 0;
    int is_error = reply->items[0].type == CL_REPLY_ERROR;
    if (cl_redis_is_bad(bus, reply, CL_REPLY_INTEGER, "PUBLISH")) {
        if (is_error) *receivers = cl_redis_error(bus, "PUBLISH", cl_reply_text(reply, 0));
        return is_error ? CL_FATE_NOT_SENT : CL_FATE_LOST;
    }
    *receivers = cl_session_is_cluster(bus->commands) ? -1 : reply->items[0].number;
    if (*receivers != 0) return CL_FATE_WRITTEN;
    return proves_nobody(bus, pending->kind != KIND_PUBLISH) ? CL_FATE_NOBODY : CL_FATE_UNPROVEN;
}

static void published(redis_bus *bus, const cl_pending *pending, const cl_reply *reply)
{
    int64_t receivers;
    enum cl_fate fate = fate_of(bus, pending, reply, &receivers);
    if (pending->kind == KIND_BATCH) cl_redis_batch_fate(bus, redis_from_ref(pending->ref), fate, receivers);
    else if (pending->ref) bus->sink.fate(bus->sink.self, pending->ref, fate, receivers);
}

static const char *verb_of(const cl_pending *pending)
{
    switch (pending->kind) {
    case KIND_PUBLISH:
    case KIND_PUBLISH_OURS:
    case KIND_BATCH:
        return "PUBLISH";
    case KIND_UNAWAITED:
        return redis_from_ref(pending->ref);
    case KIND_SET:
    case KIND_RECORD:
    case KIND_CLAIM_SET:
        return "SET";
    case KIND_RENEW:
    case KIND_RENEW_RECORD:
        return "EXPIRE";
    case KIND_INDEX:
        return "SADD";
    case KIND_DELETE:
        return "DEL";
    case KIND_CLAIM_GET:
        return "GET";
    case KIND_CLAIM_COUNT:
    case KIND_COUNTS:
    case KIND_CHANNELS:
        return "PUBSUB";
    case KIND_MEMBERS:
        return "SMEMBERS";
    case KIND_LIVING:
    case KIND_RECORDS:
        return "MGET";
    case KIND_SCAN:
        return "SCAN";
    default:
        return "";
    }
}

static void on_reply(void *self, const cl_pending *pending, const cl_reply *reply)
{
    redis_bus *bus = self;
    if (bus->refusals_len && reply->items[0].type != CL_REPLY_ERROR) cl_redis_accepted(bus, verb_of(pending));
    switch (pending->kind) {
    case KIND_PUBLISH:
    case KIND_PUBLISH_OURS:
    case KIND_BATCH:
        published(bus, pending, reply);
        break;
    case KIND_UNAWAITED:
        if (reply->items[0].type == CL_REPLY_ERROR)
            cl_redis_log_once(bus, redis_from_ref(pending->ref), cl_reply_text(reply, 0));
        break;
    case KIND_BARRIER:
        cl_redis_node_unref(bus, redis_from_ref(pending->ref));
        break;
    case KIND_CLAIM_SET:
    case KIND_CLAIM_GET:
    case KIND_CLAIM_COUNT:
    case KIND_CLAIM_LOCK:
        cl_redis_claim_reply(bus, pending, reply);
        break;
    case KIND_MEMBERS:
        cl_redis_lookup_members(bus, redis_from_ref(pending->ref), reply);
        break;
    case KIND_LIVING:
        cl_redis_lookup_living(bus, redis_from_ref(pending->ref), reply);
        break;
    case KIND_COUNTS:
        cl_redis_lookup_counts(bus, redis_from_ref(pending->ref), reply);
        break;
    case KIND_CHANNELS:
        cl_redis_scan_channels(bus, reply);
        break;
    case KIND_RECORDS:
        cl_redis_scan_records(bus, reply);
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
    case KIND_PUBLISH_OURS:
        if (pending->ref) bus->sink.fate(bus->sink.self, pending->ref, lost, 0);
        break;
    case KIND_BATCH:
        cl_redis_batch_fate(bus, redis_from_ref(pending->ref), lost, 0);
        break;
    case KIND_UNAWAITED:
        break;
    case KIND_BARRIER:
        cl_redis_node_unref(bus, redis_from_ref(pending->ref));
        break;
    case KIND_CLAIM_SET:
    case KIND_CLAIM_GET:
    case KIND_CLAIM_COUNT:
    case KIND_CLAIM_LOCK:
        cl_redis_claim_unanswered(bus, pending);
        break;
    case KIND_LIVING:
        if (cl_redis_lookup_counts_pending(redis_from_ref(pending->ref))) break; /* the next one reports it */
        cl_redis_lookup_lost(bus, redis_from_ref(pending->ref));
        break;
    case KIND_MEMBERS:
    case KIND_COUNTS:
        cl_redis_lookup_lost(bus, redis_from_ref(pending->ref));
        break;
    case KIND_CHANNELS:
    case KIND_RECORDS:
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
    cl_redis_lookups_fail(bus);
    cl_redis_statuses_fail(bus);
    cl_redis_down(bus, code, words);
}

static void on_nothing(void *self, cl_str text)
{
    /* This connection subscribes to nothing, and its reader takes no pushes. */
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
