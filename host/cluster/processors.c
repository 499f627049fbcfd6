/* How many processors this process may use.
 *
 * Design note. A container is often given a part of a machine by a quota of processor time, and sees all processors of
 * it all the same. The quota may lie at any group above this one, and the smallest counts. Inside a container the tree
 * that is mounted begins at its own group, so that the path in /proc/self/cgroup, which is that of the outer tree, leads
 * nowhere; each part of it that is not there is left out, down to the root of what is mounted. */
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/cluster/cluster.h"

/* The first line of a file below `root`; false: there is none. */
static bool read_line(char *out, size_t size, const char *root, const char *folder, const char *group, const char *name)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s%s%s/%s", root, folder, group, name);
    FILE *file = n > 0 && (size_t)n < sizeof path ? fopen(path, "re") : NULL;
    if (!file) return false;
    bool has_read = fgets(out, (int)size, file) != NULL;
    fclose(file);
    return has_read;
}

/* "200000 100000", or "max 100000" without a quota. */
static double quota_of_v2(const char *root, const char *group)
{
    char text[128];
    double quota, period;
    if (!read_line(text, sizeof text, root, "/sys/fs/cgroup", group, "cpu.max")) return 0;
    return sscanf(text, "%lf %lf", &quota, &period) == 2 && quota > 0 && period > 0 ? quota / period : 0;
}

static double quota_of_v1(const char *root, const char *group)
{
    static const char *const folders[] = {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"};
    char quota[64], period[64];
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (read_line(quota, sizeof quota, root, folders[i], group, "cpu.cfs_quota_us") &&
            read_line(period, sizeof period, root, folders[i], group, "cpu.cfs_period_us") && atof(quota) > 0 &&
            atof(period) > 0)
            return atof(quota) / atof(period);
    return 0;
}

/* The smallest of a group and of those above it; 0: none of them has one. */
static double smallest(const char *root, char *group, double (*quota_of)(const char *root, const char *group))
{
    double least = 0;
    for (;;) {
        double quota = quota_of(root, group);
        if (quota > 0 && (least == 0 || quota < least)) least = quota;
        char *end = strrchr(group, '/');
        if (!end) return least;
        *end = 0;
    }
}

/* Whether "cpu" is one of "cpu,cpuacct". */
static bool names_cpu(const char *controllers)
{
    for (const char *at = controllers; (at = strstr(at, "cpu")) != NULL; at += 3)
        if ((at == controllers || at[-1] == ',') && (at[3] == 0 || at[3] == ',')) return true;
    return false;
}

/* Of a line "4:cpu,cpuacct:/group", or of "0::/group" for version 2. */
static double quota_of_line(const char *root, char *line)
{
    char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group) return 0;
    *group++ = 0;
    controllers++;
    group[strcspn(group, "\n")] = 0;
    if (strcmp(group, "/") == 0) *group = 0;
    if (!*controllers) return smallest(root, group, quota_of_v2);
    return names_cpu(controllers) ? smallest(root, group, quota_of_v1) : 0;
}

double host_processors_of_quota(const char *root)
{
    char path[PATH_MAX], line[PATH_MAX + 64];
    double least = 0;
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *file = fopen(path, "re");
    if (!file) return 0;
    while (fgets(line, sizeof line, file)) {
        double quota = quota_of_line(root, line);
        if (quota > 0 && (least == 0 || quota < least)) least = quota;
    }
    fclose(file);
    return least;
}

int host_processors(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    double quota = host_processors_of_quota("");
    if (quota > 0 && quota < count) count = (int)quota + ((double)(int)quota < quota);
    return count > 0 ? count : 1;
}

int host_processor(int index)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0 || CPU_COUNT(&set) == 0) return -1;
    index %= CPU_COUNT(&set);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &set) && index-- == 0) return cpu;
    return -1;
}
