/* The server in C: see README.md for its methods. */
#include "answers.h"
#include "lines.h"
#include "methods.h"

#include <stdlib.h>
#include <string.h>

static clouds_context *context;
static clouds_node *first;

enum { HEARTBEAT = 30 }; /* a starved machine must not let registrations expire */

/* Which name behaves as what: the methods themselves, and those that were registered by a command */

typedef struct service {
    struct service *next;
    clouds_node *node;
    char *name;
    behaviour behave;
    double command; /* to be answered when it is registered; 0: none */
    uint64_t operation;
} service;

static service *services;

static void offer(clouds_node *node, char *name, behaviour behave, double command)
{
    service *s = calloc(1, sizeof *s);
    *s = (service){.next = services, .node = node, .name = name, .behave = behave, .command = command};
    services = s;
    check(clouds_node_register(node, name, strlen(name), NULL, &s->operation), "register");
}

static int to_be_ready;

static void registered(const clouds_event *e)
{
    check(e->code, "registered");
    service *s = services;
    while (s && s->operation != e->id) s = s->next;
    if (s && s->command > 0) {
        answer_begin(s->command);
        answer_end();
    } else if (--to_be_ready == 0) {
        say_ready(first);
    }
}

static void serve(const clouds_event *e)
{
    for (service *s = services; s; s = s->next) {
        if (s->node == e->node && strlen(s->name) == e->method_len && memcmp(s->name, e->method, e->method_len) == 0) {
            s->behave(e, (span){e->data, e->data_len});
            return;
        }
    }
}

/* ---- further nodes of the process, by name */

typedef struct other {
    struct other *next;
    clouds_node *node;
    char *name;
    double leaving; /* the command to be answered when it is closed; 0: none */
} other;

static other *others;

static other *find_other(span name)
{
    other *o = others;
    while (o && (strlen(o->name) != name.n - 2 || memcmp(o->name, name.p + 1, name.n - 2) != 0)) o = o->next;
    return o;
}

static clouds_node *node_of(span line)
{
    span name = json_member(line, "node"), heartbeat = json_member(line, "heartbeat");
    if (!name.p) return first;
    other *o = find_other(name);
    if (o) return o->node;
    o = calloc(1, sizeof *o);
    *o = (other){.next = others, .name = json_word(name)};
    o->node = open_node(context, "server", 0, heartbeat.p ? json_number(heartbeat) : HEARTBEAT);
    others = o;
    return o->node;
}

static void leave(span line)
{
    other *o = find_other(json_member(line, "node"));
    o->leaving = json_number(json_member(line, "n"));
    check(clouds_node_close(o->node, json_number(json_member(line, "drain")), NULL, NULL), "close");
}

static void left(const clouds_event *e)
{
    for (other *o = others; o; o = o->next) {
        if (o->node != e->node) continue;
        answer_begin(o->leaving);
        answer_end();
    }
}

/* ---- */

static void say_held(span line)
{
    span key = json_member(line, "key");
    fprintf(answer_begin(json_number(json_member(line, "n"))), ",\"count\":%d", held(key));
    answer_end();
}

static void say_canceled(span line)
{
    span key = json_member(line, "key");
    fprintf(answer_begin(json_number(json_member(line, "n"))), ",\"canceled\":%s", is_canceled(key) ? "true" : "false");
    answer_end();
}

static void register_more(span line)
{
    char *as = json_word(json_member(line, "as"));
    offer(node_of(line), json_word(json_member(line, "method")), behaviour_of(as), json_number(json_member(line, "n")));
    free(as);
}

static void on_event(const clouds_event *e)
{
    if (e->type == CLOUDS_EVENT_REQUEST) serve(e);
    if (e->type == CLOUDS_EVENT_RESULT) methods_result(e);
    if (e->type == CLOUDS_EVENT_CANCELED) note_canceled(e->id);
    if (e->type == CLOUDS_EVENT_REGISTERED) registered(e);
    if (e->type == CLOUDS_EVENT_MESSAGE) heard(e);
    if (e->type == CLOUDS_EVENT_NODE_CLOSED) left(e);
}

static void on_command(const char *what, span line)
{
    if (common_command(first, what, line)) return;
    if (strcmp(what, "held") == 0) say_held(line);
    else if (strcmp(what, "canceled") == 0) say_canceled(line);
    else if (strcmp(what, "leave") == 0) leave(line);
    else register_more(line);
}

static void forget_all(void)
{
    for (service *s; (s = services); free(s)) {
        services = s->next;
        free(s->name);
    }
    for (other *o; (o = others); free(o)) {
        others = o->next;
        free(o->name);
    }
    answers_forget();
}

int main(void)
{
    static const driver server = {on_command, on_event, answer_due};
    context = open_context("thread");
    first = open_node(context, "server", 0, HEARTBEAT);
    methods_begin(context);
    to_be_ready = methods_count();
    for (int i = 0; i < methods_count(); i++) offer(first, strdup(method_name(i)), behaviour_of(method_name(i)), 0);
    run(context, &server);
    close_context(context);
    forget_all();
    return 0;
}
