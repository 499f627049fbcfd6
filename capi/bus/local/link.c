/* Design notes
 *
 * A link is a conn and the node at its other end. Who opens it says hello first: who it is and whom it wants; the other
 * answers with its own hello. Nothing else is read or sent before, and a hello that names somebody else ends the link:
 * a reused socket gets no foreign request. The process at the other end must be of our user.
 *
 * Links that we opened are found by the id of their peer and shared by all nodes of the bus. Accepted ones belong to
 * the node that listened, and serve for the answers to what came over them.
 *
 * A link ends in on_closed and nowhere else. If it was ours and its end was not our wish, the order of the news is: its
 * node's methods are served elsewhere, what had not left is not sent, and then the node is down. */
#include "bus/local/internal.h"

#include <limits.h>
#include <stdio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"

#define VERSION "2"  /* the highest that we speak */
enum { LOWEST = 2 }; /* that we speak */

static void release(cl_local_link *link)
{
    cl_local *bus = link->bus;
    if (bus->last == link) bus->last = NULL;
    if (!link->accepted && cl_strmap_get(&bus->link_by_peer, link->peer_id) == link)
        cl_strmap_take(&bus->link_by_peer, link->peer_id);
    cl_idmap_take(&bus->link_by_id, link->id);
    cl_list_remove(&link->place);
    bus->link_count--;
    if (link->node) link->node->links--;
    cl_buf_free(&link->tail);
    cl_link_count_tail(link);
    bus->out_bytes -= link->out_counted;
    cl_buf_free(&link->queue);
    cl_idmap_free(&link->places);
    cl_buf_free(&link->unsent);
    cl_free(link->peer);
    cl_free(link);
}

static int make(cl_local *bus, cl_local_link **out)
{
    if (bus->link_count >= bus->limits.links)
        return cl_error_limit(CLOUDS_ELIMIT, bus->link_count, bus->limits.links,
                              "there are %zu links already (max_links)", bus->link_count);
    cl_local_link *link = cl_calloc(1, sizeof *link);
    if (!link || cl_idmap_put(&bus->link_by_id, bus->next_link + 1, link) != 0) {
        cl_free(link);
        return cl_error(CLOUDS_ENOMEM, NULL);
    }
    link->bus = bus;
    link->id = ++bus->next_link;
    link->peer_id = CL_STR_NONE;
    link->give_back = INT64_MAX;
    cl_list_append(&bus->links, &link->place);
    bus->link_count++;
    *out = link;
    return 0;
}

int cl_link_send_control(cl_local_link *link, int type, cl_str from)
{
    const cl_envelope e = {.type = type,
                           .from = from,
                           .to = link->peer_id,
                           .method = type == CL_FRAME_HELLO ? CL_STR(VERSION) : CL_STR_NONE};
    int code = cl_frame_encode(&e, cl_conn_out(link->conn));
    if (code == 0) cl_conn_commit(link->conn);
    return code;
}

static int name_peer(cl_local_link *link, cl_str id)
{
    link->peer = cl_str_dup(id);
    link->peer_id = cl_str_of(link->peer, id.n);
    return link->peer ? 0 : CLOUDS_ENOMEM;
}

static void await_hello(cl_local_link *link)
{
    link->state = CL_LINK_HELLO;
    link->hello_by = cl_loop_now() + (int64_t)(link->bus->limits.hello_timeout * 1000);
    cl_local_tick_by(link->bus, link->hello_by);
}

static int say_hello(cl_local_link *link, cl_local_node *as)
{
    link->named = as;
    return cl_link_send_control(link, CL_FRAME_HELLO, as->id);
}

void cl_link_cut(cl_local_link *link)
{
    link->cut = 1;
    link->state = CL_LINK_ENDING;
    cl_conn_close(link->conn, 0);
}

void cl_link_finish(cl_local_link *link)
{
    int written = link->state == CL_LINK_OPEN;
    link->state = CL_LINK_ENDING;
    cl_conn_close(link->conn, written);
}

/* ---- the conn's hooks */

static int is_same_user(const cl_local_link *link)
{
    long uid = cl_conn_peer_uid(link->conn);
    return uid == 0 || uid == (long)geteuid();
}

static cl_local_node *open_node(const cl_local *bus)
{
    CL_LIST_EACH(it, &bus->nodes)
    {
        cl_local_node *node = CL_OWNER(it, cl_local_node, place);
        if (node->opened) return node;
    }
    return NULL;
}

static void on_opened(void *self)
{
    cl_local_link *link = self;
    cl_local *bus = link->bus;
    /* Any living node of ours may stand for the link: it only names where it comes from. */
    cl_local_node *as = open_node(bus);
    if (!is_same_user(link) || !as) {
        cl_link_cut(link);
        return;
    }
    await_hello(link);
    if (say_hello(link, as) != 0) cl_link_cut(link);
}

static void on_drained(void *self)
{
    cl_local_link *link = self;
    cl_link_count_out(link);
    if (link->bus->ending) cl_loop_defer(link->bus->loop);
}

static void on_closed(void *self, int code, const char *words)
{
    cl_local_link *link = self;
    cl_local *bus = link->bus;
    int lost = !link->accepted && (code != 0 || link->cut), was_open = link->was_open;
    link->state = CL_LINK_ENDING;
    cl_str id = {link->peer ? link->peer : "", link->peer_id.n};
    if (lost) {
        cl_log_about(CLOUDS_LOG_DEBUG, &(cl_log_facts){.node = id}, "local: link to %s: %s", id.p, words);
        cl_registry_tell(bus, id, 0);
    }
    cl_link_fail_waiting(link, code == CLOUDS_EUNREACHABLE);
    char *memory = link->peer;
    link->peer = NULL;
    link->peer_id = id;
    release(link);
    if (lost) bus->sink.peer_down(bus->sink.self, id);
    if (lost) cl_local_probe(bus, id, was_open);
    cl_free(memory);
    if (bus->ending) cl_loop_defer(bus->loop);
}

static cl_conn_hooks hooks_of(cl_local_link *link)
{
    return (cl_conn_hooks){
        .self = link, .opened = on_opened, .data = cl_link_read, .drained = on_drained, .closed = on_closed};
}

/* ---- the beginning */

int cl_link_open(cl_local *bus, cl_str to, cl_local_link **out)
{
    char key[CL_KEY + 1], file[CL_FILE_NAME], path[sizeof((struct sockaddr_un *)0)->sun_path];
    cl_local_link *link = NULL;
    cl_file_key(to, key);
    cl_file_of(key, ".sock", file);
    int code = cl_file_path(&bus->folder, file, path, sizeof path);
    if (code == 0) code = make(bus, &link);
    if (code != 0) return code;
    cl_conn_hooks hooks = hooks_of(link);
    code = name_peer(link, to);
    if (code == 0) code = cl_strmap_put(&bus->link_by_peer, link->peer_id, link);
    if (code == 0) code = cl_conn_unix(bus->loop, path, bus->limits.connect_timeout, &hooks, &link->conn);
    if (code != 0) {
        release(link);
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

void cl_link_accepted(void *self, cl_conn *conn)
{
    static const cl_conn_hooks nobody = {.data = ignore_data, .closed = ignore_end};
    cl_local_node *node = self;
    cl_local_link *link = NULL;
    if (make(node->bus, &link) != 0) {
        cl_conn_set_hooks(conn, &nobody);
        cl_conn_close(conn, 0);
        return;
    }
    cl_conn_hooks hooks = hooks_of(link);
    link->accepted = 1;
    link->conn = conn;
    link->node = node;
    node->links++;
    cl_conn_set_hooks(conn, &hooks);
    await_hello(link);
    if (!is_same_user(link)) cl_link_cut(link);
}

static int accept_hello(cl_local_link *link, const cl_envelope *hello)
{
    if (!link->node || !cl_str_eq(hello->to, link->node->id) || hello->from.n == 0) return CLOUDS_EPROTO;
    int code = name_peer(link, hello->from);
    return code == 0 ? say_hello(link, link->node) : code;
}

/* Who says hello speaks every version up to the one it names. */
static int is_spoken(cl_str version)
{
    int number;
    return cl_str_number(version, LOWEST, INT_MAX, &number);
}

static int check_hello(const cl_local_link *link, const cl_envelope *hello)
{
    int code = cl_frame_check(hello, link->bus->limits.json);
    return code == 0 && !is_spoken(hello->method) ? CLOUDS_EPROTO : code;
}

void cl_link_hello_came(cl_local_link *link, const cl_envelope *hello)
{
    cl_local *bus = link->bus;
    int code = check_hello(link, hello);
    if (code == 0 && link->accepted) code = accept_hello(link, hello);
    else if (code == 0 && !cl_str_eq(hello->from, link->peer_id)) code = CLOUDS_EPROTO;
    if (code != 0) {
        if (code == CLOUDS_EPROTO) bus->sink.dropped(bus->sink.self, code);
        cl_link_cut(link);
        return;
    }
    link->state = CL_LINK_OPEN;
    link->was_open = 1;
    if (link->suspended) cl_registry_tell(bus, link->peer_id, 1);
    link->suspended = 0;
    if (link->accepted && link->node->draining) cl_link_send_control(link, CL_FRAME_DRAINING, link->node->id);
    cl_link_send_waiting(link);
}
