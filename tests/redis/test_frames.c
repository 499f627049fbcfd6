/* Frames over Redis: what goes to a node that reads them, in one message a turn, and what comes of others. */
#include "clouds.h"
#include "proto/frame.h"
#include "redis/kit.h"
#include "redis/monitor.h"
#include "support/tap.h"

#define ID_A "s.686c821a.100.0"
#define ID_B "c.686c821a.100.1"

static test_redis server;
static kit a, b;
static int node_a, node_b;

/* What came to a last. */
static struct {
    int n, type;
    unsigned flags;
    int64_t deadline;
    char id[16], meta[64], bytes[64], types[64];
} got;

static void keep(char *room, size_t size, cl_str s)
{
    snprintf(room, size, "%.*s", (int)s.n, s.p);
}

static void on_envelope(kit *k, void *node, const cl_envelope *e)
{
    if (got.n < 63) got.types[got.n] = (char)e->type;
    got.n++;
    got.type = e->type;
    got.flags = e->flags;
    got.deadline = e->deadline;
    keep(got.id, sizeof got.id, e->id);
    keep(got.meta, sizeof got.meta, e->extension ? e->extension->meta : CL_STR_NONE);
    keep(got.bytes, sizeof got.bytes, e->extension ? e->extension->bytes : CL_STR_NONE);
}

static int open_both(const cl_limits *limits)
{
    memset(&got, 0, sizeof got);
    if (kit_open(&a, server.url, limits) || kit_open(&b, server.url, NULL)) return -1;
    if (kit_node(&a, &node_a, ID_A, 2) || kit_node(&b, &node_b, ID_B, 2)) return -1;
    kit_take(&b, "state");
    a.on_envelope = on_envelope;
    return 0;
}

static void close_both(void)
{
    kit_close(&a, 0);
    kit_close(&b, 0);
}

static cl_envelope envelope(int type, const char *id)
{
    cl_envelope e = cl_envelope_of(type, CL_STR(ID_B), CL_STR(ID_A), cl_str_z(id));
    e.flags = CL_NATIVE | CL_FRAMES;
    if (type == CL_CALL) e.method = CL_STR("m"), e.args = CL_STR("[1]");
    return e;
}

static int send(const cl_envelope *e)
{
    return b.bus->ops->send(b.bus, &node_b, e, 0);
}

static void a_turn_is_one_message(void)
{
    static monitor m;
    REQUIRE(open_both(NULL) == 0);
    REQUIRE(monitor_start(&m, &server) == 0);
    cl_envelope call = envelope(CL_CALL, "i1"), cancel = envelope(CL_CANCEL, "i1"), other = envelope(CL_CALL, "i2");
    CHECK_INT(send(&call), 0);
    CHECK_INT(send(&cancel), 0);
    CHECK_INT(send(&other), 0);
    WAIT_FOR(got.n == 3);
    CHECK(strcmp(got.types, "cxc") == 0);
    CHECK(strcmp(got.id, "i2") == 0);
    CHECK_INT(got.flags, CL_NATIVE | CL_FRAMES);
    monitor_read(&m, &server);
    CHECK_INT(monitor_count(&m, "\"PUBLISH\" \"clouds:F:" ID_A "\" \"\\x01\\x10"), 1);
    CHECK_INT(monitor_count(&m, "\"PUBLISH\" \"clouds:F:" ID_A "\""), 1);
    monitor_stop(&m);
    close_both();
}

static void what_text_has_no_place_for(void)
{
    REQUIRE(open_both(NULL) == 0);
    cl_envelope e = envelope(CL_CALL, "i1");
    cl_extension x = CL_EXTENSION_NONE;
    x.meta = CL_STR("{\"a\":1}");
    x.bytes = CL_STR("xyz");
    e.extension = &x;
    e.deadline = cl_loop_now() + 5000;
    CHECK_INT(send(&e), 0);
    WAIT_FOR(got.n == 1);
    CHECK(strcmp(got.meta, "{\"a\":1}") == 0 && strcmp(got.bytes, "xyz") == 0);
    CHECK(llabs(got.deadline - e.deadline) < 1000);
    e.flags = CL_NATIVE;
    CHECK_INT(send(&e), CLOUDS_ENOTSUP);
    e.extension = NULL;
    CHECK_INT(send(&e), 0);
    WAIT_FOR(got.n == 2);
    CHECK_INT(got.flags, CL_NATIVE); /* as text it says nothing of frames */
    cl_envelope cancel = envelope(CL_CANCEL, "i1");
    cancel.flags = CL_NATIVE;
    CHECK_INT(send(&cancel), CLOUDS_ENOTSUP);
    close_both();
}

static void large_ones(void)
{
    static char args[300000];
    REQUIRE(open_both(NULL) == 0);
    cl_envelope e = envelope(CL_CALL, "i1"), behind = envelope(CL_CALL, "i2");
    memset(args, ' ', sizeof args);
    args[0] = '[', args[sizeof args - 1] = ']';
    e.args = cl_str_of(args, sizeof args);
    CHECK_INT(send(&e), 0);
    CHECK_INT(send(&behind), 0);
    WAIT_FOR(got.n == 2);
    CHECK(strcmp(got.id, "i2") == 0);
    close_both();
}

/* Over the limits of who reads: its caller is answered all the same. */
static void too_large_for_the_receiver(void)
{
    static char args[3000];
    cl_limits small;
    kit_limits(&small);
    small.message = 1000;
    REQUIRE(open_both(&small) == 0);
    cl_envelope e = envelope(CL_CALL, "i1");
    memset(args, ' ', sizeof args);
    args[0] = '[', args[sizeof args - 1] = ']';
    e.args = cl_str_of(args, sizeof args);
    CHECK_INT(send(&e), 0);
    WAIT_FOR(got.n == 1);
    CHECK(got.flags & CL_TOO_BIG);
    CHECK(strcmp(got.id, "i1") == 0);
    close_both();
}

static void publish(const char *payload, size_t n)
{
    const char *argv[] = {"PUBLISH", "clouds:F:" ID_A, payload};
    const size_t lengths[] = {7, strlen(argv[1]), n};
    test_redis_argv(&server, 3, argv, lengths);
}

/* Published at another Redis, whose replica ours is by now. */
static void astray(void)
{
    cl_buf b_ = {0};
    cl_envelope e = envelope(CL_CALL, "i1");
    REQUIRE(open_both(NULL) == 0);
    cl_buf_put(&b_, "\1\20abcdefghijklmnop", 18);
    cl_frame_encode(&e, &b_);
    publish(b_.data, b_.len);
    b_.len = 0;
    e = envelope(CL_CALL, "i2");
    cl_buf_put(&b_, "\1\0", 2);
    cl_frame_encode(&e, &b_);
    publish(b_.data, b_.len);
    WAIT_FOR(got.n == 1);
    CHECK(strcmp(got.id, "i2") == 0);
    cl_buf_free(&b_);
    close_both();
}

static void what_is_broken_is_dropped(void)
{
    static const struct {
        const char *bytes;
        size_t n;
    } rows[] = {
        {"\1", 1},
        {"\1\0\0", 3},
        {"\1\5abc", 5},
        {"\1\0\27\0\0\0c", 7},
        {"\1\0\377\377\377\377c", 7},
        {"\1\0\30\0\0\0c\1\377\377\377\377\377\377\377\377\377\377\0\0\0\0\0\0\0\0\0\0\0\0", 30},
    };
    cl_buf good = {0};
    cl_envelope e = envelope(CL_CALL, "i1"), unknown = envelope('h', "i3");
    REQUIRE(open_both(NULL) == 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) publish(rows[i].bytes, rows[i].n);
    cl_buf_put(&good, "\1\0", 2);
    cl_frame_encode(&unknown, &good); /* no type for a node: passed over */
    cl_frame_encode(&e, &good);
    cl_buf_put(&good, "\1\2\3", 3);
    publish(good.data, good.len);
    WAIT_FOR(got.n == 1);
    CHECK(strcmp(got.id, "i1") == 0);
    int dropped = 0;
    WAIT_FOR((dropped += kit_find(&a, "dropped") != NULL) == 7);
    CHECK(a.up);
    cl_buf_free(&good);
    close_both();
}

int main(void)
{
    if (test_redis_start(&server, NULL) != 0) return EXIT_FAILURE;
    RUN(a_turn_is_one_message);
    RUN(what_text_has_no_place_for);
    RUN(large_ones);
    RUN(too_large_for_the_receiver);
    RUN(astray);
    RUN(what_is_broken_is_dropped);
    test_redis_stop(&server);
    return tap_end();
}
