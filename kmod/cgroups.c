// SPDX-License-Identifier: GPL-2.0-only
/*
 * Live connections counted by cgroup and state: at the moment of the call, by
 * a walk, so that no hook pays for it.
 */
#include <linux/err.h>
#include <linux/hash.h>
#include <linux/log2.h>
#include <linux/mm.h>

#include "cgroups.h"
#include "conns.h"
#include "session.h"
#include "snapshot.h"

static_assert(TCPSTATES_CGROUPS_MAX < 1 << 16);

/* The last entry counts for all cgroups that do not fit in the table. */
static struct tcpstates_cgroup *entry_of(struct tcps_cgroups *cgroups, u64 id)
{
	unsigned int slot = hash_64(id, ilog2(TCPS_CGROUP_SLOTS));

	while (cgroups->slots[slot]) {
		struct tcpstates_cgroup *entry = &cgroups->entries[cgroups->slots[slot] - 1];

		if (entry->cgroup == id)
			return entry;
		slot = (slot + 1) % TCPS_CGROUP_SLOTS;
	}
	if (cgroups->nr >= TCPSTATES_CGROUPS_MAX) {
		cgroups->nr = TCPSTATES_CGROUPS_MAX + 1;
		cgroups->entries[TCPSTATES_CGROUPS_MAX].cgroup = TCPSTATES_CGROUP_OTHERS;
		return &cgroups->entries[TCPSTATES_CGROUPS_MAX];
	}
	cgroups->slots[slot] = ++cgroups->nr;
	cgroups->entries[cgroups->nr - 1].cgroup = id;
	return &cgroups->entries[cgroups->nr - 1];
}

static void count(struct tcps_session *session, struct tcps_conn *conn, void *data)
{
	tcps_conns_assert_held(&session->conns, conn);
	entry_of(data, conn->known.cgroup)->states[conn->state]++;
}

/**
 * tcps_cgroups_count() - count the live connections by cgroup
 * @session: the activation
 *
 * Context: Process context, may sleep. Takes the locks of shards, one after the
 *	other.
 * Return: the counts, for tcps_cgroups_free(), or an ERR_PTR().
 */
struct tcps_cgroups *tcps_cgroups_count(struct tcps_session *session)
{
	struct tcps_cgroups *cgroups = kvzalloc(sizeof(*cgroups), GFP_KERNEL);
	int err;

	if (!cgroups)
		return ERR_PTR(-ENOMEM);
	err = tcps_walk_conns(session, count, cgroups);
	if (err) {
		kvfree(cgroups);
		return ERR_PTR(err);
	}
	return cgroups;
}

/**
 * tcps_cgroups_free() - free counts
 * @cgroups: the counts
 *
 * Context: Process context.
 */
void tcps_cgroups_free(struct tcps_cgroups *cgroups)
{
	kvfree(cgroups);
}
