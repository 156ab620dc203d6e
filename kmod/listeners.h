/* SPDX-License-Identifier: GPL-2.0-only */
/* Listening sockets: their queues, their handshakes, their connections. */
#ifndef TCPS_LISTENERS_H
#define TCPS_LISTENERS_H

#include <linux/irq_work.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/rculist.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "alarms.h"
#include "classes.h"
#include "conns.h"
#include "hash.h"
#include "table.h"
#include "tcpstates.h"

struct tcps_session;

/* The counters of struct tcpstates_handshakes, by their number in it. */
#define TCPS_NR_HANDSHAKES	(sizeof(struct tcpstates_handshakes) / sizeof(__u64))
#define TCPS_HANDSHAKE(member)	(offsetof(struct tcpstates_handshakes, member) / sizeof(__u64))

/* The second, or more if no SYN comes, of which unfinished handshakes are counted. */
struct tcps_second {
	unsigned long end;	/* jiffies */
	u64 syns;		/* the listener's counts when it began */
	u64 done;
	u64 turned_away;
	bool bad;		/* the one before would have raised the alarm */
};

/* One of a listener's queues. */
struct tcps_queue {
	u32 max;	/* most that were in it at once */
	u32 calm;	/* so many or more need a closer look */
};

/*
 * One listening socket. Found by hooks without a lock, by address of the
 * socket: an entry stays what it is as long as interrupts are off, which RCU
 * waits for. Counters and peaks change without a lock; @lock, raw and with
 * interrupts off, guards the second and the alarms. @refs are held by the
 * listener's node and by those of the connections that came to it.
 */
struct tcps_listener {
	struct hlist_node by_sock;
	struct hlist_node by_end;
	union {
		struct rcu_head rcu;
		struct hlist_node free;
	};
	struct tcps_listeners *listeners;	/* all of them */
	const struct sock *sk;	/* NULL: does not listen */
	u32 index;
	atomic_t refs;
	tcps_counts counts;
	atomic64_t handshakes[TCPS_NR_HANDSHAKES];
	atomic64_t done;	/* handshakes that were finished */
	struct tcps_queue accept_queue;
	struct tcps_queue half_open;
	struct tcpstates_ident who;	/* does not change once the port is known */

	raw_spinlock_t lock;
	struct tcps_second second;
	u32 unfinished;
	u32 unfinished_max;
	u64 unfinished_ns;
	struct tcps_alarm alarms[TCPSTATES_NR_ALARMS];
};

/*
 * Locking rule: @lock guards the hash and the list of free entries against
 * other writers; it is raw, taken with interrupts off, inside of the lock of a
 * shard of connections.
 */
struct tcps_listeners {
	struct tcps_session *session;
	struct tcps_table table;
	struct hlist_head *by_sock;
	struct hlist_head *by_end;
	unsigned int bits;	/* of both */
	struct tcps_hash_key key;	/* of @by_end */
	raw_spinlock_t lock;
	struct hlist_head free;
	unsigned int nr;	/* listening */
	u64 unlisted;
	struct irq_work kick;	/* begins to tick */
	struct delayed_work tick;	/* while an alarm is raised */
};

int tcps_listeners_init(struct tcps_listeners *listeners, struct tcps_session *session,
			unsigned int max);
void tcps_listeners_quiesce(struct tcps_listeners *listeners);
void tcps_listeners_destroy(struct tcps_listeners *listeners);
size_t tcps_listeners_memory(const struct tcps_listeners *listeners);
void tcps_listeners_sum(struct tcps_listeners *listeners, struct tcpstates_stats *out);
bool tcps_listener_describe(struct tcps_session *session, unsigned int index,
			    struct tcpstates_listener *out);

static inline struct tcps_listener *tcps_listener_at(const struct tcps_listeners *listeners,
						     unsigned int index)
{
	return tcps_table_at(&listeners->table, index, sizeof(struct tcps_listener));
}

/* The entry, listening or not, that a connection holds; NULL: none. */
static inline struct tcps_listener *tcps_listener_of(const struct tcps_listeners *listeners,
						     const struct tcps_conn *conn)
{
	return conn->listener ? tcps_listener_at(listeners, conn->listener - 1) : NULL;
}

/*
 * From here on: interrupts are off. The lock of the connection's shard is held
 * by who gives one.
 */
void tcps_listener_begin(struct tcps_session *session, struct tcps_conn *conn);
void tcps_listener_end(struct tcps_session *session, struct tcps_conn *conn);
void tcps_listener_join(struct tcps_session *session, struct tcps_conn *conn,
			struct tcps_listener *listener, u8 class);
void tcps_listener_leave(struct tcps_session *session, struct tcps_conn *conn, u8 class);
struct tcps_listener *tcps_listener_by_address(struct tcps_session *session,
					       const struct sock *sk, u32 netns);

void tcps_listener_end_second(struct tcps_session *session, struct tcps_listener *listener);
void tcps_listener_look_at_half_open(struct tcps_session *session, struct tcps_listener *listener,
				     const struct sock *sk, u32 value);
void tcps_listener_look_at_accept_queue(struct tcps_session *session,
					struct tcps_listener *listener, const struct sock *sk,
					u32 value);
u32 tcps_half_open_limit(const struct sock *sk);
struct tcps_listener *tcps_listener_find(struct tcps_session *session, const struct sock *sk);

/* A SYN is about to be counted. */
static inline void tcps_listener_syn(struct tcps_session *session, struct tcps_listener *listener)
{
	if (unlikely(time_after_eq(jiffies, READ_ONCE(listener->second.end))))
		tcps_listener_end_second(session, listener);
}

static inline bool tcps_queue_is_calm(const struct tcps_queue *queue, u32 value)
{
	return value <= READ_ONCE(queue->max) && value < READ_ONCE(queue->calm);
}

/* There are, or are about to be, @value requests. */
static inline void tcps_listener_half_open(struct tcps_session *session,
					   struct tcps_listener *listener, const struct sock *sk,
					   u32 value)
{
	if (!tcps_queue_is_calm(&listener->half_open, value))
		tcps_listener_look_at_half_open(session, listener, sk, value);
}

/* @value connections wait, or are about to wait, for accept(). */
static inline void tcps_listener_accept_queue(struct tcps_session *session,
					      struct tcps_listener *listener,
					      const struct sock *sk, u32 value)
{
	if (!tcps_queue_is_calm(&listener->accept_queue, value))
		tcps_listener_look_at_accept_queue(session, listener, sk, value);
}

#endif
