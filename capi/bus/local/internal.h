/* What the files of the local bus share. */
#ifndef CL_LOCAL_INTERNAL_H
#define CL_LOCAL_INTERNAL_H

#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/list.h"
#include "base/map.h"
#include "bus/task.h"
#include "net/conn.h"
#include "net/loop.h"
#include "proto/frame.h"

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

enum cl_file_kind { CL_FILE_FOREIGN, CL_FILE_LOCK, CL_FILE_SOCKET, CL_FILE_ENTRY, CL_FILE_UNFINISHED };

/* The 16 hex digits that stand for a name in file names. */
void cl_file_key(cl_str name, char out[CL_KEY + 1]);
void cl_file_of(const char *key, const char *suffix, char out[CL_FILE_NAME]);
void cl_file_entry(const char *key, cl_str method, char out[CL_FILE_NAME]);
/* What a file of that name is, and (but for a foreign one) its node's key. The key of an entry's method stands at
 * file + CL_KEY + 1. */
enum cl_file_kind cl_file_kind_of(const char *file, char key[CL_KEY + 1]);

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
int cl_file_put_entry(const cl_folder *folder, const char *key, cl_str id, cl_str method);
void cl_file_remove_entry(const cl_folder *folder, const char *key, cl_str method);
int cl_file_has_entry(const cl_folder *folder, const char *key, cl_str method);
int cl_file_read_entry(const cl_folder *folder, const char *file, cl_buf *memory, cl_str *id, cl_str *method);

/* ---- registry.c: the entries of the methods that somebody here asked for, in memory */

typedef struct cl_entry {
    char file[CL_FILE_NAME];
    cl_str id;
    cl_link in_method, in_peer;
    struct cl_wanted *wanted;
    struct cl_peer_entries *peer;
    unsigned round; /* of the scan that saw it */
    char text[];
} cl_entry;

/* A method that was asked for, and its servers. */
typedef struct cl_wanted {
    cl_link place; /* registry->recent, the one asked for last at the end */
    cl_str method;
    char key[CL_KEY + 1];
    cl_link list;
    size_t n;
    int64_t checked; /* when its servers were last seen to live */
    char text[];
} cl_wanted;

/* The entries of one node. */
typedef struct cl_peer_entries {
    cl_str id;
    cl_link list;
    size_t n;
    char text[];
} cl_peer_entries;

typedef struct cl_registry {
    cl_strmap files, methods, keys, peers; /* to cl_entry, cl_wanted, cl_wanted, cl_peer_entries */
    cl_link recent;
    unsigned round;
    uint64_t scans, reads; /* looks at the whole folder; entries that were read */
} cl_registry;

struct cl_local;
void cl_registry_init(cl_registry *registry);
void cl_registry_free(cl_registry *registry);
/* The servers of a method, known from now on: NULL without memory. */
cl_wanted *cl_registry_want(struct cl_local *bus, cl_str method);
/* A file came or went: looks at it if it is one of a wanted method. */
void cl_registry_look(struct cl_local *bus, const char *file);
/* Looks at all files. */
void cl_registry_scan(struct cl_local *bus);
/* Removes the dead servers of a method, now and then. */
void cl_registry_check(struct cl_local *bus, cl_wanted *wanted);
/* Does another node serve a method of this one? */
int cl_registry_has_other(const struct cl_local *bus, cl_str id);
/* The node is dead: its entries go. */
void cl_registry_forget(struct cl_local *bus, cl_str id);
/* Tells of all entries of a node: they count (again), or they don't. The entries themselves stay. */
void cl_registry_tell(struct cl_local *bus, cl_str id, int up);

/* ---- nodes and links */

/* A method that a node serves. */
typedef struct cl_registration {
    uint64_t operation; /* the registration that waits for the node to open; 0: none */
    int offered;        /* else it was taken back, and only the lock still names it */
    int noted;          /* the lock names it */
    int failed;         /* it could not be registered */
    size_t n;
    char text[];
} cl_registration;

typedef struct cl_local_node {
    cl_link place;
    struct cl_local *bus;
    void *handle;
    cl_str id;
    char key[CL_KEY + 1];
    int lock; /* -1: none */
    cl_listener *listener;
    cl_strmap registrations; /* method -> cl_registration, owned */
    size_t taken_back;       /* of those */
    size_t links;            /* accepted ones that live */
    int opened, draining, closing;
    int pending;     /* registrations wait for it to open */
    int opening;     /* its lock is held by somebody who may be about to let it go */
    int64_t open_by; /* until when that is waited for */
    int failure;     /* why it does not listen, and never will */
    char words[256];
    int64_t close_by;
} cl_local_node;

enum cl_link_state { CL_LINK_DIALING, CL_LINK_HELLO, CL_LINK_OPEN, CL_LINK_ENDING };

typedef struct cl_local_link {
    cl_link place;
    struct cl_local *bus;
    cl_conn *conn;
    int accepted;        /* else opened by us */
    cl_local_node *node; /* accepted by */
    uint64_t id;
    enum cl_link_state state;
    cl_local_node *named; /* ours, as our hello named it, while it lives */
    char *peer;           /* the node at the other end; NULL while not known */
    cl_str peer_id;
    uint64_t skip;       /* bytes to come of a frame that was too large */
    cl_buf tail;         /* the beginning of a frame whose end has not come */
    size_t tail_counted; /* its memory, as the bus counts it */
    size_t out_counted;  /* what waits to be written, as the bus counts it: never less than it is */
    cl_buf queue;        /* frames that wait for the link, each behind a cl_waiting */
    cl_idmap places;     /* of the calls among them: token -> where it stands in the queue, from 1 on */
    size_t waiting;
    size_t worth;      /* of those, what is worth to be waited for at the end: messages and results */
    int64_t give_back; /* when the first of the calls among them is to go elsewhere; INT64_MAX: none */
    int suspended;     /* some did */
    cl_buf unsent;     /* cl_unsent of the calls that the kernel may not have taken yet */
    int64_t calls;     /* sent and not answered */
    int cut;           /* ended by us because of its peer */
    int half_closed;   /* ours: the node drains, no further call goes; accepted: nothing more comes */
    int watched;       /* the tick looks at it */
    int was_open;
    int64_t pinged, hello_by, heard;
} cl_local_link;

typedef struct cl_waiting {
    uint64_t token;
    int64_t deadline;
    int64_t patience; /* a call: until when it waits for this link */
    uint32_t length;
    uint32_t type; /* 0: it is gone */
} cl_waiting;

/* A call in the output of a link: where it ends in the stream. */
typedef struct cl_unsent {
    uint64_t end, token;
} cl_unsent;

/* A node to be looked after: its link broke, and its lock is still to be seen free. */
typedef struct cl_probe {
    cl_link place;
    int64_t when;
    char key[CL_KEY + 1];
    size_t n;
    char id[];
} cl_probe;

typedef struct cl_local {
    cl_bus base;
    cl_loop *loop;
    cl_limits limits;
    cl_bus_sink sink;
    pid_t owner;
    char *name;
    cl_folder folder;
    cl_fs_watch *watch; /* NULL until somebody asks who serves a method */
    DIR *sweep;         /* the sweep that is under way */
    cl_loop_timer *tick;
    int64_t tick_at; /* INT64_MAX: not set */
    cl_registry registry;
    cl_link nodes, links, probes;
    cl_tasks tasks;
    cl_strmap node_by_id, node_by_key, link_by_peer;
    cl_idmap node_by_handle;
    cl_local_link *last;            /* the link that was sent over last: the next send often is for it too */
    const cl_local_node *last_node; /* that received last */
    cl_idmap link_by_id;
    uint64_t next_link;
    size_t link_count;
    size_t tail_bytes, out_bytes; /* of all links together */
    int republish;                /* files of ours may be gone */
    int republish_failed;         /* and could not be put back */
    int64_t inspect;              /* when files of ours are looked at next */
    int ending;                   /* somebody waits for an end */
    int closing, finishing, told_closed;
    int64_t close_by;
} cl_local;

/* answer.c: carries out the tasks of its own. */
void cl_local_answer(void *bus, const cl_task *task);

/* node.c */
int cl_local_node_open(cl_bus *base, void *handle, cl_str id, double heartbeat);
void cl_local_node_drain(cl_bus *base, void *handle);
void cl_local_node_close(cl_bus *base, void *handle);
int cl_local_register(cl_bus *base, void *handle, cl_str method, uint64_t operation);
int cl_local_unregister(cl_bus *base, void *handle, cl_str method, uint64_t operation);
cl_local_node *cl_local_node_of(cl_local *bus, const void *handle);
/* Ends the nodes whose close is through. */
void cl_local_nodes_finish(cl_local *bus);
void cl_local_node_begin_close(cl_local_node *node);
void cl_local_node_free(cl_local_node *node);
/* Opens the folder instead of the one before. */
int cl_local_enter_folder(cl_local *bus);
/* Hears of changes in the folder from now on. */
int cl_local_watch(cl_local *bus);
/* Puts back what of ours is gone from the folder. */
void cl_local_republish(cl_local *bus);
/* The same soon. */
void cl_local_republish_soon(cl_local *bus);
/* Looks now and then whether files of ours are there, when nobody tells. */
void cl_local_inspect(cl_local *bus, int64_t now);
/* Nodes that wait for their lock try again. */
void cl_local_nodes_retry(cl_local *bus, int64_t now);

/* sweep.c: removes what dead nodes left, a piece of the folder at a time. */
void cl_local_sweep_begin(cl_local *bus);
void cl_local_sweep(cl_local *bus);
void cl_local_sweep_end(cl_local *bus);

/* status.c */
void cl_local_status(cl_local *bus, uint64_t operation);

/* link.c */
int cl_link_open(cl_local *bus, cl_str to, cl_local_link **out);
void cl_link_accepted(void *node, cl_conn *conn);
void cl_link_cut(cl_local_link *link);
void cl_link_finish(cl_local_link *link);
void cl_link_hello_came(cl_local_link *link, const cl_envelope *hello);
int cl_link_send_control(cl_local_link *link, int type, cl_str from);

/* frames.c */
void cl_link_read(void *link, const char *p, size_t n);
/* Counts the memory of the tail anew. */
void cl_link_count_tail(cl_local_link *link);

/* send.c */
int cl_local_send(cl_bus *base, void *handle, const cl_envelope *e, uint64_t token);
int cl_local_recall(cl_bus *base, cl_str to, uint64_t token);
void cl_link_send_waiting(cl_local_link *link);
/* The link has ended: tells of the calls that it did not carry. nobody: who it was opened for does not listen. */
void cl_link_fail_waiting(cl_local_link *link, int nobody);
/* Counts what waits to be written anew. */
void cl_link_count_out(cl_local_link *link);
/* Calls that waited for long enough go elsewhere. */
void cl_link_give_back(cl_local_link *link, int64_t now);

/* tick.c: what time does to links, probes and ends. */
void cl_local_tick(void *bus);
void cl_local_tick_by(cl_local *bus, int64_t when);
void cl_local_probe(cl_local *bus, cl_str id, int was_open);

#endif
