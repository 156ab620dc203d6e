// SPDX-License-Identifier: GPL-2.0-only
/* Who opened the MPTCP socket of a subflow. */
#include <linux/hash.h>
#include <linux/log2.h>
#include <linux/string.h>

#include "mptcp.h"
#include "session.h"
#include "sockinfo.h"

/**
 * tcps_socket_owners_init() - nobody owns a socket yet
 * @owners: zeroed
 *
 * Context: Process context.
 */
void tcps_socket_owners_init(struct tcps_socket_owners *owners)
{
	raw_spin_lock_init(&owners->lock);
}

static struct tcps_owner_set *set_of(struct tcps_socket_owners *owners, u64 ino)
{
	return &owners->sets[hash_64(ino, ilog2(TCPS_OWNER_SETS))];
}

/* NULL: it is not known. */
static struct tcps_socket_owner *find(struct tcps_socket_owners *owners, u64 ino)
{
	struct tcps_owner_set *set = set_of(owners, ino);
	unsigned int i;

	lockdep_assert_held(&owners->lock);
	for (i = 0; i < TCPS_OWNER_WAYS; i++)
		if (set->way[i].ino == ino)
			return &set->way[i];
	return NULL;
}

/**
 * tcps_socket_owned() - an MPTCP socket was opened
 * @session: the activation
 * @ino: inode number of its struct socket; 0: none
 * @known: who opened it
 *
 * Context: Process context of the owner, interrupts off. Takes the lock of owners.
 */
void tcps_socket_owned(struct tcps_session *session, u64 ino, const struct tcps_known *known)
{
	struct tcps_owner_set *set = set_of(&session->owners, ino);
	struct tcps_socket_owner *owner;

	lockdep_assert_irqs_disabled();
	if (!ino)
		return;
	raw_spin_lock(&session->owners.lock);
	owner = find(&session->owners, ino) ?: &set->way[set->next++ % TCPS_OWNER_WAYS];
	owner->ino = ino;
	owner->cgroup = known->cgroup;
	owner->pid = known->pid;
	memcpy(owner->comm, known->comm, sizeof(owner->comm));
	raw_spin_unlock(&session->owners.lock);
}

/**
 * tcps_subflow_find_owner() - learn the owner of a subflow
 * @session: the activation
 * @conn: node, without an owner
 * @sk: its full socket
 *
 * Context: Any, interrupts off. The lock of the shard of @conn. Takes that of
 *	owners.
 */
void tcps_subflow_find_owner(struct tcps_session *session, struct tcps_conn *conn,
			     const struct sock *sk)
{
	u64 ino = tcps_sock_ino(sk);
	const struct tcps_socket_owner *owner;

	tcps_conns_assert_held(&session->conns, conn);
	if (!ino)
		return;
	raw_spin_lock(&session->owners.lock);
	owner = find(&session->owners, ino);
	if (owner) {
		conn->known.pid = owner->pid;
		conn->known.cgroup = owner->cgroup;
		memcpy(conn->known.comm, owner->comm, sizeof(conn->known.comm));
		conn->known.uid = tcps_sock_uid(sk);
		conn->known.flags |= TCPSTATES_HAS_OWNER | TCPSTATES_HAS_UID;
	}
	raw_spin_unlock(&session->owners.lock);
}
