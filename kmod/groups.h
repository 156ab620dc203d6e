/* SPDX-License-Identifier: GPL-2.0-only */
/* Connections counted by pair of addresses. */
#ifndef TCPS_GROUPS_H
#define TCPS_GROUPS_H

#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/spinlock.h>

#include "alarms.h"
#include "classes.h"
#include "conns.h"
#include "hash.h"
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
			u32 family;
			u64 net_cookie;	/* a later namespace may have the number again */
		};
		u64 words[6];
		u32 halves[12];
	};
};

static_assert(sizeof(struct tcps_pair) == sizeof_field(struct tcps_pair, words));

/*
 * The connections of one pair of addresses. @counts and @unfinished change
 * without the shard's lock, by who holds a connection of the group; @shard and
 * @index stay what they are once the group was taken; all else is guarded by
 * the lock, but for a first guess at @pair (see join_last()). Without a
 * connection the group is idle: it keeps what it knows until another pair
 * needs its room.
 */
struct tcps_group {
	struct tcps_group_shard *shard;	/* NULL: about to be taken for the first time */
	struct rb_node rb;
	struct list_head idle;
	struct tcps_pair pair;
	tcps_counts counts;
	u32 hash;		/* the key's first part */
	u32 nr;			/* connections that hold the group */
	u32 peak;
	u32 index;
	bool with_itself;	/* both addresses are the same */
	atomic64_t unfinished;
	u64 begun;
	u64 first_ns;
	u64 last_ns;
	struct tcps_alarm alarm;
};

/*
 * Groups come to a shard out of the common table, and stay with it.
 * Locking rule: @lock guards the tree, the list of those that are idle, oldest
 * first, and the alarms. It is raw, interrupts are off, and it is taken inside
 * of the lock of a shard of connections; inside of it a record may be written.
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
	struct tcps_group_shard *shards;
	unsigned int nr_shards;	/* a power of two */
	struct tcps_hash_key key;
};

int tcps_groups_init(struct tcps_groups *groups, unsigned int max);
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
void tcps_group_shrinks(struct tcps_session *session, struct tcps_group *group,
			const struct tcps_conn *conn);
void tcps_group_leave(struct tcps_session *session, struct tcps_conn *conn, u8 class);
void tcps_group_unfinished(struct tcps_session *session, const struct tcps_conn *conn);

void tcps_groups_sum(struct tcps_groups *groups, struct tcpstates_stats *out);
bool tcps_group_describe(struct tcps_groups *groups, unsigned int index,
			 struct tcpstates_group *out);

#endif
