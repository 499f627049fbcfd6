/* Design notes
 *
 * OpenSSL works on memory: what came is written to one BIO, what is to go is read from the other. The conn's output is
 * encrypted when it is flushed, a piece of PIECE bytes at a time, and only when the piece before is with the kernel;
 * until then it stays in the conn's output. So what counts as handed over is what has left completely: a record of
 * which the other end lacks a part cannot be read there.
 *
 * One suite, one group of messages: TLS 1.3, external keys with (EC)DHE, no certificate, no tickets, no early data. */
#include "net/tls.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/mem.h"
#include "net/internal.h"
#include "net/openssl.h"

enum { PIECE = 16 * 1024, IDENTITY = 32 };

static const char identity_head[] = "clouds:1:";

struct cl_tls_context {
    const cl_openssl *ssl;
    const cl_key_ring *ring;
    SSL_CTX *ctx;
};

struct cl_tls {
    const cl_openssl *ssl;
    cl_tls_context *context;
    const cl_key *key; /* NULL: we were dialled */
    SSL *session;
    BIO *in, *out;  /* the session's */
    int is_open;    /* the handshake is over */
    int is_trusted; /* the other end has shown a key */
    cl_buf cipher;  /* on its way to the kernel */
    size_t at;      /* of it, what the kernel has */
    size_t piece;   /* bytes of the conn's output that `cipher` stands for */
    char identity[IDENTITY];
};

/* ---- keys */

static SSL_SESSION *session_of(const cl_openssl *ssl, SSL *s, const cl_key *key)
{
    static const unsigned char suite[] = {0x13, 0x01}; /* TLS_AES_128_GCM_SHA256 */
    SSL_SESSION *session = ssl->SSL_SESSION_new();
    const SSL_CIPHER *cipher = ssl->SSL_CIPHER_find(s, suite);
    if (session && cipher && ssl->SSL_SESSION_set1_master_key(session, key->bytes, sizeof key->bytes) == 1 &&
        ssl->SSL_SESSION_set_cipher(session, cipher) == 1 &&
        ssl->SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) == 1)
        return session;
    if (session) ssl->SSL_SESSION_free(session);
    return NULL;
}

/* The end that dials says which key it is. */
static int use_key(SSL *s, const EVP_MD *md, const unsigned char **id, size_t *id_len, SSL_SESSION **session)
{
    struct cl_tls *tls = cl_openssl_get()->SSL_get_ex_data(s, 0);
    snprintf(tls->identity, sizeof tls->identity, "%s%s", identity_head, tls->key->name);
    *session = session_of(tls->ssl, s, tls->key);
    *id = (const unsigned char *)tls->identity;
    *id_len = strlen(tls->identity);
    return *session != NULL;
}

static int find_key(SSL *s, const unsigned char *id, size_t id_len, SSL_SESSION **session)
{
    struct cl_tls *tls = cl_openssl_get()->SSL_get_ex_data(s, 0);
    size_t head = sizeof identity_head - 1;
    const cl_key *key = NULL;
    if (id_len > head && memcmp(id, identity_head, head) == 0)
        key = cl_key_find(tls->context->ring, (const char *)id + head, id_len - head);
    *session = key ? session_of(tls->ssl, s, key) : NULL;
    return !key || *session; /* without a key the handshake fails, since there is no certificate */
}

/* ---- what is shared */

int cl_tls_context_create(const cl_key_ring *ring, cl_tls_context **out)
{
    const cl_openssl *ssl = cl_openssl_get();
    if (!ssl) return CLOUDS_ENOTSUP;
    cl_tls_context *context = cl_calloc(1, sizeof *context);
    if (!context) return cl_error(CLOUDS_ENOMEM, NULL);
    SSL_CTX *ctx = ssl->SSL_CTX_new(ssl->TLS_method());
    *context = (cl_tls_context){ssl, ring, ctx};
    int good = ctx && ssl->SSL_CTX_ctrl(ctx, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_3_VERSION, NULL) == 1 &&
               ssl->SSL_CTX_ctrl(ctx, SSL_CTRL_SET_MAX_PROTO_VERSION, TLS1_3_VERSION, NULL) == 1 &&
               ssl->SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") == 1 &&
               ssl->SSL_CTX_set_num_tickets(ctx, 0) == 1;
    if (!good) {
        cl_tls_context_free(context);
        return cl_error(CLOUDS_ESYSTEM, "OpenSSL does not take what TLS is to be");
    }
    ssl->SSL_CTX_ctrl(ctx, SSL_CTRL_MODE, SSL_MODE_RELEASE_BUFFERS, NULL);
    ssl->SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);
    ssl->SSL_CTX_set_psk_use_session_callback(ctx, use_key);
    ssl->SSL_CTX_set_psk_find_session_callback(ctx, find_key);
    *out = context;
    return 0;
}

void cl_tls_context_free(cl_tls_context *context)
{
    if (!context) return;
    if (context->ctx) context->ssl->SSL_CTX_free(context->ctx);
    cl_free(context);
}

/* ---- a conn */

void cl_tls_free(cl_conn *conn)
{
    struct cl_tls *tls = conn->tls;
    if (!tls) return;
    conn->tls = NULL;
    if (tls->session) tls->ssl->SSL_free(tls->session);
    cl_buf_free(&tls->cipher);
    cl_free(tls);
}

static int make_session(struct cl_tls *tls)
{
    const cl_openssl *ssl = tls->ssl;
    tls->session = ssl->SSL_new(tls->context->ctx);
    tls->in = ssl->BIO_new(ssl->BIO_s_mem());
    tls->out = ssl->BIO_new(ssl->BIO_s_mem());
    if (!tls->session || !tls->in || !tls->out) {
        if (tls->in) ssl->BIO_free(tls->in);
        if (tls->out) ssl->BIO_free(tls->out);
        return CLOUDS_ENOMEM;
    }
    ssl->SSL_set_bio(tls->session, tls->in, tls->out);
    if (tls->key) ssl->SSL_set_connect_state(tls->session);
    else ssl->SSL_set_accept_state(tls->session);
    return ssl->SSL_set_ex_data(tls->session, 0, tls) == 1 ? 0 : CLOUDS_ENOMEM;
}

/* OpenSSL's own word for it; its queue of errors is the thread's, so it is emptied. */
static void fail(cl_conn *conn)
{
    struct cl_tls *tls = conn->tls;
    unsigned long error = tls->ssl->ERR_get_error();
    const char *reason = error ? tls->ssl->ERR_reason_error_string(error) : NULL;
    tls->ssl->ERR_clear_error();
    if (tls->is_open) cl_conn_fail(conn, CLOUDS_ELOST, "TLS: %s", reason ? reason : "broken");
    else
        cl_conn_fail(conn, CLOUDS_EAUTH, "TLS: the other end has no key of ours (%s)",
                     reason ? reason : "no handshake");
}

/* What OpenSSL has to send; the words of a handshake that fails, too. */
static int take_cipher(struct cl_tls *tls)
{
    size_t n = tls->ssl->BIO_ctrl_pending(tls->out);
    if (!n) return 0;
    if (cl_buf_reserve(&tls->cipher, n) != 0) return CLOUDS_ENOMEM;
    int got = tls->ssl->BIO_read(tls->out, tls->cipher.data + tls->cipher.len, (int)n);
    if (got > 0) tls->cipher.len += (size_t)got;
    return 0;
}

/* 1: all is with the kernel. */
static int send_cipher(cl_conn *conn)
{
    struct cl_tls *tls = conn->tls;
    while (tls->at < tls->cipher.len) {
        ssize_t n = send(conn->fd, tls->cipher.data + tls->at, tls->cipher.len - tls->at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            tls->at += (size_t)n;
        } else if (errno == EAGAIN) {
            cl_conn_blocked(conn);
            return 0;
        } else if (errno != EINTR) {
            cl_conn_broken(conn, errno);
            return 0;
        }
    }
    tls->at = 0;
    cl_buf_clear(&tls->cipher);
    return 1;
}

/* 1: done, 0: not yet or never. */
static int shake_hands(cl_conn *conn)
{
    struct cl_tls *tls = conn->tls;
    tls->ssl->ERR_clear_error();
    int done = tls->ssl->SSL_do_handshake(tls->session);
    int error = done == 1 ? SSL_ERROR_NONE : tls->ssl->SSL_get_error(tls->session, done);
    int code = take_cipher(tls);
    if (done == 1) tls->is_open = 1;
    if (code == 0 && error != SSL_ERROR_SSL && error != SSL_ERROR_SYSCALL) return done == 1;
    if (code == 0) send_cipher(conn); /* why, if it still can be said */
    fail(conn);
    return 0;
}

static int encrypt(cl_conn *conn)
{
    struct cl_tls *tls = conn->tls;
    size_t n = conn->out.len - conn->at;
    if (n > PIECE) n = PIECE;
    tls->ssl->ERR_clear_error();
    int wrote = tls->ssl->SSL_write(tls->session, conn->out.data + conn->at, (int)n);
    if (wrote != (int)n || take_cipher(tls) != 0) {
        fail(conn);
        return -1;
    }
    tls->piece = n;
    return 0;
}

void cl_tls_flush(cl_conn *conn)
{
    struct cl_tls *tls = conn->tls;
    for (;;) {
        if (!send_cipher(conn)) return;
        conn->at += tls->piece;
        conn->handed += tls->piece;
        tls->piece = 0;
        if (!tls->is_open || conn->at == conn->out.len) break;
        if (encrypt(conn) != 0) return;
    }
    if (conn->out.len && conn->at == conn->out.len) cl_conn_written(conn);
}

int cl_tls_has_output(const cl_conn *conn)
{
    return conn->tls->at < conn->tls->cipher.len || (conn->tls->is_open && conn->at < conn->out.len);
}

static void read_plain(cl_conn *conn)
{
    struct cl_tls *tls = conn->tls;
    char plain[PIECE];
    while (conn->state == CL_CONN_OPEN) {
        tls->ssl->ERR_clear_error();
        int n = tls->ssl->SSL_read(tls->session, plain, sizeof plain);
        if (n > 0) {
            conn->hooks.data(conn->hooks.self, plain, (size_t)n);
            continue;
        }
        int error = tls->ssl->SSL_get_error(tls->session, n);
        if (error == SSL_ERROR_ZERO_RETURN) cl_conn_fail(conn, CLOUDS_ELOST, "closed by the peer");
        else if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) fail(conn);
        return;
    }
}

void cl_tls_read(cl_conn *conn, const char *p, size_t n)
{
    struct cl_tls *tls = conn->tls;
    if (tls->ssl->BIO_write(tls->in, p, (int)n) != (int)n) {
        cl_conn_fail(conn, CLOUDS_ENOMEM, "out of memory");
        return;
    }
    if (!tls->is_open && !shake_hands(conn)) {
        if (conn->state == CL_CONN_OPEN) cl_conn_flush(conn);
        return;
    }
    read_plain(conn);
    if (conn->state != CL_CONN_OPEN) return;
    if (take_cipher(tls) != 0) cl_conn_fail(conn, CLOUDS_ENOMEM, "out of memory");
    else cl_conn_flush(conn);
}

int cl_conn_secure(cl_conn *conn, cl_tls_context *context, const cl_key *key)
{
    struct cl_tls *tls = cl_calloc(1, sizeof *tls);
    if (!tls) return cl_error(CLOUDS_ENOMEM, NULL);
    tls->ssl = context->ssl;
    tls->context = context;
    tls->key = key;
    conn->tls = tls;
    if (make_session(tls) != 0) {
        cl_tls_free(conn);
        return cl_error(CLOUDS_ENOMEM, NULL);
    }
    if (key) shake_hands(conn);
    if (conn->state == CL_CONN_OPEN) cl_conn_flush(conn);
    return 0;
}
