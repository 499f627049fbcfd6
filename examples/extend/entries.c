#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "entries.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *copy(const char *p, size_t n)
{
    char *text = malloc(n + 1);
    if (!text) abort(); /* an example may */
    memcpy(text, p, n);
    text[n] = '\0';
    return text;
}

void add_line(struct line **lines, char kind, const char *text, size_t n, const char *more, size_t more_n)
{
    struct line *l = calloc(1, sizeof *l);
    if (!l) abort();
    l->kind = kind;
    l->text = copy(text, n);
    l->more = copy(more, more_n);
    while (*lines) lines = &(*lines)->next;
    *lines = l;
}

struct line **find_line(struct line **lines, const char *kinds, const char *text, size_t n)
{
    while (*lines && !(strchr(kinds, (*lines)->kind) &&
                       (!text || (strlen((*lines)->text) == n && memcmp((*lines)->text, text, n) == 0))))
        lines = &(*lines)->next;
    return lines;
}

void drop_line(struct line **at)
{
    struct line *l = *at;
    if (!l) return;
    *at = l->next;
    free(l->text);
    free(l->more);
    free(l);
}

void drop_lines(struct line **lines, const char *kinds)
{
    while (*find_line(lines, kinds, NULL, 0)) drop_line(find_line(lines, kinds, NULL, 0));
}

void free_entry(struct entry *e)
{
    while (e->lines) drop_line(&e->lines);
    free(e->id);
    free(e);
}

struct entry *find_entry(struct entry *e, const char *id, size_t n)
{
    while (e && !(strlen(e->id) == n && memcmp(e->id, id, n) == 0)) e = e->next;
    return e;
}

void entry_path(const char *folder, const char *id, const char *end, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%s%s", folder, id, end);
}

/* Others see the old file or the new one, and nothing between. */
int entry_write(const char *folder, const struct entry *e)
{
    char path[PATH_MAX], new[PATH_MAX];
    entry_path(folder, e->id, ".node", path);
    entry_path(folder, e->id, ".new", new);
    FILE *f = fopen(new, "we");
    if (!f) return -1;
    for (const struct line *l = e->lines; l; l = l->next) fprintf(f, "%c%s\t%s\n", l->kind, l->text, l->more);
    int bad = ferror(f);
    bad |= fclose(f);
    return bad || rename(new, path) ? -1 : 0;
}

static struct entry *read_file(const char *folder, const char *name)
{
    size_t n = strlen(name), room = 0;
    char path[PATH_MAX], *text = NULL;
    struct entry *e = calloc(1, sizeof *e);
    if (!e) abort();
    snprintf(path, sizeof path, "%s/%s", folder, name);
    e->id = copy(name, n - 5);
    FILE *f = fopen(path, "re");
    for (ssize_t len; f && (len = getline(&text, &room, f)) > 2;) {
        char *tab = strchr(text, '\t');
        if (tab) add_line(&e->lines, text[0], text + 1, (size_t)(tab - text - 1), tab + 1, strlen(tab) - 2);
    }
    free(text);
    if (f) fclose(f);
    else free_entry(e), e = NULL;
    return e;
}

struct entry *entry_read_all(const char *folder)
{
    struct entry *all = NULL, *e;
    DIR *dir = opendir(folder);
    for (struct dirent *d; dir && (d = readdir(dir));) {
        size_t n = strlen(d->d_name);
        if (n < 6 || strcmp(d->d_name + n - 5, ".node") != 0 || !(e = read_file(folder, d->d_name))) continue;
        e->next = all;
        all = e;
    }
    if (dir) closedir(dir);
    return all;
}
