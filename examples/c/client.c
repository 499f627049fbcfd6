/* Calls "test.add": cc client.c $(pkg-config --cflags --libs clouds) -o client && ./client [ARGUMENTS [URL]] */
#include <clouds.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    const char *arguments = argc > 1 ? argv[1] : "[1,2]";
    clouds_call_options how = {.size = sizeof how, .flags = CLOUDS_CALL_WAIT, .timeout = 2, .retries = 5};
    clouds_options *options;
    clouds_context *context;
    clouds_node *node;
    clouds_event answer;
    uint64_t call;
    if (clouds_options_create(&options) || clouds_options_set_string(options, "url", argc > 2 ? argv[2] : "local:") ||
        clouds_options_set_string(options, "type", "client") || clouds_context_create(options, &context) ||
        clouds_node_create(context, options, &node) ||
        clouds_node_call(node, "test.add", 8, arguments, strlen(arguments), &how, &call) ||
        clouds_wait(context, call, -1, &answer, sizeof answer) != 1) {
        fprintf(stderr, "client: %s\n", clouds_last_error());
        return 1;
    }
    int failed = answer.code != 0;
    if (failed) printf("%s: %.*s\n", clouds_outcome_name((int)answer.outcome), (int)answer.error_len, answer.error);
    else printf("%.*s\n", (int)answer.data_len, answer.data);
    clouds_event_release(&answer);
    clouds_context_destroy(context);
    clouds_options_destroy(options);
    return failed;
}
