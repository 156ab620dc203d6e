/* SPDX-License-Identifier: GPL-2.0-only */
/* Free nodes for live connections, which hooks take without allocating. */
#ifndef TCPS_POOL_H
#define TCPS_POOL_H

#include <linux/build_bug.h>
#include <linux/cache.h>
#include <linux/irq_work.h>
#include <linux/percpu.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/stddef.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "conn.h"
#include "locks.h"

/*
 * Locking rule: a part belongs to its CPU, which looks at it with interrupts
 * off only, so it needs no lock; when the pool has run dry, the worker sends
 * a function to each CPU that has free nodes, to empty its part, and empties
 * those of CPUs that are offline. @lock guards what is common; it is raw, taken
 * with interrupts off, and held for some pointer moves. Nodes are allocated and
 * freed in process context; @all lists them, used or free, and who looks at
 * nodes through it holds @keep for reading: meanwhile none is freed.
 */
struct tcps_pool_cpu {
	struct tcps_conn *open;		/* chain that is taken from and put to */
	unsigned int nr_open;
	struct tcps_conn *spare;	/* a whole batch, or NULL */
};

struct tcps_pool {
	/* What hooks read: none of it is written for a batch. */
	struct tcps_pool_cpu __percpu *cpu;
	unsigned int batch;		/* nodes that go from hand to hand at once */
	unsigned int max;
	unsigned int reserve;		/* nodes that the worker keeps in @batches */
	bool dry;			/* @batches was found empty; written under @lock */

	raw_spinlock_t lock ____cacheline_aligned_in_smp;
	struct tcps_conn *batches;	/* chain of chains */
	unsigned int nr_free;		/* nodes in @batches */
	unsigned int nodes;		/* allocated, in use or free */
	bool kicked;			/* the worker is coming, by itself if it must */
	unsigned long next_gather;	/* jiffies before which parts are left alone */
	struct xarray all;
	struct rw_semaphore keep;
	struct irq_work kick;
	struct delayed_work balance;
};

static_assert(offsetof(struct tcps_pool, lock) % SMP_CACHE_BYTES == 0);
static_assert(offsetofend(struct tcps_pool, dry) <= SMP_CACHE_BYTES);

int tcps_pool_load(void);
void tcps_pool_unload(void);

int tcps_pool_init(struct tcps_pool *pool, unsigned int max);
void tcps_pool_destroy(struct tcps_pool *pool);

/* In a hook, interrupts off: both for when the open chain is empty, or whole. */
bool tcps_pool_open(struct tcps_pool *pool, struct tcps_pool_cpu *part);
void tcps_pool_close(struct tcps_pool *pool, struct tcps_pool_cpu *part);

/**
 * tcps_pool_is_dry() - is no node free for this CPU?
 * @pool: the pool
 *
 * Costs less than to try to get one.
 *
 * Context: Any, interrupts off.
 */
static __always_inline bool tcps_pool_is_dry(const struct tcps_pool *pool)
{
	const struct tcps_pool_cpu *part = this_cpu_ptr(pool->cpu);

	lockdep_assert_irqs_disabled();
	return READ_ONCE(pool->dry) && !part->open && !part->spare;
}

/**
 * tcps_pool_get() - take a free node
 * @pool: the pool
 *
 * Context: Any, interrupts off. May take the lock of @pool.
 * Return: the node; NULL: none is free.
 */
static __always_inline struct tcps_conn *tcps_pool_get(struct tcps_pool *pool)
{
	struct tcps_pool_cpu *part = this_cpu_ptr(pool->cpu);
	struct tcps_conn *conn;

	lockdep_assert_irqs_disabled();
	if (unlikely(!part->open) && (tcps_pool_is_dry(pool) || !tcps_pool_open(pool, part)))
		return NULL;
	conn = part->open;
	part->open = conn->free.next;
	part->nr_open--;
	return conn;
}

/**
 * tcps_pool_put() - free a node
 * @pool: the pool
 * @conn: the node
 *
 * Context: Any, interrupts off. May take the lock of @pool.
 */
static __always_inline void tcps_pool_put(struct tcps_pool *pool, struct tcps_conn *conn)
{
	struct tcps_pool_cpu *part = this_cpu_ptr(pool->cpu);

	lockdep_assert_irqs_disabled();
	conn->free.next = part->open;
	part->open = conn;
	if (unlikely(++part->nr_open >= pool->batch))
		tcps_pool_close(pool, part);
}

/* In process context, may sleep. */
bool tcps_pool_more(struct tcps_pool *pool, bool *gathered);
size_t tcps_pool_memory(struct tcps_pool *pool);

#endif
