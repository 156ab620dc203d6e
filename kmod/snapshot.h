/* SPDX-License-Identifier: GPL-2.0-only */
/* Live connections, given out in pieces. */
#ifndef TCPS_SNAPSHOT_H
#define TCPS_SNAPSHOT_H

#include "tcpstates.h"

struct sock;
struct tcps_session;

/* Where a snapshot has come to; belongs to an open file. */
struct tcps_cursor {
	u64 generation;		/* 0: nothing was begun */
	unsigned int shard;
	const struct sock *last;	/* of the shard; compared, never followed */
};

int tcps_snapshot(struct tcps_session *session, struct tcps_cursor *cursor,
		  struct tcpstates_snapshot *call);

#endif
