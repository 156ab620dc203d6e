// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of hooks, attached all or none. A hook that is required and
 * missing fails the activation by its name, an optional one is listed with
 * what is lost without it.
 */
#include <linux/string.h>
#include <net/sock.h>
#include <trace/events/sock.h>
#include <trace/events/tcp.h>

#include "hooks.h"
#include "session.h"
#include "transition.h"

#define IN_TRACEPOINT	BIT(TCPSTATES_HOOK_TRACEPOINT)
#define IN_KPROBE	BIT(TCPSTATES_HOOK_KPROBE)

struct tcps_hook_spec {
	const char *symbol;
	const char *feeds;
	unsigned int modes;	/* IN_*: the modes that it belongs to */
	bool required;
	void *probe;		/* of a tracepoint, NULL for a kprobe */
	kprobe_pre_handler_t handler;
};

static void on_set_state(void *data, const struct sock *sk, const int old, const int new)
{
	tcps_transition(data, sk, old, new);
}

static void on_destroy_sock(void *data, struct sock *sk)
{
	tcps_sock_destroyed(data, sk);
}

/* inet_sk_state_store(sk, new) and inet_sk_set_state(sk, new), at their entry. */
static int on_store_state(struct kprobe *kprobe, struct pt_regs *regs)
{
	const struct tcps_hook *hook = container_of(kprobe, struct tcps_hook, kprobe);
	const struct sock *sk = (const struct sock *)regs_get_kernel_argument(regs, 0);
	int new = (int)regs_get_kernel_argument(regs, 1);

	tcps_transition(hook->session, sk, READ_ONCE(sk->sk_state), new);
	return 0;
}

static const struct tcps_hook_spec specs[] = {
	{
		.symbol = "inet_sock_set_state",
		.feeds = "transitions of sockets",
		.modes = IN_TRACEPOINT,
		.required = true,
		.probe = on_set_state,
	},
	{
		.symbol = "inet_sk_state_store",
		.feeds = "transitions of sockets",
		.modes = IN_KPROBE,
		.required = true,
		.handler = on_store_state,
	},
	{
		.symbol = "inet_sk_set_state",
		.feeds = "transitions of sockets",
		.modes = IN_KPROBE,
		.required = true,
		.handler = on_store_state,
	},
	{
		/*
		 * No node may outlive its socket. Its CLOSE has removed it,
		 * unless the kernel missed a kprobe, or goes a way to free a
		 * socket that is not known here.
		 */
		.symbol = "tcp_destroy_sock",
		.feeds = "removal of sockets whose end was not seen",
		.modes = IN_TRACEPOINT | IN_KPROBE,
		.required = true,
		.probe = on_destroy_sock,
	},
};

static_assert(ARRAY_SIZE(specs) <= TCPS_HOOKS_MAX);

/* The kernel's prototypes, not ours, decide what a probe is called with. */
static inline void check_prototypes(void)
{
	check_trace_callback_type_inet_sock_set_state(on_set_state);
	check_trace_callback_type_tcp_destroy_sock(on_destroy_sock);
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
	struct tracepoint_search search = { .name = hook->spec->symbol };

	for_each_kernel_tracepoint(match_tracepoint, &search);
	if (!search.found)
		return -ENOENT;
	hook->tracepoint = search.found;
	return tracepoint_probe_register(hook->tracepoint, hook->spec->probe, hook->session);
}

static int attach_kprobe(struct tcps_hook *hook)
{
	hook->kprobe.symbol_name = hook->spec->symbol;
	hook->kprobe.pre_handler = hook->spec->handler;
	return register_kprobe(&hook->kprobe);
}

static int attach(struct tcps_hook *hook)
{
	int err = hook->spec->probe ? attach_tracepoint(hook) : attach_kprobe(hook);

	hook->attached = !err;
	return err;
}

static void detach(struct tcps_hook *hook)
{
	if (!hook->attached)
		return;
	if (hook->spec->probe)
		tracepoint_probe_unregister(hook->tracepoint, hook->spec->probe, hook->session);
	else
		unregister_kprobe(&hook->kprobe);
	hook->attached = false;
}

/* On return no hook runs any more, on any CPU. */
void tcps_hooks_detach(struct tcps_hooks *hooks)
{
	unsigned int i = hooks->nr;

	while (i--)
		detach(&hooks->hook[i]);
	/* Tracepoints let the last callers go on; unregister_kprobe() waited. */
	tracepoint_synchronize_unregister();
}

static int attach_all(struct tcps_hooks *hooks, struct tcps_session *session,
		      const char **failed)
{
	unsigned int i;
	int err;

	for (i = 0; i < ARRAY_SIZE(specs); i++) {
		struct tcps_hook *hook = &hooks->hook[hooks->nr];

		if (!(specs[i].modes & BIT(hooks->mode)))
			continue;
		memset(hook, 0, sizeof(*hook));
		hook->spec = &specs[i];
		hook->session = session;
		hooks->nr++;
		err = attach(hook);
		if (err && hook->spec->required) {
			*failed = hook->spec->symbol;
			return err;
		}
	}
	return 0;
}

static int attach_mode(struct tcps_hooks *hooks, struct tcps_session *session, u32 mode,
		       const char **failed)
{
	int err;

	hooks->nr = 0;
	hooks->mode = mode;
	err = attach_all(hooks, session, failed);
	if (err)
		tcps_hooks_detach(hooks);
	return err;
}

/* With an error, *@failed names the hook that could not be attached. */
int tcps_hooks_attach(struct tcps_hooks *hooks, struct tcps_session *session, u32 mode,
		      const char **failed)
{
	int err;

	if (mode != TCPSTATES_HOOK_AUTO)
		return attach_mode(hooks, session, mode, failed);
	err = attach_mode(hooks, session, TCPSTATES_HOOK_TRACEPOINT, failed);
	if (err == -ENOENT)
		err = attach_mode(hooks, session, TCPSTATES_HOOK_KPROBE, failed);
	return err;
}

static u64 hook_missed(const struct tcps_hook *hook)
{
	return hook->spec->probe ? 0 : READ_ONCE(hook->kprobe.nmissed);
}

/* Calls that the kernel could not pass on, since the activation. */
u64 tcps_hooks_missed(const struct tcps_hooks *hooks)
{
	unsigned int i;
	u64 sum = 0;

	for (i = 0; i < hooks->nr; i++)
		sum += hook_missed(&hooks->hook[i]);
	return sum;
}

void tcps_hook_describe(const struct tcps_hook *hook, struct tcpstates_hook *out)
{
	memset(out, 0, sizeof(*out));
	strscpy(out->symbol, hook->spec->symbol, sizeof(out->symbol));
	strscpy(out->feeds, hook->spec->feeds, sizeof(out->feeds));
	if (!hook->spec->probe)
		out->flags |= TCPSTATES_HOOK_IS_KPROBE;
	if (hook->spec->required)
		out->flags |= TCPSTATES_HOOK_REQUIRED;
	if (hook->attached)
		out->flags |= TCPSTATES_HOOK_ATTACHED;
	out->missed = hook_missed(hook);
}
