/* What the files of the inproc bus share. */
#ifndef CL_INPROC_INTERNAL_H
#define CL_INPROC_INTERNAL_H

#include <pthread.h>
#include <sys/types.h>

#include "base/list.h"
#include "base/map.h"
#include "bus/task.h"
#include "net/loop.h"
#include "proto/frame.h"

typedef struct cl_hall cl_hall;

/* Frames of the hall's own, between buses only. */
enum { CL_NEWS_UP = 'U', CL_NEWS_DOWN = 'D', CL_NEWS_GONE = 'X', CL_NEWS_DRAINING = 'G' };

/* One bus in the hall: its mailbox, into which every thread puts frames. All members are the hall's. */
typedef struct cl_member {
    cl_link place;
    cl_loop *loop;
    cl_waker *bell;
    cl_buf box;
    int rung; /* it has been told of what lies in the box */
    int deaf; /* its loop is gone */
    size_t soft, hard, message;
    cl_json_limits json;
    cl_strmap asked; /* method -> cl_ask: it hears who comes and goes there */
    cl_link asks;    /* the same, oldest first */
} cl_member;

/* A node in the hall. */
typedef struct cl_seat {
    cl_link mine; /* in its bus */
    void *handle; /* for its bus */
    cl_member *member;
    cl_strmap enrolled; /* method -> cl_offer */
    cl_str id;
    int taken;
    int is_leaving; /* the others are to be told yet */
    int is_closing; /* for its bus */
    char text[];
} cl_seat;

/* Joins the hall of a name, which is made by the first and ends with the last. */
int cl_hall_join(const char *name, cl_member *member, cl_hall **out);
/* No frames after this, though the seats are still taken. */
void cl_hall_deafen(cl_hall *hall, cl_member *member);
/* Nothing at all after this; the seats must have been given up. */
void cl_hall_leave(cl_hall *hall, cl_member *member);

/* 0, CLOUDS_EEXIST or CLOUDS_ENOMEM. */
int cl_hall_sit(cl_hall *hall, cl_seat *seat);
/* Withdraws everything and gives the seat up: what was posted to it is in the mailbox, and nothing more comes. */
void cl_hall_stand_up(cl_hall *hall, cl_seat *seat);
/* After that, tells all others: what they asked and was not answered until now is lost. */
void cl_hall_tell_gone(cl_hall *hall, cl_seat *seat);
int cl_hall_enroll(cl_hall *hall, cl_seat *seat, cl_str method);
void cl_hall_withdraw(cl_hall *hall, cl_seat *seat, cl_str method);
void cl_hall_drain(cl_hall *hall, cl_seat *seat);

/* Puts a frame into the mailbox of the node e->to: 0, CLOUDS_ENOSERVER (nobody there), CLOUDS_ELIMIT, CLOUDS_ETOOBIG,
 * CLOUDS_ENOMEM. It is too big when it is over the limits of who reads the mailbox; *most becomes what that takes. */
int cl_hall_post(cl_hall *hall, cl_member *from, const cl_envelope *e, size_t *most);
/* Exchanges the contents of the mailbox for an empty buffer. */
void cl_hall_fetch(cl_hall *hall, cl_member *member, cl_buf *out);
/* Appends a frame (method, from) for each server of a method, whose news the member hears from now on, or (NULL) of
 * every one. 0 or CLOUDS_ENOMEM. */
int cl_hall_list(cl_hall *hall, cl_member *member, const cl_str *method, cl_buf *out);

#endif
