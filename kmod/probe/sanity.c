// SPDX-License-Identifier: GPL-2.0-only
/* Compiles on every kernel; if it does not, no probe can be believed. */
#include <linux/module.h>

int sanity(void);
int sanity(void)
{
	return 0;
}
