/* The page that a worker shares with its master. It is sealed: a worker that cut it short would end the master by
 * SIGBUS otherwise. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/cluster/cluster.h"

static host_board nobody_reads;
static host_board *mine = &nobody_reads;
static void (*on_turn)(uint64_t ns);
static uv_prepare_t before_waiting;
static uv_check_t after_waiting;

static host_board *map(int fd)
{
    void *page = mmap(NULL, sizeof(host_board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return page == MAP_FAILED ? NULL : page;
}

int host_board_create(host_board **out)
{
    int fd = memfd_create("clouds-board", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return -1;
    if (ftruncate(fd, sizeof(host_board)) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0 && (*out = map(fd)) != NULL) {
        (*out)->version = CLOUDS_BOARD_VERSION;
        return fd;
    }
    int problem = errno;
    close(fd);
    return errno = problem, -1;
}

/* One of a version with less has zeros behind its end, up to the end of the page. */
host_board *host_board_map(int fd)
{
    struct stat found;
    host_board *board = fstat(fd, &found) == 0 && found.st_size > 0 ? map(fd) : NULL;
    if (!board || (board->version > 0 && board->version <= CLOUDS_BOARD_VERSION)) return board;
    host_board_free(board);
    return errno = EINVAL, NULL;
}

void host_board_free(host_board *board)
{
    munmap(board, sizeof *board);
}

int host_board_take(int fd)
{
    struct stat found;
    if (fstat(fd, &found) != 0 || found.st_size < (off_t)sizeof(host_board)) return -1;
    host_board *board = map(fd);
    if (!board) return -1;
    if (board->version != CLOUDS_BOARD_VERSION) return host_board_free(board), -1;
    board->pid = getpid();
    mine = board;
    return 0;
}

void host_board_idle(void)
{
    if (mine == &nobody_reads) return;
    uint64_t lag = mine->busy_since ? uv_hrtime() - mine->busy_since : 0;
    if (lag > mine->lag_most) host_board_write(&mine->lag_most, lag);
    if (lag && on_turn) on_turn(lag);
    mine->doing[0] = 0;
    host_board_write(&mine->busy_since, 0);
}

static void on_before_waiting(uv_prepare_t *handle)
{
    (void)handle;
    host_board_idle();
}

void host_board_busy(void)
{
    if (!mine->busy_since) host_board_write(&mine->busy_since, uv_hrtime());
}

static void on_after_waiting(uv_check_t *handle)
{
    (void)handle;
    host_board_busy();
    host_board_add(&mine->turns, 1);
}

/* The last byte stays 0, so that who reads while this is written finds an end. */
void host_board_doing(const char *text, size_t size)
{
    size_t n = size < CLOUDS_BOARD_DOING - 1 ? size : CLOUDS_BOARD_DOING - 1;
    memcpy(mine->doing, text, n);
    mine->doing[n] = 0;
}

void host_board_watch(uv_loop_t *loop)
{
    host_board_write(&mine->busy_since, uv_hrtime());
    uv_prepare_init(loop, &before_waiting);
    uv_check_init(loop, &after_waiting);
    uv_prepare_start(&before_waiting, on_before_waiting);
    uv_check_start(&after_waiting, on_after_waiting);
    uv_unref((uv_handle_t *)&before_waiting);
    uv_unref((uv_handle_t *)&after_waiting);
}

void host_board_follow(uv_loop_t *loop, void (*hook)(uint64_t ns))
{
    static host_board own; /* of a process without a master */
    on_turn = hook;
    if (mine != &nobody_reads) return;
    mine = &own;
    host_board_watch(loop);
}

host_board *host_board_mine(void)
{
    return mine;
}
