#include "base/log.h"

#include "clouds.h"
#include "support/tap.h"

static char last[2048];
static int lines, last_level, inside;

static void keep(void *user_data, int level, const char *text)
{
    lines++;
    last_level = level;
    inside = cl_log_in_hook();
    snprintf(last, sizeof last, "%s", text);
    cl_log(CLOUDS_LOG_ERROR, "from inside the hook"); /* must not come back here */
    (*(int *)user_data)++;
}

static void levels_below_are_dropped(void)
{
    int calls = 0;
    cl_log_hook(keep, &calls, CLOUDS_LOG_WARN);
    cl_log(CLOUDS_LOG_INFO, "too low");
    CHECK_INT(calls, 0);
    cl_log(CLOUDS_LOG_WARN, "n is %d", 5);
    CHECK_INT(calls, 1);
    CHECK_INT(last_level, CLOUDS_LOG_WARN);
    CHECK_STR(last, strlen(last), "n is 5");
    CHECK(inside && !cl_log_in_hook());
    cl_log_hook(NULL, NULL, 0);
    cl_log(CLOUDS_LOG_ERROR, "nobody listens");
    CHECK_INT(calls, 1);
}

static void no_peer_can_forge_a_line(void)
{
    int calls = 0;
    cl_log_hook(keep, &calls, CLOUDS_LOG_DEBUG);
    cl_log(CLOUDS_LOG_ERROR, "id %s", "x\nfake\r\t\x1b[31m\x7f y");
    CHECK_STR(last, strlen(last), "id x\\x0afake\\x0d\\x09\\x1b[31m\\x7f y");
    cl_log(CLOUDS_LOG_ERROR, "%s",
           "\xc2\x9b"
           "31m\xc2\xa0"); /* CSI in one character; a space that does not break */
    CHECK_STR(last, strlen(last),
              "\\xc2\\x9b"
              "31m\xc2\xa0");
    cl_log_about(CLOUDS_LOG_ERROR, &(cl_log_facts){.method = CL_STR("m"), .caller = CL_STR("c\n.1"), .request = 7},
                 "late");
    CHECK_STR(last, strlen(last), "late; method m; caller c\\x0a.1; request 7");
    cl_log(CLOUDS_LOG_ERROR, "%s", "\xc3\xa9\xff");
    CHECK_STR(last, strlen(last), "\xc3\xa9\xff");
    cl_log_hook(NULL, NULL, 0);
}

static void on_sink(void *self, int level, const char *text, const cl_log_facts *facts)
{
    ++*(int *)self;
    CHECK_INT(level, CLOUDS_LOG_WARN);
    CHECK_STR(text, strlen(text), "a\\x0ab");
    CHECK_STR(facts->method.p, facts->method.n, "m");
}

/* The lines of a thread go to whom it works for, whatever the hook wants. */
static void lines_of_a_thread(void)
{
    int calls = 0;
    cl_log_sink sink = {on_sink, &calls, CLOUDS_LOG_WARN};
    cl_log_facts facts = {.method = CL_STR("m")};
    cl_log_to(&sink);
    cl_log_about(CLOUDS_LOG_INFO, &facts, "too low");
    cl_log_about(CLOUDS_LOG_WARN, &facts, "a\nb");
    cl_log_to(NULL);
    cl_log_about(CLOUDS_LOG_WARN, &facts, "nobody listens");
    CHECK_INT(calls, 1);
}

static void long_lines_are_cut(void)
{
    int calls = 0;
    char text[5000];
    memset(text, '\n', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    cl_log_hook(keep, &calls, CLOUDS_LOG_DEBUG);
    cl_log(CLOUDS_LOG_ERROR, "%s", text);
    CHECK_INT(calls, 1);
    CHECK(strlen(last) > 100 && strlen(last) < sizeof last - 1 && strchr(last, '\n') == NULL);
    CHECK_INT(strlen(last) % 4, 0);
    cl_log_hook(NULL, NULL, 0);
}

int main(void)
{
    RUN(levels_below_are_dropped);
    RUN(lines_of_a_thread);
    RUN(no_peer_can_forge_a_line);
    RUN(long_lines_are_cut);
    return tap_end();
}
