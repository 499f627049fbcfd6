#include "bytes.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

span span_of(const char *text)
{
    return (span){text, strlen(text)};
}

/* ---- finding: the text is valid, the library and the test's runner see to that */

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && strchr(" \t\r\n,:", *p)) p++;
    return p;
}

static const char *skip_text(const char *p)
{
    for (p++; *p != '"'; p++)
        if (*p == '\\') p++;
    return p + 1;
}

static const char *skip_value(const char *p, const char *end)
{
    if (*p == '"') return skip_text(p);
    int depth = 0;
    while (p < end) {
        if (*p == '"') {
            p = skip_text(p);
            continue;
        }
        if (*p == '[' || *p == '{') depth++;
        if ((*p == ']' || *p == '}') && --depth <= 0) return depth ? p : p + 1;
        if (depth == 0 && strchr(" \t\r\n,:", *p)) return p;
        p++;
    }
    return p;
}

/* Works on objects too: keys and values in turn. */
span json_next(span array, size_t *at)
{
    const char *end = array.p + array.n - 1, *p = skip_space(array.p + (*at ? *at : 1), end);
    if (!array.p || p >= end) return (span){NULL, 0};
    const char *behind = skip_value(p, end);
    *at = (size_t)(behind - array.p);
    return (span){p, (size_t)(behind - p)};
}

span json_member(span object, const char *key)
{
    size_t at = 0, length = strlen(key);
    for (span name; object.p && (name = json_next(object, &at)).p;) {
        span value = json_next(object, &at);
        if (name.n == length + 2 && memcmp(name.p + 1, key, length) == 0) return value;
    }
    return (span){NULL, 0};
}

span json_element(span array, int number)
{
    size_t at = 0;
    span element = json_next(array, &at);
    while (element.p && number-- > 0) element = json_next(array, &at);
    return element;
}

void json_put_rest(FILE *out, span array, int count)
{
    size_t at = 0;
    fputc('[', out);
    for (int i = 0;; i++) {
        span element = json_next(array, &at);
        if (!element.p) break;
        if (i >= count) fprintf(out, "%s%.*s", i > count ? "," : "", (int)element.n, element.p);
    }
    fputc(']', out);
}

static unsigned hex4(const char *p)
{
    char digits[5] = {p[0], p[1], p[2], p[3], 0};
    return (unsigned)strtoul(digits, NULL, 16);
}

static void put_code(FILE *out, unsigned code)
{
    static const unsigned char firsts[] = {0, 0xc0, 0xe0, 0xf0};
    int more = (code >= 0x80) + (code >= 0x800) + (code >= 0x10000);
    fputc((int)(firsts[more] | code >> 6 * more), out);
    while (more-- > 0) fputc((int)(0x80 | (code >> 6 * more & 0x3f)), out);
}

static int unescaped(char c)
{
    static const char names[] = "bfnrt", codes[] = "\b\f\n\r\t";
    const char *name = strchr(names, c);
    return (unsigned char)(name ? codes[name - names] : c);
}

char *json_word(span text)
{
    char *word;
    size_t length;
    FILE *out = open_memstream(&word, &length);
    for (const char *p = text.p + 1, *end = text.p + text.n - 1; p < end;) {
        if (*p != '\\') {
            fputc(*p++, out);
        } else if (p[1] != 'u') {
            fputc(unescaped(p[1]), out);
            p += 2;
        } else {
            unsigned code = hex4(p + 2);
            p += 6;
            if ((code & 0xfc00) == 0xd800 && end - p >= 6 && *p == '\\') {
                code = 0x10000 + ((code & 0x3ff) << 10) + (hex4(p + 2) & 0x3ff);
                p += 6;
            }
            put_code(out, code);
        }
    }
    fclose(out);
    return word;
}

double json_number(span value)
{
    char text[64] = ""; /* what stands behind the span may be digits too */
    if (value.p) snprintf(text, sizeof text, "%.*s", (int)value.n, value.p);
    return strtod(text, NULL);
}

/* ---- canonical text */

static void put_unit(FILE *out, unsigned unit)
{
    if (unit >= 32 && unit < 127 && unit != '"' && unit != '\\') fputc((int)unit, out);
    else fprintf(out, "\\u%04x", unit);
}

static const char *put_escape(FILE *out, const char *p)
{
    if (*p == 'u') {
        put_unit(out, hex4(p + 1));
        return p + 5;
    }
    put_unit(out, (unsigned)unescaped(*p));
    return p + 1;
}

static const char *put_utf8(FILE *out, const char *p)
{
    unsigned first = (unsigned char)*p, more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    unsigned code = more ? first & (0x3fu >> more) : first;
    for (p++; more > 0; more--) code = code << 6 | ((unsigned char)*p++ & 0x3f);
    if (code < 0x10000) {
        put_unit(out, code);
    } else {
        put_unit(out, 0xd800 + ((code - 0x10000) >> 10));
        put_unit(out, 0xdc00 + ((code - 0x10000) & 0x3ff));
    }
    return p;
}

static void put_text(FILE *out, span text)
{
    const char *p = text.p + 1, *end = text.p + text.n - 1;
    fputc('"', out);
    while (p < end) p = *p == '\\' ? put_escape(out, p + 1) : put_utf8(out, p);
    fputc('"', out);
}

static void put_number(FILE *out, double number)
{
    uint64_t bits;
    if (fabs(number) <= 9007199254740992.0 && number == floor(number)) {
        fprintf(out, "%.0f", number == 0 ? 0.0 : number);
        return;
    }
    memcpy(&bits, &number, sizeof bits);
    fprintf(out, "x%016llx", (unsigned long long)bits);
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int is_hidden(span key, const char *const *hidden)
{
    for (; *hidden; hidden++)
        if (key.n == strlen(*hidden) + 2 && memcmp(key.p + 1, *hidden, key.n - 2) == 0) return 1;
    return 0;
}

/* A member as "key":value. The caller frees it. */
static char *member_text(span key, span value)
{
    char *text;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    put_text(out, key);
    fputc(':', out);
    json_put_canonical(out, value);
    fclose(out);
    return text;
}

void json_put_members(FILE *out, span object, const char *const *hidden)
{
    char **members = NULL;
    size_t count = 0, at = 0;
    for (span key; (key = json_next(object, &at)).p;) {
        span value = json_next(object, &at);
        if (is_hidden(key, hidden)) continue;
        members = realloc(members, (count + 1) * sizeof *members);
        members[count++] = member_text(key, value);
    }
    if (count) qsort(members, count, sizeof *members, compare);
    fputc('{', out);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "%s%s", i ? "," : "", members[i]);
        free(members[i]);
    }
    fputc('}', out);
    free(members);
}

void json_put_canonical(FILE *out, span value)
{
    static const char *const nothing[] = {NULL};
    size_t at = 0;
    if (*value.p == '{') {
        if (!bytes_put_canonical(out, value)) json_put_members(out, value, nothing);
    } else if (*value.p == '[') {
        fputc('[', out);
        for (span element; (element = json_next(value, &at)).p;) {
            if (element.p[-1] == ',') fputc(',', out);
            json_put_canonical(out, element);
        }
        fputc(']', out);
    } else if (*value.p == '"') {
        put_text(out, value);
    } else if (*value.p == '-' || (*value.p >= '0' && *value.p <= '9')) {
        put_number(out, json_number(value));
    } else {
        fwrite(value.p, 1, value.n, out);
    }
}

void json_put_text(FILE *out, const char *text, size_t length)
{
    fputc('"', out);
    for (const char *p = text; p < text + length; p++) {
        if ((unsigned char)*p < 32 || *p == '"' || *p == '\\') fprintf(out, "\\u%04x", (unsigned char)*p);
        else fputc(*p, out);
    }
    fputc('"', out);
}
