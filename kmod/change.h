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

#include "classes.h"
#include "conns.h"
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
struct tcps_conn *tcps_begin(struct tcps_session *session, struct tcps_shard *shard,
			     const struct sock *sk, u8 kind, u8 state, u64 now);
struct tcps_conn *tcps_begin_anew(struct tcps_session *session, struct tcps_shard *shard,
				  const struct sock *sk, u8 kind, u8 state, u64 now);
void tcps_forget(struct tcps_session *session, struct tcps_shard *shard, struct tcps_conn *conn);
void tcps_drop_stale(struct tcps_session *session, struct tcps_shard *shard,
		     struct tcps_conn *conn);
void tcps_set_state(struct tcps_session *session, struct tcps_conn *conn, u8 state);
void tcps_made_by(struct tcps_conn *conn, const struct sock *sk);
void tcps_own_as_task(struct tcps_known *known);
void tcps_own(struct tcps_conn *conn, const struct sock *sk);
void tcps_leave_accept_queue(struct tcps_session *session, struct tcps_conn *conn, u64 now);
void tcps_count_end(struct tcps_cpu_stats *stats, const struct tcps_conn *conn, u8 reason,
		    u64 now);
void tcps_come_to(struct tcps_session *session, struct tcps_conn *conn,
		  const struct sock *sk, struct tcps_listener *listener);
void tcps_change_class(struct tcps_session *session, struct tcps_conn *conn, u8 from, u8 to);

/*
 * The place of @sk, about which nothing holds that was known of its address: if
 * a node is left of an earlier socket there, it goes.
 */
static inline struct tcps_place tcps_vacate(struct tcps_session *session,
					    struct tcps_shard *shard, const struct sock *sk)
{
	struct tcps_place place = tcps_conns_place(shard, sk);

	if (unlikely(place.conn)) {
		tcps_drop_stale(session, shard, place.conn);
		place = tcps_conns_place(shard, sk);
	}
	return place;
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

void tcps_ident_stranger(const struct sock *sk, u8 kind, struct tcpstates_ident *who);

/* How long the connection was in its old state, as far as the node tells it. */
struct tcps_in_old {
	u64 ns;
	unsigned int flags;	/* TCPSTATES_SINCE_* */
};

/* The end that a step to this state begins; 0: none. */
extern const u8 tcps_reasons[TCPSTATES_NR_STATES];

bool tcps_leaves_out(const struct tcps_session *session, struct tcps_cpu_stats *stats,
		     const struct sock *sk, u8 kind, u64 in_old_ns, bool is_known);
void tcps_change_stranger(struct tcps_session *session, const struct sock *sk,
			  struct tcps_step step, u64 now);

static __always_inline struct tcps_in_old
tcps_time_in_old(const struct tcps_conn *conn, u8 old, u64 now)
{
	struct tcps_in_old in_old = {
		.ns = now - conn->since_ns,
		.flags = conn->since_flags,
	};

	if (unlikely(conn->state != old || !in_old.flags))
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
		tcps_ident_stranger(sk, step.kind, &rec->who);
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

static __always_inline void
tcps_enter_state(struct tcps_session *session, struct tcps_cpu_stats *stats,
		 struct tcps_conn *conn, u8 state)
{
	u8 from = tcps_classes[conn->state], to = tcps_classes[state];

	tcps_add(stats->states[conn->state], -1);
	tcps_add(stats->states[state], 1);
	if (from != to)
		tcps_change_class(session, conn, from, to);
	conn->state = state;
}

/* Move the node on; at CLOSE it goes. @conn is NULL for who found no node. */
static __always_inline void
tcps_change_here(struct tcps_session *session, struct tcps_shard *shard, struct tcps_conn *conn,
		 const struct sock *sk, struct tcps_step step, u64 now)
{
	struct tcps_cpu_stats *stats;

	if (!step.reason)
		step.reason = tcps_reasons[step.new];
	if (unlikely(!conn)) {
		tcps_change_stranger(session, sk, step, now);
		return;
	}
	if (!step.reason)
		step.reason = conn->reason;
	stats = tcps_stats_this_cpu(&session->stats);
	tcps_show(session, stats, conn, sk, step, tcps_time_in_old(conn, step.old, now), now);
	if (step.new == TCP_CLOSE) {
		tcps_count_end(stats, conn, step.reason, now);
		tcps_forget(session, shard, conn);
		return;
	}
	tcps_enter_state(session, stats, conn, step.new);
	conn->since_ns = now;
	conn->since_flags = TCPSTATES_SINCE_KNOWN | TCPSTATES_SINCE_EXACT;
	conn->reason = step.reason;
}

#endif
