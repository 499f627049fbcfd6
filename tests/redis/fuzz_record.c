/* Fuzz target: the record of a node, which anybody who may write keys can put there, and the texts that say where to
 * listen. Whatever a record is, what comes out of it is a list of whole addresses, or nothing. */
#include "directory/redis/internal.h"
#include "fuzz/fuzz.h"
#include "proto/direct.h"

static void is_list(const cl_address *at)
{
    size_t n = strnlen(at->text, sizeof at->text);
    HOLDS(n < sizeof at->text);
    HOLDS(n == 0 || at->text[0] != ' ' || n > 1);
}

static void read_hosts(const char *text, size_t n)
{
    char host[48];
    int port;
    cl_direct direct = {0};
    if (cl_host_port(cl_str_of(text, n), 0, host, sizeof host, &port) == 0) {
        HOLDS(port >= 1 && port <= 65535);
        HOLDS(host[0] && strlen(host) < sizeof host);
    }
    if (cl_direct_parse(text, &direct) != 0) return;
    HOLDS(!direct.tcp || (direct.first <= direct.last && direct.last <= 65535));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cl_address at, whole;
    char text[512];
    size_t n = size < sizeof text ? size : sizeof text - 1;
    cl_redis_record_address(cl_str_of((const char *)data, size), &at);
    is_list(&at);
    if (cl_address_complete(&at, "fd00::5", &whole)) is_list(&whole);
    if (n) memcpy(text, data, n);
    text[n] = '\0';
    read_hosts(text, strlen(text));
    return 0;
}
