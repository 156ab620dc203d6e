// SPDX-License-Identifier: GPL-2.0-only
/* Functions hooked at their entry by ftrace. */
#include <linux/ftrace.h>
#include <linux/string.h>

#include "compat.h"
#include "ftrace.h"
#include "hooks.h"

#ifdef TCPS_HAVE_FTRACE

/*
 * Alignment of functions: the bits of an address above it serve as a hash. An entry
 * has the same size, so that these bits are its offset in the table, too.
 */
#define ALIGNMENT	16
static_assert(sizeof(struct tcps_ftrace_func) == ALIGNMENT);

/* Bytes of the instruction (ENDBR) at the start of a function on x86 with IBT. */
#define ENDBR_BYTES		4

/* The entry of a function, unless another function has taken it. */
static __always_inline struct tcps_ftrace_func *home_of(struct tcps_ftrace *ftrace,
							unsigned long ip)
{
	unsigned long offset = ip & (sizeof(ftrace->by_ip) - ALIGNMENT);

	return (void *)ftrace->by_ip + offset;
}

static struct tcps_ftrace_func *slot_of(struct tcps_ftrace *ftrace, unsigned long ip)
{
	struct tcps_ftrace_func *function = home_of(ftrace, ip);

	while (function->ip && function->ip != ip)
		if (++function == ftrace->by_ip + TCPS_FTRACE_MAX)
			function = ftrace->by_ip;
	return function;
}

/* Not in its own entry: in a later one, or known by the other end of ENDBR. NULL: not at all. */
static noinline const struct tcps_ftrace_func *seek(struct tcps_ftrace *ftrace,
						    unsigned long ip)
{
	const unsigned long ips[] = { ip, ip - ENDBR_BYTES, ip + ENDBR_BYTES };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ips); i++) {
		const struct tcps_ftrace_func *function = slot_of(ftrace, ips[i]);

		if (function->ip)
			return function;
	}
	return NULL;
}

/* The slow path of on_function(). A tail call, so that the fast path saves no registers. */
static noinline void notrace on_seldom(unsigned long ip, struct tcps_hooks *hooks,
				       struct tcps_session *session, tcps_ftrace_regs *regs)
{
	const struct tcps_ftrace_func *function = seek(&hooks->ftrace, ip);

	if (function)
		function->at_entry(session, tcps_ftrace_pt_regs(regs));
}

/* No hooked function is called from here, so it need not guard against itself. */
static void notrace on_function(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops,
				tcps_ftrace_regs *regs)
{
	struct tcps_hooks *hooks = container_of(ops, struct tcps_hooks, ftrace.ops);
	struct tcps_session *session = tcps_hooks_session(hooks);
	const struct tcps_ftrace_func *function = home_of(&hooks->ftrace, ip);

	if (unlikely(!session))
		return;
	if (likely(function->ip == ip))
		function->at_entry(session, tcps_ftrace_pt_regs(regs));
	else
		on_seldom(ip, hooks, session, regs);
}

/**
 * tcps_ftrace_init() - an empty set of functions
 * @ftrace: the set of functions
 *
 * Context: Process context.
 */
void tcps_ftrace_init(struct tcps_ftrace *ftrace)
{
	memset(ftrace, 0, sizeof(*ftrace));
	ftrace->ops.func = on_function;
	ftrace->ops.flags = TCPS_FTRACE_FLAGS;
}

/**
 * tcps_ftrace_add() - hook a function by where it calls ftrace
 * @ftrace: the set of functions
 * @ip: address of the call
 * @spec: row of the table of hooks
 *
 * Context: Process context, may sleep.
 * Return: 0 or an error.
 */
int tcps_ftrace_add(struct tcps_ftrace *ftrace, unsigned long ip,
		    const struct tcps_hook_spec *spec)
{
	int err = ftrace_set_filter_ip(&ftrace->ops, ip, 0, 0);

	if (err)
		return err;
	*slot_of(ftrace, ip) = (struct tcps_ftrace_func){ ip, spec->at_entry };
	ftrace->nr++;
	return 0;
}

/**
 * tcps_ftrace_add_start() - hook the function that starts at an address
 * @ftrace: the set of functions
 * @start: address of the function
 * @spec: row of the table of hooks
 *
 * With IBT most functions start with ENDBR, and call ftrace behind it. ftrace
 * refuses any other address inside of a function.
 *
 * Context: Process context, may sleep.
 * Return: 0 or an error; -EINVAL: ftrace cannot hook it.
 */
int tcps_ftrace_add_start(struct tcps_ftrace *ftrace, unsigned long start,
			  const struct tcps_hook_spec *spec)
{
	int err = -EINVAL;

	if (IS_ENABLED(CONFIG_X86_KERNEL_IBT))
		err = tcps_ftrace_add(ftrace, start + ENDBR_BYTES, spec);
	if (err == -EINVAL)
		err = tcps_ftrace_add(ftrace, start, spec);
	return err;
}

static void drop_filter(struct tcps_ftrace *ftrace)
{
	tcps_ftrace_free_filter(&ftrace->ops);
	ftrace->nr = 0;
}

/**
 * tcps_ftrace_attach() - ftrace calls the hooks from now on
 * @ftrace: the set of functions
 *
 * Context: Process context, may sleep.
 * Return: 0 or an error.
 */
int tcps_ftrace_attach(struct tcps_ftrace *ftrace)
{
	int err;

	/* An empty filter would mean every function there is. */
	if (!ftrace->nr)
		return 0;
	err = register_ftrace_function(&ftrace->ops);
	if (err) {
		drop_filter(ftrace);
		return err;
	}
	ftrace->registered = true;
	return 0;
}

/**
 * tcps_ftrace_detach() - ftrace does not call the hooks any more
 * @ftrace: the set of functions
 *
 * Context: Process context, may sleep.
 * Return: true: no hook runs any more, on any CPU. False: ftrace has disabled
 *	itself after a bug of the kernel, and goes on calling. The calls do nothing any
 *	more, but some may still be running.
 */
bool tcps_ftrace_detach(struct tcps_ftrace *ftrace)
{
	bool gone = true;

	if (!ftrace->nr)
		return true;
	if (ftrace->registered)
		gone = !unregister_ftrace_function(&ftrace->ops);
	ftrace->registered = false;
	if (gone)
		drop_filter(ftrace);
	return gone;
}

#else

void tcps_ftrace_init(struct tcps_ftrace *ftrace)
{
}

int tcps_ftrace_add(struct tcps_ftrace *ftrace, unsigned long ip,
		    const struct tcps_hook_spec *spec)
{
	return -EOPNOTSUPP;
}

int tcps_ftrace_add_start(struct tcps_ftrace *ftrace, unsigned long start,
			  const struct tcps_hook_spec *spec)
{
	return -EOPNOTSUPP;
}

int tcps_ftrace_attach(struct tcps_ftrace *ftrace)
{
	return 0;
}

bool tcps_ftrace_detach(struct tcps_ftrace *ftrace)
{
	return true;
}

#endif
