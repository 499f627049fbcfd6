/* Messages to nodes of which it is not known yet where they are: a directory may have to be asked first. They are held
 * until it has answered, in their order, within the bytes of a connection's queue. Calls need none of this: they are
 * tried again until their time is up. */
#include "bus/internal.h"

#include "base/error.h"
#include "base/mem.h"
#include "proto/extension.h"
#include "proto/frame.h"

struct cl_held {
    cl_list_node place;
    void *handle;
    uint64_t token;
    cl_buf frame;
};

static void held_free(cl_composed *bus, struct cl_held *held)
{
    cl_list_remove(&held->place);
    bus->held_bytes -= held->frame.len;
    cl_buf_free(&held->frame);
    cl_free(held);
}

static int is_sought(const cl_composed *bus, cl_str id)
{
    cl_address address;
    return bus->directory->ops->locate(bus->directory, id, &address) == CL_PENDING;
}

int cl_bus_hold(cl_composed *bus, void *handle, const cl_envelope *e, uint64_t token)
{
    cl_error_record why;
    cl_error_save(&why);
    if (e->type != CL_MESSAGE || bus->closing || !is_sought(bus, e->to)) return cl_error_restore(&why);
    if (bus->held_bytes > bus->held_most)
        return cl_error_limit(CLOUDS_ELIMIT, bus->held_bytes, bus->held_most,
                              "%zu bytes of messages wait for the directory already (write_soft)", bus->held_bytes);
    struct cl_held *held = cl_calloc(1, sizeof *held);
    int code = held ? cl_frame_encode(e, &held->frame) : CLOUDS_ENOMEM;
    if (code != 0) {
        if (held) cl_buf_free(&held->frame);
        cl_free(held);
        return cl_error(code, NULL);
    }
    held->handle = handle;
    held->token = token;
    bus->held_bytes += held->frame.len;
    cl_list_append(&bus->held, &held->place);
    return 0;
}

/* A directory that is away says nothing to wait for. */
int cl_bus_holds(const cl_composed *bus, const void *handle)
{
    if (bus->directory->up && cl_bus_holds_publishes(bus, handle)) return 1;
    CL_LIST_EACH(it, &bus->held)
    if (CL_OWNER(it, struct cl_held, place)->handle == handle) return 1;
    return 0;
}

/* 0, or why it cannot be sent. */
static int send_held(cl_composed *bus, const struct cl_held *held)
{
    cl_envelope e;
    cl_extension room;
    if (cl_frame_decode(cl_buf_str(&held->frame), SIZE_MAX, &e) <= 0) return CLOUDS_EPROTO;
    if (cl_frame_is_extended(&e) && cl_frame_extend(&e, &room) != 0) return CLOUDS_EPROTO;
    return bus->base.ops->send(&bus->base, held->handle, &e, held->token);
}

void cl_bus_held_send(cl_composed *bus)
{
    cl_list_node now;
    cl_list_move(&bus->held, &now);
    while (!cl_list_empty(&now)) {
        struct cl_held *held = CL_OWNER(now.next, struct cl_held, place);
        int is_over = bus->closing || (!bus->directory->up && cl_bus_node_is_closing(bus, held->handle));
        int code = is_over ? CLOUDS_EUNREACHABLE : send_held(bus, held);
        if (code != 0 && held->token)
            bus->sink.delivery(bus->sink.self, held->token, CL_DELIVERY_NOT_SENT, code);
        held_free(bus, held);
    }
    cl_bus_nodes_unheld(bus);
}

void cl_bus_held_free(cl_composed *bus)
{
    CL_LIST_EACH(it, &bus->held) held_free(bus, CL_OWNER(it, struct cl_held, place));
}
