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
	void *pages;
};

/*
 * Referenced by the session and by each mapping. A CPU gets its ring when it
 * comes online, or when it is at the activation, and keeps it until the end.
 *
 * Locking rule: rings are added one at a time (see cpus.c); who finds one has
 * all of it.
 */
struct tcps_rings {
	struct kref ref;
	u64 generation;
	u32 records;		/* of each ring */
	unsigned int nr;	/* possible CPU numbers: 0 ... nr - 1 */
	size_t bytes;		/* of one ring, header included */
	struct irq_work wake;
	struct tcps_cpu_ring *cpu[];	/* NULL: has none */
};

u32 tcps_rings_records(u64 *budget);
struct tcps_rings *tcps_rings_create(u32 records, u64 generation);
void tcps_rings_put(struct tcps_rings *rings);
void tcps_rings_end(struct tcps_rings *rings);
size_t tcps_rings_memory(const struct tcps_rings *rings);
u64 tcps_rings_produced(const struct tcps_rings *rings);

/* Its ring, if there is none yet; NULL: no memory. */
struct tcps_ring *tcps_rings_add(struct tcps_rings *rings, unsigned int cpu);

/**
 * tcps_rings_of() - the ring of a CPU
 * @rings: rings of the activation
 * @cpu: less than @rings->nr
 *
 * Context: Any.
 * Return: the ring; NULL: it has none.
 */
static inline struct tcps_cpu_ring *tcps_rings_of(const struct tcps_rings *rings,
						  unsigned int cpu)
{
	/* Pairs with the release store of tcps_rings_add(). */
	return smp_load_acquire(&rings->cpu[cpu]);
}

int tcps_rings_mmap(struct tcps_rings *rings, struct vm_area_struct *vma);

/* Reader side of waking: call before looking for new records. */
void tcps_rings_poll_wait(struct file *file, poll_table *wait);
void tcps_rings_wake_all(void);
/* Writer side. */
extern struct wait_queue_head tcps_rings_waiters;
void tcps_rings_wake_waiters(struct tcps_rings *rings);

/**
 * tcps_rings_wake() - wake who waits for records, after a commit
 * @rings: rings of the activation
 *
 * The full barrier of wq_has_sleeper() stands between the store of the head and the
 * look for waiters; it pairs with the one in tcps_rings_poll_wait(), so either the
 * writer sees the waiter or the waiter sees the record. A task that moves to
 * another CPU in between takes its stores along.
 *
 * Context: Any.
 */
static inline void tcps_rings_wake(struct tcps_rings *rings)
{
	if (unlikely(wq_has_sleeper(&tcps_rings_waiters)))
		tcps_rings_wake_waiters(rings);
}

#endif
