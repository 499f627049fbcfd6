/* Records of callers that were built with another clouds.h: what is read of them, what is written, what is refused.
 * (Callers of older versions: tests/lint/recorded.py.) */
#include <stddef.h>

#include "api/kit.h"

enum { MORE = 16, GUARD = 0xa5 };

static const char *mode;

static int says(const char *part)
{
    int said = strstr(clouds_last_error(), part) != NULL;
    if (!said) printf("# '%s' does not say '%s'\n", clouds_last_error(), part);
    return said;
}

/* ---- what the library tells of itself */

static void layout(void)
{
    clouds_layout_info info = {.size = sizeof info};
    uint32_t n = 0, records = 0, end = 0, whole = 0;
    char record[64] = "";
    for (; clouds_layout(n, &info) == 0; n++) {
        if (strcmp(record, info.record) != 0) {
            CHECK_INT(end, whole); /* nothing lies behind the last member */
            CHECK_INT(info.offset, 0);
            snprintf(record, sizeof record, "%s", info.record);
            records++;
            end = 0;
        }
        CHECK(info.offset >= end && *info.member && *info.kind && info.length > 0);
        end = info.offset + info.length;
        whole = info.record_size;
    }
    CHECK_INT(end, whole);
    CHECK(records >= 5 && n > 40);
    CHECK(says("the public records have"));
    CHECK_INT(clouds_layout(UINT32_MAX, &info), CLOUDS_EINVAL);
}

/* Where the library says that a member is, or a size too large for any. */
static uint32_t place_of(const char *record, const char *member)
{
    clouds_layout_info info = {.size = sizeof info};
    for (uint32_t i = 0; clouds_layout(i, &info) == 0; i++)
        if (strcmp(info.record, record) == 0 && strcmp(info.member, member) == 0) return info.offset;
    return UINT32_MAX;
}

static void places(void)
{
    CHECK_INT(place_of("clouds_event", "error_len"), offsetof(clouds_event, error_len));
    CHECK_INT(place_of("clouds_call_options", "server"), offsetof(clouds_call_options, server));
    CHECK_INT(place_of("clouds_operation_options", "timeout"), offsetof(clouds_operation_options, timeout));
    CHECK_INT(place_of("clouds_option_info", "help"), offsetof(clouds_option_info, help));
    CHECK_INT(place_of("clouds_layout_info", "kind"), offsetof(clouds_layout_info, kind));
}

static void names(void)
{
    static const int codes[] = {
#define CODE(symbol, number, outcome, name, text) symbol,
        CLOUDS_ERRORS(CODE)
#undef CODE
    };
    enum { CODES = sizeof codes / sizeof *codes };
    for (uint32_t i = 0; i < CODES; i++) CHECK_INT(clouds_error_at(i), codes[i]);
    CHECK_INT(clouds_error_at(CODES), 0);
    CHECK_INT(clouds_error_at(UINT32_MAX), 0);
    CHECK_INT(strcmp(clouds_event_name(CLOUDS_EVENT_RESULT), "RESULT"), 0);
    CHECK_INT(strcmp(clouds_event_name(CLOUDS_EVENT_CONTEXT_CLOSED), "CONTEXT_CLOSED"), 0);
    CHECK_INT(strcmp(clouds_event_name(0), ""), 0);
    CHECK_INT(strcmp(clouds_event_name(UINT32_MAX), ""), 0);
    CHECK_INT(clouds_version_number(), CLOUDS_VERSION_NUMBER);
    CHECK_INT(strcmp(clouds_version(), CLOUDS_VERSION), 0);
}

/* ---- what the library writes */

static void told_about_options(void)
{
    union {
        clouds_option_info info;
        unsigned char bytes[sizeof(clouds_option_info) + 2 * MORE];
    } r;
    for (uint32_t more = 0; more <= MORE; more += MORE) {
        memset(&r, GUARD, sizeof r);
        r.info.size = (uint32_t)sizeof r.info + more;
        CHECK_INT(clouds_option_describe(0, &r.info), 0);
        CHECK_INT(r.info.size, sizeof r.info + more);
        for (size_t i = sizeof r.info; i < sizeof r; i++)
            CHECK_INT(r.bytes[i], i < sizeof r.info + more ? 0 : GUARD);
    }
    r.info.size = sizeof r.info - 1;
    CHECK_INT(clouds_option_describe(0, &r.info), CLOUDS_EINVAL);
    CHECK(says("the size of clouds_option_info is 71 bytes") && says("takes 72 ") && says("4096"));
    clouds_layout_info info = {.size = sizeof info - 1};
    CHECK_INT(clouds_layout(0, &info), CLOUDS_EINVAL);
    CHECK(says("clouds_layout_info") && info.record == NULL);
    CHECK_INT(clouds_layout(0, NULL), CLOUDS_EINVAL);
}

/* A batch of records that are larger than ours: each is where the caller's size says. */
static void batch(void)
{
    enum { CAPACITY = 8, STRIDE = sizeof(clouds_event) + MORE };
    _Alignas(clouds_event) unsigned char bytes[CAPACITY * STRIDE];
    clouds_context *context = kit_context(kit_url("inproc:"), mode);
    clouds_node *node = kit_node(context, "base");
    uint64_t ids[3] = {0}, seen = 0;
    for (int i = 0; i < 3; i++) CHECK_INT(clouds_node_status(node, NULL, &ids[i]), 0);
    double until = kit_now() + KIT_PATIENCE;
    while (seen != 7 && kit_now() < until) {
        memset(bytes, GUARD, sizeof bytes);
        int n = clouds_poll(context, (void *)bytes, STRIDE, CAPACITY, 0.1);
        if (!CHECK(n >= 0)) break;
        for (int i = 0; i < n; i++) {
            const clouds_event *e = (void *)(bytes + i * STRIDE);
            CHECK(*clouds_event_name(e->type));
            for (int k = 0; k < 3; k++) seen |= (uint64_t)(e->id == ids[k]) << k;
            for (int k = 0; k < MORE; k++) CHECK_INT(bytes[i * STRIDE + (int)sizeof *e + k], 0);
        }
        for (size_t i = (size_t)n * STRIDE; i < sizeof bytes; i++) CHECK_INT(bytes[i], GUARD);
    }
    CHECK_INT(seen, 7);
    CHECK_INT(clouds_poll(context, (void *)bytes, sizeof(clouds_event) - 8, 1, 0), CLOUDS_EINVAL);
    CHECK(says("clouds_event") && says("this library takes"));
    CHECK_INT(clouds_poll(context, (void *)bytes, sizeof(clouds_event) + 1, 1, 0), CLOUDS_EINVAL);
    CHECK(says("aligned"));
    clouds_context_destroy(context);
}

/* ---- what the library reads */

/* A record of the caller's with something behind what the library knows. */
typedef struct longer {
    union {
        clouds_call_options call;
        clouds_operation_options operation;
        clouds_offer_options offer;
        unsigned char bytes[sizeof(clouds_call_options) + MORE];
    } r;
} longer;

static longer longer_by(size_t size, uint32_t more)
{
    longer it;
    memset(&it, 0, sizeof it);
    it.r.call.size = (uint32_t)size + more;
    return it;
}

static void unknown_members(void)
{
    clouds_context *context = kit_context(kit_url("inproc:"), mode);
    clouds_node *node = kit_node(context, "base");
    uint64_t id = 4711;
    for (size_t at = 0; at < MORE; at++) {
        longer it = longer_by(sizeof it.r.call, MORE);
        it.r.bytes[sizeof it.r.call + at] = 1;
        CHECK_INT(clouds_node_call(node, "m", 1, "[]", 2, &it.r.call, &id), CLOUDS_ENOTSUP);
        CHECK(says("clouds_call_options") && says(CLOUDS_VERSION));
        it = longer_by(sizeof it.r.operation, MORE);
        it.r.bytes[sizeof it.r.operation + at] = 0x80;
        CHECK_INT(clouds_node_register(node, "m", 1, &it.r.operation, &id), CLOUDS_ENOTSUP);
        CHECK_INT(clouds_node_unregister(node, "m", 1, &it.r.operation, &id), CLOUDS_ENOTSUP);
        CHECK_INT(clouds_node_status(node, &it.r.operation, &id), CLOUDS_ENOTSUP);
        CHECK_INT(clouds_node_close(node, 0, &it.r.operation, &id), CLOUDS_ENOTSUP);
        CHECK_INT(clouds_context_close(context, 0, &it.r.operation, &id), CLOUDS_ENOTSUP);
        CHECK(says("clouds_operation_options"));
        it = longer_by(sizeof it.r.offer, MORE);
        it.r.bytes[sizeof it.r.offer + at] = 0x80;
        CHECK_INT(clouds_node_offer(node, "m", 1, &it.r.offer, NULL, &id), CLOUDS_ENOTSUP);
        CHECK(says("clouds_offer_options"));
    }
    CHECK_INT(id, 4711);
    longer it = longer_by(sizeof it.r.call, MORE);
    CHECK_INT(clouds_node_call(node, "m", 1, "[]", 2, &it.r.call, &id), 0);
    it = longer_by(sizeof it.r.operation, MORE);
    CHECK_INT(clouds_node_status(node, &it.r.operation, &id), 0);
    it.r.bytes[it.r.call.size] = 1; /* not the record's any more */
    CHECK_INT(clouds_node_status(node, &it.r.operation, &id), 0);
    clouds_context_destroy(context);
}

static void wrong_sizes(void)
{
    static const uint32_t sizes[] = {0, 3, 4, 8, sizeof(clouds_operation_options) - 1, 4097, 0x40000000, UINT32_MAX};
    clouds_context *context = kit_context(kit_url("inproc:"), mode);
    clouds_node *node = kit_node(context, "base");
    uint64_t id = 4711;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        longer it = longer_by(sizes[i], 0);
        char words[256] = {1};
        it.r.call.error = words;
        it.r.call.error_size = sizeof words;
        CHECK_INT(clouds_node_call(node, "m", 1, "[]", 2, &it.r.call, &id), CLOUDS_EINVAL);
        CHECK(says("the size of clouds_call_options is"));
        CHECK_INT(words[0], 1); /* a record of no size that is known has no members either */
        it = longer_by(sizes[i], 0);
        it.r.operation.error = words;
        it.r.operation.error_size = sizeof words;
        CHECK_INT(clouds_node_status(node, &it.r.operation, &id), CLOUDS_EINVAL);
        CHECK(says("the size of clouds_operation_options is"));
        CHECK_INT(clouds_node_close(node, 0, &it.r.operation, &id), CLOUDS_EINVAL);
        CHECK_INT(clouds_context_close(context, 0, &it.r.operation, &id), CLOUDS_EINVAL);
        CHECK_INT(words[0], 1);
    }
    CHECK_INT(id, 4711);
    clouds_context_destroy(context);
}

/* What has no meaning yet must be zero, so that it can get one. */
static void reserved(void)
{
    clouds_context *context = kit_context(kit_url("inproc:"), mode);
    clouds_node *node = kit_node(context, "base");
    clouds_layout_info info = {.size = sizeof info};
    uint64_t id = 0;
    for (uint32_t i = 0; clouds_layout(i, &info) == 0; i++) {
        if (strncmp(info.member, "reserved", 8) != 0) continue;
        longer it;
        if (strcmp(info.record, "clouds_call_options") == 0) {
            it = longer_by(sizeof it.r.call, 0);
            it.r.bytes[info.offset + info.length - 1] = 1;
            CHECK_INT(clouds_node_call(node, "m", 1, "[]", 2, &it.r.call, &id), CLOUDS_EINVAL);
            CHECK(says("reserved"));
        } else if (strcmp(info.record, "clouds_operation_options") == 0) {
            it = longer_by(sizeof it.r.operation, 0);
            it.r.bytes[info.offset] = 1;
            CHECK_INT(clouds_node_status(node, &it.r.operation, &id), CLOUDS_EINVAL);
            CHECK(says("reserved"));
        }
    }
    clouds_context_destroy(context);
}

static void in_each_mode(void)
{
    RUN(batch);
    RUN(unknown_members);
    RUN(wrong_sizes);
    RUN(reserved);
}

int main(void)
{
    RUN(layout);
    RUN(places);
    RUN(names);
    RUN(told_about_options);
    kit_modes(&mode, in_each_mode);
    return kit_end();
}
