#include "core/internal.h"

#include <stdlib.h>

/* Who serves what: rows of (method, server) are gathered, then written twice, grouped by either. What a server says of
 * itself, and which of its methods are paused, is written where there is any; so is what is known here (state.c). */

enum { ROWS_FACTOR = 16 }; /* bytes of rows: this many times the largest envelope */

typedef struct row {
    cl_str group, member, about; /* about: "p" for paused or "-", and the traits */
} row;

static void ask(cl_core *core, cl_op *op)
{
    op->asked = 1;
    op->failure = 0;
    cl_buf_clear(&op->rows);
    core->bus->ops->status(core->bus, op->id);
}

int cl_node_status(cl_node *node, const cl_op_spec *spec)
{
    if (node->state == CL_NODE_CLOSING) return CLOUDS_ECLOSED;
    cl_op *op;
    int code = cl_op_create(node, CL_OP_STATUS, spec, CL_STR_NONE, &op);
    if (code) return code;
    cl_core *core = node->core;
    if (core->bus_up) ask(core, op);
    return 0;
}

/* What this process has itself is told at once, whether the bus is there or not. */
int cl_node_links(cl_node *node, const cl_op_spec *spec)
{
    cl_op *op;
    if (node->state == CL_NODE_CLOSING) return CLOUDS_ECLOSED;
    int code = cl_op_create(node, CL_OP_STATUS, spec, CL_STR_NONE, &op);
    if (code) return code;
    cl_buf out = {0};
    code = cl_links_put_all(node->core, 0, &out);
    cl_op_end(op, code, NULL, 0, code ? CL_STR_NONE : cl_buf_str(&out));
    cl_buf_free(&out);
    return 0;
}

int cl_links_put_all(cl_core *core, uint64_t asked_by, cl_buf *out)
{
    const cl_bus_ops *ops = core->bus->ops;
    return ops->put_links ? ops->put_links(core->bus, asked_by, out) : cl_buf_put_str(out, CL_STR("[]"));
}

void cl_status_ask_all(cl_core *core)
{
    CL_LIST_EACH(of_core, &core->nodes)
    {
        cl_node *node = CL_OWNER(of_core, cl_node, of_core);
        CL_LIST_EACH(it, &node->ops)
        {
            cl_op *op = CL_OWNER(it, cl_op, of_node);
            if (op->kind == CL_OP_STATUS && !op->asked) ask(core, op);
        }
    }
}

static int put_text(cl_buf *rows, cl_str text)
{
    int code = cl_buf_put(rows, &text.n, sizeof text.n);
    return code ? code : cl_buf_put_str(rows, text);
}

static cl_str take_text(const cl_buf *rows, size_t *at)
{
    size_t n;
    memcpy(&n, rows->data + *at, sizeof n);
    cl_str text = cl_str_of(rows->data + *at + sizeof n, n);
    *at += sizeof n + n;
    return text;
}

static int compare_text(cl_str a, cl_str b)
{
    int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

static int compare_rows(const void *a, const void *b)
{
    const row *x = a, *y = b;
    int c = compare_text(x->group, y->group);
    return c ? c : compare_text(x->member, y->member);
}

/* {"group":["member",...],...} of sorted rows; equal rows count once. */
static int put_groups(row *rows, size_t n, cl_buf *out)
{
    qsort(rows, n, sizeof *rows, compare_rows);
    int code = cl_buf_put_char(out, '{');
    for (size_t i = 0; i < n && code == 0; i++) {
        if (i && compare_rows(rows + i, rows + i - 1) == 0) continue;
        int same = i && cl_str_eq(rows[i].group, rows[i - 1].group);
        if (!same) {
            if (i) code = cl_buf_put_str(out, CL_STR("],"));
            if (code == 0) code = cl_json_quote(rows[i].group, out);
        }
        if (code == 0) code = cl_buf_put_str(out, same ? CL_STR(",") : CL_STR(":["));
        if (code == 0) code = cl_json_quote(rows[i].member, out);
    }
    return code ? code : cl_buf_put_str(out, n ? CL_STR("]}") : CL_STR("}"));
}

static size_t count_rows(const cl_buf *text)
{
    size_t n = 0;
    for (size_t at = 0; at < text->len; n++) take_text(text, &at), take_text(text, &at), take_text(text, &at);
    return n;
}

/* One server: {"paused":["m"],"weight":3,"tags":{..}}, if there is anything to say. */
static int put_state(const row *rows, size_t n, int *count, cl_buf *out)
{
    cl_traits traits = cl_traits_read(cl_str_of(rows->about.p + 1, rows->about.n - 1));
    int paused = 0, code = 0;
    for (size_t i = 0; i < n; i++) paused += rows[i].about.p[0] == 'p';
    if (!paused && cl_traits_weight(&traits) == 1 && !cl_tags_are_news(traits.tags)) return 0;
    code = cl_buf_put_str(out, (*count)++ ? CL_STR(",") : CL_STR(",\"states\":{"));
    if (code == 0) code = cl_json_quote(rows->group, out);
    if (code == 0) code = cl_buf_put_str(out, CL_STR(":{\"paused\":["));
    for (size_t i = 0, k = 0; code == 0 && i < n; i++) {
        if (rows[i].about.p[0] != 'p' || (i && cl_str_eq(rows[i].member, rows[i - 1].member))) continue;
        if (k++) code = cl_buf_put_char(out, ',');
        if (code == 0) code = cl_json_quote(rows[i].member, out);
    }
    if (code == 0) code = cl_buf_printf(out, "],\"weight\":%u,\"tags\":", cl_traits_weight(&traits));
    if (code == 0) code = cl_tags_put(cl_traits_tags(&traits), out);
    return code ? code : cl_buf_put_char(out, '}');
}

/* Of rows sorted by server. */
static int put_states(const row *rows, size_t n, cl_buf *out)
{
    int count = 0, code = 0;
    for (size_t i = 0, end; i < n && code == 0; i = end) {
        for (end = i + 1; end < n && cl_str_eq(rows[end].group, rows[i].group);) end++;
        code = put_state(rows + i, end - i, &count, out);
    }
    return code || !count ? code : cl_buf_put_char(out, '}');
}

static int put_status(cl_core *core, const cl_buf *text, cl_buf *out)
{
    size_t n = count_rows(text), at = 0;
    cl_buf states = {0};
    row *rows = cl_malloc((n + 1) * sizeof *rows);
    if (!rows) return CLOUDS_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        rows[i].member = take_text(text, &at);
        rows[i].group = take_text(text, &at);
        rows[i].about = take_text(text, &at);
    }
    int code = cl_buf_put_str(out, CL_STR("{\"servers\":"));
    if (code == 0) code = put_groups(rows, n, out);
    if (code == 0) code = put_states(rows, n, &states);
    for (size_t i = 0; i < n; i++) rows[i] = (row){rows[i].member, rows[i].group, rows[i].about};
    if (code == 0) code = cl_buf_put_str(out, CL_STR(",\"methods\":"));
    if (code == 0) code = put_groups(rows, n, out);
    if (code == 0 && states.len) code = cl_buf_put_str(out, cl_buf_str(&states));
    if (code == 0) code = cl_state_put(core, out);
    cl_buf_free(&states);
    cl_free(rows);
    return code ? code : cl_buf_put_char(out, '}');
}

static void finish(cl_op *op)
{
    cl_buf out = {0};
    int code = op->failure ? op->failure : put_status(op->node->core, &op->rows, &out);
    cl_op_end(op, code, NULL, 0, code ? CL_STR_NONE : cl_buf_str(&out));
    cl_buf_free(&out);
}

static void gather(cl_core *core, cl_op *op, const cl_str *methods, const cl_server *servers, size_t n)
{
    for (size_t i = 0; i < n && !op->failure; i++) {
        size_t most = ROWS_FACTOR * core->config.limits.message;
        if (op->rows.len > most) op->failure = CLOUDS_ETOOBIG;
        if (!op->failure) op->failure = put_text(&op->rows, methods[i]);
        if (!op->failure) op->failure = put_text(&op->rows, servers[i].id);
        char about[CL_TRAITS_TEXT + 1] = {servers[i].paused ? 'p' : '-'};
        cl_traits_write(&servers[i].traits, about + 1);
        if (!op->failure) op->failure = put_text(&op->rows, cl_str_z(about));
    }
}

void cl_core_status(cl_core *core, uint64_t operation, const cl_str *methods, const cl_server *servers, size_t n,
                    int end, int code)
{
    cl_op *op = cl_op_find(core, operation);
    if (!op || op->kind != CL_OP_STATUS || !op->asked) return;
    gather(core, op, methods, servers, n);
    if (!end) return;
    if (code == CLOUDS_EUNREACHABLE)
        op->asked = 0, cl_core_retry_soon(core, cl_core_now(core)); /* asked again when the bus is up */
    else if (code) cl_op_end(op, code, NULL, 0, CL_STR_NONE);
    else finish(op);
}
