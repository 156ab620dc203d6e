/* SPDX-License-Identifier: GPL-2.0-only */
/* Classes of states, by which connections are counted for pairs and listeners. */
#ifndef TCPS_STATE_CLASS_H
#define TCPS_STATE_CLASS_H

#include <linux/compiler.h>
#include <linux/kernel.h>
#include <linux/types.h>

#include "tcpstates.h"

enum tcps_class {
	TCPS_HALF_OPEN,		/* SYN_SENT, SYN_RECV */
	TCPS_ESTABLISHED,
	TCPS_CLOSING,		/* a FIN was sent or came, but for TIME_WAIT */
	TCPS_IN_TIMEWAIT,
	TCPS_NR_CLASSES,
	TCPS_NO_CLASS = TCPS_NR_CLASSES,	/* no connection: NEW, CLOSE */
	TCPS_LISTENING,				/* likewise none */
};

/* By state. */
extern const u8 tcps_state_class[TCPSTATES_NR_STATES];

/* Connections by class, as they are counted for pairs and listeners. */
typedef s32 tcps_counts[TCPS_NR_CLASSES];

/*
 * A connection goes from one class to another. These are this CPU's own, or
 * their lock is held.
 */
static __always_inline void tcps_count_move(s32 *counts, u8 from, u8 to)
{
	if (from < TCPS_NR_CLASSES)
		data_race(counts[from]--);	/* as in tcps_add() */
	if (to < TCPS_NR_CLASSES)
		data_race(counts[to]++);	/* likewise */
}

/* The same, where there is a connection in both. */
static __always_inline void tcps_count_shift(s32 *counts, u8 from, u8 to)
{
	data_race(counts[from]--);	/* as in tcps_add() */
	data_race(counts[to]++);	/* likewise */
}

/* Those that are not in TIME_WAIT. */
static __always_inline s32 tcps_count_live(const s32 *counts)
{
	return counts[TCPS_HALF_OPEN] + counts[TCPS_ESTABLISHED] + counts[TCPS_CLOSING];
}

/* Is it one of these? */
static __always_inline bool tcps_class_is_live(u8 class)
{
	return class < TCPS_IN_TIMEWAIT;
}

/* While CPUs count, a sum may be of different moments: then not below zero. */
static inline u32 tcps_count_of(const s32 *counts, enum tcps_class class)
{
	return max(counts[class], 0);
}

#endif
