/* The answer to status: what the folder holds, read afresh. */
#include "base/mem.h"
#include "directory/folder/internal.h"
#include "clouds.h"

/* A node that was met. */
typedef struct seen {
    char key[CL_KEY + 1];
    int alive;
} seen;

static int is_alive(cl_folder_directory *dir, cl_strmap *nodes, const char *file, const char *key)
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
    return node->alive = cl_file_is_alive(&dir->folder, key, file);
}

static int tell_row(cl_folder_directory *dir, uint64_t operation, cl_strmap *nodes, cl_buf *memory, const char *file)
{
    char key[CL_KEY + 1], room[CL_TRAITS_TEXT];
    cl_str id, method;
    enum cl_file_kind kind = cl_file_kind_of(file, key);
    if (kind != CL_FILE_ENTRY && kind != CL_FILE_PAUSED) return 0;
    int alive = is_alive(dir, nodes, file, key);
    if (alive <= 0) return alive;
    int code = cl_file_read_entry(&dir->folder, file, memory, &id, &method);
    const cl_server server = {id, CL_NATIVE_LINKED, kind == CL_FILE_PAUSED,
                              cl_file_read_traits(&dir->folder, key, room)};
    if (code == 0 && !cl_file_is_subscription(file))
        dir->sink.status(dir->sink.self, operation, &method, &server, 1, 0, 0);
    return code == CLOUDS_ENOMEM ? code : 0;
}

void cl_folder_status(void *self, const cl_deferred *question)
{
    cl_folder_directory *dir = self;
    uint64_t operation = question->number;
    cl_strmap nodes = {0};
    cl_buf memory = {0};
    int code = 0;
    DIR *list = cl_folder_list(&dir->folder);
    for (struct dirent *d; code == 0 && list && (d = readdir(list));)
        code = tell_row(dir, operation, &nodes, &memory, d->d_name);
    if (list) closedir(list);
    cl_buf_free(&memory);
    seen *node;
    for (size_t at = 0; (node = cl_strmap_next(&nodes, &at));) cl_free(node);
    cl_strmap_free(&nodes);
    dir->sink.status(dir->sink.self, operation, NULL, NULL, 0, 1, list ? code : CLOUDS_ESYSTEM);
}
