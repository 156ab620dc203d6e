/* SPDX-License-Identifier: GPL-2.0-only */
/* Connections counted by pair of addresses. */
#ifndef TCPS_PAIRS_H
#define TCPS_PAIRS_H

#include <linux/bits.h>
#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/spinlock.h>
#include <net/sock.h>

#include "alarms.h"
#include "state_class.h"
#include "conns.h"
#include "hash.h"
#include "locks.h"
#include "slots.h"
#include "stats.h"
#include "table.h"
#include "tcpstates.h"

struct tcps_session;

/* Words, so that it is hashed and compared as such. */
struct tcps_pair_key {
	union {
		struct {
			union {
				__u8 laddr[16];
				__be32 laddr4[4];
			};
			union {
				__u8 raddr[16];
				__be32 raddr4[4];
			};
			u32 netns;
			u32 scope;	/* see tcps_pair_scope() */
			u64 net_cookie;	/* a later namespace may have the number again */
		};
		u64 words[6];
		u32 halves[12];
	};
};

static_assert(sizeof(struct tcps_pair_key) == sizeof_field(struct tcps_pair_key, words));

/* The device that the sockets are bound to, 0: none, whose index is an int; and IPv6 or not. */
#define TCPS_PAIR_IS_IPV6	BIT(31)

static inline u32 tcps_pair_scope(const struct sock *sk)
{
	u32 ifindex = READ_ONCE(sk->sk_bound_dev_if);

	return sk->sk_family == AF_INET6 ? ifindex | TCPS_PAIR_IS_IPV6 : ifindex;
}

/*
 * The connections of one pair of addresses. What is counted is in @counts and
 * in slots of CPUs, see slots.h; a slot pins the pair. @shard and @number do
 * not change once the entry was taken, nor does @key as long as the pair is
 * pinned or held; all else is guarded by the lock, but for a first guess at
 * @crowded. Without a connection and a pin the pair is idle: it is kept until
 * another pair needs the entry.
 *
 * A slot has no more than @room ends, more or fewer, that the pair does not know
 * of, and all slots together a quarter of the threshold. So an alarm cannot be
 * due, nor end, before the pair's own count is that near: from half of the
 * threshold away on it is @crowded, and all is counted under the lock.
 */
struct tcps_pair {
	/* Read by hooks. */
	struct tcps_pair_shard *shard;	/* NULL: about to be taken for the first time */
	u32 number;		/* 1 + index in the table */
	bool crowded;
	bool with_itself;	/* both addresses are the same */
	struct tcps_pair_key key;

	/* Written by a look-up, and when a slot is emptied. */
	struct rb_node rb ____cacheline_aligned_in_smp;
	struct list_head idle;
	u32 hash;		/* the key's first part */
	u32 pins;		/* slots */
	u64 pinned;		/* where to look for them: a bit for CPU n, n + 64 ... */
	u32 peak;		/* of live ends */
	struct tcps_pair_counts counts;
	u64 first_ns;
	struct tcps_alarm alarm;
};

/* What hooks read is not on a line that is written for each connection. */
static_assert(offsetof(struct tcps_pair, rb) % SMP_CACHE_BYTES == 0);
static_assert(offsetof(struct tcps_pair, rb) >= offsetofend(struct tcps_pair, key));
static_assert(sizeof(struct tcps_pair) % SMP_CACHE_BYTES == 0);

/*
 * Pairs come to a shard out of the common table, and stay with it.
 * Locking rule: @lock guards the tree, the list of those that are idle, oldest
 * first, the counts and the alarms. It is raw and taken with
 * interrupts off, one at a time; inside of it a record may be written. See locks.h
 * for the order of locks.
 */
struct tcps_pair_shard {
	raw_spinlock_t lock;
	struct rb_root root;
	struct list_head idle;
	u64 evicted;
	u64 uncounted;
} ____cacheline_aligned_in_smp;

struct tcps_pairs {
	struct tcps_table table;
	const struct tcps_stats *stats;	/* whose slots count for pairs */
	struct tcps_pair_shard *shards;
	unsigned int nr_shards;	/* a power of two */
	unsigned int slot_mask;	/* of a pair's number: which slot of a CPU's it has */
	bool no_slots;		/* all pairs are crowded */
	unsigned int max_pins;	/* of a pair */
	s32 room;		/* ends that a slot may have, more or fewer */
	u32 threshold;
	s32 many;		/* half of the threshold: as near to it a pair is crowded */
	struct tcps_hash_key hash_key;
};

int tcps_pairs_init(struct tcps_pairs *pairs, const struct tcps_stats *stats,
		    const struct tcpstates_config *config);
void tcps_pairs_destroy(struct tcps_pairs *pairs);
size_t tcps_pairs_memory(const struct tcps_pairs *pairs);

static inline struct tcps_pair *tcps_pair_at(const struct tcps_pairs *pairs,
					     unsigned int index)
{
	return tcps_table_at(&pairs->table, index, sizeof(struct tcps_pair));
}

static inline struct tcps_pair *tcps_pair_of(const struct tcps_pairs *pairs,
					     const struct tcps_conn *conn)
{
	return conn->pair ? tcps_pair_at(pairs, conn->pair - 1) : NULL;
}

/* Called with interrupts off; if a connection is given, under the lock of its shard. */
void tcps_pair_join(struct tcps_session *session, struct tcps_conn *conn, u8 class);
void tcps_pair_move_elsewhere(struct tcps_session *session, struct tcps_cpu_stats *stats,
			      struct tcps_conn *conn, u8 from, u8 to);
void tcps_pair_flush(const struct tcps_pairs *pairs, struct tcps_pair_slot *slot);
void tcps_pair_leave_elsewhere(struct tcps_session *session, struct tcps_cpu_stats *stats,
			       struct tcps_conn *conn, u8 class);
void tcps_pair_unfinished(struct tcps_session *session, const struct tcps_conn *conn);

/**
 * tcps_pair_slot() - the slot of this CPU for a pair
 * @pairs: the table
 * @stats: counters of this CPU
 * @number: of the pair
 *
 * Context: Any, interrupts off.
 * Return: the slot, which may count for another one.
 */
static __always_inline struct tcps_pair_slot *
tcps_pair_slot(const struct tcps_pairs *pairs, struct tcps_cpu_stats *stats, u32 number)
{
	return &stats->slots.pairs[number & pairs->slot_mask];
}

/**
 * tcps_pair_slot_has() - does a slot count for a pair, and may go on so?
 * @slot: slot of this CPU
 * @number: of the pair
 *
 * Context: Any, interrupts off.
 */
static __always_inline bool tcps_pair_slot_has(const struct tcps_pair_slot *slot, u32 number)
{
	return likely(slot->number == number && slot->pair && !READ_ONCE(slot->pair->crowded));
}

/**
 * tcps_pair_look_at_slot() - the ends in a slot have become more or fewer
 * @pairs: the table
 * @slot: slot of this CPU
 *
 * Context: Any, interrupts off. May take the lock of the pair.
 */
static __always_inline void tcps_pair_look_at_slot(const struct tcps_pairs *pairs,
						   struct tcps_pair_slot *slot)
{
	s32 live = tcps_count_live(slot->counts.classes);

	if (live > slot->counts.most)
		WRITE_ONCE(slot->counts.most, live);
	if (unlikely((u32)(live + pairs->room) > 2 * (u32)pairs->room))
		tcps_pair_flush(pairs, slot);
}

/**
 * tcps_pair_move() - a pair counts a connection in another class
 * @session: the activation
 * @pairs: the table
 * @stats: counters of this CPU
 * @conn: node, which has a pair
 * @from: enum tcps_class of its old state
 * @to: enum tcps_class of its new state
 *
 * Context: Any, interrupts off. The lock of the shard of @conn. May take that of
 *	the pair.
 */
static __always_inline void
tcps_pair_move(struct tcps_session *session, const struct tcps_pairs *pairs,
	       struct tcps_cpu_stats *stats, struct tcps_conn *conn, u8 from, u8 to)
{
	struct tcps_pair_slot *slot = tcps_pair_slot(pairs, stats, conn->pair);

	if (unlikely(!tcps_pair_slot_has(slot, conn->pair))) {
		tcps_pair_move_elsewhere(session, stats, conn, from, to);
		return;
	}
	tcps_count_move(slot->counts.classes, from, to);
	if (tcps_class_is_live(from) != tcps_class_is_live(to))
		tcps_pair_look_at_slot(pairs, slot);
}

/**
 * tcps_pair_leave() - a pair does not count a connection any more
 * @session: the activation
 * @pairs: the table
 * @stats: counters of this CPU
 * @conn: node, which has a pair, and whose socket is still there
 * @class: enum tcps_class of the connection
 *
 * Context: Any, interrupts off. The lock of the shard of @conn. May take that of
 *	the pair.
 */
static __always_inline void
tcps_pair_leave(struct tcps_session *session, const struct tcps_pairs *pairs,
		struct tcps_cpu_stats *stats, struct tcps_conn *conn, u8 class)
{
	struct tcps_pair_slot *slot = tcps_pair_slot(pairs, stats, conn->pair);

	if (tcps_pair_slot_has(slot, conn->pair)) {
		tcps_count_move(slot->counts.classes, class, TCPS_NO_CLASS);
		tcps_add(slot->counts.holders, -1);
		if (tcps_class_is_live(class))
			tcps_pair_look_at_slot(pairs, slot);
	} else {
		tcps_pair_leave_elsewhere(session, stats, conn, class);
	}
	conn->pair = 0;
}

void tcps_pairs_sum(struct tcps_pairs *pairs, struct tcpstates_stats *out);
bool tcps_pair_describe(struct tcps_pairs *pairs, unsigned int index,
			struct tcpstates_pair *out);

#endif
