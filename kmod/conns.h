/* SPDX-License-Identifier: GPL-2.0-only */
/* The live connections: an array of {lock, rbtree}, keyed by socket. */
#ifndef TCPS_CONNS_H
#define TCPS_CONNS_H

#include <linux/hash.h>
#include <linux/percpu.h>
#include <linux/rbtree.h>
#include <linux/spinlock.h>

#include "conn.h"
#include "locks.h"
#include "pool.h"

/*
 * Locking rule: @lock guards @root and every node in the tree. Two shards are
 * locked together, in the order of their addresses, to move a node from one to the
 * other: it is in exactly one of them at any time. The lock is raw and taken with
 * interrupts off, from hooks in any context, from the seeding and from snapshots.
 * It is held for a look-up, an update and the record of a transition. See locks.h
 * for the order of locks.
 */
struct tcps_shard {
	raw_spinlock_t lock;
	struct rb_root root;
} ____cacheline_aligned_in_smp;

/* Hooks read all of this; only the pool writes, behind its own first line. */
struct tcps_conns {
	struct tcps_shard *shards;
	unsigned int bits;
	unsigned int shift;	/* 64 - bits */
	u64 __percpu *last_id;
	struct tcps_pool pool;
};

static_assert(offsetof(struct tcps_conns, pool) % SMP_CACHE_BYTES == 0);

unsigned int tcps_conns_default(void);
int tcps_conns_init(struct tcps_conns *conns, unsigned int max);
void tcps_conns_destroy(struct tcps_conns *conns);
size_t tcps_conns_memory(struct tcps_conns *conns);

static inline struct tcps_shard *tcps_conns_shard(struct tcps_conns *conns, const struct sock *sk)
{
	/* hash_ptr() with what it calculates from the bits each time. */
	return &conns->shards[(u64)(unsigned long)sk * GOLDEN_RATIO_64 >> conns->shift];
}

/* The caller holds the lock of the shard that @conn is in. */
static __always_inline void tcps_conns_assert_held(struct tcps_conns *conns,
						   const struct tcps_conn *conn)
{
	lockdep_assert_held(&tcps_conns_shard(conns, conn->sk)->lock);
}

/**
 * tcps_shards_lock() - lock two shards
 * @a: a shard
 * @b: another one, or the same
 *
 * Context: Any, interrupts off.
 */
static inline void tcps_shards_lock(struct tcps_shard *a, struct tcps_shard *b)
{
	lockdep_assert_irqs_disabled();
	if (a > b)
		swap(a, b);
	raw_spin_lock(&a->lock);
	if (a != b)
		raw_spin_lock_nested(&b->lock, SINGLE_DEPTH_NESTING);
	else
		__acquire(&b->lock);	/* for sparse, and below */
}

/**
 * tcps_shards_unlock() - unlock two shards
 * @a: a shard
 * @b: another one, or the same
 *
 * Context: Any, interrupts off.
 */
static inline void tcps_shards_unlock(struct tcps_shard *a, struct tcps_shard *b)
{
	raw_spin_unlock(&a->lock);
	if (a != b)
		raw_spin_unlock(&b->lock);
	else
		__release(&b->lock);
}

/**
 * tcps_shard_lacks() - is there no node in a shard?
 * @shard: the shard
 *
 * For callers who know that the node of their socket, if it has one, can neither
 * come nor go meanwhile: they need not take the lock if the tree is empty.
 *
 * Context: Any.
 */
static inline bool tcps_shard_lacks(const struct tcps_shard *shard)
{
	return !READ_ONCE(shard->root.rb_node);
}

/**
 * tcps_conns_find() - the node of a socket
 * @shard: shard of @sk
 * @sk: the socket
 *
 * Context: Any, interrupts off. The lock of @shard.
 * Return: the node; NULL: none.
 */
static inline struct tcps_conn *tcps_conns_find(struct tcps_shard *shard, const struct sock *sk)
{
	struct rb_node *rb = shard->root.rb_node;

	lockdep_assert_held(&shard->lock);
	while (rb) {
		struct tcps_conn *conn = rb_entry(rb, struct tcps_conn, rb);

		if (sk == conn->sk)
			return conn;
		rb = sk < conn->sk ? rb->rb_left : rb->rb_right;
	}
	return NULL;
}

/* The node of a socket in a tree, or the insertion point for one. */
struct tcps_insert_point {
	struct tcps_conn *conn;		/* NULL: there is none */
	struct rb_node *parent;		/* of one that would be linked */
	struct rb_node **link;
};

/**
 * tcps_conns_insert_point() - the insertion point of a socket
 * @shard: shard of @sk
 * @sk: the socket
 *
 * Context: Any, interrupts off. The lock of @shard.
 */
static inline struct tcps_insert_point tcps_conns_insert_point(struct tcps_shard *shard,
							       const struct sock *sk)
{
	struct tcps_insert_point point = { .link = &shard->root.rb_node };

	lockdep_assert_held(&shard->lock);
	while (*point.link) {
		struct tcps_conn *conn = rb_entry(*point.link, struct tcps_conn, rb);

		if (unlikely(sk == conn->sk)) {
			point.conn = conn;
			break;
		}
		point.parent = *point.link;
		point.link = sk < conn->sk ? &point.parent->rb_left : &point.parent->rb_right;
	}
	return point;
}

/**
 * tcps_conns_link() - put a node into a tree
 * @shard: shard of @sk
 * @point: insertion point of @sk
 * @conn: node, in no tree
 * @sk: the socket
 *
 * Context: Any, interrupts off. The lock of @shard.
 */
static inline void tcps_conns_link(struct tcps_shard *shard, struct tcps_insert_point point,
				   struct tcps_conn *conn, const struct sock *sk)
{
	lockdep_assert_held(&shard->lock);
	/* Pairs with the snapshot's look at a node whose shard it does not know. */
	WRITE_ONCE(conn->sk, sk);
	rb_link_node(&conn->rb, point.parent, point.link);
	rb_insert_color(&conn->rb, &shard->root);
}

/*
 * Unique in the activation, without a counter that CPUs share. It contains the
 * number of the CPU, but no address of the socket, because reports are passed on.
 */
static inline u64 tcps_new_id(struct tcps_conns *conns)
{
	return __this_cpu_add_return(*conns->last_id, nr_cpu_ids);
}

/**
 * tcps_conns_add() - a new node
 * @conns: the live connections
 * @shard: shard of @sk
 * @point: insertion point of @sk
 * @sk: the socket
 *
 * Context: Any, interrupts off. The lock of @shard.
 * Return: the node, zeroed but for its id; NULL: none is free.
 */
static __always_inline struct tcps_conn *
tcps_conns_add(struct tcps_conns *conns, struct tcps_shard *shard, struct tcps_insert_point point,
	       const struct sock *sk)
{
	struct tcps_conn *conn = tcps_pool_get(&conns->pool);

	if (unlikely(!conn))
		return NULL;
	tcps_conn_clear(conn);
	conn->known.id = tcps_new_id(conns);
	tcps_conns_link(shard, point, conn, sk);
	return conn;
}

void tcps_conns_remove(struct tcps_conns *conns, struct tcps_shard *shard, struct tcps_conn *conn);

#endif
