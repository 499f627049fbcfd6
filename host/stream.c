/* Reading and writing of sockets, and their end. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "stream.h"

#define STREAM_TYPE "clouds.stream"

enum { PIECE = 65536, LINGER = 30000 };

typedef struct write {
    uv_write_t uv;
    host_stream *stream;
    char text[];
} write_request;

static host_stream *streams;
static size_t accepted;

/* ---- boxes */

void host_stream_hold(lua_State *L, host_stream_box *box, int index)
{
    if (box->holds++ > 0) return;
    lua_pushvalue(L, index);
    box->self = luaL_ref(L, LUA_REGISTRYINDEX);
}

void host_stream_let_go(host_stream_box *box)
{
    if (--box->holds > 0) return;
    luaL_unref(host_get()->L, LUA_REGISTRYINDEX, box->self);
    box->self = LUA_NOREF;
}

/* The function `name` is called with the box and the values that `push` adds. */
void host_stream_tell(host_stream_box *box, const char *name, const char *text, size_t n)
{
    lua_State *L = host_get()->L;
    lua_rawgeti(L, LUA_REGISTRYINDEX, box->events);
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
    lua_rawgeti(L, LUA_REGISTRYINDEX, box->self);
    if (text) lua_pushlstring(L, text, n);
    else lua_pushnil(L);
    host_call(L, 2, 0, "error in a socket");
}

void host_stream_over(host_stream *s)
{
    if (--s->handles > 0) return;
    *s->from = s->next_one;
    if (s->next_one) s->next_one->from = s->from;
    if (s->found) uv_freeaddrinfo(s->found);
    accepted -= s->is_counted;
    free(s);
}

void host_stream_count(host_stream *s)
{
    s->is_counted = true;
    accepted++;
}

size_t host_stream_accepted(void)
{
    return accepted;
}

static void on_closed(uv_handle_t *handle)
{
    host_stream_over(handle->data);
}

void host_stream_end(host_stream *s)
{
    if (uv_is_closing(&s->uv.handle)) return;
    uv_close(&s->uv.handle, on_closed);
    if (s->is_timed) uv_close((uv_handle_t *)&s->timer, on_closed);
}

static void on_time(uv_timer_t *timer)
{
    host_stream_end(timer->data);
}

/* What was written has a while to go out. */
static void end_in_time(host_stream *s)
{
    s->is_timed = true;
    s->handles++;
    uv_timer_init(host_get()->loop, &s->timer);
    s->timer.data = s;
    uv_timer_start(&s->timer, on_time, LINGER, 0);
    uv_unref((uv_handle_t *)&s->timer);
}

static void take_away(host_stream_box *box)
{
    box->stream->closing = true;
    box->stream->box = NULL;
    box->stream = NULL;
    while (box->holds > 0) host_stream_let_go(box);
}

void host_stream_close(host_stream_box *box)
{
    host_stream *s = box->stream;
    if (!s) return;
    take_away(box);
    if (s->reads) uv_read_stop(&s->uv.stream);
    if (s->resolves) uv_cancel((uv_req_t *)&s->lookup); /* its callback ends it */
    else if (s->writes) end_in_time(s);
    else host_stream_end(s);
}

host_stream_box *host_stream_push(lua_State *L, bool is_unix, int events)
{
    host_stream_box *box = lua_newuserdata(L, sizeof *box);
    *box = (host_stream_box){.self = LUA_NOREF, .events = events};
    luaL_getmetatable(L, STREAM_TYPE);
    lua_setmetatable(L, -2);
    host_stream *s = calloc(1, sizeof *s);
    uv_loop_t *loop = host_get()->loop;
    int code = !s ? UV_ENOMEM : is_unix ? uv_pipe_init(loop, &s->uv.pipe, 0) : uv_tcp_init(loop, &s->uv.tcp);
    if (code != 0) {
        free(s);
        luaL_error(L, "%s", uv_strerror(code));
        return NULL;
    }
    s->is_unix = is_unix;
    s->handles = 1;
    s->next_one = streams;
    s->from = &streams;
    if (s->next_one) s->next_one->from = &s->next_one;
    streams = s;
    s->uv.handle.data = s;
    s->box = box;
    box->stream = s;
    return box;
}

static host_stream_box *check_box(lua_State *L)
{
    return luaL_checkudata(L, 1, STREAM_TYPE);
}

static int fail(lua_State *L, int code)
{
    lua_pushnil(L);
    lua_pushstring(L, uv_strerror(code));
    return 2;
}

static int box_collect(lua_State *L)
{
    host_stream_close(lua_touserdata(L, 1));
    return 0;
}

/* ---- reading */

static void on_room_for_input(uv_handle_t *handle, size_t unused, uv_buf_t *buf)
{
    static char piece[PIECE];
    (void)handle;
    (void)unused;
    *buf = uv_buf_init(piece, sizeof piece);
}

static void stop_reading(host_stream *s)
{
    s->reads = false;
    uv_read_stop(&s->uv.stream);
    if (s->box) host_stream_let_go(s->box);
}

static void on_input(uv_stream_t *handle, ssize_t n, const uv_buf_t *buf)
{
    host_stream *s = handle->data;
    if (n == 0 || !s->box) return;
    if (n > 0) host_stream_tell(s->box, "data", buf->base, (size_t)n);
    else if (n == UV_EOF) host_stream_tell(s->box, "data", NULL, 0);
    else host_stream_tell(s->box, "failed", uv_strerror((int)n), strlen(uv_strerror((int)n)));
    if (n < 0 && s->box && s->reads) stop_reading(s);
}

/* stream:read(yes): whether what comes is told. true; or nil and why not. */
static int stream_read(lua_State *L)
{
    host_stream_box *box = check_box(L);
    host_stream *s = box->stream;
    bool wanted = lua_toboolean(L, 2);
    if (!s) return fail(L, UV_ENOTCONN);
    if (wanted == s->reads) return lua_pushboolean(L, 1), 1;
    if (!wanted) {
        stop_reading(s);
        return lua_pushboolean(L, 1), 1;
    }
    int code = uv_read_start(&s->uv.stream, on_room_for_input, on_input);
    if (code != 0) return fail(L, code);
    s->reads = true;
    host_stream_hold(L, box, 1);
    return lua_pushboolean(L, 1), 1;
}

/* ---- writing */

static void on_written(uv_write_t *request, int code)
{
    write_request *w = (write_request *)request;
    host_stream *s = w->stream;
    free(w);
    s->writes--;
    if (s->closing) {
        if (s->writes == 0) host_stream_end(s);
        return;
    }
    if (code != 0) host_stream_tell(s->box, "failed", uv_strerror(code), strlen(uv_strerror(code)));
    else if (s->writes == 0) host_stream_tell(s->box, "room", NULL, 0);
    if (s->box) host_stream_let_go(s->box);
}

/* stream:write(text): the bytes that the kernel has not taken; or nil and why not. */
static int stream_write(lua_State *L)
{
    host_stream_box *box = check_box(L);
    host_stream *s = box->stream;
    size_t n, done = 0;
    const char *text = luaL_checklstring(L, 2, &n);
    if (!s) return fail(L, UV_ENOTCONN);
    if (s->writes == 0) {
        uv_buf_t buf = uv_buf_init((char *)text, (unsigned)n);
        int code = n ? uv_try_write(&s->uv.stream, &buf, 1) : 0;
        if (code < 0 && code != UV_EAGAIN) return fail(L, code);
        done = code > 0 ? (size_t)code : 0;
    }
    if (done < n) {
        write_request *w = malloc(sizeof *w + n - done);
        if (!w) return fail(L, UV_ENOMEM);
        memcpy(w->text, text + done, n - done);
        uv_buf_t buf = uv_buf_init(w->text, (unsigned)(n - done));
        w->stream = s;
        int code = uv_write(&w->uv, &s->uv.stream, &buf, 1, on_written);
        if (code != 0) return free(w), fail(L, code);
        s->writes++;
        host_stream_hold(L, box, 1);
    }
    lua_pushnumber(L, (lua_Number)uv_stream_get_write_queue_size(&s->uv.stream));
    return 1;
}

static void on_shut(uv_shutdown_t *request, int code)
{
    (void)code;
    free(request);
}

/* stream:shutdown(): nothing more is written. true; or nil and why not. */
static int stream_shutdown(lua_State *L)
{
    host_stream *s = check_box(L)->stream;
    if (!s) return fail(L, UV_ENOTCONN);
    uv_shutdown_t *request = malloc(sizeof *request);
    int code = request ? uv_shutdown(request, &s->uv.stream, on_shut) : UV_ENOMEM;
    if (code != 0) return free(request), fail(L, code);
    return lua_pushboolean(L, 1), 1;
}

/* stream:close(): what was written goes out first. */
static int stream_close(lua_State *L)
{
    host_stream_close(check_box(L));
    return 0;
}

/* stream:peer(): the address and the port of the other end; "unix" for a socket. */
static int stream_peer(lua_State *L)
{
    const host_stream *s = check_box(L)->stream;
    struct sockaddr_storage address = {0};
    int n = sizeof address;
    char text[64] = "";
    if (!s) return 0;
    if (s->is_unix) return lua_pushliteral(L, "unix"), 1;
    int code = uv_tcp_getpeername(&s->uv.tcp, (struct sockaddr *)&address, &n);
    if (code != 0) return fail(L, code);
    bool is_six = address.ss_family == AF_INET6;
    if (is_six) uv_ip6_name((struct sockaddr_in6 *)&address, text, sizeof text);
    else uv_ip4_name((struct sockaddr_in *)&address, text, sizeof text);
    lua_pushstring(L, strncmp(text, "::ffff:", 7) == 0 && strchr(text, '.') ? text + 7 : text);
    lua_pushinteger(
        L, ntohs(is_six ? ((struct sockaddr_in6 *)&address)->sin6_port : ((struct sockaddr_in *)&address)->sin_port));
    return 2;
}

/* stream:fd(): its descriptor, which stays the stream's. */
static int stream_fd(lua_State *L)
{
    const host_stream *s = check_box(L)->stream;
    uv_os_fd_t fd;
    if (!s || uv_fileno(&s->uv.handle, &fd) != 0) return 0;
    lua_pushinteger(L, fd);
    return 1;
}

/* stream:copy(): a descriptor of the same connection, which is the caller's; or nil and why not. */
static int stream_copy(lua_State *L)
{
    const host_stream *s = check_box(L)->stream;
    uv_os_fd_t fd;
    if (!s || uv_fileno(&s->uv.handle, &fd) != 0) return fail(L, UV_ENOTCONN);
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0) return fail(L, uv_translate_sys_error(errno));
    lua_pushinteger(L, copy);
    return 1;
}

void host_stream_close_all(void)
{
    for (host_stream *s = streams; s; s = s->next_one) {
        if (s->box) take_away(s->box);
        host_stream_end(s);
    }
}

void host_stream_add_methods(lua_State *L)
{
    static const luaL_Reg methods[] = {{"read", stream_read},   {"write", stream_write}, {"shutdown", stream_shutdown},
                                       {"close", stream_close}, {"peer", stream_peer},   {"fd", stream_fd},
                                       {"copy", stream_copy},   {"__gc", box_collect},   {NULL, NULL}};
    luaL_newmetatable(L, STREAM_TYPE);
    luaL_setfuncs(L, methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}
