#include "redis/redis_error.h"

#include <stdio.h>
#include <string.h>

#include "clouds.h"

#define CLUSTER "this Redis is in cluster mode, which clouds does not use: give the address of a Redis without it"
#define PASSWORD "this Redis asks for a password: give it in the address, redis://[user]:password@host"
#define RIGHTS "this Redis user lacks a right that clouds needs: see the ACL of the user"

static const struct meaning {
    const char *head; /* how the error begins */
    int code;
    const char *words;
} meanings[] = {
    {"READONLY", CLOUDS_EREDIS, "this Redis is a replica: give the address of its primary"},
    {"MOVED", CLOUDS_EREDIS, CLUSTER},
    {"ASK ", CLOUDS_EREDIS, CLUSTER},
    {"CROSSSLOT", CLOUDS_EREDIS, CLUSTER},
    {"CLUSTERDOWN", CLOUDS_EREDIS, CLUSTER},
    {"NOAUTH", CLOUDS_EAUTH, PASSWORD},
    {"ERR operation not permitted", CLOUDS_EAUTH, PASSWORD},
    {"WRONGPASS", CLOUDS_EAUTH, "Redis does not accept this user and password: correct them in the address"},
    {"ERR invalid password", CLOUDS_EAUTH, "Redis does not accept this password: correct it in the address"},
    {"NOPERM", CLOUDS_EAUTH, RIGHTS},
    {"DENIED", CLOUDS_EAUTH,
     "this Redis is in protected mode and takes nobody from outside: give it a password, or bind it"},
    {"OOM", CLOUDS_EREDIS, "Redis is full: raise its maxmemory, or let it evict keys"},
    {"LOADING", CLOUDS_EREDIS, "Redis is still loading its data: it is tried again"},
    {"MASTERDOWN", CLOUDS_EREDIS, "this Redis is a replica that lost its primary: give the address of the primary"},
    {"MISCONF", CLOUDS_EREDIS, "Redis takes no writes because it cannot save to disk: see its log"},
    {"ERR max number of clients", CLOUDS_EREDIS, "Redis has no room for a further client: raise its maxclients"},
    {"ERR DB index", CLOUDS_EREDIS, "Redis has no database of this number: correct it in the address"},
};

static int begins(cl_str text, const char *head)
{
    return cl_str_starts(text, cl_str_z(head));
}

/* What Redis said may end on somebody's terminal. */
static void defuse(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 127) *text = '?';
}

int cl_redis_explain(cl_str error, cl_redis_error_text *words)
{
    int clip = error.n < 160 ? (int)error.n : 160;
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++) {
        if (!begins(error, meanings[i].head)) continue;
        snprintf(words->text, sizeof words->text, "%s (%.*s)", meanings[i].words, clip, error.p);
        defuse(words->text);
        return meanings[i].code;
    }
    snprintf(words->text, sizeof words->text, "Redis answered: %.*s", clip, error.p);
    defuse(words->text);
    return CLOUDS_EREDIS;
}

static int has(cl_str text, const char *part)
{
    return memmem(text.p, text.n, part, strlen(part)) != NULL;
}

static void lower(char *out, size_t cap, const char *verb)
{
    size_t n = 0;
    for (; *verb && n + 1 < cap; verb++)
        out[n++] = *verb == ' ' ? '|' : *verb >= 'A' && *verb <= 'Z' ? *verb + 32 : *verb;
    out[n] = '\0';
}

int cl_redis_explain_command(cl_str error, const char *verb, cl_str prefix, cl_redis_error_text *words)
{
    char right[32];
    int clip = error.n < 120 ? (int)error.n : 120, p = prefix.n < 60 ? (int)prefix.n : 60;
    lower(right, sizeof right, verb);
    if (begins(error, "NOPERM") && has(error, "channel"))
        snprintf(words->text, sizeof words->text, "%s: this Redis user lacks a right that clouds needs: &%.*s:* (%.*s)",
                 verb, p, prefix.p, clip, error.p);
    else if (begins(error, "NOPERM") && has(error, " key"))
        snprintf(words->text, sizeof words->text, "%s: this Redis user lacks a right that clouds needs: ~%.*s:* (%.*s)",
                 verb, p, prefix.p, clip, error.p);
    else if (begins(error, "NOPERM"))
        snprintf(words->text, sizeof words->text, "%s: this Redis user lacks a right that clouds needs: +%s (%.*s)",
                 verb, right, clip, error.p);
    else if (begins(error, "ERR unknown command") || begins(error, "ERR Unknown command"))
        snprintf(words->text, sizeof words->text, "%s: this Redis has no such command, which clouds needs (%.*s)", verb,
                 clip, error.p);
    else {
        cl_redis_error_text plain;
        int code = cl_redis_explain(error, &plain);
        snprintf(words->text, sizeof words->text, "%s: %.280s", verb, plain.text);
        return code;
    }
    defuse(words->text);
    return begins(error, "NOPERM") ? CLOUDS_EAUTH : CLOUDS_EREDIS;
}

int cl_redis_needs_no_password(cl_str error)
{
    return begins(error, "ERR AUTH <password> called without any password configured") ||
           begins(error, "ERR Client sent AUTH, but no password is set");
}

int cl_redis_is_refusal(cl_str error)
{
    return begins(error, "NOPERM") || begins(error, "ERR unknown") || begins(error, "ERR Unknown");
}

int cl_redis_is_cluster(cl_str error)
{
    return begins(error, "MOVED") || begins(error, "ASK ") || begins(error, "CROSSSLOT") ||
           begins(error, "CLUSTERDOWN");
}

int cl_redis_is_loading(cl_str error)
{
    return begins(error, "LOADING") || begins(error, "MASTERDOWN");
}

int cl_redis_is_replica(cl_str error)
{
    return begins(error, "READONLY");
}
