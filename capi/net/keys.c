#include "net/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hex.h"
#include "base/mem.h"
#include "base/rand.h"
#include "net/openssl.h"

enum { LINE = 2 * CL_KEY_BYTES, FILE_BYTES = 16 * 1024 };

static int refuse(const char *path, const char *why)
{
    return cl_error(CLOUDS_EOPTION, "option 'key_file': %.100s: %s", path, why);
}

static void name_key(const cl_openssl *ssl, cl_key *key)
{
    unsigned char digest[32];
    ssl->SHA256(key->bytes, sizeof key->bytes, digest);
    snprintf(key->name, sizeof key->name, "%02x%02x%02x%02x", digest[0], digest[1], digest[2], digest[3]);
}

static int read_key(const char *line, size_t n, cl_key *out)
{
    if (n != LINE) return -1;
    for (size_t i = 0; i < CL_KEY_BYTES; i++) {
        int high = cl_hex_value(line[2 * i]), low = cl_hex_value(line[2 * i + 1]);
        if (high < 0 || low < 0) return -1;
        out->bytes[i] = (unsigned char)(high * 16 + low);
    }
    return 0;
}

static int read_lines(const char *path, const char *text, cl_key_ring *ring, const cl_openssl *ssl)
{
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, "\r\n");
        if (n && *p != '#') {
            if (ring->n == CL_KEYS) return refuse(path, "expected no more than 16 keys");
            if (read_key(p, n, &ring->keys[ring->n]) != 0) return refuse(path, "expected 64 hex digits in each line");
            name_key(ssl, &ring->keys[ring->n++]);
        }
        p += n;
        p += strspn(p, "\r\n");
    }
    return ring->n ? 0 : refuse(path, "there is no key in it");
}

/* The file is opened before it is looked at, so that it is the same one. */
static int read_file(const char *path, char *text)
{
    struct stat s;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return refuse(path, strerror(errno));
    int code = 0;
    if (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode)) code = refuse(path, "it is no file");
    else if (s.st_uid != geteuid() && s.st_uid != 0) code = refuse(path, "it belongs to another user");
    else if (s.st_mode & 077) code = refuse(path, "others than its owner may read or change it (chmod 600)");
    else if (s.st_size >= FILE_BYTES) code = refuse(path, "it is too long for a file of keys");
    ssize_t n = code == 0 ? read(fd, text, FILE_BYTES - 1) : 0;
    if (n < 0) code = refuse(path, strerror(errno));
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    if (code == 0 && strlen(text) != (size_t)n) code = refuse(path, "expected text");
    return code;
}

int cl_key_ring_read(const char *path, cl_key_ring **out)
{
    const cl_openssl *ssl = cl_openssl_get();
    if (!ssl) return CLOUDS_ENOTSUP;
    cl_key_ring *ring = cl_calloc(1, sizeof *ring);
    char *text = cl_malloc(FILE_BYTES);
    int code = ring && text ? read_file(path, text) : cl_error(CLOUDS_ENOMEM, NULL);
    if (code == 0) code = read_lines(path, text, ring, ssl);
    if (text) explicit_bzero(text, FILE_BYTES);
    cl_free(text);
    if (code == 0) *out = ring;
    else cl_key_ring_free(ring);
    return code;
}

void cl_key_ring_free(cl_key_ring *ring)
{
    if (ring) explicit_bzero(ring, sizeof *ring);
    cl_free(ring);
}

const cl_key *cl_key_find(const cl_key_ring *ring, const char *name, size_t n)
{
    for (size_t i = 0; i < ring->n; i++)
        if (n == CL_KEY_NAME && memcmp(ring->keys[i].name, name, n) == 0) return &ring->keys[i];
    return NULL;
}

int cl_key_create(const char *path)
{
    unsigned char bytes[CL_KEY_BYTES];
    char line[LINE + 2];
    if (cl_random_bytes(bytes, sizeof bytes) != 0) return cl_error(CLOUDS_ESYSTEM, "no random bytes");
    for (size_t i = 0; i < CL_KEY_BYTES; i++) snprintf(line + 2 * i, 3, "%02x", bytes[i]);
    line[LINE] = '\n';
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int code = 0;
    if (fd < 0) code = cl_error(errno == EEXIST ? CLOUDS_EEXIST : CLOUDS_ESYSTEM, "%.200s: %s", path, strerror(errno));
    else if (write(fd, line, LINE + 1) != LINE + 1)
        code = cl_error(CLOUDS_ESYSTEM, "%.200s: %s", path, strerror(errno));
    if (fd >= 0 && close(fd) != 0 && code == 0) code = cl_error(CLOUDS_ESYSTEM, "%.200s: %s", path, strerror(errno));
    explicit_bzero(bytes, sizeof bytes);
    explicit_bzero(line, sizeof line);
    return code;
}
