/* SPDX-License-Identifier: GPL-2.0-only */
/* Connections that exist at the activation, of every network namespace. */
#ifndef TCPS_SEED_H
#define TCPS_SEED_H

#include <linux/compiler.h>

#include "session.h"

void tcps_seed(struct tcps_session *session);
struct tcps_conn *tcps_seed_now(struct tcps_session *session, struct tcps_shard *shard,
				const struct sock *sk);

/*
 * A hook is called for @sk, which has no node. If it was there at the activation, but has not
 * been found yet, it gets one now; else NULL. The shard's lock is held.
 */
static inline struct tcps_conn *tcps_seed_early(struct tcps_session *session,
						struct tcps_shard *shard, const struct sock *sk)
{
	lockdep_assert_held(&shard->lock);
	return READ_ONCE(session->seeding) ? tcps_seed_now(session, shard, sk) : NULL;
}

#endif
