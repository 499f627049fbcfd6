#include "base/map.h"

#include "base/mem.h"
#include "base/rand.h"
#include "clouds.h"
#include "support/tap.h"

/* The naive model: an array indexed by a small number, which makes the key. */
enum { KEYS = 400, STEPS = 200000 };

static int values[2 * KEYS];
static void *model[KEYS];
static char names[KEYS][24];

static size_t model_count(void)
{
    size_t n = 0;
    for (int i = 0; i < KEYS; i++) n += model[i] != NULL;
    return n;
}

/* Keys that collide (multiples of a high power of two), and ordinary ones. */
static uint64_t id_of(int i)
{
    return i % 2 ? (uint64_t)(i + 1) << 40 : (uint64_t)i + 1;
}

static cl_str name_of(int i)
{
    return cl_str_of(names[i], (size_t)snprintf(names[i], sizeof names[i], i % 2 ? "key.%d" : "%d", i));
}

static void id_step(cl_idmap *m, uint64_t *seed)
{
    int i = (int)(cl_rand_next(seed) % KEYS);
    uint64_t what = cl_rand_next(seed) % 5;
    if (what < 2) {
        model[i] = &values[cl_rand_next(seed) % (2 * KEYS)];
        CHECK(cl_idmap_put(m, id_of(i), model[i]) == 0);
    } else if (what < 4) {
        CHECK(cl_idmap_take(m, id_of(i)) == model[i]);
        model[i] = NULL;
    } else {
        CHECK(cl_idmap_get(m, id_of(i)) == model[i]);
    }
}

static void ids_agree_with_an_array(void)
{
    cl_idmap m = {0};
    uint64_t seed = 1;
    memset(model, 0, sizeof model);
    for (int n = 0; n < STEPS; n++) {
        id_step(&m, &seed);
        if (n % 1000) continue;
        REQUIRE(m.len == model_count());
        for (int i = 0; i < KEYS; i++) REQUIRE(cl_idmap_get(&m, id_of(i)) == model[i]);
        size_t at = 0, seen = 0;
        while (cl_idmap_next(&m, &at)) seen++;
        REQUIRE(seen == m.len);
    }
    cl_idmap_free(&m);
    CHECK(m.slots == NULL && m.len == 0);
}

static void str_step(cl_strmap *m, uint64_t *seed)
{
    int i = (int)(cl_rand_next(seed) % KEYS);
    uint64_t what = cl_rand_next(seed) % 5;
    if (what < 2) {
        model[i] = &values[cl_rand_next(seed) % (2 * KEYS)];
        CHECK(cl_strmap_put(m, name_of(i), model[i]) == 0);
    } else if (what < 4) {
        CHECK(cl_strmap_take(m, name_of(i)) == model[i]);
        model[i] = NULL;
    } else {
        CHECK(cl_strmap_get(m, name_of(i)) == model[i]);
    }
}

static void names_agree_with_an_array(void)
{
    cl_strmap m = {0};
    uint64_t seed = 2;
    memset(model, 0, sizeof model);
    for (int n = 0; n < STEPS; n++) {
        str_step(&m, &seed);
        if (n % 1000) continue;
        REQUIRE(m.len == model_count());
        for (int i = 0; i < KEYS; i++) REQUIRE(cl_strmap_get(&m, name_of(i)) == model[i]);
        size_t at = 0, seen = 0;
        while (cl_strmap_next(&m, &at)) seen++;
        REQUIRE(seen == m.len);
    }
    cl_strmap_free(&m);
}

static void empty_maps_answer(void)
{
    cl_idmap ids = {0};
    cl_strmap texts = {0};
    size_t at = 0;
    CHECK(cl_idmap_get(&ids, 1) == NULL && cl_idmap_take(&ids, 1) == NULL && cl_idmap_next(&ids, &at) == NULL);
    CHECK(cl_strmap_get(&texts, CL_STR("x")) == NULL && cl_strmap_take(&texts, CL_STR("x")) == NULL);
    int v = 0;
    REQUIRE(cl_idmap_put(&ids, 1, &v) == 0);
    CHECK(cl_idmap_get(&ids, 0) == NULL && cl_idmap_take(&ids, 0) == NULL);
    cl_idmap_free(&ids);
    cl_idmap_free(&ids);
    cl_strmap_free(&texts);
}

static void texts_with_nul_and_empty_ones_are_keys(void)
{
    cl_strmap m = {0};
    int a, b, c;
    REQUIRE(cl_strmap_put(&m, cl_str_of("a\0b", 3), &a) == 0);
    REQUIRE(cl_strmap_put(&m, cl_str_of("a\0c", 3), &b) == 0);
    REQUIRE(cl_strmap_put(&m, CL_STR(""), &c) == 0);
    CHECK(cl_strmap_get(&m, cl_str_of("a\0b", 3)) == &a);
    CHECK(cl_strmap_get(&m, cl_str_of("a\0c", 3)) == &b);
    CHECK(cl_strmap_get(&m, CL_STR("")) == &c);
    CHECK(cl_strmap_get(&m, CL_STR("a")) == NULL);
    cl_strmap_free(&m);
}

static void *refuse(void *user_data, void *block, size_t size)
{
    if (size == 0) free(block);
    return NULL;
}

static void no_memory_leaves_it_unchanged(void)
{
    cl_idmap m = {0};
    int v = 0;
    uint64_t key = 0;
    while (m.cap == 0 || (m.len + 1) * 4 <= m.cap * 3) REQUIRE(cl_idmap_put(&m, ++key, &v) == 0);
    cl_mem_hook(refuse, NULL);
    CHECK_INT(cl_idmap_put(&m, key + 1, &v), CLOUDS_ENOMEM);
    cl_mem_hook(NULL, NULL);
    CHECK_INT(m.len, key);
    for (uint64_t i = 1; i <= key; i++) CHECK(cl_idmap_get(&m, i) == &v);
    CHECK(cl_idmap_get(&m, key + 1) == NULL);
    cl_idmap_free(&m);
}

int main(void)
{
    RUN(ids_agree_with_an_array);
    RUN(names_agree_with_an_array);
    RUN(empty_maps_answer);
    RUN(texts_with_nul_and_empty_ones_are_keys);
    RUN(no_memory_leaves_it_unchanged);
    return tap_end();
}
