/* Generated node ids: letter.host.pid.n, as docs/WIRE.md has them. */
#ifndef CL_NODE_ID_H
#define CL_NODE_ID_H

enum { CL_NODE_ID_MAX = 255 };

/* An owned text, or NULL when out of memory. `type` gives the letter. */
char *cl_node_id_make(const char *type);

#endif
