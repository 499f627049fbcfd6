/* Design notes
 *
 * Spans wait as JSON in batches; the first batch is the one that goes out, and one goes out at a time. While the
 * collector is away there is a pause, which grows, and what waits is kept; what then finds no room is lost. A batch
 * that was given to the outlet takes no further spans. */
#include "trace/trace.h"

#include <stdio.h>

#include "base/error.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "trace/internal.h"

enum {
    BATCH = 512,
    MOST = 2048,
    MOST_BYTES = 4 << 20,
    DELAY_MS = 1000,
    FIRST_PAUSE_MS = 1000,
    LONGEST_PAUSE_MS = 30000
};

typedef struct batch {
    cl_list_node place;
    size_t count;
    int is_closed; /* it is being sent, or was */
    cl_buf spans;  /* with commas between */
} batch;

struct cl_exporter {
    cl_loop *loop;
    cl_loop_timer *timer;
    cl_outlet *outlet;
    void (*lost)(void *self, size_t n);
    void *self;
    cl_list_node batches;
    cl_buf head; /* of a body */
    size_t count, bytes;
    int is_sending;
    int64_t due; /* when the next is sent; INT64_MAX: nothing waits */
    unsigned failures;
    int is_silent; /* that it does not work was logged */
    size_t unsaid; /* lost since */
    uint64_t random;
    void (*finished)(void *self);
    void *finisher;
    int64_t until; /* of the finish */
};

static const char tail[] = "]}]}]}\n";

static batch *first_of(const cl_exporter *e)
{
    return cl_list_empty(&e->batches) ? NULL : CL_OWNER(e->batches.next, batch, place);
}

static batch *last_of(const cl_exporter *e)
{
    return cl_list_empty(&e->batches) ? NULL : CL_OWNER(e->batches.prev, batch, place);
}

static void lose(cl_exporter *e, size_t n)
{
    if (!n) return;
    e->unsaid += n;
    e->lost(e->self, n);
}

static void drop(cl_exporter *e, batch *b)
{
    cl_list_remove(&b->place);
    e->count -= b->count;
    e->bytes -= b->spans.len;
    cl_buf_free(&b->spans);
    cl_free(b);
}

static void drop_all(cl_exporter *e)
{
    for (batch *b; (b = first_of(e));) {
        lose(e, b->count);
        drop(e, b);
    }
}

/* ---- what is said of it */

static void log_trouble(cl_exporter *e, const char *words)
{
    if (e->is_silent) return;
    e->is_silent = 1;
    cl_log(CLOUDS_LOG_WARN, "spans cannot be sent to %s: %s", cl_outlet_where(e->outlet), words);
}

static void log_end_of_trouble(cl_exporter *e)
{
    if (e->is_silent)
        cl_log(CLOUDS_LOG_WARN, "spans are sent to %s again, %zu were lost", cl_outlet_where(e->outlet), e->unsaid);
    e->is_silent = 0;
    e->unsaid = 0;
}

/* ---- sending */

static void arm(cl_exporter *e)
{
    int64_t when = e->finished && e->until < e->due ? e->until : e->due;
    if (when == INT64_MAX) cl_loop_timer_cancel(e->timer);
    else cl_loop_timer_set(e->timer, when);
}

static void settle(cl_exporter *e)
{
    void (*finished)(void *self) = e->finished;
    if (!finished) return;
    e->finished = NULL;
    e->due = INT64_MAX;
    arm(e);
    finished(e->finisher);
}

static int is_full(const batch *b)
{
    return b->count >= BATCH;
}

/* What waits goes at once when it is a whole batch, or nobody waits for more. */
static void wait_for_next(cl_exporter *e)
{
    const batch *b = first_of(e);
    if (!b) {
        e->due = INT64_MAX;
        settle(e);
    } else {
        e->due = cl_loop_now() + (is_full(b) || e->finished ? 0 : DELAY_MS);
    }
    arm(e);
}

static int64_t pause_of(cl_exporter *e)
{
    int64_t ms = FIRST_PAUSE_MS;
    for (unsigned i = 1; i < e->failures && ms < LONGEST_PAUSE_MS; i++) ms *= 2;
    if (ms > LONGEST_PAUSE_MS) ms = LONGEST_PAUSE_MS;
    return ms - (int64_t)(cl_rand_next(&e->random) % (uint64_t)(ms / 4 + 1));
}

static void try_later(cl_exporter *e, const char *words)
{
    e->failures++;
    log_trouble(e, words);
    if (e->finished) {
        drop_all(e);
        wait_for_next(e);
        return;
    }
    e->due = cl_loop_now() + pause_of(e);
    arm(e);
}

static void on_sent(void *self, const cl_outlet_end *end)
{
    cl_exporter *e = self;
    batch *b = first_of(e);
    e->is_sending = 0;
    if (end->sent == CL_SENT_AGAIN) {
        try_later(e, end->words);
        return;
    }
    e->failures = 0;
    size_t refused = end->sent == CL_SENT_NEVER || end->refused > b->count ? b->count : end->refused;
    drop(e, b);
    if (refused) log_trouble(e, end->words);
    else log_end_of_trouble(e);
    lose(e, refused);
    wait_for_next(e);
}

static int put_body(const cl_exporter *e, const batch *b, cl_buf *out)
{
    int code = cl_buf_reserve(out, e->head.len + b->spans.len + sizeof tail);
    if (code) return code;
    cl_buf_add_str(out, cl_buf_str(&e->head));
    cl_buf_add_str(out, cl_buf_str(&b->spans));
    cl_buf_add(out, tail, sizeof tail - 1);
    return 0;
}

static void send_first(cl_exporter *e)
{
    batch *b = first_of(e);
    cl_buf body = {0};
    if (e->is_sending || !b) return;
    e->is_sending = b->is_closed = 1;
    e->due = INT64_MAX;
    arm(e);
    if (put_body(e, b, &body) == 0) cl_outlet_send(e->outlet, cl_buf_str(&body));
    else on_sent(e, &(cl_outlet_end){CL_SENT_AGAIN, 0, clouds_strerror(CLOUDS_ENOMEM)});
    cl_buf_free(&body);
}

static void give_up(cl_exporter *e)
{
    log_trouble(e, "not in the time that there is at the end");
    cl_outlet_cancel(e->outlet);
    e->is_sending = 0;
    drop_all(e);
    wait_for_next(e);
}

static void on_due(void *self)
{
    cl_exporter *e = self;
    int64_t now = cl_loop_now();
    if (e->finished && now >= e->until) give_up(e);
    else if (now >= e->due) send_first(e);
    else arm(e);
}

/* ---- what comes */

static batch *batch_for_more(cl_exporter *e)
{
    batch *b = last_of(e);
    if (b && !b->is_closed && !is_full(b)) return b;
    b = cl_calloc(1, sizeof *b);
    if (b) cl_list_append(&e->batches, &b->place);
    return b;
}

static int put(batch *b, const cl_span *span)
{
    size_t before = b->spans.len;
    int code = b->count ? cl_buf_put_char(&b->spans, ',') : 0;
    if (code == 0) code = cl_span_put(span, &b->spans);
    if (code) b->spans.len = before;
    else b->count++;
    return code;
}

void cl_exporter_add(cl_exporter *e, const cl_span *span)
{
    int has_room = e->count < MOST && e->bytes < MOST_BYTES;
    batch *b = has_room ? batch_for_more(e) : NULL;
    size_t before = b ? b->spans.len : 0;
    if (!b || put(b, span) != 0) {
        lose(e, 1);
        return;
    }
    e->count++;
    e->bytes += b->spans.len - before;
    if (e->is_sending || e->failures) return;
    if (e->due == INT64_MAX) e->due = cl_loop_now() + DELAY_MS;
    if (is_full(first_of(e))) e->due = 0; /* in the next turn */
    arm(e);
}

/* ---- life */

void cl_exporter_finish(cl_exporter *e, int64_t limit, void (*done)(void *self), void *self)
{
    if (!first_of(e)) {
        done(self);
        return;
    }
    e->finished = done;
    e->finisher = self;
    e->until = cl_loop_now() + limit;
    if (!e->is_sending) e->due = 0;
    arm(e);
}

static void note(void *self)
{
    *(int *)self = 1;
}

void cl_exporter_flush(cl_exporter *e, int64_t limit)
{
    int is_over = 0;
    int64_t until = cl_loop_now() + limit;
    cl_exporter_finish(e, limit, note, &is_over);
    for (int64_t now; !is_over && (now = cl_loop_now()) < until;) cl_loop_run(e->loop, until - now);
    e->finished = NULL;
}

static int put_head(cl_buf *out, cl_str resource)
{
    int code = cl_buf_put_str(out, CL_STR("{\"resourceSpans\":[{\"resource\":{\"attributes\":["));
    if (code == 0) code = cl_buf_put_str(out, resource);
    if (code == 0)
        code = cl_buf_put_str(out, CL_STR("]},\"scopeSpans\":[{\"scope\":{\"name\":\"clouds\",\"version\":\""));
    if (code == 0) code = cl_buf_put_str(out, cl_str_z(clouds_version()));
    return code ? code : cl_buf_put_str(out, CL_STR("\"},\"spans\":["));
}

int cl_exporter_create(cl_loop *loop, cl_trace_settings *settings, void (*lost)(void *self, size_t n), void *self,
                       cl_exporter **out)
{
    cl_exporter *e = cl_calloc(1, sizeof *e);
    if (!e) {
        cl_trace_settings_free(settings);
        return cl_error(CLOUDS_ENOMEM, NULL);
    }
    *e = (cl_exporter){.loop = loop, .lost = lost, .self = self, .due = INT64_MAX, .random = (uint64_t)cl_loop_now()};
    cl_list_init(&e->batches);
    int code = put_head(&e->head, cl_buf_str(&settings->resource)) == 0 ? 0 : cl_error(CLOUDS_ENOMEM, NULL);
    if (code == 0) code = cl_loop_timer_create(loop, on_due, e, &e->timer);
    if (code == 0) code = cl_outlet_create(loop, settings, on_sent, e, &e->outlet);
    cl_trace_settings_free(settings);
    if (code == 0) *out = e;
    else cl_exporter_destroy(e);
    return code;
}

void cl_exporter_destroy(cl_exporter *e)
{
    if (!e) return;
    cl_outlet_destroy(e->outlet);
    cl_loop_timer_destroy(e->timer);
    for (batch *b; (b = first_of(e));) drop(e, b);
    cl_buf_free(&e->head);
    cl_free(e);
}
