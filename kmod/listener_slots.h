/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is counted for listeners, in slots of CPUs (see slots.h) and in the entry.
 *
 * All of this runs with interrupts off; if a connection is given, under the lock of
 * its shard.
 */
#ifndef TCPS_LISTENER_SLOTS_H
#define TCPS_LISTENER_SLOTS_H

#include "listeners.h"
#include "locks.h"
#include "slots.h"
#include "state_class.h"
#include "stats.h"

void tcps_listener_add_counts(struct tcps_listener_counts *sum,
			      const struct tcps_listener_counts *part);
void tcps_listener_sum(struct tcps_session *session, struct tcps_listener *listener,
		       struct tcps_listener_counts *sum);
struct tcps_second tcps_listener_sum_second(struct tcps_session *session,
					    struct tcps_listener *listener);
void tcps_listener_settle(struct rcu_head *rcu);
void tcps_listener_join(struct tcps_session *session, struct tcps_conn *conn,
			struct tcps_listener *listener, u8 class);

/**
 * tcps_listener_slot() - the slot of this CPU for a listener
 * @stats: counters of this CPU
 * @number: of the listener
 *
 * Context: Any, interrupts off.
 * Return: the slot, which may count for another one.
 */
static __always_inline struct tcps_listener_slot *
tcps_listener_slot(struct tcps_cpu_stats *stats, u32 number)
{
	return &stats->slots.listeners[number % TCPS_LISTENER_SLOTS];
}

struct tcps_listener_counts *tcps_listener_counts_elsewhere(struct tcps_cpu_stats *stats,
							    struct tcps_listener *listener);

/**
 * tcps_listener_counts() - where this CPU counts for a listener
 * @stats: counters of this CPU
 * @listener: entry
 *
 * Context: Any, interrupts off. May take the lock of @listener, until
 *	tcps_listener_counted().
 * Return: the counts; NULL: it is closed, and nothing is counted any more.
 */
static __always_inline struct tcps_listener_counts *
tcps_listener_counts(struct tcps_cpu_stats *stats, struct tcps_listener *listener)
{
	struct tcps_listener_slot *slot = tcps_listener_slot(stats, listener->number);

	if (likely(slot->listener == listener && slot->life == READ_ONCE(listener->life)))
		return &slot->counts;
	return tcps_listener_counts_elsewhere(stats, listener);
}

/**
 * tcps_listener_counted() - the end of counting
 * @listener: entry
 * @counts: from tcps_listener_counts()
 *
 * Context: Any, interrupts off.
 */
static __always_inline void tcps_listener_counted(struct tcps_listener *listener,
						  const struct tcps_listener_counts *counts)
{
	if (unlikely(counts == &listener->counts)) {
		__acquire(&listener->lock);	/* for sparse */
		raw_spin_unlock(&listener->lock);
	}
}

/**
 * tcps_listener_count() - count one event of a handshake
 * @stats: counters of this CPU
 * @listener: entry
 * @nr: TCPS_HANDSHAKE()
 *
 * Context: Any, interrupts off. May take the lock of @listener.
 */
static inline void tcps_listener_count(struct tcps_cpu_stats *stats,
				       struct tcps_listener *listener, unsigned int nr)
{
	struct tcps_listener_counts *counts = tcps_listener_counts(stats, listener);

	if (unlikely(!counts))
		return;
	tcps_add(counts->handshakes[nr], 1);
	tcps_listener_counted(listener, counts);
}

void tcps_listener_leave_elsewhere(struct tcps_listeners *listeners,
				   struct tcps_cpu_stats *stats, const struct tcps_conn *conn,
				   u8 class);
void tcps_listener_accepted_elsewhere(struct tcps_listeners *listeners,
				      struct tcps_cpu_stats *stats,
				      const struct tcps_conn *conn, u64 ns);
void tcps_listener_move_elsewhere(struct tcps_listeners *listeners, struct tcps_cpu_stats *stats,
				  const struct tcps_conn *conn, u8 from, u8 to);

/**
 * tcps_listener_slot_has() - does a slot count for a listener?
 * @slot: slot of this CPU
 * @number: of the listener
 *
 * Context: Any, interrupts off.
 */
static __always_inline bool tcps_listener_slot_has(const struct tcps_listener_slot *slot,
						   u32 number)
{
	return likely(slot->number == number && slot->life == READ_ONCE(slot->listener->life));
}

static __always_inline void tcps_listener_count_join(struct tcps_listener_counts *counts,
						     u8 class)
{
	tcps_add(counts->holders, 1);
	tcps_count_move(counts->classes, TCPS_NO_CLASS, class);
}

static __always_inline void tcps_listener_count_leave(struct tcps_listener_counts *counts,
						      u8 class)
{
	tcps_add(counts->holders, -1);
	tcps_count_move(counts->classes, class, TCPS_NO_CLASS);
}

static __always_inline void tcps_listener_count_accepted(struct tcps_listener_counts *counts,
							 u64 ns)
{
	tcps_add(counts->accepted, 1);
	tcps_add(counts->accept_wait_ns, ns);
	if (ns > counts->accept_wait_max_ns)
		WRITE_ONCE(counts->accept_wait_max_ns, ns);
}

/**
 * tcps_listener_leave() - a listener does not count a connection any more
 * @listeners: the table
 * @stats: counters of this CPU
 * @conn: node, counted by a listener
 * @class: enum tcps_class of the connection
 *
 * Context: Any, interrupts off. The lock of the shard of @conn. May take that of
 *	the listener.
 */
static __always_inline void
tcps_listener_leave(struct tcps_listeners *listeners, struct tcps_cpu_stats *stats,
		    struct tcps_conn *conn, u8 class)
{
	struct tcps_listener_slot *slot = tcps_listener_slot(stats, conn->listener);

	if (tcps_listener_slot_has(slot, conn->listener))
		tcps_listener_count_leave(&slot->counts, class);
	else
		tcps_listener_leave_elsewhere(listeners, stats, conn, class);
	conn->listener = 0;
}

/**
 * tcps_listener_accepted() - a connection was accepted
 * @listeners: the table
 * @stats: counters of this CPU
 * @conn: node, counted by a listener
 * @ns: how long it waited for accept()
 *
 * Context: Any, interrupts off. The lock of the shard of @conn. May take that of
 *	the listener.
 */
static __always_inline void
tcps_listener_accepted(struct tcps_listeners *listeners, struct tcps_cpu_stats *stats,
		       const struct tcps_conn *conn, u64 ns)
{
	struct tcps_listener_slot *slot = tcps_listener_slot(stats, conn->listener);

	if (tcps_listener_slot_has(slot, conn->listener))
		tcps_listener_count_accepted(&slot->counts, ns);
	else
		tcps_listener_accepted_elsewhere(listeners, stats, conn, ns);
}

/**
 * tcps_listener_move() - a listener counts a connection in another class
 * @listeners: the table
 * @stats: counters of this CPU
 * @conn: node, counted by a listener
 * @from: enum tcps_class of its old state
 * @to: enum tcps_class of its new state
 *
 * Context: Any, interrupts off. The lock of the shard of @conn. May take that of
 *	the listener.
 */
static __always_inline void
tcps_listener_move(struct tcps_listeners *listeners, struct tcps_cpu_stats *stats,
		   const struct tcps_conn *conn, u8 from, u8 to)
{
	struct tcps_listener_slot *slot = tcps_listener_slot(stats, conn->listener);

	if (tcps_listener_slot_has(slot, conn->listener))
		tcps_count_move(slot->counts.classes, from, to);
	else
		tcps_listener_move_elsewhere(listeners, stats, conn, from, to);
}

#endif
