/* What etcd is asked and says, and the record of a node: byte for byte. */
#include "base/base64.h"
#include "base/mem.h"
#include "clouds.h"
#include "directory/etcd/answers.h"
#include "directory/etcd/questions.h"
#include "directory/etcd/record.h"
#include "support/tap.h"

#define CHECK_BUF(b, want) CHECK_STR(cl_buf_str(b).p, (b)->len, want)

static void base64(void)
{
    static const char *const rows[][2] = {{"", ""},         {"f", "Zg=="},         {"fo", "Zm8="},        {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"\xff\xfe~", "//5+"}};
    static const char *const bad[] = {"Z", "Zg", "Zg=", "Z===", "====", "Zm9v=", "Zh==", "Zm9=", "Zg==Zg==", "Zm 9", "Zm-_"};
    cl_buf b = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cl_buf_clear(&b);
        CHECK_INT(cl_base64_put(&b, cl_str_z(rows[i][0])), 0);
        CHECK_BUF(&b, rows[i][1]);
        cl_buf_clear(&b);
        CHECK_INT(cl_base64_read(&b, cl_str_z(rows[i][1])), 0);
        CHECK_BUF(&b, rows[i][0]);
    }
    cl_buf_clear(&b);
    CHECK_INT(cl_buf_put_char(&b, '!'), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK_INT(cl_base64_read(&b, cl_str_z(bad[i])), CLOUDS_EPROTO);
    CHECK_BUF(&b, "!");
    cl_buf_free(&b);
}

static void questions(void)
{
    cl_buf b = {0};
    cl_etcd_ask_login(&b, "me", "a\"b");
    CHECK_BUF(&b, "{\"name\":\"me\",\"password\":\"a\\\"b\"}");
    cl_buf_clear(&b);
    cl_etcd_ask_range(&b, CL_STR("a"), CL_STR("b"), 3, 9, 1);
    CHECK_BUF(&b, "{\"key\":\"YQ==\",\"range_end\":\"Yg==\",\"limit\":\"3\",\"revision\":\"9\",\"keys_only\":true}");
    cl_buf_clear(&b);
    cl_etcd_ask_put(&b, (cl_etcd_condition){CL_ETCD_LEASED, 7}, CL_STR("a"), CL_STR("{}"), 7);
    CHECK_BUF(&b, "{\"compare\":[{\"key\":\"YQ==\",\"target\":\"LEASE\",\"lease\":\"7\"}],\"success\":[{\"request_put\":{"
                  "\"key\":\"YQ==\",\"value\":\"e30=\",\"lease\":\"7\"}}],\"failure\":[{\"request_range\":{\"key\":\"YQ==\"}}]}");
    cl_buf_clear(&b);
    cl_etcd_ask_watch(&b, CL_STR("a"), CL_STR("b"), 8);
    CHECK_BUF(&b, "{\"create_request\":{\"key\":\"YQ==\",\"range_end\":\"Yg==\",\"start_revision\":\"8\",\"progress_notify\":true}}");
    cl_buf_free(&b);
}

static void numbers(void)
{
    cl_str text = CL_STR("{\"a\":\"-5\",\"b\":7,\"c\":\"18446744073709551615\",\"d\":\"18446744073709551616\",\"e\":\"\",\"f\":1.5}");
    int64_t n;
    CHECK(cl_etcd_number(text, "a", &n) == 0 && n == -5);
    CHECK(cl_etcd_number(text, "b", &n) == 0 && n == 7);
    CHECK(cl_etcd_number(text, "c", &n) == 0 && n == -1);
    CHECK(cl_etcd_number(text, "none", &n) == 0 && n == 0);
    CHECK_INT(cl_etcd_number(text, "d", &n), CLOUDS_EPROTO);
    CHECK_INT(cl_etcd_number(text, "e", &n), CLOUDS_EPROTO);
    CHECK_INT(cl_etcd_number(text, "f", &n), CLOUDS_EPROTO);
}

static void refusals(void)
{
    cl_etcd_refusal r;
    CHECK(cl_etcd_refusal_of(CL_STR("{\"error\":\"x\",\"message\":\"denied\",\"code\":7}"), &r) && r.code == CL_ETCD_DENIED);
    CHECK_STR(r.message.p, r.message.n, "denied");
    CHECK(cl_etcd_refusal_of(CL_STR("{\"error\":{\"grpc_code\":16,\"message\":\"token\"}}"), &r));
    CHECK_INT(r.code, CL_ETCD_UNAUTHENTICATED);
    CHECK(cl_etcd_refusal_of(CL_STR("{\"error\":\"strange\"}"), &r) && r.code == 2);
    CHECK(!cl_etcd_refusal_of(CL_STR("{\"header\":{\"revision\":\"3\"}}"), &r));
}

static void news(void)
{
    cl_etcd_news n;
    cl_etcd_list list;
    cl_etcd_kv kv;
    cl_str line = CL_STR("{\"result\":{\"header\":{\"cluster_id\":\"9\",\"revision\":\"8\"},\"events\":[{\"kv\":{\"key\":\"YQ==\",\"mod_revision\":"
                         "\"8\",\"value\":\"Yg==\",\"lease\":\"5\"}},{\"type\":\"DELETE\",\"kv\":{\"key\":\"YQ==\"}}]}}");
    REQUIRE(cl_etcd_check(line) == 0 && cl_etcd_news_of(line, &n) == 0);
    CHECK(n.header.revision == 8 && n.header.cluster == 9 && !n.is_created && !n.is_canceled);
    cl_etcd_list_begin(&list, n.events);
    REQUIRE(cl_etcd_next_event(&list, &kv) == 1);
    CHECK(!kv.deleted && kv.modified == 8 && kv.lease == 5);
    CHECK_STR(kv.key.p, kv.key.n, "a");
    CHECK_STR(kv.value.p, kv.value.n, "b");
    CHECK_INT(cl_etcd_next_event(&list, &kv), 1);
    CHECK(kv.deleted);
    CHECK_INT(cl_etcd_next_event(&list, &kv), 0);
    cl_etcd_list_end(&list);
    CHECK_INT(cl_etcd_news_of(CL_STR("{\"header\":{}}"), &n), CLOUDS_EPROTO);
    CHECK(cl_etcd_news_of(CL_STR("{\"result\":{\"canceled\":true,\"compact_revision\":\"4\"}}"), &n) == 0 && n.is_canceled);
    CHECK_INT(n.compacted, 4);
}

static cl_etcd_method *method_of(const char *name, int paused)
{
    cl_etcd_method *m = cl_malloc(sizeof *m + strlen(name));
    if (!m) abort();
    m->paused = paused;
    m->n = strlen(name);
    memcpy(m->text, name, m->n);
    return m;
}

static void record(void)
{
    static const char one[] = "me\"thod";
    cl_etcd_method *method = method_of(one, 0), *paused = method_of("p", 1);
    const cl_etcd_record_writer writer = {.context = "0123456789abcdef", .host = CL_STR("\"h\""), .pid = 7, .started = 8};
    const cl_address at[] = {{"link:0123456789abcdef"}, {"tcp:h:1"}};
    const cl_traits plain = {0}, traits = {3, CL_STR("zone=a,host=b")};
    cl_strmap names = {0}, subscriptions = {0};
    cl_etcd_contents contents = {at, 2, 0, &plain, &names, &subscriptions};
    cl_etcd_record r;
    cl_buf b = {0};
    CHECK_INT(cl_strmap_put(&names, cl_str_z(one), method), 0);
    CHECK_INT(cl_etcd_record_write(&b, &writer, &contents), 0);
    CHECK_BUF(&b, "{\"v\":2,\"c\":\"0123456789abcdef\",\"host\":\"h\",\"pid\":7,\"started\":8,\"at\":[\"link:0123456789abcdef\","
                  "\"tcp:h:1\"],\"state\":\"ready\",\"m\":[\"me\\\"thod\"]}");
    REQUIRE(cl_etcd_record_read(cl_buf_str(&b), &r) == 0);
    CHECK(r.addresses_n == 2 && r.methods_n == 1 && !r.draining && strcmp(r.context, writer.context) == 0);
    CHECK_STR(r.methods[0].p, r.methods[0].n, one);
    CHECK_STR(r.addresses[1].p, r.addresses[1].n, "tcp:h:1");
    cl_etcd_record_free(&r);
    CHECK_INT(cl_strmap_put(&names, CL_STR("p"), paused), 0);
    cl_buf_clear(&b);
    contents.addresses_n = 1;
    contents.draining = 1;
    contents.traits = &traits;
    CHECK_INT(cl_etcd_record_write(&b, &writer, &contents), 0);
    CHECK_BUF(&b, "{\"v\":2,\"c\":\"0123456789abcdef\",\"host\":\"h\",\"pid\":7,\"started\":8,\"at\":[\"link:0123456789abcdef\"],"
                  "\"state\":\"draining\",\"weight\":3,\"tags\":\"zone=a,host=b\",\"m\":[\"me\\\"thod\"],\"p\":[\"p\"]}");
    REQUIRE(cl_etcd_record_read(cl_buf_str(&b), &r) == 0);
    CHECK(r.methods_n == 1 && r.paused_n == 1 && r.draining && r.traits.weight == 3);
    CHECK_STR(r.traits.tags.p, r.traits.tags.n, "zone=a,host=b");
    CHECK_STR(r.paused[0].p, r.paused[0].n, "p");
    cl_etcd_record_free(&r);
    cl_free(method);
    cl_free(paused);
    REQUIRE(cl_etcd_record_read(CL_STR("{\"v\":2,\"m\":[\"b\",\"a\",\"b\"],\"new\":{}}"), &r) == 0);
    CHECK_INT(r.methods_n, 2);
    CHECK_STR(r.methods[0].p, r.methods[0].n, "a");
    cl_etcd_record_free(&r);
    CHECK_INT(cl_etcd_record_read(CL_STR("{\"v\":3}"), &r), CLOUDS_EPROTO);
    CHECK_INT(cl_etcd_record_read(CL_STR("{\"v\":2,\"m\":[1]}"), &r), CLOUDS_EPROTO);
    CHECK_INT(cl_etcd_record_read(CL_STR("[]"), &r), CLOUDS_EPROTO);
    cl_strmap_free(&names);
    cl_buf_free(&b);
}

/* `want` of what was read: "topic|group" each, with a space behind. */
static void reads_subscriptions(const char *json, const char *want)
{
    char got[256] = "";
    cl_etcd_record r;
    if (!CHECK(cl_etcd_record_read(cl_str_z(json), &r) == 0)) return;
    for (size_t i = 0; i < r.subscriptions_n; i++) {
        cl_etcd_subscription s = cl_etcd_subscription_of(r.subscriptions[i]);
        size_t n = strlen(got);
        snprintf(got + n, sizeof got - n, "%.*s|%.*s ", (int)s.topic.n, s.topic.p, (int)s.group.n, s.group.p);
    }
    CHECK_STR(got, strlen(got), want);
    cl_etcd_record_free(&r);
}

static void what_is_subscribed_to(void)
{
    cl_etcd_subscription one = {CL_STR("a.\"b\""), CL_STR("")}, two = {CL_STR("job"), CL_STR("g")};
    const cl_etcd_record_writer writer = {.context = "c", .host = CL_STR("\"h\"")};
    cl_strmap names = {0}, subscriptions = {0};
    const cl_traits plain = {0};
    const cl_etcd_contents contents = {NULL, 0, 0, &plain, &names, &subscriptions};
    cl_buf b = {0};
    CHECK_INT(cl_strmap_put(&subscriptions, CL_STR("1"), &one), 0);
    CHECK_INT(cl_strmap_put(&subscriptions, CL_STR("2"), &two), 0);
    CHECK_INT(cl_etcd_record_write(&b, &writer, &contents), 0);
    CHECK_BUF(&b, "{\"v\":2,\"c\":\"c\",\"host\":\"h\",\"pid\":0,\"started\":0,\"at\":[],\"state\":\"ready\",\"m\":[],"
                  "\"s\":[\"a.\\\"b\\\"\"],\"g\":[[\"job\",\"g\"]]}");
    CHECK_INT(cl_buf_put_char(&b, '\0'), 0);
    reads_subscriptions(b.data, "a.\"b\"| job|g ");
    cl_buf_free(&b);
    cl_strmap_free(&subscriptions);
    reads_subscriptions("{\"v\":2,\"s\":[\"b.*\",\"a\",\"b.*\",\"a..b\",\"\",\"a\\nb\"],\"g\":[[\"a\",\"g\"],[\"a\",\"\"],[\"a\\nb\",\"c\"]]}",
                        "a| a|g b.*| ");
    reads_subscriptions("{\"v\":2}", "");
    static const char *const broken[] = {"{\"v\":2,\"s\":[1]}", "{\"v\":2,\"g\":[\"a\"]}", "{\"v\":2,\"g\":[[\"a\"]]}",
                                         "{\"v\":2,\"g\":[[]]}", "{\"v\":2,\"g\":[[\"a\",\"b\",\"c\"]]}", "{\"v\":2,\"g\":[[\"a\",1]]}"};
    cl_etcd_record r;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        CHECK_INT(cl_etcd_record_read(cl_str_z(broken[i]), &r), CLOUDS_EPROTO);
}

int main(void)
{
    RUN(base64);
    RUN(questions);
    RUN(numbers);
    RUN(refusals);
    RUN(news);
    RUN(record);
    RUN(what_is_subscribed_to);
    return tap_end();
}
