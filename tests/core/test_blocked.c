#include "core/internal.h"
#include "fake.h"

/* Calls that wait for room in a queue that all share: which goes when there is some. */

static char *text_of(size_t size)
{
    char *text = malloc(size);
    if (!text) abort();
    memset(text, ' ', size);
    text[0] = '[', text[size - 1] = ']';
    return text;
}

/* Where all share one queue the large ones that wait leave the others half of it. */
static void large_and_small_calls_take_turns(void)
{
    enum { LARGE = 300000, SMALL = 1000, LARGES = 10, SMALLS = 900 };
    fake f = {0};
    fake_start(&f);
    fake_call(&f, "m");
    fake_servers(&f, "m", "s.1");
    char *text = text_of(LARGE);
    f.full = "s.1";
    for (int i = 0; i < LARGES; i++) fake_call_spec(&f, (cl_call_spec){.args = cl_str_of(text, LARGE)});
    text[SMALL - 1] = ']';
    for (int i = 0; i < SMALLS; i++) fake_call_spec(&f, (cl_call_spec){.args = cl_str_of(text, SMALL)});
    f.full = NULL, f.room_most = 4 * SMALL, f.room_hard = 10 * LARGE;
    CHECK_INT(f.n_sent, 1);
    size_t large = 0, small = 0;
    int at = 1, turns = 0;
    for (; f.n_sent < 1 + LARGES + SMALLS && turns < 10000; turns++) {
        f.waits = 0; /* all was written */
        CHECK(cl_core_check_room(f.core) > 0);
        for (; at < f.n_sent; at++) *(f.sent[at].args_n > SMALL ? &large : &small) += f.sent[at].args_n;
        if (small < SMALLS * SMALL) CHECK(large <= small + LARGE);
        if (large < LARGES * (size_t)LARGE) CHECK(small <= large + LARGE + 2 * SMALL);
    }
    CHECK_INT(f.n_sent, 1 + LARGES + SMALLS);
    free(text);
    fake_end(&f);
}

/* A queue that never empties, since there are always small ones, has room for a large one nevertheless. */
static void a_large_call_gets_its_turn(void)
{
    enum { LARGE = 300000, SMALL = 1000 };
    fake f = {0};
    fake_start(&f);
    fake_call(&f, "m");
    fake_servers(&f, "m", "s.1");
    char *text = text_of(LARGE);
    f.room_most = f.room_hard = LARGE + SMALL; /* it needs nearly all of it */
    f.waits = f.room_most + 1;
    uint64_t large = fake_call_spec(&f, (cl_call_spec){.args = cl_str_of(text, LARGE)});
    CHECK_INT(f.n_sent, 1);
    text[SMALL - 1] = ']';
    int turns = 0, at = 1, found = 0;
    for (; !found && turns < 2000; turns++) {
        f.waits -= f.waits < 2 * SMALL ? f.waits : 2 * SMALL; /* fewer bytes than come */
        cl_core_check_room(f.core);
        for (int i = 0; i < 3; i++) fake_call_spec(&f, (cl_call_spec){.args = cl_str_of(text, SMALL)});
        for (; at < f.n_sent; at++) found |= (f.sent[at].token & 0xffffffff) == large;
    }
    CHECK(found);
    CHECK(f.n_sent > 1 + LARGE / SMALL / 2); /* the small ones had their turn, too */
    free(text);
    fake_end(&f);
}

int main(void)
{
    RUN(large_and_small_calls_take_turns);
    RUN(a_large_call_gets_its_turn);
    return tap_end();
}
