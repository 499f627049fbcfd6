#include "base/error.h"

#include <pthread.h>

#include "support/tap.h"

#define ROW(symbol, number, outcome, name, text) {symbol, outcome, name, text},
static const struct {
    int code, outcome;
    const char *name, *text;
} rows[] = {CLOUDS_ERRORS(ROW)};
#undef ROW

enum { ROWS = sizeof rows / sizeof *rows };

static void the_table_is_whole(void)
{
    for (int i = 0; i < ROWS; i++) {
        CHECK(rows[i].code < 0);
        CHECK_STR(clouds_err_name(rows[i].code), strlen(clouds_err_name(rows[i].code)), rows[i].name);
        CHECK_STR(clouds_strerror(rows[i].code), strlen(clouds_strerror(rows[i].code)), rows[i].text);
        CHECK_INT(clouds_err_outcome(rows[i].code), rows[i].outcome);
        for (int k = 0; k < i; k++) CHECK(rows[k].code != rows[i].code && strcmp(rows[k].name, rows[i].name) != 0);
    }
}

static void other_numbers_have_words_too(void)
{
    CHECK_STR(clouds_err_name(0), strlen(clouds_err_name(0)), "CLOUDS_OK");
    CHECK_STR(clouds_err_name(12345), strlen(clouds_err_name(12345)), "CLOUDS_E?");
    CHECK(strlen(clouds_strerror(0)) > 0 && strlen(clouds_strerror(-9999)) > 0);
    CHECK_INT(clouds_err_outcome(0), CLOUDS_OUTCOME_OK);
    CHECK_INT(clouds_err_outcome(-9999), CLOUDS_OUTCOME_UNKNOWN);
    CHECK_STR(clouds_outcome_name(CLOUDS_OUTCOME_OK), strlen(clouds_outcome_name(CLOUDS_OUTCOME_OK)), "OK");
    CHECK_STR(clouds_outcome_name(-1), strlen(clouds_outcome_name(-1)), "UNKNOWN");
    CHECK_STR(clouds_outcome_name(99), strlen(clouds_outcome_name(99)), "UNKNOWN");
}

/* What WIRE.md fixes: npm programs compare these. */
static void the_codes_of_the_wire(void)
{
    CHECK_STR(clouds_err_name(CLOUDS_ETIMEOUT), strlen(clouds_err_name(CLOUDS_ETIMEOUT)),
              "CLOUDS_CALL_SERVICE_TIMEOUT");
    CHECK_STR(clouds_strerror(CLOUDS_ETIMEOUT), strlen(clouds_strerror(CLOUDS_ETIMEOUT)), "timeout");
    CHECK_STR(clouds_err_name(CLOUDS_ENOSERVER), strlen(clouds_err_name(CLOUDS_ENOSERVER)),
              "CLOUDS_NO_AVAILABLE_SERVER");
    CHECK_STR(clouds_strerror(CLOUDS_ENOSERVER), strlen(clouds_strerror(CLOUDS_ENOSERVER)), "no available server");
    CHECK_STR(clouds_strerror(CLOUDS_ENOMETHOD), strlen(clouds_strerror(CLOUDS_ENOMETHOD)),
              "service handler not found");
}

static void *other_thread(void *out)
{
    *(int *)out = clouds_last_error()[0] == '\0';
    cl_error(CLOUDS_EINVAL, "of the other thread");
    return NULL;
}

static void words_belong_to_a_thread(void)
{
    int was_empty = 0;
    pthread_t thread;
    CHECK_INT(cl_error(CLOUDS_EURL, "port %d", 7), CLOUDS_EURL);
    REQUIRE(pthread_create(&thread, NULL, other_thread, &was_empty) == 0);
    pthread_join(thread, NULL);
    CHECK(was_empty);
    CHECK_STR(clouds_last_error(), strlen(clouds_last_error()), "port 7");
    CHECK_INT(cl_error(CLOUDS_ENOMEM, NULL), CLOUDS_ENOMEM);
    CHECK_STR(clouds_last_error(), strlen(clouds_last_error()), "out of memory");
}

static void how_commands_exit(void)
{
    static const struct {
        int code, outcome, want;
    } exits[] = {{0, CLOUDS_OUTCOME_OK, CLOUDS_EXIT_OK},
                 {CLOUDS_EAPP, CLOUDS_OUTCOME_APP_ERROR, CLOUDS_EXIT_ERROR},
                 {CLOUDS_EINVAL, CLOUDS_OUTCOME_APP_ERROR, CLOUDS_EXIT_ERROR},
                 {CLOUDS_EINVAL, CLOUDS_OUTCOME_NOT_DONE, CLOUDS_EXIT_USAGE},
                 {CLOUDS_EURL, CLOUDS_OUTCOME_NOT_DONE, CLOUDS_EXIT_USAGE},
                 {CLOUDS_EOPTION, CLOUDS_OUTCOME_NOT_DONE, CLOUDS_EXIT_USAGE},
                 {CLOUDS_EJSON, CLOUDS_OUTCOME_NOT_DONE, CLOUDS_EXIT_USAGE},
                 {CLOUDS_ETOOBIG, CLOUDS_OUTCOME_NOT_DONE, CLOUDS_EXIT_USAGE},
                 {CLOUDS_ENOSERVER, CLOUDS_OUTCOME_NOT_DONE, CLOUDS_EXIT_UNREACHABLE},
                 {CLOUDS_ETIMEOUT, CLOUDS_OUTCOME_UNKNOWN, CLOUDS_EXIT_UNKNOWN},
                 {CLOUDS_EJSON, CLOUDS_OUTCOME_UNKNOWN, CLOUDS_EXIT_UNKNOWN},
                 {-1000, 77, CLOUDS_EXIT_UNKNOWN}};
    for (size_t i = 0; i < sizeof exits / sizeof *exits; i++)
        CHECK_INT(clouds_exit_code(exits[i].code, exits[i].outcome), exits[i].want);
}

int main(void)
{
    RUN(how_commands_exit);
    RUN(the_table_is_whole);
    RUN(other_numbers_have_words_too);
    RUN(the_codes_of_the_wire);
    RUN(words_belong_to_a_thread);
    return tap_end();
}
