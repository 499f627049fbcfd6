#include "proto/traits.h"

#include <stdio.h>
#include <string.h>

#include "clouds.h"
#include "proto/json.h"

enum { NAME_MOST = 32, VALUE_MOST = 64, RECORD_DEPTH = 8, RECORD_VALUES = 1000000 };

/* ---- tags */

static int is_word(cl_str text, size_t most, const char *others)
{
    if (text.n == 0 || text.n > most) return 0;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i], lower = (char)(c | 0x20);
        int plain = (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9');
        if (!plain && (!c || !strchr(others, c))) return 0;
    }
    return 1;
}

int cl_tag_check_name(cl_str name)
{
    return is_word(name, NAME_MOST, "_.-") ? 0 : CLOUDS_EINVAL;
}

int cl_tags_next(cl_str tags, size_t *at, cl_str *name, cl_str *value)
{
    if (*at >= tags.n) return 0;
    const char *begin = tags.p + *at, *end = memchr(begin, ',', tags.n - *at);
    if (!end) end = tags.p + tags.n;
    const char *cut = memchr(begin, '=', (size_t)(end - begin));
    if (!cut) cut = end;
    *name = cl_str_of(begin, (size_t)(cut - begin));
    *value = cut < end ? cl_str_of(cut + 1, (size_t)(end - cut) - 1) : CL_STR_NONE;
    *at = (size_t)(end - tags.p) + 1;
    return 1;
}

cl_str cl_tags_value(cl_str tags, cl_str wanted)
{
    cl_str name, value;
    for (size_t at = 0; cl_tags_next(tags, &at, &name, &value);)
        if (cl_str_eq(name, wanted)) return value;
    return CL_STR_NONE;
}

int cl_tags_are_news(cl_str tags)
{
    cl_str name, value;
    for (size_t at = 0; cl_tags_next(tags, &at, &name, &value);)
        if (!cl_str_eq(name, CL_STR(CL_TAG_HOST))) return 1;
    return 0;
}

int cl_tags_check(cl_str tags)
{
    cl_str name, value;
    if (tags.n > CL_TAGS_MOST || (tags.n && tags.p[tags.n - 1] == ',')) return CLOUDS_EINVAL;
    for (size_t at = 0, before = 0; cl_tags_next(tags, &at, &name, &value); before = at) {
        if (cl_tag_check_name(name) != 0 || !is_word(value, VALUE_MOST, "_.-:/@+")) return CLOUDS_EINVAL;
        if (cl_tags_value(cl_str_of(tags.p, before), name).n) return CLOUDS_EINVAL;
    }
    return 0;
}

/* ---- as a text */

size_t cl_traits_write(const cl_traits *traits, char out[CL_TRAITS_TEXT])
{
    uint32_t weight = cl_traits_weight(traits);
    out[0] = '\0';
    if (weight == 1 && traits->tags.n == 0) return 0;
    return (size_t)snprintf(out, CL_TRAITS_TEXT, "%u %.*s", weight, (int)traits->tags.n, traits->tags.p);
}

/* A number of 1 to 1000 at the beginning; how many digits it has, or 0. */
static size_t read_weight(cl_str text, uint32_t *out)
{
    size_t n = 0;
    uint32_t value = 0;
    while (n < text.n && n < 4 && text.p[n] >= '0' && text.p[n] <= '9') value = value * 10 + (uint32_t)(text.p[n++] - '0');
    if (value == 0 || value > CL_WEIGHT_MOST) return 0;
    *out = value;
    return n;
}

cl_traits cl_traits_read(cl_str text)
{
    cl_traits traits = {0};
    size_t n = read_weight(text, &traits.weight);
    if (n == 0 || n >= text.n || text.p[n] != ' ') return (cl_traits){0};
    traits.tags = cl_str_of(text.p + n + 1, text.n - n - 1);
    return cl_tags_check(traits.tags) == 0 ? traits : (cl_traits){0};
}

/* ---- in JSON */

int cl_traits_put(const cl_traits *traits, cl_buf *out)
{
    uint32_t weight = cl_traits_weight(traits);
    int code = weight > 1 ? cl_buf_printf(out, ",\"weight\":%u", weight) : 0;
    if (code == 0 && traits->tags.n)
        code = cl_buf_printf(out, ",\"tags\":\"%.*s\"", (int)traits->tags.n, traits->tags.p);
    return code;
}

int cl_tags_put(cl_str tags, cl_buf *out)
{
    cl_str name, value;
    int n = 0, code = cl_buf_put_char(out, '{');
    for (size_t at = 0; code == 0 && cl_tags_next(tags, &at, &name, &value);)
        code = cl_buf_printf(out, "%s\"%.*s\":\"%.*s\"", n++ ? "," : "", (int)name.n, name.p, (int)value.n, value.p);
    return code ? code : cl_buf_put_char(out, '}');
}

void cl_traits_take(cl_traits *traits, cl_str key, cl_str value)
{
    uint32_t weight;
    if (cl_str_eq(key, CL_STR("weight"))) {
        if (read_weight(value, &weight) == value.n) traits->weight = weight;
    } else if (cl_str_eq(key, CL_STR("tags")) && value.n > 2 && value.p[0] == '"') {
        cl_str tags = cl_str_of(value.p + 1, value.n - 2);
        if (cl_tags_check(tags) == 0) traits->tags = tags;
    }
}

/* Most say nothing, and are not read for that. */
cl_traits cl_traits_of_object(cl_str object)
{
    cl_traits traits = {0};
    cl_json j;
    cl_str key, value;
    int escaped;
    if (!memmem(object.p, object.n, "\"weight\"", 8) && !memmem(object.p, object.n, "\"tags\"", 6)) return traits;
    cl_json_start(&j, object, (cl_json_limits){RECORD_DEPTH, RECORD_VALUES});
    if (cl_json_enter(&j, '{') != 0) return traits;
    while (cl_json_member(&j, &key, &escaped) > 0) {
        if (cl_json_value(&j, &value) != 0) break;
        cl_traits_take(&traits, key, value);
    }
    return traits;
}
