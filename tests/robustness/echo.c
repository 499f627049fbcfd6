/* A service in C: METHOD answers with its arguments. SIGTERM closes the context in order; exits 0 when that is done.
 *
 * Usage: echo URL METHOD; says "ready ID" when it is registered. */
#include <clouds.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EVENTS = 256 };

static clouds_context *context;
static volatile sig_atomic_t told;

static void on_signal(int number)
{
    told = 1;
    clouds_wakeup(context);
}

static void must(int code, const char *what)
{
    if (code >= 0) return;
    fprintf(stderr, "%s: %s: %s\n", what, clouds_err_name(code), clouds_last_error());
    exit(1);
}

static clouds_node *open_node(const char *url, const char *method)
{
    clouds_options *options;
    clouds_node *node;
    uint64_t operation;
    must(clouds_options_create(&options), "options");
    must(clouds_options_set_string(options, "url", url), "url");
    must(clouds_options_set_string(options, "type", "server"), "type");
    must(clouds_context_create(options, &context), "context");
    must(clouds_node_create(context, options, &node), "node");
    clouds_options_destroy(options);
    must(clouds_node_register(node, method, strlen(method), NULL, &operation), "register");
    return node;
}

/* 1 when the context has closed. */
static int handle(const clouds_event *e, clouds_node *node)
{
    if (e->type == CLOUDS_EVENT_REQUEST) clouds_reply(context, e->id, e->data, e->data_len);
    if (e->type == CLOUDS_EVENT_REGISTERED) {
        must(e->code, "registered");
        printf("ready %s\n", clouds_node_id(node));
        fflush(stdout);
    }
    return e->type == CLOUDS_EVENT_CONTEXT_CLOSED;
}

int main(int argc, char **argv)
{
    static clouds_event events[EVENTS];
    int closing = 0, closed = 0;
    if (argc != 3) return fprintf(stderr, "usage: echo URL METHOD\n"), 2;
    clouds_node *node = open_node(argv[1], argv[2]);
    signal(SIGTERM, on_signal);
    while (!closed) {
        if (told && !closing) {
            must(clouds_context_close(context, -1, NULL, NULL), "close");
            closing = 1;
        }
        int n = clouds_poll(context, events, sizeof *events, EVENTS, -1);
        must(n, "poll");
        for (int i = 0; i < n; i++) closed |= handle(&events[i], node);
    }
    clouds_context_destroy(context);
    return 0;
}
