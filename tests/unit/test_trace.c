/* traceparent, what a meta says of a trace, and spans as JSON. */
#include "base/mem.h"
#include "clouds.h"
#include "proto/json.h"
#include "proto/meta.h"
#include "proto/span.h"
#include "support/tap.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"

static void traceparents(void)
{
    static const char *const good[] = {"00-" TRACE "-" SPAN "-01", "00-" TRACE "-" SPAN "-00",
                                       "00-" TRACE "-" SPAN "-ff", "cc-" TRACE "-" SPAN "-01",
                                       "cc-" TRACE "-" SPAN "-01-what the future brings"};
    static const char *const bad[] = {"",
                                      "00",
                                      "00-1-2-01",
                                      "ff-" TRACE "-" SPAN "-01",
                                      "00-" TRACE "-" SPAN "-01-",
                                      "00-" TRACE "-" SPAN "-01x",
                                      "cc-" TRACE "-" SPAN "-01x",
                                      "00-" TRACE "-" SPAN "-0",
                                      "00-" TRACE "-" SPAN "-0g",
                                      "0x-" TRACE "-" SPAN "-01",
                                      "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
                                      "00-" TRACE "-00F067AA0BA902B7-01",
                                      "00-00000000000000000000000000000000-" SPAN "-01",
                                      "00-" TRACE "-0000000000000000-01",
                                      "00_" TRACE "-" SPAN "-01",
                                      "00-" TRACE "_" SPAN "-01",
                                      "00-" TRACE "-" SPAN "_01",
                                      " 00-" TRACE "-" SPAN "-01"};
    char text[CL_TRACEPARENT];
    cl_trace_place place;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        CHECK_INT(cl_traceparent_read(cl_str_z(good[i]), &place), 0);
        CHECK_INT(place.trace[0], 0x4b);
        CHECK_INT(place.span[7], 0xb7);
        cl_traceparent_write(&place, text);
        CHECK(memcmp(text, "00-" TRACE "-" SPAN "-", 53) == 0 && memcmp(text + 53, good[i] + 53, 2) == 0);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        place.flags = 77;
        CHECK_INT(cl_traceparent_read(cl_str_z(bad[i]), &place), -1);
        CHECK_INT(place.flags, 77);
    }
}

static void metas(void)
{
    static const struct {
        const char *meta, *want;
        int has_other;
    } rows[] = {
        {"", "{\"traceparent\":\"P\",\"trace-to\":\"T\"}", 0},
        {"{}", "{\"traceparent\":\"P\",\"trace-to\":\"T\"}", 0},
        {"{ \"tracestate\" : \"s\" }", "{\"traceparent\":\"P\",\"trace-to\":\"T\"}", 0},
        {"{\"a\":[1,2],\"traceparent\":\"x\",\"-b\":null}",
         "{\"a\":[1,2],\"-b\":null,\"traceparent\":\"P\",\"trace-to\":\"T\"}", 1},
    };
    const cl_meta_trace trace = {CL_STR("P"), CL_STR_NONE, CL_STR("T"), 0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cl_buf out = {0};
        CHECK_INT(cl_meta_with_trace(cl_str_z(rows[i].meta), &trace, &out), 0);
        CHECK_STR(out.data ? out.data : "", out.len, rows[i].want);
        CHECK_INT(cl_meta_trace_of(cl_str_z(rows[i].meta)).has_other, rows[i].has_other);
        cl_buf_free(&out);
    }
    cl_meta_trace found = cl_meta_trace_of(
        CL_STR("{\"traceparent\":7,\"tracestate\":\"a=\\\"b\",\"trace-to\":\"c.1\",\"traceparent\":\"last\"}"));
    CHECK_STR(found.parent.p, found.parent.n, "last");
    CHECK_STR(found.state.p, found.state.n, "a=\\\"b");
    CHECK_STR(found.to.p, found.to.n, "c.1");
    CHECK_INT(found.has_other, 0);
}

static cl_span span_of(void)
{
    cl_span span = {.kind = CL_SPAN_CLIENT,
                    .began = 1700000000000000001,
                    .ended = 1700000000000000002,
                    .state = CL_STR_NONE,
                    .method = CL_STR("m"),
                    .node = CL_STR("c.1"),
                    .peer = CL_STR_NONE,
                    .error = CL_STR_NONE};
    cl_traceparent_read(CL_STR("00-" TRACE "-" SPAN "-01"), &span.place);
    return span;
}

static void spans(void)
{
    cl_buf out = {0};
    cl_span span = span_of();
    CHECK_INT(cl_span_put(&span, &out), 0);
    CHECK_STR(
        out.data, out.len,
        "{\"traceId\":\"" TRACE "\",\"spanId\":\"" SPAN "\",\"name\":\"m\",\"kind\":3,\"startTimeUnixNano\":"
        "\"1700000000000000001\",\"endTimeUnixNano\":\"1700000000000000002\",\"attributes\":[{\"key\":\"rpc.system\","
        "\"value\":{\"stringValue\":\"clouds\"}},{\"key\":\"rpc.method\",\"value\":{\"stringValue\":\"m\"}},{\"key\":"
        "\"clouds.node\",\"value\":{\"stringValue\":\"c.1\"}},{\"key\":\"clouds.outcome\",\"value\":{\"stringValue\":"
        "\"OK\"}},{\"key\":\"clouds.attempts\",\"value\":{\"intValue\":\"0\"}},{\"key\":\"clouds.sends\",\"value\":"
        "{\"intValue\":\"0\"}}]}");
    cl_buf_free(&out);
}

/* Whatever names and errors say, it is JSON of a bounded size. */
static void any_bytes(void)
{
    static const char *const errors[] = {"",
                                         "{}",
                                         "7",
                                         "\"plain\"",
                                         "{\"message\":7,\"code\":[\"\\\"\"]}",
                                         "{\"code\":null}",
                                         "{\"message\":\"\\ud800 a\\u0000b\\n\"}"};
    char name[600];
    for (size_t i = 0; i < sizeof name; i++) name[i] = (char)(i * 7 + 1);
    cl_span_event event = {CL_SPAN_HEDGE, 5, 0, cl_str_of(name, 255)};
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        cl_buf out = {0};
        cl_span span = span_of();
        span.method = span.node = span.peer = cl_str_of(name, sizeof name);
        span.outcome = CLOUDS_OUTCOME_APP_ERROR;
        span.code = CLOUDS_EAPP;
        span.error = cl_str_z(errors[i]);
        span.events = &event;
        span.event_count = 1;
        span.dropped_events = 3;
        CHECK_INT(cl_span_put(&span, &out), 0);
        CHECK_INT(cl_json_check(cl_buf_str(&out), '{', CL_JSON_ANY), 0);
        CHECK(out.len < 12000 && memmem(out.data, out.len, "\"droppedEventsCount\":3", 22));
        cl_buf_free(&out);
    }
}

int main(void)
{
    RUN(traceparents);
    RUN(metas);
    RUN(spans);
    RUN(any_bytes);
    return tap_end();
}
