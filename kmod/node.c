// SPDX-License-Identifier: GPL-2.0-only
/* The node of a connection: how it is added and removed, and what is learned of it. */
#include <linux/cgroup.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <net/tcp_states.h>

#include "listener_slots.h"
#include "listeners.h"
#include "node.h"
#include "pairs.h"
#include "session.h"
#include "sockinfo.h"
#include "state_class.h"

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

/* The same for the usual start: from no class, and without a pair. */
static __always_inline void start_counts(struct tcps_session *session, struct tcps_conn *conn,
					 u8 to)
{
	if (conn->listener)
		tcps_listener_move(&session->listeners, tcps_stats_this_cpu(&session->stats), conn,
				   TCPS_NO_CLASS, to);
	tcps_pair_join(session, conn, to);
}

/* tcps_node_change_class() in all cases. */
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

/**
 * tcps_node_change_class() - pair and listener count a connection in another class
 * @session: the activation
 * @conn: node
 * @from: enum tcps_class of its old state
 * @to: enum tcps_class of its new state
 *
 * Most often both are classes of connections, and this CPU has slots of the pair
 * and of the listener.
 *
 * Context: Any, interrupts off. The lock of the shard of @conn.
 */
void tcps_node_change_class(struct tcps_session *session, struct tcps_conn *conn,
			    unsigned int from, unsigned int to)
{
	struct tcps_cpu_stats *stats = tcps_stats_this_cpu(&session->stats);
	const struct tcps_pairs *pairs = &session->pairs;
	struct tcps_listener_slot *of_listener;
	struct tcps_pair_slot *of_pair;

	tcps_conns_assert_held(&session->conns, conn);
	/* One comparison for both: both are less. */
	static_assert(!(TCPS_NR_CLASSES & (TCPS_NR_CLASSES - 1)));
	of_pair = tcps_pair_slot(pairs, stats, conn->pair);
	if (unlikely((from | to) >= TCPS_NR_CLASSES ||
		     !tcps_pair_slot_has(of_pair, conn->pair)))
		goto slow;
	if (conn->listener) {
		of_listener = tcps_listener_slot(stats, conn->listener);
		if (unlikely(!tcps_listener_slot_has(of_listener, conn->listener)))
			goto slow;
		tcps_count_shift(of_listener->counts.classes, from, to);
	}
	tcps_count_shift(of_pair->counts.classes, from, to);
	/* Nothing leaves TIME_WAIT for another class. */
	if (to == TCPS_IN_TIMEWAIT)
		tcps_pair_look_at_slot(pairs, of_pair);
	return;

slow:
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
		tcps_node_change_class(session, conn, TCPS_NO_CLASS, class);
	conn->state = state;
	return conn;
}

/**
 * tcps_node_add() - a node for a connection whose start was not seen
 * @session: the activation
 * @shard: shard of @sk
 * @sk: socket, which has none
 * @kind: enum tcps_kind of @sk
 * @state: its state
 * @now: time
 *
 * Context: Any, interrupts off. The lock of @shard.
 * Return: the node; NULL: none is free.
 */
struct tcps_conn *tcps_node_add(struct tcps_session *session, struct tcps_shard *shard,
				const struct sock *sk, u8 kind, u8 state, u64 now)
{
	return add(session, shard, tcps_conns_insert_point(shard, sk), sk, kind, state, now);
}

/**
 * tcps_node_start() - a node for a connection that starts
 * @session: the activation
 * @shard: shard of @sk
 * @sk: socket; a node that an earlier one at this address has left is removed
 * @kind: enum tcps_kind of @sk
 * @state: its state
 * @now: time
 *
 * Context: Any, interrupts off. The lock of @shard.
 * Return: the node; NULL: none is free, which is counted (untracked).
 */
struct tcps_conn *tcps_node_start(struct tcps_session *session, struct tcps_shard *shard,
				  const struct sock *sk, u8 kind, u8 state, u64 now)
{
	struct tcps_insert_point point = tcps_node_vacate(session, shard, sk);
	struct tcps_conn *conn = add(session, shard, point, sk, kind, state, now);

	if (!conn)
		tcps_add(tcps_stats_this_cpu(&session->stats)->untracked, 1);
	return conn;
}

static __always_inline void remove(struct tcps_session *session, struct tcps_shard *shard,
				   struct tcps_conn *conn, u8 state)
{
	struct tcps_cpu_stats *stats = tcps_stats_this_cpu(&session->stats);

	tcps_add(stats->states[state], -1);
	leave_counts(session, stats, conn);
	tcps_conns_remove(&session->conns, shard, conn);
}

/**
 * tcps_node_remove_closed() - remove a node whose step to CLOSE was recorded
 * @session: the activation
 * @shard: shard of @conn
 * @conn: node, freed
 *
 * Context: Any, interrupts off. The lock of @shard.
 */
void tcps_node_remove_closed(struct tcps_session *session, struct tcps_shard *shard,
			     struct tcps_conn *conn)
{
	remove(session, shard, conn, TCP_CLOSE);
}

/**
 * tcps_node_drop_stale() - remove a node whose socket was freed unseen
 * @session: the activation
 * @shard: shard of @conn
 * @conn: node of an earlier socket at this address, freed
 *
 * Context: Any, interrupts off. The lock of @shard.
 */
void tcps_node_drop_stale(struct tcps_session *session, struct tcps_shard *shard,
			  struct tcps_conn *conn)
{
	tcps_add(tcps_stats_this_cpu(&session->stats)->stale, 1);
	remove(session, shard, conn, conn->state);
}

/* RCU, which frees cgroups, waits as long as interrupts are off. */
static u64 current_cgroup(void)
{
	u64 id = 0;

	lockdep_assert_irqs_disabled();
#ifdef CONFIG_CGROUPS
	id = cgroup_id(task_dfl_cgroup(current));
#endif
	return id;
}

/**
 * tcps_node_set_creator() - learn who created a full socket
 * @conn: node
 * @sk: its full socket
 *
 * Context: Any. The lock of the shard of @conn.
 */
void tcps_node_set_creator(struct tcps_conn *conn, const struct sock *sk)
{
	conn->known.uid = tcps_sock_uid(sk);
	conn->known.cgroup = tcps_sock_cgroup(sk);
	conn->known.flags |= TCPSTATES_HAS_UID;
}

/**
 * tcps_known_set_task() - learn process and cgroup of the current task
 * @known: where to store them
 *
 * Context: Process context, interrupts off. The lock of the shard of the node that
 *	@known is in, if any.
 */
void tcps_known_set_task(struct tcps_known *known)
{
	const struct task_struct *leader = current->group_leader;

	known->pid = task_tgid_nr(current);
	/* A task that renames itself meanwhile may tear the name, not its end. */
	memcpy(known->comm, leader->comm, sizeof(known->comm));
	known->comm[sizeof(known->comm) - 1] = '\0';
	known->cgroup = current_cgroup();
}

/**
 * tcps_node_set_owner() - the current task owns a full socket
 * @conn: node
 * @sk: its full socket
 *
 * Context: Process context of the owner, interrupts off. The lock of the shard of
 *	@conn.
 */
void tcps_node_set_owner(struct tcps_conn *conn, const struct sock *sk)
{
	tcps_known_set_task(&conn->known);
	conn->known.uid = tcps_sock_uid(sk);
	conn->known.flags |= TCPSTATES_HAS_OWNER | TCPSTATES_HAS_UID;
}

/**
 * tcps_node_set_listener() - a connection has come to a listener
 * @conn: node, of which this is all that is known until accept()
 * @listener: the listening socket
 *
 * Context: Any. The lock of the shard of @conn.
 */
void tcps_node_set_listener(struct tcps_conn *conn, const struct sock *listener)
{
	conn->role = TCPSTATES_ROLE_SERVER;
	tcps_node_set_creator(conn, listener);
	tcps_sock_laddr(listener, conn->known.listener_addr);
	conn->known.listener_port = listener->sk_num;
	conn->known.flags |= TCPSTATES_HAS_LISTENER;
}

/**
 * tcps_node_join_listener() - tcps_node_set_listener(), and the listener counts it
 * @session: the activation
 * @conn: node; a listener that has counted it before does so no more
 * @sk: the listening socket
 * @listener: entry of @sk; NULL: it has none
 *
 * Context: Any, interrupts off. The lock of the shard of @conn.
 */
void tcps_node_join_listener(struct tcps_session *session, struct tcps_conn *conn,
			     const struct sock *sk, struct tcps_listener *listener)
{
	struct tcps_cpu_stats *stats = tcps_stats_this_cpu(&session->stats);
	u8 class = tcps_state_class[conn->state];

	tcps_conns_assert_held(&session->conns, conn);
	tcps_node_set_listener(conn, sk);
	if (conn->listener)
		tcps_listener_leave(&session->listeners, stats, conn, class);
	if (listener)
		tcps_listener_join(session, conn, listener, class);
}

/**
 * tcps_node_hint() - what an end of the connection would be due to, from now on
 * @session: the activation
 * @sk: socket of any kind, tracked or untracked
 * @reason: TCPSTATES_REASON_*
 *
 * Context: Any. Takes the lock of the shard of @sk.
 */
void tcps_node_hint(struct tcps_session *session, const struct sock *sk, u8 reason)
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
