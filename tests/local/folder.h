/* A runtime folder of the test's own: `folder`; the buses of the name "t" meet in it. */
#ifndef LOCAL_FOLDER_H
#define LOCAL_FOLDER_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/tap.h"

static char folder[64];

/* The beginning of main. */
static inline void folder_begin(void)
{
    strcpy(folder, "/tmp/clouds-local-XXXXXX");
    if (!mkdtemp(folder)) exit(99);
    setenv("CLOUDS_RUNTIME_DIR", folder, 1);
}

static inline int folder_remove(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

/* The end of main. */
static inline int folder_end(void)
{
    return folder_remove() == 0 ? tap_end() : 1;
}

static inline int files_left(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/t", folder);
    DIR *dir = opendir(path);
    int n = 0;
    for (struct dirent *d; dir && (d = readdir(dir));) n += strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
    if (dir) closedir(dir);
    return n;
}

#endif
