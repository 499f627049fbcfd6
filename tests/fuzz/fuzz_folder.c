/* What another process may have left in the folder of local:. The input is the name of a file, a line feed, and what
 * the file holds. */
#include "fuzz.h"

#include "base/mem.h"
#include "directory/folder/internal.h"
#include "clouds.h"

static void names_are_told_apart(const char *file)
{
    char key[CL_KEY + 1] = "", same[CL_FILE_NAME];
    enum cl_file_kind kind = cl_file_kind_of(file, key);
    if (kind == CL_FILE_FOREIGN) return;
    HOLDS(strlen(key) == CL_KEY && strspn(key, "0123456789abcdef") == CL_KEY);
    HOLDS(strncmp(file + (kind == CL_FILE_UNFINISHED), key, CL_KEY) == 0);
    cl_file_of(key, kind == CL_FILE_LOCK ? ".lock" : ".sock", same);
    HOLDS((kind == CL_FILE_LOCK || kind == CL_FILE_SOCKET) == (strcmp(same, file) == 0));
    if (kind == CL_FILE_ENTRY) HOLDS(strlen(file) == 2 * CL_KEY + 3 && strlen(file) < CL_FILE_NAME);
}

/* A copy that ends where its bytes end, so that a sanitizer sees what is read or written behind them. */
static char *copy(cl_str s)
{
    char *memory = cl_malloc(s.n ? s.n : 1);
    if (!memory) abort();
    memcpy(memory, s.p, s.n);
    return memory;
}

static void entry_is_what_its_name_says(const char *file, cl_str content)
{
    cl_str id, method;
    char key[CL_KEY + 1], expected[CL_FILE_NAME], *target = copy(content);
    int code = cl_entry_read(file, target, content.n, &id, &method);
    HOLDS(code == 0 || code == CLOUDS_EPROTO);
    if (code == 0) {
        int paused = cl_file_kind_of(file, key) == CL_FILE_PAUSED;
        cl_file_key(id, key);
        cl_file_entry(key, method, paused, expected);
        HOLDS(strcmp(file, expected) == 0 && id.n > 0);
    }
    cl_free(target);
}

/* Any id and any method come back as they were. */
static void entry_comes_back(cl_str id, cl_str method)
{
    char target[CL_ENTRY_MAX + 2], key[CL_KEY + 1], file[CL_FILE_NAME];
    int code = cl_entry_write(id, method, target);
    HOLDS(code == 0 || (code == CLOUDS_ETOOBIG && (id.n + method.n) * 3 > CL_ENTRY_MAX));
    if (code != 0 || !id.n) return;
    HOLDS(strlen(target) <= CL_ENTRY_MAX + 1);
    int is_subscription = method.n && (unsigned char)method.p[0] == 0xff; /* no text begins so */
    int paused = method.n % 2 && !is_subscription;
    cl_file_key(id, key);
    cl_file_entry(key, method, paused, file);
    HOLDS(cl_file_kind_of(file, key) == (paused ? CL_FILE_PAUSED : CL_FILE_ENTRY));
    cl_str id_back, method_back;
    char *exact = copy(cl_str_z(target));
    HOLDS(cl_entry_read(file, exact, strlen(target), &id_back, &method_back) == 0);
    HOLDS(cl_str_eq(id_back, id) && cl_str_eq(method_back, method));
    cl_free(exact);
}

static void lock_is_read(cl_str content)
{
    char method[CL_KEY + 1], head[CL_LOCK_HEAD], *text = copy(content);
    long pid = -7, names = -7, pid_back, names_back;
    int code = cl_lock_read(text, content.n, &pid, &names);
    HOLDS(code == 0 || code == CLOUDS_EPROTO);
    if (code == 0) {
        HOLDS(pid > 0 && names >= 0);
        int n = cl_lock_write(pid, names, head);
        HOLDS(n > 0 && n < CL_LOCK_HEAD && cl_lock_read(head, (size_t)n, &pid_back, &names_back) == 0);
        HOLDS(pid == pid_back && names == names_back);
    }
    size_t at = 0, before = 0;
    for (; cl_lock_next(text, content.n, &at, method); before = at) {
        HOLDS(at >= before + CL_KEY + 1 && at <= content.n);
        HOLDS(strlen(method) == CL_KEY && memcmp(text + at - CL_KEY - 1, method, CL_KEY) == 0);
    }
    HOLDS(at <= content.n);
    cl_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char file[256];
    const char *text = (const char *)data, *cut = size ? memchr(text, '\n', size) : NULL;
    size_t n = cut ? (size_t)(cut - text) : size;
    cl_str content = cut ? cl_str_of(cut + 1, size - n - 1) : CL_STR_NONE;
    snprintf(file, sizeof file, "%.*s", (int)(n < 255 ? n : 255), text);
    names_are_told_apart(file);
    entry_is_what_its_name_says(file, content);
    entry_comes_back(cl_str_of(text, n), content);
    lock_is_read(content);
    return 0;
}
