/* The record of a node: the value of its key. Pure functions over bytes.
 *
 *   {"v":2,"c":"<context>","host":"..","pid":71,"started":<ms since 1970>,"at":["<address>",..],"state":"ready",
 *    "weight":3,"tags":"<name>=<value>,..","m":["<method>",..],"p":["<method that is paused>",..],
 *    "s":["<topic or pattern>",..],"g":[["<topic>","<group>"],..]}
 *
 * weight, tags, p, s and g are there where there is anything to say.
 *
 * Members that are not known are left alone, so that a later version may add some. */
#ifndef CL_ETCD_RECORD_H
#define CL_ETCD_RECORD_H

#include <stdint.h>

#include "base/buf.h"
#include "base/map.h"
#include "proto/address.h"
#include "proto/topic.h"
#include "proto/traits.h"

enum { CL_RECORD_ADDRESSES = 4, CL_RECORD_METHODS = 100000, CL_RECORD_SUBSCRIPTIONS = 25000,
       CL_RECORD_MOST = 1000000 /* bytes; etcd takes 1.5 MB */ };

/* Who wrote it. */
typedef struct cl_etcd_record_writer {
    const char *context; /* 16 hex digits */
    cl_str host;         /* quoted already */
    long pid;
    int64_t started;
} cl_etcd_record_writer;

/* A method, as the values of `methods` begin. */
typedef struct cl_etcd_method {
    int paused;
    size_t n;
    char text[];
} cl_etcd_method;

/* What a node has subscribed to, as the values of `subscriptions` begin. */
typedef struct cl_etcd_subscription {
    cl_str topic, group; /* group empty: in none */
} cl_etcd_subscription;

/* What a node says of itself. */
typedef struct cl_etcd_contents {
    const cl_address *addresses;
    size_t addresses_n;
    int draining;
    const cl_traits *traits;
    const cl_strmap *methods, *subscriptions;
} cl_etcd_contents;

/* Appends a record. */
int cl_etcd_record_write(cl_buf *out, const cl_etcd_record_writer *writer, const cl_etcd_contents *contents);

/* A record that was read. All texts point into `memory`. */
typedef struct cl_etcd_record {
    char context[17];
    int draining;
    size_t addresses_n, methods_n, paused_n, subscriptions_n;
    cl_str addresses[CL_RECORD_ADDRESSES];
    cl_str *methods; /* in order, none twice */
    cl_str *paused;  /* likewise; behind them */
    cl_traits traits;
    cl_str *subscriptions; /* likewise: "<topic>\n<group>"; behind those. All are valid */
    cl_buf memory;
} cl_etcd_record;

/* 0, CLOUDS_EPROTO (it is none that is understood) or CLOUDS_ENOMEM. */
int cl_etcd_record_read(cl_str text, cl_etcd_record *out);
/* One of `subscriptions` in its parts. */
cl_etcd_subscription cl_etcd_subscription_of(cl_str text);
void cl_etcd_record_free(cl_etcd_record *record);

#endif
