/* SPDX-License-Identifier: GPL-2.0-only */
/* Connections counted by pair of addresses. */
#ifndef TCPS_GROUPS_H
#define TCPS_GROUPS_H

#include <linux/bits.h>
#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/spinlock.h>
#include <net/sock.h>

#include "alarms.h"
#include "classes.h"
#include "conns.h"
#include "hash.h"
#include "slots.h"
#include "stats.h"
#include "table.h"
#include "tcpstates.h"

struct tcps_session;

/* Words, so that it is hashed and compared as such. */
struct tcps_pair {
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

static_assert(sizeof(struct tcps_pair) == sizeof_field(struct tcps_pair, words));

/* The device that the sockets are bound to, 0: none, whose index is an int; and IPv6 or not. */
#define TCPS_PAIR_IS_IPV6	BIT(31)

static inline u32 tcps_pair_scope(const struct sock *sk)
{
	u32 ifindex = READ_ONCE(sk->sk_bound_dev_if);

	return sk->sk_family == AF_INET6 ? ifindex | TCPS_PAIR_IS_IPV6 : ifindex;
}

/*
 * The connections of one pair of addresses. What is counted is in @counts and
 * in slots of CPUs, see slots.h; a slot pins the group. @shard and @number stay
 * what they are once the group was taken, and the pair as long as the group is
 * pinned or held; all else is guarded by the lock, but for a first guess at
 * @crowded. Without a connection and a pin the group is idle: it keeps what it
 * knows until another pair needs its room.
 *
 * A slot has no more than @room ends, more or fewer, that the group does not know
 * of, and all slots together a quarter of the threshold. So an alarm cannot be
 * due, nor over, before the group's own count is that near: from half of the
 * threshold away on it is @crowded, and all is counted under the lock.
 */
struct tcps_group {
	/* Read by hooks. */
	struct tcps_group_shard *shard;	/* NULL: about to be taken for the first time */
	u32 number;		/* 1 + index in the table */
	bool crowded;
	bool with_itself;	/* both addresses are the same */
	struct tcps_pair pair;

	/* Written by who looks for a pair, and when a slot is emptied. */
	struct rb_node rb ____cacheline_aligned_in_smp;
	struct list_head idle;
	u32 hash;		/* the key's first part */
	u32 pins;		/* slots */
	u64 pinned;		/* where to look for them: a bit for CPU n, n + 64 ... */
	u32 peak;		/* of live ends */
	struct tcps_group_counts counts;
	u64 first_ns;
	struct tcps_alarm alarm;
};

/* What hooks read is not on a line that is written for each connection. */
static_assert(offsetof(struct tcps_group, rb) % SMP_CACHE_BYTES == 0);
static_assert(offsetof(struct tcps_group, rb) >= offsetofend(struct tcps_group, pair));
static_assert(sizeof(struct tcps_group) % SMP_CACHE_BYTES == 0);

/*
 * Groups come to a shard out of the common table, and stay with it.
 * Locking rule: @lock guards the tree, the list of those that are idle, oldest
 * first, the counts and the alarms. It is raw, interrupts are off, and it is
 * taken inside of the lock of a shard of connections, one at a time; inside of
 * it a record may be written.
 */
struct tcps_group_shard {
	raw_spinlock_t lock;
	struct rb_root root;
	struct list_head idle;
	u64 evicted;
	u64 ungrouped;
} ____cacheline_aligned_in_smp;

struct tcps_groups {
	struct tcps_table table;
	const struct tcps_stats *stats;	/* whose slots count for groups */
	struct tcps_group_shard *shards;
	unsigned int nr_shards;	/* a power of two */
	unsigned int slot_mask;	/* of a group's number: which slot of a CPU's it has */
	bool no_slots;		/* all groups are crowded */
	unsigned int max_pins;	/* of a group */
	s32 room;		/* ends that a slot may have, more or fewer */
	u32 threshold;
	s32 many;		/* half of the threshold: as near to it a group is crowded */
	struct tcps_hash_key key;
};

int tcps_groups_init(struct tcps_groups *groups, const struct tcps_stats *stats,
		     const struct tcpstates_config *config);
void tcps_groups_destroy(struct tcps_groups *groups);
size_t tcps_groups_memory(const struct tcps_groups *groups);

static inline struct tcps_group *tcps_group_at(const struct tcps_groups *groups,
					       unsigned int index)
{
	return tcps_table_at(&groups->table, index, sizeof(struct tcps_group));
}

static inline struct tcps_group *tcps_group_of(const struct tcps_groups *groups,
					       const struct tcps_conn *conn)
{
	return conn->group ? tcps_group_at(groups, conn->group - 1) : NULL;
}

/* The lock of the connection's shard is held. */
void tcps_group_join(struct tcps_session *session, struct tcps_conn *conn, u8 class);
void tcps_group_move_elsewhere(struct tcps_session *session, struct tcps_cpu_stats *stats,
			       struct tcps_conn *conn, u8 from, u8 to);
void tcps_group_flush(const struct tcps_groups *groups, struct tcps_group_slot *slot);
void tcps_group_leave_elsewhere(struct tcps_session *session, struct tcps_cpu_stats *stats,
				struct tcps_conn *conn, u8 class);
void tcps_group_unfinished(struct tcps_session *session, const struct tcps_conn *conn);

/* This CPU's slot for the group of this number, if it does not count for another one. */
static __always_inline struct tcps_group_slot *
tcps_group_slot(const struct tcps_groups *groups, struct tcps_cpu_stats *stats, u32 number)
{
	return &stats->slots.groups[number & groups->slot_mask];
}

/* Does this CPU count in its slot for the group of this number, and may go on so? */
static __always_inline bool tcps_group_slot_has(const struct tcps_group_slot *slot, u32 number)
{
	return likely(slot->number == number && slot->group && !READ_ONCE(slot->group->crowded));
}

/* After the ends in a slot have become more or fewer. */
static __always_inline void tcps_group_look_at_slot(const struct tcps_groups *groups,
						    struct tcps_group_slot *slot)
{
	s32 live = tcps_count_live(slot->counts.classes);

	if (live > slot->counts.most)
		WRITE_ONCE(slot->counts.most, live);
	if (unlikely((u32)(live + groups->room) > 2 * (u32)groups->room))
		tcps_group_flush(groups, slot);
}

/* @conn, which has a group, goes from one class to another. */
static __always_inline void
tcps_group_move(struct tcps_session *session, const struct tcps_groups *groups,
		struct tcps_cpu_stats *stats, struct tcps_conn *conn, u8 from, u8 to)
{
	struct tcps_group_slot *slot = tcps_group_slot(groups, stats, conn->group);

	if (unlikely(!tcps_group_slot_has(slot, conn->group))) {
		tcps_group_move_elsewhere(session, stats, conn, from, to);
		return;
	}
	tcps_count_move(slot->counts.classes, from, to);
	if (tcps_class_is_live(from) != tcps_class_is_live(to))
		tcps_group_look_at_slot(groups, slot);
}

/* @conn, which has a group, and whose socket is still there, ends. */
static __always_inline void
tcps_group_leave(struct tcps_session *session, const struct tcps_groups *groups,
		 struct tcps_cpu_stats *stats, struct tcps_conn *conn, u8 class)
{
	struct tcps_group_slot *slot = tcps_group_slot(groups, stats, conn->group);

	if (tcps_group_slot_has(slot, conn->group)) {
		tcps_count_move(slot->counts.classes, class, TCPS_NO_CLASS);
		tcps_add(slot->counts.holders, -1);
		if (tcps_class_is_live(class))
			tcps_group_look_at_slot(groups, slot);
	} else {
		tcps_group_leave_elsewhere(session, stats, conn, class);
	}
	conn->group = 0;
}

void tcps_groups_sum(struct tcps_groups *groups, struct tcpstates_stats *out);
bool tcps_group_describe(struct tcps_groups *groups, unsigned int index,
			 struct tcpstates_group *out);

#endif
