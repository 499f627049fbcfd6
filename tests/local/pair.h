/* Local buses in the folder of the test, alone and in pairs. */
#ifndef LOCAL_PAIR_H
#define LOCAL_PAIR_H

#include "local/folder.h"
#include "local/side.h"

#define START(s) CHECK_INT(side_start(s, CL_URL_LOCAL, "t", NULL), 0)

/* A bus tells news of the methods that somebody asked for. */
static inline void ask(side *s, cl_str method)
{
    int before = s->lists;
    s->bus->ops->lookup(s->bus, method, 0);
    UNTIL(s, s->lists > before);
}

/* What most tests begin with: two buses with a node each. */
static inline void start_both(side *a, void *node_a, const char *id_a, side *b, void *node_b, const char *id_b)
{
    START(a);
    START(b);
    UNTIL2(a, b, a->ups == 1 && b->ups == 1);
    side_node(a, node_a, id_a);
    side_node(b, node_b, id_b);
}

static inline void end_both(side *a, side *b)
{
    side_end(a);
    side_end(b);
}

#endif
