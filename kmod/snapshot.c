// SPDX-License-Identifier: GPL-2.0-only
/* Live connections, given out in pieces. */
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <net/sock.h>

#include "session.h"
#include "snapshot.h"
#include "sockinfo.h"

/* Connections that are copied under one hold of a shard's lock. */
#define PIECE (PAGE_SIZE / sizeof(struct tcpstates_conn))

/*
 * A change of state that was under way while the hooks were attached is seen
 * by neither the hook nor the seeding: as long as no hook has seen the node,
 * its socket knows better. The shard's lock is held.
 */
static void correct_seeded(struct tcps_session *session, struct tcps_conn *conn)
{
	u8 state = READ_ONCE(conn->sk->sk_state);
	struct tcps_cpu_stats *stats;

	if (conn->since_flags & TCPSTATES_SINCE_EXACT || state == conn->state ||
	    state >= TCPSTATES_NR_STATES)
		return;
	stats = tcps_stats_this_cpu(session->stats);
	stats->states[conn->state]--;
	stats->states[state]++;
	conn->state = state;
}

/* The shard's lock is held, so the socket is alive. */
static void describe(struct tcps_session *session, struct tcps_conn *conn,
		     struct tcpstates_conn *out)
{
	memset(out, 0, sizeof(*out));
	correct_seeded(session, conn);
	tcps_sock_ident(conn->sk, conn, &out->who);
	out->since_ns = conn->since_ns;
	out->first_seen_ns = conn->first_seen_ns;
	out->state = conn->state;
	out->flags = conn->since_flags;
	tcps_sock_meters(conn->sk, &out->meters);
}

/* Up to @max connections of the cursor's shard. session->live is held. */
static unsigned int take_piece(struct tcps_session *session, struct tcps_cursor *cursor,
			       struct tcpstates_conn *out, unsigned int max)
{
	struct tcps_shard *shard = &session->conns.shards[cursor->shard];
	struct tcps_conn *conn;
	unsigned long flags;
	unsigned int nr = 0;

	if (RB_EMPTY_ROOT(&shard->root))
		return 0;
	raw_spin_lock_irqsave(&shard->lock, flags);
	conn = tcps_conns_next(shard, cursor->last);
	while (conn && nr < max) {
		describe(session, conn, &out[nr++]);
		cursor->last = conn->sk;
		conn = rb_entry_safe(rb_next(&conn->rb), struct tcps_conn, rb);
	}
	raw_spin_unlock_irqrestore(&shard->lock, flags);
	return nr;
}

static bool at_end(const struct tcps_session *session, const struct tcps_cursor *cursor)
{
	return cursor->shard >= 1U << session->conns.bits;
}

/* Fill the piece from as many shards as it takes. */
static int fill_piece(struct tcps_session *session, struct tcps_cursor *cursor,
		      struct tcpstates_conn *piece, unsigned int want)
{
	unsigned int nr = 0;

	down_read(&session->live);
	if (session->ended) {
		up_read(&session->live);
		return -ENOLINK;
	}
	while (nr < want && !at_end(session, cursor)) {
		nr += take_piece(session, cursor, piece + nr, want - nr);
		/* A full piece may leave some of the shard. */
		if (nr < want) {
			cursor->shard++;
			cursor->last = NULL;
		}
	}
	up_read(&session->live);
	return nr;
}

static int copy_pieces(struct tcps_session *session, struct tcps_cursor *cursor,
		       struct tcpstates_snapshot *call, struct tcpstates_conn *piece)
{
	struct tcpstates_conn __user *user = u64_to_user_ptr(call->entries);
	unsigned int want;
	int nr;

	while (call->count < call->capacity && !at_end(session, cursor)) {
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

/* The caller serialises the calls of one cursor. */
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
