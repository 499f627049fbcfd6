/* A master in the background: another process of this program, whose start is waited for.
 *
 * Design note. A fork that goes on would take a loop, threads and locks along in the middle of whatever they do. So the
 * program is started anew, in a session of its own, with one end of a pipe, on which it says that it serves; the end of
 * the pipe without a word says that it has ended, and its exit code why. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/cluster/cluster.h"

enum { ABOVE = 64, NOT_STARTED = 127 };

static void be_daemon(const char *program, char *const *arguments, char *const *environment, int end)
{
    sigset_t none;
    sigemptyset(&none);
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC), moved = fcntl(end, F_DUPFD_CLOEXEC, ABOVE);
    if (nothing < 0 || moved < 0 || dup2(nothing, STDIN_FILENO) < 0 || dup2(moved, HOST_DAEMON_FD) < 0) _exit(NOT_STARTED);
    setsid();
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(program, arguments, environment);
    _exit(NOT_STARTED);
}

static int exit_code_of(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int host_daemon_start(const char *program, char *const *arguments, char *const *environment)
{
    int ends[2];
    char word;
    ssize_t n;
    if (pipe2(ends, O_CLOEXEC) != 0) return -1;
    pid_t pid = fork();
    if (pid == 0) be_daemon(program, arguments, environment, ends[1]);
    int problem = errno;
    close(ends[1]);
    if (pid < 0) return close(ends[0]), errno = problem, -1;
    do n = read(ends[0], &word, 1);
    while (n < 0 && errno == EINTR);
    close(ends[0]);
    return n == 1 ? 0 : exit_code_of(pid);
}

int host_daemon_ready(void)
{
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    bool is_told = write(HOST_DAEMON_FD, "r", 1) == 1;
    int problem = errno;
    close(HOST_DAEMON_FD);
    for (int fd = STDIN_FILENO; nothing >= 0 && fd <= STDERR_FILENO; fd++) dup2(nothing, fd);
    if (nothing >= 0) close(nothing);
    return errno = problem, is_told ? 0 : -1;
}
