/* SPDX-License-Identifier: GPL-2.0-only */
/* A table of numbered entries that are taken without allocating memory, and do not move. */
#ifndef TCPS_TABLE_H
#define TCPS_TABLE_H

#include <linux/irq_work.h>
#include <linux/jiffies.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "locks.h"

/* A power of two. */
#define TCPS_TABLE_CHUNK	256U

/*
 * Chunks of zeroed entries are added in process context as those that are
 * there are taken, each for good.
 *
 * Locking rule: @lock guards @nr and @taken; it is raw and taken with interrupts
 * off. See locks.h for the order of locks. @growing serializes who adds chunks. A chunk
 * is there before @nr counts it, so that an entry whose number is known is found
 * without a lock.
 */
struct tcps_table {
	void **chunks;
	size_t entry_size;
	unsigned int max;
	unsigned int reserve;		/* entries that the worker keeps untaken */
	raw_spinlock_t lock;
	unsigned int nr;		/* entries that are there */
	unsigned int taken;		/* [0, taken) were */
	unsigned long next_try;		/* jiffies before which there is no memory */
	struct mutex growing;
	struct irq_work kick;
	struct work_struct grow;
};

int tcps_table_init(struct tcps_table *table, size_t entry_size, unsigned int max);
void tcps_table_destroy(struct tcps_table *table);
size_t tcps_table_memory(const struct tcps_table *table);

/* In process context, may sleep: allocate until @untaken are free, or all are allocated. */
void tcps_table_provide(struct tcps_table *table, unsigned int untaken);

/* Interrupts are off. NULL: none is left for now, or for ever. */
void *tcps_table_take(struct tcps_table *table, unsigned int *index);

/**
 * tcps_table_taken() - the number of entries that were taken
 * @table: the table
 *
 * Context: Any.
 * Return: the number; all entries below it may be looked at.
 */
static inline unsigned int tcps_table_taken(const struct tcps_table *table)
{
	/* Pairs with the release store of tcps_table_take(). */
	return smp_load_acquire(&table->taken);
}

/**
 * tcps_table_at() - an entry
 * @table: the table
 * @index: its number, known from who took it
 * @entry_size: bytes, a constant
 *
 * Context: Any.
 */
static inline void *tcps_table_at(const struct tcps_table *table, unsigned int index,
				  size_t entry_size)
{
	char *chunk = table->chunks[index / TCPS_TABLE_CHUNK];

	return chunk + index % TCPS_TABLE_CHUNK * entry_size;
}

/* More entries are wanted, and there may be memory for them. */
static inline bool tcps_table_is_low(const struct tcps_table *table)
{
	unsigned int nr = READ_ONCE(table->nr);

	return nr < table->max && nr - READ_ONCE(table->taken) < table->reserve / 2 &&
	       time_after_eq(jiffies, READ_ONCE(table->next_try));
}

/**
 * tcps_table_refill() - allocate entries if the reserve is low
 * @table: the table
 *
 * Context: Process context, may sleep. Takes @table->growing and the lock of
 *	@table.
 */
static inline void tcps_table_refill(struct tcps_table *table)
{
	if (unlikely(tcps_table_is_low(table)))
		tcps_table_provide(table, table->reserve);
}

#endif
