// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is counted for listeners, in slots of CPUs (see slots.h) and in the entry.
 */
#include <linux/minmax.h>
#include <linux/rcupdate.h>

#include "listener_slots.h"
#include "listeners.h"
#include "session.h"
#include "shared.h"

/**
 * tcps_listener_add_counts() - add what a CPU, or a listener, has counted
 * @sum: the sum
 * @part: what is added
 *
 * Context: Any. The lock of the entry that a @part in a slot belongs to.
 */
void tcps_listener_add_counts(struct tcps_listener_counts *sum,
			      const struct tcps_listener_counts *part)
{
	unsigned int i;

	for (i = 0; i < TCPS_NR_CLASSES; i++)
		sum->classes[i] += READ_ONCE(part->classes[i]);
	sum->holders += READ_ONCE(part->holders);
	sum->done += READ_ONCE(part->done);
	sum->accepted += READ_ONCE(part->accepted);
	sum->accept_wait_ns += READ_ONCE(part->accept_wait_ns);
	sum->accept_wait_max_ns = max(sum->accept_wait_max_ns,
				      READ_ONCE(part->accept_wait_max_ns));
	for (i = 0; i < TCPS_NR_HANDSHAKES; i++)
		sum->handshakes[i] += READ_ONCE(part->handshakes[i]);
}

/* Does what is in the slot of @life still belong to what @listener counts? */
static bool is_pending(const struct tcps_listener *listener, u32 life)
{
	lockdep_assert_held(&listener->lock);
	return life == listener->life || (life + 1 == listener->life && !listener->settled);
}

/* This CPU's slot becomes free. */
static void empty_slot(struct tcps_listener_slot *slot)
{
	struct tcps_listener *listener = slot->listener;

	tcps_lock_shared(&listener->lock);
	if (is_pending(listener, slot->life))
		tcps_listener_add_counts(&listener->counts, &slot->counts);
	slot->number = 0;
	/* Pairs with the reads of pending_of(). */
	WRITE_ONCE(slot->listener, NULL);
	raw_spin_unlock(&listener->lock);
}

static struct tcps_listener_counts *take_slot(struct tcps_listener_slot *slot,
					      struct tcps_listener *listener)
{
	lockdep_assert_held(&listener->lock);
	slot->misses = 0;
	slot->counts = (struct tcps_listener_counts){};
	slot->number = listener->number;
	slot->life = listener->life;
	/* A CPU that sees the listener sees empty counts: pairs with pending_of(). */
	smp_store_release(&slot->listener, listener);
	return &slot->counts;
}

/* Another listener that goes on to be used keeps its slot for a while. */
static bool gives_way(struct tcps_listener_slot *slot, const struct tcps_listener *listener)
{
	const struct tcps_listener *holder = slot->listener;

	return holder == listener || slot->life != READ_ONCE(holder->life) ||
	       ++slot->misses >= TCPS_SLOT_MISSES;
}

/**
 * tcps_listener_counts_elsewhere() - tcps_listener_counts() without a slot
 * @stats: counters of this CPU, which has no slot for @listener
 * @listener: entry
 *
 * This CPU takes a slot for it, or counts in the entry.
 *
 * Context: Any, interrupts off. Takes the lock of @listener, and keeps it if it returns
 *	the counts of the entry: tcps_listener_counted() releases it.
 * Return: where to count; NULL: the listener is closed.
 */
struct tcps_listener_counts *tcps_listener_counts_elsewhere(struct tcps_cpu_stats *stats,
							    struct tcps_listener *listener)
{
	struct tcps_listener_slot *slot = tcps_listener_slot(stats, listener->number);

	lockdep_assert_irqs_disabled();
	if (READ_ONCE(listener->life) & 1)
		return NULL;
	if (slot->listener && gives_way(slot, listener))
		empty_slot(slot);
	tcps_lock_shared(&listener->lock);
	if (unlikely(listener->life & 1)) {
		raw_spin_unlock(&listener->lock);
		return NULL;
	}
	if (slot->listener) {
		__release(&listener->lock);	/* for sparse: tcps_listener_counted() does */
		return &listener->counts;
	}
	take_slot(slot, listener);
	raw_spin_unlock(&listener->lock);
	return &slot->counts;
}

/* The counts of @listener that are in the slot of @cpu; NULL: none. */
static const struct tcps_listener_counts *pending_of(struct tcps_session *session,
						     const struct tcps_listener *listener,
						     unsigned int cpu)
{
	struct tcps_cpu_stats *stats = tcps_stats_of(&session->stats, cpu);
	const struct tcps_listener_slot *slot;

	lockdep_assert_held(&listener->lock);
	if (!stats)
		return NULL;
	slot = tcps_listener_slot(stats, listener->number);
	/* Pairs with take_slot(). */
	if (smp_load_acquire(&slot->listener) != listener || !is_pending(listener, slot->life))
		return NULL;
	return &slot->counts;
}

/**
 * tcps_listener_sum() - all that is counted for a listener
 * @session: the activation
 * @listener: entry
 * @sum: where to store it
 *
 * Context: Any, interrupts off. Takes the lock of @listener.
 */
void tcps_listener_sum(struct tcps_session *session, struct tcps_listener *listener,
		       struct tcps_listener_counts *sum)
{
	const struct tcps_listener_counts *pending;
	unsigned int cpu;

	tcps_lock_shared(&listener->lock);
	*sum = listener->counts;
	for_each_possible_cpu(cpu) {
		pending = pending_of(session, listener, cpu);
		if (pending)
			tcps_listener_add_counts(sum, pending);
	}
	raw_spin_unlock(&listener->lock);
}

static void add_second(struct tcps_second *sum, const struct tcps_listener_counts *counts)
{
	sum->syns += READ_ONCE(counts->handshakes[TCPS_HANDSHAKE(syns)]);
	/* The server does not keep up with its clients: another matter. */
	sum->done += READ_ONCE(counts->done) +
		     READ_ONCE(counts->handshakes[TCPS_HANDSHAKE(syn_accept_queue_full)]);
}

/**
 * tcps_listener_sum_second() - the same, but only what is compared each second
 * @session: the activation
 * @listener: entry
 *
 * Context: Any, interrupts off. Takes the lock of @listener.
 */
struct tcps_second tcps_listener_sum_second(struct tcps_session *session,
					    struct tcps_listener *listener)
{
	const struct tcps_listener_counts *pending;
	struct tcps_second sum = {};
	unsigned int cpu;

	tcps_lock_shared(&listener->lock);
	add_second(&sum, &listener->counts);
	for_each_possible_cpu(cpu) {
		pending = pending_of(session, listener, cpu);
		if (pending)
			add_second(&sum, pending);
	}
	raw_spin_unlock(&listener->lock);
	return sum;
}

/**
 * tcps_listener_settle() - no hook counts in a slot for a closed listener any more
 * @rcu: of the entry, after a grace period
 *
 * Adds what is in slots to the entry. Connections that leave it later do so there.
 *
 * Context: Callback of RCU. Takes the lock of the entry.
 */
void tcps_listener_settle(struct rcu_head *rcu)
{
	struct tcps_listener *listener = container_of(rcu, struct tcps_listener, rcu);
	struct tcps_session *session = listener->listeners->session;
	const struct tcps_listener_counts *pending;
	unsigned long flags;
	unsigned int cpu;
	bool is_free;

	raw_spin_lock_irqsave(&listener->lock, flags);
	for_each_possible_cpu(cpu) {
		pending = pending_of(session, listener, cpu);
		if (pending)
			listener->counts.holders += pending->holders;
	}
	listener->settled = true;
	is_free = !listener->counts.holders;
	raw_spin_unlock_irqrestore(&listener->lock, flags);
	if (is_free)
		tcps_listener_free(listener);
}

/* A connection leaves a listener that is closed. */
static void leave_closed(struct tcps_listener *listener)
{
	bool is_free;

	tcps_lock_shared(&listener->lock);
	listener->counts.holders--;
	is_free = listener->settled && !listener->counts.holders;
	raw_spin_unlock(&listener->lock);
	if (is_free)
		tcps_listener_free(listener);
}

/**
 * tcps_listener_join() - a listener counts a connection
 * @session: the activation
 * @conn: node, which no listener counts
 * @listener: entry, which another CPU may be closing: then it does not count it
 * @class: enum tcps_class of the connection
 *
 * Context: Any, interrupts off. The lock of the shard of @conn.
 */
void tcps_listener_join(struct tcps_session *session, struct tcps_conn *conn,
			struct tcps_listener *listener, u8 class)
{
	struct tcps_listener_counts *counts;

	tcps_conns_assert_held(&session->conns, conn);
	counts = tcps_listener_counts(tcps_stats_this_cpu(&session->stats), listener);
	if (!counts)
		return;
	tcps_listener_count_join(counts, class);
	tcps_listener_counted(listener, counts);
	conn->listener = listener->number;
}

/**
 * tcps_listener_leave_elsewhere() - tcps_listener_leave() without a slot
 * @listeners: the table
 * @stats: counters of this CPU
 * @conn: node, which ends, or goes to another listener
 * @class: enum tcps_class of the connection
 *
 * Context: Any, interrupts off. The lock of the shard of @conn. Takes that of the
 *	listener.
 */
void tcps_listener_leave_elsewhere(struct tcps_listeners *listeners,
				   struct tcps_cpu_stats *stats, const struct tcps_conn *conn,
				   u8 class)
{
	struct tcps_listener *listener = tcps_listener_of(listeners, conn);
	struct tcps_listener_counts *counts = tcps_listener_counts(stats, listener);

	if (unlikely(!counts)) {
		leave_closed(listener);
		return;
	}
	tcps_listener_count_leave(counts, class);
	tcps_listener_counted(listener, counts);
}

/**
 * tcps_listener_accepted_elsewhere() - tcps_listener_accepted() without a slot
 * @listeners: the table
 * @stats: counters of this CPU
 * @conn: node
 * @ns: how long it waited for accept()
 *
 * Context: Any, interrupts off. The lock of the shard of @conn. Takes that of the
 *	listener.
 */
void tcps_listener_accepted_elsewhere(struct tcps_listeners *listeners,
				      struct tcps_cpu_stats *stats,
				      const struct tcps_conn *conn, u64 ns)
{
	struct tcps_listener *listener = tcps_listener_of(listeners, conn);
	struct tcps_listener_counts *counts = tcps_listener_counts(stats, listener);

	if (unlikely(!counts))
		return;
	tcps_listener_count_accepted(counts, ns);
	tcps_listener_counted(listener, counts);
}

/**
 * tcps_listener_move_elsewhere() - tcps_listener_move() without a slot
 * @listeners: the table
 * @stats: counters of this CPU
 * @conn: node
 * @from: enum tcps_class of its old state
 * @to: enum tcps_class of its new state
 *
 * Context: Any, interrupts off. The lock of the shard of @conn. Takes that of the
 *	listener.
 */
void tcps_listener_move_elsewhere(struct tcps_listeners *listeners, struct tcps_cpu_stats *stats,
				  const struct tcps_conn *conn, u8 from, u8 to)
{
	struct tcps_listener *listener = tcps_listener_of(listeners, conn);
	struct tcps_listener_counts *counts = tcps_listener_counts(stats, listener);

	if (!counts)
		return;
	tcps_count_move(counts->classes, from, to);
	tcps_listener_counted(listener, counts);
}
