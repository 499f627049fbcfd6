/* An intrusive doubly linked list: embed a cl_list_node, keep a cl_list_node as head. */
#ifndef CL_LIST_H
#define CL_LIST_H

#include <stddef.h>

typedef struct cl_list_node {
    struct cl_list_node *prev, *next;
} cl_list_node;

#define CL_OWNER(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

/* Visits every link; the one visited may be removed meanwhile. */
#define CL_LIST_EACH(it, head)                                                                                         \
    for (cl_list_node *it = (head)->next, *it##_next = it->next; it != (head); it = it##_next, it##_next = it->next)

static inline void cl_list_init(cl_list_node *head)
{
    head->prev = head->next = head;
}

static inline int cl_list_empty(const cl_list_node *head)
{
    return head->next == head;
}

static inline void cl_list_append(cl_list_node *head, cl_list_node *link)
{
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}

static inline void cl_list_insert_first(cl_list_node *head, cl_list_node *link)
{
    cl_list_append(head->next, link);
}

/* Removes a link from whatever list it is in; removing it again is harmless. */
static inline void cl_list_remove(cl_list_node *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->prev = link->next = link;
}

/* Moves all links of a list to the head `to`, which was none before. */
static inline void cl_list_move(cl_list_node *from, cl_list_node *to)
{
    cl_list_init(to);
    if (cl_list_empty(from)) return;
    *to = *from;
    to->next->prev = to->prev->next = to;
    cl_list_init(from);
}

#endif
