/* Which worker gets a connection.
 *
 * Design note. A listener is read only while there is somebody to give a connection to; until then it waits in the
 * kernel, where it costs nothing. What has been accepted and has nobody (its worker died, or gave it back) waits in a
 * list and goes before what is new. When no worker has been ready for `hold` seconds, the waiting are told so and closed:
 * a client that is answered can do something else. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/cluster/internal.h"

enum {
    ACCEPTS_A_TURN = 64,
    PAUSE = 100,                     /* milliseconds until it is tried again what could not be done */
    LATE = 100000000,                /* nanoseconds: who is busy for so long is not chosen if others are not */
};

/* ---- choosing */

static bool can_take(const host_target *t)
{
    return t->is_ready && !t->is_short && t->copy_count < CLOUDS_CHANNEL_WINDOW &&
           host_board_read(&t->board->open) + t->copy_count < t->dispatch->options.connections;
}

static bool is_late(const host_target *t, uint64_t now)
{
    uint64_t since = host_board_read(&t->board->busy_since);
    return since && now > since + LATE;
}

static uint64_t load_of(const host_target *t)
{
    uint64_t own = t->board->uses_remain ? host_board_read(&t->board->remain) : host_board_read(&t->board->open);
    return own + t->copy_count;
}

static bool is_better(const host_target *t, bool late, const host_target *than, bool than_is_late)
{
    if (!than || late != than_is_late) return !than || than_is_late;
    uint64_t mine = load_of(t), other = load_of(than);
    if (mine != other) return mine < other;
    return host_board_read(&t->board->in_flight) < host_board_read(&than->board->in_flight);
}

/* The list is turned behind the one that was chosen: among equals it goes round. */
static host_target *choose(host_dispatch *d)
{
    uint64_t now = uv_hrtime();
    host_target *best = NULL, **best_at = NULL;
    bool best_is_late = false;
    for (host_target **at = &d->targets; *at; at = &(*at)->next) {
        if (!can_take(*at)) continue;
        bool late = is_late(*at, now);
        if (!is_better(*at, late, best, best_is_late)) continue;
        best = *at, best_at = at, best_is_late = late;
    }
    if (!best || !best->next) return best;
    *best_at = best->next;
    while (*best_at) best_at = &(*best_at)->next;
    *best_at = best;
    best->next = NULL;
    return best;
}

/* ---- giving */

static void keep_held(host_dispatch *d, held_connection connection)
{
    held_connection *h = malloc(sizeof *h);
    if (!h) {
        close(connection.fd);
        return;
    }
    *h = connection;
    h->next = NULL;
    *d->last_held = h;
    d->last_held = &h->next;
    d->counts.held++;
}

static held_connection take_held(host_dispatch *d)
{
    held_connection *first = d->held, result = *first;
    d->held = first->next;
    if (!d->held) d->last_held = &d->held;
    d->counts.held--;
    free(first);
    return result;
}

static void on_pause_over(uv_timer_t *timer);

/* Where something was missing that will be there again. */
static void pause_for(host_dispatch *d)
{
    uv_timer_start(&d->pause_timer, on_pause_over, PAUSE, 0);
}

/* A worker whose channel takes nothing more will be told to be gone; until then it is given nothing. */
static bool give(host_target *t, int fd, clouds_channel_connection about)
{
    if (host_channel_send(t->channel, CLOUDS_CHANNEL_CONNECTION, &about, sizeof about, &fd, 1) != 0) {
        t->is_short = true;
        pause_for(t->dispatch);
        return false;
    }
    if (t->copy_count == 0) t->silent_since = uv_hrtime();
    unsigned at = (t->first_copy + t->copy_count++) % CLOUDS_CHANNEL_WINDOW;
    t->copies[at] = (held_connection){.fd = fd, .about = about};
    t->dispatch->counts.given++;
    return true;
}

static bool give_to_somebody(host_dispatch *d, int fd, clouds_channel_connection about)
{
    for (host_target *t; (t = choose(d)) != NULL;)
        if (give(t, fd, about)) return true;
    return false;
}

static void give_held(host_dispatch *d)
{
    while (d->held) {
        held_connection *h = d->held;
        if (!give_to_somebody(d, h->fd, h->about)) return;
        take_held(d);
    }
}

/* ---- accepting */

static bool has_taker(const host_dispatch *d)
{
    for (const host_target *t = d->targets; t; t = t->next)
        if (can_take(t)) return true;
    return false;
}

static bool has_ready(const host_dispatch *d)
{
    for (const host_target *t = d->targets; t; t = t->next)
        if (t->is_ready) return true;
    return false;
}

static void on_waiting(uv_poll_t *poll, int status, int events);

static void on_pause_over(uv_timer_t *timer)
{
    host_dispatch *d = timer->data;
    d->is_short = false;
    for (host_target *t = d->targets; t; t = t->next) t->is_short = false;
    host_dispatch_update(d);
}

/* Without a descriptor a connection could neither be taken nor refused, and the loop would turn for nothing: the one in
 * reserve takes it, so that the client is told. */
static void refuse_one(host_dispatch *d, int listening)
{
    close(d->reserve);
    int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) close(fd);
    d->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    d->counts.without_descriptor++;
    d->is_short = true;
    pause_for(d);
    host_dispatch_update(d);
}

/* Whether there may be more. */
static bool accept_one(listener *l)
{
    host_dispatch *d = l->dispatch;
    clouds_channel_connection about = {.listener = (uint16_t)l->number};
    int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE) refuse_one(d, l->fd);
        return errno == ECONNABORTED || errno == EINTR;
    }
    if (d->is_gone) host_dispatch_say_gone(d, fd);
    else if (!give_to_somebody(d, fd, about)) keep_held(d, (held_connection){.fd = fd, .about = about});
    return true;
}

static void on_waiting(uv_poll_t *poll, int status, int events)
{
    listener *l = (listener *)poll;
    (void)events;
    if (status != 0) return;
    for (int i = 0; i < ACCEPTS_A_TURN; i++)
        if (!(l->dispatch->is_gone || has_taker(l->dispatch)) || l->dispatch->is_short || !accept_one(l)) break;
    host_dispatch_update(l->dispatch);
}

/* A client between two requests would take what it is told for the answer to the next. */
static void end_held(host_dispatch *d, held_connection held)
{
    if (held.about.flags & CLOUDS_CONNECTION_BACK) close(held.fd);
    else host_dispatch_say_gone(d, held.fd);
}

static void on_hold_over(uv_timer_t *timer)
{
    host_dispatch *d = timer->data;
    d->is_gone = true;
    while (d->held) end_held(d, take_held(d));
    host_dispatch_update(d);
}

/* ---- sharing */

static bool send_listener(host_target *t, char type, const listener *l)
{
    uint64_t most = t->dispatch->options.connections;
    clouds_channel_listener about = {.listener = (uint16_t)l->number};
    about.connections = most < UINT32_MAX ? (uint32_t)most : UINT32_MAX;
    return host_channel_send(t->channel, type, &about, sizeof about, &l->fd, type == CLOUDS_CHANNEL_LISTENER) == 0;
}

/* A worker that cannot be told yet is told after a pause; to get a listener twice does no harm. */
static void share(host_target *t, bool yes)
{
    bool is_told = true;
    for (const listener *l = t->dispatch->listeners; l; l = l->next)
        if (!send_listener(t, yes ? CLOUDS_CHANNEL_LISTENER : CLOUDS_CHANNEL_UNLISTEN, l)) is_told = false;
    t->shares = yes && is_told;
    if (yes && !is_told) pause_for(t->dispatch);
}

static void share_with_all(host_dispatch *d)
{
    for (host_target *t = d->targets; t; t = t->next) {
        bool yes = d->options.is_shared && t->is_ready && !d->is_paused;
        if (yes != t->shares) share(t, yes);
    }
}

/* After each change: gives what waits, and reads the listeners or not. */
void host_dispatch_update(host_dispatch *d)
{
    if (has_ready(d)) {
        d->is_gone = false;
        uv_timer_stop(&d->hold_timer);
        give_held(d);
    } else if (!d->is_gone && !d->is_paused && !uv_is_active((uv_handle_t *)&d->hold_timer)) {
        uv_timer_start(&d->hold_timer, on_hold_over, (uint64_t)(d->options.hold * 1e3), 0);
    }
    share_with_all(d);
    bool takes = has_taker(d), is_ours = !d->options.is_shared && !d->held && takes;
    bool reads = !d->is_paused && !d->is_short && (d->is_gone || is_ours);
    /* That a worker has closed some of too many connections is told by nobody. */
    if (has_ready(d) && !takes && !uv_is_active((uv_handle_t *)&d->pause_timer)) pause_for(d);
    for (listener *l = d->listeners; l; l = l->next) {
        if (reads == l->reads) continue;
        l->reads = reads;
        if (reads) uv_poll_start(&l->poll, UV_READABLE, on_waiting);
        else uv_poll_stop(&l->poll);
    }
}

void host_dispatch_pause(host_dispatch *d, bool paused)
{
    d->is_paused = paused;
    if (paused) uv_timer_stop(&d->hold_timer);
    host_dispatch_update(d);
}

void host_dispatch_give(host_dispatch *d, int fd, clouds_channel_connection about)
{
    keep_held(d, (held_connection){.fd = fd, .about = about});
    host_dispatch_update(d);
}

host_dispatch_counts host_dispatch_count(const host_dispatch *d)
{
    return d->counts;
}

/* ---- listeners */

int host_dispatch_listen(host_dispatch *d, int fd, unsigned number)
{
    listener *l = calloc(1, sizeof *l);
    if (!l) return -1;
    if (uv_poll_init(d->loop, &l->poll, fd) != 0) return free(l), -1;
    l->dispatch = d;
    l->fd = fd;
    l->number = number;
    l->next = d->listeners;
    d->listeners = l;
    for (host_target *t = d->targets; t; t = t->next) t->shares = false;
    host_dispatch_update(d);
    return 0;
}

static void on_listener_closed(uv_handle_t *handle)
{
    free(handle);
}

static void close_listener(listener *l)
{
    uv_close((uv_handle_t *)&l->poll, on_listener_closed);
    close(l->fd);
}

void host_dispatch_unlisten(host_dispatch *d, unsigned number)
{
    for (listener **at = &d->listeners; *at; at = &(*at)->next) {
        listener *l = *at;
        if (l->number != number) continue;
        for (host_target *t = d->targets; t; t = t->next)
            if (t->shares) send_listener(t, CLOUDS_CHANNEL_UNLISTEN, l);
        while (accept_one(l)) continue;
        *at = l->next;
        close_listener(l);
        return;
    }
}

/* ---- targets */

host_target *host_target_create(host_dispatch *d, host_channel *channel, const host_board *board)
{
    host_target *t = calloc(1, sizeof *t);
    if (!t) return NULL;
    *t = (host_target){.next = d->targets, .dispatch = d, .channel = channel, .board = board};
    d->targets = t;
    return t;
}

void host_target_ready(host_target *t, bool is_ready)
{
    t->is_ready = is_ready;
    host_dispatch_update(t->dispatch);
}

static held_connection take_copy(host_target *t)
{
    held_connection copy = t->copies[t->first_copy];
    t->first_copy = (t->first_copy + 1) % CLOUDS_CHANNEL_WINDOW;
    t->copy_count--;
    return copy;
}

void host_target_acknowledge(host_target *t, unsigned count)
{
    t->silent_since = uv_hrtime();
    for (; count && t->copy_count; count--) close(take_copy(t).fd);
    host_dispatch_update(t->dispatch);
}

double host_target_silent(const host_target *t)
{
    uint64_t now = uv_hrtime();
    return t->copy_count && now > t->silent_since ? (double)(now - t->silent_since) / 1e9 : 0;
}

void host_target_refuse(host_target *t)
{
    if (!t->copy_count) return;
    t->silent_since = uv_hrtime();
    t->is_short = true;
    pause_for(t->dispatch);
    keep_held(t->dispatch, take_copy(t));
    t->dispatch->counts.given_again++;
    host_dispatch_update(t->dispatch);
}

void host_target_remove(host_target *t)
{
    host_dispatch *d = t->dispatch;
    for (host_target **at = &d->targets; *at; at = &(*at)->next)
        if (*at == t) {
            *at = t->next;
            break;
        }
    while (t->copy_count) {
        keep_held(d, take_copy(t));
        d->counts.given_again++;
    }
    free(t);
    host_dispatch_update(d);
}

/* ---- the whole */

host_dispatch *host_dispatch_create(uv_loop_t *loop, const host_dispatch_options *options)
{
    host_dispatch *d = calloc(1, sizeof *d);
    char *gone = malloc(options->gone_size + 1);
    if (!d || !gone) return free(d), free(gone), NULL;
    memcpy(gone, options->gone, options->gone_size);
    d->loop = loop;
    d->options = *options;
    d->options.gone = gone;
    d->last_held = &d->held;
    d->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    d->open_timers = 2;
    uv_timer_init(loop, &d->hold_timer);
    uv_timer_init(loop, &d->pause_timer);
    uv_unref((uv_handle_t *)&d->hold_timer);
    d->hold_timer.data = d->pause_timer.data = d;
    return d;
}

int host_dispatch_change(host_dispatch *d, const host_dispatch_options *options)
{
    char *gone = malloc(options->gone_size + 1);
    if (!gone) return -1;
    memcpy(gone, options->gone, options->gone_size);
    free((char *)d->options.gone);
    d->options = *options;
    d->options.gone = gone;
    host_dispatch_update(d);
    return 0;
}

static void on_timer_closed(uv_handle_t *handle)
{
    host_dispatch *d = handle->data;
    if (--d->open_timers) return;
    free((char *)d->options.gone);
    free(d);
}

void host_dispatch_close(host_dispatch *d)
{
    while (d->listeners) {
        listener *next = d->listeners->next;
        close_listener(d->listeners);
        d->listeners = next;
    }
    while (d->held) close(take_held(d).fd);
    while (d->targets) {
        host_target *next = d->targets->next;
        while (d->targets->copy_count) close(take_copy(d->targets).fd);
        free(d->targets);
        d->targets = next;
    }
    host_dispatch_close_gone(d);
    close(d->reserve);
    uv_close((uv_handle_t *)&d->hold_timer, on_timer_closed);
    uv_close((uv_handle_t *)&d->pause_timer, on_timer_closed);
}
