/* SPDX-License-Identifier: GPL-2.0-only */
/* Connections that exist at the activation, of every network namespace. */
#ifndef TCPS_SEED_H
#define TCPS_SEED_H

#include <linux/compiler.h>

#include "session.h"

void tcps_seed(struct tcps_session *session);
struct tcps_conn *tcps_seed_now(struct tcps_session *session, struct tcps_shard *shard,
				const struct sock *sk);

/**
 * tcps_seed_early() - a node for a socket that existed at the activation
 * @session: the activation
 * @shard: shard of @sk
 * @sk: untracked socket of a hook
 *
 * Context: Any, interrupts off. The lock of @shard.
 * Return: the node, made now; NULL: seeding has ended, or none is free.
 */
static inline struct tcps_conn *tcps_seed_early(struct tcps_session *session,
						struct tcps_shard *shard, const struct sock *sk)
{
	lockdep_assert_held(&shard->lock);
	return READ_ONCE(session->seeding) ? tcps_seed_now(session, shard, sk) : NULL;
}

#endif
