/* Design notes
 *
 * OpenSSL reads and writes through a BIO of ours, both ways the same one. It takes what came from the loop's input,
 * where it lies, and OpenSSL has all of it before the conn is read again. A record that is written goes to the kernel
 * at once, from OpenSSL's memory; what the kernel does not take is kept in `cipher`.
 *
 * The conn's output is encrypted when it is flushed, a piece of PIECE bytes (one record) at a time, and only when the
 * piece before is with the kernel; until then it stays in the conn's output. So what counts as handed over is what has
 * left completely: a record of which the other end lacks a part cannot be read there. Within a turn only full records
 * go, since a small one costs nearly as much; and the kernel is told when another follows at once, so that it wakes the
 * other end for several together. What is decrypted is collected, so that few frames are cut in two by the end of a
 * record.
 *
 * How the ends know each other is said by the context: tls_keys.c, tls_trust.c. */
#include "net/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/mem.h"
#include "net/tls_internal.h"

enum { PIECE = 16 * 1024 };

/* ---- the BIO */

/* Only one system call is worth it here: what it leaves is for the flush, and so is what it meets. */
static size_t send_at_once(const cl_conn *conn, const char *p, size_t n)
{
    const struct cl_tls *tls = conn->tls;
    if (conn->blocked || conn->broken || conn->fd < 0 || tls->at < tls->cipher.len) return 0;
    int more = tls->is_open && conn->out.len - conn->at > PIECE ? MSG_MORE : 0;
    ssize_t sent = send(conn->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT | more);
    return sent > 0 ? (size_t)sent : 0;
}

static int write_cipher(BIO *bio, const char *p, int n)
{
    cl_conn *conn = cl_openssl_get()->BIO_get_data(bio);
    size_t sent = send_at_once(conn, p, (size_t)n);
    return cl_buf_put(&conn->tls->cipher, p + sent, (size_t)n - sent) == 0 ? n : -1;
}

static int read_cipher(BIO *bio, char *p, int n)
{
    const cl_openssl *ssl = cl_openssl_get();
    const cl_conn *conn = ssl->BIO_get_data(bio);
    cl_str *in = &conn->tls->in;
    size_t took = (size_t)n < in->n ? (size_t)n : in->n;
    ssl->BIO_clear_flags(bio, BIO_FLAGS_RWS | BIO_FLAGS_SHOULD_RETRY);
    if (!took) {
        ssl->BIO_set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY);
        return -1;
    }
    memcpy(p, in->p, took);
    *in = (cl_str){in->p + took, in->n - took};
    return (int)took;
}

static long control(BIO *bio, int what, long number, void *p)
{
    return what == BIO_CTRL_FLUSH;
}

static BIO_METHOD *make_method(const cl_openssl *ssl)
{
    BIO_METHOD *method = ssl->BIO_meth_new(BIO_TYPE_SOURCE_SINK, "clouds");
    int good = method && ssl->BIO_meth_set_write(method, write_cipher) == 1 &&
               ssl->BIO_meth_set_read(method, read_cipher) == 1 && ssl->BIO_meth_set_ctrl(method, control) == 1;
    if (good) return method;
    if (method) ssl->BIO_meth_free(method);
    return NULL;
}

/* ---- what is shared */

cl_tls_context *cl_tls_context_new(const cl_openssl *ssl)
{
    cl_tls_context *context = cl_calloc(1, sizeof *context);
    if (!context) return NULL;
    context->ssl = ssl;
    context->refs = 1;
    context->ctx = ssl->SSL_CTX_new(ssl->TLS_method());
    context->method = make_method(ssl);
    if (!context->ctx || !context->method) {
        cl_tls_context_free(context);
        return NULL;
    }
    ssl->SSL_CTX_ctrl(context->ctx, SSL_CTRL_MODE, SSL_MODE_RELEASE_BUFFERS, NULL);
    ssl->SSL_CTX_set_options(context->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET);
    return context;
}

void cl_tls_context_free(cl_tls_context *context)
{
    if (!context || --context->refs > 0) return;
    if (context->ctx) context->ssl->SSL_CTX_free(context->ctx);
    if (context->method) context->ssl->BIO_meth_free(context->method);
    cl_free(context);
}

/* ---- a conn */

void cl_tls_free(cl_conn *conn)
{
    struct cl_tls *tls = conn->tls;
    if (!tls) return;
    conn->tls = NULL;
    if (tls->session) tls->ssl->SSL_free(tls->session);
    cl_tls_context_free(tls->context);
    cl_buf_free(&tls->cipher);
    cl_free(tls->server);
    cl_free(tls);
}

static int make_session(cl_conn *conn)
{
    struct cl_tls *tls = conn->tls;
    const cl_openssl *ssl = tls->ssl;
    tls->session = ssl->SSL_new(tls->context->ctx);
    BIO *bio = ssl->BIO_new(tls->context->method);
    if (!tls->session || !bio) {
        if (bio) ssl->BIO_free(bio);
        return CLOUDS_ENOMEM;
    }
    ssl->BIO_set_data(bio, conn);
    ssl->BIO_set_init(bio, 1);
    ssl->SSL_set_bio(tls->session, bio, bio);
    if (tls->key || tls->server) ssl->SSL_set_connect_state(tls->session);
    else ssl->SSL_set_accept_state(tls->session);
    return ssl->SSL_set_ex_data(tls->session, 0, tls) == 1 ? 0 : CLOUDS_ENOMEM;
}

const char *cl_tls_reason(const cl_openssl *ssl, unsigned long error, const char *otherwise)
{
    const char *words = error ? ssl->ERR_reason_error_string(error) : NULL;
    return words ? words : otherwise;
}

/* OpenSSL's queue of errors is the thread's: what others have left there would count as ours. It is nearly always
 * empty, which is seen in far less time than it takes to empty it. */
static inline void forget_errors(const cl_openssl *ssl)
{
    if (ssl->ERR_peek_error()) ssl->ERR_clear_error();
}

/* What happened last; the queue is emptied. */
static unsigned long take_error(const cl_openssl *ssl)
{
    unsigned long error = ssl->ERR_get_error();
    ssl->ERR_clear_error();
    return error;
}

/* What the other end refuses before it has said anything is refused by the handshake, whoever ended that first. */
static void fail(cl_conn *conn, unsigned long error)
{
    const struct cl_tls *tls = conn->tls;
    char words[sizeof conn->words - 8];
    int was_open = tls->is_open && (tls->is_heard || !tls->server);
    int code = CLOUDS_ELOST;
    if (was_open) snprintf(words, sizeof words, "%s", cl_tls_reason(tls->ssl, error, "broken"));
    else code = tls->context->explain(tls, error, words, sizeof words);
    cl_conn_fail(conn, code, "TLS: %s", words);
}

static int is_going_on(int error)
{
    return error == SSL_ERROR_NONE || error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
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
    forget_errors(tls->ssl);
    int done = tls->ssl->SSL_do_handshake(tls->session);
    int error = done == 1 ? SSL_ERROR_NONE : tls->ssl->SSL_get_error(tls->session, done);
    if (done == 1) tls->is_open = 1;
    if (error != SSL_ERROR_SSL && error != SSL_ERROR_SYSCALL) return done == 1;
    unsigned long why = take_error(tls->ssl);
    send_cipher(conn); /* why, if it still can be said */
    fail(conn, why);
    return 0;
}

static int encrypt(cl_conn *conn)
{
    struct cl_tls *tls = conn->tls;
    size_t n = conn->out.len - conn->at;
    if (n > PIECE) n = PIECE;
    forget_errors(tls->ssl);
    int wrote = tls->ssl->SSL_write(tls->session, conn->out.data + conn->at, (int)n);
    if (wrote != (int)n) {
        fail(conn, take_error(tls->ssl));
        return -1;
    }
    tls->piece = n;
    return 0;
}

void cl_tls_flush(cl_conn *conn, int all)
{
    struct cl_tls *tls = conn->tls;
    size_t least = all ? 1 : PIECE;
    for (;;) {
        if (!send_cipher(conn)) return;
        conn->at += tls->piece;
        conn->handed += tls->piece;
        tls->piece = 0;
        if (!tls->is_open || conn->out.len - conn->at < least) break;
        if (encrypt(conn) != 0) return;
    }
    if (conn->out.len && conn->at == conn->out.len) cl_conn_written(conn);
}

int cl_tls_has_output(const cl_conn *conn)
{
    return conn->tls->at < conn->tls->cipher.len || (conn->tls->is_open && conn->at < conn->out.len);
}

/* Decrypts what came, or as much as there is room for. A record is given whole, so nothing is left of one when all that
 * came is taken. What is said before an end is told before it. */
static void read_some(cl_conn *conn)
{
    struct cl_tls *tls = conn->tls;
    const cl_openssl *ssl = tls->ssl;
    char *plain = tls->context->plain;
    size_t n = 0;
    int error;
    do {
        forget_errors(ssl);
        int got = ssl->SSL_read(tls->session, plain + n, PIECE);
        error = got > 0 ? SSL_ERROR_NONE : ssl->SSL_get_error(tls->session, got);
        if (got > 0) n += (size_t)got;
    } while (tls->in.n && is_going_on(error) && n + PIECE <= CL_TLS_PLAIN);
    unsigned long why = is_going_on(error) ? 0 : take_error(ssl);
    if (n) tls->is_heard = 1;
    if (n) conn->hooks.data(conn->hooks.self, plain, n);
    if (error == SSL_ERROR_ZERO_RETURN) cl_conn_fail(conn, CLOUDS_ELOST, "closed by the peer");
    else if (!is_going_on(error)) fail(conn, why);
}

void cl_tls_read(cl_conn *conn, const char *p, size_t n)
{
    struct cl_tls *tls = conn->tls;
    tls->in = cl_str_of(p, n);
    if (tls->first < 0) tls->first = (unsigned char)*p;
    if (tls->is_open || shake_hands(conn))
        while (tls->in.n && conn->state == CL_CONN_OPEN) read_some(conn);
    tls->in = CL_STR_NONE;
    if (conn->state == CL_CONN_OPEN) cl_conn_flush(conn);
}

static struct cl_tls *attach(cl_conn *conn, cl_tls_context *context)
{
    struct cl_tls *tls = cl_calloc(1, sizeof *tls);
    if (!tls) return NULL;
    tls->ssl = context->ssl;
    tls->context = context;
    tls->first = -1;
    context->refs++;
    conn->tls = tls;
    return tls;
}

/* The name that is asked for, which an address cannot be, and the one that the certificate must have. */
static int set_server(const struct cl_tls *tls)
{
    const cl_openssl *ssl = tls->ssl;
    unsigned char address[sizeof(struct in6_addr)];
    int is_address = inet_pton(AF_INET, tls->server, address) == 1 || inet_pton(AF_INET6, tls->server, address) == 1;
    if (!is_address &&
        ssl->SSL_ctrl(tls->session, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, tls->server) != 1)
        return CLOUDS_ENOMEM;
    if (tls->context->takes_any_server) return 0;
    ssl->SSL_set_hostflags(tls->session, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return ssl->SSL_set1_host(tls->session, tls->server) == 1 ? 0 : CLOUDS_ENOMEM;
}

/* As the end that dials with a key, or with the name of a server; with neither as the one that is dialled. */
static int secure(cl_conn *conn, cl_tls_context *context, const cl_key *key, const char *server)
{
    struct cl_tls *tls = attach(conn, context);
    if (!tls) return cl_error(CLOUDS_ENOMEM, NULL);
    tls->key = key;
    tls->server = server ? cl_str_dup(cl_str_z(server)) : NULL;
    int code = server && !tls->server ? CLOUDS_ENOMEM : make_session(conn);
    if (code == 0 && server) code = set_server(tls);
    if (code != 0) {
        cl_tls_free(conn);
        return cl_error(code, NULL);
    }
    if (key || server) shake_hands(conn);
    if (conn->state == CL_CONN_OPEN) cl_conn_flush(conn);
    return 0;
}

int cl_conn_secure(cl_conn *conn, cl_tls_context *context, const cl_key *key)
{
    return secure(conn, context, key, NULL);
}

int cl_conn_secure_to(cl_conn *conn, cl_tls_context *context, const char *server)
{
    return secure(conn, context, NULL, server);
}

int cl_conn_is_secured(const cl_conn *conn)
{
    return conn->tls && conn->tls->is_open;
}

int cl_conn_has_heard(const cl_conn *conn)
{
    return conn->tls && conn->tls->first >= 0;
}
