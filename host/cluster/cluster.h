/* Processes below a master: how they are started, spoken with, watched and given connections.
 *
 * Design notes
 *
 * - All of it runs on one loop, that of the master; of a worker only board.c and channel.c do. What to do when something
 *   happens (start again, give up, reload) is decided in Lua, by the hooks; this is what has to be exact, or fast.
 *
 * - A connection is accepted by the master and given to the worker that has the fewest, over a channel. The master keeps
 *   its copy of the descriptor until the worker says that it has it: what was under way to a worker that dies is given
 *   to another, and no client notices.
 *
 * - A worker writes what it does into a page that it shares with the master, the board. So nothing is sent while nothing
 *   happens, and a worker that hangs is seen by what it does not write. It can lie about itself, and nothing else. */
#ifndef HOST_CLUSTER_H
#define HOST_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <uv.h>

#include <clouds_worker.h>

/* ---- channel.c: messages between two processes, with descriptors */

typedef struct host_channel host_channel;

typedef struct host_channel_message {
    char type;
    const char *body;
    size_t size;
    int fd_count, fds[CLOUDS_CHANNEL_FDS]; /* who takes one puts -1 in its place; the others are closed */
} host_channel_message;

typedef struct host_channel_hooks {
    void *self;
    void (*message)(void *self, host_channel_message *message);
    void (*ended)(void *self); /* the other end is gone: once, and nothing after it */
    void (*paused)(void *self); /* NULL, or called behind messages that came together */
} host_channel_hooks;

/* Two ends that are closed by exec. 0 or -1, errno. */
int host_channel_pair(int ends[2]);

/* Takes `fd` over; `holds`: the loop goes on as long as it is open. NULL: no memory, and `fd` is still the caller's. */
host_channel *host_channel_open(uv_loop_t *loop, int fd, bool holds, const host_channel_hooks *hooks);

/* Sends in order; what the other end does not take yet waits. The descriptors stay the caller's. 0; or -1, errno: EPIPE
 * when the other end is gone, ENOBUFS when too much waits, EMSGSIZE, ENOMEM, EMFILE. */
int host_channel_send(host_channel *channel, char type, const void *body, size_t size, const int *fds, int fd_count);

/* Gives what waits to be sent so many seconds to go; nothing else happens meanwhile. */
void host_channel_finish(host_channel *channel, double seconds);

/* What has come already, as after the end of the child. */
void host_channel_read_now(host_channel *channel);

/* Ends it; no hook is called any more. May be called in a hook. */
void host_channel_close(host_channel *channel);

int host_channel_fd(const host_channel *channel);
/* Calls the hook with each message that waits to be sent, in order. */
void host_channel_waiting(const host_channel *channel, void (*hook)(void *self, const host_channel_message *message),
                          void *self);

/* ---- board.c: what a worker says of itself */

/* Written by the worker, but for what it is told; read by the master at any time. */
typedef clouds_board host_board;

/* A page that keeps its size: its descriptor, and where it is mapped. -1: errno. */
int host_board_create(host_board **out);
/* Maps one that is there. NULL: it is no board. */
host_board *host_board_map(int fd);
void host_board_free(host_board *board);

/* In a worker: maps the page of the master. -1: it is no board. */
int host_board_take(int fd);

/* In a worker: notes when the loop is busy, from now on. */
void host_board_watch(uv_loop_t *loop);
/* Code is about to run. libuv has no word for the time between the end of its wait and the first callback. */
void host_board_busy(void);
/* No more will run in this turn: for who runs code when the loop is about to wait. */
void host_board_idle(void);

/* Calls the hook with how long the loop was busy, each time before it waits; in a process without a master, too. */
void host_board_follow(uv_loop_t *loop, void (*hook)(uint64_t ns));

/* Notes what is begun: a method, or a path. */
void host_board_doing(const char *text, size_t size);

/* That of this process; before host_board_take one that nobody reads. */
host_board *host_board_mine(void);

static inline uint64_t host_board_read(const uint64_t *field)
{
    return __atomic_load_n(field, __ATOMIC_RELAXED);
}

static inline void host_board_write(uint64_t *field, uint64_t value)
{
    __atomic_store_n(field, value, __ATOMIC_RELAXED);
}

static inline void host_board_add(uint64_t *field, int64_t change)
{
    host_board_write(field, *field + (uint64_t)change);
}

/* ---- descriptors.c */

/* Closes those from `first` to `last`, or has exec close them. 0 or -1, errno. Linux before 5.9 cannot close a range, and
 * before 5.11 not by exec: then it is done for each that /proc has. */
int host_descriptors_close(unsigned first, unsigned last, bool by_exec);

/* ---- spawn.c: one child, as its specification says */

enum { HOST_SPAWN_FDS = 32 };

typedef struct host_spawn {
    const char *program; /* found by PATH unless it has a slash */
    char *const *arguments, *const *environment;
    const char *folder;        /* NULL: where the master is */
    int output, errors;        /* -1: those of the master */
    int fd_count;              /* become 3, 4, 5 ... */
    int fds[HOST_SPAWN_FDS];
    bool has_user, has_group;
    uid_t user;
    gid_t group;
    const gid_t *groups; /* supplementary, set when has_user or has_group */
    int group_count;
    int nice;             /* added to that of the master */
    int cpu;              /* -1: any */
    int mask;             /* umask; -1: that of the master */
    int64_t files, core, memory; /* RLIMIT_NOFILE, _CORE, _AS; -1: those of the master */
} host_spawn;

/* Nothing but the program, its folder and its arguments. */
void host_spawn_plain(host_spawn *spawn);

/* The pid, when the program runs; it leads its own process group, keeps no right it had beyond its user, and gets
 * SIGTERM when the master ends. Or -1, and in `why` which step failed, and why. */
pid_t host_spawn_process(const host_spawn *spawn, char *why, size_t why_size);

/* Makes this process, a child of a master, what the user and the groups of *spawn say, for good. 0; or -1, errno, and in
 * `why` which step failed, after which the process has to end. */
int host_spawn_become(const host_spawn *spawn, char *why, size_t why_size);

/* ---- processors.c: what of the machine this process may use */

/* How many processors: those of its affinity mask, and no more than its cgroups (v1 or v2) have a quota of time for, a
 * part of one counted as one. At least 1. */
int host_processors(void);
/* The number of the `index`th of its affinity mask, from 0, again from the first behind the last; -1: unknown. */
int host_processor(int index);
/* The processors that the quota is worth; 0: there is none. `root` stands before each path that is read: "", or a folder of a
 * test. */
double host_processors_of_quota(const char *root);

/* ---- daemon.c: a master in the background */

enum { HOST_DAEMON_FD = 3 }; /* in the process in the background, until it serves */

/* Starts a program in a session of its own, with this output, and waits: 0 when it has called host_daemon_ready, else
 * the code that it ended with (128 and the number of a signal). -1: errno. */
int host_daemon_start(const char *program, char *const *arguments, char *const *environment);
/* In that process: it serves. From now on its input and output are /dev/null. -1: nobody waits any more. */
int host_daemon_ready(void);

/* ---- listener.c: sockets that listen */

/* Where: an address as host_http_address_read takes it. The descriptor, which exec closes;
 * or -1, errno (EINVAL: the text is no address), and in `why` what is wrong. */
int host_listener_open(const char *text, int backlog, char *why, size_t why_size);
/* The port, 0 for a unix socket. */
int host_listener_port(int fd);
/* Whether `fd` is a stream socket that listens, and whether it does at the address of this text. */
bool host_listener_is_one(int fd);
bool host_listener_is_at(int fd, const char *text);

/* ---- notify.c: systemd, by NOTIFY_SOCKET, WATCHDOG_* and LISTEN_* of the environment */

/* One datagram, as "READY=1\nSTATUS=..."; never waits. 1: sent; 0: nobody wants to be told; -1: errno. */
int host_notify(const char *text);
/* Seconds within which WATCHDOG=1 has to be told again and again; 0: none are wanted from this process. */
double host_notify_watchdog(void);
/* How many descriptors this process was given, from 3 on; afterwards exec closes them. */
int host_notify_listeners(void);
/* The descriptor of one, from 0, and its name in `name`, "" without. */
int host_notify_listener(int index, char *name, size_t size);

/* ---- dispatch.c: connections of some listeners for some workers */

typedef struct host_dispatch host_dispatch;
typedef struct host_target host_target; /* a worker that is given connections */

typedef struct host_dispatch_options {
    double hold;          /* seconds that connections wait while no worker is ready */
    const char *gone;     /* what they are sent then */
    size_t gone_size;
    uint64_t connections; /* of a worker, at most */
    bool is_shared;       /* workers accept by themselves; here only what nobody else can take is accepted */
} host_dispatch_options;

typedef struct host_dispatch_counts {
    uint64_t given, given_again, gone, without_descriptor, held; /* held: now */
} host_dispatch_counts;

/* The text `gone` is copied. NULL: no memory. */
host_dispatch *host_dispatch_create(uv_loop_t *loop, const host_dispatch_options *options);
/* From now on. 0, or -1: no memory, and nothing has changed. */
int host_dispatch_change(host_dispatch *dispatch, const host_dispatch_options *options);
/* Closes the listeners and everything that waits; the targets are gone with it. */
void host_dispatch_close(host_dispatch *dispatch);

/* Takes `fd` over. 0, or -1: no memory. */
int host_dispatch_listen(host_dispatch *dispatch, int fd, unsigned listener);
/* Accepts what waits there already, then closes it. */
void host_dispatch_unlisten(host_dispatch *dispatch, unsigned listener);
/* Connections wait in the kernel, without a limit of ours. */
void host_dispatch_pause(host_dispatch *dispatch, bool paused);
/* Gives a connection that a worker gave back to another; takes `fd` over. */
void host_dispatch_give(host_dispatch *dispatch, int fd, clouds_channel_connection about);
host_dispatch_counts host_dispatch_count(const host_dispatch *dispatch);

/* Channel and board stay the caller's, and live as long as the target. It is given nothing before it is ready. */
host_target *host_target_create(host_dispatch *dispatch, host_channel *channel, const host_board *board);
void host_target_ready(host_target *target, bool is_ready);
void host_target_acknowledge(host_target *target, unsigned count);
/* Seconds since it acknowledged something, while there is more to acknowledge; else 0. */
double host_target_silent(const host_target *target);
/* It could not take the oldest of those: that is given to another, and it gets none for a moment. */
void host_target_refuse(host_target *target);
/* What it has not acknowledged is given to others. */
void host_target_remove(host_target *target);

/* dispatch_state.c: for another program that takes the place of this one. The descriptors that are shown stay here. */

typedef void (*host_connection_hook)(void *self, int fd, clouds_channel_connection about);
void host_dispatch_each_held(const host_dispatch *dispatch, host_connection_hook hook, void *self);
void host_target_each_copy(const host_target *target, host_connection_hook hook, void *self);
bool host_target_is_ready(const host_target *target);
/* It was given this connection, and has not acknowledged it; takes `fd` over. false: it cannot have so many. */
bool host_target_restore(host_target *target, int fd, clouds_channel_connection about);
void host_dispatch_restore(host_dispatch *dispatch, const host_dispatch_counts *counts);

/* ---- lines.c: what a child writes */

enum { HOST_LINES_LONGEST = 16384 }; /* bytes of a line; what is behind is left out */

typedef struct host_lines host_lines;
/* Without its end; is_cut: the line was longer. */
typedef void (*host_lines_hook)(void *self, const char *text, size_t size, bool is_cut);

/* Takes `fd` over, one end of a pipe. NULL: no memory, and `fd` is still the caller's. */
host_lines *host_lines_open(uv_loop_t *loop, int fd, host_lines_hook hook, void *self);
/* What is there already, as after the end of the child. */
void host_lines_read_now(host_lines *lines);
void host_lines_close(host_lines *lines);

typedef struct host_lines_state {
    int fd;
    const char *text; /* the beginning of a line */
    size_t size;
    bool skips; /* the rest of a line that was too long */
} host_lines_state;

host_lines_state host_lines_look(const host_lines *lines);
/* Goes on with a line of that state. */
void host_lines_resume(host_lines *lines, const char *text, size_t size, bool skips);

/* ---- log_file.c: a file for lines, which is put aside when it is large. All of it may wait for the disk */

typedef struct host_log_file host_log_file;

typedef struct host_log_problem {
    const char *what; /* NULL: there is none */
    int number;       /* errno */
} host_log_problem;

/* Opens it to append, or makes it. When it would be larger than `most` bytes (0: never) it becomes PATH.1, that PATH.2 ...
 * PATH.`keep`, and another is begun. NULL: errno. */
host_log_file *host_log_file_open(const char *path, uint64_t most, unsigned keep);
void host_log_file_close(host_log_file *file);
/* Writes what is at its path now: somebody else has put it aside. */
void host_log_file_reopen(host_log_file *file);
/* How many lines were written, which the vectors are; they are used up. Less than all: errno. */
int host_log_file_write(host_log_file *file, struct iovec *lines, int count);
/* The last since it was asked last. */
host_log_problem host_log_file_problem(host_log_file *file);

/* The same for a descriptor; *part: how many bytes of the next line were written. */
int host_log_write(int fd, struct iovec *lines, int count, size_t *part);

/* ---- sink.c: what the master writes, by a thread of its own */

enum {
    HOST_SINK_BYTES = 1 << 20,    /* that wait to be written; what does not fit is lost, and counted */
    HOST_SINK_OWN_BYTES = 1 << 16 /* of these, for what the master says itself: no worker can take its place */
};

typedef struct host_sink host_sink;

/* Takes the file over, to which everything goes then. NULL: no memory, or no thread, and the file is still the caller's. */
host_sink *host_sink_open(host_log_file *file);
/* One record, whole lines, to the file, or without one to `fd`, which stays open longer than the sink. Never waits; false:
 * lost. */
bool host_sink_put(host_sink *sink, int fd, const char *text, size_t size, bool is_own);
/* How many records were lost since it was asked last, those with them that the system refused to write. */
uint64_t host_sink_lost(host_sink *sink);
/* What went wrong last, since it was asked last. */
host_log_problem host_sink_problem(host_sink *sink);
/* Opens the file again, some time later. */
void host_sink_reopen(host_sink *sink);
/* Waits until all is written, or nothing was for `patience` seconds, but no longer than `most`; what takes longer is still
 * tried as long as the process runs. How many records that are. */
uint64_t host_sink_close(host_sink *sink, double patience, double most);

/* ---- lock.c: a file that one process holds */

/* Makes the file when it is missing, never follows a link, and writes the pid of this process into it. A descriptor; or
 * -1, errno: EWOULDBLOCK when another holds it, whose pid is `holder` then (0: it says none), EINVAL when it is no file. */
int host_lock_take(const char *path, int mode, long *holder);
void host_lock_free(const char *path, int fd);
/* Makes the folders that the file is to be in, mode 0755. */
void host_lock_folders(const char *path);

/* ---- reap.c: the end of children, each the leader of a process group, which ends with it */

enum { HOST_REAP_UNKNOWN = -1 }; /* somebody else was told how it has ended */

typedef void (*host_reap_hook)(void *self, pid_t pid, int status); /* status as waitpid gives it, or unknown */

/* Calls the hook, in the loop, when `pid` has ended. 0 or -1: no memory. */
int host_reap(uv_loop_t *loop, pid_t pid, host_reap_hook hook, void *self);
void host_reap_close(void);

#endif
