#include "proto/topic.h"

#include "base/mem.h"
#include "clouds.h"
#include "support/tap.h"

/* ---- names */

typedef struct name_row {
    const char *name, *as_topic, *as_pattern; /* NULL: valid; else how the words end */
} name_row;

static const name_row names[] = {
    {"a", NULL, NULL},
    {"chat.room-1.joined", NULL, NULL},
    {"a b.c", NULL, NULL},
    {"\xc3\xa4.b", NULL, NULL},
    {"a$", NULL, NULL},
    {"", "the topic is empty", "the topic is empty"},
    {".", "ends with a dot", "ends with a dot"},
    {"a.", "ends with a dot", "ends with a dot"},
    {".a", "has an empty token", "has an empty token"},
    {"a..b", "has an empty token", "has an empty token"},
    {"$sys.a", "for names of the library", "for names of the library"},
    {"a\nb", "a control character at byte 1", "a control character at byte 1"},
    {"a\x7f", "a control character at byte 1", "a control character at byte 1"},
    {"\xff", "is not valid UTF-8", "is not valid UTF-8"},
    {"*", "only a subscription may have one", NULL},
    {">", "only a subscription may have one", NULL},
    {"a.*.c", "only a subscription may have one", NULL},
    {"*.*.>", "only a subscription may have one", NULL},
    {"a.b*", "only a subscription may have one", "a wildcard that is no whole token"},
    {"a>.b", "only a subscription may have one", "a wildcard that is no whole token"},
    {"a.>.b", "only a subscription may have one", "has something behind '>'"},
    {"**", "only a subscription may have one", "a wildcard that is no whole token"},
};

static void is_as(int code, const char *why)
{
    CHECK(code == (why ? CLOUDS_EINVAL : 0));
    if (why && !CHECK(strstr(clouds_last_error(), why) != NULL)) printf("# %s\n", clouds_last_error());
}

static void names_are_checked(void)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        cl_str name = cl_str_z(names[i].name);
        is_as(cl_topic_check(name), names[i].as_topic);
        is_as(cl_topic_check_pattern(name), names[i].as_pattern);
    }
    char longest[CL_TOPIC_MAX + 1];
    memset(longest, 'x', sizeof longest);
    CHECK(cl_topic_check(cl_str_of(longest, CL_TOPIC_MAX)) == 0);
    is_as(cl_topic_check(cl_str_of(longest, CL_TOPIC_MAX + 1)), "has 256 bytes, at most 255 are possible");
    CHECK(cl_topic_check_group(CL_STR("workers of *")) == 0);
    is_as(cl_topic_check_group(CL_STR("a\tb")), "the group has a control character");
    CHECK(cl_topic_is_pattern(CL_STR("a.*")) && cl_topic_is_pattern(CL_STR(">")) &&
          !cl_topic_is_pattern(CL_STR("a.b")));
}

/* ---- what matches */

typedef struct match_row {
    const char *pattern, *topic;
    int matches;
} match_row;

static const match_row matches[] = {
    {"a", "a", 1},       {"a", "b", 0},     {"a", "A", 0},     {"a.b", "a.b", 1},     {"a.b", "a", 0},
    {"a", "a.b", 0},     {"*", "a", 1},     {"*", "a.b", 0},   {"a.*", "a.b", 1},     {"a.*", "a", 0},
    {"a.*", "a.b.c", 0}, {"*.b", "a.b", 1}, {"*.b", "a.c", 0}, {"a.*.c", "a.b.c", 1}, {"a.*.c", "a.b.b", 0},
    {">", "a", 1},       {">", "a.b.c", 1}, {"a.>", "a.b", 1}, {"a.>", "a.b.c", 1},   {"a.>", "a", 0},
    {"a.>", "b.c", 0},   {"*.>", "a.b", 1}, {"*.>", "a", 0},   {"*.*.>", "a.b.c", 1}, {"a.*.>", "a.b.c.d", 1},
    {"ab.c", "a.bc", 0}, {"*.*", "a.b", 1}, {"*.*", "a", 0},
};

static void count(void *self, cl_topic_leaf *leaf)
{
    ++*(int *)self;
}

static int tree_matches(cl_topic_tree *tree, const char *topic)
{
    int n = 0;
    cl_topic_tree_match(tree, cl_str_z(topic), count, &n);
    return n;
}

static void patterns_match(void)
{
    for (size_t i = 0; i < sizeof matches / sizeof *matches; i++) {
        const match_row *row = &matches[i];
        cl_topic_tree tree = {0};
        cl_topic_leaf leaf = {0};
        CHECK(cl_topic_matches(cl_str_z(row->pattern), cl_str_z(row->topic)) == row->matches);
        CHECK(cl_topic_tree_add(&tree, cl_str_z(row->pattern), &leaf) == 0);
        if (!CHECK(tree_matches(&tree, row->topic) == row->matches)) printf("# %s %s\n", row->pattern, row->topic);
        cl_topic_tree_remove(&tree, &leaf);
        CHECK(tree.root == NULL);
    }
}

/* All patterns in one tree: a topic meets exactly those that it matches one by one. */
static void the_tree_finds_the_same(void)
{
    enum { N = sizeof matches / sizeof *matches };
    cl_topic_tree tree = {0};
    cl_topic_leaf leaves[N];
    memset(leaves, 0, sizeof leaves);
    for (int i = 0; i < N; i++) CHECK(cl_topic_tree_add(&tree, cl_str_z(matches[i].pattern), &leaves[i]) == 0);
    for (int removed = 0; removed <= N; removed++) {
        for (int i = 0; i < N; i++) {
            int expected = 0;
            for (int k = removed; k < N; k++)
                expected += cl_topic_matches(cl_str_z(matches[k].pattern), cl_str_z(matches[i].topic));
            CHECK(tree_matches(&tree, matches[i].topic) == expected);
        }
        if (removed < N) cl_topic_tree_remove(&tree, &leaves[removed]);
    }
    CHECK(tree.root == NULL);
    cl_topic_tree_remove(&tree, &leaves[0]); /* it is in none any more */
}

/* ---- without memory nothing is half there */

static int allocations_left;

static void *sparing(void *user_data, void *block, size_t size)
{
    if (size == 0) return free(block), NULL;
    return allocations_left-- > 0 ? realloc(block, size) : NULL;
}

static void without_memory_nothing_is_half_there(void)
{
    cl_topic_tree tree = {0};
    cl_topic_leaf leaf = {0}, other = {0};
    int n = 0, code;
    do {
        cl_mem_hook(NULL, NULL);
        if (!leaf.branch) CHECK(cl_topic_tree_add(&tree, CL_STR("a.x"), &leaf) == 0);
        allocations_left = n++;
        cl_mem_hook(sparing, NULL);
        code = cl_topic_tree_add(&tree, CL_STR("a.b.*.>"), &other);
        CHECK(code == 0 || (code == CLOUDS_ENOMEM && !other.branch));
        CHECK(tree_matches(&tree, "a.x") == 1);
    } while (code != 0 && n < 100);
    cl_mem_hook(NULL, NULL);
    CHECK(n > 4 && tree_matches(&tree, "a.b.c.d") == 1);
    cl_topic_tree_remove(&tree, &leaf);
    cl_topic_tree_remove(&tree, &other);
    CHECK(tree.root == NULL);
}

int main(void)
{
    RUN(names_are_checked);
    RUN(patterns_match);
    RUN(the_tree_finds_the_same);
    RUN(without_memory_nothing_is_half_there);
    return tap_end();
}
