/* Design note. A server is known by its certificate: somebody whom we trust says that it is of the name that was
 * dialled. It may want one of ours; with TLS 1.3 it says so only when the handshake is over for us, so what it refuses
 * before it has said anything else is a failed handshake, too. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "net/tls_internal.h"

static int is_given(const char *text)
{
    return text && *text;
}

/* ---- what went wrong */

static int is_of_another_name(long verdict)
{
    return verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH;
}

static int explain_certificate(const struct cl_tls *tls, long verdict, char *words, size_t cap)
{
    const char *why = tls->ssl->X509_verify_cert_error_string(verdict);
    if (is_of_another_name(verdict))
        snprintf(words, cap, "the certificate is not one of %s (%s); server_name says which name it has", tls->server,
                 why);
    else snprintf(words, cap, "the certificate of %s is not trusted: %s", tls->server, why);
    return CLOUDS_EAUTH;
}

/* The server's word for why it does not go on; 0: it is none that concerns our certificate. */
static int explain_alert(const struct cl_tls *tls, int alert, char *words, size_t cap)
{
    const char *why = tls->ssl->ERR_reason_error_string(ERR_PACK(ERR_LIB_SSL, 0, SSL_AD_REASON_OFFSET + alert));
    int may_want_one = alert == SSL_AD_CERTIFICATE_REQUIRED || alert == SSL_AD_HANDSHAKE_FAILURE;
    int is_of_certificate = (alert >= SSL_AD_BAD_CERTIFICATE && alert <= SSL_AD_CERTIFICATE_UNKNOWN) ||
                            alert == SSL_AD_UNKNOWN_CA || alert == SSL_AD_ACCESS_DENIED;
    if (!may_want_one && !is_of_certificate) return 0;
    if (!tls->context->has_certificate)
        snprintf(words, cap, "%s wants a certificate of ours: cert_file (%s)", tls->server, why ? why : "an alert");
    else
        snprintf(words, cap, "%s does not take the certificate of cert_file (%s)", tls->server, why ? why : "an alert");
    return CLOUDS_EAUTH;
}

static int explain(const struct cl_tls *tls, unsigned long error, char *words, size_t cap)
{
    const char *why = cl_tls_reason(tls->ssl, error, "no handshake");
    int reason = ERR_GET_REASON(error);
    long verdict = tls->ssl->SSL_get_verify_result(tls->session);
    if (tls->first >= 0 && tls->first != CL_TLS_HANDSHAKE && tls->first != CL_TLS_ALERT) {
        snprintf(words, cap, "%s does not speak TLS there (%s)", tls->server, why);
        return CLOUDS_EPROTO;
    }
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED && verdict != X509_V_OK)
        return explain_certificate(tls, verdict, words, cap);
    if (reason >= SSL_AD_REASON_OFFSET && explain_alert(tls, reason - SSL_AD_REASON_OFFSET, words, cap) != 0)
        return CLOUDS_EAUTH;
    snprintf(words, cap, "the handshake with %s failed: %s", tls->server, why);
    return CLOUDS_EPROTO;
}

/* ---- files */

static int refuse(const cl_openssl *ssl, const char *option, const char *path, const char *expected)
{
    unsigned long error = ssl->ERR_get_error();
    ssl->ERR_clear_error();
    return cl_error(CLOUDS_EOPTION, "option '%s': %.100s: expected %s (%s)", option, path, expected,
                    cl_tls_reason(ssl, error, "it has none"));
}

/* Nobody is asked for the password of a key: this is no program with a terminal. */
static int no_password(char *out, int cap, int is_writing, void *self)
{
    return -1;
}

static int read_authorities(cl_tls_context *context, const cl_tls_trust *trust)
{
    const cl_openssl *ssl = context->ssl;
    if (!is_given(trust->ca_file)) {
        ssl->SSL_CTX_set_default_verify_paths(context->ctx); /* none there is no error: then nobody is trusted */
        return 0;
    }
    if (ssl->SSL_CTX_load_verify_file(context->ctx, trust->ca_file) == 1) return 0;
    return refuse(ssl, "ca_file", trust->ca_file, "certificates in PEM");
}

/* Setting the key compares it with the certificate. */
static int read_certificate(cl_tls_context *context, const cl_tls_trust *trust)
{
    const cl_openssl *ssl = context->ssl;
    const char *option = is_given(trust->cert_key_file) ? "cert_key_file" : "cert_file";
    const char *key = is_given(trust->cert_key_file) ? trust->cert_key_file : trust->cert_file;
    if (!is_given(trust->cert_file)) return 0;
    ssl->SSL_CTX_set_default_passwd_cb(context->ctx, no_password);
    if (ssl->SSL_CTX_use_certificate_chain_file(context->ctx, trust->cert_file) != 1)
        return refuse(ssl, "cert_file", trust->cert_file, "a certificate in PEM");
    if (ssl->SSL_CTX_use_PrivateKey_file(context->ctx, key, SSL_FILETYPE_PEM) != 1)
        return refuse(ssl, option, key, "the key of cert_file in PEM, without a password");
    context->has_certificate = 1;
    return 0;
}

int cl_tls_context_create_trusting(const cl_tls_trust *trust, cl_tls_context **out)
{
    const cl_openssl *ssl = cl_openssl_get();
    if (!ssl) return CLOUDS_ENOTSUP;
    ssl->ERR_clear_error();
    cl_tls_context *context = cl_tls_context_new(ssl);
    if (!context) return cl_error(CLOUDS_ENOMEM, NULL);
    context->explain = explain;
    context->takes_any_server = trust->takes_any_server;
    ssl->SSL_CTX_ctrl(context->ctx, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, NULL);
    ssl->SSL_CTX_set_verify(context->ctx, trust->takes_any_server ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    int code = read_authorities(context, trust);
    if (code == 0) code = read_certificate(context, trust);
    if (code == 0) *out = context;
    else cl_tls_context_free(context);
    return code;
}
