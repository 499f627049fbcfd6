/* A node, its friend whom it has to serve whatever comes, and somebody who speaks to its socket as he likes. */
#ifndef RAW_H
#define RAW_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "local/folder.h"
#include "local/side.h"
#include "proto/frame.h"

static side victim, friend_;
static int victim_node, friend_node;

static inline int socket_path(char *out, size_t cap, int nth)
{
    char path[128];
    snprintf(path, sizeof path, "%s/t", folder);
    DIR *dir = opendir(path);
    int found = 0;
    for (struct dirent *d; dir && !found && (d = readdir(dir));)
        if (strstr(d->d_name, ".sock") && nth-- == 0) found = snprintf(out, cap, "%s/%s", path, d->d_name) > 0;
    if (dir) closedir(dir);
    return found;
}

static char victim_path[256];

/* The beginning of main: the node answers the calls of `m` with their arguments. */
static inline void victim_begin(const cl_limits *limits)
{
    folder_begin();
    if (side_start(&victim, CL_URL_LOCAL, "t", limits) != 0) exit(98);
    side_node(&victim, &victim_node, "s.1");
    if (!socket_path(victim_path, sizeof victim_path, 0)) exit(97);
    side_register(&victim, &victim_node, "m");
    if (side_start(&friend_, CL_URL_LOCAL, "t", limits) != 0) exit(96);
    side_node(&friend_, &friend_node, "c.1");
    victim.answer = 1;
}

/* The end of main. */
static inline int victim_end(void)
{
    side_end(&friend_);
    side_end(&victim);
    return folder_end();
}

/* A call of the friend's. */
static inline void call(const char *args, uint64_t token)
{
    CHECK_INT(side_call(&friend_, &friend_node, "c.1", "s.1", args, token), 0);
}

static inline void still_serves(void)
{
    int before = friend_.envelopes;
    call("[1]", 0);
    UNTIL2(&victim, &friend_, friend_.envelopes == before + 1);
}

static inline int attack(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%.100s", victim_path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) exit(94);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static inline void put(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t done = send(fd, p, n, MSG_NOSIGNAL);
        if (done > 0) p += done, n -= (size_t)done;
        else if (errno != EAGAIN) return;
        cl_loop_run(victim.loop, 0);
    }
}

/* Reads until the victim closes, or gives up: 1 closed. */
static inline int is_closed(int fd, int64_t patience)
{
    char bytes[4096];
    int64_t until = cl_loop_now() + patience;
    do {
        cl_loop_run(victim.loop, 1);
        ssize_t n = recv(fd, bytes, sizeof bytes, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN)) return 1;
    } while (cl_loop_now() < until);
    return 0;
}

static inline size_t frame(char *out, int type, const char *from, const char *to, const char *id, const char *method,
                           const char *first)
{
    cl_buf b = {0};
    cl_envelope e = {
        .type = type, .from = cl_str_z(from), .to = cl_str_z(to), .id = cl_str_z(id), .method = cl_str_z(method)};
    e.args = type == CL_CALL ? cl_str_z(first) : CL_STR_NONE;
    e.error = CL_STR_NONE;
    e.result = type == CL_RESULT ? cl_str_z(first) : CL_STR_NONE;
    e.data = type == CL_MESSAGE ? cl_str_z(first) : CL_STR_NONE;
    if (cl_frame_encode(&e, &b) != 0) exit(93);
    memcpy(out, b.data, b.len);
    size_t n = b.len;
    cl_buf_free(&b);
    return n;
}

#endif
