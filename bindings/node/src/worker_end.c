/* The end of the master, for a process whose loop never comes to its turn: JavaScript would not hear of it. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

typedef struct watch {
    int channel;
    struct timespec time; /* that the process has to end by itself */
} watch;

/* Without an event that is asked for, the end of the other side is what there is to wait for. */
static void *wait_for_end(void *self)
{
    watch w = *(watch *)self;
    struct pollfd one = {.fd = w.channel};
    free(self);
    while (poll(&one, 1, -1) < 0 && errno == EINTR) continue;
    while (nanosleep(&w.time, &w.time) != 0 && errno == EINTR) continue;
    _exit(CLOUDS_EXIT_UNKNOWN);
}

/* Signals are for the other threads. */
static bool start(watch *w)
{
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&thread, NULL, wait_for_end, w) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started) pthread_detach(thread);
    return started;
}

bool addon_worker_follow(int channel, double seconds)
{
    watch *w = malloc(sizeof *w);
    if (!w) return false;
    *w = (watch){fcntl(channel, F_DUPFD_CLOEXEC, 3),
                 {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)}};
    if (w->channel >= 0 && start(w)) return true;
    if (w->channel >= 0) close(w->channel);
    free(w);
    return false;
}
