#include <string.h>

#include "clouds.h"

const char *clouds_version(void)
{
    return CLOUDS_VERSION;
}

uint32_t clouds_version_number(void)
{
    return CLOUDS_VERSION_NUMBER;
}

int clouds_has_feature(const char *name)
{
    static const char *const features[] = {"redis", "local", "inproc", "inline", "thread"};
    if (!name) return 0;
    for (size_t i = 0; i < sizeof features / sizeof *features; i++)
        if (strcmp(name, features[i]) == 0) return 1;
    return 0;
}
