/* Names for those who connect by themselves: the addresses as text. */
#include "net/name.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/seconds.h"
#include "net/internal.h"

struct cl_name {
    cl_anchor anchor;
    uv_timer_t timer; /* the longest wait */
    cl_resolve_request request;
    void (*done)(void *self, const cl_addresses *found, const char *words);
    void *self;
    char what[128];
    double seconds;
    int open, owned;
};

static void release(cl_name *name)
{
    if (!name->open && !name->owned) cl_free(name);
}

static void on_closed(uv_handle_t *handle)
{
    cl_name *name = CL_OWNER(handle, cl_name, timer);
    name->open = 0;
    release(name);
}

static void close_handle(cl_anchor *anchor)
{
    cl_name *name = CL_OWNER(anchor, cl_name, anchor);
    cl_resolve_forget(&name->request);
    uv_close((uv_handle_t *)&name->timer, on_closed);
}

static void tell(cl_name *name, const cl_addresses *found, const char *words)
{
    cl_resolve_forget(&name->request);
    uv_timer_stop(&name->timer);
    name->done(name->self, found, words);
}

static void on_late(uv_timer_t *timer)
{
    cl_name *name = CL_OWNER(timer, cl_name, timer);
    char words[192], seconds[CL_NUMBER_TEXT];
    cl_loop_end_wait(name->request.loop);
    snprintf(words, sizeof words, "resolve %s: no answer within %s s", name->what,
             cl_number_text(seconds, name->seconds, 6));
    tell(name, NULL, words);
}

/* Whether there was room. */
static int add(cl_addresses *to, const struct addrinfo *one)
{
    char text[INET6_ADDRSTRLEN];
    const void *raw = one->ai_family == AF_INET6
                          ? (const void *)&((const struct sockaddr_in6 *)(const void *)one->ai_addr)->sin6_addr
                          : (const void *)&((const struct sockaddr_in *)(const void *)one->ai_addr)->sin_addr;
    if (!inet_ntop(one->ai_family, raw, text, sizeof text)) return 1;
    size_t n = strlen(to->text);
    int more = snprintf(to->text + n, sizeof to->text - n, one->ai_family == AF_INET6 ? "%s[%s]" : "%s%s",
                        n ? "," : "", text);
    if (more > 0 && (size_t)more < sizeof to->text - n) return 1;
    to->text[n] = '\0';
    return 0;
}

static void on_looked_up(cl_resolve_request *request, int status, struct addrinfo *list)
{
    cl_name *name = CL_OWNER(request, cl_name, request);
    cl_addresses found = {""};
    char words[256];
    for (const struct addrinfo *one = status == 0 ? list : NULL; one && add(&found, one); one = one->ai_next) continue;
    snprintf(words, sizeof words, "resolve %s: %s", name->what, status ? gai_strerror(status) : "it has no address");
    tell(name, *found.text ? &found : NULL, words);
}

int cl_name_is_address(const char *host, cl_addresses *out)
{
    unsigned char raw[sizeof(struct in6_addr)];
    int is_ipv6 = inet_pton(AF_INET6, host, raw) == 1;
    if (!is_ipv6 && inet_pton(AF_INET, host, raw) != 1) return 0;
    snprintf(out->text, sizeof out->text, is_ipv6 ? "[%s]" : "%s", host);
    return 1;
}

int cl_name_look_up(cl_loop *loop, const char *host, double seconds,
                    void (*done)(void *self, const cl_addresses *found, const char *words), void *self, cl_name **out)
{
    if (loop->closing) return cl_error(CLOUDS_ECLOSED, NULL);
    cl_name *name = cl_calloc(1, sizeof *name);
    if (!name) return cl_error(CLOUDS_ENOMEM, NULL);
    *name = (cl_name){.anchor = {close_handle}, .done = done, .self = self, .seconds = seconds, .open = 1, .owned = 1};
    name->request.done = on_looked_up;
    name->request.loop = loop;
    snprintf(name->what, sizeof name->what, "%.120s", host);
    uv_timer_init(&loop->uv, &name->timer);
    name->timer.data = &name->anchor;
    uv_update_time(&loop->uv);
    uv_timer_start(&name->timer, on_late, (uint64_t)cl_ms(seconds), 0);
    int code = cl_resolve(loop, host, "0", &name->request);
    if (code != 0) {
        cl_name_forget(name);
        return cl_error(code, "resolve %.120s: %s", host, clouds_strerror(code));
    }
    *out = name;
    return 0;
}

void cl_name_forget(cl_name *name)
{
    if (!name) return;
    name->owned = 0;
    if (name->open && !uv_is_closing((uv_handle_t *)&name->timer)) close_handle(&name->anchor);
    release(name);
}
