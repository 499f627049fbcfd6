/* Subscriptions, sequences and what is missing, all-of; and the same without memory. */
#include "fake.h"

#include "base/mem.h"
#include "core/channel.h"

static fake f;
static uint64_t ids = 1000;

static void start(void)
{
    f = (fake){0};
    fake_start(&f);
    f.n_events = 0;
}

static int subscribe_code(const char *topics, const char *group, int all, uint32_t queue, uint64_t *id)
{
    *id = ++ids;
    return cl_node_subscribe(f.node, &(cl_subscribe_spec){.op = {.id = *id, .user_data = 5},
                                                          .user_data = 6,
                                                          .topics = cl_str_z(topics),
                                                          .group = cl_str_z(group),
                                                          .all = all,
                                                          .queue = queue,
                                                          .queue_bytes = 100});
}

static uint64_t subscribe(const char *topics, const char *group, int all)
{
    uint64_t id;
    CHECK_INT(subscribe_code(topics, group, all, 3, &id), 0);
    return id;
}

static void confirm(const char *topic, const char *group, int code)
{
    cl_core_subscribed(f.core, f.node, cl_str_z(topic), cl_str_z(group), code, code ? "refused" : "");
}

static uint64_t subscribed(const char *topic)
{
    uint64_t id = subscribe(topic, "", 0);
    confirm(topic, "", 0);
    return id;
}

static void arrive_in(const char *group, const char *from, const char *topic, uint64_t epoch, uint64_t sequence,
                      const char *data)
{
    cl_extension x = CL_EXTENSION_NONE;
    cl_envelope e = cl_envelope_of(CL_PUBLISH, cl_str_z(from), CL_STR("c.1"), CL_STR_NONE);
    e.method = cl_str_z(topic);
    e.data = cl_str_z(data);
    e.extension = &x;
    x.group = cl_str_z(group);
    x.epoch = epoch;
    x.sequence = sequence;
    cl_core_envelope(f.core, f.node, &e);
}

static void arrive(const char *from, const char *topic, uint64_t epoch, uint64_t sequence)
{
    arrive_in("", from, topic, epoch, sequence, "1");
}

static int published(void)
{
    return fake_count(&f, CLOUDS_EVENT_PUBLISHED);
}

/* That of the last message, which was number n. */
static int64_t missed(int n)
{
    CHECK_INT(published(), n);
    return fake_find(&f, CLOUDS_EVENT_PUBLISHED)->e.number;
}

static uint64_t counter(enum cl_counter which)
{
    return cl_core_counters(f.core)[which];
}

/* ---- subscribing */

static void it_is_complete_when_all_is_confirmed(void)
{
    start();
    uint64_t id = subscribe("a\nb.*", "", 0);
    CHECK_INT(f.n_subscribes, 2);
    confirm("a", "", 0);
    arrive("p", "a", 1, 1);
    CHECK_INT(f.n_events, 0);
    confirm("b.*", "", 0);
    CHECK_INT(f.n_events, 1);
    fake_event *e = fake_last_event(&f);
    CHECK(e->e.type == CLOUDS_EVENT_SUBSCRIBED && e->e.id == id && e->e.code == 0 && e->e.user_data == 5);
    CHECK_STR(e->method, strlen(e->method), "a\nb.*");
    confirm("b.*", "", 0);
    CHECK_INT(f.n_events, 1);
    arrive("p", "b.x", 1, 1);
    e = fake_last_event(&f);
    CHECK(e->e.type == CLOUDS_EVENT_PUBLISHED && e->e.id == id && e->e.user_data == 6 && e->e.sequence == 1);
    CHECK_INT(cl_core_unsubscribe(f.core, id), 0);
    CHECK_INT(cl_core_unsubscribe(f.core, id), CLOUDS_ESTALE);
    e = fake_last_event(&f);
    CHECK(e->e.type == CLOUDS_EVENT_UNSUBSCRIBED && e->e.id == id && e->e.user_data == 6);
    CHECK_INT(f.n_unsubscribes, 2);
    fake_end(&f);
}

static void what_is_shared_is_asked_for_once(void)
{
    start();
    uint64_t first = subscribed("a"), second = subscribe("a", "", 0), grouped = subscribe("a", "g", 0);
    CHECK_INT(f.n_subscribes, 2);
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_SUBSCRIBED), 2);
    cl_core_unsubscribe(f.core, first);
    CHECK_INT(f.n_unsubscribes, 0);
    cl_core_unsubscribe(f.core, second);
    CHECK_INT(f.n_unsubscribes, 1);
    cl_core_unsubscribe(f.core, grouped); /* never confirmed */
    CHECK_INT(fake_last_event(&f)->e.type, CLOUDS_EVENT_SUBSCRIBED);
    CHECK_INT(fake_last_event(&f)->e.code, CLOUDS_ECANCELED);
    CHECK_INT(f.n_unsubscribes, 2);
    fake_end(&f);
}

static void a_refusal_ends_it(void)
{
    start();
    uint64_t id = subscribe("a\nb", "", 0), other = subscribed("b");
    confirm("a", "", CLOUDS_EAUTH);
    fake_event *e = fake_find(&f, CLOUDS_EVENT_SUBSCRIBED);
    CHECK(e->e.id == id && e->e.code == CLOUDS_EAUTH);
    CHECK(strstr(e->error, "cannot subscribe to a,b") && strstr(e->error, "refused"));
    CHECK_INT(cl_core_unsubscribe(f.core, id), CLOUDS_ESTALE);
    CHECK_INT(f.n_unsubscribes, 1);
    confirm("b", "", CLOUDS_EAUTH); /* later, of one that was complete */
    e = fake_last_event(&f);
    CHECK(e->e.type == CLOUDS_EVENT_UNSUBSCRIBED && e->e.id == other && e->e.code == CLOUDS_EAUTH);
    f.subscribe_code = CLOUDS_ENOTSUP;
    subscribe("c", "", 0);
    CHECK_INT(fake_last_event(&f)->e.code, CLOUDS_ENOTSUP);
    fake_end(&f);
}

static void its_time_passes_and_it_goes_on(void)
{
    start();
    uint64_t id = subscribe("a", "", 0);
    fake_advance(&f, 2001);
    fake_event *e = fake_last_event(&f);
    CHECK(e->e.type == CLOUDS_EVENT_SUBSCRIBED && e->e.code == CLOUDS_ETIMEOUT && e->e.number == 1);
    arrive("p", "a", 1, 1);
    CHECK_INT(published(), 1);
    confirm("a", "", 0);
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_SUBSCRIBED), 1);
    cl_core_unsubscribe(f.core, id);
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_UNSUBSCRIBED), 1);
    fake_end(&f);
}

static void all_end_with_their_node(void)
{
    start();
    uint64_t waits, id = subscribed("a");
    subscribe_code("b", "", 0, 3, &waits);
    cl_node_close(f.node, 0);
    CHECK_INT(fake_count(&f, CLOUDS_EVENT_UNSUBSCRIBED), 1);
    CHECK(fake_find(&f, CLOUDS_EVENT_UNSUBSCRIBED)->e.id == id);
    CHECK(fake_find(&f, CLOUDS_EVENT_SUBSCRIBED)->e.id == waits);
    CHECK_INT(fake_find(&f, CLOUDS_EVENT_SUBSCRIBED)->e.code, CLOUDS_ECLOSED);
    CHECK_INT(f.n_unsubscribes, 2);
    CHECK_INT(subscribe_code("c", "", 0, 3, &waits), CLOUDS_ECLOSED);
    fake_end(&f);
}

/* ---- sequences */

static void a_jump_is_what_is_missing(void)
{
    start();
    subscribed("a");
    arrive("p", "a", 7, 5); /* nothing is known of it */
    CHECK_INT(missed(1), 0);
    arrive("p", "a", 7, 6);
    CHECK_INT(missed(2), 0);
    arrive("p", "a", 7, 10);
    CHECK_INT(missed(3), 3);
    arrive("q", "a", 9, 1);
    CHECK_INT(missed(4), 0);
    arrive("p", "a", 7, 11);
    CHECK_INT(missed(5), 0);
    arrive("p", "a", 8, 1000); /* it began anew */
    CHECK_INT(missed(6), 0);
    arrive("p", "a", 8, 1002);
    CHECK_INT(missed(7), 1);
    CHECK(counter(CL_COUNT_GAPS) == 4 && counter(CL_COUNT_DELIVERED) == 7);
    fake_end(&f);
}

static void what_comes_twice_is_dropped(void)
{
    start();
    subscribed("a.*");
    arrive("p", "a.b", 1, 1);
    arrive("p", "a.b", 1, 1);
    arrive("p", "a.b", 1, 2);
    arrive("p", "a.b", 1, 1);
    CHECK_INT(missed(2), 0);
    arrive("p", "a.c", 1, 1);
    CHECK_INT(missed(3), 0);
    fake_end(&f);
}

/* Who subscribes anew has missed nothing meanwhile; who stays has. */
static void an_end_forgets(void)
{
    start();
    uint64_t id = subscribed("a");
    arrive("p", "a", 1, 1);
    cl_core_unsubscribe(f.core, id);
    arrive("p", "a", 1, 2);
    CHECK_INT(published(), 1);
    id = subscribed("a");
    arrive("p", "a", 1, 9);
    CHECK_INT(missed(2), 0);
    subscribed(">");
    cl_core_unsubscribe(f.core, id);
    arrive("p", "a", 1, 11);
    CHECK_INT(missed(3), 1);
    fake_end(&f);
}

static void the_least_recent_pair_is_forgotten(void)
{
    start();
    char from[32];
    subscribed("a");
    arrive("first", "a", 1, 1);
    for (int i = 0; i < CL_SEQUENCES - 1; i++) {
        snprintf(from, sizeof from, "p%d", i);
        arrive(from, "a", 1, 1);
    }
    arrive("first", "a", 1, 3);
    CHECK(counter(CL_COUNT_GAPS) == 1);
    arrive("one more", "a", 1, 1); /* p0 goes */
    arrive("p0", "a", 1, 3);
    CHECK(counter(CL_COUNT_GAPS) == 1);
    arrive("first", "a", 1, 5);
    CHECK(counter(CL_COUNT_GAPS) == 2);
    fake_end(&f);
}

/* ---- groups and all-of */

static void a_group_takes_turns(void)
{
    start();
    uint64_t first = subscribe("a", "g", 0), second = subscribe("a", "g", 0);
    confirm("a", "g", 0);
    CHECK_STR(f.group, strlen(f.group), "g");
    arrive_in("g", "p", "a", 1, 4, "1");
    CHECK(fake_last_event(&f)->e.id == first);
    arrive_in("g", "p", "a", 1, 9, "1");
    CHECK(fake_last_event(&f)->e.id == second && fake_last_event(&f)->e.number == 0);
    arrive_in("g", "p", "b", 1, 1, "1");
    arrive_in("h", "p", "a", 1, 1, "1");
    arrive("p", "a", 1, 1);
    CHECK_INT(published(), 2);
    fake_end(&f);
}

static void all_of_waits_for_each(void)
{
    start();
    uint64_t id = subscribe("a\nb", "", 1);
    confirm("a", "", 0);
    confirm("b", "", 0);
    for (uint64_t i = 1; i <= 5; i++) arrive_in("", "p", "a", 1, i, i == 5 ? "\"five\"" : "0");
    CHECK_INT(published(), 0);
    arrive_in("", "q", "b", 1, 1, "true");
    fake_event *e = fake_last_event(&f);
    CHECK(e->e.id == id);
    CHECK_STR(e->data, e->e.data_len, "[0,true]");
    CHECK_STR(e->method, e->e.method_len, "b");
    CHECK_STR(e->peer, e->e.peer_len, "q");
    CHECK_INT(e->e.number, 2); /* of five, three waited */
    CHECK_INT(e->e.flags, CLOUDS_FLAG_LAGGED);
    CHECK(counter(CL_COUNT_LAGGED) == 2);
    arrive_in("", "q", "b", 1, 2, "{}");
    arrive_in("", "q", "b", 1, 4, "[]");
    e = fake_last_event(&f);
    CHECK_STR(e->data, e->e.data_len, "[\"five\",[]]");
    CHECK_INT(e->e.number, 1);
    CHECK_INT(e->e.flags, 0);
    fake_end(&f);
}

static void all_of_keeps_so_many_bytes(void)
{
    start();
    char large[90];
    memset(large, '1', sizeof large);
    large[sizeof large - 1] = '\0';
    subscribe("a\nb", "", 1);
    confirm("a", "", 0);
    confirm("b", "", 0);
    arrive_in("", "p", "a", 1, 1, large);
    arrive_in("", "p", "a", 1, 2, large);
    arrive_in("", "p", "a", 1, 3, "7");
    arrive_in("", "p", "b", 1, 1, "8");
    CHECK_INT(fake_last_event(&f)->e.number, 1);
    CHECK(fake_last_event(&f)->e.data_len == 93);
    fake_end(&f);
}

/* ---- publishing */

static int publish(const char *topic, int confirm_it)
{
    return cl_node_publish(f.node, cl_str_z(topic), &(cl_payload){CL_STR("1"), CL_STR_NONE, CL_STR_NONE}, CL_STR_NONE,
                           &(cl_op_spec){.id = ++ids}, confirm_it);
}

static void what_is_published_is_numbered(void)
{
    start();
    CHECK_INT(publish("a", 0), 0);
    uint64_t epoch = f.epoch;
    CHECK(epoch && f.sequence == 1);
    publish("b", 0);
    CHECK(f.sequence == 1);
    publish("a", 0);
    CHECK(f.sequence == 2 && f.epoch == epoch);
    f.publish_code = CLOUDS_ELIMIT;
    CHECK_INT(publish("a", 0), CLOUDS_ELIMIT);
    f.publish_code = 0;
    publish("a", 0);
    CHECK(f.sequence == 3); /* what nobody got is not missing */
    CHECK(counter(CL_COUNT_PUBLISHED) == 4 && counter(CL_COUNT_PUBLISH_DROPS) == 4);
    cl_publish_lost(f.node, CL_STR("a"));
    publish("a", 0);
    CHECK(f.sequence == 5 && f.epoch == epoch); /* what was accepted and got lost is */
    CHECK_INT(counter(CL_COUNT_PUBLISH_DROPS), 6);
    fake_end(&f);
}

/* What is published before the node listens waits; what cannot be sent then is missing. */
static void what_waited_and_was_lost_is_missing(void)
{
    f = (fake){0};
    cl_core_config config = fake_core_config();
    REQUIRE(fake_open(&f, &config) == 0);
    f.config = fake_node_config("base");
    f.node = fake_node(&f, "c.1", &f.config);
    CHECK_INT(publish("a", 0), 0);
    f.publish_code = CLOUDS_ELIMIT;
    cl_node_ready(f.node, 0, NULL);
    CHECK_INT(counter(CL_COUNT_PUBLISH_DROPS), 1);
    f.publish_code = 0;
    publish("a", 0);
    CHECK(f.sequence == 2);
    fake_end(&f);
}

static void deliveries_add_up(void)
{
    start();
    f.publish_code = 3;
    CHECK_INT(publish("a", 1), 0);
    cl_core_delivery(f.core, ids, CL_DELIVERY_WRITTEN, 2);
    cl_core_delivery(f.core, ids, CL_DELIVERY_NOBODY, 0);
    CHECK_INT(f.n_events, 0);
    cl_core_delivery(f.core, ids, CL_DELIVERY_WRITTEN, 1);
    fake_event *e = fake_last_event(&f);
    CHECK(e->e.type == CLOUDS_EVENT_SENT && e->e.id == ids && e->e.code == 0 && e->e.number == 3);
    CHECK_STR(e->method, e->e.method_len, "a");
    f.publish_code = 0;
    CHECK_INT(publish("a", 1), 0);
    CHECK(fake_last_event(&f)->e.id == ids && fake_last_event(&f)->e.number == 0);
    f.publish_code = 1;
    CHECK_INT(publish("a", 1), 0);
    fake_advance(&f, 2001);
    CHECK(fake_last_event(&f)->e.id == ids && fake_last_event(&f)->e.number == -1);
    f.publish_code = CLOUDS_ELIMIT;
    CHECK_INT(publish("a", 1), 0);
    CHECK(fake_last_event(&f)->e.id == ids && fake_last_event(&f)->e.code == CLOUDS_ELIMIT);
    fake_end(&f);
}

/* ---- without memory */

static long at_count, fail_at, blocks;
static int fail_on;

static void *failing(void *user_data, void *block, size_t size)
{
    if (size == 0) {
        blocks -= block != NULL;
        free(block);
        return NULL;
    }
    at_count++;
    if (fail_at && (at_count == fail_at || (fail_on && at_count > fail_at))) return NULL;
    void *p = realloc(block, size);
    blocks += p && !block;
    return p;
}

static int ends_of(uint64_t id)
{
    int n = 0;
    for (int i = 0; i < f.n_events; i++) n += f.events[i].e.id == id && f.events[i].e.type != CLOUDS_EVENT_PUBLISHED;
    return n;
}

/* Each that is accepted has its one or two ends. */
static void one_life(long which, int from_then_on)
{
    uint64_t id[3];
    int code[3];
    f = (fake){0};
    at_count = fail_at = 0;
    fake_start(&f);
    at_count = 0, fail_at = which, fail_on = from_then_on;
    f.n_events = 0;
    code[0] = subscribe_code("a\nb.*", "", 0, 3, &id[0]);
    code[1] = subscribe_code("a\nc", "", 1, 3, &id[1]);
    code[2] = subscribe_code("a", "g", 0, 3, &id[2]);
    confirm("a", "", 0), confirm("b.*", "", 0), confirm("c", "", 0), confirm("a", "g", 0);
    for (uint64_t i = 1; i < 6; i++) {
        arrive("p", i % 2 ? "a" : "c", 1, i);
        arrive("p", "b.x", 1, i);
        arrive_in("g", "p", "a", 1, i, "1");
    }
    publish("a", 0);
    publish("b", 1);
    for (int i = 0; i < 2; i++)
        if (code[i] == 0) cl_core_unsubscribe(f.core, id[i]);
    cl_node_close(f.node, 0);
    for (int i = 0; i < 3; i++) CHECK_INT(ends_of(id[i]), code[i] ? 0 : 2);
    fake_end(&f);
    if (!CHECK(blocks == 0))
        printf("# allocation %ld%s: %ld blocks left\n", which, from_then_on ? " and on" : "", blocks);
}

static void without_memory(void)
{
    blocks = 0;
    cl_mem_hook(failing, NULL);
    one_life(0, 0);
    long n = at_count;
    CHECK(n > 30);
    for (long i = 1; i <= n; i++) one_life(i, 0), one_life(i, 1);
    cl_mem_hook(NULL, NULL);
}

int main(void)
{
    RUN(it_is_complete_when_all_is_confirmed);
    RUN(what_is_shared_is_asked_for_once);
    RUN(a_refusal_ends_it);
    RUN(its_time_passes_and_it_goes_on);
    RUN(all_end_with_their_node);
    RUN(a_jump_is_what_is_missing);
    RUN(what_comes_twice_is_dropped);
    RUN(an_end_forgets);
    RUN(the_least_recent_pair_is_forgotten);
    RUN(a_group_takes_turns);
    RUN(all_of_waits_for_each);
    RUN(all_of_keeps_so_many_bytes);
    RUN(what_is_published_is_numbered);
    RUN(what_waited_and_was_lost_is_missing);
    RUN(deliveries_add_up);
    RUN(without_memory);
    return tap_end();
}
