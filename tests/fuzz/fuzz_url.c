#include "fuzz.h"

#include "clouds.h"
#include "proto/url.h"

static void fields_are_sound(const cl_url *u)
{
    HOLDS(u->user && u->password && u->host && u->path && u->prefix && u->name);
    HOLDS(u->db >= 0 && *u->prefix);
    HOLDS((u->kind == CL_URL_REDIS) == (*u->host != '\0'));
    HOLDS(u->kind != CL_URL_REDIS || (u->port >= 1 && u->port <= 65535));
    HOLDS((u->kind == CL_URL_REDIS_UNIX) == (*u->path == '/'));
    HOLDS(strlen(u->path) <= 107 && strlen(u->name) <= 64 && u->name[0] != '.');
    for (const char *p = u->name; *p; p++) HOLDS(strchr("/\\ %", *p) == NULL);
}

static void description_fits(const cl_url *u)
{
    char room[64];
    memset(room, 0x55, sizeof room);
    for (size_t cap = 0; cap < sizeof room - 1; cap += 7) {
        cl_url_describe(u, room, cap);
        HOLDS(room[cap] == 0x55);
        HOLDS(cap == 0 || memchr(room, '\0', cap) != NULL);
        memset(room, 0x55, sizeof room);
    }
}

/* What the description says is read back as the same place, when nothing in it needs an escape. */
static void description_is_an_address(const cl_url *u)
{
    char text[1024];
    cl_url back;
    cl_url_describe(u, text, sizeof text);
    if (strlen(text) == sizeof text - 1 || strpbrk(text, "%@?&#[] ") || *u->user) return;
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7f) return;
    if (strpbrk(u->host, "/:") || strpbrk(u->path, "?")) return;
    HOLDS(cl_url_parse(cl_str_z(text), &back) == 0);
    HOLDS(back.kind == u->kind && back.port == u->port && back.db == u->db);
    HOLDS(strcmp(back.host, u->host) == 0 && strcmp(back.path, u->path) == 0 && strcmp(back.name, u->name) == 0);
    cl_url_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cl_url u = {.port = -7};
    int code = cl_url_parse((cl_str){(const char *)data, size}, &u);
    HOLDS(code == 0 || code == CLOUDS_EURL);
    if (code != 0) {
        HOLDS(u.port == -7 && u.memory == NULL);
        HOLDS(strncmp(clouds_last_error(), "not a valid url", 15) == 0);
        return 0;
    }
    fields_are_sound(&u);
    description_fits(&u);
    description_is_an_address(&u);
    cl_url_free(&u);
    return 0;
}
