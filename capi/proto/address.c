#include "proto/address.h"

#include <stdio.h>
#include <string.h>

static const char anywhere[] = "tcp:*:";

void cl_address_join(const cl_address *list, size_t n, cl_address *out)
{
    size_t at = 0;
    out->text[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        size_t length = strlen(list[i].text);
        if (at + length + 2 > sizeof out->text) return;
        at += (size_t)snprintf(out->text + at, sizeof out->text - at, "%s%s", at ? " " : "", list[i].text);
    }
}

int cl_address_complete(const cl_address *address, const char *own, cl_address *out)
{
    *out = *address;
    if (strncmp(address->text, anywhere, sizeof anywhere - 1) != 0) return 1;
    if (!own) return 0;
    const char *port = address->text + sizeof anywhere - 1;
    snprintf(out->text, sizeof out->text, strchr(own, ':') ? "tcp:[%.64s]:%.8s" : "tcp:%.64s:%.8s", own, port);
    return 1;
}
