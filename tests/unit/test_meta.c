#include "proto/meta.h"

#include "support/tap.h"

static void what_is_handed_on(void)
{
    static const struct {
        const char *inherited, *own, *want;
    } rows[] = {
        {"", "", ""},
        {"{}", "{}", ""},
        {"{\"a\":1}", "", "{\"a\":1}"},
        {"", "{\"a\":1,\"-b\":2}", "{\"a\":1,\"-b\":2}"},
        {"{\"a\":1,\"-b\":2,\"c\":[1,{\"-d\":3}]}", "", "{\"a\":1,\"c\":[1,{\"-d\":3}]}"},
        {"{\"-b\":2}", "", ""},
        {"{\"\\u002db\":2,\"\\u002Dc\":2}", "", ""},
        {"{\"a\":1,\"b\":2}", "{\"b\":3}", "{\"a\":1,\"b\":3}"},
        {"{ \"traceparent\" : \"00-1-2-01\" }", "{\"-auth\":\"x\"}", "{\"traceparent\":\"00-1-2-01\",\"-auth\":\"x\"}"},
        {"{\"\":1}", "{\"\":2}", "{\"\":2}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cl_buf out = {0};
        CHECK_INT(cl_meta_merge(cl_str_z(rows[i].inherited), cl_str_z(rows[i].own), &out), 0);
        CHECK_STR(out.data ? out.data : "", out.len, rows[i].want);
        cl_buf_free(&out);
    }
}

int main(void)
{
    RUN(what_is_handed_on);
    return tap_end();
}
