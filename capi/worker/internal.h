/* What worker.c and connections.c have in common. */
#ifndef CL_WORKER_INTERNAL_H
#define CL_WORKER_INTERNAL_H

#include <sys/types.h>

#include "clouds_worker.h"
#include "worker/worker.h"

typedef struct cl_worker_place {
    pid_t pid;          /* 0: there is no master */
    int channel, watch; /* an epoll of the channel, of listeners that are accepted from here, and of their pause */
    clouds_board *board;
} cl_worker_place;

extern cl_worker_place cl_worker_self;

/* What the watch tells of: this, or behind it the number of a listener. */
enum { CL_WATCH_CHANNEL, CL_WATCH_PAUSE, CL_WATCH_LISTENER };

/* 0, CLOUDS_ENOTSUP, CLOUDS_EFORK. */
int cl_worker_check(void);
/* By an epoll: 0, or CLOUDS_ESYSTEM. */
int cl_worker_watch(int watch, int fd, uint64_t what);
/* As cl_worker_send, a descriptor (-1: none) beside it, which stays the caller's. */
int cl_worker_send_with(char type, const void *body, size_t size, int fd);
/* Of the board: so many requests more were begun. */
void cl_worker_begin(uint64_t requests);

/* What the watch has told of a listener, by its number: a message, or nothing. */
bool cl_worker_accept(unsigned number, cl_worker_message *out);
void cl_worker_end_pause(void);
/* Sends what the master could not be answered at once. Whether something is left. */
bool cl_worker_answer(void);

#endif
