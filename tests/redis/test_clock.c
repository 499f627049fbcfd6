/* Redis' clock: learned on a schedule, kept over a loss, and steps are noticed. A server that lies about the time
 * stands in for one whose clock steps. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "clouds.h"
#include "redis/fake.h"
#include "redis/kit.h"
#include "support/tap.h"

static fake f;
static kit a;
static int node_a;
static char reply[3][80];
static int replies;

#define ID "s.686c821a.100.0"

static void redis_says_that_it_is(int64_t seconds)
{
    char *text = reply[replies++ % 3];
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    int n = snprintf(text, sizeof *reply, "*2\r\n$10\r\n%010lld\r\n$6\r\n%06ld\r\n", (long long)(t.tv_sec + seconds),
                     t.tv_nsec / 1000);
    fake_answer(&f, "TIME", text, (size_t)n);
}

/* A call whose deadline is so far away on the clock of this machine. */
static int64_t left_of(int64_t ms)
{
    static char message[2][300];
    static int turn;
    char body[200], *text = message[turn++ % 2];
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    int64_t deadline = (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000 + ms;
    int n = snprintf(body, sizeof body, "{\"t\":\"c\",\"s\":\"c\",\"d\":{\"i\":\"i\",\"m\":\"m\",\"a\":[],\"x\":%lld}}",
                     (long long)deadline);
    n = snprintf(text, sizeof message[0], "*3\r\n$7\r\nmessage\r\n$%zu\r\nclouds:L:" ID "\r\n$%d\r\n%s\r\n",
                 strlen("clouds:L:" ID), n, body);
    fake_push(&f, 1, text, (size_t)n);
    return kit_take(&a, "envelope")->number - cl_loop_now();
}

static int is_about(int64_t value, int64_t expected)
{
    return value > expected - 5000 && value < expected + 5000;
}

static void begin(double interval)
{
    cl_limits limits;
    kit_limits(&limits);
    limits.ping_interval = interval;
    limits.reconnect_max = 0.05;
    REQUIRE(fake_start(&f) == 0);
    REQUIRE(kit_open(&a, f.url, &limits) == 0);
    REQUIRE(kit_node(&a, &node_a, ID, 5) == 0);
}

static void end(void)
{
    kit_close(&a, 0);
    fake_stop(&f);
}

static void is_learned_on_a_schedule(void)
{
    begin(0.05);
    CHECK(is_about(left_of(60000), 60000));
    redis_says_that_it_is(-40); /* it steps */
    WAIT_FOR(is_about(left_of(60000), 100000));
    redis_says_that_it_is(40);
    WAIT_FOR(is_about(left_of(60000), 20000));
    end();
}

/* No schedule is due: the age of a request makes it ask. */
static void an_odd_age_makes_it_ask(void)
{
    begin(600);
    CHECK(is_about(left_of(60000), 60000));
    redis_says_that_it_is(-40);
    CHECK(is_about(left_of(-20000), -20000)); /* by the old clock it has expired */
    kit_idle(1100);
    WAIT_FOR(is_about(left_of(-20000), 20000));
    end();
}

/* While the other connection is being made anew, and Redis does not tell the time, the last word counts. */
static void is_kept_over_a_loss(void)
{
    begin(600);
    redis_says_that_it_is(-1000);
    WAIT_FOR(is_about(left_of(0), 0));
    fake_answer(&f, "TIME", "-NOPERM no\r\n", 12);
    fake_push(&f, 0, "+unasked\r\n", 10); /* ends the connection for commands */
    WAIT_FOR(!a.up);
    CHECK(is_about(left_of(-7000), -7000));
    WAIT_FOR(a.up);
    CHECK(is_about(left_of(-7000), -7000));
    end();
}

static void on_log(void *steps, int level, const char *text)
{
    *(int *)steps += strstr(text, "the clock of Redis stepped by ") != NULL;
}

/* How long the answer took is how much the offset may be wrong: the next answer, which says so, tells of no step. */
static void a_late_answer_is_not_exact(void)
{
    int steps = 0;
    begin(0.05);
    cl_log_hook(on_log, &steps, CLOUDS_LOG_WARN);
    redis_says_that_it_is(40);
    usleep(100000);
    kit_turn_all(0); /* it asks, */
    usleep(3000000); /* and comes late to the answer */
    redis_says_that_it_is(40);
    WAIT_FOR(steps == 1);
    WAIT_FOR(left_of(60000) < 20500);
    CHECK_INT(steps, 1);
    cl_log_hook(NULL, NULL, 0);
    end();
}

static void nonsense_is_clamped(void)
{
    begin(600);
    int64_t left = left_of(INT64_C(4000000000000000));
    CHECK(left > 0 && left <= INT64_C(31) * 24 * 3600 * 1000);
    CHECK(left_of(-INT64_C(1000000000000)) < 0);
    end();
}

int main(void)
{
    RUN(is_learned_on_a_schedule);
    RUN(an_odd_age_makes_it_ask);
    RUN(is_kept_over_a_loss);
    RUN(a_late_answer_is_not_exact);
    RUN(nonsense_is_clamped);
    return tap_end();
}
