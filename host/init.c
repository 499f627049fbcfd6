/* As the first process of a container: a parent that forwards signals and collects processes, and the program below it.
 *
 * Design note. The kernel gives process 1 no default action for signals and every orphan as its child. A program that
 * waits for its own children (io.popen, os.execute, luv) cannot collect those of others beside it without taking the
 * status away from who waits. So process 1 is this loop and nothing else, and the program runs as an ordinary child.
 * Both are in one process group: what the terminal sends, both get; what was sent to process 1 alone is passed on. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "internal.h"

/* Collects every child that has ended; when the program is among them, ends as it did. */
static void collect(pid_t program)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        if (pid == program) _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static void forward(pid_t program, const sigset_t *signals)
{
    for (;;) {
        siginfo_t info;
        int number = sigwaitinfo(signals, &info);
        if (number == SIGCHLD) collect(program);
        else if (number > 0 && info.si_code != SI_KERNEL) kill(program, number);
    }
}

/* What was said to process 1 of its sockets and its watchdog is for the program. */
static void take_over(const char *variable)
{
    char own[24];
    const char *pid = getenv(variable);
    if (!pid || strcmp(pid, "1") != 0) return;
    snprintf(own, sizeof own, "%ld", (long)getpid());
    setenv(variable, own, 1);
}

void host_init_fork(void)
{
    sigset_t all, before;
    if (getpid() != 1) return;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid_t program = fork();
    if (program > 0) forward(program, &all);
    sigprocmask(SIG_SETMASK, &before, NULL); /* the child; or process 1 itself, when there can be no other */
    take_over("LISTEN_PID");
    take_over("WATCHDOG_PID");
}
