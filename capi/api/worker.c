/* clouds_worker_open, _next, _tell, _send, _take, _accept, _give_back, _count: what the messages of a channel mean. */
#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/check.h"
#include "api/deadline.h"
#include "api/guard.h"
#include "api/record.h"
#include "base/error.h"
#include "clouds_worker.h"
#include "worker/worker.h"

enum {
    USUAL_DRAIN = 8, /* seconds, where the master has not said how many */
    NAME_BYTES = 64, /* of a group */
    DATA_BYTES = 64000,
};

static atomic_bool told_of_end;

int clouds_worker_open(void)
{
    int code = cl_guard_hooks();
    return code != 0 ? code : cl_worker_open();
}

/* What a text begins with; `rest`, if it is wanted, is what is behind that and a blank. */
static double seconds_of(const char *text, const char **rest)
{
    size_t n = text ? strcspn(text, " ") : 0;
    double seconds;
    bool is_number = cl_str_real(cl_str_of(text, n), &seconds) && seconds >= 0;
    if (rest) *rest = is_number && text[n] ? text + n + 1 : "";
    return is_number ? cl_at_most(seconds) : USUAL_DRAIN;
}

static clouds_worker_event event_of(uint32_t type)
{
    return (clouds_worker_event){.type = type, .group = "", .data = "", .fd = -1, .watch_fd = -1};
}

static int drain(clouds_worker_event *event, double seconds, const char *reason, bool is_alone)
{
    cl_worker_take_no_more();
    *event = event_of(CLOUDS_WORKER_DRAIN);
    event->number = is_alone;
    event->seconds = seconds;
    event->data = reason;
    event->data_len = strlen(reason);
    return 1;
}

static int read_drain(const cl_worker_message *m, clouds_worker_event *event)
{
    const char *reason;
    double seconds = seconds_of(m->body, &reason);
    return drain(event, seconds, *reason ? reason : "stop", false);
}

static int read_words(const cl_worker_message *m, clouds_worker_event *event)
{
    const char *line = memchr(m->body, '\n', m->size);
    const char *blank = line ? memchr(m->body, ' ', (size_t)(line - m->body)) : NULL;
    if (!blank) return 0;
    *event = event_of(CLOUDS_WORKER_MESSAGE);
    event->number = strtol(blank, NULL, 10);
    event->group = m->body;
    event->group_len = (size_t)(blank - m->body);
    event->data = line + 1;
    event->data_len = m->size - (size_t)(line + 1 - m->body);
    return 1;
}

static int read_arrival(const cl_worker_message *m, clouds_worker_event *event)
{
    cl_worker_arrival a;
    if (!cl_worker_arrive(m, &a)) return 0;
    *event = event_of(a.is_listener ? CLOUDS_WORKER_LISTENER : CLOUDS_WORKER_CONNECTION);
    event->flags = a.is_back ? CLOUDS_WORKER_CONNECTION_BACK : 0;
    event->number = a.listener;
    event->fd = a.fd;
    event->watch_fd = a.watch;
    return 1;
}

/* Those without a descriptor. */
static int read_plain(const cl_worker_message *m, clouds_worker_event *event)
{
    switch (m->type) {
    case CLOUDS_CHANNEL_DRAIN:
        return read_drain(m, event);
    case CLOUDS_CHANNEL_MESSAGE:
        return read_words(m, event);
    case CLOUDS_CHANNEL_QUIET:
    case CLOUDS_CHANNEL_RESUME:
        *event = event_of(CLOUDS_WORKER_QUIET);
        event->number = m->type == CLOUDS_CHANNEL_QUIET;
        event->data = m->body;
        event->data_len = m->size;
        return 1;
    case CLOUDS_CHANNEL_ASK:
        *event = event_of(CLOUDS_WORKER_ASK);
        return 1;
    case CLOUDS_CHANNEL_TURN:
        *event = event_of(CLOUDS_WORKER_TURN);
        return 1;
    default:
        return 0;
    }
}

/* 1: the event is one for the program. What this version does not know is none. */
static int read_message(const cl_worker_message *m, clouds_worker_event *event)
{
    switch (m->type) {
    case CLOUDS_CHANNEL_CONNECTION:
    case CL_WORKER_ACCEPTED:
    case CLOUDS_CHANNEL_LISTENER:
    case CLOUDS_CHANNEL_UNLISTEN:
        return read_arrival(m, event);
    default:
        if (m->fd >= 0) close(m->fd);
        return read_plain(m, event);
    }
}

/* The end of the master is a word to stop, once. */
static int end(clouds_worker_event *event)
{
    if (atomic_exchange(&told_of_end, true)) return CLOUDS_ECLOSED;
    return drain(event, seconds_of(getenv("CLOUDS_DRAIN"), NULL), "stop", true);
}

static int milliseconds_until(int64_t until)
{
    int64_t left = cl_deadline_left(until);
    return left > 1000000 ? 1000000 : (int)left;
}

static int next(clouds_worker_event *event, double timeout)
{
    int64_t until = cl_deadline_ms(timeout);
    cl_worker_message message;
    for (;;) {
        int left = milliseconds_until(until), n = cl_worker_receive(&message, left);
        if (n == CLOUDS_ECLOSED) return end(event);
        if (n < 0 || (n > 0 && read_message(&message, event))) return n;
        if (n == 0 && left >= 0 && cl_deadline_left(until) == 0) return 0;
    }
}

int clouds_worker_next(clouds_worker_event *event, size_t event_size, double timeout)
{
    clouds_worker_event own;
    int code = cl_guard_hooks();
    if (code == 0 && (!event || isnan(timeout)))
        code = cl_error(CLOUDS_EINVAL, "clouds_worker_next: expected an event and a number of seconds");
    if (code == 0) code = cl_record_check(CL_RECORD_clouds_worker_event, event_size);
    if (code == 0) code = next(&own, timeout);
    if (code > 0) cl_record_write(event, event_size, &own, sizeof own);
    return code;
}

/* What a word means beside what the master makes of it. */
static int note_word(uint32_t word)
{
    if (word == CLOUDS_WORKER_STOPPING) cl_worker_take_no_more();
    return word == CLOUDS_WORKER_READY ? cl_worker_check_taker() : 0;
}

int clouds_worker_tell(uint32_t word, const char *text, size_t text_len)
{
    static const char types[] = {
        [CLOUDS_WORKER_READY] = CLOUDS_CHANNEL_READY,          [CLOUDS_WORKER_STOPPING] = CLOUDS_CHANNEL_STOPPING,
        [CLOUDS_WORKER_ALIVE] = CLOUDS_CHANNEL_ALIVE,          [CLOUDS_WORKER_RETIRE] = CLOUDS_CHANNEL_RETIRE,
        [CLOUDS_WORKER_RELOAD] = CLOUDS_CHANNEL_RELOAD,        [CLOUDS_WORKER_VARIABLES] = CLOUDS_CHANNEL_VARIABLES,
        [CLOUDS_WORKER_WANT_TURN] = CLOUDS_CHANNEL_WANTS_TURN, [CLOUDS_WORKER_END_TURN] = CLOUDS_CHANNEL_ENDS_TURN,
        [CLOUDS_WORKER_ACCEPTS] = CLOUDS_CHANNEL_ACCEPTS};
    int code = cl_guard_hooks();
    if (code != 0) return code;
    if (word >= sizeof types || !types[word])
        return cl_error(CLOUDS_EINVAL, "clouds_worker_tell: there is no word %u", (unsigned)word);
    code = cl_check_text(text, text_len, "the text");
    if (code == 0) code = note_word(word);
    return code != 0 ? code : cl_worker_send(types[word], text, text_len);
}

/* A name as the master knows it: what ends it on its line must not be in it. */
static int check_group(const char *group, size_t len)
{
    int code = cl_check_text(group, len, "the group");
    if (code != 0) return code;
    if (len == 0 || len > NAME_BYTES || memchr(group, ' ', len) || memchr(group, '\n', len))
        return cl_error(CLOUDS_EINVAL, "expected the name of a group, 1 to %d bytes", NAME_BYTES);
    return 0;
}

int clouds_worker_send(const char *group, size_t group_len, uint32_t index, const char *data, size_t data_len)
{
    char body[NAME_BYTES + 16 + DATA_BYTES], number[16] = "";
    int code = cl_guard_hooks();
    if (code == 0) code = check_group(group, group_len);
    if (code == 0) code = cl_check_text(data, data_len, "the value");
    if (code == 0 && data_len > DATA_BYTES)
        code = cl_error_limit(CLOUDS_ETOOBIG, data_len, DATA_BYTES, "the value has %zu bytes, at most %d are possible",
                              data_len, DATA_BYTES);
    if (code != 0) return code;
    if (index) snprintf(number, sizeof number, " %u", (unsigned)index);
    int head = snprintf(body, sizeof body, "%.*s%s\n", (int)group_len, group, number);
    memcpy(body + head, data, data_len);
    return cl_worker_send(CLOUDS_CHANNEL_MESSAGE, body, (size_t)head + data_len);
}

int clouds_worker_take(uint32_t what)
{
    int code = cl_guard_hooks();
    return code != 0 ? code : cl_worker_take(what);
}

int clouds_worker_accept(uint32_t listener, int *fd)
{
    int code = cl_guard_hooks();
    if (code == 0 && !fd) code = cl_error(CLOUDS_EINVAL, "clouds_worker_accept: expected a place for the descriptor");
    return code != 0 ? code : cl_worker_accept_for_program(listener, fd);
}

int clouds_worker_give_back(uint32_t listener, int fd)
{
    int code = cl_guard_hooks();
    if (code == 0 && fd < 0) code = cl_error(CLOUDS_EINVAL, "clouds_worker_give_back: expected a descriptor, got %d", fd);
    return code != 0 ? code : cl_worker_give_back(listener, fd);
}

int clouds_worker_count(uint32_t what, int64_t change)
{
    int code = cl_guard_hooks();
    return code != 0 ? code : cl_worker_count(what, change);
}
