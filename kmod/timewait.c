// SPDX-License-Identifier: GPL-2.0-only
/*
 * Connections that a timewait socket stands for: a small socket that replaces the
 * full one in TIME_WAIT, and already in FIN_WAIT2 when no process has the
 * connection open any more. The full socket then goes to CLOSE, which does not
 * end the connection (see is_superseded()).
 */
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/tcp.h>
#include <net/inet_timewait_sock.h>
#include <net/net_namespace.h>
#include <net/tcp.h>

#include "change.h"
#include "seed.h"
#include "session.h"
#include "sockinfo.h"
#include "timewait.h"

/**
 * tcps_timewait_started() - a timewait socket is about to replace a full one
 * @session: the activation
 * @tw: the timewait socket, which nobody can find yet
 * @sk: the full socket
 *
 * Context: Any: a hook. Takes the locks of the shards of both.
 */
void tcps_timewait_started(struct tcps_session *session, const struct inet_timewait_sock *tw,
			   const struct sock *sk)
{
	/* The meters of the full socket can still be had. */
	const struct tcps_step step = {
		.old = READ_ONCE(sk->sk_state),
		.new = READ_ONCE(tw->tw_substate),
		.kind = TCPS_FULL,
	};
	const struct sock *tw_sk = (const struct sock *)tw;
	struct tcps_shard *near = tcps_conns_shard(&session->conns, sk);
	struct tcps_shard *far = tcps_conns_shard(&session->conns, tw_sk);
	struct tcps_conn *conn;
	unsigned long flags;

	if (!tcps_is_tcp(sk) || step.old >= TCPSTATES_NR_STATES || step.new >= TCPSTATES_NR_STATES)
		return;
	local_irq_save(flags);
	tcps_shards_lock(near, far);
	conn = tcps_conns_find(near, sk) ?: tcps_seed_early(session, near, sk);
	if (step.new != step.old)
		tcps_change_here(session, near, conn, sk, step, ktime_get_ns());
	if (conn) {
		tcps_node_move(session, near, far, conn, tw_sk);
		conn->kind = TCPS_TIMEWAIT;
	}
	tcps_shards_unlock(near, far);
	local_irq_restore(flags);
	tcps_rings_wake(session->rings);
}

/**
 * tcps_timewait_rearmed() - the timer starts again: a FIN may have come for an orphaned FIN_WAIT2
 * @session: the activation
 * @tw: the timewait socket
 *
 * Context: Any: a hook. Takes the lock of the shard of @tw.
 */
void tcps_timewait_rearmed(struct tcps_session *session, const struct inet_timewait_sock *tw)
{
	const struct tcps_step step = {
		.old = TCP_FIN_WAIT2,
		.new = TCP_TIME_WAIT,
		.kind = TCPS_TIMEWAIT,
	};
	const struct sock *sk = (const struct sock *)tw;
	struct tcps_shard *shard = tcps_conns_shard(&session->conns, sk);
	struct tcps_conn *conn;
	unsigned long flags;

	if (READ_ONCE(tw->tw_substate) != TCP_TIME_WAIT)
		return;
	raw_spin_lock_irqsave(&shard->lock, flags);
	conn = tcps_conns_find(shard, sk);
	if (conn && conn->state == TCP_FIN_WAIT2) {
		tcps_change(session, shard, conn, sk, step, ktime_get_ns());
		conn->hint = TCPSTATES_REASON_NONE;
	}
	raw_spin_unlock_irqrestore(&shard->lock, flags);
	tcps_rings_wake(session->rings);
}

/* What an end of @tw before its time would be due to. */
static u8 early_reason(const struct inet_timewait_sock *tw, const struct sk_buff *skb)
{
	const struct tcphdr *th = tcp_hdr(skb);

	if (th->rst)
		return TCPSTATES_REASON_RESET_RECEIVED;
	if (READ_ONCE(tw->tw_substate) == TCP_FIN_WAIT2)
		return TCPSTATES_REASON_RESET_SENT;
	return TCPSTATES_REASON_REUSED;
}

/**
 * tcps_timewait_packet() - a packet, which may end a TIME_WAIT
 * @session: the activation
 * @tw: the timewait socket
 * @skb: the packet
 *
 * Context: Any: a hook. Takes the lock of the shard of @tw.
 */
void tcps_timewait_packet(struct tcps_session *session, const struct inet_timewait_sock *tw,
			  const struct sk_buff *skb)
{
	tcps_node_hint(session, (const struct sock *)tw, early_reason(tw, skb));
}

/* None: it has lasted as long as it should. */
static u8 end_reason(const struct inet_timewait_sock *tw, const struct tcps_conn *conn)
{
	if (time_after_eq(jiffies, READ_ONCE(tw->tw_timer.expires)))
		return conn->state == TCP_FIN_WAIT2 ? TCPSTATES_REASON_FIN_TIMEOUT :
						      TCPSTATES_REASON_NONE;
	if (!check_net(twsk_net(tw)))
		return TCPSTATES_REASON_NETNS_GONE;
	/* Without a packet: for connect(), which needed its port. */
	return conn->hint ?: TCPSTATES_REASON_REUSED;
}

/**
 * tcps_timewait_freed() - a timewait socket is about to be freed: its connection ends
 * @session: the activation
 * @tw: the timewait socket
 *
 * Context: Any: a hook. Takes the lock of the shard of @tw.
 */
void tcps_timewait_freed(struct tcps_session *session, const struct inet_timewait_sock *tw)
{
	struct tcps_step step = { .new = TCP_CLOSE, .kind = TCPS_TIMEWAIT };
	const struct sock *sk = (const struct sock *)tw;
	struct tcps_shard *shard = tcps_conns_shard(&session->conns, sk);
	struct tcps_conn *conn;
	unsigned long flags;

	if (tcps_shard_lacks(shard))
		return;
	raw_spin_lock_irqsave(&shard->lock, flags);
	conn = tcps_conns_find(shard, sk);
	if (conn) {
		step.old = conn->state;
		step.reason = end_reason(tw, conn);
		tcps_change(session, shard, conn, sk, step, ktime_get_ns());
	}
	raw_spin_unlock_irqrestore(&shard->lock, flags);
	if (conn)
		tcps_rings_wake(session->rings);
}
