// SPDX-License-Identifier: GPL-2.0-only
/* What the tests need beside the module's own functions. */
#include "ring.h"

/* The test's payload: every word is computed from its position. */
static __u64 word(__u64 pos, unsigned int index)
{
	return (pos + 1) * 0x9e3779b97f4a7c15ULL + index;
}

/* Write @count records, as the hooks do. */
void shim_write(struct tcps_ring *ring, __u64 count)
{
	while (count--) {
		__u64 pos = tcps_ring_position(ring);
		struct tcpstates_record *rec = tcps_ring_begin(ring, pos);
		/* Behind seq, the record is but words to this test. */
		__u64 *words = &rec->ts;
		unsigned int i;

		for (i = 0; i < sizeof(*rec) / sizeof(__u64) - 1; i++)
			__atomic_store_n(&words[i], word(pos, i), __ATOMIC_RELAXED);
		tcps_ring_commit(ring, rec, pos);
	}
}

__u64 shim_word(__u64 pos, unsigned int index)
{
	return word(pos, index);
}
