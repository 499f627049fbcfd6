#include "mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static cl_realloc_fn mem_hook;
static void *mem_user_data;
static _Thread_local int mem_in_hook;

static void *hooked(void *block, size_t size)
{
    mem_in_hook++;
    void *result = mem_hook(mem_user_data, block, size);
    mem_in_hook--;
    return result;
}

void *cl_malloc(size_t size)
{
    if (size == 0) size = 1; /* size 0 would mean "free" to a hook */
    return mem_hook ? hooked(NULL, size) : malloc(size);
}

void *cl_calloc(size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size) return NULL;
    if (!mem_hook) return calloc(count, size);
    void *block = cl_malloc(count * size);
    if (block) memset(block, 0, count * size);
    return block;
}

void *cl_realloc(void *block, size_t size)
{
    if (size == 0) size = 1;
    return mem_hook ? hooked(block, size) : realloc(block, size);
}

void cl_free(void *block)
{
    if (!block) return;
    if (mem_hook) hooked(block, 0);
    else free(block);
}

void cl_mem_hook(cl_realloc_fn hook, void *user_data)
{
    mem_hook = hook;
    mem_user_data = user_data;
}

int cl_mem_in_hook(void)
{
    return mem_in_hook;
}
