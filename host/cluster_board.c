/* What is known of a worker without asking it: its board, and what the system says. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <lua.h>
#include <lauxlib.h>

#include "cluster_module.h"

/* The worker may be writing it: a copy, which ends in any case. */
static void put_doing(lua_State *L, const host_board *board)
{
    char text[CLOUDS_BOARD_DOING];
    memcpy(text, board->doing, sizeof text - 1);
    text[sizeof text - 1] = 0;
    if (!text[0]) return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, "doing");
}

/* busy: seconds since the loop waited last; lag: the longest that has been; doing: the method or path, or nil. */
void host_cluster_push_board(lua_State *L, const host_board *board)
{
    static const struct {
        const char *name;
        size_t at;
    } fields[] = {{"open", offsetof(host_board, open)},         {"in_flight", offsetof(host_board, in_flight)},
                  {"remain", offsetof(host_board, remain)},     {"accepted", offsetof(host_board, accepted)},
                  {"requests", offsetof(host_board, requests)}, {"errors", offsetof(host_board, errors)},
                  {"turns", offsetof(host_board, turns)},       {"lua_bytes", offsetof(host_board, lua_bytes)}};
    uint64_t since = host_board_read(&board->busy_since), now = uv_hrtime();
    lua_createtable(L, 0, 12);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const uint64_t *field = (const uint64_t *)(const void *)((const char *)board + fields[i].at);
        host_cluster_put_number(L, fields[i].name, (double)host_board_read(field));
    }
    host_cluster_put_number(L, "busy", since && since < now ? (double)(now - since) / 1e9 : 0);
    host_cluster_put_number(L, "lag", (double)host_board_read(&board->lag_most) / 1e9);
    put_doing(L, board);
}

/* A set of signals of /proc/PID/status; false: it is not in this line. */
static bool read_signals(const char *line, const char *name, unsigned long long *set)
{
    size_t size = strlen(name);
    return strncmp(line, name, size) == 0 && sscanf(line + size, "%llx", set) == 1;
}

bool host_cluster_handles(pid_t pid, int number)
{
    char path[64], line[256], state = 0;
    unsigned long long pending = 0, blocked = 0, bit = 1ull << (number - 1);
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file) return false;
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "State: %c", &state) == 1 || read_signals(line, "ShdPnd:", &pending)) continue;
        read_signals(line, "SigBlk:", &blocked);
    }
    fclose(file);
    return state != 'T' && state != 't' && ((pending | blocked) & bit) != 0;
}

double host_cluster_memory(pid_t pid)
{
    char path[64];
    unsigned long long pages;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file) return -1;
    bool has = fscanf(file, "%*u %llu", &pages) == 1;
    fclose(file);
    return has ? (double)pages * (double)sysconf(_SC_PAGESIZE) : -1;
}
