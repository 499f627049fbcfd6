#include "fuzz.h"

#include "clouds.h"
#include "proto/url.h"

static void fields_are_sound(const cl_url *u)
{
    HOLDS(u->user && u->password && u->host && u->path && u->prefix && u->name);
    HOLDS(u->db >= 0 && *u->prefix);
    int has_hosts = u->kind == CL_URL_ETCD || u->kind == CL_URL_REDIS_SENTINEL;
    HOLDS((u->kind == CL_URL_REDIS || has_hosts) == (*u->host != '\0'));
    HOLDS(!*u->host || (u->port >= 1 && u->port <= 65535));
    HOLDS(has_hosts ? u->hosts_n >= 1 && u->hosts_n <= CL_URL_HOSTS : u->hosts_n == 0);
    for (size_t i = 0; i < u->hosts_n; i++) {
        HOLDS(*u->hosts[i].name && strpbrk(u->hosts[i].name, ",/@?#[] %") == NULL);
        HOLDS(u->hosts[i].port >= 1 && u->hosts[i].port <= 65535);
    }
    HOLDS(!has_hosts || (strcmp(u->host, u->hosts[0].name) == 0 && u->port == u->hosts[0].port));
    HOLDS((u->kind == CL_URL_REDIS_UNIX) == (*u->path == '/'));
    const char *const of_tls[] = {u->tls.ca_file, u->tls.cert_file, u->tls.cert_key_file, u->tls.server_name};
    for (size_t i = 0; i < 4; i++) HOLDS(!of_tls[i] || (u->is_tls && *of_tls[i]));
    HOLDS(!u->is_tls || u->kind == CL_URL_REDIS || has_hosts);
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
    if (u->hosts_n && (strstr(text + 8, "//") || text[strlen(text) - 1] == '/')) return;
    HOLDS(cl_url_parse(cl_str_z(text), &back) == 0);
    HOLDS(back.kind == u->kind && back.is_tls == u->is_tls && back.port == u->port && back.db == u->db);
    HOLDS(back.hosts_n == u->hosts_n);
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
