/* A child: fork, everything that makes it what it should be, exec.
 *
 * Design note. What can fail in the child is told through a pipe that exec closes: a byte for the step and errno. The
 * order of the steps matters: the group before the user (a user may not change it any more), the signal for the death
 * of the parent after the user (the kernel takes it away there), and then a look whether the parent still lives. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/cluster/cluster.h"

enum step {
    NO_STEP = -1,
    COPY,
    GROUP_OF_PROCESSES,
    LIMITS,
    NICE,
    CPU,
    FOLDER,
    GROUPS,
    GROUP,
    USER,
    STILL_ROOT,
    PRIVILEGES,
    PARENT,
    EXEC
};

static const char *const step_names[] = {
    [COPY] = "copy descriptors",
    [GROUP_OF_PROCESSES] = "make a process group",
    [LIMITS] = "set limits",
    [NICE] = "set the priority",
    [CPU] = "choose a processor",
    [FOLDER] = "enter the folder",
    [GROUPS] = "set the supplementary groups",
    [GROUP] = "set the group",
    [USER] = "set the user",
    [STILL_ROOT] = "give up the rights of root",
    [PRIVILEGES] = "give up new privileges",
    [PARENT] = "follow the master",
};

typedef struct failure {
    int step, problem;
} failure;

/* ---- in the child: nothing that takes a lock or memory */

static void fail(int pipe_end, int step)
{
    failure f = {step, errno};
    ssize_t ignored = write(pipe_end, &f, sizeof f);
    (void)ignored;
    _exit(127);
}

enum { ABOVE = 64 }; /* where descriptors wait for their place */

/* Copies them out of the way first: the place of one may be where another is now. */
static int place_descriptors(const host_spawn *spawn, int *pipe_end)
{
    int from[3 + HOST_SPAWN_FDS], count = 3 + spawn->fd_count;
    int end = fcntl(*pipe_end, F_DUPFD_CLOEXEC, ABOVE);
    if (end < 0) return -1;
    *pipe_end = end;
    from[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    from[1] = spawn->output >= 0 ? spawn->output : STDOUT_FILENO;
    from[2] = spawn->errors >= 0 ? spawn->errors : STDERR_FILENO;
    memcpy(from + 3, spawn->fds, (size_t)spawn->fd_count * sizeof(int));
    for (int i = 0; i < count; i++)
        if ((from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, ABOVE)) < 0) return -1;
    for (int i = 0; i < count; i++)
        if (dup2(from[i], i) < 0) return -1;
    return host_descriptors_close((unsigned)count, ~0U, true);
}

static int set_limit(int which, int64_t value)
{
    struct rlimit limit = {(rlim_t)value, (rlim_t)value};
    return value < 0 ? 0 : setrlimit(which, &limit);
}

static int set_limits(const host_spawn *spawn)
{
    if (set_limit(RLIMIT_NOFILE, spawn->files) != 0) return -1;
    if (set_limit(RLIMIT_CORE, spawn->core) != 0) return -1;
    return set_limit(RLIMIT_AS, spawn->memory);
}

static int choose_cpu(int cpu)
{
    cpu_set_t set;
    if (cpu < 0) return 0;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return sched_setaffinity(0, sizeof set, &set);
}

static int set_nice(int change)
{
    errno = 0;
    return change && nice(change) == -1 && errno ? -1 : 0;
}

/* Who could be root again has not given anything up. */
static bool is_still_root(const host_spawn *spawn)
{
    return spawn->has_user && spawn->user != 0 && (setuid(0) == 0 || geteuid() == 0);
}

static bool is_for_masters(int number)
{
    return number == SIGHUP || number == SIGUSR1 || number == SIGTTIN || number == SIGTTOU;
}

/* What the master ignores or blocks is the master's. What only a master is told, a child that was meant by chance, as
 * one of a process group, shall not end by, nor stop. */
static void reset_signals(void)
{
    sigset_t none;
    for (int number = 1; number < 32; number++)
        if (number != SIGKILL && number != SIGSTOP) signal(number, is_for_masters(number) ? SIG_IGN : SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The step that has failed, errno. */
static enum step change_user(const host_spawn *spawn)
{
    if ((spawn->has_user || spawn->has_group) && setgroups((size_t)spawn->group_count, spawn->groups) != 0)
        return GROUPS;
    if (spawn->has_group && setresgid(spawn->group, spawn->group, spawn->group) != 0) return GROUP;
    if (spawn->has_user && setresuid(spawn->user, spawn->user, spawn->user) != 0) return USER;
    errno = EPERM;
    if (is_still_root(spawn)) return STILL_ROOT;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ? PRIVILEGES : NO_STEP;
}

static enum step follow(pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0) return PARENT;
    errno = ESRCH;
    return getppid() != parent ? PARENT : NO_STEP;
}

static void be_child(const host_spawn *spawn, pid_t parent, int pipe_end)
{
    if (place_descriptors(spawn, &pipe_end) != 0) fail(pipe_end, COPY);
    if (setpgid(0, 0) != 0) fail(pipe_end, GROUP_OF_PROCESSES);
    if (set_limits(spawn) != 0) fail(pipe_end, LIMITS);
    if (set_nice(spawn->nice) != 0) fail(pipe_end, NICE);
    if (choose_cpu(spawn->cpu) != 0) fail(pipe_end, CPU);
    if (spawn->mask >= 0) umask((mode_t)spawn->mask);
    enum step failed = change_user(spawn);
    if (failed != NO_STEP) fail(pipe_end, failed);
    if (spawn->folder && chdir(spawn->folder) != 0) fail(pipe_end, FOLDER); /* as who will work in it */
    if ((failed = follow(parent)) != NO_STEP) fail(pipe_end, failed);
    reset_signals();
    execvpe(spawn->program, spawn->arguments, spawn->environment);
    fail(pipe_end, EXEC);
}

/* ---- in the master */

void host_spawn_plain(host_spawn *spawn)
{
    *spawn = (host_spawn){.output = -1, .errors = -1, .cpu = -1, .mask = -1, .files = -1, .core = -1, .memory = -1};
}

static pid_t give_up(char *why, size_t why_size, const char *step, int problem)
{
    snprintf(why, why_size, "cannot %s: %s", step, strerror(problem));
    return errno = problem, -1;
}

int host_spawn_become(const host_spawn *spawn, char *why, size_t why_size)
{
    pid_t parent = getppid();
    enum step failed = change_user(spawn);
    if (failed == NO_STEP) failed = follow(parent);
    return failed == NO_STEP ? 0 : give_up(why, why_size, step_names[failed], errno);
}

/* Waits until exec has closed the pipe, or the child has said why not. */
static bool has_failed(int pipe_end, failure *f)
{
    ssize_t n;
    do n = read(pipe_end, f, sizeof *f);
    while (n < 0 && errno == EINTR);
    return n == sizeof *f;
}

pid_t host_spawn_process(const host_spawn *spawn, char *why, size_t why_size)
{
    int ends[2];
    failure f;
    pid_t parent = getpid();
    if (spawn->fd_count > HOST_SPAWN_FDS) return give_up(why, why_size, "pass on so many descriptors", EMFILE);
    if (pipe2(ends, O_CLOEXEC) != 0) return give_up(why, why_size, "make a pipe", errno);
    pid_t pid = fork();
    if (pid == 0) be_child(spawn, parent, ends[1]);
    int problem = errno;
    close(ends[1]);
    bool failed = pid > 0 && has_failed(ends[0], &f);
    close(ends[0]);
    if (pid < 0) return give_up(why, why_size, "make a process", problem);
    if (!failed) return pid;
    waitpid(pid, NULL, 0);
    if (f.step != EXEC) return give_up(why, why_size, step_names[f.step], f.problem);
    snprintf(why, why_size, "cannot start %s: %s", spawn->program, strerror(f.problem));
    return errno = f.problem, -1;
}
