/* Design note. Both ends know each other by a key. One suite, one group of messages: TLS 1.3, external keys with
 * (EC)DHE, no certificate, no tickets, no early data. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "net/tls_internal.h"

static const char identity_head[] = "clouds:1:";

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

static int explain(const struct cl_tls *tls, unsigned long error, char *words, size_t cap)
{
    snprintf(words, cap, "the other end has no key of ours (%s)", cl_tls_reason(tls->ssl, error, "no handshake"));
    return CLOUDS_EAUTH;
}

int cl_tls_context_create(const cl_key_ring *ring, cl_tls_context **out)
{
    const cl_openssl *ssl = cl_openssl_get();
    if (!ssl) return CLOUDS_ENOTSUP;
    cl_tls_context *context = cl_tls_context_new(ssl);
    if (!context) return cl_error(CLOUDS_ENOMEM, NULL);
    SSL_CTX *ctx = context->ctx;
    context->ring = ring;
    context->explain = explain;
    int good = ssl->SSL_CTX_ctrl(ctx, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_3_VERSION, NULL) == 1 &&
               ssl->SSL_CTX_ctrl(ctx, SSL_CTRL_SET_MAX_PROTO_VERSION, TLS1_3_VERSION, NULL) == 1 &&
               ssl->SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") == 1 &&
               ssl->SSL_CTX_set_num_tickets(ctx, 0) == 1;
    if (!good) {
        cl_tls_context_free(context);
        return cl_error(CLOUDS_ESYSTEM, "OpenSSL does not take what TLS is to be");
    }
    ssl->SSL_CTX_set_psk_use_session_callback(ctx, use_key);
    ssl->SSL_CTX_set_psk_find_session_callback(ctx, find_key);
    *out = context;
    return 0;
}
