/* A file of lines that is put aside when it is large: nothing is lost thereby, nor by who else moves or cuts it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/cluster/cluster.h"
#include "support/tap.h"

enum { NAME = 300 };

static char folder[200];

static const char *in_folder(const char *name)
{
    static char path[4][NAME];
    static int next;
    char *out = path[next++ % 4];
    snprintf(out, NAME, "%s/%s", folder, name);
    return out;
}

static void begin(void)
{
    snprintf(folder, sizeof folder, "/tmp/clouds-log-XXXXXX");
    if (!mkdtemp(folder)) exit(99);
}

static void end(void)
{
    char line[NAME];
    snprintf(line, sizeof line, "rm -r %s", folder);
    if (system(line) != 0) exit(99);
}

static const char *content(const char *name)
{
    static char text[4096];
    int fd = open(in_folder(name), O_RDONLY);
    if (fd < 0) return "(none)";
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n < 0 ? 0 : n] = 0;
    return text;
}

static int write_lines(host_log_file *f, int count, ...)
{
    struct iovec pieces[8];
    va_list list;
    va_start(list, count);
    for (int i = 0; i < count; i++) {
        char *line = va_arg(list, char *);
        pieces[i] = (struct iovec){line, strlen(line)};
    }
    va_end(list);
    return host_log_file_write(f, pieces, count);
}

#define CHECK_FILE(name, text) CHECK(strcmp(content(name), text) == 0)

static void put_aside(void)
{
    host_log_file *f = host_log_file_open(in_folder("a"), 10, 2);
    CHECK_INT(write_lines(f, 3, "one\n", "two\n", "three\n"), 3);
    CHECK_FILE("a", "three\n");
    CHECK_FILE("a.1", "one\ntwo\n");
    chmod(in_folder("a"), 0604);
    CHECK_INT(write_lines(f, 2, "longer than all of it\n", "four\n"), 2);
    CHECK_FILE("a", "four\n");
    CHECK_FILE("a.1", "longer than all of it\n");
    CHECK_FILE("a.2", "three\n");
    CHECK_FILE("a.3", "(none)");
    struct stat found;
    CHECK(stat(in_folder("a"), &found) == 0 && (found.st_mode & 0777) == 0604);
    host_log_file_close(f);
    f = host_log_file_open(in_folder("a"), 10, 2);
    CHECK_INT(write_lines(f, 1, "five\n"), 1);
    CHECK_FILE("a", "four\nfive\n");
    CHECK(!host_log_file_problem(f).what);
    host_log_file_close(f);
}

static void none_is_kept(void)
{
    host_log_file *f = host_log_file_open(in_folder("b"), 4, 0);
    CHECK_INT(write_lines(f, 3, "one\n", "two\n", "six\n"), 3);
    CHECK_FILE("b", "six\n");
    CHECK_FILE("b.1", "(none)");
    host_log_file_close(f);
}

/* It cannot be: the file itself grows, and the older ones stay. */
static void not_put_aside(void)
{
    mkdir(in_folder("sub"), 0755);
    mkdir(in_folder("sub/c.1"), 0755);
    host_log_file *f = host_log_file_open(in_folder("sub/c"), 4, 1);
    CHECK_INT(write_lines(f, 1, "one\n"), 1);
    CHECK_INT(write_lines(f, 2, "two\n", "six\n"), 2);
    host_log_problem problem = host_log_file_problem(f);
    CHECK(problem.what && problem.number == EISDIR);
    CHECK(!host_log_file_problem(f).what);
    CHECK_FILE("sub/c", "one\ntwo\nsix\n");
    rmdir(in_folder("sub/c.1"));
    host_log_file_reopen(f); /* that is a reason to try again */
    CHECK_INT(write_lines(f, 1, "ten\n"), 1);
    CHECK_FILE("sub/c.1", "one\ntwo\nsix\n");
    host_log_file_close(f);
}

static void others(void)
{
    host_log_file *f = host_log_file_open(in_folder("d"), 100, 2);
    CHECK_INT(write_lines(f, 1, "one\n"), 1);
    rename(in_folder("d"), in_folder("moved"));
    CHECK_INT(write_lines(f, 1, "two\n"), 1);
    host_log_file_reopen(f);
    CHECK_INT(write_lines(f, 1, "three\n"), 1);
    CHECK_FILE("moved", "one\ntwo\n");
    CHECK_FILE("d", "three\n");
    CHECK_INT(truncate(in_folder("d"), 0), 0);
    CHECK_INT(write_lines(f, 1, "four\n"), 1);
    CHECK_FILE("d", "four\n");
    CHECK_FILE("d.1", "(none)");
    host_log_file_close(f);
}

static void behind_a_link(void)
{
    CHECK_INT(symlink("e.real", in_folder("e")), 0);
    host_log_file *f = host_log_file_open(in_folder("e"), 4, 3);
    CHECK_INT(write_lines(f, 2, "one\n", "two\n"), 2);
    CHECK_FILE("e", "two\n");
    CHECK_FILE("e.real.1", "one\n");
    host_log_file_close(f);
}

static void nowhere(void)
{
    CHECK(!host_log_file_open(in_folder("none/a"), 0, 0) && errno == ENOENT);
    CHECK(!host_log_file_open(folder, 0, 0) && errno == EISDIR);
}

/* Of a line that finds no room nothing stays. */
static void no_room(void)
{
    const struct rlimit ten = {10, RLIM_INFINITY}, any = {RLIM_INFINITY, RLIM_INFINITY};
    host_log_file *f = host_log_file_open(in_folder("g"), 0, 0);
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &ten);
    int written = write_lines(f, 3, "first\n", "second\n", "third\n");
    setrlimit(RLIMIT_FSIZE, &any);
    CHECK_INT(written, 1);
    CHECK_INT(host_log_file_problem(f).number, EFBIG);
    CHECK_FILE("g", "first\n");
    CHECK_INT(write_lines(f, 1, "fourth\n"), 1);
    CHECK_FILE("g", "first\nfourth\n");
    host_log_file_close(f);
}

/* All that a sink is given is in the files, in order, whatever is done with them meanwhile. */
static void by_a_sink(void)
{
    enum { LINES = 2000 };
    char line[32], name[32];
    int expected = 0;
    host_sink *s = host_sink_open(host_log_file_open(in_folder("h"), 1000, 100));
    for (int i = 0; i < LINES; i++) {
        int n = snprintf(line, sizeof line, "%d\n", i);
        CHECK(host_sink_put(s, -1, line, (size_t)n, false));
        if (i % 500 == 0) host_sink_reopen(s);
    }
    host_sink_close(s, 30, 30);
    for (int i = 100; i >= 0; i--) {
        snprintf(name, sizeof name, i ? "h.%d" : "h", i);
        FILE *file = fopen(in_folder(name), "r");
        if (!file) continue;
        int number;
        while (fscanf(file, "%d", &number) == 1)
            if (number != expected++) break;
        fclose(file);
    }
    CHECK_INT(expected, LINES);
}

int main(void)
{
    begin();
    RUN(put_aside);
    RUN(none_is_kept);
    RUN(not_put_aside);
    RUN(others);
    RUN(behind_a_link);
    RUN(nowhere);
    RUN(no_room);
    RUN(by_a_sink);
    end();
    return tap_end();
}
