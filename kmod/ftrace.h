/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Functions hooked at their entry by ftrace. It costs less than half of a kprobe
 * and, unlike a kprobe, is not skipped when it interrupts the handler of another
 * one.
 */
#ifndef TCPS_FTRACE_H
#define TCPS_FTRACE_H

#include <linux/ftrace.h>
#include <linux/types.h>

#include "compat.h"
#include "hook_table.h"

struct pt_regs;
struct tcps_session;

/* Many more than there are hooks, so that two of them seldom want the same entry. */
#define TCPS_FTRACE_MAX	256

struct tcps_ftrace_func {
	unsigned long ip;	/* 0: free */
	void (*at_entry)(struct tcps_session *session, struct pt_regs *regs);
};

/*
 * Locking rule: @by_ip does not change while @ops is registered. This is a part of
 * struct tcps_hooks, whose @session is NULL while calls are ignored.
 */
struct tcps_ftrace {
#ifdef TCPS_HAVE_FTRACE
	struct ftrace_ops ops;
#endif
	bool registered;
	unsigned int nr;
	struct tcps_ftrace_func by_ip[TCPS_FTRACE_MAX];
};

void tcps_ftrace_init(struct tcps_ftrace *ftrace);
int tcps_ftrace_add_start(struct tcps_ftrace *ftrace, unsigned long start,
			  const struct tcps_hook_spec *spec);
int tcps_ftrace_add(struct tcps_ftrace *ftrace, unsigned long ip,
		    const struct tcps_hook_spec *spec);
int tcps_ftrace_attach(struct tcps_ftrace *ftrace);
bool tcps_ftrace_detach(struct tcps_ftrace *ftrace);

#endif
