#include "bytes.h"
#include "lines.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EVENTS = 64 };

void check(int result, const char *what)
{
    if (result >= 0) return;
    fprintf(stderr, "%s: %s\n", what, clouds_last_error());
    exit(1);
}

clouds_context *open_context(const char *mode)
{
    clouds_options *options;
    clouds_context *context;
    check(clouds_options_create(&options), "options");
    check(clouds_options_set_string(options, "url", getenv("CLOUDS_URL")), "url");
    check(clouds_options_set_number(options, "write_soft", 64 << 20), "write_soft"); /* all clients ask at once */
    check(clouds_options_set_string(options, "mode", mode), "mode");
    check(clouds_context_create(options, &context), "context");
    clouds_options_destroy(options);
    return context;
}

clouds_node *open_node(clouds_context *context, const char *type, double timeout, double heartbeat)
{
    clouds_options *options;
    clouds_node *node;
    check(clouds_options_create(&options), "options");
    check(clouds_options_set_string(options, "type", type), "type");
    if (timeout > 0) check(clouds_options_set_number(options, "timeout", timeout), "timeout");
    check(clouds_options_set_bool(options, "cancel_events", 1), "cancel_events");
    if (heartbeat > 0) check(clouds_options_set_number(options, "heartbeat", heartbeat), "heartbeat");
    check(clouds_node_create(context, options, &node), "node");
    clouds_options_destroy(options);
    return node;
}

/* ---- answers */

FILE *answer_begin(double n)
{
    printf("{\"n\":%.0f", n);
    return stdout;
}

void answer_end(void)
{
    printf("}\n");
    fflush(stdout);
}

void say_ready(clouds_node *node)
{
    printf("{\"ready\":\"%s\"}\n", clouds_node_id(node));
    fflush(stdout);
}

/* ---- messages: the canonical text of each, as JSON texts in a list for each sender */

typedef struct sender {
    struct sender *next;
    char *id;
    char *list; /* without brackets */
} sender;

static sender *senders;

static sender *find_sender(const char *id, size_t length)
{
    for (sender *s = senders; s; s = s->next)
        if (strlen(s->id) == length && memcmp(s->id, id, length) == 0) return s;
    return NULL;
}

static sender *add_sender(const char *id, size_t length)
{
    sender *s = calloc(1, sizeof *s);
    s->id = strndup(id, length);
    s->list = strdup("");
    s->next = senders;
    return senders = s;
}

void heard(const clouds_event *event)
{
    bytes_came(event->bytes, event->bytes_len);
    heard_of(event->peer, event->peer_len, (span){event->data, event->data_len});
    bytes_came(NULL, 0);
}

void heard_of(const char *id, size_t id_length, span data)
{
    sender *s = find_sender(id, id_length);
    if (!s) s = add_sender(id, id_length);
    char *value, *list;
    size_t length, whole;
    FILE *text = open_memstream(&value, &length);
    json_put_canonical(text, data);
    fclose(text);
    FILE *out = open_memstream(&list, &whole);
    fprintf(out, "%s%s", s->list, *s->list ? "," : "");
    json_put_text(out, value, length);
    fclose(out);
    free(value);
    free(s->list);
    s->list = list;
}

static void say_heard(span line)
{
    span id = json_member(line, "from");
    sender *s = find_sender(id.p + 1, id.n - 2);
    fprintf(answer_begin(json_number(json_member(line, "n"))), ",\"values\":[%s]", s ? s->list : "");
    answer_end();
}

static void send_values(clouds_node *node, span line)
{
    span to = json_member(line, "to"), values = json_member(line, "values");
    size_t at = 0;
    for (span value; (value = json_next(values, &at)).p;) {
        packed what = bytes_pack(value);
        clouds_payload payload = bytes_payload(&what);
        check(clouds_node_send_payload(node, to.p + 1, to.n - 2, &payload, 0, NULL, NULL), "send");
        bytes_drop(&what);
    }
    answer_begin(json_number(json_member(line, "n")));
    answer_end();
}

int common_command(clouds_node *node, const char *what, span line)
{
    if (strcmp(what, "messages") == 0) say_heard(line);
    else if (strcmp(what, "send") == 0) send_values(node, line);
    else return channel_command(node, what, line);
    return 1;
}

static void forget_heard(void)
{
    while (senders) {
        sender *s = senders;
        senders = s->next;
        free(s->id);
        free(s->list);
        free(s);
    }
}

/* ---- the loop */

static char *input;
static size_t input_length;

/* Reads what is there and does the whole lines of it; 0 at the end. */
static int read_commands(const driver *d)
{
    input = realloc(input, input_length + 65536);
    ssize_t got = read(STDIN_FILENO, input + input_length, 65536);
    if (got <= 0) return 0;
    input_length += (size_t)got;
    char *line = input, *newline;
    while ((newline = memchr(line, '\n', (size_t)(input + input_length - line)))) {
        span whole = {line, (size_t)(newline - line)};
        char *what = json_word(json_member(whole, "do"));
        d->command(what, whole);
        free(what);
        line = newline + 1;
    }
    input_length -= (size_t)(line - input);
    memmove(input, line, input_length);
    return 1;
}

static void take_events(clouds_context *context, const driver *d)
{
    clouds_event events[EVENTS];
    int count;
    do {
        count = clouds_poll(context, events, sizeof *events, EVENTS, 0);
        check(count, "poll");
        for (int i = 0; i < count; i++) {
            channel_event(&events[i]);
            d->event(&events[i]);
        }
    } while (count == EVENTS);
}

void run(clouds_context *context, const driver *d)
{
    struct pollfd watched[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = clouds_fd(context), .events = POLLIN}};
    do {
        take_events(context, d);
        double pause = d->pause ? d->pause() : -1;
        poll(watched, 2, pause < 0 ? -1 : (int)(pause * 1000) + 1);
    } while (!watched[0].revents || read_commands(d));
}

void close_context(clouds_context *context)
{
    clouds_event events[EVENTS];
    check(clouds_context_close(context, 0, NULL, NULL), "close");
    for (int closed = 0; !closed;) {
        int count = clouds_poll(context, events, sizeof *events, EVENTS, -1);
        check(count, "poll");
        for (int i = 0; i < count; i++) closed |= events[i].type == CLOUDS_EVENT_CONTEXT_CLOSED;
    }
    clouds_context_destroy(context);
    forget_heard();
    channels_forget();
    free(input);
}
