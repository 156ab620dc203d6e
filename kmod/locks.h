/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The order of the locks. A lock is taken only inside of those that stand above
 * it with less indentation; locks of equal indentation are never held together,
 * unless a line says so. What each lock guards stands where it is declared. A
 * function that relies on a lock asserts it (lockdep_assert_held()), which costs
 * nothing on kernels without CONFIG_PROVE_LOCKING.
 *
 * In process context; those who hold these may sleep:
 *
 *  control_lock (session.c)		activation and deactivation
 *    session->live			for writing: the activation ends
 *    the kernel's			cpu_hotplug_lock, net_rwsem and what its
 *					functions that register hooks take
 *      table->growing
 *  reader->lock (device.c)		an open file
 *    session->live			for reading: sockets are looked at
 *      pool->keep			for reading; nodes are freed under it for
 *					writing, with no other lock
 *    session->consume_lock
 *  active_lock (session.c)		a spinlock, with nothing inside
 *
 * With interrupts off, in any context: raw spinlocks, of hooks and of all of the
 * above but the last one. A record may be written under each of them.
 *
 *  the kernel's			sockets, and with softirqs off only: buckets
 *					of the established and the listening hash
 *    migrations->lock
 *      shard->lock (conns.h)		two of them in the order of their addresses
 *        pool->lock
 *        owners->lock (mptcp.h)
 *        shard->lock (pairs.h)
 *          table->lock
 *        listeners->lock
 *          table->lock
 *          endpoint->lock		also without @listeners->lock
 *            listener->lock		also without any of both
 *  clocks->lock
 *
 * What belongs to one CPU (rings, counters, slots, its part of the pool) needs no
 * lock: only that CPU writes it, with interrupts off.
 */
#ifndef TCPS_LOCKS_H
#define TCPS_LOCKS_H

#include <linux/irqflags.h>
#include <linux/lockdep.h>

#endif
