/* Names of channels. A topic is 1 to 255 bytes of UTF-8, tokens with dots between, none of them empty, without control
 * characters. A pattern may have a `*` for one token, and `>` as its last for one or more. What begins with `$` is for
 * names of the library's own. Case counts. */
#ifndef CL_TOPIC_H
#define CL_TOPIC_H

#include "base/list.h"
#include "base/map.h"
#include "base/str.h"

enum { CL_TOPIC_MAX = 255 };

/* 0, or CLOUDS_EINVAL in words that name what is wrong and where. */
int cl_topic_check(cl_str topic);
int cl_topic_check_pattern(cl_str pattern); /* a topic is one, too */
int cl_topic_check_group(cl_str group);

/* Has a valid pattern a wildcard in it? */
int cl_topic_is_pattern(cl_str pattern);

/* Does a valid topic match a valid pattern? */
int cl_topic_matches(cl_str pattern, cl_str topic);

/* ---- patterns in a tree, a level a token, so that a topic meets only those that it matches. All zero is a valid empty
 * tree. */

typedef struct cl_topic_branch cl_topic_branch;

typedef struct cl_topic_tree {
    cl_topic_branch *root; /* NULL: it is empty */
} cl_topic_tree;

/* Lies in what the pattern belongs to. */
typedef struct cl_topic_leaf {
    cl_list_node place;
    cl_topic_branch *branch; /* NULL: it is in no tree */
} cl_topic_leaf;

/* 0 or CLOUDS_ENOMEM. The pattern is valid, and copied. Of leaves with one pattern the order stays. */
int cl_topic_tree_add(cl_topic_tree *tree, cl_str pattern, cl_topic_leaf *leaf);
/* One that is in no tree is fine, if it is all zero. */
void cl_topic_tree_remove(cl_topic_tree *tree, cl_topic_leaf *leaf);
/* Calls `each` with the leaves whose pattern a valid topic matches. Nothing may be added or removed meanwhile. */
void cl_topic_tree_match(const cl_topic_tree *tree, cl_str topic, void (*each)(void *self, cl_topic_leaf *leaf),
                         void *self);

#endif
