/* Design note. Two nodes with one id would both run every request that is sent to it. So an id has an owner, and the
 * record of the node, which holds a token of its context, says who that is. A node subscribes first and asks then, in
 * one round trip:
 *
 *   SET record NX EX   ours, if there was none
 *   GET record         whose it is
 *   PUBSUB NUMSUB      how many listen on the channel, this node included
 *
 * Since everybody is subscribed before making a record, a record of another without a second listener is what a dead
 * process left: it is taken over. With one, the other lives, and this node is refused. A second listener without a
 * record is an npm node, or somebody who is about to be refused: it is asked a few times more before it counts.
 * A node that was the owner before a loss asks again; there its own ghost, a connection that Redis does not know to be
 * dead yet, may be the second listener, so only a foreign record counts. Until the answer is there, what arrives is
 * held. Where Redis does not allow these commands the node goes on without. */
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "directory/redis/internal.h"
#include "clouds.h"

/* Who waits for the others to leave gives them more time than they take to decide: a process may get no turn for a
 * while. The lock outlasts that. Then it lets the lock go, and looks again until all who were refused because of it
 * have left: a refusal counts for REFUSED_MS only, who learns of it later asks again. So a delay makes not all lose. */
enum { AGAIN_MS = 80, TRIES = 4, LAST_TRIES = 12, REFUSED_MS = 200, LOCK_MS = 2000 };

void cl_redis_claim_prepare(redis_directory *d)
{
    uint64_t random = 0;
    if (cl_random_bytes(&random, sizeof random)) random = (uint64_t)getpid() << 32 ^ (uint64_t)cl_loop_now();
    snprintf(d->token, sizeof d->token, "%016llx", (unsigned long long)random);
    char name[sizeof d->place] = "";
    gethostname(name, sizeof name - 1);
    size_t n = 0;
    for (const char *p = name; *p; p++)
        if (*p > ' ' && *p < 127 && *p != '"' && *p != '\\') d->place[n++] = *p;
    d->place[n] = '\0';
}

/* The host part of an id of the usual shape; "" for another. */
static cl_str host_of(cl_str id)
{
    if (id.n < 12 || id.p[1] != '.' || id.p[10] != '.') return CL_STR_NONE;
    return strspn(id.p + 2, "0123456789abcdef") >= 8 ? cl_str_of(id.p + 2, 8) : CL_STR_NONE;
}

/* An address that is to be that of this machine is the one by which the others come to the same Redis. */
static int put_addresses(redis_directory *d, const redis_node *node, cl_buf *out)
{
    char own[64];
    const char *found = cl_session_own_address(d->client->commands, own, sizeof own) == 0 ? own : NULL;
    cl_address at;
    int code = 0, n = 0;
    for (size_t i = 0; i < node->addresses_n && code == 0; i++) {
        if (!cl_address_complete(&node->addresses[i], found, &at)) continue;
        code = cl_buf_put_str(out, n++ ? CL_STR(",") : CL_STR(",\"at\":["));
        if (code == 0) code = cl_json_quote(cl_str_z(at.text), out);
    }
    return code || !n ? code : cl_buf_put_char(out, ']');
}

/* Of version 1 is what has no addresses: so 0.2 wrote it, which shows in "at" where the node is. */
cl_str cl_redis_record(redis_directory *d, const redis_node *node)
{
    cl_str host = host_of(node->id);
    cl_buf *out = &d->text;
    int is_linked = node->addresses_n > 0;
    cl_buf_clear(out);
    int code = cl_buf_printf(out,
                             "{\"v\":%d,\"host\":\"%.*s\",\"pid\":%ld,\"started\":%lld,\"abilities\":[\"deadline\","
                             "\"refuse\",\"batch\",\"frames\",\"cancel\"],\"token\":\"%s\",\"%s\":\"%s\"",
                             is_linked ? 2 : 1, (int)host.n, host.p, (long)getpid(), (long long)node->started, d->token,
                             is_linked ? "on" : "at", d->place);
    if (code == 0 && is_linked) code = put_addresses(d, node, out);
    const cl_traits traits = cl_traits_read(cl_str_z(node->traits));
    if (code == 0) code = cl_traits_put(&traits, out);
    if (code == 0) code = cl_redis_put_paused(node, out);
    if (code == 0) code = cl_buf_put_char(out, '}');
    return code ? CL_STR_NONE : cl_buf_str(out);
}

/* ---- asking */

static const cl_redis_handler set_handler, get_handler, count_handler, lock_handler;

static int ask(redis_directory *d, redis_node *node, const cl_redis_handler *handler, size_t argc, const cl_str *argv)
{
    int code = cl_redis_client_send(d->client, handler, node, argc, argv);
    if (!code) node->refs++;
    return code;
}

void cl_redis_claim(redis_directory *d, redis_node *node)
{
    if (node->claiming || node->leaving || !node->subscribed || !cl_session_is_ready(d->client->commands)) return;
    cl_str set[] = {CL_STR("SET"), node->record_key, cl_redis_record(d, node),
                    CL_STR("NX"),  CL_STR("EX"),     cl_str_z(node->ttl)};
    cl_str get[] = {CL_STR("GET"), node->record_key}, count[] = {CL_STR("PUBSUB"), CL_STR("NUMSUB"), node->channel};
    node->is_foreign = node->record_ended = 0;
    node->listeners = -1;
    int code = ask(d, node, &set_handler, 6, set);
    if (!code) code = ask(d, node, &get_handler, 2, get);
    if (!code) code = ask(d, node, &count_handler, 3, count);
    if (code) {
        cl_session_cut(d->client->commands, code,
                       clouds_strerror(code)); /* it is asked again when the connection is back */
        return;
    }
    node->claiming = 1;
    d->claiming++;
    d->base.up = 0; /* what is up already stays so: only a change is reported */
}

/* ---- deciding */

/* P:C:<id>, held for a moment by one of those who contend for an id. "" without memory. */
static cl_str lock_key(redis_directory *d, const redis_node *node)
{
    cl_buf_clear(&d->text);
    int code = cl_buf_put_str(&d->text, d->client->prefix);
    if (!code) code = cl_buf_put(&d->text, ":C:", 3);
    if (!code) code = cl_buf_put_str(&d->text, node->id);
    return code ? CL_STR_NONE : cl_buf_str(&d->text);
}

/* One that is about to end by itself may be another's when the deletion arrives. */
static void unlock(redis_directory *d, redis_node *node)
{
    int is_ours = node->is_last && cl_loop_now() - node->lock_asked < LOCK_MS * 3 / 4;
    cl_str del[] = {CL_STR("DEL"), is_ours ? lock_key(d, node) : CL_STR_NONE};
    if (is_ours) cl_redis_client_send_unawaited(d->client, 2, del);
    node->is_last = 0;
}

void cl_redis_claim_end(redis_directory *d, redis_node *node)
{
    unlock(d, node);
    node->was_last = 0;
}

static void take_over(redis_directory *d, redis_node *node)
{
    node->is_foreign = 0;
    cl_redis_send_record(d, node);
}

static void lose(redis_directory *d, redis_node *node)
{
    char words[400];
    snprintf(words, sizeof words, "the node id %.*s is in use: %s", node->id.n < 150 ? (int)node->id.n : 150,
             node->id.p, node->is_foreign ? node->holder : "somebody who left no record listens to it");
    if (node->recorded && !node->is_foreign) {
        cl_str del[] = {CL_STR("DEL"), node->record_key};
        cl_redis_client_send_unawaited(d->client, 2, del);
    }
    node->recorded = node->owned = 0;
    cl_redis_claim_end(d, node);
    cl_redis_node_refused(d, node, CLOUDS_EEXIST, words);
}

/* It asks a few times more: whose record it is, until those have left who do not get the lock. */
static int waits(redis_directory *d, redis_node *node)
{
    int stays = node->is_last || (node->recorded && !node->is_foreign);
    unsigned most = stays ? LAST_TRIES : TRIES;
    return ++node->tries <= most && cl_redis_node_set_timer(d, node, AGAIN_MS) == 0;
}

/* The second listener may be one more who wants what a dead process left: one of them stays, and sees then whether the
 * owner lives. */
static int asks_to_be_last(redis_directory *d, redis_node *node)
{
    char ms[24];
    if (node->was_last || !node->is_foreign) return 0;
    cl_str set[] = {CL_STR("SET"), lock_key(d, node), cl_str_z(d->token),
                    CL_STR("NX"),  CL_STR("PX"),      cl_str_of(ms, cl_digits(ms, LOCK_MS))};
    node->lock_asked = cl_loop_now();
    return set[1].n > 0 && ask(d, node, &lock_handler, 6, set) == 0;
}

static int lets_the_lock_go(redis_directory *d, redis_node *node)
{
    if (!node->is_last) return 0;
    unlock(d, node);
    node->was_last = 1;
    node->tries = 0;
    return waits(d, node);
}

static void lock_came(redis_directory *d, redis_node *node, const cl_reply *reply)
{
    int is_old = cl_loop_now() - node->lock_asked > REFUSED_MS;
    node->is_last = reply->items[0].type == CL_REPLY_STATUS;
    if (node->leaving || !node->subscribed || node->listening) {
        unlock(d, node);
        return;
    }
    node->tries = 0;
    if ((!node->is_last && !is_old) || node->draining || !waits(d, node)) lose(d, node);
}

static void decide(redis_directory *d, redis_node *node)
{
    int has_rival = node->listeners < 0 ? node->is_foreign : node->listeners > 1;
    if (node->is_foreign && !has_rival) take_over(d, node);
    if (!has_rival || (node->owned && !node->is_foreign)) {
        cl_redis_claim_end(d, node);
        cl_redis_node_listens(d, node);
    } else if (!waits(d, node) && !lets_the_lock_go(d, node) && !asks_to_be_last(d, node)) {
        lose(d, node);
    }
}

/* ---- answers */

/* What stands behind "name": in the record, up to one of the ends. */
static cl_str member(cl_str record, const char *name, const char *ends)
{
    const char *p = memmem(record.p, record.n, name, strlen(name)), *stop = record.p + record.n, *value;
    if (!p) return CL_STR("?");
    for (p = value = p + strlen(name); p < stop && !strchr(ends, *p);) p++;
    return cl_str_of(value, (size_t)(p - value));
}

static void owner_came(redis_directory *d, redis_node *node, const cl_reply *reply)
{
    if (reply->items[0].type == CL_REPLY_ERROR) cl_redis_client_log_once(d->client, "GET", cl_reply_text(reply, 0));
    if (reply->items[0].type != CL_REPLY_STRING) return;
    cl_str record = cl_reply_text(reply, 0);
    node->is_foreign = memmem(record.p, record.n, d->token, strlen(d->token)) == NULL;
    /* The way to Redis, and with it the address of this machine, may be another one now. */
    int stays = !node->is_foreign && !node->draining && !node->leaving;
    if (stays && d->wants_places && !cl_str_eq(record, cl_redis_record(d, node))) cl_redis_send_record(d, node);
    if (!node->is_foreign) return;
    cl_str pid = member(record, "\"pid\":", ",}"), at = member(record, "\"on\":\"", "\"");
    if (cl_str_eq(at, CL_STR("?"))) at = member(record, "\"at\":\"", "\"");
    snprintf(node->holder, sizeof node->holder, "process %.*s on %.*s", pid.n < 20 ? (int)pid.n : 20, pid.p,
             at.n < 80 ? (int)at.n : 80, at.p);
}

static void count_came(redis_directory *d, redis_node *node, const cl_reply *reply)
{
    if (reply->items[0].type == CL_REPLY_ERROR) cl_redis_client_log_once(d->client, "PUBSUB", cl_reply_text(reply, 0));
    else if (reply->len == 3 && reply->items[2].type == CL_REPLY_INTEGER) node->listeners = reply->items[2].number;
    d->claiming--;
    node->claiming = 0;
    if (node->leaving || !node->subscribed) return;
    decide(d, node);
    cl_redis_check_up(d);
}

static void on_set(void *self, const cl_pending *pending, const cl_reply *reply)
{
    redis_directory *d = redis_directory_of(self);
    redis_node *node = cl_redis_from_ref(pending);
    if (reply->items[0].type == CL_REPLY_ERROR) cl_redis_client_log_once(self, "SET", cl_reply_text(reply, 0));
    if (reply->items[0].type == CL_REPLY_STATUS) cl_redis_record_came(d, node);
    cl_redis_node_unref(d, node);
}

static void on_get(void *self, const cl_pending *pending, const cl_reply *reply)
{
    owner_came(redis_directory_of(self), cl_redis_from_ref(pending), reply);
    cl_redis_node_unref(redis_directory_of(self), cl_redis_from_ref(pending));
}

static void on_count(void *self, const cl_pending *pending, const cl_reply *reply)
{
    count_came(redis_directory_of(self), cl_redis_from_ref(pending), reply);
    cl_redis_node_unref(redis_directory_of(self), cl_redis_from_ref(pending));
}

static void on_lock(void *self, const cl_pending *pending, const cl_reply *reply)
{
    lock_came(redis_directory_of(self), cl_redis_from_ref(pending), reply);
    cl_redis_node_unref(redis_directory_of(self), cl_redis_from_ref(pending));
}

static void on_lost(void *self, const cl_pending *pending, int sent)
{
    cl_redis_node_unref(redis_directory_of(self), cl_redis_from_ref(pending));
}

static void on_count_lost(void *self, const cl_pending *pending, int sent)
{
    redis_directory *d = redis_directory_of(self);
    redis_node *node = cl_redis_from_ref(pending);
    d->claiming--;
    node->claiming = 0;
    cl_redis_node_unref(d, node);
}

static const cl_redis_handler set_handler = {"SET", on_set, on_lost, 0};
static const cl_redis_handler get_handler = {"GET", on_get, on_lost, 0};
static const cl_redis_handler count_handler = {"PUBSUB", on_count, on_count_lost, 0};
static const cl_redis_handler lock_handler = {"", on_lock, on_lost, 0}; /* a refusal is not logged */
