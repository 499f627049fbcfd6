/* MD5 (RFC 1321), for the host part of node ids only: it is no protection. */
#ifndef CL_MD5_H
#define CL_MD5_H

#include <stddef.h>

void cl_md5(const void *data, size_t n, unsigned char digest[16]);

#endif
