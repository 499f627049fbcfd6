/* Design notes
 *
 * Operations change the hall at once; what they have to say to their own sink becomes a task for the next flush. Frames
 * from the hall are read when the bell rings and in flush. A node that closes is told of as any bus tells it: by a
 * task.
 *
 * When the process was forked, the hall's locks may be held by threads that the child does not have: it touches none.
 */
#include "bus/inproc/internal.h"

#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"

typedef struct inproc {
    cl_bus base;
    cl_loop *loop;
    cl_limits limits;
    cl_bus_sink sink;
    pid_t owner;
    cl_hall *hall;
    cl_member member;
    cl_link seats;
    cl_tasks tasks;
    cl_idmap seat_by_handle;
    cl_strmap seat_by_id;
    cl_buf reading; /* the buffer that the mailbox is exchanged for */
    int is_reading, closing, told_closed;
} inproc;

static inproc *of(cl_bus *base)
{
    return CL_OWNER(base, inproc, base);
}

static cl_seat *seat_of(inproc *bus, const void *handle)
{
    return cl_idmap_get(&bus->seat_by_handle, (uint64_t)(uintptr_t)handle);
}

/* ---- answers to look and status */

typedef struct rows {
    cl_buf frames;
    cl_server *servers;
    cl_str *methods;
    size_t n;
    int code;
} rows;

/* Both arrays are cut from one block, sized by the smallest frame. */
static rows list_rows(inproc *bus, const cl_str *method)
{
    rows r = {.n = 0};
    r.code = cl_hall_list(bus->hall, &bus->member, method, &r.frames);
    size_t most = r.frames.len / (CL_FRAME_PREFIX + CL_FRAME_HEAD) + 1;
    r.servers = r.code == 0 ? cl_malloc(most * (sizeof *r.servers + sizeof *r.methods)) : NULL;
    if (!r.servers) {
        r.code = CLOUDS_ENOMEM;
        return r;
    }
    r.methods = (cl_str *)(void *)(r.servers + most);
    cl_envelope e;
    int64_t took;
    for (size_t at = 0; (took = cl_frame_decode(cl_str_of(r.frames.data + at, r.frames.len - at), SIZE_MAX, &e)) > 0;
         r.n++) {
        at += (size_t)took;
        r.servers[r.n] = (cl_server){e.from, CL_NATIVE_LINKED};
        r.methods[r.n] = e.method;
    }
    return r;
}

static void free_rows(rows *r)
{
    cl_buf_free(&r->frames);
    cl_free(r->servers);
}

static void look_now(inproc *bus, cl_str method)
{
    rows r = list_rows(bus, &method);
    bus->sink.servers(bus->sink.self, method, r.servers, r.n, r.code);
    free_rows(&r);
}

static void status_now(inproc *bus, uint64_t operation)
{
    rows r = list_rows(bus, NULL);
    if (r.n) bus->sink.status(bus->sink.self, operation, r.methods, r.servers, r.n, 0, 0);
    bus->sink.status(bus->sink.self, operation, NULL, NULL, 0, 1, r.code);
    free_rows(&r);
}

static void answer(void *self, const cl_task *task)
{
    if (task->kind == CL_TASK_LOOKUP) look_now(self, task->text);
    else status_now(self, task->number);
}

/* ---- reading */

static void on_frame(inproc *bus, cl_envelope *e)
{
    const cl_bus_sink *sink = &bus->sink;
    const cl_seat *seat;
    switch (e->type) {
    case CL_NEWS_UP:
        sink->server_up(sink->self, e->method, (cl_server){e->from, CL_NATIVE_LINKED});
        break;
    case CL_NEWS_DOWN:
        sink->server_down(sink->self, e->method, e->from);
        break;
    case CL_NEWS_GONE:
        sink->peer_down(sink->self, e->from);
        break;
    case CL_NEWS_DRAINING:
        sink->peer_draining(sink->self, e->from);
        break;
    default:
        seat = cl_strmap_get(&bus->seat_by_id, e->to);
        if (!seat) return; /* it has closed meanwhile; the sender hears that it is gone */
        if (e->type == CL_CALL) e->flags |= CL_NATIVE;
        sink->envelope(sink->self, seat->handle, e);
    }
}

static void read_box(void *self)
{
    inproc *bus = self;
    cl_envelope e;
    int64_t took;
    if (bus->is_reading) return;
    bus->is_reading = 1;
    cl_buf_clear(&bus->reading);
    cl_hall_fetch(bus->hall, &bus->member, &bus->reading);
    cl_buf *in = &bus->reading;
    for (size_t at = 0; (took = cl_frame_decode(cl_str_of(in->data + at, in->len - at), SIZE_MAX, &e)) > 0;
         at += (size_t)took)
        on_frame(bus, &e);
    if (in->cap > bus->limits.write_soft) cl_buf_free(in);
    bus->is_reading = 0;
}

static void free_seat(inproc *bus, cl_seat *seat)
{
    if (cl_strmap_get(&bus->seat_by_id, seat->id) == seat) cl_strmap_take(&bus->seat_by_id, seat->id);
    if (seat_of(bus, seat->handle) == seat) cl_idmap_take(&bus->seat_by_handle, (uint64_t)(uintptr_t)seat->handle);
    cl_list_remove(&seat->mine);
    cl_strmap_free(&seat->enrolled);
    cl_free(seat);
}

/* A seat that closes is given up already; what still came for it is read, and refused, before the others hear. */
static void settle(inproc *bus)
{
    CL_LIST_EACH(it, &bus->seats)
    {
        cl_seat *seat = CL_OWNER(it, cl_seat, mine);
        if (!seat->is_closing) continue;
        read_box(bus);
        cl_hall_tell_gone(bus->hall, seat);
        void *handle = seat->handle;
        free_seat(bus, seat);
        bus->sink.node_closed(bus->sink.self, handle);
    }
    if (!bus->closing || bus->told_closed || !cl_list_empty(&bus->tasks.list) || !cl_list_empty(&bus->seats)) return;
    bus->told_closed = 1;
    bus->sink.closed(bus->sink.self);
}

static void flush(cl_bus *base)
{
    inproc *bus = of(base);
    read_box(bus);
    if (!cl_list_empty(&bus->tasks.list)) cl_tasks_run(&bus->tasks);
    settle(bus);
}

/* ---- nodes */

static int id_in_use(cl_str id)
{
    return cl_error(CLOUDS_EEXIST, "the node id %.*s is in use by process %ld (this one)",
                    (int)(id.n < 100 ? id.n : 100), id.p, (long)getpid());
}

static int node_open(cl_bus *base, void *handle, cl_str id, double heartbeat)
{
    inproc *bus = of(base);
    cl_seat *seat = cl_calloc(1, sizeof *seat + id.n);
    if (!seat) return cl_error(CLOUDS_ENOMEM, NULL);
    memcpy(seat->text, id.p, id.n);
    seat->id = cl_str_of(seat->text, id.n);
    seat->handle = handle;
    seat->member = &bus->member;
    cl_list_append(&bus->seats, &seat->mine);
    int code = cl_idmap_put(&bus->seat_by_handle, (uint64_t)(uintptr_t)handle, seat);
    int taken = code == 0 ? cl_hall_sit(bus->hall, seat) : 0;
    if (taken == CLOUDS_EEXIST) id_in_use(id);
    if (taken == 0 && code == 0) code = cl_strmap_put(&bus->seat_by_id, seat->id, seat);
    if (code == 0 && taken != CLOUDS_ENOMEM)
        code = cl_task_add(&bus->tasks, CL_TASK_READY, handle, 0, taken,
                           taken ? cl_str_z(clouds_last_error()) : CL_STR_NONE);
    if (code == 0 && taken != CLOUDS_ENOMEM) return 0;
    cl_hall_stand_up(bus->hall, seat);
    free_seat(bus, seat);
    return cl_error(CLOUDS_ENOMEM, NULL);
}

static void node_drain(cl_bus *base, void *handle)
{
    inproc *bus = of(base);
    cl_seat *seat = seat_of(bus, handle);
    if (seat && seat->taken) cl_hall_drain(bus->hall, seat);
}

static void close_seat(inproc *bus, cl_seat *seat)
{
    cl_hall_stand_up(bus->hall, seat);
    seat->is_closing = 1;
    cl_loop_defer(bus->loop);
}

static void node_close(cl_bus *base, void *handle)
{
    inproc *bus = of(base);
    cl_seat *seat = seat_of(bus, handle);
    if (seat) close_seat(bus, seat);
}

static int enroll(cl_bus *base, void *handle, cl_str method, uint64_t operation)
{
    inproc *bus = of(base);
    cl_seat *seat = seat_of(bus, handle);
    if (!seat || seat->is_closing) return cl_error(CLOUDS_ECLOSED, NULL);
    if (!seat->taken) return id_in_use(seat->id);
    int code = cl_task_add(&bus->tasks, CL_TASK_REGISTERED, NULL, operation, 0, CL_STR_NONE);
    if (code == 0 && (code = cl_hall_enroll(bus->hall, seat, method)) != 0) cl_task_drop_last(&bus->tasks);
    return code ? cl_error(code, NULL) : 0;
}

static int withdraw(cl_bus *base, void *handle, cl_str method, uint64_t operation)
{
    inproc *bus = of(base);
    cl_seat *seat = seat_of(bus, handle);
    if (!seat || !seat->taken) return cl_error(CLOUDS_ECLOSED, NULL);
    cl_hall_withdraw(bus->hall, seat, method);
    return cl_task_add(&bus->tasks, CL_TASK_REGISTERED, NULL, operation, 0, CL_STR_NONE);
}

/* ---- the rest */

static int send(cl_bus *base, void *handle, const cl_envelope *e, uint64_t token)
{
    inproc *bus = of(base);
    size_t size = cl_envelope_size(e);
    if (bus->closing) return cl_error(CLOUDS_ECLOSED, NULL);
    if (size > bus->limits.message) return cl_error_too_big("the message", size, bus->limits.message);
    int wants_word = token && e->type == CL_MESSAGE;
    if (wants_word && cl_task_add(&bus->tasks, CL_TASK_FATE, NULL, token, CL_FATE_WRITTEN, CL_STR_NONE) != 0)
        return CLOUDS_ENOMEM;
    size_t most = 0;
    int code = cl_hall_post(bus->hall, &bus->member, e, &most);
    if (code == 0) return 0;
    if (wants_word) cl_task_drop_last(&bus->tasks);
    if (code == CLOUDS_ETOOBIG && size > most) return cl_error_too_big("the message", size, most);
    if (code == CLOUDS_ETOOBIG)
        return cl_error(code, "the message is nested too deep or has too many values for its receiver");
    if (code == CLOUDS_ENOSERVER)
        return token ? cl_task_add(&bus->tasks, CL_TASK_FATE, NULL, token, CL_FATE_NOBODY, CL_STR_NONE) : 0;
    return code == CLOUDS_ELIMIT ? cl_error(code, "the mailbox of %.*s is full", (int)e->to.n, e->to.p)
                                 : cl_error(code, NULL);
}

static void look(cl_bus *base, cl_str method, int known)
{
    cl_task_lookup(&of(base)->tasks, method);
}

static void forget(cl_bus *base, cl_str method, cl_str server)
{
}

static void status(cl_bus *base, uint64_t operation)
{
    cl_task_add(&of(base)->tasks, CL_TASK_STATUS, NULL, operation, 0, CL_STR_NONE);
}

static void close_bus(cl_bus *base)
{
    inproc *bus = of(base);
    if (bus->closing) return;
    bus->closing = 1;
    CL_LIST_EACH(it, &bus->seats) close_seat(bus, CL_OWNER(it, cl_seat, mine));
    cl_loop_defer(bus->loop);
}

static void destroy(cl_bus *base)
{
    inproc *bus = of(base);
    int is_child = bus->owner != getpid();
    if (bus->hall && !is_child) cl_hall_deafen(bus->hall, &bus->member);
    CL_LIST_EACH(it, &bus->seats)
    {
        cl_seat *seat = CL_OWNER(it, cl_seat, mine);
        if (!is_child) {
            cl_hall_stand_up(bus->hall, seat);
            cl_hall_tell_gone(bus->hall, seat);
        }
        free_seat(bus, seat);
    }
    cl_tasks_free(&bus->tasks);
    if (bus->hall && !is_child) cl_hall_leave(bus->hall, &bus->member);
    cl_waker_destroy(bus->member.bell);
    cl_idmap_free(&bus->seat_by_handle);
    cl_strmap_free(&bus->seat_by_id);
    cl_buf_free(&bus->reading);
    cl_free(bus);
}

static const cl_bus_ops ops = {
    .node_open = node_open,
    .node_drain = node_drain,
    .node_close = node_close,
    .register_method = enroll,
    .unregister_method = withdraw,
    .send = send,
    .lookup = look,
    .forget = forget,
    .status = status,
    .flush = flush,
    .close = close_bus,
    .destroy = destroy,
};

int cl_inproc_bus_create(cl_loop *loop, const cl_url *url, const cl_limits *limits, const cl_bus_sink *sink,
                         cl_bus **out)
{
    inproc *bus = cl_calloc(1, sizeof *bus);
    if (!bus) return cl_error(CLOUDS_ENOMEM, NULL);
    bus->base.ops = &ops;
    bus->loop = bus->member.loop = loop;
    bus->limits = *limits;
    bus->sink = *sink;
    bus->owner = getpid();
    bus->member.soft = limits->write_soft;
    bus->member.hard = limits->write_hard;
    bus->member.message = limits->message;
    bus->member.json = limits->json;
    cl_list_init(&bus->member.place);
    cl_list_init(&bus->seats);
    cl_tasks_init(&bus->tasks, loop, &bus->sink, bus, answer);
    int code = cl_waker_create(loop, read_box, bus, &bus->member.bell);
    if (code == 0) code = cl_hall_join(url->name, &bus->member, &bus->hall);
    if (code == 0) code = cl_task_add(&bus->tasks, CL_TASK_UP, NULL, 0, 0, CL_STR_NONE);
    if (code != 0) {
        destroy(&bus->base);
        return code;
    }
    *out = &bus->base;
    return 0;
}
