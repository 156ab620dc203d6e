// SPDX-License-Identifier: GPL-2.0-only
/* Counters of an activation: they never depend on the rings. */
#include <linux/cpumask.h>
#include <linux/mm.h>
#include <linux/processor.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/topology.h>
#include <net/tcp_states.h>

#include "handshake.h"
#include "ring.h"
#include "stats.h"

#define OTHERS 0
#define TRANSITION(old, new) ((old) * TCPSTATES_NR_STATES + (new))

/*
 * The transitions that the kernel can make, and this module records: only these
 * have a histogram of the time in the old state.
 */
const u8 tcps_hists[TCPS_NR_TRANSITIONS] = {
	[TRANSITION(TCPSTATES_STATE_NEW, TCP_NEW_SYN_RECV)] = 1,
	[TRANSITION(TCPSTATES_STATE_NEW, TCP_SYN_RECV)] = 2,
	[TRANSITION(TCP_CLOSE, TCP_LISTEN)] = 3,
	[TRANSITION(TCP_CLOSE, TCP_SYN_SENT)] = 4,
	[TRANSITION(TCP_LISTEN, TCP_CLOSE)] = 5,
	[TRANSITION(TCP_SYN_SENT, TCP_SYN_RECV)] = 6,
	[TRANSITION(TCP_SYN_SENT, TCP_ESTABLISHED)] = 7,
	[TRANSITION(TCP_SYN_SENT, TCP_CLOSE)] = 8,
	[TRANSITION(TCP_NEW_SYN_RECV, TCP_CLOSE)] = 9,
	[TRANSITION(TCP_SYN_RECV, TCP_ESTABLISHED)] = 10,
	[TRANSITION(TCP_SYN_RECV, TCP_FIN_WAIT1)] = 11,
	[TRANSITION(TCP_SYN_RECV, TCP_CLOSE_WAIT)] = 12,
	[TRANSITION(TCP_SYN_RECV, TCP_CLOSE)] = 13,
	[TRANSITION(TCP_ESTABLISHED, TCP_FIN_WAIT1)] = 14,
	[TRANSITION(TCP_ESTABLISHED, TCP_CLOSE_WAIT)] = 15,
	[TRANSITION(TCP_ESTABLISHED, TCP_CLOSE)] = 16,
	[TRANSITION(TCP_FIN_WAIT1, TCP_FIN_WAIT2)] = 17,
	[TRANSITION(TCP_FIN_WAIT1, TCP_CLOSING)] = 18,
	[TRANSITION(TCP_FIN_WAIT1, TCP_TIME_WAIT)] = 19,
	[TRANSITION(TCP_FIN_WAIT1, TCP_CLOSE)] = 20,
	[TRANSITION(TCP_FIN_WAIT2, TCP_TIME_WAIT)] = 21,
	[TRANSITION(TCP_FIN_WAIT2, TCP_CLOSE)] = 22,
	[TRANSITION(TCP_CLOSING, TCP_TIME_WAIT)] = 23,
	[TRANSITION(TCP_CLOSING, TCP_CLOSE)] = 24,
	[TRANSITION(TCP_TIME_WAIT, TCP_CLOSE)] = 25,
	[TRANSITION(TCP_CLOSE_WAIT, TCP_LAST_ACK)] = 26,
	[TRANSITION(TCP_CLOSE_WAIT, TCP_CLOSE)] = 27,
	[TRANSITION(TCP_LAST_ACK, TCP_CLOSE)] = 28,
};

/**
 * tcps_stats_destroy() - free the counters of all CPUs
 * @stats: the counters
 *
 * Context: Process context, may sleep. Nobody else uses them.
 */
void tcps_stats_destroy(struct tcps_stats *stats)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		kvfree(tcps_stats_of(stats, cpu));
	kvfree(stats->reserve);
	free_percpu(stats->cpu);
}

static struct tcps_cpu_stats *create(int node)
{
	return kvzalloc_node(sizeof(struct tcps_cpu_stats), GFP_KERNEL, node);
}

/**
 * tcps_stats_init() - prepare for the counters of CPUs
 * @stats: zeroed
 *
 * Context: Process context, may sleep.
 * Return: 0 or -ENOMEM.
 */
int tcps_stats_init(struct tcps_stats *stats)
{
	stats->cpu = alloc_percpu(struct tcps_cpu_stats *);
	if (!stats->cpu)
		return -ENOMEM;
	stats->reserve = create(NUMA_NO_NODE);
	if (!stats->reserve) {
		free_percpu(stats->cpu);
		return -ENOMEM;
	}
	return 0;
}

/* One CPU has the reserve; only then a next one has to wait until there is memory again. */
static struct tcps_cpu_stats *create_or_take(struct tcps_stats *stats, unsigned int cpu)
{
	struct tcps_cpu_stats *new = create(cpu_to_node(cpu));

	if (!new) {
		new = stats->reserve;
		stats->reserve = NULL;
	} else if (!stats->reserve) {
		stats->reserve = create(NUMA_NO_NODE);
	}
	return new;
}

/**
 * tcps_stats_add() - counters for a CPU that comes online, or is
 * @stats: the counters
 * @cpu: the CPU
 * @ring: its ring; NULL: none
 * @is_selective: there may be no record of a step
 *
 * Context: Process context, may sleep. One call at a time (see cpus.c).
 * Return: 0 or -ENOMEM.
 */
int tcps_stats_add(struct tcps_stats *stats, unsigned int cpu, struct tcps_ring *ring,
		   bool is_selective)
{
	struct tcps_cpu_stats *added = tcps_stats_of(stats, cpu);

	/* It was online before: what it counted stays, and it may have its ring now. */
	if (!added)
		added = create_or_take(stats, cpu);
	if (!added)
		return -ENOMEM;
	WRITE_ONCE(added->ring, ring);
	added->is_selective = is_selective || !ring;
	/* Readers do not wait for it. Pairs with the acquiring load of tcps_stats_of(). */
	smp_store_release(per_cpu_ptr(stats->cpu, cpu), added);
	return 0;
}

/**
 * tcps_stats_memory() - bytes of the counters of all CPUs
 * @stats: the counters
 *
 * Context: Any.
 */
size_t tcps_stats_memory(const struct tcps_stats *stats)
{
	size_t nr = !!stats->reserve;
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		nr += !!tcps_stats_of(stats, cpu);
	return nr * sizeof(struct tcps_cpu_stats);
}

/**
 * tcps_stats_add_untracked() - count untracked connections
 * @stats: the counters
 * @nr: how many
 *
 * Context: Process context.
 */
void tcps_stats_add_untracked(struct tcps_stats *stats, unsigned int nr)
{
	unsigned long flags;

	local_irq_save(flags);
	tcps_add(tcps_stats_this_cpu(stats)->untracked, nr);
	local_irq_restore(flags);
}

/* All members are counters. */
static void add_handshakes(const struct tcpstates_handshakes *from,
			   struct tcpstates_handshakes *to)
{
	const __u64 *counter = (const __u64 *)from;
	__u64 *sum = (__u64 *)to;
	size_t i;

	for (i = 0; i < sizeof(*from) / sizeof(*counter); i++)
		sum[i] += READ_ONCE(counter[i]);
}

/* What was seen on a CPU, and what became of it. */
struct totals {
	u64 seen;
	u64 alarms;
	u64 recorded;
	u64 filtered;
	u64 too_short;
	u64 ringless;
};

static bool is_balanced(const struct totals *totals)
{
	return totals->seen + totals->alarms ==
	       totals->recorded + totals->filtered + totals->too_short + totals->ringless;
}

/* How often the totals of a CPU are read at most, until they balance. */
#define READS_MAX	1000

/*
 * A hook on that CPU may be between two counters. It is soon done; if it is not (a
 * virtual CPU that does not run), the totals are a record apart.
 */
static struct totals read_totals(const struct tcps_cpu_stats *cpu)
{
	const struct tcps_ring *ring = READ_ONCE(cpu->ring);
	unsigned int left = READS_MAX;
	struct totals totals;

	for (;;) {
		totals.seen = READ_ONCE(cpu->seen);
		totals.alarms = READ_ONCE(cpu->alarms);
		totals.recorded = ring ? tcps_ring_head(ring) : 0;
		totals.filtered = READ_ONCE(cpu->filtered);
		totals.too_short = READ_ONCE(cpu->too_short);
		totals.ringless = READ_ONCE(cpu->ringless);
		if (is_balanced(&totals) || !--left)
			return totals;
		cpu_relax();
	}
}

/* Each transition has taken a connection from one gauge to another. */
static void add_moves(const struct tcps_cpu_stats *cpu, struct tcpstates_stats *out)
{
	unsigned int old, new;

	for (old = 0; old < TCPSTATES_NR_STATES; old++) {
		for (new = 0; new < TCPSTATES_NR_STATES; new++) {
			u64 nr = READ_ONCE(cpu->transitions[tcps_transition_nr(old, new)].count);

			out->states[old] -= nr;
			out->states[new] += nr;
		}
	}
}

static void add_cpu(const struct tcps_cpu_stats *cpu, struct tcpstates_stats *out)
{
	const struct totals totals = read_totals(cpu);
	unsigned int i;

	out->seen += totals.seen;
	out->alarms += totals.alarms;
	out->recorded += totals.recorded;
	out->filtered += totals.filtered;
	out->too_short += totals.too_short;
	out->ringless += totals.ringless;
	out->untracked += READ_ONCE(cpu->untracked);
	out->unmatched += READ_ONCE(cpu->unmatched);
	out->stale += READ_ONCE(cpu->stale);
	out->seeded += READ_ONCE(cpu->seeded);
	for (i = 0; i < TCPSTATES_NR_STATES; i++)
		out->states[i] += READ_ONCE(cpu->states[i]);
	add_moves(cpu, out);
	add_handshakes(&cpu->handshakes, &out->handshakes);
}

/*
 * A connection that moves between two CPUs during the sum may be counted in
 * both states or in none; a gauge must not come out below zero for that.
 */
static void settle_gauges(struct tcpstates_stats *out)
{
	unsigned int i;

	out->tracked = 0;
	for (i = 0; i < TCPSTATES_NR_STATES; i++) {
		if ((s64)out->states[i] < 0)
			out->states[i] = 0;
		out->tracked += out->states[i];
	}
}

/**
 * tcps_stats_sum() - add the counters of all CPUs
 * @stats: the counters
 * @out: zeroed
 *
 * Context: Process context.
 */
void tcps_stats_sum(const struct tcps_stats *stats, struct tcpstates_stats *out)
{
	const struct tcps_cpu_stats *added;
	unsigned int cpu;

	for_each_possible_cpu(cpu) {
		added = tcps_stats_of(stats, cpu);
		if (added)
			add_cpu(added, out);
	}
	settle_gauges(out);
	tcps_settle_cookies(&out->handshakes);
}

static void add_times(const struct tcpstates_times *from, struct tcpstates_times *to)
{
	unsigned int i;

	if (!READ_ONCE(from->count))
		return;
	to->count += READ_ONCE(from->count);
	to->total_ns += READ_ONCE(from->total_ns);
	to->max_ns = max_t(__u64, to->max_ns, READ_ONCE(from->max_ns));
	for (i = 0; i < TCPSTATES_HIST_BUCKETS; i++)
		to->hist[i] += READ_ONCE(from->hist[i]);
}

/**
 * tcps_stats_sum_lives() - add ends and durations of all CPUs
 * @stats: the counters
 * @out: zeroed
 *
 * Context: Process context.
 */
void tcps_stats_sum_lives(const struct tcps_stats *stats, struct tcpstates_lives *out)
{
	unsigned int cpu, i;

	for_each_possible_cpu(cpu) {
		const struct tcps_cpu_stats *of_cpu = tcps_stats_of(stats, cpu);

		if (!of_cpu)
			continue;
		for (i = 0; i < TCPSTATES_NR_ENDS; i++)
			out->ends[i] += READ_ONCE(of_cpu->lives.ends[i]);
		for (i = 0; i < TCPSTATES_NR_ROLES; i++)
			add_times(&of_cpu->lives.life[i], &out->life[i]);
		add_times(&of_cpu->lives.accept_wait, &out->accept_wait);
	}
}

static void add_transition(const struct tcps_cpu_stats *stats, unsigned int nr,
			   struct tcpstates_transition_count *out)
{
	const struct tcps_transition_count *counts = &stats->transitions[nr];
	unsigned int i;

	if (!READ_ONCE(counts->count))
		return;
	out->count += READ_ONCE(counts->count);
	out->timed += READ_ONCE(counts->timed);
	out->total_ns += READ_ONCE(counts->total_ns);
	out->max_ns = max_t(__u64, out->max_ns, READ_ONCE(counts->max_ns));
	if (tcps_hists[nr] == OTHERS)
		return;
	for (i = 0; i < TCPSTATES_HIST_BUCKETS; i++)
		out->hist[i] += READ_ONCE(stats->hists[tcps_hists[nr]][i]);
}

/**
 * tcps_stats_sum_transition() - add a transition's counters of all CPUs
 * @stats: the counters
 * @old: its old state
 * @new: its new state
 * @out: where to store it
 *
 * Context: Process context.
 * Return: false: it was not seen.
 */
bool tcps_stats_sum_transition(const struct tcps_stats *stats, unsigned int old, unsigned int new,
			       struct tcpstates_transition_count *out)
{
	const struct tcps_cpu_stats *added;
	unsigned int cpu;

	memset(out, 0, sizeof(*out));
	out->old_state = old;
	out->new_state = new;
	for_each_possible_cpu(cpu) {
		added = tcps_stats_of(stats, cpu);
		if (added)
			add_transition(added, tcps_transition_nr(old, new), out);
	}
	return out->count;
}
