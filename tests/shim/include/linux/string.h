/* SPDX-License-Identifier: GPL-2.0-only */
/* User space's stand-in. */
#ifndef SHIM_LINUX_STRING_H
#define SHIM_LINUX_STRING_H

#include <stddef.h>
#include <string.h>

/* The first byte that is not @byte, or NULL. */
static inline const void *memchr_inv(const void *mem, int byte, size_t len)
{
	const unsigned char *at = mem;

	for (; len; at++, len--)
		if (*at != (unsigned char)byte)
			return at;
	return NULL;
}

#endif
