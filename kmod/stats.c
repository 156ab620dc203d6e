// SPDX-License-Identifier: GPL-2.0-only
/* Counters of an activation: they never depend on the rings. */
#include <linux/cpumask.h>
#include <linux/mm.h>
#include <linux/processor.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/topology.h>

#include "rings.h"
#include "stats.h"

void tcps_stats_destroy(struct tcps_stats *stats)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		kvfree(*per_cpu_ptr(stats->cpu, cpu));
	free_percpu(stats->cpu);
}

/* @rings stay as long. */
int tcps_stats_init(struct tcps_stats *stats, struct tcps_rings *rings)
{
	unsigned int cpu;

	stats->cpu = alloc_percpu(struct tcps_cpu_stats *);
	if (!stats->cpu)
		return -ENOMEM;
	for_each_possible_cpu(cpu) {
		struct tcps_cpu_stats *of_cpu = kvzalloc_node(sizeof(*of_cpu), GFP_KERNEL,
							      cpu_to_node(cpu));

		if (!of_cpu) {
			tcps_stats_destroy(stats);
			return -ENOMEM;
		}
		of_cpu->ring = &rings->cpu[cpu]->ring;
		*per_cpu_ptr(stats->cpu, cpu) = of_cpu;
	}
	return 0;
}

size_t tcps_stats_memory(void)
{
	return num_possible_cpus() * sizeof(struct tcps_cpu_stats);
}

/* From process context. */
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
struct books {
	u64 seen;
	u64 alarms;
	u64 recorded;
	u64 filtered;
	u64 too_short;
};

static bool is_balanced(const struct books *books)
{
	return books->seen + books->alarms ==
	       books->recorded + books->filtered + books->too_short;
}

/* So often the books of a CPU are read until they are of one moment. */
#define READS_MAX	1000

/*
 * A hook on that CPU may be between two entries. It is soon done; if what
 * runs it is not (a virtual CPU that has to wait), they are a record apart.
 */
static struct books read_books(const struct tcps_cpu_stats *cpu)
{
	unsigned int left = READS_MAX;
	struct books books;

	for (;;) {
		books.seen = READ_ONCE(cpu->seen);
		books.alarms = READ_ONCE(cpu->alarms);
		books.recorded = tcps_ring_head(cpu->ring);
		books.filtered = READ_ONCE(cpu->filtered);
		books.too_short = READ_ONCE(cpu->too_short);
		if (is_balanced(&books) || !--left)
			return books;
		cpu_relax();
	}
}

static void add_cpu(const struct tcps_cpu_stats *cpu, struct tcpstates_stats *out)
{
	const struct books books = read_books(cpu);
	unsigned int i;

	out->seen += books.seen;
	out->alarms += books.alarms;
	out->recorded += books.recorded;
	out->filtered += books.filtered;
	out->too_short += books.too_short;
	out->untracked += READ_ONCE(cpu->untracked);
	out->unmatched += READ_ONCE(cpu->unmatched);
	out->stale += READ_ONCE(cpu->stale);
	out->seeded += READ_ONCE(cpu->seeded);
	for (i = 0; i < TCPSTATES_NR_STATES; i++)
		out->states[i] += READ_ONCE(cpu->states[i]);
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

/* Adds to the counters of @out, which the caller has zeroed. */
void tcps_stats_sum(const struct tcps_stats *stats, struct tcpstates_stats *out)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		add_cpu(*per_cpu_ptr(stats->cpu, cpu), out);
	settle_gauges(out);
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

/* Adds to @out, which the caller has zeroed. */
void tcps_stats_sum_lives(const struct tcps_stats *stats, struct tcpstates_lives *out)
{
	unsigned int cpu, i;

	for_each_possible_cpu(cpu) {
		const struct tcps_cpu_stats *of_cpu = *per_cpu_ptr(stats->cpu, cpu);

		for (i = 0; i < TCPSTATES_NR_ENDS; i++)
			out->ends[i] += READ_ONCE(of_cpu->lives.ends[i]);
		for (i = 0; i < TCPSTATES_NR_ROLES; i++)
			add_times(&of_cpu->lives.life[i], &out->life[i]);
		add_times(&of_cpu->lives.accept_wait, &out->accept_wait);
	}
}

/* False when no such transition was seen. */
bool tcps_stats_sum_edge(const struct tcps_stats *stats, unsigned int old, unsigned int new,
			 struct tcpstates_edge *out)
{
	unsigned int cpu, i;

	memset(out, 0, sizeof(*out));
	out->old_state = old;
	out->new_state = new;
	for_each_possible_cpu(cpu) {
		const struct tcps_cpu_stats *of_cpu = *per_cpu_ptr(stats->cpu, cpu);
		const struct tcps_edge *edge = &of_cpu->edges[tcps_edge_nr(old, new)];

		if (!READ_ONCE(edge->count))
			continue;
		out->count += READ_ONCE(edge->count);
		out->timed += READ_ONCE(edge->timed);
		out->total_ns += READ_ONCE(edge->total_ns);
		out->max_ns = max_t(__u64, out->max_ns, READ_ONCE(edge->max_ns));
		for (i = 0; i < TCPSTATES_HIST_BUCKETS; i++)
			out->hist[i] += READ_ONCE(edge->hist[i]);
	}
	return out->count;
}
