/* What etcd says, as its gateway writes it in JSON: pure functions over bytes. Numbers of 64 bits are texts there, what
 * is zero, false or empty is left out, keys and values are base64.
 *
 * Errors are CLOUDS_EPROTO (not what etcd would say) and CLOUDS_ENOMEM. Texts point into what was read. */
#ifndef CL_ETCD_ANSWERS_H
#define CL_ETCD_ANSWERS_H

#include <stdint.h>

#include "base/buf.h"
#include "proto/json.h"

/* Is it one object? Everything below expects that. */
int cl_etcd_check(cl_str text);

/* A member of an object as it stands there; empty: there is none. */
cl_str cl_etcd_member(cl_str object, const char *name);
/* A member that is a number, or a text of digits; absent: 0. */
int cl_etcd_number(cl_str object, const char *name, int64_t *out);
int cl_etcd_is_true(cl_str object, const char *name);
/* A member that is a text without escapes; else, or absent: empty. */
cl_str cl_etcd_text(cl_str object, const char *name);

/* Where it comes from, and how much has happened there. Absent: all 0. */
typedef struct cl_etcd_header {
    uint64_t cluster;
    int64_t revision;
} cl_etcd_header;
int cl_etcd_header_of(cl_str object, cl_etcd_header *out);

/* A refusal. */
typedef struct cl_etcd_refusal {
    int code; /* of gRPC */
    cl_str message;
} cl_etcd_refusal;
enum cl_etcd_code {
    CL_ETCD_INVALID = 3,
    CL_ETCD_NOT_FOUND = 5,
    CL_ETCD_DENIED = 7,
    CL_ETCD_EXHAUSTED = 8,
    CL_ETCD_PRECONDITION = 9,
    CL_ETCD_COMPACTED = 11,
    CL_ETCD_UNAVAILABLE = 14,
    CL_ETCD_UNAUTHENTICATED = 16
};
/* 0: it is none. */
int cl_etcd_refusal_of(cl_str object, cl_etcd_refusal *out);

/* A key and its value, decoded into the memory of the list that is walked. */
typedef struct cl_etcd_kv {
    cl_str key, value;
    int64_t created, modified, lease;
    int deleted; /* of an event */
} cl_etcd_kv;
typedef struct cl_etcd_list {
    cl_json json;
    cl_buf memory;
    int is_open;
} cl_etcd_list;
/* `array` of kvs, or of events; empty: none. */
void cl_etcd_list_begin(cl_etcd_list *list, cl_str array);
/* 1, or 0 at the end. What it gave before is gone. */
int cl_etcd_next_kv(cl_etcd_list *list, cl_etcd_kv *out);
int cl_etcd_next_event(cl_etcd_list *list, cl_etcd_kv *out);
void cl_etcd_list_end(cl_etcd_list *list);

/* The kvs that the failure branch of a transaction has read. */
cl_str cl_etcd_read_instead(cl_str transaction);

/* A message of a watch. */
typedef struct cl_etcd_news {
    cl_etcd_header header;
    int is_created, is_canceled;
    int64_t compacted; /* what was asked for is gone up to here */
    cl_str reason, events;
} cl_etcd_news;
int cl_etcd_news_of(cl_str line, cl_etcd_news *out);

#endif
