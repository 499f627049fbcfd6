/* The net layer by itself: loop, alarms, watches, conns and listeners. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clouds.h"
#include "local/folder.h"
#include "net/conn.h"
#include "support/tap.h"

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* The resolver: knows localhost on every machine, and names that hang it until they are let go. */
static pthread_mutex_t resolver = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int hanging, may_go; /* under the mutex */

static void hang(void)
{
    pthread_mutex_lock(&resolver);
    hanging++;
    while (!may_go) pthread_cond_wait(&changed, &resolver);
    hanging--;
    pthread_mutex_unlock(&resolver);
}

static int names_that_hang(void)
{
    pthread_mutex_lock(&resolver);
    int n = hanging;
    pthread_mutex_unlock(&resolver);
    return n;
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (hints->ai_flags & AI_NUMERICHOST) return real(host, service, hints, out);
    if (strcmp(host, "localhost") == 0) return real("127.0.0.1", service, hints, out);
    hang();
    return EAI_AGAIN;
}

static int woken, turns;

static void on_woken(void *self)
{
    woken++;
}

static void on_turn(void *self)
{
    turns++;
}

static cl_loop *make_loop(void)
{
    cl_loop *loop = NULL;
    cl_loop_hooks hooks = {.woken = on_woken, .turn = on_turn};
    if (cl_loop_create(&hooks, &loop) != 0) exit(99);
    woken = turns = 0;
    return loop;
}

static int is_readable(int fd, int timeout)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, timeout) == 1;
}

#define UNTIL(loop, condition)                                                                                         \
    do {                                                                                                               \
        int64_t until = cl_loop_now() + 20000;                                                                         \
        while (!(condition) && cl_loop_now() < until) cl_loop_run(loop, 100);                                          \
        CHECK(condition);                                                                                              \
    } while (0)

/* ---- a conn that remembers */

typedef struct end {
    cl_conn *conn;
    cl_buf got;
    int opened, closed, code, drained, echo, close_on_data;
    size_t bytes;
    const char *more; /* written when it has drained for the first time */
    char words[256];
} end;

static void put(end *e, const char *text)
{
    cl_buf_put(cl_conn_out(e->conn), text, strlen(text));
    cl_conn_commit(e->conn);
}

static void on_opened(void *self)
{
    ((end *)self)->opened++;
}

static void on_data(void *self, const char *p, size_t n)
{
    end *e = self;
    e->bytes += n;
    if (n < 1000) cl_buf_put(&e->got, p, n);
    if (e->echo) {
        cl_buf_put(cl_conn_out(e->conn), p, n);
        cl_conn_commit(e->conn);
    }
    if (e->close_on_data) cl_conn_close(e->conn, 0);
}

static void on_drained(void *self)
{
    end *e = self;
    e->drained++;
    if (e->more) put(e, e->more);
    e->more = NULL;
}

static void on_closed(void *self, int code, const char *words)
{
    end *e = self;
    e->closed++;
    e->code = code;
    e->conn = NULL;
    snprintf(e->words, sizeof e->words, "%s", words);
    cl_buf_free(&e->got);
}

static cl_conn_hooks hooks_of(end *e)
{
    return (cl_conn_hooks){e, on_opened, on_data, on_drained, on_closed};
}

static end accepted[64];
static int accepted_count, accept_echo;

static void on_accepted(void *self, cl_conn *conn)
{
    end *e = &accepted[accepted_count++ % 64];
    *e = (end){.conn = conn, .echo = accept_echo};
    cl_conn_hooks hooks = hooks_of(e);
    cl_conn_set_hooks(conn, &hooks);
}

static cl_listener *listen_at(cl_loop *loop, const char *name, int echo)
{
    cl_listener *listener = NULL;
    accepted_count = 0;
    accept_echo = echo;
    unlink(path_of(name));
    if (cl_listener_unix(loop, path_of(name), on_accepted, NULL, &listener) != 0) exit(98);
    return listener;
}

static void connect_to(cl_loop *loop, const char *name, end *e)
{
    *e = (end){0};
    cl_conn_hooks hooks = hooks_of(e);
    CHECK_INT(cl_conn_unix(loop, path_of(name), 5, &hooks, &e->conn), 0);
}

static void echo_over_a_unix_socket(void)
{
    cl_loop *loop = make_loop();
    cl_listener *listener = listen_at(loop, "echo", 1);
    end e;
    connect_to(loop, "echo", &e);
    put(&e, "before it is open, ");
    CHECK_INT(e.opened, 0);
    UNTIL(loop, e.opened);
    put(&e, "and after");
    UNTIL(loop, e.got.len == 28);
    CHECK_STR(e.got.data, e.got.len, "before it is open, and after");
    CHECK_INT(cl_conn_peer_uid(e.conn), getuid());
    CHECK_INT(cl_conn_pending(e.conn), 0);
    CHECK(e.drained > 0);
    cl_conn_close(accepted[0].conn, 0);
    UNTIL(loop, e.closed);
    CHECK_INT(e.code, CLOUDS_ELOST);
    CHECK_STR(e.words, strlen(e.words), "closed by the peer");
    CHECK_INT(accepted[0].closed, 1);
    CHECK_INT(accepted[0].code, 0);
    cl_listener_close(listener);
    cl_loop_close(loop);
}

/* Far more than the kernel takes, with a peer that starts to read late; all of it arrives though we close at once. */
static void a_backlog_is_written_before_the_end(void)
{
    cl_loop *loop = make_loop();
    cl_listener *listener = listen_at(loop, "big", 0);
    end e;
    connect_to(loop, "big", &e);
    UNTIL(loop, e.opened);
    enum { PIECE = 100000, PIECES = 80 };
    char *piece = calloc(1, PIECE);
    for (int i = 0; i < PIECES; i++) {
        cl_buf_put(cl_conn_out(e.conn), piece, PIECE);
        cl_conn_commit(e.conn);
    }
    free(piece);
    CHECK(cl_conn_pending(e.conn) > 1000000);
    cl_conn_close(e.conn, 1);
    cl_conn_close(e.conn, 1);
    UNTIL(loop, e.closed && accepted[0].closed);
    CHECK_INT(e.code, 0);
    CHECK_INT(accepted[0].bytes, PIECE * PIECES);
    cl_listener_close(listener);
    cl_loop_close(loop);
}

static void drained_comes_after_a_backlog(void)
{
    cl_loop *loop = make_loop();
    cl_listener *listener = listen_at(loop, "drain", 0);
    end e;
    connect_to(loop, "drain", &e);
    UNTIL(loop, e.opened);
    char *piece = calloc(1, 3000000);
    cl_buf_put(cl_conn_out(e.conn), piece, 3000000);
    free(piece);
    cl_conn_commit(e.conn);
    CHECK_INT(e.drained, 0);
    UNTIL(loop, e.drained);
    CHECK_INT(cl_conn_pending(e.conn), 0);
    UNTIL(loop, accepted[0].bytes == 3000000);
    cl_listener_close(listener);
    cl_loop_close(loop);
    CHECK_INT(e.closed, 1);
    CHECK_INT(accepted[0].closed, 1);
}

/* A run does not sleep on output, even when it was written at the end of the turn. */
static void what_drained_writes_goes_out(void)
{
    cl_loop *loop = make_loop();
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path_of("more"));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 1) == 0);
    end e;
    connect_to(loop, "more", &e);
    UNTIL(loop, e.opened);
    e.more = "second";
    put(&e, "first ");
    int64_t before = cl_loop_now();
    cl_loop_run(loop, 10000);
    CHECK(cl_loop_now() - before < 5000);
    char text[32] = "";
    int peer = accept(fd, NULL, NULL);
    CHECK_INT(recv(peer, text, sizeof text - 1, MSG_DONTWAIT), 12);
    CHECK_STR(text, 12, "first second");
    close(peer);
    close(fd);
    cl_loop_close(loop);
}

static void nobody_listens(void)
{
    cl_loop *loop = make_loop();
    end e;
    connect_to(loop, "no such", &e);
    CHECK_INT(e.closed, 0);
    UNTIL(loop, e.closed);
    CHECK_INT(e.code, CLOUDS_EUNREACHABLE);
    CHECK(strstr(e.words, "no such file") != NULL);
    cl_conn_hooks hooks = hooks_of(&e);
    e = (end){0};
    CHECK_INT(cl_conn_tcp(loop, "127.0.0.1", 1, 5, &hooks, &e.conn), 0);
    UNTIL(loop, e.closed);
    CHECK_STR(e.words, strlen(e.words), "connect 127.0.0.1:1: connection refused");
    e = (end){0};
    CHECK_INT(cl_conn_tcp(loop, "localhost", 1, 5, &hooks, &e.conn), 0);
    UNTIL(loop, e.closed);
    CHECK_STR(e.words, strlen(e.words), "connect localhost:1: connection refused");
    CHECK_INT(e.opened, 0);
    cl_loop_close(loop);
}

/* A name that does not resolve holds up neither other names, nor the time limit of its own, nor the end of the loop. */
static void names_that_hang_the_resolver(void)
{
    enum { NAMES = 8 };
    cl_loop *loop = make_loop();
    end e[NAMES + 1], timed = {0}, named = {0};
    memset(e, 0, sizeof e);
    for (int i = 0; i <= NAMES; i++) { /* the last asks for the name of the first */
        char host[32];
        snprintf(host, sizeof host, "hangs%d.test", i % NAMES);
        cl_conn_hooks hooks = hooks_of(&e[i]);
        CHECK_INT(cl_conn_tcp(loop, host, 1, 1000, &hooks, &e[i].conn), 0);
    }
    cl_conn_hooks hooks = hooks_of(&named);
    CHECK_INT(cl_conn_tcp(loop, "localhost", 1, 1000, &hooks, &named.conn), 0);
    UNTIL(loop, named.closed);
    CHECK_STR(named.words, strlen(named.words), "connect localhost:1: connection refused");
    hooks = hooks_of(&timed);
    CHECK_INT(cl_conn_tcp(loop, "hangs0.test", 1, 0.05, &hooks, &timed.conn), 0);
    UNTIL(loop, timed.closed);
    CHECK(strstr(timed.words, "no answer within 0.05 s") != NULL);
    UNTIL(loop, names_that_hang() == NAMES);
    CHECK_INT(e[0].closed, 0);
    cl_conn_close(e[1].conn, 0);
    UNTIL(loop, e[1].closed);
    cl_loop_close(loop); /* returns although the resolver does not */
    for (int i = 0; i <= NAMES; i++) CHECK_INT(e[i].closed, 1);
    pthread_mutex_lock(&resolver);
    CHECK_INT(hanging, NAMES); /* one for each name */
    may_go = 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&resolver);
    loop = make_loop();
    e[0] = (end){0};
    hooks = hooks_of(&e[0]);
    CHECK_INT(cl_conn_tcp(loop, "hangs9.test", 1, 1000, &hooks, &e[0].conn), 0);
    UNTIL(loop, e[0].closed);
    CHECK(strncmp(e[0].words, "resolve hangs9.test:1: ", 23) == 0);
    UNTIL(loop, names_that_hang() == 0);
    cl_loop_close(loop);
}

static void a_path_that_is_too_long(void)
{
    cl_loop *loop = make_loop();
    char path[200];
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = 0;
    end e = {0};
    cl_conn_hooks hooks = hooks_of(&e);
    CHECK_INT(cl_conn_unix(loop, path, 1, &hooks, &e.conn), CLOUDS_EINVAL);
    CHECK(strstr(clouds_last_error(), "at most 107 bytes") != NULL);
    cl_listener *listener = NULL;
    CHECK_INT(cl_listener_unix(loop, path, on_accepted, NULL, &listener), CLOUDS_EINVAL);
    CHECK(listener == NULL);
    cl_loop_close(loop);
    CHECK_INT(e.closed, 0);
}

/* A listener whose queue is full never answers: the dial ends by its timeout. */
static void connecting_has_a_limit(void)
{
    cl_loop *loop = make_loop();
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path_of("full"));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 0) == 0);
    end e[4];
    for (int i = 0; i < 4; i++) {
        e[i] = (end){0};
        cl_conn_hooks hooks = hooks_of(&e[i]);
        CHECK_INT(cl_conn_unix(loop, address.sun_path, 0.2, &hooks, &e[i].conn), 0);
    }
    UNTIL(loop, e[3].closed);
    CHECK_INT(e[3].code, CLOUDS_EUNREACHABLE);
    CHECK(strstr(e[3].words, "no answer within 0.2 s") != NULL);
    close(fd);
    cl_loop_close(loop);
}

static void the_end_from_inside_a_hook(void)
{
    cl_loop *loop = make_loop();
    cl_listener *listener = listen_at(loop, "inside", 1);
    end e;
    connect_to(loop, "inside", &e);
    e.close_on_data = 1;
    put(&e, "x");
    UNTIL(loop, e.closed && accepted[0].closed);
    CHECK_INT(e.code, 0);
    CHECK_INT(e.closed, 1);
    cl_listener_close(listener);
    cl_loop_close(loop);
}

/* The peer is gone, and we write: an end, no SIGPIPE. */
static void writing_to_a_dead_peer(void)
{
    cl_loop *loop = make_loop();
    cl_listener *listener = listen_at(loop, "dead", 0);
    end e;
    connect_to(loop, "dead", &e);
    UNTIL(loop, e.opened && accepted_count);
    cl_conn_close(accepted[0].conn, 0);
    put(&e, "x");
    cl_conn_flush(e.conn);
    CHECK_INT(e.closed, 0);
    UNTIL(loop, e.closed);
    CHECK_INT(e.code, CLOUDS_ELOST);
    cl_listener_close(listener);
    cl_loop_close(loop);
}

/* A descriptor whose other end is accepted[0]. */
static int plain_peer(cl_loop *loop, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%.100s", path_of(name));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_INT(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    UNTIL(loop, accepted_count == 1);
    return fd;
}

/* What the peer said before it went is heard, though it was noticed by writing to it. */
static void the_last_words_of_a_dead_peer(void)
{
    cl_loop *loop = make_loop();
    cl_listener *listener = listen_at(loop, "last", 0);
    int fd = plain_peer(loop, "last");
    CHECK_INT(send(fd, "farewell", 8, 0), 8);
    close(fd);
    put(&accepted[0], "too late");
    cl_conn_flush(accepted[0].conn); /* fails, and says nothing yet */
    CHECK_INT(accepted[0].closed, 0);
    put(&accepted[0], "later still");
    CHECK_INT(accepted[0].bytes, 0);
    UNTIL(loop, accepted[0].closed);
    CHECK_INT(accepted[0].bytes, 8);
    CHECK_INT(accepted[0].code, CLOUDS_ELOST);
    cl_listener_close(listener);
    cl_loop_close(loop);
}

/* A peer that takes nothing more and goes on talking is left all the same. */
static void a_peer_that_only_talks(void)
{
    cl_loop *loop = make_loop();
    cl_listener *listener = listen_at(loop, "talks", 0);
    int fd = plain_peer(loop, "talks");
    CHECK_INT(shutdown(fd, SHUT_RD), 0);
    CHECK_INT(send(fd, "words", 5, 0), 5);
    put(&accepted[0], "who listens?");
    UNTIL(loop, accepted[0].closed);
    CHECK_INT(accepted[0].bytes, 5);
    CHECK_INT(accepted[0].code, CLOUDS_ELOST);
    close(fd);
    cl_listener_close(listener);
    cl_loop_close(loop);
}

static int open_descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++) n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* Descriptors run out at each point of its beginning. */
static void a_loop_that_cannot_begin_leaves_nothing(void)
{
    struct rlimit limit, old;
    cl_loop *loop = NULL;
    const cl_loop_hooks hooks = {.woken = on_woken};
    int before = open_descriptors(), failures = 0, code = -1;
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &old), 0);
    int lowest = dup(0);
    close(lowest);
    for (int more = 0; more < 64 && code != 0; more++) {
        limit = old;
        limit.rlim_cur = (rlim_t)(lowest + more);
        CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
        code = cl_loop_create(&hooks, &loop);
        CHECK_INT(setrlimit(RLIMIT_NOFILE, &old), 0);
        if (code == 0) continue;
        failures++;
        CHECK_INT(code, CLOUDS_ESYSTEM);
        CHECK_INT(open_descriptors(), before);
    }
    CHECK_INT(code, 0);
    CHECK(failures > 0);
    cl_loop_close(loop);
}

static void closing_the_loop_ends_everything(void)
{
    cl_loop *loop = make_loop();
    cl_listener *listener = listen_at(loop, "end", 0);
    end open, dialing, refused, named;
    connect_to(loop, "end", &open);
    UNTIL(loop, open.opened && accepted_count);
    char *piece = calloc(1, 3000000);
    cl_buf_put(cl_conn_out(open.conn), piece, 3000000);
    free(piece);
    cl_conn_commit(open.conn);
    connect_to(loop, "end", &dialing);
    connect_to(loop, "nobody", &refused);
    cl_conn_hooks hooks = hooks_of(&named);
    named = (end){0};
    cl_conn_tcp(loop, "localhost", 9, 5, &hooks, &named.conn);
    cl_loop_timer *alarm = NULL;
    cl_loop_timer_create(loop, on_woken, NULL, &alarm);
    cl_loop_timer_set(alarm, cl_loop_now() + 1000000);
    cl_loop_close(loop);
    CHECK_INT(open.closed + dialing.closed + refused.closed + named.closed, 4);
    CHECK_INT(accepted[0].closed, 1);
    cl_loop_timer_set(alarm, 1);
    cl_loop_timer_destroy(alarm);
    cl_listener_close(listener);
}

static cl_loop_timer *self_destroying;
static int rung;

static void ring(void *self)
{
    rung++;
    if (self) cl_loop_timer_destroy(self_destroying);
}

static void alarms(void)
{
    cl_loop *loop = make_loop();
    cl_loop_timer *a = NULL;
    rung = 0;
    cl_loop_timer_create(loop, ring, NULL, &a);
    cl_loop_timer_create(loop, ring, loop, &self_destroying);
    int64_t from = cl_loop_now();
    cl_loop_timer_set(a, from + 5);
    cl_loop_timer_set(a, from + 30);
    UNTIL(loop, rung == 1);
    CHECK(cl_loop_now() >= from + 29);
    cl_loop_timer_set(self_destroying, from);
    UNTIL(loop, rung == 2);
    cl_loop_timer_set(a, cl_loop_now() + 5);
    cl_loop_timer_stop(a);
    cl_loop_run(loop, 20);
    CHECK_INT(rung, 2);
    cl_loop_timer_destroy(a);
    cl_loop_timer_destroy(NULL);
    cl_loop_close(loop);
}

/* After an idle loop: not readable, and each kind of work makes it readable without a run before it. */
static void settle(cl_loop *loop, int fd)
{
    for (int i = 0; i < 20 && is_readable(fd, 0); i++) cl_loop_run(loop, 0);
    CHECK(!is_readable(fd, 0));
}

/* What is done as often, or a multiple as often, is done at the same time, and never later than it would be. */
static void what_is_done_together(void)
{
    cl_loop *loop = make_loop(), *other = make_loop();
    int64_t from = cl_loop_now(), first = cl_loop_together(loop, from + 5000, 5000);
    CHECK(first <= from + 5000 && first >= from + 4000); /* the first counts from itself */
    CHECK(cl_loop_together(loop, first + 5000, 5000) == first + 5000);
    CHECK(cl_loop_together(loop, first + 1234, 5000) == first);
    CHECK(cl_loop_together(loop, first + 9999, 5000) == first + 5000);
    CHECK(cl_loop_together(loop, first + 10007, 10000) == first + 5000);
    CHECK(cl_loop_together(loop, first - 100000, 5000) == first - 100000);
    CHECK(cl_loop_together(loop, first + 7, 0) == first + 7);
    while (cl_loop_now() < from + 3) continue;
    int64_t begun = cl_loop_now();
    CHECK(cl_loop_together(other, begun + 5000, 5000) > first); /* each loop has its own */
    cl_loop_close(loop);
    cl_loop_close(other);
}

/* A loop that is watched by its descriptor wakes once for a timer that was stopped, and not for one that was canceled. */
static void alarms_that_are_canceled(void)
{
    cl_loop *loop = make_loop();
    cl_loop_timer *a = NULL;
    int fd = cl_loop_fd(loop);
    rung = 0;
    cl_loop_timer_create(loop, ring, NULL, &a);
    settle(loop, fd);
    cl_loop_timer_set(a, cl_loop_now() + 500); /* long enough to be stopped before it rings */
    cl_loop_run(loop, 0);
    cl_loop_timer_stop(a);
    cl_loop_run(loop, 0);
    CHECK(is_readable(fd, 20000));
    settle(loop, fd);
    cl_loop_timer_set(a, cl_loop_now() + 500);
    cl_loop_run(loop, 0);
    cl_loop_timer_cancel(a);
    cl_loop_run(loop, 0);
    CHECK(!is_readable(fd, 1000));
    CHECK_INT(rung, 0);
    cl_loop_timer_destroy(a);
    cl_loop_close(loop);
}

static void the_descriptor(void)
{
    cl_loop *loop = make_loop();
    int fd = cl_loop_fd(loop);
    CHECK(fd >= 0);
    CHECK_INT(cl_loop_fd(loop), fd);
    settle(loop, fd);
    cl_loop_wake(loop);
    CHECK(is_readable(fd, 1000));
    cl_loop_run(loop, 0);
    CHECK_INT(woken, 1);
    settle(loop, fd);
    cl_loop_defer(loop);
    CHECK(is_readable(fd, 0));
    cl_loop_run(loop, -1); /* must not wait */
    settle(loop, fd);
    cl_loop_timer *a = NULL;
    rung = 0;
    cl_loop_timer_create(loop, ring, NULL, &a);
    cl_loop_timer_set(a, cl_loop_now() + 20);
    cl_loop_rearm(loop);
    CHECK(is_readable(fd, 1000));
    for (int64_t until = cl_loop_now() + 5000; !rung && cl_loop_now() < until;) {
        is_readable(fd, 1000);
        cl_loop_run(loop, 0);
    }
    CHECK_INT(rung, 1);
    settle(loop, fd);
    cl_loop_timer_destroy(a);
    cl_loop_close(loop);
}

static void the_descriptor_tells_of_io(void)
{
    cl_loop *loop = make_loop();
    int fd = cl_loop_fd(loop);
    cl_listener *listener = listen_at(loop, "fd", 1);
    end e;
    connect_to(loop, "fd", &e);
    for (int i = 0; i < 100 && !e.opened && is_readable(fd, 1000); i++) cl_loop_run(loop, 0);
    CHECK(e.opened);
    settle(loop, fd);
    put(&e, "ping"); /* outside of a run, not flushed */
    CHECK(is_readable(fd, 0));
    for (int i = 0; i < 100 && !e.bytes && is_readable(fd, 1000); i++) cl_loop_run(loop, 0);
    CHECK_INT(e.bytes, 4);
    settle(loop, fd);
    cl_conn_close(e.conn, 0);
    CHECK(is_readable(fd, 0));
    for (int i = 0; i < 100 && !(e.closed && accepted[0].closed) && is_readable(fd, 1000); i++) cl_loop_run(loop, 0);
    CHECK_INT(e.closed + accepted[0].closed, 2);
    cl_listener_close(listener);
    cl_loop_close(loop);
}

static void *waker(void *loop)
{
    for (int i = 0; i < 1000; i++) cl_loop_wake(loop);
    return NULL;
}

static void wakes_from_another_thread(void)
{
    cl_loop *loop = make_loop();
    pthread_t thread;
    pthread_create(&thread, NULL, waker, loop);
    UNTIL(loop, woken > 0);
    pthread_join(thread, NULL);
    cl_loop_run(loop, 0);
    CHECK(woken <= 1001);
    CHECK(turns >= 2);
    cl_loop_close(loop);
}

static char seen[256];
static int changes;

static void on_change(void *self, const char *name)
{
    changes++;
    if (name && strlen(seen) + strlen(name) + 2 < sizeof seen) strcat(strcat(seen, name), " ");
}

static void watching_a_folder(void)
{
    cl_loop *loop = make_loop();
    mkdir(path_of("watched"), 0700);
    cl_fs_watch *watch = NULL;
    CHECK_INT(cl_fs_watch_create(loop, path_of("watched"), on_change, NULL, &watch), 0);
    seen[0] = 0;
    FILE *f = fopen(path_of("watched/one"), "w");
    if (f) fclose(f);
    UNTIL(loop, strcmp(seen, "one ") == 0);
    unlink(path_of("watched/one"));
    UNTIL(loop, strcmp(seen, "one one ") == 0);
    cl_fs_watch_destroy(watch);
    cl_fs_watch_destroy(NULL);
    cl_loop_close(loop);
}

/* Without inotify (here: without a descriptor for it) the folder is looked at now and then. */
static void watching_a_folder_by_time(void)
{
    cl_loop *loop = make_loop();
    struct rlimit limit, none;
    mkdir(path_of("looked"), 0700);
    cl_fs_watch *watch = NULL;
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){0, limit.rlim_max};
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &none), 0);
    CHECK_INT(cl_fs_watch_create(loop, path_of("looked"), on_change, NULL, &watch), 0);
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
    changes = 0;
    UNTIL(loop, changes > 0); /* the first look */
    for (int before = -1; before != changes;) {
        before = changes; /* until it has settled */
        int64_t until = cl_loop_now() + 450;
        while (cl_loop_now() < until) cl_loop_run(loop, 50);
    }
    changes = 0;
    FILE *f = fopen(path_of("looked/one"), "w");
    if (f) fclose(f);
    UNTIL(loop, changes > 0);
    cl_fs_watch_destroy(watch);
    cl_loop_close(loop);
}

/* uv runs due timers before it waits: a limit that falls due in between must still end the run. */
static void every_run_ends(void)
{
    cl_loop *loop = make_loop();
    cl_loop_timer *alarm = NULL;
    rung = 0;
    cl_loop_timer_create(loop, ring, NULL, &alarm);
    int64_t from = cl_loop_now();
    for (int i = 0; i < 1000; i++) {
        usleep((unsigned)(i % 10) * 100);
        cl_loop_run(loop, 1);
        cl_loop_timer_set(alarm, cl_loop_now() + 1);
        usleep((unsigned)(i % 7) * 200);
        cl_loop_run(loop, -1); /* the alarm ends it, whether due before or after the wait */
    }
    CHECK(rung >= 1000);
    CHECK(cl_loop_now() - from < 60000);
    cl_loop_timer_destroy(alarm);
    cl_loop_close(loop);
}

/* A child after fork closes the loop it inherited; the parent's goes on. */
static void a_child_takes_nothing_from_its_parent(void)
{
    cl_loop *loop = make_loop();
    cl_listener *listener = listen_at(loop, "fork", 1);
    end e;
    connect_to(loop, "fork", &e);
    UNTIL(loop, e.opened && accepted_count);
    pid_t child = fork();
    if (child == 0) {
        cl_loop_close(loop);
        cl_listener_close(listener);
        _exit(e.closed + accepted[0].closed == 2 ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK_INT(status, 0);
    put(&e, "still here");
    UNTIL(loop, e.bytes == 10);
    cl_listener_close(listener);
    cl_loop_close(loop);
}

int main(void)
{
    folder_begin();
    RUN(echo_over_a_unix_socket);
    RUN(a_backlog_is_written_before_the_end);
    RUN(drained_comes_after_a_backlog);
    RUN(what_drained_writes_goes_out);
    RUN(nobody_listens);
    RUN(names_that_hang_the_resolver);
    RUN(a_path_that_is_too_long);
    RUN(connecting_has_a_limit);
    RUN(the_end_from_inside_a_hook);
    RUN(writing_to_a_dead_peer);
    RUN(the_last_words_of_a_dead_peer);
    RUN(a_peer_that_only_talks);
    RUN(a_loop_that_cannot_begin_leaves_nothing);
    RUN(closing_the_loop_ends_everything);
    RUN(alarms);
    RUN(what_is_done_together);
    RUN(alarms_that_are_canceled);
    RUN(the_descriptor);
    RUN(the_descriptor_tells_of_io);
    RUN(wakes_from_another_thread);
    RUN(watching_a_folder);
    RUN(watching_a_folder_by_time);
    RUN(every_run_ends);
    RUN(a_child_takes_nothing_from_its_parent);
    return folder_end();
}
