/* Folders and files of host/http for Lua, and the dates of HTTP. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <lua.h>
#include <lauxlib.h>

#include "http_box.h"

#define FOLDER_TYPE "clouds.http.folder"
#define FILE_TYPE "clouds.http.file"

/* Both are a descriptor; -1: closed. */
static int *push_descriptor(lua_State *L, const char *type)
{
    int *fd = lua_newuserdata(L, sizeof *fd);
    *fd = -1;
    luaL_getmetatable(L, type);
    lua_setmetatable(L, -2);
    return fd;
}

static int close_descriptor(lua_State *L)
{
    int *fd = lua_touserdata(L, 1);
    if (*fd >= 0) close(*fd);
    *fd = -1;
    return 0;
}

/* host.http_folder(path): an open folder; or nil and why not. */
static int l_folder(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    int *fd = push_descriptor(L, FOLDER_TYPE);
    *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd >= 0) return 1;
    lua_pushnil(L);
    lua_pushstring(L, strerror(errno));
    return 2;
}

static const char *word_of(int problem)
{
    switch (problem) {
    case EACCES:
    case EPERM:
        return "forbidden";
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EIO:
        return "failed";
    default:
        return "nothing";
    }
}

/* folder:open(path): an open file, "file", its size, and the seconds and nanoseconds of its last change; or nil and
 * "folder", "forbidden", "nothing", or "failed" and why. */
static int folder_open(lua_State *L)
{
    const int *folder = luaL_checkudata(L, 1, FOLDER_TYPE);
    const char *path = luaL_checkstring(L, 2);
    struct stat about;
    int *fd = push_descriptor(L, FILE_TYPE);
    *fd = host_http_open_beneath(*folder, path);
    bool is_open = *fd >= 0 && fstat(*fd, &about) == 0;
    const char *word = !is_open                 ? word_of(errno)
                       : S_ISREG(about.st_mode) ? "file"
                       : S_ISDIR(about.st_mode) ? "folder"
                                                : "nothing";
    if (is_open && !S_ISREG(about.st_mode)) {
        close(*fd);
        *fd = -1;
    }
    if (*fd < 0) lua_pushnil(L);
    lua_pushstring(L, word);
    if (*fd >= 0) {
        lua_pushnumber(L, (lua_Number)about.st_size);
        lua_pushnumber(L, (lua_Number)about.st_mtim.tv_sec);
        lua_pushnumber(L, (lua_Number)about.st_mtim.tv_nsec);
        return 5;
    }
    if (is_open || strcmp(word, "failed") != 0) return 2;
    lua_pushstring(L, strerror(errno));
    return 3;
}

/* host.http_lines(list): header fields, name, value, name, value ..., as they are sent; raises for those that cannot
 * be. */
static int l_lines(lua_State *L)
{
    host_http_field fields[HOST_HTTP_FIELDS];
    size_t size, count = host_http_read_fields(L, 1, fields);
    char *text = host_http_lines(fields, count, &size);
    if (!text) return luaL_error(L, "%s", errno == EINVAL ? host_http_bad_field : "not enough memory");
    lua_pushlstring(L, text, size);
    free(text);
    return 1;
}

/* request:send_file(status, fields or lines, file, at, length): an answer whose body is a part of a file; false when
 * there is nobody to answer any more. */
int host_http_send_file(lua_State *L)
{
    host_http_box *box = host_http_check_box(L);
    host_http_field fields[HOST_HTTP_FIELDS];
    host_http_response response = {.status = (int)luaL_checkinteger(L, 2), .fields = fields};
    const int *fd = luaL_checkudata(L, 4, FILE_TYPE);
    uint64_t at = (uint64_t)luaL_checknumber(L, 5), length = (uint64_t)luaL_checknumber(L, 6);
    if (lua_type(L, 3) == LUA_TSTRING) response.lines.p = lua_tolstring(L, 3, &response.lines.n);
    else response.field_count = host_http_read_fields(L, 3, fields);
    host_http_connection *connection = box->connection;
    if (!connection) return lua_pushboolean(L, 0), 1;
    host_http_counted counted = host_http_release_to_send(L, box);
    int code = host_http_answer_file(connection, &response, *fd, at, length);
    if (code != 0 && errno == EINVAL) return host_http_refuse_to_send(L, box, connection, counted, host_http_bad_field);
    host_http_sent(counted, code == 0 ? response.status : 0);
    lua_pushboolean(L, code == 0);
    return 1;
}

/* ---- dates */

static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

/* host.http_date(seconds since 1970): as Last-Modified says it, whatever the locale is. */
static int l_date(lua_State *L)
{
    char text[64];
    time_t when = (time_t)luaL_checknumber(L, 1);
    struct tm t;
    gmtime_r(&when, &t);
    snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[t.tm_wday], t.tm_mday, months[t.tm_mon],
             t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
    lua_pushstring(L, text);
    return 1;
}

static int month_of(const char *name)
{
    for (int i = 0; i < 12; i++)
        if (strcmp(months[i], name) == 0) return i;
    return -1;
}

/* host.http_time(text): such a date as seconds since 1970; nil when it is none. The older forms are not understood. */
static int l_time(lua_State *L)
{
    const char *text = luaL_checkstring(L, 1);
    char month[4];
    int used = -1;
    struct tm t = {0};
    int count = sscanf(text, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT%n", &t.tm_mday, month, &t.tm_year,
                       &t.tm_hour, &t.tm_min, &t.tm_sec, &used);
    t.tm_mon = count >= 2 ? month_of(month) : -1;
    if (count != 6 || used < 0 || text[used] != '\0' || t.tm_mon < 0 || t.tm_year < 1900) return 0;
    t.tm_year -= 1900;
    lua_pushnumber(L, (lua_Number)timegm(&t));
    return 1;
}

static void add_type(lua_State *L, const char *name, const luaL_Reg *methods)
{
    host_http_make_type(L, name, methods);
    luaL_getmetatable(L, name);
    lua_pushcfunction(L, close_descriptor);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}

void host_http_add_files(lua_State *L)
{
    static const luaL_Reg of_folder[] = {{"open", folder_open}, {NULL, NULL}};
    static const luaL_Reg of_file[] = {{"close", close_descriptor}, {NULL, NULL}};
    static const luaL_Reg functions[] = {
        {"http_folder", l_folder}, {"http_lines", l_lines}, {"http_date", l_date}, {"http_time", l_time}, {NULL, NULL}};
    add_type(L, FOLDER_TYPE, of_folder);
    add_type(L, FILE_TYPE, of_file);
    luaL_setfuncs(L, functions, 0);
}
