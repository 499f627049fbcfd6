/* Where native nodes are, for links: the addresses in their records. A list of servers brings them along (lookup.c);
 * the record of another node is asked for when somebody wants to know where it is, and again when it is announced. A
 * place that changed is reported, so that nobody goes on to the old one. npm nodes have none: everybody is reached by
 * the channel of its id. */
#include <stdio.h>

#include "base/mem.h"
#include "directory/redis/internal.h"
#include "clouds.h"

enum { MOST = 10000 };

typedef struct redis_place {
    cl_str id;
    unsigned refs; /* its record is asked for */
    char *at;      /* NULL: no link leads there, as far as is known */
    char text[];
} redis_place;

static const cl_redis_handler record_handler;

/* ---- the record */

static void add_text(cl_json *j, cl_address *list, size_t *n)
{
    cl_str text;
    int escaped;
    if (cl_json_string(j, &text, &escaped) != 0 || escaped || text.n >= sizeof list->text) return;
    if (*n == REDIS_ADDRESSES) return;
    memcpy(list[*n].text, text.p, text.n);
    list[(*n)++].text[text.n] = '\0';
}

/* "at" is an array; in a record of version 1 it is a text. */
static void read_addresses(cl_json *j, cl_address *list, size_t *n)
{
    if (cl_json_enter(j, '[') != 0) return;
    while (cl_json_element(j) > 0) {
        if (cl_json_peek(j) != '"') return;
        add_text(j, list, n);
    }
}

void cl_redis_record_address(cl_str record, cl_address *out)
{
    cl_json j;
    cl_str key, ignored;
    cl_address list[REDIS_ADDRESSES];
    size_t n = 0;
    int escaped;
    out->text[0] = '\0';
    cl_json_start(&j, record, (cl_json_limits){8, 200});
    if (cl_json_enter(&j, '{') != 0) return;
    while (cl_json_member(&j, &key, &escaped) > 0) {
        if (cl_str_eq(key, CL_STR("at")) && cl_json_peek(&j) == '[') {
            read_addresses(&j, list, &n);
            break;
        }
        if (cl_json_value(&j, &ignored) != 0) break;
    }
    cl_address_join(list, n, out);
}

/* ---- what is known */

static void place_free(redis_place *place)
{
    cl_free(place->at);
    cl_free(place);
}

/* Ids that are never seen again would stay for ever: all are learned anew. */
static void drop_all(redis_directory *d)
{
    cl_strmap kept = {0};
    size_t at = 0;
    for (redis_place *place; (place = cl_strmap_next(&d->places, &at));)
        if (place->refs && cl_strmap_put(&kept, place->id, place) != 0) {
            cl_strmap_free(&kept);
            return;
        }
    at = 0;
    for (redis_place *place; (place = cl_strmap_next(&d->places, &at));)
        if (!place->refs) place_free(place);
    cl_strmap_free(&d->places);
    d->places = kept;
}

static redis_place *place_of(redis_directory *d, cl_str id)
{
    redis_place *place = cl_strmap_get(&d->places, id);
    if (place) return place;
    if (d->places.len >= MOST) drop_all(d);
    place = cl_calloc(1, sizeof *place + id.n);
    if (!place) return NULL;
    memcpy(place->text, id.p, id.n);
    place->id = cl_str_of(place->text, id.n);
    if (cl_strmap_put(&d->places, place->id, place) == 0) return place;
    cl_free(place);
    return NULL;
}

static int is_same(const redis_place *place, const cl_address *at)
{
    return place->at ? strcmp(place->at, at->text) == 0 : !at->text[0];
}

/* What is reported may ask where the node is. */
static void set(redis_directory *d, redis_place *place, cl_str record)
{
    cl_address at;
    cl_redis_record_address(record, &at);
    if (is_same(place, &at)) return;
    cl_free(place->at);
    place->at = at.text[0] ? cl_str_dup(cl_str_z(at.text)) : NULL;
    d->sink.located(d->sink.self, place->id, 0, &at);
}

void cl_redis_place_learn(redis_directory *d, cl_str id, cl_str record)
{
    redis_place *place = d->wants_places ? place_of(d, id) : NULL;
    if (place) set(d, place, record);
}

static void ask(redis_directory *d, redis_place *place)
{
    cl_buf key = {0};
    int code = cl_buf_put_str(&key, d->client->prefix);
    if (code == 0) code = cl_buf_put(&key, ":N:", 3);
    if (code == 0) code = cl_buf_put_str(&key, place->id);
    cl_str get[] = {CL_STR("GET"), cl_buf_str(&key)};
    if (code == 0 && cl_redis_client_send(d->client, &record_handler, place, 2, get) == 0) place->refs++;
    cl_buf_free(&key);
}

void cl_redis_place_announced(redis_directory *d, cl_str id)
{
    redis_place *place = cl_strmap_get(&d->places, id);
    if (place) ask(d, place);
}

static void on_record(void *self, const cl_pending *pending, const cl_reply *reply)
{
    redis_place *place = cl_redis_from_ref(pending);
    int is_there = reply->items[0].type == CL_REPLY_STRING;
    place->refs--;
    set(redis_directory_of(self), place, is_there ? cl_reply_text(reply, 0) : CL_STR_NONE);
}

static void on_record_lost(void *self, const cl_pending *pending, int sent)
{
    ((redis_place *)cl_redis_from_ref(pending))->refs--;
}

static const cl_redis_handler record_handler = {"GET", on_record, on_record_lost, 0};

int cl_redis_locate(cl_directory *base, cl_str id, cl_address *address)
{
    redis_directory *d = redis_of(base);
    redis_place *place = d->wants_places ? cl_strmap_get(&d->places, id) : NULL;
    if (d->wants_places && !place && (place = place_of(d, id))) ask(d, place);
    snprintf(address->text, sizeof address->text, "%s", place && place->at ? place->at : "channel:");
    return 0;
}

void cl_redis_places_free(redis_directory *d)
{
    size_t at = 0;
    for (redis_place *place; (place = cl_strmap_next(&d->places, &at));) place_free(place);
    cl_strmap_free(&d->places);
}
