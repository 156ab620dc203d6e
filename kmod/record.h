/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The record of a step, and whether there is one. It is written under the shard's
 * lock, straight from the node and the socket: a copy would cost more.
 */
#ifndef TCPS_RECORD_H
#define TCPS_RECORD_H

#include <linux/string.h>
#include <linux/types.h>

#include "conns.h"
#include "locks.h"
#include "session.h"
#include "sockinfo.h"

/* A step of a connection from state to state, as a hook sees it. */
struct tcps_step {
	u8 old;
	u8 new;
	u8 kind;	/* of the socket that is read for the record */
	u8 reason;	/* TCPSTATES_REASON_*, 0: that of the connection */
	u16 error;	/* errno that goes with it */
};

/* How long the connection was in its old state, as far as the node has it. */
struct tcps_in_old {
	u64 ns;
	unsigned int flags;	/* TCPSTATES_SINCE_* */
};

void tcps_ident_untracked(const struct sock *sk, u8 kind, struct tcpstates_ident *who);
bool tcps_record_skips(const struct tcps_session *session, struct tcps_cpu_stats *stats,
		       const struct sock *sk, u8 kind, u64 in_old_ns, bool is_known);

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
tcps_record_write(struct tcps_ring *ring, const struct tcps_conn *conn, const struct sock *sk,
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
	/* The slot holds an older record: clear what this kind does not have. */
	if (unlikely(step.kind != TCPS_FULL))
		memset(&rec->meters, 0, sizeof(rec->meters));
	rec->flags = in_old.flags |
		     tcps_sock_measure(sk, step.kind, &rec->meters, &rec->synacks);
	tcps_ring_commit(ring, rec, pos);
}

/**
 * tcps_record_step() - count a step and write its record
 * @session: the activation
 * @stats: counters of this CPU
 * @conn: node of the connection; NULL: it is untracked
 * @sk: socket that is read
 * @step: the step
 * @in_old: time in the old state
 * @now: time of the step
 *
 * Context: Any, interrupts off. The lock of the shard of @conn, so that the records
 *	of a connection are in the order of its states.
 */
static __always_inline void
tcps_record_step(struct tcps_session *session, struct tcps_cpu_stats *stats,
		 const struct tcps_conn *conn, const struct sock *sk, struct tcps_step step,
		 struct tcps_in_old in_old, u64 now)
{
	lockdep_assert_irqs_disabled();
	tcps_add(stats->seen, 1);
	tcps_stats_transition(stats, step.old, step.new, in_old.flags & TCPSTATES_SINCE_EXACT,
			      in_old.ns);
	if (unlikely(stats->is_selective) &&
	    tcps_record_skips(session, stats, sk, step.kind, in_old.ns,
			      in_old.flags & TCPSTATES_SINCE_KNOWN))
		return;
	tcps_record_write(stats->ring, conn, sk, step, in_old, now);
}

#endif
