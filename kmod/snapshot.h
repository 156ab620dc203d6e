/* SPDX-License-Identifier: GPL-2.0-only */
/* Live connections, given out in pieces. */
#ifndef TCPS_SNAPSHOT_H
#define TCPS_SNAPSHOT_H

#include <linux/types.h>

#include "tcpstates.h"

struct tcps_conn;
struct tcps_session;

/* Where a snapshot has come to; belongs to an open file. */
struct tcps_cursor {
	u64 generation;		/* 0: not started */
	unsigned long next;	/* index of the node that may come next */
	bool at_end;
};

/* The lock of the connection's shard is held. */
typedef void (*tcps_with_conn_t)(struct tcps_session *session, struct tcps_conn *conn,
				 void *data);

int tcps_walk_conns(struct tcps_session *session, tcps_with_conn_t with, void *data);
int tcps_snapshot(struct tcps_session *session, struct tcps_cursor *cursor,
		  struct tcpstates_snapshot *call);

#endif
