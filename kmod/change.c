// SPDX-License-Identifier: GPL-2.0-only
/* One step of a connection from state to state, and what a node is told. */
#include <linux/cgroup.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <net/tcp_states.h>

#include "change.h"
#include "pairs.h"
#include "listeners.h"
#include "session.h"
#include "sockinfo.h"

const u8 tcps_state_class[TCPSTATES_NR_STATES] = {
	[TCPSTATES_STATE_NEW] = TCPS_NO_CLASS,
	[TCP_ESTABLISHED] = TCPS_ESTABLISHED,
	[TCP_SYN_SENT] = TCPS_HALF_OPEN,
	[TCP_SYN_RECV] = TCPS_HALF_OPEN,
	[TCP_FIN_WAIT1] = TCPS_CLOSING,
	[TCP_FIN_WAIT2] = TCPS_CLOSING,
	[TCP_TIME_WAIT] = TCPS_IN_TIMEWAIT,
	[TCP_CLOSE] = TCPS_NO_CLASS,
	[TCP_CLOSE_WAIT] = TCPS_CLOSING,
	[TCP_LAST_ACK] = TCPS_CLOSING,
	[TCP_LISTEN] = TCPS_LISTENING,
	[TCP_CLOSING] = TCPS_CLOSING,
	[TCP_NEW_SYN_RECV] = TCPS_HALF_OPEN,
};

const u8 tcps_reasons[TCPSTATES_NR_STATES] = {
	[TCP_FIN_WAIT1] = TCPSTATES_REASON_CLOSED_LOCAL,
	[TCP_CLOSE_WAIT] = TCPSTATES_REASON_CLOSED_PEER,
	[TCP_CLOSING] = TCPSTATES_REASON_CLOSED_BOTH,
};

/* Of a connection that has no node. */
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

/*
 * Is there to be no record of this step? Then it is counted why. min-ms counts
 * only where the time is known.
 */
bool tcps_leaves_out(const struct tcps_session *session, struct tcps_cpu_stats *stats,
		     const struct sock *sk, u8 kind, u64 in_old_ns, bool is_known)
{
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

/* A step of a connection that has no node. */
void tcps_change_untracked(struct tcps_session *session, const struct sock *sk,
			   struct tcps_step step, u64 now)
{
	struct tcps_cpu_stats *stats = tcps_stats_this_cpu(&session->stats);
	const struct tcps_in_old unknown = {};

	if (!step.reason)
		step.reason = tcps_reasons[step.new];
	tcps_show(session, stats, NULL, sk, step, unknown, now);
	/* No gauge has it. */
	tcps_stats_rename(stats, step.new, step.old);
	if (step.new == TCP_CLOSE)
		tcps_count_reason(stats, TCPSTATES_ROLE_UNKNOWN, step.reason);
}

void tcps_change(struct tcps_session *session, struct tcps_shard *shard, struct tcps_conn *conn,
		 const struct sock *sk, struct tcps_step step, u64 now)
{
	tcps_change_here(session, shard, conn, sk, step, now);
}

static __always_inline void
move_counts(struct tcps_session *session, struct tcps_conn *conn, u8 from, u8 to)
{
	struct tcps_cpu_stats *stats = tcps_stats_this_cpu(&session->stats);

	if (conn->listener)
		tcps_listener_move(&session->listeners, stats, conn, from, to);
	if (conn->pair)
		tcps_pair_move(session, &session->pairs, stats, conn, from, to);
}

/* To or from a class without connections. A node without a pair is new, or found the table full. */
static noinline void enter_or_leave(struct tcps_session *session, struct tcps_conn *conn, u8 from,
				    u8 to)
{
	if (from == TCPS_LISTENING)
		tcps_listener_end(session, conn);
	move_counts(session, conn, from, to);
	if (to < TCPS_NR_CLASSES && !conn->pair)
		tcps_pair_join(session, conn, to);
	if (to == TCPS_LISTENING)
		tcps_listener_start(session, conn);
}

/* The same for the usual way in: from no class, and without a pair. */
static __always_inline void start_counts(struct tcps_session *session, struct tcps_conn *conn,
					 u8 to)
{
	if (conn->listener)
		tcps_listener_move(&session->listeners, tcps_stats_this_cpu(&session->stats), conn,
				   TCPS_NO_CLASS, to);
	tcps_pair_join(session, conn, to);
}

/* What is below, in all cases. */
static noinline void change_class(struct tcps_session *session, struct tcps_conn *conn, u8 from,
				  u8 to)
{
	if (from < TCPS_NR_CLASSES && to < TCPS_NR_CLASSES)
		move_counts(session, conn, from, to);
	else if (from == TCPS_NO_CLASS && to < TCPS_NR_CLASSES && !conn->pair)
		start_counts(session, conn, to);
	else
		enter_or_leave(session, conn, from, to);
}

/*
 * The counts by class follow @conn, which is about to go @from one @to the
 * other. Most often it is a connection in both, and this CPU has its slots.
 */
void tcps_change_class(struct tcps_session *session, struct tcps_conn *conn, unsigned int from,
		       unsigned int to)
{
	struct tcps_cpu_stats *stats = tcps_stats_this_cpu(&session->stats);
	const struct tcps_pairs *pairs = &session->pairs;
	struct tcps_listener_slot *of_listener;
	struct tcps_pair_slot *of_pair;

	/* So that one look tells that both are less. */
	static_assert(!(TCPS_NR_CLASSES & (TCPS_NR_CLASSES - 1)));
	of_pair = tcps_pair_slot(pairs, stats, conn->pair);
	if (unlikely((from | to) >= TCPS_NR_CLASSES ||
		     !tcps_pair_slot_has(of_pair, conn->pair)))
		goto slowly;
	if (conn->listener) {
		of_listener = tcps_listener_slot(stats, conn->listener);
		if (unlikely(!tcps_listener_slot_has(of_listener, conn->listener)))
			goto slowly;
		tcps_count_shift(of_listener->counts.classes, from, to);
	}
	tcps_count_shift(of_pair->counts.classes, from, to);
	/* Nothing comes back from there. */
	if (to == TCPS_IN_TIMEWAIT)
		tcps_pair_look_at_slot(pairs, of_pair);
	return;

slowly:
	change_class(session, conn, from, to);
}

/* @conn ends: it is counted nowhere any more. */
static __always_inline void leave_counts(struct tcps_session *session,
					 struct tcps_cpu_stats *stats, struct tcps_conn *conn)
{
	u8 class = tcps_state_class[conn->state];

	if (unlikely(class == TCPS_LISTENING))
		tcps_listener_end(session, conn);
	else if (conn->listener)
		tcps_listener_leave(&session->listeners, stats, conn, class);
	if (conn->pair)
		tcps_pair_leave(session, &session->pairs, stats, conn, class);
}

static __always_inline struct tcps_conn *add(struct tcps_session *session,
					     struct tcps_shard *shard,
					     struct tcps_insert_point point,
					     const struct sock *sk, u8 kind, u8 state, u64 now)
{
	struct tcps_conn *conn = tcps_conns_add(&session->conns, shard, point, sk);
	u8 class = tcps_state_class[state];

	if (!conn)
		return NULL;
	conn->kind = kind;
	conn->first_seen_ns = now;
	conn->known.netns = tcps_sock_netns(sk);
	tcps_add(tcps_stats_this_cpu(&session->stats)->states[state], 1);
	if (class != TCPS_NO_CLASS)
		tcps_change_class(session, conn, TCPS_NO_CLASS, class);
	conn->state = state;
	return conn;
}

/* A node for @sk, which has none; NULL when no node is free. */
struct tcps_conn *tcps_add_node(struct tcps_session *session, struct tcps_shard *shard,
				const struct sock *sk, u8 kind, u8 state, u64 now)
{
	return add(session, shard, tcps_conns_insert_point(shard, sk), sk, kind, state, now);
}

/* A connection starts. Counted if it stays untracked. */
struct tcps_conn *tcps_start(struct tcps_session *session, struct tcps_shard *shard,
			     const struct sock *sk, u8 kind, u8 state, u64 now)
{
	struct tcps_insert_point point = tcps_vacate(session, shard, sk);
	struct tcps_conn *conn = add(session, shard, point, sk, kind, state, now);

	if (!conn)
		tcps_add(tcps_stats_this_cpu(&session->stats)->untracked, 1);
	return conn;
}

static __always_inline void forget(struct tcps_session *session, struct tcps_shard *shard,
				   struct tcps_conn *conn, u8 state)
{
	struct tcps_cpu_stats *stats = tcps_stats_this_cpu(&session->stats);

	tcps_add(stats->states[state], -1);
	leave_counts(session, stats, conn);
	tcps_conns_remove(&session->conns, shard, conn);
}

void tcps_forget(struct tcps_session *session, struct tcps_shard *shard, struct tcps_conn *conn)
{
	forget(session, shard, conn, conn->state);
}

/* Its step to CLOSE was shown. */
void tcps_remove_closed(struct tcps_session *session, struct tcps_shard *shard,
			struct tcps_conn *conn)
{
	forget(session, shard, conn, TCP_CLOSE);
}

/* @conn is in @state, and when it came to that was not seen. */
void tcps_missed(struct tcps_session *session, struct tcps_conn *conn, u8 state)
{
	tcps_set_state(session, conn, state);
	conn->since_flags = 0;
}

/* @conn stands for an earlier socket at this address, whose end was not seen. */
void tcps_drop_stale(struct tcps_session *session, struct tcps_shard *shard,
		     struct tcps_conn *conn)
{
	tcps_add(tcps_stats_this_cpu(&session->stats)->stale, 1);
	tcps_forget(session, shard, conn);
}

/* Interrupts are off, which RCU waits for. */
static u64 current_cgroup(void)
{
	u64 id = 0;

#ifdef CONFIG_CGROUPS
	id = cgroup_id(task_dfl_cgroup(current));
#endif
	return id;
}

/* What a full socket tells of who made it. */
void tcps_made_by(struct tcps_conn *conn, const struct sock *sk)
{
	conn->known.uid = tcps_sock_uid(sk);
	conn->known.cgroup = tcps_sock_cgroup(sk);
	conn->known.flags |= TCPSTATES_HAS_UID;
}

/* Who the current task is. */
void tcps_own_as_task(struct tcps_known *known)
{
	const struct task_struct *leader = current->group_leader;

	known->pid = task_tgid_nr(current);
	/* A task that renames itself meanwhile may tear the name, not its end. */
	memcpy(known->comm, leader->comm, sizeof(known->comm));
	known->comm[sizeof(known->comm) - 1] = '\0';
	known->cgroup = current_cgroup();
}

/* The current task owns the full socket @sk. Only for what runs in its context. */
void tcps_own(struct tcps_conn *conn, const struct sock *sk)
{
	tcps_own_as_task(&conn->known);
	conn->known.uid = tcps_sock_uid(sk);
	conn->known.flags |= TCPSTATES_HAS_OWNER | TCPSTATES_HAS_UID;
}

/* The connection has come to @listener: what is known of it before accept(). */
void tcps_made_for(struct tcps_conn *conn, const struct sock *listener)
{
	conn->role = TCPSTATES_ROLE_SERVER;
	tcps_made_by(conn, listener);
	tcps_sock_laddr(listener, conn->known.listener_addr);
	conn->known.listener_port = listener->sk_num;
	conn->known.flags |= TCPSTATES_HAS_LISTENER;
}

/* The same, and the entry of the listening @sk, if there is one, counts it. */
void tcps_come_to(struct tcps_session *session, struct tcps_conn *conn,
		  const struct sock *sk, struct tcps_listener *listener)
{
	struct tcps_cpu_stats *stats = tcps_stats_this_cpu(&session->stats);
	u8 class = tcps_state_class[conn->state];

	tcps_made_for(conn, sk);
	if (conn->listener)
		tcps_listener_leave(&session->listeners, stats, conn, class);
	if (listener)
		tcps_listener_join(session, conn, listener, class);
}

/* What an end of @sk, of any kind, would be due to, as things are now. */
void tcps_hint(struct tcps_session *session, const struct sock *sk, u8 reason)
{
	struct tcps_shard *shard = tcps_conns_shard(&session->conns, sk);
	struct tcps_conn *conn;
	unsigned long flags;

	raw_spin_lock_irqsave(&shard->lock, flags);
	conn = tcps_conns_find(shard, sk);
	if (conn)
		conn->hint = reason;
	raw_spin_unlock_irqrestore(&shard->lock, flags);
}
