/* Memory: the one place where the library allocates. Everything returns NULL when there is none; nothing aborts. */
#ifndef CL_MEM_H
#define CL_MEM_H

#include <stddef.h>

typedef void *(*cl_realloc_fn)(void *user_data, void *block, size_t size);

void *cl_malloc(size_t size);
void *cl_calloc(size_t count, size_t size);
void *cl_realloc(void *block, size_t size);
void cl_free(void *block);

/* Replaces the allocator (NULL: the default). The caller sees to it that nothing is allocated. */
void cl_mem_hook(cl_realloc_fn hook, void *user_data);

/* 1 while this thread is inside the hook: the API refuses to be entered then. */
int cl_mem_in_hook(void);

#endif
