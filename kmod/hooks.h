/* SPDX-License-Identifier: GPL-2.0-only */
/* The hooks of an activation, attached all or none. */
#ifndef TCPS_HOOKS_H
#define TCPS_HOOKS_H

#include <linux/kprobes.h>
#include <linux/tracepoint.h>

#include "ftrace.h"
#include "hook_table.h"
#include "tcpstates.h"

struct request_sock;
struct tcps_session;

/* How a function is hooked. */
enum tcps_way {
	TCPS_NOT_ATTACHED,
	TCPS_BY_TRACEPOINT,
	TCPS_BY_FTRACE,
	TCPS_BY_KPROBE,
};

struct tcps_hook {
	const struct tcps_hook_spec *spec;
	const struct tcps_hooks *hooks;	/* all of them */
	struct tracepoint *tracepoint;
	struct kprobe kprobe;	/* with ftrace: only finds the address, then is removed */
	const char *symbol;	/* of the spec's, the one that is attached */
	unsigned long address;	/* of the function; 0: not known */
	enum tcps_way way;
};

/*
 * Locking rule: hooks read @session before anything else. It is set when all of
 * them are attached, and cleared before the first one is detached: calls outside
 * of this are ignored, so that all hooks start and end at one moment. The rest
 * does not change in between.
 */
struct tcps_hooks {
	struct tcps_session *session;	/* NULL: hooks are not acted upon */
	u32 mode;		/* TCPSTATES_HOOK_TRACEPOINT or _KPROBE */
	unsigned int nr;
	unsigned int sees;	/* TCPS_SEES_* */
	bool stuck;		/* the kernel keeps a kprobe for good: so must we */
	bool called;		/* ftrace calls for good: keep all that hooks read */
	struct tcps_hook hook[TCPS_HOOKS_MAX];
	struct tcps_ftrace ftrace;
};

/**
 * tcps_hooks_session() - what a hook that is called acts for
 * @hooks: hooks of the activation
 *
 * Context: Any.
 * Return: the activation; NULL: the hook does nothing.
 */
static __always_inline struct tcps_session *tcps_hooks_session(const struct tcps_hooks *hooks)
{
	/* Pairs with the release in tcps_hooks_attach(). */
	return smp_load_acquire(&hooks->session);
}

int tcps_hooks_attach(struct tcps_hooks *hooks, struct tcps_session *session, u32 mode,
		      const char **failed);
void tcps_hooks_detach(struct tcps_hooks *hooks);
bool tcps_hooks_free_requests(const struct tcps_hooks *hooks, const struct request_sock *req);
u64 tcps_hooks_missed(const struct tcps_hooks *hooks);
void tcps_hook_describe(const struct tcps_hook *hook, struct tcpstates_hook *out);

#endif
