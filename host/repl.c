/* Lines from standard input, one at a time and without stopping the loop: the ground the REPL stands on.
 *
 * Design note. Standard input shares its open file with standard output on a terminal, so it must never become
 * non-blocking: it is watched through an epoll descriptor of its own, and read only when readable. A regular file
 * cannot be watched, and need not be: it always has the next line. On a terminal the editing is libedit's, loaded when
 * first wanted (a program that serves has no use for it); without it, and for pipes and files, lines come as they are.
 * One line is asked for at a time: what is typed while a command runs waits in the kernel. */
#include <dlfcn.h>
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <termios.h>
#include <unistd.h>
#include <lua.h>
#include <lauxlib.h>

#include "host.h"

enum { MAX_LINE = 1 << 20 };

static const cl_slot line_function;

static struct {
    bool open, editing, pollable, end;
    struct termios before; /* the terminal's settings before the first line */
    bool is_terminal;
    int epoll;
    uv_poll_t poll;
    uv_timer_t later; /* delivers what is there already, from the loop */
    char *text;       /* read and not yet delivered */
    size_t size, capacity;
} input;

static struct {
    void (*install)(const char *prompt, void (*on_line)(char *line));
    void (*read_char)(void);
    void (*remove)(void);
    int (*add_history)(const char *line);
    bool installed;
} editor;

static void want_more(void);

/* Hands a line (NULL: the end of the input) to the function that waits for it. */
static void deliver(const char *line, size_t size)
{
    lua_State *L = cl_host_get()->L;
    if (input.pollable) uv_poll_stop(&input.poll);
    cl_slot_get(L, &line_function);
    if (line) lua_pushlstring(L, line, size);
    else lua_pushnil(L);
    cl_host_call(L, 1, 0, "console");
}

static void deliver_buffered(void)
{
    char *end = input.size ? memchr(input.text, '\n', input.size) : NULL;
    if (!end && !input.end) {
        want_more();
        return;
    }
    size_t line = end ? (size_t)(end - input.text) : input.size;
    if (line == 0 && !end) {
        deliver(NULL, 0);
        return;
    }
    lua_State *L = cl_host_get()->L;
    lua_pushlstring(L, input.text, line); /* keeps it alive while the buffer moves */
    size_t used = end ? line + 1 : line;
    input.size -= used;
    memmove(input.text, input.text + used, input.size);
    deliver(lua_tostring(L, -1), line);
    lua_pop(L, 1);
}

static bool reserve(size_t more)
{
    if (input.capacity - input.size >= more) return true;
    size_t capacity = input.size + more;
    char *text = capacity > MAX_LINE ? NULL : realloc(input.text, capacity);
    if (!text) return false;
    input.text = text;
    input.capacity = capacity;
    return true;
}

static void read_block(void)
{
    if (!reserve(4096)) {
        fprintf(stderr, "clouds: a line of the input is longer than %d bytes\n", MAX_LINE);
        input.end = true;
        input.size = 0;
        return;
    }
    ssize_t got = read(STDIN_FILENO, input.text + input.size, 4096);
    if (got > 0) input.size += (size_t)got;
    else if (got == 0 || (errno != EINTR && errno != EAGAIN)) input.end = true;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)poll;
    (void)status;
    (void)events;
    if (editor.installed) {
        editor.read_char();
        return;
    }
    read_block();
    deliver_buffered();
}

static void on_later(uv_timer_t *timer)
{
    (void)timer;
    deliver_buffered();
}

static void want_more(void)
{
    if (input.pollable) {
        uv_poll_start(&input.poll, UV_READABLE, on_readable);
        return;
    }
    read_block();
    uv_timer_start(&input.later, on_later, 0, 0);
}

static void uninstall_editor(void)
{
    if (!editor.installed) return;
    editor.installed = false;
    editor.remove();
}

/* libedit has a line; it is ours to free. NULL: the end of the input. */
static void on_edited(char *line)
{
    uninstall_editor();
    if (!line) {
        putchar('\n');
        input.end = true;
        deliver(NULL, 0);
        return;
    }
    if (*line) editor.add_history(line);
    deliver(line, strlen(line));
    free(line);
}

static bool load_editor(void)
{
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) return false;
    void *library = dlopen("libedit.so.2", RTLD_NOW | RTLD_LOCAL);
    if (!library) return false;
    *(void **)&editor.install = dlsym(library, "rl_callback_handler_install");
    *(void **)&editor.read_char = dlsym(library, "rl_callback_read_char");
    *(void **)&editor.remove = dlsym(library, "rl_callback_handler_remove");
    *(void **)&editor.add_history = dlsym(library, "add_history");
    if (!editor.install || !editor.read_char || !editor.remove || !editor.add_history) return false;
    setlocale(LC_CTYPE, ""); /* so that a character of several bytes is one to the editor */
    return true;
}

static bool watch_stdin(uv_loop_t *loop)
{
    struct epoll_event event = {.events = EPOLLIN};
    input.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (input.epoll < 0) return false;
    if (epoll_ctl(input.epoll, EPOLL_CTL_ADD, STDIN_FILENO, &event) == 0 &&
        uv_poll_init(loop, &input.poll, input.epoll) == 0)
        return true;
    close(input.epoll);
    return false;
}

static void open_input(void)
{
    uv_loop_t *loop = cl_host_get()->loop;
    input.open = true;
    input.is_terminal = tcgetattr(STDIN_FILENO, &input.before) == 0;
    uv_timer_init(loop, &input.later);
    input.pollable = watch_stdin(loop);
    input.editing = input.pollable && load_editor();
}

/* host.read_line(prompt, fn): fn(line) once, with the next line or nil at the end of the input. */
static int host_read_line(lua_State *L)
{
    const char *prompt = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    if (!input.open) open_input();
    cl_slot_set(L, &line_function);
    if (input.editing && !input.end) {
        editor.installed = true;
        editor.install(prompt, on_edited);
        uv_poll_start(&input.poll, UV_READABLE, on_readable);
        return 0;
    }
    if (isatty(STDIN_FILENO)) {
        fputs(prompt, stdout);
        fflush(stdout);
    }
    uv_timer_start(&input.later, on_later, 0, 0);
    return 0;
}

/* host.stop_reading(): no further line will come, the terminal is as it was. */
static int host_stop_reading(lua_State *L)
{
    cl_repl_close();
    return 0;
}

void cl_repl_restore_terminal(void)
{
    if (editor.installed && input.is_terminal) tcsetattr(STDIN_FILENO, TCSANOW, &input.before);
}

void cl_repl_close(void)
{
    if (!input.open) return;
    if (editor.installed) putchar('\n'); /* leaves the prompt's line */
    uninstall_editor();
    if (input.pollable) uv_poll_stop(&input.poll);
    uv_timer_stop(&input.later);
    input.end = true;
    free(input.text);
    input.text = NULL;
    input.size = input.capacity = 0;
}

void cl_repl_add(lua_State *L)
{
    lua_pushcfunction(L, host_read_line);
    lua_setfield(L, -2, "read_line");
    lua_pushcfunction(L, host_stop_reading);
    lua_setfield(L, -2, "stop_reading");
}
