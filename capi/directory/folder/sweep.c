/* Design note: whoever starts looks for what killed processes left, at most once in ten seconds for all processes of a
 * user, and a piece at a time: with thousands of them the loop has other work too. Those that a call would meet are
 * found without it, when the servers of a method are looked at. */
#include "directory/folder/internal.h"

enum { PIECE = 200, PAUSE_MS = 1 };

void cl_folder_sweep_begin(cl_folder_directory *d)
{
    if (d->sweep || d->closing || !cl_folder_sweep_is_due(&d->folder)) return;
    d->sweep = cl_folder_list(&d->folder);
    if (d->sweep) cl_folder_due_by(d, cl_loop_now());
}

void cl_folder_sweep_end(cl_folder_directory *d)
{
    if (d->sweep) closedir(d->sweep);
    d->sweep = NULL;
}

void cl_folder_sweep(cl_folder_directory *d)
{
    const struct dirent *f = NULL;
    for (int i = 0; d->sweep && i < PIECE && (f = readdir(d->sweep)); i++) cl_file_sweep(&d->folder, f->d_name);
    if (!f || d->closing) cl_folder_sweep_end(d);
    else cl_folder_due_by(d, cl_loop_now() + PAUSE_MS);
}
