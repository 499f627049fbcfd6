/* Design notes
 *
 * What a node has subscribed to is kept as a registration is: noted in the lock, an entry that never changes, put back
 * when it is gone and removed with its node. Only its name tells the two apart, which no method can have (names.c), and
 * the ending of its file.
 *
 * Who publishes follows them: all names are looked at once, then the watch names what changed. */
#include "directory/folder/internal.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "clouds.h"
#include "proto/topic.h"

typedef struct followed {
    char file[CL_FILE_NAME];
    cl_str id, topic, group; /* in `text` */
    unsigned round;          /* of the scan that saw it */
    char text[];
} followed;

static void tell(cl_folder_directory *d, const followed *f, int on)
{
    d->sink.subscription(d->sink.self, f->id, f->topic, f->group, on);
}

static int add(cl_folder_directory *d, const char *file, cl_str id, cl_str topic, cl_str group)
{
    followed *f = cl_calloc(1, sizeof *f + id.n + topic.n + group.n);
    if (!f) return CLOUDS_ENOMEM;
    memcpy(f->file, file, strlen(file) + 1);
    memcpy(f->text, id.p, id.n);
    memcpy(f->text + id.n, topic.p, topic.n);
    memcpy(f->text + id.n + topic.n, group.p, group.n);
    f->id = cl_str_of(f->text, id.n);
    f->topic = cl_str_of(f->text + id.n, topic.n);
    f->group = cl_str_of(f->text + id.n + topic.n, group.n);
    f->round = d->followed_round;
    if (cl_strmap_put(&d->followed, cl_str_z(f->file), f) != 0) {
        cl_free(f);
        return CLOUDS_ENOMEM;
    }
    tell(d, f, 1);
    return 0;
}

static void drop(cl_folder_directory *d, followed *f)
{
    cl_strmap_take(&d->followed, cl_str_z(f->file));
    tell(d, f, 0);
    cl_free(f);
}

/* What is no subscription of ours is left alone. */
static void read_entry(cl_folder_directory *d, const char *file)
{
    cl_buf memory = {0};
    cl_str id, name, topic, group;
    int code = cl_file_read_entry(&d->folder, file, &memory, &id, &name);
    if (code == 0 && cl_name_is_subscription(name, &topic, &group)) {
        int is_valid = cl_topic_check_pattern(topic) == 0 && (!group.n || cl_topic_check_group(group) == 0);
        if (is_valid) code = add(d, file, id, topic, group);
    }
    cl_buf_free(&memory);
    if (code == CLOUDS_ENOMEM) cl_log(CLOUDS_LOG_WARN, "local: no memory to keep a subscription");
}

void cl_followed_look(cl_folder_directory *d, const char *file)
{
    if (!d->follows || !cl_file_is_subscription(file)) return;
    followed *f = cl_strmap_get(&d->followed, cl_str_z(file));
    if (!f) read_entry(d, file);
    else if (faccessat(d->folder.fd, file, F_OK, AT_SYMLINK_NOFOLLOW) != 0) drop(d, f);
}

/* Nothing may leave the map while it is walked. */
static followed *outdated(const cl_folder_directory *d)
{
    size_t at = 0;
    for (followed *f; (f = cl_strmap_next(&d->followed, &at));)
        if (f->round != d->followed_round) return f;
    return NULL;
}

void cl_followed_scan(cl_folder_directory *d)
{
    DIR *dir = d->follows ? cl_folder_list(&d->folder) : NULL;
    if (!dir) return;
    d->followed_round++;
    for (struct dirent *e; (e = readdir(dir));) {
        if (!cl_file_is_subscription(e->d_name)) continue;
        followed *f = cl_strmap_get(&d->followed, cl_str_z(e->d_name));
        if (f) f->round = d->followed_round;
        else read_entry(d, e->d_name);
    }
    closedir(dir);
    for (followed *f; (f = outdated(d));) drop(d, f);
}

int cl_followed_has(const cl_folder_directory *d, cl_str id)
{
    size_t at = 0;
    for (const followed *f; (f = cl_strmap_next(&d->followed, &at));)
        if (cl_str_eq(f->id, id)) return 1;
    return 0;
}

static followed *of_node(const cl_folder_directory *d, cl_str id)
{
    size_t at = 0;
    for (followed *f; (f = cl_strmap_next(&d->followed, &at));)
        if (cl_str_eq(f->id, id)) return f;
    return NULL;
}

void cl_followed_forget(cl_folder_directory *d, cl_str id)
{
    for (followed *f; (f = of_node(d, id));) drop(d, f);
}

void cl_followed_free(cl_folder_directory *d)
{
    size_t at = 0;
    for (followed *f; (f = cl_strmap_next(&d->followed, &at));) cl_free(f);
    cl_strmap_free(&d->followed);
}

/* ---- what nodes of ours subscribe to */

int cl_folder_subscribe(cl_directory *base, void *node, cl_str topic, cl_str group)
{
    char room[CL_SUBSCRIPTION_NAME];
    return cl_folder_add(base, node, cl_name_of_subscription(topic, group, room), 0);
}

void cl_folder_unsubscribe(cl_directory *base, void *node, cl_str topic, cl_str group)
{
    char room[CL_SUBSCRIPTION_NAME];
    cl_folder_remove(base, node, cl_name_of_subscription(topic, group, room), 0);
}

/* Nobody is passed over while news waits to be read. Without a watch the next one tries again. */
int cl_folder_follow(cl_directory *base)
{
    cl_folder_directory *d = cl_folder_of(base);
    if (!d->watch && cl_folder_watch(d) != 0) return CL_PENDING;
    if (d->follows) {
        cl_fs_watch_read(d->watch);
        return 0;
    }
    d->follows = 1;
    cl_followed_scan(d);
    d->sink.subscriptions(d->sink.self, 0);
    return 0;
}
