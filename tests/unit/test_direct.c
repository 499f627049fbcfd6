/* Where links listen and what others are told: the texts of options and records. */
#include "proto/direct.h"

#include <stdio.h>

#include "clouds.h"
#include "proto/address.h"
#include "support/tap.h"

static void listening(void)
{
    static const struct {
        const char *text;
        int unix_socket, tcp, first, last;
        const char *host;
    } good[] = {{"none", 0, 0, 0, 0, ""},
                {"unix", 1, 0, 0, 0, ""},
                {"tcp://127.0.0.1:0", 0, 1, 0, 0, "127.0.0.1"},
                {"tcp://localhost:7000", 0, 1, 7000, 7000, "127.0.0.1"},
                {"tcp://0.0.0.0:7000-7099", 0, 1, 7000, 7099, "0.0.0.0"},
                {"unix,tcp://[::]:7000", 1, 1, 7000, 7000, "::"},
                {"tcp://[fd00::5]:1-65535, unix", 1, 1, 1, 65535, "fd00::5"}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        cl_direct d = {0};
        CHECK_INT(cl_direct_parse(good[i].text, &d), 0);
        CHECK(d.unix_socket == good[i].unix_socket && d.tcp == good[i].tcp && d.first == good[i].first &&
              d.last == good[i].last && strcmp(d.host, good[i].host) == 0);
    }
}

static void what_is_no_place_to_listen_at(void)
{
    static const char *const bad[] = {"",
                                      "tcp",
                                      "unix,",
                                      ",unix",
                                      "tcp://",
                                      "tcp://127.0.0.1",
                                      "tcp://:7000",
                                      "tcp://127.0.0.1:",
                                      "tcp://127.0.0.1:x",
                                      "tcp://127.0.0.1:65536",
                                      "tcp://127.0.0.1:7000-",
                                      "tcp://127.0.0.1:7000-6999",
                                      "tcp://127.0.0.1:0-5",
                                      "tcp://127.0.0.1:7000-70000",
                                      "tcp://::1:7000",
                                      "tcp://[::1:7000",
                                      "tcp://example.com:7000",
                                      "tcp://256.0.0.1:7000",
                                      "udp://127.0.0.1:7000",
                                      "tcp://127.0.0.1:1,tcp://127.0.0.1:2",
                                      "tcp://127.0.0.1:7000 "};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cl_direct d = {0};
        if (!CHECK(cl_direct_parse(bad[i], &d) == CLOUDS_EOPTION)) printf("# %s\n", bad[i]);
        CHECK(strstr(clouds_last_error(), "option 'listen'") != NULL);
    }
}

static void hosts_and_ports(void)
{
    static const struct {
        const char *text, *host;
        int standard, port; /* 0: refused */
    } rows[] = {{"10.0.0.5:7012", "10.0.0.5", 0, 7012},
                {"[fd00::5]:7012", "fd00::5", 0, 7012},
                {"name.example:1", "name.example", 0, 1},
                {"fd00::5", "fd00::5", 7000, 7000},
                {"name", "name", 7000, 7000},
                {"name:8000", "name", 7000, 8000},
                {"[fd00::5]", "fd00::5", 7000, 7000},
                {"name", "", 0, 0},
                {":7012", "", 0, 0},
                {"name:", "", 0, 0},
                {"name:0", "", 0, 0},
                {"name:65536", "", 0, 0},
                {"na me:1", "", 0, 0},
                {"[fd00::5:1", "", 0, 0},
                {"", "", 7000, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char host[64] = "";
        int port = 0;
        int code = cl_host_port(cl_str_z(rows[i].text), rows[i].standard, host, sizeof host, &port);
        if (!CHECK((code == 0) == (rows[i].port != 0))) printf("# %s\n", rows[i].text);
        if (code == 0) CHECK(port == rows[i].port && strcmp(host, rows[i].host) == 0);
    }
    char small[4];
    int port;
    CHECK_INT(cl_host_port(CL_STR("name:1"), 0, small, sizeof small, &port), -1);
}

static void loopback(void)
{
    static const char *const here[] = {"127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "localhost"};
    static const char *const beyond[] = {"0.0.0.0", "::", "10.0.0.1", "fd00::5", "::ffff:10.0.0.1", "example.com", ""};
    for (size_t i = 0; i < sizeof here / sizeof *here; i++) CHECK(cl_is_loopback(here[i]));
    for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++) CHECK(!cl_is_loopback(beyond[i]));
}

static void addresses(void)
{
    cl_address list[3] = {{"link:0123456789abcdef"}, {"tcp:*:7012"}, {"unix:1:2:/x"}}, out;
    cl_address_join(list, 3, &out);
    CHECK_STR(out.text, strlen(out.text), "link:0123456789abcdef tcp:*:7012 unix:1:2:/x");
    cl_address_join(list, 0, &out);
    CHECK_STR(out.text, strlen(out.text), "");
    CHECK_INT(cl_address_complete(&list[1], NULL, &out), 0);
    CHECK_INT(cl_address_complete(&list[1], "10.0.0.5", &out), 1);
    CHECK_STR(out.text, strlen(out.text), "tcp:10.0.0.5:7012");
    CHECK_INT(cl_address_complete(&list[1], "fd00::5", &out), 1);
    CHECK_STR(out.text, strlen(out.text), "tcp:[fd00::5]:7012");
    CHECK_INT(cl_address_complete(&list[0], NULL, &out), 1);
    CHECK_STR(out.text, strlen(out.text), list[0].text);
    memset(list[2].text, 'x', sizeof list[2].text - 1);
    list[2].text[sizeof list[2].text - 1] = '\0';
    cl_address_join(list, 3, &out); /* there is no room for the last */
    CHECK_STR(out.text, strlen(out.text), "link:0123456789abcdef tcp:*:7012");
}

int main(void)
{
    RUN(listening);
    RUN(what_is_no_place_to_listen_at);
    RUN(hosts_and_ports);
    RUN(loopback);
    RUN(addresses);
    return tap_end();
}
