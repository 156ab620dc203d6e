// SPDX-License-Identifier: GPL-2.0-only
/*
 * One step of a connection from state to state: time, counters, record. The
 * record is written under the shard's lock, straight from the node and the
 * socket: a copy to take along would cost more.
 */
#include <linux/cgroup.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <net/tcp_states.h>

#include "change.h"
#include "session.h"
#include "sockinfo.h"

/* How long the connection was in its old state, as far as the node tells it. */
struct in_old {
	u64 ns;
	u16 flags;	/* TCPSTATES_SINCE_* */
};

static struct in_old time_in_old(const struct tcps_conn *conn, const struct tcps_change *change)
{
	struct in_old in_old = {};

	if (conn && conn->state == change->old && conn->since_flags) {
		in_old.flags = conn->since_flags;
		in_old.ns = change->now - conn->since_ns;
	}
	return in_old;
}

/* Of a connection that has no node. */
static noinline void ident_stranger(const struct sock *sk, u8 kind, struct tcpstates_ident *who)
{
	struct tcps_conn stranger = { .netns = tcps_sock_netns(sk) };

	tcps_conn_ident(sk, kind, &stranger, who);
}

static void write_record(struct tcps_ring *ring, const struct tcps_conn *conn,
			 const struct tcps_change *change, const struct in_old *in_old, u8 reason)
{
	struct tcpstates_record *rec = tcps_ring_begin(ring);

	rec->ts = change->now;
	rec->in_old_ns = in_old->ns;
	rec->type = TCPSTATES_REC_TRANSITION;
	rec->old_state = change->old;
	rec->new_state = change->new;
	rec->reason = reason;
	rec->error = change->error;
	rec->synacks = 0;
	if (likely(conn))
		tcps_conn_ident(change->sk, change->kind, conn, &rec->who);
	else
		ident_stranger(change->sk, change->kind, &rec->who);
	/* The slot holds an older record: what this kind lacks is wiped. */
	if (unlikely(change->kind != TCPS_FULL))
		memset(&rec->meters, 0, sizeof(rec->meters));
	rec->flags = in_old->flags |
		     tcps_sock_measure(change->sk, change->kind, &rec->meters, &rec->synacks);
	tcps_ring_commit(ring, rec);
}

/* min-ms counts only where the time is known. */
static bool is_too_short(const struct tcps_session *session, const struct in_old *in_old)
{
	return in_old->ns < session->config.min_ns && (in_old->flags & TCPSTATES_SINCE_KNOWN);
}

static noinline bool passes_filter(const struct tcpstates_filter *filter, const struct sock *sk,
				   u8 kind)
{
	struct tcpstates_ident who;

	tcps_sock_tuple(sk, kind, &who);
	who.netns = tcps_sock_netns(sk);
	return tcps_filter_match(filter, &who);
}

/* Write the record, or count why there is none. */
static void record(struct tcps_session *session, struct tcps_cpu_stats *stats,
		   const struct tcps_conn *conn, const struct tcps_change *change,
		   const struct in_old *in_old, u8 reason)
{
	if (session->has_filter &&
	    !passes_filter(&session->config.filter, change->sk, change->kind))
		stats->filtered++;
	else if (is_too_short(session, in_old))
		stats->too_short++;
	else
		write_record(&session->rings->cpu[smp_processor_id()]->ring, conn, change, in_old,
			     reason);
}

/* The end that this step begins; 0: none. */
static u8 reason_of_step(u8 new)
{
	switch (new) {
	case TCP_FIN_WAIT1:
		return TCPSTATES_REASON_CLOSED_LOCAL;
	case TCP_CLOSE_WAIT:
		return TCPSTATES_REASON_CLOSED_PEER;
	case TCP_CLOSING:
		return TCPSTATES_REASON_CLOSED_BOTH;
	default:
		return TCPSTATES_REASON_NONE;
	}
}

static void enter_state(struct tcps_cpu_stats *stats, struct tcps_conn *conn, u8 state)
{
	stats->states[conn->state]--;
	stats->states[state]++;
	conn->state = state;
}

/* Move the node on; at CLOSE it goes. @conn is NULL for who found no node. */
void tcps_change(struct tcps_session *session, struct tcps_shard *shard, struct tcps_conn *conn,
		 const struct tcps_change *change)
{
	struct tcps_cpu_stats *stats = tcps_stats_this_cpu(session->stats);
	struct in_old in_old = time_in_old(conn, change);
	u8 reason = change->reason ?: reason_of_step(change->new);

	if (conn && !reason)
		reason = conn->reason;
	stats->seen++;
	tcps_stats_edge(stats, change->old, change->new, in_old.flags & TCPSTATES_SINCE_EXACT,
			in_old.ns);
	record(session, stats, conn, change, &in_old, reason);
	if (!conn)
		return;
	if (change->new == TCP_CLOSE) {
		tcps_forget(session, shard, conn);
		return;
	}
	enter_state(stats, conn, change->new);
	conn->since_ns = change->now;
	conn->since_flags = TCPSTATES_SINCE_KNOWN | TCPSTATES_SINCE_EXACT;
	conn->reason = reason;
}

/* A step that is not shown: the time goes on. */
void tcps_set_state(struct tcps_session *session, struct tcps_conn *conn, u8 state)
{
	enter_state(tcps_stats_this_cpu(session->stats), conn, state);
}

/* A node for @sk, which has none; NULL, and counted, when no node is free. */
struct tcps_conn *tcps_begin(struct tcps_session *session, struct tcps_shard *shard,
			     const struct sock *sk, u8 kind, u8 state, u64 now)
{
	struct tcps_cpu_stats *stats = tcps_stats_this_cpu(session->stats);
	struct tcps_conn *conn = tcps_conns_add(&session->conns, shard, sk);

	if (!conn) {
		stats->untracked++;
		return NULL;
	}
	conn->kind = kind;
	conn->state = state;
	conn->first_seen_ns = now;
	conn->netns = tcps_sock_netns(sk);
	if (kind == TCPS_FULL)
		conn->cgroup = tcps_sock_cgroup(sk);
	stats->states[state]++;
	return conn;
}

void tcps_forget(struct tcps_session *session, struct tcps_shard *shard, struct tcps_conn *conn)
{
	tcps_stats_this_cpu(session->stats)->states[conn->state]--;
	tcps_conns_remove(&session->conns, shard, conn);
}

/* The end of an earlier socket at this address was not seen. */
void tcps_forget_stale(struct tcps_session *session, struct tcps_shard *shard,
		       const struct sock *sk)
{
	struct tcps_conn *conn = tcps_conns_find(shard, sk);

	if (likely(!conn))
		return;
	tcps_stats_this_cpu(session->stats)->stale++;
	tcps_forget(session, shard, conn);
}

static u64 current_cgroup(void)
{
	u64 id = 0;

#ifdef CONFIG_CGROUPS
	rcu_read_lock();
	id = cgroup_id(task_dfl_cgroup(current));
	rcu_read_unlock();
#endif
	return id;
}

/* The current task owns the connection. Only for what runs in its context. */
void tcps_own(struct tcps_conn *conn)
{
	const struct task_struct *leader = current->group_leader;

	conn->pid = task_tgid_nr(current);
	/* A task that renames itself meanwhile may tear the name, not its end. */
	memcpy(conn->comm, leader->comm, sizeof(conn->comm));
	conn->comm[sizeof(conn->comm) - 1] = '\0';
	conn->cgroup = current_cgroup();
	conn->flags |= TCPSTATES_HAS_OWNER;
}

/* The connection has come to @listener: it is what is known before accept(). */
void tcps_come_to(struct tcps_conn *conn, const struct sock *listener)
{
	conn->role = TCPSTATES_ROLE_SERVER;
	conn->uid = tcps_sock_uid(listener);
	conn->cgroup = tcps_sock_cgroup(listener);
	tcps_sock_laddr(listener, conn->listener_addr);
	conn->listener_port = listener->sk_num;
	conn->flags |= TCPSTATES_HAS_LISTENER | TCPSTATES_HAS_UID;
}
