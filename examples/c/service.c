/* Offers "test.add": cc service.c $(pkg-config --cflags --libs clouds) -o service && ./service [URL] */
#include <clouds.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    clouds_options *options;
    clouds_context *context;
    clouds_node *node;
    clouds_event events[64];
    uint64_t operation;
    if (clouds_options_create(&options) || clouds_options_set_string(options, "url", argc > 1 ? argv[1] : "local:") ||
        clouds_options_set_string(options, "type", "server") || clouds_context_create(options, &context) ||
        clouds_node_create(context, options, &node) || clouds_node_register(node, "test.add", 8, &operation)) {
        fprintf(stderr, "service: %s\n", clouds_last_error());
        return 1;
    }
    for (;;) {
        int n = clouds_poll(context, events, sizeof *events, 64, -1);
        for (int i = 0; i < n; i++) {
            char result[64];
            long a, b;
            if (events[i].type != CLOUDS_EVENT_REQUEST) continue;
            snprintf(result, sizeof result, "%.*s", (int)events[i].data_len, events[i].data);
            if (sscanf(result, "[%ld,%ld]", &a, &b) == 2)
                clouds_reply(context, events[i].id, result, (size_t)snprintf(result, sizeof result, "[%ld]", a + b));
            else
                clouds_fail(context, events[i].id, "{\"message\":\"two integers, please\"}", 34, NULL, 0);
        }
    }
}
