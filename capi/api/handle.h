/* Handles: what the user holds is never a pointer but (generation, index, kind) packed into one. So NULL, freed,
 * foreign and wrong-kind handles are found out without touching memory that may be gone. */
#ifndef CL_HANDLE_H
#define CL_HANDLE_H

#include <stdint.h>

enum cl_handle_kind { CL_HANDLE_OPTIONS = 1, CL_HANDLE_CONTEXT = 2, CL_HANDLE_NODE = 3, CL_HANDLE_TEXTS = 4 };

/* A new handle for an object, or NULL when there is no room. */
void *cl_handle_open(enum cl_handle_kind kind, void *object);

/* The object behind a live handle, pinned until cl_handle_leave; NULL for anything else. Lock-free. */
void *cl_handle_enter(const void *handle, enum cl_handle_kind kind);
void cl_handle_leave(const void *handle);

/* Nobody can enter any more. Returns 1, or 0 when it was not a live handle of this kind (then *object is untouched). */
int cl_handle_revoke(const void *handle, enum cl_handle_kind kind, void **object);
/* Waits until all who had entered left, and gives the place back. Only after a successful revoke, once. */
void cl_handle_retire(const void *handle);

/* Around fork: the table stays usable in the child. */
void cl_handle_before_fork(void);
void cl_handle_after_fork(void);
void cl_handle_in_child(void);

#endif
