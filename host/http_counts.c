/* Design note. Routes are found by the address of their pattern, which Lua keeps as long as the route: one look into a
 * small table for a request. A pattern belongs to the program, so that there are few; what clients make up never makes
 * one. */
#include "http_counts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>
#include <lauxlib.h>

#include <clouds.h>
#include <clouds_worker.h>

#include "http_box.h"

enum { ROUTES = 500, STATUSES = 600, SLOTS = 1024 };

/* Before a route is known, and when there is none. */
#define NO_ROUTE "none"

typedef struct host_http_route {
    char *pattern;
    clouds_route_counts *counts;
    uint64_t *statuses[STATUSES]; /* NULL: there was none */
} host_http_route;

static struct {
    host_http_route *slots[SLOTS];
    int count;
    host_http_route *none;
    bool has_begun;
} routes;

static const uint64_t bounds[CLOUDS_BOUNDS] = CLOUDS_BOUNDS_LIST;

static host_http_route *create(const char *pattern)
{
    enum { VALUES = sizeof(clouds_route_counts) / sizeof(uint64_t) };
    uint64_t *values = clouds_counts_add(NULL, CLOUDS_COUNTS_ROUTE, pattern, strlen(pattern), VALUES);
    host_http_route *route = values ? calloc(1, sizeof *route) : NULL;
    if (!route) return NULL;
    route->counts = (clouds_route_counts *)(void *)values;
    if ((route->pattern = strdup(pattern))) return route;
    free(route);
    return NULL;
}

static host_http_route **slot_of(const char *pattern)
{
    uint64_t hash = 14695981039346656037u;
    for (const char *c = pattern; *c; c++) hash = (hash ^ (unsigned char)*c) * 1099511628211u;
    host_http_route **slot = &routes.slots[hash % SLOTS];
    while (*slot && strcmp((*slot)->pattern, pattern) != 0)
        if (++slot == routes.slots + SLOTS) slot = routes.slots;
    return slot;
}

/* NULL: nothing is counted here, or that is one too many. */
static host_http_route *find(const char *pattern)
{
    host_http_route **slot = slot_of(pattern);
    if (*slot || routes.count >= ROUTES || !(*slot = create(pattern))) return *slot;
    routes.count++;
    return *slot;
}

static host_http_route *no_route(void)
{
    if (!routes.none && routes.has_begun) routes.none = create(NO_ROUTE);
    return routes.none;
}

void host_http_counts_begin(void)
{
    routes.has_begun = true;
}

static void count_status(host_http_route *route, int status)
{
    char name[1024 + 16];
    if (status < 0 || status >= STATUSES) return;
    uint64_t **value = &route->statuses[status];
    if (!*value) {
        int n = snprintf(name, sizeof name, "%d %s", status, route->pattern);
        *value = clouds_counts_add(NULL, CLOUDS_COUNTS_STATUS, name, (size_t)n, 1);
    }
    if (*value) ++**value;
}

static void count_time(clouds_route_counts *counts, uint64_t began)
{
    uint64_t micros = (uv_hrtime() - began) / 1000;
    int i = 0;
    while (i < CLOUDS_BOUNDS && micros > bounds[i]) i++;
    counts->took[i]++;
    counts->micros += micros;
}

void host_http_counted_begin(host_http_counted *request, bool counts)
{
    *request = (host_http_counted){.route = counts ? no_route() : NULL};
    if (!request->route) return;
    request->began = uv_hrtime();
    request->route->counts->open++;
}

void host_http_counted_upgrade(host_http_counted *request)
{
    static const int switching = 101;
    if (!request->route) return;
    request->status = switching;
    host_http_counted_end(request);
    request->is_websocket = true;
    request->route->counts->websockets++;
}

void host_http_counted_end(host_http_counted *request)
{
    if (!request->route) return;
    clouds_route_counts *counts = request->route->counts;
    if (request->is_websocket) {
        counts->websockets--;
        return;
    }
    counts->open--;
    count_time(counts, request->began);
    count_status(request->route, request->status ? request->status : HOST_HTTP_GONE);
}

void host_http_counted_refused(int status)
{
    host_http_route *route = no_route();
    if (route) count_status(route, status);
}

int host_http_request_route(lua_State *L)
{
    host_http_box *box = host_http_check_box(L);
    const char *pattern = luaL_checkstring(L, 2);
    if (!box->connection || !box->counted.route) return 0;
    host_http_route *route = find(pattern);
    if (!route) return 0;
    box->counted.route->counts->open--;
    box->counted.route = route;
    route->counts->open++;
    return 0;
}
