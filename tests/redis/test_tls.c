/* TLS to Redis, as the bus meets it: who is not trusted, what is no TLS, and what a server that is none does. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "clouds.h"
#include "redis/kit.h"
#include "support/port.h"
#include "support/tap.h"

static test_redis server;
static kit a;
static char folder[] = "/tmp/clouds-test-tls-XXXXXX";
static char cert[80], key[80], stranger[80], port[16];
static int tls_port, node_a;

#define ID_A "s.686c821a.100.0"

/* A certificate that says of itself who it is, and the file of whom to trust at the same time. */
static int make_certificate(const char *name, const char *names, char *cert_file, char *key_file)
{
    char command[600];
    snprintf(cert_file, 80, "%s/%s.pem", folder, name);
    snprintf(key_file, 80, "%s/%s.key", folder, name);
    snprintf(command, sizeof command,
             "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout %s -out %s -subj /CN=%s "
             "-addext subjectAltName=%s -days 2 2>/dev/null",
             key_file, cert_file, name, names);
    return system(command) == 0 ? 0 : -1;
}

static int start(void)
{
    char unused[80];
    if (!mkdtemp(folder) || make_certificate("server", "DNS:localhost,IP:127.0.0.1", cert, key) != 0 ||
        make_certificate("stranger", "DNS:localhost,IP:127.0.0.1", stranger, unused) != 0)
        return -1;
    for (int i = 0; i < 5; i++) {
        tls_port = test_free_port();
        snprintf(port, sizeof port, "%d", tls_port);
        const test_redis_options options = {.extra = {"--tls-port", port, "--tls-cert-file", cert, "--tls-key-file",
                                                      key, "--tls-ca-cert-file", cert, "--tls-auth-clients", "no"}};
        if (test_redis_start(&server, &options) == 0) return 0;
    }
    return -1;
}

static void url_of(char *out, size_t cap, const char *scheme, const char *host, int at, const char *ca_file)
{
    snprintf(out, cap, "%s://:secret@%s:%d%s%s", scheme, host, at, ca_file ? "?ca_file=" : "", ca_file ? ca_file : "");
}

static void it_is_ready_and_registers(const char *host)
{
    char url[300];
    url_of(url, sizeof url, "rediss", host, tls_port, cert);
    REQUIRE(kit_open(&a, url, NULL) == 0);
    CHECK_INT(kit_node(&a, &node_a, ID_A, 2), 0);
    CHECK_INT(kit_register(&a, &node_a, "m"), 0);
    CHECK(strcmp(test_redis_command(&server, "EXISTS clouds:S:m:" ID_A), "1") == 0);
    kit_close(&a, 0);
}

static void by_name_and_by_address(void)
{
    it_is_ready_and_registers("localhost");
    it_is_ready_and_registers("127.0.0.1");
}

/* Who says nothing is waited for so long; else a machine that is slow would be one, too. */
static double patience = 20;

static void refused(const char *scheme, const char *host, int at, const char *ca_file, int code, const char *words)
{
    char url[300];
    cl_limits limits;
    kit_limits(&limits);
    limits.ping_timeout = patience;
    url_of(url, sizeof url, scheme, host, at, ca_file);
    REQUIRE(kit_open(&a, url, &limits) == 0);
    for (int i = 0; i < 2; i++) { /* it goes on trying, and says so each time */
        kit_note *n = kit_take(&a, "state");
        REQUIRE(n != NULL);
        CHECK_INT(n->number, 0);
        CHECK_INT(n->code, code);
        if (!CHECK(strstr(n->text, words) != NULL)) printf("# %s\n", n->text);
        CHECK(strstr(n->text, "secret") == NULL);
    }
    kit_close(&a, 0);
}

static void who_is_not_trusted(void)
{
    test_redis_command(&server, "CONFIG RESETSTAT");
    refused("rediss", "localhost", tls_port, stranger, CLOUDS_EAUTH, "the certificate of localhost is not trusted");
    refused("rediss", "localhost", tls_port, NULL, CLOUDS_EAUTH, "the certificate of localhost is not trusted");
    test_redis_command(&server, "CONFIG SET bind 127.0.0.2");
    refused("rediss", "127.0.0.2", tls_port, cert, CLOUDS_EAUTH, "the certificate is not one of 127.0.0.2");
    test_redis_command(&server, "CONFIG SET bind 127.0.0.1");
    CHECK(strstr(test_redis_command(&server, "INFO commandstats"), "cmdstat_auth") == NULL);
}

static void tls_at_one_end_only(void)
{
    refused("redis", "127.0.0.1", tls_port, NULL, CLOUDS_ELOST, "is it a port of TLS, rediss://?");
    int plain = test_free_port();
    test_redis_command(&server, "CONFIG SET port %d", plain);
    patience = 0.2;
    refused("rediss", "127.0.0.1", plain, cert, CLOUDS_ELOST, "is it a port without TLS, redis://?");
    patience = 20;
}

/* ---- a server that is none: it says this to everybody */

static void refused_who_says(const char *bytes, size_t n, int takes_tls, int code, const char *words)
{
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof where;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    REQUIRE(bind(listener, (struct sockaddr *)&where, size) == 0 && listen(listener, 64) == 0);
    REQUIRE(getsockname(listener, (struct sockaddr *)&where, &size) == 0);
    int at = ntohs(where.sin_port);
    pid_t pid = fork();
    if (pid == 0) {
        for (;;) {
            int fd = accept(listener, NULL, NULL);
            char unread[4096];
            if (recv(fd, unread, sizeof unread, 0) < 0 || send(fd, bytes, n, MSG_NOSIGNAL) < 0) _exit(1);
            shutdown(fd, SHUT_WR);
            while (recv(fd, unread, sizeof unread, 0) > 0) continue;
            close(fd);
        }
    }
    close(listener);
    refused(takes_tls ? "rediss" : "redis", "127.0.0.1", at, takes_tls ? cert : NULL, code, words);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void a_server_that_is_none(void)
{
    static const char alert[] = "\x15\x03\x01\x00\x02\x02\x46", garbage[] = "\x16\x03\x03\x00\x04\x02\x00\x00\xff";
    refused_who_says("-ERR unknown command\r\n", 22, 1, CLOUDS_EPROTO, "does not speak TLS there");
    refused_who_says("HTTP/1.1 400 Bad Request\r\n\r\n", 28, 1, CLOUDS_EPROTO, "does not speak TLS there");
    refused_who_says(alert, sizeof alert - 1, 0, CLOUDS_EPROTO, "it speaks TLS there: rediss://");
    refused_who_says(garbage, sizeof garbage - 1, 1, CLOUDS_ELOST, "closed by the peer");
}

int main(void)
{
    char command[100];
    if (start() != 0) return EXIT_FAILURE;
    RUN(by_name_and_by_address);
    RUN(who_is_not_trusted);
    RUN(tls_at_one_end_only);
    RUN(a_server_that_is_none);
    test_redis_stop(&server);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) == 0 ? tap_end() : EXIT_FAILURE;
}
