// SPDX-License-Identifier: GPL-2.0-only
/*
 * A table of numbered entries that are taken without allocating memory.
 *
 * It may be large, but most hosts use few entries: memory is allocated as they
 * are taken.
 */
#include <linux/mm.h>
#include <linux/vmalloc.h>

#include "faults.h"
#include "shared.h"
#include "table.h"

/* 1/16 of the most is kept untaken, within these. */
#define RESERVE_MIN	TCPS_TABLE_CHUNK
#define RESERVE_MAX	(8 * TCPS_TABLE_CHUNK)

/* False when there is no memory, or no more is wanted. */
static bool add_chunk(struct tcps_table *table)
{
	unsigned int nr = min(TCPS_TABLE_CHUNK, table->max - table->nr);
	void *chunk = NULL;

	if (!nr)
		return false;
	if (!tcps_fault())
		chunk = __vmalloc(nr * table->entry_size, GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN);
	if (!chunk) {
		WRITE_ONCE(table->next_try, jiffies + HZ);
		return false;
	}
	table->chunks[table->nr / TCPS_TABLE_CHUNK] = chunk;
	raw_spin_lock_irq(&table->lock);
	WRITE_ONCE(table->nr, table->nr + nr);
	raw_spin_unlock_irq(&table->lock);
	return true;
}

/**
 * tcps_table_provide() - allocate entries
 * @table: the table
 * @untaken: how many are to be free, as far as the most allows
 *
 * Context: Process context, may sleep. Takes @table->growing and the lock of
 *	@table.
 */
void tcps_table_provide(struct tcps_table *table, unsigned int untaken)
{
	mutex_lock(&table->growing);
	while (table->nr - READ_ONCE(table->taken) < untaken && add_chunk(table))
		;
	mutex_unlock(&table->growing);
}

static void grow(struct work_struct *work)
{
	struct tcps_table *table = container_of(work, struct tcps_table, grow);

	tcps_table_provide(table, table->reserve);
}

/* Before the ordinary work: what is taken meanwhile comes out of the reserve. */
static void kick(struct irq_work *work)
{
	queue_work(system_highpri_wq, &container_of(work, struct tcps_table, kick)->grow);
}

static unsigned int nr_chunks(const struct tcps_table *table)
{
	return DIV_ROUND_UP(table->max, TCPS_TABLE_CHUNK);
}

/**
 * tcps_table_init() - make a table, with its reserve
 * @table: zeroed
 * @entry_size: bytes
 * @max: most entries
 *
 * Context: Process context, may sleep.
 * Return: 0 or -ENOMEM.
 */
int tcps_table_init(struct tcps_table *table, size_t entry_size, unsigned int max)
{
	table->entry_size = entry_size;
	table->max = max;
	table->reserve = clamp(max / 16, RESERVE_MIN, RESERVE_MAX);
	raw_spin_lock_init(&table->lock);
	mutex_init(&table->growing);
	table->next_try = jiffies;
	init_irq_work(&table->kick, kick);
	INIT_WORK(&table->grow, grow);
	table->chunks = kvcalloc(nr_chunks(table), sizeof(*table->chunks), GFP_KERNEL);
	if (!table->chunks)
		return -ENOMEM;
	tcps_table_provide(table, table->reserve);
	if (table->nr < min(table->reserve, max)) {
		tcps_table_destroy(table);
		return -ENOMEM;
	}
	return 0;
}

/**
 * tcps_table_destroy() - free a table
 * @table: the table
 *
 * Context: Process context, may sleep. Nobody takes an entry any more.
 */
void tcps_table_destroy(struct tcps_table *table)
{
	unsigned int i;

	irq_work_sync(&table->kick);
	cancel_work_sync(&table->grow);
	for (i = 0; i < nr_chunks(table); i++)
		vfree(table->chunks[i]);
	kvfree(table->chunks);
}

/**
 * tcps_table_memory() - bytes of a table
 * @table: the table
 *
 * Context: Any.
 */
size_t tcps_table_memory(const struct tcps_table *table)
{
	return READ_ONCE(table->nr) * table->entry_size +
	       nr_chunks(table) * sizeof(*table->chunks);
}

/**
 * tcps_table_take() - take a free entry, for good
 * @table: the table
 * @index: set to its number
 *
 * Context: Any, interrupts off. Takes the lock of @table.
 * Return: the entry, zeroed; NULL: none is free.
 */
void *tcps_table_take(struct tcps_table *table, unsigned int *index)
{
	void *entry = NULL;
	bool wanting;

	lockdep_assert_irqs_disabled();
	tcps_lock_shared(&table->lock);
	if (table->taken < table->nr) {
		*index = table->taken;
		entry = tcps_table_at(table, *index, table->entry_size);
		/* Its chunk is seen by who sees this: pairs with tcps_table_taken(). */
		smp_store_release(&table->taken, *index + 1);
	}
	wanting = tcps_table_is_low(table);
	raw_spin_unlock(&table->lock);
	if (wanting)
		irq_work_queue(&table->kick);
	return entry;
}
