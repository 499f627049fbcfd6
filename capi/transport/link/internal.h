/* What the files of the link transport share. */
#ifndef CL_LINK_INTERNAL_H
#define CL_LINK_INTERNAL_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "base/seconds.h"
#include "net/conn.h"
#include "net/deferred.h"
#include "net/loop.h"
#include "proto/frame.h"
#include "proto/limits.h"
#include "transport/transport.h"

struct cl_link_transport;

/* A node of ours that listens. */
typedef struct cl_endpoint {
    cl_list_node place;
    struct cl_link_transport *t;
    void *node;
    cl_str id;
    cl_listener *listener;
    size_t links; /* accepted ones that live */
    int draining, closing;
    int64_t close_by;
} cl_endpoint;

enum cl_link_state { CL_LINK_DIALING, CL_LINK_HELLO, CL_LINK_OPEN, CL_LINK_ENDING };

typedef struct cl_peer_link {
    cl_list_node place;
    struct cl_link_transport *t;
    cl_conn *conn;
    int accepted;          /* else opened by us */
    cl_endpoint *endpoint; /* accepted by */
    uint64_t id;
    enum cl_link_state state;
    cl_endpoint *named; /* ours, as our hello named it, while it lives */
    char *peer;         /* the node at the other end; NULL while not known */
    cl_str peer_id;
    uint64_t skip;       /* bytes to come of a frame that was too large */
    cl_buf tail;         /* the beginning of a frame whose end has not come */
    size_t tail_counted; /* its memory, as the transport counts it */
    size_t out_counted;  /* what waits to be written, as the transport counts it: never less than it is */
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
    int watched;       /* keepalive looks at it */
    int was_open;
    int64_t pinged, hello_by, heard;
} cl_peer_link;

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

typedef struct cl_link_transport {
    cl_transport base;
    cl_loop *loop;
    cl_limits limits;
    cl_transport_sink sink;
    cl_loop_timer *timer;
    int64_t due; /* INT64_MAX: not set */
    cl_list_node endpoints, links;
    cl_deferred_queue deferred;
    cl_strmap endpoint_by_id, link_by_peer;
    cl_idmap endpoint_by_node, link_by_id;
    cl_peer_link *last;               /* the link that was sent over last: the next send often is for it too */
    const cl_endpoint *last_endpoint; /* that received last */
    uint64_t next_link;
    size_t link_count;
    size_t tail_bytes, out_bytes; /* of all links together */
    int ending;                   /* somebody waits for an end */
    int closing, links_finishing, told_closed;
    int64_t close_by;
} cl_link_transport;

static inline cl_link_transport *cl_links_of(cl_transport *base)
{
    return CL_OWNER(base, cl_link_transport, base);
}

/* endpoint_unix.c: an address "unix:<path>". */
int cl_endpoint_unix_reaches(const cl_address *address);
int cl_endpoint_unix_listen(cl_endpoint *endpoint, const cl_address *at);
int cl_endpoint_unix_dial(cl_link_transport *t, const cl_address *address, const cl_conn_hooks *hooks, cl_conn **out);
/* May whoever is at the other end? */
int cl_endpoint_unix_is_trusted(const cl_conn *conn);

/* endpoint.c */
int cl_endpoint_open(cl_transport *base, void *node, cl_str id, const cl_address *at, cl_address *addresses, size_t *n);
void cl_endpoint_drain(cl_transport *base, void *node);
void cl_endpoint_close(cl_transport *base, void *node, int served);
void cl_endpoint_begin_close(cl_endpoint *endpoint);
/* Ends those whose close is through. */
void cl_endpoints_finish(cl_link_transport *t);
void cl_endpoint_free(cl_endpoint *endpoint);

/* link.c */
int cl_link_open(cl_link_transport *t, cl_str to, cl_peer_link **out);
void cl_link_accepted(void *endpoint, cl_conn *conn);
void cl_link_cut(cl_peer_link *link);
void cl_link_finish(cl_peer_link *link);
void cl_link_hello_came(cl_peer_link *link, const cl_envelope *hello);
int cl_link_send_control(cl_peer_link *link, int type, cl_str from);

/* receive.c */
void cl_link_read(void *link, const char *p, size_t n);
/* Counts the memory of the tail anew. */
void cl_link_count_tail(cl_peer_link *link);

/* send.c */
int cl_link_send(cl_transport *base, void *node, const cl_envelope *e, uint64_t token);
int cl_link_recall(cl_transport *base, cl_str to, uint64_t token);
void cl_link_send_waiting(cl_peer_link *link);
/* The link has ended: reports the calls that it did not carry. nobody: who it was opened for does not listen. */
void cl_link_fail_waiting(cl_peer_link *link, int nobody);
/* Counts what waits to be written anew. */
void cl_link_count_out(cl_peer_link *link);
/* Calls that waited for long enough go elsewhere. */
void cl_link_give_back(cl_peer_link *link, int64_t now);

/* keepalive.c: what time does to links and ends. */
void cl_links_due(void *transport);
void cl_links_due_by(cl_link_transport *t, int64_t when);

#endif
