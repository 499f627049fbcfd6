/* What the bus asks of a directory of the program's. */
#include <stdio.h>

#include "base/error.h"
#include "base/mem.h"
#include "directory/own/internal.h"
#include "proto/limits.h"

/* ---- to the program */

static int ended(int code)
{
    return cl_plugin_ended(code, CL_PENDING, "the directory");
}

static int claim(cl_directory *d, void *node, cl_str id, double heartbeat, cl_address *at)
{
    own_directory *o = OWN(d);
    clouds_address place = {""};
    int code;
    ASK(o, 0, code = THEIRS(o)->claim(IT(o), node, id.p, id.n, heartbeat, &place));
    place.text[sizeof place.text - 1] = '\0';
    snprintf(at->text, sizeof at->text, "%s", place.text);
    return ended(code);
}

static int announce(cl_directory *d, void *node, const cl_address *addresses, size_t n)
{
    own_directory *o = OWN(d);
    clouds_address list[CLOUDS_ADDRESSES];
    if (n > CLOUDS_ADDRESSES) n = CLOUDS_ADDRESSES;
    for (size_t i = 0; i < n; i++) snprintf(list[i].text, sizeof list[i].text, "%s", addresses[i].text);
    int code;
    ASK(o, 0, code = THEIRS(o)->announce(IT(o), node, list, n));
    return ended(code);
}

static void unlistened(cl_directory *d, void *node, int code, const char *words)
{
    ASK(OWN(d), 0, THEIRS(OWN(d))->unlistened(IT(OWN(d)), node, code, words));
}

static int add(cl_directory *d, void *node, cl_str method, uint64_t operation)
{
    int code;
    ASK(OWN(d), 0, code = THEIRS(OWN(d))->add(IT(OWN(d)), node, method.p, method.n, operation));
    return ended(code);
}

static int remove_method(cl_directory *d, void *node, cl_str method, uint64_t operation)
{
    int code;
    ASK(OWN(d), 0, code = THEIRS(OWN(d))->remove(IT(OWN(d)), node, method.p, method.n, operation));
    return ended(code);
}

static void abandon(cl_directory *d, uint64_t operation)
{
    ASK(OWN(d), 0, THEIRS(OWN(d))->abandon(IT(OWN(d)), operation));
}

static void pause_method(cl_directory *d, void *node, cl_str method, int paused)
{
    ASK(OWN(d), 0, THEIRS(OWN(d))->pause(IT(OWN(d)), node, method.p, method.n, paused));
}

static void describe(cl_directory *d, void *node, const cl_traits *traits)
{
    cl_str tags = cl_traits_tags(traits);
    if (THEIRS(OWN(d))->describe)
        ASK(OWN(d), 0, THEIRS(OWN(d))->describe(IT(OWN(d)), node, traits->weight, tags.p, tags.n));
}

static int subscribe(cl_directory *d, void *node, cl_str topic, cl_str group)
{
    int code;
    ASK(OWN(d), 0, code = THEIRS(OWN(d))->subscribe(IT(OWN(d)), node, topic.p, topic.n, group.p, group.n));
    return ended(code);
}

static void unsubscribe(cl_directory *d, void *node, cl_str topic, cl_str group)
{
    ASK(OWN(d), 0, THEIRS(OWN(d))->unsubscribe(IT(OWN(d)), node, topic.p, topic.n, group.p, group.n));
}

static int follow(cl_directory *d)
{
    int code;
    ASK(OWN(d), 1, code = THEIRS(OWN(d))->follow(IT(OWN(d))));
    return ended(code);
}

static void drain(cl_directory *d, void *node)
{
    ASK(OWN(d), 0, THEIRS(OWN(d))->drain(IT(OWN(d)), node));
}

static int leave(cl_directory *d, void *node)
{
    int code;
    ASK(OWN(d), 0, code = THEIRS(OWN(d))->leave(IT(OWN(d)), node));
    return code == CL_PENDING ? code : 0;
}

static void lookup(cl_directory *d, cl_str method, int known)
{
    ASK(OWN(d), 0, THEIRS(OWN(d))->lookup(IT(OWN(d)), method.p, method.n, known));
}

static void unwatch(cl_directory *d, cl_str method)
{
    ASK(OWN(d), 0, THEIRS(OWN(d))->unwatch(IT(OWN(d)), method.p, method.n));
}

static int locate(cl_directory *d, cl_str id, cl_address *address)
{
    clouds_address place = {""};
    int code;
    ASK(OWN(d), 0, code = THEIRS(OWN(d))->locate(IT(OWN(d)), id.p, id.n, &place));
    place.text[sizeof place.text - 1] = '\0';
    if (code == 0) snprintf(address->text, sizeof address->text, "%s", place.text);
    return ended(code);
}

static int has_other(cl_directory *d, cl_str id)
{
    int result;
    ASK(OWN(d), 0, result = THEIRS(OWN(d))->has_other(IT(OWN(d)), id.p, id.n));
    return result;
}

static void suspend(cl_directory *d, cl_str id, int on)
{
    ASK(OWN(d), 1, THEIRS(OWN(d))->suspend(IT(OWN(d)), id.p, id.n, on));
}

static void suspect(cl_directory *d, cl_str id, int was_open)
{
    ASK(OWN(d), 1, THEIRS(OWN(d))->suspect(IT(OWN(d)), id.p, id.n, was_open));
}

static void status(cl_directory *d, uint64_t operation)
{
    ASK(OWN(d), 0, THEIRS(OWN(d))->status(IT(OWN(d)), operation));
}

static void flush(cl_directory *d)
{
    cl_plugin_flush(&OWN(d)->plugin);
}

static void close_directory(cl_directory *d)
{
    ASK(OWN(d), 0, THEIRS(OWN(d))->close(IT(OWN(d))));
}

static void destroy(cl_directory *d)
{
    own_directory *o = OWN(d);
    o->plugin.ended = 1;
    if (IT(o)) ASK(o, 0, THEIRS(o)->destroy(IT(o)));
    cl_plugin_free(&o->plugin);
    cl_free(o);
}

/* ---- making one */

int cl_own_directory_prepare(cl_own_directory_kind *kind)
{
    const clouds_directory_ops *t = &kind->theirs;
    const struct {
        const char *name;
        int is_there;
    } needed[] = {{"create", t->create != NULL}, {"close", t->close != NULL},       {"destroy", t->destroy != NULL},
                  {"claim", t->claim != NULL},   {"announce", t->announce != NULL}, {"add", t->add != NULL},
                  {"remove", t->remove != NULL}, {"drain", t->drain != NULL},       {"leave", t->leave != NULL},
                  {"lookup", t->lookup != NULL}, {"locate", t->locate != NULL},     {"status", t->status != NULL}};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        if (!needed[i].is_there) return cl_error(CLOUDS_EINVAL, "clouds_directory_ops: %s is NULL", needed[i].name);
    int channels = !!t->subscribe + !!t->unsubscribe + !!t->follow;
    if (channels % 3)
        return cl_error(CLOUDS_EINVAL, "clouds_directory_ops: of subscribe, unsubscribe and follow some are NULL");
    kind->ops = (cl_directory_ops){.claim = claim,
                                   .announce = announce,
                                   .unlistened = t->unlistened ? unlistened : NULL,
                                   .add = add,
                                   .remove = remove_method,
                                   .abandon = t->abandon ? abandon : NULL,
                                   .pause = t->pause ? pause_method : NULL,
                                   .describe = describe,
                                   .subscribe = t->subscribe ? subscribe : NULL,
                                   .unsubscribe = t->unsubscribe ? unsubscribe : NULL,
                                   .follow = t->follow ? follow : NULL,
                                   .drain = drain,
                                   .leave = leave,
                                   .lookup = lookup,
                                   .unwatch = t->unwatch ? unwatch : NULL,
                                   .locate = locate,
                                   .has_other = t->has_other ? has_other : NULL,
                                   .suspend = t->suspend ? suspend : NULL,
                                   .suspect = t->suspect ? suspect : NULL,
                                   .status = status,
                                   .flush = flush,
                                   .close = close_directory,
                                   .destroy = destroy};
    return 0;
}

int cl_own_directory_create(struct cl_loop *loop, const cl_own_directory_kind *kind, cl_str address, int only_links,
                            const cl_limits *limits, const cl_directory_sink *sink, cl_directory **out)
{
    const clouds_directory_ops *t = &kind->theirs;
    const cl_plugin_ops ops = {t->ready, t->due, t->woken, t->flush};
    own_directory *o = cl_calloc(1, sizeof *o);
    if (!o) return cl_error(CLOUDS_ENOMEM, NULL);
    o->base.ops = &kind->ops;
    o->kind = kind;
    o->sink = *sink;
    o->theirs = cl_own_directory_sink;
    o->theirs.self = o;
    o->native = only_links ? CL_NATIVE_LINKED : CL_NATIVE_FRAMES;
    int code = cl_plugin_init(&o->plugin, loop, &ops, limits->message, &o->base.has_work);
    o->is_creating = 1;
    if (code == 0)
        ASK(o, 0, code = t->create(t->user_data, &o->plugin.host, &o->theirs, address.p, address.n, &IT(o)));
    o->is_creating = 0;
    if (code != 0) IT(o) = NULL;
    if (code == 0 && !IT(o)) code = cl_error(CLOUDS_EINVAL, "create of the directory made nothing");
    if (code == CL_PENDING) code = cl_error(CLOUDS_EINVAL, "create of the directory returned CLOUDS_PENDING");
    code = ended(code);
    if (code == 0) *out = &o->base;
    else destroy(&o->base);
    return code;
}
