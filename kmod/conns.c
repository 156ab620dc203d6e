// SPDX-License-Identifier: GPL-2.0-only
/* The live connections: an array of {lock, rbtree}, keyed by socket. */
#include <linux/cpumask.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "conns.h"

/* When all are in use, a tree of so many is shallow; most of the time it has one or none. */
#define CONNS_PER_SHARD	16
#define SHARDS_MIN	256
#define SHARDS_MAX	65536

/* Of CPU 0, they are 1, 1 + nr_cpu_ids and so on. */
static void init_ids(struct tcps_conns *conns)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu) {
		u64 *last_id = per_cpu_ptr(conns->last_id, cpu);

		*last_id = cpu + 1 - (u64)nr_cpu_ids;
	}
}

int tcps_conns_init(struct tcps_conns *conns, unsigned int max)
{
	unsigned long nr = clamp(roundup_pow_of_two(DIV_ROUND_UP(max, CONNS_PER_SHARD)),
				 (unsigned long)SHARDS_MIN, (unsigned long)SHARDS_MAX);
	unsigned long i;

	conns->bits = ilog2(nr);
	conns->shift = 64 - conns->bits;
	conns->shards = kvcalloc(nr, sizeof(*conns->shards), GFP_KERNEL);
	conns->last_id = alloc_percpu(u64);
	if (!conns->shards || !conns->last_id || tcps_pool_init(&conns->pool, max)) {
		free_percpu(conns->last_id);
		kvfree(conns->shards);
		return -ENOMEM;
	}
	init_ids(conns);
	for (i = 0; i < nr; i++) {
		raw_spin_lock_init(&conns->shards[i].lock);
		conns->shards[i].root = RB_ROOT;
	}
	return 0;
}

/* The hooks are gone, and so is every other user. */
static void shard_empty(struct tcps_conns *conns, struct tcps_shard *shard)
{
	struct rb_node *rb;

	while ((rb = rb_first(&shard->root))) {
		unsigned long flags;

		raw_spin_lock_irqsave(&shard->lock, flags);
		tcps_conns_remove(conns, shard, rb_entry(rb, struct tcps_conn, rb));
		raw_spin_unlock_irqrestore(&shard->lock, flags);
	}
}

void tcps_conns_destroy(struct tcps_conns *conns)
{
	unsigned long i;

	for (i = 0; i < 1UL << conns->bits; i++) {
		shard_empty(conns, &conns->shards[i]);
		cond_resched();
	}
	tcps_pool_quiesce(&conns->pool);
	tcps_pool_destroy(&conns->pool);
	free_percpu(conns->last_id);
	kvfree(conns->shards);
}

size_t tcps_conns_memory(struct tcps_conns *conns)
{
	return (sizeof(*conns->shards) << conns->bits) + tcps_pool_memory(&conns->pool);
}

void tcps_conns_remove(struct tcps_conns *conns, struct tcps_shard *shard, struct tcps_conn *conn)
{
	rb_erase(&conn->rb, &shard->root);
	WRITE_ONCE(conn->sk, NULL);
	tcps_pool_put(&conns->pool, conn);
}
