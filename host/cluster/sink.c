/* What the master writes to its standard output and error: by a thread of its own, so that a terminal which was
 * stopped, a pipe that nobody reads or a slow disk never keeps the master from its work. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include <uv.h>

#include "host/cluster/cluster.h"

enum { PIECES = 64 }; /* records of one writev */

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
    uint64_t lost; /* records, since it was asked last */
    bool closing, ended;
};

/* ---- the thread ---- */

static bool wait_writable(int fd)
{
    struct pollfd p = {fd, POLLOUT, 0};
    return poll(&p, 1, -1) > 0 || errno == EINTR;
}

/* How many of the pieces were written as a whole. */
static int write_pieces(int fd, struct iovec *pieces, int count)
{
    int done = 0;
    while (done < count) {
        ssize_t n = writev(fd, pieces + done, count - done);
        if (n < 0 && (errno == EINTR || (errno == EAGAIN && wait_writable(fd)))) continue;
        if (n < 0) return done;
        while (done < count && (size_t)n >= pieces[done].iov_len) n -= (ssize_t)pieces[done++].iov_len;
        if (done == count) return done;
        pieces[done].iov_base = (char *)pieces[done].iov_base + n;
        pieces[done].iov_len -= (size_t)n;
    }
    return done;
}

/* How many records were lost. */
static uint32_t write_buffer(buffer *b)
{
    uint32_t lost = 0;
    size_t at = 0;
    while (at < b->len) {
        struct iovec pieces[PIECES];
        record first, next;
        int count = 0;
        memcpy(&first, b->bytes + at, sizeof first);
        for (next = first; at < b->len && count < PIECES; count++) {
            memcpy(&next, b->bytes + at, sizeof next);
            if (next.fd != first.fd) break;
            pieces[count] = (struct iovec){b->bytes + at + sizeof next, next.size};
            at += sizeof next + next.size;
        }
        lost += (uint32_t)(count - write_pieces(first.fd, pieces, count));
    }
    b->len = 0;
    return lost;
}

static void swap(host_sink *s)
{
    buffer *b = s->filling;
    s->filling = s->writing;
    s->writing = b;
}

static void run(void *self)
{
    host_sink *s = self;
    uv_mutex_lock(&s->mutex);
    for (;;) {
        while (s->filling->len == 0 && !s->closing) uv_cond_wait(&s->filled, &s->mutex);
        if (s->filling->len == 0) break;
        swap(s);
        uv_mutex_unlock(&s->mutex);
        uint32_t lost = write_buffer(s->writing);
        uv_mutex_lock(&s->mutex);
        s->lost += lost;
    }
    s->ended = true;
    uv_cond_signal(&s->written);
    uv_mutex_unlock(&s->mutex);
}

/* ---- the loop ---- */

static void free_sink(host_sink *s)
{
    free(s->filling);
    free(s->writing);
    free(s);
}

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

host_sink *host_sink_open(void)
{
    host_sink *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    s->filling = calloc(1, sizeof *s->filling);
    s->writing = calloc(1, sizeof *s->writing);
    if (!s->filling || !s->writing) return free_sink(s), NULL;
    uv_mutex_init(&s->mutex);
    uv_cond_init(&s->filled);
    uv_cond_init(&s->written);
    if (start_thread(s) == 0) return s;
    uv_cond_destroy(&s->written);
    uv_cond_destroy(&s->filled);
    uv_mutex_destroy(&s->mutex);
    return free_sink(s), NULL;
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
        b->len += sizeof r + size;
        uv_cond_signal(&s->filled);
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

void host_sink_close(host_sink *s, double seconds)
{
    uint64_t until = uv_hrtime() + (uint64_t)(seconds * 1e9);
    uv_mutex_lock(&s->mutex);
    s->closing = true;
    uv_cond_signal(&s->filled);
    for (uint64_t now = uv_hrtime(); !s->ended && now < until; now = uv_hrtime())
        uv_cond_timedwait(&s->written, &s->mutex, until - now);
    bool ended = s->ended;
    uv_mutex_unlock(&s->mutex);
    if (!ended) return; /* it hangs in a write, and ends with the process */
    uv_thread_join(&s->thread);
    uv_cond_destroy(&s->written);
    uv_cond_destroy(&s->filled);
    uv_mutex_destroy(&s->mutex);
    free_sink(s);
}
