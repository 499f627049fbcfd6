/* TLS under a conn: what goes out is encrypted when it is flushed, what comes in is decrypted before the hooks see it.
 * Between two of a cluster 1.3, with a key that both ends have; towards a server 1.2 or later, and the server has a
 * certificate. */
#ifndef CL_TLS_H
#define CL_TLS_H

#include "base/buf.h"
#include "net/conn.h"
#include "net/keys.h"

typedef struct cl_tls_context cl_tls_context;

/* The first bytes of records that begin a conversation: their types. */
enum { CL_TLS_ALERT = 21, CL_TLS_HANDSHAKE = 22 };

/* What all conns of an owner share. The ring must live as long. 0, CLOUDS_ENOTSUP, CLOUDS_ENOMEM or CLOUDS_ESYSTEM. */
int cl_tls_context_create(const cl_key_ring *ring, cl_tls_context **out);

/* Whom to trust as a server, and who we are for it; each text NULL or "": not given. */
typedef struct cl_tls_trust {
    const char *ca_file;                   /* certificates (PEM); not given: the authorities of the system */
    const char *cert_file, *cert_key_file; /* ours, and its key (PEM); the key may be in the file of the certificate */
    int takes_any_server;                  /* whatever its certificate says */
} cl_tls_trust;

/* The files are read now. As above, or CLOUDS_EOPTION. */
int cl_tls_context_create_trusting(const cl_tls_trust *trust, cl_tls_context **out);

void cl_tls_context_free(cl_tls_context *context); /* its conns may live on; NULL is fine */

/* From now on the conn, which has written and read nothing yet, speaks TLS: as the end that dials, with this key, or,
 * key NULL, as the one that is dialled. What is written meanwhile waits. The end of a conn whose other end has no key
 * of ours has the code CLOUDS_EAUTH. 0 or CLOUDS_ENOMEM. */
int cl_conn_secure(cl_conn *conn, cl_tls_context *context, const cl_key *key);

/* The same as the end that dials, with a context of trust: the certificate must be one of this name, or address. The
 * end of a conn whose other end is not trusted, or does not trust us, has the code CLOUDS_EAUTH, and CLOUDS_EPROTO that
 * of one whose other end speaks something else. */
int cl_conn_secure_to(cl_conn *conn, cl_tls_context *context, const char *server);

/* 1: it is TLS, and the handshake is over. */
int cl_conn_is_secured(const cl_conn *conn);
/* Has anything come on a conn over TLS, whatever it is? */
int cl_conn_has_heard(const cl_conn *conn);

#endif
