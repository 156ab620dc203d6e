/* SPDX-License-Identifier: GPL-2.0-only */
/* By how much the wall clock is ahead of CLOCK_MONOTONIC, and since when. */
#ifndef TCPS_CLOCKS_H
#define TCPS_CLOCKS_H

#include <linux/notifier.h>
#include <linux/spinlock.h>

#include "tcpstates.h"

/*
 * Locking rule: @lock guards all below; it is raw, taken with interrupts off,
 * and nothing but the clock is read inside of it.
 */
struct tcps_clocks {
	struct notifier_block resume;
	raw_spinlock_t lock;
	u64 changes;	/* since the activation */
	unsigned int nr;
	struct tcpstates_clock all[TCPSTATES_CLOCKS_MAX];	/* [0, nr), oldest first */
};

int tcps_clocks_start(struct tcps_clocks *clocks, u64 now);
void tcps_clocks_end(struct tcps_clocks *clocks);

/* In any context: the wall clock may have been set. */
void tcps_clocks_compare(struct tcps_clocks *clocks);

/* In process context. False: there is none of this number. */
bool tcps_clocks_get(struct tcps_clocks *clocks, unsigned int index,
		     struct tcpstates_clock *out);
unsigned int tcps_clocks_nr(struct tcps_clocks *clocks);
u64 tcps_clocks_changes(struct tcps_clocks *clocks);

#endif
