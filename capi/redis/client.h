/* A client of one Redis: a connection for commands and one that subscribes, and what is known of the server. Below bus:
 * it has no node and no envelope. */
#ifndef CL_REDIS_CLIENT_H
#define CL_REDIS_CLIENT_H

#include "proto/url.h"
#include "redis/redis_error.h"
#include "redis/session.h"

enum { CL_REDIS_REFUSALS = 12 };

typedef struct cl_redis_user {
    void *self;
    void (*ready)(void *self); /* the other's connection */
    void (*down)(void *self);
    void (*announcement)(void *self, cl_str payload); /* on the channel of announcements; for the directory */
    void (*subscriber)(void *self, cl_str payload);   /* on the channel `subscribers`; for the directory */
} cl_redis_user;

typedef struct cl_redis_client {
    cl_loop *loop;
    cl_limits limits;
    cl_redis_address address;
    char *memory; /* of the address */
    cl_str prefix, announce_channel;
    cl_str news_marker; /* a channel of who listens to that of each method */
    cl_str method_news; /* what those begin with */
    cl_str subscribers; /* the channel of who has subscribed to a pattern or in a group, or has not any more */
    cl_str topics;      /* what the channels of topics begin with */
    char display_url[256];
    cl_session *commands, *subscriber;
    /* Who uses it: the directory, which has the commands, and pubsub, which has the subscriber. Each gets
     * the events of the other's connection. */
    cl_redis_user directory, pubsub;
    struct cl_redis_refusal {
        char verb[16], head[12]; /* a command that is refused, and how the refusal begins */
    } refusals[CL_REDIS_REFUSALS];
    size_t refusals_len;
} cl_redis_client;

/* Copies what the address says; the url may go. The error says why. */
int cl_redis_client_init(cl_redis_client *client, cl_loop *loop, const cl_url *url, const cl_limits *limits);
void cl_redis_client_free(cl_redis_client *client);

/* Both connections are made anew: this Redis is not, or not any more, the one to talk to. */
void cl_redis_client_reconnect(cl_redis_client *client, int code, const char *words);
/* Both connections are ready, and lead to the same server. When they lead to two, what is published on one would not be
 * received on the other: both are made anew. */
int cl_redis_client_is_ready(cl_redis_client *client);

/* The reply to SUBSCRIBE or UNSUBSCRIBE (`verb` in small letters). 1: it is confirmed; 0: an error of Redis, in words;
 * -1: the connection is cut. A missing right is the node's end; every other error cuts, so that it is tried again. */
int cl_redis_client_is_confirmed(cl_redis_client *client, const cl_reply *reply, const char *verb, int *code,
                                 cl_redis_error_text *words);

/* Sends a command; a failure is not reported, since the loss of the connection that follows is. */
int cl_redis_client_send(cl_redis_client *client, const cl_redis_handler *handler, const void *ref, size_t argc,
                         const cl_str *argv);
/* The same for one whose answer nobody waits for; a refusal is logged once. argv[0] is a literal. */
int cl_redis_client_send_unawaited(cl_redis_client *client, size_t argc, const cl_str *argv);

/* The hook `accepted` of the commands. */
void cl_redis_client_accepted(cl_redis_client *client, const char *verb);
/* Redis refuses a command: logged once, until it accepts that again. */
void cl_redis_client_log_once(cl_redis_client *client, const char *verb, cl_str error);
/* The same; a value of the wrong kind is named with its key. */
void cl_redis_client_log_key_once(cl_redis_client *client, const char *verb, cl_str key, cl_str error);
/* Leaves the words as the last error of this thread. The code. */
int cl_redis_client_error(cl_redis_client *client, const char *verb, cl_str error);
/* The reply is an error of Redis, or not of the type: then it is dealt with, and the result is not 0. */
int cl_redis_client_is_bad(cl_redis_client *client, const cl_reply *reply, int type, const char *verb);

#endif
