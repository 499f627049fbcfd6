/* Children: what they are given, what they are not, and how their end is told. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/cluster/cluster.h"
#include "support/tap.h"

static uv_loop_t *loop;
static char output[4096], why[256];
static int ended, last_status;

static void on_end(void *self, pid_t pid, int status)
{
    *(pid_t *)self = pid;
    ended++;
    last_status = status;
}

/* Runs a line of the shell in a child until it ends; what it wrote is in `output`. */
static pid_t run(host_spawn *spawn, const char *line)
{
    char *arguments[] = {"sh", "-c", (char *)line, NULL}, *environment[] = {"A=b", "PATH=/usr/bin:/bin", NULL};
    int ends[2];
    pid_t told = 0;
    if (pipe2(ends, O_CLOEXEC) != 0) exit(99);
    spawn->program = "sh";
    spawn->arguments = arguments;
    spawn->environment = environment;
    spawn->output = ends[1];
    pid_t pid = host_spawn_process(spawn, why, sizeof why);
    close(ends[1]);
    size_t size = 0;
    for (ssize_t n; (n = read(ends[0], output + size, sizeof output - 1 - size)) > 0;) size += (size_t)n;
    output[size] = 0;
    close(ends[0]);
    if (pid < 0) return pid;
    ended = 0;
    if (host_reap(loop, pid, on_end, &told) != 0) exit(99);
    while (!ended) uv_run(loop, UV_RUN_ONCE);
    CHECK_INT(told, pid);
    return pid;
}

static void what_a_child_has(void)
{
    host_spawn spawn;
    host_spawn_plain(&spawn);
    int held = open("/dev/null", O_RDONLY); /* one that the master forgot to mark */
    spawn.fds[spawn.fd_count++] = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    spawn.folder = "/usr";
    spawn.mask = 027;
    pid_t pid = run(&spawn, "echo $A; pwd; umask; ps -o pgid= -p $$ | tr -d ' '; readlink /proc/$$/fd/0 /proc/$$/fd/3;"
                            "ls -m /proc/$$/fd; grep -E '^(NoNewPrivs|SigIgn):' /proc/$$/status");
    char expected[256];
    snprintf(expected, sizeof expected, "b\n/usr\n0027\n%d\n/dev/null\n/dev/zero\n0, 1, 2, 3\n", (int)pid);
    CHECK(strncmp(output, expected, strlen(expected)) == 0);
    if (strncmp(output, expected, strlen(expected)) != 0) printf("# %s\n", output);
    CHECK(strstr(output, "NoNewPrivs:\t1") != NULL);
    CHECK(strstr(output, "SigIgn:\t0000000000300201") != NULL); /* HUP, USR1, TTIN, TTOU */
    CHECK(WIFEXITED(last_status) && WEXITSTATUS(last_status) == 0);
    close(held);
    close(spawn.fds[0]);
}

/* As on Linux before 5.9. */
static bool forbid_close_range(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* More of them than one reading of the folder gives, and none is left. */
static void descriptors_without_close_range(void)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        host_spawn spawn;
        host_spawn_plain(&spawn);
        for (int i = 0; i < 300; i++)
            if (dup(STDERR_FILENO) < 0) _exit(2);
        if (!forbid_close_range()) _exit(3);
        run(&spawn, "ls -m /proc/$$/fd; true");
        _exit(strcmp(output, "0, 1, 2\n") == 0 ? 0 : 4);
    }
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), 0);
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* A range is closed, and nothing beside it. */
static void close_a_range(bool without_close_range)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        for (int fd = 20; fd < 400; fd++)
            if (dup2(STDERR_FILENO, fd) < 0) _exit(2);
        if (without_close_range && !forbid_close_range()) _exit(3);
        if (host_descriptors_close(21, 398, false) != 0 || host_descriptors_close(9, 8, false) != 0) _exit(4);
        for (int fd = 21; fd < 399; fd++)
            if (is_open(fd)) _exit(5);
        _exit(is_open(20) && is_open(399) ? 0 : 6);
    }
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), 0);
}

static void descriptors_of_a_range(void)
{
    close_a_range(false);
    close_a_range(true);
}

static void how_it_ends(void)
{
    host_spawn spawn;
    host_spawn_plain(&spawn);
    run(&spawn, "exit 7");
    CHECK(WIFEXITED(last_status) && WEXITSTATUS(last_status) == 7);
    run(&spawn, "kill -KILL $$");
    CHECK(WIFSIGNALED(last_status) && WTERMSIG(last_status) == SIGKILL);
}

static void what_fails_is_named(void)
{
    host_spawn spawn;
    char *arguments[] = {"x", NULL}, *environment[] = {NULL};
    host_spawn_plain(&spawn);
    spawn.arguments = arguments;
    spawn.environment = environment;
    spawn.program = "/no/such/program";
    CHECK_INT(host_spawn_process(&spawn, why, sizeof why), -1);
    CHECK_INT(errno, ENOENT);
    CHECK_STR(why, strlen(why), "cannot start /no/such/program: No such file or directory");
    spawn.folder = "/no/such/folder";
    CHECK_INT(host_spawn_process(&spawn, why, sizeof why), -1);
    CHECK_STR(why, strlen(why), "cannot enter the folder: No such file or directory");
    spawn.files = 1; /* fewer than it has */
    spawn.cpu = 100000;
    CHECK_INT(host_spawn_process(&spawn, why, sizeof why), -1);
    CHECK(strncmp(why, "cannot choose a processor: ", 27) == 0);
    CHECK_INT(waitpid(-1, NULL, WNOHANG), -1); /* nothing is left */
}

static void limits_and_priority(void)
{
    host_spawn spawn;
    host_spawn_plain(&spawn);
    spawn.files = 100;
    spawn.core = 0;
    spawn.nice = 3;
    int own = nice(0);
    char expected[64];
    snprintf(expected, sizeof expected, "100\n0\n%d\n", own + 3 > 19 ? 19 : own + 3);
    run(&spawn, "ulimit -n; ulimit -c; nice");
    CHECK_STR(output, strlen(output), expected);
}

/* As root only: who can not become another user is told so. */
static void another_user(void)
{
    host_spawn spawn;
    gid_t groups[] = {12345, 12346, 12347};
    host_spawn_plain(&spawn);
    spawn.has_user = spawn.has_group = true;
    spawn.user = 65534;
    spawn.group = 65534;
    spawn.groups = groups;
    spawn.group_count = 3;
    pid_t pid = run(&spawn, "grep -E '^(Uid|Gid|Groups|CapEff|CapPrm):' /proc/$$/status; setpriv --reuid 0 true 2>&1 | wc -l");
    if (geteuid() != 0) {
        CHECK_INT(pid, -1);
        CHECK_STR(why, strlen(why), "cannot set the supplementary groups: Operation not permitted");
        return;
    }
    CHECK(strstr(output, "Uid:\t65534\t65534\t65534\t65534\n") != NULL);
    CHECK(strstr(output, "Gid:\t65534\t65534\t65534\t65534\n") != NULL);
    CHECK(strstr(output, "Groups:\t12345 12346 12347") != NULL);
    CHECK(strstr(output, "CapEff:\t0000000000000000\n") != NULL);
    CHECK(strstr(output, "CapPrm:\t0000000000000000\n") != NULL);
    CHECK(strstr(output, "\n1\n") != NULL);
}

/* SIGTERM when the master ends, whatever became of its user. */
static void it_follows_the_master(void)
{
    int ends[2];
    char c;
    if (pipe(ends) != 0) exit(99);
    pid_t master = fork();
    if (master == 0) {
        char *arguments[] = {"sh", "-c", "trap 'printf t; exit' TERM; printf r; while :; do sleep 0.05; done", NULL};
        char *environment[] = {"PATH=/usr/bin:/bin", NULL};
        host_spawn spawn;
        host_spawn_plain(&spawn);
        spawn.program = "sh";
        spawn.arguments = arguments;
        spawn.environment = environment;
        spawn.output = ends[1];
        if (geteuid() == 0) spawn.has_user = true, spawn.user = 65534;
        if (host_spawn_process(&spawn, why, sizeof why) < 0) _exit(1);
        pause();
    }
    close(ends[1]);
    CHECK_INT((int)read(ends[0], &c, 1), 1);
    CHECK_INT(c, 'r');
    kill(master, SIGKILL);
    CHECK_INT((int)read(ends[0], &c, 1), 1);
    CHECK_INT(c, 't');
    waitpid(master, NULL, 0);
    close(ends[0]);
}

int main(void)
{
    loop = uv_default_loop();
    RUN(what_a_child_has);
    RUN(descriptors_without_close_range);
    RUN(descriptors_of_a_range);
    RUN(how_it_ends);
    RUN(what_fails_is_named);
    RUN(limits_and_priority);
    RUN(another_user);
    RUN(it_follows_the_master);
    host_reap_close();
    uv_run(loop, UV_RUN_DEFAULT);
    return tap_end();
}
