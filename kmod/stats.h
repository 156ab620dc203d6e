/* SPDX-License-Identifier: GPL-2.0-only */
/* Counters of an activation: they never depend on the rings. */
#ifndef TCPS_STATS_H
#define TCPS_STATS_H

#include <linux/types.h>

#include "tcpstates.h"

struct tcps_edge {
	u64 count;
	u64 timed;
	u64 total_ns;
	u64 max_ns;
	u32 hist[TCPSTATES_HIST_BUCKETS];
};

/*
 * Locking rule: each CPU writes its own only, with interrupts off, so plain
 * additions do; readers on other CPUs use READ_ONCE() word by word. Gauges
 * are sums of differences: only their sum over all CPUs has a meaning.
 */
struct tcps_cpu_stats {
	u64 seen;
	u64 filtered;
	u64 too_short;
	u64 untracked;
	u64 unmatched;
	u64 stale;
	u64 seeded;
	s64 states[TCPSTATES_NR_STATES];
	struct tcps_edge edges[TCPSTATES_NR_STATES][TCPSTATES_NR_STATES];
};

struct tcps_stats {
	unsigned int nr;
	struct tcps_cpu_stats *cpu[];	/* NULL where no CPU is possible */
};

struct tcps_stats *tcps_stats_create(void);
void tcps_stats_destroy(struct tcps_stats *stats);
size_t tcps_stats_memory(void);

/* Of this CPU; interrupts are off. */
struct tcps_cpu_stats *tcps_stats_this_cpu(struct tcps_stats *stats);
void tcps_stats_edge(struct tcps_cpu_stats *stats, unsigned int old, unsigned int new,
		     bool timed, u64 ns);

void tcps_stats_add_untracked(struct tcps_stats *stats, unsigned int nr);

void tcps_stats_sum(const struct tcps_stats *stats, struct tcpstates_stats *out);
bool tcps_stats_sum_edge(const struct tcps_stats *stats, unsigned int old, unsigned int new,
			 struct tcpstates_edge *out);

#endif
