/* Design note. What a node serves is one record, so a change is a new generation of it, and whoever asked for the change
 * is told when a generation that has it is there. Whose an id is shows when the key is put (put.c), which is when the
 * node listens: to claim it costs nothing. */
#include <stdio.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/seconds.h"
#include "directory/etcd/internal.h"

enum { LEAVE_MS = 1000 };

etcd_node *cl_etcd_node_of(etcd *d, const void *handle)
{
    return cl_idmap_get(&d->by_handle, (uint64_t)(uintptr_t)handle);
}

etcd_node *cl_etcd_node_by_id(etcd *d, cl_str id)
{
    return cl_strmap_get(&d->by_id, id);
}

/* ---- the beginning */

static int enlist(etcd *d, etcd_node *node)
{
    if (cl_strmap_get(&d->by_id, node->id))
        return cl_error(CLOUDS_EEXIST, "the node id %.*s is in use by process %ld (this one)", (int)node->id.n,
                        node->id.p, (long)getpid());
    node->memory = cl_malloc(d->prefix.n + node->id.n + 1);
    int code = node->memory ? cl_idmap_put(&d->by_handle, (uint64_t)(uintptr_t)node->handle, node) : CLOUDS_ENOMEM;
    if (code == 0) code = cl_strmap_put(&d->by_id, node->id, node);
    if (code != 0) return cl_error(code, NULL);
    memcpy(node->memory, d->prefix.p, d->prefix.n);
    memcpy(node->memory + d->prefix.n, node->id.p, node->id.n);
    node->key = cl_str_of(node->memory, d->prefix.n + node->id.n);
    return 0;
}

int cl_etcd_claim(cl_directory *base, void *handle, cl_str id, double heartbeat, cl_address *at)
{
    etcd *d = cl_etcd_of(base);
    etcd_node *node = cl_calloc(1, sizeof *node);
    if (!node) return cl_error(CLOUDS_ENOMEM, NULL);
    node->d = d;
    node->handle = handle;
    node->id = id;
    node->heartbeat = cl_ms(heartbeat);
    node->generation = 1;
    cl_list_init(&node->operations);
    cl_list_init(&node->subscribing);
    cl_list_append(&d->nodes, &node->place);
    int code = enlist(d, node);
    at->text[0] = '\0'; /* its context listens, and says where */
    if (code != 0) cl_etcd_node_free(node);
    return code;
}

int cl_etcd_announce(cl_directory *base, void *handle, const cl_address *addresses, size_t n)
{
    etcd *d = cl_etcd_of(base);
    etcd_node *node = cl_etcd_node_of(d, handle);
    if (!node) return cl_error(CLOUDS_ECLOSED, NULL);
    node->addresses_n = n < CL_RECORD_ADDRESSES ? n : CL_RECORD_ADDRESSES;
    memcpy(node->addresses, addresses, node->addresses_n * sizeof *addresses);
    node->generation++;
    node->announced = 1;
    cl_etcd_defer(d);
    return CL_PENDING;
}

/* ---- methods */

static size_t quoted(cl_str method)
{
    return cl_json_quoted_length(method) + 1;
}

static int keep_method(etcd_node *node, cl_str method)
{
    if (node->bytes + quoted(method) > CL_RECORD_MOST || node->methods.len >= CL_RECORD_METHODS)
        return cl_error_limit(CLOUDS_ETOOBIG, node->bytes + quoted(method), CL_RECORD_MOST,
                              "the names of all methods of a node, and of what it has subscribed to, have at most %d bytes together", CL_RECORD_MOST);
    cl_etcd_method *m = cl_malloc(sizeof *m + method.n);
    if (!m) return cl_error(CLOUDS_ENOMEM, NULL);
    m->paused = 0;
    m->n = method.n;
    memcpy(m->text, method.p, method.n);
    if (cl_strmap_put(&node->methods, cl_str_of(m->text, m->n), m) != 0) {
        cl_free(m);
        return cl_error(CLOUDS_ENOMEM, NULL);
    }
    node->bytes += quoted(method);
    node->generation++;
    return 0;
}

static void drop_method(etcd_node *node, cl_str method)
{
    cl_etcd_method *m = cl_strmap_take(&node->methods, method);
    if (!m) return;
    node->bytes -= quoted(method);
    node->generation++;
    cl_free(m);
}

static void drop_methods(etcd_node *node)
{
    cl_etcd_method *m;
    for (size_t at = 0; (m = cl_strmap_next(&node->methods, &at));) {
        node->bytes -= quoted(cl_str_of(m->text, m->n));
        cl_free(m);
    }
    cl_strmap_free(&node->methods);
}

/* What is so already needs no wait. */
static int report_later(etcd_node *node, etcd_operation *o, uint64_t operation)
{
    if (node->hold == ETCD_OURS && node->put == node->generation) {
        cl_free(o);
        return 0;
    }
    *o = (etcd_operation){.operation = operation, .generation = node->generation};
    cl_list_append(&node->operations, &o->place);
    cl_etcd_defer(node->d);
    return CL_PENDING;
}

int cl_etcd_add(cl_directory *base, void *handle, cl_str method, uint64_t operation)
{
    etcd *d = cl_etcd_of(base);
    etcd_node *node = cl_etcd_node_of(d, handle);
    if (!node || node->failed || node->draining) return cl_error(CLOUDS_ECLOSED, NULL);
    etcd_operation *o = cl_malloc(sizeof *o);
    if (!o) return cl_error(CLOUDS_ENOMEM, NULL);
    int code = cl_strmap_get(&node->methods, method) ? 0 : keep_method(node, method);
    if (code == 0) return report_later(node, o, operation);
    cl_free(o);
    return code;
}

int cl_etcd_remove(cl_directory *base, void *handle, cl_str method, uint64_t operation)
{
    etcd *d = cl_etcd_of(base);
    etcd_node *node = cl_etcd_node_of(d, handle);
    if (!node) return cl_error(CLOUDS_ECLOSED, NULL);
    if (node->failed || node->draining) return 0;
    etcd_operation *o = cl_malloc(sizeof *o);
    if (!o) return cl_error(CLOUDS_ENOMEM, NULL);
    drop_method(node, method);
    return report_later(node, o, operation);
}

void cl_etcd_pause(cl_directory *base, void *handle, cl_str method, int paused)
{
    etcd *d = cl_etcd_of(base);
    etcd_node *node = cl_etcd_node_of(d, handle);
    cl_etcd_method *m = node ? cl_strmap_get(&node->methods, method) : NULL;
    if (!m || m->paused == paused) return;
    m->paused = paused;
    node->generation++;
    cl_etcd_defer(d);
}

void cl_etcd_describe(cl_directory *base, void *handle, const cl_traits *traits)
{
    etcd *d = cl_etcd_of(base);
    etcd_node *node = cl_etcd_node_of(d, handle);
    if (!node) return;
    cl_traits_write(traits, node->traits);
    node->generation++;
    if (node->announced) cl_etcd_defer(d);
}

void cl_etcd_abandon(cl_directory *base, uint64_t operation)
{
    CL_LIST_EACH(it, &cl_etcd_of(base)->nodes)
    {
        etcd_node *node = CL_OWNER(it, etcd_node, place);
        CL_LIST_EACH(of, &node->operations)
        {
            etcd_operation *o = CL_OWNER(of, etcd_operation, place);
            if (o->operation != operation) continue;
            cl_list_remove(&o->place);
            cl_free(o);
            return;
        }
    }
}

void cl_etcd_operations_end(etcd_node *node, uint64_t up_to, int code, const char *words)
{
    etcd *d = node->d;
    while (!cl_list_empty(&node->operations)) {
        etcd_operation *o = CL_OWNER(node->operations.next, etcd_operation, place);
        uint64_t operation = o->operation;
        if (o->generation > up_to) return;
        cl_list_remove(&o->place);
        cl_free(o);
        d->sink.registered(d->sink.self, operation, code, words);
    }
}

/* ---- the end */

void cl_etcd_drain(cl_directory *base, void *handle)
{
    etcd *d = cl_etcd_of(base);
    etcd_node *node = cl_etcd_node_of(d, handle);
    if (!node || node->draining) return;
    node->draining = 1;
    drop_methods(node);
    cl_etcd_subscriptions_drop(node);
    node->generation++;
    cl_etcd_defer(d);
}

/* Its time to leave may be over before etcd has answered what was asked for it. */
void cl_etcd_node_free(etcd_node *node)
{
    etcd *d = node->d;
    if (node->putting) d->puts--;
    cl_etcd_orphan_requests(d, node);
    if (cl_strmap_get(&d->by_id, node->id) == node) cl_strmap_take(&d->by_id, node->id);
    if (cl_etcd_node_of(d, node->handle) == node) cl_idmap_take(&d->by_handle, (uint64_t)(uintptr_t)node->handle);
    CL_LIST_EACH(it, &node->operations) cl_free(CL_OWNER(it, etcd_operation, place));
    drop_methods(node);
    cl_etcd_subscriptions_drop(node);
    cl_list_remove(&node->place);
    cl_free(node->memory);
    cl_free(node);
}

/* A key that may be there when its node has gone. */
typedef struct etcd_left {
    cl_list_node place;
    int64_t lease;
    size_t n;
    char key[];
} etcd_left;

static void remember(etcd *d, const etcd_node *node)
{
    etcd_left *left = d->lease ? cl_malloc(sizeof *left + node->key.n) : NULL;
    if (!left) return; /* it ends with its lease */
    left->lease = d->lease;
    left->n = node->key.n;
    memcpy(left->key, node->key.p, node->key.n);
    cl_list_append(&d->left, &left->place);
}

static int may_have_key(const etcd_node *node)
{
    return node->hold == ETCD_OURS || node->putting;
}

int cl_etcd_leave(cl_directory *base, void *handle)
{
    etcd *d = cl_etcd_of(base);
    etcd_node *node = cl_etcd_node_of(d, handle);
    if (!node) return 0;
    if (!may_have_key(node) || d->state != ETCD_READY || !d->lease) {
        if (may_have_key(node)) remember(d, node);
        cl_etcd_node_free(node);
        return 0;
    }
    node->leaving = 1;
    node->leave_by = cl_loop_now() + LEAVE_MS;
    cl_etcd_due_by(d, node->leave_by);
    cl_etcd_defer(d);
    return CL_PENDING;
}

void cl_etcd_node_left(etcd_node *node)
{
    etcd *d = node->d;
    void *handle = node->handle;
    cl_etcd_node_free(node);
    d->sink.left(d->sink.self, handle);
}

void cl_etcd_leavers_end(etcd *d)
{
    CL_LIST_EACH(it, &d->nodes)
    {
        etcd_node *node = CL_OWNER(it, etcd_node, place);
        if (!node->leaving) continue;
        remember(d, node);
        cl_etcd_node_left(node);
    }
}

void cl_etcd_leaves_late(etcd_node *node)
{
    if (may_have_key(node) && !node->deleting) remember(node->d, node);
    cl_etcd_node_left(node);
}

static void on_left_deleted(etcd *d, void *of, const etcd_answer *answer)
{
    etcd_left *left = of;
    etcd_node *again = cl_etcd_node_by_id(d, cl_etcd_id_of(d, cl_str_of(left->key, left->n)));
    d->deleting_left = 0;
    if (again) again->put = 0; /* its key may be the one that was deleted */
    cl_list_remove(&left->place);
    cl_free(left);
    cl_etcd_work(d);
}

/* A put that is still under way would bring back what is deleted before it. */
void cl_etcd_left_work(etcd *d)
{
    if (cl_list_empty(&d->left) || d->deleting_left || d->orphans) return;
    etcd_left *left = CL_OWNER(d->left.next, etcd_left, place);
    cl_buf_clear(&d->body);
    if (cl_etcd_ask_delete(&d->body, (cl_etcd_condition){CL_ETCD_LEASED, left->lease},
                           cl_str_of(left->key, left->n)) == 0)
        d->deleting_left = cl_etcd_post(d, "/v3/kv/txn", on_left_deleted, left) != NULL;
}

void cl_etcd_left_free(etcd *d)
{
    CL_LIST_EACH(it, &d->left) cl_free(CL_OWNER(it, etcd_left, place));
}
