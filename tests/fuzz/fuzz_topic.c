/* Names of channels: a topic and patterns, on a line each. What the tree finds is what each pattern alone matches. */
#include "fuzz.h"

#include "clouds.h"
#include "proto/topic.h"

enum { PATTERNS = 16 };

static cl_str next_line(cl_str *rest)
{
    const char *end = memchr(rest->p, '\n', rest->n);
    cl_str line = {rest->p, end ? (size_t)(end - rest->p) : rest->n};
    *rest = end ? (cl_str){end + 1, rest->n - line.n - 1} : CL_STR_NONE;
    return line;
}

static void words_are_there(int code)
{
    HOLDS(code == 0 || code == CLOUDS_EINVAL);
    HOLDS(code == 0 || strncmp(clouds_last_error(), "the ", 4) == 0);
}

static void name_is_sound(cl_str name)
{
    int topic = cl_topic_check(name), pattern = cl_topic_check_pattern(name);
    words_are_there(topic);
    words_are_there(pattern);
    words_are_there(cl_topic_check_group(name));
    HOLDS(topic != 0 || pattern == 0);
    if (topic == 0) HOLDS(!cl_topic_is_pattern(name) && cl_topic_matches(name, name));
    if (pattern == 0) HOLDS(name.n >= 1 && name.n <= CL_TOPIC_MAX && cl_topic_is_pattern(name) == (topic != 0));
}

static void count(void *self, cl_topic_leaf *leaf)
{
    ++*(int *)self;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cl_topic_tree tree = {0};
    cl_topic_leaf leaves[PATTERNS];
    cl_str rest = {(const char *)data, size}, topic = next_line(&rest);
    int n = 0, expected = 0, found = 0, is_topic = cl_topic_check(topic) == 0;
    memset(leaves, 0, sizeof leaves);
    name_is_sound(topic);
    while (rest.n && n < PATTERNS) {
        cl_str pattern = next_line(&rest);
        name_is_sound(pattern);
        if (cl_topic_check_pattern(pattern) != 0) continue;
        HOLDS(cl_topic_tree_add(&tree, pattern, &leaves[n++]) == 0);
        if (is_topic) expected += cl_topic_matches(pattern, topic);
    }
    if (is_topic) cl_topic_tree_match(&tree, topic, count, &found);
    HOLDS(found == expected);
    for (int i = 0; i < n; i++) cl_topic_tree_remove(&tree, &leaves[i]);
    HOLDS(tree.root == NULL);
    return 0;
}
