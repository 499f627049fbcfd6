/* Design note: everything in the folder that another process wrote is understood here: names of files, what an entry
 * points to, what a lock holds. Pure functions over bytes; whatever is not exactly what we write is refused. */
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "base/rand.h"
#include "directory/folder/internal.h"
#include "clouds.h"

enum { SUBSCRIPTION = 0xff /* the first byte of the name of one */ };

void cl_file_key(cl_str name, char out[CL_KEY + 1])
{
    static const uint64_t secret[2] = {0x636c6f756473206cu, 0x6f63616c20766572u}; /* the same in every process */
    snprintf(out, CL_KEY + 1, "%016llx", (unsigned long long)cl_siphash(secret, name.p, name.n));
}

void cl_file_of(const char *key, const char *suffix, char out[CL_FILE_NAME])
{
    snprintf(out, CL_FILE_NAME, "%.16s%.8s", key, suffix);
}

static int is_subscription(cl_str name)
{
    return name.n && (unsigned char)name.p[0] == SUBSCRIPTION;
}

cl_str cl_name_of_subscription(cl_str topic, cl_str group, char room[CL_SUBSCRIPTION_NAME])
{
    room[0] = (char)SUBSCRIPTION;
    memcpy(room + 1, topic.p, topic.n);
    room[1 + topic.n] = '\n';
    memcpy(room + 2 + topic.n, group.p, group.n);
    return cl_str_of(room, 2 + topic.n + group.n);
}

int cl_name_is_subscription(cl_str name, cl_str *topic, cl_str *group)
{
    const char *cut = is_subscription(name) ? memchr(name.p, '\n', name.n) : NULL;
    if (!cut) return 0;
    *topic = cl_str_of(name.p + 1, (size_t)(cut - name.p) - 1);
    *group = cl_str_of(cut + 1, (size_t)(name.p + name.n - cut) - 1);
    return 1;
}

int cl_file_is_subscription(const char *file)
{
    char key[CL_KEY + 1];
    return cl_file_kind_of(file, key) == CL_FILE_ENTRY && file[strlen(file) - 1] == 'c';
}

void cl_file_entry(const char *key, cl_str method, int paused, char out[CL_FILE_NAME])
{
    char of_method[CL_KEY + 1];
    cl_file_key(method, of_method);
    snprintf(out, CL_FILE_NAME, "%.16s-%s.%c", key, of_method, is_subscription(method) ? 'c' : paused ? 'p' : 'm');
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int is_key(const char *p)
{
    for (int i = 0; i < CL_KEY; i++)
        if (digit(p[i]) < 0) return 0;
    return 1;
}

enum cl_file_kind cl_file_kind_of(const char *file, char key[CL_KEY + 1])
{
    size_t n = strlen(file);
    int hidden = file[0] == '.';
    if (n < CL_KEY + 3 || !is_key(file + hidden)) return CL_FILE_FOREIGN;
    memcpy(key, file + hidden, CL_KEY);
    key[CL_KEY] = '\0';
    const char *rest = file + hidden + CL_KEY;
    if (!hidden && strcmp(rest, ".lock") == 0) return CL_FILE_LOCK;
    if (!hidden && strcmp(rest, ".sock") == 0) return CL_FILE_SOCKET;
    if (!hidden && strcmp(rest, ".tags") == 0) return CL_FILE_TRAITS;
    if (rest[0] != '-' || strlen(rest) < 1 + CL_KEY || !is_key(rest + 1)) return CL_FILE_FOREIGN;
    if (hidden) return rest[1 + CL_KEY] == '\0' ? CL_FILE_UNFINISHED : CL_FILE_FOREIGN;
    rest += 1 + CL_KEY;
    if (strcmp(rest, ".p") == 0) return CL_FILE_PAUSED;
    return strcmp(rest, ".m") == 0 || strcmp(rest, ".c") == 0 ? CL_FILE_ENTRY : CL_FILE_FOREIGN;
}

/* ---- what an entry points to: "<id>/<method>" */

static size_t escape(cl_str s, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("._-:", c))) {
            out[n++] = (char)c;
        } else {
            out[n++] = '%';
            out[n++] = cl_hex_digit(c >> 4);
            out[n++] = cl_hex_digit(c);
        }
    }
    return n;
}

int cl_entry_write(cl_str id, cl_str method, char out[CL_ENTRY_MAX + 2])
{
    if (id.n > CL_ENTRY_MAX / 3 || method.n > CL_ENTRY_MAX / 3 || id.n * 3 + method.n * 3 > CL_ENTRY_MAX)
        return CLOUDS_ETOOBIG;
    size_t n = escape(id, out);
    out[n++] = '/';
    n += escape(method, out + n);
    out[n] = '\0';
    return 0;
}

/* In place; the new length, or -1. */
static long unescape(char *p, size_t n)
{
    size_t to = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] != '%') {
            p[to++] = p[i];
            continue;
        }
        if (i + 2 >= n || digit(p[i + 1]) < 0 || digit(p[i + 2]) < 0) return -1;
        p[to++] = (char)(digit(p[i + 1]) << 4 | digit(p[i + 2]));
        i += 2;
    }
    return (long)to;
}

int cl_entry_read(const char *file, char *target, size_t n, cl_str *id, cl_str *method)
{
    char key[CL_KEY + 1], expected[CL_FILE_NAME];
    int paused = cl_file_kind_of(file, key) == CL_FILE_PAUSED;
    char *cut = memchr(target, '/', n);
    if (!cut) return CLOUDS_EPROTO;
    long id_n = unescape(target, (size_t)(cut - target));
    long method_n = unescape(cut + 1, (size_t)(target + n - cut - 1));
    if (id_n <= 0 || method_n < 0) return CLOUDS_EPROTO;
    *id = cl_str_of(target, (size_t)id_n);
    *method = cl_str_of(cut + 1, (size_t)method_n);
    cl_file_key(*id, key);
    cl_file_entry(key, *method, paused, expected);
    return strcmp(file, expected) == 0 ? 0 : CLOUDS_EPROTO;
}

/* ---- what a lock holds: "<pid> <pid namespace>", and on a line each the keys of its methods */

int cl_lock_write(long pid, long names, char out[CL_LOCK_HEAD])
{
    return snprintf(out, CL_LOCK_HEAD, "%ld %ld\n", pid, names);
}

/* Digits up to `end`, which is taken too. */
static int read_number(const char *text, size_t n, size_t *at, char end, long *out)
{
    long value = 0;
    size_t from = *at;
    for (; *at < n && text[*at] >= '0' && text[*at] <= '9'; ++*at) {
        if (*at - from >= 15) return -1;
        value = value * 10 + (text[*at] - '0');
    }
    if (*at == from || *at >= n || text[*at] != end) return -1;
    ++*at;
    *out = value;
    return 0;
}

int cl_lock_read(const char *text, size_t n, long *pid, long *names)
{
    size_t at = 0;
    return read_number(text, n, &at, ' ', pid) == 0 && read_number(text, n, &at, '\n', names) == 0 && *pid > 0
               ? 0
               : CLOUDS_EPROTO;
}

int cl_lock_next(const char *text, size_t n, size_t *at, char method[CL_KEY + 1])
{
    while (*at < n) {
        const char *line = text + *at, *end = memchr(line, '\n', n - *at);
        if (!end) return 0;
        *at += (size_t)(end - line) + 1;
        if (end - line != CL_KEY || !is_key(line)) continue;
        memcpy(method, line, CL_KEY);
        method[CL_KEY] = '\0';
        return 1;
    }
    return 0;
}
