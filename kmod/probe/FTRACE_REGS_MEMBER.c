// SPDX-License-Identifier: GPL-2.0-only
/* Are the registers that ftrace saves a part of what it passes (5.11 to 6.12)? */
#include <linux/ftrace.h>

unsigned long probe(struct ftrace_regs *regs);
unsigned long probe(struct ftrace_regs *regs)
{
	return regs_get_kernel_argument(&regs->regs, 0);
}
