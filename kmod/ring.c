// SPDX-License-Identifier: GPL-2.0-only
/* One ring: a flight recorder that overwrites its oldest record. */
#include "ring.h"

/**
 * tcps_ring_init() - prepare a ring
 * @ring: the ring
 * @pages: zeroed memory of @header_bytes and @records records
 * @records: a power of two
 * @header_bytes: where the records start
 * @cpu: whose ring it is
 * @generation: of the activation
 *
 * Context: Any.
 */
void tcps_ring_init(struct tcps_ring *ring, void *pages, __u32 records, __u32 header_bytes,
		    __u32 cpu, __u64 generation)
{
	struct tcpstates_ring_header *header = pages;

	header->magic = TCPSTATES_RING_MAGIC;
	header->record_version = TCPSTATES_RECORD_VERSION;
	header->record_size = sizeof(struct tcpstates_record);
	header->cpu = cpu;
	header->capacity = records;
	header->generation = generation;
	ring->header = header;
	ring->records = pages + header_bytes;
	ring->mask = records - 1;
}

/**
 * tcps_ring_head() - records produced so far
 * @ring: the ring
 *
 * Context: Any. On any CPU.
 */
__u64 tcps_ring_head(const struct tcps_ring *ring)
{
	/* Pairs with the commit: what is below the head is seen whole. */
	return smp_load_acquire(&ring->header->head);
}

/**
 * tcps_ring_end() - there will be no more records
 * @ring: the ring
 *
 * Context: Process context.
 */
void tcps_ring_end(struct tcps_ring *ring)
{
	/* Pairs with the reader's acquiring load: it then sees the final head. */
	smp_store_release(&ring->header->ended, 1);
}
