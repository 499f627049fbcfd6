/* What is told of links to whoever looks after a process: one JSON object for each, and for each way that rests. */
#include "transport/link/internal.h"

#include "proto/json.h"

static int put_name(cl_buf *out, const char *name, cl_str text)
{
    int code = cl_buf_printf(out, ",\"%s\":", name);
    return code ? code : cl_json_quote(text, out);
}

/* {"peer":"...","here":"..." and no end. */
static int begin(cl_buf *out, cl_str peer, cl_str here)
{
    const char *lead = out->len && out->data[out->len - 1] == '}' ? "," : "";
    int code = cl_buf_printf(out, "%s{\"peer\":", lead);
    if (code == 0) code = cl_json_quote(peer, out);
    return code ? code : put_name(out, "here", here);
}

static int put_nodes(cl_buf *out, const cl_far *way)
{
    const char *lead = "";
    int code = cl_buf_put_str(out, CL_STR(",\"nodes\":["));
    for (const cl_list_node *it = way->nodes.next; code == 0 && it != &way->nodes; it = it->next) {
        const cl_far_node *node = CL_OWNER(it, cl_far_node, place);
        if (node->is_old) continue;
        code = cl_buf_put_str(out, cl_str_z(lead));
        if (code == 0) code = cl_json_quote(node->id, out);
        lead = ",";
    }
    return code ? code : cl_buf_put_char(out, ']');
}

static const char *state_of(const cl_peer_link *link)
{
    static const char *const names[] = {[CL_LINK_DIALING] = "dialling",
                                        [CL_LINK_HELLO] = "dialling",
                                        [CL_LINK_OPEN] = "open",
                                        [CL_LINK_ENDING] = "ending"};
    return link->state == CL_LINK_OPEN && link->half_closed ? "ending" : names[link->state];
}

static int put_address(cl_buf *out, const cl_peer_link *link)
{
    char text[sizeof(cl_address)] = "unix:";
    if (link->address) return put_name(out, "address", cl_str_z(link->address));
    if (link->is_tcp && cl_conn_peer_address(link->conn, text, sizeof text) != 0) *text = '\0';
    return put_name(out, "address", cl_str_z(text));
}

static int put_seconds(cl_buf *out, const char *name, int64_t ms)
{
    int code = cl_buf_printf(out, ",\"%s\":", name);
    return code ? code : cl_buf_put_real(out, (double)ms / 1000, 15);
}

/* The end of ours: the context, or the node that it belongs to. */
static cl_str here(const cl_peer_link *link)
{
    if (link->is_context) return cl_str_z(link->t->context);
    const cl_endpoint *node = link->accepted ? link->endpoint : link->named;
    return node ? node->id : CL_STR_NONE;
}

static int put_link(cl_buf *out, const cl_peer_link *link, uint64_t asked_by, int64_t now)
{
    const char *security = !link->is_tcp ? "user" : link->t->tls ? "tls" : "none";
    int code = begin(out, link->peer ? link->peer_id : CL_STR_NONE, here(link));
    if (code == 0 && link->way) code = put_nodes(out, link->way);
    if (code == 0)
        code = cl_buf_printf(out, ",\"ours\":%s,\"state\":\"%s\"", link->accepted ? "false" : "true", state_of(link));
    if (code == 0) code = put_address(out, link);
    if (code == 0) code = cl_buf_printf(out, ",\"security\":\"%s\"", security);
    if (code == 0 && !link->accepted) code = cl_buf_printf(out, ",\"in_flight\":%lld", (long long)link->calls);
    size_t unwritten = link->queue.len + (link->conn && link->state != CL_LINK_ENDING ? cl_link_unwritten(link) : 0);
    if (code == 0) code = cl_buf_printf(out, ",\"unwritten\":%zu", unwritten);
    if (code == 0) code = put_seconds(out, "age", now - link->since);
    if (code == 0 && link->way && link->way->error) code = put_name(out, "error", cl_str_z(link->way->error));
    if (code == 0 && asked_by && link->id == asked_by) code = cl_buf_put_str(out, CL_STR(",\"asked\":true"));
    return code ? code : cl_buf_put_char(out, '}');
}

static int put_resting(cl_buf *out, const cl_far *way, int64_t now)
{
    int code = begin(out, way->context, cl_str_z(way->t->context));
    if (code == 0) code = put_nodes(out, way);
    if (code == 0) code = cl_buf_put_str(out, CL_STR(",\"ours\":true,\"state\":\"resting\""));
    if (code == 0) code = put_seconds(out, "for", way->rest_until - now);
    if (code == 0 && way->error) code = put_name(out, "error", cl_str_z(way->error));
    return code ? code : cl_buf_put_char(out, '}');
}

int cl_links_put(cl_transport *base, uint64_t asked_by, cl_buf *out)
{
    const cl_link_transport *t = cl_links_of(base);
    int64_t now = cl_loop_now();
    int code = 0;
    for (const cl_list_node *it = t->links.next; code == 0 && it != &t->links; it = it->next)
        code = put_link(out, CL_OWNER(it, const cl_peer_link, place), asked_by, now);
    for (const cl_list_node *it = t->ways.next; code == 0 && it != &t->ways; it = it->next) {
        const cl_far *way = CL_OWNER(it, const cl_far, place);
        if (!way->link && way->rest_until > now) code = put_resting(out, way, now);
    }
    return code;
}
