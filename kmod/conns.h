/* SPDX-License-Identifier: GPL-2.0-only */
/* The live connections: an array of {lock, rbtree}, keyed by socket. */
#ifndef TCPS_CONNS_H
#define TCPS_CONNS_H

#include <linux/hash.h>
#include <linux/rbtree.h>
#include <linux/sched.h>
#include <linux/spinlock.h>

#include "pool.h"
#include "tcpstates.h"

struct sock;

/* What kind of socket stands for a connection now, and how it is read. */
enum tcps_kind {
	TCPS_FULL,	/* struct tcp_sock */
	TCPS_REQUEST,	/* struct tcp_request_sock: half-open */
	TCPS_TIMEWAIT,	/* struct tcp_timewait_sock: TIME_WAIT, orphaned FIN_WAIT2 */
};

/* What is not in the socket: the head of struct tcpstates_ident, copied as a whole. */
struct tcps_known {
	u64 id;
	u64 cgroup;
	__u8 listener_addr[16];
	char comm[TASK_COMM_LEN];
	u32 netns;
	u32 pid;
	u32 uid;
	u16 listener_port;
	u16 flags;		/* TCPSTATES_HAS_*, _SEEDED */
};

static_assert(sizeof(struct tcps_known) == offsetof(struct tcpstates_ident, laddr));
static_assert(offsetof(struct tcps_known, listener_addr) ==
	      offsetof(struct tcpstates_ident, listener_addr));
static_assert(offsetof(struct tcps_known, comm) == offsetof(struct tcpstates_ident, comm));
static_assert(offsetof(struct tcps_known, netns) == offsetof(struct tcpstates_ident, netns));
static_assert(offsetof(struct tcps_known, flags) == offsetof(struct tcpstates_ident, flags));

/*
 * One live connection, from its SYN to the end of TIME_WAIT: it moves from
 * the request to the child, and from there to the timewait socket. Its
 * addresses are not kept here: while the node is in the tree its socket is
 * not freed, so they are read from the socket under the shard's lock. What is
 * reached through a pointer of the socket only is known here (namespace,
 * cgroup), and so is what the next kind of socket does not have (uid).
 *
 * The node leaves at CLOSE, when a request or timewait socket is freed, and,
 * should a CLOSE not be seen, when the full socket is destroyed.
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
	const struct sock *sk;	/* the key, NULL: free; never leaves the kernel */
	u64 since_ns;		/* entry of @state */
	u64 first_seen_ns;
	struct tcps_known known;
	u32 index;		/* in the pool's list of nodes */
	u32 group;		/* 1 + index of its pair of addresses, 0: none */
	u32 listener;		/* 1 + index of what it came to, or is; 0: none */
	u8 since_flags:2;	/* TCPSTATES_SINCE_* */
	u8 role:2;		/* TCPSTATES_ROLE_* */
	u8 kind:2;		/* enum tcps_kind */
	u8 connecting:1;	/* in SYN_SENT, which is not recorded before the SYN is sent */
	u8 state;
	u8 reason;		/* TCPSTATES_REASON_*: the end as far as it is seen */
	u8 hint;		/* likewise: what an end would be due to now */
};

/* Two cache lines. */
static_assert(sizeof(struct tcps_conn) == 128);

/*
 * Locking rule: @lock guards @root, @nr_born and every node in the tree. Two
 * shards are locked together, in the order of their addresses, to move a node
 * from one to the other: it is in exactly one of them at any time. The lock
 * is raw and taken with interrupts off, from hooks in any context, from the
 * seeding (inside of the kernel's hash bucket locks) and from snapshots.
 * Inside of it the locks of the pool, of a group's shard, of the listeners and
 * of one listener are taken, none of them inside of another, and nothing
 * sleeps. It is held for a look-up, an update and the record of a transition.
 */
struct tcps_shard {
	raw_spinlock_t lock;
	struct rb_root root;
	u64 nr_born;
} ____cacheline_aligned_in_smp;

struct tcps_conns {
	struct tcps_shard *shards;
	unsigned int bits;
	unsigned int shift;	/* 64 - bits */
	struct tcps_pool pool;
};

int tcps_conns_init(struct tcps_conns *conns, unsigned int max);
void tcps_conns_destroy(struct tcps_conns *conns);
size_t tcps_conns_memory(struct tcps_conns *conns);

static inline struct tcps_shard *tcps_conns_shard(struct tcps_conns *conns, const struct sock *sk)
{
	/* hash_ptr() with what it calculates from the bits each time. */
	return &conns->shards[(u64)(unsigned long)sk * GOLDEN_RATIO_64 >> conns->shift];
}

/* Both shards, which may be the same one. Interrupts are off. */
static inline void tcps_shards_lock(struct tcps_shard *a, struct tcps_shard *b)
{
	if (a > b)
		swap(a, b);
	raw_spin_lock(&a->lock);
	if (a != b)
		raw_spin_lock_nested(&b->lock, SINGLE_DEPTH_NESTING);
	else
		__acquire(&b->lock);	/* for sparse, and below */
}

static inline void tcps_shards_unlock(struct tcps_shard *a, struct tcps_shard *b)
{
	raw_spin_unlock(&a->lock);
	if (a != b)
		raw_spin_unlock(&b->lock);
	else
		__release(&b->lock);
}

/*
 * Does nothing stand for @sk here? For who knows that its node, if it has
 * one, can neither come nor go meanwhile: an empty tree then stays free of it,
 * and is seen without the lock.
 */
static inline bool tcps_shard_lacks(const struct tcps_shard *shard)
{
	return !READ_ONCE(shard->root.rb_node);
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

struct tcps_conn *tcps_conns_add(struct tcps_conns *conns, struct tcps_shard *shard,
				 const struct sock *sk);
void tcps_conns_remove(struct tcps_conns *conns, struct tcps_shard *shard, struct tcps_conn *conn);
void tcps_conns_move(struct tcps_shard *from, struct tcps_shard *to, struct tcps_conn *conn,
		     const struct sock *sk);

#endif
