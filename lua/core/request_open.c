/* Which requests are open: for who ends a program that still works at some. */
#include <stdio.h>
#include <string.h>

#include "internal.h"

enum { SHOWN = 255 }; /* bytes of a name */

static void (*work_hook)(const char *method, size_t size);

static bool is_open(const lc_request *request)
{
    return request->used && !request->owes;
}

static size_t copy_method(const lc_request *request, char *to)
{
    size_t n = request->method_len < SHOWN ? request->method_len : SHOWN;
    if (n) memcpy(to, request->text, n);
    return n;
}

/* Allocates nothing and takes no lock: a signal's handler may call it, in a process that it has forked for that. */
size_t lc_requests_describe(char *out, size_t size)
{
    size_t at = 0;
    const lc_state *s = lc_state_of_process();
    for (uint32_t i = 0; s && i < s->request_count; i++) {
        char name[SHOWN];
        const lc_request *request = &s->requests[i];
        size_t n = is_open(request) ? copy_method(request, name) : 0;
        if (n == 0 || at + n + 2 > size) continue;
        if (at) memcpy(out + at, ", ", 2), at += 2;
        for (size_t k = 0; k < n; k++) out[at++] = (char)(name[k] < ' ' && name[k] >= 0 ? '?' : name[k]);
    }
    return at;
}

void lc_requests_count(uint64_t *begun, uint64_t *open, uint64_t *failed)
{
    const lc_state *s = lc_state_of_process();
    *begun = s ? s->requests_begun : 0;
    *open = s ? s->requests_open : 0;
    *failed = s ? s->requests_failed : 0;
}

lua_State *lc_running(void)
{
    const lc_state *s = lc_state_of_process();
    return s ? s->running : NULL;
}

void lc_requests_watch(void (*hook)(const char *method, size_t size))
{
    work_hook = hook;
}

void lc_request_works(lc_state *s, lc_handle scope)
{
    if (!work_hook || !scope) return;
    const lc_request *request = lc_request_find(s, scope);
    if (request) work_hook(request->text, request->method_len);
}

/* open_requests(number or nil) -> { method = how many } of the node of that number, or of all. A name is copied first,
 * as what allocates may run finalisers, which may do anything with requests. */
static int core_open_requests(lua_State *L)
{
    lc_state *s = lc_state_of(L);
    int node = (int)luaL_optnumber(L, 1, 0);
    lua_newtable(L);
    for (uint32_t i = 0; i < s->request_count; i++) {
        char name[SHOWN];
        const lc_request *request = &s->requests[i];
        if (!is_open(request) || (node && request->node != node)) continue;
        size_t n = copy_method(request, name);
        lua_pushlstring(L, name, n);
        lua_pushvalue(L, -1);
        lua_rawget(L, -3);
        lua_Number count = lua_tonumber(L, -1);
        lua_pop(L, 1);
        lua_pushnumber(L, count + 1);
        lua_rawset(L, -3);
    }
    return 1;
}

void lc_request_open_add(lua_State *L, lc_state *s)
{
    static const luaL_Reg functions[] = {{"open_requests", core_open_requests}, {NULL, NULL}};
    lc_add_functions(L, s, functions);
}
