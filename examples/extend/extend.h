/* A directory and a transport of one's own, on a folder that all processes see: small, and whole. */
#ifndef EXAMPLE_EXTEND_H
#define EXAMPLE_EXTEND_H

/* board:FOLDER keeps a file for each node. */
int board_register(void);
/* box+board:FOLDER moves messages through a file for each node; with another directory BOX_FOLDER says where. */
int box_register(void);

#endif
