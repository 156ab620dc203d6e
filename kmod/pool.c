// SPDX-License-Identifier: GPL-2.0-only
/*
 * Free nodes for live connections, which hooks take without allocating.
 *
 * Each CPU has a part: an open chain and a spare batch, so that most moves
 * touch its own cache lines only; whole batches go to and from a common list,
 * which a worker keeps between half of @reserve and four times that. A CPU that
 * finds the list empty sets @dry, which all others read without the lock until a
 * batch is there again. The worker is called once for that, and runs again and
 * again until then.
 */
#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/jiffies.h>
#include <linux/percpu.h>
#include <linux/sched.h>
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

/* Interval of the worker's attempts while no more nodes can be allocated. */
#define RETRY (HZ / 10)

static void kick(struct irq_work *work)
{
	schedule_delayed_work(&container_of(work, struct tcps_pool, kick)->balance, 0);
}

static void push_batch(struct tcps_pool *pool, struct tcps_conn *batch, unsigned int nr)
{
	lockdep_assert_held(&pool->lock);
	batch->free.nr = nr;
	batch->free.next_batch = pool->batches;
	pool->batches = batch;
	WRITE_ONCE(pool->nr_free, pool->nr_free + nr);
	if (pool->dry)
		WRITE_ONCE(pool->dry, false);
}

static struct tcps_conn *pop_batch(struct tcps_pool *pool)
{
	struct tcps_conn *batch = pool->batches;

	lockdep_assert_held(&pool->lock);
	if (batch) {
		pool->batches = batch->free.next_batch;
		WRITE_ONCE(pool->nr_free, pool->nr_free - batch->free.nr);
	}
	return batch;
}

static bool may_grow(const struct tcps_pool *pool)
{
	lockdep_assert_held(&pool->lock);
	return pool->nr_free < pool->reserve && pool->nodes < pool->max;
}

/* The worker is woken for half of the reserve, not for each batch. */
static bool wants_to_grow(const struct tcps_pool *pool)
{
	lockdep_assert_held(&pool->lock);
	return pool->nr_free < pool->reserve / 2 && pool->nodes < pool->max;
}

static bool above_reserve(const struct tcps_pool *pool)
{
	lockdep_assert_held(&pool->lock);
	return pool->nr_free > 4 * pool->reserve;
}

/* Is the worker to be kicked? Not if it comes anyway. */
static bool wants_worker(struct tcps_pool *pool)
{
	lockdep_assert_held(&pool->lock);
	if (pool->kicked || !(pool->dry || wants_to_grow(pool) || above_reserve(pool)))
		return false;
	pool->kicked = true;
	return true;
}

static struct tcps_conn *take_batch(struct tcps_pool *pool)
{
	struct tcps_conn *batch;
	bool kicks;

	tcps_lock_shared(&pool->lock);
	batch = pop_batch(pool);
	if (!batch)
		WRITE_ONCE(pool->dry, true);
	kicks = wants_worker(pool);
	raw_spin_unlock(&pool->lock);
	if (kicks)
		irq_work_queue(&pool->kick);
	return batch;
}

static void give_batch(struct tcps_pool *pool, struct tcps_conn *batch, unsigned int nr)
{
	bool kicks;

	tcps_lock_shared(&pool->lock);
	push_batch(pool, batch, nr);
	kicks = wants_worker(pool);
	raw_spin_unlock(&pool->lock);
	if (kicks)
		irq_work_queue(&pool->kick);
}

/**
 * tcps_pool_open() - open the spare batch, or a common one
 * @pool: the pool
 * @part: of this CPU, without an open chain
 *
 * Context: Any, interrupts off. May take the lock of @pool.
 * Return: false: there is none.
 */
bool tcps_pool_open(struct tcps_pool *pool, struct tcps_pool_cpu *part)
{
	lockdep_assert_irqs_disabled();
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

/**
 * tcps_pool_close() - the open chain becomes the spare batch
 * @pool: the pool
 * @part: of this CPU; a spare batch that it has goes back
 *
 * Context: Any, interrupts off. May take the lock of @pool.
 */
void tcps_pool_close(struct tcps_pool *pool, struct tcps_pool_cpu *part)
{
	lockdep_assert_irqs_disabled();
	if (part->spare)
		give_batch(pool, part->spare, pool->batch);
	part->spare = part->open;
	part->open = NULL;
	part->nr_open = 0;
}

/* Nobody else uses @part: its free nodes become common. */
static void empty_part(struct tcps_pool *pool, struct tcps_pool_cpu *part)
{
	lockdep_assert_irqs_disabled();
	if (part->spare)
		give_batch(pool, part->spare, pool->batch);
	if (part->open)
		give_batch(pool, part->open, part->nr_open);
	*part = (struct tcps_pool_cpu){};
}

static void empty_this_cpu(void *data)
{
	struct tcps_pool *pool = data;

	empty_part(pool, this_cpu_ptr(pool->cpu));
}

/* As another CPU sees it: what it has only now is found the next time. */
static bool has_free_nodes(int cpu, void *data)
{
	const struct tcps_pool *pool = data;
	const struct tcps_pool_cpu *part = per_cpu_ptr(pool->cpu, cpu);

	/* Its CPU writes them at any time: either value will do. */
	return data_race(part->open || part->spare);
}

static void empty_offline_cpus(struct tcps_pool *pool)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu) {
		if (cpu_online(cpu) || !has_free_nodes(cpu, pool))
			continue;
		local_irq_disable();
		empty_part(pool, per_cpu_ptr(pool->cpu, cpu));
		local_irq_enable();
	}
}

/* There are no more nodes, and one CPU found none: others may have some. */
static void gather(struct tcps_pool *pool)
{
	cpus_read_lock();
	empty_offline_cpus(pool);
	on_each_cpu_cond(has_free_nodes, empty_this_cpu, pool, true);
	cpus_read_unlock();
	WRITE_ONCE(pool->next_gather, jiffies + RETRY);
}

/* Nobody can look at these nodes any more. */
static void free_chain(struct tcps_conn *chain)
{
	struct tcps_conn *next;

	for (; chain; chain = next) {
		next = chain->free.next;
		kmem_cache_free(cache, chain);
	}
}

static void unlist_chain(struct tcps_pool *pool, const struct tcps_conn *chain)
{
	for (; chain; chain = chain->free.next)
		xa_erase(&pool->all, chain->index);
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
			/* Whoever finds one of them sees that it is free. */
			down_write(&pool->keep);
			unlist_chain(pool, chain);
			up_write(&pool->keep);
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
		cond_resched();
	}
}

/**
 * tcps_pool_more() - allocate free nodes
 * @pool: the pool
 * @gathered: whether other CPUs have given theirs; set if they are asked
 *
 * Context: Process context, may sleep. Takes the locks of CPUs and of @pool.
 * Return: whether there are free nodes.
 */
bool tcps_pool_more(struct tcps_pool *pool, bool *gathered)
{
	if (fill(pool))
		return true;
	if (*gathered)
		return false;
	*gathered = true;
	gather(pool);
	return READ_ONCE(pool->nr_free);
}

static struct tcps_conn *take_surplus(struct tcps_pool *pool)
{
	struct tcps_conn *batch = NULL;

	raw_spin_lock_irq(&pool->lock);
	if (pool->nr_free > 2 * pool->reserve) {
		batch = pop_batch(pool);
		WRITE_ONCE(pool->nodes, pool->nodes - batch->free.nr);
	}
	raw_spin_unlock_irq(&pool->lock);
	return batch;
}

/* Give back what a passed peak has left; snapshots wait for a batch at the most. */
static void trim(struct tcps_pool *pool)
{
	struct tcps_conn *batch;

	while ((batch = take_surplus(pool))) {
		down_write(&pool->keep);
		unlist_chain(pool, batch);
		up_write(&pool->keep);
		free_chain(batch);
		cond_resched();
	}
}

/* The worker has done what it could: does it have to come again? */
static bool is_to_return(struct tcps_pool *pool)
{
	bool returns;

	raw_spin_lock_irq(&pool->lock);
	pool->kicked = false;
	returns = wants_worker(pool);
	raw_spin_unlock_irq(&pool->lock);
	return returns;
}

static void balance(struct work_struct *work)
{
	struct tcps_pool *pool = container_of(to_delayed_work(work), struct tcps_pool, balance);

	fill(pool);
	/* Not often: a flood keeps the pool dry, and must not make it worse. */
	if (READ_ONCE(pool->dry) && time_after_eq(jiffies, READ_ONCE(pool->next_gather)))
		gather(pool);
	trim(pool);
	if (is_to_return(pool))
		schedule_delayed_work(&pool->balance, RETRY);
}

/**
 * tcps_pool_init() - make a pool, with its reserve
 * @pool: zeroed
 * @max: most nodes
 *
 * Context: Process context, may sleep.
 * Return: 0 or -ENOMEM.
 */
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
	INIT_DELAYED_WORK(&pool->balance, balance);
	pool->cpu = alloc_percpu(struct tcps_pool_cpu);
	if (!pool->cpu)
		return -ENOMEM;
	if (!fill(pool)) {
		tcps_pool_destroy(pool);
		return -ENOMEM;
	}
	return 0;
}

/* Nodes that are freed between two calls of cond_resched(). */
#define FREED_AT_A_TIME 256

static void free_all(struct tcps_pool *pool)
{
	unsigned int nr = 0;
	struct tcps_conn *conn;
	unsigned long index;

	xa_for_each(&pool->all, index, conn) {
		xa_erase(&pool->all, index);
		kmem_cache_free(cache, conn);
		if (++nr % FREED_AT_A_TIME == 0)
			cond_resched();
	}
}

/**
 * tcps_pool_destroy() - free the pool and all nodes, used or free
 * @pool: the pool
 *
 * Context: Process context, may sleep. Hooks are detached, and nobody else uses it.
 */
void tcps_pool_destroy(struct tcps_pool *pool)
{
	irq_work_sync(&pool->kick);
	cancel_delayed_work_sync(&pool->balance);
	free_all(pool);
	free_percpu(pool->cpu);
	xa_destroy(&pool->all);
}

/**
 * tcps_pool_load() - make the cache of nodes
 *
 * One for all activations: an old one may still be read when the next starts.
 *
 * Context: Process context, may sleep.
 * Return: 0 or -ENOMEM.
 */
int tcps_pool_load(void)
{
	cache = kmem_cache_create("tcpstates_conn", sizeof(struct tcps_conn), 0, 0, NULL);
	return cache ? 0 : -ENOMEM;
}

/**
 * tcps_pool_unload() - free the cache
 *
 * Context: Process context, may sleep. No activation is left.
 */
void tcps_pool_unload(void)
{
	kmem_cache_destroy(cache);
}

/**
 * tcps_pool_memory() - bytes of nodes
 * @pool: the pool
 *
 * Context: Any.
 */
size_t tcps_pool_memory(struct tcps_pool *pool)
{
	return (size_t)READ_ONCE(pool->nodes) * kmem_cache_size(cache);
}
