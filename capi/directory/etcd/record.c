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

int cl_etcd_record_write(cl_buf *out, const cl_etcd_record_writer *writer, const cl_address *addresses, size_t n,
                         int draining, const cl_traits *traits, const cl_strmap *methods)
{
    int code = cl_buf_printf(out, "{\"v\":%d,\"c\":\"%s\",\"host\":%.*s,\"pid\":%ld,\"started\":%lld", VERSION,
                             writer->context, (int)writer->host.n, writer->host.p, writer->pid,
                             (long long)writer->started);
    if (code == 0) code = write_list(out, addresses, n);
    if (code == 0) code = cl_buf_printf(out, ",\"state\":\"%s\"", draining ? "draining" : "ready");
    if (code == 0) code = cl_traits_put(traits, out);
    if (code == 0) code = write_methods(out, "m", methods, 0);
    if (code == 0 && has_paused(methods)) code = write_methods(out, "p", methods, 1);
    return code ? code : cl_buf_put_char(out, '}');
}

/* ---- reading */

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

/* Where the texts of an array end in `memory`. */
static int read_ends(cl_etcd_record *r, cl_str array, cl_buf *ends)
{
    cl_json j;
    size_t begin;
    int more = array.n ? begin_array(&j, array) : 0;
    if (more != 0 || !array.n) return more;
    while ((more = next_text(&j, &r->memory, &begin)) == 1)
        if (cl_buf_put(ends, &r->memory.len, sizeof r->memory.len) != 0) return CLOUDS_ENOMEM;
    return more;
}

static cl_str text_at(const cl_etcd_record *r, const cl_buf *ends, size_t i, size_t *at)
{
    size_t begin = *at;
    memcpy(at, ends->data + i * sizeof *at, sizeof *at);
    return cl_str_of(r->memory.data + begin, *at - begin);
}

/* The texts first, then where they are: memory may move while they come. */
static int read_texts(cl_etcd_record *r, cl_str addresses, cl_str methods, cl_str paused, const cl_traits *traits)
{
    cl_buf ends = {0};
    size_t at = traits->tags.n; /* the tags are the first of them */
    int code = cl_buf_put_str(&r->memory, cl_traits_tags(traits));
    if (code == 0) code = read_ends(r, addresses, &ends);
    size_t first = ends.len / sizeof at;
    if (code == 0) code = read_ends(r, methods, &ends);
    size_t n = ends.len / sizeof at - first;
    if (code == 0) code = read_ends(r, paused, &ends);
    size_t more = ends.len / sizeof at - first - n;
    r->methods = code == 0 ? cl_malloc((n + more + 1) * sizeof *r->methods) : NULL;
    if (code == 0 && !r->methods) code = CLOUDS_ENOMEM;
    for (size_t i = 0; code == 0 && i < first; i++) {
        cl_str text = text_at(r, &ends, i, &at);
        if (r->addresses_n < CL_RECORD_ADDRESSES && text.n < sizeof(cl_address)) r->addresses[r->addresses_n++] = text;
    }
    for (size_t i = 0; code == 0 && i < n + more; i++) r->methods[i] = text_at(r, &ends, first + i, &at);
    if (code == 0) {
        r->traits = (cl_traits){traits->weight, cl_str_of(r->memory.data, traits->tags.n)};
        r->paused = r->methods + n;
        r->methods_n = sort(r->methods, n);
        r->paused_n = sort(r->paused, more);
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
    const cl_traits traits = cl_traits_of_object(text);
    int code = read_texts(out, cl_etcd_member(text, "at"), cl_etcd_member(text, "m"), cl_etcd_member(text, "p"),
                          &traits);
    if (code != 0) cl_etcd_record_free(out);
    return code;
}

void cl_etcd_record_free(cl_etcd_record *record)
{
    cl_free(record->methods);
    cl_buf_free(&record->memory);
    *record = (cl_etcd_record){0};
}
