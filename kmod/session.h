/* SPDX-License-Identifier: GPL-2.0-only */
/* An activation: all that lives from --activate to --deactivate. */
#ifndef TCPS_SESSION_H
#define TCPS_SESSION_H

#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>

#include "clocks.h"
#include "conns.h"
#include "filter.h"
#include "pairs.h"
#include "hooks.h"
#include "listeners.h"
#include "migrations.h"
#include "mptcp.h"
#include "rings.h"
#include "stats.h"

/* How far reports have come in one ring. */
struct tcps_consumed {
	u64 position;
	u64 overwritten;
};

/*
 * Locking rule: config and hooks do not change while hooks are attached, rings
 * and stats only as CPUs come online (cpus.c); conns, pairs and listeners have
 * locks of their own; @consume_lock guards what reports have consumed. The
 * reference keeps the memory, the hooks need none: they are detached before the
 * last one can go.
 */
struct tcps_session {
	struct kref ref;
	u64 generation;
	u64 activated_ns;
	struct tcpstates_config config;
	bool has_filter;	/* config.filter lets not everything pass */
	bool is_selective;	/* it, or config.min_ns, leaves something out */
	struct tcps_conns conns;
	struct tcps_pairs pairs;
	struct tcps_listeners listeners;
	struct hlist_node cpus;	/* in the list of who prepares for CPUs that come online */
	struct tcps_rings *rings;
	struct tcps_stats stats;
	struct tcps_clocks clocks;
	struct tcps_hooks hooks;
	struct tcps_socket_owners owners;
	struct tcps_migrations migrations;
	bool seeding;		/* what exists is still being looked for */

	/*
	 * While hooks are attached, the socket of a node in the tree is
	 * alive. Sockets are read only with @live held for reading and @ended
	 * unset; it is set, under @live, before the hooks are detached.
	 */
	struct rw_semaphore live;
	bool ended;

	struct mutex consume_lock;	/* guards all below */
	u64 consumed_ns;
	struct tcps_consumed *consumed;	/* by CPU */
};

int tcps_activate(const struct tcpstates_config *config, const char **failed_symbol);
int tcps_deactivate(void);

/* The active session with a reference, or NULL. */
struct tcps_session *tcps_session_get(void);
void tcps_session_put(struct tcps_session *session);

u64 tcps_session_memory(struct tcps_session *session);
int tcps_session_consume(struct tcps_session *session, const struct tcpstates_consumed *entries,
			 unsigned int nr);
u64 tcps_session_consumed(struct tcps_session *session);

#endif
