/* Design notes
 *
 * Who lives in another context is reached by one link, which the first call to any of them opens. A node is found by
 * its id, and where it is comes from the directory, as one text (proto/address.h): the name of its context, and the
 * addresses where that listens. They are tried one after the other: the unix socket first, since it fails at once where
 * it leads nowhere. The hello names the context, so that a place that was taken over by somebody else gets no foreign
 * request.
 *
 * A way rests when its link could not be opened, or broke, for longer each time, up to REST_LONGEST_MS. Beside another
 * transport (Redis) nobody waits for a way: calls use the ones that are open. */
#include "transport/link/internal.h"

#include <stdio.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"

enum { REST_MS = 1000, REST_LONGEST_MS = 30000, MOST = 10000 };

static const char scheme[] = "link:", secured[] = ";psk:";

/* ---- what a directory says */

typedef struct place {
    cl_address text;
    cl_str context;
    char key[CL_KEY_NAME + 1]; /* its name; only CL_NO_KEY: there is none */
    const char *addresses;     /* with a space between them */
} place;

/* 0, CL_PENDING, or an error: it is not known, or nothing that links can reach. */
static int look_up(cl_link_transport *t, cl_str id, place *out)
{
    int code = t->sink.locate(t->sink.self, id, &out->text);
    if (code != 0) return code;
    const char *p = out->text.text;
    if (strncmp(p, scheme, sizeof scheme - 1) != 0) return CLOUDS_EUNREACHABLE;
    p += sizeof scheme - 1;
    size_t n = strcspn(p, " ;");
    if (n != CL_CONTEXT_ID) return CLOUDS_EUNREACHABLE;
    out->context = cl_str_of(p, n);
    memset(out->key, CL_NO_KEY, CL_KEY_NAME);
    out->key[CL_KEY_NAME] = '\0';
    p += n;
    if (strncmp(p, secured, sizeof secured - 1) == 0)
        snprintf(out->key, sizeof out->key, "%-*.*s", CL_KEY_NAME, CL_KEY_NAME, p + sizeof secured - 1);
    p += strcspn(p, " ");
    out->addresses = p + strspn(p, " ");
    return 0;
}

void cl_ways_address(const cl_link_transport *t, cl_address *out)
{
    const cl_key_ring *keys = t->direct.keys;
    snprintf(out->text, sizeof out->text, "%s%s%s%s", scheme, t->context, keys ? secured : "",
             keys ? keys->keys[0].name : "");
}

/* ---- the records */

static void way_free(cl_far *way)
{
    cl_strmap_take(&way->t->way_by_context, way->context);
    cl_list_remove(&way->place);
    cl_free(way->error);
    cl_free(way);
}

static void drop_if_idle(cl_far *way)
{
    if (!way->link && cl_list_empty(&way->nodes)) way_free(way);
}

static cl_far *way_of(cl_link_transport *t, cl_str context)
{
    cl_far *way = cl_strmap_get(&t->way_by_context, context);
    if (way) return way;
    way = cl_calloc(1, sizeof *way);
    if (!way) return NULL;
    way->t = t;
    memcpy(way->text, context.p, CL_CONTEXT_ID);
    way->context = cl_str_of(way->text, CL_CONTEXT_ID);
    cl_list_init(&way->nodes);
    if (cl_strmap_put(&t->way_by_context, way->context, way) != 0) {
        cl_free(way);
        return NULL;
    }
    cl_list_append(&t->ways, &way->place);
    return way;
}

static void node_free(cl_link_transport *t, cl_far_node *node)
{
    if (t->last_node == node) t->last_node = NULL;
    cl_strmap_take(&t->way_nodes, node->id);
    cl_list_remove(&node->place);
    cl_free(node);
}

static cl_far_node *node_make(cl_link_transport *t, cl_str id, cl_far *way)
{
    cl_far_node *node = cl_malloc(sizeof *node + id.n + 1);
    if (!node) return NULL;
    memcpy(node->text, id.p, id.n);
    node->text[id.n] = '\0';
    node->id = cl_str_of(node->text, id.n);
    node->way = way;
    node->is_old = 0;
    cl_list_init(&node->place);
    if (cl_strmap_put(&t->way_nodes, node->id, node) != 0) {
        cl_free(node);
        return NULL;
    }
    if (way) cl_list_append(&way->nodes, &node->place);
    return node;
}

/* Ids that are never called again would stay for ever: those that no link leads to are learned anew. */
static void drop_unlinked(cl_link_transport *t)
{
    CL_LIST_EACH(it, &t->ways)
    {
        cl_far *way = CL_OWNER(it, cl_far, place);
        if (way->link) continue;
        while (!cl_list_empty(&way->nodes)) node_free(t, CL_OWNER(way->nodes.next, cl_far_node, place));
        way_free(way);
    }
}

/* NULL: no link leads there, as far as is known now. */
static cl_far_node *learn(cl_link_transport *t, cl_str id, int *code)
{
    place at;
    *code = look_up(t, id, &at);
    if (*code != 0) return NULL;
    if (t->way_nodes.len >= MOST) drop_unlinked(t);
    /* What stays in this context is carried by the other transport; where there is none, by a link to ourselves. */
    int is_own = t->is_beside && cl_str_eq(at.context, cl_str_of(t->context, CL_CONTEXT_ID));
    cl_far *way = is_own ? NULL : way_of(t, at.context);
    cl_far_node *node = way || is_own ? node_make(t, id, way) : NULL;
    if (node) return node;
    if (way) drop_if_idle(way);
    *code = CLOUDS_ENOMEM;
    return NULL;
}

/* The node, or one in its place, and where it is; or itself and why that is not known; or NULL, CLOUDS_ENOMEM. */
static cl_far_node *learn_again(cl_link_transport *t, cl_far_node *node, place *at, int *code)
{
    *code = look_up(t, node->id, at);
    if (*code != 0) return node;
    cl_far *way = node->way;
    if (cl_str_eq(at->context, way->context)) {
        node->is_old = 0;
        return node;
    }
    char text[256];
    cl_str copy = {text, node->id.n < sizeof text ? node->id.n : 0};
    memcpy(text, node->id.p, copy.n);
    node_free(t, node);
    drop_if_idle(way);
    *code = CLOUDS_ENOMEM;
    return copy.n ? learn(t, copy, code) : NULL;
}

static inline cl_far_node *find(cl_link_transport *t, cl_str id)
{
    cl_far_node *last = t->last_node;
    if (last && cl_str_is(last->id, id)) return last;
    cl_far_node *node = cl_strmap_get(&t->way_nodes, id);
    if (node) t->last_node = node;
    return node;
}

/* For who sends: NULL when no link leads there, as far as is known now. */
static inline cl_far_node *find_to_send(cl_link_transport *t, cl_str id, int *code)
{
    place at;
    cl_far_node *node = find(t, id);
    if (!node) return learn(t, id, code);
    if (!node->is_old) return node;
    node = learn_again(t, node, &at, code);
    return *code == 0 ? node : NULL;
}

/* It may be elsewhere, or nowhere as far as the directory knows, and still answer what was sent to it: what comes from
 * there counts as long as the link is open. */
void cl_way_forget(cl_transport *base, cl_str id)
{
    cl_link_transport *t = cl_links_of(base);
    cl_far_node *node = cl_strmap_get(&t->way_nodes, id);
    if (!node) return;
    cl_far *way = node->way;
    if (way && way->link) {
        node->is_old = 1;
        return;
    }
    node_free(t, node);
    if (way) drop_if_idle(way);
}

int cl_way_has(cl_link_transport *t, const cl_peer_link *link, cl_str id)
{
    const cl_far_node *node = find(t, id);
    return node && node->way == link->way;
}

void cl_ways_free(cl_link_transport *t)
{
    size_t at = 0;
    for (cl_far_node *node; (node = cl_strmap_next(&t->way_nodes, &at));) cl_free(node);
    CL_LIST_EACH(it, &t->ways)
    {
        cl_far *way = CL_OWNER(it, cl_far, place);
        cl_free(way->error);
        cl_free(way);
    }
    cl_strmap_free(&t->way_nodes);
    cl_strmap_free(&t->way_by_context);
}

/* ---- dialling */

static void rest(cl_far *way, int64_t now, const char *why)
{
    cl_free(way->error);
    way->error = cl_str_dup(cl_str_z(why));
    int64_t pause = REST_MS;
    for (unsigned i = 0; i < way->failures && pause < REST_LONGEST_MS; i++) pause *= 2;
    if (pause > REST_LONGEST_MS) pause = REST_LONGEST_MS;
    if (way->failures < 30) way->failures++;
    /* Up to a fifth less, so that many do not come back at once. */
    way->rest_until = now + pause - (int64_t)(cl_rand_next(&way->t->random) % (uint64_t)(pause / 5));
}

static int dial_at(cl_peer_link *link, cl_str address, int is_secured)
{
    cl_link_transport *t = link->t;
    cl_conn_hooks hooks = cl_link_hooks(link);
    link->is_tcp = cl_str_starts(address, CL_STR("tcp:"));
    cl_free(link->address);
    link->address = cl_str_dup(address);
    if (link->is_tcp) return cl_endpoint_tcp_dial(t, address, is_secured, &hooks, &link->conn);
    if (cl_str_starts(address, CL_STR("unix:"))) return cl_endpoint_unix_dial_context(t, address, &hooks, &link->conn);
    return cl_error(CLOUDS_EUNREACHABLE, "not understood: %.*s", (int)address.n, address.p);
}

/* Takes the next address that can be dialled at all. 0, or why none could. */
static int dial_next(cl_peer_link *link)
{
    int code = cl_error(CLOUDS_EUNREACHABLE, "it listens nowhere");
    while (link->left && link->left[CL_KEY_NAME]) {
        char *p = link->left + CL_KEY_NAME;
        size_t n = strcspn(p, " ");
        char address[sizeof(cl_address)];
        snprintf(address, sizeof address, "%.*s", (int)n, p);
        memmove(p, p + n + (p[n] == ' '), strlen(p + n + (p[n] == ' ')) + 1);
        code = dial_at(link, cl_str_z(address), link->left[0] != CL_NO_KEY);
        if (code == 0 || code == CLOUDS_ENOMEM) break;
    }
    if (code != 0) link->conn = NULL;
    return code;
}

/* Unix sockets before all others. */
static char *in_order(const place *at)
{
    size_t n = strlen(at->addresses);
    char *out = cl_malloc(CL_KEY_NAME + n + 2), *end = out + CL_KEY_NAME;
    if (!out) return NULL;
    memcpy(out, at->key, CL_KEY_NAME);
    for (int round = 0; round < 2; round++) {
        for (const char *p = at->addresses; *p; p += strspn(p, " ")) {
            size_t length = strcspn(p, " ");
            if ((strncmp(p, "unix:", 5) == 0) == (round == 0)) {
                if (end > out + CL_KEY_NAME) *end++ = ' ';
                memcpy(end, p, length);
                end += length;
            }
            p += length;
        }
    }
    *end = '\0';
    return out;
}

static int dial(cl_far *way, const place *at)
{
    cl_link_transport *t = way->t;
    cl_peer_link *link;
    int code = cl_link_make(t, &link);
    if (code != 0) return code;
    link->is_context = 1;
    link->left = in_order(at);
    link->peer = cl_str_dup(way->context);
    code = link->left && link->peer ? dial_next(link) : cl_error(CLOUDS_ENOMEM, NULL);
    if (code != 0) {
        cl_log(CLOUDS_LOG_DEBUG, "link to the context %s: %s", way->text, clouds_last_error());
        cl_link_release(link);
        return code;
    }
    link->peer_id = cl_str_of(link->peer, CL_CONTEXT_ID);
    link->way = way;
    way->link = link;
    return 0;
}

/* Where the node is may have changed since it was learned. */
static cl_far *begin(cl_link_transport *t, cl_far_node *node, int64_t now, int *code)
{
    place at;
    const cl_far *before = node->way;
    node = learn_again(t, node, &at, code);
    cl_far *way = node ? node->way : NULL;
    if (way != before && (!way || way->link || now < way->rest_until)) return way;
    const char *why = *code && *code != CL_PENDING ? clouds_strerror(*code) : NULL;
    if (*code == 0 && (*code = dial(way, &at)) != 0) why = clouds_last_error();
    if (why) rest(way, now, why);
    return way;
}

static inline int is_usable(const cl_peer_link *link)
{
    return link && link->state == CL_LINK_OPEN && !link->half_closed;
}

int cl_way_is_open(cl_transport *base, cl_str to)
{
    cl_link_transport *t = cl_links_of(base);
    int code;
    cl_far_node *node = find_to_send(t, to, &code);
    if (!node || !node->way) return 0;
    cl_far *way = node->way;
    if (is_usable(way->link)) return 1;
    if (way->link || t->closing) return 0;
    int64_t now = cl_loop_now();
    if (now >= way->rest_until) begin(t, node, now, &code);
    return 0;
}

int cl_way_rests(cl_link_transport *t, cl_str to)
{
    const cl_far_node *node = find(t, to);
    const cl_far *way = node ? node->way : NULL;
    return way && !way->link && way->failures && cl_loop_now() < way->rest_until;
}

int cl_way_find(cl_link_transport *t, cl_str to, cl_peer_link **out)
{
    int code = 0;
    cl_far_node *node = find_to_send(t, to, &code);
    cl_far *way = node ? node->way : NULL;
    if (way && !way->link && !t->is_beside) way = begin(t, node, cl_loop_now(), &code);
    if (code == CLOUDS_ENOMEM) return cl_error(code, NULL);
    if (code == CLOUDS_ENOSERVER) return code;
    if (!way || !way->link || way->link->state == CL_LINK_ENDING || (t->is_beside && !is_usable(way->link)))
        return cl_error(CLOUDS_EUNREACHABLE, "no link leads to %.*s", to.n < 150 ? (int)to.n : 150, to.p);
    *out = way->link;
    return 0;
}

cl_peer_link *cl_way_link(cl_link_transport *t, cl_str to)
{
    const cl_far_node *node = find(t, to);
    return node && node->way ? node->way->link : NULL;
}

/* ---- what becomes of a link */

int cl_way_goes_on(cl_peer_link *link)
{
    if (!link->way || link->was_open || link->t->closing || !link->left || !link->left[CL_KEY_NAME]) return 0;
    link->state = CL_LINK_DIALING;
    link->cut = 0;
    link->why = NULL;
    return dial_next(link) == 0;
}

void cl_way_opened(cl_peer_link *link)
{
    cl_link_transport *t = link->t;
    link->way->failures = 0;
    cl_free(link->left);
    link->left = NULL;
    link->heard = cl_loop_now();
    cl_links_due_by(t, link->heard + cl_ms(t->direct.idle));
    if (t->sink.count) t->sink.count(t->sink.self, CL_LINK_OPENED);
}

/* What is reported may make the list another one, so the ids are copied first. Without memory nobody is told; then the
 * directory finds out by itself. */
static void report_each(cl_far *way, void (*report)(cl_link_transport *t, cl_str id, int what), int what)
{
    cl_link_transport *t = way->t;
    cl_buf ids = {0};
    CL_LIST_EACH(it, &way->nodes)
    {
        const cl_far_node *node = CL_OWNER(it, cl_far_node, place);
        if (node->is_old) continue; /* it may live elsewhere by now */
        if (cl_buf_put(&ids, node->text, node->id.n + 1) != 0) break;
    }
    for (size_t at = 0; at < ids.len; at += strlen(ids.data + at) + 1) report(t, cl_str_z(ids.data + at), what);
    cl_buf_free(&ids);
}

static void report_suspended(cl_link_transport *t, cl_str id, int on)
{
    t->sink.suspended(t->sink.self, id, on);
}

void cl_way_suspend(cl_peer_link *link, int on)
{
    if (!link->t->is_beside) report_each(link->way, report_suspended, on);
}

void cl_way_ended(cl_peer_link *link, const char *why)
{
    cl_link_transport *t = link->t;
    cl_far *way = link->way;
    link->way = NULL;
    way->link = NULL;
    if (why) rest(way, cl_loop_now(), why);
    if (why && t->sink.count) t->sink.count(t->sink.self, link->was_open ? CL_LINK_LOST : CL_LINK_REFUSED);
    if (why && !t->is_beside) report_each(way, cl_link_report_lost, link->was_open);
    if (cl_strmap_get(&t->way_by_context, link->peer_id) == way) drop_if_idle(way);
}

int cl_way_has_other(cl_peer_link *link)
{
    cl_link_transport *t = link->t;
    CL_LIST_EACH(it, &link->way->nodes)
    if (!t->sink.has_other(t->sink.self, CL_OWNER(it, cl_far_node, place)->id)) return 0;
    return 1;
}
