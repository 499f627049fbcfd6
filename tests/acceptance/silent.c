/* A subscriber that does not poll: what is published at TOPIC waits here, or is dropped.
 *
 * Usage: silent URL TOPIC; says "ready" when it has subscribed. When standard input ends it takes what is there, until nothing comes
 * for half a second, and says how many messages it got, how many it was told it has missed, and the sequence of the first and the last. */
#include <clouds.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static clouds_context *context;

static void must(int code, const char *what)
{
    if (code >= 0) return;
    fprintf(stderr, "%s: %s\n", what, clouds_last_error());
    exit(1);
}

static clouds_node *open_node(const char *url)
{
    clouds_options *options;
    clouds_node *node;
    must(clouds_options_create(&options), "options");
    must(clouds_options_set_string(options, "url", url), "url");
    must(clouds_options_set_string(options, "mode", "thread"), "mode"); /* so that it reads all the same */
    must(clouds_context_create(options, &context), "context");
    must(clouds_node_create(context, options, &node), "node");
    clouds_options_destroy(options);
    return node;
}

static void subscribe(const char *url, const char *topic)
{
    clouds_event e = {0};
    char topics[256];
    uint64_t id;
    snprintf(topics, sizeof topics, "[\"%s\"]", topic);
    must(clouds_node_subscribe(open_node(url), topics, strlen(topics), NULL, NULL, &id), "subscribe");
    while (e.type != CLOUDS_EVENT_SUBSCRIBED) must(clouds_poll(context, &e, sizeof e, 1, -1), "poll");
    must(e.code, "subscribed");
    printf("ready\n");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    clouds_event e;
    unsigned long long got = 0, missed = 0, first = 0, last = 0;
    if (argc != 3) return fprintf(stderr, "usage: silent URL TOPIC\n"), 2;
    subscribe(argv[1], argv[2]);
    while (getchar() != EOF) continue;
    while (clouds_poll(context, &e, sizeof e, 1, 0.5) == 1) {
        if (e.type != CLOUDS_EVENT_PUBLISHED) continue;
        if (!first) first = e.sequence;
        last = e.sequence;
        missed += (unsigned long long)e.number;
        got++;
    }
    printf("%llu %llu %llu %llu\n", got, missed, first, last);
    clouds_context_destroy(context);
    return 0;
}
