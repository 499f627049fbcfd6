/* SIGINT, SIGTERM and SIGHUP: the first asks for an orderly stop, the second ends the process; so does the time limit.
 * Who has more to end than itself is asked by the second, too, and the third ends it. What follows its parent takes the
 * SIGTERMs of one second as one.
 *
 * Design note. uv's own signal handles are no use here: they need a turn of the loop, so a script caught in an endless
 * loop would swallow everything. Our handler decides itself what a signal means. It ends the process by the signal's
 * default action, so that the parent sees the signal; where that action does not exist (process 1) by _exit(128 + n).
 * The first signal of an orderly stop starts alarm(), whose handler ends the process whatever the script does: no Lua
 * hook could do that, since compiled loops run no hooks.
 *
 * The console takes SIGINT for itself. It reaches Lua in the loop's next turn; a hook, which works there since what is
 * typed is not compiled, raises in a statement that lets the loop have none. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <lua.h>
#include <lauxlib.h>

#include <clouds.h>

#include "internal.h"

size_t lc_requests_describe(char *out, size_t size); /* of lua/core */

enum stage { AT_ONCE, ORDERLY, STOPPING, HURRYING };

static const int stop_signals[] = {SIGINT, SIGTERM, SIGHUP};
enum { STOP_SIGNALS = sizeof stop_signals / sizeof *stop_signals };

static const host_anchor stop_function, hurry_function, interrupt_function;
static uv_async_t wake;
static bool wakeable;
static unsigned limit;          /* seconds from the first signal to the end */
static double margin;           /* of these, what is not for requests */
static double asked_drain = -1; /* of who asked for a stop; < 0: the usual */
static volatile sig_atomic_t stage, caught, can_hurry, interruptible, interrupts;
static bool follows;         /* it gets SIGTERM when its parent ends */
static time_t told_to_end;   /* when that came first, in seconds of the monotonic clock */
static lua_State *statement; /* the coroutine that SIGINT ends */

/* ---- In the handlers: only what is safe there ---- */

static void end_by(int number)
{
    struct sigaction action;
    sigset_t set;
    host_stdin_restore_terminal();
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_DFL;
    sigaction(number, &action, NULL);
    sigemptyset(&set);
    sigaddset(&set, number);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    raise(number);
    _exit(128 + number);
}

/* In a child: the handler may have interrupted whoever was changing what is read. */
static void name_open_requests(void)
{
    char text[1024];
    size_t n = lc_requests_describe(text, sizeof text - 1);
    text[n] = '\n';
    ssize_t ignored = n ? write(STDERR_FILENO, "clouds: unanswered: ", 20) + write(STDERR_FILENO, text, n + 1) : 0;
    (void)ignored;
}

static void on_limit(int number)
{
    static const char text[] = "clouds: the script went on beyond the time that a stop may take: ended\n";
    (void)number;
    host_stdin_restore_terminal();
    ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
    (void)ignored;
    host_in_child(name_open_requests);
    _exit(128 + caught);
}

/* Raises in the statement; in anything else only when a second SIGINT found the loop without a turn. */
static void on_hook(lua_State *L, lua_Debug *unused)
{
    (void)unused;
    if (L != statement && interrupts < 2) return;
    lua_sethook(L, NULL, 0, 0);
    interrupts = 0; /* nothing is left for the loop to do */
    lua_pushliteral(L, "interrupted");
    lua_error(L);
}

static void hook(lua_State *L)
{
    lua_sethook(L, on_hook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

/* The kernel sends one for each thread of a parent that is killed, also to who stops already: no second word of anyone.
 */
static bool is_of_one_end(int number)
{
    struct timespec now;
    if (!follows || number != SIGTERM || clock_gettime(CLOCK_MONOTONIC, &now) != 0) return false;
    if (told_to_end) return now.tv_sec - told_to_end <= 1;
    told_to_end = now.tv_sec;
    return stage > ORDERLY;
}

static void on_signal(int number)
{
    int before = errno; /* of what was interrupted */
    if (is_of_one_end(number)) return;
    if (number == SIGINT && interruptible && stage == ORDERLY) {
        interrupts++;
        hook(host_get()->L);
    } else {
        if (stage != ORDERLY && !(stage == STOPPING && can_hurry)) end_by(number);
        if (stage == ORDERLY) {
            caught = number;
            alarm(limit);
        }
        stage++;
    }
    uv_async_send(&wake);
    errno = before;
}

/* ---- In the loop ---- */

static void stop_now(lua_State *L)
{
    host_anchor_get(L, &stop_function);
    if (asked_drain >= 0) lua_pushnumber(L, asked_drain);
    else lua_pushnil(L);
    if (!host_call(L, 1, 0, "stopping")) host_end(CLOUDS_EXIT_ERROR);
}

static void hurry(lua_State *L)
{
    host_anchor_get(L, &hurry_function);
    if (!host_call(L, 0, 0, "stopping")) host_end(CLOUDS_EXIT_ERROR);
}

/* As the first signal does, and a signal that follows is the second. */
static bool stop_as_by_signal(double drain)
{
    sigset_t set, before;
    sigemptyset(&set);
    for (int i = 0; i < STOP_SIGNALS; i++) sigaddset(&set, stop_signals[i]);
    sigprocmask(SIG_BLOCK, &set, &before);
    bool is_first = stage == ORDERLY;
    if (is_first) {
        asked_drain = drain;
        stage = STOPPING;
        caught = SIGTERM;
        alarm(drain >= 0 ? (unsigned)(drain + margin) + 1 : limit);
        uv_async_send(&wake);
    }
    sigprocmask(SIG_SETMASK, &before, NULL);
    return is_first;
}

void host_signals_stop(void)
{
    if (wakeable) stop_as_by_signal(-1);
    else host_end(CLOUDS_EXIT_OK);
}

/* host.stop(drain or nil): begins the orderly stop of the first signal; false when it has begun already. */
static int l_stop(lua_State *L)
{
    lua_pushboolean(L, wakeable && stop_as_by_signal(luaL_optnumber(L, 1, -1)));
    return 1;
}

static void on_wake(uv_async_t *handle)
{
    lua_State *L = ((host_program *)handle->data)->L;
    if (interrupts) {
        interrupts = 0;
        lua_sethook(L, NULL, 0, 0);
        host_anchor_get(L, &interrupt_function);
        host_call(L, 0, 0, "console");
    }
    if (stage >= STOPPING && caught != 0 && !host_get()->ended) {
        static bool stopped;
        if (!stopped) stop_now(L);
        stopped = true;
    }
    if (stage == HURRYING && !host_get()->ended) {
        static bool hurried;
        if (!hurried) hurry(L);
        hurried = true;
    }
}

static void handle(int number, void (*handler)(int))
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < STOP_SIGNALS; i++) sigaddset(&action.sa_mask, stop_signals[i]);
    sigaction(number, &action, NULL);
}

static bool is_ignored(int number)
{
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

/* What was ignored when the program started (nohup, a job in the background of a script) stays so; but who serves is
 * stopped by SIGINT and SIGTERM in any case (l_on_stop). */
void host_signals_open(void)
{
    for (int i = 0; i < STOP_SIGNALS; i++)
        if (!is_ignored(stop_signals[i])) handle(stop_signals[i], on_signal);
}

static void do_nothing(int number)
{
    (void)number;
}

void host_signals_follow(void)
{
    follows = true;
}

void host_signals_of_worker(void)
{
    host_signals_follow();
    handle(SIGHUP, do_nothing);
    handle(SIGUSR1, do_nothing);
    handle(SIGQUIT, on_signal);
}

static void be_wakeable(lua_State *L)
{
    host_program *host = host_get();
    if (wakeable) return;
    if (uv_async_init(host->loop, &wake, on_wake) != 0) luaL_error(L, "cannot watch for signals");
    wake.data = host;
    uv_unref((uv_handle_t *)&wake);
    wakeable = true;
}

static void allow_alarm(void)
{
    sigset_t set;
    handle(SIGALRM, on_limit);
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* host.on_stop(fn, drain, margin[, hurry]): fn(drain or nil) is called in the loop after the first SIGINT, SIGTERM or
 * SIGHUP, or host.stop. The process ends not much later than `drain` and `margin` seconds after it, whatever it does;
 * at once by a second signal, or when there is `hurry`, a function that is called in the loop then, by a third. */
static int l_on_stop(lua_State *L)
{
    static const double longest = 1e6;
    luaL_checktype(L, 1, LUA_TFUNCTION);
    double seconds = luaL_checknumber(L, 2) + luaL_checknumber(L, 3);
    margin = lua_tonumber(L, 3);
    if (!lua_isnoneornil(L, 4)) {
        luaL_checktype(L, 4, LUA_TFUNCTION);
        lua_settop(L, 4);
        host_anchor_set(L, &hurry_function);
        can_hurry = 1;
    }
    lua_settop(L, 1);
    host_anchor_set(L, &stop_function);
    limit = seconds < longest ? (unsigned)seconds + 1 : 0;
    be_wakeable(L);
    allow_alarm();
    handle(SIGINT, on_signal);
    handle(SIGTERM, on_signal);
    if (stage == AT_ONCE) stage = ORDERLY;
    return 0;
}

/* host.limit_stop(seconds): of a stop that is under way, this is the time limit from now on. */
static int l_limit_stop(lua_State *L)
{
    double seconds = luaL_checknumber(L, 1);
    if (stage >= STOPPING) alarm((unsigned)seconds + 1);
    return 0;
}

/* host.on_interrupt(fn): from now on SIGINT stops nothing; fn() is called in the loop. */
static int l_on_interrupt(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    host_anchor_set(L, &interrupt_function);
    be_wakeable(L);
    interruptible = 1;
    return 0;
}

/* host.interruptible(coroutine or nil): what SIGINT ends when it runs. */
static int l_interruptible(lua_State *L)
{
    statement = lua_tothread(L, 1);
    return 0;
}

/* host.raise_in(coroutine, fn): calls fn(), which resumes the coroutine; that raises at its first instruction. */
static int l_raise_in(lua_State *L)
{
    lua_State *before = statement;
    luaL_checktype(L, 1, LUA_TTHREAD);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    statement = lua_tothread(L, 1);
    lua_settop(L, 2);
    hook(L);
    int code = lua_pcall(L, 0, 0, 0);
    lua_sethook(L, NULL, 0, 0);
    statement = before;
    return code == 0 ? 0 : lua_error(L);
}

void host_signals_add(lua_State *L)
{
    static const luaL_Reg functions[] = {{"on_stop", l_on_stop},
                                         {"stop", l_stop},
                                         {"limit_stop", l_limit_stop},
                                         {"on_interrupt", l_on_interrupt},
                                         {"interruptible", l_interruptible},
                                         {"raise_in", l_raise_in},
                                         {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
