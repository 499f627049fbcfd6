#include "proto/bytes.h"

#include <stdlib.h>

#include "support/tap.h"

static void names(void)
{
    static const struct {
        const char *name;
        int want;
    } rows[] = {{"$bytes", 1}, {"$$bytes", 2}, {"$$$$$bytes", 5}, {"bytes", 0},    {"$byte", 0}, {"$bytess", 0},
                {"", 0},       {"$", 0},       {"x$bytes", 0},    {"$x$bytes", 0}, {"$Bytes", 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK_INT(cl_bytes_mark(cl_str_z(rows[i].name)), rows[i].want);
    CHECK_INT(cl_bytes_mark(CL_STR("$bytes\0")), 0);
    CHECK_INT(cl_bytes_mark(CL_STR_NONE), 0);
}

static void check_moved(const char *text, size_t had, size_t shift, const char *want)
{
    cl_buf out = {0};
    CHECK_INT(cl_bytes_move(cl_str_z(text), had, shift, &out), 0);
    CHECK_STR(out.data ? out.data : "", out.len, want);
    cl_buf_free(&out);
}

static void pieces_move(void)
{
    check_moved("{\"$bytes\":[0,3]}", 3, 5, "{\"$bytes\":[5,3]}");
    check_moved("[1,{\"$bytes\":[1,2]},{\"a\":{\"$bytes\":[3,0]}},\"{\"]", 3, 10,
                "[1,{\"$bytes\":[11,2]},{\"a\":{\"$bytes\":[13,0]}},\"{\"]");
    check_moved(" { \"$bytes\" : [ 0 , 3 ] } ", 3, 5, " { \"$bytes\":[5,3]} ");
    check_moved("{\"\\u0024byt\\u0065s\":[0,3]}", 3, 5, "{\"$bytes\":[5,3]}");
    check_moved("[]", 3, 5, "[]");
    check_moved("\"$bytes\"", 3, 5, "\"$bytes\"");
}

/* They were told from pieces by what they are: in a message whose bytes are more they could be taken for some. */
static void what_is_no_piece_becomes_an_object_of_the_users(void)
{
    check_moved("{\"$bytes\":[0,4]}", 3, 5, "{\"$$bytes\":[0,4]}");
    check_moved("{\"$bytes\":[4,0]}", 3, 5, "{\"$$bytes\":[4,0]}");
    check_moved("{\"$bytes\":[0,9007199254740993]}", 3, 5, "{\"$$bytes\":[0,9007199254740993]}");
    check_moved("{\"$bytes\":[0]}", 3, 5, "{\"$$bytes\":[0]}");
    check_moved("{\"$bytes\":[0,1,2]}", 3, 5, "{\"$$bytes\":[0,1,2]}");
    check_moved("{\"$bytes\":[-1,1]}", 3, 5, "{\"$$bytes\":[-1,1]}");
    check_moved("{\"$bytes\":[0.5,1]}", 3, 5, "{\"$$bytes\":[0.5,1]}");
    check_moved("{\"$bytes\":[\"0\",1]}", 3, 5, "{\"$$bytes\":[\"0\",1]}");
    check_moved("{\"$bytes\":{\"$bytes\":[0,1]}}", 3, 5, "{\"$$bytes\":{\"$bytes\":[5,1]}}");
    check_moved("{\"$bytes\":[[0,1],{\"$bytes\":[0,1]}]}", 3, 5, "{\"$$bytes\":[[0,1],{\"$bytes\":[5,1]}]}");
}

static void objects_of_the_users_stay(void)
{
    check_moved("{\"$$bytes\":[0,3]}", 3, 5, "{\"$$bytes\":[0,3]}");
    check_moved("{\"$bytes\":[0,3],\"a\":1}", 3, 5, "{\"$bytes\":[0,3],\"a\":1}");
    check_moved("{\"a\":1,\"$bytes\":[0,3]}", 3, 5, "{\"a\":1,\"$bytes\":[0,3]}");
    check_moved("{\"a\":\"$bytes\"}", 3, 5, "{\"a\":\"$bytes\"}");
}

static void what_had_no_bytes_is_all_the_users(void)
{
    check_moved("{\"$bytes\":[0,3]}", 0, 5, "{\"$$bytes\":[0,3]}");
    check_moved("[{\"$$bytes\":{\"$bytes\":1}}]", 0, 0, "[{\"$$$bytes\":{\"$$bytes\":1}}]");
    check_moved("{\"$bytes\":1,\"b\":{\"$bytes\":1}}", 0, 0, "{\"$bytes\":1,\"b\":{\"$$bytes\":1}}");
    check_moved("{\"\\u0024bytes\":1}", 0, 0, "{\"$\\u0024bytes\":1}");
}

/* Each level may be such an object: time and memory are those of the text. */
static void a_deep_text(void)
{
    enum { DEEP = 10000 };
    cl_buf text = {0}, want = {0}, out = {0};
    for (int i = 0; i < DEEP; i++) {
        cl_buf_put_str(&text, CL_STR("{\"$bytes\":"));
        cl_buf_put_str(&want, CL_STR("{\"$$bytes\":"));
    }
    cl_buf_put_char(&text, '1'), cl_buf_put_char(&want, '1');
    for (int i = 0; i < DEEP; i++) cl_buf_put_char(&text, '}'), cl_buf_put_char(&want, '}');
    CHECK_INT(cl_bytes_move(cl_buf_str(&text), 3, 0, &out), 0);
    CHECK(cl_str_eq(cl_buf_str(&out), cl_buf_str(&want)));
    cl_buf_free(&text), cl_buf_free(&want), cl_buf_free(&out);
}

/* Nobody hands over what is no JSON; nothing is read beyond it all the same. */
static void a_text_that_is_cut(void)
{
    static const char text[] = "[{\"$bytes\":[0,3]},{\"\\u0024bytes\":{}},\"\\";
    for (size_t n = 0; n < sizeof text; n++) {
        char *cut = malloc(n + 1);
        cl_buf out = {0};
        memcpy(cut, text, n);
        CHECK_INT(cl_bytes_move(cl_str_of(cut, n), 3, 1, &out), 0);
        cl_buf_free(&out);
        free(cut);
    }
}

int main(void)
{
    RUN(names);
    RUN(pieces_move);
    RUN(what_is_no_piece_becomes_an_object_of_the_users);
    RUN(objects_of_the_users_stay);
    RUN(what_had_no_bytes_is_all_the_users);
    RUN(a_deep_text);
    RUN(a_text_that_is_cut);
    return tap_end();
}
