/* What the files of the memory directory share. */
#ifndef CL_MEMORY_INTERNAL_H
#define CL_MEMORY_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "directory/directory.h"
#include "net/deferred.h"
#include "net/loop.h"

/* Announcements, between directories only. ANNOUNCE_UP has the traits of the node as its id. */
enum { ANNOUNCE_UP = 'U', ANNOUNCE_DOWN = 'D', ANNOUNCE_DRAINING = 'G', ROW_PAUSED = 'Z' };

typedef struct registry {
    cl_list_node place;
    pthread_mutex_t lock;
    int members_n;
    cl_list_node members;
    cl_strmap ids; /* to entry */
    cl_list_node subscriptions;
    atomic_ullong subscribed; /* counts what changes of them */
    unsigned long long drains; /* counts nodes that drained */
    cl_strmap methods;        /* to method */
    char name[];
} registry;

/* A method, who serves it, and who asked for it: announcements of it are for those. */
typedef struct method {
    cl_str name;
    cl_list_node servers, interests;
    char text[];
} method;

typedef struct interest {
    cl_list_node in_method, in_member;
    method *method;
    struct memory *member;
} interest;

typedef struct registration {
    cl_list_node in_method;
    method *method;
    struct entry *entry;
    int paused;
} registration;

/* A topic or pattern that a node has subscribed to, alone or in a group. */
typedef struct subscription {
    cl_list_node in_registry, in_entry;
    const struct entry *entry;
    cl_str topic, group;
    char text[];
} subscription;

/* A node. */
typedef struct entry {
    cl_list_node mine; /* in its directory */
    cl_list_node subscriptions;
    void *node;
    struct memory *member;
    cl_strmap registrations; /* by method */
    cl_str id;
    int claimed;
    char traits[CL_TRAITS_TEXT];
    char text[];
} entry;

typedef struct memory {
    cl_directory base;
    cl_list_node place; /* in the registry */
    cl_loop *loop;
    cl_directory_sink sink;
    pid_t owner;
    registry *registry;
    cl_waker *waker;
    cl_buf box;       /* announcements; under the lock */
    atomic_int woken; /* it was woken for what lies in the box; set under the lock */
    int detached;     /* its loop is gone; under the lock */
    unsigned long long told; /* registry->drains, when it was told of such a node last; under the lock */
    size_t most;      /* bytes of announcements that may wait */
    cl_strmap asked;  /* method -> interest; under the lock */
    cl_list_node interests;
    cl_list_node entries;
    cl_idmap by_node;
    unsigned long long followed; /* what of the subscriptions was reported: registry->subscribed, from 1 on */
    cl_buf reading;              /* the buffer that the box is exchanged for */
    int is_reading, closing;
    cl_deferred_queue deferred;
} memory;

/* registry.c: what all directories of a name share. Each of these takes the lock. */
/* Joins the registry of a name, which is made by the first and ends with the last. */
int cl_registry_join(memory *m, const char *name);
/* Nothing is announced to it after this. */
void cl_registry_detach(memory *m);
void cl_registry_part(memory *m);
/* 0, CLOUDS_EEXIST or CLOUDS_ENOMEM. */
int cl_registry_claim(memory *m, entry *e);
int cl_registry_add(memory *m, entry *e, cl_str method);
void cl_registry_remove(memory *m, entry *e, cl_str method);
void cl_registry_pause(memory *m, entry *e, cl_str method, int paused);
/* What its servers are announced with from now on, and again. */
void cl_registry_describe(memory *m, entry *e, const cl_traits *traits);
/* 0 or CLOUDS_ENOMEM. */
int cl_registry_subscribe(memory *m, entry *e, cl_str topic, cl_str group);
void cl_registry_unsubscribe(memory *m, entry *e, cl_str topic, cl_str group);
/* Appends a frame (from: the id, method: the topic, id: the group) for each subscription; m->followed is their state.
 */
int cl_registry_subscriptions(memory *m, cl_buf *out);
/* Unregisters all and announces that the node drains to who asked for any of it. */
void cl_registry_drain(memory *m, entry *e);
/* Unregisters all and gives the id up. */
void cl_registry_leave(memory *m, entry *e);
/* Appends a frame (ANNOUNCE_UP or ROW_PAUSED; method, from, id: the traits) for each server of a method, which is announced from now
 * on, or (NULL) of all. */
int cl_registry_list(memory *m, const cl_str *method, cl_buf *out);
/* The method is announced to this member no more. */
void cl_registry_unwatch(memory *m, cl_str method);
/* Exchanges the contents of the box for an empty buffer. */
void cl_registry_fetch(memory *m);

#endif
