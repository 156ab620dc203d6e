/* SPDX-License-Identifier: GPL-2.0-only */
/* One step of a connection from state to state: time, counters, record. */
#ifndef TCPS_CHANGE_H
#define TCPS_CHANGE_H

#include <linux/types.h>

#include "conns.h"

struct tcps_session;
struct tcps_cpu_stats;

/* A step, as a hook sees it. */
struct tcps_change {
	const struct sock *sk;	/* what is read for the record ... */
	u8 kind;		/* ... and what kind of socket it is */
	u8 old;
	u8 new;
	u8 reason;		/* TCPSTATES_REASON_*, 0: that of the connection */
	u16 error;		/* errno that goes with it */
	u64 now;		/* taken under the shard's lock */
};

/*
 * All of these are called under the shard's lock, with interrupts off, so
 * that the records of a ring are in the order of their times, and those of a
 * connection in the order of its life.
 */
void tcps_change(struct tcps_session *session, struct tcps_shard *shard, struct tcps_conn *conn,
		 const struct tcps_change *change);
struct tcps_conn *tcps_begin(struct tcps_session *session, struct tcps_shard *shard,
			     const struct sock *sk, u8 kind, u8 state, u64 now);
void tcps_forget(struct tcps_session *session, struct tcps_shard *shard, struct tcps_conn *conn);
void tcps_forget_stale(struct tcps_session *session, struct tcps_shard *shard,
		       const struct sock *sk);
void tcps_set_state(struct tcps_session *session, struct tcps_conn *conn, u8 state);
void tcps_own(struct tcps_conn *conn);
void tcps_come_to(struct tcps_conn *conn, const struct sock *listener);

#endif
