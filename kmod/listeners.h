/* SPDX-License-Identifier: GPL-2.0-only */
/* The table of listening sockets: their queues, handshakes and connections. */
#ifndef TCPS_LISTENERS_H
#define TCPS_LISTENERS_H

#include <linux/irq_work.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/rculist.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "alarms.h"
#include "state_class.h"
#include "conns.h"
#include "hash.h"
#include "locks.h"
#include "slots.h"
#include "stats.h"
#include "table.h"
#include "tcpstates.h"

struct tcps_session;

/* One of a listener's queues. */
struct tcps_queue {
	u32 max;	/* most that were in it at once */
	u32 calm;	/* a length below this needs no closer look */
};

/* The current second, which is longer if no SYN comes. */
struct tcps_second {
	u64 syns;		/* the listener's counts at its start */
	u64 done;		/* with those that were rejected */
};

/*
 * The listening sockets of one address and port (and device): one, or several
 * with SO_REUSEPORT, which share what comes. They have one second, and one
 * alarm of a kind at a time. @lock, raw and with interrupts off, guards all but
 * @second_end, and of its listeners what they say; an entry stays what it is as
 * long as interrupts are off, which RCU waits for.
 */
struct tcps_endpoint {
	unsigned long second_end;	/* jiffies; read at each SYN */
	union {
		struct rcu_head rcu;
		struct hlist_node free;
	};
	struct tcps_listeners *listeners;	/* all of them */

	raw_spinlock_t lock ____cacheline_aligned_in_smp;
	struct list_head members;
	unsigned int nr;			/* members */
	unsigned int full[TCPSTATES_NR_ALARMS];	/* of them, whose queue of this alarm is full */
	bool bad;		/* the second before would have raised the alarm */
	struct tcps_alarm alarms[TCPSTATES_NR_ALARMS];
};

/*
 * One listening socket. Found by hooks without a lock, by address of the
 * socket: an entry stays what it is as long as interrupts are off, which RCU
 * waits for. Peaks change without a lock.
 *
 * What it counts is in @counts, guarded by @lock, and in slots of CPUs, see
 * slots.h. @life is even while it listens; slots that were taken in an earlier
 * life do not count any more. After the end no slot is taken, and once all
 * hooks have seen it those that are left are added (@settled): from then on
 * @counts.holders is exact, and the entry is free when it is 0.
 */
struct tcps_listener {
	/* Read by hooks; written when it starts or ends, at a peak, and each second. */
	struct hlist_node by_sock;
	const struct sock *sk;	/* NULL: does not listen */
	struct tcps_endpoint *end;
	u32 number;		/* 1 + index in the table */
	u32 life;
	struct tcps_queue accept_queue;
	struct tcps_queue half_open;

	struct hlist_node by_end;
	union {
		struct rcu_head rcu;
		struct hlist_node free;
	};
	struct tcps_listeners *listeners;	/* all of them */
	struct tcpstates_ident who;	/* changes as little as learn_end() does */

	/* Written when a slot is emptied. */
	raw_spinlock_t lock ____cacheline_aligned_in_smp;
	bool settled;
	struct tcps_listener_counts counts;

	/* The endpoint's lock guards the rest. */
	struct list_head beside ____cacheline_aligned_in_smp;
	struct tcps_second second;
	u32 full_at[TCPSTATES_NR_ALARMS];	/* limit of a queue that is full; 0: it is not */
	u32 unfinished;
	u32 unfinished_max;
	u64 unfinished_ns;
};

/* What hooks read is not on a line that is written for each event. */
static_assert(offsetofend(struct tcps_listener, half_open) <= 64);
static_assert(offsetof(struct tcps_listener, lock) % SMP_CACHE_BYTES == 0);
static_assert(offsetof(struct tcps_listener, beside) % SMP_CACHE_BYTES == 0);
static_assert(offsetof(struct tcps_listener, beside) >=
	      offsetofend(struct tcps_listener, counts));
static_assert(sizeof(struct tcps_listener) % SMP_CACHE_BYTES == 0);
static_assert(offsetof(struct tcps_endpoint, lock) % SMP_CACHE_BYTES == 0);

/*
 * Locking rule: @lock guards the hash and the lists of free entries against
 * other writers. It is raw and taken with interrupts off. See locks.h for the order
 * of locks.
 */
struct tcps_listeners {
	struct tcps_session *session;
	struct tcps_table table;
	struct tcps_table ends;		/* endpoints: no more than there are listeners */
	struct hlist_head *by_sock;
	struct hlist_head *by_end;
	unsigned int bits;	/* of both */
	struct tcps_hash_key key;	/* of @by_end */
	raw_spinlock_t lock;
	struct hlist_head free;
	struct hlist_head free_ends;
	unsigned int nr;	/* listening */
	u64 unlisted;
	struct irq_work kick;	/* starts @tick */
	struct delayed_work tick;	/* while an alarm is raised */
};

int tcps_listeners_init(struct tcps_listeners *listeners, struct tcps_session *session,
			unsigned int max);
void tcps_listeners_destroy(struct tcps_listeners *listeners);
void tcps_listeners_provide(struct tcps_listeners *listeners, unsigned int nr);
size_t tcps_listeners_memory(const struct tcps_listeners *listeners);
void tcps_listeners_sum(struct tcps_listeners *listeners, struct tcpstates_stats *out);
bool tcps_listener_describe(struct tcps_session *session, unsigned int index,
			    struct tcpstates_listener *out);

static inline struct tcps_listener *tcps_listener_at(const struct tcps_listeners *listeners,
						     unsigned int index)
{
	return tcps_table_at(&listeners->table, index, sizeof(struct tcps_listener));
}

/**
 * tcps_listener_of() - the entry that a connection holds
 * @listeners: the table
 * @conn: node
 *
 * Context: Any. The lock of the shard of @conn.
 * Return: the entry, listening or not; NULL: none.
 */
static inline struct tcps_listener *tcps_listener_of(const struct tcps_listeners *listeners,
						     const struct tcps_conn *conn)
{
	return conn->listener ? tcps_listener_at(listeners, conn->listener - 1) : NULL;
}

/* Called under the lock of the shard of @conn, the node of the listening socket. */
typedef bool (*tcps_with_listener_t)(struct tcps_session *session, struct tcps_listener *listener,
				     const struct tcps_conn *conn, void *data);

bool tcps_with_listener(struct tcps_session *session, struct tcps_listener *listener,
			tcps_with_listener_t with, void *data);
void tcps_listener_free(struct tcps_listener *listener);
void tcps_listener_update_address(struct tcps_listener *listener);

void tcps_listener_start(struct tcps_session *session, struct tcps_conn *conn);
void tcps_listener_end(struct tcps_session *session, struct tcps_conn *conn);
struct tcps_listener *tcps_listener_find(struct tcps_session *session, const struct sock *sk);
struct tcps_listener *tcps_listener_by_address(struct tcps_session *session,
					       const struct sock *sk, u32 netns);

#endif
