// SPDX-License-Identifier: GPL-2.0-only
/* Are they a part of what the architecture makes of it (6.13, x86)? */
#include <linux/ftrace.h>

struct pt_regs *probe(struct ftrace_regs *fregs);
struct pt_regs *probe(struct ftrace_regs *fregs)
{
	return &arch_ftrace_regs(fregs)->regs;
}
