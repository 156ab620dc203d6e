// SPDX-License-Identifier: GPL-2.0-only
/* The record of a step, and whether there is one. */
#include <linux/string.h>

#include "filter.h"
#include "record.h"
#include "session.h"
#include "sockinfo.h"

/**
 * tcps_ident_untracked() - the identity of a connection that has no node
 * @sk: its socket
 * @kind: enum tcps_kind of @sk
 * @who: the identity, which need not be zeroed
 *
 * Context: Any. @sk is alive.
 */
void tcps_ident_untracked(const struct sock *sk, u8 kind, struct tcpstates_ident *who)
{
	tcps_sock_tuple(sk, kind, who);
	memset(who, 0, sizeof(struct tcps_known));
	who->netns = tcps_sock_netns(sk);
	who->role = TCPSTATES_ROLE_UNKNOWN;
	who->ifindex = READ_ONCE(sk->sk_bound_dev_if);
}

static bool passes_filter(const struct tcpstates_filter *filter, const struct sock *sk, u8 kind)
{
	struct tcpstates_ident who;

	tcps_sock_tuple(sk, kind, &who);
	who.netns = tcps_sock_netns(sk);
	who.ifindex = READ_ONCE(sk->sk_bound_dev_if);
	return tcps_filter_match(filter, &who);
}

/**
 * tcps_record_skips() - is a step counted, but not recorded?
 * @session: the activation, which has a filter or min-ms, or lacks a ring
 * @stats: counters of this CPU; the reason is counted there
 * @sk: socket of the step
 * @kind: enum tcps_kind of @sk
 * @in_old_ns: time in the old state
 * @is_known: whether that is known; only then min-ms applies
 *
 * Context: Any, interrupts off.
 */
bool tcps_record_skips(const struct tcps_session *session, struct tcps_cpu_stats *stats,
		       const struct sock *sk, u8 kind, u64 in_old_ns, bool is_known)
{
	lockdep_assert_irqs_disabled();
	if (session->has_filter && !passes_filter(&session->config.filter, sk, kind))
		tcps_add(stats->filtered, 1);
	else if (is_known && in_old_ns < session->config.min_ns)
		tcps_add(stats->too_short, 1);
	else if (!stats->ring)
		tcps_add(stats->ringless, 1);
	else
		return false;
	return true;
}
