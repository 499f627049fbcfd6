/* Design notes
 *
 * A link is a conn and the node at its other end, or the context (ways.c). Who opens it says hello first: who it is and
 * whom it wants; the other answers with its own hello. Nothing else is read or sent before, and a hello that names
 * somebody else ends the link: a reused address gets no foreign request. The process at the other end must be trusted
 * (endpoint_unix.c, endpoint_tcp.c).
 *
 * Links that we opened are found by the id of their peer and shared by all nodes of the bus. Accepted ones belong to
 * the node that listened, or to the whole context, and serve for the answers to what came over them.
 *
 * A link ends in on_closed and nowhere else. If it was ours and its end was not our wish, the order of the news is: its
 * node's methods are served elsewhere, what had not left is not sent, and then the node is down. */
#include "transport/link/internal.h"

#include <limits.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rare.h"

#define VERSION "3" /* the highest that we speak */
#define FRAGMENTS "fragments"
#define NAMES "names"
#define ABILITIES FRAGMENTS "," NAMES
enum {
    LOWEST = 2,         /* that we speak */
    LOWEST_CONTEXTS = 3 /* the same, between contexts */
};

void cl_link_release(cl_peer_link *link)
{
    cl_link_transport *t = link->t;
    if (t->last == link) t->last = NULL;
    if (!link->accepted && !link->is_context && cl_strmap_get(&t->link_by_peer, link->peer_id) == link)
        cl_strmap_take(&t->link_by_peer, link->peer_id);
    cl_idmap_take(&t->link_by_id, link->id);
    cl_list_remove(&link->place);
    t->link_count--;
    if (link->endpoint) link->endpoint->links--;
    cl_buf_free(&link->tail);
    cl_fragments_free(&link->incoming);
    cl_link_count_tail(link);
    t->out_bytes -= link->out_counted;
    cl_buf_free(&link->queue);
    cl_idmap_free(&link->places);
    cl_buf_free(&link->unsent);
    while (!cl_list_empty(&link->carried)) cl_list_remove(link->carried.next);
    cl_free(link->left);
    cl_free(link->own_text);
    cl_free(link->peer_text);
    cl_free(link->address);
    cl_free(link->peer);
    cl_free(link);
}

/* Of the links to contexts that we opened and that nothing is awaited over, the one that was not used for longest ends.
 */
CL_RARE static void end_idlest(cl_link_transport *t)
{
    cl_peer_link *idlest = NULL;
    CL_LIST_EACH(it, &t->links)
    {
        cl_peer_link *link = CL_OWNER(it, cl_peer_link, place);
        int is_idle = link->way && link->state == CL_LINK_OPEN && !link->calls && !cl_link_unwritten(link);
        if (is_idle && (!idlest || link->heard < idlest->heard)) idlest = link;
    }
    if (idlest) cl_link_finish(idlest);
}

int cl_link_make(cl_link_transport *t, cl_peer_link **out)
{
    if (t->link_count >= t->limits.links) end_idlest(t); /* for the next; this one is too many still */
    if (t->link_count >= t->limits.links)
        return cl_error_limit(CLOUDS_ELIMIT, t->link_count, t->limits.links, "there are %zu links already (max_links)",
                              t->link_count);
    cl_peer_link *link = cl_calloc(1, sizeof *link);
    if (!link || cl_idmap_put(&t->link_by_id, t->next_link + 1, link) != 0) {
        cl_free(link);
        return cl_error(CLOUDS_ENOMEM, NULL);
    }
    link->t = t;
    link->id = ++t->next_link;
    link->peer_id = CL_STR_NONE;
    link->own_node = link->peer_node = CL_STR_NONE;
    link->give_back = INT64_MAX;
    link->since = cl_loop_now();
    cl_list_init(&link->large);
    cl_list_init(&link->carried);
    cl_list_append(&t->links, &link->place);
    t->link_count++;
    *out = link;
    return 0;
}

static int send_control(cl_peer_link *link, const cl_envelope *e)
{
    int code = cl_frame_encode(e, cl_conn_out(link->conn));
    if (code == 0) cl_conn_commit(link->conn);
    return code;
}

int cl_link_send_control(cl_peer_link *link, int type, cl_str from)
{
    const cl_envelope e = cl_envelope_of(type, from, link->peer_id, CL_STR_NONE);
    return send_control(link, &e);
}

static int name_peer(cl_peer_link *link, cl_str id)
{
    link->peer = cl_str_dup(id);
    link->peer_id = cl_str_of(link->peer, id.n);
    return link->peer ? 0 : CLOUDS_ENOMEM;
}

/* Any living node of ours may stand for a link to a node: it only names where it comes from. */
static cl_endpoint *any_endpoint(cl_link_transport *t)
{
    return cl_list_empty(&t->endpoints) ? NULL : CL_OWNER(t->endpoints.next, cl_endpoint, place);
}

static void await_hello(cl_peer_link *link)
{
    link->state = CL_LINK_HELLO;
    link->hello_by = cl_loop_now() + cl_ms(link->t->limits.hello_timeout);
    cl_links_due_by(link->t, link->hello_by);
}

/* Most contexts have one node. Without memory none is named. */
static cl_endpoint *name_own_node(cl_peer_link *link, cl_endpoint *first)
{
    cl_free(link->own_text); /* of an address before this */
    link->own_node = CL_STR_NONE;
    link->own_text = first ? cl_str_dup(first->id) : NULL;
    if (!link->own_text) return NULL;
    link->own_node = cl_str_of(link->own_text, first->id.n);
    return first;
}

static int say_hello(cl_peer_link *link, cl_endpoint *as)
{
    cl_str from = link->is_context ? cl_str_of(link->t->context, CL_CONTEXT_ID) : as->id;
    cl_extension x = CL_EXTENSION_NONE;
    cl_envelope e = cl_envelope_of(CL_FRAME_HELLO, from, link->peer_id, CL_STR_NONE);
    link->named = link->is_context ? name_own_node(link, as) : as;
    x.abilities = CL_STR(ABILITIES);
    x.longest = link->t->limits.message;
    x.node = link->own_node;
    e.method = CL_STR(VERSION);
    e.extension = &x;
    return send_control(link, &e);
}

void cl_link_cut(cl_peer_link *link, const char *why)
{
    link->cut = 1;
    link->why = why;
    link->state = CL_LINK_ENDING;
    cl_conn_close(link->conn, 0);
}

void cl_link_finish(cl_peer_link *link)
{
    int written = link->state == CL_LINK_OPEN;
    cl_large_put_all(link);
    link->state = CL_LINK_ENDING;
    cl_conn_close(link->conn, written);
}

/* ---- the conn's hooks */

static int is_trusted(const cl_peer_link *link)
{
    return link->is_tcp || cl_endpoint_unix_is_trusted(link->conn);
}

static const char another_user[] = "it is a process of another user", out_of_memory[] = "out of memory";

static int prepare_tcp(cl_peer_link *link)
{
    cl_conn_expect_peer(link->conn, link->t->direct.ping + link->t->direct.timeout);
    return cl_endpoint_tcp_secure(link);
}

static void on_opened(void *self)
{
    cl_peer_link *link = self;
    cl_endpoint *as = any_endpoint(link->t);
    if (!is_trusted(link) || (!as && !link->is_context)) {
        cl_link_cut(link, is_trusted(link) ? "no node of ours is open" : another_user);
        return;
    }
    await_hello(link);
    if ((link->is_tcp && prepare_tcp(link) != 0) || say_hello(link, as) != 0) cl_link_cut(link, out_of_memory);
}

static void on_drained(void *self)
{
    cl_peer_link *link = self;
    if (link->held_up) {
        link->held_up = 0;
        cl_conn_set_reading(link->conn, 1);
    }
    if (cl_list_empty(&link->large)) cl_link_count_out(link);
    else cl_large_go_on(link);
    if (link->t->ending) cl_loop_defer(link->t->loop);
}

void cl_link_suspend(cl_peer_link *link, int on)
{
    cl_link_transport *t = link->t;
    if (link->way) cl_way_suspend(link, on);
    else if (!link->is_context) t->sink.suspended(t->sink.self, link->peer_id, on);
}

static void log_end(const cl_peer_link *link, const char *words)
{
    const cl_log_facts facts = {.node = link->is_context ? CL_STR_NONE : link->peer_id};
    cl_log_about(CLOUDS_LOG_DEBUG, &facts, "link to %s%s: %s", link->is_context ? "the context " : "", link->peer,
                 words);
}

/* What was never sent is said first: else it would be lost with what was. */
void cl_link_report_lost(cl_link_transport *t, cl_str id, int was_open)
{
    cl_deferred_run(&t->deferred);
    t->sink.peer_lost(t->sink.self, id, was_open);
}

static void on_closed(void *self, int code, const char *words)
{
    cl_peer_link *link = self;
    cl_link_transport *t = link->t;
    int lost = !link->accepted && (code != 0 || link->cut);
    if (link->cut && link->why) words = link->why;
    link->state = CL_LINK_ENDING;
    if (lost) log_end(link, words);
    if (code == CLOUDS_EAUTH) cl_endpoint_tcp_untrusted(t, words);
    if (lost && cl_way_goes_on(link)) return;
    if (lost) cl_link_suspend(link, 1);
    cl_link_fail_waiting(link, code == CLOUDS_EUNREACHABLE);
    cl_link_lose_carried(link);
    if (link->way) cl_way_ended(link, lost ? words : NULL);
    char *memory = link->is_context ? NULL : link->peer;
    cl_str id = {memory ? memory : "", memory ? link->peer_id.n : 0};
    int was_open = link->was_open, is_node = !link->is_context;
    if (is_node) link->peer = NULL, link->peer_id = id;
    cl_link_release(link);
    if (lost && is_node) cl_link_report_lost(t, id, was_open);
    cl_free(memory);
    if (t->ending) cl_loop_defer(t->loop);
}

cl_conn_hooks cl_link_hooks(cl_peer_link *link)
{
    return (cl_conn_hooks){
        .self = link, .opened = on_opened, .data = cl_link_read, .drained = on_drained, .closed = on_closed};
}

/* ---- the beginning */

int cl_link_open(cl_link_transport *t, cl_str to, cl_peer_link **out)
{
    cl_address address;
    cl_peer_link *link = NULL;
    int code = t->sink.locate(t->sink.self, to, &address);
    if (code == CL_PENDING) code = cl_error(CLOUDS_EUNREACHABLE, "it is not known where %.*s is", (int)to.n, to.p);
    if (code == 0) code = cl_link_make(t, &link);
    if (code != 0) return code;
    cl_conn_hooks hooks = cl_link_hooks(link);
    code = name_peer(link, to);
    if (code == 0) code = cl_strmap_put(&t->link_by_peer, link->peer_id, link);
    link->address = cl_str_dup(cl_str_z(address.text));
    if (code == 0) code = cl_endpoint_unix_dial(t, &address, &hooks, &link->conn);
    if (code != 0) {
        cl_link_release(link);
        return code == CLOUDS_ENOMEM ? cl_error(code, NULL) : code;
    }
    *out = link;
    return 0;
}

static void ignore_data(void *self, const char *p, size_t n)
{
}

static void ignore_end(void *self, int code, const char *words)
{
}

/* NULL: there are too many. */
static cl_peer_link *take(cl_link_transport *t, cl_conn *conn)
{
    static const cl_conn_hooks nobody = {.data = ignore_data, .closed = ignore_end};
    cl_peer_link *link = NULL;
    if (cl_link_make(t, &link) != 0) {
        cl_conn_set_hooks(conn, &nobody);
        cl_conn_close(conn, 0);
        return NULL;
    }
    cl_conn_hooks hooks = cl_link_hooks(link);
    link->accepted = 1;
    link->conn = conn;
    cl_conn_set_hooks(conn, &hooks);
    await_hello(link);
    return link;
}

void cl_link_accepted(void *self, cl_conn *conn)
{
    cl_endpoint *endpoint = self;
    cl_peer_link *link = take(endpoint->t, conn);
    if (!link) return;
    link->endpoint = endpoint;
    endpoint->links++;
    if (!is_trusted(link)) cl_link_cut(link, another_user);
}

void cl_link_accepted_by_context(void *self, cl_conn *conn)
{
    cl_link_transport *t = self;
    cl_peer_link *link = take(t, conn);
    if (!link) return;
    link->is_context = 1;
    link->is_tcp = cl_conn_is_tcp(conn);
    if (link->is_tcp && prepare_tcp(link) != 0) cl_link_cut(link, out_of_memory);
    else if (!is_trusted(link)) cl_link_cut(link, another_user);
}

static int accept_hello(cl_peer_link *link, const cl_envelope *hello)
{
    if (link->is_context) {
        int is_wanted = cl_str_eq(hello->to, cl_str_of(link->t->context, CL_CONTEXT_ID));
        if (!is_wanted || hello->from.n != CL_CONTEXT_ID || link->t->closing) return CLOUDS_EPROTO;
        int named = name_peer(link, hello->from);
        return named == 0 ? say_hello(link, any_endpoint(link->t)) : named;
    }
    if (!link->endpoint || !cl_str_eq(hello->to, link->endpoint->id) || hello->from.n == 0) return CLOUDS_EPROTO;
    int code = name_peer(link, hello->from);
    return code == 0 ? say_hello(link, link->endpoint) : code;
}

/* Who says hello speaks every version up to the one it names. */
static int is_spoken(const cl_peer_link *link, cl_str version)
{
    int number;
    return cl_str_number(version, link->is_context ? LOWEST_CONTEXTS : LOWEST, INT_MAX, &number);
}

static int has_word(cl_str words, cl_str word)
{
    while (words.n) {
        const char *comma = memchr(words.p, ',', words.n);
        size_t n = comma ? (size_t)(comma - words.p) : words.n;
        if (cl_str_eq(cl_str_of(words.p, n), word)) return 1;
        n += comma != NULL;
        words = (cl_str){words.p + n, words.n - n};
    }
    return 0;
}

static int check_hello(cl_peer_link *link, cl_envelope *hello)
{
    cl_extension room = CL_EXTENSION_NONE;
    int code = cl_frame_is_extended(hello) ? cl_frame_extend(hello, &room) : 0;
    if (code == 0) code = cl_frame_check(hello, link->t->limits.json);
    hello->extension = NULL; /* it ends with this function */
    if (code != 0 || !is_spoken(link, hello->method)) return code ? code : CLOUDS_EPROTO;
    link->takes_fragments = has_word(room.abilities, CL_STR(FRAGMENTS));
    link->takes = room.longest;
    link->peer_node = CL_STR_NONE; /* of another address that was tried before */
    if (!link->is_context || !room.node.n || !has_word(room.abilities, CL_STR(NAMES))) return 0;
    cl_free(link->peer_text);
    link->peer_text = cl_str_dup(room.node);
    link->peer_node = cl_str_of(link->peer_text, room.node.n);
    return link->peer_text ? 0 : CLOUDS_ENOMEM;
}

void cl_link_hello_came(cl_peer_link *link, cl_envelope *hello)
{
    cl_link_transport *t = link->t;
    int code = check_hello(link, hello);
    if (code == 0 && link->accepted) code = accept_hello(link, hello);
    else if (code == 0 && !cl_str_eq(hello->from, link->peer_id)) code = CLOUDS_EPROTO;
    if (code != 0) {
        if (code == CLOUDS_EPROTO) t->sink.dropped(t->sink.receiver, code);
        cl_link_cut(link, code == CLOUDS_EPROTO ? "another one answers there, or of another version"
                                                : clouds_strerror(code));
        return;
    }
    link->state = CL_LINK_OPEN;
    link->was_open = 1;
    link->since = cl_loop_now();
    if (link->way) cl_way_opened(link);
    if (link->suspended) cl_link_suspend(link, 0);
    link->suspended = 0;
    if (link->endpoint && link->endpoint->draining) cl_link_send_control(link, CL_FRAME_DRAINING, link->endpoint->id);
    cl_link_send_waiting(link);
    if (link->way && t->is_beside && t->sink.linked) t->sink.linked(t->sink.self);
}
