/* What both drivers in C share: commands on standard input, answers on standard output, and the loop over both worlds.
 */
#ifndef CONFORMANCE_LINES_H
#define CONFORMANCE_LINES_H

#include <clouds.h>

#include "json.h"

/* Ends the program with words on standard error when a function of the library failed. */
void check(int result, const char *what);

/* A context at CLOUDS_URL whose I/O is done as `mode` says, and a node on it. Seconds of 0: the default. */
clouds_context *open_context(const char *mode);
clouds_node *open_node(clouds_context *context, const char *type, double timeout, double heartbeat);

/* Begins the answer to command `n`: write members, each with a comma before it, and end it. */
FILE *answer_begin(double n);
void answer_end(void);
void say_ready(clouds_node *node);

/* The commands that both sides know; 0 when `what` is none of them. */
int common_command(clouds_node *node, const char *what, span line);
void heard(const clouds_event *event);

/* What was heard from `id`, a node or the key of a subscription. */
void heard_of(const char *id, size_t length, span value);

/* channels.c: the commands for channels, as common_command; and their events. */
int channel_command(clouds_node *node, const char *what, span line);
void channel_event(const clouds_event *event);
void channels_forget(void);

/* Waits for input and events, `pause()` seconds at most (< 0: for ever), until the input ends. */
typedef struct driver {
    void (*command)(const char *what, span line);
    void (*event)(const clouds_event *event);
    double (*pause)(void);
} driver;
void run(clouds_context *context, const driver *d);

/* Closes everything in order and frees it. */
void close_context(clouds_context *context);

#endif
