/* Lines from standard input, one at a time and without stopping the loop: the ground the REPL stands on.
 *
 * Design note. Standard input shares its open file with standard output on a terminal, so it must never become
 * non-blocking: it is watched through an epoll descriptor of its own, and read only when readable. A regular file
 * cannot be watched, and need not be: it always has the next line. On a terminal the editing is libedit's, loaded when
 * first wanted (a program that serves has no use for it); without it, and for pipes and files, lines come as they are.
 * One line is asked for at a time: what is typed while a command runs waits in the kernel. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>
#include <lua.h>
#include <lauxlib.h>

#include "internal.h"

enum { MAX_LINE = 1 << 20 };

static const host_anchor line_function;

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
    char **(*completion_matches)(const char *text, char *(*next)(const char *text, int state));
    int *completion_over, *append_character;
    bool installed;
} editor;

static const host_anchor complete_function;

static void want_more(void);

/* Hands a line (NULL: the end of the input) to the function that waits for it. */
static void deliver(const char *line, size_t size)
{
    lua_State *L = host_get()->L;
    if (input.pollable) uv_poll_stop(&input.poll);
    host_anchor_get(L, &line_function);
    if (line) lua_pushlstring(L, line, size);
    else lua_pushnil(L);
    host_call(L, 1, 0, "console");
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
    lua_State *L = host_get()->L;
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

/* What was typed before the editor took the terminal over may be gone since the loop saw it: libedit would wait for
 * more in read(), and everything else with it. */
static bool is_still_readable(void)
{
    struct pollfd fd = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&fd, 1, 0) > 0;
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
    (void)handle;
    (void)status;
    (void)events;
    if (editor.installed) {
        if (is_still_readable()) editor.read_char();
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

/* The completions of a word, one at a time: the list that Lua made is at the top of the stack. */
static char *next_completion(const char *text, int state)
{
    static int at;
    lua_State *L = host_get()->L;
    (void)text;
    at = state == 0 ? 1 : at + 1;
    lua_rawgeti(L, -1, at);
    const char *word = lua_tostring(L, -1);
    char *copy = word ? strdup(word) : NULL; /* libedit's to free */
    lua_pop(L, 1);
    return copy;
}

static char **complete(const char *text, int start, int end)
{
    lua_State *L = host_get()->L;
    (void)start;
    (void)end;
    *editor.completion_over = 1; /* no names of files */
    *editor.append_character = '\0';
    host_anchor_get(L, &complete_function);
    lua_pushstring(L, text);
    if (!lua_isfunction(L, -2)) {
        lua_pop(L, 2);
        return NULL;
    }
    if (!host_call(L, 1, 1, "completion")) return NULL;
    char **matches = lua_istable(L, -1) ? editor.completion_matches(text, next_completion) : NULL;
    lua_pop(L, 1);
    return matches;
}

/* Completion is left out where the library has none. */
static void prepare_completion(void *library)
{
    static const char breaks[] = " \t\n\"\\'`$><=;|&{}(+-*/%#~,[]^!)";
    char **(**function)(const char *, int, int) = dlsym(library, "rl_attempted_completion_function");
    const char **characters = dlsym(library, "rl_basic_word_break_characters");
    *(void **)&editor.completion_matches = dlsym(library, "rl_completion_matches");
    editor.completion_over = dlsym(library, "rl_attempted_completion_over");
    editor.append_character = dlsym(library, "rl_completion_append_character");
    if (!function || !characters || !editor.completion_matches || !editor.completion_over || !editor.append_character)
        return;
    *characters = breaks;
    *function = complete;
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
    prepare_completion(library);
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
    uv_loop_t *loop = host_get()->loop;
    if (input.open) return;
    input.open = true;
    input.is_terminal = tcgetattr(STDIN_FILENO, &input.before) == 0;
    uv_timer_init(loop, &input.later);
    input.pollable = watch_stdin(loop);
    input.editing = input.pollable && load_editor();
}

/* host.read_line(prompt, fn): fn(line) once, with the next line or nil at the end of the input. */
static int l_read_line(lua_State *L)
{
    const char *prompt = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    open_input();
    host_anchor_set(L, &line_function);
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

/* host.add_history(line): a line of an earlier session, before the first host.read_line. */
static int l_add_history(lua_State *L)
{
    const char *line = luaL_checkstring(L, 1);
    open_input();
    if (input.editing) editor.add_history(line);
    return 0;
}

/* host.completer(fn): fn(word) gives the list of what the word may become. */
static int l_completer(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    host_anchor_set(L, &complete_function);
    return 0;
}

/* host.cancel_line(): the line that is being edited is given up; another may be asked for. */
static int l_cancel_line(lua_State *L)
{
    (void)L;
    if (!input.open) return 0;
    uninstall_editor();
    if (input.pollable) uv_poll_stop(&input.poll);
    uv_timer_stop(&input.later);
    putchar('\n');
    return 0;
}

/* host.make_private(path): makes the file, for this user alone, and the folders above it; true, or nil and why not. */
static int l_make_private(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    char *at = lua_newuserdata(L, strlen(path) + 1), *folder = at;
    strcpy(folder, path);
    while ((at = strchr(at + 1, '/'))) {
        *at = '\0';
        mkdir(folder, 0700); /* the open below reports it */
        *at = '/';
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        lua_pushnil(L);
        lua_pushstring(L, strerror(errno));
        return 2;
    }
    close(fd);
    lua_pushboolean(L, 1);
    return 1;
}

/* host.stop_reading(): no further line will come, the terminal is as it was. */
static int l_stop_reading(lua_State *L)
{
    host_stdin_close();
    return 0;
}

void host_stdin_restore_terminal(void)
{
    if (editor.installed && input.is_terminal) tcsetattr(STDIN_FILENO, TCSANOW, &input.before);
}

void host_stdin_close(void)
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

void host_stdin_add(lua_State *L)
{
    static const luaL_Reg functions[] = {{"read_line", l_read_line},
                                         {"stop_reading", l_stop_reading},
                                         {"cancel_line", l_cancel_line},
                                         {"add_history", l_add_history},
                                         {"make_private", l_make_private},
                                         {"completer", l_completer},
                                         {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
