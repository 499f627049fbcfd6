/* The record of a node: written, renewed as long as it serves, and deleted. What it says is in claim.c, which writes it
 * first, to own the id. */
#include "clouds.h"
#include "directory/redis/internal.h"

static const cl_redis_handler record_handler, renew_record_handler;

void cl_redis_send_record(redis_directory *d, redis_node *node)
{
    cl_str set[] = {CL_STR("SET"), node->record_key, cl_redis_record(d, node), CL_STR("EX"), cl_str_z(node->ttl)};
    if (!cl_redis_client_send(d->client, &record_handler, node, 5, set)) node->refs++;
    node->record_ended = 0;
}

void cl_redis_keep_record(redis_directory *d, redis_node *node)
{
    if (!node->recorded) {
        cl_redis_send_record(d, node);
        return;
    }
    cl_str expire[] = {CL_STR("EXPIRE"), node->record_key, cl_str_z(node->ttl)};
    if (!cl_redis_client_send(d->client, &renew_record_handler, node, 3, expire)) node->refs++;
}

void cl_redis_end_record(redis_directory *d, redis_node *node)
{
    cl_str del[] = {CL_STR("DEL"), node->record_key};
    int is_ours = node->recorded && node->refused_code != CLOUDS_EEXIST;
    if (is_ours) cl_redis_client_send_unawaited(d->client, 2, del);
    node->record_ended |= is_ours;
    node->recorded = 0;
}

/* It may have been under way when the node ended, which then did not know of it; and be wanted by the next node of this
 * context with that id. */
void cl_redis_record_came(redis_directory *d, redis_node *node)
{
    int ends = node->draining || node->leaving, is_last = cl_strmap_get(&d->by_channel, node->channel) == node;
    node->recorded = 1;
    if (ends && is_last && !node->record_ended) cl_redis_end_record(d, node);
}

/* ---- replies */

static void on_record(void *self, const cl_pending *pending, const cl_reply *reply)
{
    redis_node *node = cl_redis_from_ref(pending);
    node->recorded = 0;
    if (!cl_redis_client_is_bad(self, reply, CL_REPLY_STATUS, "SET"))
        cl_redis_record_came(redis_directory_of(self), node);
    cl_redis_node_unref(redis_directory_of(self), node);
}

static void on_record_renewed(void *self, const cl_pending *pending, const cl_reply *reply)
{
    redis_directory *d = redis_directory_of(self);
    redis_node *node = cl_redis_from_ref(pending);
    if (!cl_redis_client_is_bad(d->client, reply, CL_REPLY_INTEGER, "EXPIRE") && reply->items[0].number != 1) {
        node->recorded = 0;
        if (cl_redis_wants_any(node) || cl_redis_has_heartbeat(node)) cl_redis_send_record(d, node);
    }
    cl_redis_node_unref(d, node);
}

static void on_record_lost(void *self, const cl_pending *pending, int sent)
{
    cl_redis_node_unref(redis_directory_of(self), cl_redis_from_ref(pending));
}

static const cl_redis_handler record_handler = {"SET", on_record, on_record_lost, 0};
static const cl_redis_handler renew_record_handler = {"EXPIRE", on_record_renewed, on_record_lost, 0};
