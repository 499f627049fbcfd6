#include "answers.h"
#include "lines.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static clouds_context *context;

void answers_begin(clouds_context *of)
{
    context = of;
}

void reply_text(uint64_t request, const char *values, size_t length)
{
    int code = clouds_reply(context, request, values, length);
    if (code == 0 || code == CLOUDS_ESTALE) return;
    char error[300];
    int n = snprintf(error, sizeof error, "{\"message\":\"the result cannot be sent: %s\"}", clouds_strerror(code));
    check(clouds_fail(context, request, error, (size_t)n, NULL, 0), "fail");
}

void reply(uint64_t request, const char *values)
{
    reply_text(request, values, strlen(values));
}

/* ---- requests that are kept, and counts, under a key */

typedef struct kept {
    struct kept *next;
    char *key;
    uint64_t request;
    int canceled; /* its caller has given up */
} kept;

typedef struct counter {
    struct counter *next;
    char *key;
    int count;
} counter;

static kept *all_kept;
static counter *counters;

int count(span key)
{
    counter *c = counters;
    while (c && (strlen(c->key) != key.n || memcmp(c->key, key.p, key.n) != 0)) c = c->next;
    if (!c) {
        c = calloc(1, sizeof *c);
        *c = (counter){.next = counters, .key = strndup(key.p, key.n)};
        counters = c;
    }
    return ++c->count;
}

static int is_of(const kept *k, span key)
{
    return strlen(k->key) == key.n && memcmp(k->key, key.p, key.n) == 0;
}

int keep(uint64_t request, span key)
{
    kept *k = calloc(1, sizeof *k);
    *k = (kept){.next = all_kept, .key = strndup(key.p, key.n), .request = request};
    all_kept = k;
    return held(key);
}

int held(span key)
{
    int there = 0;
    for (kept *k = all_kept; k; k = k->next) there += is_of(k, key);
    return there;
}

void note_canceled(uint64_t request)
{
    for (kept *k = all_kept; k; k = k->next) k->canceled |= k->request == request;
}

int is_canceled(span key)
{
    for (kept *k = all_kept; k; k = k->next)
        if (is_of(k, key) && k->canceled) return 1;
    return 0;
}

int answer_kept(span key, const char *values)
{
    int answered = 0;
    for (kept **at = &all_kept; *at;) {
        kept *k = *at;
        if (!is_of(k, key)) {
            at = &k->next;
            continue;
        }
        reply(k->request, values);
        *at = k->next;
        free(k->key);
        free(k);
        answered++;
    }
    return answered;
}

/* ---- answers that are due later */

typedef struct later {
    struct later *next;
    double due;
    uint64_t request;
    char *values;
} later;

static later *waiting;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double answer_due(void)
{
    double next = -1, moment = now();
    for (later **at = &waiting; *at;) {
        later *l = *at;
        if (l->due > moment) {
            if (next < 0 || l->due - moment < next) next = l->due - moment;
            at = &l->next;
            continue;
        }
        reply(l->request, l->values);
        *at = l->next;
        free(l->values);
        free(l);
    }
    return next;
}

void answer_later(uint64_t request, double seconds, char *values)
{
    later *l = calloc(1, sizeof *l);
    *l = (later){.next = waiting, .due = now() + seconds, .request = request, .values = values};
    waiting = l;
}

void answers_forget(void)
{
    for (counter *c; (c = counters); free(c)) {
        counters = c->next;
        free(c->key);
    }
    for (kept *k; (k = all_kept); free(k)) {
        all_kept = k->next;
        free(k->key);
    }
}
