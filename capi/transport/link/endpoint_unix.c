/* Unix sockets: an address is "unix:<path>", and the process at the other end must be of our user or root.
 *
 * That of a context is "unix:<device>:<inode>:<path>": who is on another machine or in another container may have a
 * folder of that name, too, but not this one. Sockets that dead processes left are removed by those that start, at most
 * once a minute: nobody listens at them. A socket gets its name when somebody does. */
#include "transport/link/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/runtime_folder.h"

static const char scheme[] = "unix:";

int cl_endpoint_unix_reaches(const cl_address *address)
{
    return strncmp(address->text, scheme, sizeof scheme - 1) == 0;
}

static const char *path_of(const cl_address *address)
{
    return cl_endpoint_unix_reaches(address) ? address->text + sizeof scheme - 1 : NULL;
}

static int no_way(const cl_address *address)
{
    return cl_error(CLOUDS_EUNREACHABLE, "no socket of this machine: %.200s", address->text);
}

/* The directory has made sure that the address is ours, so what stands there is a leftover. */
int cl_endpoint_unix_listen(cl_endpoint *endpoint, const cl_address *at)
{
    const char *path = path_of(at);
    if (!path) return no_way(at);
    unlink(path);
    return cl_listener_unix(endpoint->t->loop, path, cl_link_accepted, endpoint, &endpoint->listener);
}

int cl_endpoint_unix_dial(cl_link_transport *t, const cl_address *address, const cl_conn_hooks *hooks, cl_conn **out)
{
    const char *path = path_of(address);
    return path ? cl_conn_unix(t->loop, path, t->limits.connect_timeout, hooks, out) : no_way(address);
}

int cl_endpoint_unix_is_trusted(const cl_conn *conn)
{
    long uid = cl_conn_peer_uid(conn);
    return uid == 0 || uid == (long)geteuid();
}

/* ---- of a context */

enum { SWEEP_SECONDS = 60 };

static int folder_of_links(char out[PATH_MAX])
{
    int code = cl_runtime_folder(out);
    if (code != 0) return code;
    if (strlen(out) + sizeof "/.links" > PATH_MAX) return cl_error(CLOUDS_ESYSTEM, "the folder's path is too long");
    strcat(out, "/.links");
    return cl_folder_make_private(out);
}

static int is_sweep_due(const char *folder)
{
    char stamp[PATH_MAX + 16];
    struct stat s;
    snprintf(stamp, sizeof stamp, "%s/.swept", folder);
    int fd = open(stamp, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0) return 0;
    int64_t age = fstat(fd, &s) == 0 && s.st_size ? (int64_t)time(NULL) - s.st_mtim.tv_sec : SWEEP_SECONDS;
    int is_due = age >= SWEEP_SECONDS || age < 0;
    if (is_due && (ftruncate(fd, 0) != 0 || write(fd, "\n", 1) != 1)) is_due = 0;
    close(fd);
    return is_due;
}

static int has_listener(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) return 1;
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int has = fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) == 0 || errno != ECONNREFUSED;
    if (fd >= 0) close(fd);
    return has;
}

static void sweep(const char *folder)
{
    DIR *dir = is_sweep_due(folder) ? opendir(folder) : NULL;
    if (!dir) return;
    for (struct dirent *d; (d = readdir(dir));) {
        char path[PATH_MAX + NAME_MAX + 2];
        size_t n = strlen(d->d_name);
        if (n < 5 || strcmp(d->d_name + n - 5, ".sock") != 0) continue;
        snprintf(path, sizeof path, "%s/%s", folder, d->d_name);
        if (!has_listener(path)) unlink(path);
    }
    closedir(dir);
}

static void accepted_by_context(void *self, cl_conn *conn)
{
    cl_link_accepted_by_context(self, conn);
}

/* The name is given when the socket listens, so that nobody takes it for a leftover. */
static int listen_named(cl_link_transport *t)
{
    char unnamed[sizeof t->unix_path + 8];
    struct stat s;
    snprintf(unnamed, sizeof unnamed, "%s.new", t->unix_path);
    int code = cl_listener_unix(t->loop, unnamed, accepted_by_context, t, &t->unix_listener);
    if (code != 0) return code;
    if (rename(unnamed, t->unix_path) == 0) return 0;
    code = cl_error(CLOUDS_ESYSTEM, "rename %s: %s", unnamed, strerror(errno));
    if (stat(unnamed, &s) == 0) unlink(unnamed);
    return code;
}

int cl_endpoint_unix_open(cl_link_transport *t)
{
    char folder[PATH_MAX];
    struct stat s;
    if (!t->direct.unix_socket) return 0;
    int code = folder_of_links(folder);
    if (code != 0) return code;
    int n = snprintf(t->unix_path, sizeof t->unix_path, "%s/%s.sock", folder, t->context);
    if (n < 0 || (size_t)n >= sizeof t->unix_path) return cl_error(CLOUDS_ESYSTEM, "the path is too long: %s", folder);
    sweep(folder);
    if (stat(folder, &s) != 0) return cl_error(CLOUDS_ESYSTEM, "cannot use the folder %s: %s", folder, strerror(errno));
    code = listen_named(t);
    if (code != 0) return code;
    t->owner = getpid();
    snprintf(t->unix_address, sizeof t->unix_address, "%s%llu:%llu:%s", scheme, (unsigned long long)s.st_dev,
             (unsigned long long)s.st_ino, t->unix_path);
    return 0;
}

void cl_endpoint_unix_close(cl_link_transport *t)
{
    if (t->unix_listener && t->owner == getpid()) unlink(t->unix_path);
    cl_listener_close(t->unix_listener);
    t->unix_listener = NULL;
}

static int is_same_folder(const char *path, unsigned long long device, unsigned long long inode)
{
    char folder[128];
    struct stat s;
    const char *end = strrchr(path, '/');
    if (!end || (size_t)(end - path) >= sizeof folder) return 0;
    snprintf(folder, sizeof folder, "%.*s", (int)(end - path), path);
    return stat(folder, &s) == 0 && s.st_dev == device && s.st_ino == inode;
}

int cl_endpoint_unix_dial_context(cl_link_transport *t, cl_str address, const cl_conn_hooks *hooks, cl_conn **out)
{
    unsigned long long device, inode;
    char text[192];
    int at = 0;
    snprintf(text, sizeof text, "%.*s", (int)address.n, address.p);
    int is_whole = sscanf(text, "unix:%llu:%llu:%n", &device, &inode, &at) == 2 && at > 0 && text[at] == '/';
    if (!is_whole || !is_same_folder(text + at, device, inode))
        return cl_error(CLOUDS_EUNREACHABLE, "not of this machine: %s", text);
    return cl_conn_unix(t->loop, text + at, t->limits.connect_timeout, hooks, out);
}
