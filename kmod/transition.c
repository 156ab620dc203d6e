// SPDX-License-Identifier: GPL-2.0-only
/*
 * What happens when a socket changes its state, or is destroyed. Called by
 * the hooks in any context that TCP runs in; nothing here sleeps, allocates
 * or prints. Interrupts stay off from the look-up to the commit, so that the
 * records of a ring are in the order of their times, and a connection's
 * records in the order of its life. The record is written under the shard's
 * lock, straight from the node: a copy to take along would cost more.
 */
#include <linux/ktime.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <net/tcp_states.h>

#include "session.h"
#include "sockinfo.h"
#include "transition.h"

struct transition {
	const struct sock *sk;
	u8 old;
	u8 new;
	u16 since_flags;
	u64 now;
	u64 in_old_ns;
};

/* The socket begins a life: nothing that was known of its address holds. */
static bool is_birth(const struct transition *t)
{
	if (t->new == TCP_CLOSE)
		return false;
	/* A listener never receives a SYN itself: this is a fresh clone of it. */
	return t->old == TCP_CLOSE || (t->old == TCP_LISTEN && t->new == TCP_SYN_RECV);
}

static u8 birth_role(const struct transition *t)
{
	switch (t->new) {
	case TCP_SYN_SENT:
		return TCPSTATES_ROLE_CLIENT;
	case TCP_LISTEN:
		return TCPSTATES_ROLE_LISTENER;
	case TCP_SYN_RECV:
		return TCPSTATES_ROLE_SERVER;
	default:
		return TCPSTATES_ROLE_UNKNOWN;
	}
}

/* The current task owns the connection. Only for what runs in its context. */
static void own_conn(struct tcps_conn *conn)
{
	const struct task_struct *leader = current->group_leader;

	conn->pid = task_tgid_nr(current);
	/* A task that renames itself meanwhile may tear the name, not its end. */
	memcpy(conn->comm, leader->comm, sizeof(conn->comm));
	conn->comm[sizeof(conn->comm) - 1] = '\0';
	conn->flags |= TCPSTATES_HAS_OWNER;
}

/* A node for a socket that has none; NULL when no node is free. */
static struct tcps_conn *add_conn(struct tcps_session *session, struct tcps_shard *shard,
				  struct tcps_cpu_stats *stats, const struct transition *t)
{
	struct tcps_conn *conn = tcps_conns_add(&session->conns, shard, t->sk);

	if (!conn) {
		stats->untracked += is_birth(t);
		return NULL;
	}
	conn->first_seen_ns = t->now;
	conn->state = TCP_CLOSE;
	stats->states[TCP_CLOSE]++;
	if (!is_birth(t))
		return conn;
	conn->role = birth_role(t);
	/* connect() and listen() run in their caller, a SYN in anybody. */
	if (in_task() && t->old == TCP_CLOSE)
		own_conn(conn);
	return conn;
}

static void remove_conn(struct tcps_session *session, struct tcps_shard *shard,
			struct tcps_cpu_stats *stats, struct tcps_conn *conn)
{
	stats->states[conn->state]--;
	tcps_conns_remove(&session->conns, shard, conn);
}

/* The socket's node as it was before the transition, or NULL. */
static struct tcps_conn *find_conn(struct tcps_session *session, struct tcps_shard *shard,
				   struct tcps_cpu_stats *stats, const struct transition *t)
{
	struct tcps_conn *conn = tcps_conns_find(shard, t->sk);

	if (conn && is_birth(t)) {
		/* The end of an earlier socket at this address was not seen. */
		stats->stale++;
		remove_conn(session, shard, stats, conn);
		return NULL;
	}
	if (!conn && !is_birth(t) && t->old != TCP_CLOSE)
		stats->unmatched++;
	return conn;
}

/* The time in the old state, as far as the node tells it. */
static void take_time(const struct tcps_conn *conn, struct transition *t)
{
	if (conn->state != t->old || !(conn->since_flags & TCPSTATES_SINCE_KNOWN))
		return;
	t->since_flags = conn->since_flags;
	t->in_old_ns = t->now - conn->since_ns;
}

/* Move the node on; at CLOSE it goes. */
static void apply(struct tcps_session *session, struct tcps_shard *shard,
		  struct tcps_cpu_stats *stats, struct tcps_conn *conn,
		  const struct transition *t)
{
	if (t->new == TCP_CLOSE) {
		remove_conn(session, shard, stats, conn);
		return;
	}
	stats->states[conn->state]--;
	stats->states[t->new]++;
	conn->state = t->new;
	conn->since_ns = t->now;
	conn->since_flags = TCPSTATES_SINCE_KNOWN | TCPSTATES_SINCE_EXACT;
}

static void write_record(struct tcps_ring *ring, const struct tcps_conn *conn,
			 const struct transition *t)
{
	struct tcpstates_record *rec = tcps_ring_begin(ring);

	rec->ts = t->now;
	rec->in_old_ns = t->in_old_ns;
	rec->type = TCPSTATES_REC_TRANSITION;
	rec->old_state = t->old;
	rec->new_state = t->new;
	rec->flags = t->since_flags;
	tcps_sock_ident(t->sk, conn, &rec->who);
	tcps_sock_meters(t->sk, &rec->meters);
	tcps_ring_commit(ring, rec);
}

/* min-ms counts only where the time is known. */
static bool is_too_short(const struct tcps_session *session, const struct transition *t)
{
	return t->in_old_ns < session->config.min_ns && (t->since_flags & TCPSTATES_SINCE_KNOWN);
}

static noinline bool passes_filter(const struct tcpstates_filter *filter, const struct sock *sk)
{
	struct tcpstates_ident who;

	tcps_sock_tuple(sk, &who);
	return tcps_filter_match(filter, &who);
}

/* Write the record, or count why there is none. */
static void record(struct tcps_session *session, struct tcps_cpu_stats *stats,
		   const struct tcps_conn *conn, const struct transition *t)
{
	if (session->has_filter && !passes_filter(&session->config.filter, t->sk))
		stats->filtered++;
	else if (is_too_short(session, t))
		stats->too_short++;
	else
		write_record(&session->rings->cpu[smp_processor_id()]->ring, conn, t);
}

/* The tracepoint is shared with other protocols, and states may be added. */
static bool is_ours(const struct sock *sk, int old, int new)
{
	return sk->sk_protocol == IPPROTO_TCP &&
	       (unsigned int)old < TCPSTATES_NR_STATES && (unsigned int)new < TCPSTATES_NR_STATES;
}

/*
 * @sk is about to go from @old to @new. Its owner holds it, so it is alive
 * throughout.
 */
void tcps_transition(struct tcps_session *session, const struct sock *sk, int old, int new)
{
	struct transition t = { .sk = sk, .old = old, .new = new };
	struct tcps_cpu_stats *stats;
	struct tcps_shard *shard;
	struct tcps_conn *conn;
	unsigned long flags;

	if (!is_ours(sk, old, new))
		return;
	shard = tcps_conns_shard(&session->conns, sk);
	raw_spin_lock_irqsave(&shard->lock, flags);
	t.now = ktime_get_ns();
	stats = tcps_stats_this_cpu(session->stats);
	stats->seen++;
	conn = find_conn(session, shard, stats, &t);
	if (!conn && new != TCP_CLOSE)
		conn = add_conn(session, shard, stats, &t);
	if (conn)
		take_time(conn, &t);
	tcps_stats_edge(stats, old, new, t.since_flags & TCPSTATES_SINCE_EXACT, t.in_old_ns);
	record(session, stats, conn, &t);
	if (conn)
		apply(session, shard, stats, conn, &t);
	raw_spin_unlock_irqrestore(&shard->lock, flags);
	tcps_rings_wake(session->rings);
}

/* @sk is about to be freed: if its end was not seen, its node goes now. */
void tcps_sock_destroyed(struct tcps_session *session, const struct sock *sk)
{
	struct tcps_shard *shard = tcps_conns_shard(&session->conns, sk);
	struct tcps_cpu_stats *stats;
	struct tcps_conn *conn;
	unsigned long flags;

	/*
	 * The node of this socket can neither come nor go on another CPU
	 * meanwhile, so an empty tree, seen without the lock, has none.
	 */
	if (RB_EMPTY_ROOT(&shard->root))
		return;
	raw_spin_lock_irqsave(&shard->lock, flags);
	conn = tcps_conns_find(shard, sk);
	if (conn) {
		stats = tcps_stats_this_cpu(session->stats);
		stats->stale++;
		remove_conn(session, shard, stats, conn);
	}
	raw_spin_unlock_irqrestore(&shard->lock, flags);
}
