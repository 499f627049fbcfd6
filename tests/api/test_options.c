/* The option table and the setters. */
#include <sys/wait.h>
#include <math.h>

#include "api/kit.h"
#include "support/locale.h"

static clouds_options *set;

static int says(const char *part)
{
    return strstr(clouds_last_error(), part) != NULL;
}

static void table(void)
{
    clouds_option_info info = {.size = sizeof info};
    uint32_t n = 0;
    int contexts = 0;
    for (; clouds_option_describe(n, &info) == 0; n++) {
        CHECK(*info.name && *info.help && info.unit);
        CHECK(strcmp(info.type, "string") == 0 || strcmp(info.type, "number") == 0 || strcmp(info.type, "bool") == 0);
        contexts += strcmp(info.scope, "context") == 0;
        CHECK(strcmp(info.scope, "context") == 0 || strcmp(info.scope, "node") == 0);
        if (strcmp(info.unit, "seconds") == 0) CHECK(info.maximum == CLOUDS_LONGEST_SECONDS);
        /* Its default must be a value that it takes. */
        if (!CHECK(clouds_options_set_string(set, info.name, info.default_value) == 0))
            printf("# %s\n", clouds_last_error());
    }
    CHECK(n > 30 && contexts > 10 && contexts < (int)n);
    CHECK_INT(clouds_option_describe(n, &info), CLOUDS_EINVAL);
    info.size = 8;
    CHECK_INT(clouds_option_describe(0, &info), CLOUDS_EINVAL);
    info.size = 0;
    CHECK_INT(clouds_option_describe(0, &info), CLOUDS_EINVAL);
    CHECK_INT(clouds_option_describe(0, NULL), CLOUDS_EINVAL);
    struct {
        clouds_option_info info;
        void *more;
    } newer = {.info.size = sizeof newer, .more = &newer};
    CHECK_INT(clouds_option_describe(0, &newer.info), 0);
    CHECK(newer.more == NULL && newer.info.size == sizeof newer);
}

static void values(void)
{
    CHECK_INT(clouds_options_set_string(set, "timeout", "2.5"), 0);
    CHECK_INT(clouds_options_set_string(set, "timeout", "1e1"), 0);
    CHECK_INT(clouds_options_set_number(set, "timeout", -3), 0); /* as the original: the default */
    CHECK_INT(clouds_options_set_number(set, "timeout", NAN), 0);
    CHECK_INT(clouds_options_set_number(set, "timeout", 1e300), 0);
    CHECK_INT(clouds_options_set_string(set, "auto_clean", "false"), 0);
    CHECK_INT(clouds_options_set_bool(set, "auto_clean", 1), 0);
    CHECK_INT(clouds_options_set_number(set, "max_message", 65536), 0);
    CHECK_INT(clouds_options_set_integer(set, "max_message", 65536), 0);
    CHECK_INT(clouds_options_set_integer(set, "user_data", UINT64_MAX), 0);
    CHECK_INT(clouds_options_set_string(set, "user_data", "18446744073709551615"), 0);
    CHECK_INT(clouds_options_set_string(set, "user_data", "1e3"), 0);
    CHECK_INT(clouds_options_set_number(set, "user_data", 9007199254740991.0), 0);
    CHECK_INT(clouds_options_set_number(set, "user_data", 9007199254740992.0), CLOUDS_EOPTION);
    CHECK(says("user_data") && says("2^53 - 1"));
    CHECK_INT(clouds_options_set_number(set, "user_data", -1), CLOUDS_EOPTION);
    CHECK_INT(clouds_options_set_number(set, "user_data", 0.5), CLOUDS_EOPTION);
    CHECK_INT(clouds_options_set_string(set, "user_data", "18446744073709551616"), CLOUDS_EOPTION);
    CHECK_INT(clouds_options_set_integer(set, "max_message", UINT64_MAX), CLOUDS_EOPTION);
    CHECK(says("18446744073709551615"));
    CHECK_INT(clouds_options_set_integer(set, "url", 1), CLOUDS_EOPTION);
    CHECK_INT(clouds_options_set_integer(set, "auto_clean", 1), CLOUDS_EOPTION);
    CHECK_INT(clouds_options_set_bool(set, "cancel_events", 1), 0);
}

static void refused(void)
{
    CHECK_INT(clouds_options_set_string(set, "tiemout", "1"), CLOUDS_EOPTION);
    CHECK(says("tiemout"));
    CHECK_INT(clouds_options_set_string(set, "timeout", "soon"), CLOUDS_EOPTION);
    CHECK(says("timeout") && says("soon") && says("number"));
    CHECK_INT(clouds_options_set_string(set, "timeout", ""), CLOUDS_EOPTION);
    CHECK_INT(clouds_options_set_string(set, "timeout", "1x"), CLOUDS_EOPTION);
    CHECK_INT(clouds_options_set_string(set, "timeout", "0x10"), CLOUDS_EOPTION);
    CHECK_INT(clouds_options_set_string(set, "timeout", "1,5"), CLOUDS_EOPTION);
    CHECK_INT(clouds_options_set_string(set, "auto_clean", "yes please"), CLOUDS_EOPTION);
    CHECK_INT(clouds_options_set_bool(set, "auto_clean", 2), CLOUDS_EOPTION);
    CHECK_INT(clouds_options_set_bool(set, "timeout", 1), CLOUDS_EOPTION);
    CHECK_INT(clouds_options_set_number(set, "url", 1), CLOUDS_EOPTION);
    CHECK_INT(clouds_options_set_number(set, "max_message", 1), CLOUDS_EOPTION);
    CHECK(says("1024"));
    CHECK_INT(clouds_options_set_number(set, "max_message", 2000.5), CLOUDS_EOPTION);
    CHECK_INT(clouds_options_set_number(set, "max_message", NAN), CLOUDS_EOPTION);
    CHECK_INT(clouds_options_set_number(set, "drain_timeout", -1), CLOUDS_EOPTION);
    CHECK_INT(clouds_options_set_number(set, "retries", INFINITY), CLOUDS_EOPTION);
    CHECK_INT(clouds_options_set_string(set, NULL, "1"), CLOUDS_EINVAL);
    CHECK_INT(clouds_options_set_string(set, "url", NULL), CLOUDS_EINVAL);
    CHECK_INT(clouds_options_set_string(NULL, "url", "local:"), CLOUDS_EHANDLE);
}

static int node_with(clouds_context *context, const char *name, const char *value)
{
    clouds_options *options = KIT_OPTIONS(name, value);
    clouds_node *node = NULL;
    int code = clouds_node_create(context, options, &node);
    clouds_options_destroy(options);
    clouds_node_destroy(node);
    return code;
}

static int context_with(const char *name, const char *value)
{
    clouds_options *options = KIT_OPTIONS("url", "inproc:", name, value);
    clouds_context *context = NULL;
    int code = clouds_context_create(options, &context);
    clouds_options_destroy(options);
    clouds_context_destroy(context);
    return code;
}

static void at_creation(void)
{
    static char long_id[300];
    memset(long_id, 'a', 255);
    CHECK_INT(context_with("mode", "magic"), CLOUDS_EOPTION);
    CHECK(says("mode") && says("magic") && says("inline"));
    CHECK_INT(context_with("url", "gopher://x"), CLOUDS_EURL);
    CHECK_INT(context_with("url", ""), CLOUDS_EURL);
    CHECK_INT(context_with("password_file", "/nonexistent/file"), CLOUDS_EOPTION);
    clouds_context *context = kit_context(kit_url("inproc:"), "inline");
    CHECK_INT(node_with(context, "id", "a:b"), CLOUDS_EOPTION);
    CHECK(says("a:b"));
    CHECK_INT(node_with(context, "id", "a*"), CLOUDS_EOPTION);
    CHECK_INT(node_with(context, "id", "a[b"), CLOUDS_EOPTION);
    CHECK_INT(node_with(context, "id", "\xff"), CLOUDS_EOPTION);
    CHECK_INT(node_with(context, "id", long_id), 0);
    long_id[255] = 'a';
    CHECK_INT(node_with(context, "id", long_id), CLOUDS_EOPTION);
    CHECK_INT(node_with(context, "type", ""), CLOUDS_EOPTION);
    CHECK_INT(node_with(context, "type", "5erver"), CLOUDS_EOPTION);
    CHECK_INT(node_with(context, "type", "Worker"), 0);
    CHECK_INT(node_with(context, "balance", "least"), 0);
    CHECK_INT(node_with(context, "balance", "fair"), CLOUDS_EOPTION);
    clouds_context_destroy(context);
}

/* Another process of this host: its digits must not be those of the first. */
static int digits_differ_from(const char *host)
{
    clouds_context *context = kit_context("inproc:", "inline");
    clouds_node *node = kit_node(context, "server");
    int differ = strncmp(clouds_node_id(node) + 2, host, 8) != 0;
    clouds_context_destroy(context);
    return differ;
}

static void generated_ids(void)
{
    clouds_context *context = kit_context(kit_url("inproc:"), "inline");
    clouds_node *a = kit_node(context, "server"), *b = kit_node(context, "Watcher");
    const char *ida = clouds_node_id(a), *idb = clouds_node_id(b);
    char host[9], letter;
    int pid = 0, na = -1, nb = -1;
    CHECK_INT(sscanf(ida, "%c.%8[0-9a-f].%d.%d", &letter, host, &pid, &na), 4);
    CHECK(letter == 's' && pid == getpid() && strlen(host) == 8);
    CHECK_INT(sscanf(idb, "%c.%8[0-9a-f].%d.%d", &letter, host, &pid, &nb), 4);
    CHECK(letter == 'w' && nb == na + 1);
    pid_t child = fork();
    if (child == 0) execl("/proc/self/exe", "test_api_options", host, (char *)NULL), _exit(2);
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    CHECK_INT(WEXITSTATUS(status), 0);
    clouds_context_destroy(context);
}

/* Numbers are read with a point, whatever the program's locale says. */
static void any_locale(void)
{
    use_comma();
    CHECK_INT(clouds_options_set_string(set, "timeout", "2.5"), 0);
    CHECK_INT(clouds_options_set_number(set, "connect_timeout", 0.0005), CLOUDS_EOPTION);
    CHECK(says("got '0.0005") && says("expected a number from 0.001 to "));
    setlocale(LC_NUMERIC, "C");
}

static void facts(void)
{
    CHECK(strcmp(clouds_version(), CLOUDS_VERSION_EXPECTED) == 0);
    unsigned a, b, c;
    CHECK_INT(sscanf(clouds_version(), "%u.%u.%u", &a, &b, &c), 3);
    CHECK_INT(clouds_version_number(), a * 1000000 + b * 1000 + c);
    CHECK_INT(clouds_has_feature("redis") + clouds_has_feature("local") + clouds_has_feature("inproc") +
                  clouds_has_feature("thread"),
              4);
    CHECK_INT(clouds_has_feature("teleport") + clouds_has_feature(NULL) + clouds_has_feature(""), 0);
}

/* What is asked of links, and cannot be: the error names the option and the address. */
static void links(void)
{
    static const struct {
        const char *url, *listen, *advertise, *key_file, *why;
    } bad[] = {{"redis://127.0.0.1:1", "tcp://0.0.0.0:0", "", "", "tcp://0.0.0.0:0: an address beyond this machine needs a key"},
               {"redis://127.0.0.1:1", "tcp://[::]:0", "", "", "needs a key"},
               {"redis://127.0.0.1:1", "tcp://example.com:7000", "", "", "tcp://example.com:7000: expected an address"},
               {"redis://127.0.0.1:1", "nowhere", "", "", "option 'listen': nowhere: expected"},
               {"redis://127.0.0.1:1", "tcp://127.0.0.1:0", "a b", "", "option 'advertise': a b: expected"},
               {"redis://127.0.0.1:1", "unix", "", "/nowhere/key", "option 'key_file': /nowhere/key: No such file"},
               {"local:", "tcp://127.0.0.1:0", "", "", "has no links over TCP"},
               {"inproc:x", "tcp://127.0.0.1:0", "", "", "inproc:x has no links over TCP"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        clouds_options *options;
        clouds_context *context;
        CHECK_INT(clouds_options_create(&options), 0);
        clouds_options_set_string(options, "url", bad[i].url);
        clouds_options_set_string(options, "listen", bad[i].listen);
        clouds_options_set_string(options, "advertise", bad[i].advertise);
        clouds_options_set_string(options, "key_file", bad[i].key_file);
        CHECK_INT(clouds_context_create(options, &context), CLOUDS_EOPTION);
        if (!CHECK(says(bad[i].why))) printf("# %s\n", clouds_last_error());
        clouds_options_destroy(options);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1) return !digits_differ_from(argv[1]);
    CHECK_INT(clouds_options_create(&set), 0);
    RUN(table);
    RUN(values);
    RUN(refused);
    RUN(at_creation);
    RUN(generated_ids);
    RUN(any_locale);
    RUN(facts);
    RUN(links);
    clouds_options_destroy(set);
    kit_clean();
    return tap_end();
}
