// SPDX-License-Identifier: GPL-2.0-only
/* Does ftrace tell the arguments of a function by a function of its own (6.2)? */
#include <linux/ftrace.h>

unsigned long probe(struct ftrace_regs *regs);
unsigned long probe(struct ftrace_regs *regs)
{
	return ftrace_regs_get_argument(regs, 0);
}
