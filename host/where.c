/* SIGUSR2: where the script is, on standard error; also of a loop without end.
 *
 * Design note. The handler may have interrupted anything: the interpreter, compiled code, the collector. What it does
 * is done in children, which may crash or hang over it; the process itself goes on as if nothing had been.
 *
 * - The first child goes on with the script until its next instruction, where a hook finds the stack in order. It has
 * no descriptors but the one for its report, so that nobody notices what it does until then, and little time.
 * - Compiled loops call no hooks. So the first child is interrupted again and again, and then a child of its own reads
 *   the stack as it is: that of a C function is in order, that of a compiled loop is the one of its entry, or cannot be
 *   read, until one time it can. The text is made on a coroutine of its own, for the one that was interrupted has no
 *   defined top.
 * - Who is blocked comes to no instruction and takes no time of the processor: a second child reads his stack. That it
 *   sleeps tells it from who waits for a processor, which may take long on a busy machine. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include <lua.h>
#include <lauxlib.h>

#include "host/cluster/cluster.h"
#include "internal.h"

enum {
    NESTED = 16, /* coroutines within coroutines that are shown */
    /* Of the processor, in microseconds: until the next instruction must have come; between two further tries. */
    FIRST_TRY = 50000,
    NEXT_TRY = 4000,
    TRIES = 50,
    LONGEST = 10, /* seconds of a child */
};

lua_State *lc_running(void); /* of lua/core */

static const host_anchor scratch_anchor;
static lua_State *scratch; /* a coroutine that runs nothing */
static int report = STDERR_FILENO;

/* ---- In children ---- */

static volatile sig_atomic_t waits; /* for a child of its own */
static long sleeps;                 /* how often it slept for that */
static unsigned seconds;

static long count_sleeps(void)
{
    struct rusage used = {0};
    getrusage(RUSAGE_SELF, &used);
    return used.ru_nvcsw;
}

/* Once a second. Its time of the processor has a limit of its own. */
static void on_second(int number)
{
    bool is_blocked = !waits && count_sleeps() > sleeps;
    (void)number;
    if (is_blocked || ++seconds == LONGEST) _exit(1);
    alarm(1);
}

static void be_child(void)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGABRT, SIGTERM, SIGINT, SIGPROF, SIGUSR2};
    const struct rlimit none = {0, 0}, second = {1, 1};
    sigset_t set;
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++) signal(fatal[i], SIG_DFL);
    waits = 0;
    sleeps = seconds = 0;
    signal(SIGALRM, on_second);
    sigfillset(&set);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    setrlimit(RLIMIT_CORE, &none);
    setrlimit(RLIMIT_CPU, &second);
    alarm(1);
}

/* Whether it could do its work. */
static bool wait_for(pid_t child)
{
    int status = 1;
    waits = 1;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    sleeps = count_sleeps();
    waits = 0;
    return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool host_in_child(void (*work)(void))
{
    pid_t child = _Fork();
    if (child == 0) {
        be_child();
        work();
        _exit(0);
    }
    return wait_for(child);
}

static void say(const char *text, size_t size)
{
    while (size > 0) {
        ssize_t n = write(report, text, size);
        if (n <= 0) return;
        text += n;
        size -= (size_t)n;
    }
}

/* The coroutine that the innermost function of L is resuming, or NULL: the first argument of coroutine.resume, or what
 * coroutine.wrap has made its function of. */
static lua_State *resumed_by(lua_State *L)
{
    lua_Debug about;
    lua_State *found = NULL;
    if (!lua_getstack(L, 0, &about) || !lua_getinfo(L, "Sf", &about)) return NULL;
    if (strcmp(about.what, "C") == 0) {
        if (lua_getupvalue(L, -1, 1)) found = lua_tothread(L, -1);
        if (!found && lua_getlocal(L, &about, 1)) found = lua_tothread(L, -1);
    }
    return found != L && found && lua_status(found) == 0 ? found : NULL;
}

/* The innermost coroutine first, and behind it each that has resumed the one before. All of it is read before anything
 * is said. */
static void say_stacks(lua_State *L)
{
    lua_State *chain[NESTED];
    int count = 0;
    lua_gc(scratch, LUA_GCSTOP, 0);
    lua_settop(scratch, 0);
    for (; count < NESTED && L; L = resumed_by(L)) chain[count++] = L;
    lua_pushliteral(scratch, "clouds: where it is:\n");
    while (count) {
        luaL_traceback(scratch, chain[--count], NULL, 0);
        lua_pushliteral(scratch, "\n");
        lua_concat(scratch, 3);
    }
    size_t size;
    const char *text = lua_tolstring(scratch, -1, &size);
    say(text, size);
}

static lua_State *outermost(void)
{
    lua_State *running = lc_running();
    return running ? running : host_get()->L;
}

static void say_as_it_is(void)
{
    say_stacks(outermost());
}

static void on_instruction(lua_State *L, lua_Debug *unused)
{
    (void)unused;
    lua_sethook(L, NULL, 0, 0);
    say_stacks(outermost());
    _exit(0);
}

static void on_try(int number)
{
    static int tries;
    (void)number;
    if (host_in_child(say_as_it_is)) _exit(0);
    if (++tries == TRIES) _exit(1);
}

/* What it does from here on nobody sees but by the report. */
static void be_alone(void)
{
    const struct itimerval times = {{.tv_usec = NEXT_TRY}, {.tv_usec = FIRST_TRY}};
    signal(SIGPROF, on_try);
    int null = open("/dev/null", O_RDWR);
    report = fcntl(STDERR_FILENO, F_DUPFD, 3);
    if (null < 0 || report < 0) _exit(1);
    for (int fd = 0; fd <= STDERR_FILENO; fd++) dup2(null, fd);
    if (host_descriptors_close(3, (unsigned)report - 1, false) != 0) _exit(1);
    if (host_descriptors_close((unsigned)report + 1, ~0U, false) != 0) _exit(1);
    setitimer(ITIMER_PROF, &times, NULL);
}

/* ---- In the process ---- */

static void say_in_one_way_or_another(void)
{
    static const char idle[] = "clouds: where it is: nothing runs, the loop waits\n";
    static const char unknown[] = "clouds: where it is cannot be told\n";
    lua_Debug about;
    if (!lc_running() && !lua_getstack(host_get()->L, 0, &about)) {
        say(idle, sizeof idle - 1);
        return;
    }
    pid_t child = _Fork();
    if (child == 0) {
        be_child();
        be_alone();
        lua_sethook(outermost(), on_instruction, LUA_MASKCOUNT, 1);
        return; /* goes on with the script */
    }
    if (!wait_for(child) && !host_in_child(say_as_it_is)) say(unknown, sizeof unknown - 1);
}

static void on_signal(int number)
{
    int before = errno;
    (void)number;
    say_in_one_way_or_another();
    errno = before;
}

/* host.tell_where(): from now on SIGUSR2 prints where the script is. */
static int l_tell_where(lua_State *L)
{
    struct sigaction action;
    if (!scratch) {
        scratch = lua_newthread(L);
        host_anchor_set(L, &scratch_anchor);
    }
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(SIGUSR2, &action, NULL);
    return 0;
}

void host_where_add(lua_State *L)
{
    static const luaL_Reg functions[] = {{"tell_where", l_tell_where}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
