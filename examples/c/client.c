/* Calls "test.echo": cc client.c $(pkg-config --cflags --libs clouds) -o client && ./client [ARGUMENTS [URL]] */
#include <clouds.h>
#include <err.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    const char *arguments = argc > 1 ? argv[1] : "[\"hello\"]";
    clouds_call_options how = {.size = sizeof how, .flags = CLOUDS_CALL_WAIT, .timeout = 2, .retries = 5};
    clouds_context *context;
    clouds_node *node;
    clouds_event answer; /* its id is that of the call */
    if (clouds_open(argc > 2 ? argv[2] : NULL, "client", &context, &node) ||
        clouds_node_call(node, "test.echo", 9, arguments, strlen(arguments), &how, &answer.id) ||
        clouds_wait(context, answer.id, -1, &answer, sizeof answer) < 0)
        errx(1, "%s", clouds_last_error());
    if (answer.code != 0) errx(1, "%s: %.*s", clouds_err_name(answer.code), (int)answer.error_len, answer.error);
    printf("%.*s\n", (int)answer.data_len, answer.data);
    clouds_event_release(&answer);
    clouds_context_destroy(context);
}
