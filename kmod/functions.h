/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Functions hooked at their entry by ftrace, which costs less than half of a
 * kprobe, and, unlike one, also runs when an interrupt has come in the middle
 * of another one's handler.
 */
#ifndef TCPS_FUNCTIONS_H
#define TCPS_FUNCTIONS_H

#include <linux/ftrace.h>
#include <linux/types.h>

#include "compat.h"
#include "hook_specs.h"

struct pt_regs;
struct tcps_session;

/* So many more than hooks that hardly two of them want the same place. */
#define TCPS_FUNCTIONS_MAX	256

struct tcps_function {
	unsigned long ip;	/* 0: free */
	void (*at_entry)(struct tcps_session *session, struct pt_regs *regs);
};

/*
 * Locking rule: @by_ip does not change while @ops is registered. A part of
 * struct tcps_hooks, which tells whether calls are acted upon.
 */
struct tcps_functions {
#ifdef TCPS_HAVE_FTRACE
	struct ftrace_ops ops;
#endif
	bool registered;
	unsigned int nr;
	struct tcps_function by_ip[TCPS_FUNCTIONS_MAX];
};

void tcps_functions_init(struct tcps_functions *functions);
int tcps_functions_add_start(struct tcps_functions *functions, unsigned long start,
			     const struct tcps_hook_spec *spec);
int tcps_functions_add(struct tcps_functions *functions, unsigned long ip,
		       const struct tcps_hook_spec *spec);
int tcps_functions_attach(struct tcps_functions *functions);
bool tcps_functions_detach(struct tcps_functions *functions);

#endif
