#include "base/log.h"
#include "core/internal.h"
#include "proto/url.h"

#include <stdio.h>

/* The state of a context: creation and end, counters, what arrives, and the bus coming and going. */

enum { SCRATCH = 512 };

const char *const cl_counter_names[CL_COUNTERS] = {
    "calls",
    "results",
    "timeouts",
    "retries",
    "failovers",
    "late_answers",
    "foreign_answers",
    "requests",
    "replies",
    "expired_requests",
    "refused_requests",
    "messages_in",
    "messages_out",
    "broken_input",
    "limit_hits",
    "lookups",
    "reconnects",
    "lost_answers",
    "overdue_requests",
    "queued_requests",
    "shed_requests",
    "rate_refusals",
    "breaker_opens",
    "probes",
    "canceled_requests",
    "published",
    "publish_drops",
    "delivered",
    "gaps",
    "lagged",
    "once_hits",
    "throttled_calls",
    "hedges",
    "hedge_wins",
    "limit_changes",
    "link_opens",
    "link_losses",
    "link_refused",
    "auth_failures",
    "link_calls",
    "bus_calls",
};

static void retry_due(cl_core *core, cl_timed *timed, int64_t now)
{
    cl_timers_stop(core, timed);
    cl_attempt_unpark(core, now);
    if (!core->bus_up) return; /* when it comes up, all of this is done anyway */
    cl_directory_lookup_waiting(core, now);
    cl_status_ask_all(core);
    cl_explain_ask_all(core);
}

static void room_due(cl_core *core, cl_timed *timed, int64_t now)
{
    cl_timers_stop(core, timed);
    cl_core_check_room(core);
}

int cl_core_create(const cl_core_config *config, const cl_port *port, cl_core **out)
{
    cl_core *core = cl_calloc(1, sizeof *core);
    if (!core) return CLOUDS_ENOMEM;
    core->config = *config;
    core->port = *port;
    core->began = cl_core_now(core);
    core->cluster = config->cluster ? cl_str_z(config->cluster) : CL_STR_NONE;
    cl_str shown = cl_url_before_colon(core->cluster);
    cl_attempt_set_keys(core);
    core->armed = INT64_MAX;
    snprintf(core->bus_text, sizeof core->bus_text, "%.*s%snot connected yet", (int)shown.n, shown.p,
             config->cluster ? ": " : "");
    core->max_deadline = cl_ms(config->max_deadline) > 0 ? cl_ms(config->max_deadline) : 1;
    cl_list_init(&core->row);
    cl_list_init(&core->recent);
    cl_list_init(&core->parked);
    cl_list_init(&core->nodes);
    cl_list_init(&core->blocked_peers);
    if (cl_buf_reserve(&core->scratch, SCRATCH) != 0 || cl_buf_reserve(&core->message, SCRATCH) != 0 ||
        cl_timers_adopt(core, &core->retry, retry_due) != 0 || cl_timers_adopt(core, &core->room, room_due) != 0 ||
        cl_timers_adopt(core, &core->forget, cl_directory_forget_due) != 0 ||
        cl_stats_open(core) != 0 || cl_once_open(core) != 0) {
        cl_stats_close(core);
        cl_heap_free(&core->timers);
        cl_buf_free(&core->scratch);
        cl_buf_free(&core->message);
        cl_free(core);
        return CLOUDS_ENOMEM;
    }
    *out = core;
    return 0;
}

void cl_core_destroy(cl_core *core)
{
    if (!core) return;
    while (!cl_list_empty(&core->nodes)) cl_node_free(CL_OWNER(core->nodes.next, cl_node, of_core));
    CL_LIST_EACH(it, &core->recent) cl_directory_free(core, CL_OWNER(it, cl_method, recent));
    cl_pool_free(&core->spare_calls);
    cl_pool_free(&core->spare_requests);
    cl_idmap_free(&core->calls);
    cl_idmap_free(&core->requests);
    cl_idmap_free(&core->ops);
    cl_idmap_free(&core->subscriptions);
    cl_strmap_free(&core->methods);
    cl_strmap_free(&core->peers);
    cl_once_close(core);
    cl_stats_close(core);
    cl_heap_free(&core->timers);
    cl_buf_free(&core->scratch);
    cl_buf_free(&core->message);
    cl_free(core);
}

int cl_core_is_up(const cl_core *core)
{
    return core->bus_up;
}

const uint64_t *cl_core_counters(cl_core *core)
{
    if (core->bus) memcpy(&core->counters[CL_COUNT_LINKS], core->bus->counts, sizeof core->bus->counts);
    return core->counters;
}

uint64_t *cl_core_counter(cl_core *core, enum cl_counter which)
{
    return &core->counters[which];
}

size_t cl_core_open_requests(const cl_core *core)
{
    return core->requests.len;
}

static void no_null(const char **p)
{
    if (!*p) *p = "";
}

int cl_emit(cl_core *core, const cl_node *node, clouds_event *event)
{
    no_null(&event->peer);
    no_null(&event->method);
    no_null(&event->data);
    no_null(&event->error);
    return core->port.event(core->port.self, node ? node->tag : NULL, event);
}

void cl_emit_unknown(cl_core *core, const cl_node *node, const cl_envelope *e, cl_str type, cl_str data)
{
    clouds_event event = {.type = CLOUDS_EVENT_UNKNOWN};
    cl_set_text(&event.peer, &event.peer_len, e->from);
    cl_set_text(&event.method, &event.method_len, type);
    cl_set_text(&event.data, &event.data_len, data);
    cl_set_text(&event.error, &event.error_len, e->raw);
    cl_emit(core, node, &event);
}

void cl_core_envelope(cl_core *core, cl_node *node, const cl_envelope *e)
{
    switch (e->type) {
    case CL_CALL:
        cl_serve_call(core, node, e);
        break;
    case CL_RESULT:
        cl_answer_arrived(core, node, e);
        break;
    case CL_MESSAGE:
        cl_message_arrived(core, node, e);
        break;
    case CL_CANCEL:
        cl_cancel_arrived(core, node, e);
        break;
    case CL_PUBLISH:
        cl_publish_arrived(core, node, e);
        break;
    case CL_PART:
    case CL_CREDIT:
    case CL_STATE:
        break;
    default:
        cl_emit_unknown(core, node, e, e->method, e->data);
        break;
    }
}

/* As loud as the loss before it. */
static void log_up(cl_core *core)
{
    int again = core->was_up || core->down_logged;
    core->down_logged = 0;
    cl_str shown = cl_url_before_colon(core->cluster);
    if (again) cl_log(CLOUDS_LOG_WARN, "%.*s: connected again", (int)shown.n, shown.p);
    else cl_log(CLOUDS_LOG_INFO, "%.*s: connected", (int)shown.n, shown.p);
}

static void bus_came(cl_core *core)
{
    int64_t now = cl_core_now(core);
    core->counters[CL_COUNT_RECONNECTS] += (uint64_t)core->was_up;
    log_up(core);
    core->bus_up = core->was_up = 1;
    core->bus_code = 0;
    core->up_since = now;
    clouds_event event = {.type = CLOUDS_EVENT_BUS_UP};
    cl_emit(core, NULL, &event);
    cl_directory_bus_up(core, now);
    cl_attempt_unpark(core, now);
    cl_status_ask_all(core);
    cl_explain_ask_all(core);
}

/* While the bus is down, this is what those that wait for it can go by. */
void cl_core_linked(cl_core *core)
{
    if (!core->bus_sends) cl_attempt_unpark(core, cl_core_now(core));
}

/* Called once for each failed attempt to connect; the event is raised when something changed. */
static void bus_went(cl_core *core, int code, const char *words)
{
    int news = core->bus_up || core->bus_code != code;
    core->bus_up = 0;
    core->bus_code = code;
    if (!words || !*words) words = clouds_strerror(code);
    snprintf(core->bus_text, sizeof core->bus_text, "%s", words);
    if (!news) return;
    core->down_logged = 1;
    cl_log(CLOUDS_LOG_WARN, "%s", words);
    clouds_event event = {.type = CLOUDS_EVENT_BUS_DOWN, .code = code, .outcome = (uint32_t)clouds_err_outcome(code)};
    cl_set_text(&event.error, &event.error_len, cl_error_text_of_bus(core, code, words));
    cl_emit(core, NULL, &event);
}

void cl_core_bus(cl_core *core, int state, int code, const char *words)
{
    core->bus_sends = state != CL_BUS_DOWN;
    if (state != CL_BUS_UP) bus_went(core, code, words);
    else if (!core->bus_up) bus_came(core);
}
