/* What the files of the folder directory share. */
#ifndef CL_FOLDER_INTERNAL_H
#define CL_FOLDER_INTERNAL_H

#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/list.h"
#include "base/map.h"
#include "base/buf.h"
#include "directory/directory.h"
#include "net/deferred.h"
#include "net/loop.h"

/* ---- folder.c: where the processes of a user meet */

typedef struct cl_folder {
    char path[PATH_MAX];
    int fd;
    long names; /* the pid namespace of this process */
} cl_folder;

/* Finds or makes the private folder of this user for `name`. Errors are CLOUDS_ESYSTEM and say which folder and why. */
int cl_folder_open(cl_folder *folder, const char *name);
void cl_folder_close(cl_folder *folder);
/* Is it still the folder that others find? */
int cl_folder_is_current(const cl_folder *folder);
/* Whether the folder's dead are to be swept now: once in a while for all processes of a user. Then no other is told so
 * for that while. */
int cl_folder_sweep_is_due(const cl_folder *folder);
DIR *cl_folder_list(const cl_folder *folder);

/* ---- names.c: the names and contents of its files */

enum { CL_KEY = 16, CL_FILE_NAME = 48, CL_ENTRY_MAX = 4000, CL_LOCK_HEAD = 64 };

enum cl_file_kind {
    CL_FILE_FOREIGN,
    CL_FILE_LOCK,
    CL_FILE_SOCKET,
    CL_FILE_TRAITS,
    CL_FILE_ENTRY,
    CL_FILE_PAUSED,
    CL_FILE_UNFINISHED
};

/* The 16 hex digits that stand for a name in file names. */
void cl_file_key(cl_str name, char out[CL_KEY + 1]);
void cl_file_of(const char *key, const char *suffix, char out[CL_FILE_NAME]);
/* That of an entry: of a method that is called, or that is paused. */
void cl_file_entry(const char *key, cl_str method, int paused, char out[CL_FILE_NAME]);
/* What a file of that name is, and (but for a foreign one) its node's key. The key of the method of an entry, paused or
 * not, stands at file + CL_KEY + 1. */
enum cl_file_kind cl_file_kind_of(const char *file, char key[CL_KEY + 1]);

/* What a node has subscribed to is an entry too, whose name is no method: it is told by its first byte, which no text
 * has, and its file ends otherwise. Reading a name: 1 and topic and group, or 0. */
enum { CL_SUBSCRIPTION_NAME = 2 * 255 + 2 };
cl_str cl_name_of_subscription(cl_str topic, cl_str group, char room[CL_SUBSCRIPTION_NAME]);
int cl_name_is_subscription(cl_str name, cl_str *topic, cl_str *group);
int cl_file_is_subscription(const char *file);

/* What an entry points to. Writing: 0 or CLOUDS_ETOOBIG. Reading changes `target`, into which id and method point
 * afterwards: 0, or CLOUDS_EPROTO when it is not what the entry of that name holds. */
int cl_entry_write(cl_str id, cl_str method, char out[CL_ENTRY_MAX + 2]);
int cl_entry_read(const char *file, char *target, size_t n, cl_str *id, cl_str *method);

/* What a lock holds: the length of its head; 0 or CLOUDS_EPROTO; 1 and the key of a further method, or 0. */
int cl_lock_write(long pid, long names, char out[CL_LOCK_HEAD]);
int cl_lock_read(const char *text, size_t n, long *pid, long *names);
int cl_lock_next(const char *text, size_t n, size_t *at, char method[CL_KEY + 1]);

/* ---- files.c: what lies in the folder; see the notes there */

/* A path of a file in the folder that fits a socket's address; CLOUDS_ETOOBIG when there is none. */
int cl_file_path(const cl_folder *folder, const char *file, char *out, size_t cap);

/* Takes the lock of a node: 0 and the descriptor, CLOUDS_EEXIST, CLOUDS_ESYSTEM. `owner`: the process that has it, 0:
 * not known, -1: one that has ended (whose child holds it yet, or whose files are just being removed). */
int cl_file_lock(const cl_folder *folder, const char *key, cl_str id, int *out, long *owner);
/* Does the node live? Of one that does not, what it left is removed, and `met`, a file of its (or NULL). */
int cl_file_is_alive(const cl_folder *folder, const char *key, const char *met);
/* Is `lock` still the lock that others see? */
int cl_file_is_current(const cl_folder *folder, const char *key, int lock);
/* Removes the files of a node whose lock is held. */
void cl_file_remove_node(const cl_folder *folder, const char *key, int lock);
/* Removes the file, and what else is its node's, if nobody living owns it. */
void cl_file_sweep(const cl_folder *folder, const char *file);

/* Entries: 0 or an error. A method is noted in the lock before its entry is made. Reading: id and method point into
 * `memory` (cleared first); CLOUDS_EPROTO when it is no entry. */
int cl_file_forget_methods(const cl_folder *folder, int lock);
int cl_file_note_method(const cl_folder *folder, const char *key, int lock, cl_str method);
int cl_file_put_entry(const cl_folder *folder, const char *key, cl_str id, cl_str method, int paused);
void cl_file_remove_entry(const cl_folder *folder, const char *key, cl_str method, int paused);
int cl_file_has_entry(const cl_folder *folder, const char *key, cl_str method, int paused);
int cl_file_read_entry(const cl_folder *folder, const char *file, cl_buf *memory, cl_str *id, cl_str *method);

/* What a node says of itself; "": nothing, and then there is no file. Writing: 0 or an error. */
int cl_file_put_traits(const cl_folder *folder, const char *key, const char *text);
cl_traits cl_file_read_traits(const cl_folder *folder, const char *key, char room[CL_TRAITS_TEXT]);

/* ---- entries.c: the entries of the methods that somebody here asked for, in memory */

typedef struct cl_entry {
    char file[CL_FILE_NAME];
    cl_str id;
    cl_list_node in_method, in_peer;
    struct cl_wanted *wanted;
    struct cl_peer_entries *peer;
    unsigned round; /* of the scan that saw it */
    int paused;
    char text[];
} cl_entry;

/* A method that was asked for, and its servers. */
typedef struct cl_wanted {
    cl_list_node place; /* entries->recent, the one asked for last at the end */
    cl_str method;
    char key[CL_KEY + 1];
    cl_list_node list;
    size_t n;
    int64_t checked; /* when its servers were last seen to live */
    char text[];
} cl_wanted;

/* The entries of one node. */
typedef struct cl_peer_entries {
    cl_str id;
    cl_list_node list;
    size_t n;
    char *traits; /* NULL: it says nothing */
    char text[];
} cl_peer_entries;

typedef struct cl_entries {
    cl_strmap files, methods, keys, peers; /* to cl_entry, cl_wanted, cl_wanted, cl_peer_entries */
    cl_list_node recent;
    unsigned round;
    uint64_t scans, reads; /* looks at the whole folder; entries that were read */
} cl_entries;

struct cl_folder_directory;
void cl_entries_init(cl_entries *entries);
void cl_entries_free(cl_entries *entries);
/* The servers of a method, known from now on: NULL without memory. */
cl_wanted *cl_entries_want(struct cl_folder_directory *d, cl_str method);
/* A node in a list: what is known of the server that an entry stands for. */
cl_server cl_entry_server(const cl_entry *entry);
/* A file came or went: looks at it if it is one of a wanted method, or what the node of one says of itself. */
void cl_entries_look(struct cl_folder_directory *d, const char *file);
/* Looks at all files. */
void cl_entries_scan(struct cl_folder_directory *d);
/* Removes the dead servers of a method, now and then. */
void cl_entries_check(struct cl_folder_directory *d, cl_wanted *wanted);
/* Does another node serve a method of this one? */
int cl_entries_has_other(const struct cl_folder_directory *d, cl_str id);
/* The node is dead: its entries go. */
void cl_entries_forget(struct cl_folder_directory *d, cl_str id);
/* Tells of all entries of a node: they count (again), or they don't. The entries themselves stay. */
void cl_entries_tell(struct cl_folder_directory *d, cl_str id, int up);

/* ---- the directory */

/* A method that a node of ours serves. */
typedef struct cl_registration {
    cl_list_node reports; /* cl_deferred: of each that asked for it before the announcement */
    int offered;          /* else it was taken back, and only the lock still names it */
    int noted;            /* the lock names it */
    int failed;           /* it could not be registered */
    int paused;
    size_t n;
    char text[];
} cl_registration;

/* A node of ours. */
typedef struct cl_folder_node {
    cl_list_node place;
    struct cl_folder_directory *d;
    void *node;
    cl_str id;
    char key[CL_KEY + 1];
    int lock;                /* -1: none */
    cl_strmap registrations; /* method -> cl_registration, owned */
    size_t taken_back;       /* of those */
    int claiming;            /* its lock is held by somebody who may be about to let it go */
    int64_t claim_by;        /* until when that is waited for */
    int announced;           /* somebody listens, so entries are made */
    char traits[CL_TRAITS_TEXT];
    int listens;
} cl_folder_node;

/* A node to be looked after: its link broke, and its lock is still to be seen free. */
typedef struct cl_probe {
    cl_list_node place;
    int64_t when;
    char key[CL_KEY + 1];
    size_t n;
    char id[];
} cl_probe;

typedef struct cl_folder_directory {
    cl_directory base;
    cl_loop *loop;
    cl_directory_sink sink;
    pid_t owner;
    char *name;
    cl_folder folder;
    cl_fs_watch *watch; /* NULL until somebody asks who serves a method */
    DIR *sweep;         /* the sweep that is under way */
    cl_loop_timer *timer;
    int64_t due; /* INT64_MAX: not set */
    cl_entries entries;
    cl_strmap followed; /* what all nodes have subscribed to, by file, once somebody publishes */
    unsigned followed_round;
    int follows;
    cl_list_node nodes, probes;
    cl_deferred_queue deferred;
    cl_strmap node_by_id, node_by_key;
    cl_idmap by_node;
    int republish;        /* files of ours may be gone */
    int republish_failed; /* and could not be put back */
    int64_t inspect;      /* when files of ours are looked at next */
    int closing, told_closed;
} cl_folder_directory;

static inline cl_folder_directory *cl_folder_of(cl_directory *base)
{
    return CL_OWNER(base, cl_folder_directory, base);
}

/* claim.c: nodes of ours */
int cl_folder_claim(cl_directory *base, void *node, cl_str id, double heartbeat, cl_address *at);
int cl_folder_announce(cl_directory *base, void *node, const cl_address *addresses, size_t n);
int cl_folder_add(cl_directory *base, void *node, cl_str method, uint64_t operation);
int cl_folder_remove(cl_directory *base, void *node, cl_str method, uint64_t operation);
void cl_folder_pause(cl_directory *base, void *node, cl_str method, int paused);
void cl_folder_describe(cl_directory *base, void *node, const cl_traits *traits);
void cl_folder_drain(cl_directory *base, void *node);
int cl_folder_leave(cl_directory *base, void *node);
int cl_folder_locate(cl_directory *base, cl_str id, cl_address *address);
void cl_folder_node_free(cl_folder_node *node);
/* Nodes that wait for their lock try again. */
void cl_folder_nodes_retry(cl_folder_directory *d, int64_t now);
/* Takes the lock of a node again and lets it listen, or puts back the entries it lacks. 0, or an error that is worth
 * another try. */
int cl_folder_node_restore(cl_folder_node *node);

/* followed.c: what nodes have subscribed to */
int cl_folder_subscribe(cl_directory *base, void *node, cl_str topic, cl_str group);
void cl_folder_unsubscribe(cl_directory *base, void *node, cl_str topic, cl_str group);
int cl_folder_follow(cl_directory *base);
/* As their namesakes of entries.c. */
void cl_followed_look(cl_folder_directory *d, const char *file);
void cl_followed_scan(cl_folder_directory *d);
int cl_followed_has(const cl_folder_directory *d, cl_str id);
void cl_followed_forget(cl_folder_directory *d, cl_str id);
void cl_followed_free(cl_folder_directory *d);

/* republish.c: what happens to files of ours. */
/* Opens the folder instead of the one before. */
int cl_folder_enter(cl_folder_directory *d);
/* Receives changes in the folder from now on. */
int cl_folder_watch(cl_folder_directory *d);
/* Puts back what of ours is gone from the folder. */
void cl_folder_republish(cl_folder_directory *d);
/* Looks now and then whether files of ours are there, when nobody notifies. */
void cl_folder_inspect(cl_folder_directory *d, int64_t now);
void cl_folder_inspect_in_time(cl_folder_directory *d);

/* sweep.c: removes what dead nodes left, a piece of the folder at a time. */
void cl_folder_sweep_begin(cl_folder_directory *d);
void cl_folder_sweep(cl_folder_directory *d);
void cl_folder_sweep_end(cl_folder_directory *d);

/* status.c: deferred. */
void cl_folder_status(void *directory, const cl_deferred *d);

/* schedule.c: what is due at a time. */
void cl_folder_due(void *directory);
void cl_folder_due_by(cl_folder_directory *d, int64_t when);
void cl_folder_suspect(cl_directory *base, cl_str id, int was_open);

#endif
