// SPDX-License-Identifier: GPL-2.0-only
/*
 * Connections that exist at the activation, of every network namespace.
 *
 * The hooks are attached already: a socket that is found in the tree was
 * seen by one, and is left alone. A socket is unhashed before its CLOSE is
 * seen, a request or timewait socket before it is freed, so under the bucket's
 * lock it is alive, and will leave the tree again.
 */
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <net/inet_timewait_sock.h>
#include <net/request_sock.h>
#include <net/sock.h>
#include <net/tcp.h>

#include "change.h"
#include "compat.h"
#include "mptcp.h"
#include "seed.h"
#include "session.h"
#include "sockinfo.h"

/* Walked buckets between two chances for others to run. */
#define BUCKETS_AT_A_TIME 64

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

/* Listeners are found first: who has the address and port of one has come to it. */
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
	tcps_made_by(conn, sk);
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

	tcps_come_to(session, conn, listener, tcps_listener_find(session, listener));
}

/* How long ago a TIME_WAIT began is known from when its timer will end it. */
static void seed_timewait(struct tcps_session *session, struct tcps_conn *conn,
			  const struct sock *sk, u8 state)
{
	const struct inet_timewait_sock *tw = inet_twsk(sk);
	long left = READ_ONCE(tw->tw_timer.expires) - jiffies;

	seed_server(session, conn, sk);
	if (state != TCP_TIME_WAIT || left < 0 || left > TCP_TIMEWAIT_LEN)
		return;
	conn->since_ns -= jiffies_to_nsecs(TCP_TIMEWAIT_LEN - left);
	conn->first_seen_ns = conn->since_ns;
	conn->since_flags |= TCPSTATES_SINCE_EXACT;
}

/* The shard's lock is held. */
static struct tcps_conn *seed_conn(struct tcps_session *session, struct tcps_shard *shard,
				   struct tcps_place place, const struct sock *sk)
{
	struct tcps_cpu_stats *stats = tcps_stats_this_cpu(&session->stats);
	u8 kind = kind_of(sk);
	u8 state = state_of(sk, kind);
	struct tcps_conn *conn;

	if (state >= TCPSTATES_NR_STATES)
		state = TCP_CLOSE;
	conn = tcps_conns_add(&session->conns, shard, place, sk);
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
	tcps_change_class(session, conn, TCPS_NO_CLASS, tcps_classes[state]);
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

/* Bring the socket into the tree; false when no node is free. */
static bool add_socket(struct tcps_session *session, const struct sock *sk)
{
	struct tcps_shard *shard = tcps_conns_shard(&session->conns, sk);
	struct tcps_place place;
	unsigned long flags;
	bool added;

	if (!is_ours(session, sk))
		return true;

	raw_spin_lock_irqsave(&shard->lock, flags);
	place = tcps_conns_place(shard, sk);
	added = place.conn || seed_conn(session, shard, place, sk);
	raw_spin_unlock_irqrestore(&shard->lock, flags);
	return added;
}

/* Number of sockets of the bucket that found no free node. */
static unsigned int seed_established(struct tcps_session *session, struct inet_hashinfo *hashinfo,
				     unsigned int index)
{
	struct inet_ehash_bucket *bucket = &hashinfo->ehash[index];
	spinlock_t *lock = inet_ehash_lockp(hashinfo, index);
	struct hlist_nulls_node *node;
	unsigned int left = 0;
	struct sock *sk;

	if (hlist_nulls_empty(&bucket->chain))
		return 0;
	spin_lock_bh(lock);
	sk_nulls_for_each(sk, node, &bucket->chain)
		left += !add_socket(session, sk);
	spin_unlock_bh(lock);
	return left;
}

static unsigned int count_listening(struct inet_listen_hashbucket *bucket)
{
	struct sock *sk = NULL;
	unsigned int nr = 0;

	spin_lock_bh(&bucket->lock);
	while ((sk = tcps_next_listener(bucket, sk)))
		nr++;
	spin_unlock_bh(&bucket->lock);
	return nr;
}

static unsigned int seed_listening(struct tcps_session *session, struct inet_hashinfo *hashinfo,
				   unsigned int index)
{
	struct inet_listen_hashbucket *bucket = &hashinfo->lhash2[index];
	unsigned int nr = count_listening(bucket);
	unsigned int left = 0;
	struct sock *sk = NULL;

	if (!nr)
		return 0;
	tcps_listeners_provide(&session->listeners, nr);
	spin_lock_bh(&bucket->lock);
	while ((sk = tcps_next_listener(bucket, sk)))
		left += !add_socket(session, sk);
	spin_unlock_bh(&bucket->lock);
	return left;
}

typedef unsigned int (*seed_bucket_t)(struct tcps_session *session,
				      struct inet_hashinfo *hashinfo, unsigned int index);

/*
 * No node can be allocated under the bucket's lock: when they run out, get
 * more without it and walk the bucket again. When there are none, not even on
 * other CPUs, those that are left are only counted.
 */
static void seed_buckets(struct tcps_session *session, struct inet_hashinfo *hashinfo,
			 seed_bucket_t seed_bucket, unsigned int nr, bool *gathered)
{
	unsigned int i, left;

	for (i = 0; i < nr; i++) {
		do {
			left = seed_bucket(session, hashinfo, i);
		} while (left && tcps_pool_more(&session->conns.pool, gathered));
		if (left)
			tcps_stats_add_untracked(&session->stats, left);
		tcps_table_refill(&session->groups.table);
		if (i % BUCKETS_AT_A_TIME == 0)
			cond_resched();
	}
}

static void seed_hash(struct tcps_session *session, struct inet_hashinfo *hashinfo,
		      bool *gathered)
{
	seed_buckets(session, hashinfo, seed_established, hashinfo->ehash_mask + 1, gathered);
}

/*
 * Namespaces share the hash of the first one unless they were given an
 * established hash of their own; the listening hash is common in any case.
 */
void tcps_seed(struct tcps_session *session)
{
	struct inet_hashinfo *common = tcps_hashinfo(&init_net);
	bool gathered = false;
	struct net *net;

	seed_buckets(session, common, seed_listening, tcps_nr_listen_buckets(common),
		     &gathered);
	seed_hash(session, common, &gathered);
	/* The list cannot change, nor a namespace go, while this is held. */
	down_read(&net_rwsem);
	for_each_net(net) {
		if (tcps_hashinfo(net) != common)
			seed_hash(session, tcps_hashinfo(net), &gathered);
	}
	up_read(&net_rwsem);
}
