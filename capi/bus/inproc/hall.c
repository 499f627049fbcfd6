/* Design notes
 *
 * A hall is what all buses of one name in this process share: who sits there, who serves what, and a mailbox per bus.
 * One lock guards all of it and is held for the time of a copy. Nothing calls out of here but cl_waker_wake and, on the
 * bus's own thread, cl_loop_defer.
 *
 * The registry is the truth; news of it goes into every mailbox like any other frame, so it keeps its order with the
 * frames of the node that it is about. */
#include "bus/inproc/internal.h"

#include "base/error.h"
#include "base/mem.h"

struct cl_hall {
    cl_link place;
    pthread_mutex_t lock;
    int members_n;
    cl_link members;
    cl_strmap seats;   /* id -> cl_seat */
    cl_strmap methods; /* method -> cl_service */
    char name[];
};

enum { ASKS_MAX = 10000 };

/* A method, who offers it, and who asked for it: news of it is for those. */
typedef struct cl_service {
    cl_str method;
    cl_link offers, asks;
    char text[];
} cl_service;

typedef struct cl_ask {
    cl_link in_service, in_member;
    cl_service *service;
    cl_member *member;
} cl_ask;

typedef struct cl_offer {
    cl_link place;
    cl_service *service;
    cl_seat *seat;
} cl_offer;

static pthread_mutex_t halls_lock = PTHREAD_MUTEX_INITIALIZER;
static cl_link halls = {&halls, &halls};

/* ---- halls */

static cl_hall *find(const char *name)
{
    CL_LIST_EACH(it, &halls)
    if (strcmp(CL_OWNER(it, cl_hall, place)->name, name) == 0) return CL_OWNER(it, cl_hall, place);
    return NULL;
}

static cl_hall *make(const char *name)
{
    cl_hall *hall = cl_calloc(1, sizeof *hall + strlen(name) + 1);
    if (!hall) return NULL;
    memcpy(hall->name, name, strlen(name) + 1);
    pthread_mutex_init(&hall->lock, NULL);
    cl_list_init(&hall->members);
    cl_list_append(&halls, &hall->place);
    return hall;
}

int cl_hall_join(const char *name, cl_member *member, cl_hall **out)
{
    pthread_mutex_lock(&halls_lock);
    cl_hall *hall = find(name);
    if (!hall) hall = make(name);
    if (hall) {
        hall->members_n++;
        pthread_mutex_lock(&hall->lock);
        cl_list_init(&member->asks);
        cl_list_append(&hall->members, &member->place);
        pthread_mutex_unlock(&hall->lock);
    }
    pthread_mutex_unlock(&halls_lock);
    if (!hall) return cl_error(CLOUDS_ENOMEM, NULL);
    *out = hall;
    return 0;
}

void cl_hall_deafen(cl_hall *hall, cl_member *member)
{
    pthread_mutex_lock(&hall->lock);
    member->deaf = 1;
    pthread_mutex_unlock(&hall->lock);
}

static void end_ask(cl_hall *hall, cl_ask *ask);

void cl_hall_leave(cl_hall *hall, cl_member *member)
{
    pthread_mutex_lock(&halls_lock);
    pthread_mutex_lock(&hall->lock);
    while (!cl_list_empty(&member->asks)) end_ask(hall, CL_OWNER(member->asks.next, cl_ask, in_member));
    cl_strmap_free(&member->asked);
    cl_list_remove(&member->place);
    cl_buf_free(&member->box);
    pthread_mutex_unlock(&hall->lock);
    if (--hall->members_n == 0) {
        cl_list_remove(&hall->place);
        pthread_mutex_destroy(&hall->lock);
        cl_strmap_free(&hall->seats);
        cl_strmap_free(&hall->methods);
        cl_free(hall);
    }
    pthread_mutex_unlock(&halls_lock);
}

/* ---- mailboxes, under the lock */

static int put(cl_member *to, const cl_member *from, const cl_envelope *e)
{
    if (to->deaf) return CLOUDS_ENOSERVER;
    int code = cl_frame_encode(e, &to->box);
    if (code != 0 || to->rung) return code;
    to->rung = 1;
    if (to == from) cl_loop_defer(to->loop);
    else cl_waker_wake(to->bell);
    return 0;
}

/* Without memory for it, or behind a full mailbox that nobody reads, a bus learns it late: by its next look, or by its
 * calls' timeouts. */
static void tell_one(cl_member *to, const cl_member *from, const cl_envelope *e)
{
    if (to->box.len <= to->hard) put(to, from, e);
}

/* That a node drains or is gone concerns whoever has asked it something. */
static void tell_all(cl_hall *hall, const cl_member *from, int news, cl_str node)
{
    const cl_envelope e = {.type = news, .from = node};
    CL_LIST_EACH(it, &hall->members) tell_one(CL_OWNER(it, cl_member, place), from, &e);
}

static void tell_askers(const cl_service *service, const cl_member *from, int news, cl_str node)
{
    const cl_envelope e = {.type = news, .from = node, .method = service->method};
    CL_LIST_EACH(it, &service->asks) tell_one(CL_OWNER(it, cl_ask, in_service)->member, from, &e);
}

/* What fits the sender's limits mostly fits those of others, since these are mostly the same. */
static int is_too_big(const cl_member *from, const cl_member *to, const cl_envelope *e)
{
    if (from->message > to->message && cl_envelope_size(e) > to->message) return 1;
    int stricter = from->json.depth > to->json.depth || from->json.values > to->json.values;
    return stricter && cl_frame_check(e, to->json) == CLOUDS_ETOOBIG;
}

int cl_hall_post(cl_hall *hall, cl_member *from, const cl_envelope *e, size_t *most)
{
    pthread_mutex_lock(&hall->lock);
    cl_seat *seat = cl_strmap_get(&hall->seats, e->to);
    int code = CLOUDS_ENOSERVER;
    if (seat) {
        const cl_member *to = seat->member;
        size_t room = e->type == CL_RESULT ? to->hard : to->soft;
        *most = to->message;
        code = is_too_big(from, to, e) ? CLOUDS_ETOOBIG
               : to->box.len > room    ? CLOUDS_ELIMIT
                                       : put(seat->member, from, e);
    }
    pthread_mutex_unlock(&hall->lock);
    return code;
}

void cl_hall_fetch(cl_hall *hall, cl_member *member, cl_buf *out)
{
    pthread_mutex_lock(&hall->lock);
    cl_buf full = member->box;
    member->box = *out;
    member->rung = 0;
    pthread_mutex_unlock(&hall->lock);
    *out = full;
}

/* ---- seats and services */

int cl_hall_sit(cl_hall *hall, cl_seat *seat)
{
    pthread_mutex_lock(&hall->lock);
    int code = cl_strmap_get(&hall->seats, seat->id) ? CLOUDS_EEXIST : cl_strmap_put(&hall->seats, seat->id, seat);
    seat->taken = code == 0;
    pthread_mutex_unlock(&hall->lock);
    return code;
}

static cl_service *service_of(cl_hall *hall, cl_str method)
{
    cl_service *service = cl_strmap_get(&hall->methods, method);
    if (service) return service;
    service = cl_malloc(sizeof *service + method.n);
    if (!service) return NULL;
    memcpy(service->text, method.p, method.n);
    service->method = cl_str_of(service->text, method.n);
    cl_list_init(&service->offers);
    cl_list_init(&service->asks);
    if (cl_strmap_put(&hall->methods, service->method, service) == 0) return service;
    cl_free(service);
    return NULL;
}

static void end_if_unused(cl_hall *hall, cl_service *service)
{
    if (!service || !cl_list_empty(&service->offers) || !cl_list_empty(&service->asks)) return;
    cl_strmap_take(&hall->methods, service->method);
    cl_free(service);
}

static int enroll(cl_hall *hall, cl_seat *seat, cl_str method)
{
    if (cl_strmap_get(&seat->enrolled, method)) return 0;
    cl_service *service = service_of(hall, method);
    cl_offer *offer = service ? cl_malloc(sizeof *offer) : NULL;
    if (!offer || cl_strmap_put(&seat->enrolled, service->method, offer) != 0) {
        cl_free(offer);
        end_if_unused(hall, service);
        return CLOUDS_ENOMEM;
    }
    *offer = (cl_offer){.service = service, .seat = seat};
    cl_list_append(&service->offers, &offer->place);
    tell_askers(service, seat->member, CL_NEWS_UP, seat->id);
    return 0;
}

int cl_hall_enroll(cl_hall *hall, cl_seat *seat, cl_str method)
{
    pthread_mutex_lock(&hall->lock);
    int code = enroll(hall, seat, method);
    pthread_mutex_unlock(&hall->lock);
    return code;
}

static void end_offer(cl_hall *hall, cl_offer *offer)
{
    cl_list_remove(&offer->place);
    tell_askers(offer->service, offer->seat->member, CL_NEWS_DOWN, offer->seat->id);
    end_if_unused(hall, offer->service);
    cl_free(offer);
}

static void withdraw(cl_hall *hall, cl_seat *seat, cl_str method)
{
    cl_offer *offer = cl_strmap_take(&seat->enrolled, method);
    if (offer) end_offer(hall, offer);
}

void cl_hall_withdraw(cl_hall *hall, cl_seat *seat, cl_str method)
{
    pthread_mutex_lock(&hall->lock);
    withdraw(hall, seat, method);
    pthread_mutex_unlock(&hall->lock);
}

static void withdraw_all(cl_hall *hall, cl_seat *seat)
{
    cl_offer *offer;
    for (size_t at = 0; (offer = cl_strmap_next(&seat->enrolled, &at));) end_offer(hall, offer);
    cl_strmap_free(&seat->enrolled);
}

void cl_hall_drain(cl_hall *hall, cl_seat *seat)
{
    pthread_mutex_lock(&hall->lock);
    withdraw_all(hall, seat);
    tell_all(hall, seat->member, CL_NEWS_DRAINING, seat->id);
    pthread_mutex_unlock(&hall->lock);
}

void cl_hall_stand_up(cl_hall *hall, cl_seat *seat)
{
    if (!seat->taken) return;
    pthread_mutex_lock(&hall->lock);
    withdraw_all(hall, seat);
    cl_strmap_take(&hall->seats, seat->id);
    seat->taken = 0;
    seat->is_leaving = 1;
    pthread_mutex_unlock(&hall->lock);
}

void cl_hall_tell_gone(cl_hall *hall, cl_seat *seat)
{
    if (!seat->is_leaving) return;
    pthread_mutex_lock(&hall->lock);
    seat->is_leaving = 0;
    tell_all(hall, seat->member, CL_NEWS_GONE, seat->id);
    pthread_mutex_unlock(&hall->lock);
}

/* ---- asking */

static void end_ask(cl_hall *hall, cl_ask *ask)
{
    cl_service *service = ask->service;
    cl_strmap_take(&ask->member->asked, service->method);
    cl_list_remove(&ask->in_service);
    cl_list_remove(&ask->in_member);
    cl_free(ask);
    end_if_unused(hall, service);
}

/* The member hears of the method from now on; for the one it asked for first, if there are too many, no more. */
static int ask(cl_hall *hall, cl_member *member, cl_str method, cl_service **out)
{
    cl_ask *known = cl_strmap_get(&member->asked, method);
    if (known) {
        *out = known->service;
        return 0;
    }
    if (member->asked.len >= ASKS_MAX) end_ask(hall, CL_OWNER(member->asks.next, cl_ask, in_member));
    cl_service *service = service_of(hall, method);
    cl_ask *made = service ? cl_malloc(sizeof *made) : NULL;
    if (!made || cl_strmap_put(&member->asked, service->method, made) != 0) {
        cl_free(made);
        end_if_unused(hall, service);
        return CLOUDS_ENOMEM;
    }
    *made = (cl_ask){.service = service, .member = member};
    cl_list_append(&service->asks, &made->in_service);
    cl_list_append(&member->asks, &made->in_member);
    *out = service;
    return 0;
}

static int list_service(const cl_service *service, cl_buf *out)
{
    int code = 0;
    CL_LIST_EACH(it, &service->offers)
    {
        const cl_seat *seat = CL_OWNER(it, cl_offer, place)->seat;
        const cl_envelope e = {.type = CL_NEWS_UP, .from = seat->id, .method = service->method};
        if (code == 0) code = cl_frame_encode(&e, out);
    }
    return code;
}

int cl_hall_list(cl_hall *hall, cl_member *member, const cl_str *method, cl_buf *out)
{
    int code = 0;
    pthread_mutex_lock(&hall->lock);
    cl_service *service;
    if (method) {
        code = ask(hall, member, *method, &service);
        if (code == 0) code = list_service(service, out);
    } else {
        for (size_t at = 0; code == 0 && (service = cl_strmap_next(&hall->methods, &at));)
            code = list_service(service, out);
    }
    pthread_mutex_unlock(&hall->lock);
    return code;
}
