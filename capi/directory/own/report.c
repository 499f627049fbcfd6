/* What a directory of the program's reports: checked, and handed on to the bus. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "directory/own/internal.h"
#include "proto/topic.h"

enum { ROWS_AT_ONCE = 32 };

static const char *words_of(int code, const char *words)
{
    return words ? words : code ? clouds_strerror(code) : "";
}

static int refuse(const char *what)
{
    return cl_error(CLOUDS_EINVAL, "the directory reports %s", what);
}

/* Checks the text that a report is about. */
static int check(const own_directory *o, const char *text, size_t n, const char *what)
{
    int code = cl_plugin_check(&o->plugin);
    if (code == 0 && !text && n) code = refuse(what);
    return code;
}

static int check_name(const own_directory *o, const char *text, size_t n, const char *what)
{
    return !text || !n ? refuse(what) : check(o, text, n, what);
}

static int on_state(void *self, int up, int code, const char *words)
{
    own_directory *o = self;
    if (o->is_creating) {
        o->base.up = up != 0;
        return 0;
    }
    int refused = cl_plugin_check(&o->plugin);
    if (refused) return refused;
    o->base.up = up != 0;
    if (!up && code >= 0) code = CLOUDS_EUNREACHABLE;
    o->sink.state(o->sink.self, up != 0, up ? 0 : code, words_of(up ? 0 : code, words));
    return 0;
}

static void place(const char *text, cl_address *out)
{
    snprintf(out->text, sizeof out->text, "%s", text ? text : "");
}

static int on_claimed(void *self, void *node, int code, const char *words, const char *at)
{
    own_directory *o = self;
    cl_address address;
    int refused = cl_plugin_check(&o->plugin);
    place(at, &address);
    if (refused == 0) o->sink.claimed(o->sink.self, node, code, words_of(code, words), &address);
    return refused;
}

static int on_announced(void *self, void *node, int code, const char *words)
{
    own_directory *o = self;
    int refused = cl_plugin_check(&o->plugin);
    if (refused == 0) o->sink.announced(o->sink.self, node, code, words_of(code, words));
    return refused;
}

static int on_relisten(void *self, void *node, const char *at)
{
    own_directory *o = self;
    cl_address address;
    int refused = cl_plugin_check(&o->plugin);
    place(at, &address);
    return refused ? refused : o->sink.relisten(o->sink.self, node, &address);
}

static int on_left(void *self, void *node)
{
    own_directory *o = self;
    int refused = cl_plugin_check(&o->plugin);
    if (refused == 0) o->sink.left(o->sink.self, node);
    return refused;
}

static int on_registered(void *self, uint64_t operation, int code, const char *words)
{
    own_directory *o = self;
    int refused = cl_plugin_check(&o->plugin);
    if (refused == 0) o->sink.registered(o->sink.self, operation, code, words_of(code, words));
    return refused;
}

/* Reads one of theirs, whose record may be shorter or longer. */
static int read_server(const own_directory *o, const clouds_server *theirs, cl_server *out)
{
    clouds_server s = {0};
    if (!theirs || theirs->size < offsetof(clouds_server, flags)) return refuse("a server without a size");
    memcpy(&s, theirs, theirs->size < sizeof s ? theirs->size : sizeof s);
    if (!s.id || !s.id_len) return refuse("a server without an id");
    if (s.weight > CL_WEIGHT_MOST) return refuse("a weight that is too large");
    const cl_str tags = cl_str_of(s.tags ? s.tags : "", s.tags ? s.tags_len : 0);
    if (cl_tags_check(tags)) return refuse("tags that are none");
    *out = (cl_server){.id = cl_str_of(s.id, s.id_len),
                       .native = o->native,
                       .paused = (s.flags & CLOUDS_SERVER_PAUSED) != 0,
                       .traits = {s.weight, tags}};
    return 0;
}

static const clouds_server *server_at(const clouds_server *servers, size_t i)
{
    return (const void *)((const char *)servers + i * servers->size);
}

static int on_servers(void *self, const char *method, size_t method_len, const clouds_server *servers, size_t n,
                      int code)
{
    own_directory *o = self;
    int refused = check_name(o, method, method_len, "servers without a method");
    if (refused == 0 && n && !servers) refused = refuse("servers that are NULL");
    if (refused != 0) return refused;
    if (code != 0) n = 0;
    cl_server *list = n ? cl_malloc(n * sizeof *list) : NULL;
    if (n && !list) code = CLOUDS_ENOMEM;
    for (size_t i = 0; list && i < n && refused == 0; i++) refused = read_server(o, server_at(servers, i), &list[i]);
    if (refused == 0)
        o->sink.servers(o->sink.self, cl_str_of(method, method_len), list, list ? n : 0, code);
    cl_free(list);
    return refused;
}

static int on_server_up(void *self, const char *method, size_t method_len, const clouds_server *theirs)
{
    own_directory *o = self;
    cl_server server;
    int refused = check_name(o, method, method_len, "a server without a method");
    if (refused == 0) refused = read_server(o, theirs, &server);
    if (refused == 0) o->sink.server_up(o->sink.self, cl_str_of(method, method_len), server);
    return refused;
}

static int on_server_down(void *self, const char *method, size_t method_len, const char *id, size_t id_len)
{
    own_directory *o = self;
    int refused = check_name(o, method, method_len, "a server without a method");
    if (refused == 0) refused = check_name(o, id, id_len, "a server without an id");
    if (refused == 0) o->sink.server_down(o->sink.self, cl_str_of(method, method_len), cl_str_of(id, id_len));
    return refused;
}

static int on_peer_draining(void *self, const char *id, size_t id_len)
{
    own_directory *o = self;
    int refused = check_name(o, id, id_len, "a node without an id");
    if (refused == 0) o->sink.peer_draining(o->sink.self, cl_str_of(id, id_len));
    return refused;
}

static int on_peer_gone(void *self, const char *id, size_t id_len)
{
    own_directory *o = self;
    int refused = check_name(o, id, id_len, "a node without an id");
    if (refused == 0) o->sink.peer_gone(o->sink.self, cl_str_of(id, id_len));
    return refused;
}

static int on_located(void *self, const char *id, size_t id_len, int code, const char *at)
{
    own_directory *o = self;
    cl_address address;
    int refused = check_name(o, id, id_len, "a node without an id");
    place(at, &address);
    if (refused == 0) o->sink.located(o->sink.self, cl_str_of(id, id_len), code, &address);
    return refused;
}

static int on_subscribed(void *self, void *node, const char *topic, size_t topic_len, const char *group,
                         size_t group_len, int code, const char *words)
{
    own_directory *o = self;
    int refused = check_name(o, topic, topic_len, "a subscription without a topic");
    if (refused == 0) refused = check(o, group, group_len, "a group that is NULL");
    if (refused == 0)
        o->sink.subscribed(o->sink.self, node, cl_str_of(topic, topic_len), cl_str_of(group ? group : "", group_len),
                           code, words_of(code, words));
    return refused;
}

static int on_subscription(void *self, const char *id, size_t id_len, const char *topic, size_t topic_len,
                           const char *group, size_t group_len, int on)
{
    own_directory *o = self;
    int refused = check_name(o, id, id_len, "a subscription without an id");
    if (refused == 0) refused = check(o, topic, topic_len, "a topic that is NULL");
    if (refused == 0) refused = check(o, group, group_len, "a group that is NULL");
    cl_str name = cl_str_of(topic ? topic : "", topic_len), of = cl_str_of(group ? group : "", group_len);
    if (refused == 0 && (on || name.n) && cl_topic_check_pattern(name)) refused = refuse("a topic that is none");
    if (refused == 0 && of.n && cl_topic_check_group(of)) refused = refuse("a group that is none");
    if (refused == 0) o->sink.subscription(o->sink.self, cl_str_of(id, id_len), name, of, on != 0);
    return refused;
}

static int on_subscriptions(void *self, int begins)
{
    own_directory *o = self;
    int refused = cl_plugin_check(&o->plugin);
    if (refused == 0) o->sink.subscriptions(o->sink.self, begins != 0);
    return refused;
}

static int read_row(const own_directory *o, const clouds_server_row *row, cl_str *method, cl_server *server)
{
    if (!row->method || !row->method_len) return refuse("a row without a method");
    *method = cl_str_of(row->method, row->method_len);
    return read_server(o, &row->server, server);
}

/* The server at the end of a row may be longer than ours: what is ours of it is at its beginning. */
static int hand_rows(own_directory *o, uint64_t operation, const clouds_server_row *rows, size_t n)
{
    cl_str methods[ROWS_AT_ONCE];
    cl_server servers[ROWS_AT_ONCE];
    int refused = rows->size < offsetof(clouds_server_row, server) ? refuse("rows without a size") : 0;
    size_t len = 0;
    for (size_t i = 0; i < n && refused == 0; i++) {
        const clouds_server_row *row = (const void *)((const char *)rows + i * rows->size);
        refused = read_row(o, row, &methods[len], &servers[len]);
        if (refused == 0) len++;
        if (len < ROWS_AT_ONCE && i + 1 < n) continue;
        if (len) o->sink.status(o->sink.self, operation, methods, servers, len, 0, 0);
        len = 0;
    }
    return refused;
}

static int on_status(void *self, uint64_t operation, const clouds_server_row *rows, size_t n, int end, int code)
{
    own_directory *o = self;
    int refused = cl_plugin_check(&o->plugin);
    if (refused == 0 && n && !rows) refused = refuse("rows that are NULL");
    if (refused == 0 && n) refused = hand_rows(o, operation, rows, n);
    if (refused == 0 && end) o->sink.status(o->sink.self, operation, NULL, NULL, 0, 1, code);
    return refused;
}

static int on_dropped(void *self, int code)
{
    own_directory *o = self;
    int refused = cl_plugin_check(&o->plugin);
    if (refused == 0) o->sink.dropped(o->sink.self, code);
    return refused;
}

static int on_closed(void *self)
{
    own_directory *o = self;
    int refused = cl_plugin_check(&o->plugin);
    if (refused == 0) o->sink.closed(o->sink.self);
    return refused;
}

const clouds_directory_sink cl_own_directory_sink = {.size = sizeof(clouds_directory_sink),
                                                  .state = on_state,
                                                  .claimed = on_claimed,
                                                  .announced = on_announced,
                                                  .relisten = on_relisten,
                                                  .left = on_left,
                                                  .registered = on_registered,
                                                  .servers = on_servers,
                                                  .server_up = on_server_up,
                                                  .server_down = on_server_down,
                                                  .peer_draining = on_peer_draining,
                                                  .peer_gone = on_peer_gone,
                                                  .located = on_located,
                                                  .subscribed = on_subscribed,
                                                  .subscription = on_subscription,
                                                  .subscriptions = on_subscriptions,
                                                  .status = on_status,
                                                  .dropped = on_dropped,
                                                  .closed = on_closed};
