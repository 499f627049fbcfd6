/* What an etcd, or whoever took its place, may say: an answer of its gateway, a message of a watch, the record of a node,
 * base64. */
#include "fuzz.h"

#include "base/base64.h"
#include "base/mem.h"
#include "clouds.h"
#include "directory/etcd/answers.h"
#include "directory/etcd/record.h"

static int is_inside(cl_str part, const char *begin, size_t n)
{
    return part.n == 0 || (part.p >= begin && part.p + part.n <= begin + n);
}

static void list_ends(cl_str array, int (*next)(cl_etcd_list *list, cl_etcd_kv *out), cl_str text)
{
    cl_etcd_list list;
    cl_etcd_kv kv;
    int more;
    size_t n = 0;
    cl_etcd_list_begin(&list, array);
    while ((more = next(&list, &kv)) == 1) {
        HOLDS(is_inside(kv.key, list.memory.data, list.memory.len));
        HOLDS(is_inside(kv.value, list.memory.data, list.memory.len));
        HOLDS(++n <= text.n);
    }
    HOLDS(more == 0 || more == CLOUDS_EPROTO);
    cl_etcd_list_end(&list);
}

static void answer_is_sound(cl_str text)
{
    cl_etcd_header header;
    cl_etcd_refusal refusal;
    cl_etcd_news news;
    int64_t number;
    if (cl_etcd_check(text) != 0) return;
    int code = cl_etcd_header_of(text, &header);
    HOLDS(code == 0 || code == CLOUDS_EPROTO);
    if (cl_etcd_refusal_of(text, &refusal)) HOLDS(refusal.code > 0 && is_inside(refusal.message, text.p, text.n));
    code = cl_etcd_number(text, "TTL", &number);
    HOLDS(code == 0 || code == CLOUDS_EPROTO);
    HOLDS(is_inside(cl_etcd_text(text, "token"), text.p, text.n));
    list_ends(cl_etcd_member(text, "kvs"), cl_etcd_next_kv, text);
    list_ends(cl_etcd_read_instead(text), cl_etcd_next_kv, text);
    if (cl_etcd_news_of(text, &news) != 0) return;
    HOLDS(is_inside(news.reason, text.p, text.n) && is_inside(news.events, text.p, text.n));
    list_ends(news.events, cl_etcd_next_event, text);
}

static int is_less(cl_str a, cl_str b)
{
    int order = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
    return order < 0 || (order == 0 && a.n < b.n);
}

static void record_is_sound(cl_str text)
{
    cl_etcd_record record;
    int code = cl_etcd_record_read(text, &record);
    HOLDS(code == 0 || code == CLOUDS_EPROTO);
    if (code != 0) return;
    HOLDS(strlen(record.context) <= 16 && record.addresses_n <= CL_RECORD_ADDRESSES);
    for (size_t i = 0; i < record.methods_n; i++) {
        HOLDS(is_inside(record.methods[i], record.memory.data, record.memory.len));
        HOLDS(i == 0 || is_less(record.methods[i - 1], record.methods[i]));
    }
    for (size_t i = 0; i < record.paused_n; i++) {
        HOLDS(is_inside(record.paused[i], record.memory.data, record.memory.len));
        HOLDS(i == 0 || is_less(record.paused[i - 1], record.paused[i]));
    }
    for (size_t i = 0; i < record.subscriptions_n; i++) {
        cl_etcd_subscription s = cl_etcd_subscription_of(record.subscriptions[i]);
        HOLDS(is_inside(record.subscriptions[i], record.memory.data, record.memory.len));
        HOLDS(i == 0 || is_less(record.subscriptions[i - 1], record.subscriptions[i]));
        HOLDS(cl_topic_check_pattern(s.topic) == 0 && (!s.group.n || cl_topic_check_group(s.group) == 0));
    }
    for (size_t i = 0; i < record.addresses_n; i++)
        HOLDS(is_inside(record.addresses[i], record.memory.data, record.memory.len));
    cl_etcd_record_free(&record);
}

/* What is read is written as it stood, and what is written is read as it was. */
static void base64_goes_both_ways(cl_str text)
{
    cl_buf bytes = {0}, again = {0};
    if (cl_base64_read(&bytes, text) == 0) {
        HOLDS(cl_base64_put(&again, cl_buf_str(&bytes)) == 0);
        HOLDS(cl_str_eq(cl_buf_str(&again), text));
    }
    cl_buf_clear(&bytes);
    cl_buf_clear(&again);
    HOLDS(cl_base64_put(&again, text) == 0 && again.len == (text.n + 2) / 3 * 4);
    HOLDS(cl_base64_read(&bytes, cl_buf_str(&again)) == 0 && cl_str_eq(cl_buf_str(&bytes), text));
    cl_buf_free(&bytes);
    cl_buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A copy that ends where its bytes end, so that a sanitizer sees what is read behind them. */
    char *copy = cl_malloc(size + !size);
    if (!copy) abort();
    if (size) memcpy(copy, data, size);
    cl_str text = {copy, size};
    answer_is_sound(text);
    record_is_sound(text);
    base64_goes_both_ways(text);
    cl_free(copy);
    return 0;
}
