/* Handles: what the user holds is never a pointer but (generation, index, kind) packed into one. So NULL, freed,
 * foreign and wrong-kind handles are found out without touching memory that may be gone. */
#ifndef CL_HANDLE_H
#define CL_HANDLE_H

#include <stdint.h>

enum cl_handle_kind { CL_HANDLE_OPTIONS = 1, CL_HANDLE_CONTEXT = 2, CL_HANDLE_NODE = 3, CL_HANDLE_TEXTS = 4 };

/* A new handle for an object, or NULL when there is no room. */
void *cl_handle_open(enum cl_handle_kind kind, void *object);
/* The same for an object that one thread at a time enters. `within` NULL: it can be claimed; else it belongs to the
 * object behind that handle, which is claimed for it. */
void *cl_handle_open_exclusive(enum cl_handle_kind kind, void *object, const void *within);

/* The object behind a live handle, pinned until cl_handle_leave; NULL for anything else. Lock-free. */
void *cl_handle_enter(const void *handle, enum cl_handle_kind kind);
void cl_handle_leave(const void *handle);

/* Enters as the handle was opened: pins the object, or claims it (or what it belongs to) for this thread, until
 * cl_handle_unclaim of what was claimed. */
enum cl_handle_entry {
    CL_HANDLE_NOT_LIVE,
    CL_HANDLE_PINNED,
    CL_HANDLE_CLAIMED,
    CL_HANDLE_MINE, /* this thread has claimed it already */
    CL_HANDLE_TAKEN /* another thread has */
};
enum cl_handle_entry cl_handle_enter_any(const void *handle, enum cl_handle_kind kind, void **object);
void cl_handle_unclaim(const void *handle);

/* Nobody can enter any more. Returns 1, or 0 when it was not a live handle of this kind (then *object is untouched). */
int cl_handle_revoke(const void *handle, enum cl_handle_kind kind, void **object);
/* Waits until all who had entered left, and gives the place back. Only after a successful revoke, once. */
void cl_handle_retire(const void *handle);

/* Around fork: the table stays usable in the child. */
void cl_handle_before_fork(void);
void cl_handle_after_fork(void);
void cl_handle_in_child(void);

#endif
