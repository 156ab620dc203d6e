/* SPDX-License-Identifier: GPL-2.0-only */
/* The rings of an activation: memory, mappings, and waking those who wait. */
#ifndef TCPS_RINGS_H
#define TCPS_RINGS_H

#include <linux/irq_work.h>
#include <linux/kref.h>
#include <linux/mm_types.h>
#include <linux/poll.h>
#include <linux/wait.h>

#include "ring.h"

struct tcps_cpu_ring {
	struct tcps_ring ring;
	struct irq_work wake;
	void *pages;
};

/* Referenced by the session and by each mapping. */
struct tcps_rings {
	struct kref ref;
	unsigned int nr;	/* possible CPU numbers: 0 ... nr - 1 */
	size_t bytes;		/* of one ring, header included */
	struct tcps_cpu_ring *cpu[];	/* NULL where no CPU is possible */
};

struct tcps_rings *tcps_rings_create(u32 records, u64 generation);
void tcps_rings_put(struct tcps_rings *rings);
void tcps_rings_end(struct tcps_rings *rings);
size_t tcps_rings_memory(const struct tcps_rings *rings);
u64 tcps_rings_produced(const struct tcps_rings *rings);

int tcps_rings_mmap(struct tcps_rings *rings, struct vm_area_struct *vma);

/* Reader side of waking: call before looking for new records. */
void tcps_rings_poll_wait(struct file *file, poll_table *wait);
void tcps_rings_wake_all(void);
/* Writer side. */
extern struct wait_queue_head tcps_rings_waiters;
void tcps_rings_wake_waiters(struct tcps_rings *rings);

/*
 * After a commit, with preemption off. The full barrier of wq_has_sleeper()
 * stands between the store of the head and the look for waiters; it pairs
 * with the one in tcps_rings_poll_wait(), so either the writer sees the
 * waiter or the waiter sees the record.
 */
static inline void tcps_rings_wake(struct tcps_rings *rings)
{
	if (unlikely(wq_has_sleeper(&tcps_rings_waiters)))
		tcps_rings_wake_waiters(rings);
}

#endif
