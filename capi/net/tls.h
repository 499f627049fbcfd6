/* TLS 1.3 with a key that both ends have, under a conn: what goes out is encrypted when it is flushed, what comes in is
 * decrypted before the hooks see it. */
#ifndef CL_TLS_H
#define CL_TLS_H

#include "base/buf.h"
#include "net/conn.h"
#include "net/keys.h"

typedef struct cl_tls_context cl_tls_context;

/* What all conns of an owner share. The ring must live as long. 0, CLOUDS_ENOTSUP, CLOUDS_ENOMEM or CLOUDS_ESYSTEM. */
int cl_tls_context_create(const cl_key_ring *ring, cl_tls_context **out);
void cl_tls_context_free(cl_tls_context *context); /* after its conns; NULL is fine */

/* From now on the conn, which has written and read nothing yet, speaks TLS: as the end that dials, with this key, or,
 * key NULL, as the one that is dialled. What is written meanwhile waits. The end of a conn whose other end has no key
 * of ours has the code CLOUDS_EAUTH. 0 or CLOUDS_ENOMEM. */
int cl_conn_secure(cl_conn *conn, cl_tls_context *context, const cl_key *key);

#endif
