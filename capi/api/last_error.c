/* clouds_last_error_json. */
#include <string.h>

#include "proto/error_object.h"

/* Text of 511 bytes and four names of 160, each byte of which may become six. */
enum { ROOM = 8192 };

static _Thread_local char object[ROOM];

const char *clouds_last_error_json(void)
{
    static const char no_memory[] = "{\"message\":\"out of memory\",\"code\":\"CLOUDS_OUT_OF_MEMORY\"}";
    if (cl_error_serial() == 0) return "";
    cl_buf out = {0};
    cl_facts facts = cl_error_facts();
    int failed = cl_error_object(&out, cl_error_code(), cl_str_z(clouds_last_error()), &facts);
    if (failed || out.len >= ROOM) {
        cl_buf_free(&out);
        return no_memory;
    }
    memcpy(object, out.data, out.len);
    object[out.len] = '\0';
    cl_buf_free(&out);
    return object;
}
