// SPDX-License-Identifier: GPL-2.0-only
/* Listening sockets: their queues, their handshakes, their connections. */
#include <linux/hash.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/string.h>
#include <net/inet_connection_sock.h>
#include <net/l3mdev.h>
#include <net/tcp.h>

#include "compat.h"
#include "handshake.h"
#include "listeners.h"
#include "session.h"
#include "shared.h"
#include "sockinfo.h"

/* Alarms of listeners are looked after so often while one is raised. */
#define TICK	HZ

static void start_ticking(struct irq_work *work)
{
	struct tcps_listeners *listeners = container_of(work, struct tcps_listeners, kick);

	schedule_delayed_work(&listeners->tick, TICK);
}

static void tick(struct work_struct *work);

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
	init_irq_work(&listeners->kick, start_ticking);
	INIT_DELAYED_WORK(&listeners->tick, tick);
	return 0;

err_table:
	tcps_table_destroy(&listeners->table);
err_hash:
	kvfree(listeners->by_sock);
	return -ENOMEM;
}

/* The hooks are gone. */
void tcps_listeners_quiesce(struct tcps_listeners *listeners)
{
	irq_work_sync(&listeners->kick);
	cancel_delayed_work_sync(&listeners->tick);
}

void tcps_listeners_destroy(struct tcps_listeners *listeners)
{
	/* Entries that wait to be free. */
	rcu_barrier();
	tcps_table_destroy(&listeners->ends);
	tcps_table_destroy(&listeners->table);
	kvfree(listeners->by_sock);
}

/* In process context, may sleep: room for so many more, as far as the most allows. */
void tcps_listeners_provide(struct tcps_listeners *listeners, unsigned int nr)
{
	/* The reserve is for those that start meanwhile. */
	tcps_table_provide(&listeners->table, nr + listeners->table.reserve);
	tcps_table_provide(&listeners->ends, nr + listeners->ends.reserve);
}

size_t tcps_listeners_memory(const struct tcps_listeners *listeners)
{
	return tcps_table_memory(&listeners->table) + tcps_table_memory(&listeners->ends) +
	       (sizeof(*listeners->by_sock) << (listeners->bits + 1));
}

static struct hlist_head *sock_bucket(struct tcps_listeners *listeners, const struct sock *sk)
{
	return &listeners->by_sock[hash_ptr(sk, listeners->bits)];
}

/* Where sockets listen: with a device, only to what comes in by that. */
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

/* Any user may listen at many addresses with one port, or at all ports of one. */
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

/* The entry of the listening socket @sk, which the caller knows to be alive. */
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

/* The listener that @sk, which has its local port, must have come to; NULL: none. */
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

/* What a CPU has counted for the entry in its present life; the entry's lock is held. */
static void add_counts(struct tcps_listener_counts *sum, const struct tcps_listener_counts *part)
{
	unsigned int i;

	for (i = 0; i < TCPS_NR_CLASSES; i++)
		sum->classes[i] += READ_ONCE(part->classes[i]);
	sum->holders += READ_ONCE(part->holders);
	sum->done += READ_ONCE(part->done);
	sum->accepted += READ_ONCE(part->accepted);
	sum->accept_wait_ns += READ_ONCE(part->accept_wait_ns);
	sum->accept_wait_max_ns = max(sum->accept_wait_max_ns,
				      READ_ONCE(part->accept_wait_max_ns));
	for (i = 0; i < TCPS_NR_HANDSHAKES; i++)
		sum->handshakes[i] += READ_ONCE(part->handshakes[i]);
}

/* Does what is in the slot of @life still belong to what @listener counts? */
static bool is_pending(const struct tcps_listener *listener, u32 life)
{
	return life == listener->life || (life + 1 == listener->life && !listener->settled);
}

/* This CPU's slot becomes free. */
static void empty_slot(struct tcps_listener_slot *slot)
{
	struct tcps_listener *listener = slot->listener;

	tcps_lock_shared(&listener->lock);
	if (is_pending(listener, slot->life))
		add_counts(&listener->counts, &slot->counts);
	slot->number = 0;
	/* Pairs with the reads of pending_of(). */
	WRITE_ONCE(slot->listener, NULL);
	raw_spin_unlock(&listener->lock);
}

/* The listener's lock is held. */
static struct tcps_listener_counts *take_slot(struct tcps_listener_slot *slot,
					      struct tcps_listener *listener)
{
	slot->misses = 0;
	slot->counts = (struct tcps_listener_counts){};
	slot->number = listener->number;
	slot->life = listener->life;
	/* Who finds the listener in it finds it empty: pairs with pending_of(). */
	smp_store_release(&slot->listener, listener);
	return &slot->counts;
}

/* Another listener that goes on to be used keeps its slot for a while. */
static bool gives_way(struct tcps_listener_slot *slot, const struct tcps_listener *listener)
{
	const struct tcps_listener *holder = slot->listener;

	return holder == listener || slot->life != READ_ONCE(holder->life) ||
	       ++slot->misses >= TCPS_SLOT_MISSES;
}

/* This CPU has no slot for @listener: it takes one, or counts where all can read it. */
struct tcps_listener_counts *tcps_listener_counts_elsewhere(struct tcps_cpu_stats *stats,
							    struct tcps_listener *listener)
{
	struct tcps_listener_slot *slot = tcps_listener_slot(stats, listener->number);

	if (READ_ONCE(listener->life) & 1)
		return NULL;
	if (slot->listener && gives_way(slot, listener))
		empty_slot(slot);
	tcps_lock_shared(&listener->lock);
	if (unlikely(listener->life & 1)) {
		raw_spin_unlock(&listener->lock);
		return NULL;
	}
	if (slot->listener) {
		__release(&listener->lock);	/* for sparse: tcps_listener_counted() does */
		return &listener->counts;
	}
	take_slot(slot, listener);
	raw_spin_unlock(&listener->lock);
	return &slot->counts;
}

/* The counts of @listener that are in the slot of @cpu; NULL: none. Its lock is held. */
static const struct tcps_listener_counts *pending_of(struct tcps_session *session,
						     const struct tcps_listener *listener,
						     unsigned int cpu)
{
	struct tcps_cpu_stats *stats = tcps_stats_of(&session->stats, cpu);
	const struct tcps_listener_slot *slot;

	if (!stats)
		return NULL;
	slot = tcps_listener_slot(stats, listener->number);
	/* Pairs with take_slot(). */
	if (smp_load_acquire(&slot->listener) != listener || !is_pending(listener, slot->life))
		return NULL;
	return &slot->counts;
}

/* All that is counted for the listener. */
static void sum_counts(struct tcps_session *session, struct tcps_listener *listener,
		       struct tcps_listener_counts *sum)
{
	const struct tcps_listener_counts *pending;
	unsigned int cpu;

	tcps_lock_shared(&listener->lock);
	*sum = listener->counts;
	for_each_possible_cpu(cpu) {
		pending = pending_of(session, listener, cpu);
		if (pending)
			add_counts(sum, pending);
	}
	raw_spin_unlock(&listener->lock);
}

static void add_second(struct tcps_second *sum, const struct tcps_listener_counts *counts)
{
	sum->syns += READ_ONCE(counts->handshakes[TCPS_HANDSHAKE(syns)]);
	/* The server does not keep up with its clients: another matter. */
	sum->done += READ_ONCE(counts->done) +
		     READ_ONCE(counts->handshakes[TCPS_HANDSHAKE(syn_accept_queue_full)]);
}

/* Likewise, of what is looked at each second. */
static struct tcps_second sum_second(struct tcps_session *session, struct tcps_listener *listener)
{
	const struct tcps_listener_counts *pending;
	struct tcps_second sum = {};
	unsigned int cpu;

	tcps_lock_shared(&listener->lock);
	add_second(&sum, &listener->counts);
	for_each_possible_cpu(cpu) {
		pending = pending_of(session, listener, cpu);
		if (pending)
			add_second(&sum, pending);
	}
	raw_spin_unlock(&listener->lock);
	return sum;
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

/* The endpoint of other listeners at the same address and port; @lock is held. */
static struct tcps_endpoint *find_endpoint(struct tcps_listeners *listeners,
					   const struct tcpstates_ident *who)
{
	const struct tcps_end end = end_of(who);
	struct tcps_listener *listener;

	hlist_for_each_entry(listener, end_bucket(listeners, &end), by_end)
		if (listener->who.lport == who->lport && listener->who.netns == who->netns &&
		    listener->who.ifindex == who->ifindex &&
		    !memcmp(listener->who.laddr, who->laddr, sizeof(who->laddr)))
			return listener->end;
	return NULL;
}

/* That, or a new one; NULL: there is no room. */
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

	if (hlist_empty(&listeners->free))
		return take_new_entry(listeners);
	listener = hlist_entry(listeners->free.first, struct tcps_listener, free);
	hlist_del(&listener->free);
	return listener;
}

static void free_entry(struct tcps_listener *listener)
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

/*
 * No hook counts in a slot for the closed listener any more. What is in them is
 * added to its own; who leaves it later does so there.
 */
static void settle(struct rcu_head *rcu)
{
	struct tcps_listener *listener = container_of(rcu, struct tcps_listener, rcu);
	struct tcps_session *session = listener->listeners->session;
	const struct tcps_listener_counts *pending;
	unsigned long flags;
	unsigned int cpu;
	bool is_free;

	raw_spin_lock_irqsave(&listener->lock, flags);
	for_each_possible_cpu(cpu) {
		pending = pending_of(session, listener, cpu);
		if (pending)
			listener->counts.holders += pending->holders;
	}
	listener->settled = true;
	is_free = !listener->counts.holders;
	raw_spin_unlock_irqrestore(&listener->lock, flags);
	if (is_free)
		free_entry(listener);
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

/* A connection leaves a listener that is closed. */
static void leave_closed(struct tcps_listener *listener)
{
	bool is_free;

	tcps_lock_shared(&listener->lock);
	listener->counts.holders--;
	is_free = listener->settled && !listener->counts.holders;
	raw_spin_unlock(&listener->lock);
	if (is_free)
		free_entry(listener);
}

/* @conn, which is in @class, has come to @listener, which another CPU may be closing. */
void tcps_listener_join(struct tcps_session *session, struct tcps_conn *conn,
			struct tcps_listener *listener, u8 class)
{
	struct tcps_listener_counts *counts;

	counts = tcps_listener_counts(tcps_stats_this_cpu(&session->stats), listener);
	if (!counts)
		return;
	tcps_listener_count_join(counts, class);
	tcps_listener_counted(listener, counts);
	conn->listener = listener->number;
}

/* From here on: this CPU has no slot for the listener of @conn. That ends, or goes to another. */
void tcps_listener_leave_elsewhere(struct tcps_listeners *listeners,
				   struct tcps_cpu_stats *stats, const struct tcps_conn *conn,
				   u8 class)
{
	struct tcps_listener *listener = tcps_listener_of(listeners, conn);
	struct tcps_listener_counts *counts = tcps_listener_counts(stats, listener);

	if (unlikely(!counts)) {
		leave_closed(listener);
		return;
	}
	tcps_listener_count_leave(counts, class);
	tcps_listener_counted(listener, counts);
}

/* It has waited so long for accept(). */
void tcps_listener_accepted_elsewhere(struct tcps_listeners *listeners,
				      struct tcps_cpu_stats *stats,
				      const struct tcps_conn *conn, u64 ns)
{
	struct tcps_listener *listener = tcps_listener_of(listeners, conn);
	struct tcps_listener_counts *counts = tcps_listener_counts(stats, listener);

	if (unlikely(!counts))
		return;
	tcps_listener_count_accepted(counts, ns);
	tcps_listener_counted(listener, counts);
}

/* It goes from one class to another. */
void tcps_listener_move_elsewhere(struct tcps_listeners *listeners, struct tcps_cpu_stats *stats,
				  const struct tcps_conn *conn, u8 from, u8 to)
{
	struct tcps_listener *listener = tcps_listener_of(listeners, conn);
	struct tcps_listener_counts *counts = tcps_listener_counts(stats, listener);

	if (!counts)
		return;
	tcps_count_move(counts->classes, from, to);
	tcps_listener_counted(listener, counts);
}

/*
 * A socket that listens without bind() gets its port after its start was seen, and any may be bound
 * to a device later.
 */
static void learn_end(struct tcps_listener *listener)
{
	const struct sock *sk = READ_ONCE(listener->sk);
	u32 ifindex;

	if (!sk)
		return;
	if (unlikely(!listener->who.lport))
		listener->who.lport = sk->sk_num;
	ifindex = READ_ONCE(sk->sk_bound_dev_if);
	if (unlikely(listener->who.ifindex != ifindex))
		WRITE_ONCE(listener->who.ifindex, ifindex);
}

/* From here on, the endpoint's lock is held where an alarm or a second is looked at. */
static void sum_members(struct tcps_session *session, struct tcps_endpoint *end,
			struct tcps_listener_counts *sum)
{
	struct tcps_listener *member;

	*sum = (struct tcps_listener_counts){};
	list_for_each_entry(member, &end->members, beside) {
		struct tcps_listener_counts of_member;

		sum_counts(session, member, &of_member);
		add_counts(sum, &of_member);
	}
}

/* A queue is one socket's; what is unfinished, that of all of them. */
static void sum_subject(struct tcps_session *session, struct tcps_listener *listener, u8 kind,
			struct tcps_listener_counts *sum)
{
	if (kind == TCPSTATES_ALARM_UNFINISHED)
		sum_members(session, listener->end, sum);
	else
		sum_counts(session, listener, sum);
}

/* @listener's socket is alive: it is what the record names. */
static void raise_alarm(struct tcps_session *session, struct tcps_listener *listener, u8 kind,
			u64 value, u64 threshold)
{
	struct tcps_listener_counts sum;
	const struct tcps_alarm_subject subject = {
		.kind = kind,
		.who = &listener->who,
		.counts = sum.classes,
	};

	learn_end(listener);
	sum_subject(session, listener, kind, &sum);
	tcps_alarm_raise(session, &listener->end->alarms[kind], &subject, value, threshold);
	irq_work_queue(&session->listeners.kick);
}

static void clear_alarm(struct tcps_session *session, struct tcps_listener *listener, u8 kind,
			u64 value)
{
	struct tcps_listener_counts sum;
	const struct tcps_alarm_subject subject = {
		.kind = kind,
		.who = &listener->who,
		.counts = sum.classes,
	};

	sum_subject(session, listener, kind, &sum);
	tcps_alarm_clear(session, &listener->end->alarms[kind], &subject, value);
}

/* The highest value may be seen by two CPUs at once. */
static void note_peak(u32 *peak, u32 value)
{
	u32 before = READ_ONCE(*peak);

	while (value > before) {
		u32 seen;

		tcps_count_shared();
		seen = cmpxchg(peak, before, value);
		if (seen == before)
			break;
		before = seen;
	}
}

/* Of several sockets, the first whose queue is full raises the alarm. */
static void queue_is_full(struct tcps_session *session, struct tcps_listener *listener, u8 kind,
			  u32 value, u32 limit)
{
	struct tcps_endpoint *end = listener->end;

	listener->full_at[kind] = limit;
	if (!end->full[kind]++)
		raise_alarm(session, listener, kind, value, limit);
}

/* The last one whose queue no longer is clears it. */
static void queue_is_not_full(struct tcps_session *session, struct tcps_listener *listener,
			      u8 kind, u32 value)
{
	struct tcps_endpoint *end = listener->end;

	listener->full_at[kind] = 0;
	/* It may be full again at less than it was. */
	if (kind == TCPSTATES_ALARM_ACCEPT_QUEUE)
		WRITE_ONCE(listener->accept_queue.calm, 0);
	else
		WRITE_ONCE(listener->half_open.calm, 0);
	if (!--end->full[kind])
		clear_alarm(session, listener, kind, value);
}

/*
 * A queue of @listener has grown. @full is what its owner and the settings make
 * it now, and is looked at again each second.
 */
static void look_at_queue(struct tcps_session *session, struct tcps_listener *listener,
			  struct tcps_queue *queue, u8 kind, u32 value, u32 full)
{
	struct tcps_endpoint *end = listener->end;
	struct tcps_alarm *alarm = &end->alarms[kind];

	note_peak(&queue->max, value);
	tcps_lock_shared(&end->lock);
	/* One that is being closed has left its endpoint. */
	if (!READ_ONCE(listener->sk)) {
		raw_spin_unlock(&end->lock);
		return;
	}
	if (value >= full && !listener->full_at[kind])
		queue_is_full(session, listener, kind, value, full);
	if (listener->full_at[kind]) {
		alarm->peak = max_t(u64, alarm->peak, value);
		full = min_t(u64, alarm->peak + 1, U32_MAX);
	}
	WRITE_ONCE(queue->calm, full);
	raw_spin_unlock(&end->lock);
}

/* At so many requests a SYN is dropped, or answered by a cookie. */
u32 tcps_half_open_limit(const struct sock *sk)
{
	const struct net *net = sock_net(sk);
	u32 limit = READ_ONCE(sk->sk_max_ack_backlog);
	u32 max;

	if (READ_ONCE(net->ipv4.sysctl_tcp_syncookies))
		return limit;
	/* The last quarter is for peers that are known to the kernel. */
	max = READ_ONCE(net->ipv4.sysctl_max_syn_backlog);
	return min(limit, max - (max >> 2) + 1);
}

void tcps_listener_look_at_half_open(struct tcps_session *session, struct tcps_listener *listener,
				     const struct sock *sk, u32 value)
{
	look_at_queue(session, listener, &listener->half_open, TCPSTATES_ALARM_HALF_OPEN, value,
		      max(tcps_half_open_limit(sk), 1U));
}

void tcps_listener_look_at_accept_queue(struct tcps_session *session,
					struct tcps_listener *listener, const struct sock *sk,
					u32 value)
{
	/* It takes one more than its limit. */
	look_at_queue(session, listener, &listener->accept_queue, TCPSTATES_ALARM_ACCEPT_QUEUE,
		      value, READ_ONCE(sk->sk_max_ack_backlog) + 1);
}

/* @listeners->lock is held. */
static void enter_listener(struct tcps_listeners *listeners, struct tcps_listener *listener,
			   const struct sock *sk)
{
	const struct tcps_end end = end_of(&listener->who);

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

/* The full socket of @conn starts to listen. */
void tcps_listener_start(struct tcps_session *session, struct tcps_conn *conn)
{
	struct tcps_listeners *listeners = &session->listeners;
	struct tcps_listener *listener;

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

/* What a second has come to: SYNs, and those of them that stay unfinished. */
struct unfinished {
	u64 syns;
	u64 nr;
};

static struct unfinished unfinished_of(const struct tcps_second *second)
{
	return (struct unfinished){ second->syns, second->syns - min(second->syns, second->done) };
}

/*
 * Too many, and not just some of very many. What is in flight when a second
 * ends is finished in the next one, so that one bad second alone says little.
 */
static bool is_bad(struct unfinished unfinished, u64 rate, u32 threshold)
{
	return rate >= threshold && unfinished.nr >= unfinished.syns / 2;
}

/* What @listener has counted since its last second ended, and from now on a new one. */
static struct tcps_second next_second(struct tcps_session *session,
				      struct tcps_listener *listener)
{
	const struct tcps_second now = sum_second(session, listener);
	struct tcps_second passed = {
		.syns = now.syns - listener->second.syns,
		.done = now.done - listener->second.done,
	};

	listener->second = now;
	return passed;
}

/* One socket's, for the table of listeners. */
static void note_unfinished(struct tcps_listener *listener, const struct tcps_second *second,
			    unsigned long took, u64 now)
{
	u64 rate = unfinished_of(second).nr * HZ / took;

	listener->unfinished = min_t(u64, rate, U32_MAX);
	listener->unfinished_max = max(listener->unfinished_max, listener->unfinished);
	listener->unfinished_ns = now;
}

/* The second of all sockets of the endpoint. @listener, one of them, is alive. */
static void judge_second(struct tcps_session *session, struct tcps_listener *listener,
			 const struct tcps_second *second, unsigned long took)
{
	struct tcps_endpoint *end = listener->end;
	struct tcps_alarm *alarm = &end->alarms[TCPSTATES_ALARM_UNFINISHED];
	const struct unfinished unfinished = unfinished_of(second);
	const u32 threshold = session->config.unfinished;
	u64 rate = unfinished.nr * HZ / took;
	bool bad = threshold && is_bad(unfinished, rate, threshold);

	if (tcps_alarm_is_raised(alarm)) {
		alarm->peak = max_t(u64, alarm->peak, rate);
		if (!is_bad(unfinished, rate, tcps_alarm_clears_below(threshold)))
			clear_alarm(session, listener, TCPSTATES_ALARM_UNFINISHED, rate);
	} else if (bad && end->bad) {
		raise_alarm(session, listener, TCPSTATES_ALARM_UNFINISHED, rate, threshold);
	}
	end->bad = bad;
}

/*
 * The second has ended, and @listener is the one that noticed. Without a SYN for
 * long, no second is running.
 */
static void end_second(struct tcps_session *session, struct tcps_listener *listener)
{
	struct tcps_endpoint *end = listener->end;
	bool raised = tcps_alarm_is_raised(&end->alarms[TCPSTATES_ALARM_UNFINISHED]);
	unsigned long late = jiffies - end->second_end;
	struct tcps_second second, sum = {};
	struct tcps_listener *member;
	u64 now = ktime_get_ns();

	/* Who comes now need not wait for the lock. */
	WRITE_ONCE(end->second_end, jiffies + HZ);
	list_for_each_entry(member, &end->members, beside) {
		second = next_second(session, member);
		if (second.syns || raised)
			note_unfinished(member, &second, HZ + late, now);
		sum.syns += second.syns;
		sum.done += second.done;
		/* The limits may have been changed. */
		WRITE_ONCE(member->half_open.calm, 0);
		WRITE_ONCE(member->accept_queue.calm, 0);
	}
	if (sum.syns || raised)
		judge_second(session, listener, &sum, HZ + late);
	/* Not in a row. */
	if (late >= HZ)
		end->bad = false;
}

/* Unless another CPU has just done so, or the listener is being closed. */
void tcps_listener_end_second(struct tcps_session *session, struct tcps_listener *listener)
{
	struct tcps_endpoint *end = listener->end;

	tcps_lock_shared(&end->lock);
	if (time_after_eq(jiffies, end->second_end) && READ_ONCE(listener->sk))
		end_second(session, listener);
	raw_spin_unlock(&end->lock);
}

static bool any_alarm(const struct tcps_endpoint *end)
{
	unsigned int kind;

	for (kind = 0; kind < TCPSTATES_NR_ALARMS; kind++)
		if (tcps_alarm_is_raised(&end->alarms[kind]))
			return true;
	return false;
}

/* Nothing is too much for @listener any more; what is unfinished may still be for others. */
static void leave_endpoint(struct tcps_session *session, struct tcps_listener *listener)
{
	struct tcps_endpoint *end = listener->end;
	unsigned int kind;

	for (kind = 0; kind < TCPSTATES_NR_ALARMS; kind++)
		if (listener->full_at[kind])
			queue_is_not_full(session, listener, kind, 0);
	if (end->nr == 1 && tcps_alarm_is_raised(&end->alarms[TCPSTATES_ALARM_UNFINISHED]))
		clear_alarm(session, listener, TCPSTATES_ALARM_UNFINISHED, 0);
	WRITE_ONCE(listener->sk, NULL);
	list_del(&listener->beside);
	if (!--end->nr)
		call_rcu(&end->rcu, endpoint_is_free);
}

/* The listener of @conn is closed. */
void tcps_listener_end(struct tcps_session *session, struct tcps_conn *conn)
{
	struct tcps_listeners *listeners = &session->listeners;
	struct tcps_listener *listener = tcps_listener_of(&session->listeners, conn);

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
	call_rcu(&listener->rcu, settle);
}

static void queue_has_shrunk(struct tcps_session *session, struct tcps_listener *listener,
			     u8 kind, u32 value)
{
	u32 full_at = listener->full_at[kind];

	if (full_at && value < tcps_alarm_clears_below(full_at))
		queue_is_not_full(session, listener, kind, value);
}

/* True while an alarm is raised. */
static bool look_after(struct tcps_session *session, struct tcps_listener *listener,
		       const struct tcps_conn *conn, void *data)
{
	struct tcps_endpoint *end = listener->end;
	const struct sock *sk = conn->sk;
	bool raised;

	tcps_lock_shared(&end->lock);
	queue_has_shrunk(session, listener, TCPSTATES_ALARM_ACCEPT_QUEUE,
			 READ_ONCE(sk->sk_ack_backlog));
	queue_has_shrunk(session, listener, TCPSTATES_ALARM_HALF_OPEN,
			 inet_csk_reqsk_queue_len(sk));
	if (time_after_eq(jiffies, end->second_end))
		end_second(session, listener);
	raised = any_alarm(end);
	raw_spin_unlock(&end->lock);
	return raised;
}

/* A first look, at an entry that may be anything. */
static bool may_need_care(const struct tcps_listener *listener)
{
	const struct tcps_endpoint *end = READ_ONCE(listener->end);

	return end && any_alarm(end);
}

typedef bool (*with_listening_t)(struct tcps_session *session, struct tcps_listener *listener,
				 const struct tcps_conn *conn, void *data);

/*
 * Call @with under the lock of the shard of the entry's socket, if that still
 * listens: its node is in the tree then, and so it is alive. False if not.
 */
static bool with_listening(struct tcps_session *session, struct tcps_listener *listener,
			   with_listening_t with, void *data)
{
	const struct sock *sk = READ_ONCE(listener->sk);
	const struct tcps_conn *conn;
	struct tcps_shard *shard;
	bool result = false;

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

static void tick(struct work_struct *work)
{
	struct tcps_listeners *listeners = container_of(to_delayed_work(work),
							struct tcps_listeners, tick);
	struct tcps_session *session = listeners->session;
	bool again = false;
	unsigned int i;

	down_read(&session->live);
	for (i = 0; i < tcps_table_taken(&listeners->table) && !session->ended; i++) {
		struct tcps_listener *listener = tcps_listener_at(listeners, i);

		if (may_need_care(listener) && with_listening(session, listener, look_after, NULL))
			again = true;
	}
	up_read(&session->live);
	if (again)
		schedule_delayed_work(&listeners->tick, TICK);
}

/* In process context. */
void tcps_listeners_sum(struct tcps_listeners *listeners, struct tcpstates_stats *out)
{
	raw_spin_lock_irq(&listeners->lock);
	out->listeners = listeners->nr;
	out->unlisted = listeners->unlisted;
	raw_spin_unlock_irq(&listeners->lock);
}

/* Of its own queues, and of the endpoint. */
static u16 raised_alarms(const struct tcps_listener *listener)
{
	unsigned int kind;
	u16 raised = 0;

	for (kind = 0; kind < TCPSTATES_NR_ALARMS; kind++)
		if (listener->full_at[kind])
			raised |= BIT(kind);
	if (tcps_alarm_is_raised(&listener->end->alarms[TCPSTATES_ALARM_UNFINISHED]))
		raised |= BIT(TCPSTATES_ALARM_UNFINISHED);
	return raised;
}

static void describe_counts(struct tcps_session *session, struct tcps_listener *listener,
			    struct tcpstates_listener *out)
{
	struct tcps_listener_counts sum;

	sum_counts(session, listener, &sum);
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
	learn_end(listener);
	out->alarms = raised_alarms(listener);
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

/* @out is zeroed. False for an entry that does not stand for a listener. */
bool tcps_listener_describe(struct tcps_session *session, unsigned int index,
			    struct tcpstates_listener *out)
{
	return with_listening(session, tcps_listener_at(&session->listeners, index), describe,
			      out);
}
