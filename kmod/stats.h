/* SPDX-License-Identifier: GPL-2.0-only */
/* Counters of an activation: they never depend on the rings. */
#ifndef TCPS_STATS_H
#define TCPS_STATS_H

#include <linux/bitops.h>
#include <linux/compiler.h>
#include <linux/minmax.h>
#include <linux/percpu.h>
#include <linux/types.h>

#include "locks.h"
#include "slots.h"
#include "tcpstates.h"

struct request_sock;
struct sock;
struct tcps_ring;

#define TCPS_NR_TRANSITIONS	(TCPSTATES_NR_STATES * TCPSTATES_NR_STATES)

/* The first one is of all unexpected transitions together, and is not exported. */
#define TCPS_NR_HISTS	29

/* Number of the histogram of each transition. */
extern const u8 tcps_hists[TCPS_NR_TRANSITIONS];

struct tcps_transition_count {
	u64 count;
	u64 timed;
	u64 total_ns;
	u64 max_ns;
};

/*
 * Locking rule: each CPU writes its own only, with interrupts off, so tcps_add()
 * does; readers on other CPUs use READ_ONCE() word by word. Gauges
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
	u64 alarms;
	u64 ringless;
	s64 states[TCPSTATES_NR_STATES];	/* changes of the gauges without a transition */
	struct tcpstates_handshakes handshakes;
	struct tcpstates_lives lives;
	/* No counters: what the hooks of this CPU need at each call. */
	struct tcps_ring *ring;			/* NULL: there was no memory for it */
	bool is_selective;			/* there may be no record of a step */
	struct tcps_listener *listener;		/* the last one that was found */
	struct tcps_pair *pair;		/* that a connection came to last */
	const struct request_sock *checked;	/* see subflow_checked() */
	const struct sock *clone;		/* of it: a subflow that is being made */
	struct tcps_slots slots;
	struct tcps_transition_count transitions[TCPS_NR_TRANSITIONS];
	u64 hists[TCPS_NR_HISTS][TCPSTATES_HIST_BUCKETS];
};

/*
 * Each CPU that is online, or was, has its own on its node; they are too large
 * for per-CPU memory, and most of those that are possible never come.
 */
struct tcps_stats {
	struct tcps_cpu_stats * __percpu *cpu;	/* NULL: it was never online */
	struct tcps_cpu_stats *reserve;		/* for a CPU that comes when memory is short */
};

int tcps_stats_init(struct tcps_stats *stats);
void tcps_stats_destroy(struct tcps_stats *stats);
size_t tcps_stats_memory(const struct tcps_stats *stats);

/* Before this CPU comes online, or as it is; @ring may be NULL. */
int tcps_stats_add(struct tcps_stats *stats, unsigned int cpu, struct tcps_ring *ring,
		   bool is_selective);

/**
 * tcps_stats_of() - the counters of any CPU
 * @stats: the counters
 * @cpu: the CPU
 *
 * Context: Any.
 * Return: the counters; NULL: it was never online.
 */
static inline struct tcps_cpu_stats *tcps_stats_of(const struct tcps_stats *stats,
						   unsigned int cpu)
{
	/* Pairs with the release store of tcps_stats_add(). */
	return smp_load_acquire(per_cpu_ptr(stats->cpu, cpu));
}

/**
 * tcps_stats_this_cpu() - the counters of this CPU
 * @stats: the counters
 *
 * Context: Any, interrupts off.
 */
static inline struct tcps_cpu_stats *tcps_stats_this_cpu(const struct tcps_stats *stats)
{
	lockdep_assert_irqs_disabled();
	return __this_cpu_read(*stats->cpu);
}

/*
 * Adds to a counter of this CPU's; interrupts are off. A data race that is meant: who sums up on
 * another CPU sees the word before it or after it, since an aligned one is written at once.
 */
#define tcps_add(counter, n)	data_race((counter) += (n))

/* Bucket of the histogram that tcpstates.h describes. */
static inline unsigned int tcps_hist_bucket(u64 ns)
{
	unsigned int shift, sub, bucket;

	if (ns < 1ULL << TCPSTATES_HIST_MIN_SHIFT)
		return 0;
	shift = __fls(ns);
	sub = (ns >> (shift - TCPSTATES_HIST_SUB_BITS)) & ((1 << TCPSTATES_HIST_SUB_BITS) - 1);
	bucket = 1 + ((shift - TCPSTATES_HIST_MIN_SHIFT) << TCPSTATES_HIST_SUB_BITS) + sub;
	return min_t(unsigned int, bucket, TCPSTATES_HIST_BUCKETS - 1);
}

/* One duration more. */
static inline void tcps_times_add(struct tcpstates_times *times, u64 ns)
{
	tcps_add(times->count, 1);
	tcps_add(times->total_ns, ns);
	if (ns > times->max_ns)
		WRITE_ONCE(times->max_ns, ns);
	tcps_add(times->hist[tcps_hist_bucket(ns)], 1);
}

/* Number of the transition from @old to @new, as an index. */
static inline unsigned int tcps_transition_nr(unsigned int old, unsigned int new)
{
	return old * TCPSTATES_NR_STATES + new;
}

/* A connection is in the state @to, not @from, without a transition. */
static inline void tcps_stats_rename(struct tcps_cpu_stats *stats, unsigned int from,
				     unsigned int to)
{
	tcps_add(stats->states[from], -1);
	tcps_add(stats->states[to], 1);
}

/* One transition; @ns, the time in the old state, counts if it is @timed. */
static inline void tcps_stats_transition(struct tcps_cpu_stats *stats, unsigned int old,
					 unsigned int new, bool timed, u64 ns)
{
	unsigned int nr = tcps_transition_nr(old, new);
	struct tcps_transition_count *counts;

	/* Without these, the size of one is a factor of both, and of each member's address. */
	OPTIMIZER_HIDE_VAR(nr);
	counts = &stats->transitions[nr];
	OPTIMIZER_HIDE_VAR(counts);
	tcps_add(counts->count, 1);
	if (!timed)
		return;
	tcps_add(counts->timed, 1);
	tcps_add(counts->total_ns, ns);
	if (ns > counts->max_ns)
		WRITE_ONCE(counts->max_ns, ns);
	tcps_add(stats->hists[tcps_hists[nr]][tcps_hist_bucket(ns)], 1);
}

void tcps_stats_add_untracked(struct tcps_stats *stats, unsigned int nr);

void tcps_stats_sum(const struct tcps_stats *stats, struct tcpstates_stats *out);
void tcps_stats_sum_lives(const struct tcps_stats *stats, struct tcpstates_lives *out);
bool tcps_stats_sum_transition(const struct tcps_stats *stats, unsigned int old, unsigned int new,
			       struct tcpstates_transition_count *out);

#endif
