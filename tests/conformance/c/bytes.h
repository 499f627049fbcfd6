/* Bytes of the drivers in C: what a command has stand for them, {"$bin": hex}, as it is sent; and what came, as text.
 */
#ifndef CONFORMANCE_BYTES_H
#define CONFORMANCE_BYTES_H

#include <clouds.h>

#include "json.h"

/* A value and its bytes; the caller frees all by bytes_drop. */
typedef struct packed {
    char *json, *bytes;
    size_t json_len, bytes_len;
} packed;

packed bytes_pack(span value);
void bytes_drop(packed *p);
clouds_payload bytes_payload(const packed *p);

/* The bytes that came with what is written as canonical text from now on; none: NULL and 0. */
void bytes_came(const void *bytes, size_t n);
/* Writes the object if it stands for bytes, or was escaped. */
int bytes_put_canonical(FILE *out, span object);

#endif
