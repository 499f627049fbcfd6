/* What a process counts by name, in memory that others may read: the rows, and what contexts have in them. */
#include <stdalign.h>
#include <stdlib.h>

#include "api/kit.h"
#include "clouds_worker.h"

enum { SIZE = 1 << 16 };

static alignas(8) char memory[SIZE];
static const char *mode;

/* The row of this kind and name that is the `which`th; NULL: there is none. */
static clouds_counts_row *row_of(void *in, unsigned kind, const char *name, int which)
{
    const clouds_counts *counts = in;
    uint64_t used = __atomic_load_n(&counts->used, __ATOMIC_ACQUIRE);
    for (uint64_t at = sizeof *counts; at < used;) {
        clouds_counts_row *row = (clouds_counts_row *)(void *)((char *)in + at);
        const char *own = (const char *)(row + 1) + row->value_count * sizeof(uint64_t);
        if (row->kind == kind && strncmp(own, name, strlen(name)) == 0 && which-- == 0) return row;
        at += row->size;
    }
    return NULL;
}

static uint64_t *values_of(clouds_counts_row *row)
{
    return (uint64_t *)(void *)(row + 1);
}

static void wrong_use(void)
{
    CHECK(clouds_counts_add(NULL, 9, "x", 1, 1) == NULL);
    CHECK_INT(clouds_counts_use(NULL, SIZE), CLOUDS_EINVAL);
    CHECK_INT(clouds_counts_use(memory + 1, SIZE - 1), CLOUDS_EINVAL);
    CHECK_INT(clouds_counts_use(memory, sizeof(clouds_counts) - 1), CLOUDS_EINVAL);
    CHECK_INT(clouds_counts_use(memory, SIZE), 0);
    CHECK_INT(clouds_counts_use(memory, SIZE), CLOUDS_EEXIST);
}

static void rows(void)
{
    uint64_t *first = clouds_counts_add(NULL, 9, "row", 3, 2), *second = clouds_counts_add(NULL, 9, "row", 3, 2);
    REQUIRE(first && second && first != second);
    first[1] = 5;
    clouds_counts_row *row = row_of(memory, 9, "row", 0);
    REQUIRE(row && values_of(row) == first);
    CHECK(row->held && row->size % 8 == 0 && row->name_len == 3 && row->value_count == 2);
    row->held = 0;
    CHECK(clouds_counts_add(NULL, 9, "row", 3, 3) != first); /* another number of values */
    CHECK(clouds_counts_add(NULL, 9, "rou", 3, 2) != first);
    CHECK(clouds_counts_add(NULL, 9, "row", 3, 2) == first && first[1] == 5);
    char long_name[1025] = {0};
    CHECK(clouds_counts_add(NULL, 9, long_name, sizeof long_name, 1) == NULL);
    CHECK(clouds_counts_add(NULL, 9, "many", 4, 1 << 20) == NULL);
    CHECK(clouds_counts_add(NULL, 9, "no room", 7, SIZE / 8) == NULL);
}

/* Other memory than that of the process. */
static void elsewhere(void)
{
    static alignas(8) char other[sizeof(clouds_counts) + 64];
    clouds_counts *counts = (clouds_counts *)(void *)other;
    *counts = (clouds_counts){.version = CLOUDS_COUNTS_VERSION, .size = sizeof other, .used = sizeof *counts};
    CHECK(clouds_counts_add(other, 9, "x", 1, 2) != NULL);
    CHECK(clouds_counts_add(other, 9, "y", 1, 2) == NULL);
    CHECK(row_of(other, 9, "x", 0) && counts->used <= counts->size);
}

static clouds_context *open_context(const char *stats)
{
    clouds_context *context = NULL;
    clouds_options *options =
        KIT_OPTIONS("url", "inproc:counts", "mode", mode, stats ? "stats" : "mode", stats ? stats : mode);
    CHECK_INT(clouds_context_create(options, &context), 0);
    clouds_options_destroy(options);
    return context;
}

static void call_echo(clouds_context *context, clouds_node *client)
{
    clouds_event e;
    uint64_t id = kit_call(client, "echo", "[]", NULL);
    double until = kit_now() + KIT_PATIENCE;
    int done = 0;
    while (!done && kit_now() < until) {
        if (kit_next(context, &e, 0.001) != 1) continue;
        if (e.type == CLOUDS_EVENT_REQUEST) kit_answer(context, &e);
        done = e.type == CLOUDS_EVENT_RESULT && e.id == id;
    }
    CHECK(done && e.code == 0);
}

static uint64_t counted(const char *name)
{
    const clouds_counts_row *row = row_of(memory, CLOUDS_COUNTS_CONTEXT, "open up nodes", 0);
    const char *names = row ? (const char *)(row + 1) + row->value_count * sizeof(uint64_t) : "";
    size_t left = row ? row->name_len : 0, at = 0;
    while (left) {
        const char *end = memchr(names, ' ', left);
        size_t n = end ? (size_t)(end - names) : left;
        if (n == strlen(name) && memcmp(names, name, n) == 0)
            return __atomic_load_n(&((const uint64_t *)(const void *)(row + 1))[at], __ATOMIC_RELAXED);
        at++;
        names += end ? n + 1 : n;
        left -= end ? n + 1 : n;
    }
    return UINT64_MAX; /* there is no such counter */
}

static void wait_for(clouds_context *context, const char *name, uint64_t value)
{
    clouds_event e;
    double until = kit_now() + KIT_PATIENCE;
    while (counted(name) != value && kit_now() < until) kit_next(context, &e, 0.001);
    CHECK_INT(counted(name), value);
}

/* A second context goes on in the rows of the first, and one that wants to count nothing has none. */
static void contexts(void)
{
    static uint64_t before;
    for (int round = 1; round <= 2; round++) {
        clouds_context *context = open_context(NULL);
        clouds_node *server = kit_node(context, "server"), *client = kit_node(context, "client");
        CHECK_INT(kit_register(context, server, "echo"), 0);
        for (int i = 0; i < 3; i++) call_echo(context, client);
        clouds_counts_row *row = row_of(memory, CLOUDS_COUNTS_METHOD, "echo", 0);
        REQUIRE(row && !row_of(memory, CLOUDS_COUNTS_METHOD, "echo", 1));
        const clouds_method_counts *n = (const clouds_method_counts *)(const void *)values_of(row);
        CHECK(row->held);
        CHECK_INT(n->calls.ended[CLOUDS_OUTCOME_OK], before + 3);
        CHECK_INT(n->requests.ended[CLOUDS_OUTCOME_OK], before + 3);
        CHECK(n->calls.open == 0 && n->calls.is_used && n->requests.is_used);
        wait_for(context, "open", 1);
        wait_for(context, "up", 1);
        wait_for(context, "nodes", 2);
        before += 3;
        wait_for(context, "requests", before);
        clouds_context_destroy(context);
        CHECK(!row->held);
        CHECK_INT(counted("open"), 0);
        CHECK_INT(counted("nodes"), 0);
        CHECK_INT(counted("requests"), before);
    }
    clouds_context *silent = open_context("false");
    clouds_node *client = kit_node(silent, "client");
    kit_call(client, "nobody", "[]", NULL);
    CHECK(!row_of(memory, CLOUDS_COUNTS_METHOD, "nobody", 0));
    clouds_context_destroy(silent);
}

static void all(void)
{
    RUN(contexts);
}

int main(void)
{
    RUN(wrong_use);
    RUN(rows);
    RUN(elsewhere);
    kit_modes(&mode, all);
    return kit_end();
}
