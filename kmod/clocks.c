// SPDX-License-Identifier: GPL-2.0-only
/*
 * By how much the wall clock is ahead of CLOCK_MONOTONIC, and since when: so
 * that the wall-clock time of an event stays what it was.
 *
 * The difference changes in steps only, because both clocks are slewed together.
 * A hook notes each step, and a PM notifier the one of a suspend, during which
 * CLOCK_MONOTONIC stands still. Without the hook, the clocks are compared when
 * the offsets are read. The hooks of TCP do no work for this.
 */
#include <linux/ktime.h>
#include <linux/string.h>
#include <linux/suspend.h>
#include <linux/timekeeping.h>

#include "clocks.h"
#include "locks.h"

static s64 offset_at(u64 now)
{
	return ktime_to_ns(ktime_mono_to_real(ns_to_ktime(now))) - now;
}

/* If the table is full, the oldest offset but the first one is dropped. */
static void add(struct tcps_clocks *clocks, u64 now, s64 offset)
{
	lockdep_assert_held(&clocks->lock);
	if (clocks->nr == TCPSTATES_CLOCKS_MAX) {
		clocks->nr--;
		memmove(&clocks->all[1], &clocks->all[2],
			(clocks->nr - 1) * sizeof(clocks->all[0]));
	}
	clocks->all[clocks->nr++] = (struct tcpstates_clock){ now, offset };
}

/**
 * tcps_clocks_compare() - note a step of the wall clock, if there was one
 * @clocks: the clocks
 *
 * Context: Any. Takes the lock of @clocks.
 */
void tcps_clocks_compare(struct tcps_clocks *clocks)
{
	unsigned long flags;
	s64 offset;
	u64 now;

	raw_spin_lock_irqsave(&clocks->lock, flags);
	now = ktime_get_ns();
	offset = offset_at(now);
	if (offset != clocks->all[clocks->nr - 1].offset_ns) {
		add(clocks, now, offset);
		clocks->changes++;
	}
	raw_spin_unlock_irqrestore(&clocks->lock, flags);
}

static int on_suspend(struct notifier_block *resume, unsigned long event, void *data)
{
	if (event == PM_POST_SUSPEND || event == PM_POST_HIBERNATION)
		tcps_clocks_compare(container_of(resume, struct tcps_clocks, resume));
	return NOTIFY_DONE;
}

/**
 * tcps_clocks_start() - note the present offset of the wall clock, and its steps from now on
 * @clocks: zeroed
 * @now: time of CLOCK_MONOTONIC
 *
 * Context: Process context, may sleep.
 * Return: 0 or an error.
 */
int tcps_clocks_start(struct tcps_clocks *clocks, u64 now)
{
	raw_spin_lock_init(&clocks->lock);
	clocks->all[0] = (struct tcpstates_clock){ now, offset_at(now) };
	clocks->nr = 1;
	clocks->resume.notifier_call = on_suspend;
	return register_pm_notifier(&clocks->resume);
}

/**
 * tcps_clocks_end() - note no steps at a resume any more
 * @clocks: the clocks, started
 *
 * Context: Process context, may sleep.
 */
void tcps_clocks_end(struct tcps_clocks *clocks)
{
	unregister_pm_notifier(&clocks->resume);
}

/**
 * tcps_clocks_get() - an offset of the wall clock
 * @clocks: the clocks
 * @index: 0: the first one
 * @out: where to store it
 *
 * Context: Process context. Takes the lock of @clocks.
 * Return: false if there is none of this number.
 */
bool tcps_clocks_get(struct tcps_clocks *clocks, unsigned int index,
		     struct tcpstates_clock *out)
{
	unsigned long flags;
	bool has;

	raw_spin_lock_irqsave(&clocks->lock, flags);
	has = index < clocks->nr;
	if (has)
		*out = clocks->all[index];
	raw_spin_unlock_irqrestore(&clocks->lock, flags);
	return has;
}

/**
 * tcps_clocks_nr() - the number of offsets for tcps_clocks_get()
 * @clocks: the clocks
 *
 * Context: Any.
 */
unsigned int tcps_clocks_nr(struct tcps_clocks *clocks)
{
	return READ_ONCE(clocks->nr);
}

/**
 * tcps_clocks_changes() - the number of steps since the activation
 * @clocks: the clocks
 *
 * Context: Any.
 */
u64 tcps_clocks_changes(struct tcps_clocks *clocks)
{
	return READ_ONCE(clocks->changes);
}
