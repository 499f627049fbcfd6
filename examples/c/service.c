/* Offers "test.echo": cc service.c $(pkg-config --cflags --libs clouds) -o service && ./service [URL] */
#include <clouds.h>
#include <err.h>

int main(int argc, char **argv)
{
    clouds_context *context;
    clouds_node *node;
    clouds_event events[64];
    if (clouds_open(argc > 1 ? argv[1] : NULL, "server", &context, &node) ||
        clouds_node_register(node, "test.echo", 9, NULL, NULL))
        errx(1, "%s", clouds_last_error());
    for (int n = 0; n >= 0; n = clouds_poll(context, events, sizeof *events, 64, -1))
        for (int i = 0; i < n; i++)
            if (events[i].type == CLOUDS_EVENT_REQUEST)
                clouds_reply(context, events[i].id, events[i].data, events[i].data_len);
            else if (events[i].code != 0) warnx("%.*s", (int)events[i].error_len, events[i].error);
    errx(1, "%s", clouds_last_error());
}
