/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The writer of one ring. It also compiles in user space (tests/shim), where
 * it is tested against the controller's reader.
 */
#ifndef TCPS_RING_H
#define TCPS_RING_H

#include <linux/compiler.h>
#include <linux/types.h>
#include <asm/barrier.h>

#include "tcpstates.h"

/*
 * Locking rule: a ring belongs to one CPU. Begin, fill in and commit run on
 * it with interrupts off, so there is one writer and it is never nested.
 */
struct tcps_ring {
	struct tcpstates_ring_header *header;
	struct tcpstates_record *records;
	__u64 mask;
};

void tcps_ring_init(struct tcps_ring *ring, void *pages, __u32 records, __u32 header_bytes,
		    __u32 cpu, __u64 generation);
__u64 tcps_ring_head(const struct tcps_ring *ring);
void tcps_ring_end(struct tcps_ring *ring);

/* Of the next record, for the two below. */
static inline __u64 tcps_ring_position(const struct tcps_ring *ring)
{
	return ring->header->head;
}

/* The slot of the record at @pos, marked as being written. */
static inline struct tcpstates_record *tcps_ring_begin(struct tcps_ring *ring, __u64 pos)
{
	struct tcpstates_record *rec = &ring->records[pos & ring->mask];

	WRITE_ONCE(rec->seq, (pos + 1) * 2 + 1);
	/*
	 * The mark is seen before any word of the new record. Pairs with the
	 * reader's barrier between its copy and its second look at seq.
	 */
	smp_wmb();
	return rec;
}

/* The record is whole. */
static inline void tcps_ring_commit(struct tcps_ring *ring, struct tcpstates_record *rec,
				    __u64 pos)
{
	/* Pairs with the reader's first, acquiring look at seq. */
	smp_store_release(&rec->seq, (pos + 1) * 2);
	/* Pairs with the acquiring load of head: all below it are whole. */
	smp_store_release(&ring->header->head, pos + 1);
}

#endif
