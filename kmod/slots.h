/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Counters of listeners and pairs, kept apart by CPU.
 *
 * What many CPUs count at the same time must not be one word: each change
 * would take the cache line from another CPU. Each CPU has some slots, in
 * which it counts what it does for a listener or pair; they are added to the
 * entry when another one needs the slot. Readers add the slots of all CPUs.
 *
 * A slot is written by its own CPU only, with interrupts off. Its counts come
 * and go under the lock of the entry that it counts for: who holds that lock
 * finds each count either in the entry or in a slot.
 */
#ifndef TCPS_SLOTS_H
#define TCPS_SLOTS_H

#include <linux/cache.h>
#include <linux/types.h>

#include "state_class.h"
#include "tcpstates.h"

struct tcps_pair;
struct tcps_listener;

/* The counters of struct tcpstates_handshakes, by their number in it. */
#define TCPS_NR_HANDSHAKES	(sizeof(struct tcpstates_handshakes) / sizeof(__u64))
#define TCPS_HANDSHAKE(member)	(offsetof(struct tcpstates_handshakes, member) / sizeof(__u64))

/* Powers of two. An entry has its slot by its number. */
#define TCPS_LISTENER_SLOTS	16
#define TCPS_PAIR_SLOTS	16

/*
 * While a slot serves one entry, this number of uses of other entries is counted
 * without a slot, under their lock; then the slot goes to the last of them. A slot
 * that entries use alternately is thus not emptied each time.
 */
#define TCPS_SLOT_MISSES	8

/* What is counted for a listener: in all, or in a slot. */
struct tcps_listener_counts {
	tcps_counts classes;
	s32 holders;		/* connections that hold the entry */
	u64 done;		/* handshakes that were finished */
	u64 accepted;		/* connections whose wait for accept() was seen, */
	u64 accept_wait_ns;	/* the sum of their waits, */
	u64 accept_wait_max_ns;	/* and the longest */
	u64 handshakes[TCPS_NR_HANDSHAKES];
};

struct tcps_listener_slot {
	struct tcps_listener *listener;	/* NULL: free */
	u32 number;			/* as in struct tcps_conn; 0: free */
	u32 life;			/* of the listener */
	struct tcps_listener_counts counts;
	u32 misses;
} ____cacheline_aligned;

/* What is counted for a pair. */
struct tcps_pair_counts {
	tcps_counts classes;
	s32 holders;		/* connections that hold the pair */
	s32 most;		/* highest number of live ends, in a slot: since it was empty */
	u64 started;
	u64 unfinished;
	u64 last_ns;
};

struct tcps_pair_slot {
	struct tcps_pair *pair;	/* NULL: free */
	u32 number;			/* as in struct tcps_conn; 0: free */
	u32 misses;
	struct tcps_pair_counts counts;
} ____cacheline_aligned;

static_assert(sizeof(struct tcps_pair_slot) == 64 || SMP_CACHE_BYTES != 64);

struct tcps_slots {
	struct tcps_listener_slot listeners[TCPS_LISTENER_SLOTS];
	struct tcps_pair_slot pairs[TCPS_PAIR_SLOTS];
};

#endif
