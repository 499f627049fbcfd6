/* What the options of a program and the environment say of tracing, by the names that OpenTelemetry has agreed upon. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "trace/internal.h"

#define DEFAULT_ENDPOINT "http://localhost:4318"
enum { PLAIN_PORT = 80, TLS_PORT = 443, HOST_MOST = 255, PATH_MOST = 300 };
static const double longest_timeout = 600, usual_timeout = 10;

typedef struct reading {
    cl_trace_settings *out;
    int is_strict; /* the program asks for it, so that what is wrong is an error */
    int has_service, has_host, has_pid;
} reading;

static int no_memory(void)
{
    return cl_error(CLOUDS_ENOMEM, NULL);
}

/* That of traces alone, then that of all signals. *name: which it was. */
static const char *of_traces(const char *own, const char *common, const char **name)
{
    const char *value = cl_environment(*name = own);
    return value ? value : cl_environment(*name = common);
}

/* ---- where to */

static int is_port(cl_str text, int *out)
{
    return cl_str_number(text, 1, 65535, out);
}

/* HOST or HOST:PORT, the host of IPv6 in brackets. */
static int read_authority(cl_str text, cl_trace_settings *out)
{
    int is_ipv6 = text.n && text.p[0] == '[';
    const char *end = is_ipv6 ? memchr(text.p, ']', text.n) : memchr(text.p, ':', text.n);
    if (is_ipv6 && !end) return -1;
    size_t n = end ? (size_t)(end - text.p) : text.n, after = is_ipv6 ? n + 1 : n;
    cl_str host = is_ipv6 ? cl_str_of(text.p + 1, n - 1) : cl_str_of(text.p, n);
    out->port = out->is_tls ? TLS_PORT : PLAIN_PORT;
    if (!host.n || host.n > HOST_MOST) return -1;
    if (after < text.n &&
        (text.p[after] != ':' || !is_port(cl_str_of(text.p + after + 1, text.n - after - 1), &out->port)))
        return -1;
    cl_free(out->host);
    out->host = cl_str_dup(host);
    return out->host ? 0 : CLOUDS_ENOMEM;
}

static int is_plain(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text <= ' ' || (unsigned char)*text >= 127 || *text == '@' || *text == '#') return 0;
    return 1;
}

/* more: what comes behind the path that the address has. 0, -1: it is no address, or CLOUDS_ENOMEM. */
static int read_address(const char *text, const char *more, cl_trace_settings *out)
{
    cl_buf path = {0};
    out->is_tls = strncasecmp(text, "https://", 8) == 0;
    if (!is_plain(text) || (!out->is_tls && strncasecmp(text, "http://", 7) != 0)) return -1;
    const char *authority = text + (out->is_tls ? 8 : 7);
    size_t n = strcspn(authority, "/?");
    int code = read_authority(cl_str_of(authority, n), out);
    if (code) return code;
    cl_str own = cl_str_z(authority + n);
    if (!own.n && !*more) own = CL_STR("/");
    while (*more && own.n && own.p[own.n - 1] == '/') own.n--;
    if (own.n > PATH_MOST || (own.n && own.p[0] == '?')) return -1;
    if (cl_buf_printf(&path, "%.*s%s", (int)own.n, own.p, more) != 0 || cl_buf_put_char(&path, '\0') != 0)
        code = CLOUDS_ENOMEM;
    cl_free(out->path);
    out->path = path.data;
    return code;
}

static const char address_form[] = "http://HOST:PORT or https://HOST:PORT, perhaps with a path";

static int read_endpoint(reading *r)
{
    const char *name = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", *value = cl_environment(name);
    int code = value ? read_address(value, "", r->out) : 0;
    if (!value) {
        value = cl_environment(name = "OTEL_EXPORTER_OTLP_ENDPOINT");
        code = read_address(value ? value : DEFAULT_ENDPOINT, "/v1/traces", r->out);
    }
    if (code != -1) return code ? no_memory() : 0;
    r->out->is_on = 0;
    return cl_environment_refuse(r->is_strict, name, value, address_form);
}

/* JSON goes where protobuf over HTTP goes; gRPC is another port. */
static int read_protocol(reading *r)
{
    const char *name, *value = of_traces("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL", &name);
    if (!value || strcmp(value, "http/json") == 0 || strcmp(value, "http/protobuf") == 0) return 0;
    r->out->is_on = 0;
    return cl_environment_refuse(r->is_strict, name, value, "http/json or http/protobuf, as JSON is what is sent");
}

static int read_timeout(reading *r)
{
    const char *name, *value = of_traces("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT", &name);
    double ms = 0;
    r->out->timeout = usual_timeout;
    if (!value) return 0;
    if (!cl_str_real(cl_str_z(value), &ms) || !(ms >= 1 && ms <= longest_timeout * 1000))
        return cl_environment_refuse(r->is_strict, name, value, "milliseconds, from 1 to 600000");
    r->out->timeout = ms / 1000;
    return 0;
}

/* ---- headers */

static int is_token(cl_str name)
{
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        int is_letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z', is_digit = c >= '0' && c <= '9';
        if (!is_letter && !is_digit && !memchr("!#$%&'*+-.^_`|~", c, 15)) return 0;
    }
    return 1;
}

static int take_header(void *self, cl_str name, cl_str value)
{
    cl_buf *lines = &((reading *)self)->out->headers;
    int is_good = is_token(name);
    for (size_t i = 0; i < value.n; i++) is_good &= (unsigned char)value.p[i] >= ' ' && value.p[i] != 127;
    if (!is_good) return -1;
    return cl_buf_printf(lines, "%.*s: %.*s\n", (int)name.n, name.p, (int)value.n, value.p);
}

/* They have secrets, so what is wrong is not shown. */
static int read_headers(reading *r)
{
    const char *name, *value = of_traces("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS", &name);
    int code = value ? cl_environment_pairs(value, take_header, r) : 0;
    if (code == 0 || code == CLOUDS_ENOMEM) return code ? no_memory() : 0;
    cl_buf_clear(&r->out->headers);
    return cl_environment_refuse(r->is_strict, name, NULL, "NAME=VALUE with commas between, escapes as %20");
}

/* ---- certificates */

static int keep_file(reading *r, const char *own, const char *common, char **out)
{
    const char *name, *value = of_traces(own, common, &name);
    char words[200];
    if (!value) return 0;
    FILE *file = fopen(value, "re");
    if (!file) {
        snprintf(words, sizeof words, "a file that can be read: %s", strerror(errno));
        r->out->is_on = 0;
        return cl_environment_refuse(r->is_strict, name, value, words);
    }
    fclose(file);
    *out = cl_str_dup(cl_str_z(value));
    return *out ? 0 : no_memory();
}

static int read_trust(reading *r)
{
    int code =
        keep_file(r, "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE", &r->out->ca_file);
    if (code == 0)
        code = keep_file(r, "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
                         &r->out->cert_file);
    if (code == 0)
        code = keep_file(r, "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY",
                         &r->out->cert_key_file);
    return code;
}

/* ---- which traces */

static void set_ratio(cl_trace_settings *out, double ratio)
{
    out->below = ratio >= 1 ? (uint64_t)INT64_MAX + 1 : (uint64_t)(ratio * 9223372036854775808.0);
}

static int read_ratio(reading *r)
{
    const char *name = "OTEL_TRACES_SAMPLER_ARG", *value = cl_environment(name);
    double ratio = 1;
    int is_good = !value || (cl_str_real(cl_str_z(value), &ratio) && ratio >= 0 && ratio <= 1);
    set_ratio(r->out, is_good ? ratio : 1);
    return is_good ? 0 : cl_environment_refuse(r->is_strict, name, value, "a number from 0 to 1");
}

static int read_sampler(reading *r)
{
    static const char parent[] = "parentbased_";
    const char *name = "OTEL_TRACES_SAMPLER", *value = cl_environment(name);
    const char *rest = value ? value : "parentbased_always_on";
    r->out->by_parent = strncmp(rest, parent, sizeof parent - 1) == 0;
    if (r->out->by_parent) rest += sizeof parent - 1;
    set_ratio(r->out, strcmp(rest, "always_off") == 0 ? 0 : 1);
    if (strcmp(rest, "traceidratio") == 0) return read_ratio(r);
    if (strcmp(rest, "always_on") == 0 || strcmp(rest, "always_off") == 0) return 0;
    r->out->by_parent = 1;
    return cl_environment_refuse(r->is_strict, name, value,
                                 "always_on, always_off, traceidratio, or one of these behind parentbased_");
}

/* ---- who we are */

static int put_attribute(cl_buf *out, const char *key, cl_str value)
{
    if (out->len && cl_buf_put_char(out, ',') != 0) return CLOUDS_ENOMEM;
    return cl_span_put_attribute(out, key, value);
}

static int take_attribute(void *self, cl_str name, cl_str value)
{
    reading *r = self;
    char key[256];
    int is_service = cl_str_eq(name, CL_STR("service.name"));
    if (name.n >= sizeof key || !is_token(name)) return -1;
    if (is_service && r->has_service) return 0;
    r->has_service |= is_service;
    r->has_host |= cl_str_eq(name, CL_STR("host.name"));
    r->has_pid |= cl_str_eq(name, CL_STR("process.pid"));
    *cl_str_copy(key, name) = '\0';
    return put_attribute(&r->out->resource, key, value);
}

static int read_attributes(reading *r)
{
    const char *name = "OTEL_RESOURCE_ATTRIBUTES", *value = cl_environment(name);
    size_t before = r->out->resource.len;
    int had_service = r->has_service, code = value ? cl_environment_pairs(value, take_attribute, r) : 0;
    if (code == 0 || code == CLOUDS_ENOMEM) return code;
    r->out->resource.len = before;
    r->has_service = had_service;
    r->has_host = r->has_pid = 0;
    return cl_environment_refuse(r->is_strict, name, value, "NAME=VALUE with commas between, escapes as %20");
}

static int put_usual(reading *r)
{
    cl_buf *out = &r->out->resource;
    char text[300];
    int code = 0;
    if (!r->has_service) {
        snprintf(text, sizeof text, "unknown_service:%.200s", program_invocation_short_name);
        code = put_attribute(out, "service.name", cl_str_z(text));
    }
    if (code == 0 && !r->has_host && gethostname(text, sizeof text - 1) == 0) {
        text[sizeof text - 1] = '\0';
        code = put_attribute(out, "host.name", cl_str_z(text));
    }
    snprintf(text, sizeof text, "%d", (int)getpid());
    if (code == 0 && !r->has_pid)
        code = cl_buf_printf(out, ",{\"key\":\"process.pid\",\"value\":{\"intValue\":\"%s\"}}", text);
    if (code == 0) code = put_attribute(out, "telemetry.sdk.name", CL_STR("clouds"));
    if (code == 0) code = put_attribute(out, "telemetry.sdk.language", CL_STR("c"));
    return code ? code : put_attribute(out, "telemetry.sdk.version", cl_str_z(clouds_version()));
}

static int read_resource(reading *r, const char *service)
{
    const char *name = *service ? service : cl_environment("OTEL_SERVICE_NAME");
    r->has_service = name != NULL;
    int code = name ? put_attribute(&r->out->resource, "service.name", cl_str_z(name)) : 0;
    if (code == 0) code = read_attributes(r);
    if (code == 0) code = put_usual(r);
    return code == CLOUDS_ENOMEM ? no_memory() : code;
}

/* ---- all of it */

static int refuse_option(const char *got)
{
    return cl_error(CLOUDS_EOPTION,
                    "option 'trace': got '%.80s', expected \"env\", \"off\", \"otlp\", \"file:PATH\" or "
                    "http://HOST:PORT/PATH, or the same with https",
                    got);
}

/* Whether the environment wants traces, where nobody else says it. */
static int read_wish(reading *r)
{
    const char *exporter = cl_environment("OTEL_TRACES_EXPORTER");
    int has_endpoint =
        cl_environment("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") || cl_environment("OTEL_EXPORTER_OTLP_ENDPOINT");
    r->out->is_on = exporter ? strcmp(exporter, "otlp") == 0 : has_endpoint;
    if (!exporter || r->out->is_on || strcmp(exporter, "none") == 0) return 0;
    return cl_environment_refuse(0, "OTEL_TRACES_EXPORTER", exporter, "otlp or none");
}

static int read_target(reading *r, const char *to)
{
    if (strcmp(to, "otlp") == 0 || !r->is_strict) {
        int code = read_protocol(r);
        return code == 0 && r->out->is_on ? read_endpoint(r) : code;
    }
    if (strncmp(to, "file:", 5) == 0 && to[5]) {
        r->out->file = cl_str_dup(cl_str_z(to + 5));
        return r->out->file ? 0 : no_memory();
    }
    int code = read_address(to, "", r->out);
    return code == -1 ? refuse_option(to) : code ? no_memory() : 0;
}

static int is_disabled(void)
{
    const char *value = cl_environment("OTEL_SDK_DISABLED");
    return value && strcasecmp(value, "true") == 0;
}

int cl_trace_settings_read(const cl_trace_asked *asked, cl_trace_settings *out)
{
    reading r = {.out = out, .is_strict = strcmp(asked->to, "env") != 0};
    *out = (cl_trace_settings){.is_on = r.is_strict};
    int code = 0;
    if (strcmp(asked->to, "off") == 0 || (is_disabled() && !r.is_strict)) return out->is_on = 0, 0;
    if (!r.is_strict) code = read_wish(&r);
    if (code == 0 && out->is_on) code = read_target(&r, asked->to);
    if (is_disabled()) out->is_on = 0;
    if (code || !out->is_on) return code;
    if (asked->ratio >= 0) set_ratio(out, asked->ratio), out->by_parent = 1;
    else code = read_sampler(&r);
    if (code == 0) code = read_timeout(&r);
    if (code == 0 && !out->file) code = read_headers(&r);
    if (code == 0 && !out->file) code = read_trust(&r);
    return code == 0 && out->is_on ? read_resource(&r, asked->service) : code;
}

void cl_trace_settings_free(cl_trace_settings *settings)
{
    cl_free(settings->file);
    cl_free(settings->host);
    cl_free(settings->path);
    cl_free(settings->ca_file);
    cl_free(settings->cert_file);
    cl_free(settings->cert_key_file);
    cl_buf_free(&settings->headers);
    cl_buf_free(&settings->resource);
    *settings = (cl_trace_settings){0};
}
