/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Subflows of MPTCP connections: TCP connections that the kernel makes for an
 * MPTCP socket. The task that opened it is not the one that calls tcp_connect(),
 * and no task accepts a subflow; but they share the inode number of its socket.
 */
#ifndef TCPS_MPTCP_H
#define TCPS_MPTCP_H

#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <net/mptcp.h>

#include "conns.h"
#include "tcpstates.h"

struct tcps_session;

/* Who called connect() or accept() of an MPTCP socket. */
struct tcps_socket_owner {
	u64 ino;	/* of the struct socket; 0: none */
	u64 cgroup;
	u32 pid;
	char comm[TASK_COMM_LEN];
};

/* Powers of two. */
#define TCPS_OWNER_SETS		256
#define TCPS_OWNER_WAYS		8

/* Those whose inode numbers share a hash: a new one replaces the oldest. */
struct tcps_owner_set {
	unsigned int next;
	struct tcps_socket_owner way[TCPS_OWNER_WAYS];
};

/*
 * Of the last 2,000 or so MPTCP sockets that were opened: a subflow learns its
 * owner at its next step, or when live connections are looked at. Locking rule:
 * @lock is raw and taken with interrupts off. See locks.h for the order of locks.
 */
struct tcps_socket_owners {
	raw_spinlock_t lock;
	struct tcps_owner_set sets[TCPS_OWNER_SETS];
};

void tcps_socket_owners_init(struct tcps_socket_owners *owners);

/* In the context of the owner, interrupts off. */
void tcps_socket_owned(struct tcps_session *session, u64 ino, const struct tcps_known *known);

/* The connection is a subflow without an owner: who has opened its MPTCP socket? */
void tcps_subflow_find_owner(struct tcps_session *session, struct tcps_conn *conn,
			     const struct sock *sk);

static inline bool tcps_lacks_subflow_owner(const struct tcps_conn *conn)
{
	const u16 flags = TCPSTATES_IS_SUBFLOW | TCPSTATES_HAS_OWNER;

	return unlikely((conn->known.flags & flags) == TCPSTATES_IS_SUBFLOW);
}

/* Is the full socket @sk a subflow? During the handshake it may still fall back to plain TCP. */
static inline void tcps_mark_subflow(struct tcps_conn *conn, const struct sock *sk)
{
	if (unlikely(sk_is_mptcp(sk)))
		conn->known.flags |= TCPSTATES_IS_SUBFLOW;
}

#endif
