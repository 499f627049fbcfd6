/* A client under load that keeps books: every call ends exactly once, in time, and with the answer to its own question.
 *
 * Usage: load URL METHOD OUTSTANDING COUNT TIMEOUT DEADLINE RETRIES LONGEST MODE
 *
 * With LOAD_BY_REDIS in the environment no call goes over a direct link. It keeps OUTSTANDING calls going until COUNT are made (0: until standard input ends). The method is an echo: it has to answer
 * with the two arguments it got, a number and a text (of up to LONGEST bytes and a few) that differ from call to call. About fifty times a second the number of calls
 * that succeeded so far goes out as a line; the last line is one JSON object:
 *   calls, ok, twice (completions of calls that were not open), wrong (answers to another question), lost (never completed),
 *   latest (seconds after its deadline that the latest completion came), codes (failures by name), outcomes */
#include <clouds.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 8192, EVENTS = 256, CODES = 64, TEXT = 2048 };

typedef struct slot {
    uint64_t call; /* 0: free */
    uint64_t number;
    double due;
} slot;

typedef struct books {
    clouds_context *context;
    clouds_node *node;
    const char *method;
    clouds_call_options how;
    double deadline;
    uint32_t outstanding, open;
    uint64_t longest, count, made, ok, twice, wrong;
    double latest, told;
    uint64_t codes[CODES], outcomes[4];
    slot slots[SLOTS];
    uint32_t free[SLOTS];
} books;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void must(int code, const char *what)
{
    if (code >= 0) return;
    fprintf(stderr, "%s: %s: %s\n", what, clouds_err_name(code), clouds_last_error());
    exit(1);
}

/* The arguments of call number n, and so the answer to it: texts of every length with something of everything. */
static size_t arguments(uint64_t n, uint64_t longest, char *out)
{
    static const char *const pieces[] = { "a", "\xc3\xa9", "\\u0000", "\xe2\x82\xac", "\\n", "\xf0\x9f\x98\x80", "\\\"", "]}" };
    size_t at = (size_t)sprintf(out, "[%llu,\"", (unsigned long long)n), end = at + n * 7 % longest;
    for (uint64_t i = n; at < end; i = i * 5 + 3) {
        const char *piece = pieces[i % 8];
        memcpy(out + at, piece, strlen(piece));
        at += strlen(piece);
    }
    memcpy(out + at, "\"]", 2);
    return at + 2;
}

static void ask(books *b)
{
    char text[TEXT];
    uint32_t at = b->free[b->open];
    slot *s = &b->slots[at];
    size_t len = arguments(b->made, b->longest, text);
    b->how.user_data = at;
    s->number = b->made;
    s->due = now() + b->deadline;
    must(clouds_node_call(b->node, b->method, strlen(b->method), text, len, &b->how, &s->call), "call");
    b->made++;
    b->open++;
}

static void judge(books *b, const slot *s, const clouds_event *e)
{
    char want[TEXT];
    size_t len = arguments(s->number, b->longest, want);
    double late = now() - s->due;
    if (late > b->latest) b->latest = late;
    b->outcomes[e->outcome < 4 ? e->outcome : CLOUDS_OUTCOME_UNKNOWN]++;
    if (e->code != 0) b->codes[-e->code < CODES ? -e->code : 0]++;
    else if (e->data_len == len && memcmp(e->data, want, len) == 0) b->ok++;
    else b->wrong++;
}

static void completed(books *b, const clouds_event *e)
{
    slot *s = e->user_data < SLOTS ? &b->slots[e->user_data] : NULL;
    if (!s || s->call != e->id) {
        b->twice++;
        return;
    }
    judge(b, s, e);
    s->call = 0;
    b->free[--b->open] = (uint32_t)e->user_data;
}

static void turn(books *b)
{
    static clouds_event events[EVENTS];
    int n = clouds_poll(b->context, events, sizeof *events, EVENTS, 0.05);
    must(n, "poll");
    for (int i = 0; i < n; i++)
        if (events[i].type == CLOUDS_EVENT_RESULT) completed(b, &events[i]);
    if (now() - b->told < 0.02) return;
    b->told = now();
    printf("%llu\n", (unsigned long long)b->ok);
    fflush(stdout);
}

static int told_to_stop(void)
{
    struct pollfd in = { .fd = 0, .events = POLLIN };
    return poll(&in, 1, 0) > 0;
}

static void run(books *b)
{
    while (b->count ? b->made < b->count : !told_to_stop()) {
        while (b->open < b->outstanding && (!b->count || b->made < b->count)) ask(b);
        turn(b);
    }
    double end = now() + b->deadline + 10;
    while (b->open > 0 && now() < end) turn(b);
    for (int i = 0; i < 4; i++) turn(b); /* what should not come any more */
}

static void print(const books *b)
{
    printf("{\"calls\":%llu,\"ok\":%llu,\"twice\":%llu,\"wrong\":%llu,\"lost\":%u,\"latest\":%.3f,\"codes\":{",
           (unsigned long long)b->made, (unsigned long long)b->ok, (unsigned long long)b->twice,
           (unsigned long long)b->wrong, b->open, b->latest);
    const char *comma = "";
    for (int i = 0; i < CODES; i++) {
        if (!b->codes[i]) continue;
        printf("%s\"%s\":%llu", comma, clouds_err_name(-i), (unsigned long long)b->codes[i]);
        comma = ",";
    }
    printf("},\"outcomes\":{");
    for (int i = 0; i < 4; i++)
        printf("%s\"%s\":%llu", i ? "," : "", clouds_outcome_name(i), (unsigned long long)b->outcomes[i]);
    printf("}}\n");
}

static void connect_to(books *b, const char *url, const char *mode)
{
    clouds_options *options;
    must(clouds_options_create(&options), "options");
    must(clouds_options_set_string(options, "url", url), "url");
    must(clouds_options_set_string(options, "mode", mode), "mode");
    must(clouds_options_set_string(options, "type", "client"), "type");
    if (getenv("LOAD_BY_REDIS")) must(clouds_options_set_bool(options, "direct", 0), "direct");
    must(clouds_context_create(options, &b->context), "context");
    must(clouds_node_create(b->context, options, &b->node), "node");
    clouds_options_destroy(options);
}

int main(int argc, char **argv)
{
    static books b;
    if (argc != 10) return fprintf(stderr, "usage: load URL METHOD OUTSTANDING COUNT TIMEOUT DEADLINE RETRIES LONGEST MODE\n"), 2;
    b.method = argv[2];
    b.outstanding = (uint32_t)atoi(argv[3]);
    b.count = strtoull(argv[4], NULL, 10);
    b.deadline = atof(argv[6]);
    b.how = (clouds_call_options){ .size = sizeof b.how, .timeout = atof(argv[5]), .deadline = b.deadline,
                                   .retries = atoi(argv[7]) };
    b.longest = strtoull(argv[8], NULL, 10);
    if (b.longest < 1 || b.longest > 1000 || b.outstanding < 1 || b.outstanding > SLOTS) return 2;
    for (uint32_t i = 0; i < SLOTS; i++) b.free[i] = i;
    connect_to(&b, argv[1], argv[9]);
    run(&b);
    print(&b);
    clouds_context_destroy(b.context);
    return b.twice || b.wrong || b.open;
}
