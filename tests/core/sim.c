#include "sim.h"

#include <stdarg.h>
#include <stdio.h>

#include "support/tap.h"

/* The simulation in the ordinary test run: CLOUDS_SIM_SEEDS runs (default 200) from seed CLOUDS_SIM_SEED (default 1)
 * on. A failing seed is printed; CLOUDS_SIM_SEED=that CLOUDS_SIM_SEEDS=1 replays it, event for event. */

enum { SLACK = 2 }; /* ms: times are rounded up */

void sim_fail(sim *w, const char *format, ...)
{
    if (w->failure[0]) return;
    va_list args;
    va_start(args, format);
    vsnprintf(w->failure, sizeof w->failure, format, args);
    va_end(args);
}

void sim_note(sim *w, uint64_t a, uint64_t b)
{
    uint64_t mixed = w->hash ^ a * 0x9E3779B97F4A7C15u ^ b;
    w->hash = cl_rand_next(&mixed);
}

sim_call *sim_call_new(sim *w, int node)
{
    if (w->n_calls == w->cap_calls) {
        w->cap_calls = w->cap_calls ? w->cap_calls * 2 : 1024;
        w->calls = realloc(w->calls, w->cap_calls * sizeof *w->calls);
    }
    sim_call *call = &w->calls[w->n_calls++];
    *call = (sim_call){.id = ++w->next_id, .node = node, .life = w->nodes[node].life, .outcome = -1};
    call->content = w->n_calls - 1;
    return call;
}

static sim_call *by_number(sim *w, const char *text, size_t n)
{
    char copy[32] = "";
    if (n < 3 || n >= sizeof copy) return NULL;
    memcpy(copy, text, n);
    size_t number = strtoul(copy + 1, NULL, 10);
    return number < w->n_calls ? &w->calls[number] : NULL;
}

static void check_not_done(sim *w, const sim_call *call)
{
    if (call->outcome == CLOUDS_OUTCOME_NOT_DONE && call->started && !call->duplicated)
        sim_fail(w, "call %llu ended as NOT_DONE and was executed", (unsigned long long)call->id);
}

static void check_once(sim *w, const sim_node *n, sim_call *call)
{
    int life = n->index * 1000 + n->life;
    for (int i = 0; i < SIM_RAN; i++) {
        if (call->ran[i] == 0) {
            call->ran[i] = life;
            return;
        }
        if (call->ran[i] == life)
            sim_fail(w, "call %llu was executed again at %s, in spite of its key", (unsigned long long)call->id, n->id);
    }
}

void sim_started(sim *w, sim_node *n, const clouds_event *e)
{
    w->starts++;
    sim_call *call = by_number(w, e->data, e->data_len);
    if (!call) {
        sim_fail(w, "a request with foreign content at %s", n->id);
        return;
    }
    call->started++;
    check_not_done(w, call);
    if (call->once) check_once(w, n, call);
    if (n->native && w->now >= call->latest)
        sim_fail(w, "call %llu was started at %s %lld ms after its deadline", (unsigned long long)call->id, n->id,
                 (long long)(w->now - call->latest));
}

static sim_call *by_id(sim *w, uint64_t id)
{
    for (size_t low = 0, high = w->n_calls; low < high;) {
        size_t middle = (low + high) / 2;
        if (w->calls[middle].id == id) return &w->calls[middle];
        if (w->calls[middle].id < id) low = middle + 1;
        else high = middle;
    }
    return NULL;
}

static void check_content(sim *w, const sim_call *call, const clouds_event *e)
{
    char want[32];
    snprintf(want, sizeof want, "[%zu]", call->content);
    /* a server that is overloaded, drains, or ends, can tell a caller it takes for npm only in words */
    static const char *const words[] = {"CLOUDS_OVERLOADED", "CLOUDS_DRAINING", "CLOUDS_CONNECTION_LOST"};
    for (int i = 0; i < 3; i++)
        if (e->code == CLOUDS_EAPP && memmem(e->error, e->error_len, words[i], strlen(words[i]))) return;
    int fits = e->data_len == strlen(want) && memcmp(e->data, want, e->data_len) == 0;
    if ((e->code == 0 || e->code == CLOUDS_EAPP) && !fits)
        sim_fail(w, "call %llu got the answer to another: %.*s %.*s, not %s", (unsigned long long)e->id,
                 (int)e->data_len, e->data, (int)e->error_len, e->error, want);
    if (e->code == CLOUDS_EAPP && !memmem(e->error, e->error_len, want, strlen(want)))
        sim_fail(w, "call %llu got the error of another", (unsigned long long)e->id);
}

void sim_completed(sim *w, sim_node *n, const clouds_event *e)
{
    w->completions++;
    w->outcomes[e->outcome & 3]++;
    sim_call *call = by_id(w, e->id);
    if (!call || call->node != n->index || call->life != n->life) {
        sim_fail(w, "a completion nobody waits for at %s", n->id);
        return;
    }
    if (++call->completions != 1) sim_fail(w, "call %llu completed twice", (unsigned long long)e->id);
    if (w->now > call->deadline + SLACK)
        sim_fail(w, "call %llu completed %lld ms after its deadline", (unsigned long long)e->id,
                 (long long)(w->now - call->deadline));
    call->outcome = (int)e->outcome;
    check_content(w, call, e);
    check_not_done(w, call);
}

/* At the end every accepted call of a node that did not crash has completed. */
static void check_all_done(sim *w)
{
    for (size_t i = 0; i < w->n_calls; i++) {
        const sim_call *call = &w->calls[i];
        const sim_node *n = &w->nodes[call->node];
        if (call->completions == 0 && n->alive && n->life == call->life)
            sim_fail(w, "call %llu of %s never completed", (unsigned long long)call->id, n->id);
        if (call->completions < -1) sim_fail(w, "call %llu was refused and completed", (unsigned long long)call->id);
    }
}

static void weather(sim *w)
{
    w->loss = (double)sim_random(w, 50) / 1000;
    w->duplicate = sim_chance(w, 0.5) ? 0 : (double)sim_random(w, 50) / 1000;
    w->chaos = (double)sim_random(w, 100) / 100;
    w->max_delay = 1 + (int)sim_random(w, 100);
}

static sim *run(uint64_t seed, enum sim_break broken)
{
    sim *w = calloc(1, sizeof *w);
    w->seed = seed;
    w->state = seed;
    w->now = 1000000;
    w->quiet = w->now + 4000;
    w->broken = broken;
    weather(w);
    sim_populate(w);
    int64_t end = w->quiet + 15000;
    for (cl_timer *t; (t = cl_heap_first(&w->agenda)) && t->when <= end && !w->failure[0];) {
        sim_item *item = (sim_item *)(void *)((char *)t - offsetof(sim_item, timer));
        w->now = t->when;
        if (item->what == SIM_TICK) {
            cl_heap_set(&w->agenda, t, w->now + 3600 * 1000);
            cl_core_tick(w->nodes[item->node].core);
            continue;
        }
        cl_heap_remove(&w->agenda, t);
        sim_happen(w, item);
        free(item);
    }
    if (!w->failure[0]) check_all_done(w);
    return w;
}

static void finish(sim *w)
{
    w->quiet = 0;
    sim_depopulate(w);
    for (cl_timer *t; (t = cl_heap_first(&w->agenda));) {
        cl_heap_remove(&w->agenda, t);
        free((char *)t - offsetof(sim_item, timer));
    }
    cl_heap_free(&w->agenda);
    free(w->calls);
    free(w);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static void every_seed_holds(void)
{
    uint64_t first = from_environment("CLOUDS_SIM_SEED", 1), n = from_environment("CLOUDS_SIM_SEEDS", 200);
    long calls = 0, starts = 0, outcomes[4] = {0};
    for (uint64_t seed = first; seed < first + n; seed++) {
        sim *w = run(seed, SIM_SOUND);
        calls += w->completions;
        starts += w->starts;
        for (int i = 0; i < 4; i++) outcomes[i] += w->outcomes[i];
        if (!CHECK(!w->failure[0])) printf("# seed %llu: %s\n", (unsigned long long)seed, w->failure);
        finish(w);
    }
    printf(
        "# %llu seeds, %ld calls (%ld done, %ld errors of services, %ld not done, %ld unknown), %ld handlers started\n",
        (unsigned long long)n, calls, outcomes[0], outcomes[1], outcomes[2], outcomes[3], starts);
    CHECK(n == 0 || calls > (long)n * 200);
    CHECK(n < 10 || (outcomes[0] > calls / 4 && outcomes[1] && outcomes[2] && outcomes[3]));
}

static void a_seed_replays(void)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        sim *a = run(seed, SIM_SOUND), *b = run(seed, SIM_SOUND);
        CHECK(a->events > 1000);
        CHECK_INT(a->events, b->events);
        CHECK(a->hash == b->hash);
        finish(a);
        finish(b);
    }
    sim *a = run(1, SIM_SOUND), *b = run(2, SIM_SOUND);
    CHECK(a->hash != b->hash);
    finish(a);
    finish(b);
}

/* A checker that can't fail proves nothing. */
static void each_break_is_noticed(void)
{
    static const char *const words[SIM_BREAKS] = {
        "", "another", "after its deadline", "twice", "never completed", "was executed", "after its deadline",
        "executed again"};
    for (int broken = SIM_SOUND + 1; broken < SIM_BREAKS; broken++) {
        int noticed = 0;
        for (uint64_t seed = 1; seed <= 20 && !noticed; seed++) {
            sim *w = run(seed, (enum sim_break)broken);
            noticed = strstr(w->failure, words[broken]) != NULL;
            if (w->failure[0] && !noticed) printf("# break %d, seed %d: %s\n", broken, (int)seed, w->failure);
            if (noticed) printf("# %s\n", w->failure);
            finish(w);
        }
        if (!CHECK(noticed)) printf("# break %d was not noticed\n", broken);
    }
}

int main(void)
{
    RUN(every_seed_holds);
    RUN(a_seed_replays);
    RUN(each_break_is_noticed);
    return tap_end();
}
