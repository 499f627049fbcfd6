/* Subscriptions of the drivers in C. Their events know the command by the user data. */
#include "bytes.h"
#include "lines.h"

#include <stdlib.h>
#include <string.h>

typedef struct subscription {
    struct subscription *next;
    double n; /* the command */
    int meta; /* what is heard is [value, meta] */
    char *key;
} subscription;

static subscription *subscriptions;

static void subscribe(clouds_node *node, span line)
{
    span topics = json_member(line, "topics"), group = json_member(line, "group"), all = json_member(line, "all");
    subscription *s = calloc(1, sizeof *s);
    *s = (subscription){
        .next = subscriptions, .n = json_number(json_member(line, "n")), .key = json_word(json_member(line, "key"))};
    s->meta = json_member(line, "meta").p != NULL;
    subscriptions = s;
    clouds_subscribe_options options = {.size = sizeof options,
                                        .flags = all.p ? CLOUDS_SUBSCRIBE_ALL : 0,
                                        .user_data = (uint64_t)s->n,
                                        .group = group.p ? group.p + 1 : NULL,
                                        .group_len = group.p ? group.n - 2 : 0};
    uint64_t id;
    check(clouds_node_subscribe(node, topics.p, topics.n, &options, NULL, &id), "subscribe");
}

static void publish_values(clouds_node *node, span line)
{
    span topic = json_member(line, "topic"), values = json_member(line, "values");
    size_t at = 0;
    for (span value; (value = json_next(values, &at)).p;) {
        packed what = bytes_pack(value);
        clouds_payload payload = bytes_payload(&what);
        check(clouds_node_publish(node, topic.p + 1, topic.n - 2, &payload, 0, NULL, NULL), "publish");
        bytes_drop(&what);
    }
    answer_begin(json_number(json_member(line, "n")));
    answer_end();
}

int channel_command(clouds_node *node, const char *what, span line)
{
    if (strcmp(what, "subscribe") == 0) subscribe(node, line);
    else if (strcmp(what, "publish") == 0) publish_values(node, line);
    else return 0;
    return 1;
}

static void published(const subscription *s, const clouds_event *e)
{
    char *both;
    const char *meta = e->meta_len ? e->meta : "null";
    size_t meta_len = e->meta_len ? e->meta_len : 4;
    int n = asprintf(&both, "[%.*s,%.*s]", (int)e->data_len, e->data, (int)meta_len, meta);
    bytes_came(e->bytes, e->bytes_len);
    heard_of(s->key, strlen(s->key), s->meta ? (span){both, (size_t)n} : (span){e->data, e->data_len});
    bytes_came(NULL, 0);
    free(both);
}

void channel_event(const clouds_event *e)
{
    if (e->type != CLOUDS_EVENT_SUBSCRIBED && e->type != CLOUDS_EVENT_PUBLISHED) return;
    for (subscription *s = subscriptions; s; s = s->next) {
        if ((uint64_t)s->n != e->user_data) continue;
        if (e->type == CLOUDS_EVENT_PUBLISHED) {
            published(s, e);
        } else {
            check(e->code, "subscribed");
            answer_begin(s->n);
            answer_end();
        }
    }
}

void channels_forget(void)
{
    for (subscription *s; (s = subscriptions); free(s)) {
        subscriptions = s->next;
        free(s->key);
    }
}
