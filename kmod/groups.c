// SPDX-License-Identifier: GPL-2.0-only
/* Connections counted by pair of addresses. */
#include <linux/bitops.h>
#include <linux/hash.h>
#include <linux/ktime.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/string.h>

#include "compat.h"
#include "groups.h"
#include "session.h"
#include "sockinfo.h"

/* So many share a tree, so that it is shallow. */
#define GROUPS_PER_SHARD	256
#define SHARDS_MAX		256

/* The shards share all groups as evenly as it goes. */
static void init_shards(struct tcps_groups *groups)
{
	struct tcps_group *next = groups->groups;
	unsigned int i;

	for (i = 0; i < groups->nr_shards; i++) {
		struct tcps_group_shard *shard = &groups->shards[i];

		raw_spin_lock_init(&shard->lock);
		shard->root = RB_ROOT;
		INIT_LIST_HEAD(&shard->idle);
		shard->next = next;
		next += groups->max / groups->nr_shards + (i < groups->max % groups->nr_shards);
		shard->end = next;
	}
}

int tcps_groups_init(struct tcps_groups *groups, unsigned int max)
{
	groups->max = max;
	groups->nr_shards = clamp(rounddown_pow_of_two(max / GROUPS_PER_SHARD | 1),
				  1UL, (unsigned long)SHARDS_MAX);
	groups->seed = get_random_u64();
	groups->groups = kvcalloc(max, sizeof(*groups->groups), GFP_KERNEL);
	if (!groups->groups)
		return -ENOMEM;
	groups->shards = kvcalloc(groups->nr_shards, sizeof(*groups->shards), GFP_KERNEL);
	if (!groups->shards) {
		kvfree(groups->groups);
		return -ENOMEM;
	}
	init_shards(groups);
	return 0;
}

void tcps_groups_destroy(struct tcps_groups *groups)
{
	kvfree(groups->shards);
	kvfree(groups->groups);
}

size_t tcps_groups_memory(const struct tcps_groups *groups)
{
	return groups->max * sizeof(*groups->groups) +
	       groups->nr_shards * sizeof(*groups->shards);
}

/*
 * A tree stays shallow whatever is in it: the hash need only keep who does not
 * know the seed from filling one shard.
 */
static u64 hash_of(const struct tcps_groups *groups, const struct tcps_pair *pair)
{
	const u64 *words = pair->words;
	u64 hash = groups->seed;

	hash = (hash ^ words[0] ^ rol64(words[1], 32)) * GOLDEN_RATIO_64;
	hash = (hash ^ words[2] ^ rol64(words[3], 16)) * GOLDEN_RATIO_64;
	hash = (hash ^ words[4] ^ rol64(words[5], 40) ^ hash >> 32) * GOLDEN_RATIO_64;
	return hash ^ hash >> 32;
}

/* The hash's low bits choose the shard. */
static struct tcps_group_shard *shard_of(struct tcps_groups *groups, u64 hash)
{
	return &groups->shards[hash & (groups->nr_shards - 1)];
}

static bool is_same(const struct tcps_pair *a, const struct tcps_pair *b)
{
	const u64 *v = a->words, *w = b->words;

	return !((v[0] ^ w[0]) | (v[1] ^ w[1]) | (v[2] ^ w[2]) | (v[3] ^ w[3]) |
		 (v[4] ^ w[4]) | (v[5] ^ w[5]));
}

static int compare(const struct tcps_group *group, u64 hash, const struct tcps_pair *pair)
{
	if (group->hash != hash)
		return hash < group->hash ? -1 : 1;
	if (likely(is_same(pair, &group->pair)))
		return 0;
	return memcmp(pair, &group->pair, sizeof(*pair));
}

/* A group that no pair uses: a new one, or the one that has been idle for the longest. */
static struct tcps_group *take_group(struct tcps_group_shard *shard)
{
	struct tcps_group *group;

	if (shard->next != shard->end) {
		shard->known++;
		return shard->next++;
	}
	group = list_first_entry_or_null(&shard->idle, struct tcps_group, idle);
	if (!group)
		return NULL;
	list_del(&group->idle);
	rb_erase(&group->rb, &shard->root);
	shard->evicted++;
	return group;
}

/*
 * The group of this pair, without a connection if it is new. Where the search
 * ends is looked for again, since making room may have turned the tree.
 */
static struct tcps_group *find_or_make(struct tcps_group_shard *shard, u64 hash,
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
		new = take_group(shard);
		if (!new)
			return NULL;
		goto again;
	}
	*new = (struct tcps_group){
		.pair = *pair,
		.hash = hash,
		.with_itself = !memcmp(pair->laddr, pair->raddr, sizeof(pair->laddr)),
		.first_ns = ktime_get_ns(),
	};
	INIT_LIST_HEAD(&new->idle);
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
	conn->group = group - session->groups.groups + 1;
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
	raw_spin_lock(&stats->group_shard->lock);
	same = group->pair.net_cookie == tcps_net_cookie(sock_net(conn->sk)) &&
	       group->pair.netns == conn->known.netns && is_between(group, conn->sk);
	if (likely(same))
		join(session, group, conn, class);
	raw_spin_unlock(&stats->group_shard->lock);
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
	u64 hash;

	pair.family = tcps_sock_addrs(conn->sk, pair.laddr, pair.raddr);
	hash = hash_of(&session->groups, &pair);
	shard = shard_of(&session->groups, hash);
	raw_spin_lock(&shard->lock);
	group = find_or_make(shard, hash, &pair);
	if (likely(group))
		join(session, group, conn, class);
	else
		shard->ungrouped++;
	raw_spin_unlock(&shard->lock);
	stats->group = group;
	stats->group_shard = shard;
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
	struct tcps_group_shard *shard = shard_of(&session->groups, group->hash);

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
	shard = shard_of(&session->groups, group->hash);
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

	for (i = 0; i < groups->nr_shards; i++) {
		struct tcps_group_shard *shard = &groups->shards[i];

		raw_spin_lock_irq(&shard->lock);
		out->groups += shard->known;
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

/* As init_shards() has shared them out. */
static struct tcps_group_shard *shard_of_index(struct tcps_groups *groups, unsigned int index)
{
	unsigned int each = groups->max / groups->nr_shards;
	unsigned int larger = groups->max % groups->nr_shards;

	if (index < larger * (each + 1))
		return &groups->shards[index / (each + 1)];
	return &groups->shards[larger + (index - larger * (each + 1)) / each];
}

/* In process context; @out is zeroed. False for one that was never used. */
bool tcps_group_describe(struct tcps_groups *groups, unsigned int index,
			 struct tcpstates_group *out)
{
	struct tcps_group_shard *shard = shard_of_index(groups, index);
	const struct tcps_group *group = &groups->groups[index];
	bool known;

	raw_spin_lock_irq(&shard->lock);
	known = group < shard->next;
	if (known)
		describe(group, out);
	raw_spin_unlock_irq(&shard->lock);
	return known;
}
