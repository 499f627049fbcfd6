#include <string.h>

#include "clouds.h"

const char *clouds_version(void)
{
    return CLOUDS_VERSION;
}

uint32_t clouds_version_number(void)
{
    uint32_t parts[3] = {0, 0, 0};
    int at = 0;
    for (const char *p = CLOUDS_VERSION; *p && at < 3; p++) {
        if (*p == '.') at++;
        else parts[at] = parts[at] * 10 + (uint32_t)(*p - '0');
    }
    return parts[0] * 1000000 + parts[1] * 1000 + parts[2];
}

int clouds_has_feature(const char *name)
{
    static const char *const features[] = {"redis", "local", "inproc", "inline", "thread"};
    if (!name) return 0;
    for (size_t i = 0; i < sizeof features / sizeof *features; i++)
        if (strcmp(name, features[i]) == 0) return 1;
    return 0;
}
