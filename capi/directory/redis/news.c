/* Which channels of announcements are listened to. Each method has one, <prefix>:D<database>:<method>; it is subscribed
 * to when the method is first looked up and left when nobody looks any more, so who comes and goes wakes only those
 * that may call it.
 *
 * Version 0.2 knows one channel for all methods. It is listened to beside them, for what nodes of 0.2 announce. Those
 * that do so subscribe to <prefix>:D<database> too, and behind it: so who announces sees from the two counts whether
 * somebody of 0.2 listens, and repeats its news there only then (announcements.c). Whoever subscribes in between looks
 * afterwards, so nothing is missed. */
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "clouds.h"
#include "directory/redis/internal.h"

/* The channel of a method. */
typedef struct redis_news {
    unsigned refs; /* pending commands that point here */
    unsigned asks; /* those of them that subscribe */
    int wanted, asked, confirmed;
    cl_str channel, method; /* in `text` */
    char text[];
} redis_news;

static const cl_redis_handler all_handler, marker_handler, subscribe_handler, unsubscribe_handler;

/* ---- the channel of a method */

static redis_news *news_make(redis_directory *d, cl_str method)
{
    cl_str head = d->client->method_news;
    redis_news *news = cl_calloc(1, sizeof *news + head.n + method.n);
    if (!news) return NULL;
    memcpy(news->text, head.p, head.n);
    memcpy(news->text + head.n, method.p, method.n);
    news->channel = cl_str_of(news->text, head.n + method.n);
    news->method = cl_str_of(news->text + head.n, method.n);
    if (cl_strmap_put(&d->news, news->method, news) == 0) return news;
    cl_free(news);
    return NULL;
}

static void free_if_unused(redis_directory *d, redis_news *news)
{
    if (news->wanted || news->refs) return;
    cl_strmap_take(&d->news, news->method);
    cl_free(news);
}

static int send_one(redis_directory *d, redis_news *news, const cl_redis_handler *handler, cl_str verb)
{
    cl_str command[] = {verb, news->channel};
    if (cl_session_send(d->client->subscriber, handler, cl_redis_ref(news), 2, command)) {
        cl_session_cut(d->client->subscriber, CLOUDS_ENOMEM, "out of memory");
        return 0;
    }
    news->refs++;
    return 1;
}

static void ask(redis_directory *d, redis_news *news)
{
    if (news->asked) return;
    news->asked = 1;
    if (!send_one(d, news, &subscribe_handler, CL_STR("SUBSCRIBE"))) return;
    news->asks++;
    d->subscribing++;
}

static void on_method_subscribed(void *self, const cl_pending *pending, const cl_reply *reply)
{
    redis_directory *d = redis_directory_of(self);
    redis_news *news = cl_redis_from_ref(pending);
    cl_redis_error_text words;
    int code, confirmed = cl_redis_client_is_confirmed(d->client, reply, "subscribe", &code, &words);
    news->refs--;
    news->asks--;
    d->subscribing--;
    if (confirmed < 0) return; /* the connection is cut: `down` follows */
    if (!confirmed && !d->refuses_news) cl_log(CLOUDS_LOG_WARN, "no announcements of servers from Redis: %s", words.text);
    d->refuses_news = !confirmed;
    news->confirmed = news->wanted && news->asks == 0;
    cl_redis_lookups_begin(d, news->method);
    free_if_unused(d, news);
    cl_redis_check_up(d);
}

static void on_method_lost(void *self, const cl_pending *pending, int sent)
{
    redis_directory *d = redis_directory_of(self);
    redis_news *news = cl_redis_from_ref(pending);
    news->refs--;
    news->asks--;
    d->subscribing--;
    free_if_unused(d, news);
}

static void on_unsubscribed(void *self, const cl_pending *pending, const cl_reply *reply)
{
    redis_directory *d = redis_directory_of(self);
    redis_news *news = cl_redis_from_ref(pending);
    int code;
    cl_redis_error_text words;
    news->refs--;
    cl_redis_client_is_confirmed(d->client, reply, "unsubscribe", &code, &words);
    free_if_unused(d, news);
}

static void on_unsubscribe_lost(void *self, const cl_pending *pending, int sent)
{
    redis_news *news = cl_redis_from_ref(pending);
    news->refs--;
    free_if_unused(redis_directory_of(self), news);
}

static const cl_redis_handler subscribe_handler = {"SUBSCRIBE", on_method_subscribed, on_method_lost, 0};
static const cl_redis_handler unsubscribe_handler = {"UNSUBSCRIBE", on_unsubscribed, on_unsubscribe_lost, 0};

/* ---- the channel of all methods, and that of who knows more than it */

static void on_all_subscribed(void *self, const cl_pending *pending, const cl_reply *reply)
{
    redis_directory *d = redis_directory_of(self);
    cl_redis_error_text words;
    int code, confirmed = cl_redis_client_is_confirmed(d->client, reply, "subscribe", &code, &words);
    d->subscribing--;
    if (confirmed == 0) cl_log(CLOUDS_LOG_WARN, "no announcements of nodes of version 0.2 from Redis: %s", words.text);
    if (confirmed >= 0) cl_redis_check_up(d);
}

static void on_marker_subscribed(void *self, const cl_pending *pending, const cl_reply *reply)
{
    redis_directory *d = redis_directory_of(self);
    cl_redis_error_text words;
    int code, confirmed = cl_redis_client_is_confirmed(d->client, reply, "subscribe", &code, &words);
    d->subscribing--;
    if (confirmed >= 0) cl_redis_check_up(d);
}

static void on_lost(void *self, const cl_pending *pending, int sent)
{
    redis_directory_of(self)->subscribing--;
}

static const cl_redis_handler all_handler = {"SUBSCRIBE", on_all_subscribed, on_lost, 0};
static const cl_redis_handler marker_handler = {"SUBSCRIBE", on_marker_subscribed, on_lost, 0};

static void subscribe(redis_directory *d, const cl_redis_handler *handler, cl_str channel)
{
    cl_str command[] = {CL_STR("SUBSCRIBE"), channel};
    if (cl_session_send(d->client->subscriber, handler, 0, 2, command))
        cl_session_cut(d->client->subscriber, CLOUDS_ENOMEM, "out of memory");
    else d->subscribing++;
}

static void subscribe_to_all(redis_directory *d)
{
    subscribe(d, &all_handler, d->client->announce_channel);
    if (cl_session_is_ready(d->client->subscriber)) subscribe(d, &marker_handler, d->client->news_marker);
}

/* ---- for the directory */

int cl_redis_news_want(redis_directory *d, cl_str method)
{
    redis_news *news = cl_strmap_get(&d->news, method);
    if (!news) news = news_make(d, method);
    if (!news) return CLOUDS_ENOMEM;
    news->wanted = 1;
    int was_wanted = d->wants_announcements;
    d->wants_announcements = 1;
    if (news->confirmed || !cl_session_is_ready(d->client->subscriber)) return 0;
    if (!was_wanted) subscribe_to_all(d);
    if (cl_session_is_ready(d->client->subscriber)) ask(d, news);
    return news->asks ? CL_PENDING : 0;
}

void cl_redis_unwatch(cl_directory *base, cl_str method)
{
    redis_directory *d = redis_of(base);
    redis_news *news = cl_strmap_get(&d->news, method);
    if (!news || !news->wanted) return;
    int was_asked = news->asked;
    news->wanted = news->asked = news->confirmed = 0;
    if (was_asked && cl_session_is_ready(d->client->subscriber))
        send_one(d, news, &unsubscribe_handler, CL_STR("UNSUBSCRIBE"));
    free_if_unused(d, news);
}

void cl_redis_news_ready(redis_directory *d)
{
    size_t at = 0;
    if (!d->wants_announcements) return;
    d->base.up = 0;
    subscribe_to_all(d);
    for (redis_news *news; (news = cl_strmap_next(&d->news, &at));)
        if (news->wanted && cl_session_is_ready(d->client->subscriber)) ask(d, news);
}

void cl_redis_news_down(redis_directory *d)
{
    size_t at = 0;
    for (redis_news *news; (news = cl_strmap_next(&d->news, &at));) news->asked = news->confirmed = 0;
}

void cl_redis_news_free(redis_directory *d)
{
    size_t at = 0;
    for (redis_news *news; (news = cl_strmap_next(&d->news, &at));) cl_free(news);
    cl_strmap_free(&d->news);
}
