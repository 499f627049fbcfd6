/* host.cluster: what processes count by name, in memory that they share with the master (clouds_worker.h).
 *
 * Design note. A worker may write anything there, at any time, so each size is read once, and checked against the
 * memory. What a worker has counted that has ended is added to what was counted before, by the master alone; who reads
 * both looks whether that happened meanwhile, and then reads again, so that nothing is missing or there twice. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <lua.h>
#include <lauxlib.h>

#include <clouds.h>

#include "cluster_module.h"
#include "http_box.h"
#include "internal.h"
#include "utf8.h"

#define COUNTS_TYPE "clouds.cluster.counts"

enum {
    BYTES = 1 << 20,      /* of a worker */
    MOST_BYTES = 8 << 20, /* of all that have ended */
    VALUES = 256,         /* of a row, at most */
    ROWS = 8192,          /* of different names; more are left out */
    TRIES = 100           /* to read while nothing is added */
};

typedef struct counts_box {
    clouds_counts *memory; /* NULL: it is closed */
    size_t size;
    int fd;              /* -1: it is read, or private */
    bool is_mine;        /* it stays until the end of this process */
    struct table *index; /* of what was counted before: its rows; else NULL */
} counts_box;

/* ---- reading */

typedef struct row_view {
    uint16_t kind, name_len;
    uint32_t value_count;
    const uint64_t *values;
    const char *name;
} row_view;

/* Walks: start with *at = 0. False at the end, and where something is wrong. */
static bool next_row(const counts_box *box, uint64_t *at, row_view *out)
{
    uint64_t used = __atomic_load_n(&box->memory->used, __ATOMIC_ACQUIRE);
    if (used > box->size) used = box->size;
    if (*at == 0) *at = sizeof(clouds_counts);
    if (*at + sizeof(clouds_counts_row) > used) return false;
    clouds_counts_row row;
    const char *where = (const char *)box->memory + *at;
    memcpy(&row, where, sizeof row);
    uint64_t needed = sizeof row + (uint64_t)row.value_count * sizeof(uint64_t) + row.name_len;
    if (row.size % 8 || row.size < needed || row.size > used - *at || row.value_count > VALUES) return false;
    *at += row.size;
    *out = (row_view){row.kind, row.name_len, row.value_count, (const uint64_t *)(const void *)(where + sizeof row),
                      where + sizeof row + (size_t)row.value_count * sizeof(uint64_t)};
    return true;
}

/* ---- rows by their names */

typedef struct entry {
    struct entry *next, *same;
    uint64_t hash;
    uint16_t kind, name_len;
    uint32_t value_count;
    uint64_t *values;
    const char *name;
} entry;

enum { SLOTS = 4096 };

typedef struct table {
    entry *slots[SLOTS], *first;
    size_t count;
} table;

static uint64_t hash_of(const row_view *row)
{
    uint64_t hash = 14695981039346656037u ^ row->kind;
    for (uint16_t i = 0; i < row->name_len; i++) hash = (hash ^ (unsigned char)row->name[i]) * 1099511628211u;
    return hash;
}

static bool is_of(const entry *found, const row_view *row, uint64_t hash)
{
    return found->hash == hash && found->kind == row->kind && found->value_count == row->value_count &&
           found->name_len == row->name_len && memcmp(found->name, row->name, row->name_len) == 0;
}

static entry *find(const table *t, const row_view *row, uint64_t hash)
{
    entry *found = t->slots[hash % SLOTS];
    while (found && !is_of(found, row, hash)) found = found->same;
    return found;
}

/* With room behind it for `size` bytes; its values and its name are the caller's. NULL: no memory, or too many. */
static entry *insert(table *t, const row_view *row, uint64_t hash, size_t size)
{
    entry **slot = &t->slots[hash % SLOTS], *new = t->count < ROWS ? calloc(1, sizeof *new + size) : NULL;
    if (!new) return NULL;
    *new = (entry){t->first, *slot, hash, row->kind, row->name_len, row->value_count, NULL, NULL};
    *slot = t->first = new;
    t->count++;
    return new;
}

static void empty(table *t)
{
    for (entry *e = t->first; e;) {
        entry *next = e->next;
        free(e);
        e = next;
    }
    memset(t, 0, sizeof *t);
}

/* ---- adding */

#define AT(record, member) (offsetof(record, member) / sizeof(uint64_t))

/* Whether a value says how something is now, which is over when its process has ended. */
static bool is_of_now(uint16_t kind, uint32_t index)
{
    if (kind == CLOUDS_COUNTS_METHOD)
        return index == AT(clouds_method_counts, calls.open) || index == AT(clouds_method_counts, requests.open) ||
               index == AT(clouds_method_counts, waiting) || index == AT(clouds_method_counts, limit);
    if (kind == CLOUDS_COUNTS_ROUTE)
        return index == AT(clouds_route_counts, open) || index == AT(clouds_route_counts, websockets);
    return kind == CLOUDS_COUNTS_CONTEXT && index < 3; /* whether it is there, and connected; its nodes */
}

/* The row in `past` that is for this one, which is as trustworthy as its worker. */
static entry *row_for(counts_box *past, const row_view *row)
{
    uint64_t hash = hash_of(row);
    entry *found = find(past->index, row, hash);
    if (found || !(found = insert(past->index, row, hash, 0))) return found;
    found->values = clouds_counts_add(past->memory, row->kind, row->name, row->name_len, row->value_count);
    found->name = found->values ? (const char *)(found->values + row->value_count) : "";
    if (!found->values) found->name_len = 0;
    return found;
}

static void add_row(counts_box *past, const row_view *row)
{
    const entry *sums = row_for(past, row);
    for (uint32_t i = 0; sums && sums->values && i < row->value_count; i++)
        if (!is_of_now(row->kind, i)) host_board_add(&sums->values[i], (int64_t)host_board_read(&row->values[i]));
}

/* ---- in Lua */

static counts_box *push_box(lua_State *L)
{
    counts_box *box = lua_newuserdata(L, sizeof *box);
    *box = (counts_box){.fd = -1};
    luaL_getmetatable(L, COUNTS_TYPE);
    lua_setmetatable(L, -2);
    return box;
}

static counts_box *check_box(lua_State *L, int index)
{
    counts_box *box = luaL_checkudata(L, index, COUNTS_TYPE);
    if (!box->memory) luaL_error(L, "the counts are closed");
    return box;
}

int host_cluster_counts_fd(lua_State *L, int index)
{
    return lua_isnoneornil(L, index) ? -1 : check_box(L, index)->fd;
}

static bool make_file(counts_box *box, size_t size)
{
    box->fd = memfd_create("clouds-counts", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (box->fd < 0 || ftruncate(box->fd, (off_t)size) != 0) return false;
    if (fcntl(box->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) return false;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, box->fd, 0);
    if (memory == MAP_FAILED) return false;
    box->memory = memory;
    box->size = size;
    *box->memory = (clouds_counts){.version = CLOUDS_COUNTS_VERSION, .size = size, .used = sizeof(clouds_counts)};
    return true;
}

/* cluster.counts(is_for_all): memory for a worker to count in, or for what all that have ended have counted. Or nil and
 * why not. */
static int l_counts(lua_State *L)
{
    bool is_for_all = lua_toboolean(L, 1);
    counts_box *box = push_box(L);
    if (is_for_all && !(box->index = calloc(1, sizeof *box->index))) return host_cluster_fail(L, strerror(errno));
    return make_file(box, is_for_all ? MOST_BYTES : BYTES) ? 1 : host_cluster_fail(L, strerror(errno));
}

/* cluster.map_counts(descriptor): that of another process, to be read; or nil and why not. Takes the descriptor over.
 */
static int l_map_counts(lua_State *L)
{
    struct stat found;
    int fd = (int)luaL_checkinteger(L, 1);
    counts_box *box = push_box(L);
    bool is_there = fstat(fd, &found) == 0 && found.st_size >= (off_t)sizeof(clouds_counts);
    void *memory = is_there ? mmap(NULL, (size_t)found.st_size, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    int problem = errno;
    close(fd);
    if (memory == MAP_FAILED) return host_cluster_fail(L, is_there ? strerror(problem) : "no counts");
    box->memory = memory;
    box->size = (size_t)found.st_size;
    return 1;
}

/* counts:descriptor(): of those that cluster.counts gave. */
static int counts_descriptor(lua_State *L)
{
    lua_pushinteger(L, check_box(L, 1)->fd);
    return 1;
}

/* The rows that are there already. */
static void fill_index(counts_box *box)
{
    row_view row;
    for (uint64_t at = 0; next_row(box, &at, &row);) {
        entry *e = insert(box->index, &row, hash_of(&row), 0);
        if (e) e->values = (uint64_t *)row.values, e->name = row.name;
    }
}

/* cluster.resume_counts(descriptor, is_for_all): what cluster.counts gave to the program before this one. Raises where
 * it did not. */
static int l_resume_counts(lua_State *L)
{
    struct stat found;
    int fd = (int)luaL_checkinteger(L, 1);
    bool is_for_all = lua_toboolean(L, 2);
    counts_box *box = push_box(L);
    bool is_there = fstat(fd, &found) == 0 && found.st_size >= (off_t)sizeof(clouds_counts);
    void *memory = is_there ? mmap(NULL, (size_t)found.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (memory == MAP_FAILED) return luaL_error(L, "descriptor %d: no counts", fd);
    *box = (counts_box){.memory = memory, .size = (size_t)found.st_size, .fd = fd};
    if (!is_for_all) return 1;
    if (!(box->index = calloc(1, sizeof *box->index))) return luaL_error(L, "not enough memory");
    fill_index(box);
    return 1;
}

static counts_box mine; /* what this process counts in */
static clouds_loop_counts *turns;

static void count_turn(uint64_t ns)
{
    static const uint64_t bounds[] = CLOUDS_BOUNDS_LIST;
    uint64_t micros = ns / 1000;
    int i = 0;
    while (i < CLOUDS_BOUNDS && micros > bounds[i]) i++;
    turns->took[i]++;
    turns->micros += micros;
}

static void begin_to_count(void *memory, size_t size)
{
    enum { COUNT = sizeof *turns / sizeof(uint64_t) };
    mine = (counts_box){memory, size, -1, true, NULL};
    host_http_counts_begin();
    turns = (clouds_loop_counts *)(void *)clouds_counts_add(NULL, CLOUDS_COUNTS_LOOP, "", 0, COUNT);
    if (turns) host_board_follow(host_get()->loop, count_turn);
}

/* cluster.own_counts(): what this process counts in, which is memory of its own unless it is a worker. Or nil and why
 * not. */
static int l_own_counts(lua_State *L)
{
    if (!mine.memory) {
        void *memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) return host_cluster_fail(L, strerror(errno));
        if (clouds_counts_use(memory, BYTES) != 0) {
            munmap(memory, BYTES);
            return host_cluster_fail(L, clouds_last_error());
        }
        begin_to_count(memory, BYTES);
    }
    *push_box(L) = mine;
    return 1;
}

void host_cluster_take_counts(int fd)
{
    struct stat found;
    clouds_counts head;
    if (fstat(fd, &found) != 0 || pread(fd, &head, sizeof head, 0) != (ssize_t)sizeof head) return;
    if (head.version != CLOUDS_COUNTS_VERSION || head.size != (uint64_t)found.st_size) return;
    void *memory = mmap(NULL, head.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (memory == MAP_FAILED) return;
    if (clouds_counts_use(memory, head.size) == 0) begin_to_count(memory, head.size);
    else munmap(memory, head.size);
}

static int counts_gc(lua_State *L)
{
    counts_box *box = luaL_checkudata(L, 1, COUNTS_TYPE);
    if (box->memory && !box->is_mine) munmap(box->memory, box->size);
    if (box->fd >= 0) close(box->fd);
    if (box->index) empty(box->index);
    free(box->index);
    *box = (counts_box){.fd = -1};
    return 0;
}

/* past:merge(counts): what a process has counted that has ended. */
static int counts_merge(lua_State *L)
{
    counts_box *past = check_box(L, 1), *ended = check_box(L, 2);
    row_view row;
    if (!past->index) return luaL_error(L, "these are no counts of all that have ended");
    __atomic_add_fetch(&past->memory->merges, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&ended->memory->merged, 1, __ATOMIC_SEQ_CST);
    for (uint64_t at = 0; next_row(ended, &at, &row);) add_row(past, &row);
    __atomic_add_fetch(&past->memory->merges, 1, __ATOMIC_SEQ_CST);
    return 0;
}

/* ---- a sum */

static void sum_up(table *sums, const counts_box *box)
{
    row_view row;
    for (uint64_t at = 0; next_row(box, &at, &row);) {
        uint64_t hash = hash_of(&row);
        size_t size = row.value_count * sizeof(uint64_t);
        entry *sum = find(sums, &row, hash);
        if (!sum && (sum = insert(sums, &row, hash, size + row.name_len))) {
            sum->values = (uint64_t *)(void *)(sum + 1);
            sum->name = memcpy((char *)(sum + 1) + size, row.name, row.name_len);
        }
        for (uint32_t i = 0; sum && i < row.value_count; i++) sum->values[i] += host_board_read(&row.values[i]);
    }
}

/* Those of the list at index 2 whose counts are not among the past ones. */
static void sum_up_list(lua_State *L, table *sums)
{
    for (int i = 1, n = (int)lua_objlen(L, 2); i <= n; i++) {
        lua_rawgeti(L, 2, i);
        const counts_box *box = check_box(L, -1);
        if (!__atomic_load_n(&box->memory->merged, __ATOMIC_SEQ_CST)) sum_up(sums, box);
        lua_pop(L, 1);
    }
}

static void read_all(lua_State *L, table *sums, const counts_box *past)
{
    for (int i = 0; i < TRIES; i++) {
        uint64_t before = past ? __atomic_load_n(&past->memory->merges, __ATOMIC_SEQ_CST) : 0;
        empty(sums);
        if (past) sum_up(sums, past);
        sum_up_list(L, sums);
        if (!past || (before % 2 == 0 && __atomic_load_n(&past->memory->merges, __ATOMIC_SEQ_CST) == before)) return;
    }
}

static void push_row(lua_State *L, const entry *row)
{
    lua_createtable(L, (int)row->value_count, 2);
    for (uint32_t i = 0; i < row->value_count; i++) {
        lua_pushnumber(L, (lua_Number)row->values[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_pushinteger(L, row->kind);
    lua_setfield(L, -2, "kind");
    lua_pushlstring(L, row->name, row->name_len);
    lua_setfield(L, -2, "name");
}

/* cluster.sum_counts(past or nil, list): rows, { kind =, name =, values ... }, each the sum of those of its name. */
static int l_sum_counts(lua_State *L)
{
    const counts_box *past = lua_isnil(L, 1) ? NULL : check_box(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    table *sums = lua_newuserdata(L, sizeof *sums);
    memset(sums, 0, sizeof *sums);
    read_all(L, sums, past);
    lua_createtable(L, (int)sums->count, 0);
    int at = 0;
    for (const entry *row = sums->first; row; row = row->next) {
        if (lc_utf8_valid(row->name, row->name_len) != row->name_len) continue; /* it cannot be shown */
        push_row(L, row);
        lua_rawseti(L, -2, ++at);
    }
    empty(sums);
    return 1;
}

/* ---- what the rows are */

static void put_index(lua_State *L, const char *name, size_t index)
{
    host_cluster_put_number(L, name, (double)index + 1);
}

/* A table with the names of a list of texts, or with numbers in seconds. */
static void push_lists(lua_State *L)
{
    static const uint64_t bounds[] = CLOUDS_BOUNDS_LIST;
    static const char *const refusals[] = CLOUDS_REFUSALS_LIST;
    lua_createtable(L, CLOUDS_BOUNDS, 0);
    for (int i = 0; i < CLOUDS_BOUNDS; i++) {
        lua_pushnumber(L, (lua_Number)bounds[i] / 1e6);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "bounds");
    lua_createtable(L, CLOUDS_REFUSALS, 0);
    for (int i = 0; i < CLOUDS_REFUSALS; i++) {
        lua_pushstring(L, refusals[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "refusals");
}

/* cluster.counts_layout: where what is among the values of a row, by names, from 1, and how many there are; the bounds
 * in seconds, the reasons. */
static void push_layout(lua_State *L)
{
    static const struct {
        const char *name;
        size_t index;
    } members[] =
        {{"calls", AT(clouds_method_counts, calls)},         {"requests", AT(clouds_method_counts, requests)},
         {"wait_took", AT(clouds_method_counts, wait_took)}, {"wait_micros", AT(clouds_method_counts, wait_micros)},
         {"has_waits", AT(clouds_method_counts, has_waits)}, {"refused", AT(clouds_method_counts, refused)},
         {"waiting", AT(clouds_method_counts, waiting)},     {"limit", AT(clouds_method_counts, limit)},
         {"loop_took", AT(clouds_loop_counts, took)},        {"loop_micros", AT(clouds_loop_counts, micros)},
         {"route_took", AT(clouds_route_counts, took)},      {"route_micros", AT(clouds_route_counts, micros)},
         {"route_open", AT(clouds_route_counts, open)},      {"route_websockets", AT(clouds_route_counts, websockets)}},
      tally[] = {{"ended", AT(clouds_tally, ended)},
                 {"took", AT(clouds_tally, took)},
                 {"micros", AT(clouds_tally, micros)},
                 {"open", AT(clouds_tally, open)},
                 {"is_used", AT(clouds_tally, is_used)}};
    lua_newtable(L);
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) put_index(L, members[i].name, members[i].index);
    lua_newtable(L);
    for (size_t i = 0; i < sizeof tally / sizeof *tally; i++)
        host_cluster_put_number(L, tally[i].name, (double)tally[i].index); /* within a tally: from 0 */
    lua_setfield(L, -2, "tally");
    host_cluster_put_number(L, "method_values", sizeof(clouds_method_counts) / sizeof(uint64_t));
    host_cluster_put_number(L, "route_values", sizeof(clouds_route_counts) / sizeof(uint64_t));
    host_cluster_put_number(L, "loop_values", sizeof(clouds_loop_counts) / sizeof(uint64_t));
    push_lists(L);
}

void host_cluster_add_counts(lua_State *L)
{
    static const luaL_Reg of_counts[] = {{"merge", counts_merge},
                                         {"descriptor", counts_descriptor},
                                         {"close", counts_gc},
                                         {"__gc", counts_gc},
                                         {NULL, NULL}};
    static const luaL_Reg functions[] = {
        {"counts", l_counts},         {"map_counts", l_map_counts}, {"resume_counts", l_resume_counts},
        {"own_counts", l_own_counts}, {"sum_counts", l_sum_counts}, {NULL, NULL}};
    host_http_make_type(L, COUNTS_TYPE, of_counts);
    luaL_setfuncs(L, functions, 0);
    push_layout(L);
    lua_setfield(L, -2, "counts_layout");
}
