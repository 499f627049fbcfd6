/* The folder in which the processes of a user find each other. */
#ifndef CL_RUNTIME_FOLDER_H
#define CL_RUNTIME_FOLDER_H

#include <limits.h>

/* CLOUDS_RUNTIME_DIR, or one below /tmp; it is there afterwards. 0, or CLOUDS_ESYSTEM in words. */
int cl_runtime_folder(char out[PATH_MAX]);
/* Makes a folder if it is missing; what is there must be a private folder of ours, no link. */
int cl_folder_make_private(const char *path);

#endif
