/* clouds_last_error_json, and the same words in a room of the caller's. */
#include "api/last_error.h"

#include <string.h>

#include "api/record.h"
#include "proto/error_object.h"

/* Text of 511 bytes and four names of 160, each byte of which may become six. */
enum { ROOM = 8192 };

static _Thread_local char object[ROOM];

/* Making the object allocates. A hook that allocates may be a program's that calls the library, which it must not: it
 * is refused with words, and those of a refusal in there are left out, or they would be made without end. */
static _Thread_local int making;

static const char *make_object(void)
{
    static const char no_memory[] = "{\"message\":\"out of memory\",\"code\":\"CLOUDS_OUT_OF_MEMORY\"}";
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

const char *clouds_last_error_json(void)
{
    if (cl_error_serial() == 0 || making) return "";
    making = 1;
    const char *made = make_object();
    making = 0;
    return made;
}

static void write_error(char *room, size_t size)
{
    if (!room || size == 0) return;
    const char *words = clouds_last_error_json();
    size_t n = strlen(words);
    if (n < size) memcpy(room, words, n + 1);
    else room[0] = '\0';
}

/* A record of the first version has both members; one that is refused for its size is not read. */
#define HAS_ROOM(record, o) ((o) && cl_record_fits(CL_RECORD_##record, (o)->size))

int cl_report_call_error(const clouds_call_options *o, int code)
{
    if (code < 0 && HAS_ROOM(clouds_call_options, o)) write_error(o->error, o->error_size);
    return code;
}

int cl_report_operation_error(const clouds_operation_options *o, int code)
{
    if (code < 0 && HAS_ROOM(clouds_operation_options, o)) write_error(o->error, o->error_size);
    return code;
}
