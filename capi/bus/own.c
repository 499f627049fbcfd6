#include "bus/own.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "bus/internal.h"

/* ---- what is registered. It stays, so whoever has found it needs no lock. */

typedef struct row {
    cl_list_node place;
    int is_transport;
    char name[CLOUDS_SCHEME_SIZE];
    union {
        cl_own_directory_kind directory;
        cl_own_transport_kind transport;
    } kind;
} row;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static cl_list_node rows = {&rows, &rows};

static row *find_locked(int is_transport, cl_str name)
{
    CL_LIST_EACH(it, &rows)
    {
        row *r = CL_OWNER(it, row, place);
        if (r->is_transport == is_transport && cl_str_eq(cl_str_z(r->name), name)) return r;
    }
    return NULL;
}

static row *find(int is_transport, cl_str name)
{
    pthread_mutex_lock(&lock);
    row *r = find_locked(is_transport, name);
    pthread_mutex_unlock(&lock);
    return r;
}

static int check_name(const char *name, const char *what)
{
    size_t n = name ? strlen(name) : 0;
    size_t good = n ? strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") : 0;
    if (n && n < CLOUDS_SCHEME_SIZE && good == n && name[0] >= 'a' && name[0] <= 'z') return 0;
    return cl_error(
        CLOUDS_EINVAL,
        "the name of a %s is \"%.40s\": expected a small letter, then at most %d small letters, digits, '.' and '-'",
        what, name ? name : "", CLOUDS_SCHEME_SIZE - 2);
}

static int is_the_librarys(const char *name)
{
    static const char *const names[] = {"redis",  "rediss", "local",   "inproc", "etcd", "etcds", "folder",
                                        "memory", "link",   "mailbox", "pubsub", "unix", "tcp",   "channel"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0) return 1;
    return 0;
}

static int add(row *r, const char *what)
{
    pthread_mutex_lock(&lock);
    int is_taken = find_locked(r->is_transport, cl_str_z(r->name)) != NULL;
    if (!is_taken) cl_list_append(&rows, &r->place);
    pthread_mutex_unlock(&lock);
    return is_taken ? cl_error(CLOUDS_EEXIST, "a %s is registered as \"%s\" already", what, r->name) : 0;
}

static int make(const char *name, const char *what, row **out)
{
    int code = check_name(name, what);
    if (code != 0) return code;
    if (is_the_librarys(name)) return cl_error(CLOUDS_EEXIST, "\"%s\" is a name of the library's own", name);
    row *r = cl_calloc(1, sizeof *r);
    if (!r) return cl_error(CLOUDS_ENOMEM, NULL);
    cl_list_init(&r->place);
    strcpy(r->name, name);
    *out = r;
    return 0;
}

int cl_bus_register_directory(const char *scheme, const cl_own_directory_kind *kind)
{
    row *r;
    int code = make(scheme, "directory", &r);
    if (code != 0) return code;
    r->kind.directory = *kind;
    code = add(r, "directory");
    if (code != 0) cl_free(r);
    return code;
}

int cl_bus_register_transport(const char *name, const cl_own_transport_kind *kind)
{
    row *r;
    int code = make(name, "transport", &r);
    if (code != 0) return code;
    r->is_transport = 1;
    r->kind.transport = *kind;
    code = add(r, "transport");
    if (code != 0) cl_free(r);
    return code;
}

/* ---- addresses: [transport+]directory:rest */

typedef struct parts {
    cl_str transport; /* empty: the library's links */
    cl_str directory, rest;
} parts;

static int split(cl_str text, parts *out)
{
    const char *colon = text.n ? memchr(text.p, ':', text.n) : NULL;
    if (!colon) return 0;
    cl_str scheme = cl_str_of(text.p, (size_t)(colon - text.p));
    const char *plus = scheme.n ? memchr(scheme.p, '+', scheme.n) : NULL;
    size_t head = plus ? (size_t)(plus - scheme.p) : 0, skip = plus ? head + 1 : 0;
    *out = (parts){cl_str_of(scheme.p, head), cl_str_of(scheme.p + skip, scheme.n - skip),
                   cl_str_of(colon + 1, text.n - scheme.n - 1)};
    return 1;
}

static int is_named(cl_str name, const char *const *names)
{
    while (*names && !cl_str_eq(name, cl_str_z(*names))) names++;
    return *names != NULL;
}

int cl_bus_own_has_sentinels(const cl_url *url)
{
    parts p = {0};
    return url->kind == CL_URL_OWN && split(cl_str_z(url->path), &p) && !find(0, p.directory) &&
           memmem(p.directory.p, p.directory.n, "+sentinel", 9) != NULL;
}

int cl_bus_own_url(cl_str text, cl_url *out)
{
    static const char *const known[] = {"local",  "inproc",     "etcd",           "etcds",           "redis",
                                        "rediss", "redis+unix", "redis+sentinel", "rediss+sentinel", NULL};
    parts p;
    if (!split(text, &p)) return 0;
    const row *transport = p.transport.n ? find(1, p.transport) : NULL, *directory = find(0, p.directory);
    int is_known = is_named(p.directory, known);
    if (!transport && !directory && !(p.transport.n && is_known)) return 0;
    if (!transport && p.transport.n)
        return cl_error(CLOUDS_EURL, "no transport is registered as \"%.*s\"",
                        (int)(p.transport.n < 64 ? p.transport.n : 64), p.transport.p);
    if (!directory && !is_known)
        return cl_error(CLOUDS_EURL, "no directory is registered as \"%.*s\"",
                        (int)(p.directory.n < 64 ? p.directory.n : 64), p.directory.p);
    int code = cl_url_of_own(text, out);
    return code ? code : 1;
}

/* ---- making a bus */

/* The address of a directory of the library's, with what options say beside it. */
typedef struct known {
    cl_url url;
    char *prefix, *password; /* its own */
} known;

static int known_read(known *k, const cl_url *said, cl_str text)
{
    int code = cl_url_parse(text, &k->url);
    if (code != 0) return code;
    cl_url *url = &k->url;
    k->prefix = url->prefix;
    k->password = url->password;
    if (said->prefix[0]) url->prefix = said->prefix;
    if (said->password[0]) url->password = said->password;
    url->sentinel_user = said->sentinel_user;
    url->sentinel_password = said->sentinel_password;
    cl_url_tls_override(&url->tls, &said->tls);
    return 0;
}

static void known_free(known *k)
{
    k->url.prefix = k->prefix;
    k->url.password = k->password;
    cl_url_free(&k->url);
}

static int add_transport(cl_composed *bus, const row *transport, cl_str rest, const cl_limits *limits)
{
    const cl_transport_sink sink = cl_bus_transport_sink(bus, 0);
    cl_str name = bus->beside == CL_BESIDE_OWN ? cl_str_z(transport->name) : CL_STR_NONE;
    return cl_own_transport_create(bus->loop, &transport->kind.transport, name, rest, limits, &sink,
                                   &bus->transports[0]);
}

/* On Redis there may be nodes that it does not reach, those of npm among them. */
static int add_beside_pubsub(cl_composed *bus, const cl_url *url, const row *transport, cl_str rest,
                             const cl_limits *limits)
{
    bus->beside = CL_BESIDE_OWN;
    int code = cl_bus_add_redis(bus, url, limits, 1);
    if (code == 0) code = add_transport(bus, transport, rest, limits);
    return code ? code : cl_bus_add_pubsub(bus, 1);
}

static int add_known(cl_composed *bus, const cl_url *url, const row *transport, cl_str rest, const cl_limits *limits)
{
    const cl_directory_sink sink = cl_bus_directory_sink(bus);
    int code;
    switch (url->kind) {
    case CL_URL_INPROC:
        code = cl_memory_directory_create(bus->loop, url->name, limits, &sink, &bus->directory);
        break;
    case CL_URL_LOCAL:
        code = cl_folder_directory_create(bus->loop, url->name, &sink, &bus->directory);
        break;
    case CL_URL_ETCD:
        code = cl_etcd_directory_create(bus->loop, url, limits, &sink, &bus->directory);
        break;
    default:
        return add_beside_pubsub(bus, url, transport, rest, limits);
    }
    bus->held_most = limits->write_soft;
    return code ? code : add_transport(bus, transport, rest, limits);
}

static int compose_known(cl_composed *bus, const cl_url *url, const parts *p, const row *transport,
                         const cl_limits *limits)
{
    known k;
    int code = known_read(&k, url, cl_str_z(p->directory.p));
    if (code != 0) return code;
    code = add_known(bus, &k.url, transport, p->rest, limits);
    known_free(&k);
    return code;
}

int cl_bus_compose_own(cl_composed *bus, const cl_url *url, const cl_limits *limits)
{
    const cl_directory_sink sink = cl_bus_directory_sink(bus);
    parts p = {0};
    split(cl_str_z(url->path), &p);
    const row *transport = find(1, p.transport), *directory = find(0, p.directory);
    if (!directory) return compose_known(bus, url, &p, transport, limits);
    bus->held_most = limits->write_soft;
    int code = cl_own_directory_create(bus->loop, &directory->kind.directory, p.rest, !transport, limits, &sink,
                                       &bus->directory);
    if (code != 0) return code;
    return transport ? add_transport(bus, transport, p.rest, limits) : cl_bus_add_links(bus, limits);
}
