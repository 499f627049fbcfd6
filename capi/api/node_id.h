/* Generated node ids: letter.random.pid.n, as docs/WIRE.md has them. */
#ifndef CL_NODE_ID_H
#define CL_NODE_ID_H

enum { CL_NODE_ID_MAX = 255 };

/* An owned text; `type` gives the letter. 0, CLOUDS_ENOMEM or CLOUDS_ESYSTEM (no random bytes). */
int cl_node_id_make(const char *type, char **out);

#endif
