/* SPDX-License-Identifier: GPL-2.0-only */
/* Alarms: records that something is above its threshold, or no longer is. */
#ifndef TCPS_ALARMS_H
#define TCPS_ALARMS_H

#include <linux/types.h>

#include "state_class.h"
#include "tcpstates.h"

struct sock;
struct tcps_session;

/* One that may be raised; guarded by the lock of what it is about. */
struct tcps_alarm {
	u64 raised_ns;	/* 0: not raised */
	u64 threshold;
	u64 peak;
};

static inline bool tcps_alarm_is_raised(const struct tcps_alarm *alarm)
{
	return READ_ONCE(alarm->raised_ns);
}

/* What stays raised until it is below this does not flutter. */
static inline u64 tcps_alarm_clears_below(u64 threshold)
{
	return threshold - threshold / 5;
}

/* What an alarm is about. */
struct tcps_alarm_subject {
	u8 kind;				/* TCPSTATES_ALARM_* */
	const struct tcpstates_ident *who;
	const s32 *counts;			/* tcps_counts */
};

void tcps_alarm_raise(struct tcps_session *session, struct tcps_alarm *alarm,
		      const struct tcps_alarm_subject *subject, u64 value, u64 threshold);
void tcps_alarm_clear(struct tcps_session *session, struct tcps_alarm *alarm,
		      const struct tcps_alarm_subject *subject, u64 value);

#endif
