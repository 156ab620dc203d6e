// SPDX-License-Identifier: GPL-2.0-only
/*
 * Connections that exist at the activation, of every network namespace.
 *
 * The hooks are active already: one of them has seen a socket that is found in
 * the tree, and the socket is left alone. A socket is unhashed before its CLOSE is
 * seen, a request or timewait socket before it is freed, so under the bucket's
 * lock it is alive, and will leave the tree again.
 */
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/rcupdate.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <net/inet_timewait_sock.h>
#include <net/request_sock.h>
#include <net/sock.h>
#include <net/tcp.h>

#include "change.h"
#include "compat.h"
#include "listener_slots.h"
#include "mptcp.h"
#include "seed.h"
#include "session.h"
#include "sockinfo.h"

/* Buckets that are walked between two calls of cond_resched(). */
#define BUCKETS_AT_A_TIME 64

/*
 * Jiffies by which the timer of a TIME_WAIT may be late: some seconds, as the
 * timer wheel rounds a minute up. One that was never armed is off by more.
 */
#define TIMER_LATE	(10 * HZ)

static u8 kind_of(const struct sock *sk)
{
	if (sk->sk_state == TCP_NEW_SYN_RECV)
		return TCPS_REQUEST;
	if (sk->sk_state == TCP_TIME_WAIT)
		return TCPS_TIMEWAIT;
	return TCPS_FULL;
}

static u8 state_of(const struct sock *sk, u8 kind)
{
	return kind == TCPS_TIMEWAIT ? READ_ONCE(inet_twsk(sk)->tw_substate) : sk->sk_state;
}

/* Listeners are found first: a socket with the address and port of one is a server's. */
static void seed_server(struct tcps_session *session, struct tcps_conn *conn,
			const struct sock *sk)
{
	struct tcps_listener *listener = tcps_listener_by_address(session, sk, conn->known.netns);

	if (!listener)
		return;
	conn->role = TCPSTATES_ROLE_SERVER;
	memcpy(conn->known.listener_addr, listener->who.laddr, sizeof(listener->who.laddr));
	conn->known.listener_port = listener->who.lport;
	conn->known.flags |= TCPSTATES_HAS_LISTENER;
	tcps_listener_join(session, conn, listener, TCPS_NO_CLASS);
}

static void seed_full(struct tcps_session *session, struct tcps_conn *conn, const struct sock *sk,
		      u8 state)
{
	tcps_node_set_creator(conn, sk);
	tcps_mark_subflow(conn, sk);
	if (state == TCP_LISTEN)
		conn->role = TCPSTATES_ROLE_LISTENER;
	else if (state == TCP_SYN_SENT)
		conn->role = TCPSTATES_ROLE_CLIENT;
	else
		seed_server(session, conn, sk);
}

static void seed_request(struct tcps_session *session, struct tcps_conn *conn,
			 const struct sock *sk)
{
	const struct sock *listener = inet_reqsk((struct sock *)sk)->rsk_listener;

	tcps_node_join_listener(session, conn, listener, tcps_listener_find(session, listener));
}

/* When a TIME_WAIT started follows from when its timer expires. */
static void seed_timewait(struct tcps_session *session, struct tcps_conn *conn,
			  const struct sock *sk, u8 state)
{
	const struct inet_timewait_sock *tw = inet_twsk(sk);
	long left = READ_ONCE(tw->tw_timer.expires) - jiffies;

	seed_server(session, conn, sk);
	if (state != TCP_TIME_WAIT || left < -TIMER_LATE || left > TCP_TIMEWAIT_LEN)
		return;
	conn->since_ns -= jiffies_to_nsecs(TCP_TIMEWAIT_LEN - left);
	conn->first_seen_ns = conn->since_ns;
	conn->since_flags |= TCPSTATES_SINCE_EXACT;
}

static struct tcps_conn *seed_conn(struct tcps_session *session, struct tcps_shard *shard,
				   struct tcps_insert_point point, const struct sock *sk)
{
	struct tcps_cpu_stats *stats = tcps_stats_this_cpu(&session->stats);
	u8 kind = kind_of(sk);
	u8 state = state_of(sk, kind);
	struct tcps_conn *conn;

	lockdep_assert_held(&shard->lock);
	if (state >= TCPSTATES_NR_STATES)
		state = TCP_CLOSE;
	conn = tcps_conns_add(&session->conns, shard, point, sk);
	if (!conn)
		return NULL;
	conn->kind = kind;
	conn->known.netns = tcps_sock_netns(sk);
	conn->since_ns = ktime_get_ns();
	conn->first_seen_ns = conn->since_ns;
	conn->since_flags = TCPSTATES_SINCE_KNOWN;
	conn->known.flags = TCPSTATES_SEEDED;
	if (kind == TCPS_FULL)
		seed_full(session, conn, sk, state);
	else if (kind == TCPS_REQUEST)
		seed_request(session, conn, sk);
	else
		seed_timewait(session, conn, sk, state);
	tcps_add(stats->seeded, 1);
	tcps_add(stats->handshakes.seeded, kind == TCPS_REQUEST);
	tcps_add(stats->states[state], 1);
	tcps_node_change_class(session, conn, TCPS_NO_CLASS, tcps_state_class[state]);
	conn->state = state;
	return conn;
}

/* A node may be made only if its end will be seen, and only for TCP. */
static bool is_ours(struct tcps_session *session, const struct sock *sk)
{
	switch (kind_of(sk)) {
	case TCPS_FULL:
		return tcps_is_tcp(sk);
	case TCPS_REQUEST:
		return tcps_is_tcp(inet_reqsk((struct sock *)sk)->rsk_listener) &&
		       tcps_hooks_free_requests(&session->hooks, inet_reqsk((struct sock *)sk));
	default:
		/* Only TCP's own hash is walked. */
		return true;
	}
}

/**
 * tcps_seed_now() - a node for a socket that seeding has not found yet
 * @session: the activation
 * @shard: shard of @sk
 * @sk: untracked socket
 *
 * Context: Any, interrupts off. The lock of @shard.
 * Return: the node; NULL: none is free.
 */
struct tcps_conn *tcps_seed_now(struct tcps_session *session, struct tcps_shard *shard,
				const struct sock *sk)
{
	return seed_conn(session, shard, tcps_conns_insert_point(shard, sk), sk);
}

/* A walk through all buckets. */
struct walk {
	struct tcps_session *session;
	bool again;		/* another one follows, which counts what stays untracked */
	bool gathered;		/* other CPUs have given what they had */
	unsigned int patience;	/* sleeps that are left for who holds a socket */
	unsigned int tries;	/* to find the sockets of this bucket not held */
	/* What the bucket has that is not in the tree: */
	unsigned int untracked;	/* no node was free */
	unsigned int held;
};

/* Sleeps in all, of 50 us or more, and how often a bucket is walked before the first one. */
#define PATIENCE	1000
#define TRIES		100

/*
 * A full socket that is held may be between two hooks of one step: the first has
 * looked for a node, and moved it, if there was one, to the socket that replaces
 * this one. A node that is added now would be a second one, and end when the
 * socket is replaced. Under the shard's lock and the bucket's this is exact: such
 * a step starts and ends with the socket held, and looks for the node, under the
 * shard's lock, before it changes the bucket, under the bucket's.
 */
static bool is_held(const struct sock *sk)
{
	return !sock_allow_reclassification(sk);
}

/* Bring the socket into the tree. */
static void add_socket(struct walk *walk, const struct sock *sk)
{
	struct tcps_session *session = walk->session;
	struct tcps_shard *shard = tcps_conns_shard(&session->conns, sk);
	struct tcps_insert_point point;
	unsigned long flags;

	if (!is_ours(session, sk))
		return;
	raw_spin_lock_irqsave(&shard->lock, flags);
	point = tcps_conns_insert_point(shard, sk);
	if (point.conn)
		;
	else if (walk->patience && kind_of(sk) == TCPS_FULL && sk->sk_state != TCP_LISTEN &&
		 is_held(sk))
		walk->held++;
	else if (!seed_conn(session, shard, point, sk))
		walk->untracked++;
	raw_spin_unlock_irqrestore(&shard->lock, flags);
}

static void seed_established(struct walk *walk, struct inet_hashinfo *hashinfo,
			     unsigned int index)
{
	struct inet_ehash_bucket *bucket = &hashinfo->ehash[index];
	spinlock_t *lock = inet_ehash_lockp(hashinfo, index);
	struct hlist_nulls_node *node;
	struct sock *sk;

	if (hlist_nulls_empty(&bucket->chain))
		return;
	spin_lock_bh(lock);
	sk_nulls_for_each(sk, node, &bucket->chain)
		add_socket(walk, sk);
	spin_unlock_bh(lock);
}

static bool has_node(struct tcps_session *session, const struct sock *sk)
{
	struct tcps_shard *shard = tcps_conns_shard(&session->conns, sk);
	unsigned long flags;
	bool has;

	raw_spin_lock_irqsave(&shard->lock, flags);
	has = tcps_conns_find(shard, sk);
	raw_spin_unlock_irqrestore(&shard->lock, flags);
	return has;
}

/* Those that are not in the tree. */
static unsigned int count_listening(struct tcps_session *session,
				    struct inet_listen_hashbucket *bucket)
{
	struct sock *sk = NULL;
	unsigned int nr = 0;

	spin_lock_bh(&bucket->lock);
	while ((sk = tcps_next_listener(bucket, sk)))
		nr += !has_node(session, sk);
	spin_unlock_bh(&bucket->lock);
	return nr;
}

static void seed_listening(struct walk *walk, struct inet_hashinfo *hashinfo,
			   unsigned int index)
{
	struct inet_listen_hashbucket *bucket = &hashinfo->lhash2[index];
	unsigned int nr = count_listening(walk->session, bucket);
	struct sock *sk = NULL;

	if (!nr)
		return;
	tcps_listeners_provide(&walk->session->listeners, nr);
	spin_lock_bh(&bucket->lock);
	while ((sk = tcps_next_listener(bucket, sk)))
		add_socket(walk, sk);
	spin_unlock_bh(&bucket->lock);
}

typedef void (*seed_bucket_t)(struct walk *walk, struct inet_hashinfo *hashinfo,
			      unsigned int index);

/*
 * Is there reason to walk the bucket once more? One that stays held
 * is not within a step: its holder sleeps.
 */
static bool is_worth_another(struct walk *walk)
{
	if (walk->untracked && tcps_pool_more(&walk->session->conns.pool, &walk->gathered))
		return true;
	if (!walk->held)
		return false;
	if (walk->tries++ < TRIES) {
		cpu_relax();
	} else {
		walk->patience--;
		usleep_range(50, 100);
	}
	return true;
}

/*
 * No node can be allocated under the bucket's lock: when they run out, get
 * more without it and walk the bucket again. When there are none, not even on
 * other CPUs, those that are left are only counted.
 */
static void seed_buckets(struct walk *walk, struct inet_hashinfo *hashinfo,
			 seed_bucket_t seed_bucket, unsigned int nr)
{
	struct tcps_session *session = walk->session;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		walk->tries = 0;
		do {
			walk->untracked = 0;
			walk->held = 0;
			seed_bucket(walk, hashinfo, i);
		} while (is_worth_another(walk));
		if (walk->untracked && !walk->again)
			tcps_stats_add_untracked(&session->stats, walk->untracked);
		tcps_table_refill(&session->pairs.table);
		if (i % BUCKETS_AT_A_TIME == 0)
			cond_resched();
	}
}

static void seed_listeners(struct walk *walk)
{
	struct inet_hashinfo *common = tcps_hashinfo(&init_net);

	seed_buckets(walk, common, seed_listening, tcps_nr_listen_buckets(common));
}

static void seed_hash(struct walk *walk, struct inet_hashinfo *hashinfo)
{
	seed_buckets(walk, hashinfo, seed_established, hashinfo->ehash_mask + 1);
}

/**
 * tcps_seed() - find the connections that exist
 * @session: the activation
 *
 * Namespaces share the hash of the first one unless they were given an established
 * hash of their own; the listening hash is common in any case.
 *
 * A CPU that was between a hook and the hash when the hooks started was not seen
 * by the hook, so its socket must be in the hash before that is walked: hence the
 * grace period. Listeners are found before it as well, so that connections that
 * come meanwhile are counted for theirs.
 *
 * Context: Process context, may sleep. Takes net_rwsem, the locks of the kernel's
 *	hashes, and those of shards.
 */
void tcps_seed(struct tcps_session *session)
{
	struct walk walk = { .session = session, .again = true, .patience = PATIENCE };
	struct inet_hashinfo *common = tcps_hashinfo(&init_net);
	struct net *net;

	seed_listeners(&walk);
	synchronize_rcu();
	walk.again = false;
	seed_listeners(&walk);
	seed_hash(&walk, common);
	/* The list cannot change, nor a namespace go, while this is held. */
	down_read(&net_rwsem);
	for_each_net(net) {
		if (tcps_hashinfo(net) != common)
			seed_hash(&walk, tcps_hashinfo(net));
	}
	up_read(&net_rwsem);
}
