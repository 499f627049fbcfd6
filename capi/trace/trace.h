/* Where spans go: as OTLP over HTTP to a collector of OpenTelemetry, or as lines to a file.
 *
 * What is added waits in memory, for a second or until there are many, and goes out on the loop. Nobody waits for it:
 * what finds no room, or is not taken, is lost and counted. */
#ifndef CL_TRACE_H
#define CL_TRACE_H

#include "net/loop.h"
#include "proto/span.h"

/* What a program says of it; the rest is in the environment. */
typedef struct cl_trace_asked {
    const char *to;      /* the option `trace` */
    double ratio;        /* of the traces that begin here; < 0: not said */
    const char *service; /* its name; "": not said */
} cl_trace_asked;

typedef struct cl_trace_settings {
    int is_on;
    int by_parent;  /* what others have begun is recorded if it is there */
    uint64_t below; /* of other traces those are whose last 63 bits are below it */
    char *file;     /* NULL: they go to a collector */
    char *host, *path;
    int port, is_tls;
    double timeout;                            /* seconds */
    cl_buf headers;                            /* lines */
    char *ca_file, *cert_file, *cert_key_file; /* NULL: not given */
    cl_buf resource;                           /* attributes in JSON, with commas between */
} cl_trace_settings;

/* What the option says that a program gave has to be right: CLOUDS_EOPTION, and so has the environment where the option
 * asks for it. Where the environment alone asks, what is wrong there is logged, and not used. 0, CLOUDS_EOPTION or
 * CLOUDS_ENOMEM; to be freed in any case. */
int cl_trace_settings_read(const cl_trace_asked *asked, cl_trace_settings *out);
void cl_trace_settings_free(cl_trace_settings *settings);

typedef struct cl_exporter cl_exporter;

/* Takes the settings, whatever it returns. `lost` is called for spans that nobody gets. 0, CLOUDS_ENOTSUP (libcurl
 * cannot be loaded), CLOUDS_EOPTION (a file that cannot be written) or CLOUDS_ENOMEM. */
int cl_exporter_create(cl_loop *loop, cl_trace_settings *settings, void (*lost)(void *self, size_t n), void *self,
                       cl_exporter **out);
void cl_exporter_add(cl_exporter *exporter, const cl_span *span);
/* Sends what waits, and then calls `done`, after so many milliseconds at the latest: at once when nothing waits, else
 * from a loop callback. */
void cl_exporter_finish(cl_exporter *exporter, int64_t limit, void (*done)(void *self), void *self);
/* The same for who has no other use for the loop: runs it. */
void cl_exporter_flush(cl_exporter *exporter, int64_t limit);
/* What waits is lost. After the end of the loop, too. NULL is fine. */
void cl_exporter_destroy(cl_exporter *exporter);

#endif
