/* Design note: one timer serves all that takes time here. It is set for the earliest thing and looks at everything when
 * it is due, so a thing that got earlier or vanished costs nothing. */
#include "base/mem.h"
#include "directory/folder/internal.h"

enum { PROBE_MS = 200 };

void cl_folder_due_by(cl_folder_directory *d, int64_t when)
{
    if (when >= d->due) return;
    d->due = when;
    cl_loop_timer_set(d->timer, when);
}

/* ---- probes */

static void forget(cl_folder_directory *d, cl_str id)
{
    cl_entries_forget(d, id);
    cl_followed_forget(d, id);
}

/* Its link broke: if its lock is free it is swept away, else it counts again. The lock of a process that was killed may
 * still be held for a moment after its links are closed. */
void cl_folder_suspect(cl_directory *base, cl_str id, int was_open)
{
    cl_folder_directory *d = cl_folder_of(base);
    char key[CL_KEY + 1];
    cl_file_key(id, key);
    if (d->closing || (!cl_strmap_get(&d->entries.peers, id) && !cl_followed_has(d, id))) return;
    if (!cl_file_is_alive(&d->folder, key, NULL)) {
        forget(d, id);
        return;
    }
    if (!was_open) return;
    cl_probe *probe = cl_malloc(sizeof *probe + id.n);
    if (!probe) return; /* the next lookup sees to it */
    *probe = (cl_probe){.when = cl_loop_now() + PROBE_MS, .n = id.n};
    memcpy(probe->id, id.p, id.n);
    memcpy(probe->key, key, sizeof key);
    cl_list_append(&d->probes, &probe->place);
    cl_folder_due_by(d, probe->when);
}

static void run_probes(cl_folder_directory *d, int64_t now)
{
    while (!cl_list_empty(&d->probes)) {
        cl_probe *probe = CL_OWNER(d->probes.next, cl_probe, place);
        if (probe->when > now) {
            cl_folder_due_by(d, probe->when);
            return;
        }
        cl_list_remove(&probe->place);
        cl_str id = {probe->id, probe->n};
        if (cl_file_is_alive(&d->folder, probe->key, NULL)) cl_entries_tell(d, id, 1);
        else forget(d, id);
        cl_free(probe);
    }
}

void cl_folder_due(void *self)
{
    cl_folder_directory *d = self;
    int64_t now = cl_loop_now();
    d->due = INT64_MAX;
    run_probes(d, now);
    if (!d->closing) cl_folder_nodes_retry(d, now);
    if (d->republish && !d->closing) cl_folder_republish(d);
    cl_folder_inspect(d, now);
    if (d->sweep) cl_folder_sweep(d);
}
