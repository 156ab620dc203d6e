// SPDX-License-Identifier: GPL-2.0-only
/*
 * Free nodes for live connections, to be had without allocating.
 *
 * Each CPU has an open chain and a spare batch, so that most moves touch its
 * own cache lines only; whole batches go to and from a common list, which a
 * worker keeps between @reserve and four times that.
 */
#include <linux/jiffies.h>
#include <linux/percpu.h>
#include <linux/slab.h>

#include "conns.h"
#include "pool.h"

/* The worker keeps 1/16 of the most nodes at hand, within these. */
#define RESERVE_MIN (4 * TCPS_POOL_BATCH)
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
	pool->nr_free += nr;
}

/* @pool->lock is held. */
static struct tcps_conn *pop_batch(struct tcps_pool *pool)
{
	struct tcps_conn *batch = pool->batches;

	if (batch) {
		pool->batches = batch->free.next_batch;
		pool->nr_free -= batch->free.nr;
	}
	return batch;
}

static bool below_reserve(const struct tcps_pool *pool)
{
	return pool->nr_free < pool->reserve && pool->nodes < pool->max;
}

static bool above_reserve(const struct tcps_pool *pool)
{
	return pool->nr_free > 4 * pool->reserve;
}

static struct tcps_conn *take_batch(struct tcps_pool *pool)
{
	struct tcps_conn *batch;
	bool low;

	raw_spin_lock(&pool->lock);
	batch = pop_batch(pool);
	low = below_reserve(pool);
	raw_spin_unlock(&pool->lock);
	if (low)
		irq_work_queue(&pool->kick);
	return batch;
}

static void give_batch(struct tcps_pool *pool, struct tcps_conn *batch)
{
	bool high;

	raw_spin_lock(&pool->lock);
	push_batch(pool, batch, TCPS_POOL_BATCH);
	high = above_reserve(pool);
	raw_spin_unlock(&pool->lock);
	if (high)
		irq_work_queue(&pool->kick);
}

/* @part->lock is held. */
static void refill_open(struct tcps_pool *pool, struct tcps_pool_cpu *part)
{
	if (part->spare) {
		part->open = part->spare;
		part->nr_open = TCPS_POOL_BATCH;
		part->spare = NULL;
		return;
	}
	part->open = take_batch(pool);
	part->nr_open = part->open ? part->open->free.nr : 0;
}

/* @part->lock is held. */
static struct tcps_conn *pop_open(struct tcps_pool_cpu *part)
{
	struct tcps_conn *conn = part->open;

	if (conn) {
		part->open = conn->free.next;
		part->nr_open--;
	}
	return conn;
}

/* One node of another CPU's part, so that all @max nodes can be in use. */
static struct tcps_conn *steal_from(struct tcps_pool_cpu *part)
{
	struct tcps_conn *conn;

	raw_spin_lock(&part->lock);
	if (!part->open && part->spare) {
		part->open = part->spare;
		part->nr_open = TCPS_POOL_BATCH;
		part->spare = NULL;
	}
	conn = pop_open(part);
	raw_spin_unlock(&part->lock);
	return conn;
}

/* All parts are looked at once a jiffy at the most: a flood must stay cheap. */
static struct tcps_conn *steal(struct tcps_pool *pool)
{
	struct tcps_conn *conn;
	int cpu;

	if (READ_ONCE(pool->nodes) < pool->max || !time_after(jiffies, READ_ONCE(pool->dry)))
		return NULL;
	for_each_possible_cpu(cpu) {
		conn = steal_from(per_cpu_ptr(pool->cpu, cpu));
		if (conn)
			return conn;
	}
	WRITE_ONCE(pool->dry, jiffies);
	return NULL;
}

struct tcps_conn *tcps_pool_get(struct tcps_pool *pool)
{
	struct tcps_pool_cpu *part = this_cpu_ptr(pool->cpu);
	struct tcps_conn *conn;

	raw_spin_lock(&part->lock);
	if (!part->open)
		refill_open(pool, part);
	conn = pop_open(part);
	raw_spin_unlock(&part->lock);
	return conn ?: steal(pool);
}

void tcps_pool_put(struct tcps_pool *pool, struct tcps_conn *conn)
{
	struct tcps_pool_cpu *part = this_cpu_ptr(pool->cpu);

	raw_spin_lock(&part->lock);
	conn->free.next = part->open;
	part->open = conn;
	if (++part->nr_open == TCPS_POOL_BATCH) {
		if (part->spare)
			give_batch(pool, part->spare);
		part->spare = part->open;
		part->open = NULL;
		part->nr_open = 0;
	}
	raw_spin_unlock(&part->lock);
}

static void free_chain(struct tcps_conn *chain)
{
	struct tcps_conn *next;

	for (; chain; chain = next) {
		next = chain->free.next;
		kmem_cache_free(cache, chain);
	}
}

static struct tcps_conn *alloc_chain(unsigned int nr)
{
	struct tcps_conn *chain = NULL, *conn;

	while (nr--) {
		conn = kmem_cache_alloc(cache, GFP_KERNEL | __GFP_NOWARN);
		if (!conn) {
			free_chain(chain);
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
	if (below_reserve(pool)) {
		nr = min_t(unsigned int, TCPS_POOL_BATCH, pool->max - pool->nodes);
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
bool tcps_pool_fill(struct tcps_pool *pool)
{
	struct tcps_conn *batch;
	bool filled = false;
	unsigned int nr;

	for (;;) {
		nr = claim_nodes(pool);
		if (!nr)
			return filled || pool->nr_free;
		batch = alloc_chain(nr);
		settle_nodes(pool, batch, nr);
		if (!batch)
			return filled;
		filled = true;
	}
}

/* Give back what a passed peak has left. */
static void trim(struct tcps_pool *pool)
{
	struct tcps_conn *batch;

	do {
		batch = NULL;
		raw_spin_lock_irq(&pool->lock);
		if (pool->nr_free > 2 * pool->reserve) {
			batch = pop_batch(pool);
			WRITE_ONCE(pool->nodes, pool->nodes - batch->free.nr);
		}
		raw_spin_unlock_irq(&pool->lock);
		free_chain(batch);
	} while (batch);
}

static void balance(struct work_struct *work)
{
	struct tcps_pool *pool = container_of(work, struct tcps_pool, balance);

	tcps_pool_fill(pool);
	if (above_reserve(pool))
		trim(pool);
}

int tcps_pool_init(struct tcps_pool *pool, unsigned int max)
{
	int cpu;

	raw_spin_lock_init(&pool->lock);
	pool->max = max;
	pool->reserve = clamp_t(unsigned int, max / 16, RESERVE_MIN, RESERVE_MAX);
	pool->dry = jiffies - 1;
	init_irq_work(&pool->kick, kick);
	INIT_WORK(&pool->balance, balance);
	pool->cpu = alloc_percpu(struct tcps_pool_cpu);
	if (!pool->cpu)
		return -ENOMEM;
	for_each_possible_cpu(cpu)
		raw_spin_lock_init(&per_cpu_ptr(pool->cpu, cpu)->lock);
	if (!tcps_pool_fill(pool)) {
		free_percpu(pool->cpu);
		return -ENOMEM;
	}
	return 0;
}

/* The hooks are gone: nothing will kick the worker any more. */
void tcps_pool_quiesce(struct tcps_pool *pool)
{
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

		free_chain(part->open);
		free_chain(part->spare);
	}
	while ((batch = pop_batch(pool)))
		free_chain(batch);
	free_percpu(pool->cpu);
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
