/* A service and a client over a directory and a transport of their own, which are in board.c and box.c:
 * cc extend.c board.c entries.c box.c $(pkg-config --cflags --libs clouds) -o extend
 * ./extend box+board:FOLDER serve
 * ./extend box+board:FOLDER call Glen
 * With board:FOLDER the way between the processes is the library's links; with box+redis://HOST, and BOX_FOLDER=FOLDER in
 * the environment, Redis is the directory. */
#include <clouds_extend.h>

#include <err.h>
#include <stdio.h>
#include <string.h>

#include "extend.h"

static void serve(clouds_context *context, clouds_node *node)
{
    clouds_event events[16];
    if (clouds_node_register(node, "extend.hello", 12, NULL, NULL)) errx(1, "%s", clouds_last_error());
    for (int n = 0; n >= 0; n = clouds_poll(context, events, sizeof *events, 16, -1))
        for (int i = 0; i < n; i++)
            if (events[i].type == CLOUDS_EVENT_REQUEST)
                clouds_reply(context, events[i].id, events[i].data, events[i].data_len);
            else if (events[i].type == CLOUDS_EVENT_REGISTERED) puts("serving"), fflush(stdout);
}

static int call(clouds_context *context, clouds_node *node, const char *name)
{
    char arguments[256];
    clouds_event e;
    uint64_t id;
    clouds_call_options options = {.size = sizeof options, .flags = CLOUDS_CALL_WAIT, .timeout = 5};
    snprintf(arguments, sizeof arguments, "[\"Hello %s\"]", name);
    if (clouds_node_call(node, "extend.hello", 12, arguments, strlen(arguments), &options, &id) ||
        clouds_wait(context, id, -1, &e, sizeof e) < 0)
        errx(1, "%s", clouds_last_error());
    if (e.code) printf("%.*s\n", (int)e.error_len, e.error);
    else printf("%.*s\n", (int)e.data_len, e.data);
    return e.code != 0;
}

int main(int argc, char **argv)
{
    clouds_context *context;
    clouds_node *node;
    if (argc < 3) errx(2, "usage: extend URL serve | extend URL call NAME");
    if (board_register() || box_register()) errx(1, "%s", clouds_last_error());
    if (clouds_open(argv[1], strcmp(argv[2], "serve") ? "client" : "server", &context, &node))
        errx(1, "%s", clouds_last_error());
    if (strcmp(argv[2], "serve") == 0) serve(context, node);
    int failed = call(context, node, argc > 3 ? argv[3] : "you");
    clouds_context_destroy(context);
    return failed;
}
