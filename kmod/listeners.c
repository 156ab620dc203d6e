// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of listening sockets: how they are found, started and ended, and what
 * is exported of them.
 */
#include <linux/hash.h>
#include <linux/jiffies.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/string.h>
#include <net/inet_connection_sock.h>
#include <net/l3mdev.h>

#include "handshake.h"
#include "listener_alarms.h"
#include "listener_slots.h"
#include "listeners.h"
#include "session.h"
#include "shared.h"
#include "sockinfo.h"

/**
 * tcps_listeners_init() - make the table of an activation
 * @listeners: zeroed
 * @session: the activation
 * @max: most listening sockets
 *
 * Context: Process context, may sleep.
 * Return: 0, or -ENOMEM.
 */
int tcps_listeners_init(struct tcps_listeners *listeners, struct tcps_session *session,
			unsigned int max)
{
	listeners->session = session;
	listeners->bits = ilog2(roundup_pow_of_two(max)) ?: 1;
	listeners->by_sock = kvcalloc(2UL << listeners->bits, sizeof(*listeners->by_sock),
				      GFP_KERNEL);
	if (!listeners->by_sock)
		return -ENOMEM;
	if (tcps_table_init(&listeners->table, sizeof(struct tcps_listener), max))
		goto err_hash;
	if (tcps_table_init(&listeners->ends, sizeof(struct tcps_endpoint), max))
		goto err_table;
	listeners->by_end = listeners->by_sock + (1UL << listeners->bits);
	tcps_hash_key_init(&listeners->key);
	raw_spin_lock_init(&listeners->lock);
	tcps_listener_alarms_init(listeners);
	return 0;

err_table:
	tcps_table_destroy(&listeners->table);
err_hash:
	kvfree(listeners->by_sock);
	return -ENOMEM;
}

/**
 * tcps_listeners_destroy() - free the table
 * @listeners: the table, stopped (tcps_listeners_stop())
 *
 * Context: Process context, may sleep. Nobody else uses it.
 */
void tcps_listeners_destroy(struct tcps_listeners *listeners)
{
	/* Entries that wait to be free. */
	rcu_barrier();
	tcps_table_destroy(&listeners->ends);
	tcps_table_destroy(&listeners->table);
	kvfree(listeners->by_sock);
}

/**
 * tcps_listeners_provide() - allocate entries
 * @listeners: the table
 * @nr: listeners that are about to come
 *
 * Context: Process context, may sleep.
 */
void tcps_listeners_provide(struct tcps_listeners *listeners, unsigned int nr)
{
	/* The reserve is for those that start meanwhile. */
	tcps_table_provide(&listeners->table, nr + listeners->table.reserve);
	tcps_table_provide(&listeners->ends, nr + listeners->ends.reserve);
}

/**
 * tcps_listeners_memory() - bytes of the table
 * @listeners: the table
 */
size_t tcps_listeners_memory(const struct tcps_listeners *listeners)
{
	return tcps_table_memory(&listeners->table) + tcps_table_memory(&listeners->ends) +
	       (sizeof(*listeners->by_sock) << (listeners->bits + 1));
}

static struct hlist_head *sock_bucket(struct tcps_listeners *listeners, const struct sock *sk)
{
	return &listeners->by_sock[hash_ptr(sk, listeners->bits)];
}

/* An address to listen at: with a device, only for what comes in by that. */
struct tcps_end {
	const __u8 *addr;
	u32 netns;
	u32 ifindex;	/* 0: of any device */
	u16 port;
};

static struct tcps_end end_of(const struct tcpstates_ident *who)
{
	return (struct tcps_end){ who->laddr, who->netns, who->ifindex, who->lport };
}

/* Hashed by all of it: any user may listen at many addresses, or at many ports of one. */
static struct hlist_head *end_bucket(struct tcps_listeners *listeners,
				     const struct tcps_end *end)
{
	u32 words[8] = { [4] = end->netns, [5] = end->port, [6] = end->ifindex };

	memcpy(words, end->addr, 16);
	return &listeners->by_end[tcps_hash(&listeners->key, words, ARRAY_SIZE(words)) >>
				  (32 - listeners->bits)];
}

static struct tcps_listener *look_up(struct tcps_session *session, const struct sock *sk)
{
	struct tcps_listener *listener;

	hlist_for_each_entry_rcu(listener, sock_bucket(&session->listeners, sk), by_sock,
				 irqs_disabled())
		if (READ_ONCE(listener->sk) == sk)
			return listener;
	return NULL;
}

/**
 * tcps_listener_find() - the entry of a listening socket
 * @session: the activation
 * @sk: the socket, which is alive
 *
 * Context: Any, interrupts off.
 * Return: the entry, which does not change as long as interrupts are off; NULL: none.
 */
struct tcps_listener *tcps_listener_find(struct tcps_session *session, const struct sock *sk)
{
	struct tcps_listener *listener = look_up(session, sk);

	tcps_stats_this_cpu(&session->stats)->listener = listener;
	return listener;
}

static struct tcps_listener *look_up_end(struct tcps_listeners *listeners,
					 const struct tcps_end *end)
{
	struct tcps_listener *listener;

	hlist_for_each_entry_rcu(listener, end_bucket(listeners, end), by_end, irqs_disabled())
		if (listener->who.lport == end->port && listener->who.netns == end->netns &&
		    READ_ONCE(listener->who.ifindex) == end->ifindex &&
		    !memcmp(listener->who.laddr, end->addr, 16))
			return listener;
	return NULL;
}

/*
 * A socket has the device of its listener, if that is bound to one. If it is not, it may still
 * have one: that of a link-local peer, or, with tcp_l3mdev_accept, the VRF. In a VRF, whose device
 * the listener is bound to, that of a link-local peer is one of the VRF's.
 */
static struct tcps_listener *look_up_devices(struct tcps_listeners *listeners,
					     const struct sock *sk, const __u8 *addr,
					     const struct tcpstates_ident *who)
{
	struct tcps_end end = { addr, who->netns, READ_ONCE(sk->sk_bound_dev_if), who->lport };
	struct tcps_listener *listener = look_up_end(listeners, &end);

	if (listener || !end.ifindex)
		return listener;
	end.ifindex = l3mdev_master_ifindex_by_index(sock_net(sk), end.ifindex);
	if (end.ifindex)
		listener = look_up_end(listeners, &end);
	end.ifindex = 0;
	return listener ?: look_up_end(listeners, &end);
}

/**
 * tcps_listener_by_address() - the listener that a server's socket must have come to
 * @session: the activation
 * @sk: a socket of any kind with a local port
 * @netns: number of its network namespace
 *
 * Context: Any, interrupts off.
 * Return: the entry, which does not change as long as interrupts are off; NULL: none.
 */
struct tcps_listener *tcps_listener_by_address(struct tcps_session *session,
					       const struct sock *sk, u32 netns)
{
	static const __u8 any6[16], any4[16] = { [10] = 0xff, [11] = 0xff };
	struct tcps_listeners *listeners = &session->listeners;
	struct tcps_listener *listener;
	struct tcpstates_ident who;

	tcps_sock_tuple(sk, TCPS_REQUEST, &who);	/* the bound port */
	who.netns = netns;
	listener = look_up_devices(listeners, sk, who.laddr, &who);
	if (!listener && who.family == 4)
		listener = look_up_devices(listeners, sk, any4, &who);
	return listener ?: look_up_devices(listeners, sk, any6, &who);
}

static struct tcps_listener *take_new_entry(struct tcps_listeners *listeners)
{
	struct tcps_listener *listener;
	unsigned int index;

	listener = tcps_table_take(&listeners->table, &index);
	if (!listener)
		return NULL;
	raw_spin_lock_init(&listener->lock);
	listener->listeners = listeners;
	listener->number = index + 1;
	return listener;
}

static struct tcps_endpoint *take_new_endpoint(struct tcps_listeners *listeners)
{
	struct tcps_endpoint *end;
	unsigned int index;

	end = tcps_table_take(&listeners->ends, &index);
	if (!end)
		return NULL;
	raw_spin_lock_init(&end->lock);
	INIT_LIST_HEAD(&end->members);
	end->listeners = listeners;
	return end;
}

static void clean_endpoint(struct tcps_endpoint *end)
{
	end->second_end = jiffies;
	memset(end->full, 0, sizeof(end->full));
	end->bad = false;
	memset(end->alarms, 0, sizeof(end->alarms));
}

/* The endpoint of other listeners at the same address and port. */
static struct tcps_endpoint *find_endpoint(struct tcps_listeners *listeners,
					   const struct tcpstates_ident *who)
{
	const struct tcps_end end = end_of(who);
	struct tcps_listener *listener;

	lockdep_assert_held(&listeners->lock);
	hlist_for_each_entry(listener, end_bucket(listeners, &end), by_end)
		if (listener->who.lport == who->lport && listener->who.netns == who->netns &&
		    listener->who.ifindex == who->ifindex &&
		    !memcmp(listener->who.laddr, who->laddr, sizeof(who->laddr)))
			return listener->end;
	return NULL;
}

/* The same, or a new one; NULL: the table is full. */
static struct tcps_endpoint *take_endpoint(struct tcps_listeners *listeners,
					   const struct tcpstates_ident *who)
{
	struct tcps_endpoint *end = NULL;

	/* One that listens without bind() has no port yet, but will have its own. */
	if (who->lport)
		end = find_endpoint(listeners, who);
	if (end)
		return end;
	if (hlist_empty(&listeners->free_ends)) {
		end = take_new_endpoint(listeners);
	} else {
		end = hlist_entry(listeners->free_ends.first, struct tcps_endpoint, free);
		hlist_del(&end->free);
	}
	if (end)
		clean_endpoint(end);
	return end;
}

/* An entry that no hook can still be looking at; NULL: there is none. */
static struct tcps_listener *take_entry(struct tcps_listeners *listeners)
{
	struct tcps_listener *listener;

	lockdep_assert_held(&listeners->lock);
	if (hlist_empty(&listeners->free))
		return take_new_entry(listeners);
	listener = hlist_entry(listeners->free.first, struct tcps_listener, free);
	hlist_del(&listener->free);
	return listener;
}

/**
 * tcps_listener_free() - an entry may be used for another listener
 * @listener: entry, closed and settled, that no connection holds
 *
 * Context: Any. Takes the lock of the table, and may be called under that of a shard
 *	of connections.
 */
void tcps_listener_free(struct tcps_listener *listener)
{
	struct tcps_listeners *listeners = listener->listeners;
	unsigned long flags;

	raw_spin_lock_irqsave(&listeners->lock, flags);
	hlist_add_head(&listener->free, &listeners->free);
	raw_spin_unlock_irqrestore(&listeners->lock, flags);
}

static void clean_entry(struct tcps_listener *listener)
{
	listener->counts = (struct tcps_listener_counts){};
	listener->settled = false;
	listener->accept_queue = (struct tcps_queue){};
	listener->half_open = (struct tcps_queue){};
	listener->second = (struct tcps_second){};
	memset(listener->full_at, 0, sizeof(listener->full_at));
	listener->unfinished = 0;
	listener->unfinished_max = 0;
	listener->unfinished_ns = 0;
}

static void endpoint_is_free(struct rcu_head *rcu)
{
	struct tcps_endpoint *end = container_of(rcu, struct tcps_endpoint, rcu);
	struct tcps_listeners *listeners = end->listeners;
	unsigned long flags;

	raw_spin_lock_irqsave(&listeners->lock, flags);
	hlist_add_head(&end->free, &listeners->free_ends);
	raw_spin_unlock_irqrestore(&listeners->lock, flags);
}

/**
 * tcps_listener_update_address() - learn what has changed of port and device
 * @listener: entry
 *
 * A socket that listens without bind() gets its port after its start was seen, and
 * any may be bound to a device later.
 *
 * Context: Any, interrupts off. The lock of the endpoint of @listener.
 */
void tcps_listener_update_address(struct tcps_listener *listener)
{
	const struct sock *sk = READ_ONCE(listener->sk);
	u32 ifindex;

	lockdep_assert_held(&listener->end->lock);
	if (!sk)
		return;
	if (unlikely(!listener->who.lport))
		listener->who.lport = sk->sk_num;
	ifindex = READ_ONCE(sk->sk_bound_dev_if);
	if (unlikely(listener->who.ifindex != ifindex))
		WRITE_ONCE(listener->who.ifindex, ifindex);
}

static void enter_listener(struct tcps_listeners *listeners, struct tcps_listener *listener,
			   const struct sock *sk)
{
	const struct tcps_end end = end_of(&listener->who);

	lockdep_assert_held(&listeners->lock);
	raw_spin_lock(&listener->end->lock);
	list_add_tail(&listener->beside, &listener->end->members);
	listener->end->nr++;
	raw_spin_unlock(&listener->end->lock);
	/* Even, and none that a slot has. */
	WRITE_ONCE(listener->life, (listener->life | 1) + 1);
	WRITE_ONCE(listener->sk, sk);
	hlist_add_head_rcu(&listener->by_sock, sock_bucket(listeners, sk));
	hlist_add_head_rcu(&listener->by_end, end_bucket(listeners, &end));
	listeners->nr++;
}

static struct tcps_listener *start_listener(struct tcps_listeners *listeners,
					    const struct tcps_conn *conn)
{
	struct tcps_listener *listener = take_entry(listeners);

	if (!listener)
		return NULL;
	clean_entry(listener);
	memset(&listener->who, 0, sizeof(listener->who));
	tcps_conn_ident(conn->sk, TCPS_FULL, conn, &listener->who);
	listener->who.lport = conn->sk->sk_num;
	listener->end = take_endpoint(listeners, &listener->who);
	if (!listener->end) {
		hlist_add_head(&listener->free, &listeners->free);
		return NULL;
	}
	enter_listener(listeners, listener, conn->sk);
	return listener;
}

/**
 * tcps_listener_start() - a full socket starts to listen
 * @session: the activation
 * @conn: its node, which is then counted as a listener unless the table is full
 *
 * Context: Any, interrupts off. The lock of the shard of @conn.
 */
void tcps_listener_start(struct tcps_session *session, struct tcps_conn *conn)
{
	struct tcps_listeners *listeners = &session->listeners;
	struct tcps_listener *listener;

	tcps_conns_assert_held(&session->conns, conn);
	tcps_lock_shared(&listeners->lock);
	listener = start_listener(listeners, conn);
	if (listener)
		conn->listener = listener->number;
	else
		listeners->unlisted++;
	raw_spin_unlock(&listeners->lock);
	if (!listener)
		return;
	/* One that is older than the recording may have some, and be full. */
	tcps_listener_accept_queue(session, listener, conn->sk,
				   READ_ONCE(conn->sk->sk_ack_backlog));
	tcps_listener_half_open(session, listener, conn->sk,
				inet_csk_reqsk_queue_len(conn->sk));
}

static void leave_endpoint(struct tcps_session *session, struct tcps_listener *listener)
{
	struct tcps_endpoint *end = listener->end;

	lockdep_assert_held(&end->lock);
	tcps_listener_clear_alarms(session, listener);
	WRITE_ONCE(listener->sk, NULL);
	list_del(&listener->beside);
	if (!--end->nr)
		call_rcu(&end->rcu, endpoint_is_free);
}

/**
 * tcps_listener_end() - a listening socket is closed
 * @session: the activation
 * @conn: its node
 *
 * Context: Any, interrupts off. The lock of the shard of @conn.
 */
void tcps_listener_end(struct tcps_session *session, struct tcps_conn *conn)
{
	struct tcps_listeners *listeners = &session->listeners;
	struct tcps_listener *listener = tcps_listener_of(&session->listeners, conn);

	tcps_conns_assert_held(&session->conns, conn);
	if (!listener)
		return;
	tcps_lock_shared(&listeners->lock);
	raw_spin_lock(&listener->end->lock);
	leave_endpoint(session, listener);
	raw_spin_unlock(&listener->end->lock);
	hlist_del_rcu(&listener->by_sock);
	hlist_del_rcu(&listener->by_end);
	listeners->nr--;
	raw_spin_unlock(&listeners->lock);
	conn->listener = 0;
	/* No slot is taken for it from now on. */
	raw_spin_lock(&listener->lock);
	WRITE_ONCE(listener->life, listener->life + 1);
	raw_spin_unlock(&listener->lock);
	call_rcu(&listener->rcu, tcps_listener_settle);
}

/**
 * tcps_with_listener() - call a function while a listener's socket is alive
 * @session: the activation
 * @listener: entry, which need not stand for a listener
 * @with: the function, called under the lock of the shard of the socket
 * @data: passed to @with
 *
 * Context: Process context. @session->live is held for reading. Takes the lock of
 *	the shard: while that is held the node is in the tree, so the socket is alive.
 * Return: what @with returns; false if the entry does not stand for a listener.
 */
bool tcps_with_listener(struct tcps_session *session, struct tcps_listener *listener,
			tcps_with_listener_t with, void *data)
{
	const struct sock *sk = READ_ONCE(listener->sk);
	const struct tcps_conn *conn;
	struct tcps_shard *shard;
	bool result = false;

	lockdep_assert_held_read(&session->live);
	if (!sk)
		return false;
	shard = tcps_conns_shard(&session->conns, sk);
	raw_spin_lock_irq(&shard->lock);
	conn = tcps_conns_find(shard, sk);
	if (conn && tcps_listener_of(&session->listeners, conn) == listener)
		result = with(session, listener, conn, data);
	raw_spin_unlock_irq(&shard->lock);
	return result;
}

/**
 * tcps_listeners_sum() - totals of the table
 * @listeners: the table
 * @out: where to store them
 *
 * Context: Process context.
 */
void tcps_listeners_sum(struct tcps_listeners *listeners, struct tcpstates_stats *out)
{
	raw_spin_lock_irq(&listeners->lock);
	out->listeners = listeners->nr;
	out->unlisted = listeners->unlisted;
	raw_spin_unlock_irq(&listeners->lock);
}

static void describe_counts(struct tcps_session *session, struct tcps_listener *listener,
			    struct tcpstates_listener *out)
{
	struct tcps_listener_counts sum;

	tcps_listener_sum(session, listener, &sum);
	out->established = tcps_count_of(sum.classes, TCPS_ESTABLISHED);
	out->closing = tcps_count_of(sum.classes, TCPS_CLOSING);
	out->timewait = tcps_count_of(sum.classes, TCPS_IN_TIMEWAIT);
	memcpy(&out->handshakes, sum.handshakes, sizeof(out->handshakes));
	out->accepted = sum.accepted;
	out->accept_wait_ns = sum.accept_wait_ns;
	out->accept_wait_max_ns = sum.accept_wait_max_ns;
	tcps_settle_cookies(&out->handshakes);
}

static void describe_socket(const struct sock *sk, struct tcpstates_listener *out)
{
	out->accept_queue = READ_ONCE(sk->sk_ack_backlog);
	out->accept_queue_limit = READ_ONCE(sk->sk_max_ack_backlog);
	out->half_open = inet_csk_reqsk_queue_len(sk);
	out->half_open_limit = tcps_half_open_limit(sk);
	/* A counter that wraps; the kernel prints it as a signed one. */
	out->drops = (u32)atomic_read(&sk->sk_drops);
}

static bool describe(struct tcps_session *session, struct tcps_listener *listener,
		     const struct tcps_conn *conn, void *data)
{
	struct tcpstates_listener *out = data;

	tcps_lock_shared(&listener->end->lock);
	tcps_listener_update_address(listener);
	out->alarms = tcps_listener_raised_alarms(listener);
	out->unfinished = listener->unfinished;
	out->unfinished_max = listener->unfinished_max;
	out->unfinished_ns = listener->unfinished_ns;
	raw_spin_unlock(&listener->end->lock);
	out->who = listener->who;
	out->since_ns = conn->since_ns;
	out->flags = conn->since_flags;
	describe_counts(session, listener, out);
	describe_socket(conn->sk, out);
	out->accept_queue_max = max(READ_ONCE(listener->accept_queue.max), out->accept_queue);
	out->half_open_max = max(READ_ONCE(listener->half_open.max), out->half_open);
	return true;
}

/**
 * tcps_listener_describe() - what is exported of a listener
 * @session: the activation
 * @index: of the entry
 * @out: zeroed
 *
 * Context: Process context. @session->live is held for reading.
 * Return: false for an entry that does not stand for a listener.
 */
bool tcps_listener_describe(struct tcps_session *session, unsigned int index,
			    struct tcpstates_listener *out)
{
	return tcps_with_listener(session, tcps_listener_at(&session->listeners, index), describe,
			      out);
}
