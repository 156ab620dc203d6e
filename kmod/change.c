// SPDX-License-Identifier: GPL-2.0-only
/* One step of a connection from state to state. */
#include <net/tcp_states.h>

#include "change.h"
#include "session.h"

const u8 tcps_reasons[TCPSTATES_NR_STATES] = {
	[TCP_FIN_WAIT1] = TCPSTATES_REASON_CLOSED_LOCAL,
	[TCP_CLOSE_WAIT] = TCPSTATES_REASON_CLOSED_PEER,
	[TCP_CLOSING] = TCPSTATES_REASON_CLOSED_BOTH,
};

/**
 * tcps_change_untracked() - a step of a connection that has no node
 * @session: the activation
 * @sk: socket that is read for the record
 * @step: the step
 * @now: time of the step
 *
 * Context: Any, interrupts off.
 */
void tcps_change_untracked(struct tcps_session *session, const struct sock *sk,
			   struct tcps_step step, u64 now)
{
	struct tcps_cpu_stats *stats = tcps_stats_this_cpu(&session->stats);
	const struct tcps_in_old unknown = {};

	if (!step.reason)
		step.reason = tcps_reasons[step.new];
	tcps_record_step(session, stats, NULL, sk, step, unknown, now);
	/* No gauge has it. */
	tcps_stats_rename(stats, step.new, step.old);
	if (step.new == TCP_CLOSE)
		tcps_count_reason(stats, TCPSTATES_ROLE_UNKNOWN, step.reason);
}

/**
 * tcps_change() - a step of a connection
 * @session: the activation
 * @shard: shard of @conn
 * @conn: node; NULL: the connection is untracked. It is freed at CLOSE.
 * @sk: socket that is read for the record
 * @step: the step
 * @now: time of the step
 *
 * Context: Any, interrupts off. The lock of @shard.
 */
void tcps_change(struct tcps_session *session, struct tcps_shard *shard, struct tcps_conn *conn,
		 const struct sock *sk, struct tcps_step step, u64 now)
{
	tcps_change_here(session, shard, conn, sk, step, now);
}

/**
 * tcps_change_missed() - a step that was not seen
 * @session: the activation
 * @conn: node
 * @state: the state in which it is found; since when is not known
 *
 * Context: Any, interrupts off. The lock of the shard of @conn.
 */
void tcps_change_missed(struct tcps_session *session, struct tcps_conn *conn, u8 state)
{
	tcps_set_state(session, conn, state);
	conn->since_flags = 0;
}
