// SPDX-License-Identifier: GPL-2.0-only
/*
 * What happens when a socket changes its state, or is destroyed. Called by
 * the hooks in any context that TCP runs in; nothing here sleeps, allocates
 * or prints. Interrupts stay off from the look-up to the commit, so that the
 * records of a ring are in the order of their times.
 */
#include <linux/ktime.h>
#include <linux/preempt.h>
#include <linux/string.h>
#include <net/tcp_states.h>

#include "compat.h"
#include "session.h"
#include "sockinfo.h"
#include "transition.h"

struct transition {
	const struct sock *sk;
	int old;
	int new;
	u64 now;
	u64 in_old_ns;
	u16 since_flags;
	struct tcpstates_ident who;
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

/* A node for a socket that has none; NULL when no node is free. */
static struct tcps_conn *add_conn(struct tcps_session *session, struct tcps_shard *shard,
				  struct tcps_cpu_stats *stats, const struct transition *t)
{
	struct tcps_conn *conn = tcps_conns_add(&session->conns, shard, t->sk);

	if (!conn)
		return NULL;
	conn->first_seen_ns = t->now;
	conn->state = TCP_CLOSE;
	stats->states[TCP_CLOSE]++;
	if (!is_birth(t))
		return conn;
	conn->role = birth_role(t);
	/* connect() and listen() run in their caller, a SYN in anybody. */
	if (in_task() && t->old == TCP_CLOSE)
		tcps_conn_own(conn);
	return conn;
}

static void remove_conn(struct tcps_session *session, struct tcps_shard *shard,
			struct tcps_cpu_stats *stats, struct tcps_conn *conn)
{
	stats->states[conn->state]--;
	tcps_conns_remove(&session->conns, shard, conn);
}

static void conn_enter(struct tcps_cpu_stats *stats, struct tcps_conn *conn,
		       const struct transition *t)
{
	stats->states[conn->state]--;
	stats->states[t->new]++;
	conn->state = t->new;
	conn->since_ns = t->now;
	conn->since_flags = TCPSTATES_SINCE_KNOWN | TCPSTATES_SINCE_EXACT;
}

/* The time in the old state, as far as the node tells it. */
static void take_time(const struct tcps_conn *conn, struct transition *t)
{
	if (conn->state != t->old || !(conn->since_flags & TCPSTATES_SINCE_KNOWN))
		return;
	t->since_flags = conn->since_flags;
	t->in_old_ns = t->now - conn->since_ns;
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

/* Move the node on, and take from it what the record needs. */
static void update_conn(struct tcps_session *session, struct tcps_cpu_stats *stats,
			struct transition *t)
{
	struct tcps_shard *shard = tcps_conns_shard(&session->conns, t->sk);
	struct tcps_conn *conn;

	raw_spin_lock(&shard->lock);
	t->now = ktime_get_ns();
	conn = find_conn(session, shard, stats, t);
	if (!conn && t->new != TCP_CLOSE) {
		conn = add_conn(session, shard, stats, t);
		stats->untracked += !conn && is_birth(t);
	}
	if (conn) {
		take_time(conn, t);
		tcps_conn_ident(conn, &t->who);
		if (t->new == TCP_CLOSE)
			remove_conn(session, shard, stats, conn);
		else
			conn_enter(stats, conn, t);
	}
	raw_spin_unlock(&shard->lock);
}

/* min-ms counts only where the time is known. */
static bool is_too_short(const struct tcps_session *session, const struct transition *t)
{
	return (t->since_flags & TCPSTATES_SINCE_KNOWN) && t->in_old_ns < session->config.min_ns;
}

static void write_record(struct tcps_cpu_ring *ring, const struct transition *t)
{
	struct tcpstates_record *rec = tcps_ring_begin(&ring->ring);

	rec->ts = t->now;
	rec->in_old_ns = t->in_old_ns;
	rec->type = TCPSTATES_REC_TRANSITION;
	rec->old_state = t->old;
	rec->new_state = t->new;
	rec->flags = t->since_flags;
	rec->who = t->who;
	tcps_sock_meters(t->sk, &rec->meters);
	tcps_ring_commit(&ring->ring, rec);
	tcps_rings_wake(ring);
}

static void record(struct tcps_session *session, struct tcps_cpu_stats *stats,
		   const struct transition *t)
{
	if (!tcps_filter_match(&session->config.filter, &t->who))
		stats->filtered++;
	else if (is_too_short(session, t))
		stats->too_short++;
	else
		write_record(session->rings->cpu[smp_processor_id()], t);
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
	unsigned long flags;

	if (!is_ours(sk, old, new))
		return;
	tcps_sock_tuple(sk, &t.who);
	local_irq_save(flags);
	stats = tcps_stats_this_cpu(session->stats);
	stats->seen++;
	update_conn(session, stats, &t);
	tcps_stats_edge(stats, old, new, t.since_flags & TCPSTATES_SINCE_EXACT, t.in_old_ns);
	record(session, stats, &t);
	local_irq_restore(flags);
}

/*
 * @sk is about to be freed: if its end was not seen, its node goes now.
 */
void tcps_sock_destroyed(struct tcps_session *session, const struct sock *sk)
{
	struct tcps_shard *shard = tcps_conns_shard(&session->conns, sk);
	struct tcps_cpu_stats *stats;
	struct tcps_conn *conn;
	unsigned long flags;

	raw_spin_lock_irqsave(&shard->lock, flags);
	conn = tcps_conns_find(shard, sk);
	if (conn) {
		stats = tcps_stats_this_cpu(session->stats);
		stats->stale++;
		remove_conn(session, shard, stats, conn);
	}
	raw_spin_unlock_irqrestore(&shard->lock, flags);
}
