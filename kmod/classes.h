/* SPDX-License-Identifier: GPL-2.0-only */
/* Classes of states, by which connections are counted for pairs and listeners. */
#ifndef TCPS_CLASSES_H
#define TCPS_CLASSES_H

#include <linux/atomic.h>
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
extern const u8 tcps_classes[TCPSTATES_NR_STATES];

static inline u32 tcps_count_of(const atomic_t *counts, enum tcps_class class)
{
	return atomic_read(&counts[class]);
}

/* A connection goes from one class to another. */
static inline void tcps_count_move(atomic_t *counts, u8 from, u8 to)
{
	if (from < TCPS_NR_CLASSES)
		atomic_dec(&counts[from]);
	if (to < TCPS_NR_CLASSES)
		atomic_inc(&counts[to]);
}

#endif
