/* What the master writes to its standard output and error, or to a file: by a thread of its own, so that a terminal
 * which was stopped, a pipe that nobody reads or a slow disk never keeps the master from its work. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include <uv.h>

#include "host/cluster/cluster.h"

enum {
    PIECES = 64,        /* records of one writev */
    AT_ONCE = 1 << 14,  /* bytes of one, but for its last record: each that is over shows that somebody reads */
    ENOUGH = 1 << 15,   /* bytes for which the thread is woken at once */
    PATIENCE = 3000000, /* nanoseconds that it waits for so many: a line at a time would cost more than all the rest */
};

typedef struct record {
    int fd;
    uint32_t size; /* of the text behind it */
} record;

typedef struct buffer {
    size_t len;
    char bytes[HOST_SINK_BYTES];
} buffer;

/* The loop fills one buffer while the thread writes the other. */
struct host_sink {
    uv_thread_t thread;
    uv_mutex_t mutex;
    uv_cond_t filled, written;
    buffer *filling, *writing;
    host_log_file *file; /* the thread's; NULL: each record says its descriptor */
    uint64_t lost;       /* records, since it was asked last */
    uint64_t unwritten;  /* records, but for those that are lost */
    unsigned steps;      /* how often something was written */
    host_log_problem problem;
    bool reopens, closing, abandoned, ended;
};

/* ---- the thread ---- */

/* How many of the pieces were written as a whole. */
static int write_pieces(host_sink *s, int fd, struct iovec *pieces, int count)
{
    size_t part;
    int written = s->file ? host_log_file_write(s->file, pieces, count) : host_log_write(fd, pieces, count, &part);
    int problem = errno;
    uv_mutex_lock(&s->mutex);
    s->unwritten -= (uint64_t)count;
    s->steps++;
    uv_mutex_unlock(&s->mutex);
    return errno = problem, written;
}

/* How many records were lost; then errno. */
static uint32_t write_buffer(host_sink *s, buffer *b)
{
    uint32_t lost = 0;
    size_t at = 0;
    int problem = 0;
    while (at < b->len) {
        struct iovec pieces[PIECES];
        record first, next;
        int count = 0;
        memcpy(&first, b->bytes + at, sizeof first);
        next = first;
        for (size_t begin = at; at < b->len && count < PIECES && at - begin < AT_ONCE; count++) {
            memcpy(&next, b->bytes + at, sizeof next);
            if (next.fd != first.fd) break;
            pieces[count] = (struct iovec){b->bytes + at + sizeof next, next.size};
            at += sizeof next + next.size;
        }
        uint32_t unwritten = (uint32_t)(count - write_pieces(s, first.fd, pieces, count));
        if (unwritten) problem = errno;
        lost += unwritten;
    }
    b->len = 0;
    return errno = problem, lost;
}

static void swap(host_sink *s)
{
    buffer *b = s->filling;
    s->filling = s->writing;
    s->writing = b;
}

static void free_sink(host_sink *s)
{
    if (s->file) host_log_file_close(s->file);
    uv_cond_destroy(&s->written);
    uv_cond_destroy(&s->filled);
    uv_mutex_destroy(&s->mutex);
    free(s->filling);
    free(s->writing);
    free(s);
}

/* What is to be done next; gives the mutex back meanwhile. */
static void work(host_sink *s, bool reopens)
{
    uv_mutex_unlock(&s->mutex);
    if (reopens && s->file) host_log_file_reopen(s->file);
    uint32_t lost = write_buffer(s, s->writing);
    host_log_problem problem = {lost ? "cannot write it" : NULL, errno};
    if (s->file) problem = host_log_file_problem(s->file);
    uv_mutex_lock(&s->mutex);
    s->lost += lost;
    if (problem.what) s->problem = problem;
}

/* Whether something else is to be done at once, however little there is to write. */
static bool is_urged(const host_sink *s)
{
    return s->reopens || s->closing;
}

static void wait_for_work(host_sink *s)
{
    while (s->filling->len == 0 && !is_urged(s)) uv_cond_wait(&s->filled, &s->mutex);
    uint64_t until = uv_hrtime() + PATIENCE;
    for (uint64_t now = uv_hrtime(); s->filling->len < ENOUGH && !is_urged(s) && now < until; now = uv_hrtime())
        uv_cond_timedwait(&s->filled, &s->mutex, until - now);
}

static void run(void *self)
{
    host_sink *s = self;
    uv_mutex_lock(&s->mutex);
    for (;;) {
        wait_for_work(s);
        if (s->filling->len == 0 && !s->reopens) break;
        bool reopens = s->reopens;
        s->reopens = false;
        swap(s);
        work(s, reopens);
    }
    s->ended = true;
    bool is_mine = s->abandoned;
    uv_cond_signal(&s->written);
    uv_mutex_unlock(&s->mutex);
    if (is_mine) free_sink(s);
}

/* ---- the loop ---- */

/* Signals are for the main thread. */
static int start_thread(host_sink *s)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = uv_thread_create(&s->thread, run, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

host_sink *host_sink_open(host_log_file *file)
{
    host_sink *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    s->filling = calloc(1, sizeof *s->filling);
    s->writing = calloc(1, sizeof *s->writing);
    uv_mutex_init(&s->mutex);
    uv_cond_init(&s->filled);
    uv_cond_init(&s->written);
    if (!s->filling || !s->writing || start_thread(s) != 0) return free_sink(s), NULL;
    s->file = file;
    return s;
}

bool host_sink_put(host_sink *s, int fd, const char *text, size_t size, bool is_own)
{
    record r = {fd, (uint32_t)size};
    size_t room = HOST_SINK_BYTES - (is_own ? 0 : HOST_SINK_OWN_BYTES);
    uv_mutex_lock(&s->mutex);
    buffer *b = s->filling;
    bool fits = size + sizeof r <= room && b->len <= room - sizeof r - size;
    if (fits) {
        memcpy(b->bytes + b->len, &r, sizeof r);
        memcpy(b->bytes + b->len + sizeof r, text, size);
        if (b->len == 0 || (b->len < ENOUGH && b->len + sizeof r + size >= ENOUGH)) uv_cond_signal(&s->filled);
        b->len += sizeof r + size;
        s->unwritten++;
    } else {
        s->lost++;
    }
    uv_mutex_unlock(&s->mutex);
    return fits;
}

uint64_t host_sink_lost(host_sink *s)
{
    uv_mutex_lock(&s->mutex);
    uint64_t lost = s->lost;
    s->lost = 0;
    uv_mutex_unlock(&s->mutex);
    return lost;
}

host_log_problem host_sink_problem(host_sink *s)
{
    uv_mutex_lock(&s->mutex);
    host_log_problem problem = s->problem;
    s->problem = (host_log_problem){NULL, 0};
    uv_mutex_unlock(&s->mutex);
    return problem;
}

void host_sink_reopen(host_sink *s)
{
    uv_mutex_lock(&s->mutex);
    s->reopens = true;
    uv_cond_signal(&s->filled);
    uv_mutex_unlock(&s->mutex);
}

/* Until all is written, or nothing was for so long. */
static void wait_for_end(host_sink *s, double patience, double most)
{
    uint64_t begin = uv_hrtime(), last = begin + (uint64_t)(most * 1e9), until = begin;
    unsigned steps = s->steps - 1;
    for (uint64_t now = begin; !s->ended && now < last; now = uv_hrtime()) {
        if (s->steps != steps) until = now + (uint64_t)(patience * 1e9);
        else if (now >= until) return;
        steps = s->steps;
        uv_cond_timedwait(&s->written, &s->mutex, (until < last ? until : last) - now);
    }
}

uint64_t host_sink_close(host_sink *s, double patience, double most)
{
    uv_mutex_lock(&s->mutex);
    s->closing = true;
    uv_cond_signal(&s->filled);
    wait_for_end(s, patience, most);
    bool ended = s->ended;
    uint64_t unwritten = s->unwritten;
    pthread_t thread = s->thread;
    s->abandoned = !ended;
    uv_mutex_unlock(&s->mutex);
    if (!ended) {
        pthread_detach(thread); /* it may hang in a write: who has abandoned it frees nothing */
        return unwritten;
    }
    uv_thread_join(&thread);
    free_sink(s);
    return 0;
}
