// SPDX-License-Identifier: GPL-2.0-only
/* Connections counted by pair of addresses. */
#include <linux/ktime.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "compat.h"
#include "groups.h"
#include "session.h"
#include "shared.h"
#include "sockinfo.h"

/* So many share a tree at the most, by and large, so that it is shallow. */
#define GROUPS_PER_SHARD	256
#define SHARDS_MAX		256

/* Ends that a slot has at the most, and a threshold that is exact at all times. */
#define ROOM_MIN		2U
#define ROOM_MAX		64U
#define SMALL			64U

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

/*
 * Pairs that are in slots of CPUs cannot be evicted: not more than a quarter may
 * be. Below a threshold of SMALL all are counted under their lock.
 */
static void init_slots(struct tcps_groups *groups, const struct tcpstates_config *config)
{
	unsigned int nr = config->max_groups / (4 * num_possible_cpus());
	unsigned int spare = config->threshold / 4;

	groups->threshold = config->threshold;
	groups->many = config->threshold ? config->threshold / 2 : S32_MAX;
	if (!config->threshold) {
		groups->room = ROOM_MAX;
		groups->max_pins = UINT_MAX;
	} else {
		groups->room = clamp(spare / num_online_cpus(), ROOM_MIN, ROOM_MAX);
		groups->max_pins = spare / groups->room;
		if (config->threshold < SMALL)
			nr = 0;
	}
	groups->no_slots = !nr;
	if (nr)
		groups->slot_mask = rounddown_pow_of_two(min_t(unsigned int, nr,
							       TCPS_GROUP_SLOTS)) - 1;
}

int tcps_groups_init(struct tcps_groups *groups, const struct tcps_stats *stats,
		     const struct tcpstates_config *config)
{
	const unsigned int max = config->max_groups;

	groups->stats = stats;
	init_slots(groups, config);
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
	group->number = index + 1;
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
static void begin_group(const struct tcps_groups *groups, struct tcps_group *group, u32 hash,
			const struct tcps_pair *pair)
{
	group->pair = *pair;
	group->hash = hash;
	group->with_itself = !memcmp(pair->laddr, pair->raddr, sizeof(pair->laddr));
	group->crowded = groups->no_slots;
	group->peak = 0;
	group->counts = (struct tcps_group_counts){};
	group->first_ns = ktime_get_ns();
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
	begin_group(groups, new, hash, pair);
	rb_link_node(&new->rb, parent, link);
	rb_insert_color(&new->rb, &shard->root);
	return new;
}

/* The CPU's slot that counts for @group, if it does not for another one. */
static struct tcps_group_slot *slot_of(const struct tcps_groups *groups,
				       struct tcps_cpu_stats *stats,
				       const struct tcps_group *group)
{
	return &stats->slots.groups[group->number & groups->slot_mask];
}

/* Connections that count for the alarm. Of one with itself a host has both ends. */
static u32 value_of(const struct tcps_group *group, s32 ends)
{
	ends = max(ends, 0);
	return group->with_itself ? DIV_ROUND_UP(ends, 2) : ends;
}

/* From here on: the group's lock is held. */
static void add_counts(struct tcps_group_counts *sum, const struct tcps_group_counts *part)
{
	unsigned int i;

	for (i = 0; i < TCPS_NR_CLASSES; i++)
		sum->classes[i] += READ_ONCE(part->classes[i]);
	sum->holders += READ_ONCE(part->holders);
	sum->begun += READ_ONCE(part->begun);
	sum->unfinished += READ_ONCE(part->unfinished);
	sum->last_ns = max(sum->last_ns, READ_ONCE(part->last_ns));
}

/* The slot of @cpu that counts for @group, or NULL. */
static const struct tcps_group_slot *slot_at(const struct tcps_groups *groups,
					     const struct tcps_group *group, unsigned int cpu)
{
	struct tcps_cpu_stats *stats = tcps_stats_of(groups->stats, cpu);
	const struct tcps_group_slot *slot;

	if (!stats)
		return NULL;
	slot = slot_of(groups, stats, group);
	/* Pairs with pin(). */
	return smp_load_acquire(&slot->group) == group ? slot : NULL;
}

static u64 pin_bit(unsigned int cpu)
{
	return 1ULL << cpu % 64;
}

/* The next slot that counts for @group, from @cpu on, which is moved on; NULL: no more. */
static const struct tcps_group_slot *next_slot(const struct tcps_groups *groups,
					       const struct tcps_group *group, unsigned int *cpu)
{
	const struct tcps_group_slot *slot = NULL;

	for (; !slot && *cpu < nr_cpu_ids; ++*cpu)
		if (group->pinned & pin_bit(*cpu) && cpu_possible(*cpu))
			slot = slot_at(groups, group, *cpu);
	return slot;
}

/* All that is counted for the group. */
static void sum_counts(const struct tcps_groups *groups, const struct tcps_group *group,
		       struct tcps_group_counts *sum)
{
	const struct tcps_group_slot *slot;
	unsigned int cpu = 0;

	*sum = group->counts;
	if (likely(!group->pins))
		return;
	while ((slot = next_slot(groups, group, &cpu)))
		add_counts(sum, &slot->counts);
}

/* Ends in slots that the group does not know of, more or fewer. */
static s32 pending_ends(const struct tcps_groups *groups, const struct tcps_group *group)
{
	const struct tcps_group_slot *slot;
	unsigned int cpu = 0;
	s32 sum = 0;

	if (likely(!group->pins))
		return 0;
	while ((slot = next_slot(groups, group, &cpu)))
		sum += tcps_count_live(slot->counts.classes);
	return sum;
}

/* Most ends at once: what each CPU knows, beside what the others have now. */
static s32 most_ends(const struct tcps_groups *groups, const struct tcps_group *group, s32 live)
{
	s32 most = max_t(s32, group->peak, live);
	const struct tcps_group_slot *slot;
	unsigned int cpu = 0;

	while ((slot = next_slot(groups, group, &cpu)))
		most = max(most, live - tcps_count_live(slot->counts.classes) +
			   READ_ONCE(slot->counts.most));
	return most;
}

/* The group has changed: is it to be counted under its lock only, or no longer? */
static noinline void note_change(const struct tcps_groups *groups, struct tcps_group *group)
{
	s32 value = value_of(group, tcps_count_live(group->counts.classes));
	s32 left;

	if (!groups->threshold || groups->no_slots)
		return;
	/* Until the alarm is raised or, if it is, cleared. */
	left = tcps_alarm_is_raised(&group->alarm) ?
		       value - (s32)tcps_alarm_clears_below(group->alarm.threshold) :
		       (s32)groups->threshold - value;
	if (!group->crowded) {
		if (left <= groups->many)
			WRITE_ONCE(group->crowded, true);
	} else if (left > (s32)groups->threshold / 8 * 5) {
		WRITE_ONCE(group->crowded, false);
	}
}

/* What the slot of this CPU has comes to its group. */
static void add_slot(const struct tcps_groups *groups, struct tcps_group *group,
		     struct tcps_group_slot *slot)
{
	s32 most = tcps_count_live(group->counts.classes) + slot->counts.most;

	/* Others may have counted the ends of what begins here. */
	if (most > (s32)group->peak)
		most += pending_ends(groups, group) - tcps_count_live(slot->counts.classes);
	group->peak = max_t(s32, group->peak, most);
	if (tcps_alarm_is_raised(&group->alarm))
		group->alarm.peak = max_t(u64, group->alarm.peak, value_of(group, most));
	add_counts(&group->counts, &slot->counts);
	note_change(groups, group);
}

static void put_group(struct tcps_group *group)
{
	if (!group->counts.holders && !group->pins)
		list_add_tail(&group->idle, &group->shard->idle);
}

static void unpin(const struct tcps_groups *groups, struct tcps_group_slot *slot)
{
	struct tcps_group *group = slot->group;

	add_slot(groups, group, slot);
	slot->number = 0;
	WRITE_ONCE(slot->group, NULL);
	if (!--group->pins)
		group->pinned = 0;
}

/* No lock of a group is held, and interrupts are off. */
static void empty_slot(const struct tcps_groups *groups, struct tcps_group_slot *slot)
{
	struct tcps_group *group = slot->group;

	tcps_lock_shared(&group->shard->lock);
	unpin(groups, slot);
	put_group(group);
	raw_spin_unlock(&group->shard->lock);
}

/* The slot's ends have become too many, or too few. Likewise. */
void tcps_group_flush(const struct tcps_groups *groups, struct tcps_group_slot *slot)
{
	struct tcps_group *group = slot->group;

	tcps_lock_shared(&group->shard->lock);
	add_slot(groups, group, slot);
	/* Who has the lock finds them here or there. */
	slot->counts = (struct tcps_group_counts){};
	raw_spin_unlock(&group->shard->lock);
}

/*
 * This CPU counts for @group without a slot: after some times it takes one, if
 * the group is not crowded. Likewise; the group need not be held any more, it
 * may even be another pair's.
 */
static noinline void pin(const struct tcps_groups *groups, struct tcps_cpu_stats *stats,
			 struct tcps_group *group)
{
	struct tcps_group_slot *slot = slot_of(groups, stats, group);

	if (READ_ONCE(group->crowded) || slot->group == group)
		return;
	if (slot->group) {
		if (++slot->misses < TCPS_SLOT_MISSES)
			return;
		empty_slot(groups, slot);
	}
	slot->misses = 0;
	slot->counts = (struct tcps_group_counts){};
	tcps_lock_shared(&group->shard->lock);
	if (!group->crowded && group->pins < groups->max_pins) {
		if (!group->counts.holders && !group->pins)
			list_del_init(&group->idle);
		group->pins++;
		group->pinned |= pin_bit(smp_processor_id());
		slot->number = group->number;
		/* Who finds the group in it finds it empty: pairs with slot_at(). */
		smp_store_release(&slot->group, group);
	}
	raw_spin_unlock(&group->shard->lock);
}

/* Raise or clear the alarm for what @conn has done. The group's lock is held. */
static noinline void sound(struct tcps_session *session, struct tcps_group *group,
			   const struct tcps_conn *conn, const struct tcps_group_counts *sum,
			   u32 value)
{
	const u32 threshold = session->config.threshold;
	struct tcpstates_ident who = {};
	const struct tcps_alarm_subject subject = {
		.kind = TCPSTATES_ALARM_PAIR,
		.who = &who,
		.counts = sum->classes,
	};

	tcps_conn_ident(conn->sk, conn->kind, conn, &who);
	if (!tcps_alarm_is_raised(&group->alarm))
		tcps_alarm_raise(session, &group->alarm, &subject, value, threshold);
	else
		tcps_alarm_clear(session, &group->alarm, &subject, value);
}

/* All of a crowded group is looked at each time: its alarm may be due. Its lock is held. */
static noinline void look_at_crowd(struct tcps_session *session, struct tcps_group *group,
				   const struct tcps_conn *conn)
{
	const u32 threshold = session->groups.threshold;
	struct tcps_group_counts sum;
	u32 value;
	s32 live;

	sum_counts(&session->groups, group, &sum);
	live = tcps_count_live(sum.classes);
	value = value_of(group, live);
	group->peak = max_t(s32, group->peak, live);
	if (!tcps_alarm_is_raised(&group->alarm)) {
		if (threshold && value >= threshold)
			sound(session, group, conn, &sum, value);
	} else if (value < tcps_alarm_clears_below(group->alarm.threshold)) {
		sound(session, group, conn, &sum, value);
	} else {
		group->alarm.peak = max_t(u64, group->alarm.peak, value);
	}
}

/* @conn has changed the counts of @group itself. Its lock is held. */
static __always_inline void look_at_group(struct tcps_session *session, struct tcps_group *group,
					  const struct tcps_conn *conn)
{
	s32 live = tcps_count_live(group->counts.classes);

	if (unlikely(group->crowded || live >= session->groups.many)) {
		look_at_crowd(session, group, conn);
		note_change(&session->groups, group);
	} else if (live > (s32)group->peak) {
		group->peak = max_t(s32, group->peak,
				    live + pending_ends(&session->groups, group));
	}
}

static __always_inline bool is_between(const struct tcps_group *group, const struct sock *sk)
{
	const struct tcps_pair *pair = &group->pair;

	if (pair->scope != tcps_pair_scope(sk))
		return false;
#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6)
		return !memcmp(pair->raddr, &sk->sk_v6_daddr, sizeof(pair->raddr)) &&
		       !memcmp(pair->laddr, &sk->sk_v6_rcv_saddr, sizeof(pair->laddr));
#endif
	return pair->raddr4[3] == sk->sk_daddr && pair->laddr4[3] == sk->sk_rcv_saddr;
}

static __always_inline void add_conn(struct tcps_group_counts *counts,
				     const struct tcps_conn *conn, u8 class)
{
	tcps_add(counts->holders, 1);
	tcps_add(counts->begun, 1);
	tcps_add(counts->classes[class], 1);
	WRITE_ONCE(counts->last_ns, conn->first_seen_ns);
}

/*
 * @conn comes to the group that the last connection of this CPU came to, if
 * it is of the same pair. A group that this CPU has in a slot stays that pair's.
 */
static __always_inline bool join_last(struct tcps_session *session, struct tcps_cpu_stats *stats,
				      struct tcps_conn *conn, u8 class)
{
	struct tcps_group *group = stats->group;
	struct tcps_group_slot *slot;

	if (!group)
		return false;
	slot = tcps_group_slot(&session->groups, stats, group->number);
	if (!tcps_group_slot_has(slot, group->number) || !is_between(group, conn->sk) ||
	    group->pair.net_cookie != tcps_net_cookie(sock_net(conn->sk)) ||
	    group->pair.netns != conn->known.netns)
		return false;
	add_conn(&slot->counts, conn, class);
	conn->group = group->number;
	tcps_group_look_at_slot(&session->groups, slot);
	return true;
}

/* Of pairs that are used once, none is worth a slot. The group's lock is held. */
static bool is_used_again(const struct tcps_group *group)
{
	return group->counts.begun > 1 || group->pins;
}

/* The group's lock is held: this CPU counts in @group itself, not in a slot of it. */
static void use_group(const struct tcps_groups *groups, struct tcps_cpu_stats *stats,
		      struct tcps_group *group)
{
	struct tcps_group_slot *slot = slot_of(groups, stats, group);

	if (unlikely(slot->group == group))
		unpin(groups, slot);
}

static noinline void find_and_join(struct tcps_session *session, struct tcps_cpu_stats *stats,
				   struct tcps_conn *conn, u8 class)
{
	struct tcps_group_shard *shard;
	struct tcps_group *group;
	struct tcps_pair pair = {
		.netns = conn->known.netns,
		.scope = tcps_pair_scope(conn->sk),
		.net_cookie = tcps_net_cookie(sock_net(conn->sk)),
	};
	bool is_used = false;
	u32 hash;

	tcps_sock_addrs(conn->sk, pair.laddr, pair.raddr);
	hash = hash_of(&session->groups, &pair);
	shard = shard_of(&session->groups, hash);
	tcps_lock_shared(&shard->lock);
	group = find_or_make(&session->groups, shard, hash, &pair);
	if (likely(group)) {
		use_group(&session->groups, stats, group);
		if (!group->counts.holders && !group->pins)
			list_del_init(&group->idle);
		add_conn(&group->counts, conn, class);
		conn->group = group->number;
		look_at_group(session, group, conn);
		is_used = is_used_again(group);
	} else {
		shard->ungrouped++;
	}
	raw_spin_unlock(&shard->lock);
	stats->group = group;
	if (is_used)
		pin(&session->groups, stats, group);
}

/* A connection begins. If there is no room for its pair, it belongs to none. */
void tcps_group_join(struct tcps_session *session, struct tcps_conn *conn, u8 class)
{
	struct tcps_cpu_stats *stats = tcps_stats_this_cpu(&session->stats);

	if (!join_last(session, stats, conn, class))
		find_and_join(session, stats, conn, class);
}

/* Without a slot. */
static void move_in_group(struct tcps_session *session, struct tcps_cpu_stats *stats,
			  struct tcps_conn *conn, u8 from, u8 to, bool leaves)
{
	struct tcps_group *group = tcps_group_of(&session->groups, conn);
	struct tcps_group_shard *shard = group->shard;
	bool is_used;

	tcps_lock_shared(&shard->lock);
	use_group(&session->groups, stats, group);
	tcps_count_move(group->counts.classes, from, to);
	look_at_group(session, group, conn);
	is_used = !leaves && is_used_again(group);
	if (leaves) {
		group->counts.holders--;
		put_group(group);
	}
	raw_spin_unlock(&shard->lock);
	if (is_used)
		pin(&session->groups, stats, group);
}

void tcps_group_move_elsewhere(struct tcps_session *session, struct tcps_cpu_stats *stats,
			       struct tcps_conn *conn, u8 from, u8 to)
{
	move_in_group(session, stats, conn, from, to, false);
}

void tcps_group_leave_elsewhere(struct tcps_session *session, struct tcps_cpu_stats *stats,
				struct tcps_conn *conn, u8 class)
{
	move_in_group(session, stats, conn, class, TCPS_NO_CLASS, true);
}

/* The request of @conn ends half-open. */
void tcps_group_unfinished(struct tcps_session *session, const struct tcps_conn *conn)
{
	struct tcps_cpu_stats *stats = tcps_stats_this_cpu(&session->stats);
	struct tcps_group *group;
	struct tcps_group_slot *slot;

	if (!conn->group)
		return;
	slot = tcps_group_slot(&session->groups, stats, conn->group);
	if (tcps_group_slot_has(slot, conn->group)) {
		tcps_add(slot->counts.unfinished, 1);
		return;
	}
	group = tcps_group_of(&session->groups, conn);
	tcps_lock_shared(&group->shard->lock);
	group->counts.unfinished++;
	raw_spin_unlock(&group->shard->lock);
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

static void describe(const struct tcps_groups *groups, const struct tcps_group *group,
		     struct tcpstates_group *out)
{
	struct tcps_group_counts sum;
	s32 live;

	sum_counts(groups, group, &sum);
	live = tcps_count_live(sum.classes);
	memcpy(out->laddr, group->pair.laddr, sizeof(out->laddr));
	memcpy(out->raddr, group->pair.raddr, sizeof(out->raddr));
	out->netns = group->pair.netns;
	out->family = group->pair.scope & TCPS_PAIR_IS_IPV6 ? 6 : 4;
	out->ifindex = group->pair.scope & ~TCPS_PAIR_IS_IPV6;
	out->alarm = tcps_alarm_is_raised(&group->alarm);
	out->half_open = tcps_count_of(sum.classes, TCPS_HALF_OPEN);
	out->established = tcps_count_of(sum.classes, TCPS_ESTABLISHED);
	out->closing = tcps_count_of(sum.classes, TCPS_CLOSING);
	out->timewait = tcps_count_of(sum.classes, TCPS_IN_TIMEWAIT);
	out->peak = value_of(group, most_ends(groups, group, live));
	out->begun = sum.begun;
	out->unfinished = sum.unfinished;
	out->first_ns = group->first_ns;
	out->last_ns = sum.last_ns;
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
	known = group->first_ns;
	if (known)
		describe(groups, group, out);
	raw_spin_unlock_irq(&shard->lock);
	return known;
}
