// SPDX-License-Identifier: GPL-2.0
/* Does to a kernel what the runner of the virtual machine must notice. */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/string.h>

static char *how = "";
module_param(how, charp, 0);
MODULE_PARM_DESC(how, "warn or oops");

static int __init provoke_init(void)
{
	if (!strcmp(how, "warn"))
		WARN(1, "provoked on purpose\n");
	if (!strcmp(how, "oops"))
		*(volatile int *)8 = 0;
	return -ECANCELED;
}
module_init(provoke_init);

MODULE_DESCRIPTION("Test of the virtual machine runner");
MODULE_LICENSE("GPL");
