/* SPDX-License-Identifier: GPL-2.0-only */
/* The table of hooks, attached all or none. */
#ifndef TCPS_HOOKS_H
#define TCPS_HOOKS_H

#include <linux/kprobes.h>
#include <linux/tracepoint.h>

#include "tcpstates.h"

#define TCPS_HOOKS_MAX 8

struct tcps_session;
struct tcps_hook_spec;

struct tcps_hook {
	const struct tcps_hook_spec *spec;
	struct tcps_session *session;
	struct tracepoint *tracepoint;
	struct kprobe kprobe;
	bool attached;
};

struct tcps_hooks {
	u32 mode;	/* TCPSTATES_HOOK_TRACEPOINT or _KPROBE */
	unsigned int nr;
	struct tcps_hook hook[TCPS_HOOKS_MAX];
};

int tcps_hooks_attach(struct tcps_hooks *hooks, struct tcps_session *session, u32 mode,
		      const char **failed);
void tcps_hooks_detach(struct tcps_hooks *hooks);
u64 tcps_hooks_missed(const struct tcps_hooks *hooks);
void tcps_hook_describe(const struct tcps_hook *hook, struct tcpstates_hook *out);

#endif
