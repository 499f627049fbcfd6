#include "fake.h"

/* Methods and nodes that take no calls for a while: P6 of the acceptance tests, from both sides. */

static void start_server(fake *f)
{
    f->config = fake_node_config("server");
    fake_start(f);
    CHECK_INT(cl_node_register(f->node, CL_STR("up"), &(cl_op_spec){.id = 7}), 0);
    cl_core_registered(f->core, 7, 0, NULL);
    CHECK_INT(cl_node_register(f->node, CL_STR("other"), &(cl_op_spec){.id = 8}), 0);
    cl_core_registered(f->core, 8, 0, NULL);
}

static int pauses(fake *f, const char *method, int paused, uint64_t id)
{
    int code = cl_node_pause(f->node, cl_str_z(method), paused, &(cl_op_spec){.id = id, .user_data = 5});
    if (code) return code;
    const fake_event *e = fake_last_event(f);
    CHECK_INT(e->e.type, CLOUDS_EVENT_PAUSED);
    CHECK_INT(e->e.id, id);
    CHECK_INT(e->e.number, paused);
    CHECK_INT(e->e.user_data, 5);
    CHECK_STR(e->method, strlen(e->method), method);
    return e->e.code;
}

static int takes(fake *f, const char *method)
{
    return fake_inbound(f, f->node, "c.9", "abc", method, CL_NATIVE, 0) != 0;
}

static void a_method_is_paused_and_resumed(void)
{
    fake f = {0};
    start_server(&f);
    uint64_t begun = fake_inbound(&f, f.node, "c.9", "abc", "up", CL_NATIVE, 0);
    CHECK_INT(pauses(&f, "up", 1, 20), 0);
    CHECK_INT(f.n_pauses, 1);
    CHECK(f.paused && strcmp(f.paused_method, "up") == 0);
    CHECK(!takes(&f, "up"));
    CHECK_INT(fake_last_sent(&f)->flags, CL_NATIVE | CL_REFUSED);
    CHECK(strstr(fake_last_sent(&f)->error, "\"code\":\"CLOUDS_OVERLOADED\",\"reason\":\"paused\"}") != NULL);
    CHECK_INT(fake_inbound(&f, f.node, "n.9", "abc", "up", 0, 0), 0); /* npm: an error like others */
    CHECK_INT(fake_last_sent(&f)->flags, 0);
    CHECK(strstr(fake_last_sent(&f)->error, "the method is paused there") != NULL);
    CHECK(takes(&f, "other"));
    CHECK_INT(cl_core_answer(f.core, begun, CL_STR_NONE, CL_STR("[]")), 0); /* what was accepted runs on */
    CHECK_INT(pauses(&f, "up", 0, 21), 0);
    CHECK(!f.paused && strcmp(f.paused_method, "up") == 0);
    CHECK(takes(&f, "up"));
    fake_end(&f);
}

static void a_node_is_paused_with_all_it_registers(void)
{
    fake f = {0};
    start_server(&f);
    CHECK_INT(pauses(&f, "", 1, 20), 0);
    CHECK_INT(f.n_pauses, 2);
    CHECK(!takes(&f, "up") && !takes(&f, "other"));
    CHECK_INT(cl_node_register(f.node, CL_STR("later"), &(cl_op_spec){.id = 9}), 0);
    CHECK_INT(f.n_pauses, 3);
    CHECK(!takes(&f, "later"));
    CHECK_INT(pauses(&f, "up", 0, 21), 0); /* with the node, not before */
    CHECK(f.paused && !takes(&f, "up"));
    CHECK_INT(pauses(&f, "", 0, 22), 0);
    CHECK(!f.paused && takes(&f, "up") && takes(&f, "other") && takes(&f, "later"));
    fake_end(&f);
}

static void what_is_registered_anew_is_not_paused(void)
{
    fake f = {0};
    start_server(&f);
    CHECK_INT(pauses(&f, "up", 1, 20), 0);
    CHECK_INT(cl_node_register(f.node, CL_STR("up"), &(cl_op_spec){.id = 9}), 0); /* again: it stays as it is */
    CHECK(!takes(&f, "up"));
    CHECK_INT(cl_node_unregister(f.node, CL_STR("up"), &(cl_op_spec){.id = 10}), 0);
    CHECK_INT(cl_node_register(f.node, CL_STR("up"), &(cl_op_spec){.id = 11}), 0);
    CHECK(takes(&f, "up"));
    fake_end(&f);
}

static void what_cannot_be_paused(void)
{
    fake f = {0};
    start_server(&f);
    CHECK_INT(pauses(&f, "unknown", 1, 20), CLOUDS_EINVAL);
    CHECK(strstr(clouds_last_error(), "no method 'unknown' is registered") != NULL);
    f.reserve_code = CLOUDS_ENOMEM;
    CHECK_INT(pauses(&f, "up", 1, 21), CLOUDS_ENOMEM);
    f.reserve_code = 0;
    CHECK(takes(&f, "up"));
    CHECK_INT(cl_node_close(f.node, 1), 0);
    CHECK_INT(pauses(&f, "up", 1, 22), CLOUDS_ECLOSED);
    fake_end(&f);
}

/* ---- the caller */

static void refuse_paused(fake *f, int i)
{
    fake_refuse_with(
        f, i, "{\"message\":\"the method is paused there\",\"code\":\"CLOUDS_OVERLOADED\",\"reason\":\"paused\"}");
}

/* P6: one of two, then both. */
static void callers_go_elsewhere_and_wait(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = fake_call(&f, "m");
    fake_servers(&f, "m", "s.1,s.2");
    refuse_paused(&f, 0); /* the news has not come yet */
    CHECK_STR(fake_last_sent(&f)->to, 3, "s.2");
    fake_answer(&f, 1, "", "[]");
    CHECK_INT(fake_result(&f, id)->e.code, 0);
    for (int i = 0; i < 4; i++) {
        fake_call(&f, "m");
        CHECK_STR(fake_last_sent(&f)->to, 3, "s.2");
        fake_answer(&f, f.n_sent - 1, "", "[]");
    }
    cl_core_server_down(f.core, CL_STR("m"), CL_STR("s.2")); /* that is how a directory tells it */
    uint64_t patient = fake_call_spec(&f, (cl_call_spec){.retries = 3}), other = fake_call(&f, "m");
    fake_servers(&f, "m", "p.1,p.2");
    CHECK_INT(fake_result(&f, other)->e.code, CLOUDS_ENOSERVER);
    CHECK_INT(fake_result(&f, other)->e.outcome, CLOUDS_OUTCOME_NOT_DONE);
    CHECK(strstr(fake_result(&f, other)->error, "no available server for m: 2 servers are paused") != NULL);
    CHECK_INT(fake_results(&f, patient), 0);
    cl_core_server_up(f.core, CL_STR("m"), (cl_server){.id = CL_STR("s.1"), .native = CL_NATIVE_OURS});
    CHECK_STR(fake_last_sent(&f)->to, 3, "s.1");
    fake_answer(&f, f.n_sent - 1, "", "[]");
    CHECK_INT(fake_result(&f, patient)->e.code, 0);
    fake_end(&f);
}

static void a_list_without_the_paused(void)
{
    fake f = {0};
    fake_start(&f);
    fake_call(&f, "m");
    fake_servers(&f, "m", "p.1,s.2,p.3");
    for (int i = 0; i < 4; i++) {
        CHECK_STR(fake_last_sent(&f)->to, 3, "s.2");
        fake_call(&f, "m");
    }
    fake_servers(&f, "m", "p.2");
    uint64_t id = fake_call(&f, "m");
    fake_servers(&f, "m", "p.2");
    CHECK(strstr(fake_result(&f, id)->error, ": 1 server is paused") != NULL);
    id = fake_call(&f, "m");
    fake_servers(&f, "m", "");
    CHECK(strstr(fake_result(&f, id)->error, "paused") == NULL);
    fake_end(&f);
}

/* What the only server says comes before the list says it. */
static void the_only_one_is_paused(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = fake_call(&f, "m");
    fake_servers(&f, "m", "s.1");
    refuse_paused(&f, 0);
    fake_servers(&f, "m", "s.1"); /* nothing else is known of it yet */
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_ENOSERVER);
    CHECK(strstr(fake_result(&f, id)->error, "no available server for m: 1 server is paused") != NULL);
    fake_end(&f);
}

static void a_pinned_call_to_one_that_is_paused(void)
{
    fake f = {0};
    fake_start(&f);
    uint64_t id = fake_call_spec(&f, (cl_call_spec){.server = CL_STR("s.1")});
    refuse_paused(&f, 0);
    CHECK_INT(fake_result(&f, id)->e.code, CLOUDS_ENOSERVER);
    CHECK(strstr(fake_result(&f, id)->error, "m: the method is paused there") != NULL);
    fake_end(&f);
}

int main(void)
{
    RUN(a_method_is_paused_and_resumed);
    RUN(a_node_is_paused_with_all_it_registers);
    RUN(what_is_registered_anew_is_not_paused);
    RUN(what_cannot_be_paused);
    RUN(callers_go_elsewhere_and_wait);
    RUN(a_list_without_the_paused);
    RUN(the_only_one_is_paused);
    RUN(a_pinned_call_to_one_that_is_paused);
    return tap_end();
}
