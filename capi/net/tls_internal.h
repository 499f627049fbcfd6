/* What tls.c (a conn), tls_keys.c and tls_trust.c (how the ends know each other) share. */
#ifndef CL_TLS_INTERNAL_H
#define CL_TLS_INTERNAL_H

#include "net/internal.h"
#include "net/openssl.h"
#include "net/tls.h"

enum { CL_TLS_PLAIN = 64 * 1024, CL_TLS_IDENTITY = 32 };

struct cl_tls;

struct cl_tls_context {
    const cl_openssl *ssl;
    int refs;                /* the owner, and each conn */
    const cl_key_ring *ring; /* NULL: of trust */
    int takes_any_server, has_certificate;
    SSL_CTX *ctx;
    BIO_METHOD *method;
    /* Why a handshake has failed with this error of OpenSSL (0: none), in words. The code. */
    int (*explain)(const struct cl_tls *tls, unsigned long error, char *words, size_t cap);
    char plain[CL_TLS_PLAIN]; /* what is being decrypted */
};

struct cl_tls {
    const cl_openssl *ssl;
    cl_tls_context *context;
    const cl_key *key; /* NULL: we were dialled, or know the other end by its certificate */
    char *server;      /* the name that its certificate must have; NULL: a key is shared */
    SSL *session;
    cl_str in;     /* what came and OpenSSL has not taken yet */
    int first;     /* the first byte that came, -1: none has */
    int is_open;   /* the handshake is over */
    int is_heard;  /* and something was decrypted since */
    cl_buf cipher; /* on its way to the kernel */
    size_t at;     /* of it, what the kernel has */
    size_t piece;  /* bytes of the conn's output that `cipher` stands for */
    char identity[CL_TLS_IDENTITY];
};

/* A context with its BIO and nothing said of trust yet; NULL: no memory. */
cl_tls_context *cl_tls_context_new(const cl_openssl *ssl);
/* OpenSSL's own word for an error; never NULL. */
const char *cl_tls_reason(const cl_openssl *ssl, unsigned long error, const char *otherwise);

#endif
