/* Files of a folder, and how their bytes go out.
 *
 * Design note. What lies outside of the folder cannot be opened, whatever the path or a symbolic link says: the kernel
 * sees to that (openat2, RESOLVE_BENEATH), and where it cannot, no link is followed. A small file goes out with its
 * head; of a large one the kernel copies what the socket takes (sendfile), and where that is nothing, a piece of it is
 * left with the loop, which calls back when there is room again. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/http/internal.h"

enum { SMALL = 16384, PIECE = 65536, AT_A_TIME = 1 << 20 };

static const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

/* Part by part, and no symbolic link. */
static int open_plainly(int folder, const char *path)
{
    char part[256];
    int at = fcntl(folder, F_DUPFD_CLOEXEC, 3);
    while (at >= 0 && *path) {
        size_t n = strcspn(path, "/");
        bool is_last = path[n] == '\0';
        if (n == 0 || n >= sizeof part || (n == 2 && memcmp(path, "..", 2) == 0)) {
            close(at);
            return errno = ENOENT, -1;
        }
        memcpy(part, path, n);
        part[n] = '\0';
        int next = openat(at, part, flags | O_NOFOLLOW | (is_last ? 0 : O_DIRECTORY));
        int problem = errno;
        close(at);
        errno = problem;
        at = next;
        path += is_last ? n : n + 1;
    }
    return at;
}

int host_http_open_beneath(int folder, const char *path)
{
    struct open_how how = {.flags = (uint64_t)flags, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    int fd = (int)syscall(SYS_openat2, folder, *path ? path : ".", &how, sizeof how);
    if (fd >= 0 || (errno != ENOSYS && errno != EPERM)) return fd;
    return open_plainly(folder, path);
}

/* As many of the bytes as there are; fewer: the file has become shorter. */
static size_t read_piece(int fd, char *to, size_t size, uint64_t at)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = pread(fd, to + done, size - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        done += (size_t)n;
    }
    return done;
}

static int gone(host_http_connection *c)
{
    host_http_connection_close(c);
    errno = ECONNRESET;
    return -1;
}

/* The socket takes no more: a piece waits in the loop, which goes on behind it. */
static bool leave_piece(host_http_connection *c)
{
    size_t size = c->file.left < PIECE ? (size_t)c->file.left : PIECE;
    char *text = malloc(size);
    if (!text) return false;
    if (read_piece(c->file.fd, text, size, c->file.at) != size) return free(text), false;
    c->file.at += size;
    c->file.left -= size;
    return host_http_queue(c, text, size);
}

/* What the socket takes, one turn's worth at most; then others have theirs. False: the connection is lost. */
static bool send_part(host_http_connection *c)
{
    uv_os_fd_t socket;
    size_t turn = AT_A_TIME;
    bool goes_on = uv_fileno(&c->uv.handle, &socket) == 0;
    while (goes_on && c->file.left && turn) {
        off_t at = (off_t)c->file.at;
        ssize_t n = sendfile(socket, c->file.fd, &at, c->file.left < turn ? (size_t)c->file.left : turn);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            goes_on = n < 0 && errno == EAGAIN;
            break;
        }
        c->file.at += (uint64_t)n;
        c->file.left -= (uint64_t)n;
        turn -= (size_t)n;
    }
    return goes_on;
}

void host_http_send_on(host_http_connection *c)
{
    bool goes_on = send_part(c);
    if (goes_on && c->file.left) goes_on = leave_piece(c);
    if (!goes_on) {
        host_http_connection_close(c);
        return;
    }
    if (c->file.left) return;
    host_http_end_file(c);
    host_http_advance(c);
}

void host_http_end_file(host_http_connection *c)
{
    if (c->file.fd) close(c->file.fd);
    c->file.fd = 0;
    c->file.left = 0;
}

static int send_small(host_http_connection *c, char *head, size_t head_size, int fd, uint64_t at, uint64_t length)
{
    char *text = host_http_more_room(head, head_size, (size_t)length);
    if (!text || read_piece(fd, text + head_size, (size_t)length, at) != length) {
        host_http_free_room(text);
        return gone(c);
    }
    if (!host_http_put(c, text, head_size + (size_t)length)) return gone(c);
    host_http_answered(c);
    return 0;
}

/* More follows at once, so that it goes with that. */
static bool put_head(host_http_connection *c, char *head, size_t size)
{
    uv_os_fd_t socket;
    ssize_t n = -1;
    if (c->writes == 0 && uv_fileno(&c->uv.handle, &socket) == 0)
        n = send(socket, head, size, MSG_MORE | MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n == (ssize_t)size) return host_http_free_room(head), true;
    if (n <= 0) return host_http_put(c, head, size);
    memmove(head, head + n, size - (size_t)n);
    return host_http_queue(c, head, size - (size_t)n);
}

/* Of what does not go out at once the connection has a copy of the descriptor. */
static bool begin_file(host_http_connection *c, int fd, uint64_t at, uint64_t length)
{
    c->file.fd = fd;
    c->file.at = at;
    c->file.left = length;
    bool goes_on = c->writes || send_part(c);
    c->file.fd = goes_on && c->file.left ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : 0;
    if (c->file.fd < 0) goes_on = false;
    if (!goes_on) c->file.fd = 0, c->file.left = 0;
    return goes_on;
}

int host_http_answer_file(host_http_connection *c, const host_http_response *response, int fd, uint64_t at,
                          uint64_t length)
{
    size_t size = 0;
    bool keep_alive = host_http_can_go_on(c);
    char *head = host_http_format_head(response, c->server->always, HOST_HTTP_COUNTED, length, keep_alive, &size);
    if (!head && errno == EINVAL) return -1;
    c->keep_alive = keep_alive;
    if (!head) return gone(c);
    if (!c->is_head && length <= SMALL) return send_small(c, head, size, fd, at, length);
    if (c->is_head ? !host_http_put(c, head, size) : !(put_head(c, head, size) && begin_file(c, fd, at, length)))
        return gone(c);
    host_http_answered(c);
    return 0;
}
