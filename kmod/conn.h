/* SPDX-License-Identifier: GPL-2.0-only */
/* The node of a live connection. */
#ifndef TCPS_CONN_H
#define TCPS_CONN_H

#include <linux/rbtree.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/types.h>

#include "tcpstates.h"

struct sock;

/* What kind of socket stands for a connection now, and how it is read. */
enum tcps_kind {
	TCPS_FULL,	/* struct tcp_sock */
	TCPS_REQUEST,	/* struct tcp_request_sock: half-open */
	TCPS_TIMEWAIT,	/* struct tcp_timewait_sock: TIME_WAIT, orphaned FIN_WAIT2 */
};

/* What is not in the socket: the head of struct tcpstates_ident, copied as a whole. */
struct tcps_known {
	u64 id;
	u64 cgroup;
	__u8 listener_addr[16];
	char comm[TASK_COMM_LEN];
	u32 netns;
	u32 pid;
	u32 uid;
	u16 listener_port;
	u16 flags;		/* TCPSTATES_HAS_*, _SEEDED */
};

static_assert(sizeof(struct tcps_known) == offsetof(struct tcpstates_ident, laddr));
static_assert(offsetof(struct tcps_known, listener_addr) ==
	      offsetof(struct tcpstates_ident, listener_addr));
static_assert(offsetof(struct tcps_known, comm) == offsetof(struct tcpstates_ident, comm));
static_assert(offsetof(struct tcps_known, netns) == offsetof(struct tcpstates_ident, netns));
static_assert(offsetof(struct tcps_known, flags) == offsetof(struct tcpstates_ident, flags));

/*
 * One live connection, from its SYN to the end of TIME_WAIT: it moves from
 * the request to the child, and from there to the timewait socket. Its
 * addresses are not kept here: while the node is in the tree its socket is
 * not freed, so they are read from the socket under the shard's lock. What is
 * reached through a pointer of the socket only is known here (namespace,
 * cgroup), and so is what the next kind of socket does not have (uid).
 *
 * The node leaves at CLOSE, when a request or timewait socket is freed, and,
 * should a CLOSE not be seen, when the full socket is destroyed.
 */
struct tcps_conn {
	union {
		struct rb_node rb;
		struct {
			struct tcps_conn *next;
			struct tcps_conn *next_batch;	/* in a batch's first node */
			unsigned int nr;		/* likewise */
		} free;
	};
	const struct sock *sk;	/* the key, NULL: free; never leaves the kernel */
	u64 since_ns;		/* entry of @state */
	u64 first_seen_ns;
	struct tcps_known known;
	u64 index:24;		/* in the pool's list of nodes */
	u64 listener:18;	/* 1 + index of what it came to, or is; 0: none */
	u64 pair:22;		/* 1 + index of its pair of addresses, 0: none */
	u32 established;	/* when: see tcps_conn_establish(); 0: not seen */
	u8 role:2;		/* TCPSTATES_ROLE_* */
	u8 since_flags:2;	/* TCPSTATES_SINCE_* */
	u8 kind:2;		/* enum tcps_kind */
	u8 connecting:1;	/* in SYN_SENT, which is not recorded before the SYN is sent */
	u8 queued:1;		/* waits for accept() since it was established */
	u8 state;
	u8 reason;		/* TCPSTATES_REASON_*: the end as far as it is seen */
	u8 hint;		/* likewise: what an end would be due to now */
};

/* Two cache lines. */
static_assert(sizeof(struct tcps_conn) == 128);
static_assert(TCPSTATES_CONNS_MAX <= 1 << 24);
static_assert(TCPSTATES_LISTENERS_MAX < 1 << 18);
static_assert(TCPSTATES_PAIRS_MAX < 1 << 22);
static_assert(TCPSTATES_NR_ROLES <= 1 << 2);

/* Units of @established: about a microsecond. */
#define TCPS_ESTABLISHED_SHIFT	10

/*
 * The connection becomes ESTABLISHED. What is kept is how long after its first
 * sight: a handshake that took more than an hour is not timed.
 */
static __always_inline void tcps_conn_establish(struct tcps_conn *conn, u64 now)
{
	u64 units = ((now - conn->first_seen_ns) >> TCPS_ESTABLISHED_SHIFT) + 1;

	conn->established = likely(units <= U32_MAX) ? units : 0;
}

/* How long ago that was; only if it was seen. */
static __always_inline u64 tcps_conn_established_for(const struct tcps_conn *conn, u64 now)
{
	u64 after = (u64)(conn->established - 1) << TCPS_ESTABLISHED_SHIFT;

	return now - conn->first_seen_ns - after;
}

/* All but what links it, what it is found by, and where it is in the pool's list. */
static inline void tcps_conn_clear(struct tcps_conn *conn)
{
	conn->since_ns = 0;
	conn->first_seen_ns = 0;
	conn->known = (struct tcps_known){};
	conn->listener = 0;
	conn->pair = 0;
	conn->established = 0;
	conn->role = 0;
	conn->since_flags = 0;
	conn->kind = 0;
	conn->connecting = false;
	conn->queued = false;
	conn->state = 0;
	conn->reason = 0;
	conn->hint = 0;
}

#endif
