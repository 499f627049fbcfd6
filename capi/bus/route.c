/* Which transport carries an envelope: the first, in order of preference, that reaches the address of its receiver.
 * With one transport nothing is to be decided, and `direct` leads around this. */
#include "bus/internal.h"

#include "base/error.h"

cl_transport *cl_bus_route(cl_composed *bus, cl_str to)
{
    cl_address address;
    if (bus->closing) return cl_error(CLOUDS_ECLOSED, NULL), NULL;
    int code = bus->directory->ops->locate(bus->directory, to, &address);
    for (size_t i = 0; i < bus->transports_n && code == 0; i++) {
        cl_transport *t = bus->transports[i];
        if (!t->ops->reaches || t->ops->reaches(t, &address)) return t;
    }
    return cl_error(CLOUDS_EUNREACHABLE, "no way leads to %.*s", to.n < 150 ? (int)to.n : 150, to.p), NULL;
}
