#include "base/md5.h"

#include "support/tap.h"

static void check(const char *text, const char *want)
{
    unsigned char digest[16];
    char hex[33];
    cl_md5(text, strlen(text), digest);
    for (int i = 0; i < 16; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    CHECK_STR(hex, 32, want);
}

/* RFC 1321, A.5 */
static void the_vectors_of_the_standard(void)
{
    check("", "d41d8cd98f00b204e9800998ecf8427e");
    check("a", "0cc175b9c0f1b6a831c399e269772661");
    check("abc", "900150983cd24fb0d6963f7d28e17f72");
    check("message digest", "f96b697d7cb7938d525a2f31aaf161d0");
    check("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "d174ab98d277d9f5a5611c2c9f419d9f");
    check("12345678901234567890123456789012345678901234567890123456789012345678901234567890",
          "57edf4a22be3c955ac49da2e2107b67a");
}

int main(void)
{
    RUN(the_vectors_of_the_standard);
    return tap_end();
}
