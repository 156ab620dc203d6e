// SPDX-License-Identifier: GPL-2.0-only
/*
 * What happens when a full socket changes its state, connects, is accepted or
 * is destroyed. Called by the hooks in any context that TCP runs in; nothing
 * here sleeps, allocates or prints.
 */
#include <linux/ktime.h>
#include <linux/preempt.h>
#include <net/tcp.h>
#include <net/tcp_states.h>

#include "change.h"
#include "handshake.h"
#include "listener_slots.h"
#include "mptcp.h"
#include "reason.h"
#include "seed.h"
#include "session.h"
#include "sockinfo.h"
#include "transition.h"

static u8 birth_role(u8 new)
{
	return new == TCP_LISTEN ? TCPSTATES_ROLE_LISTENER : TCPSTATES_ROLE_UNKNOWN;
}

/* A connection of @sk starts. */
static struct tcps_conn *start(struct tcps_session *session, struct tcps_shard *shard,
			       const struct sock *sk, u8 role, u64 now)
{
	struct tcps_conn *conn = tcps_node_start(session, shard, sk, TCPS_FULL, TCP_CLOSE, now);

	if (!conn)
		return NULL;
	conn->role = role;
	tcps_mark_subflow(conn, sk);
	/* connect() and listen() run in their caller; the kernel's own threads open for others. */
	if (in_task() && !(current->flags & PF_KTHREAD)) {
		tcps_node_set_owner(conn, sk);
		if (unlikely(conn->known.flags & TCPSTATES_IS_SUBFLOW))
			tcps_socket_owned(session, tcps_sock_ino(sk), &conn->known);
	} else {
		tcps_node_set_creator(conn, sk);
	}
	return conn;
}

/*
 * In repair mode connect() puts a socket into the state that it had elsewhere:
 * nothing is sent, and its local port shows whether it is a client or a server.
 */
static noinline void start_repaired(struct tcps_session *session, struct tcps_shard *shard,
				    const struct sock *sk, u64 now)
{
	struct tcps_conn *conn = start(session, shard, sk, TCPSTATES_ROLE_UNKNOWN, now);

	if (conn && tcps_listener_by_address(session, sk, conn->known.netns))
		conn->role = TCPSTATES_ROLE_SERVER;
}

/*
 * A socket with a connection that has no node: during seeding it is one of those
 * that exist, else its start was missed.
 */
static struct tcps_conn *find_late(struct tcps_session *session, struct tcps_shard *shard,
				   const struct sock *sk)
{
	struct tcps_conn *conn = tcps_seed_early(session, shard, sk);

	if (!conn)
		tcps_add(tcps_stats_this_cpu(&session->stats)->unmatched, 1);
	return conn;
}

/* The same: from now on it has one. */
static noinline struct tcps_conn *adopt(struct tcps_session *session, struct tcps_shard *shard,
					const struct sock *sk, u8 state, u64 now)
{
	struct tcps_conn *conn = find_late(session, shard, sk);

	if (conn)
		return conn;
	if (tcps_pool_is_dry(&session->conns.pool))
		return NULL;
	conn = tcps_node_add(session, shard, sk, TCPS_FULL, state, now);
	if (conn) {
		tcps_node_set_creator(conn, sk);
		tcps_mark_subflow(conn, sk);
	}
	return conn;
}

/*
 * CLOSE -> SYN_SENT is seen before the local port is chosen. It is recorded
 * when the SYN is sent, and the node is only made then; but with
 * TCP_FASTOPEN_CONNECT it is sent with the first data, which may take a while.
 */
static bool sends_no_syn_yet(const struct sock *sk)
{
	return tcp_sk(sk)->fastopen_connect;
}

static void put_off_connecting(struct tcps_session *session, struct tcps_shard *shard,
			       const struct sock *sk, u64 now)
{
	struct tcps_conn *conn = start(session, shard, sk, TCPSTATES_ROLE_CLIENT, now);

	if (!conn)
		return;
	tcps_set_state(session, conn, TCP_SYN_SENT);
	conn->since_ns = now;
	conn->since_flags = TCPSTATES_SINCE_KNOWN | TCPSTATES_SINCE_EXACT;
	conn->connecting = true;
}

static const struct tcps_step step_of_connecting = {
	.old = TCP_CLOSE,
	.new = TCP_SYN_SENT,
	.kind = TCPS_FULL,
};

/* The same step of a socket that has a node if there was one. */
static void record_connecting(struct tcps_session *session, struct tcps_shard *shard,
			      struct tcps_conn *conn, const struct sock *sk, u64 now)
{
	if (conn && conn->connecting) {
		conn->connecting = false;
		conn->since_flags = 0;
		tcps_set_state(session, conn, TCP_CLOSE);
	}
	tcps_change(session, shard, conn, sk, step_of_connecting, now);
}

/*
 * Steps to CLOSE that end no connection: of a full socket that was superseded by a
 * timewait socket, or of a child that lost its request to another CPU.
 */
static bool is_superseded(u8 old)
{
	return old == TCP_FIN_WAIT2 || old == TCP_CLOSING || old == TCP_SYN_RECV;
}

/* At CLOSE: connect() failed before it sent a SYN. */
static bool connect_failed_early(const struct sock *sk, u8 old)
{
	return old == TCP_SYN_SENT && !READ_ONCE(tcp_sk(sk)->segs_out);
}

/* A socket goes to another state than CLOSE for the first time, or again. */
static noinline void look_at_start(struct tcps_session *session, const struct sock *sk, u8 new)
{
	const struct tcps_step step = { .old = TCP_CLOSE, .new = new, .kind = TCPS_FULL };
	struct tcps_shard *shard = tcps_conns_shard(&session->conns, sk);
	struct tcps_conn *conn;
	unsigned long flags;
	u64 now;

	raw_spin_lock_irqsave(&shard->lock, flags);
	now = ktime_get_ns();
	if (new == TCP_SYN_SENT) {
		put_off_connecting(session, shard, sk, now);
	} else {
		conn = start(session, shard, sk, birth_role(new), now);
		tcps_change(session, shard, conn, sk, step, now);
	}
	raw_spin_unlock_irqrestore(&shard->lock, flags);
	tcps_rings_wake(session->rings);
}

/*
 * Neither state is CLOSE, and the step is not the next one of a connection that
 * is known.
 */
static noinline void look_at_odd(struct tcps_session *session, struct tcps_shard *shard,
				 struct tcps_conn *conn, const struct sock *sk, u8 old, u8 new,
				 u64 now)
{
	struct tcps_step step = { .old = old, .new = new, .kind = TCPS_FULL };

	if (!conn) {
		tcps_forget_clone(session, sk);
		conn = adopt(session, shard, sk, old, now);
		if (!conn) {
			tcps_change_untracked(session, sk, step, now);
			return;
		}
	}
	if (new == TCP_ESTABLISHED) {
		tcps_conn_establish(conn, now);
		/* See start_repaired(): no SYN was sent. */
		if (conn->state == TCP_CLOSE) {
			step.old = TCP_CLOSE;
			step.reason = TCPSTATES_REASON_REPAIR;
		}
	}
	if (tcps_lacks_subflow_owner(conn))
		tcps_subflow_find_owner(session, conn, sk);
	tcps_change(session, shard, conn, sk, step, now);
	/* The reason of its start is not one of its end. */
	if (step.reason)
		conn->reason = TCPSTATES_REASON_NONE;
}

/* Neither state is CLOSE: most of what is seen. Two numbers cost less than a struct tcps_step. */
static noinline void look_at(struct tcps_session *session, const struct sock *sk, u8 old, u8 new)
{
	const struct tcps_step step = { .old = old, .new = new, .kind = TCPS_FULL };
	struct tcps_shard *shard = tcps_conns_shard(&session->conns, sk);
	struct tcps_conn *conn;
	unsigned long flags;
	u64 now;

	raw_spin_lock_irqsave(&shard->lock, flags);
	now = ktime_get_ns();
	conn = tcps_conns_find(shard, sk);
	if (likely(conn && conn->state == old && !tcps_lacks_subflow_owner(conn))) {
		if (new == TCP_ESTABLISHED)
			tcps_conn_establish(conn, now);
		tcps_change_here(session, shard, conn, sk, step, now);
	} else {
		look_at_odd(session, shard, conn, sk, old, new, now);
	}
	raw_spin_unlock_irqrestore(&shard->lock, flags);
	tcps_rings_wake(session->rings);
}

static __always_inline void end(struct tcps_session *session, struct tcps_shard *shard,
				const struct sock *sk, u8 old, u64 now)
{
	struct tcps_conn *conn = tcps_conns_find(shard, sk);
	struct tcps_step step = { .old = old, .new = TCP_CLOSE, .kind = TCPS_FULL };

	if (unlikely(!conn)) {
		tcps_forget_clone(session, sk);
		if (is_superseded(old))
			return;
		if (connect_failed_early(sk, old))
			conn = start(session, shard, sk, TCPSTATES_ROLE_CLIENT, now);
		else
			conn = find_late(session, shard, sk);
	}
	step.reason = tcps_close_reason(sk, conn, old);
	step.error = READ_ONCE(sk->sk_err);
	if (connect_failed_early(sk, old))
		record_connecting(session, shard, conn, sk, now);
	tcps_change_here(session, shard, conn, sk, step, now);
}

static noinline void look_at_end(struct tcps_session *session, struct tcps_shard *shard,
				 const struct sock *sk, u8 old)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&shard->lock, flags);
	end(session, shard, sk, old, ktime_get_ns());
	raw_spin_unlock_irqrestore(&shard->lock, flags);
	tcps_rings_wake(session->rings);
}

/**
 * tcps_transition() - a full socket is about to change its state
 * @data: struct tcps_hooks of the activation
 * @sk: the socket, alive as its owner holds it
 * @old: its state
 * @new: its next state
 *
 * Probe of a tracepoint. What is decided without the lock is decided here.
 *
 * Context: Any: a hook. Takes the lock of the shard of @sk.
 */
void tcps_transition(void *data, const struct sock *sk, int old, int new)
{
	struct tcps_session *session = tcps_hooks_session(data);
	struct tcps_shard *shard;

	if (unlikely(!session))
		return;
	/* The tracepoint is shared with other protocols, and states may be added. */
	if (!tcps_is_tcp(sk) || old == new)
		return;
	if (unlikely((unsigned int)old >= TCPSTATES_NR_STATES) ||
	    unlikely((unsigned int)new >= TCPSTATES_NR_STATES))
		return;
	if (new == TCP_CLOSE) {
		shard = tcps_conns_shard(&session->conns, sk);
		if (!is_superseded(old) || !tcps_shard_lacks(shard) || sk_is_mptcp(sk))
			look_at_end(session, shard, sk, old);
	} else if (old == TCP_CLOSE) {
		if (new != TCP_SYN_SENT || sends_no_syn_yet(sk))
			look_at_start(session, sk, new);
	} else if (old != TCP_LISTEN || new != TCP_SYN_RECV) {
		look_at(session, sk, old, new);
	} else if (sk_is_mptcp(sk)) {
		tcps_subflow_cloned(session, sk);
	}
	/* Else a listener's fresh clone: its SYN was seen with the request. */
}

/**
 * tcps_connecting() - a SYN is about to be sent, from the port that was chosen
 * @session: the activation
 * @sk: the socket
 *
 * Context: Any: a hook. Takes the lock of the shard of @sk.
 */
void tcps_connecting(struct tcps_session *session, const struct sock *sk)
{
	struct tcps_shard *shard = tcps_conns_shard(&session->conns, sk);
	struct tcps_conn *conn;
	unsigned long flags;
	u64 now;

	raw_spin_lock_irqsave(&shard->lock, flags);
	now = ktime_get_ns();
	conn = tcps_conns_find(shard, sk);
	if (unlikely(tcp_sk(sk)->repair)) {
		start_repaired(session, shard, sk, now);
	} else if (likely(!conn || !conn->connecting)) {
		conn = start(session, shard, sk, TCPSTATES_ROLE_CLIENT, now);
		tcps_change_first(session, conn, sk, step_of_connecting, now);
	} else {
		record_connecting(session, shard, conn, sk, now);
	}
	raw_spin_unlock_irqrestore(&shard->lock, flags);
	tcps_rings_wake(session->rings);
}

/* The socket of an MPTCP connection was accepted: its subflows are the task's. */
static noinline void subflows_accepted(struct tcps_session *session, const struct socket *parent)
{
	struct tcps_conn owned = {};
	unsigned long flags;

	local_irq_save(flags);
	tcps_known_set_task(&owned.known);
	tcps_socket_owned(session, SOCK_INODE((struct socket *)parent)->i_ino, &owned.known);
	local_irq_restore(flags);
}

/* accept() has come for the connection. One that is not ESTABLISHED yet did not wait. */
static __always_inline void leave_accept_queue(struct tcps_session *session,
					       struct tcps_conn *conn, u64 now)
{
	struct tcps_cpu_stats *stats = tcps_stats_this_cpu(&session->stats);
	u64 ns = conn->established ? tcps_conn_established_for(conn, now) : 0;

	conn->queued = false;
	tcps_times_add(&stats->lives.accept_wait, ns);
	if (conn->listener)
		tcps_listener_accepted(&session->listeners, stats, conn, ns);
}

/**
 * tcps_accepted() - accept() gives a socket to the current task
 * @session: the activation
 * @sk: the socket
 * @parent: the struct socket that it gets
 *
 * Context: Process context: a hook. Takes the lock of the shard of @sk.
 */
void tcps_accepted(struct tcps_session *session, const struct sock *sk,
		   const struct socket *parent)
{
	struct tcps_shard *shard;
	struct tcps_conn *conn;
	unsigned long flags;

	if (!in_task() || current->flags & PF_KTHREAD)
		return;
	if (!tcps_is_tcp(sk)) {
		if (sk->sk_protocol == IPPROTO_MPTCP)
			subflows_accepted(session, parent);
		return;
	}
	shard = tcps_conns_shard(&session->conns, sk);
	raw_spin_lock_irqsave(&shard->lock, flags);
	conn = tcps_conns_find(shard, sk);
	if (conn) {
		tcps_node_set_owner(conn, sk);
		if (conn->queued)
			leave_accept_queue(session, conn, ktime_get_ns());
	}
	raw_spin_unlock_irqrestore(&shard->lock, flags);
}

/**
 * tcps_aborted() - the administrator ends a connection
 * @session: the activation
 * @sk: its socket, of any kind
 *
 * Context: Any: a hook. Takes the lock of the shard of @sk.
 */
void tcps_aborted(struct tcps_session *session, const struct sock *sk)
{
	tcps_node_hint(session, sk, TCPSTATES_REASON_ABORTED);
}

/**
 * tcps_reset() - a packet resets a connection
 * @session: the activation
 * @sk: the socket
 * @skb: the packet; unless it is a RST, it came too late, and a reset of our own
 *	answers it
 *
 * Context: Any: a hook. Takes the lock of the shard of @sk.
 */
void tcps_reset(struct tcps_session *session, const struct sock *sk, const struct sk_buff *skb)
{
	if (skb && !tcp_hdr(skb)->rst)
		tcps_node_hint(session, sk, TCPSTATES_REASON_RESET_SENT);
}

static noinline void forget_destroyed(struct tcps_session *session, struct tcps_shard *shard,
				      const struct sock *sk)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&shard->lock, flags);
	tcps_node_vacate(session, shard, sk);
	raw_spin_unlock_irqrestore(&shard->lock, flags);
}

/**
 * tcps_sock_destroyed() - a full socket is about to be freed
 * @data: struct tcps_hooks of the activation
 * @sk: the socket
 *
 * Probe of a tracepoint. If the end was not seen, the node is removed now.
 *
 * Context: Any: a hook. Takes the lock of the shard of @sk.
 */
void tcps_sock_destroyed(void *data, struct sock *sk)
{
	struct tcps_session *session = tcps_hooks_session(data);
	struct tcps_shard *shard;

	if (unlikely(!session))
		return;
	shard = tcps_conns_shard(&session->conns, sk);
	if (!tcps_shard_lacks(shard))
		forget_destroyed(session, shard, sk);
}
