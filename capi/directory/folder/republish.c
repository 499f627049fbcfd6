/* Files of ours that somebody removed are put back: as soon as the watch notifies, else found by looking now and then.
 */
#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "directory/folder/internal.h"

enum { REPUBLISH_MS = 20, REPUBLISH_AGAIN_MS = 1000, INSPECT_MS = 5000 };

void cl_folder_inspect_in_time(cl_folder_directory *d)
{
    int64_t due = cl_loop_now() + INSPECT_MS;
    if (d->inspect) return;
    d->inspect = due;
    cl_folder_due_by(d, due);
}

/* A file of a node of ours that is not there: perhaps nobody of ours removed it. */
static int is_missed(const cl_folder_directory *d, const char *file)
{
    char key[CL_KEY + 1];
    if (cl_file_kind_of(file, key) == CL_FILE_FOREIGN || !cl_strmap_get(&d->node_by_key, cl_str_of(key, CL_KEY)))
        return 0;
    return faccessat(d->folder.fd, file, F_OK, AT_SYMLINK_NOFOLLOW) != 0;
}

static void republish_soon(cl_folder_directory *d)
{
    if (d->republish || d->closing) return;
    d->republish = 1;
    cl_folder_due_by(d, cl_loop_now() + REPUBLISH_MS);
}

static void on_change(void *self, const char *name)
{
    cl_folder_directory *d = self;
    if (name) cl_entries_look(d, name), cl_followed_look(d, name);
    else cl_entries_scan(d), cl_followed_scan(d);
    if (!name || is_missed(d, name)) republish_soon(d);
}

int cl_folder_watch(cl_folder_directory *d)
{
    cl_fs_watch *watch = NULL;
    int code = cl_fs_watch_create(d->loop, d->folder.path, on_change, d, &watch);
    if (code != 0) return code;
    cl_fs_watch_destroy(d->watch);
    d->watch = watch;
    return 0;
}

int cl_folder_enter(cl_folder_directory *d)
{
    cl_folder folder;
    int code = cl_folder_open(&folder, d->name);
    if (code != 0) return code;
    cl_folder_sweep_end(d);
    cl_folder_close(&d->folder);
    d->folder = folder;
    code = d->watch ? cl_folder_watch(d) : 0;
    if (code == 0) cl_entries_scan(d), cl_followed_scan(d);
    return code;
}

/* Each node for itself: one whose id was taken meanwhile is in nobody's way. */
static int put_back(cl_folder_directory *d)
{
    int code = cl_folder_is_current(&d->folder) ? 0 : cl_folder_enter(d);
    if (code != 0) return code;
    CL_LIST_EACH(it, &d->nodes)
    {
        int failed = cl_folder_node_restore(CL_OWNER(it, cl_folder_node, place));
        if (failed) code = failed;
    }
    return code;
}

void cl_folder_republish(cl_folder_directory *d)
{
    d->republish = 0;
    if (put_back(d) != 0) {
        if (!d->republish_failed)
            cl_log(CLOUDS_LOG_ERROR, "local: cannot put back what is gone from the folder: %s", clouds_last_error());
        d->republish_failed = d->republish = 1;
        cl_folder_due_by(d, cl_loop_now() + REPUBLISH_AGAIN_MS);
        return;
    }
    if (d->republish_failed) cl_log(CLOUDS_LOG_INFO, "local: what was gone from %s is back", d->folder.path);
    d->republish_failed = 0;
}

void cl_folder_inspect(cl_folder_directory *d, int64_t now)
{
    if (!d->inspect || d->closing) return;
    if (now >= d->inspect) {
        d->inspect = now + INSPECT_MS;
        if (!d->republish && !(d->watch && cl_fs_watch_is_notified(d->watch))) cl_folder_republish(d);
    }
    cl_folder_due_by(d, d->inspect);
}
