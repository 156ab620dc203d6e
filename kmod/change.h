/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One step of a connection from state to state: time, counters, record. The
 * record is written under the shard's lock, straight from the node and the
 * socket: a copy to take along would cost more. It is inline where it is done
 * for every connection; a call takes another sixth of its cost.
 */
#ifndef TCPS_CHANGE_H
#define TCPS_CHANGE_H

#include <linux/string.h>
#include <linux/types.h>
#include <net/tcp_states.h>

#include "state_class.h"
#include "conns.h"
#include "pairs.h"
#include "session.h"
#include "sockinfo.h"

/* A step, as a hook sees it. */
struct tcps_step {
	u8 old;
	u8 new;
	u8 kind;	/* of the socket that is read for the record */
	u8 reason;	/* TCPSTATES_REASON_*, 0: that of the connection */
	u16 error;	/* errno that goes with it */
};

/*
 * All of these are called under the shard's lock, with interrupts off, so
 * that the records of a ring are in the order of their times, and those of a
 * connection in the order of its life.
 */
void tcps_change(struct tcps_session *session, struct tcps_shard *shard, struct tcps_conn *conn,
		 const struct sock *sk, struct tcps_step step, u64 now);
struct tcps_conn *tcps_add_node(struct tcps_session *session, struct tcps_shard *shard,
				const struct sock *sk, u8 kind, u8 state, u64 now);
struct tcps_conn *tcps_start(struct tcps_session *session, struct tcps_shard *shard,
			     const struct sock *sk, u8 kind, u8 state, u64 now);
void tcps_forget(struct tcps_session *session, struct tcps_shard *shard, struct tcps_conn *conn);
void tcps_missed(struct tcps_session *session, struct tcps_conn *conn, u8 state);
void tcps_remove_closed(struct tcps_session *session, struct tcps_shard *shard,
			struct tcps_conn *conn);
void tcps_drop_stale(struct tcps_session *session, struct tcps_shard *shard,
		     struct tcps_conn *conn);
void tcps_made_by(struct tcps_conn *conn, const struct sock *sk);
void tcps_own_as_task(struct tcps_known *known);
void tcps_own(struct tcps_conn *conn, const struct sock *sk);
void tcps_made_for(struct tcps_conn *conn, const struct sock *listener);
void tcps_come_to(struct tcps_session *session, struct tcps_conn *conn,
		  const struct sock *sk, struct tcps_listener *listener);
void tcps_change_class(struct tcps_session *session, struct tcps_conn *conn, unsigned int from,
		       unsigned int to);

/*
 * The insertion point of @sk, a new socket: a node that an earlier socket at this
 * address has left is removed.
 */
static inline struct tcps_insert_point tcps_vacate(struct tcps_session *session,
						   struct tcps_shard *shard, const struct sock *sk)
{
	struct tcps_insert_point point = tcps_conns_insert_point(shard, sk);

	if (unlikely(point.conn)) {
		tcps_drop_stale(session, shard, point.conn);
		point = tcps_conns_insert_point(shard, sk);
	}
	return point;
}

/* @sk, which has no node of this connection's, stands for it from now on. */
static inline void tcps_move(struct tcps_session *session, struct tcps_shard *from,
			     struct tcps_shard *to, struct tcps_conn *conn,
			     const struct sock *sk)
{
	rb_erase(&conn->rb, &from->root);
	/* Looked for only now: both may be one tree. */
	tcps_conns_link(to, tcps_vacate(session, to, sk), conn, sk);
}

/* Takes the shard's lock itself. */
void tcps_hint(struct tcps_session *session, const struct sock *sk, u8 reason);

void tcps_ident_untracked(const struct sock *sk, u8 kind, struct tcpstates_ident *who);

/* How long the connection was in its old state, as far as the node tells it. */
struct tcps_in_old {
	u64 ns;
	unsigned int flags;	/* TCPSTATES_SINCE_* */
};

/* The reason that a step to this state gives the connection's end; 0: none. */
extern const u8 tcps_reasons[TCPSTATES_NR_STATES];

bool tcps_leaves_out(const struct tcps_session *session, struct tcps_cpu_stats *stats,
		     const struct sock *sk, u8 kind, u64 in_old_ns, bool is_known);
void tcps_change_untracked(struct tcps_session *session, const struct sock *sk,
			   struct tcps_step step, u64 now);

static __always_inline struct tcps_in_old
tcps_time_in_old(const struct tcps_conn *conn, u64 now)
{
	struct tcps_in_old in_old = {
		.ns = now - conn->since_ns,
		.flags = conn->since_flags,
	};

	if (unlikely(!in_old.flags))
		return (struct tcps_in_old){};
	return in_old;
}

static __always_inline void
tcps_write_record(struct tcps_ring *ring, const struct tcps_conn *conn, const struct sock *sk,
		  struct tcps_step step, struct tcps_in_old in_old, u64 now)
{
	u64 pos = tcps_ring_position(ring);
	struct tcpstates_record *rec = tcps_ring_begin(ring, pos);

	rec->ts = now;
	rec->in_old_ns = in_old.ns;
	rec->type = TCPSTATES_REC_TRANSITION;
	rec->old_state = step.old;
	rec->new_state = step.new;
	rec->reason = step.reason;
	rec->error = step.error;
	rec->synacks = 0;
	if (conn)
		tcps_conn_ident(sk, step.kind, conn, &rec->who);
	else
		tcps_ident_untracked(sk, step.kind, &rec->who);
	/* The slot holds an older record: what this kind lacks is wiped. */
	if (unlikely(step.kind != TCPS_FULL))
		memset(&rec->meters, 0, sizeof(rec->meters));
	rec->flags = in_old.flags |
		     tcps_sock_measure(sk, step.kind, &rec->meters, &rec->synacks);
	tcps_ring_commit(ring, rec, pos);
}

/* Count the step and write its record. @conn is NULL for who found no node. */
static __always_inline void
tcps_show(struct tcps_session *session, struct tcps_cpu_stats *stats,
	  const struct tcps_conn *conn, const struct sock *sk, struct tcps_step step,
	  struct tcps_in_old in_old, u64 now)
{
	tcps_add(stats->seen, 1);
	tcps_stats_edge(stats, step.old, step.new, in_old.flags & TCPSTATES_SINCE_EXACT,
			in_old.ns);
	if (unlikely(stats->is_selective) &&
	    tcps_leaves_out(session, stats, sk, step.kind, in_old.ns,
			    in_old.flags & TCPSTATES_SINCE_KNOWN))
		return;
	tcps_write_record(stats->ring, conn, sk, step, in_old, now);
}

/* @conn goes from @old to @new. The caller updates the gauges. */
static __always_inline void tcps_enter_state(struct tcps_session *session,
					     struct tcps_conn *conn, u8 old, u8 new)
{
	u8 from = tcps_state_class[old], to = tcps_state_class[new];

	if (from != to)
		tcps_change_class(session, conn, from, to);
	conn->state = new;
}

/* A step that is not shown: the time goes on. */
static __always_inline void tcps_set_state(struct tcps_session *session,
					   struct tcps_conn *conn, u8 state)
{
	tcps_stats_rename(tcps_stats_this_cpu(&session->stats), conn->state, state);
	tcps_enter_state(session, conn, conn->state, state);
}

/* The step was shown, and @conn is in its new state. */
static __always_inline void tcps_stepped(struct tcps_conn *conn, struct tcps_step step, u64 now)
{
	conn->since_ns = now;
	conn->since_flags = TCPSTATES_SINCE_KNOWN | TCPSTATES_SINCE_EXACT;
	conn->reason = step.reason;
}

static __always_inline void tcps_count_reason(struct tcps_cpu_stats *stats, u8 role, u8 reason)
{
	tcps_add(stats->lives.ends[role * TCPSTATES_REASONS_MAX + reason], 1);
}

/* @conn ends, for this reason. */
static __always_inline void tcps_count_end(struct tcps_cpu_stats *stats,
					   const struct tcps_conn *conn, u8 reason, u64 now)
{
	u8 role = conn->role;

	tcps_count_reason(stats, role, reason);
	if (conn->established)
		tcps_times_add(&stats->lives.life[role], tcps_conn_established_for(conn, now));
}

/* Move the node on; at CLOSE it goes. @conn is NULL for who found no node. */
static __always_inline void
tcps_change_here(struct tcps_session *session, struct tcps_shard *shard, struct tcps_conn *conn,
		 const struct sock *sk, struct tcps_step step, u64 now)
{
	struct tcps_cpu_stats *stats;

	if (unlikely(!conn)) {
		tcps_change_untracked(session, sk, step, now);
		return;
	}
	if (!step.reason)
		step.reason = tcps_reasons[step.new] ?: conn->reason;
	if (unlikely(conn->state != step.old))
		tcps_missed(session, conn, step.old);
	stats = tcps_stats_this_cpu(&session->stats);
	tcps_show(session, stats, conn, sk, step, tcps_time_in_old(conn, now), now);
	if (step.new == TCP_CLOSE) {
		tcps_count_end(stats, conn, step.reason, now);
		tcps_remove_closed(session, shard, conn);
		return;
	}
	tcps_enter_state(session, conn, step.old, step.new);
	tcps_stepped(conn, step, now);
}

/*
 * The first step of a new node, which is in the old state, and in no class and no
 * pair yet; if it has come to a listener, that counts it in its new class already.
 */
static __always_inline void
tcps_change_first(struct tcps_session *session, struct tcps_conn *conn, const struct sock *sk,
		  struct tcps_step step, u64 now)
{
	const struct tcps_in_old unknown = {};
	struct tcps_cpu_stats *stats;

	if (unlikely(!conn)) {
		tcps_change_untracked(session, sk, step, now);
		return;
	}
	stats = tcps_stats_this_cpu(&session->stats);
	tcps_show(session, stats, conn, sk, step, unknown, now);
	conn->state = step.new;
	tcps_stepped(conn, step, now);
	tcps_pair_join(session, conn, tcps_state_class[step.new]);
}

#endif
