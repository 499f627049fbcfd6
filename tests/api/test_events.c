/* The queue of events by itself: order, texts, reservations, no memory. */
#include "api/events.h"
#include "base/mem.h"
#include "support/tap.h"

static clouds_event event_of(uint64_t id, const char *data, size_t len)
{
    return (clouds_event){.type = CLOUDS_EVENT_RESULT,
                          .id = id,
                          .peer = "peer",
                          .peer_len = 4,
                          .method = "",
                          .data = data,
                          .data_len = len,
                          .error = ""};
}

static void order_and_texts(void)
{
    cl_events q = {0};
    clouds_event got[7];
    char text[600];
    uint64_t in = 0, out = 0;
    for (int round = 0; round < 3000; round++) {
        for (int i = 0; i < 5; i++, in++) {
            int n = snprintf(text, sizeof text, "%0*d", (int)(1 + in * 37 % 500), (int)in);
            clouds_event e = event_of(in, text, (size_t)n);
            CHECK_INT(cl_events_reserve(&q, 1), 0);
            cl_events_complete(&q, &e, NULL);
        }
        cl_events_release(&q);
        size_t n = cl_events_take(&q, got, sizeof *got, 7);
        memset(text, 'x', sizeof text);
        for (size_t i = 0; i < n; i++, out++) {
            char want[600];
            snprintf(want, sizeof want, "%0*d", (int)(1 + out * 37 % 500), (int)out);
            CHECK_INT(got[i].id, out);
            CHECK_STR(got[i].data, got[i].data_len, want);
            CHECK_STR(got[i].peer, got[i].peer_len, "peer");
            CHECK_INT(got[i].method_len, 0);
        }
        if (tap_bad) break;
    }
    CHECK_INT(out, in);
    CHECK_INT(q.bytes, 0);
    CHECK_INT(q.reserved, 0);
    CHECK(q.cap < 1024);
    cl_events_free(&q);
}

static void complete(cl_events *q, uint64_t id)
{
    char text[16];
    int n = snprintf(text, sizeof text, "[%d]", (int)id);
    clouds_event e = event_of(id, text, (size_t)n);
    CHECK_INT(cl_events_reserve(q, 1), 0);
    cl_events_complete(q, &e, NULL);
}

/* While somebody polls, the first go to the records, and what is more, or what finds something waiting, to the ring. */
static void records_of_who_polls(void)
{
    enum { ROOM = 4, MOST = 300 };
    cl_events q = {0};
    clouds_event got[ROOM];
    uint64_t in = 0, out = 0;
    for (int round = 0; round < MOST; round++) {
        int during = round % 5 ? round % 9 : round; /* now and then so many that the ring has to grow meanwhile */
        cl_events_release(&q);
        cl_events_begin_target(&q, got, ROOM);
        for (int i = 0; i < during; i++) complete(&q, in++);
        cl_events_end_target(&q);
        CHECK_INT(q.len, in - out);
        size_t n = cl_events_take(&q, got, sizeof *got, ROOM);
        CHECK_INT(n, in - out < ROOM ? in - out : ROOM);
        complete(&q, in++); /* between two polls: what the first gave is still read */
        for (size_t i = 0; i < n; i++, out++) {
            char want[16];
            snprintf(want, sizeof want, "[%d]", (int)out);
            CHECK_INT(got[i].id, out);
            CHECK_STR(got[i].data, got[i].data_len, want);
            CHECK_STR(got[i].peer, got[i].peer_len, "peer");
        }
        while (round % 3 && q.len) out += cl_events_take(&q, got, sizeof *got, ROOM);
        if (tap_bad) break;
    }
    while (q.len) out += cl_events_take(&q, got, sizeof *got, ROOM);
    CHECK_INT(out, in);
    CHECK_INT(q.bytes, 0);
    CHECK_INT(q.reserved, 0);
    cl_events_free(&q);
}

static void big_text(void)
{
    cl_events q = {0};
    clouds_event got;
    size_t n = 100000;
    char *text = malloc(n);
    memset(text, 'b', n);
    for (int i = 0; i < 3; i++) {
        clouds_event e = event_of(1, text, n);
        CHECK_INT(cl_events_add(&q, &e, NULL), 0);
        cl_events_release(&q);
        CHECK_INT(cl_events_take(&q, &got, sizeof got, 1), 1);
        CHECK(got.data_len == n && memcmp(got.data, text, n) == 0);
    }
    free(text);
    cl_events_free(&q);
}

static void larger_records(void)
{
    cl_events q = {0};
    struct {
        clouds_event event;
        uint64_t tail[3];
    } got[2];
    memset(got, 0xff, sizeof got);
    clouds_event e = event_of(5, "[]", 2);
    cl_events_add(&q, &e, NULL);
    cl_events_add(&q, &e, NULL);
    CHECK_INT(cl_events_take(&q, got, sizeof *got, 2), 2);
    CHECK_INT(got[1].event.id, 5);
    CHECK_INT(got[0].tail[0] | got[0].tail[2] | got[1].tail[1], 0);
    cl_events_free(&q);
}

static int allowed;
static void *limited(void *unused, void *block, size_t size)
{
    if (size == 0) return free(block), NULL;
    return allowed-- > 0 ? realloc(block, size) : NULL;
}

static void no_memory(void)
{
    cl_events q = {0};
    clouds_event got, e = event_of(8, "[1]", 3);
    cl_mem_hook(limited, NULL);
    allowed = 0;
    CHECK_INT(cl_events_reserve(&q, 1), CLOUDS_ENOMEM);
    CHECK_INT(cl_events_add(&q, &e, NULL), CLOUDS_ENOMEM);
    allowed = 1;
    CHECK_INT(cl_events_reserve(&q, 64), 0);
    cl_events_complete(&q, &e, NULL); /* there is a place, but no memory for the texts */
    CHECK_INT(cl_events_take(&q, &got, sizeof got, 1), 1);
    CHECK_INT(got.id, 8);
    CHECK_INT(got.code, CLOUDS_ENOMEM);
    CHECK_INT(got.outcome, CLOUDS_OUTCOME_UNKNOWN);
    CHECK_INT(got.data_len + got.peer_len, 0);
    cl_events_free(&q);
    cl_mem_hook(NULL, NULL);
}

int main(void)
{
    RUN(order_and_texts);
    RUN(records_of_who_polls);
    RUN(big_text);
    RUN(larger_records);
    RUN(no_memory);
    return tap_end();
}
