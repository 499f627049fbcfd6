#include "api/node_id.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/error.h"
#include "base/rand.h"
#include "base/str.h"

/* The eight hex digits are random, since host names and process ids are not enough: containers share them. They are
 * drawn once for each process, in a forked child anew: (pid << 32 | digits). */
static _Atomic uint64_t drawn;

static int digits_of(uint32_t pid, uint32_t *out)
{
    uint64_t known = atomic_load(&drawn);
    if (known >> 32 != pid) {
        uint32_t digits;
        if (cl_random_bytes(&digits, sizeof digits) != 0) return CLOUDS_ESYSTEM;
        uint64_t mine = (uint64_t)pid << 32 | digits;
        if (atomic_compare_exchange_strong(&drawn, &known, mine)) known = mine;
    }
    *out = (uint32_t)known;
    return 0;
}

int cl_node_id_make(const char *type, char **out)
{
    static _Atomic unsigned long counter;
    uint32_t digits, pid = (uint32_t)getpid();
    char id[64];
    int code = digits_of(pid, &digits);
    if (code != 0) return code;
    int n = snprintf(id, sizeof id, "%c.%08" PRIx32 ".%" PRIu32 ".%lu", type[0] | 0x20, digits, pid,
                     atomic_fetch_add(&counter, 1));
    *out = cl_str_dup(cl_str_of(id, (size_t)n));
    return *out ? 0 : cl_error(CLOUDS_ENOMEM, NULL);
}
