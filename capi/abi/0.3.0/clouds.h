/* clouds.h - services and calls over processes and machines, by name.
 *
 * This file is the authoritative description of libclouds. It is plain C99,
 * loads in C++, and after the preprocessor in LuaJIT's ffi.cdef and pycparser.
 *
 * Conventions, valid for every function unless its comment differs
 *
 *   Result     0 (or a count) on success, a negative CLOUDS_E* on failure. After a failure clouds_last_error() of the
 *              same thread has the words. Out parameters come last and are untouched on failure.
 *   Text       Pointer and length, UTF-8, no terminating NUL needed. Values are JSON text.
 *   Errors     The `error` of an event that failed is a JSON object with "message", "code" (the name, as in the table
 *              below) and, where they exist, "method", "server", "node", "cluster", "size" and "limit"; what a service
 *              answered itself (CLOUDS_EAPP) is passed on as it is. Other members may come: ignore them.
 *              `Errors:` lists what a function can give. Every function that takes a context or a node can also give
 *              CLOUDS_EBUSY (from inside a hook), CLOUDS_EFORK (see below) and, in inline mode, CLOUDS_ETHREAD.
 *   Ownership  What you pass in is borrowed for the time of the call, and copied if it is kept. What an event points to
 *              lives until the next poll on that context, or lies in memory of yours (clouds_poll_into, clouds_wait_into,
 *              clouds_wait_any_into). Handles have a named destructor that takes NULL.
 *   Time       Seconds, as double. A negative timeout of clouds_poll and clouds_wait means "for ever"; all others are at
 *              most CLOUDS_LONGEST_SECONDS.
 *   Ids        A call, a request, a question and an operation are uint64_t, never 0, below 2^53 and never reused in the
 *              life of a context. A stale id is CLOUDS_ESTALE, never a crash.
 *   Records    Structs that grow, at their end only. Every member has the same offset on all machines of one word size, and
 *              there is no padding. What a record has beyond what you know is left alone, or zero.
 *   Threads    In thread mode every function may be called from every thread at any time (polling: by one thread at a
 *              time, a second gets CLOUDS_ETHREAD). In inline mode a context and its nodes are used by one thread at a
 *              time, not always the same; a second that comes meanwhile gets CLOUDS_ETHREAD, and nothing is done.
 *              "Thread: by mode." is this rule; "Thread: any." is every thread at any time, in both modes.
 *   Callbacks  There are none, but for the log and allocator hooks. A hook may not call back into the library (it gets
 *              CLOUDS_EBUSY); everything else reaches you as an event.
 *   Signals    No signal ends clouds_poll or clouds_wait, whatever its handler returns. A handler may call clouds_wakeup, and
 *              nothing else of the library. So a thread that must look for signals, or end with its program, waits in
 *              slices, or polls and is woken.
 *   Fork       After fork() the child may only destroy what it inherited; all else is CLOUDS_EFORK.
 */
#ifndef CLOUDS_H
#define CLOUDS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(CLOUDS_BUILD)
#define CLOUDS_API __attribute__((visibility("default")))
#else
#define CLOUDS_API
#endif

/* ---- Versions -------------------------------------------------------------------------------------------------- */

/* The version of this header, as text and as one number, major * 1000000 + minor * 1000 + patch. */
#define CLOUDS_VERSION "0.3.0"
#define CLOUDS_VERSION_NUMBER 3000

/* The version of the library that is running, for example "0.2.0". Static. Thread: any. Since 0.1. */
CLOUDS_API const char *clouds_version(void);

/* The same as one number, as CLOUDS_VERSION_NUMBER. Thread: any. Since 0.1. */
CLOUDS_API uint32_t clouds_version_number(void);

/* One member of one public record. All text is static. */
typedef struct clouds_layout_info {
    uint32_t size;        /* set by the caller: sizeof(clouds_layout_info) */
    uint32_t record_size; /* the size of the whole record */
    uint32_t offset;      /* where the member begins in it */
    uint32_t length;      /* the size of the member */
    const char *record;   /* "clouds_event", ... */
    const char *member;   /* its name */
    const char *kind;     /* "uint32", "int32", "uint64", "int64", "double", "size" (size_t), "text" (const char *),
                             "bytes" (const void *), "room" (char *), "pointer" (void *) or "handle" (a pointer to an
                             opaque type) */
} clouds_layout_info;

/* Describes member number `index`, from 0, of all public records in `out`, as the library was built with them: for a
 * binding that checks its own declarations. The members of a record follow each other, in their order. Later versions
 * have more, at the end of a record. Errors: CLOUDS_EINVAL (past the last, or the size is wrong). Thread: any.
 * Since 0.2. */
CLOUDS_API int clouds_layout(uint32_t index, clouds_layout_info *out);

/* 1 when this library has the feature called `name` ("redis", "local", "inproc", "thread", ...), else 0; NULL is 0.
 * Errors: none. Thread: any. Since 0.1. */
CLOUDS_API int clouds_has_feature(const char *name);

/* ---- Errors and outcomes --------------------------------------------------------------------------------------- */

/* How an operation ended. Every error code belongs to exactly one of these. */
enum clouds_outcome {
    CLOUDS_OUTCOME_OK = 0,        /* it worked */
    CLOUDS_OUTCOME_APP_ERROR = 1, /* the service ran and answered with an error of its own */
    CLOUDS_OUTCOME_NOT_DONE = 2,  /* guaranteed not executed: safe to repeat */
    CLOUDS_OUTCOME_UNKNOWN = 3    /* it left this process and no answer came: it may have been executed */
};

/* Every error: symbol, number, outcome, name on the wire and in every language, text. */
#define CLOUDS_ERRORS(X) \
    X(CLOUDS_EINVAL, -1, CLOUDS_OUTCOME_NOT_DONE, "CLOUDS_INVALID_ARGUMENT", "invalid argument") \
    X(CLOUDS_ENOMEM, -2, CLOUDS_OUTCOME_NOT_DONE, "CLOUDS_OUT_OF_MEMORY", "out of memory") \
    X(CLOUDS_ECLOSED, -3, CLOUDS_OUTCOME_NOT_DONE, "CLOUDS_CLOSED", "closed") \
    X(CLOUDS_ESTALE, -4, CLOUDS_OUTCOME_NOT_DONE, "CLOUDS_STALE_ID", "no such id, or it is finished") \
    X(CLOUDS_EHANDLE, -5, CLOUDS_OUTCOME_NOT_DONE, "CLOUDS_BAD_HANDLE", "not a live handle of this kind") \
    X(CLOUDS_ETHREAD, -6, CLOUDS_OUTCOME_NOT_DONE, "CLOUDS_WRONG_THREAD", "the context is in use by another thread") \
    X(CLOUDS_EBUSY, -7, CLOUDS_OUTCOME_NOT_DONE, "CLOUDS_REENTERED", "called from inside a hook or during another call") \
    X(CLOUDS_EFORK, -8, CLOUDS_OUTCOME_NOT_DONE, "CLOUDS_AFTER_FORK", "the context was created before fork()") \
    X(CLOUDS_ELIMIT, -9, CLOUDS_OUTCOME_NOT_DONE, "CLOUDS_LIMIT_REACHED", "a queue or limit is full") \
    X(CLOUDS_ETOOBIG, -10, CLOUDS_OUTCOME_NOT_DONE, "CLOUDS_TOO_BIG", "larger than the limit") \
    X(CLOUDS_EJSON, -11, CLOUDS_OUTCOME_NOT_DONE, "CLOUDS_INVALID_JSON", "not valid JSON") \
    X(CLOUDS_EURL, -12, CLOUDS_OUTCOME_NOT_DONE, "CLOUDS_INVALID_URL", "not a valid clouds URL") \
    X(CLOUDS_EOPTION, -13, CLOUDS_OUTCOME_NOT_DONE, "CLOUDS_INVALID_OPTION", "unknown option, or a value it cannot take") \
    X(CLOUDS_ETIMEOUT, -14, CLOUDS_OUTCOME_UNKNOWN, "CLOUDS_CALL_SERVICE_TIMEOUT", "timeout") \
    X(CLOUDS_ENOSERVER, -15, CLOUDS_OUTCOME_NOT_DONE, "CLOUDS_NO_AVAILABLE_SERVER", "no available server") \
    X(CLOUDS_EAPP, -16, CLOUDS_OUTCOME_APP_ERROR, "CLOUDS_SERVICE_ERROR", "the service answered with an error") \
    X(CLOUDS_ENOMETHOD, -17, CLOUDS_OUTCOME_NOT_DONE, "CLOUDS_NO_SUCH_METHOD", "service handler not found") \
    X(CLOUDS_EEXPIRED, -18, CLOUDS_OUTCOME_NOT_DONE, "CLOUDS_EXPIRED", "the deadline passed before it was sent") \
    X(CLOUDS_EUNREACHABLE, -19, CLOUDS_OUTCOME_NOT_DONE, "CLOUDS_UNREACHABLE", "not connected") \
    X(CLOUDS_ELOST, -20, CLOUDS_OUTCOME_UNKNOWN, "CLOUDS_CONNECTION_LOST", "the connection was lost before the answer") \
    X(CLOUDS_ECANCELED, -21, CLOUDS_OUTCOME_UNKNOWN, "CLOUDS_CANCELED", "canceled") \
    X(CLOUDS_EOVERLOAD, -22, CLOUDS_OUTCOME_NOT_DONE, "CLOUDS_OVERLOADED", "the server is busy") \
    X(CLOUDS_EDRAINING, -23, CLOUDS_OUTCOME_NOT_DONE, "CLOUDS_DRAINING", "the server is stopping") \
    X(CLOUDS_EREDIS, -24, CLOUDS_OUTCOME_NOT_DONE, "CLOUDS_REDIS_ERROR", "Redis answered with an error") \
    X(CLOUDS_EAUTH, -25, CLOUDS_OUTCOME_NOT_DONE, "CLOUDS_AUTH_FAILED", "authentication failed") \
    X(CLOUDS_EPROTO, -26, CLOUDS_OUTCOME_UNKNOWN, "CLOUDS_PROTOCOL_ERROR", "the peer broke the protocol") \
    X(CLOUDS_ESYSTEM, -27, CLOUDS_OUTCOME_NOT_DONE, "CLOUDS_SYSTEM_ERROR", "a system call failed") \
    X(CLOUDS_ENOTSUP, -28, CLOUDS_OUTCOME_NOT_DONE, "CLOUDS_NOT_SUPPORTED", "not supported here") \
    X(CLOUDS_EEXIST, -29, CLOUDS_OUTCOME_NOT_DONE, "CLOUDS_EXISTS", "exists already") \
    X(CLOUDS_EKEY, -30, CLOUDS_OUTCOME_NOT_DONE, "CLOUDS_KEY_CONFLICT", "the idempotency key was used with other content") \
    X(CLOUDS_EBADARG, -31, CLOUDS_OUTCOME_NOT_DONE, "CLOUDS_BAD_ARGUMENT", "an argument is not what the method takes")

#define CLOUDS_ERROR_ENUM_(symbol, number, outcome, name, text) symbol = number,
enum clouds_error { CLOUDS_ERRORS(CLOUDS_ERROR_ENUM_) CLOUDS_OK = 0 };
#undef CLOUDS_ERROR_ENUM_

/* The text of the error `code`, "unknown error" for a number that is none. Never NULL, static. Thread: any. Since
 * 0.1. */
CLOUDS_API const char *clouds_strerror(int code);

/* The name of the error `code`, as in the table above ("CLOUDS_OK" for 0, "CLOUDS_E?" for a number that is none).
 * Never NULL, static. Thread: any. Since 0.1. */
CLOUDS_API const char *clouds_err_name(int code);

/* The outcome that `code` belongs to, an enum clouds_outcome; CLOUDS_OUTCOME_UNKNOWN for a number that is none.
 * Errors: none. Thread: any. Since 0.1. */
CLOUDS_API int clouds_err_outcome(int code);

/* The code of error number `index`, from 0, of the table above; 0 past the last. Later versions have more, at the end.
 * Errors: none. Thread: any. Since 0.2. */
CLOUDS_API int clouds_error_at(uint32_t index);

/* The name of an `outcome`: "OK", "APP_ERROR", "NOT_DONE" or "UNKNOWN". Never NULL, static. Thread: any. Since 0.1. */
CLOUDS_API const char *clouds_outcome_name(int outcome);

/* Whether what ended with an error is worth another attempt. */
enum clouds_retry {
    CLOUDS_RETRY_NO = 0,   /* another attempt would end the same way, or is not the library's to make */
    CLOUDS_RETRY_NOW = 1,  /* at once */
    CLOUDS_RETRY_LATER = 2 /* when a server comes up, at the latest after the length of an attempt */
};

/* What the library does with an attempt that ended with `code` while the call has retries left, an enum clouds_retry;
 * CLOUDS_RETRY_NO for a number that is no error. Errors: none. Thread: any. Since 0.1. */
CLOUDS_API int clouds_retry_rule(int code);

/* How a command ends that made a call, for who started it. */
enum clouds_exit {
    CLOUDS_EXIT_OK = 0,
    CLOUDS_EXIT_ERROR = 1,       /* the service answered with an error */
    CLOUDS_EXIT_USAGE = 2,       /* what was asked for was wrong */
    CLOUDS_EXIT_UNREACHABLE = 3, /* nothing was executed */
    CLOUDS_EXIT_UNKNOWN = 4      /* it may have been executed */
};

/* The exit code (enum clouds_exit) of a command that ended with the error `code` and this `outcome` (enum
 * clouds_outcome). Errors: none. Thread: any. Since 0.3. */
CLOUDS_API int clouds_exit_code(int code, int outcome);

/* The words of the last failure on this thread: one line, with the offending value. Valid until the next failing
 * call on this thread; "" before the first. It is the thread of the system: who is moved from one to another (goroutines,
 * virtual threads) stays on one from the call until it has the words, or gives a room for them where there is one (`error`
 * of clouds_call_options and clouds_operation_options). Thread: any. Since 0.1. */
CLOUDS_API const char *clouds_last_error(void);

/* The same as a JSON object: "message" (the words), "code" (the name of the error), and, where they exist, "method",
 * "server", "node" and "cluster" (what it is about), "size" and "limit" (what was too large or too many, and how much
 * is possible). Valid until the next call of it on this thread; "" before the first failure. Thread: any. Since 0.1. */
CLOUDS_API const char *clouds_last_error_json(void);

/* ---- Hooks of the process -------------------------------------------------------------------------------------- */

enum clouds_log_level { CLOUDS_LOG_DEBUG = 0, CLOUDS_LOG_INFO = 1, CLOUDS_LOG_WARN = 2, CLOUDS_LOG_ERROR = 3 };

/* Receives log lines of `level` and above; the default is none. `text` is one line without newline, its control
 * characters escaped, valid during the call. Called on whatever thread the library runs, one call at a time. */
typedef void (*clouds_log_fn)(void *user_data, int level, const char *text);

/* Sets the log hook of the process, which is called with `user_data`; `hook` NULL switches it off. (The context option
 * log_level gives the lines of one context as events.)
 * Errors: CLOUDS_EINVAL (`level` is none), CLOUDS_EBUSY. Thread: any. Since 0.1. */
CLOUDS_API int clouds_set_log(clouds_log_fn hook, void *user_data, int level);

/* One function does all: `block` NULL allocates, `size` 0 frees. It may return NULL, and is called from several
 * threads at a time. */
typedef void *(*clouds_realloc_fn)(void *user_data, void *block, size_t size);

/* Replaces the allocator for everything the library itself allocates (libuv and hiredis keep malloc) by `hook`, which
 * is called with `user_data`; NULL restores the default. Only before the first context or options object exists, or
 * after the last is gone and all events of clouds_wait are released. Errors: CLOUDS_EBUSY. Thread: any. Since 0.1. */
CLOUDS_API int clouds_set_allocator(clouds_realloc_fn hook, void *user_data);

/* ---- Options --------------------------------------------------------------------------------------------------- */

/* A set of named options, for a context or a node. docs/CONFIGURATION.md lists them; it is made from the same table. */
typedef struct clouds_options clouds_options;

/* Creates an empty set and stores it in `out`; the caller destroys it by clouds_options_destroy. Errors:
 * CLOUDS_EINVAL, CLOUDS_ENOMEM. Thread: any. Since 0.1. */
CLOUDS_API int clouds_options_create(clouds_options **out);

/* Frees the set `options`; NULL is fine. What was created from it is not affected. Thread: any. Since 0.1. */
CLOUDS_API void clouds_options_destroy(clouds_options *options);

/* Sets the text option `name` to `value`; a number or boolean option takes its text form too ("2.5", "true"). Both
 * texts end with NUL. Errors: CLOUDS_EOPTION, CLOUDS_EINVAL, CLOUDS_EHANDLE, CLOUDS_EBUSY, CLOUDS_ENOMEM. Thread: any,
 * one at a time for each set. Since 0.1. */
CLOUDS_API int clouds_options_set_string(clouds_options *options, const char *name, const char *value);

/* Sets the number option `name` to `value` (seconds, bytes or a count, see docs/CONFIGURATION.md). Errors:
 * CLOUDS_EOPTION, CLOUDS_EINVAL, CLOUDS_EHANDLE, CLOUDS_EBUSY. Thread: any, one at a time for each set. Since 0.1. */
CLOUDS_API int clouds_options_set_number(clouds_options *options, const char *name, double value);

/* Sets the number option `name` to the whole number `value`; of 64 bits where the option has as many (user_data),
 * which a double does not hold. Errors: CLOUDS_EOPTION, CLOUDS_EINVAL, CLOUDS_EHANDLE, CLOUDS_EBUSY. Thread: any, one
 * at a time for each set. Since 0.2. */
CLOUDS_API int clouds_options_set_integer(clouds_options *options, const char *name, uint64_t value);

/* Sets the boolean option `name`; `value` is 0 or 1. Errors: CLOUDS_EOPTION, CLOUDS_EINVAL, CLOUDS_EHANDLE,
 * CLOUDS_EBUSY. Thread: any, one at a time for each set. Since 0.1. */
CLOUDS_API int clouds_options_set_bool(clouds_options *options, const char *name, int value);

enum clouds_periods {
    CLOUDS_LONGEST_SECONDS = 2147483 /* what an option, a timeout or a deadline is at most: a longer one is that long */
};

enum clouds_option_flags {
    CLOUDS_OPTION_LIVE = 1,   /* clouds_node_configure can change it */
    CLOUDS_OPTION_CLAMPED = 2 /* more than the maximum is the maximum, not an error */
};

/* One row of the option table. All text is static. */
typedef struct clouds_option_info {
    uint32_t size;             /* set by the caller: sizeof(clouds_option_info) */
    uint32_t flags;            /* enum clouds_option_flags */
    double minimum;            /* of a number or bool; of a string 0 */
    double maximum;
    const char *name;
    const char *type;          /* "string", "number" or "bool" */
    const char *scope;         /* "context" or "node" */
    const char *unit;          /* "seconds", "bytes", "" ... */
    const char *default_value; /* as text */
    const char *help;          /* one sentence */
} clouds_option_info;

/* Describes option number `index`, from 0, in `out`. Errors: CLOUDS_EINVAL (past the last, or the size is wrong).
 * Thread: any. Since 0.1. */
CLOUDS_API int clouds_option_describe(uint32_t index, clouds_option_info *out);

/* Makes `file` with a new key in it, for the option `key_file`: readable by its owner only. A file that is there already
 * is left alone. Errors: CLOUDS_EINVAL, CLOUDS_EEXIST, CLOUDS_ESYSTEM. Thread: any. Since 0.3. */
CLOUDS_API int clouds_key_create(const char *file);

/* Makes the folder `name` among those of this user's processes (below the environment variable for it, or /tmp), for files
 * and sockets of the program; only this user can enter it. One that is there already is taken. Its path goes to `out`, of `size`
 * bytes. Errors: CLOUDS_EINVAL (a name with a slash, or of more than 64 bytes), CLOUDS_ELIMIT (the path is longer than
 * `size`), CLOUDS_ESYSTEM. Thread: any. Since 0.3. */
CLOUDS_API int clouds_runtime_folder(const char *name, char *out, size_t size);

/* ---- Context: one connection to one cluster -------------------------------------------------------------------- */

typedef struct clouds_context clouds_context;
typedef struct clouds_node clouds_node;

/* Creates a context from those of `options` that are of scope "context" (NULL: all defaults). It starts to connect at once
 * and goes on by itself after any loss; nothing has to wait for it. Option `url`:
 *   redis://[user:password@]host[:port][/db][?prefix=...]   a Redis server (Valkey and others alike)
 *   redis+unix:///path/to/socket[?db=..&prefix=..]          the same over a unix socket
 *   redis+sentinel://[user:password@]host[:port][,...]/master[/db][?prefix=...]
 *                                                           the Redis that these sentinels name, and the next one after it
 *   rediss://..., rediss+sentinel://...                     the same over TLS, which needs OpenSSL 3 here: options `ca_file`,
 *                                                           `cert_file`, `cert_key_file`, `server_name` and `verify`, or all
 *                                                           but the last in the address, as in rediss://host?ca_file=FILE
 *   etcd://[user:password@]host[:port][,...][/prefix]       a cluster of etcd 3.4 or later, which needs libcurl here
 *   etcds://...                                             the same over TLS, with these options
 *   local:[name]                                            all processes of this user on this machine (the default)
 *   inproc:[name]                                           nodes of this process
 * Option `mode`: "inline" (I/O inside clouds_poll and clouds_wait) or "thread" (I/O in a thread of the library).
 * It is stored in `out`; destroy it with clouds_context_destroy. Errors: CLOUDS_EURL, CLOUDS_EOPTION, CLOUDS_EINVAL,
 * CLOUDS_EHANDLE, CLOUDS_EBUSY, CLOUDS_ENOMEM, CLOUDS_ESYSTEM, CLOUDS_ENOTSUP. Thread: any. Since 0.1. */
CLOUDS_API int clouds_context_create(const clouds_options *options, clouds_context **out);

/* A context in inline mode and one node in it, for programs that need one of each. `url` NULL: the environment's
 * CLOUDS_URL, else "local:". `type` as the node option, NULL: "base". Destroy `context` with clouds_context_destroy;
 * `node` goes with it. On failure nothing is left. Errors: CLOUDS_EURL, CLOUDS_EOPTION, CLOUDS_EINVAL, CLOUDS_EBUSY,
 * CLOUDS_ENOMEM, CLOUDS_ESYSTEM. Completed by: CLOUDS_EVENT_READY, as clouds_node_create. Thread: any. Since 0.1. */
CLOUDS_API int clouds_open(const char *url, const char *type, clouds_context **context, clouds_node **node);

enum clouds_operation_flags {
    CLOUDS_OPERATION_WAIT = 1 /* the completion is kept for clouds_wait */
};

/* Options of what ends with an event and is no call: a registration and its end, a confirmed message, a status, a
 * close. Where they are NULL, they are all zero. Members are added at the end only. */
typedef struct clouds_operation_options {
    uint32_t size;      /* sizeof(clouds_operation_options) */
    uint32_t flags;     /* enum clouds_operation_flags; others are CLOUDS_ENOTSUP */
    double timeout;     /* seconds until it ends with the last known reason; 0: the node option operation_timeout. A close
                           is limited by its drain alone, and takes 0 only */
    uint64_t user_data; /* comes back in the event; 0: that of the node */
    char *error;        /* room for the words of a failure of the function itself, `error_size` bytes, or NULL: it then
                           has what clouds_last_error_json would give, ended by NUL; "" when they do not fit */
    size_t error_size;
} clouds_operation_options;

/* Closes every node in order, as clouds_node_close with `drain` does (seconds; < 0: the option drain_timeout of
 * each), then the connections. `options` and `operation` may be NULL. Completed by: one CLOUDS_EVENT_CONTEXT_CLOSED
 * with *operation as id; every call of the context has completed before it. Errors: CLOUDS_ECLOSED (a second time),
 * CLOUDS_EINVAL, CLOUDS_EHANDLE, CLOUDS_ELIMIT, CLOUDS_ENOMEM. Thread: by mode. Since 0.1. */
CLOUDS_API int clouds_context_close(clouds_context *context, double drain, const clouds_operation_options *options,
                                    uint64_t *operation);

/* Frees the context, its nodes, and all they own; NULL is fine, and so is a second time. Without a
 * clouds_context_close before, connections are cut at once, registrations are left to their TTL, and completions that
 * were not polled are dropped. Threads that poll or wait return CLOUDS_ECLOSED first; a later call gets
 * CLOUDS_EHANDLE. Thread: any, but not from a hook, where nothing is done. Since 0.1. */
CLOUDS_API void clouds_context_destroy(clouds_context *context);

/* A descriptor for select, poll, epoll, asyncio, uv_poll ...: the same for the life of the context, readable whenever
 * clouds_poll(timeout 0) has events to give or work to do, timers included: for good once it would return CLOUDS_ECLOSED.
 * Never read it or close it. It stays readable while something is left: with a level-triggered watch one poll a turn is
 * enough; with an edge-triggered one (EPOLLET) poll until nothing comes any more.
 * Errors: CLOUDS_EHANDLE, CLOUDS_ESYSTEM. Thread: by mode. Since 0.1. */
CLOUDS_API int clouds_fd(clouds_context *context);

enum clouds_event_type {
    CLOUDS_EVENT_READY = 1,       /* node: it listens; its messages and replies will arrive. code: why not */
    CLOUDS_EVENT_RESULT = 2,      /* a call completed: id, code, outcome, method, data (JSON array: all the values that the
                                     service gave, none too; what a language's call gives of them: docs/BINDINGS.md),
                                     error, peer (the server that answered, or was asked last; empty: none) */
    CLOUDS_EVENT_REQUEST = 3,     /* a call for a method of ours: id to answer to, method, data (JSON array), peer, time_left,
                                 number (milliseconds of CLOCK_MONOTONIC when the caller gives up; 0: not known) */
    CLOUDS_EVENT_MESSAGE = 4,     /* a message for a node of ours: peer, data (JSON value, or empty when left out) */
    CLOUDS_EVENT_UNKNOWN = 5,     /* a message of another type: method (its type), peer, data, error (raw) */
    CLOUDS_EVENT_REGISTERED = 6,  /* clouds_node_register ended: id, code, method, number (1: it failed for now, and goes on
                                     by itself) */
    CLOUDS_EVENT_UNREGISTERED = 7,/* clouds_node_unregister ended: id, code, method */
    CLOUDS_EVENT_SENT = 8,        /* clouds_node_send ended, with CLOUDS_SEND_CONFIRM: id, code, number (receivers;
                                     -1: not known) */
    CLOUDS_EVENT_STATUS = 9,      /* clouds_node_status, clouds_node_explain, clouds_node_links, clouds_node_stats or
                                     clouds_node_ask ended: id, code, data (JSON); of the last also peer, and method (what
                                     was asked) */
    CLOUDS_EVENT_NODE_CLOSED = 10,/* clouds_node_close ended: node; number: requests left unanswered at the drain limit.
                                     code 0, also of a node that never opened; CLOUDS_ECLOSED, and error: a
                                     clouds_context_close of another thread was first, and an event of its own has
                                     reported the end of this node */
    CLOUDS_EVENT_CONTEXT_CLOSED = 11, /* clouds_context_close ended: always with code 0 */
    CLOUDS_EVENT_BUS_UP = 12,     /* connected, or connected again */
    CLOUDS_EVENT_BUS_DOWN = 13,   /* not connected: code, error. It is tried again by itself */
    CLOUDS_EVENT_FIND_SERVER = 14,/* node option find_server: which server for this call? id (of the call and of the
                                     question), method, data (JSON array of the known ids), user_data (of the call).
                                     Answer with clouds_choose, now or later */
    CLOUDS_EVENT_SAVE_SERVERS = 15,   /* node option save_servers: a list is new: method, data (JSON array of ids) */
    CLOUDS_EVENT_REMOVE_SERVER = 16,  /* node option remove_server: a server did not answer in time: peer, method */
    CLOUDS_EVENT_CLEAR_SERVERS = 17,  /* node option clear_servers: the sweep of the aged lists is due */
    CLOUDS_EVENT_ATTEMPT = 18, /* CLOUDS_CALL_ASK: an attempt is about to begin: id (of the call), method, user_data (of
                                 the call), number (attempts made so far), code (why the last one ended; 0: this is the
                                 first), data (the arguments). Answer with clouds_attempt, now or later */
    CLOUDS_EVENT_LOG = 19,    /* context option log_level: number (enum clouds_log_level), data (JSON object: "message",
                                 and where they exist "method", "request", "caller", "node"). Lines for which there is
                                 no room are counted, and a line has their number */
    CLOUDS_EVENT_CANCELED = 20,   /* node option cancel_events: the caller of a request has given up, or its deadline has
                                 passed: id (of the request), peer (the caller). Once for each; it may be answered or
                                 not, nobody waits for it. The calls made on its behalf (`parent`) end, and new ones end
                                 at once, with CLOUDS_ECANCELED */
    CLOUDS_EVENT_SUBSCRIBED = 21,   /* clouds_node_subscribe ended: id (of the subscription), code, method (the topics, one a
                                 line), number (1: it failed for now, and goes on by itself) */
    CLOUDS_EVENT_UNSUBSCRIBED = 22, /* a subscription ended: id, code (0: by clouds_unsubscribe, or with its node) */
    CLOUDS_EVENT_PUBLISHED = 23,    /* something was published at a topic: id (of the subscription), peer, method (the
                                 topic), data (JSON), number (messages that are missing before it), sequence, flags */
    CLOUDS_EVENT_PAUSED = 24, /* clouds_node_pause ended: id, code, method (empty: all), number (1: paused, 0: resumed); or,
                                 with id 0, another node (peer) asked for it, and it is done */
    CLOUDS_EVENT_PEER = 25,  /* node option peer_events: peer (a server) and method (empty: all of its methods) are in another
                                 state: number, an enum clouds_peer_state. May be dropped where the program does not keep up
                                 (counter dropped_events) */
    CLOUDS_EVENT_STOP = 26    /* another node (peer) asks this one to stop: time_left (seconds for what was accepted; < 0: not
                                 said), number (the same in milliseconds, or -1). Once for each node. Nothing is done: stop as
                                 your program does, or call clouds_node_close */
};

/* What became of a server, as far as the calls of this context go. */
enum clouds_peer_state {
    CLOUDS_PEER_WELL = 0,     /* it came, or is called again */
    CLOUDS_PEER_AVOIDED = 1,  /* it did not answer in time: others are called for a while */
    CLOUDS_PEER_OPEN = 2,     /* its breaker opened: it failed again and again */
    CLOUDS_PEER_PROBING = 3,  /* one call at a time tries it */
    CLOUDS_PEER_PAUSED = 4,   /* it takes no calls */
    CLOUDS_PEER_DRAINING = 5, /* it stops */
    CLOUDS_PEER_GONE = 6      /* it serves the method no more, or is dead */
};

/* Flags of an event. */
enum clouds_event_flags {
    CLOUDS_FLAG_BYTES = 1, /* bytes came along */
    CLOUDS_FLAG_NOTIFY = 2, /* REQUEST: no answer is wanted. It ends by one all the same, which is sent nowhere */
    CLOUDS_FLAG_LAGGED = 4     /* of the messages that are missing some were dropped here: the queue was full */
};

/* The name of an event's `type`, without CLOUDS_EVENT_ ("RESULT"); "" for a number that is none. Never NULL, static.
 * Thread: any. Since 0.2. */
CLOUDS_API const char *clouds_event_name(uint32_t type);

/* One thing that happened. After clouds_poll pointers are valid until the next poll on the context, after clouds_wait
 * until clouds_event_release; after clouds_poll_into and clouds_wait_into they point into the memory that was handed
 * in. Absent text is a valid pointer with length 0. New members are added at the end only. */
typedef struct clouds_event {
    uint32_t type;       /* enum clouds_event_type: leave alone what you do not know */
    int32_t code;        /* 0 or CLOUDS_E* */
    uint32_t outcome;    /* enum clouds_outcome */
    uint32_t flags;      /* enum clouds_event_flags; leave alone what you do not know */
    uint64_t id;         /* of the call, request, question or operation; 0 if the type has none */
    uint64_t user_data;  /* RESULT, FIND_SERVER, ATTEMPT: that of clouds_call_options; operations: that of
                            clouds_operation_options; else, and where it is 0, the node option user_data, or 0 */
    int64_t number;      /* see the type */
    double time_left;    /* CLOUDS_EVENT_REQUEST: seconds until the caller gives up, when the event was handed out (a
                            process that may be stopped looks at number); < 0: not known. It has no meaning for
                            other types */
    uint64_t sequence;   /* PUBLISHED: its number within (peer, topic), from 1; 0: it has none */
    clouds_node *node;   /* the node of ours it concerns; NULL for events of the context */
    void *owned;         /* what clouds_event_release frees; NULL: nothing */
    const char *peer;    /* id of the other node */
    size_t peer_len;
    const char *method;
    size_t method_len;
    const char *data;    /* JSON text */
    size_t data_len;
    const char *error;   /* JSON object, when code is not 0; the raw text of an UNKNOWN message */
    size_t error_len;
    const char *meta;    /* REQUEST, RESULT, MESSAGE, PUBLISHED: JSON object, or absent */
    size_t meta_len;
    const void *bytes;   /* the same: what came along (clouds_bytes_mark), or absent */
    size_t bytes_len;
} clouds_event;

/* Does what is due and fills `events`, an array of `capacity` records of `event_size` bytes each (sizeof(clouds_event)
 * of the header you compiled with). Waits up to `timeout` seconds for the first; 0 does not wait, < 0 waits until one
 * comes or clouds_wakeup. Returns the number of events, 0 for none. Once it was called, the texts of the events that a
 * clouds_poll gave before are gone. (A context has one queue. If further ones come, nodes are directed to them, and
 * each is polled by functions of its own: this one stays that of the context.) Errors: CLOUDS_ECLOSED (and all events
 * were handed out), CLOUDS_ETHREAD (another thread polls), CLOUDS_EINVAL, CLOUDS_EHANDLE. Thread: by mode. Since
 * 0.1. */
CLOUDS_API int clouds_poll(clouds_context *context, clouds_event *events, size_t event_size, size_t capacity,
                           double timeout);

/* As clouds_poll (for `events`, `event_size`, `capacity` and `timeout` see there), but the texts are copied to
 * `text`, memory of the caller's with room for `text_size` bytes, so that a whole batch is read with no further call:
 * the pointers in the records lead into it (those of absent texts to its beginning). Events whose texts do not fit
 * any more wait for the next poll. When those of the first alone do not fit, none is handed out and the result is
 * CLOUDS_ETOOBIG. *text_needed, unless NULL, is then set to the bytes they take; after a success to the bytes of
 * `text` in use. `text` may be NULL with size 0. Errors: CLOUDS_ETOOBIG, CLOUDS_ECLOSED, CLOUDS_ETHREAD (another
 * thread polls), CLOUDS_EINVAL, CLOUDS_EHANDLE. Thread: by mode. Since 0.1. */
CLOUDS_API int clouds_poll_into(clouds_context *context, clouds_event *events, size_t event_size, size_t capacity,
                                char *text, size_t text_size, size_t *text_needed, double timeout);

/* Waits for the completion of `call`, which was made with CLOUDS_CALL_WAIT (or is an operation begun with
 * CLOUDS_OPERATION_WAIT), and fills `event`, a record of `event_size` bytes; such a call completes here and nowhere
 * else. What `event` points to is yours until clouds_event_release. Returns 1; 0 when `timeout` seconds passed first
 * (the call goes on; < 0: for ever). It does the context's I/O meanwhile: in inline mode always, in thread mode where
 * that is faster. The questions of a call made with CLOUDS_CALL_ASK as well come here too, as CLOUDS_EVENT_ATTEMPT:
 * answer, and wait again. Errors: CLOUDS_ESTALE (no such call, or taken already), CLOUDS_ECLOSED, CLOUDS_EINVAL,
 * CLOUDS_EHANDLE, CLOUDS_ENOMEM (a million events are not released: the completion stays). Thread: by mode. Since
 * 0.1. */
CLOUDS_API int clouds_wait(clouds_context *context, uint64_t call, double timeout, clouds_event *event,
                           size_t event_size);

/* As clouds_wait (for `call`, `timeout`, `event` and `event_size` see there), but the texts are copied to `text`,
 * memory of the caller's with room for `text_size` bytes: nothing has to be released. CLOUDS_ETOOBIG when they do not
 * fit: the completion stays, for a wait with more room. *text_needed, unless NULL, is then set to the
 * bytes they take; after a success to the bytes of `text` in use. `text` may be NULL with size 0. Errors:
 * CLOUDS_ETOOBIG, CLOUDS_ESTALE (no such call, or taken already), CLOUDS_ECLOSED, CLOUDS_EINVAL, CLOUDS_EHANDLE.
 * Thread: by mode. Since 0.1. */
CLOUDS_API int clouds_wait_into(clouds_context *context, uint64_t call, double timeout, clouds_event *event,
                                size_t event_size, char *text, size_t text_size, size_t *text_needed);

/* Waits for the first of several: as clouds_wait (for `timeout`, `event` and `event_size` see there), for whichever of the
 * `count` ids at `calls` has its event first; event->id says which it is. The others go on, and are kept as before. One
 * that is there already is taken at once, of several the first in the list. Each wait costs a look at each id. Errors:
 * CLOUDS_ESTALE (one of them is no such call, or taken already: take what has come out of the list), CLOUDS_ECLOSED,
 * CLOUDS_EINVAL (none is given too), CLOUDS_EHANDLE, CLOUDS_ENOMEM. Thread: by mode. Since 0.2. */
CLOUDS_API int clouds_wait_any(clouds_context *context, const uint64_t *calls, size_t count, double timeout,
                               clouds_event *event, size_t event_size);

/* As clouds_wait_any (for `calls`, `count`, `timeout`, `event` and `event_size` see there), with the texts in memory of the
 * caller's, as clouds_wait_into (for `text`, `text_size` and `text_needed` see there). Errors: CLOUDS_ETOOBIG,
 * CLOUDS_ESTALE, CLOUDS_ECLOSED, CLOUDS_EINVAL, CLOUDS_EHANDLE, CLOUDS_ENOMEM. Thread: by mode. Since 0.2. */
CLOUDS_API int clouds_wait_any_into(clouds_context *context, const uint64_t *calls, size_t count, double timeout,
                                    clouds_event *event, size_t event_size, char *text, size_t text_size,
                                    size_t *text_needed);

/* Frees what an `event` of clouds_wait points to; its texts are absent then. NULL and events that own nothing are fine.
 * Errors: CLOUDS_ESTALE (it was released before, or a copy of it: nothing is done), CLOUDS_EBUSY. Thread: any.
 * Since 0.1. */
CLOUDS_API int clouds_event_release(clouds_event *event);

/* Makes the poll that waits now, or the next one that would wait, return at once. Sticky, and cheap to repeat. It is
 * async-signal-safe: a signal's handler may call it, and a hook. It leaves errno as it was, and clouds_last_error too.
 * Errors: CLOUDS_EHANDLE. Thread: any. Since 0.1. */
CLOUDS_API int clouds_wakeup(clouds_context *context);

/* Reads a counter of the context into `value`: the one called `name`, or by number, from 0, when `name` is NULL.
 * *name_out, unless NULL, is then its name (static). Names: docs/CONFIGURATION.md. Errors: CLOUDS_EINVAL (no such
 * name, or `index` is past the last), CLOUDS_EHANDLE. Thread: by mode. Since 0.1. */
CLOUDS_API int clouds_counter(clouds_context *context, const char *name, uint32_t index, const char **name_out,
                              uint64_t *value);

/* ---- Node: one identity on the bus ----------------------------------------------------------------------------- */

/* Creates a node from those of `options` that are of scope "node" (NULL: all defaults), and stores it in `out`.
 * Completed by: one CLOUDS_EVENT_READY, which nothing has to wait for. Option `type` is "server", "client", "monitor"
 * or "base": it sets the letter of the id and the defaults; every node can do everything. Errors: CLOUDS_EOPTION (an
 * id with ':' or glob characters), CLOUDS_EINVAL, CLOUDS_EHANDLE, CLOUDS_ECLOSED, CLOUDS_ENOMEM. Thread: by mode.
 * Since 0.1. */
CLOUDS_API int clouds_node_create(clouds_context *context, const clouds_options *options, clouds_node **out);

/* Changes the options of a node that lives: those that are set in `options`; the others stay. It holds for what is
 * called, swept or closed from then on; a question that is open still needs its answer. The list of those that can
 * change is in docs/CONFIGURATION.md; any other that is set (one of a context too) is CLOUDS_EOPTION, and then
 * nothing changes. Errors: CLOUDS_EOPTION, CLOUDS_EINVAL (NULL), CLOUDS_EHANDLE, CLOUDS_ECLOSED, CLOUDS_ELIMIT,
 * CLOUDS_ENOMEM. Thread: by mode. Since 0.1. */
CLOUDS_API int clouds_node_configure(clouds_node *node, const clouds_options *options);

/* Stops a node in order: unregisters its methods, serves what it has accepted for up to `drain` seconds (< 0: the
 * option drain_timeout), refuses the rest, completes its own calls (CLOUDS_ECANCELED, or CLOUDS_ECLOSED if not sent
 * yet). Until then it may still call on behalf of a request it has accepted (clouds_call_options.parent).
 * `options` and `operation` may be NULL. Completed by: one CLOUDS_EVENT_NODE_CLOSED with *operation as id. Errors:
 * CLOUDS_ECLOSED (a second time), CLOUDS_EINVAL, CLOUDS_EHANDLE, CLOUDS_ELIMIT, CLOUDS_ENOMEM. Thread: by mode.
 * Since 0.1. */
CLOUDS_API int clouds_node_close(clouds_node *node, double drain, const clouds_operation_options *options,
                                 uint64_t *operation);

/* Frees the handle; NULL, a second time, and after the context's end are fine. A node that is not closed is closed
 * with no drain; completions of its calls still arrive. Thread: by mode; where the rule forbids it, nothing is done.
 * Since 0.1. */
CLOUDS_API void clouds_node_destroy(clouds_node *node);

/* The id of the node, ends with NUL; lives as long as the node. NULL for a bad handle. Thread: by mode. Since 0.1. */
CLOUDS_API const char *clouds_node_id(clouds_node *node);

/* Offers `method`, `method_len` bytes: calls for it arrive as CLOUDS_EVENT_REQUEST. Kept and renewed until
 * unregistered or closed; doing it again is fine. When its time is over before it is confirmed, the event has the
 * reason and has the number 1: the method stays offered, and is registered as soon as that is possible. `options` and
 * `operation` may be NULL. Completed by: CLOUDS_EVENT_REGISTERED with *operation as id. Errors: CLOUDS_EINVAL (empty,
 * or longer than the option max_method), CLOUDS_EHANDLE, CLOUDS_ECLOSED, CLOUDS_ELIMIT, CLOUDS_ENOMEM. Thread: by
 * mode. Since 0.1. */
CLOUDS_API int clouds_node_register(clouds_node *node, const char *method, size_t method_len,
                                    const clouds_operation_options *options, uint64_t *operation);

enum clouds_offer_flags {
    CLOUDS_OFFER_SERIAL = 1 /* one request at a time, in the order in which they come */
};

/* What protects a method that is offered; zero means no limit, or the default. Members are added at the end only.
 * A call that is refused by one of the limits was not begun: it ends with CLOUDS_EOVERLOAD, unless another server takes
 * it. Its error has the members "reason" ("rate", "queue", "age" or "concurrency") and "retry_after" (seconds), for which
 * its caller prefers other servers. A call waits in a queue when it may not run yet. */
typedef struct clouds_offer_options {
    uint32_t size;       /* sizeof(clouds_offer_options) */
    uint32_t flags;      /* enum clouds_offer_flags; others are CLOUDS_ENOTSUP */
    int32_t concurrency; /* requests that run (were handed out and are not answered) at a time; 0: no limit; -1: it is
                            found, from 4 to 1000, by how long they take */
    uint32_t key_arg;    /* requests with the same value of this argument run one at a time, in the order in which they
                            come, beside those of other keys; 1: the first argument; 0: none. One that is left out is
                            null; how a string is escaped or a number is written makes no difference, and the order of
                            the members of an object does */
    int32_t queue;       /* requests that may wait; 0: 1000; < 0: none */
    uint32_t reserved;   /* 0 */
    double queue_age;    /* seconds that a request waits at most; 0: 0.1 with `concurrency`, else no limit; < 0: no limit */
    double queue_target; /* the same, once the queue was not empty for as long as queue_age; 0: 0.005 */
    double rate;         /* requests a second; 0: no limit */
    double burst;        /* how many may come at once; 0: `rate`, at least 1 */
    double caller_rate;  /* the same for each node that calls (10000 of them are remembered) */
    double caller_burst;
    const char *schema; /* what the method says of itself, a JSON object of "doc" (a text), "args" and "returns"; NULL: nothing.
                           `args` is an array with one for each argument: "name: type", ["name", type] or
                           ["name", type, "doc"], "...name" being all further ones; or JSON Schema of the whole array.
                           `returns`: a type, an array of types, or JSON Schema of the array. A type is a text ("integer?",
                           "{name: string, tags: string[]}": docs/SCHEMAS.md) or JSON Schema. A call whose arguments are not
                           what `args` says is refused with CLOUDS_EBADARG, whose words begin with the place */
    size_t schema_len;
} clouds_offer_options;

/* As clouds_node_register (see there for `method`, `method_len`, `options` and `operation`), with the limits in `offer`;
 * NULL: none. Again: they are changed, for what comes from then on, and clouds_node_register ends them; the method stays
 * registered. Completed by: CLOUDS_EVENT_REGISTERED with *operation as id. Errors: CLOUDS_EINVAL (a schema that is none, too),
 * CLOUDS_EJSON, CLOUDS_ETOOBIG, CLOUDS_ENOTSUP (a flag that this version does not know, or a concurrency below -1), CLOUDS_EHANDLE, CLOUDS_ECLOSED, CLOUDS_ELIMIT,
 * CLOUDS_ENOMEM. Thread: by mode. Since 0.3. */
CLOUDS_API int clouds_node_offer(clouds_node *node, const char *method, size_t method_len,
                                 const clouds_offer_options *offer, const clouds_operation_options *options,
                                 uint64_t *operation);

/* Takes `method`, `method_len` bytes, back; requests accepted before are still yours to answer. Completed by:
 * CLOUDS_EVENT_UNREGISTERED with *operation as id, behind the requests that were accepted and wait for their turn (a
 * handler that holds the turn does not wait for it); `options` and `operation` may be NULL. Errors: CLOUDS_EINVAL (empty
 * or too long; in inline mode also: not registered, which in thread mode is the code of the event), CLOUDS_EHANDLE,
 * CLOUDS_ECLOSED, CLOUDS_ELIMIT, CLOUDS_ENOMEM. Thread: by mode. Since 0.1. */
CLOUDS_API int clouds_node_unregister(clouds_node *node, const char *method, size_t method_len,
                                      const clouds_operation_options *options, uint64_t *operation);

enum clouds_call_flags {
    CLOUDS_CALL_WAIT = 1, /* the completion is kept for clouds_wait */
    CLOUDS_CALL_ASK = 2,  /* CLOUDS_EVENT_ATTEMPT comes before every attempt, the first included */
    CLOUDS_CALL_NOTIFY = 4, /* no answer is wanted: the call completes, without values, when it is on its way to one server
                              (in what its link writes next; over Redis: received by its connection). It is executed
                              once at most, and what comes of it is not known: no attempt follows one that may have been
                              executed. Since 0.3 */
    CLOUDS_CALL_IDEMPOTENT = 8 /* it may be executed twice: see `hedge`. Since 0.3 */
};

/* Per-call options; zero means the node's default. Members are added at the end only. */
typedef struct clouds_call_options {
    uint32_t size;       /* sizeof(clouds_call_options) */
    uint32_t flags;      /* enum clouds_call_flags */
    int32_t retries;     /* further attempts after a timeout or when no server is there; < 0: none; 0: the node's */
    uint32_t reserved;   /* 0 */
    double timeout;      /* seconds for one attempt; 0: the node's */
    double deadline;     /* seconds for the whole call; 0: what the attempts and the waits between them can take (not
                            counting the time in which CLOUDS_EVENT_ATTEMPT was answered) */
    double hedge;        /* seconds after which a second server is called too, if there is one; < 0: after what 95 of 100 of
                            the last 1000 answers of the method took, once there are 20. The first answer counts, and the
                            other server hears that it is not wanted. At most once a call, and within the budget of failovers
                            (a tenth of all calls). Needs `once` or CLOUDS_CALL_IDEMPOTENT, and no `server`. Since 0.3 */
    uint64_t parent;     /* the request on whose behalf this call is made: it inherits the time left; 0: none. One that
                            is answered or closed is CLOUDS_ESTALE; one whose deadline has passed leaves no time, and the
                            call ends with CLOUDS_EEXPIRED */
    uint64_t user_data;  /* comes back in the event */
    const char *server;  /* call this node and no other; NULL: choose */
    size_t server_len;
    const char *meta;    /* a JSON object that goes along, up to 8192 bytes; NULL: none. Members whose names begin with '-'
                            are for the server alone; the others, those of the call's `parent` too, go on to what is
                            called on behalf of this call. A node of npm clouds 0.1 or of version 0.2 cannot take it, nor
                            bytes: another server is asked, or the call ends with CLOUDS_ENOTSUP; one of which
                            nothing but a trace goes along is made without it. Since 0.3 */
    size_t meta_len;
    const void *bytes;   /* bytes that go along; NULL: none. For what stands for a piece of them see clouds_bytes_mark.
                            Since 0.3 */
    size_t bytes_len;
    const char *key;     /* calls with the same key (any bytes) go to the same server, from every process, while it takes
                            calls; who comes or goes moves as few keys as can be. Since 0.3 */
    size_t key_len;
    const char *once;    /* an idempotency key, 1 to 255 bytes: a server runs a call with it once at most, from when it comes
                            to the end of the option `once_window` after its answer (as far as once_keys and once_bytes
                            allow). A call with the same key, method, arguments and bytes, from whomever, gets the same
                            answer, or waits for it; one with other content ends with CLOUDS_EKEY. So the retries of such a
                            call are safe; they prefer the server that may have run it. A handler that has begun is not
                            told that its caller gave up. A node that cannot take it is as with `meta`. Since 0.3 */
    size_t once_len;
    const char *reply_to; /* a topic: the call completes as one with CLOUDS_CALL_NOTIFY, and its server publishes the answer
                             there, {"result":[...]} or {"error":{...}} (an error may have values beside it), with the meta
                             and bytes of the answer. A refusal is an answer too; one that comes after the call's `timeout`,
                             or that cannot be published, is none (counter lost_answers at the server). A node that cannot
                             take it is as with `meta`. Since 0.3 */
    size_t reply_to_len;
    const char *correlation; /* text of up to 255 bytes by which the answer is recognized: its meta has it as "in-reply-to".
                                Only with reply_to. Since 0.3 */
    size_t correlation_len;
    char *error;         /* room for the words of a failure of clouds_node_call itself, as in clouds_operation_options */
    size_t error_size;
    const char *trace;   /* the meta of a request on whose behalf the call is made, where that is no `parent`: one of another
                            context, or one that is answered; or the text of a span (clouds_span_begin), which counts
                            beside a `parent`, too. Of it goes along what it says of a trace (traceparent, tracestate),
                            unless `meta` says it; NULL: none. Since 0.3 */
    size_t trace_len;
} clouds_call_options;

/* Calls `method` (`method_len` bytes) with `args` (`args_len` bytes), a JSON array. Completed by: exactly one
 * CLOUDS_EVENT_RESULT with *call as id, no later than its deadline; an error return means that none will come.
 * `options` may be NULL. Errors: CLOUDS_EINVAL, CLOUDS_EJSON, CLOUDS_ETOOBIG, CLOUDS_ELIMIT, CLOUDS_ENOTSUP (an option
 * or flag that is for a later version), CLOUDS_ECLOSED, CLOUDS_EHANDLE, CLOUDS_ENOMEM; in inline mode also CLOUDS_ESTALE
 * (`parent`), and why the node never listened, which thread mode tells by the event. Thread: by mode. Since 0.1. */
CLOUDS_API int clouds_node_call(clouds_node *node, const char *method, size_t method_len, const char *args,
                                size_t args_len, const clouds_call_options *options, uint64_t *call);

/* Gives `call` up: it completes with CLOUDS_ECANCELED, and its server hears of it if it is native. What is kept for
 * clouds_wait stays until a wait takes it, also a completion that came before the cancel; a second clouds_cancel drops
 * it, where no wait will follow. It may be an operation too, but for a close; what was sent to others stays sent, and a method stays offered.
 * Errors: CLOUDS_ESTALE (no such call, or it has completed), CLOUDS_EHANDLE, CLOUDS_ELIMIT, CLOUDS_ENOMEM.
 * Thread: by mode. Since 0.1. */
CLOUDS_API int clouds_cancel(clouds_context *context, uint64_t call);

/* Answers `request` with `result` (`result_len` bytes), a JSON array of values. Exactly one of clouds_reply and
 * clouds_fail per request. Errors: CLOUDS_ESTALE (answered, expired or closed), CLOUDS_EJSON, CLOUDS_ETOOBIG (bytes, depth
 * or number of values: the caller gets an error), CLOUDS_EINVAL, CLOUDS_EHANDLE, CLOUDS_ELIMIT, CLOUDS_ENOMEM.
 * After CLOUDS_EJSON and CLOUDS_EINVAL the request is still open, and after the last two, when there was no room for the
 * answer now. Thread: by mode. Since 0.1. */
CLOUDS_API int clouds_reply(clouds_context *context, uint64_t request, const char *result, size_t result_len);

/* A value, and what goes along. Members are added at the end only. */
typedef struct clouds_payload {
    uint32_t size;     /* sizeof(clouds_payload) */
    uint32_t flags;    /* 0 */
    const char *json;  /* JSON text */
    size_t json_len;
    const void *bytes; /* bytes that go along; NULL: none */
    size_t bytes_len;
    const char *meta;  /* a JSON object that goes along, up to 8192 bytes; NULL: none */
    size_t meta_len;
    const char *trace; /* of clouds_node_publish: the meta of a request on whose behalf it is published, or the text of a
                          span (clouds_span_begin). Of it goes along what it says of a trace, unless `meta` says it, and
                          where there is room for it; NULL: none. Others do not use it */
    size_t trace_len;
} clouds_payload;

/* How bytes stand in JSON, in every language. Of a message with bytes an object whose only member is "$bytes" stands for
 * a piece of them: {"$bytes":[offset,length]}, two whole numbers. An object of the user's whose only member has that
 * name, with one '$' or more ("$bytes", "$$bytes" ...), is sent with one '$' more, and who receives it takes that one
 * away. What is none of both, or leads beyond the bytes, is an object as any other. A message without bytes is JSON as it
 * is; so where all pieces are empty, one byte goes along that no piece has. C programs see what was sent; the other
 * languages turn it into their type for bytes and back, by this function: how many '$' are in `name` (`name_len` bytes)
 * if it is such a name, else 0. Errors: none. Thread: any. Since 0.3. */
CLOUDS_API int clouds_bytes_mark(const char *name, size_t name_len);

/* The trace that a meta is in, as the event of a request has it: writes its id, 32 hexadecimal digits and a NUL, to `id`,
 * which has room for 33 bytes, or NUL alone. 1: it is in one; 0: it is in none, or `meta`, of `meta_len` bytes, is NULL or no
 * JSON object. Errors: none. Thread: any. Since 0.3. */
CLOUDS_API int clouds_trace_id(const char *meta, size_t meta_len, char *id);

/* What is done in a span of the program's own; the numbers are those of OpenTelemetry. */
enum clouds_span_kind {
    CLOUDS_SPAN_INTERNAL = 1, /* a piece of the program */
    CLOUDS_SPAN_PRODUCER = 4, /* a message is sent, or published; its name is the topic */
    CLOUDS_SPAN_CONSUMER = 5  /* something is done with a message */
};
/* Of the text of a span. */
enum clouds_span_size {
    CLOUDS_SPAN_MORE = 192 /* what it takes at most, beyond the meta that it begins with */
};

/* Begins a span of the program's own, in the trace of `meta` (`meta_len` bytes; that of a request, or the text of another
 * span), or a trace, if it is in none. The span is a text: it goes to `span` with a NUL, for which there is room for
 * `span_size` bytes, which have to be meta_len + CLOUDS_SPAN_MORE or more. Calls are made in it with that as `trace`, in
 * place of the meta; clouds_trace_id and clouds_span_id read it, clouds_span_end ends it. Who does not end it has recorded
 * nothing. Returns its length, or 0: nothing is recorded here, and `meta` stays what calls are made with. Errors:
 * CLOUDS_EJSON, CLOUDS_ETOOBIG, CLOUDS_EINVAL, CLOUDS_EHANDLE, CLOUDS_ENOMEM. Thread: by mode. Since 0.3. */
CLOUDS_API int clouds_span_begin(clouds_node *node, const char *meta, size_t meta_len, char *span, size_t span_size);

/* Ends `span` (`span_len` bytes), a text of clouds_span_begin: it is recorded as one of `kind` (enum clouds_span_kind) with
 * this `name` (`name_len` bytes, of which 255 are kept), or it is left out, as was decided at its beginning. `error`
 * (`error_len` bytes): what it failed with, words or a JSON object with "message" and "code"; NULL: it did not fail. Errors: CLOUDS_EINVAL (no such kind, no name, a text that is
 * no span), CLOUDS_EJSON, CLOUDS_ELIMIT, CLOUDS_EHANDLE, CLOUDS_ENOMEM. Thread: by mode. Since 0.3. */
CLOUDS_API int clouds_span_end(clouds_node *node, const char *span, size_t span_len, uint32_t kind, const char *name,
                               size_t name_len, const char *error, size_t error_len);

/* The span that `meta` (`meta_len` bytes) is in, that of a request or the text of a span: writes its id, 16 hexadecimal digits and a NUL, to
 * `id`, which has room for 17 bytes, or NUL alone. 1: it is recorded; 0: it is not, or there is none, as for
 * clouds_trace_id. Errors: none. Thread: any. Since 0.3. */
CLOUDS_API int clouds_span_id(const char *meta, size_t meta_len, char *id);

/* Answers `request` with `result`, whose json is an array of values, and with what goes along. As clouds_reply; CLOUDS_ENOTSUP:
 * the caller is a node that cannot take meta or bytes (npm clouds 0.1, version 0.2), and gets an error (in thread mode it
 * gets that too, and 0 is returned). Errors: CLOUDS_ENOTSUP (unknown flags of the record too), CLOUDS_ESTALE (answered,
 * expired or closed), CLOUDS_EJSON, CLOUDS_ETOOBIG, CLOUDS_EINVAL, CLOUDS_EHANDLE, CLOUDS_ELIMIT, CLOUDS_ENOMEM. Thread: by
 * mode. Since 0.3. */
CLOUDS_API int clouds_reply_payload(clouds_context *context, uint64_t request, const clouds_payload *result);

/* Can `request` still be answered? 1: yes; 0: it is answered, its deadline has passed, or its node has ended. What its
 * caller has canceled before (CLOUDS_EVENT_CANCELED) can be answered, and that goes nowhere. For handlers that work for
 * long. Errors: CLOUDS_EHANDLE. Thread: by mode. Since 0.1. */
CLOUDS_API int clouds_request_open(clouds_context *context, uint64_t request);

/* Answers `request` with `error` (`error_len` bytes), a JSON object with at least a text member "message", and
 * optionally with the values `result` (`result_len` bytes), a JSON array; NULL: none. Exactly one of clouds_reply and
 * clouds_fail per request. Errors: CLOUDS_ESTALE (answered, expired or closed), CLOUDS_EJSON (the text member is missing
 * too), CLOUDS_ETOOBIG (bytes, depth or number of values: the caller gets an error), CLOUDS_EINVAL,
 * CLOUDS_EHANDLE, CLOUDS_ELIMIT, CLOUDS_ENOMEM. After CLOUDS_EJSON and CLOUDS_EINVAL the request is still open, and after
 * the last two, when there was no room for the answer now. Thread: by mode. Since 0.1. */
CLOUDS_API int clouds_fail(clouds_context *context, uint64_t request, const char *error, size_t error_len,
                           const char *result, size_t result_len);

/* Refuses `request`, which was handed out and of which nothing has been done, instead of clouds_reply or clouds_fail. Its
 * caller gets the error `code` with CLOUDS_OUTCOME_NOT_DONE, or asks another server, and an idempotency key is free
 * again; after clouds_fail it would count as executed. `code`: CLOUDS_EOVERLOAD (there is no room for it),
 * CLOUDS_EEXPIRED (its caller has given up, and it counts among the `expired_requests`) or CLOUDS_ENOMETHOD (nobody
 * serves its method any more). Errors: CLOUDS_ESTALE (answered or closed), CLOUDS_EINVAL (another code; or CLOUDS_EEXPIRED
 * of one with an idempotency key whose repeat waits for longer, so that it is to be served), CLOUDS_EHANDLE,
 * CLOUDS_ENOMEM; then it is open as before. Thread: by mode. Since 0.3. */
CLOUDS_API int clouds_refuse(clouds_context *context, uint64_t request, int code);

/* Answers CLOUDS_EVENT_FIND_SERVER, whose id is `question`: the call goes to `server`; `server_len` 0 means that
 * there is none, and the call ends with CLOUDS_ENOSERVER (or waits, if it has retries). Errors: CLOUDS_ESTALE
 * (answered, or the call has ended), CLOUDS_EINVAL, CLOUDS_EHANDLE, CLOUDS_ELIMIT, CLOUDS_ENOMEM. Thread: by mode.
 * Since 0.1. */
CLOUDS_API int clouds_choose(clouds_context *context, uint64_t question, const char *server, size_t server_len);

/* Answers CLOUDS_EVENT_ATTEMPT, whose id is `call`: the attempt begins, with `args` (`args_len` bytes), a JSON array,
 * for it and those that follow; NULL: with the arguments it has. clouds_cancel gives the call up instead. While the
 * question is open no attempt begins, and the call ends by its deadline, or with its node or context, as ever. Without
 * room for the arguments it ends with CLOUDS_ELIMIT, CLOUDS_ETOOBIG (name and arguments together) or CLOUDS_ENOMEM.
 * After an error of this function the question is open as before. Errors: CLOUDS_ESTALE (answered, or the call has
 * ended), CLOUDS_EJSON, CLOUDS_ETOOBIG, CLOUDS_EINVAL, CLOUDS_EHANDLE, CLOUDS_ELIMIT, CLOUDS_ENOMEM. Thread: by mode.
 * Since 0.1. */
CLOUDS_API int clouds_attempt(clouds_context *context, uint64_t call, const char *args, size_t args_len);

/* The same with `args` (`call` as there), whose json is an array and whose bytes take the place of those of the call: none,
 * if it has none. It has no meta: that of the call goes along. Errors: those of clouds_attempt, and CLOUDS_ENOTSUP
 * (unknown flags of the record). Thread: by mode. Since 0.3. */
CLOUDS_API int clouds_attempt_payload(clouds_context *context, uint64_t call, const clouds_payload *args);

enum clouds_send_flags {
    CLOUDS_SEND_CONFIRM = 1 /* CLOUDS_EVENT_SENT gives the number of receivers */
};

/* Sends `value` (`value_len` bytes), JSON text, to the node with the id `receiver` (`receiver_len` bytes): fire and
 * forget, no error when nobody is there. `flags` is of enum clouds_send_flags or 0. Completed by: CLOUDS_EVENT_SENT
 * with *operation as id, if CLOUDS_SEND_CONFIRM is set; without it there is no event, `options` is not used (it may be
 * NULL always), and `operation` may be NULL. Errors: CLOUDS_EINVAL, CLOUDS_EJSON, CLOUDS_ETOOBIG, CLOUDS_ELIMIT,
 * CLOUDS_ENOTSUP (unknown flags), CLOUDS_ECLOSED, CLOUDS_EHANDLE, CLOUDS_ENOMEM; in inline mode also why the node
 * never listened, or cannot send. Thread: by mode. Since 0.1. */
CLOUDS_API int clouds_node_send(clouds_node *node, const char *receiver, size_t receiver_len, const char *value,
                                size_t value_len, uint32_t flags, const clouds_operation_options *options,
                                uint64_t *operation);

/* Pauses `method` (`method_len` bytes), or with length 0 all methods of the node, those that it registers later included
 * (`paused` 1), or resumes (0). Callers choose other servers; who calls all the same is refused, which is not executed,
 * and goes elsewhere. What was accepted runs on. When all servers of a method are paused it is as if there were none, and
 * the error says so; calls with retries wait, and go on when one resumes. Kept as long as the method is registered; to
 * resume a node resumes all its methods. `options` and `operation` may be NULL. Completed by: CLOUDS_EVENT_PAUSED with
 * *operation as id. Errors: CLOUDS_EINVAL (the name is too long; in inline mode also: not registered, which in thread mode
 * is the code of the event), CLOUDS_EHANDLE, CLOUDS_ECLOSED, CLOUDS_ELIMIT, CLOUDS_ENOMEM. Thread: by mode. Since 0.3. */
CLOUDS_API int clouds_node_pause(clouds_node *node, const char *method, size_t method_len, int paused,
                                 const clouds_operation_options *options, uint64_t *operation);

/* Sends `payload` to the node with the id `receiver` (`receiver_len` bytes), as clouds_node_send (for `flags`, `options`
 * and `operation` see there), with what goes along: over Redis a receiver that cannot take that is as one that is not
 * there. Completed by: CLOUDS_EVENT_SENT with *operation as id, if CLOUDS_SEND_CONFIRM is set. Errors: CLOUDS_EINVAL,
 * CLOUDS_EJSON, CLOUDS_ETOOBIG, CLOUDS_ELIMIT, CLOUDS_ENOTSUP (unknown flags), CLOUDS_ECLOSED, CLOUDS_EHANDLE, CLOUDS_ENOMEM;
 * in inline mode also why the node never listened, or cannot send. Thread: by mode. Since 0.3. */
CLOUDS_API int clouds_node_send_payload(clouds_node *node, const char *receiver, size_t receiver_len,
                                        const clouds_payload *payload, uint32_t flags,
                                        const clouds_operation_options *options, uint64_t *operation);

/* Requests the list of servers and their methods. Completed by: CLOUDS_EVENT_STATUS with *operation as id (it and
 * `options` may be NULL); its data is {"servers":{id:[methods]},"methods":{name:[ids]}}, and, where there is anything
 * to say: "states":{id:{"paused":[methods],"weight":1,"tags":{}}} of servers, as they say themselves;
 * "seen":{method:{id:state}} of servers that are not well, as calls from here have found ("avoided", "busy", "open",
 * "probing"); "own":{id:{"state":"draining","methods":{name:{"paused":false,"running":0,"waiting":0,"concurrency":8,
 * "queue":1000,"adaptive":true,"latency":0.06,"unqueued":0.04,"rate":100,"burst":10,"tokens":9.5}}}} of the nodes of this
 * context that are paused, drain or have limits ("state": "ready", "paused" or "draining"; the last three of a method with
 * a rate; those before of one whose concurrency is found, which is the one of now: the seconds that its requests take,
 * and those that they take where they do not wait for each other, once known). Errors: CLOUDS_EHANDLE, CLOUDS_ECLOSED,
 * CLOUDS_ELIMIT, CLOUDS_ENOMEM. Thread: by mode. Since 0.1. */
CLOUDS_API int clouds_node_status(clouds_node *node, const clouds_operation_options *options, uint64_t *operation);

/* Asks who would be called for `method` (`method_len` bytes) by this node now, and why, without a call. The list of
 * servers is asked for anew; while the bus is away what is known is told. It is an object:
 *   "method", "bus" ("up" or "down"), "balance", "prefer" (as "zone=a"; left out where nothing is preferred)
 *   "choice"   "server": the id of the one that is asked next, unless chance, the arguments or the program decide; "rule":
 *              of which servers one is taken: "near" (those with the tag), "well", "any" (none is well, or too many are
 *              not), "none" (there is none), "find_server" (the program chooses); "among": how many these are
 *   "servers"  an array, in the order of their turns, of "id", "state" ("well", "avoided", "busy", "open", "probing",
 *              "paused"), "for" (seconds until it is asked again by itself), "route" ("link" or "bus"), "address" ("": not
 *              known), "breaker" ("closed", "open", "probing"), "in_flight", "latency" (seconds), "strikes" (timeouts in a
 *              row), "last_failure" (seconds ago), "weight", "tags" (an object), "near" (it has the tag that is preferred),
 *              "limits" (of a server of this context that has any: as in "own" of clouds_node_status)
 * Seconds that are not known are left out, and members may be added. Completed by: CLOUDS_EVENT_STATUS with *operation as
 * id (it and `options` may be NULL), the method, and the object as data. Errors: CLOUDS_EINVAL (no name, or one that is too
 * long), CLOUDS_EHANDLE, CLOUDS_ECLOSED, CLOUDS_ELIMIT, CLOUDS_ENOMEM. Thread: by mode. Since 0.3. */
CLOUDS_API int clouds_node_explain(clouds_node *node, const char *method, size_t method_len,
                                   const clouds_operation_options *options, uint64_t *operation);

/* Asks for the direct links of the node's context to other processes, whether the bus is there or not. It is an array, empty
 * where there are none (inproc:), of objects:
 *   "peer"       the other end: the name of its context, over local: the id of a node; "" until it has said who it is
 *   "here"       our end, named in the same way
 *   "ours"       true: calls go from here to there; false: the other end has opened it, and its calls come by it
 *   "state"      "dialling", "open", "ending" (no further calls), or "resting": it failed, and is not dialled "for" seconds
 *   "nodes"      who is known to live there (not over local:, and not where it was opened by the other end)
 *   "address"    "unix:..." or "tcp:HOST:PORT"
 *   "security"   "tls", "user" (a unix socket, and a process of this user) or "none"
 *   "in_flight"  calls by it that were not answered yet (if ours); "unwritten": bytes that wait to be written
 *   "age"        seconds since it opened, or since it is dialled
 *   "error"      why the last one that went there failed or broke; missing if none has, or if it is not "ours"
 * One that rests has only "peer", "here", "ours", "state", "nodes", "for" and "error"; members may be added. Completed by:
 * CLOUDS_EVENT_STATUS with *operation as id (it and `options` may be NULL) and the array as data. Errors: CLOUDS_EHANDLE,
 * CLOUDS_ECLOSED, CLOUDS_ELIMIT, CLOUDS_ENOMEM. Thread: by mode. Since 0.3. */
CLOUDS_API int clouds_node_links(clouds_node *node, const clouds_operation_options *options, uint64_t *operation);

/* Asks how many calls and requests of each method the node's context has had, how they ended, and how long they took; the
 * context option `stats` must be on. It is an object, known at once, whether the bus is there or not:
 *   "bounds"     an array of seconds, rising
 *   "methods"    by name, objects of "calls" (that this context made) and "requests" (that it was sent, of a method that was
 *                offered), left out where there was neither. Past 500 methods all others are the one called "other"
 * and in both of these:
 *   "open"       how many have not ended; "waiting": of requests, those that wait for their turn, which are not among them
 *   "limit"      of requests, how many may be open at a time now; left out where there is no such limit
 *   "ok", "app_error", "not_done", "unknown": how many have ended so, of requests also those that were refused at once
 *   "took"       of those that began, how many took no longer than each of the bounds, and longer than the one before it; one
 *                more at the end: longer than all. A call begins when it is accepted, a request when it is handed out
 *   "seconds"    what all of these took together
 *   "queue"      of requests of a method with limits, an object of "took" and "seconds": how long those that began had waited
 *   "refused"    of requests, an object of how many were refused, by reason, of those that there were: "rate", "queue" (it was
 *                full), "age" (too long in it), "concurrency" (and there is no queue), "limit" (of the context), "paused",
 *                "draining", "expired", "invalid"
 * All of them but "open", "waiting" and "limit" only grow; members may be added. Completed by: CLOUDS_EVENT_STATUS with *operation
 * as id (it and `options` may be NULL) and the object as data. Errors: CLOUDS_EHANDLE, CLOUDS_ECLOSED, CLOUDS_ELIMIT,
 * CLOUDS_ENOMEM; in inline mode also CLOUDS_ENOTSUP (the option is off), which thread mode tells by the event. Thread: by
 * mode. Since 0.3. */
CLOUDS_API int clouds_node_stats(clouds_node *node, const clouds_operation_options *options, uint64_t *operation);

/* Asks the node with the id `peer` (`peer_len` bytes) for `what`, a word that ends with NUL: "ping" (is it there), "info" ("host",
 * "uptime" of its context in seconds, "counts": whether the option `stats` is on, "type", "weight", "tags"),
 * "status" (its methods, counters and what is open), "stats" (as clouds_node_stats there, and "context", which is the same for nodes of one context), "methods" (by name, objects of
 * "paused", of their limits, and of "schema": what the method says of itself, with JSON Schema for its types), "links" (as clouds_node_links there, where "asked" is true of the one by which the question
 * came), "pause" and "resume" (`args` {"method":name}, or none for all), "stop" ({"drain": seconds}, or none: its
 * program gets CLOUDS_EVENT_STOP, and does it). `args` (`args_len` bytes) is a JSON object, or empty.
 * The library there answers, whatever the program does, if the context option `admin` there allows it: "local", the default,
 * over local: and inproc: only. `options` and `operation` may be NULL. Completed by: CLOUDS_EVENT_STATUS with *operation as
 * id: its data has "id", "version", "pid", "state" ("ready", "draining") and "paused"; its code is CLOUDS_ENOTSUP when
 * that node may not or cannot answer (an older version; stats: the option is off there), CLOUDS_ENOSERVER when it is not there (over local: also when it
 * drains, over Redis when it is a node of npm clouds 0.1), CLOUDS_EAPP when it cannot be done (no such method). Errors: CLOUDS_EINVAL, CLOUDS_EJSON, CLOUDS_ETOOBIG,
 * CLOUDS_ELIMIT, CLOUDS_ECLOSED, CLOUDS_EHANDLE, CLOUDS_ENOMEM; in inline mode also why the node never listened. Thread: by
 * mode. Since 0.3. */
CLOUDS_API int clouds_node_ask(clouds_node *node, const char *peer, size_t peer_len, const char *what, const char *args,
                               size_t args_len, const clouds_operation_options *options, uint64_t *operation);

/* ---- Channels: what is published at a topic reaches everybody who has subscribed to it -------------------------- */

/* A topic is 1 to 255 bytes of UTF-8: tokens with dots between ("chat.room-1.joined"), none empty, without control
 * characters; case counts. A subscription may name patterns, too: `*` is one token, `>` as the last token is one or more
 * ("chat.*.joined", "chat.>"). Names that begin with `$` are for the library.
 * A message arrives at most once at each subscription known when it is published, those of the publisher itself included,
 * and those of one publisher and topic in their order; how many of them are missing comes with the next one. */

/* Publishes `payload` at `topic` (`topic_len` bytes). `flags` is CLOUDS_SEND_CONFIRM or 0. Completed by:
 * CLOUDS_EVENT_SENT with *operation as id, if CLOUDS_SEND_CONFIRM is set: method is the topic, and number how many got it
 * (nodes; over Redis the connections of those who subscribed, as Redis counts them; -1: not known); without it there is
 * no event, `options` is not used (it may be NULL always), and `operation` may be NULL. Errors: CLOUDS_EINVAL (what is
 * wrong with the topic is in the words; a pattern is none), CLOUDS_EJSON, CLOUDS_ETOOBIG, CLOUDS_ELIMIT, CLOUDS_ENOTSUP
 * (unknown flags), CLOUDS_ECLOSED, CLOUDS_EHANDLE, CLOUDS_ENOMEM; in inline mode also why the node never listened, or
 * cannot send. What was accepted, without CLOUDS_SEND_CONFIRM, and cannot be sent later is missing to its subscribers, and
 * counted (publish_drops). Where traces are recorded it is a span, which subscribers see in the meta: what they do with it
 * they begin with that (clouds_span_begin, and CLOUDS_SPAN_CONSUMER at its end). Thread: by mode. Since 0.3. */
CLOUDS_API int clouds_node_publish(clouds_node *node, const char *topic, size_t topic_len, const clouds_payload *payload,
                                   uint32_t flags, const clouds_operation_options *options, uint64_t *operation);

enum clouds_subscribe_flags {
    CLOUDS_SUBSCRIBE_ALL = 1,        /* all-of: 2 or more topics, no patterns. Values wait until there is one of each
                                        topic; they come as one event, whose data is the array of them in the order of the
                                        topics, method and peer those of the last one that came */
    CLOUDS_SUBSCRIBE_DROP_NEWEST = 2 /* a full queue drops what comes; else what has waited for the longest */
};

enum clouds_subscribe_limits {
    CLOUDS_SUBSCRIBE_TOPICS = 64,  /* topics and patterns of one subscription, at most */
    CLOUDS_SUBSCRIBE_QUEUE = 1024, /* messages of one subscription that wait, if nothing else is said */
    CLOUDS_SUBSCRIBE_BYTES = 8388608 /* the same for the bytes of their texts */
};

/* Options of a subscription; zero means the default. Members are added at the end only. */
typedef struct clouds_subscribe_options {
    uint32_t size;      /* sizeof(clouds_subscribe_options) */
    uint32_t flags;     /* enum clouds_subscribe_flags */
    uint32_t queue;     /* messages that wait for clouds_poll, beside the events; 0: 1024. all-of: also for each topic */
    uint32_t reserved;  /* 0 */
    double queue_bytes; /* the same for the bytes of their texts; 0: 8388608 */
    uint64_t user_data; /* comes back in the events; 0: that of the node */
    const char *group;  /* of the subscribers of a topic that name the same group, each message reaches one. Topics only, no
                           patterns; and what is missing is not known. NULL: none */
    size_t group_len;
} clouds_subscribe_options;

/* Subscribes to `topics` (`topics_len` bytes), a JSON array of topics and patterns, and stores the id of it in
 * `subscription`. A message that matches several of them comes once. Each subscription has its own queue, beside
 * max_events; clouds_poll takes from all of them in turn. `options` and `operation` (that of SUBSCRIBED) may be NULL.
 * Completed by: CLOUDS_EVENT_SUBSCRIBED with *subscription as id; unless that has a code (and not the number 1),
 * CLOUDS_EVENT_PUBLISHED follow, and one CLOUDS_EVENT_UNSUBSCRIBED, which comes by clouds_poll always. It is kept through
 * every loss of a connection. Errors: CLOUDS_EINVAL (what is wrong with which topic, group or option is in the words),
 * CLOUDS_EJSON, CLOUDS_ETOOBIG, CLOUDS_ELIMIT, CLOUDS_ENOTSUP (unknown flags, or a bus without channels),
 * CLOUDS_ECLOSED, CLOUDS_EHANDLE, CLOUDS_ENOMEM; in inline mode also why the node never listened. Thread: by mode.
 * Since 0.3. */
CLOUDS_API int clouds_node_subscribe(clouds_node *node, const char *topics, size_t topics_len,
                                     const clouds_subscribe_options *options, const clouds_operation_options *operation,
                                     uint64_t *subscription);

/* Ends `subscription`: what waits in its queue is dropped, and nothing of it comes any more but its end. Completed by:
 * CLOUDS_EVENT_UNSUBSCRIBED; or, when it was not complete yet, by CLOUDS_EVENT_SUBSCRIBED with CLOUDS_ECANCELED. Never
 * refused for room. Errors: CLOUDS_ESTALE (no such subscription, or it has ended), CLOUDS_EHANDLE, CLOUDS_ENOMEM. Thread:
 * by mode. Since 0.3. */
CLOUDS_API int clouds_unsubscribe(clouds_context *context, uint64_t subscription);

/* ---- Worker: a process of an application that `clouds start` runs ------------------------------------------------- */

enum clouds_worker_event_type {
    CLOUDS_WORKER_DRAIN = 1, /* finish what was accepted within `seconds`, and end the process with 0; data: why, "reload",
                                "retire", "scale" or "stop". number 1: the master is gone, and CLOUDS_ECLOSED follows */
    CLOUDS_WORKER_QUIET = 2, /* number 1: take no calls (clouds_node_pause), but stay; 0: take them again. data: of this
                                method; empty: of all */
    CLOUDS_WORKER_ASK = 3,   /* tell CLOUDS_WORKER_ALIVE from where your program does its work: who does not for too long
                                is taken for one that hangs, and killed */
    CLOUDS_WORKER_MESSAGE = 4, /* of another worker: group, number (its index in that), data (JSON) */
    CLOUDS_WORKER_CONNECTION = 5, /* fd, not blocking, is yours, of the listener with this number in CLOUDS_LISTEN; when it is
                                     closed, count CLOUDS_WORKER_COUNT_CONNECTIONS. Only after clouds_worker_take, as the next */
    CLOUDS_WORKER_LISTENER = 6,   /* accept from fd, of the listener with this number; it is yours, stays not blocking, and
                                     need not have a connection when it is readable, as others accept from it, too. -1: from
                                     this number no more, close it. With watch_fd, yours as well, it comes once, and not -1 */
    CLOUDS_WORKER_TURN = 7        /* this worker has the token of its group: CLOUDS_WORKER_END_TURN gives it back */
};

enum clouds_worker_event_flags {
    CLOUDS_WORKER_CONNECTION_BACK = 1 /* another worker had the connection, and has answered all that it has read of it */
};

/* What a worker was told. Texts are valid until the next clouds_worker_next. New members are added at the end only. */
typedef struct clouds_worker_event {
    uint32_t type; /* enum clouds_worker_event_type: leave alone what you do not know */
    uint32_t flags;
    int64_t number;
    double seconds;
    const char *group;
    size_t group_len;
    const char *data;
    size_t data_len;
    int32_t fd;       /* -1: none */
    int32_t watch_fd; /* of a listener after CLOUDS_WORKER_TAKE_ACCEPTING: readable while clouds_worker_accept may have a
                         connection of it, for poll, select or epoll and nothing else; -1: none */
} clouds_worker_event;

enum clouds_worker_word {
    CLOUDS_WORKER_READY = 1,     /* it serves; before it, whoever is replaced by it goes on. CLOUDS_EINVAL: its group listens,
                                    and there was no clouds_worker_take */
    CLOUDS_WORKER_STOPPING = 2,  /* it ends in order, and was not told to: another is started at once */
    CLOUDS_WORKER_ALIVE = 3,     /* the answer to CLOUDS_WORKER_ASK */
    CLOUDS_WORKER_RETIRE = 4,    /* it wants to be replaced: when another is ready, it is told CLOUDS_WORKER_DRAIN */
    CLOUDS_WORKER_RELOAD = 5,    /* text: the name of a group; empty: everything */
    CLOUDS_WORKER_VARIABLES = 6, /* text: a JSON object, for `clouds ps --json`; once a second at most */
    CLOUDS_WORKER_WANT_TURN = 7, /* it wants the token of its group, which one worker has at a time: CLOUDS_WORKER_TURN comes.
                                    Once, until it is given back */
    CLOUDS_WORKER_END_TURN = 8,  /* it gives that back; its end does so, too */
    CLOUDS_WORKER_ACCEPTS = 9    /* it accepts from its listeners by itself, and cannot be kept from it: `clouds quiet` says so */
};

enum clouds_worker_taking {
    CLOUDS_WORKER_TAKE_CONNECTIONS = 1, /* those that were accepted, here or by the master, as the group's `dispatch` says */
    CLOUDS_WORKER_TAKE_LISTENERS = 2,   /* what to accept from, where `dispatch` is "shared" */
    CLOUDS_WORKER_TAKE_ACCEPTING = 3    /* the same, and it is accepted from by clouds_worker_accept: while the application is
                                           quiet, too many connections are open or the worker drains, that gives none */
};

/* What is known of a worker without its word: to choose who gets the next connection, and for `clouds ps`. */
enum clouds_worker_counts {
    CLOUDS_WORKER_COUNT_CONNECTIONS = 1, /* open; each that comes is counted already */
    CLOUDS_WORKER_COUNT_REQUESTS = 2,    /* begun, ever, beside calls: with these they are those of `max_requests` */
    CLOUDS_WORKER_COUNT_IN_FLIGHT = 3,   /* of these: that have no answer yet */
    CLOUDS_WORKER_COUNT_ERRORS = 4,      /* that were answered by an error, ever */
    CLOUDS_WORKER_COUNT_REMAIN = 5       /* what is under way; from its first change on it says who gets the next connection,
                                            and those that are open do not */
};

/* Makes this process, which `clouds start` has started, its worker, and gives the descriptor by which it is told things:
 * readable when clouds_worker_next has something. Never read it or close it. From now on the requests of all contexts of this
 * process count as its own. Once for a process. Errors: CLOUDS_ENOTSUP (it is no worker), CLOUDS_EEXIST, CLOUDS_EBUSY. Thread:
 * any. Since 0.3. */
CLOUDS_API int clouds_worker_open(void);

/* Waits up to `timeout` seconds (0: not at all, < 0: for ever) for what the master tells, and fills `event`, a record of
 * `event_size` bytes (sizeof(clouds_worker_event)). Returns 1, or 0 when nothing came. Errors: CLOUDS_ECLOSED (the master is
 * gone, and that was told), CLOUDS_ETHREAD (another thread waits), CLOUDS_ENOTSUP (it was not opened), CLOUDS_EFORK,
 * CLOUDS_EINVAL, CLOUDS_EBUSY. Thread: any. Since 0.3. */
CLOUDS_API int clouds_worker_next(clouds_worker_event *event, size_t event_size, double timeout);

/* Tells the master `word`, an enum clouds_worker_word, with `text`, `text_len` bytes, where it says so. Never waits. Errors:
 * CLOUDS_EINVAL (no such word), CLOUDS_ETOOBIG, CLOUDS_ELIMIT (the master does not read), CLOUDS_ECLOSED, CLOUDS_ENOTSUP,
 * CLOUDS_EFORK, CLOUDS_EBUSY. Thread: any. Since 0.3. */
CLOUDS_API int clouds_worker_tell(uint32_t word, const char *text, size_t text_len);

/* Sends `data` (`data_len` bytes, JSON) to the worker with the number `index` in `group` (`group_len` bytes), or with 0 to all of
 * that group, this one too if it is of it. It is not known whether it comes. Never waits. Errors: CLOUDS_EINVAL,
 * CLOUDS_ETOOBIG (more than 64000 bytes), CLOUDS_ELIMIT (the master does not read), CLOUDS_ECLOSED, CLOUDS_ENOTSUP, CLOUDS_EFORK,
 * CLOUDS_EBUSY. Thread: any. Since 0.3. */
CLOUDS_API int clouds_worker_send(const char *group, size_t group_len, uint32_t index, const char *data, size_t data_len);

/* Says that this program takes the connections of its group: `what`, an enum clouds_worker_taking, comes as events. Once,
 * and before CLOUDS_WORKER_READY. None come any more once the worker drains, or has told CLOUDS_WORKER_STOPPING. Errors:
 * CLOUDS_EINVAL, CLOUDS_EEXIST (it was said), CLOUDS_ENOTSUP (it is no worker, its group does not listen, or has no listeners to
 * share), CLOUDS_ESYSTEM, CLOUDS_EFORK, CLOUDS_EBUSY. Thread: any. Since 0.3. */
CLOUDS_API int clouds_worker_take(uint32_t what);

/* Accepts a connection of `listener`, the number of one that came after CLOUDS_WORKER_TAKE_ACCEPTING. Never waits. Returns 1, and
 * its descriptor, not blocking, in `fd`: it is yours, and counts as open until you count CLOUDS_WORKER_COUNT_CONNECTIONS; or 0, there
 * is none, or none may be accepted now. Errors: CLOUDS_EINVAL, CLOUDS_ENOTSUP, CLOUDS_EFORK, CLOUDS_EBUSY. Thread: any. Since 0.3. */
CLOUDS_API int clouds_worker_accept(uint32_t listener, int *fd);

/* Gives a connection that came as CLOUDS_WORKER_CONNECTION, of `listener`, to another worker: only once this one drains because of
 * "reload", "retire" or "scale", and was not told "stop" since, and when nothing has been read of it that is not answered. `fd` stays
 * yours: close it without shutdown(2), and count that. Never waits. Errors: CLOUDS_ELIMIT (not now: the master does not read),
 * CLOUDS_EINVAL, CLOUDS_ECLOSED, CLOUDS_ENOTSUP, CLOUDS_EFORK, CLOUDS_EBUSY. Thread: any. Since 0.3. */
CLOUDS_API int clouds_worker_give_back(uint32_t listener, int fd);

/* Changes the number `what` of this worker, an enum clouds_worker_counts, by `change`; none falls below 0. Errors: CLOUDS_EINVAL,
 * CLOUDS_ENOTSUP, CLOUDS_EFORK, CLOUDS_EBUSY. Thread: any. Since 0.3. */
CLOUDS_API int clouds_worker_count(uint32_t what, int64_t change);
/* ---- Counts: what a process counts by name, in memory that others may read ---------------------------------------- */

/* From now on `memory`, `size` bytes at an address that is a multiple of 8, has what this process counts, as the header
 * for workers describes; it is zero, and stays there until the end of the process. Contexts that are created later count and time calls
 * and requests by method there, unless their option `stats` is set to false. clouds_worker_open does this when the master wants to know. Once
 * for a process. Errors: CLOUDS_EINVAL, CLOUDS_EEXIST, CLOUDS_EBUSY. Thread: any. Since 0.3. */
CLOUDS_API int clouds_counts_use(void *memory, size_t size);

/* Adds a row of `kind` and `name` (`name_len` bytes, at most 1024) with `value_count` values, all zero, to such memory (NULL:
 * that of clouds_counts_use); or gives one that is there and that nobody holds, with the values it has. The caller holds it, and
 * adds to its values, from one thread at a time. NULL when there is no room, or no memory to count in. Thread: any. Since 0.3. */
CLOUDS_API uint64_t *clouds_counts_add(void *memory, uint32_t kind, const char *name, size_t name_len, uint32_t value_count);

#ifdef __cplusplus
}
#endif

#endif /* CLOUDS_H */
