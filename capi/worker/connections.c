/* Connections of a worker.
 *
 * Design note. The master keeps its copy of a connection until it is answered, in the order in which they were given,
 * so an answer that the kernel has no room for waits here. A listener that all workers share is accepted from here, one
 * connection a turn, as what is left is for the others as well, and only while fewer are open than may be. A program
 * that accepts when it likes gets the listener to ask it things, and an epoll with the listener in it to wait for: what is
 * not to be accepted now is taken out of that, which does not disturb the others who have the same listener. One that
 * accepts by itself gets the listener alone. The lock is for all of it. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/error.h"
#include "worker/internal.h"

enum { PAUSE = 100000000 }; /* nanoseconds until it is tried again to accept without a descriptor */

typedef struct listener {
    struct listener *next;
    int fd;    /* -1: the program has it, and accepts by itself */
    int watch; /* an epoll that it is in while something may be accepted: that of this process, or its own */
    unsigned number;
    uint32_t most;
    bool is_open, is_watched;
} listener;

/* A connection that the master gives to a program that accepts, and waits for that to do so. */
typedef struct given {
    struct given *next;
    clouds_channel_connection about;
    int fd;
} given;

typedef struct answer {
    char type;
    clouds_channel_connection about;
    int fd; /* -1: none */
} answer;

static struct {
    pthread_mutex_t lock;
    uint32_t takes; /* 0: nothing was said */
    bool ends, is_short;
    int timer, bell; /* the bell is readable while something is given */
    listener *listeners;
    given *given;
    answer answers[2 * CLOUDS_CHANNEL_WINDOW];
    unsigned answer_count;
} all = {.lock = PTHREAD_MUTEX_INITIALIZER, .timer = -1, .bell = -1};

/* ---- what the program wants */

static const char *variable(const char *name)
{
    const char *text = getenv(name);
    return text ? text : "";
}

static int open_timer(void)
{
    all.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (all.timer < 0) return cl_error(CLOUDS_ESYSTEM, "connections cannot be taken: %s", strerror(errno));
    return cl_worker_watch(cl_worker_self.watch, all.timer, CL_WATCH_PAUSE);
}

static int open_bell(void)
{
    all.bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return all.bell >= 0 ? 0 : cl_error(CLOUDS_ESYSTEM, "connections cannot be taken: %s", strerror(errno));
}

static int begin_to_take(uint32_t what)
{
    if (all.takes) return cl_error(CLOUDS_EEXIST, "this worker takes connections already");
    if (!*variable("CLOUDS_LISTEN"))
        return cl_error(CLOUDS_ENOTSUP, "the group of this worker listens nowhere: start it with --listen 8080");
    if (what != CLOUDS_WORKER_TAKE_CONNECTIONS && strcmp(variable("CLOUDS_DISPATCH"), "shared") != 0)
        return cl_error(CLOUDS_ENOTSUP, "the master accepts for this worker, which has no listeners: start it with "
                                        "--dispatch shared");
    int code = what != CLOUDS_WORKER_TAKE_LISTENERS ? open_timer() : 0;
    if (code == 0 && what == CLOUDS_WORKER_TAKE_ACCEPTING) code = open_bell();
    if (code == 0) all.takes = what;
    return code;
}

int cl_worker_take(uint32_t what)
{
    int code = cl_worker_check();
    if (code != 0) return code;
    if (what < CLOUDS_WORKER_TAKE_CONNECTIONS || what > CLOUDS_WORKER_TAKE_ACCEPTING)
        return cl_error(CLOUDS_EINVAL, "clouds_worker_take: expected connections or listeners, got %u", (unsigned)what);
    pthread_mutex_lock(&all.lock);
    code = begin_to_take(what);
    pthread_mutex_unlock(&all.lock);
    return code;
}

int cl_worker_check_taker(void)
{
    pthread_mutex_lock(&all.lock);
    bool is_missing = !all.takes && *variable("CLOUDS_LISTEN");
    pthread_mutex_unlock(&all.lock);
    if (!is_missing) return 0;
    return cl_error(CLOUDS_EINVAL, "the group of this worker listens at %s, and the program takes no connections",
                    variable("CLOUDS_LISTEN_AT"));
}

/* ---- answers to the master */

static bool answer_all(void)
{
    static const uint32_t one = 1;
    unsigned sent = 0;
    for (; sent < all.answer_count; sent++) {
        const answer *a = &all.answers[sent];
        bool is_back = a->type == CLOUDS_CHANNEL_BACK, is_taken = a->type == CLOUDS_CHANNEL_TAKEN;
        const void *body = is_back ? (const void *)&a->about : &one;
        size_t size = is_back ? sizeof a->about : is_taken ? sizeof one : 0;
        if (cl_worker_send_with(a->type, body, size, a->fd) == CLOUDS_ELIMIT) break;
        if (a->fd >= 0) close(a->fd);
    }
    all.answer_count -= sent;
    memmove(all.answers, all.answers + sent, all.answer_count * sizeof *all.answers);
    return all.answer_count > 0;
}

bool cl_worker_answer(void)
{
    pthread_mutex_lock(&all.lock);
    bool is_left = answer_all();
    pthread_mutex_unlock(&all.lock);
    return is_left;
}

/* A master that does not wait for answers gets none. */
static void say(answer a)
{
    if (all.answer_count < sizeof all.answers / sizeof *all.answers) all.answers[all.answer_count++] = a;
    else if (a.fd >= 0) close(a.fd);
    answer_all();
}

/* ---- accepting here */

/* After each change: a listener is watched while somebody takes what comes, and not too many are open. */
static void update(void)
{
    uint64_t open = __atomic_load_n(&cl_worker_self.board->open, __ATOMIC_RELAXED);
    for (listener *l = all.listeners; l; l = l->next) {
        bool yes = l->fd >= 0 && l->is_open && !all.ends && !all.is_short && open < l->most;
        if (yes == l->is_watched) continue;
        if (!yes) epoll_ctl(l->watch, EPOLL_CTL_DEL, l->fd, NULL);
        l->is_watched = yes && cl_worker_watch(l->watch, l->fd, CL_WATCH_LISTENER + (uint64_t)l->number) == 0;
    }
}

/* For what is missing, and will be there again. */
static void pause_accepting(void)
{
    struct itimerspec once = {.it_value.tv_nsec = PAUSE};
    timerfd_settime(all.timer, 0, &once, NULL);
    all.is_short = true;
    update();
}

void cl_worker_end_pause(void)
{
    uint64_t times;
    pthread_mutex_lock(&all.lock);
    if (read(all.timer, &times, sizeof times) == sizeof times) all.is_short = false;
    update();
    pthread_mutex_unlock(&all.lock);
}

static listener **find(unsigned number)
{
    listener **at = &all.listeners;
    while (*at && (*at)->number != number) at = &(*at)->next;
    return at;
}

static int accept_from(const listener *l)
{
    int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) pause_accepting();
    return fd;
}

bool cl_worker_accept(unsigned number, cl_worker_message *out)
{
    static clouds_channel_connection about;
    pthread_mutex_lock(&all.lock);
    const listener *l = *find(number);
    int fd = l && l->is_watched ? accept_from(l) : -1;
    pthread_mutex_unlock(&all.lock);
    about.listener = (uint16_t)number;
    *out = (cl_worker_message){CL_WORKER_ACCEPTED, (const char *)&about, sizeof about, fd};
    return fd >= 0;
}

static void count_one_more(void)
{
    __atomic_add_fetch(&cl_worker_self.board->open, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&cl_worker_self.board->accepted, 1, __ATOMIC_RELAXED);
    update();
}

/* ---- for a program that accepts */

/* The bell, as it is to be now. What it has is written or read whole, or is so already. */
static void ring(void)
{
    uint64_t one = 1;
    ssize_t size = all.given ? write(all.bell, &one, sizeof one) : read(all.bell, &one, sizeof one);
    (void)size;
}

static bool keep_given(clouds_channel_connection about, int fd)
{
    given *g = malloc(sizeof *g), **last = &all.given;
    if (!g) return false;
    *g = (given){NULL, about, fd};
    while (*last) last = &(*last)->next;
    *last = g;
    ring();
    return true;
}

static int take_given(given **at)
{
    given *g = *at;
    int fd = g->fd;
    *at = g->next;
    free(g);
    ring();
    return fd;
}

/* Of this listener, or one that is there no more: -1, there is none. */
static int accept_given(unsigned number)
{
    for (given **at = &all.given; *at; at = &(*at)->next) {
        if ((*at)->about.listener != number && *find((*at)->about.listener)) continue;
        say((answer){.type = CLOUDS_CHANNEL_TAKEN, .fd = -1});
        return take_given(at);
    }
    return -1;
}

static void give_all_back(void)
{
    while (all.given) {
        clouds_channel_connection about = all.given->about;
        say((answer){CLOUDS_CHANNEL_BACK, about, take_given(&all.given)});
    }
}

int cl_worker_accept_for_program(unsigned number, int *out)
{
    int code = cl_worker_check();
    if (code != 0) return code;
    pthread_mutex_lock(&all.lock);
    const listener *l = *find(number);
    *out = accept_given(number);
    if (*out < 0 && l && l->is_watched) *out = accept_from(l);
    if (*out >= 0) count_one_more();
    pthread_mutex_unlock(&all.lock);
    return *out >= 0;
}

/* ---- the end of accepting */

static void close_listener(listener **at)
{
    listener *l = *at;
    *at = l->next;
    if (l->is_watched) epoll_ctl(l->watch, EPOLL_CTL_DEL, l->fd, NULL);
    if (l->fd >= 0) close(l->fd);
    if (l->watch >= 0 && l->watch != cl_worker_self.watch) close(l->watch);
    free(l);
}

void cl_worker_take_no_more(void)
{
    pthread_mutex_lock(&all.lock);
    all.ends = true;
    give_all_back();
    if (all.takes != CLOUDS_WORKER_TAKE_LISTENERS)
        while (all.listeners) close_listener(&all.listeners);
    pthread_mutex_unlock(&all.lock);
}

/* ---- what comes */

/* It counts as open before the master hears that it is here. */
static bool take(clouds_channel_connection about, const cl_worker_message *m)
{
    bool is_given = m->type == CLOUDS_CHANNEL_CONNECTION, takes = all.takes && !all.ends;
    if (!is_given || (takes && all.takes == CLOUDS_WORKER_TAKE_CONNECTIONS)) {
        count_one_more();
        if (is_given) say((answer){.type = CLOUDS_CHANNEL_TAKEN, .fd = -1});
        return true;
    }
    bool is_kept = takes && all.takes == CLOUDS_WORKER_TAKE_ACCEPTING && keep_given(about, m->fd);
    if (!is_kept) say((answer){CLOUDS_CHANNEL_BACK, about, m->fd});
    return false;
}

static bool take_connection(const cl_worker_message *m, cl_worker_arrival *out)
{
    clouds_channel_connection about = {0};
    if (m->size == sizeof about) memcpy(&about, m->body, sizeof about);
    *out = (cl_worker_arrival){.listener = about.listener, .fd = m->fd, .watch = -1};
    out->is_back = about.flags & CLOUDS_CONNECTION_BACK;
    if (m->fd >= 0) return take(about, m);
    say((answer){.type = CLOUDS_CHANNEL_WITHOUT, .fd = -1});
    return false;
}

/* What the program gets of one that it accepts from when it likes: copies, which it may close when it likes. */
static bool copy_for_program(listener *l, cl_worker_arrival *out)
{
    l->watch = epoll_create1(EPOLL_CLOEXEC);
    if (l->watch < 0 || cl_worker_watch(l->watch, all.bell, CL_WATCH_PAUSE) != 0) return false;
    int fd = fcntl(l->fd, F_DUPFD_CLOEXEC, 0), watch = fcntl(l->watch, F_DUPFD_CLOEXEC, 0);
    *out = (cl_worker_arrival){.is_listener = true, .listener = l->number, .fd = fd, .watch = watch};
    if (fd >= 0 && watch >= 0) return true;
    if (fd >= 0) close(fd);
    if (watch >= 0) close(watch);
    return false;
}

static bool keep_listener(const clouds_channel_listener *about, int fd)
{
    listener *l = calloc(1, sizeof *l);
    if (!l) return close(fd), false;
    *l = (listener){all.listeners, fd, cl_worker_self.watch, about->listener, about->connections, true, false};
    all.listeners = l;
    return true;
}

/* Whether there is something for the program. */
static bool add_first(const clouds_channel_listener *about, int fd, cl_worker_arrival *out)
{
    *out = (cl_worker_arrival){.is_listener = true, .listener = about->listener, .fd = fd, .watch = -1};
    if (!keep_listener(about, fd)) return false;
    bool is_whole = true;
    if (all.takes == CLOUDS_WORKER_TAKE_LISTENERS) all.listeners->fd = -1;
    if (all.takes == CLOUDS_WORKER_TAKE_ACCEPTING) is_whole = copy_for_program(all.listeners, out);
    if (!is_whole) close_listener(&all.listeners);
    update();
    return is_whole && all.takes != CLOUDS_WORKER_TAKE_CONNECTIONS;
}

/* The master may give one again: the newer takes the place of the older, unless the program has that. */
static bool add_listener(const clouds_channel_listener *about, int fd, cl_worker_arrival *out)
{
    listener **at = find(about->listener), *l = *at;
    if (l && all.takes == CLOUDS_WORKER_TAKE_CONNECTIONS) close_listener(at), l = NULL;
    if (!l && all.takes && !all.ends) return add_first(about, fd, out);
    close(fd);
    if (!l) return false;
    l->most = about->connections;
    l->is_open = true;
    update();
    return false;
}

static bool drop_listener(unsigned number, cl_worker_arrival *out)
{
    listener **at = find(number), *l = *at;
    *out = (cl_worker_arrival){.is_listener = true, .listener = number, .fd = -1, .watch = -1};
    if (!l) return false;
    if (all.takes != CLOUDS_WORKER_TAKE_ACCEPTING) close_listener(at);
    else l->is_open = false;
    update();
    return all.takes == CLOUDS_WORKER_TAKE_LISTENERS;
}

static bool take_listener(const cl_worker_message *m, cl_worker_arrival *out)
{
    clouds_channel_listener about;
    bool is_whole = m->size == sizeof about;
    if (is_whole) memcpy(&about, m->body, sizeof about);
    if (is_whole && m->type == CLOUDS_CHANNEL_LISTENER && m->fd >= 0) return add_listener(&about, m->fd, out);
    if (m->fd >= 0) close(m->fd);
    return is_whole && m->type == CLOUDS_CHANNEL_UNLISTEN && drop_listener(about.listener, out);
}

bool cl_worker_arrive(const cl_worker_message *m, cl_worker_arrival *out)
{
    bool is_connection = m->type == CLOUDS_CHANNEL_CONNECTION || m->type == CL_WORKER_ACCEPTED;
    pthread_mutex_lock(&all.lock);
    bool is_for_program = is_connection ? take_connection(m, out) : take_listener(m, out);
    pthread_mutex_unlock(&all.lock);
    return is_for_program;
}

/* ---- what goes */

int cl_worker_give_back(unsigned number, int fd)
{
    const clouds_channel_connection about = {(uint16_t)number, CLOUDS_CONNECTION_BACK | CLOUDS_CONNECTION_KEPT};
    return cl_worker_send_with(CLOUDS_CHANNEL_BACK, &about, sizeof about, fd);
}

/* ---- counts */

static void change_number(uint64_t *number, int64_t change)
{
    uint64_t now = __atomic_load_n(number, __ATOMIC_RELAXED), less = change < 0 ? (uint64_t)-change : 0;
    __atomic_store_n(number, change >= 0 ? now + (uint64_t)change : now > less ? now - less : 0, __ATOMIC_RELAXED);
}

/* Requests in flight are changed by those who have calls, too, without the lock. */
static int change_count(clouds_board *board, uint32_t what, int64_t change)
{
    switch (what) {
    case CLOUDS_WORKER_COUNT_CONNECTIONS:
        change_number(&board->open, change);
        update();
        return 0;
    case CLOUDS_WORKER_COUNT_REQUESTS:
        cl_worker_begin((uint64_t)change);
        return 0;
    case CLOUDS_WORKER_COUNT_IN_FLIGHT:
        __atomic_add_fetch(&board->in_flight, (uint64_t)change, __ATOMIC_RELAXED);
        return 0;
    case CLOUDS_WORKER_COUNT_ERRORS:
        change_number(&board->errors, change);
        return 0;
    case CLOUDS_WORKER_COUNT_REMAIN:
        change_number(&board->remain, change);
        __atomic_store_n(&board->uses_remain, 1, __ATOMIC_RELEASE);
        return 0;
    default:
        return cl_error(CLOUDS_EINVAL, "clouds_worker_count: there is no count %u", (unsigned)what);
    }
}

int cl_worker_count(uint32_t what, int64_t change)
{
    int code = cl_worker_check();
    if (code != 0) return code;
    if (change < 0 && (what == CLOUDS_WORKER_COUNT_REQUESTS || what == CLOUDS_WORKER_COUNT_ERRORS))
        return cl_error(CLOUDS_EINVAL, "clouds_worker_count: what has happened does not become less");
    pthread_mutex_lock(&all.lock);
    code = change_count(cl_worker_self.board, what, change);
    pthread_mutex_unlock(&all.lock);
    return code;
}
