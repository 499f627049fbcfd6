#include "fake.h"

/* What is told of servers to a node that wants to know. */

static void start(fake *f, const char *servers)
{
    f->config = fake_node_config("client");
    f->config.timeout = 2;
    f->config.peer_events = 1;
    fake_start(f);
    fake_call(f, "m");
    fake_servers(f, "m", servers);
    fake_answer(f, 0, "", "[]");
    CHECK_INT(fake_count(f, CLOUDS_EVENT_PEER), 0); /* the first list is no news */
    f->n_events = f->n_sent = 0;
}

/* The events so far, as "s.1 1 m; ". */
static const char *told(fake *f)
{
    static char text[1024];
    text[0] = '\0';
    for (int i = 0; i < f->n_events; i++) {
        const fake_event *e = &f->events[i];
        if (e->e.type != CLOUDS_EVENT_PEER) continue;
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s %d %s; ", e->peer, (int)e->e.number, e->method);
    }
    f->n_events = 0;
    return text;
}

#define TOLD(f, what) \
    do { \
        const char *text = told(f); \
        CHECK_STR(text, strlen(text), what); \
    } while (0)

static void who_is_silent_is_avoided(void)
{
    fake f = {0};
    start(&f, "s.1");
    fake_call(&f, "m");
    fake_advance(&f, 2000);
    TOLD(&f, "s.1 1 ; ");
    fake_advance(&f, 1100); /* its time is over, which nobody has seen yet */
    TOLD(&f, "");
    fake_call(&f, "m");
    fake_answer(&f, f.n_sent - 1, "", "[]");
    TOLD(&f, "s.1 0 ; ");
    fake_call(&f, "m");
    fake_answer(&f, f.n_sent - 1, "", "[]");
    TOLD(&f, "");
    fake_end(&f);
}

static void breakers(void)
{
    fake f = {0};
    start(&f, "s.1");
    for (int i = 0; i < 5; i++) {
        fake_call(&f, "m");
        fake_advance(&f, 2000);
        if (i < 4) told(&f);
    }
    CHECK(strstr(told(&f), "s.1 2 m; "));
    fake_advance(&f, 20000);
    for (int i = 0; i < 3; i++) {
        fake_call(&f, "m");
        fake_answer(&f, f.n_sent - 1, "", "[]");
        if (i == 0) TOLD(&f, "s.1 3 m; s.1 0 ; ");
        if (i == 1) TOLD(&f, "");
        if (i == 2) TOLD(&f, "s.1 0 m; ");
    }
    fake_end(&f);
}

/* A directory says that a server is down; the list that is asked for then says why. */
static void paused_or_gone(void)
{
    fake f = {0};
    start(&f, "s.1,s.2,s.3");
    f.n_looks = 0;
    cl_core_server_down(f.core, CL_STR("m"), CL_STR("s.1"));
    cl_core_server_down(f.core, CL_STR("m"), CL_STR("s.2"));
    cl_core_server_down(f.core, CL_STR("m"), CL_STR("s.9"));
    CHECK(f.n_looks >= 1 && f.looks[0].known == 1);
    TOLD(&f, "");
    const cl_server list[] = {{.id = CL_STR("s.1"), .native = 1, .paused = 1}, {.id = CL_STR("s.3"), .native = 1}};
    cl_core_servers(f.core, CL_STR("m"), list, 2, 0);
    TOLD(&f, "s.1 4 m; s.2 6 m; ");
    cl_core_servers(f.core, CL_STR("m"), list, 2, 0);
    TOLD(&f, "");
    cl_core_server_up(f.core, CL_STR("m"), (cl_server){.id = CL_STR("s.1"), .native = 1});
    TOLD(&f, "s.1 0 m; ");
    fake_servers(&f, "m", "s.4"); /* a list may bring it all at once */
    TOLD(&f, "s.3 6 m; s.1 6 m; s.4 0 m; ");
    fake_end(&f);
}

/* Down and up again before the list comes. */
static void a_short_absence(void)
{
    fake f = {0};
    start(&f, "s.1,s.2");
    cl_core_server_down(f.core, CL_STR("m"), CL_STR("s.1"));
    cl_core_server_up(f.core, CL_STR("m"), (cl_server){.id = CL_STR("s.1"), .native = 1});
    TOLD(&f, "s.1 0 m; ");
    fake_servers(&f, "m", "s.1,s.2");
    TOLD(&f, "");
    fake_end(&f);
}

static void those_that_leave(void)
{
    fake f = {0};
    start(&f, "s.1,s.2,s.3,s.4");
    cl_core_peer_draining(f.core, CL_STR("s.1"));
    TOLD(&f, "s.1 5 ; ");
    cl_core_peer_draining(f.core, CL_STR("s.1"));
    cl_core_server_down(f.core, CL_STR("m"), CL_STR("s.1"));
    TOLD(&f, "");
    cl_core_peer_down(f.core, CL_STR("s.2"));
    TOLD(&f, "s.2 6 ; ");
    cl_core_peer_gone(f.core, CL_STR("s.3"));
    cl_core_peer_gone(f.core, CL_STR("s.9"));
    TOLD(&f, "s.3 6 ; ");
    fake_call(&f, "m");
    fake_refuse(&f, f.n_sent - 1, CLOUDS_EDRAINING);
    TOLD(&f, "s.4 5 ; ");
    fake_end(&f);
}

static void who_did_not_ask_is_not_told(void)
{
    fake f = {0};
    start(&f, "s.1,s.2");
    f.config.peer_events = 0;
    cl_node_configure(f.node, &f.config);
    f.n_looks = 0;
    cl_core_server_down(f.core, CL_STR("m"), CL_STR("s.1"));
    CHECK_INT(f.n_looks, 0);
    cl_core_peer_down(f.core, CL_STR("s.2"));
    TOLD(&f, "");
    fake_end(&f);
}

int main(void)
{
    RUN(who_is_silent_is_avoided);
    RUN(breakers);
    RUN(paused_or_gone);
    RUN(a_short_absence);
    RUN(those_that_leave);
    RUN(who_did_not_ask_is_not_told);
    return tap_end();
}
