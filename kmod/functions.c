// SPDX-License-Identifier: GPL-2.0-only
/* Functions hooked at their entry by ftrace. */
#include <linux/ftrace.h>
#include <linux/string.h>

#include "compat.h"
#include "functions.h"

#ifdef TCPS_HAVE_FTRACE

/*
 * Functions are aligned to this: the bits above are as good as a hash. As large
 * as an entry, it makes these bits its offset.
 */
#define ALIGNMENT	16
static_assert(sizeof(struct tcps_function) == ALIGNMENT);

/* Where a function is, unless another one was there before. */
static __always_inline struct tcps_function *home_of(struct tcps_functions *functions,
						     unsigned long ip)
{
	unsigned long offset = ip & (sizeof(functions->by_ip) - ALIGNMENT);

	return (void *)functions->by_ip + offset;
}

static noinline struct tcps_function *slot_of(struct tcps_functions *functions, unsigned long ip)
{
	struct tcps_function *function = home_of(functions, ip);

	while (function->ip && function->ip != ip)
		if (++function == functions->by_ip + TCPS_FUNCTIONS_MAX)
			function = functions->by_ip;
	return function;
}

/* No hooked function is called from here, so it need not guard against itself. */
static void notrace on_function(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops,
				tcps_ftrace_regs *regs)
{
	struct tcps_functions *functions = container_of(ops, struct tcps_functions, ops);
	/* Pairs with the release in tcps_functions_attach(). */
	struct tcps_session *session = smp_load_acquire(&functions->session);
	const struct tcps_function *function = home_of(functions, ip);

	if (unlikely(!session))
		return;
	if (unlikely(function->ip != ip))
		function = slot_of(functions, ip);
	function->at_entry(session, tcps_ftrace_pt_regs(regs));
}

void tcps_functions_init(struct tcps_functions *functions)
{
	memset(functions, 0, sizeof(*functions));
	functions->ops.func = on_function;
	functions->ops.flags = TCPS_FTRACE_FLAGS;
}

/* @ip is where the function calls ftrace. */
int tcps_functions_add(struct tcps_functions *functions, unsigned long ip,
		       const struct tcps_hook_spec *spec)
{
	int err = ftrace_set_filter_ip(&functions->ops, ip, 0, 0);

	if (err)
		return err;
	*slot_of(functions, ip) = (struct tcps_function){ ip, spec->at_entry };
	functions->nr++;
	return 0;
}

static void drop_filter(struct tcps_functions *functions)
{
	tcps_ftrace_free_filter(&functions->ops);
	functions->nr = 0;
}

int tcps_functions_attach(struct tcps_functions *functions, struct tcps_session *session)
{
	int err;

	/* An empty filter would mean every function there is. */
	if (!functions->nr)
		return 0;
	err = register_ftrace_function(&functions->ops);
	if (err) {
		drop_filter(functions);
		return err;
	}
	/* Pairs with the acquire in on_function(): all of them are patched. */
	smp_store_release(&functions->session, session);
	return 0;
}

/*
 * On return no hook runs any more, on any CPU; unless it is false. Then ftrace
 * has died of a bug of the kernel, and goes on calling us. That does nothing
 * any more, but some may be in the midst of it.
 */
bool tcps_functions_detach(struct tcps_functions *functions)
{
	bool gone = true;

	if (!functions->nr)
		return true;
	if (functions->session)
		gone = !unregister_ftrace_function(&functions->ops);
	WRITE_ONCE(functions->session, NULL);
	if (gone)
		drop_filter(functions);
	return gone;
}

#else

void tcps_functions_init(struct tcps_functions *functions)
{
}

int tcps_functions_add(struct tcps_functions *functions, unsigned long ip,
		       const struct tcps_hook_spec *spec)
{
	return -EOPNOTSUPP;
}

int tcps_functions_attach(struct tcps_functions *functions, struct tcps_session *session)
{
	return 0;
}

bool tcps_functions_detach(struct tcps_functions *functions)
{
	return true;
}

#endif
