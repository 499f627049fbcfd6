#include "api/config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api/check.h"
#include "api/machine.h"
#include "api/node_id.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/rand.h"
#include "bus/own.h"
#include "worker/counts.h"

enum { OTHER_FILES = 128, LEAST_LINKS = 16 };

static size_t size_of(const cl_options *options, enum cl_option_index which)
{
    return (size_t)cl_options_number(options, which);
}

static void read_limits(const cl_options *o, cl_limits *l)
{
    *l = (cl_limits){.message = size_of(o, CL_OPTION_max_message),
                     .method = size_of(o, CL_OPTION_max_method),
                     .json = {.depth = (uint32_t)size_of(o, CL_OPTION_max_depth),
                              .values = (uint32_t)size_of(o, CL_OPTION_max_values)},
                     .links = size_of(o, CL_OPTION_max_links),
                     .write_soft = size_of(o, CL_OPTION_write_soft),
                     .write_hard = size_of(o, CL_OPTION_write_hard),
                     .resp_line = size_of(o, CL_OPTION_resp_line),
                     .resp_buffered = size_of(o, CL_OPTION_resp_buffered),
                     .connect_timeout = cl_options_number(o, CL_OPTION_connect_timeout),
                     .hello_timeout = cl_options_number(o, CL_OPTION_hello_timeout),
                     .ping_interval = cl_options_number(o, CL_OPTION_ping_interval),
                     .ping_timeout = cl_options_number(o, CL_OPTION_ping_timeout),
                     .reconnect_min = cl_options_number(o, CL_OPTION_reconnect_min),
                     .reconnect_max = cl_options_number(o, CL_OPTION_reconnect_max),
                     .linger = cl_options_number(o, CL_OPTION_linger)};
    if (l->reconnect_max < l->reconnect_min) l->reconnect_max = l->reconnect_min;
    if (l->write_hard < l->write_soft) l->write_hard = l->write_soft;
}

/* The first line of the file with a secret that an option names. */
static int read_secret(const char *option, const char *path, char **out)
{
    char line[4096];
    FILE *file = fopen(path, "re");
    if (!file) return cl_error(CLOUDS_EOPTION, "option '%s': %.80s: %s", option, path, strerror(errno));
    char *got = fgets(line, sizeof line, file);
    fclose(file);
    size_t n = got ? strcspn(line, "\r\n") : 0;
    if (n == 0) return cl_options_refuse(option, path, "a file whose first line is the password");
    *out = cl_str_dup(cl_str_of(line, n));
    explicit_bzero(line, sizeof line);
    return *out ? 0 : cl_error(CLOUDS_ENOMEM, NULL);
}

static int keep_text(const char *text, char **out)
{
    *out = *text ? cl_str_dup(cl_str_z(text)) : NULL;
    return *text && !*out ? cl_error(CLOUDS_ENOMEM, NULL) : 0;
}

static int is_given(const char *text)
{
    return text && *text;
}

/* Who we are for sentinels, where that is not who we are for Redis. */
static int read_sentinel_login(cl_context *context, const cl_options *options)
{
    cl_context_config *config = &context->config;
    const char *user = cl_options_text(options, CL_OPTION_sentinel_user);
    const char *password = cl_options_text(options, CL_OPTION_sentinel_password);
    const char *file = cl_options_text(options, CL_OPTION_sentinel_password_file);
    const char *given = *file ? "sentinel_password_file" : *password ? "sentinel_password" : "sentinel_user";
    if (!*file && !*password && !*user) return 0;
    if (config->url.kind != CL_URL_REDIS_SENTINEL && !cl_bus_own_has_sentinels(&config->url))
        return cl_error(CLOUDS_EOPTION, "option '%s': only redis+sentinel:// has sentinels", given);
    if (!*file && !*password)
        return cl_error(CLOUDS_EOPTION, "option 'sentinel_user': a user has a password, too: expected "
                                        "sentinel_password_file or sentinel_password");
    int code = keep_text(user, &config->sentinel_user);
    if (code == 0 && *file) code = read_secret(given, file, &config->sentinel_password);
    else if (code == 0) code = keep_text(password, &config->sentinel_password);
    config->url.sentinel_user = config->sentinel_user;
    config->url.sentinel_password = config->sentinel_password;
    return code;
}

/* The options that are texts of url.tls, and words of an address; the files first. */
enum { TLS_FILES = 3 };
static const struct {
    enum cl_option_index index;
    const char *name;
} tls_texts[CL_TLS_TEXTS] = {{CL_OPTION_ca_file, "ca_file"},
                             {CL_OPTION_cert_file, "cert_file"},
                             {CL_OPTION_cert_key_file, "cert_key_file"},
                             {CL_OPTION_server_name, "server_name"}};

static const char **tls_text(cl_url_tls *tls, int i)
{
    return cl_url_tls_word(tls, cl_str_z(tls_texts[i].name));
}

/* Whether it can be read is seen now, and not when somebody is to be trusted. */
static int check_file(const char *option, const char *path)
{
    FILE *file = is_given(path) ? fopen(path, "re") : NULL;
    if (is_given(path) && !file)
        return cl_error(CLOUDS_EOPTION, "option '%s': %.80s: %s", option, path, strerror(errno));
    if (file) fclose(file);
    return 0;
}

/* That a server is known, and what it is shown, means nothing where all is said in clear. */
static int check_tls(cl_context *context, const char *given)
{
    cl_url *url = &context->config.url;
    int is_clear = !url->is_tls && (url->kind == CL_URL_REDIS || url->kind == CL_URL_REDIS_SENTINEL ||
                                    url->kind == CL_URL_REDIS_UNIX || url->kind == CL_URL_ETCD);
    if (given && is_clear)
        return cl_error(CLOUDS_EOPTION,
                        "option '%s': the address is without TLS: expected rediss://, rediss+sentinel:// "
                        "or etcds://",
                        given);
    if (is_given(url->tls.cert_key_file) && !is_given(url->tls.cert_file))
        return cl_error(CLOUDS_EOPTION, "option 'cert_key_file': expected cert_file, too");
    int code = 0;
    for (int i = 0; i < TLS_FILES && code == 0; i++) code = check_file(tls_texts[i].name, *tls_text(&url->tls, i));
    return code;
}

static int read_tls(cl_context *context, const cl_options *options)
{
    cl_context_config *config = &context->config;
    cl_url_tls said = {.takes_any_server = !cl_options_number(options, CL_OPTION_verify)};
    const char *given = said.takes_any_server ? "verify" : NULL;
    int code = 0;
    for (int i = CL_TLS_TEXTS - 1; i >= 0 && code == 0; i--) {
        const char *text = cl_options_text(options, tls_texts[i].index);
        if (*text) given = tls_texts[i].name;
        code = keep_text(text, &config->tls[i]);
        *tls_text(&said, i) = config->tls[i];
    }
    cl_url_tls_override(&config->url.tls, &said);
    return code == 0 ? check_tls(context, given) : code;
}

/* Who may ask the nodes of this context: whoever is in the cluster, where that is this machine's user alone. */
static int read_admin(cl_context *context, const char *name)
{
    enum cl_url_kind kind = context->config.url.kind;
    int is_local = kind == CL_URL_LOCAL || kind == CL_URL_INPROC;
    snprintf(context->config.about, sizeof context->config.about, "\"version\":\"%s\",\"pid\":%d", clouds_version(),
             (int)getpid());
    if (gethostname(context->config.host, sizeof context->config.host - 1) != 0) *context->config.host = '\0';
    context->config.answers_questions = strcmp(name, "on") == 0 || (is_local && strcmp(name, "local") == 0);
    if (context->config.answers_questions || strcmp(name, "local") == 0 || strcmp(name, "off") == 0) return 0;
    return cl_options_refuse("admin", name, "\"local\", \"on\" or \"off\"");
}

static int read_url(cl_context *context, const cl_options *options)
{
    const cl_str text = cl_str_z(cl_options_text(options, CL_OPTION_url));
    int code = cl_bus_own_url(text, &context->config.url);
    if (code == 0) code = cl_url_parse(text, &context->config.url);
    if (code < 0) return code;
    const char *file = cl_options_text(options, CL_OPTION_password_file);
    if (*file) {
        code = read_secret("password_file", file, &context->config.password);
        if (code != 0) return code;
        context->config.url.password = context->config.password;
    }
    const char *prefix = cl_options_text(options, CL_OPTION_prefix);
    if (*prefix) {
        context->config.prefix = cl_str_dup(cl_str_z(prefix));
        if (!context->config.prefix) return cl_error(CLOUDS_ENOMEM, NULL);
        context->config.url.prefix = context->config.prefix;
    }
    code = read_sentinel_login(context, options);
    if (code == 0) code = read_tls(context, options);
    if (code != 0) return code;
    cl_url_describe(&context->config.url, context->config.url_text, sizeof context->config.url_text);
    return 0;
}

static int read_log_level(cl_context *context, const char *name)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    if (strcmp(name, "off") == 0) return 0;
    for (int level = 0; level < 4; level++) {
        if (strcmp(name, names[level]) != 0) continue;
        context->log = (cl_log_sink){cl_log_events_line, context, level};
        return 0;
    }
    return cl_options_refuse("log_level", name, "\"off\", \"debug\", \"info\", \"warn\" or \"error\"");
}

/* As many links as there may be descriptors, but for those that a process needs besides. */
static void bound_links(cl_limits *l)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY) return;
    size_t most = files.rlim_cur > OTHER_FILES + LEAST_LINKS ? (size_t)files.rlim_cur - OTHER_FILES : LEAST_LINKS;
    if (l->links > most) l->links = most;
}

static int may_listen(const cl_direct *direct, const char *listen)
{
    if (!direct->tcp || direct->keys || direct->insecure || cl_is_loopback(direct->host)) return 0;
    return cl_error(CLOUDS_EOPTION,
                    "option 'listen': %.100s: an address beyond this machine needs a key (key_file), or insecure=true",
                    listen);
}

/* Links to other contexts: not over local:, whose nodes have sockets of their own, and not within one process. */
static int read_direct(cl_context *context, const cl_options *options)
{
    cl_direct *direct = &context->config.direct;
    const char *listen = cl_options_text(options, CL_OPTION_listen);
    const char *advertise = cl_options_text(options, CL_OPTION_advertise);
    enum cl_url_kind kind = context->config.url.kind;
    int has_links = kind != CL_URL_LOCAL && kind != CL_URL_INPROC;
    int code = cl_direct_parse(listen, direct);
    if (code != 0) return code;
    if (direct->tcp && !has_links)
        return cl_error(CLOUDS_EOPTION, "option 'listen': %.100s: %.100s has no links over TCP", listen,
                        context->config.url_text);
    if (strlen(advertise) >= sizeof direct->advertise)
        return cl_options_refuse("advertise", advertise, "HOST, HOST:PORT or \"none\"");
    strcpy(direct->advertise, advertise);
    direct->insecure = (int)cl_options_number(options, CL_OPTION_insecure);
    direct->ping = cl_options_number(options, CL_OPTION_link_ping);
    direct->timeout = cl_options_number(options, CL_OPTION_link_timeout);
    direct->idle = cl_options_number(options, CL_OPTION_link_idle);
    const char *key_file = cl_options_text(options, CL_OPTION_key_file);
    if (*key_file && has_links) code = cl_key_ring_read(key_file, &context->config.keys);
    if (code != 0) return code;
    direct->keys = context->config.keys;
    if (has_links && cl_options_number(options, CL_OPTION_direct)) context->config.limits.direct = direct;
    return may_listen(direct, listen);
}

int cl_config_context(cl_context *context, const cl_options *options)
{
    int code;
    const char *mode = cl_options_text(options, CL_OPTION_mode);
    context->threaded = strcmp(mode, "thread") == 0;
    if (!context->threaded && strcmp(mode, "inline") != 0)
        return cl_options_refuse("mode", mode, "\"inline\" or \"thread\"");
    code = read_log_level(context, cl_options_text(options, CL_OPTION_log_level));
    if (code != 0) return code;
    read_limits(options, &context->config.limits);
    context->config.max_in_flight = size_of(options, CL_OPTION_max_in_flight);
    context->config.max_events = size_of(options, CL_OPTION_max_events);
    context->config.max_event_bytes = size_of(options, CL_OPTION_max_event_bytes);
    context->config.max_result_bytes =
        context->config.max_event_bytes + size_of(options, CL_OPTION_max_in_flight_bytes);
    if (cl_random_bytes(&context->engine.random_state, sizeof context->engine.random_state) != 0) return CLOUDS_ESYSTEM;
    bound_links(&context->config.limits);
    code = read_url(context, options);
    if (code == 0) code = read_admin(context, cl_options_text(options, CL_OPTION_admin));
    return code != 0 ? code : read_direct(context, options);
}

/* What others want to read is counted unless the option says otherwise. */
static void count_for_others(const cl_options *options, cl_core_config *config)
{
    if (!cl_counts_mine()) return;
    if (!options->values[CL_OPTION_stats].is_set) config->stats = 1;
    config->add_counts = cl_counts_add_mine;
    config->free_counts = cl_counts_free;
}

int cl_config_trace(cl_context *context, const cl_options *options, cl_trace_settings *out)
{
    cl_context_config *config = &context->config;
    const int has_ratio = options->values[CL_OPTION_trace_ratio].is_set;
    const cl_trace_asked asked = {.to = cl_options_text(options, CL_OPTION_trace),
                                  .ratio = has_ratio ? cl_options_number(options, CL_OPTION_trace_ratio) : -1,
                                  .service = cl_options_text(options, CL_OPTION_trace_service)};
    int code = cl_trace_settings_read(&asked, out);
    config->trace_for_others = strcmp(asked.to, "off") != 0;
    config->trace_by_parent = out->by_parent;
    config->trace_below = out->below;
    return code;
}

void cl_config_core(const cl_context *context, const cl_options *options, cl_core_config *out)
{
    *out = (cl_core_config){.limits = context->config.limits,
                            .max_in_flight = (uint32_t)context->config.max_in_flight,
                            .max_in_flight_bytes = size_of(options, CL_OPTION_max_in_flight_bytes),
                            .once_window = (int64_t)(cl_options_number(options, CL_OPTION_once_window) * 1000),
                            .once_keys = size_of(options, CL_OPTION_once_keys),
                            .once_bytes = size_of(options, CL_OPTION_once_bytes),
                            .max_deadline = cl_options_number(options, CL_OPTION_max_deadline),
                            .cluster = context->config.url_text,
                            .about = context->config.about,
                            .host = context->config.host,
                            .answers_questions = context->config.answers_questions,
                            .stats = cl_options_number(options, CL_OPTION_stats) != 0,
                            .traces = context->engine.exporter != NULL,
                            .trace_by_parent = context->config.trace_by_parent,
                            .trace_below = context->config.trace_below,
                            .trace_for_others = context->config.trace_for_others};
    count_for_others(options, out);
}

static void free_secret(char *text)
{
    if (text) explicit_bzero(text, strlen(text));
    cl_free(text);
}

void cl_config_free(cl_context *context)
{
    cl_url_free(&context->config.url);
    free_secret(context->config.password);
    free_secret(context->config.sentinel_password);
    cl_free(context->config.sentinel_user);
    cl_free(context->config.prefix);
    for (int i = 0; i < CL_TLS_TEXTS; i++) cl_free(context->config.tls[i]);
}

/* ---- nodes */

static int read_type(cl_node_config *config, const cl_options *options)
{
    const char *type = cl_options_text(options, CL_OPTION_type);
    size_t n = strlen(type);
    int good = n > 0 && n < sizeof config->type;
    for (size_t i = 0; i < n; i++) {
        int lower = type[i] | 0x20;
        if (lower < 'a' || lower > 'z') good = 0;
    }
    if (!good)
        return cl_options_refuse("type", type, "server, client, monitor, base or another word of up to 15 letters");
    memcpy(config->type, type, n + 1);
    return 0;
}

static int read_balance(cl_node_config *config, const cl_options *options)
{
    static const char *const names[] = {[CL_BALANCE_TURNS] = "rr",
                                        [CL_BALANCE_LEAST] = "least",
                                        [CL_BALANCE_RANDOM] = "random",
                                        [CL_BALANCE_HASH] = "hash"};
    const char *name = cl_options_text(options, CL_OPTION_balance);
    for (int i = 0; i < 4; i++) {
        if (strcmp(name, names[i]) != 0) continue;
        config->balance = i;
        return 0;
    }
    return cl_options_refuse("balance", name, "\"rr\", \"least\", \"random\" or \"hash\"");
}

/* Where all nodes are on this machine, there is no need to say so. */
static int is_on_one_machine(const cl_context *context)
{
    return context->config.url.kind == CL_URL_LOCAL || context->config.url.kind == CL_URL_INPROC;
}

/* Those that are chosen, and on which machine the node is, unless these say it. */
static void set_tags(const cl_context *context, cl_node_config *config, const char *chosen)
{
    char machine[CL_MACHINE_DIGITS + 1];
    snprintf(config->tags, sizeof config->tags, "%s", chosen);
    if (is_on_one_machine(context) || cl_tags_value(cl_str_z(chosen), CL_STR(CL_TAG_HOST)).n) return;
    cl_machine(machine);
    snprintf(config->tags, sizeof config->tags, "%s%s" CL_TAG_HOST "=%s", chosen, *chosen ? "," : "", machine);
}

/* That of the machine can be, although all are near then. */
static int may_prefer(const cl_context *context, const cl_node_config *config, cl_str name)
{
    if (cl_tag_check_name(name) != 0) return 0;
    return cl_tags_value(cl_str_z(config->tags), name).n ||
           (is_on_one_machine(context) && cl_str_eq(name, CL_STR(CL_TAG_HOST)));
}

static int read_tags(const cl_context *context, cl_node_config *config, const cl_options *options)
{
    const char *tags = cl_options_text(options, CL_OPTION_tags), *prefer = cl_options_text(options, CL_OPTION_prefer);
    if (strlen(tags) > CL_TAGS_CHOSEN || cl_tags_check(cl_str_z(tags)) != 0)
        return cl_options_refuse("tags", tags,
                                 "name=value, with commas between several: names of up to 32 letters, digits and _.-, "
                                 "none twice, values of up to 64 of these and :/@+, up to 256 bytes together");
    set_tags(context, config, tags);
    if (*prefer && !may_prefer(context, config, cl_str_z(prefer)))
        return cl_options_refuse("prefer", prefer, "the name of a tag that is among the node's own tags, or host");
    memcpy(config->prefer, prefer, strlen(prefer) + 1);
    return 0;
}

static int read_id(cl_api_node *node, const cl_options *options)
{
    const char *id = cl_options_text(options, CL_OPTION_id);
    size_t n = strlen(id);
    if (n == 0) return cl_node_id_make(node->config.type, &node->id);
    if (n > CL_NODE_ID_MAX || strpbrk(id, ":*?[]\\") || cl_check_utf8(cl_str_z(id)) != 0)
        return cl_options_refuse("id", id,
                                 "up to 255 bytes of UTF-8 without ':' and without the glob characters *?[]\\");
    node->id = cl_str_dup(cl_str_z(id));
    return node->id ? 0 : cl_error(CLOUDS_ENOMEM, NULL);
}

/* A case for each option of scope LIVE: it sets the member of its name. */
void cl_config_apply(cl_node_config *config, const cl_config_change *change)
{
    switch (change->which) {
#define FROM_NUMBER change->value
#define FROM_COUNT (int32_t) change->value
#define FROM_BOOL (int)change->value
#define FROM_WORD change->word
#define APPLY_CONTEXT(symbol, kind)
#define APPLY_NODE(symbol, kind)
#define APPLY_LIVE(symbol, kind)                                                                                       \
    case CL_OPTION_##symbol:                                                                                           \
        config->symbol = FROM_##kind;                                                                                  \
        break;
#define OPTION(symbol, scope, kind, ...) APPLY_##scope(symbol, kind)
#include "api/options.def"
#undef OPTION
    default:
        break;
    }
}

static cl_config_change change_of(const cl_options *options, int i)
{
    enum cl_option_index which = (enum cl_option_index)i;
    return (cl_config_change){which, cl_options_number(options, which), cl_options_word(options, which)};
}

size_t cl_config_changes(const cl_options *options, cl_config_change out[CL_OPTIONS])
{
    size_t n = 0;
    for (int i = 0; i < CL_OPTIONS; i++)
        if (options->values[i].is_set) out[n++] = change_of(options, i);
    return n;
}

int cl_config_node(cl_api_node *node, const cl_options *o)
{
    for (int i = 0; i < CL_OPTIONS; i++) {
        const cl_config_change initial = change_of(o, i);
        cl_config_apply(&node->config, &initial);
    }
    node->heartbeat = cl_options_number(o, CL_OPTION_heartbeat);
    int code = read_type(&node->config, o);
    if (code == 0) code = read_balance(&node->config, o);
    if (code == 0) code = read_tags(node->context, &node->config, o);
    return code != 0 ? code : read_id(node, o);
}
