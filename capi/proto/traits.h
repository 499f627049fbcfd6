/* What a node says of itself to those who choose a server: how many calls it takes beside others, and where it is.
 * Tags are "name=value" with commas between: names of 1 to 32 letters, digits and _.-, none twice, values of 1 to 64 of
 * these and :/@+. So they stand in JSON and in a path as they are. */
#ifndef CL_TRAITS_H
#define CL_TRAITS_H

#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

enum { CL_WEIGHT_MOST = 1000, CL_TAGS_CHOSEN = 256, CL_TAGS_MOST = CL_TAGS_CHOSEN + 24, CL_TRAITS_TEXT = CL_TAGS_MOST + 8 };

/* The tag that a node has by itself, beside those that its program chooses (CL_TAGS_CHOSEN bytes). */
#define CL_TAG_HOST "host"

typedef struct cl_traits {
    uint32_t weight; /* 1 to 1000; 0: not said, which is 1 */
    cl_str tags;     /* or empty */
} cl_traits;

static inline uint32_t cl_traits_weight(const cl_traits *traits)
{
    return traits->weight ? traits->weight : 1;
}

static inline cl_str cl_traits_tags(const cl_traits *traits)
{
    return traits->tags.n ? traits->tags : cl_str_z("");
}

/* 0, or CLOUDS_EINVAL. Empty is fine. */
int cl_tags_check(cl_str tags);
int cl_tag_check_name(cl_str name);
/* 1 and the next tag, or 0; *at is 0 at first. The tags are valid. */
int cl_tags_next(cl_str tags, size_t *at, cl_str *name, cl_str *value);
/* The value of a tag; empty: there is none of that name. */
cl_str cl_tags_value(cl_str tags, cl_str name);
/* Is there one beside the machine, which most nodes say? */
int cl_tags_are_news(cl_str tags);

/* As one text, "3 zone=a", which is empty for a node that says nothing; its length. */
size_t cl_traits_write(const cl_traits *traits, char out[CL_TRAITS_TEXT]);
/* The tags point into `text`. What is not valid says nothing. */
cl_traits cl_traits_read(cl_str text);

/* As members of a JSON object, each with a comma before it: ,"weight":3,"tags":"zone=a". None where nothing is said. 0
 * or CLOUDS_ENOMEM. */
int cl_traits_put(const cl_traits *traits, cl_buf *out);
/* Tags as a JSON object: {"zone":"a"}. */
int cl_tags_put(cl_str tags, cl_buf *out);
/* Takes what such a member says, its value being JSON; any other, and what is not valid, is left alone. */
void cl_traits_take(cl_traits *traits, cl_str key, cl_str value);
/* All of an object that is valid JSON, into which the tags point. */
cl_traits cl_traits_of_object(cl_str object);

#endif
