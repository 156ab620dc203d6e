// SPDX-License-Identifier: GPL-2.0-only
/*
 * Free nodes for live connections, to be had without allocating.
 *
 * Each CPU has a part: an open chain and a spare batch, so that most moves
 * touch its own cache lines only; whole batches go to and from a common list,
 * which a worker keeps between half of @reserve and four times that.
 */
#include <linux/jiffies.h>
#include <linux/percpu.h>
#include <linux/smp.h>
#include <linux/slab.h>

#include "faults.h"
#include "pool.h"
#include "shared.h"

/* All parts together hold 1/4 of the most nodes at the most. */
#define BATCH_MAX 32

/* The worker keeps 1/16 of the most nodes at hand, within these. */
#define RESERVE_MIN (4 * BATCH_MAX)
#define RESERVE_MAX 8192

static struct kmem_cache *cache;

static void kick(struct irq_work *work)
{
	schedule_work(&container_of(work, struct tcps_pool, kick)->balance);
}

/* @pool->lock is held. */
static void push_batch(struct tcps_pool *pool, struct tcps_conn *batch, unsigned int nr)
{
	batch->free.nr = nr;
	batch->free.next_batch = pool->batches;
	pool->batches = batch;
	WRITE_ONCE(pool->nr_free, pool->nr_free + nr);
}

/* @pool->lock is held. */
static struct tcps_conn *pop_batch(struct tcps_pool *pool)
{
	struct tcps_conn *batch = pool->batches;

	if (batch) {
		pool->batches = batch->free.next_batch;
		WRITE_ONCE(pool->nr_free, pool->nr_free - batch->free.nr);
	}
	return batch;
}

static bool may_grow(const struct tcps_pool *pool)
{
	return pool->nr_free < pool->reserve && pool->nodes < pool->max;
}

/* The worker is woken for half of the reserve, not for each batch. */
static bool wants_to_grow(const struct tcps_pool *pool)
{
	return pool->nr_free < pool->reserve / 2 && pool->nodes < pool->max;
}

static bool above_reserve(const struct tcps_pool *pool)
{
	return pool->nr_free > 4 * pool->reserve;
}

static struct tcps_conn *take_batch(struct tcps_pool *pool)
{
	struct tcps_conn *batch;
	bool wanting;

	tcps_lock_shared(&pool->lock);
	batch = pop_batch(pool);
	if (!batch)
		pool->dry = true;
	wanting = !batch || wants_to_grow(pool);
	raw_spin_unlock(&pool->lock);
	if (wanting)
		irq_work_queue(&pool->kick);
	return batch;
}

static void give_batch(struct tcps_pool *pool, struct tcps_conn *batch, unsigned int nr)
{
	bool high;

	tcps_lock_shared(&pool->lock);
	push_batch(pool, batch, nr);
	high = above_reserve(pool);
	raw_spin_unlock(&pool->lock);
	if (high)
		irq_work_queue(&pool->kick);
}

/* The spare batch, or a common one, is opened; false when there is none. */
bool tcps_pool_open(struct tcps_pool *pool, struct tcps_pool_cpu *part)
{
	if (part->spare) {
		part->open = part->spare;
		part->nr_open = pool->batch;
		part->spare = NULL;
		return true;
	}
	part->open = take_batch(pool);
	if (part->open)
		part->nr_open = part->open->free.nr;
	return part->open;
}

/* The open chain becomes the spare batch; one that is there already goes back. */
void tcps_pool_close(struct tcps_pool *pool, struct tcps_pool_cpu *part)
{
	if (part->spare)
		give_batch(pool, part->spare, pool->batch);
	part->spare = part->open;
	part->open = NULL;
	part->nr_open = 0;
}

/* On each CPU, interrupts off: its free nodes become common. */
static void empty_part(void *data)
{
	struct tcps_pool *pool = data;
	struct tcps_pool_cpu *part = this_cpu_ptr(pool->cpu);

	if (part->spare)
		give_batch(pool, part->spare, pool->batch);
	if (part->open)
		give_batch(pool, part->open, part->nr_open);
	*part = (struct tcps_pool_cpu){};
}

/*
 * All nodes are allocated and one CPU found none: others may have some. Not
 * often, because a flood keeps the pool dry and must not make it worse.
 */
static void gather(struct tcps_pool *pool)
{
	bool dry;

	raw_spin_lock_irq(&pool->lock);
	dry = pool->dry && pool->nodes == pool->max && time_after_eq(jiffies, pool->next_gather);
	if (dry)
		pool->next_gather = jiffies + HZ / 10;
	pool->dry = false;
	raw_spin_unlock_irq(&pool->lock);
	if (dry)
		on_each_cpu(empty_part, pool, true);
}

static void free_chain(struct tcps_pool *pool, struct tcps_conn *chain)
{
	struct tcps_conn *next;

	for (; chain; chain = next) {
		next = chain->free.next;
		xa_erase(&pool->all, chain->index);
		kmem_cache_free(cache, chain);
	}
}

static struct tcps_conn *alloc_node(struct tcps_pool *pool)
{
	struct tcps_conn *conn;
	u32 index;

	if (tcps_fault())
		return NULL;
	conn = kmem_cache_zalloc(cache, GFP_KERNEL | __GFP_NOWARN);
	if (!conn)
		return NULL;
	if (xa_alloc(&pool->all, &index, conn, XA_LIMIT(0, TCPSTATES_CONNS_MAX - 1),
		     GFP_KERNEL | __GFP_NOWARN)) {
		kmem_cache_free(cache, conn);
		return NULL;
	}
	conn->index = index;
	return conn;
}

static struct tcps_conn *alloc_chain(struct tcps_pool *pool, unsigned int nr)
{
	struct tcps_conn *chain = NULL, *conn;

	while (nr--) {
		conn = alloc_node(pool);
		if (!conn) {
			free_chain(pool, chain);
			return NULL;
		}
		conn->free.next = chain;
		chain = conn;
	}
	return chain;
}

/* How many nodes the next batch may have; they are counted as allocated. */
static unsigned int claim_nodes(struct tcps_pool *pool)
{
	unsigned int nr = 0;

	raw_spin_lock_irq(&pool->lock);
	if (may_grow(pool)) {
		nr = min_t(unsigned int, pool->batch, pool->max - pool->nodes);
		WRITE_ONCE(pool->nodes, pool->nodes + nr);
	}
	raw_spin_unlock_irq(&pool->lock);
	return nr;
}

static void settle_nodes(struct tcps_pool *pool, struct tcps_conn *batch, unsigned int nr)
{
	raw_spin_lock_irq(&pool->lock);
	if (batch)
		push_batch(pool, batch, nr);
	else
		WRITE_ONCE(pool->nodes, pool->nodes - nr);
	raw_spin_unlock_irq(&pool->lock);
}

/* Fill up to the reserve; false when memory or @max does not allow any more. */
static bool fill(struct tcps_pool *pool)
{
	struct tcps_conn *batch;
	bool filled = false;
	unsigned int nr;

	for (;;) {
		nr = claim_nodes(pool);
		if (!nr)
			return filled || READ_ONCE(pool->nr_free);
		batch = alloc_chain(pool, nr);
		settle_nodes(pool, batch, nr);
		if (!batch)
			return filled;
		filled = true;
	}
}

/* Whether there are free nodes, wherever they have to be taken from. */
bool tcps_pool_more(struct tcps_pool *pool)
{
	if (fill(pool))
		return true;
	on_each_cpu(empty_part, pool, true);
	return READ_ONCE(pool->nr_free);
}

/* Give back what a passed peak has left. */
static void trim(struct tcps_pool *pool)
{
	struct tcps_conn *batch;

	down_write(&pool->keep);
	do {
		batch = NULL;
		raw_spin_lock_irq(&pool->lock);
		if (pool->nr_free > 2 * pool->reserve) {
			batch = pop_batch(pool);
			WRITE_ONCE(pool->nodes, pool->nodes - batch->free.nr);
		}
		raw_spin_unlock_irq(&pool->lock);
		free_chain(pool, batch);
	} while (batch);
	up_write(&pool->keep);
}

static void balance(struct work_struct *work)
{
	struct tcps_pool *pool = container_of(work, struct tcps_pool, balance);

	fill(pool);
	gather(pool);
	if (above_reserve(pool))
		trim(pool);
}

int tcps_pool_init(struct tcps_pool *pool, unsigned int max)
{
	raw_spin_lock_init(&pool->lock);
	pool->max = max;
	pool->batch = clamp_t(unsigned int, max / (8 * num_possible_cpus()), 1, BATCH_MAX);
	pool->reserve = clamp_t(unsigned int, max / 16, RESERVE_MIN, RESERVE_MAX);
	pool->next_gather = jiffies;
	xa_init_flags(&pool->all, XA_FLAGS_ALLOC);
	init_rwsem(&pool->keep);
	init_irq_work(&pool->kick, kick);
	INIT_WORK(&pool->balance, balance);
	pool->cpu = alloc_percpu(struct tcps_pool_cpu);
	if (!pool->cpu)
		return -ENOMEM;
	if (!fill(pool)) {
		free_percpu(pool->cpu);
		xa_destroy(&pool->all);
		return -ENOMEM;
	}
	return 0;
}

/*
 * The hooks are gone. A kick that is on its way is awaited before the worker
 * is, and the worker's own kick, by giving nodes back, after it.
 */
void tcps_pool_quiesce(struct tcps_pool *pool)
{
	irq_work_sync(&pool->kick);
	flush_work(&pool->balance);
	irq_work_sync(&pool->kick);
	cancel_work_sync(&pool->balance);
}

/* All nodes that were in use have been put back. */
void tcps_pool_destroy(struct tcps_pool *pool)
{
	struct tcps_conn *batch;
	int cpu;

	for_each_possible_cpu(cpu) {
		struct tcps_pool_cpu *part = per_cpu_ptr(pool->cpu, cpu);

		free_chain(pool, part->open);
		free_chain(pool, part->spare);
	}
	while ((batch = pop_batch(pool)))
		free_chain(pool, batch);
	free_percpu(pool->cpu);
	xa_destroy(&pool->all);
}

/* For all activations: an old one may still be read when the next begins. */
int tcps_pool_load(void)
{
	cache = kmem_cache_create("tcpstates_conn", sizeof(struct tcps_conn), 0, 0, NULL);
	return cache ? 0 : -ENOMEM;
}

void tcps_pool_unload(void)
{
	kmem_cache_destroy(cache);
}

size_t tcps_pool_memory(struct tcps_pool *pool)
{
	return (size_t)READ_ONCE(pool->nodes) * kmem_cache_size(cache);
}
