/* How many processors: quotas of cgroups in trees as they are found on a machine and in containers. */
#include <sched.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "host/cluster/cluster.h"
#include "support/tap.h"

static char root[64];

/* Writes a file below the root, and the folders that lead to it. */
static void put(const char *path, const char *text)
{
    char full[512];
    int length = snprintf(full, sizeof full, "%s%s", root, path);
    for (int at = (int)strlen(root) + 1; at < length; at++)
        if (full[at] == '/') {
            full[at] = 0;
            mkdir(full, 0700);
            full[at] = '/';
        }
    FILE *file = fopen(full, "w");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0) exit(99);
}

static void begin(void)
{
    snprintf(root, sizeof root, "/tmp/clouds-processors-XXXXXX");
    if (!mkdtemp(root)) exit(99);
}

static void end(void)
{
    char line[128];
    snprintf(line, sizeof line, "rm -r %s", root);
    CHECK_INT(system(line), 0);
}

/* In hundredths. */
static int quota(void)
{
    return (int)(host_processors_of_quota(root) * 100 + 0.5);
}

static void none(void)
{
    begin();
    CHECK_INT(quota(), 0); /* no /proc */
    put("/proc/self/cgroup", "0::/\n");
    CHECK_INT(quota(), 0); /* no group */
    put("/sys/fs/cgroup/cpu.max", "max 100000\n");
    CHECK_INT(quota(), 0);
    put("/proc/self/cgroup", "nonsense\n7:\n8:cpu\n:\n");
    CHECK_INT(quota(), 0);
    end();
}

static void version_2(void)
{
    begin();
    put("/proc/self/cgroup", "0::/system.slice/web.service\n");
    put("/sys/fs/cgroup/system.slice/web.service/cpu.max", "150000 100000\n");
    CHECK_INT(quota(), 150);
    put("/sys/fs/cgroup/system.slice/cpu.max", "50000 100000\n"); /* one above it has less */
    CHECK_INT(quota(), 50);
    put("/sys/fs/cgroup/system.slice/cpu.max", "broken\n");
    CHECK_INT(quota(), 150);
    put("/sys/fs/cgroup/system.slice/web.service/cpu.max", "150000 0\n");
    CHECK_INT(quota(), 0);
    end();
}

/* What is mounted begins at the group of the container, whose path is told as from outside. */
static void in_a_container(void)
{
    begin();
    put("/proc/self/cgroup", "0::/docker/0123456789\n");
    put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
    CHECK_INT(quota(), 200);
    end();
}

static void version_1(void)
{
    begin();
    put("/proc/self/cgroup", "4:cpuset:/a\n3:cpu,cpuacct:/a/b\n2:cpuacct:/c\n0::/\n");
    put("/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n");
    CHECK_INT(quota(), 0);
    put("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "300000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
    CHECK_INT(quota(), 300);
    end();
}

static void of_this_process(void)
{
    cpu_set_t set;
    CHECK_INT(sched_getaffinity(0, sizeof set, &set), 0);
    int all = CPU_COUNT(&set), first = host_processor(0);
    CHECK(host_processors() >= 1 && host_processors() <= all);
    CHECK(CPU_ISSET(first, &set));
    CHECK_INT(host_processor(all), first); /* round and round */
    CPU_ZERO(&set);
    CPU_SET(first, &set);
    CHECK_INT(sched_setaffinity(0, sizeof set, &set), 0);
    CHECK_INT(host_processors(), 1);
    CHECK_INT(host_processor(5), first);
}

int main(void)
{
    RUN(none);
    RUN(version_2);
    RUN(in_a_container);
    RUN(version_1);
    RUN(of_this_process);
    return tap_end();
}
