// SPDX-License-Identifier: GPL-2.0-only
/* Connections counted by pair of addresses. */
#include <linux/ktime.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "compat.h"
#include "pairs.h"
#include "session.h"
#include "shared.h"
#include "sockinfo.h"

/* About the most pairs that share a tree, so that it is shallow. */
#define PAIRS_PER_SHARD	256
#define SHARDS_MAX		256

/* Ends that a slot has at the most, and a threshold that is exact at all times. */
#define ROOM_MIN		2U
#define ROOM_MAX		64U
#define SMALL			64U

static void init_shards(struct tcps_pairs *pairs)
{
	unsigned int i;

	for (i = 0; i < pairs->nr_shards; i++) {
		struct tcps_pair_shard *shard = &pairs->shards[i];

		raw_spin_lock_init(&shard->lock);
		shard->root = RB_ROOT;
		INIT_LIST_HEAD(&shard->idle);
	}
}

/*
 * Pairs that are in slots of CPUs cannot be evicted: not more than a quarter may
 * be. Below a threshold of SMALL all are counted under their lock.
 */
static void init_slots(struct tcps_pairs *pairs, const struct tcpstates_config *config)
{
	unsigned int nr = config->max_pairs / (4 * num_possible_cpus());
	unsigned int spare = config->threshold / 4;

	pairs->threshold = config->threshold;
	pairs->many = config->threshold ? config->threshold / 2 : S32_MAX;
	if (!config->threshold) {
		pairs->room = ROOM_MAX;
		pairs->max_pins = UINT_MAX;
	} else {
		pairs->room = clamp(spare / num_online_cpus(), ROOM_MIN, ROOM_MAX);
		pairs->max_pins = spare / pairs->room;
		if (config->threshold < SMALL)
			nr = 0;
	}
	pairs->no_slots = !nr;
	if (nr)
		pairs->slot_mask = rounddown_pow_of_two(min_t(unsigned int, nr,
							      TCPS_PAIR_SLOTS)) - 1;
}

/**
 * tcps_pairs_init() - make the table of an activation
 * @pairs: zeroed
 * @stats: counters, whose slots count for pairs
 * @config: settings
 *
 * Context: Process context, may sleep.
 * Return: 0 or -ENOMEM.
 */
int tcps_pairs_init(struct tcps_pairs *pairs, const struct tcps_stats *stats,
		    const struct tcpstates_config *config)
{
	const unsigned int max = config->max_pairs;

	pairs->stats = stats;
	init_slots(pairs, config);
	pairs->nr_shards = clamp(rounddown_pow_of_two(max / PAIRS_PER_SHARD | 1),
				 1UL, (unsigned long)SHARDS_MAX);
	tcps_hash_key_init(&pairs->hash_key);
	pairs->shards = kvcalloc(pairs->nr_shards, sizeof(*pairs->shards), GFP_KERNEL);
	if (!pairs->shards)
		return -ENOMEM;
	if (tcps_table_init(&pairs->table, sizeof(struct tcps_pair), max)) {
		kvfree(pairs->shards);
		return -ENOMEM;
	}
	init_shards(pairs);
	return 0;
}

/**
 * tcps_pairs_destroy() - free the table
 * @pairs: the table
 *
 * Context: Process context, may sleep. Nobody else uses it.
 */
void tcps_pairs_destroy(struct tcps_pairs *pairs)
{
	tcps_table_destroy(&pairs->table);
	kvfree(pairs->shards);
}

/**
 * tcps_pairs_memory() - bytes of the table
 * @pairs: the table
 *
 * Context: Any.
 */
size_t tcps_pairs_memory(const struct tcps_pairs *pairs)
{
	return tcps_table_memory(&pairs->table) +
	       pairs->nr_shards * sizeof(*pairs->shards);
}

/*
 * A tree is balanced whatever its keys are. But pairs that a peer has chosen for
 * one shard would take all entries, and none could be evicted for others.
 */
static u32 hash_of(const struct tcps_pairs *pairs, const struct tcps_pair_key *key)
{
	return tcps_hash(&pairs->hash_key, key->halves, ARRAY_SIZE(key->halves));
}

/* The hash's low bits choose the shard. */
static struct tcps_pair_shard *shard_of(struct tcps_pairs *pairs, u32 hash)
{
	return &pairs->shards[hash & (pairs->nr_shards - 1)];
}

static bool is_same(const struct tcps_pair_key *a, const struct tcps_pair_key *b)
{
	const u64 *v = a->words, *w = b->words;

	return !((v[0] ^ w[0]) | (v[1] ^ w[1]) | (v[2] ^ w[2]) | (v[3] ^ w[3]) |
		 (v[4] ^ w[4]) | (v[5] ^ w[5]));
}

static int compare(const struct tcps_pair *pair, u32 hash, const struct tcps_pair_key *key)
{
	if (pair->hash != hash)
		return hash < pair->hash ? -1 : 1;
	if (likely(is_same(key, &pair->key)))
		return 0;
	return memcmp(key, &pair->key, sizeof(*key));
}

static struct tcps_pair *take_new_pair(struct tcps_pairs *pairs,
				       struct tcps_pair_shard *shard)
{
	struct tcps_pair *pair;
	unsigned int index;

	pair = tcps_table_take(&pairs->table, &index);
	if (!pair)
		return NULL;
	pair->number = index + 1;
	INIT_LIST_HEAD(&pair->idle);
	WRITE_ONCE(pair->shard, shard);
	return pair;
}

/* An entry for another pair: a new one, or the one that has been idle for the longest. */
static struct tcps_pair *take_pair(struct tcps_pairs *pairs, struct tcps_pair_shard *shard)
{
	struct tcps_pair *pair = take_new_pair(pairs, shard);

	lockdep_assert_held(&shard->lock);
	if (pair)
		return pair;
	pair = list_first_entry_or_null(&shard->idle, struct tcps_pair, idle);
	if (!pair)
		return NULL;
	list_del_init(&pair->idle);
	rb_erase(&pair->rb, &shard->root);
	shard->evicted++;
	return pair;
}

/* Nobody holds it: it counts no connection. */
static void start_pair(const struct tcps_pairs *pairs, struct tcps_pair *pair, u32 hash,
		       const struct tcps_pair_key *key)
{
	pair->key = *key;
	pair->hash = hash;
	pair->with_itself = !memcmp(key->laddr, key->raddr, sizeof(key->laddr));
	pair->crowded = pairs->no_slots;
	pair->peak = 0;
	pair->counts = (struct tcps_pair_counts){};
	pair->first_ns = ktime_get_ns();
	pair->alarm = (struct tcps_alarm){};
}

/*
 * The pair with this key, without a connection if it is new. The insertion point
 * is looked for again after an eviction, which may have rotated the tree.
 */
static struct tcps_pair *find_or_make(struct tcps_pairs *pairs,
				      struct tcps_pair_shard *shard, u32 hash,
				       const struct tcps_pair_key *key)
{
	struct rb_node **link, *parent;
	struct tcps_pair *new = NULL;

	lockdep_assert_held(&shard->lock);
again:
	link = &shard->root.rb_node;
	parent = NULL;
	while (*link) {
		struct tcps_pair *pair = rb_entry(*link, struct tcps_pair, rb);
		int order = compare(pair, hash, key);

		if (!order)
			return pair;
		parent = *link;
		link = order < 0 ? &parent->rb_left : &parent->rb_right;
	}
	if (!new) {
		new = take_pair(pairs, shard);
		if (!new)
			return NULL;
		goto again;
	}
	start_pair(pairs, new, hash, key);
	rb_link_node(&new->rb, parent, link);
	rb_insert_color(&new->rb, &shard->root);
	return new;
}

/* The CPU's slot that counts for @pair, if it does not for another one. */
static struct tcps_pair_slot *slot_of(const struct tcps_pairs *pairs,
				      struct tcps_cpu_stats *stats,
				       const struct tcps_pair *pair)
{
	return &stats->slots.pairs[pair->number & pairs->slot_mask];
}

/* Connections that count for the alarm. Of one with itself a host has both ends. */
static u32 value_of(const struct tcps_pair *pair, s32 ends)
{
	ends = max(ends, 0);
	return pair->with_itself ? DIV_ROUND_UP(ends, 2) : ends;
}

/* The lock of the pair that @part is a slot's of is held. */
static void add_counts(struct tcps_pair_counts *sum, const struct tcps_pair_counts *part)
{
	unsigned int i;

	for (i = 0; i < TCPS_NR_CLASSES; i++)
		sum->classes[i] += READ_ONCE(part->classes[i]);
	sum->holders += READ_ONCE(part->holders);
	sum->started += READ_ONCE(part->started);
	sum->unfinished += READ_ONCE(part->unfinished);
	sum->last_ns = max(sum->last_ns, READ_ONCE(part->last_ns));
}

/* The slot of @cpu that counts for @pair, or NULL. */
static const struct tcps_pair_slot *slot_at(const struct tcps_pairs *pairs,
					    const struct tcps_pair *pair, unsigned int cpu)
{
	struct tcps_cpu_stats *stats = tcps_stats_of(pairs->stats, cpu);
	const struct tcps_pair_slot *slot;

	lockdep_assert_held(&pair->shard->lock);
	if (!stats)
		return NULL;
	slot = slot_of(pairs, stats, pair);
	/* Pairs with pin(). */
	return smp_load_acquire(&slot->pair) == pair ? slot : NULL;
}

static u64 pin_bit(unsigned int cpu)
{
	return 1ULL << cpu % 64;
}

/* The next slot that counts for @pair, from @cpu on, which is moved on; NULL: no more. */
static const struct tcps_pair_slot *next_slot(const struct tcps_pairs *pairs,
					      const struct tcps_pair *pair, unsigned int *cpu)
{
	const struct tcps_pair_slot *slot = NULL;

	for (; !slot && *cpu < nr_cpu_ids; ++*cpu)
		if (pair->pinned & pin_bit(*cpu) && cpu_possible(*cpu))
			slot = slot_at(pairs, pair, *cpu);
	return slot;
}

/* All that is counted for the pair. */
static void sum_counts(const struct tcps_pairs *pairs, const struct tcps_pair *pair,
		       struct tcps_pair_counts *sum)
{
	const struct tcps_pair_slot *slot;
	unsigned int cpu = 0;

	lockdep_assert_held(&pair->shard->lock);
	*sum = pair->counts;
	if (likely(!pair->pins))
		return;
	while ((slot = next_slot(pairs, pair, &cpu)))
		add_counts(sum, &slot->counts);
}

/* Ends in slots that the pair does not know of, more or fewer. */
static s32 pending_ends(const struct tcps_pairs *pairs, const struct tcps_pair *pair)
{
	const struct tcps_pair_slot *slot;
	unsigned int cpu = 0;
	s32 sum = 0;

	lockdep_assert_held(&pair->shard->lock);
	if (likely(!pair->pins))
		return 0;
	while ((slot = next_slot(pairs, pair, &cpu)))
		sum += tcps_count_live(slot->counts.classes);
	return sum;
}

/* Most ends at once: what each CPU knows, beside what the others have now. */
static s32 most_ends(const struct tcps_pairs *pairs, const struct tcps_pair *pair, s32 live)
{
	s32 most = max_t(s32, pair->peak, live);
	const struct tcps_pair_slot *slot;
	unsigned int cpu = 0;

	while ((slot = next_slot(pairs, pair, &cpu)))
		most = max(most, live - tcps_count_live(slot->counts.classes) +
			   READ_ONCE(slot->counts.most));
	return most;
}

/* The pair has changed: is it to be counted under its lock only, or no longer? */
static noinline void note_change(const struct tcps_pairs *pairs, struct tcps_pair *pair)
{
	s32 value = value_of(pair, tcps_count_live(pair->counts.classes));
	s32 left;

	lockdep_assert_held(&pair->shard->lock);
	if (!pairs->threshold || pairs->no_slots)
		return;
	/* Until the alarm is raised or, if it is, cleared. */
	left = tcps_alarm_is_raised(&pair->alarm) ?
		       value - (s32)tcps_alarm_clears_below(pair->alarm.threshold) :
		       (s32)pairs->threshold - value;
	if (!pair->crowded) {
		if (left <= pairs->many)
			WRITE_ONCE(pair->crowded, true);
	} else if (left > (s32)pairs->threshold / 8 * 5) {
		WRITE_ONCE(pair->crowded, false);
	}
}

/* What the slot of this CPU has comes to its pair. */
static void add_slot(const struct tcps_pairs *pairs, struct tcps_pair *pair,
		     struct tcps_pair_slot *slot)
{
	s32 most = tcps_count_live(pair->counts.classes) + slot->counts.most;

	lockdep_assert_held(&pair->shard->lock);
	/* Other CPUs may have counted the ends of connections that start here. */
	if (most > (s32)pair->peak)
		most += pending_ends(pairs, pair) - tcps_count_live(slot->counts.classes);
	pair->peak = max_t(s32, pair->peak, most);
	if (tcps_alarm_is_raised(&pair->alarm))
		pair->alarm.peak = max_t(u64, pair->alarm.peak, value_of(pair, most));
	add_counts(&pair->counts, &slot->counts);
	note_change(pairs, pair);
}

static void put_pair(struct tcps_pair *pair)
{
	lockdep_assert_held(&pair->shard->lock);
	if (!pair->counts.holders && !pair->pins)
		list_add_tail(&pair->idle, &pair->shard->idle);
}

static void unpin(const struct tcps_pairs *pairs, struct tcps_pair_slot *slot)
{
	struct tcps_pair *pair = slot->pair;

	lockdep_assert_held(&pair->shard->lock);
	add_slot(pairs, pair, slot);
	slot->number = 0;
	WRITE_ONCE(slot->pair, NULL);
	if (!--pair->pins)
		pair->pinned = 0;
}

/* No lock of a pair is held. */
static void empty_slot(const struct tcps_pairs *pairs, struct tcps_pair_slot *slot)
{
	struct tcps_pair *pair = slot->pair;

	lockdep_assert_irqs_disabled();
	tcps_lock_shared(&pair->shard->lock);
	unpin(pairs, slot);
	put_pair(pair);
	raw_spin_unlock(&pair->shard->lock);
}

/**
 * tcps_pair_flush() - add what a slot has to its pair: its ends are too many, or too few
 * @pairs: the table
 * @slot: slot of this CPU
 *
 * Context: Any, interrupts off. Takes the lock of the pair.
 */
void tcps_pair_flush(const struct tcps_pairs *pairs, struct tcps_pair_slot *slot)
{
	struct tcps_pair *pair = slot->pair;

	lockdep_assert_irqs_disabled();
	tcps_lock_shared(&pair->shard->lock);
	add_slot(pairs, pair, slot);
	/* The holder of the lock finds the counts either here or in the pair. */
	slot->counts = (struct tcps_pair_counts){};
	raw_spin_unlock(&pair->shard->lock);
}

/*
 * This CPU counts for @pair without a slot: after some times it takes one, if
 * the pair is not crowded. No lock of a pair is held; the entry need not be held any more, it
 * may even have another key by now.
 */
static noinline void pin(const struct tcps_pairs *pairs, struct tcps_cpu_stats *stats,
			 struct tcps_pair *pair)
{
	struct tcps_pair_slot *slot = slot_of(pairs, stats, pair);

	lockdep_assert_irqs_disabled();
	if (READ_ONCE(pair->crowded) || slot->pair == pair)
		return;
	if (slot->pair) {
		if (++slot->misses < TCPS_SLOT_MISSES)
			return;
		empty_slot(pairs, slot);
	}
	slot->misses = 0;
	slot->counts = (struct tcps_pair_counts){};
	tcps_lock_shared(&pair->shard->lock);
	if (!pair->crowded && pair->pins < pairs->max_pins) {
		if (!pair->counts.holders && !pair->pins)
			list_del_init(&pair->idle);
		pair->pins++;
		pair->pinned |= pin_bit(smp_processor_id());
		slot->number = pair->number;
		/* A CPU that sees the pair sees empty counts: pairs with slot_at(). */
		smp_store_release(&slot->pair, pair);
	}
	raw_spin_unlock(&pair->shard->lock);
}

/* Raise or clear the alarm for what @conn has done. */
static noinline void sound(struct tcps_session *session, struct tcps_pair *pair,
			   const struct tcps_conn *conn, const struct tcps_pair_counts *sum,
			   u32 value)
{
	const u32 threshold = session->config.threshold;
	struct tcpstates_ident who = {};
	const struct tcps_alarm_subject subject = {
		.kind = TCPSTATES_ALARM_PAIR,
		.who = &who,
		.counts = sum->classes,
	};

	lockdep_assert_held(&pair->shard->lock);
	tcps_conn_ident(conn->sk, conn->kind, conn, &who);
	if (!tcps_alarm_is_raised(&pair->alarm))
		tcps_alarm_raise(session, &pair->alarm, &subject, value, threshold);
	else
		tcps_alarm_clear(session, &pair->alarm, &subject, value);
}

/* All of a crowded pair is looked at each time: its alarm may be due. */
static noinline void look_at_crowd(struct tcps_session *session, struct tcps_pair *pair,
				   const struct tcps_conn *conn)
{
	const u32 threshold = session->pairs.threshold;
	struct tcps_pair_counts sum;
	u32 value;
	s32 live;

	lockdep_assert_held(&pair->shard->lock);
	sum_counts(&session->pairs, pair, &sum);
	live = tcps_count_live(sum.classes);
	value = value_of(pair, live);
	pair->peak = max_t(s32, pair->peak, live);
	if (!tcps_alarm_is_raised(&pair->alarm)) {
		if (threshold && value >= threshold)
			sound(session, pair, conn, &sum, value);
	} else if (value < tcps_alarm_clears_below(pair->alarm.threshold)) {
		sound(session, pair, conn, &sum, value);
	} else {
		pair->alarm.peak = max_t(u64, pair->alarm.peak, value);
	}
}

/* @conn has changed the counts of @pair itself. */
static __always_inline void look_at_pair(struct tcps_session *session, struct tcps_pair *pair,
					 const struct tcps_conn *conn)
{
	s32 live = tcps_count_live(pair->counts.classes);

	lockdep_assert_held(&pair->shard->lock);
	if (unlikely(pair->crowded || live >= session->pairs.many)) {
		look_at_crowd(session, pair, conn);
		note_change(&session->pairs, pair);
	} else if (live > (s32)pair->peak) {
		pair->peak = max_t(s32, pair->peak,
				   live + pending_ends(&session->pairs, pair));
	}
}

static __always_inline bool is_between(const struct tcps_pair *pair, const struct sock *sk)
{
	const struct tcps_pair_key *key = &pair->key;

	if (key->scope != tcps_pair_scope(sk))
		return false;
#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6)
		return !memcmp(key->raddr, &sk->sk_v6_daddr, sizeof(key->raddr)) &&
		       !memcmp(key->laddr, &sk->sk_v6_rcv_saddr, sizeof(key->laddr));
#endif
	return key->raddr4[3] == sk->sk_daddr && key->laddr4[3] == sk->sk_rcv_saddr;
}

static __always_inline void add_conn(struct tcps_pair_counts *counts,
				     const struct tcps_conn *conn, u8 class)
{
	tcps_add(counts->holders, 1);
	tcps_add(counts->started, 1);
	tcps_add(counts->classes[class], 1);
	WRITE_ONCE(counts->last_ns, conn->first_seen_ns);
}

/*
 * @conn joins the entry that the last connection of this CPU joined, if it is of
 * the same pair. An entry that this CPU has in a slot keeps its key.
 */
static __always_inline bool join_last(struct tcps_session *session, struct tcps_cpu_stats *stats,
				      struct tcps_conn *conn, u8 class)
{
	struct tcps_pair *pair = stats->pair;
	struct tcps_pair_slot *slot;

	if (!pair)
		return false;
	slot = tcps_pair_slot(&session->pairs, stats, pair->number);
	if (!tcps_pair_slot_has(slot, pair->number) || !is_between(pair, conn->sk) ||
	    pair->key.net_cookie != tcps_net_cookie(sock_net(conn->sk)) ||
	    pair->key.netns != conn->known.netns)
		return false;
	add_conn(&slot->counts, conn, class);
	conn->pair = pair->number;
	tcps_pair_look_at_slot(&session->pairs, slot);
	return true;
}

/* A pair that is used only once is not worth a slot. */
static bool is_used_again(const struct tcps_pair *pair)
{
	lockdep_assert_held(&pair->shard->lock);
	return pair->counts.started > 1 || pair->pins;
}

/* This CPU counts in @pair itself from now on, not in a slot of it. */
static void use_pair(const struct tcps_pairs *pairs, struct tcps_cpu_stats *stats,
		     struct tcps_pair *pair)
{
	struct tcps_pair_slot *slot = slot_of(pairs, stats, pair);

	lockdep_assert_held(&pair->shard->lock);
	if (unlikely(slot->pair == pair))
		unpin(pairs, slot);
}

static noinline void find_and_join(struct tcps_session *session, struct tcps_cpu_stats *stats,
				   struct tcps_conn *conn, u8 class)
{
	struct tcps_pair_shard *shard;
	struct tcps_pair *pair;
	struct tcps_pair_key key = {
		.netns = conn->known.netns,
		.scope = tcps_pair_scope(conn->sk),
		.net_cookie = tcps_net_cookie(sock_net(conn->sk)),
	};
	bool is_used = false;
	u32 hash;

	tcps_sock_addrs(conn->sk, key.laddr, key.raddr);
	hash = hash_of(&session->pairs, &key);
	shard = shard_of(&session->pairs, hash);
	tcps_lock_shared(&shard->lock);
	pair = find_or_make(&session->pairs, shard, hash, &key);
	if (likely(pair)) {
		use_pair(&session->pairs, stats, pair);
		if (!pair->counts.holders && !pair->pins)
			list_del_init(&pair->idle);
		add_conn(&pair->counts, conn, class);
		conn->pair = pair->number;
		look_at_pair(session, pair, conn);
		is_used = is_used_again(pair);
	} else {
		shard->uncounted++;
	}
	raw_spin_unlock(&shard->lock);
	stats->pair = pair;
	if (is_used)
		pin(&session->pairs, stats, pair);
}

/**
 * tcps_pair_join() - a connection starts: its pair counts it
 * @session: the activation
 * @conn: node; if no entry is free for its pair, it belongs to none
 * @class: enum tcps_class of the connection
 *
 * Context: Any, interrupts off. The lock of the shard of @conn. Takes that of the
 *	pair.
 */
void tcps_pair_join(struct tcps_session *session, struct tcps_conn *conn, u8 class)
{
	struct tcps_cpu_stats *stats = tcps_stats_this_cpu(&session->stats);

	tcps_conns_assert_held(&session->conns, conn);
	if (!join_last(session, stats, conn, class))
		find_and_join(session, stats, conn, class);
}

/* Without a slot. */
static void move_in_pair(struct tcps_session *session, struct tcps_cpu_stats *stats,
			 struct tcps_conn *conn, u8 from, u8 to, bool leaves)
{
	struct tcps_pair *pair = tcps_pair_of(&session->pairs, conn);
	struct tcps_pair_shard *shard = pair->shard;
	bool is_used;

	tcps_conns_assert_held(&session->conns, conn);
	tcps_lock_shared(&shard->lock);
	use_pair(&session->pairs, stats, pair);
	tcps_count_move(pair->counts.classes, from, to);
	look_at_pair(session, pair, conn);
	is_used = !leaves && is_used_again(pair);
	if (leaves) {
		pair->counts.holders--;
		put_pair(pair);
	}
	raw_spin_unlock(&shard->lock);
	if (is_used)
		pin(&session->pairs, stats, pair);
}

/**
 * tcps_pair_move_elsewhere() - tcps_pair_move() without a slot
 * @session: the activation
 * @stats: counters of this CPU
 * @conn: node
 * @from: enum tcps_class of its old state
 * @to: enum tcps_class of its new state
 *
 * Context: Any, interrupts off. The lock of the shard of @conn. Takes that of the
 *	pair.
 */
void tcps_pair_move_elsewhere(struct tcps_session *session, struct tcps_cpu_stats *stats,
			      struct tcps_conn *conn, u8 from, u8 to)
{
	move_in_pair(session, stats, conn, from, to, false);
}

/**
 * tcps_pair_leave_elsewhere() - tcps_pair_leave() without a slot
 * @session: the activation
 * @stats: counters of this CPU
 * @conn: node
 * @class: enum tcps_class of the connection
 *
 * Context: Any, interrupts off. The lock of the shard of @conn. Takes that of the
 *	pair.
 */
void tcps_pair_leave_elsewhere(struct tcps_session *session, struct tcps_cpu_stats *stats,
			       struct tcps_conn *conn, u8 class)
{
	move_in_pair(session, stats, conn, class, TCPS_NO_CLASS, true);
}

/**
 * tcps_pair_unfinished() - a request ends half-open: its pair counts that
 * @session: the activation
 * @conn: node
 *
 * Context: Any, interrupts off. The lock of the shard of @conn. May take that of
 *	the pair.
 */
void tcps_pair_unfinished(struct tcps_session *session, const struct tcps_conn *conn)
{
	struct tcps_cpu_stats *stats = tcps_stats_this_cpu(&session->stats);
	struct tcps_pair *pair;
	struct tcps_pair_slot *slot;

	tcps_conns_assert_held(&session->conns, conn);
	if (!conn->pair)
		return;
	slot = tcps_pair_slot(&session->pairs, stats, conn->pair);
	if (tcps_pair_slot_has(slot, conn->pair)) {
		tcps_add(slot->counts.unfinished, 1);
		return;
	}
	pair = tcps_pair_of(&session->pairs, conn);
	tcps_lock_shared(&pair->shard->lock);
	pair->counts.unfinished++;
	raw_spin_unlock(&pair->shard->lock);
}

/**
 * tcps_pairs_sum() - totals of the table
 * @pairs: the table
 * @out: where to store them
 *
 * Context: Process context. Takes the locks of the shards of pairs.
 */
void tcps_pairs_sum(struct tcps_pairs *pairs, struct tcpstates_stats *out)
{
	unsigned int i;

	out->pairs = tcps_table_taken(&pairs->table);
	for (i = 0; i < pairs->nr_shards; i++) {
		struct tcps_pair_shard *shard = &pairs->shards[i];

		raw_spin_lock_irq(&shard->lock);
		out->evicted += shard->evicted;
		out->uncounted += shard->uncounted;
		raw_spin_unlock_irq(&shard->lock);
	}
}

static void describe(const struct tcps_pairs *pairs, const struct tcps_pair *pair,
		     struct tcpstates_pair *out)
{
	struct tcps_pair_counts sum;
	s32 live;

	sum_counts(pairs, pair, &sum);
	live = tcps_count_live(sum.classes);
	memcpy(out->laddr, pair->key.laddr, sizeof(out->laddr));
	memcpy(out->raddr, pair->key.raddr, sizeof(out->raddr));
	out->netns = pair->key.netns;
	out->family = pair->key.scope & TCPS_PAIR_IS_IPV6 ? 6 : 4;
	out->ifindex = pair->key.scope & ~TCPS_PAIR_IS_IPV6;
	out->alarm = tcps_alarm_is_raised(&pair->alarm);
	out->half_open = tcps_count_of(sum.classes, TCPS_HALF_OPEN);
	out->established = tcps_count_of(sum.classes, TCPS_ESTABLISHED);
	out->closing = tcps_count_of(sum.classes, TCPS_CLOSING);
	out->timewait = tcps_count_of(sum.classes, TCPS_IN_TIMEWAIT);
	out->peak = value_of(pair, most_ends(pairs, pair, live));
	out->started = sum.started;
	out->unfinished = sum.unfinished;
	out->first_ns = pair->first_ns;
	out->last_ns = sum.last_ns;
}

/**
 * tcps_pair_describe() - what is exported of a pair
 * @pairs: the table
 * @index: of the entry
 * @out: zeroed
 *
 * Context: Process context. Takes the lock of the pair.
 * Return: false for an entry without a pair.
 */
bool tcps_pair_describe(struct tcps_pairs *pairs, unsigned int index,
			struct tcpstates_pair *out)
{
	const struct tcps_pair *pair = tcps_pair_at(pairs, index);
	struct tcps_pair_shard *shard = READ_ONCE(pair->shard);
	bool known;

	if (!shard)
		return false;
	raw_spin_lock_irq(&shard->lock);
	known = pair->first_ns;
	if (known)
		describe(pairs, pair, out);
	raw_spin_unlock_irq(&shard->lock);
	return known;
}
