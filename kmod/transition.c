// SPDX-License-Identifier: GPL-2.0-only
/*
 * What happens when a full socket changes its state, connects, is accepted or
 * is destroyed. Called by the hooks in any context that TCP runs in; nothing
 * here sleeps, allocates or prints.
 */
#include <linux/ktime.h>
#include <linux/preempt.h>
#include <net/tcp_states.h>

#include "change.h"
#include "reason.h"
#include "session.h"
#include "sockinfo.h"
#include "transition.h"

/* The tracepoint is shared with other protocols, and states may be added. */
static bool is_ours(const struct sock *sk, int old, int new)
{
	return sk->sk_protocol == IPPROTO_TCP &&
	       (unsigned int)old < TCPSTATES_NR_STATES && (unsigned int)new < TCPSTATES_NR_STATES;
}

static u8 birth_role(u8 new)
{
	switch (new) {
	case TCP_SYN_SENT:
		return TCPSTATES_ROLE_CLIENT;
	case TCP_LISTEN:
		return TCPSTATES_ROLE_LISTENER;
	default:
		return TCPSTATES_ROLE_UNKNOWN;
	}
}

/* The socket begins a life: nothing that was known of its address holds. */
static struct tcps_conn *begin(struct tcps_session *session, struct tcps_shard *shard,
			       const struct tcps_change *change)
{
	struct tcps_conn *conn;

	tcps_forget_stale(session, shard, change->sk);
	conn = tcps_begin(session, shard, change->sk, TCPS_FULL, TCP_CLOSE, change->now);
	if (!conn)
		return NULL;
	conn->role = birth_role(change->new);
	/* connect() and listen() run in their caller. */
	if (in_task())
		tcps_own(conn);
	return conn;
}

/*
 * The kernel's own steps that end nothing: a full socket whose place a
 * timewait socket has taken, or a child that lost its request to another CPU.
 */
static bool is_husk(const struct tcps_change *change)
{
	return change->new == TCP_CLOSE &&
	       (change->old == TCP_FIN_WAIT2 || change->old == TCP_CLOSING ||
		change->old == TCP_SYN_RECV);
}

/* A socket in the middle of its life that has no node. */
static struct tcps_conn *adopt(struct tcps_session *session, struct tcps_shard *shard,
			       const struct tcps_change *change)
{
	tcps_stats_this_cpu(session->stats)->unmatched++;
	if (change->new == TCP_CLOSE)
		return NULL;
	return tcps_begin(session, shard, change->sk, TCPS_FULL, change->old, change->now);
}

/* The step that was put off. @conn is NULL for who found no node. */
static void record_connecting(struct tcps_session *session, struct tcps_shard *shard,
			      struct tcps_conn *conn, const struct sock *sk, u64 now)
{
	const struct tcps_change change = {
		.sk = sk,
		.kind = TCPS_FULL,
		.old = TCP_CLOSE,
		.new = TCP_SYN_SENT,
		.now = now,
	};

	if (conn) {
		conn->connecting = false;
		conn->since_flags = 0;
		tcps_set_state(session, conn, TCP_CLOSE);
	}
	tcps_change(session, shard, conn, &change);
}

/* CLOSE -> SYN_SENT is recorded when the SYN is sent: the port is chosen then. */
static void put_off_connecting(struct tcps_session *session, struct tcps_conn *conn, u64 now)
{
	tcps_set_state(session, conn, TCP_SYN_SENT);
	conn->since_ns = now;
	conn->since_flags = TCPSTATES_SINCE_KNOWN | TCPSTATES_SINCE_EXACT;
	conn->connecting = true;
}

static void take_reason(const struct tcps_conn *conn, struct tcps_change *change)
{
	change->reason = tcps_close_reason(change->sk, conn, change->old);
	change->error = READ_ONCE(change->sk->sk_err);
}

/* The shard's lock is held. */
static void transition(struct tcps_session *session, struct tcps_shard *shard,
		       struct tcps_change *change)
{
	struct tcps_conn *conn;

	if (change->old == TCP_CLOSE) {
		conn = begin(session, shard, change);
		if (change->new == TCP_SYN_SENT) {
			if (conn)
				put_off_connecting(session, conn, change->now);
			return;
		}
	} else {
		conn = tcps_conns_find(shard, change->sk);
		if (!conn) {
			if (is_husk(change))
				return;
			conn = adopt(session, shard, change);
		}
	}
	if (change->new == TCP_CLOSE)
		take_reason(conn, change);
	/* connect() failed before its SYN. */
	if (conn && unlikely(conn->connecting))
		record_connecting(session, shard, conn, change->sk, change->now);
	tcps_change(session, shard, conn, change);
}

/*
 * @sk is about to go from @old to @new. Its owner holds it, so it is alive
 * throughout.
 */
void tcps_transition(struct tcps_session *session, const struct sock *sk, int old, int new)
{
	struct tcps_change change = { .sk = sk, .kind = TCPS_FULL, .old = old, .new = new };
	struct tcps_shard *shard;
	unsigned long flags;

	if (!is_ours(sk, old, new) || old == new)
		return;
	/* A listener's fresh clone: its request has told of the SYN already. */
	if (old == TCP_LISTEN && new == TCP_SYN_RECV)
		return;
	shard = tcps_conns_shard(&session->conns, sk);
	raw_spin_lock_irqsave(&shard->lock, flags);
	change.now = ktime_get_ns();
	transition(session, shard, &change);
	raw_spin_unlock_irqrestore(&shard->lock, flags);
	tcps_rings_wake(session->rings);
}

/* @sk is about to send its SYN, from the port that has been chosen. */
void tcps_connecting(struct tcps_session *session, const struct sock *sk)
{
	struct tcps_shard *shard = tcps_conns_shard(&session->conns, sk);
	struct tcps_conn *conn;
	unsigned long flags;

	raw_spin_lock_irqsave(&shard->lock, flags);
	conn = tcps_conns_find(shard, sk);
	if (!conn || conn->connecting)
		record_connecting(session, shard, conn, sk, ktime_get_ns());
	raw_spin_unlock_irqrestore(&shard->lock, flags);
	tcps_rings_wake(session->rings);
}

/* accept() gives @sk to the current task. */
void tcps_accepted(struct tcps_session *session, const struct sock *sk)
{
	struct tcps_shard *shard;
	struct tcps_conn *conn;
	unsigned long flags;

	if (sk->sk_protocol != IPPROTO_TCP || !in_task())
		return;
	shard = tcps_conns_shard(&session->conns, sk);
	raw_spin_lock_irqsave(&shard->lock, flags);
	conn = tcps_conns_find(shard, sk);
	if (conn)
		tcps_own(conn);
	raw_spin_unlock_irqrestore(&shard->lock, flags);
}

/* The administrator ends @sk, a socket of any kind. */
void tcps_aborted(struct tcps_session *session, const struct sock *sk)
{
	struct tcps_shard *shard = tcps_conns_shard(&session->conns, sk);
	struct tcps_conn *conn;
	unsigned long flags;

	raw_spin_lock_irqsave(&shard->lock, flags);
	conn = tcps_conns_find(shard, sk);
	if (conn)
		conn->hint = TCPSTATES_REASON_ABORTED;
	raw_spin_unlock_irqrestore(&shard->lock, flags);
}

/* @sk is about to be freed: if its end was not seen, its node goes now. */
void tcps_sock_destroyed(struct tcps_session *session, const struct sock *sk)
{
	struct tcps_shard *shard = tcps_conns_shard(&session->conns, sk);
	unsigned long flags;

	if (tcps_shard_lacks(shard))
		return;
	raw_spin_lock_irqsave(&shard->lock, flags);
	tcps_forget_stale(session, shard, sk);
	raw_spin_unlock_irqrestore(&shard->lock, flags);
}
