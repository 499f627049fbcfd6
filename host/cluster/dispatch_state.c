/* What a dispatch leaves to another program that takes the place of this one, and how that goes on with it. */
#include <string.h>

#include "host/cluster/internal.h"

void host_dispatch_each_held(const host_dispatch *d, host_connection_hook hook, void *self)
{
    for (const held_connection *h = d->held; h; h = h->next) hook(self, h->fd, h->about);
}

void host_target_each_copy(const host_target *t, host_connection_hook hook, void *self)
{
    for (unsigned i = 0; i < t->copy_count; i++) {
        const held_connection *copy = &t->copies[(t->first_copy + i) % CLOUDS_CHANNEL_WINDOW];
        hook(self, copy->fd, copy->about);
    }
}

bool host_target_is_ready(const host_target *t)
{
    return t->is_ready;
}

bool host_target_restore(host_target *t, int fd, clouds_channel_connection about)
{
    if (t->copy_count == CLOUDS_CHANNEL_WINDOW) return false;
    if (t->copy_count == 0) t->silent_since = uv_hrtime();
    t->copies[(t->first_copy + t->copy_count++) % CLOUDS_CHANNEL_WINDOW] = (held_connection){.fd = fd, .about = about};
    return true;
}

void host_dispatch_restore(host_dispatch *d, const host_dispatch_counts *counts)
{
    uint64_t held = d->counts.held;
    d->counts = *counts;
    d->counts.held = held;
}
