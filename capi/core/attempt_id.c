#include "core/internal.h"

#include "base/rand.h"

/* The id of an attempt on the wire: 64 bits that say which call and which send of it (the token), and 128 bits of a keyed
 * hash of them. So a reply is matched without a table of its own, a late one is told from a forged one, and nobody who does
 * not know the secret of the process can make one up. */

enum { TOKEN_DIGITS = 11, HALF_DIGITS = 11, CALL_BITS = 53, SENDS = 2047 };

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

uint64_t cl_token_of(uint64_t call, uint32_t send)
{
    return call | (uint64_t)((send - 1) % SENDS + 1) << CALL_BITS;
}

uint64_t cl_token_call(uint64_t token)
{
    return token & (((uint64_t)1 << CALL_BITS) - 1);
}

static void write_digits(uint64_t value, char *out)
{
    for (int i = 0; i < TOKEN_DIGITS; i++, value >>= 6) out[i] = digits[value & 63];
}

void cl_attempt_id(const cl_core *core, uint64_t token, char out[CL_WIRE_ID])
{
    write_digits(token, out);
    write_digits(cl_siphash(core->config.secret, &token, sizeof token), out + TOKEN_DIGITS);
    write_digits(cl_siphash(core->second_key, &token, sizeof token), out + TOKEN_DIGITS + HALF_DIGITS);
}

static int digit_value(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

int cl_attempt_token(cl_str id, uint64_t *token)
{
    if (id.n != CL_WIRE_ID) return -1;
    uint64_t value = 0;
    for (int i = TOKEN_DIGITS - 1; i >= 0; i--) {
        int d = digit_value(id.p[i]);
        if (d < 0) return -1;
        value = value << 6 | (uint64_t)d;
    }
    *token = value;
    return 0;
}

int cl_attempt_is_ours(const cl_core *core, cl_str id, uint64_t token)
{
    char right[CL_WIRE_ID];
    cl_attempt_id(core, token, right);
    unsigned char differs = 0;
    for (size_t i = 0; i < CL_WIRE_ID; i++) differs |= (unsigned char)(right[i] ^ id.p[i]);
    return !differs;
}
