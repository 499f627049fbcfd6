#include "directory/etcd/record.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "clouds.h"
#include "directory/etcd/answers.h"

enum { VERSION = 2 };

/* ---- writing */

static int write_list(cl_buf *out, const cl_address *addresses, size_t n)
{
    int code = cl_buf_put_str(out, CL_STR(",\"at\":["));
    for (size_t i = 0; code == 0 && i < n; i++) {
        if (i) code = cl_buf_put_char(out, ',');
        if (code == 0) code = cl_json_quote(cl_str_z(addresses[i].text), out);
    }
    return code ? code : cl_buf_put_char(out, ']');
}

/* Those that are paused, or those that are not. */
static int write_methods(cl_buf *out, const char *member, const cl_strmap *methods, int paused)
{
    const cl_etcd_method *m;
    int more = 0, code = cl_buf_printf(out, ",\"%s\":[", member);
    for (size_t at = 0; code == 0 && (m = cl_strmap_next(methods, &at));) {
        if (m->paused != paused) continue;
        if (more++) code = cl_buf_put_char(out, ',');
        if (code == 0) code = cl_json_quote(cl_str_of(m->text, m->n), out);
    }
    return code ? code : cl_buf_put_char(out, ']');
}

static int has_paused(const cl_strmap *methods)
{
    const cl_etcd_method *m;
    for (size_t at = 0; (m = cl_strmap_next(methods, &at));)
        if (m->paused) return 1;
    return 0;
}

static int write_pair(cl_buf *out, const cl_etcd_subscription *s)
{
    int code = cl_buf_put_char(out, '[');
    if (code == 0) code = cl_json_quote(s->topic, out);
    if (code == 0) code = cl_buf_put_char(out, ',');
    if (code == 0) code = cl_json_quote(s->group, out);
    return code ? code : cl_buf_put_char(out, ']');
}

/* Those in a group, or those in none; nothing where there are none. */
static int write_subscriptions(cl_buf *out, const char *member, const cl_strmap *subscriptions, int in_group)
{
    const cl_etcd_subscription *s;
    int n = 0, code = 0;
    for (size_t at = 0; code == 0 && (s = cl_strmap_next(subscriptions, &at));) {
        if ((s->group.n != 0) != in_group) continue;
        code = n++ ? cl_buf_put_char(out, ',') : cl_buf_printf(out, ",\"%s\":[", member);
        if (code == 0) code = in_group ? write_pair(out, s) : cl_json_quote(s->topic, out);
    }
    return code || !n ? code : cl_buf_put_char(out, ']');
}

int cl_etcd_record_write(cl_buf *out, const cl_etcd_record_writer *writer, const cl_etcd_contents *contents)
{
    int code = cl_buf_printf(out, "{\"v\":%d,\"c\":\"%s\",\"host\":%.*s,\"pid\":%ld,\"started\":%lld", VERSION,
                             writer->context, (int)writer->host.n, writer->host.p, writer->pid,
                             (long long)writer->started);
    if (code == 0) code = write_list(out, contents->addresses, contents->addresses_n);
    if (code == 0) code = cl_buf_printf(out, ",\"state\":\"%s\"", contents->draining ? "draining" : "ready");
    if (code == 0) code = cl_traits_put(contents->traits, out);
    if (code == 0) code = write_methods(out, "m", contents->methods, 0);
    if (code == 0 && has_paused(contents->methods)) code = write_methods(out, "p", contents->methods, 1);
    if (code == 0) code = write_subscriptions(out, "s", contents->subscriptions, 0);
    if (code == 0) code = write_subscriptions(out, "g", contents->subscriptions, 1);
    return code ? code : cl_buf_put_char(out, '}');
}

/* ---- reading */

cl_etcd_subscription cl_etcd_subscription_of(cl_str text)
{
    const char *line = memchr(text.p, '\n', text.n);
    size_t n = line ? (size_t)(line - text.p) : text.n;
    return (cl_etcd_subscription){cl_str_of(text.p, n), line ? cl_str_of(line + 1, text.n - n - 1) : CL_STR_NONE};
}

/* The next text of an array: 1, 0 at its end, or an error. */
static int next_text(cl_json *j, cl_buf *memory, size_t *begin)
{
    cl_str raw;
    int escaped, more = cl_json_element(j);
    if (more != 1) return more < 0 ? CLOUDS_EPROTO : 0;
    if (cl_json_peek(j) != '"' || cl_json_string(j, &raw, &escaped) != 0) return CLOUDS_EPROTO;
    *begin = memory->len;
    int code = escaped ? cl_json_unescape(raw, memory) : cl_buf_put_str(memory, raw);
    return code ? code : 1;
}

static int begin_array(cl_json *j, cl_str array)
{
    cl_json_start(j, array, (cl_json_limits){4, CL_RECORD_METHODS + 1});
    return cl_json_enter(j, '[') == 0 ? 0 : CLOUDS_EPROTO;
}

static int compare(const void *a, const void *b)
{
    const cl_str *x = a, *y = b;
    int order = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
    return order ? order : (x->n > y->n) - (x->n < y->n);
}

static size_t sort(cl_str *texts, size_t n)
{
    size_t kept = 0;
    qsort(texts, n, sizeof *texts, compare);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || !cl_str_eq(texts[kept - 1], texts[i])) texts[kept++] = texts[i];
    return kept;
}

/* A text that is one element of `j`, put behind `memory`. 1, 0 at the end, or an error; so are all of these. */
typedef int reader(cl_json *j, cl_buf *memory);

static int read_text(cl_json *j, cl_buf *memory)
{
    size_t begin;
    return next_text(j, memory, &begin);
}

/* What no publisher could match is left out. */
static void keep_if_valid(cl_buf *memory, size_t begin)
{
    cl_etcd_subscription s = cl_etcd_subscription_of(cl_str_of(memory->data + begin, memory->len - begin));
    int code = cl_topic_check_pattern(s.topic);
    if (code == 0 && s.group.n) code = cl_topic_check_group(s.group);
    if (code != 0) memory->len = begin;
}

static int read_topic(cl_json *j, cl_buf *memory)
{
    size_t begin;
    int more = next_text(j, memory, &begin);
    if (more != 1) return more;
    if (cl_buf_put_char(memory, '\n') != 0) return CLOUDS_ENOMEM;
    keep_if_valid(memory, begin);
    return 1;
}

static int read_pair(cl_json *j, cl_buf *memory)
{
    size_t begin = memory->len, second;
    int more = cl_json_element(j);
    if (more != 1) return more < 0 ? CLOUDS_EPROTO : 0;
    if (cl_json_enter(j, '[') != 0) return CLOUDS_EPROTO;
    more = read_text(j, memory);
    if (more == 1 && cl_buf_put_char(memory, '\n') != 0) return CLOUDS_ENOMEM;
    if (more == 1) more = next_text(j, memory, &second);
    if (more != 1) return more < 0 ? more : CLOUDS_EPROTO;
    if (cl_json_element(j) != 0) return CLOUDS_EPROTO;
    if (memory->len == second) memory->len = begin; /* it is in no group */
    else keep_if_valid(memory, begin);
    return 1;
}

/* Where the texts of an array end in `memory`. */
static int read_ends(cl_etcd_record *r, cl_str array, reader *read, cl_buf *ends)
{
    cl_json j;
    int more = array.n ? begin_array(&j, array) : 0;
    size_t before = r->memory.len;
    if (more != 0 || !array.n) return more;
    while ((more = read(&j, &r->memory)) == 1) {
        if (r->memory.len == before && read != read_text) continue;
        before = r->memory.len;
        if (cl_buf_put(ends, &before, sizeof before) != 0) return CLOUDS_ENOMEM;
    }
    return more;
}

static cl_str text_at(const cl_etcd_record *r, const cl_buf *ends, size_t i, size_t *at)
{
    size_t begin = *at;
    memcpy(at, ends->data + i * sizeof *at, sizeof *at);
    return cl_str_of(r->memory.data + begin, *at - begin);
}

/* `n` texts from the i-th on, in order and none twice; they are put behind those that are there. */
static cl_str *take_texts(const cl_etcd_record *r, const cl_buf *ends, cl_str *out, size_t i, size_t *n, size_t *at)
{
    for (size_t k = 0; k < *n; k++) out[k] = text_at(r, ends, i + k, at);
    cl_str *end = out + *n;
    *n = sort(out, *n);
    return end;
}

/* The texts first, then where they are: memory may move while they come. */
static int read_texts(cl_etcd_record *r, cl_str record)
{
    enum { ADDRESSES, METHODS, PAUSED, TOPICS, PAIRS, LISTS };
    static const char *const members[LISTS] = {"at", "m", "p", "s", "g"};
    static reader *const readers[LISTS] = {read_text, read_text, read_text, read_topic, read_pair};
    cl_buf ends = {0};
    const cl_traits traits = cl_traits_of_object(record);
    size_t at = traits.tags.n, n[LISTS] = {0}, all = 0; /* the tags are the first of them */
    int code = cl_buf_put_str(&r->memory, cl_traits_tags(&traits));
    for (int i = 0; code == 0 && i < LISTS; i++) {
        code = read_ends(r, cl_etcd_member(record, members[i]), readers[i], &ends);
        n[i] = ends.len / sizeof at - all;
        all += n[i];
    }
    r->methods = code == 0 ? cl_malloc((all + 1) * sizeof *r->methods) : NULL;
    if (code == 0 && !r->methods) code = CLOUDS_ENOMEM;
    for (size_t i = 0; code == 0 && i < n[ADDRESSES]; i++) {
        cl_str text = text_at(r, &ends, i, &at);
        if (r->addresses_n < CL_RECORD_ADDRESSES && text.n < sizeof(cl_address)) r->addresses[r->addresses_n++] = text;
    }
    if (code == 0) {
        r->traits = (cl_traits){traits.weight, cl_str_of(r->memory.data, traits.tags.n)};
        r->methods_n = n[METHODS];
        r->paused_n = n[PAUSED];
        r->subscriptions_n = n[TOPICS] + n[PAIRS];
        size_t i = n[ADDRESSES];
        r->paused = take_texts(r, &ends, r->methods, i, &r->methods_n, &at);
        r->subscriptions = take_texts(r, &ends, r->paused, i += n[METHODS], &r->paused_n, &at);
        take_texts(r, &ends, r->subscriptions, i + n[PAUSED], &r->subscriptions_n, &at);
    }
    cl_buf_free(&ends);
    return code;
}

int cl_etcd_record_read(cl_str text, cl_etcd_record *out)
{
    int64_t version;
    *out = (cl_etcd_record){0};
    if (cl_etcd_check(text) != 0 || cl_etcd_number(text, "v", &version) != 0 || version != VERSION)
        return CLOUDS_EPROTO;
    cl_str context = cl_etcd_text(text, "c");
    snprintf(out->context, sizeof out->context, "%.*s", context.n < 16 ? (int)context.n : 16, context.p);
    out->draining = cl_str_eq(cl_etcd_text(text, "state"), CL_STR("draining"));
    int code = read_texts(out, text);
    if (code != 0) cl_etcd_record_free(out);
    return code;
}

void cl_etcd_record_free(cl_etcd_record *record)
{
    cl_free(record->methods);
    cl_buf_free(&record->memory);
    *record = (cl_etcd_record){0};
}
