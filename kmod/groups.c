// SPDX-License-Identifier: GPL-2.0-only
/* Connections counted by pair of addresses. */
#include <linux/ktime.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "compat.h"
#include "groups.h"
#include "session.h"
#include "sockinfo.h"

/* So many share a tree at the most, by and large, so that it is shallow. */
#define GROUPS_PER_SHARD	256
#define SHARDS_MAX		256

static void init_shards(struct tcps_groups *groups)
{
	unsigned int i;

	for (i = 0; i < groups->nr_shards; i++) {
		struct tcps_group_shard *shard = &groups->shards[i];

		raw_spin_lock_init(&shard->lock);
		shard->root = RB_ROOT;
		INIT_LIST_HEAD(&shard->idle);
	}
}

int tcps_groups_init(struct tcps_groups *groups, unsigned int max)
{
	groups->nr_shards = clamp(rounddown_pow_of_two(max / GROUPS_PER_SHARD | 1),
				  1UL, (unsigned long)SHARDS_MAX);
	tcps_hash_key_init(&groups->key);
	groups->shards = kvcalloc(groups->nr_shards, sizeof(*groups->shards), GFP_KERNEL);
	if (!groups->shards)
		return -ENOMEM;
	if (tcps_table_init(&groups->table, sizeof(struct tcps_group), max)) {
		kvfree(groups->shards);
		return -ENOMEM;
	}
	init_shards(groups);
	return 0;
}

void tcps_groups_destroy(struct tcps_groups *groups)
{
	tcps_table_destroy(&groups->table);
	kvfree(groups->shards);
}

size_t tcps_groups_memory(const struct tcps_groups *groups)
{
	return tcps_table_memory(&groups->table) +
	       groups->nr_shards * sizeof(*groups->shards);
}

/*
 * A tree stays shallow whatever is in it. But in one shard, pairs that strangers
 * have made up would take all the room, and none of it could be made for others.
 */
static u32 hash_of(const struct tcps_groups *groups, const struct tcps_pair *pair)
{
	return tcps_hash(&groups->key, pair->halves, ARRAY_SIZE(pair->halves));
}

/* The hash's low bits choose the shard. */
static struct tcps_group_shard *shard_of(struct tcps_groups *groups, u32 hash)
{
	return &groups->shards[hash & (groups->nr_shards - 1)];
}

static bool is_same(const struct tcps_pair *a, const struct tcps_pair *b)
{
	const u64 *v = a->words, *w = b->words;

	return !((v[0] ^ w[0]) | (v[1] ^ w[1]) | (v[2] ^ w[2]) | (v[3] ^ w[3]) |
		 (v[4] ^ w[4]) | (v[5] ^ w[5]));
}

static int compare(const struct tcps_group *group, u32 hash, const struct tcps_pair *pair)
{
	if (group->hash != hash)
		return hash < group->hash ? -1 : 1;
	if (likely(is_same(pair, &group->pair)))
		return 0;
	return memcmp(pair, &group->pair, sizeof(*pair));
}

static struct tcps_group *take_new_group(struct tcps_groups *groups,
					 struct tcps_group_shard *shard)
{
	struct tcps_group *group;
	unsigned int index;

	group = tcps_table_take(&groups->table, &index);
	if (!group)
		return NULL;
	group->index = index;
	INIT_LIST_HEAD(&group->idle);
	WRITE_ONCE(group->shard, shard);
	return group;
}

/* A group that no pair uses: a new one, or the one that has been idle for the longest. */
static struct tcps_group *take_group(struct tcps_groups *groups, struct tcps_group_shard *shard)
{
	struct tcps_group *group = take_new_group(groups, shard);

	if (group)
		return group;
	group = list_first_entry_or_null(&shard->idle, struct tcps_group, idle);
	if (!group)
		return NULL;
	list_del_init(&group->idle);
	rb_erase(&group->rb, &shard->root);
	shard->evicted++;
	return group;
}

/* Nobody holds it: it counts no connection. */
static void begin_group(struct tcps_group *group, u32 hash, const struct tcps_pair *pair)
{
	group->pair = *pair;
	group->hash = hash;
	group->with_itself = !memcmp(pair->laddr, pair->raddr, sizeof(pair->laddr));
	group->peak = 0;
	group->begun = 0;
	atomic64_set(&group->unfinished, 0);
	group->first_ns = ktime_get_ns();
	group->last_ns = 0;
	group->alarm = (struct tcps_alarm){};
}

/*
 * The group of this pair, without a connection if it is new. Where the search
 * ends is looked for again, since making room may have turned the tree.
 */
static struct tcps_group *find_or_make(struct tcps_groups *groups,
				       struct tcps_group_shard *shard, u32 hash,
				       const struct tcps_pair *pair)
{
	struct rb_node **link, *parent;
	struct tcps_group *new = NULL;

again:
	link = &shard->root.rb_node;
	parent = NULL;
	while (*link) {
		struct tcps_group *group = rb_entry(*link, struct tcps_group, rb);
		int order = compare(group, hash, pair);

		if (!order)
			return group;
		parent = *link;
		link = order < 0 ? &parent->rb_left : &parent->rb_right;
	}
	if (!new) {
		new = take_group(groups, shard);
		if (!new)
			return NULL;
		goto again;
	}
	begin_group(new, hash, pair);
	rb_link_node(&new->rb, parent, link);
	rb_insert_color(&new->rb, &shard->root);
	return new;
}

/* Connections that count for the alarm. Of one with itself a host has both ends. */
static u32 live(const struct tcps_group *group)
{
	u32 ends = tcps_count_of(group->counts, TCPS_HALF_OPEN) +
		   tcps_count_of(group->counts, TCPS_ESTABLISHED) +
		   tcps_count_of(group->counts, TCPS_CLOSING);

	return group->with_itself ? DIV_ROUND_UP(ends, 2) : ends;
}

/* Raise or clear the alarm for what @conn has done. The group's lock is held. */
static noinline void sound(struct tcps_session *session, struct tcps_group *group,
			   const struct tcps_conn *conn, u32 value)
{
	const u32 threshold = session->config.threshold;
	struct tcpstates_ident who = {};
	const struct tcps_alarm_subject subject = {
		.kind = TCPSTATES_ALARM_PAIR,
		.who = &who,
		.counts = group->counts,
	};

	tcps_conn_ident(conn->sk, conn->kind, conn, &who);
	if (!tcps_alarm_is_raised(&group->alarm))
		tcps_alarm_raise(session, &group->alarm, &subject, value, threshold);
	else
		tcps_alarm_clear(session, &group->alarm, &subject, value);
}

static __always_inline void has_grown(struct tcps_session *session, struct tcps_group *group,
				      const struct tcps_conn *conn)
{
	u32 value = live(group);

	if (value > group->peak)
		group->peak = value;
	if (tcps_alarm_is_raised(&group->alarm))
		group->alarm.peak = max_t(u64, group->alarm.peak, value);
	else if (session->config.threshold && value >= session->config.threshold)
		sound(session, group, conn, value);
}

static void has_shrunk(struct tcps_session *session, struct tcps_group *group,
		       const struct tcps_conn *conn)
{
	u32 value;

	if (likely(!tcps_alarm_is_raised(&group->alarm)))
		return;
	value = live(group);
	if (value < tcps_alarm_clears_below(group->alarm.threshold))
		sound(session, group, conn, value);
}

static __always_inline bool is_between(const struct tcps_group *group, const struct sock *sk)
{
	const struct tcps_pair *pair = &group->pair;

#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6)
		return pair->family == 6 &&
		       !memcmp(pair->raddr, &sk->sk_v6_daddr, sizeof(pair->raddr)) &&
		       !memcmp(pair->laddr, &sk->sk_v6_rcv_saddr, sizeof(pair->laddr));
#endif
	return pair->family == 4 && pair->raddr4[3] == sk->sk_daddr &&
	       pair->laddr4[3] == sk->sk_rcv_saddr;
}

static __always_inline void join(struct tcps_session *session, struct tcps_group *group,
				 struct tcps_conn *conn, u8 class)
{
	if (!group->nr++)
		list_del_init(&group->idle);
	group->begun++;
	group->last_ns = conn->first_seen_ns;
	conn->group = group->index + 1;
	atomic_inc(&group->counts[class]);
	has_grown(session, group, conn);
}

/*
 * @conn comes to the group that the last connection of this CPU came to, if
 * it is of the same pair. That may have been evicted meanwhile, and be another
 * pair's, but its shard has it for ever.
 */
static __always_inline bool join_last(struct tcps_session *session,
				      const struct tcps_cpu_stats *stats,
				      struct tcps_conn *conn, u8 class)
{
	struct tcps_group *group = stats->group;
	bool same;

	/* A guess, which spares the lock; it is made sure of below. */
	if (!group || !data_race(is_between(group, conn->sk)))
		return false;
	raw_spin_lock(&group->shard->lock);
	same = group->pair.net_cookie == tcps_net_cookie(sock_net(conn->sk)) &&
	       group->pair.netns == conn->known.netns && is_between(group, conn->sk);
	if (likely(same))
		join(session, group, conn, class);
	raw_spin_unlock(&group->shard->lock);
	return same;
}

static noinline void find_and_join(struct tcps_session *session, struct tcps_cpu_stats *stats,
				   struct tcps_conn *conn, u8 class)
{
	struct tcps_group_shard *shard;
	struct tcps_group *group;
	struct tcps_pair pair = {
		.netns = conn->known.netns,
		.net_cookie = tcps_net_cookie(sock_net(conn->sk)),
	};
	u32 hash;

	pair.family = tcps_sock_addrs(conn->sk, pair.laddr, pair.raddr);
	hash = hash_of(&session->groups, &pair);
	shard = shard_of(&session->groups, hash);
	raw_spin_lock(&shard->lock);
	group = find_or_make(&session->groups, shard, hash, &pair);
	if (likely(group))
		join(session, group, conn, class);
	else
		shard->ungrouped++;
	raw_spin_unlock(&shard->lock);
	stats->group = group;
}

/* A connection begins. If there is no room for its pair, it belongs to none. */
void tcps_group_join(struct tcps_session *session, struct tcps_conn *conn, u8 class)
{
	struct tcps_cpu_stats *stats = tcps_stats_this_cpu(&session->stats);

	if (!join_last(session, stats, conn, class))
		find_and_join(session, stats, conn, class);
}

/* A connection of a group whose alarm is raised goes on to TIME_WAIT. */
void tcps_group_shrinks(struct tcps_session *session, struct tcps_group *group,
			const struct tcps_conn *conn)
{
	struct tcps_group_shard *shard = group->shard;

	raw_spin_lock(&shard->lock);
	has_shrunk(session, group, conn);
	raw_spin_unlock(&shard->lock);
}

/* @conn, whose socket is still there, ends. */
void tcps_group_leave(struct tcps_session *session, struct tcps_conn *conn, u8 class)
{
	struct tcps_group *group = tcps_group_of(&session->groups, conn);
	struct tcps_group_shard *shard;

	if (!group)
		return;
	shard = group->shard;
	raw_spin_lock(&shard->lock);
	tcps_count_move(group->counts, class, TCPS_NO_CLASS);
	has_shrunk(session, group, conn);
	conn->group = 0;
	if (!--group->nr)
		list_add_tail(&group->idle, &shard->idle);
	raw_spin_unlock(&shard->lock);
}

/* The request of @conn ends half-open. */
void tcps_group_unfinished(struct tcps_session *session, const struct tcps_conn *conn)
{
	struct tcps_group *group = tcps_group_of(&session->groups, conn);

	if (group)
		atomic64_inc(&group->unfinished);
}

/* In process context. */
void tcps_groups_sum(struct tcps_groups *groups, struct tcpstates_stats *out)
{
	unsigned int i;

	out->groups = tcps_table_taken(&groups->table);
	for (i = 0; i < groups->nr_shards; i++) {
		struct tcps_group_shard *shard = &groups->shards[i];

		raw_spin_lock_irq(&shard->lock);
		out->evicted += shard->evicted;
		out->ungrouped += shard->ungrouped;
		raw_spin_unlock_irq(&shard->lock);
	}
}

static void describe(const struct tcps_group *group, struct tcpstates_group *out)
{
	memcpy(out->laddr, group->pair.laddr, sizeof(out->laddr));
	memcpy(out->raddr, group->pair.raddr, sizeof(out->raddr));
	out->netns = group->pair.netns;
	out->family = group->pair.family;
	out->alarm = tcps_alarm_is_raised(&group->alarm);
	out->half_open = tcps_count_of(group->counts, TCPS_HALF_OPEN);
	out->established = tcps_count_of(group->counts, TCPS_ESTABLISHED);
	out->closing = tcps_count_of(group->counts, TCPS_CLOSING);
	out->timewait = tcps_count_of(group->counts, TCPS_IN_TIMEWAIT);
	out->peak = group->peak;
	out->begun = group->begun;
	out->unfinished = atomic64_read(&group->unfinished);
	out->first_ns = group->first_ns;
	out->last_ns = group->last_ns;
}

/* In process context; @out is zeroed. False for one that stands for no pair yet. */
bool tcps_group_describe(struct tcps_groups *groups, unsigned int index,
			 struct tcpstates_group *out)
{
	const struct tcps_group *group = tcps_group_at(groups, index);
	struct tcps_group_shard *shard = READ_ONCE(group->shard);
	bool known;

	if (!shard)
		return false;
	raw_spin_lock_irq(&shard->lock);
	known = group->pair.family;
	if (known)
		describe(group, out);
	raw_spin_unlock_irq(&shard->lock);
	return known;
}
