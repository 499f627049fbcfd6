#include "fake.h"

/* What a status says beyond who serves what. */

static fake_event *status(fake *f, const char *const *methods, const cl_server *servers, size_t n)
{
    const cl_op_spec spec = {.id = ++f->ids};
    cl_str names[8];
    for (size_t i = 0; i < n; i++) names[i] = cl_str_z(methods[i]);
    f->n_events = 0;
    CHECK_INT(cl_node_status(f->node, &spec), 0);
    cl_core_status(f->core, spec.id, names, servers, n, 0, 0);
    cl_core_status(f->core, spec.id, NULL, NULL, 0, 1, 0);
    fake_event *e = fake_last_event(f);
    CHECK(e->e.type == CLOUDS_EVENT_STATUS && e->e.id == spec.id && e->e.code == 0);
    return e;
}

#define IS(event, text) CHECK_STR((event)->data, strlen((event)->data), text)

static void who_says_nothing_adds_nothing(void)
{
    fake f = {0};
    fake_start(&f);
    IS(status(&f, NULL, NULL, 0), "{\"servers\":{},\"methods\":{}}");
    const cl_server one = {.id = CL_STR("s.1")};
    IS(status(&f, (const char *[]){"m"}, &one, 1), "{\"servers\":{\"s.1\":[\"m\"]},\"methods\":{\"m\":[\"s.1\"]}}");
    fake_end(&f);
}

static void what_servers_say_of_themselves(void)
{
    fake f = {0};
    fake_start(&f);
    const cl_traits heavy = {3, CL_STR("zone=a,host=b")}, none = {0};
    const cl_server servers[] = {{CL_STR("s.2"), 1, 1, none},  {CL_STR("s.1"), 1, 0, heavy}, {CL_STR("s.1"), 1, 1, heavy},
                                 {CL_STR("s.1"), 1, 1, heavy}, {CL_STR("s.3"), 1, 0, none},  {CL_STR("s.1"), 1, 1, heavy}};
    const char *const methods[] = {"m", "m", "b", "a", "m", "a"};
    IS(status(&f, methods, servers, 6),
       "{\"servers\":{\"s.1\":[\"a\",\"b\",\"m\"],\"s.2\":[\"m\"],\"s.3\":[\"m\"]},"
       "\"methods\":{\"a\":[\"s.1\"],\"b\":[\"s.1\"],\"m\":[\"s.1\",\"s.2\",\"s.3\"]},"
       "\"states\":{\"s.1\":{\"paused\":[\"a\",\"b\"],\"weight\":3,\"tags\":{\"zone\":\"a\",\"host\":\"b\"}},"
       "\"s.2\":{\"paused\":[\"m\"],\"weight\":1,\"tags\":{}}}}");
    fake_end(&f);
}

static void what_calls_have_found(void)
{
    fake f = {0};
    f.config = fake_node_config("client");
    f.config.timeout = 2;
    fake_start(&f);
    fake_call(&f, "m");
    fake_servers(&f, "m", "s.1,s.2,s.3");
    fake_advance(&f, 2100); /* s.1 does not answer */
    fake_call(&f, "m");
    fake_refuse_busy(&f, f.n_sent - 1, "9");
    fake_answer(&f, f.n_sent - 1, "", "[]");
    IS(status(&f, NULL, NULL, 0), "{\"servers\":{},\"methods\":{},\"seen\":{\"m\":{\"s.1\":\"avoided\",\"s.2\":\"busy\"}}}");
    fake_advance(&f, 1000);
    IS(status(&f, NULL, NULL, 0), "{\"servers\":{},\"methods\":{},\"seen\":{\"m\":{\"s.2\":\"busy\"}}}");
    fake_end(&f);
}

static void breakers_are_seen(void)
{
    fake f = {0};
    f.config = fake_node_config("client");
    f.config.timeout = 2;
    fake_start(&f);
    fake_call(&f, "m");
    fake_servers(&f, "m", "s.1");
    for (int i = 0; i < 5; i++) {
        if (i) fake_call(&f, "m");
        fake_advance(&f, 2000);
    }
    cl_core_server_up(f.core, CL_STR("m"), (cl_server){.id = CL_STR("s.2"), .native = 1});
    fake_advance(&f, 20000);
    CHECK(strstr(status(&f, NULL, NULL, 0)->data, "\"seen\":{\"m\":{\"s.1\":\"open\"}}"));
    fake_end(&f);
}

static void offer(fake *f, const char *method, cl_offer_spec limits, int has_limits)
{
    const cl_op_spec spec = {.id = ++f->ids};
    CHECK_INT(cl_node_offer(f->node, cl_str_z(method), has_limits ? &limits : NULL, &spec), 0);
    cl_core_registered(f->core, spec.id, 0, "");
}

static void own_limits_and_pauses(void)
{
    fake f = {0};
    f.config = fake_node_config("server");
    fake_start(&f);
    offer(&f, "plain", (cl_offer_spec){0}, 0);
    IS(status(&f, NULL, NULL, 0), "{\"servers\":{},\"methods\":{}}");
    offer(&f, "slow", (cl_offer_spec){.concurrency = 1, .queue = 5, .rate = 2, .burst = 10}, 1);
    fake_inbound(&f, f.node, "c.9", "1", "slow", CL_NATIVE, 0);
    fake_inbound(&f, f.node, "c.9", "2", "slow", CL_NATIVE, 0);
    fake_inbound(&f, f.node, "c.9", "3", "slow", CL_NATIVE, 0);
    fake_advance(&f, 250); /* half a token */
    IS(status(&f, NULL, NULL, 0),
       "{\"servers\":{},\"methods\":{},\"own\":{\"c.1\":{\"state\":\"ready\",\"methods\":{\"slow\":{\"paused\":false,"
       "\"running\":1,\"waiting\":2,\"concurrency\":1,\"queue\":5,\"rate\":2,\"burst\":10,\"tokens\":7.5}}}}}");
    const cl_op_spec spec = {.id = ++f.ids};
    CHECK_INT(cl_node_pause(f.node, CL_STR("plain"), 1, &spec), 0);
    CHECK(strstr(status(&f, NULL, NULL, 0)->data, "\"plain\":{\"paused\":true}"));
    const cl_op_spec all = {.id = ++f.ids};
    CHECK_INT(cl_node_pause(f.node, CL_STR_NONE, 1, &all), 0);
    const fake_event *e = status(&f, NULL, NULL, 0);
    CHECK(strstr(e->data, "\"own\":{\"c.1\":{\"state\":\"paused\",") && strstr(e->data, "\"slow\":{\"paused\":true,"));
    fake_end(&f);
}

static void a_node_that_drains(void)
{
    fake f = {0};
    f.config = fake_node_config("server");
    fake_start(&f);
    cl_node *other = fake_node(&f, "m.1", &f.config);
    offer(&f, "plain", (cl_offer_spec){0}, 0);
    fake_inbound(&f, f.node, "c.9", "1", "plain", CL_NATIVE, 0);
    CHECK_INT(cl_node_close(f.node, 5), 0);
    cl_node *drains = f.node;
    f.node = other;
    cl_node_ready(other, 0, "");
    IS(status(&f, NULL, NULL, 0),
       "{\"servers\":{},\"methods\":{},\"own\":{\"c.1\":{\"state\":\"draining\",\"methods\":{}}}}");
    f.node = drains;
    fake_end(&f);
}

int main(void)
{
    RUN(who_says_nothing_adds_nothing);
    RUN(what_servers_say_of_themselves);
    RUN(what_calls_have_found);
    RUN(breakers_are_seen);
    RUN(own_limits_and_pauses);
    RUN(a_node_that_drains);
    return tap_end();
}
