#include "proto/url.h"

#include "base/mem.h"
#include "clouds.h"
#include "support/tap.h"

#define CHECK_Z(got, want) CHECK_STR(got, strlen(got), want)

typedef struct row {
    const char *text;
    enum cl_url_kind kind;
    int port, db;
    const char *user, *password, *host, *path, *prefix, *name, *described;
} row;

static const row good[] = {
    {"redis://", CL_URL_REDIS, 6379, 0, "", "", "127.0.0.1", "", "clouds", "", "redis://127.0.0.1:6379/0"},
    {"redis://h", CL_URL_REDIS, 6379, 0, "", "", "h", "", "clouds", "", "redis://h:6379/0"},
    {"redis://h/", CL_URL_REDIS, 6379, 0, "", "", "h", "", "clouds", "", "redis://h:6379/0"},
    {"REDIS://h:1/5", CL_URL_REDIS, 1, 5, "", "", "h", "", "clouds", "", "redis://h:1/5"},
    {"redis://:7000", CL_URL_REDIS, 7000, 0, "", "", "127.0.0.1", "", "clouds", "", "redis://127.0.0.1:7000/0"},
    {"redis:///3", CL_URL_REDIS, 6379, 3, "", "", "127.0.0.1", "", "clouds", "", "redis://127.0.0.1:6379/3"},
    {"redis://u:p@h:65535/0?prefix=a%20b", CL_URL_REDIS, 65535, 0, "u", "p", "h", "", "a b", "",
     "redis://u@h:65535/0?prefix=a b"},
    {"redis://:p%40%3A%2F%3f@h", CL_URL_REDIS, 6379, 0, "", "p@:/?", "h", "", "clouds", "", "redis://h:6379/0"},
    {"redis://u:a@b/c:d@h", CL_URL_REDIS, 6379, 0, "u", "a@b/c:d", "h", "", "clouds", "", "redis://u@h:6379/0"},
    {"redis://u:@h", CL_URL_REDIS, 6379, 0, "u", "", "h", "", "clouds", "", "redis://u@h:6379/0"},
    {"redis://[::1]", CL_URL_REDIS, 6379, 0, "", "", "::1", "", "clouds", "", "redis://[::1]:6379/0"},
    {"redis://[fe80::1%25eth0]:7/1", CL_URL_REDIS, 7, 1, "", "", "fe80::1%eth0", "", "clouds", "",
     "redis://[fe80::1%eth0]:7/1"},
    {"redis://h?prefix=", CL_URL_REDIS, 6379, 0, "", "", "h", "", "clouds", "", "redis://h:6379/0"},
    {"redis://h?prefix=x&db=2", CL_URL_REDIS, 6379, 2, "", "", "h", "", "x", "", "redis://h:6379/2?prefix=x"},
    {"redis://h?prefix=a=b:c/d@e", CL_URL_REDIS, 6379, 0, "", "", "h", "", "a=b:c/d@e", "",
     "redis://h:6379/0?prefix=a=b:c/d@e"},
    {"redis+unix:///run/r.sock", CL_URL_REDIS_UNIX, 0, 0, "", "", "", "/run/r.sock", "clouds", "",
     "redis+unix:///run/r.sock"},
    {"redis+unix:///a%20b?db=3&prefix=q", CL_URL_REDIS_UNIX, 0, 3, "", "", "", "/a b", "q", "",
     "redis+unix:///a b?db=3&prefix=q"},
    {"redis+unix://:secret@/r.sock", CL_URL_REDIS_UNIX, 0, 0, "", "secret", "", "/r.sock", "clouds", "",
     "redis+unix:///r.sock"},
    {"local:", CL_URL_LOCAL, 0, 0, "", "", "", "", "clouds", "", "local:"},
    {"local:a.B_9-", CL_URL_LOCAL, 0, 0, "", "", "", "", "clouds", "a.B_9-", "local:a.B_9-"},
    {"inproc:x", CL_URL_INPROC, 0, 0, "", "", "", "", "clouds", "x", "inproc:x"},
    {"redis+sentinel:///m", CL_URL_REDIS_SENTINEL, 26379, 0, "", "", "127.0.0.1", "", "clouds", "m",
     "redis+sentinel://127.0.0.1:26379/m"},
    {"redis+sentinel://:p%40@a,b:7,[::1]:8/my-master/3?prefix=q", CL_URL_REDIS_SENTINEL, 26379, 3, "", "p@", "a", "",
     "q", "my-master", "redis+sentinel://a:26379,b:7,[::1]:8/my-master/3?prefix=q"},
    {"rediss://", CL_URL_REDIS, 6379, 0, "", "", "127.0.0.1", "", "clouds", "", "rediss://127.0.0.1:6379/0"},
    {"REDISS://u:p@h:1/2?prefix=q&ca_file=/a", CL_URL_REDIS, 1, 2, "u", "p", "h", "", "q", "",
     "rediss://u@h:1/2?prefix=q"},
    {"rediss+sentinel://a,b:7/m/1", CL_URL_REDIS_SENTINEL, 26379, 1, "", "", "a", "", "clouds", "m",
     "rediss+sentinel://a:26379,b:7/m/1"},
    {"etcds://h?ca_file=/a", CL_URL_ETCD, 2379, 0, "", "", "h", "", "clouds", "", "etcds://h:2379"},
    {"etcd://", CL_URL_ETCD, 2379, 0, "", "", "127.0.0.1", "", "clouds", "", "etcd://127.0.0.1:2379"},
    {"etcd://h/", CL_URL_ETCD, 2379, 0, "", "", "h", "", "clouds", "", "etcd://h:2379"},
    {"etcd://:1/a/b/", CL_URL_ETCD, 1, 0, "", "", "127.0.0.1", "", "a/b", "", "etcd://127.0.0.1:1/a/b"},
    {"etcds://u:p%40@h/x%20y", CL_URL_ETCD, 2379, 0, "u", "p@", "h", "", "x y", "", "etcds://u@h:2379/x y"},
    {"ETCD://a,b:7,[::1]:8/p", CL_URL_ETCD, 2379, 0, "", "", "a", "", "p", "", "etcd://a:2379,b:7,[::1]:8/p"},
};

static void a_copy_is_whole(void)
{
    cl_url u, copy;
    REQUIRE(cl_url_parse(CL_STR("redis+sentinel://u:p@a,b:7/m/2?prefix=q"), &u) == 0);
    char password[] = "another", *own = u.password;
    u.password = password; /* as one of an option */
    REQUIRE(cl_url_copy(&u, &copy) == 0);
    u.password = own;
    cl_url_free(&u);
    CHECK(strcmp(copy.user, "u") == 0 && strcmp(copy.password, "another") == 0 && strcmp(copy.name, "m") == 0);
    CHECK(strcmp(copy.prefix, "q") == 0 && copy.db == 2 && strcmp(copy.host, "a") == 0 && *copy.path == '\0');
    CHECK(copy.hosts_n == 2 && strcmp(copy.hosts[1].name, "b") == 0 && copy.hosts[1].port == 7);
    cl_url_free(&copy);
}

static void what_is_said_of_tls_is_read(void)
{
    cl_url u;
    REQUIRE(cl_url_parse(CL_STR("rediss://h/3?cert_file=/c%20d&ca_file=/a&server_name=n&cert_key_file=k&db="), &u) ==
            CLOUDS_EURL);
    REQUIRE(cl_url_parse(CL_STR("rediss://h/3?cert_file=/c%20d&ca_file=/a&server_name=n&cert_key_file=k"), &u) == 0);
    CHECK(u.is_tls && u.db == 3 && !u.tls.takes_any_server);
    CHECK_Z(u.tls.ca_file, "/a");
    CHECK_Z(u.tls.cert_file, "/c d");
    CHECK_Z(u.tls.cert_key_file, "k");
    CHECK_Z(u.tls.server_name, "n");
    const cl_url_tls said = {.ca_file = "/b", .cert_file = "", .takes_any_server = 1};
    cl_url_tls_override(&u.tls, &said);
    CHECK_Z(u.tls.ca_file, "/b");
    CHECK_Z(u.tls.cert_file, "/c d");
    CHECK(u.tls.takes_any_server);
    cl_url_free(&u);
    REQUIRE(cl_url_parse(CL_STR("redis://h"), &u) == 0);
    CHECK(!u.is_tls && !u.tls.ca_file);
    cl_url_free(&u);
}

static void every_host_of_an_etcd_is_read(void)
{
    cl_url u;
    REQUIRE(cl_url_parse(CL_STR("etcds://u:p@a,b:7,[::1]:8,:9/p"), &u) == 0);
    CHECK_INT(u.hosts_n, 4);
    CHECK_Z(u.hosts[0].name, "a");
    CHECK_INT(u.hosts[0].port, 2379);
    CHECK_Z(u.hosts[1].name, "b");
    CHECK_INT(u.hosts[1].port, 7);
    CHECK_Z(u.hosts[2].name, "::1");
    CHECK_Z(u.hosts[3].name, "127.0.0.1");
    CHECK_INT(u.hosts[3].port, 9);
    cl_url_free(&u);
}

static void check_row(const row *r)
{
    cl_url u;
    char described[128];
    int code = cl_url_parse(cl_str_z(r->text), &u);
    if (!CHECK(code == 0)) {
        printf("# %s: %s\n", r->text, clouds_last_error());
        return;
    }
    CHECK(u.kind == r->kind && u.port == r->port && u.db == r->db);
    CHECK_Z(u.user, r->user);
    CHECK_Z(u.password, r->password);
    CHECK_Z(u.host, r->host);
    CHECK_Z(u.path, r->path);
    CHECK_Z(u.prefix, r->prefix);
    CHECK_Z(u.name, r->name);
    cl_url_describe(&u, described, sizeof described);
    CHECK_Z(described, r->described);
    cl_url_free(&u);
    CHECK(u.memory == NULL);
}

static void good_addresses(void)
{
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) check_row(&good[i]);
}

/* What is wrong, and a word that the message must have. */
static const struct {
    const char *text, *word;
} bad[] = {
    {"", "redis://"},
    {"redis", "redis://"},
    {"redis:", "redis://"},
    {"http://h", "redis://"},
    {"127.0.0.1:6379", "redis://"},
    {"rediss+unix:///a", "no TLS over a unix socket"},
    {"redis://h?ca_file=/a", "db=NUMBER"},
    {"rediss://h?ca_file=", "a text after '='"},
    {"rediss://h?ca_file=a&ca_file=b", "once each"},
    {"rediss://h?verify=false", "server_name="},
    {"etcds://h?db=1", "server_name="},
    {"etcd://h?ca_file=a", "no '?'"},
    {"redis+sentinel://h", "/master-name"},
    {"redis+sentinel://h/", "/master-name"},
    {"redis+sentinel://h/a%20b", "a master name of letters"},
    {"redis+sentinel://h/a/x", "a database number"},
    {"redis+sentinel://a,/m", "before and after ','"},
    {"redis+sentinel://h/m?x=1", "db="},
    {"redis+sentinel://p@h/m", "password"},
    {"etcd://a,", "before and after ','"},
    {"etcd://,a", "before and after ','"},
    {"etcd://a,,b", "before and after ','"},
    {"etcd://a:x", "a port from 1 to 65535"},
    {"etcd://a:1,b:0", "a port from 1 to 65535"},
    {"etcd://a//b", "after one '/'"},
    {"etcd://a?prefix=b", "no '?'"},
    {"etcd://user@a", "user:password before '@'"},
    {"etcd://a%2Cb", "letters, digits"},
    {"etcd://a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", "at most 16"},
    {"redis://h:0", "port"},
    {"redis://h:65536", "port"},
    {"redis://h:", "port"},
    {"redis://h:x", "port"},
    {"redis://h:6379x", "port"},
    {"redis://h:99999999999999999999", "port"},
    {"redis://::1", "port"},
    {"redis://h/x", "database"},
    {"redis://h/-1", "database"},
    {"redis://h/1/2", "database"},
    {"redis://h/1?db=2", "once"},
    {"redis://h?prefix=a&prefix=b", "once"},
    {"redis://h?foo=1", "prefix="},
    {"redis://h?prefix", "prefix="},
    {"redis://h?db=", "database"},
    {"redis://secret@h", "password"},
    {"redis://[::1", "]"},
    {"redis://[::1]x", "port"},
    {"redis://[h]", "IPv6"},
    {"redis://a]b", "host"},
    {"redis://h%", "%"},
    {"redis://h%4", "%"},
    {"redis://%zz", "%"},
    {"redis://a%00b", "NUL"},
    {"redis://a b", "space"},
    {"redis://a\nb", "control"},
    {"redis+unix://", "socket"},
    {"redis+unix:///", "socket"},
    {"redis+unix://run/x", "three slashes"},
    {"redis+unix://secret@/x", "password"},
    {"redis+unix:///x?y=1", "db="},
    {"local:a b", "letters"},
    {"local:a/b", "letters"},
    {"local:..", "begin"},
    {"local:.x", "begin"},
    {"local://x", "letters"},
    {"inproc:\xc3\xa9", "letters"},
};

static void bad_addresses(void)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cl_url u = {.port = -7};
        int code = cl_url_parse(cl_str_z(bad[i].text), &u);
        CHECK_INT(code, CLOUDS_EURL);
        CHECK_INT(u.port, -7); /* untouched */
        if (!CHECK(strstr(clouds_last_error(), bad[i].word) != NULL))
            printf("# %s: %s\n", bad[i].text, clouds_last_error());
        CHECK(strstr(clouds_last_error(), "secret") == NULL);
    }
}

static void the_password_is_never_told(void)
{
    static const char *const texts[] = {
        "redis://u:topsecret@h:x",   "redis://u:top secret@h",    "redis://topsecret@h",
        "redis://u:topsecret@[::1",  "redis://u:topsecret%@h",    "redis://u:topsecret/@h/q",
        "redis://u:topsecret@h?x=1", "redis+unix://u:topsecret@", "redi://u:topsecret@h"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        cl_url u;
        CHECK_INT(cl_url_parse(cl_str_z(texts[i]), &u), CLOUDS_EURL);
        CHECK(strstr(clouds_last_error(), "secret") == NULL);
    }
}

static void long_ones(void)
{
    char text[400];
    cl_url u;
    memset(text, 'x', sizeof text);
    memcpy(text, "redis+unix:///", 14);
    CHECK_INT(cl_url_parse(cl_str_of(text, 13 + 107), &u), 0);
    CHECK_INT(strlen(u.path), 107);
    cl_url_free(&u);
    CHECK_INT(cl_url_parse(cl_str_of(text, 13 + 108), &u), CLOUDS_EURL);
    memcpy(text, "inproc:xxxxxxxx", 15);
    CHECK_INT(cl_url_parse(cl_str_of(text, 7 + 64), &u), 0);
    cl_url_free(&u);
    CHECK_INT(cl_url_parse(cl_str_of(text, 7 + 65), &u), CLOUDS_EURL);
    memcpy(text, "redis://xxx", 11);
    CHECK_INT(cl_url_parse(cl_str_of(text, 8 + 255), &u), 0);
    char described[20];
    cl_url_describe(&u, described, sizeof described);
    CHECK_INT(strlen(described), 19);
    CHECK_INT(cl_url_before_colon(CL_STR("local:")).n, 5);
    CHECK_INT(cl_url_before_colon(CL_STR("on inproc:")).n, 9);
    CHECK_INT(cl_url_before_colon(CL_STR("local:name")).n, 10);
    CHECK_INT(cl_url_before_colon(CL_STR("redis://127.0.0.1:6379/0")).n, 24);
    CHECK_INT(cl_url_before_colon(CL_STR("")).n, 0);
    cl_url_free(&u);
    CHECK_INT(cl_url_parse(cl_str_of(text, 8 + 256), &u), CLOUDS_EURL);
    CHECK_INT(cl_url_parse(cl_str_of("redis://a\0b", 11), &u), CLOUDS_EURL);
}

static void *refuse(void *user_data, void *block, size_t size)
{
    if (size == 0) free(block);
    return NULL;
}

static void no_memory_is_an_error(void)
{
    cl_url u = {0};
    cl_mem_hook(refuse, NULL);
    CHECK_INT(cl_url_parse(CL_STR("redis://h"), &u), CLOUDS_ENOMEM);
    cl_mem_hook(NULL, NULL);
    cl_url_free(&u);
}

int main(void)
{
    RUN(good_addresses);
    RUN(what_is_said_of_tls_is_read);
    RUN(every_host_of_an_etcd_is_read);
    RUN(a_copy_is_whole);
    RUN(bad_addresses);
    RUN(the_password_is_never_told);
    RUN(long_ones);
    RUN(no_memory_is_an_error);
    return tap_end();
}
