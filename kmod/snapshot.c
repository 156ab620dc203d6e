// SPDX-License-Identifier: GPL-2.0-only
/* Live connections, given out in pieces. */
#include <linux/minmax.h>
#include <linux/math64.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/xarray.h>
#include <net/inet_connection_sock.h>
#include <net/sock.h>
#include <net/tcp.h>

#include "change.h"
#include "mptcp.h"
#include "session.h"
#include "snapshot.h"
#include "sockinfo.h"

/* Connections that are copied to the caller at once. */
#define PIECE (PAGE_SIZE / sizeof(struct tcpstates_conn))

/*
 * A change of state that was under way while the hooks were attached is seen
 * by neither the hook nor the seeding: as long as no hook has seen the node,
 * its socket knows better.
 */
static void correct_seeded(struct tcps_session *session, struct tcps_conn *conn)
{
	u8 state = READ_ONCE(conn->sk->sk_state);

	tcps_conns_assert_held(&session->conns, conn);
	if (conn->kind != TCPS_FULL || conn->since_flags & TCPSTATES_SINCE_EXACT ||
	    state == conn->state || state >= TCPSTATES_NR_STATES)
		return;
	tcps_set_state(session, conn, state);
}

static u16 sock_flags(const struct sock *sk)
{
	u16 flags = 0;

	if (sock_flag(sk, SOCK_KEEPOPEN))
		flags |= TCPSTATES_SOCK_KEEPALIVE;
	if (sock_flag(sk, SOCK_DEAD))
		flags |= TCPSTATES_SOCK_ORPHAN;
	if (READ_ONCE(inet_csk(sk)->icsk_user_timeout))
		flags |= TCPSTATES_SOCK_USER_TIMEOUT;
	return flags;
}

/*
 * How long ago a stamp of the socket's was set; @flag, unless it never was.
 * The clock is read after the stamp, so that it is not behind it.
 */
static u16 describe_stamp(const u32 *stamp, __u64 *ago_ms, u16 flag)
{
	u32 set = READ_ONCE(*stamp), ago;

	if (!set)
		return 0;
	/* Orders the two reads; the writer needs no partner: its stamp is a clock read earlier. */
	smp_rmb();
	ago = tcp_jiffies32 - set;
	*ago_ms = div_u64((u64)ago * MSEC_PER_SEC, HZ);
	return flag;
}

/*
 * What the program has not read, as in tcp_diag_get_info(). The two numbers are read
 * one after the other: one that is read late may be ahead.
 */
static u32 unread(const struct tcp_sock *tp)
{
	u32 copied = READ_ONCE(tp->copied_seq);

	return max_t(s32, READ_ONCE(tp->rcv_nxt) - copied, 0);
}

/* What only a full socket has. */
static void describe_activity(const struct sock *sk, struct tcpstates_conn *out)
{
	const struct inet_connection_sock *icsk = inet_csk(sk);
	const struct tcp_sock *tp = tcp_sk(sk);

	out->flags |= describe_stamp(&icsk->icsk_ack.lrcvtime, &out->last_recv_ms,
				     TCPSTATES_HAS_LAST_RECV);
	out->flags |= describe_stamp(&tp->lsndtime, &out->last_sent_ms, TCPSTATES_HAS_LAST_SENT);
	out->meters.unread = unread(tp);
	out->ino = tcps_sock_ino(sk);
	out->unacked = READ_ONCE(tp->packets_out);
	out->retransmits = READ_ONCE(icsk->icsk_retransmits);
	out->probes = READ_ONCE(icsk->icsk_probes_out);
	out->sock_flags = sock_flags(sk);
}

/* The shard's lock is held, so the socket is alive. */
static void describe(struct tcps_session *session, struct tcps_conn *conn, void *data)
{
	struct tcpstates_conn *out = data;

	memset(out, 0, sizeof(*out));
	correct_seeded(session, conn);
	if (conn->kind == TCPS_FULL && tcps_lacks_subflow_owner(conn))
		tcps_subflow_find_owner(session, conn, conn->sk);
	tcps_conn_ident(conn->sk, conn->kind, conn, &out->who);
	out->since_ns = conn->since_ns;
	out->first_seen_ns = conn->first_seen_ns;
	out->state = conn->state;
	out->reason = conn->reason;
	out->flags = conn->since_flags |
		     tcps_sock_measure(conn->sk, conn->kind, &out->meters, &out->synacks);
	if (conn->kind == TCPS_FULL)
		describe_activity(conn->sk, out);
}

/*
 * Call @with under the lock of the node's shard. The shard follows from the socket,
 * which changes when the connection moves to another one: look again until both
 * match. False for a node that is free.
 */
static bool with_node(struct tcps_session *session, struct tcps_conn *conn,
		      tcps_with_conn_t with, void *data)
{
	struct tcps_shard *shard;
	const struct sock *sk;
	unsigned long flags;
	bool taken = false;

	while (!taken) {
		/* Pairs with the writes of tcps_conns_link() and tcps_conns_remove(). */
		sk = READ_ONCE(conn->sk);
		if (!sk)
			return false;
		shard = tcps_conns_shard(&session->conns, sk);
		raw_spin_lock_irqsave(&shard->lock, flags);
		if (conn->sk == sk) {
			with(session, conn, data);
			taken = true;
		}
		raw_spin_unlock_irqrestore(&shard->lock, flags);
	}
	return true;
}

/*
 * Up to @want connections from the cursor on, in the order of the nodes: a
 * connection keeps its node wherever it moves, so none is given twice.
 */
static unsigned int take_nodes(struct tcps_session *session, struct tcps_cursor *cursor,
			       struct tcpstates_conn *piece, unsigned int want)
{
	struct tcps_pool *pool = &session->conns.pool;
	struct tcps_conn *conn;
	unsigned int nr = 0;

	lockdep_assert_held_read(&session->live);
	down_read(&pool->keep);
	while (nr < want) {
		conn = xa_find(&pool->all, &cursor->next, ULONG_MAX, XA_PRESENT);
		if (!conn) {
			cursor->at_end = true;
			break;
		}
		cursor->next++;
		nr += with_node(session, conn, describe, &piece[nr]);
		if (need_resched())
			break;
	}
	up_read(&pool->keep);
	return nr;
}

/**
 * tcps_walk_conns() - call a function for each live connection
 * @session: the activation
 * @with: the function, called under the lock of the shard
 * @data: passed to @with
 *
 * Context: Process context, may sleep. Takes @session->live, the lock of nodes, and
 *	those of shards, in pieces between which others run.
 * Return: 0; -ENOLINK: the activation ends; -EINTR: a signal.
 */
int tcps_walk_conns(struct tcps_session *session, tcps_with_conn_t with, void *data)
{
	struct tcps_pool *pool = &session->conns.pool;
	struct tcps_conn *conn = NULL;
	unsigned long index = 0;
	unsigned int left;

	do {
		down_read(&session->live);
		if (session->ended) {
			up_read(&session->live);
			return -ENOLINK;
		}
		down_read(&pool->keep);
		for (left = PIECE; left; left--) {
			conn = xa_find(&pool->all, &index, ULONG_MAX, XA_PRESENT);
			if (!conn)
				break;
			index++;
			with_node(session, conn, with, data);
		}
		up_read(&pool->keep);
		up_read(&session->live);
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	} while (conn);
	return 0;
}

static int fill_piece(struct tcps_session *session, struct tcps_cursor *cursor,
		      struct tcpstates_conn *piece, unsigned int want)
{
	int nr;

	down_read(&session->live);
	nr = session->ended ? -ENOLINK : take_nodes(session, cursor, piece, want);
	up_read(&session->live);
	return nr;
}

static int copy_pieces(struct tcps_session *session, struct tcps_cursor *cursor,
		       struct tcpstates_snapshot *call, struct tcpstates_conn *piece)
{
	struct tcpstates_conn __user *user = u64_to_user_ptr(call->entries);
	unsigned int want;
	int nr;

	while (call->count < call->capacity && !cursor->at_end) {
		want = min_t(unsigned int, PIECE, call->capacity - call->count);
		nr = fill_piece(session, cursor, piece, want);
		if (nr < 0)
			return nr;
		if (copy_to_user(user + call->count, piece, nr * sizeof(*piece)))
			return -EFAULT;
		call->count += nr;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/**
 * tcps_snapshot() - copy the next live connections to the caller
 * @session: the activation
 * @cursor: where the snapshot is; the caller serializes the calls for one
 * @call: arguments of the call, and what it returns
 *
 * Context: Process context, may sleep. Takes @session->live, the lock of nodes, and
 *	those of shards.
 * Return: 0 or an error.
 */
int tcps_snapshot(struct tcps_session *session, struct tcps_cursor *cursor,
		  struct tcpstates_snapshot *call)
{
	struct tcpstates_conn *piece;
	int err;

	if (call->restart > 1 || call->reserved)
		return -EINVAL;
	if (call->restart)
		*cursor = (struct tcps_cursor){ .generation = session->generation };
	else if (cursor->generation != session->generation)
		return -ESTALE;
	piece = kmalloc(PAGE_SIZE, GFP_KERNEL);
	if (!piece)
		return -ENOMEM;
	call->count = 0;
	err = copy_pieces(session, cursor, call, piece);
	kfree(piece);
	return err;
}
