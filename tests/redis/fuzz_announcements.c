/* Fuzz target: what stands on the channel for news about registrations, which anybody who may PUBLISH can write.
 * Whatever it is, ids and methods that come out of it are texts that the message holds, and what is broken is dropped
 * with a reason. */
#include "directory/redis/internal.h"
#include "clouds.h"
#include "fuzz/fuzz.h"

typedef struct heard {
    size_t size, up, down, draining, dropped;
} heard;

static void is_text(const heard *h, cl_str text)
{
    unsigned sum = 0;
    HOLDS(text.n <= h->size); /* an escape is never shorter than what it stands for */
    for (size_t i = 0; i < text.n; i++) sum += (unsigned char)text.p[i]; /* every byte of it can be read */
    HOLDS(sum <= 255 * text.n);
}

static void on_up(void *self, cl_str method, cl_server server)
{
    heard *h = self;
    is_text(h, method);
    is_text(h, server.id);
    HOLDS(server.id.n > 0);
    h->up++;
}

static void on_down(void *self, cl_str method, cl_str server)
{
    heard *h = self;
    is_text(h, method);
    is_text(h, server);
    HOLDS(server.n > 0);
    h->down++;
}

static void on_draining(void *self, cl_str id)
{
    heard *h = self;
    is_text(h, id);
    h->draining++;
}

static void on_dropped(void *self, int code)
{
    heard *h = self;
    HOLDS(code == CLOUDS_EJSON || code == CLOUDS_ETOOBIG);
    h->dropped++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    heard h = {.size = size};
    cl_redis_client client = {.limits = {.message = 3000, .json = {32, 200}}};
    redis_directory d = {
        .sink = {.self = &h,
                 .server_up = on_up,
                 .server_down = on_down,
                 .peer_draining = on_draining,
                 .dropped = on_dropped},
        .client = &client,
    };
    cl_redis_announced(&d, (cl_str){(const char *)data, size});
    HOLDS(h.dropped <= 1 && h.draining <= 1);
    HOLDS(h.up == 0 || h.down == 0);
    if (h.dropped) HOLDS(h.up + h.down + h.draining == 0);
    if (size > 3000) HOLDS(h.dropped == 1);
    cl_buf_free(&d.scratch);
    cl_buf_free(&d.text);
    return 0;
}
