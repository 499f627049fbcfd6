/* Nodes. */
#ifndef CL_CORE_NODE_H
#define CL_CORE_NODE_H

#include "base/map.h"
#include "core/channel.h"
#include "core/timers.h"

struct cl_offer;

typedef struct cl_service {
    cl_str name;
    struct cl_offer *offer; /* its limits; NULL: none */
    struct cl_stats *stats; /* NULL: nothing is counted */
    struct cl_schema *schema; /* what it says of itself; NULL: nothing */
    int paused;
    int is_plain; /* without limits and a schema, and not paused, as most are; kept by cl_service_changed */
    char text[];
} cl_service;

enum cl_node_state { CL_NODE_OPENING, CL_NODE_READY, CL_NODE_FAILED, CL_NODE_CLOSING };

struct cl_node {
    cl_core *core;
    void *tag;
    cl_list_node of_core;
    cl_list_node calls, requests, ops, messages, offers;
    cl_strmap cancelable;   /* requests by caller and id: see cancel.c */
    uint64_t cancelable_to; /* the newest that it has, or had */
    size_t message_bytes;
    cl_node_config config;
    enum cl_node_state state;
    int draining;
    int paused; /* with all its methods */
    int asked_to_stop;
    size_t unanswered; /* requests that ended without an answer, because the node does */
    int failure;       /* CL_NODE_FAILED: why */
    char failure_text[256];
    int64_t timeout, deadline; /* ms; deadline 0: from the attempts */
    cl_str near; /* its own value of the tag config.prefer, in config.tags; empty: no server is preferred */
    cl_strmap services;
    cl_channels channels;
    const cl_service *last_service; /* the one asked last, most often the one asked next; or NULL */
    cl_timed drain, sweep;
    cl_str id; /* in `text` */
    char text[];
};

static inline int cl_service_is_paused(const cl_node *node, const cl_service *service)
{
    return node->paused || service->paused;
}
static inline void cl_service_changed(const cl_node *node, cl_service *service)
{
    service->is_plain = !service->offer && !service->schema && !cl_service_is_paused(node, service);
}
void cl_service_free(cl_service *service);
/* pause.c: 0, or why it cannot be paused or resumed; and does it. Empty: all methods. */
int cl_pause_may(const cl_node *node, cl_str method);
void cl_pause_set(cl_node *node, cl_str method, int paused);
/* It was registered while it is paused, or its node is. */
void cl_pause_registered(cl_node *node, const cl_service *service);

void cl_node_check_drained(cl_node *node); /* is the drain over? */
void cl_node_free(cl_node *node);
int cl_node_may_send(const cl_node *node);

#endif
