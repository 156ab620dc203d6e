// SPDX-License-Identifier: GPL-2.0-only
/* Are the registers that ftrace saves a part of what it passes (5.11 to 6.12, x86)? */
#include <linux/ftrace.h>

struct pt_regs *probe(struct ftrace_regs *fregs);
struct pt_regs *probe(struct ftrace_regs *fregs)
{
	return &fregs->regs;
}
