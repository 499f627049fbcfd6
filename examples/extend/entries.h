/* What the board keeps of a node, and its file. */
#ifndef EXAMPLE_ENTRIES_H
#define EXAMPLE_ENTRIES_H

#include <limits.h>
#include <stddef.h>

/* A line of a file: 'm' method, 'p' paused method, 's' topic and group, 'a' address, 'w' weight and tags, 'd' draining. */
struct line {
    struct line *next;
    char kind, *text, *more;
};

struct entry {
    struct entry *next;
    struct line *lines;
    char *id;
    /* of a node of ours */
    void *node;
    int lock, announced;
};

char *copy(const char *p, size_t n);

void add_line(struct line **lines, char kind, const char *text, size_t n, const char *more, size_t more_n);
/* The first of one of the kinds with this text (NULL: any), or the end. */
struct line **find_line(struct line **lines, const char *kinds, const char *text, size_t n);
void drop_line(struct line **at);
void drop_lines(struct line **lines, const char *kinds);

struct entry *find_entry(struct entry *e, const char *id, size_t n);
void free_entry(struct entry *e);

void entry_path(const char *folder, const char *id, const char *end, char path[PATH_MAX]);
/* 0, or -1 and errno. */
int entry_write(const char *folder, const struct entry *e);
struct entry *entry_read_all(const char *folder);

#endif
