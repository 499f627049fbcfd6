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
    size_t unanswered; /* requests that ended without an answer, because the node does */
    int failure;       /* CL_NODE_FAILED: why */
    char failure_text[256];
    int64_t timeout, deadline; /* ms; deadline 0: from the attempts */
    cl_strmap services;
    cl_channels channels;
    const cl_service *last_service; /* the one asked last, most often the one asked next; or NULL */
    cl_timed drain, sweep;
    cl_str id; /* in `text` */
    char text[];
};

void cl_node_check_drained(cl_node *node); /* is the drain over? */
void cl_node_free(cl_node *node);
int cl_node_may_send(const cl_node *node);

#endif
