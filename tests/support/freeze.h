/* A child that is stopped for a while. */
#ifndef TEST_FREEZE_H
#define TEST_FREEZE_H

#include <signal.h>
#include <sys/wait.h>

/* Waits until it is stopped: kill() only says that it shall be, and each of its threads runs on until it sees that. */
static inline void test_freeze(pid_t pid, int frozen)
{
    siginfo_t end;
    if (pid <= 0 || kill(pid, frozen ? SIGSTOP : SIGCONT) != 0 || !frozen) return;
    waitid(P_PID, (id_t)pid, &end, WSTOPPED | WEXITED | WNOWAIT);
}

#endif
