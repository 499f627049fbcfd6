#include "base/siphash.h"
#include "core/internal.h"

/* The id of an attempt on the wire: 64 bits that say which call and which send of it (the token), and 128 bits of a
 * keyed hash of them. So a reply is matched without a table of its own, a late one differs from a forged one, and
 * nobody who does not know the secret of the process can make one up.
 *
 * Towards a linked peer, which alone can answer, the token is enough. It is masked with a secret of this core, so that
 * what was meant for another one (an earlier process with the id of this node) finds no call here.
 *
 * The hash is SipHash-2-4 under two keys. It is made for every call, so here is a form for one word that runs both keys
 * side by side: the processor overlaps them, and two cost hardly more than one. */

enum { TOKEN_DIGITS = 11, HALF_DIGITS = 11, CALL_BITS = 53, SENDS = 2047 };

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

uint64_t cl_token_of(uint64_t call, uint32_t send)
{
    if (send > SENDS) send = (send - 1) % SENDS + 1;
    return call | (uint64_t)send << CALL_BITS;
}

uint64_t cl_token_call(uint64_t token)
{
    return token & (((uint64_t)1 << CALL_BITS) - 1);
}

static inline void both_rounds(cl_sip *x, cl_sip *y, int n)
{
    for (int i = 0; i < n; i++) *x = cl_sip_round(*x), *y = cl_sip_round(*y);
}

static inline void both_words(cl_sip *x, cl_sip *y, uint64_t word)
{
    x->d ^= word, y->d ^= word;
    both_rounds(x, y, 2);
    x->a ^= word, y->a ^= word;
}

static void hash_both(const cl_core *core, uint64_t token, uint64_t out[2])
{
    cl_sip x = cl_sip_start(core->config.secret), y = cl_sip_start(core->second_key);
    both_words(&x, &y, token);
    both_words(&x, &y, (uint64_t)sizeof token << 56);
    x.c ^= 0xff, y.c ^= 0xff;
    both_rounds(&x, &y, 4);
    out[0] = cl_sip_sum(x);
    out[1] = cl_sip_sum(y);
}

/* Eight digits in one go: their values spread over the bytes of a word, and in each what its character differs by. */
static inline uint64_t eight_digits(uint64_t value)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t v = value & 0xffffff, high = value >> 24 & 0xffffff;
    v |= high << 32;
    v = (v & UINT64_C(0x00000fff00000fff)) | (v & UINT64_C(0x00fff00000fff000)) << 4;
    v = (v & UINT64_C(0x003f003f003f003f)) | (v & UINT64_C(0x0fc00fc00fc00fc0)) << 2;
    uint64_t small = (v + ones * (128 - 26)) >> 7 & ones; /* 1 in each byte from 'a' on */
    uint64_t number = (v + ones * (128 - 52)) >> 7 & ones;
    uint64_t dash = (v + ones * (128 - 62)) >> 7 & ones;
    uint64_t line = (v + ones * (128 - 63)) >> 7 & ones;
    return v + ones * 'A' + small * ('a' - 26 - 'A') - number * ('a' - 26 + 52 - '0') - dash * ('0' - 52 + 62 - '-') +
           line * ('_' - 63 + 62 - '-');
}

static inline void write_digits(uint64_t value, char *out)
{
    uint64_t first = eight_digits(value);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    first = __builtin_bswap64(first);
#endif
    memcpy(out, &first, 8);
    value >>= 48;
    for (int i = 8; i < TOKEN_DIGITS; i++, value >>= 6) out[i] = digits[value & 63];
}

void cl_attempt_set_keys(cl_core *core)
{
    uint64_t mask[2];
    core->second_key[0] = core->config.secret[0] ^ 0x5555555555555555u;
    core->second_key[1] = ~core->config.secret[1];
    hash_both(core, 0, mask); /* no call has this token, so no id shows its hash */
    core->link_mask = mask[0];
}

size_t cl_attempt_id(const cl_core *core, uint64_t token, int linked, char out[CL_WIRE_ID])
{
    uint64_t tag[2];
    if (linked) {
        uint64_t masked = token ^ core->link_mask;
        memcpy(out, &masked, CL_LINK_ID);
        return CL_LINK_ID;
    }
    hash_both(core, token, tag);
    write_digits(token, out);
    write_digits(tag[0], out + TOKEN_DIGITS);
    write_digits(tag[1], out + TOKEN_DIGITS + HALF_DIGITS);
    return CL_WIRE_ID;
}

/* The value of a digit + 1; 0: it is none. */
static const unsigned char values[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['-'] = 63, ['_'] = 64,
};

int cl_attempt_token(const cl_core *core, cl_str id, uint64_t *token)
{
    uint64_t value = 0;
    if (id.n == CL_LINK_ID) {
        memcpy(&value, id.p, CL_LINK_ID);
        *token = value ^ core->link_mask;
        return 0;
    }
    if (id.n != CL_WIRE_ID) return -1;
    for (int i = TOKEN_DIGITS - 1; i >= 0; i--) {
        unsigned d = values[(unsigned char)id.p[i]];
        if (d == 0) return -1;
        value = value << 6 | (d - 1);
    }
    *token = value;
    return 0;
}

int cl_attempt_is_ours(const cl_core *core, cl_str id, uint64_t token)
{
    char right[CL_WIRE_ID];
    if (id.n == CL_LINK_ID) return cl_token_call(token) <= core->newest; /* as far as it can tell */
    cl_attempt_id(core, token, 0, right);
    unsigned char differs = 0;
    for (size_t i = 0; i < CL_WIRE_ID; i++) differs |= (unsigned char)(right[i] ^ id.p[i]);
    return !differs;
}
