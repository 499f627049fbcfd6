/* Is it a Redis without TLS that does not answer us? It takes the beginning of TLS for a command whose end is to come,
 * and says nothing. So it is asked once more, on a connection of its own and in clear; of ourselves nothing is said
 * there. */
#ifndef CL_REDIS_CLEAR_H
#define CL_REDIS_CLEAR_H

#include "net/conn.h"

typedef struct cl_redis_clear cl_redis_clear;

/* `answered` follows if it is such; *place is the question while it is under way, else NULL. 0 or an error. */
int cl_redis_clear_ask(cl_loop *loop, const char *host, int port, double timeout, void (*answered)(void *self),
                       void *self, cl_redis_clear **place);
/* Nobody waits for it any more; NULL is fine. */
void cl_redis_clear_end(cl_redis_clear *question);

#endif
