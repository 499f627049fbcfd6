/* Design note: whoever starts looks for what killed processes left, at most once in ten seconds for all processes of a
 * user, and a piece at a time: with thousands of them the loop has other work too. Those that a call would meet are
 * found without it, when the servers of a method are looked at. */
#include "bus/local/internal.h"

enum { PIECE = 200, PAUSE_MS = 1 };

void cl_local_sweep_begin(cl_local *bus)
{
    if (bus->sweep || bus->closing || !cl_folder_sweep_is_due(&bus->folder)) return;
    bus->sweep = cl_folder_list(&bus->folder);
    if (bus->sweep) cl_local_tick_by(bus, cl_loop_now());
}

void cl_local_sweep_end(cl_local *bus)
{
    if (bus->sweep) closedir(bus->sweep);
    bus->sweep = NULL;
}

void cl_local_sweep(cl_local *bus)
{
    const struct dirent *d = NULL;
    for (int i = 0; bus->sweep && i < PIECE && (d = readdir(bus->sweep)); i++) cl_file_sweep(&bus->folder, d->d_name);
    if (!d || bus->closing) cl_local_sweep_end(bus);
    else cl_local_tick_by(bus, cl_loop_now() + PAUSE_MS);
}
