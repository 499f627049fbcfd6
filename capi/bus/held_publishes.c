/* What is published before it is known who has subscribed: it waits for the first complete list, in its order. */
#include "bus/internal.h"

#include "clouds.h"
#include "proto/frame.h"

enum { MOST = 1024 * 1024 };

/* A frame stands behind it. */
typedef struct held {
    void *handle;
    uint64_t token;
    size_t length;
} held;

int cl_bus_hold_publish(cl_composed *bus, void *handle, const cl_envelope *e, uint64_t token)
{
    cl_buf *b = &bus->channels.held;
    held h = {.handle = handle, .token = token};
    size_t before = b->len;
    if (b->len > MOST) return CLOUDS_ELIMIT;
    int code = cl_buf_put(b, &h, sizeof h);
    if (code == 0) code = cl_frame_encode(e, b);
    if (code) {
        b->len = before;
        return code;
    }
    h.length = b->len - before - sizeof h;
    memcpy(b->data + before, &h, sizeof h);
    return 0;
}

static const char *next(const cl_buf *all, size_t *at, held *out)
{
    if (*at >= all->len) return NULL;
    memcpy(out, all->data + *at, sizeof *out);
    const char *frame = all->data + *at + sizeof *out;
    *at += sizeof *out + out->length;
    return frame;
}

int cl_bus_holds_publishes(const cl_composed *bus, const void *handle)
{
    held h;
    for (size_t at = 0; next(&bus->channels.held, &at, &h);)
        if (h.handle == handle) return 1;
    return 0;
}

/* Its node may be closed by now. */
static int publish(cl_composed *bus, const held *h, const char *frame)
{
    cl_envelope e;
    cl_extension x = CL_EXTENSION_NONE;
    size_t drops = 0; /* not counted any more */
    if (!cl_idmap_get(&bus->by_handle, (uint64_t)(uintptr_t)h->handle)) return 0;
    if (cl_frame_decode(cl_str_of(frame, h->length), SIZE_MAX, &e) <= 0 || cl_frame_extend(&e, &x) != 0) return 0;
    return cl_bus_publish_listed(bus, h->handle, &e, h->token, &drops);
}

void cl_bus_publish_held(cl_composed *bus)
{
    cl_buf all = bus->channels.held;
    const char *frame;
    held h;
    bus->channels.held = (cl_buf){0};
    for (size_t at = 0; (frame = next(&all, &at, &h));) {
        int deliveries = publish(bus, &h, frame);
        if (h.token) bus->sink.published(bus->sink.self, h.token, deliveries);
    }
    if (all.len) cl_bus_nodes_unheld(bus);
    cl_buf_free(&all);
}
