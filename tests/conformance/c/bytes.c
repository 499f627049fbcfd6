#include "bytes.h"

#include <stdlib.h>
#include <string.h>

/* ---- out */

typedef struct packing {
    FILE *json, *bytes;
    size_t count;  /* of bytes */
    int has_bytes; /* there are some: what looks like them is escaped */
} packing;

static unsigned digit_of(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* The only name and value of an object; 0: it has more, or none. */
static int only_member(span object, span *name, span *value)
{
    size_t at = 0;
    *name = json_next(object, &at);
    if (!name->p) return 0;
    *value = json_next(object, &at);
    return !json_next(object, &at).p;
}

static void pack(packing *p, span value);

static void pack_bytes(packing *p, span hex)
{
    size_t length = (hex.n - 2) / 2;
    for (size_t i = 0; i < length; i++)
        fputc((int)(digit_of(hex.p[1 + 2 * i]) << 4 | digit_of(hex.p[2 + 2 * i])), p->bytes);
    fprintf(p->json, "{\"$bytes\":[%zu,%zu]}", p->count, length);
    p->count += length;
    p->has_bytes = 1;
}

static void pack_object(packing *p, span object)
{
    span name, value;
    size_t at = 0;
    int is_alone = only_member(object, &name, &value);
    if (is_alone && name.n == 6 && memcmp(name.p, "\"$bin\"", 6) == 0) {
        pack_bytes(p, value);
        return;
    }
    const char *more = is_alone && p->has_bytes && clouds_bytes_mark(name.p + 1, name.n - 2) ? "$" : "";
    fputc('{', p->json);
    for (int i = 0; (name = json_next(object, &at)).p; i++) {
        fprintf(p->json, "%s\"%s%.*s:", i ? "," : "", more, (int)name.n - 1, name.p + 1);
        pack(p, json_next(object, &at));
    }
    fputc('}', p->json);
}

static void pack(packing *p, span value)
{
    size_t at = 0;
    if (*value.p == '{') {
        pack_object(p, value);
    } else if (*value.p == '[') {
        fputc('[', p->json);
        for (int i = 0;; i++) {
            span element = json_next(value, &at);
            if (!element.p) break;
            if (i) fputc(',', p->json);
            pack(p, element);
        }
        fputc(']', p->json);
    } else {
        fwrite(value.p, 1, value.n, p->json);
    }
}

static packed pack_once(span value, int *has_bytes)
{
    packed out = {0};
    packing p = {.json = open_memstream(&out.json, &out.json_len),
                 .bytes = open_memstream(&out.bytes, &out.bytes_len),
                 .has_bytes = *has_bytes};
    pack(&p, value);
    if (p.has_bytes && p.count == 0) fputc(0, p.bytes); /* no piece has it: some are told from none by it */
    fclose(p.json);
    fclose(p.bytes);
    *has_bytes = p.has_bytes;
    return out;
}

packed bytes_pack(span value)
{
    int has_bytes = 0;
    packed out = pack_once(value, &has_bytes);
    if (!has_bytes) return out;
    bytes_drop(&out);
    return pack_once(value, &has_bytes);
}

void bytes_drop(packed *p)
{
    free(p->json);
    free(p->bytes);
}

clouds_payload bytes_payload(const packed *p)
{
    return (clouds_payload){.size = sizeof(clouds_payload),
                            .json = p->json,
                            .json_len = p->json_len,
                            .bytes = p->bytes_len ? p->bytes : NULL,
                            .bytes_len = p->bytes_len};
}

/* ---- in */

static const unsigned char *came;
static size_t came_n;

void bytes_came(const void *bytes, size_t n)
{
    came = bytes;
    came_n = n;
}

static int put_piece(FILE *out, span place)
{
    size_t offset = (size_t)json_number(json_element(place, 0)), length = (size_t)json_number(json_element(place, 1));
    if (*place.p != '[' || !json_element(place, 1).p || offset > came_n || length > came_n - offset) return 0;
    fputs("bytes(", out);
    for (size_t i = offset; i < offset + length; i++) fprintf(out, "%02x", came[i]);
    fputc(')', out);
    return 1;
}

int bytes_put_canonical(FILE *out, span object)
{
    span name, value;
    if (!came_n || !only_member(object, &name, &value)) return 0;
    int marks = clouds_bytes_mark(name.p + 1, name.n - 2);
    if (marks == 1) return put_piece(out, value);
    if (marks < 2) return 0;
    fprintf(out, "{\"%.*s:", (int)name.n - 2, name.p + 2);
    json_put_canonical(out, value);
    fputc('}', out);
    return 1;
}
