/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A count of the atomic operations of hooks on memory that all CPUs share, which
 * cost most on a host with many CPUs. The lock of a connection's shard is not
 * counted, because two CPUs seldom need the same shard at the same time.
 */
#ifndef TCPS_SHARED_H
#define TCPS_SHARED_H

#include <linux/percpu.h>
#include <linux/spinlock.h>

DECLARE_PER_CPU(unsigned long, tcps_shared_ops);

static inline void tcps_count_shared(void)
{
	this_cpu_inc(tcps_shared_ops);
}

#define tcps_lock_shared(lock)		\
do {					\
	tcps_count_shared();		\
	raw_spin_lock(lock);		\
} while (0)

#endif
