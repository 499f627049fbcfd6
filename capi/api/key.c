#include "base/error.h"
#include "clouds.h"
#include "net/keys.h"

int clouds_key_create(const char *file)
{
    if (!file || !*file) return cl_error(CLOUDS_EINVAL, "clouds_key_create: file is NULL or empty");
    return cl_key_create(file);
}
