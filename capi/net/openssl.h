/* The functions of OpenSSL that are used, from a library that is loaded when somebody first needs it: linked, it would
 * cost every process 2 MB and some milliseconds. */
#ifndef CL_OPENSSL_H
#define CL_OPENSSL_H

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define CL_OPENSSL_FUNCTIONS(X)                                                                                        \
    X(TLS_method)                                                                                                      \
    X(SSL_CTX_new)                                                                                                     \
    X(SSL_CTX_free)                                                                                                    \
    X(SSL_CTX_ctrl)                                                                                                    \
    X(SSL_CTX_set_ciphersuites)                                                                                        \
    X(SSL_CTX_set_num_tickets)                                                                                         \
    X(SSL_CTX_set_options)                                                                                             \
    X(SSL_CTX_set_psk_use_session_callback)                                                                            \
    X(SSL_CTX_set_psk_find_session_callback)                                                                           \
    X(SSL_CTX_set_verify)                                                                                              \
    X(SSL_CTX_load_verify_file)                                                                                        \
    X(SSL_CTX_set_default_verify_paths)                                                                                \
    X(SSL_CTX_use_certificate_chain_file)                                                                              \
    X(SSL_CTX_use_PrivateKey_file)                                                                                     \
    X(SSL_CTX_set_default_passwd_cb)                                                                                   \
    X(SSL_new)                                                                                                         \
    X(SSL_free)                                                                                                        \
    X(SSL_set_bio)                                                                                                     \
    X(SSL_set_connect_state)                                                                                           \
    X(SSL_set_accept_state)                                                                                            \
    X(SSL_set1_host)                                                                                                   \
    X(SSL_set_hostflags)                                                                                               \
    X(SSL_ctrl)                                                                                                        \
    X(SSL_get_verify_result)                                                                                           \
    X(SSL_set_ex_data)                                                                                                 \
    X(SSL_get_ex_data)                                                                                                 \
    X(SSL_do_handshake)                                                                                                \
    X(SSL_read)                                                                                                        \
    X(SSL_write)                                                                                                       \
    X(SSL_get_error)                                                                                                   \
    X(SSL_SESSION_new)                                                                                                 \
    X(SSL_SESSION_free)                                                                                                \
    X(SSL_SESSION_set1_master_key)                                                                                     \
    X(SSL_SESSION_set_cipher)                                                                                          \
    X(SSL_SESSION_set_protocol_version)                                                                                \
    X(SSL_CIPHER_find)                                                                                                 \
    X(BIO_new)                                                                                                         \
    X(BIO_free)                                                                                                        \
    X(BIO_meth_new)                                                                                                    \
    X(BIO_meth_free)                                                                                                   \
    X(BIO_meth_set_read)                                                                                               \
    X(BIO_meth_set_write)                                                                                              \
    X(BIO_meth_set_ctrl)                                                                                               \
    X(BIO_get_data)                                                                                                    \
    X(BIO_set_data)                                                                                                    \
    X(BIO_set_init)                                                                                                    \
    X(BIO_set_flags)                                                                                                   \
    X(BIO_clear_flags)                                                                                                 \
    X(X509_verify_cert_error_string)                                                                                   \
    X(ERR_get_error)                                                                                                   \
    X(ERR_reason_error_string)                                                                                         \
    X(ERR_peek_error)                                                                                                  \
    X(ERR_clear_error)                                                                                                 \
    X(SHA256)

typedef struct cl_openssl {
#define MEMBER(name) __typeof__(&name) name;
    CL_OPENSSL_FUNCTIONS(MEMBER)
#undef MEMBER
} cl_openssl;

/* NULL: it cannot be loaded, and why is the last error. */
const cl_openssl *cl_openssl_get(void);

#endif
