// SPDX-License-Identifier: GPL-2.0-only
/* One ring: a flight recorder that overwrites its oldest record. */
#include "ring.h"

/* @pages: zeroed memory of @header_bytes and @records records. */
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

/* Records produced so far; from any CPU. */
__u64 tcps_ring_head(const struct tcps_ring *ring)
{
	/* Pairs with the commit: what is below the head is seen whole. */
	return smp_load_acquire(&ring->header->head);
}

/* Nothing more will come. */
void tcps_ring_end(struct tcps_ring *ring)
{
	/* Pairs with the reader's acquiring load: it then sees the final head. */
	smp_store_release(&ring->header->ended, 1);
}
