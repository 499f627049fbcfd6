/* The answer to status: what the folder holds, read afresh. */
#include "base/mem.h"
#include "bus/local/internal.h"
#include "clouds.h"

/* A node that was met. */
typedef struct seen {
    char key[CL_KEY + 1];
    int alive;
} seen;

static int is_alive(cl_local *bus, cl_strmap *nodes, const char *file, const char *key)
{
    seen *node = cl_strmap_get(nodes, cl_str_of(key, CL_KEY));
    if (node) return node->alive;
    node = cl_malloc(sizeof *node);
    if (!node) return CLOUDS_ENOMEM;
    memcpy(node->key, key, sizeof node->key);
    if (cl_strmap_put(nodes, cl_str_of(node->key, CL_KEY), node) != 0) {
        cl_free(node);
        return CLOUDS_ENOMEM;
    }
    return node->alive = cl_file_is_alive(&bus->folder, key, file);
}

static int tell_row(cl_local *bus, uint64_t operation, cl_strmap *nodes, cl_buf *memory, const char *file)
{
    char key[CL_KEY + 1];
    cl_str id, method;
    if (cl_file_kind_of(file, key) != CL_FILE_ENTRY) return 0;
    int alive = is_alive(bus, nodes, file, key);
    if (alive <= 0) return alive;
    int code = cl_file_read_entry(&bus->folder, file, memory, &id, &method);
    const cl_server server = {id, CL_NATIVE_LINKED};
    if (code == 0) bus->sink.status(bus->sink.self, operation, &method, &server, 1, 0, 0);
    return code == CLOUDS_ENOMEM ? code : 0;
}

void cl_local_status(cl_local *bus, uint64_t operation)
{
    cl_strmap nodes = {0};
    cl_buf memory = {0};
    int code = 0;
    DIR *dir = cl_folder_list(&bus->folder);
    for (struct dirent *d; code == 0 && dir && (d = readdir(dir));)
        code = tell_row(bus, operation, &nodes, &memory, d->d_name);
    if (dir) closedir(dir);
    cl_buf_free(&memory);
    seen *node;
    for (size_t at = 0; (node = cl_strmap_next(&nodes, &at));) cl_free(node);
    cl_strmap_free(&nodes);
    bus->sink.status(bus->sink.self, operation, NULL, NULL, 0, 1, dir ? code : CLOUDS_ESYSTEM);
}
