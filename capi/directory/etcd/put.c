/* Design notes
 *
 * A key is put by a transaction that holds only while the key is what we believe, and reads it otherwise. So no id is
 * ever taken from somebody else, and an answer that was lost costs one more try.
 *
 * A key under a lease that is not ours may be what a process left that is dead: it ends with its lease. So the lease is
 * looked at until it ends (the id is free), or is seen to be kept (somebody lives).
 *
 * Who leaves deletes its key; when all of a context leave, the lease is revoked, and others hear of all at once. */
#include <stdio.h>

#include "base/error.h"
#include "base/log.h"
#include "directory/etcd/internal.h"

enum { PUTS_AT_ONCE = 8, LOOK_MS = 200, AGAIN_MS = 1000, GRACE_MS = 1500 };

static cl_etcd_condition condition_of(const etcd_node *node)
{
    switch (node->hold) {
    case ETCD_OURS:
        return (cl_etcd_condition){CL_ETCD_LEASED, node->d->lease};
    case ETCD_FORMER:
        return (cl_etcd_condition){CL_ETCD_UNCHANGED, node->revision};
    default:
        return (cl_etcd_condition){CL_ETCD_ABSENT, 0};
    }
}

static void again(etcd_node *node, int64_t ms)
{
    node->again_at = cl_loop_now() + ms;
    cl_etcd_due_by(node->d, node->again_at);
}

/* ---- refusals */

/* It is never found, or it was and no longer is: then it tries again. */
static void refuse(etcd_node *node, int code, const char *words)
{
    etcd *d = node->d;
    int was_refused = node->hold == ETCD_REFUSED;
    if (code == CLOUDS_EEXIST) node->hold = ETCD_REFUSED;
    again(node, AGAIN_MS);
    if (node->found && was_refused) return;
    if (node->found) cl_log(CLOUDS_LOG_WARN, "etcd: %s", words);
    else node->failed = 1;
    cl_etcd_operations_end(node, node->found ? node->putting : UINT64_MAX, code, words);
    cl_etcd_subscriptions_end(node, node->found ? node->putting : UINT64_MAX, code, words);
    if (!node->found || code == CLOUDS_EEXIST) d->sink.announced(d->sink.self, node->handle, code, words);
}

static void refuse_foreign(etcd_node *node)
{
    char words[400], where[300];
    snprintf(words, sizeof words, "the node id %.*s is in use by %s (%s)", (int)(node->id.n < 100 ? node->id.n : 100),
             node->id.p, node->holder, cl_etcd_where(node->d, where));
    refuse(node, CLOUDS_EEXIST, words);
}

static void on_looked(etcd *d, void *of, const etcd_answer *answer)
{
    etcd_node *node = of;
    int64_t left = 0, now = cl_loop_now();
    d->puts--;
    node->putting = 0;
    if (node->leaving) return;
    if (answer->code == 0 && cl_etcd_number(answer->body, "TTL", &left) != 0) {
        cl_etcd_session_broken(d, "/v3/lease/timetolive");
        return;
    }
    if (answer->code == 0 && left <= 0) {
        node->hold = ETCD_FREE;
        node->again_at = 0;
    } else if (answer->code != 0 || (node->foreign_until && (left > node->foreign_left || now > node->foreign_until))) {
        refuse_foreign(node);
    } else {
        if (!node->foreign_until) node->foreign_until = now + left * 1000 + GRACE_MS;
        node->foreign_left = left;
        again(node, LOOK_MS);
    }
    cl_etcd_work(d);
}

static void look_at_lease(etcd_node *node)
{
    etcd *d = node->d;
    cl_buf_clear(&d->body);
    if (cl_etcd_ask_lease(&d->body, node->foreign_lease, 0) != 0 ||
        !cl_etcd_post(d, "/v3/lease/timetolive", on_looked, node)) {
        again(node, AGAIN_MS);
        return;
    }
    d->puts++;
    node->putting = node->generation;
}

/* ---- conflicts */

static void is_foreign(etcd_node *node, const cl_etcd_kv *kv)
{
    cl_str host = CL_STR_NONE;
    int64_t pid = 0;
    if (cl_etcd_check(kv->value) == 0) {
        host = cl_etcd_text(kv->value, "host");
        cl_etcd_number(kv->value, "pid", &pid);
    }
    if (pid) snprintf(node->holder, sizeof node->holder, "process %lld on %.60s", (long long)pid, host.n ? "" : "?");
    else snprintf(node->holder, sizeof node->holder, "somebody else");
    if (pid && host.n)
        snprintf(node->holder, sizeof node->holder, "process %lld on %.*s", (long long)pid,
                 host.n < 60 ? (int)host.n : 60, host.p);
    if (!kv->lease || node->hold == ETCD_REFUSED) {
        refuse_foreign(node);
        return;
    }
    if (node->hold != ETCD_FOREIGN || node->foreign_lease != kv->lease) node->foreign_until = 0;
    node->hold = ETCD_FOREIGN;
    node->foreign_lease = kv->lease;
    node->again_at = 0;
}

static int is_of_this_context(const etcd *d, cl_str value)
{
    return cl_etcd_check(value) == 0 && cl_str_eq(cl_etcd_text(value, "c"), cl_str_z(d->context));
}

/* The key is not what it was believed to be: 0, or CLOUDS_EPROTO. */
static int learn(etcd_node *node, cl_str transaction)
{
    etcd *d = node->d;
    cl_etcd_list list;
    cl_etcd_kv kv;
    cl_etcd_list_begin(&list, cl_etcd_read_instead(transaction));
    int more = cl_etcd_next_kv(&list, &kv), was_absent = condition_of(node).target == CL_ETCD_ABSENT;
    if (more == 0 && !was_absent) {
        node->hold = ETCD_FREE;
    } else if (more == 1 && kv.lease == d->lease && node->hold != ETCD_OURS) {
        node->hold = ETCD_OURS;
    } else if (more == 1 && is_of_this_context(d, kv.value) && kv.modified != node->revision) {
        node->hold = ETCD_FORMER;
        node->revision = kv.modified;
    } else if (more == 1 && kv.lease != d->lease) {
        is_foreign(node, &kv);
    } else {
        more = CLOUDS_EPROTO;
    }
    cl_etcd_list_end(&list);
    return more < 0 ? more : 0;
}

/* ---- putting */

static void is_there(etcd_node *node, int64_t revision)
{
    etcd *d = node->d;
    int is_news = !node->found || node->hold == ETCD_REFUSED;
    node->hold = ETCD_OURS;
    node->revision = revision;
    node->put = node->putting;
    node->again_at = 0;
    cl_etcd_operations_end(node, node->put, 0, "");
    if (is_news) cl_etcd_subscriptions_are_ours(node);
    cl_etcd_subscriptions_end(node, node->put, 0, "");
    if (!is_news || node->draining) return;
    node->found = 1;
    d->sink.announced(d->sink.self, node->handle, 0, "");
}

static void on_put(etcd *d, void *of, const etcd_answer *answer)
{
    etcd_node *node = of;
    cl_etcd_header header;
    d->puts--;
    if (answer->code == 0 && cl_etcd_is_true(answer->body, "succeeded")) {
        if (cl_etcd_header_of(answer->body, &header) != 0) {
            cl_etcd_session_broken(d, "/v3/kv/txn");
            return;
        }
        is_there(node, header.revision);
    } else if (answer->code == 0) {
        if (learn(node, answer->body) != 0) {
            cl_etcd_session_broken(d, "/v3/kv/txn");
            return;
        }
    } else if (answer->grpc == CL_ETCD_NOT_FOUND) {
        cl_etcd_lease_lost(d);
    } else {
        refuse(node, answer->code, answer->words);
    }
    node->putting = 0;
    cl_etcd_work(d);
}

static void put(etcd_node *node)
{
    etcd *d = node->d;
    cl_buf record = {0};
    cl_address addresses[CL_RECORD_ADDRESSES];
    size_t n = 0;
    for (size_t i = 0; i < node->addresses_n; i++)
        n += (size_t)cl_address_complete(&node->addresses[i], *d->own ? d->own : NULL, &addresses[n]);
    const cl_traits traits = cl_traits_read(cl_str_z(node->traits));
    const cl_etcd_contents contents = {addresses, n, node->draining, &traits, &node->methods, &node->subscriptions};
    int code = cl_etcd_record_write(&record, &d->writer, &contents);
    cl_buf_clear(&d->body);
    if (code == 0) code = cl_etcd_ask_put(&d->body, condition_of(node), node->key, cl_buf_str(&record), d->lease);
    cl_buf_free(&record);
    if (code != 0 || !cl_etcd_post(d, "/v3/kv/txn", on_put, node)) {
        again(node, AGAIN_MS);
        return;
    }
    d->puts++;
    node->putting = node->generation;
}

/* ---- leaving */

static void on_deleted(etcd *d, void *of, const etcd_answer *answer)
{
    cl_etcd_node_left(of);
}

static void delete_key(etcd_node *node)
{
    etcd *d = node->d;
    cl_buf_clear(&d->body);
    int code = cl_etcd_ask_delete(&d->body, (cl_etcd_condition){CL_ETCD_LEASED, d->lease}, node->key);
    if (code == 0 && cl_etcd_post(d, "/v3/kv/txn", on_deleted, node)) node->deleting = 1;
    else cl_etcd_node_left(node); /* the lease ends, too */
}

static void on_revoked(etcd *d, void *of, const etcd_answer *answer)
{
    d->revoking = 0;
    cl_etcd_lease_lost(d);
    CL_LIST_EACH(it, &d->nodes)
    {
        etcd_node *node = CL_OWNER(it, etcd_node, place);
        if (node->leaving && !node->deleting) cl_etcd_node_left(node);
    }
    cl_etcd_work(d);
}

static int all_leave(const etcd *d)
{
    CL_LIST_EACH(it, &d->nodes)
    {
        const etcd_node *node = CL_OWNER(it, etcd_node, place);
        if (!node->leaving && node->announced && !node->failed) return 0;
    }
    return 1;
}

static int revoke(etcd *d)
{
    cl_buf_clear(&d->body);
    d->revoking = cl_etcd_ask_lease(&d->body, d->lease, 0) == 0 && cl_etcd_post(d, "/v3/lease/revoke", on_revoked, NULL);
    return d->revoking;
}

static void let_leave(etcd *d)
{
    int waiting = 0;
    if (d->revoking) return;
    CL_LIST_EACH(it, &d->nodes)
    {
        const etcd_node *node = CL_OWNER(it, etcd_node, place);
        waiting += node->leaving && !node->putting && !node->deleting;
    }
    if (!waiting || (d->lease && all_leave(d) && d->puts == 0 && revoke(d))) return;
    CL_LIST_EACH(it, &d->nodes)
    {
        etcd_node *node = CL_OWNER(it, etcd_node, place);
        if (!node->leaving || node->putting || node->deleting) continue;
        if (d->lease) delete_key(node);
        else cl_etcd_node_left(node);
    }
}

/* ---- what is to be done */

static int wants_put(const etcd_node *node)
{
    if (!node->announced || node->leaving || node->failed || node->putting || node->put == node->generation) return 0;
    return !node->draining || node->hold == ETCD_OURS;
}

static void put_in_time(etcd_node *node, int64_t now)
{
    if (node->again_at > now) cl_etcd_due_by(node->d, node->again_at);
    else if (node->hold == ETCD_FOREIGN) look_at_lease(node);
    else put(node);
}

void cl_etcd_put_work(etcd *d)
{
    int64_t now = cl_loop_now();
    if (d->lease && d->confirmed && !d->revoking) {
        CL_LIST_EACH(it, &d->nodes)
        {
            etcd_node *node = CL_OWNER(it, etcd_node, place);
            if (d->puts >= PUTS_AT_ONCE) break;
            if (wants_put(node)) put_in_time(node, now);
        }
    }
    if (d->state == ETCD_READY) let_leave(d);
}

void cl_etcd_put_due(etcd *d, int64_t now)
{
    CL_LIST_EACH(it, &d->nodes)
    {
        etcd_node *node = CL_OWNER(it, etcd_node, place);
        if (node->leaving && now >= node->leave_by) cl_etcd_leaves_late(node);
        else if (node->leaving) cl_etcd_due_by(d, node->leave_by);
    }
    if (d->state == ETCD_READY) cl_etcd_work(d);
}

void cl_etcd_put_reset(etcd *d)
{
    d->puts = 0;
    d->deleting_left = 0;
    CL_LIST_EACH(it, &d->nodes)
    {
        etcd_node *node = CL_OWNER(it, etcd_node, place);
        node->putting = 0;
        node->deleting = 0;
    }
}

void cl_etcd_put_gone(etcd_node *node)
{
    if (node->hold != ETCD_OURS || node->putting || node->leaving) return;
    node->put = 0;
    cl_etcd_defer(node->d);
}

int cl_etcd_put_is_complete(const etcd *d)
{
    CL_LIST_EACH(it, &d->nodes)
    {
        const etcd_node *node = CL_OWNER(it, etcd_node, place);
        if (!node->found || node->leaving || node->draining || node->hold == ETCD_REFUSED) continue;
        if (!node->put || node->hold != ETCD_OURS || !d->confirmed) return 0;
    }
    return 1;
}
