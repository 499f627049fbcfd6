/* The two parts of a local: bus, for the tests that look inside. */
#ifndef INSIDE_H
#define INSIDE_H

#include "bus/internal.h"
#include "directory/folder/internal.h"
#include "transport/link/internal.h"

static inline cl_folder_directory *folder_of(cl_bus *bus)
{
    return cl_folder_of(CL_OWNER(bus, cl_composed, base)->directory);
}

static inline cl_link_transport *links_of(cl_bus *bus)
{
    return cl_links_of(CL_OWNER(bus, cl_composed, base)->transports[0]);
}

#endif
