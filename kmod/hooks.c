// SPDX-License-Identifier: GPL-2.0-only
/*
 * The hooks of an activation, attached all or none. A hook that is required
 * and missing fails the activation by its name, an optional one is listed as not
 * attached.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/printk.h>
#include <linux/string.h>
#include <net/request_sock.h>

#include "compat.h"
#include "faults.h"
#include "hooks.h"
#include "session.h"

/**
 * tcps_hooks_free_requests() - will the end of a request like this one be seen?
 * @hooks: hooks of the activation
 * @req: the request
 *
 * Only then it may have a node.
 *
 * Context: Any.
 */
bool tcps_hooks_free_requests(const struct tcps_hooks *hooks, const struct request_sock *req)
{
	const unsigned int freed = req->rsk_ops->family == AF_INET6 ?
					   TCPS_SEES_V6_REQUESTS_FREED :
					   TCPS_SEES_V4_REQUESTS_FREED;

	return hooks->sees & freed;
}

static int on_kprobe(struct kprobe *kprobe, struct pt_regs *regs)
{
	const struct tcps_hook *hook = container_of(kprobe, struct tcps_hook, kprobe);
	struct tcps_session *session = tcps_hooks_session(hook->hooks);

	if (likely(session))
		hook->spec->at_entry(session, regs);
	return 0;
}

struct tracepoint_search {
	const char *name;
	struct tracepoint *found;
};

static void match_tracepoint(struct tracepoint *tracepoint, void *data)
{
	struct tracepoint_search *search = data;

	if (!strcmp(tracepoint->name, search->name))
		search->found = tracepoint;
}

static int attach_tracepoint(struct tcps_hook *hook)
{
	struct tracepoint_search search = { .name = hook->symbol };

	for_each_kernel_tracepoint(match_tracepoint, &search);
	if (!search.found)
		return -ENOENT;
	hook->tracepoint = search.found;
	return tracepoint_probe_register(hook->tracepoint, hook->spec->probe,
					 (void *)hook->hooks);
}

/* By address, or by name, which takes the kernel much longer. */
static void set_location(const struct tcps_hook *hook, struct kprobe *kprobe)
{
	if (hook->address)
		kprobe->addr = (void *)hook->address;
	else
		kprobe->symbol_name = hook->symbol;
}

/* A kprobe, which stays disabled if ftrace can be used instead. */
static int attach_kprobe(struct tcps_hooks *hooks, struct tcps_hook *hook)
{
	struct kprobe *kprobe = &hook->kprobe;
	int err;

	memset(kprobe, 0, sizeof(*kprobe));
	set_location(hook, kprobe);
	kprobe->pre_handler = on_kprobe;
	kprobe->flags = KPROBE_FLAG_DISABLED;
	err = register_kprobe(kprobe);
	if (err)
		return err;
	hook->way = TCPS_BY_FTRACE;
	err = -EOPNOTSUPP;
	if (!hook->spec->by_kprobe && kprobe->flags & KPROBE_FLAG_FTRACE)
		err = tcps_ftrace_add(&hooks->ftrace, (unsigned long)kprobe->addr,
				      hook->spec);
	if (err && err != -ENOMEM) {
		hook->way = TCPS_BY_KPROBE;
		err = enable_kprobe(kprobe);
	}
	if (err) {
		unregister_kprobe(kprobe);
		hook->way = TCPS_NOT_ATTACHED;
	}
	return err;
}

/* By ftrace if the address is known. A kprobe finds the function by its name, too. */
static int attach_function(struct tcps_hooks *hooks, struct tcps_hook *hook)
{
	int err = -EINVAL;

	if (hook->address && !hook->spec->by_kprobe)
		err = tcps_ftrace_add_start(&hooks->ftrace, hook->address, hook->spec);
	if (!err)
		hook->way = TCPS_BY_FTRACE;
	if (!err || err == -ENOMEM)
		return err;
	return attach_kprobe(hooks, hook);
}

static int attach_symbol(struct tcps_hooks *hooks, struct tcps_hook *hook)
{
	int err;

	if (tcps_fault())
		return -ENOMEM;
	hook->address = hook->spec->probe ? 0 : tcps_address_of(hook->symbol, hook->spec->near);
	if (hook->spec->at_entry)
		return attach_function(hooks, hook);
	err = attach_tracepoint(hook);
	hook->way = err ? TCPS_NOT_ATTACHED : TCPS_BY_TRACEPOINT;
	return err;
}

/*
 * By the first of its symbols that the kernel has; without any, the first one names
 * it. -ENOMEM ends the search, because it says nothing about the kernel's symbols.
 */
static int attach(struct tcps_hooks *hooks, struct tcps_hook *hook)
{
	unsigned int i;
	int err = -ENOENT;

	for (i = 0; err && err != -ENOMEM && i < TCPS_SYMBOLS_MAX && hook->spec->symbols[i]; i++) {
		hook->symbol = hook->spec->symbols[i];
		err = attach_symbol(hooks, hook);
	}
	if (err)
		hook->symbol = hook->spec->symbols[0];
	else
		hooks->sees |= hook->spec->sees;
	return err;
}

/*
 * The kernel could not remove it: to remove a kprobe from a call of ftrace needs
 * memory. The address is NULL then, but the kernel's table still contains it.
 */
static bool is_stuck(const struct kprobe *kprobe)
{
	return !kprobe->addr;
}

/**
 * tcps_hooks_detach() - detach the hooks: afterwards none runs any more, on any CPU
 * @hooks: hooks of the activation
 *
 * Kprobes go together, because the kernel waits for their last callers each time.
 * The order does not matter: calls are ignored already.
 *
 * Context: Process context, may sleep.
 */
void tcps_hooks_detach(struct tcps_hooks *hooks)
{
	struct kprobe *kprobes[TCPS_HOOKS_MAX];
	unsigned int i, nr = 0;

	WRITE_ONCE(hooks->session, NULL);
	if (!tcps_ftrace_detach(&hooks->ftrace)) {
		hooks->stuck = true;
		hooks->called = true;
		__module_get(THIS_MODULE);
		pr_warn("ftrace does not work any more and goes on calling: the module stays loaded\n");
	}
	for (i = 0; i < hooks->nr; i++) {
		struct tcps_hook *hook = &hooks->hook[i];

		if (hook->way == TCPS_BY_TRACEPOINT)
			tracepoint_probe_unregister(hook->tracepoint, hook->spec->probe, hooks);
		else if (hook->way == TCPS_BY_KPROBE)
			kprobes[nr++] = &hook->kprobe;
		hook->way = TCPS_NOT_ATTACHED;
	}
	unregister_kprobes(kprobes, nr);
	for (i = 0; i < nr; i++)
		hooks->stuck |= is_stuck(kprobes[i]);
	/* The last callers of tracepoints may still be running. */
	tracepoint_synchronize_unregister();
}

/* All that belong to the mode; ftrace does not call any of them yet. */
static int attach_each(struct tcps_hooks *hooks, const char **failed)
{
	unsigned int i;
	int err;

	for (i = 0; i < tcps_hook_table_rows; i++) {
		const struct tcps_hook_spec *spec = &tcps_hook_table[i];
		struct tcps_hook *hook = &hooks->hook[hooks->nr];

		if (!(spec->modes & BIT(hooks->mode)))
			continue;
		memset(hook, 0, sizeof(*hook));
		hook->spec = spec;
		hook->hooks = hooks;
		hooks->nr++;
		err = attach(hooks, hook);
		/* A lack of memory does not mean that the kernel lacks the function. */
		if (err && (spec->required || err == -ENOMEM)) {
			*failed = hook->symbol;
			return err;
		}
	}
	return 0;
}

/*
 * The kprobes that have found the calls of ftrace are removed before ftrace is
 * attached: a CPU that is late at the breakpoint of the patching must find none.
 */
static void drop_finders(struct tcps_hooks *hooks)
{
	struct kprobe *kprobes[TCPS_HOOKS_MAX];
	unsigned int i, nr = 0;

	for (i = 0; i < hooks->nr; i++)
		if (hooks->hook[i].way == TCPS_BY_FTRACE && hooks->hook[i].kprobe.addr)
			kprobes[nr++] = &hooks->hook[i].kprobe;
	unregister_kprobes(kprobes, nr);
}

static int attach_all(struct tcps_hooks *hooks, const char **failed)
{
	int err = attach_each(hooks, failed);

	drop_finders(hooks);
	if (err)
		return err;
	err = tcps_ftrace_attach(&hooks->ftrace);
	if (err)
		*failed = "ftrace";
	return err;
}

static int attach_mode(struct tcps_hooks *hooks, u32 mode, const char **failed)
{
	int err;

	hooks->nr = 0;
	hooks->sees = 0;
	hooks->mode = mode;
	tcps_ftrace_init(&hooks->ftrace);
	err = attach_all(hooks, failed);
	if (err)
		tcps_hooks_detach(hooks);
	return err;
}

static int attach_auto(struct tcps_hooks *hooks, const char **failed)
{
	int err = attach_mode(hooks, TCPSTATES_HOOK_TRACEPOINT, failed);

	if (err == -ENOENT && !hooks->stuck)
		err = attach_mode(hooks, TCPSTATES_HOOK_KPROBE, failed);
	return err;
}

/**
 * tcps_hooks_attach() - attach the hooks, all or none, and act upon their calls
 * @hooks: hooks of the activation
 * @session: the activation
 * @mode: TCPSTATES_HOOK_*
 * @failed: set with an error: name of the hook that could not be attached
 *
 * Context: Process context, may sleep.
 * Return: 0 or an error.
 */
int tcps_hooks_attach(struct tcps_hooks *hooks, struct tcps_session *session, u32 mode,
		      const char **failed)
{
	int err = mode == TCPSTATES_HOOK_AUTO ? attach_auto(hooks, failed) :
						attach_mode(hooks, mode, failed);

	if (err)
		return err;
	/* Pairs with the acquire in tcps_hooks_session(). */
	smp_store_release(&hooks->session, session);
	return 0;
}

static u64 hook_missed(const struct tcps_hook *hook)
{
	return hook->way == TCPS_BY_KPROBE ? READ_ONCE(hook->kprobe.nmissed) : 0;
}

/* TCPSTATES_HOOK_* of the way it is, or would be, attached. */
static u32 way_flags(const struct tcps_hook *hook)
{
	u32 attached = hook->way == TCPS_NOT_ATTACHED ? 0 : TCPSTATES_HOOK_ATTACHED;

	if (hook->spec->probe)
		return attached;
	if (hook->way == TCPS_BY_FTRACE)
		return attached | TCPSTATES_HOOK_IS_FTRACE;
	return attached | TCPSTATES_HOOK_IS_KPROBE;
}

/**
 * tcps_hooks_missed() - calls that the kernel did not make, since the activation
 * @hooks: hooks of the activation
 *
 * Context: Process context.
 */
u64 tcps_hooks_missed(const struct tcps_hooks *hooks)
{
	unsigned int i;
	u64 sum = 0;

	for (i = 0; i < hooks->nr; i++)
		sum += hook_missed(&hooks->hook[i]);
	return sum;
}

/**
 * tcps_hook_describe() - what is exported of a hook
 * @hook: the hook
 * @out: where to store it
 *
 * Context: Process context.
 */
void tcps_hook_describe(const struct tcps_hook *hook, struct tcpstates_hook *out)
{
	memset(out, 0, sizeof(*out));
	strscpy(out->symbol, hook->symbol, sizeof(out->symbol));
	out->id = hook->spec->id;
	out->flags = way_flags(hook);
	if (hook->spec->required)
		out->flags |= TCPSTATES_HOOK_REQUIRED;
	out->missed = hook_missed(hook);
}
