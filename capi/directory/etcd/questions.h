/* What etcd is asked, as its gateway reads it in JSON. Each appends the body of one POST: 0 or CLOUDS_ENOMEM. */
#ifndef CL_ETCD_QUESTIONS_H
#define CL_ETCD_QUESTIONS_H

#include <stdint.h>

#include "base/buf.h"

/* How a transaction knows that a key is still what it was. */
typedef struct cl_etcd_condition {
    enum cl_etcd_target { CL_ETCD_ABSENT, CL_ETCD_LEASED, CL_ETCD_UNCHANGED } target;
    int64_t number; /* the lease, or the revision of the last change */
} cl_etcd_condition;

int cl_etcd_ask_login(cl_buf *out, const char *user, const char *password);
/* Keys from `from` on, below `end`; at most `limit` of them; revision 0: now. */
int cl_etcd_ask_range(cl_buf *out, cl_str from, cl_str end, int limit, int64_t revision, int keys_only);
/* Those that were put at that revision or later. */
int cl_etcd_ask_changes(cl_buf *out, cl_str from, cl_str end, int64_t revision);
int cl_etcd_ask_grant(cl_buf *out, int64_t ttl);
/* Of what is asked about a lease, just the lease. */
int cl_etcd_ask_lease(cl_buf *out, int64_t lease, int with_keys);
/* Puts a key, and reads it when the condition does not hold. */
int cl_etcd_ask_put(cl_buf *out, cl_etcd_condition condition, cl_str key, cl_str value, int64_t lease);
int cl_etcd_ask_delete(cl_buf *out, cl_etcd_condition condition, cl_str key);
int cl_etcd_ask_watch(cl_buf *out, cl_str from, cl_str end, int64_t revision);

#endif
