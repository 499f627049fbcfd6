/* Design note. A registration is a key with a TTL. `wanted` is what its owner asked for, `listed` what Redis is known
 * to hold; commands bring the second to the first:
 *
 *   wanted, not listed   SET key 1 EX ttl   on register_method, and when a renewal finds the key gone
 *   wanted, listed       EXPIRE key ttl     each heartbeat, and after a reconnect (a full Redis takes it too)
 *                        SADD index         once a minute, and whenever the key was gone
 *   not wanted           DEL key            on unregister_method, and after a reconnect if that was not answered
 *
 * Nothing of it while the node's subscription is not confirmed. Whatever fails is tried again with the next heartbeat.
 * An operation of the owner ends with the first answer that it meets, good or bad; while Redis is away it waits, until
 * its owner abandons it. One that the other kind has superseded by then is canceled. */
#include <stdio.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "directory/redis/internal.h"
#include "clouds.h"

enum { INDEX_MS = 60000 };

/* ---- operations */

static int add_op(redis_directory *d, redis_reg *reg, cl_list_node *list, uint64_t operation)
{
    redis_op *op = cl_malloc(sizeof *op);
    if (!op) return CLOUDS_ENOMEM;
    op->operation = operation;
    op->reg = reg;
    if (operation && cl_idmap_put(&d->ops, operation, op)) {
        cl_free(op);
        return CLOUDS_ENOMEM;
    }
    cl_list_init(&op->link);
    cl_list_append(list, &op->link);
    return 0;
}

static void remove_op(redis_directory *d, redis_op *op)
{
    if (op->operation) cl_idmap_take(&d->ops, op->operation);
    cl_list_remove(&op->link);
    cl_free(op);
}

static void end_ops(redis_directory *d, cl_list_node *list, int code, const char *words)
{
    while (!cl_list_empty(list)) {
        redis_op *op = CL_OWNER(list->next, redis_op, link);
        uint64_t operation = op->operation;
        remove_op(d, op);
        if (operation) d->sink.registered(d->sink.self, operation, code, words);
    }
}

static void drop_ops(redis_directory *d, cl_list_node *list)
{
    while (!cl_list_empty(list)) remove_op(d, CL_OWNER(list->next, redis_op, link));
}

/* ---- commands */

static const cl_redis_handler set_handler, renew_handler, index_handler, delete_handler;

static int reg_command(redis_directory *d, redis_reg *reg, const cl_redis_handler *handler, size_t argc,
                       const cl_str *argv)
{
    int code = cl_redis_client_send(d->client, handler, reg, argc, argv);
    if (code) return code;
    reg->refs++;
    reg->node->refs++;
    return 0;
}

static void send_set(redis_directory *d, redis_reg *reg)
{
    cl_str set[] = {CL_STR("SET"), reg->key, CL_STR("1"), CL_STR("EX"), cl_str_z(reg->node->ttl)};
    if (!reg_command(d, reg, &set_handler, 5, set)) reg->sent = 1;
}

static void send_index(redis_directory *d, redis_reg *reg)
{
    reg->indexed = cl_loop_now();
    cl_str add[] = {CL_STR("SADD"), reg->index_key, reg->node->id};
    cl_str expire[] = {CL_STR("EXPIRE"), reg->index_key, CL_STR("86400")};
    reg_command(d, reg, &index_handler, 3, add);
    cl_redis_client_send_unawaited(d->client, 3, expire);
}

static void send_renewal(redis_directory *d, redis_reg *reg)
{
    cl_str expire[] = {CL_STR("EXPIRE"), reg->key, cl_str_z(reg->node->ttl)};
    if (reg_command(d, reg, &renew_handler, 3, expire)) return;
    reg->node->renewing++;
    cl_session_writes(d->client->commands);
}

static int is_anothers(const redis_node *node)
{
    return node->refused_code == CLOUDS_EEXIST;
}

/* A node of this context has taken the id over from one that drains, and wants the same key. */
static int is_the_next_ones(const redis_directory *d, const redis_reg *reg)
{
    const redis_node *newest = cl_strmap_get(&d->by_channel, reg->node->channel);
    if (!newest || newest == reg->node) return 0;
    const redis_reg *other = cl_strmap_get(&newest->regs, reg->method);
    return other && other->wanted;
}

/* What is registered under an id that another node has taken is only looked at. */
static void send_delete(redis_directory *d, redis_reg *reg)
{
    int is_ours = !is_anothers(reg->node) && !is_the_next_ones(d, reg);
    cl_str del[] = {is_ours ? CL_STR("DEL") : CL_STR("EXISTS"), reg->key};
    cl_str rem[] = {CL_STR("SREM"), reg->index_key, reg->node->id};
    if (is_ours) cl_redis_client_send_unawaited(d->client, 3, rem);
    reg_command(d, reg, &delete_handler, 2, del);
}

/* ---- the heartbeat */

/* Brings one registration to what is wanted; a node that does not listen yet must not be found. */
static void pursue(redis_directory *d, redis_reg *reg)
{
    if (!reg->wanted) {
        send_delete(d, reg);
        return;
    }
    if (!reg->node->listening) return;
    int is_due = !reg->listed || !reg->indexed || cl_loop_now() - reg->indexed >= INDEX_MS;
    if (is_due) send_index(d, reg);
    if (reg->listed) send_renewal(d, reg);
    else send_set(d, reg);
}

int cl_redis_wants_any(const redis_node *node)
{
    size_t at = 0;
    for (redis_reg *reg; (reg = cl_strmap_next(&node->regs, &at));)
        if (reg->wanted) return 1;
    return 0;
}

/* A node that registers methods, and one whose id does not tell that it is no npm server (scan.c). */
int cl_redis_has_heartbeat(const redis_node *node)
{
    return !node->draining &&
           (node->was_registered || !cl_list_empty(&node->subscriptions) || !cl_redis_is_client(node->id));
}

void cl_redis_renew(redis_directory *d, redis_node *node)
{
    if (node->renewing || !cl_session_is_ready(d->client->commands)) return;
    size_t at = 0;
    if (node->listening && (cl_redis_wants_any(node) || cl_redis_has_heartbeat(node))) cl_redis_keep_record(d, node);
    for (redis_reg *reg; (reg = cl_strmap_next(&node->regs, &at));)
        if (reg->wanted || !reg->refs) pursue(d, reg);
    cl_redis_subscriptions_renew(d, node);
}

/* What is known to be there is told once more when the node had to subscribe again: who called it meanwhile was told
 * that nobody listens. */
void cl_redis_restore(redis_directory *d, redis_node *node)
{
    size_t at = 0;
    node->renewing = 0;
    if (node->listening && cl_redis_wants_any(node)) cl_redis_keep_record(d, node);
    for (redis_reg *reg; (reg = cl_strmap_next(&node->regs, &at));) {
        if (node->again && reg->wanted && reg->listed) reg->fresh = node->to_announce = 1;
        reg->indexed = 0;
        pursue(d, reg);
    }
    node->again = 0;
    cl_redis_subscriptions_restore(d, node);
    if (node->to_announce) cl_redis_defer(d, node);
}

/* The keys may be another's now. */
void cl_redis_regs_unlist(redis_node *node)
{
    size_t at = 0;
    for (redis_reg *reg; (reg = cl_strmap_next(&node->regs, &at));) reg->listed = 0;
}

/* ---- register and unregister */

static void reg_free(redis_reg *reg)
{
    drop_ops(reg->node->d, &reg->registers);
    drop_ops(reg->node->d, &reg->unregisters);
    cl_free(reg->memory);
    cl_free(reg);
}

static void reg_remove(redis_reg *reg)
{
    cl_strmap_take(&reg->node->regs, reg->method);
    reg_free(reg);
}

/* Nobody wants it, nothing points to it, and Redis is not known to hold anything of it. */
static int is_over(const redis_reg *reg)
{
    int awaited = !cl_list_empty(&reg->registers) || !cl_list_empty(&reg->unregisters);
    return !reg->wanted && !reg->owed && !reg->refs && !awaited;
}

/* key: prefix:S:method:id, index: prefix:M:method */
static int name_reg(redis_directory *d, redis_reg *reg, cl_str method)
{
    cl_buf b = {0};
    if (cl_buf_reserve(&b, d->client->prefix.n * 2 + method.n * 2 + reg->node->id.n + 8)) return CLOUDS_ENOMEM;
    cl_buf_add_str(&b, d->client->prefix);
    cl_buf_add(&b, ":S:", 3);
    cl_buf_add_str(&b, method);
    cl_buf_add_char(&b, ':');
    cl_buf_add_str(&b, reg->node->id);
    size_t n = b.len;
    cl_buf_add_str(&b, d->client->prefix);
    cl_buf_add(&b, ":M:", 3);
    cl_buf_add_str(&b, method);
    reg->memory = b.data;
    reg->key = cl_str_of(b.data, n);
    reg->method = cl_str_of(b.data + d->client->prefix.n + 3, method.n);
    reg->index_key = cl_str_of(b.data + n, b.len - n);
    return 0;
}

static redis_reg *reg_make(redis_directory *d, redis_node *node, cl_str method)
{
    redis_reg *reg = cl_calloc(1, sizeof *reg);
    if (!reg) return NULL;
    reg->node = node;
    cl_list_init(&reg->registers);
    cl_list_init(&reg->unregisters);
    if (name_reg(d, reg, method) || cl_strmap_put(&node->regs, reg->method, reg)) {
        cl_free(reg->memory);
        cl_free(reg);
        return NULL;
    }
    return reg;
}

int cl_redis_register(cl_directory *base, void *handle, cl_str method, uint64_t operation)
{
    redis_directory *d = redis_of(base);
    redis_node *node = cl_redis_node_of(d, handle);
    if (!node || node->draining) return cl_error(CLOUDS_ECLOSED, NULL);
    if (node->refused_code && !node->owned) return cl_error(node->refused_code, "Redis does not let this node listen");
    if (!node->was_registered && cl_redis_node_beat_later(d, node)) return cl_error(CLOUDS_ENOMEM, NULL);
    redis_reg *reg = cl_strmap_get(&node->regs, method);
    int is_first = !cl_redis_wants_any(node);
    if (!reg) reg = reg_make(d, node, method);
    if (!reg) return cl_error(CLOUDS_ENOMEM, NULL);
    if (add_op(d, reg, &reg->registers, operation)) {
        if (is_over(reg)) reg_remove(reg);
        return cl_error(CLOUDS_ENOMEM, NULL);
    }
    reg->wanted = node->was_registered = 1;
    if (is_first && node->listening) cl_redis_keep_record(d, node);
    pursue(d, reg);
    return CL_PENDING;
}

int cl_redis_unregister(cl_directory *base, void *handle, cl_str method, uint64_t operation)
{
    redis_directory *d = redis_of(base);
    redis_node *node = cl_redis_node_of(d, handle);
    redis_reg *reg = node ? cl_strmap_get(&node->regs, method) : NULL;
    if (!reg || !reg->wanted) return cl_error(CLOUDS_EINVAL, "the method is not registered");
    if (add_op(d, reg, &reg->unregisters, operation)) return cl_error(CLOUDS_ENOMEM, NULL);
    int was_paused = reg->paused;
    reg->wanted = reg->listed = reg->fresh = reg->paused = 0;
    reg->owed = reg->sent;
    if (was_paused) cl_redis_publish_record(d, node);
    send_delete(d, reg);
    cl_redis_announce(d, node, 'w', method);
    return CL_PENDING;
}

/* What was asked for is pursued all the same. */
void cl_redis_abandon(cl_directory *base, uint64_t operation)
{
    redis_directory *d = redis_of(base);
    redis_op *op = cl_idmap_get(&d->ops, operation);
    if (!op) return;
    redis_reg *reg = op->reg;
    remove_op(d, op);
    if (is_over(reg)) reg_remove(reg);
}

void cl_redis_unregister_all(redis_directory *d, redis_node *node)
{
    size_t at = 0;
    int any = cl_redis_wants_any(node);
    for (redis_reg *reg; (reg = cl_strmap_next(&node->regs, &at));)
        if (reg->wanted) send_delete(d, reg);
    /* behind the deletions, so that nobody finds it again */
    if (any && !is_anothers(node)) cl_redis_announce(d, node, 'd', CL_STR_NONE);
    at = 0;
    for (redis_reg *reg; (reg = cl_strmap_next(&node->regs, &at));) reg->wanted = reg->listed = reg->fresh = 0;
    cl_redis_end_record(d, node);
}

void cl_redis_registers_end(redis_directory *d, redis_node *node, int code, const char *words)
{
    size_t at = 0;
    for (redis_reg *reg; (reg = cl_strmap_next(&node->regs, &at));) end_ops(d, &reg->registers, code, words);
}

/* What is still open when the node goes. */
void cl_redis_regs_end(redis_directory *d, redis_node *node)
{
    size_t at = 0;
    for (redis_reg *reg; (reg = cl_strmap_next(&node->regs, &at));) {
        end_ops(d, &reg->registers, CLOUDS_ECLOSED, "the node was closed");
        end_ops(d, &reg->unregisters, CLOUDS_EUNREACHABLE, "Redis is away: the registration ends by itself");
    }
}

void cl_redis_regs_free(redis_node *node)
{
    size_t at = 0;
    for (redis_reg *reg; (reg = cl_strmap_next(&node->regs, &at));) reg_free(reg);
    cl_strmap_free(&node->regs);
}

/* ---- answers */

static void failed(redis_directory *d, redis_reg *reg, cl_list_node *ops, const char *what, cl_str error)
{
    cl_redis_error_text words;
    int code = cl_redis_explain_command(error, what, d->client->prefix, &words);
    cl_redis_client_log_once(d->client, what, error);
    end_ops(d, ops, code, words.text);
}

static void listed(redis_directory *d, redis_reg *reg, int anew)
{
    cl_session_wrote(d->client->commands);
    if (!reg->wanted) return;
    reg->listed = 1;
    if (anew) {
        reg->fresh = reg->node->to_announce = 1;
        cl_redis_defer(d, reg->node);
    }
    end_ops(d, &reg->registers, 0, "");
    /* Commands are answered in their order: the deletion was lost, and the registration has taken its place. */
    end_ops(d, &reg->unregisters, CLOUDS_ECANCELED, "registered again meanwhile");
}

/* A key of another kind there is somebody else's: it is named and left alone. Servers of the method are found by a
 * scan. */
static void on_indexed(redis_directory *d, redis_reg *reg, const cl_reply *reply)
{
    if (reply->items[0].type != CL_REPLY_ERROR) return;
    reg->indexed = 0;
    cl_redis_client_log_key_once(d->client, "SADD", reg->index_key, cl_reply_text(reply, 0));
}

static void on_set(redis_directory *d, redis_reg *reg, const cl_reply *reply)
{
    if (reply->items[0].type == CL_REPLY_ERROR) failed(d, reg, &reg->registers, "SET", cl_reply_text(reply, 0));
    else if (!cl_redis_client_is_bad(d->client, reply, CL_REPLY_STATUS, "SET")) listed(d, reg, 1);
}

static void on_renewed(redis_directory *d, redis_reg *reg, const cl_reply *reply)
{
    if (reg->node->renewing) reg->node->renewing--;
    if (reply->items[0].type == CL_REPLY_ERROR) {
        failed(d, reg, &reg->registers, "EXPIRE", cl_reply_text(reply, 0));
    } else if (!cl_redis_client_is_bad(d->client, reply, CL_REPLY_INTEGER, "EXPIRE")) {
        if (reply->items[0].number == 1) {
            listed(d, reg, 0);
        } else if (reg->wanted) {
            reg->listed = 0;
            send_index(d, reg); /* that is gone, too, or somebody took this node for dead */
            send_set(d, reg);
        }
    }
}

static void on_deleted(redis_directory *d, redis_reg *reg, const cl_reply *reply)
{
    if (reply->items[0].type == CL_REPLY_ERROR) {
        reg->owed = 0;
        failed(d, reg, &reg->unregisters, "DEL", cl_reply_text(reply, 0));
    } else if (!cl_redis_client_is_bad(d->client, reply, CL_REPLY_INTEGER, "DEL")) {
        reg->owed = 0;
        end_ops(d, &reg->unregisters, 0, "");
        if (!reg->wanted) end_ops(d, &reg->registers, CLOUDS_ECANCELED, "withdrawn meanwhile");
    }
}

/* Drops the reference of an answered command. */
static void reg_unref(redis_directory *d, redis_reg *reg)
{
    redis_node *node = reg->node;
    reg->refs--;
    if (is_over(reg)) reg_remove(reg);
    cl_redis_node_unref(d, node);
}

static void on_set_reply(void *self, const cl_pending *pending, const cl_reply *reply)
{
    on_set(redis_directory_of(self), cl_redis_from_ref(pending), reply);
    reg_unref(redis_directory_of(self), cl_redis_from_ref(pending));
}

static void on_renew_reply(void *self, const cl_pending *pending, const cl_reply *reply)
{
    on_renewed(redis_directory_of(self), cl_redis_from_ref(pending), reply);
    reg_unref(redis_directory_of(self), cl_redis_from_ref(pending));
}

static void on_delete_reply(void *self, const cl_pending *pending, const cl_reply *reply)
{
    on_deleted(redis_directory_of(self), cl_redis_from_ref(pending), reply);
    reg_unref(redis_directory_of(self), cl_redis_from_ref(pending));
}

static void on_index_reply(void *self, const cl_pending *pending, const cl_reply *reply)
{
    on_indexed(redis_directory_of(self), cl_redis_from_ref(pending), reply);
    reg_unref(redis_directory_of(self), cl_redis_from_ref(pending));
}

static void on_reg_lost(void *self, const cl_pending *pending, int sent)
{
    reg_unref(redis_directory_of(self), cl_redis_from_ref(pending));
}

static void on_renew_lost(void *self, const cl_pending *pending, int sent)
{
    redis_reg *reg = cl_redis_from_ref(pending);
    if (reg->node->renewing) reg->node->renewing--;
    reg_unref(redis_directory_of(self), reg);
}

static const cl_redis_handler set_handler = {"SET", on_set_reply, on_reg_lost, 0};
static const cl_redis_handler renew_handler = {"EXPIRE", on_renew_reply, on_renew_lost, 0};
static const cl_redis_handler index_handler = {"SADD", on_index_reply, on_reg_lost, 0};
static const cl_redis_handler delete_handler = {"DEL", on_delete_reply, on_reg_lost, 0};
