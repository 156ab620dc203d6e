/* SPDX-License-Identifier: GPL-2.0-only */
/* Live connections counted by cgroup and state, when somebody asks. */
#ifndef TCPS_CGROUPS_H
#define TCPS_CGROUPS_H

#include <linux/types.h>

#include "tcpstates.h"

struct tcps_session;

/* Twice the number of entries, so that a search is short. */
#define TCPS_CGROUP_SLOTS	(2 * TCPSTATES_CGROUPS_MAX)

struct tcps_cgroups {
	unsigned int nr;
	u16 slots[TCPS_CGROUP_SLOTS];	/* 1 + index of an entry, 0: free */
	struct tcpstates_cgroup entries[TCPSTATES_CGROUPS_MAX + 1];
};

struct tcps_cgroups *tcps_cgroups_count(struct tcps_session *session);
void tcps_cgroups_free(struct tcps_cgroups *cgroups);

#endif
