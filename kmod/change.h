/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One step of a connection from state to state: node, counters, record. It is
 * inline where it is done for every connection: a call would take another sixth of
 * its cost.
 *
 * All of this runs under the lock of the connection's shard, with interrupts off:
 * so the records of a ring are in the order of their times, and those of a
 * connection in the order of its states.
 */
#ifndef TCPS_CHANGE_H
#define TCPS_CHANGE_H

#include <linux/types.h>
#include <net/tcp_states.h>

#include "conns.h"
#include "locks.h"
#include "node.h"
#include "pairs.h"
#include "record.h"
#include "session.h"
#include "state_class.h"

/* The reason that a step to this state gives the connection's end; 0: none. */
extern const u8 tcps_reasons[TCPSTATES_NR_STATES];

void tcps_change(struct tcps_session *session, struct tcps_shard *shard, struct tcps_conn *conn,
		 const struct sock *sk, struct tcps_step step, u64 now);
void tcps_change_untracked(struct tcps_session *session, const struct sock *sk,
			   struct tcps_step step, u64 now);
void tcps_change_missed(struct tcps_session *session, struct tcps_conn *conn, u8 state);

/* @conn goes from @old to @new. The caller updates the gauges. */
static __always_inline void tcps_enter_state(struct tcps_session *session,
					     struct tcps_conn *conn, u8 old, u8 new)
{
	u8 from = tcps_state_class[old], to = tcps_state_class[new];

	if (from != to)
		tcps_node_change_class(session, conn, from, to);
	conn->state = new;
}

/**
 * tcps_set_state() - a step without a record
 * @session: the activation
 * @conn: node, which keeps the time since when it is in its state
 * @state: the new state
 *
 * Context: Any, interrupts off. The lock of the shard of @conn.
 */
static __always_inline void tcps_set_state(struct tcps_session *session,
					   struct tcps_conn *conn, u8 state)
{
	tcps_conns_assert_held(&session->conns, conn);
	tcps_stats_rename(tcps_stats_this_cpu(&session->stats), conn->state, state);
	tcps_enter_state(session, conn, conn->state, state);
}

/* The step was recorded, and @conn is in its new state. */
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

/**
 * tcps_change_here() - tcps_change(), inline
 * @session: the activation
 * @shard: shard of @conn
 * @conn: node; NULL: the connection is untracked. It is freed at CLOSE.
 * @sk: socket that is read for the record
 * @step: the step
 * @now: time of the step
 *
 * Context: Any, interrupts off. The lock of @shard.
 */
static __always_inline void
tcps_change_here(struct tcps_session *session, struct tcps_shard *shard, struct tcps_conn *conn,
		 const struct sock *sk, struct tcps_step step, u64 now)
{
	struct tcps_cpu_stats *stats;

	lockdep_assert_held(&shard->lock);
	if (unlikely(!conn)) {
		tcps_change_untracked(session, sk, step, now);
		return;
	}
	if (!step.reason)
		step.reason = tcps_reasons[step.new] ?: conn->reason;
	if (unlikely(conn->state != step.old))
		tcps_change_missed(session, conn, step.old);
	stats = tcps_stats_this_cpu(&session->stats);
	tcps_record_step(session, stats, conn, sk, step, tcps_time_in_old(conn, now), now);
	if (step.new == TCP_CLOSE) {
		tcps_count_end(stats, conn, step.reason, now);
		tcps_node_remove_closed(session, shard, conn);
		return;
	}
	tcps_enter_state(session, conn, step.old, step.new);
	tcps_stepped(conn, step, now);
}

/**
 * tcps_change_first() - the first step of a new node
 * @session: the activation
 * @conn: node, in the old state, and in no class and no pair yet; if it has come to
 *	a listener, that has counted it in its new class already. NULL: untracked
 * @sk: socket that is read for the record
 * @step: the step
 * @now: time of the step
 *
 * Context: Any, interrupts off. The lock of the shard of @conn.
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
	tcps_conns_assert_held(&session->conns, conn);
	stats = tcps_stats_this_cpu(&session->stats);
	tcps_record_step(session, stats, conn, sk, step, unknown, now);
	conn->state = step.new;
	tcps_stepped(conn, step, now);
	tcps_pair_join(session, conn, tcps_state_class[step.new]);
}

#endif
