/* Runs a fuzz target without libFuzzer: driver CORPUS [FILE ...]. With files it runs just these; otherwise every file
 * of the folder, then mutations of them. What brings the target down is left in the file crash-<target> of the current
 * folder. In the environment:
 *
 * - CLOUDS_FUZZ_RUNS: how many mutations; without it as many as fit into the time
 *
 * - CLOUDS_FUZZ_SECONDS: how long, 2 without it; 0: the corpus only
 *
 * - CLOUDS_FUZZ_SEED: the seed, 1 without it; printed at the start */
#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum { LONGEST = 4096, MOST_FILES = 512, MOST_STEPS = 6 };

typedef struct input {
    uint8_t *data;
    size_t n;
} input;

static input corpus[MOST_FILES];
static size_t corpus_count;
static uint8_t work[LONGEST];
static size_t work_length;
static uint64_t random_state;

/* ---- what was being run when it fell */

static const uint8_t *current;
static size_t current_length;
static char crash_name[300];

void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void keep_input(void)
{
    int fd = current ? open(crash_name, O_WRONLY | O_CREAT | O_TRUNC, 0644) : -1;
    if (fd < 0) return;
    ssize_t n = write(fd, current, current_length);
    (void)!write(2, "input kept as ", 14);
    (void)!write(2, crash_name, strlen(crash_name));
    (void)!write(2, n == (ssize_t)current_length ? "\n" : " (cut)\n", n == (ssize_t)current_length ? 1 : 7);
    close(fd);
    current = NULL;
}

static void on_signal(int number)
{
    keep_input();
    signal(number, SIG_DFL);
    raise(number);
}

static void watch_for_crashes(const char *program)
{
    const char *slash = strrchr(program, '/');
    snprintf(crash_name, sizeof crash_name, "crash-%s", slash ? slash + 1 : program);
    signal(SIGABRT, on_signal);
    if (__sanitizer_set_death_callback) {
        __sanitizer_set_death_callback(keep_input);
        return;
    }
    signal(SIGSEGV, on_signal);
    signal(SIGBUS, on_signal);
    signal(SIGFPE, on_signal);
    signal(SIGILL, on_signal);
}

/* In memory of exactly its size, so that a sanitizer sees any step beyond it. */
static void run(const uint8_t *data, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);
    if (!copy) return;
    memcpy(copy, data, n);
    current = copy;
    current_length = n;
    LLVMFuzzerTestOneInput(copy, n);
    current = NULL;
    free(copy);
}

/* ---- the corpus */

static int load(const char *path, input *out)
{
    FILE *file = fopen(path, "rb");
    if (!file) return 0;
    out->data = malloc(LONGEST);
    out->n = out->data ? fread(out->data, 1, LONGEST, file) : 0;
    fclose(file);
    return out->data != NULL;
}

static void load_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    if (!dir) return;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL && corpus_count < MOST_FILES;) {
        char path[1024];
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        corpus_count += (size_t)load(path, &corpus[corpus_count]);
    }
    closedir(dir);
}

static int by_content(const void *a, const void *b)
{
    const input *x = a, *y = b;
    int order = memcmp(x->data, y->data, x->n < y->n ? x->n : y->n);
    return order ? order : (x->n > y->n) - (x->n < y->n);
}

/* ---- mutations */

static uint64_t next_random(void)
{
    uint64_t z = random_state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static size_t below(size_t n)
{
    return n ? (size_t)(next_random() % n) : 0;
}

/* Replaces `gone` bytes at `at` by the n at p. */
static void replace(size_t at, size_t gone, const void *p, size_t n)
{
    if (gone > work_length - at) gone = work_length - at;
    if (work_length - gone + n > LONGEST) return;
    memmove(work + at + n, work + at + gone, work_length - at - gone);
    memcpy(work + at, p, n);
    work_length = work_length - gone + n;
}

static const char *const words[] = {"{",
                                    "}",
                                    "[",
                                    "]",
                                    ",",
                                    ":",
                                    "\"",
                                    "\\",
                                    "\\u0041",
                                    "\\ud800",
                                    "\\udc00",
                                    "\\n",
                                    "\\x",
                                    "true",
                                    "false",
                                    "null",
                                    "0",
                                    "-",
                                    "1e5",
                                    ".5",
                                    "01",
                                    "\"t\":",
                                    "\"s\":",
                                    "\"d\":",
                                    "\"i\":",
                                    "\"m\":",
                                    "\"a\":",
                                    "\"e\":",
                                    "\"r\":",
                                    "\"x\":",
                                    "\"n\":1",
                                    "\"c\"",
                                    "\"r\"",
                                    "\"m\"",
                                    "{\"t\":\"c\",\"s\":\"",
                                    "{}",
                                    "[]",
                                    "[[[[[[[[",
                                    "]]]]]]]]",
                                    "\xc3\xa9",
                                    "\xe2\x82\xac",
                                    "\xf0\x9f\x98\x80",
                                    "\xed\xa0\x80",
                                    "\xff",
                                    "\xc0\x80",
                                    "\xf4\x90\x80\x80",
                                    "\xe2\x82",
                                    " ",
                                    "\r\n",
                                    "redis://",
                                    "redis+unix://",
                                    "local:",
                                    "inproc:",
                                    "@",
                                    "?",
                                    "&",
                                    "prefix=",
                                    "db=",
                                    "%41",
                                    "%00",
                                    "%",
                                    "/",
                                    ":6379",
                                    "[::1]",
                                    "$",
                                    "*",
                                    "+",
                                    "*3\r\n",
                                    "$-1\r\n",
                                    "$5\r\n",
                                    ":1\r\n"};

static void one_byte(void)
{
    static const uint8_t special[] = {0,    1,    0x1f, 0x20, '"',  '\\', 0x7f, 0x80, 0xbf,
                                      0xc2, 0xe0, 0xed, 0xf0, 0xf4, 0xff, '0',  '-',  '\n'};
    if (work_length == 0) return;
    uint8_t *at = &work[below(work_length)];
    switch (below(3)) {
    case 0:
        *at ^= (uint8_t)(1u << below(8));
        break;
    case 1:
        *at = (uint8_t)next_random();
        break;
    default:
        *at = special[below(sizeof special)];
    }
}

/* A piece of the same or of another input, at another place. */
static void insert_piece(void)
{
    const input *other = &corpus[below(corpus_count)];
    size_t from = below(other->n), n = below(other->n - from) % 64 + 1;
    if (other->n == 0) return;
    if (n > other->n - from) n = other->n - from;
    replace(below(work_length + 1), below(2) ? n : 0, other->data + from, n);
}

static void repeat_piece(void)
{
    uint8_t piece[32];
    size_t at = below(work_length), n = below(sizeof piece) + 1;
    if (n > work_length - at) n = work_length - at;
    memcpy(piece, work + at, n);
    for (size_t times = below(8) ? 1 : below(300); times; times--) replace(at, 0, piece, n);
}

static void mutate(void)
{
    switch (below(8)) {
    case 0:
    case 1:
        one_byte();
        break;
    case 2:
    case 3: {
        const char *word = words[below(sizeof words / sizeof *words)];
        replace(below(work_length + 1), below(3) == 0 ? strlen(word) : 0, word, strlen(word));
        break;
    }
    case 4:
        replace(below(work_length + 1), below(16) + 1, "", 0);
        break;
    case 5:
        insert_piece();
        break;
    case 6:
        repeat_piece();
        break;
    default:
        if (below(4) == 0) work_length = below(work_length + 1);
        else one_byte();
    }
}

static void run_mutation(void)
{
    const input *start = &corpus[below(corpus_count)];
    memcpy(work, start->data, start->n);
    work_length = start->n;
    for (size_t steps = below(MOST_STEPS) + 1; steps; steps--) mutate();
    run(work, work_length);
}

/* ---- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double number_from(const char *name, double otherwise)
{
    const char *text = getenv(name);
    return text && *text ? atof(text) : otherwise;
}

static int run_files(int count, char **paths)
{
    for (int i = 0; i < count; i++) {
        input one;
        if (!load(paths[i], &one)) return fprintf(stderr, "cannot read %s\n", paths[i]), EXIT_FAILURE;
        run(one.data, one.n);
        free(one.data);
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    if (argc < 2) return fprintf(stderr, "usage: %s CORPUS [FILE ...]\n", argv[0]), 2;
    watch_for_crashes(argv[0]);
    if (argc > 2) return run_files(argc - 2, argv + 2);
    load_folder(argv[1]);
    if (corpus_count == 0) return fprintf(stderr, "no corpus in %s\n", argv[1]), EXIT_FAILURE;
    qsort(corpus, corpus_count, sizeof *corpus, by_content); /* so that a seed means the same everywhere */
    for (size_t i = 0; i < corpus_count; i++) run(corpus[i].data, corpus[i].n);
    double runs = number_from("CLOUDS_FUZZ_RUNS", 0), seconds = number_from("CLOUDS_FUZZ_SECONDS", 2),
           seed = number_from("CLOUDS_FUZZ_SEED", 1);
    random_state = (uint64_t)seed;
    printf("corpus of %zu, seed %.0f\n", corpus_count, seed);
    double end = now() + seconds, done = 0;
    while (runs > 0 ? done < runs : now() < end) {
        for (int i = 0; i < 100; i++) run_mutation();
        done += 100;
    }
    printf("ok: %.0f mutations\n", done);
    for (size_t i = 0; i < corpus_count; i++) free(corpus[i].data);
    return EXIT_SUCCESS;
}
