#include "methods.h"

#include <stdlib.h>
#include <string.h>

#include "answers.h"
#include "bytes.h"
#include "lines.h"

static clouds_context *context;

void methods_begin(clouds_context *of)
{
    context = of;
    answers_begin(of);
}

/* reply() with a text that is made by writing it. */
static FILE *made;
static char *made_text;
static size_t made_length;

static FILE *make(void)
{
    return made = open_memstream(&made_text, &made_length);
}

static char *take_made(void)
{
    fclose(made);
    return made_text;
}

static void reply_made(uint64_t request)
{
    char *text = take_made();
    reply(request, text);
    free(text);
}

static void echo(const clouds_event *e, span args)
{
    const clouds_payload same = {
        .size = sizeof same, .json = args.p, .json_len = args.n, .bytes = e->bytes, .bytes_len = e->bytes_len};
    if (e->bytes_len) check(clouds_reply_payload(context, e->id, &same), "reply");
    else reply_text(e->id, args.p, args.n);
}

static void describe(const clouds_event *e, span args)
{
    char *text;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    bytes_came(e->bytes, e->bytes_len);
    json_put_canonical(out, args);
    bytes_came(NULL, 0);
    fclose(out);
    fputc('[', make());
    json_put_text(made, text, length);
    fputc(']', made);
    free(text);
    reply_made(e->id);
}

static void add(const clouds_event *e, span args)
{
    fprintf(make(), "[%.17g]", json_number(json_element(args, 0)) + json_number(json_element(args, 1)));
    reply_made(e->id);
}

static void many(const clouds_event *e, span args)
{
    reply(e->id, "[1,\"two\",null,[3],null]");
}

static void nothing(const clouds_event *e, span args)
{
    reply(e->id, "[]");
}

static void one_null(const clouds_event *e, span args)
{
    reply(e->id, "[null]");
}

static void big(const clouds_event *e, span args)
{
    fprintf(make(), "[\"");
    for (double i = json_number(json_element(args, 0)); i > 0; i--) fputc('x', made);
    fprintf(made, "\"]");
    reply_made(e->id);
}

static void slow(const clouds_event *e, span args)
{
    json_put_rest(make(), args, 1);
    answer_later(e->id, json_number(json_element(args, 0)), take_made());
}

static void meet(const clouds_event *e, span args)
{
    span key = json_element(args, 0);
    if (keep(e->id, key) < (int)json_number(json_element(args, 1))) return;
    json_put_rest(make(), args, 1);
    char *values = take_made();
    answer_kept(key, values);
    free(values);
}

static void hold(const clouds_event *e, span args)
{
    keep(e->id, json_element(args, 0));
}

static void release(const clouds_event *e, span args)
{
    json_put_rest(make(), args, 1);
    char *values = take_made();
    reply(e->id, answer_kept(json_element(args, 0), values) ? "[true]" : "[false]");
    free(values);
}

static void fail(const clouds_event *e, span args)
{
    span error = json_element(args, 0);
    json_put_rest(make(), args, 1);
    char *values = take_made();
    clouds_fail(context, e->id, error.p, error.n, values, strlen(values));
    free(values);
}

static void fail_text(const clouds_event *e, span args)
{
    span text = json_element(args, 0);
    fprintf(make(), "{\"message\":%.*s}", (int)text.n, text.p);
    char *error = take_made();
    clouds_fail(context, e->id, error, strlen(error), NULL, 0);
    free(error);
}

static void unsendable(const clouds_event *e, span args)
{
    reply(e->id, "[nothing");
}

static void count_failures(const clouds_event *e, span args)
{
    fprintf(make(), "{\"message\":\"counted\",\"code\":\"E_COUNT\",\"count\":%d}", count(json_element(args, 0)));
    char *error = take_made();
    clouds_fail(context, e->id, error, strlen(error), NULL, 0);
    free(error);
}

static void time_left(const clouds_event *e, span args)
{
    reply(e->id, e->time_left > 0 && e->time_left <= 45 ? "[true]" : "[false]");
}

static void never(const clouds_event *e, span args)
{
}

static void attempts(const clouds_event *e, span args)
{
    int attempt = count(json_element(args, 0));
    if (attempt <= (int)json_number(json_element(args, 1))) return;
    fprintf(make(), "[%d]", attempt);
    reply_made(e->id);
}

static void meta(const clouds_event *e, span args)
{
    fprintf(make(), "[%.*s]", (int)e->meta_len, e->meta);
    reply_made(e->id);
}

/* The answer knows the request by the user data: see methods_result. */
static void pass_on(const clouds_event *e, span args)
{
    uint64_t call;
    clouds_call_options how = {.size = sizeof how, .parent = e->id, .user_data = e->id};
    check(clouds_node_call(e->node, "meta", 4, "[]", 2, &how, &call), "call");
}

void methods_result(const clouds_event *e)
{
    check(e->code, "the call of a method");
    reply_text(e->user_data, e->data, e->data_len);
}

static void watch_caller(const clouds_event *e, span args)
{
    keep(e->id, json_element(args, 0));
}

static void say_second(const clouds_event *e, span args)
{
    reply(e->id, "[\"second\"]");
}

static const struct {
    const char *name;
    behaviour behave;
} methods[] = {{"echo", echo},
               {"describe", describe},
               {"add", add},
               {"many", many},
               {"nothing", nothing},
               {"one_null", one_null},
               {"big", big},
               {"slow", slow},
               {"meet", meet},
               {"hold", hold},
               {"release", release},
               {"fail", fail},
               {"fail_text", fail_text},
               {"unsendable", unsendable},
               {"count_failures", count_failures},
               {"time_left", time_left},
               {"never", never},
               {"attempts", attempts},
               {"meta", meta},
               {"pass_on", pass_on},
               {"watch_caller", watch_caller},
               {"second", say_second}};

enum { COUNT = sizeof methods / sizeof *methods };

int methods_count(void)
{
    return COUNT;
}

const char *method_name(int number)
{
    return methods[number].name;
}

behaviour behaviour_of(const char *name)
{
    for (int i = 0; i < COUNT; i++)
        if (strcmp(methods[i].name, name) == 0) return methods[i].behave;
    fprintf(stderr, "no such method: %s\n", name);
    exit(1);
}
