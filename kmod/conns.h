/* SPDX-License-Identifier: GPL-2.0-only */
/* The live connections: an array of {lock, rbtree}, keyed by socket. */
#ifndef TCPS_CONNS_H
#define TCPS_CONNS_H

#include <linux/hash.h>
#include <linux/rbtree.h>
#include <linux/sched.h>
#include <linux/spinlock.h>

#include "pool.h"

struct sock;

/*
 * One live connection. Its addresses are not kept here: while the node is in
 * the tree its socket is not freed (it leaves at CLOSE, or when the socket is
 * destroyed), so they are read from the socket under the shard's lock.
 */
struct tcps_conn {
	union {
		struct rb_node rb;
		struct {
			struct tcps_conn *next;
			struct tcps_conn *next_batch;	/* in a batch's first node */
			unsigned int nr;		/* likewise */
		} free;
	};
	const struct sock *sk;	/* the key; never leaves the kernel */
	u64 id;
	u64 since_ns;		/* entry of @state */
	u64 first_seen_ns;
	u32 pid;
	u8 state;
	u8 role;		/* TCPSTATES_ROLE_* */
	u16 flags;		/* TCPSTATES_HAS_OWNER, _SEEDED */
	u16 since_flags;	/* TCPSTATES_SINCE_* */
	char comm[TASK_COMM_LEN];
};

/*
 * Locking rule: @lock guards @root, @nr_born and every node in the tree. It
 * is raw and taken with interrupts off, from hooks in any context, from the
 * seeding (inside of the kernel's hash bucket locks) and from snapshots;
 * inside of it only the pool's lock is taken, and nothing sleeps. It is held
 * for a look-up, an update and the record of a transition.
 */
struct tcps_shard {
	raw_spinlock_t lock;
	struct rb_root root;
	u64 nr_born;
} ____cacheline_aligned_in_smp;

struct tcps_conns {
	struct tcps_shard *shards;
	unsigned int bits;
	struct tcps_pool pool;
};

int tcps_conns_init(struct tcps_conns *conns, unsigned int max);
void tcps_conns_destroy(struct tcps_conns *conns);
size_t tcps_conns_memory(struct tcps_conns *conns);

static inline struct tcps_shard *tcps_conns_shard(struct tcps_conns *conns, const struct sock *sk)
{
	return &conns->shards[hash_ptr(sk, conns->bits)];
}

/* The shard's lock is held, here and below. */
static inline struct tcps_conn *tcps_conns_find(struct tcps_shard *shard, const struct sock *sk)
{
	struct rb_node *rb = shard->root.rb_node;

	while (rb) {
		struct tcps_conn *conn = rb_entry(rb, struct tcps_conn, rb);

		if (sk == conn->sk)
			return conn;
		rb = sk < conn->sk ? rb->rb_left : rb->rb_right;
	}
	return NULL;
}

struct tcps_conn *tcps_conns_next(struct tcps_shard *shard, const struct sock *after);
struct tcps_conn *tcps_conns_add(struct tcps_conns *conns, struct tcps_shard *shard,
				 const struct sock *sk);
void tcps_conns_remove(struct tcps_conns *conns, struct tcps_shard *shard, struct tcps_conn *conn);

#endif
