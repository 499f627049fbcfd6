/* Calls within one context, one at a time, ask the kernel nothing: it is looked at now and then only. Here every wait
 * of the loop passes through a function of ours that counts. */
#include <signal.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include "api/kit.h"

enum { CALLS = 5000 };

#define SEEN_BY_ALL __attribute__((visibility("default"))) /* libuv is to find them */

static unsigned waits;

static int wait_in_kernel(int fd, struct epoll_event *events, int most, int timeout, const sigset_t *mask)
{
    waits++;
    return (int)syscall(SYS_epoll_pwait, fd, events, most, timeout, mask, (size_t)(_NSIG / 8));
}

SEEN_BY_ALL int epoll_wait(int fd, struct epoll_event *events, int most, int timeout)
{
    return wait_in_kernel(fd, events, most, timeout, NULL);
}

SEEN_BY_ALL int epoll_pwait(int fd, struct epoll_event *events, int most, int timeout, const sigset_t *mask)
{
    return wait_in_kernel(fd, events, most, timeout, mask);
}

static void call_once(clouds_context *context, clouds_node *client)
{
    clouds_event e;
    uint64_t call = kit_call(client, "echo", "[1]", NULL);
    if (!CHECK(kit_await(context, NULL, CLOUDS_EVENT_RESULT, &e) == 1)) return;
    CHECK(e.id == call && e.code == 0 && e.data_len == 3);
}

static void nothing_is_asked_of_the_kernel(void)
{
    clouds_context *context = kit_context(kit_url("inproc:"), "inline");
    clouds_node *server = kit_node(context, "server"), *client = kit_node(context, "client");
    CHECK_INT(kit_register(context, server, "echo"), 0);
    call_once(context, client);
    CHECK(waits > 0); /* this is where the loop waits */
    waits = 0;
    for (int i = 0; i < CALLS; i++) call_once(context, client);
    printf("# %d calls, %u waits\n", CALLS, waits);
    CHECK(waits < CALLS / 2);
    clouds_context_destroy(context);
}

/* However many calls there are, what is due comes: here the end of one that nobody answers. */
static void time_goes_on(void)
{
    clouds_context *context = kit_context(kit_url("inproc:"), "inline");
    clouds_node *server = kit_node(context, "server"), *client = kit_node(context, "client");
    CHECK_INT(kit_register(context, server, "echo"), 0);
    CHECK_INT(kit_register(context, server, "never"), 0);
    const clouds_call_options how = {.size = sizeof how, .timeout = 0.05};
    uint64_t left = kit_call(client, "never", "[]", &how);
    int ended = 0;
    for (double until = kit_now() + KIT_PATIENCE; !ended && kit_now() < until;) {
        clouds_event e;
        uint64_t call = kit_call(client, "echo", "[1]", NULL);
        do {
            if (!CHECK(kit_await(context, NULL, CLOUDS_EVENT_RESULT, &e) == 1)) return;
            if (e.id == left) ended = e.code;
        } while (e.id != call);
    }
    CHECK_INT(ended, CLOUDS_ETIMEOUT);
    clouds_context_destroy(context);
}

int main(void)
{
    RUN(nothing_is_asked_of_the_kernel);
    RUN(time_goes_on);
    return kit_end();
}
