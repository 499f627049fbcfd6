/* What an address, or an option, says of a server over TLS. */
#include "proto/url.h"

const char **cl_url_tls_word(cl_url_tls *tls, cl_str name)
{
    const struct {
        const char *name;
        const char **text;
    } words[] = {{"ca_file", &tls->ca_file},
                 {"cert_file", &tls->cert_file},
                 {"cert_key_file", &tls->cert_key_file},
                 {"server_name", &tls->server_name}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (cl_str_eq(name, cl_str_z(words[i].name))) return words[i].text;
    return NULL;
}

static void override(const char **to, const char *from)
{
    if (from && *from) *to = from;
}

void cl_url_tls_override(cl_url_tls *to, const cl_url_tls *from)
{
    override(&to->ca_file, from->ca_file);
    override(&to->cert_file, from->cert_file);
    override(&to->cert_key_file, from->cert_key_file);
    override(&to->server_name, from->server_name);
    if (from->takes_any_server) to->takes_any_server = 1;
}
