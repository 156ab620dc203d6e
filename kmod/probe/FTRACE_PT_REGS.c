// SPDX-License-Identifier: GPL-2.0-only
/* Does ftrace pass all registers (until 5.10)? */
#include <linux/ftrace.h>

static void probe(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops,
		  struct pt_regs *regs)
{
}

ftrace_func_t func(void);
ftrace_func_t func(void)
{
	return probe;
}
