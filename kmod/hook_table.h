/* SPDX-License-Identifier: GPL-2.0-only */
/* The table of hooks: what each of them is, and where its calls go. */
#ifndef TCPS_HOOK_TABLE_H
#define TCPS_HOOK_TABLE_H

#include <linux/bits.h>
#include <linux/types.h>

#include "addresses.h"
#include "tcpstates.h"

#define TCPS_HOOKS_MAX 32

/* Names of one function in different kernels: the first that exists is taken. */
#define TCPS_SYMBOLS_MAX 2

/* What may be relied upon while certain hooks are attached. */
#define TCPS_SEES_V4_REQUESTS_FREED	BIT(0)
#define TCPS_SEES_V6_REQUESTS_FREED	BIT(1)
#define TCPS_SEES_REQUEST_TIMERS	BIT(2)

struct pt_regs;
struct tcps_session;

/* Exactly one of @probe and @at_entry is set. */
struct tcps_hook_spec {
	const char *symbols[TCPS_SYMBOLS_MAX];
	u32 id;			/* TCPSTATES_HOOK_ID_* */
	unsigned int modes;	/* bits of TCPSTATES_HOOK_*: where it belongs */
	bool required;
	bool by_kprobe;		/* even where ftrace could be used */
	unsigned int sees;	/* TCPS_SEES_* */
	enum tcps_near near;	/* where a function is looked for */
	void *probe;		/* of a tracepoint */
	void (*at_entry)(struct tcps_session *session, struct pt_regs *regs);
};

extern const struct tcps_hook_spec tcps_hook_table[];
extern const unsigned int tcps_hook_table_rows;

#endif
