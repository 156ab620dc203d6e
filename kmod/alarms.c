// SPDX-License-Identifier: GPL-2.0-only
/* Alarms: records that something is above its threshold, or no longer is. */
#include <linux/ktime.h>
#include <linux/string.h>

#include "alarms.h"
#include "locks.h"
#include "session.h"

static void write_record(struct tcps_ring *ring, const struct tcps_alarm *alarm,
			 const struct tcps_alarm_subject *subject, u64 value, bool raised,
			 u64 now)
{
	u64 pos = tcps_ring_position(ring);
	struct tcpstates_record *slot = tcps_ring_begin(ring, pos);
	struct tcpstates_alarm *rec = (struct tcpstates_alarm *)slot;

	rec->ts = now;
	rec->value = value;
	rec->type = TCPSTATES_REC_ALARM;
	rec->kind = subject->kind;
	rec->raised = raised;
	rec->reserved0 = 0;
	rec->who = *subject->who;
	rec->threshold = alarm->threshold;
	rec->raised_ns = alarm->raised_ns;
	rec->peak = alarm->peak;
	rec->half_open = tcps_count_of(subject->counts, TCPS_HALF_OPEN);
	rec->established = tcps_count_of(subject->counts, TCPS_ESTABLISHED);
	rec->closing = tcps_count_of(subject->counts, TCPS_CLOSING);
	rec->timewait = tcps_count_of(subject->counts, TCPS_IN_TIMEWAIT);
	/* The slot holds an older record. */
	memset(rec->reserved, 0, sizeof(rec->reserved));
	tcps_ring_commit(ring, slot, pos);
}

static void write_alarm(struct tcps_session *session, const struct tcps_alarm *alarm,
			const struct tcps_alarm_subject *subject, u64 value, bool raised, u64 now)
{
	struct tcps_cpu_stats *stats = tcps_stats_this_cpu(&session->stats);

	lockdep_assert_irqs_disabled();
	if (likely(stats->ring))
		write_record(stats->ring, alarm, subject, value, raised, now);
	else
		tcps_add(stats->ringless, 1);
	tcps_add(stats->alarms, 1);
	tcps_rings_wake(session->rings);
}

/**
 * tcps_alarm_raise() - raise an alarm, and record that
 * @session: the activation
 * @alarm: the alarm, not raised
 * @subject: what it is about
 * @value: what has become too much
 * @threshold: from which on it is
 *
 * Context: Any, interrupts off. The lock that guards @alarm.
 */
void tcps_alarm_raise(struct tcps_session *session, struct tcps_alarm *alarm,
		      const struct tcps_alarm_subject *subject, u64 value, u64 threshold)
{
	u64 now = ktime_get_ns();

	alarm->threshold = threshold;
	alarm->peak = value;
	WRITE_ONCE(alarm->raised_ns, now);
	write_alarm(session, alarm, subject, value, true, now);
}

/**
 * tcps_alarm_clear() - clear an alarm, and record that
 * @session: the activation
 * @alarm: the alarm, raised
 * @subject: what it is about
 * @value: what is no longer too much
 *
 * Context: Any, interrupts off. The lock that guards @alarm.
 */
void tcps_alarm_clear(struct tcps_session *session, struct tcps_alarm *alarm,
		      const struct tcps_alarm_subject *subject, u64 value)
{
	write_alarm(session, alarm, subject, value, false, ktime_get_ns());
	WRITE_ONCE(alarm->raised_ns, 0);
}
