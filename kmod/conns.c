// SPDX-License-Identifier: GPL-2.0-only
/* The live connections: an array of {lock, rbtree}, keyed by socket. */
#include <linux/cpumask.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/string.h>
#include <net/net_namespace.h>

#include "compat.h"
#include "conns.h"

/* Nodes of a tree when all are in use: it is shallow then. Usually it has one or none. */
#define CONNS_PER_SHARD	16
#define SHARDS_MIN	256
#define SHARDS_MAX	65536

/* Nodes take at most this part of the memory: a 32nd. */
#define MEMORY_SHIFT	5
/* Where the kernel's own limits are lower, as on a host with little memory. */
#define DEFAULT_LEAST	(256U << 10)
/* Where its chains are longer, the kernel's own look-ups are slow. */
#define CONNS_PER_BUCKET 4

/**
 * tcps_conns_default() - the default of max-conns
 *
 * As many connections as the kernel itself is made for: full sockets by the size of
 * its hash, and the timewait sockets that it allows. Nodes are allocated as
 * connections come, so a limit that is never reached costs nothing.
 *
 * Context: Any.
 */
unsigned int tcps_conns_default(void)
{
	u64 fits = ((u64)totalram_pages() << PAGE_SHIFT) >> MEMORY_SHIFT;
	u64 wanted = CONNS_PER_BUCKET * ((u64)tcps_hashinfo(&init_net)->ehash_mask + 1) +
		     max(READ_ONCE(init_net.ipv4.tcp_death_row.sysctl_max_tw_buckets), 0);

	fits /= sizeof(struct tcps_conn);
	wanted = min_t(u64, max_t(u64, wanted, DEFAULT_LEAST), fits);
	return clamp_t(u64, wanted, TCPSTATES_CONNS_MIN, TCPSTATES_CONNS_MAX);
}

/* Of CPU 0, they are 1, 1 + nr_cpu_ids and so on. */
static void init_ids(struct tcps_conns *conns)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu) {
		u64 *last_id = per_cpu_ptr(conns->last_id, cpu);

		*last_id = cpu + 1 - (u64)nr_cpu_ids;
	}
}

/**
 * tcps_conns_init() - make the shards and the pool
 * @conns: zeroed
 * @max: most connections
 *
 * Context: Process context, may sleep.
 * Return: 0 or -ENOMEM.
 */
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

/**
 * tcps_conns_destroy() - free shards, pool and nodes
 * @conns: the live connections
 *
 * Context: Process context, may sleep. Hooks are detached, and nobody else uses
 *	them.
 */
void tcps_conns_destroy(struct tcps_conns *conns)
{
	tcps_pool_destroy(&conns->pool);
	free_percpu(conns->last_id);
	kvfree(conns->shards);
}

/**
 * tcps_conns_memory() - bytes of shards and nodes
 * @conns: the live connections
 *
 * Context: Any.
 */
size_t tcps_conns_memory(struct tcps_conns *conns)
{
	return (sizeof(*conns->shards) << conns->bits) + tcps_pool_memory(&conns->pool);
}

/**
 * tcps_conns_remove() - take a node out of its tree, and free it
 * @conns: the live connections
 * @shard: shard of @conn
 * @conn: node
 *
 * Context: Any, interrupts off. The lock of @shard.
 */
void tcps_conns_remove(struct tcps_conns *conns, struct tcps_shard *shard, struct tcps_conn *conn)
{
	lockdep_assert_held(&shard->lock);
	rb_erase(&conn->rb, &shard->root);
	WRITE_ONCE(conn->sk, NULL);
	tcps_pool_put(&conns->pool, conn);
}
