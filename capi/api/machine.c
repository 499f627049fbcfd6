#include "api/machine.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/rand.h"

/* Where there is no such id, as in a container that hides it, the name of the machine is better than nothing. */
static size_t read_identity(char *out, size_t room)
{
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, out, room) : -1;
    if (fd >= 0) close(fd);
    if (n > 0) return (size_t)n;
    out[room - 1] = '\0';
    return gethostname(out, room - 1) == 0 ? strlen(out) : 0;
}

/* It is found once: a process stays where it is. 0: not yet. */
static uint64_t machine(void)
{
    static const uint64_t key[2] = {0x636c6f7564732068u, 0x6f7374206f66206du};
    static _Atomic uint64_t known;
    char identity[128];
    uint64_t it = atomic_load(&known);
    if (it) return it;
    it = (cl_siphash(key, identity, read_identity(identity, sizeof identity)) & 0xffffffffffffu) | 1;
    atomic_store(&known, it);
    return it;
}

void cl_machine(char out[CL_MACHINE_DIGITS + 1])
{
    snprintf(out, CL_MACHINE_DIGITS + 1, "%012llx", (unsigned long long)machine());
}
