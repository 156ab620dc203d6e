// SPDX-License-Identifier: GPL-2.0-only
/* Listening sockets: their queues, their handshakes, their connections. */
#include <linux/hash.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/string.h>
#include <net/inet_connection_sock.h>
#include <net/tcp.h>

#include "compat.h"
#include "listeners.h"
#include "session.h"
#include "sockinfo.h"

/* Alarms of listeners are looked after so often while one is raised. */
#define TICK	HZ

static void begin_to_tick(struct irq_work *work)
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
	if (tcps_table_init(&listeners->table, sizeof(struct tcps_listener), max)) {
		kvfree(listeners->by_sock);
		return -ENOMEM;
	}
	listeners->by_end = listeners->by_sock + (1UL << listeners->bits);
	tcps_hash_key_init(&listeners->key);
	raw_spin_lock_init(&listeners->lock);
	init_irq_work(&listeners->kick, begin_to_tick);
	INIT_DELAYED_WORK(&listeners->tick, tick);
	return 0;
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
	tcps_table_destroy(&listeners->table);
	kvfree(listeners->by_sock);
}

size_t tcps_listeners_memory(const struct tcps_listeners *listeners)
{
	return tcps_table_memory(&listeners->table) +
	       (sizeof(*listeners->by_sock) << (listeners->bits + 1));
}

static struct hlist_head *sock_bucket(struct tcps_listeners *listeners, const struct sock *sk)
{
	return &listeners->by_sock[hash_ptr(sk, listeners->bits)];
}

/* Any user may listen at many addresses with one port, or at all ports of one. */
static struct hlist_head *end_bucket(struct tcps_listeners *listeners, u32 netns,
				     const __u8 *addr, u16 port)
{
	u32 words[6] = { [4] = netns, [5] = port };

	memcpy(words, addr, 16);
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

static struct tcps_listener *look_up_end(struct tcps_listeners *listeners, u32 netns,
					 const __u8 *addr, u16 port)
{
	struct tcps_listener *listener;

	hlist_for_each_entry_rcu(listener, end_bucket(listeners, netns, addr, port), by_end,
				 irqs_disabled())
		if (listener->who.lport == port && listener->who.netns == netns &&
		    !memcmp(listener->who.laddr, addr, 16))
			return listener;
	return NULL;
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
	listener = look_up_end(listeners, netns, who.laddr, who.lport);
	if (!listener && who.family == 4)
		listener = look_up_end(listeners, netns, any4, who.lport);
	return listener ?: look_up_end(listeners, netns, any6, who.lport);
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
	listener->index = index;
	return listener;
}

/* An entry that no hook can still be looking at; NULL: there is none. */
static struct tcps_listener *take_entry(struct tcps_listeners *listeners)
{
	struct tcps_listener *listener;

	if (!hlist_empty(&listeners->free)) {
		listener = hlist_entry(listeners->free.first, struct tcps_listener, free);
		hlist_del(&listener->free);
		return listener;
	}
	listener = take_new_entry(listeners);
	if (!listener)
		listeners->unlisted++;
	return listener;
}

static void clean_entry(struct tcps_listener *listener)
{
	unsigned int i;

	for (i = 0; i < TCPS_NR_CLASSES; i++)
		atomic_set(&listener->counts[i], 0);
	for (i = 0; i < TCPS_NR_HANDSHAKES; i++)
		atomic64_set(&listener->handshakes[i], 0);
	atomic64_set(&listener->done, 0);
	listener->accept_queue = (struct tcps_queue){};
	listener->half_open = (struct tcps_queue){};
	listener->second = (struct tcps_second){ .end = jiffies };
	listener->unfinished = 0;
	listener->unfinished_max = 0;
	listener->unfinished_ns = 0;
	memset(listener->alarms, 0, sizeof(listener->alarms));
}

static void entry_is_free(struct rcu_head *rcu)
{
	struct tcps_listener *listener = container_of(rcu, struct tcps_listener, rcu);
	struct tcps_listeners *listeners = listener->listeners;
	unsigned long flags;

	raw_spin_lock_irqsave(&listeners->lock, flags);
	hlist_add_head(&listener->free, &listeners->free);
	raw_spin_unlock_irqrestore(&listeners->lock, flags);
}

static void put_listener(struct tcps_listener *listener)
{
	if (atomic_dec_and_test(&listener->refs))
		call_rcu(&listener->rcu, entry_is_free);
}

/*
 * @conn, which is in @class, has come to @listener. Another CPU may be closing
 * that: nobody holds its entry any more then.
 */
void tcps_listener_join(struct tcps_session *session, struct tcps_conn *conn,
			struct tcps_listener *listener, u8 class)
{
	if (!atomic_inc_not_zero(&listener->refs))
		return;
	tcps_count_move(listener->counts, TCPS_NO_CLASS, class);
	conn->listener = listener->index + 1;
}

/* @conn ends, or goes to another listener. */
void tcps_listener_leave(struct tcps_session *session, struct tcps_conn *conn, u8 class)
{
	struct tcps_listener *listener = tcps_listener_of(&session->listeners, conn);

	tcps_count_move(listener->counts, class, TCPS_NO_CLASS);
	conn->listener = 0;
	put_listener(listener);
}

static struct tcps_alarm_subject subject_of(const struct tcps_listener *listener, u8 kind)
{
	return (struct tcps_alarm_subject){
		.kind = kind,
		.who = &listener->who,
		.counts = listener->counts,
	};
}

/* One that listens without bind() gets its port after it was seen to begin. */
static void learn_port(struct tcps_listener *listener)
{
	const struct sock *sk = READ_ONCE(listener->sk);

	if (unlikely(!listener->who.lport) && sk)
		listener->who.lport = sk->sk_num;
}

/* The listener's socket is alive. */
static void raise_alarm(struct tcps_session *session, struct tcps_listener *listener, u8 kind,
			u64 value, u64 threshold)
{
	const struct tcps_alarm_subject subject = subject_of(listener, kind);
	struct tcps_alarm *alarm = &listener->alarms[kind];

	learn_port(listener);
	tcps_alarm_raise(session, alarm, &subject, value, threshold);
	irq_work_queue(&session->listeners.kick);
}

static void clear_alarm(struct tcps_session *session, struct tcps_listener *listener, u8 kind,
			u64 value)
{
	const struct tcps_alarm_subject subject = subject_of(listener, kind);

	tcps_alarm_clear(session, &listener->alarms[kind], &subject, value);
}

/* The highest value may be seen by two CPUs at once. */
static void note_peak(u32 *peak, u32 value)
{
	u32 before = READ_ONCE(*peak);

	while (value > before) {
		u32 seen = cmpxchg(peak, before, value);

		if (seen == before)
			break;
		before = seen;
	}
}

/*
 * A queue of @listener has grown. @full is what its owner and the settings make
 * it now, and is looked at again each second.
 */
static void look_at_queue(struct tcps_session *session, struct tcps_listener *listener,
			  struct tcps_queue *queue, u8 kind, u32 value, u32 full)
{
	struct tcps_alarm *alarm = &listener->alarms[kind];

	note_peak(&queue->max, value);
	raw_spin_lock(&listener->lock);
	if (value >= full && !tcps_alarm_is_raised(alarm))
		raise_alarm(session, listener, kind, value, full);
	alarm->peak = max_t(u64, alarm->peak, value);
	WRITE_ONCE(queue->calm, tcps_alarm_is_raised(alarm) ? 0 : full);
	raw_spin_unlock(&listener->lock);
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

/* The full socket of @conn begins to listen. */
void tcps_listener_begin(struct tcps_session *session, struct tcps_conn *conn)
{
	struct tcps_listeners *listeners = &session->listeners;
	struct tcps_listener *listener;

	raw_spin_lock(&listeners->lock);
	listener = take_entry(listeners);
	if (listener) {
		clean_entry(listener);
		atomic_set(&listener->refs, 1);
		memset(&listener->who, 0, sizeof(listener->who));
		tcps_conn_ident(conn->sk, TCPS_FULL, conn, &listener->who);
		listener->who.lport = conn->sk->sk_num;
		WRITE_ONCE(listener->sk, conn->sk);
		hlist_add_head_rcu(&listener->by_sock, sock_bucket(listeners, conn->sk));
		hlist_add_head_rcu(&listener->by_end,
				   end_bucket(listeners, listener->who.netns,
					      listener->who.laddr, listener->who.lport));
		listeners->nr++;
		conn->listener = listener->index + 1;
	}
	raw_spin_unlock(&listeners->lock);
	if (!listener)
		return;
	/* One that is older than the recording may have some, and be full. */
	tcps_listener_accept_queue(session, listener, conn->sk,
				   READ_ONCE(conn->sk->sk_ack_backlog));
	tcps_listener_half_open(session, listener, conn->sk,
				inet_csk_reqsk_queue_len(conn->sk));
}

static u64 count_of(const struct tcps_listener *listener, unsigned int nr)
{
	return atomic64_read(&listener->handshakes[nr]);
}

/* What the second has come to: SYNs, and those of them that stay unfinished. */
struct unfinished {
	u64 syns;
	u64 nr;
};

static struct unfinished count_unfinished(const struct tcps_listener *listener)
{
	const struct tcps_second *second = &listener->second;
	u64 syns = count_of(listener, TCPS_HANDSHAKE(syns)) - second->syns;
	u64 done = atomic64_read(&listener->done) - second->done;
	/* The server does not keep up with its clients: another matter. */
	u64 turned_away = count_of(listener, TCPS_HANDSHAKE(syn_accept_queue_full)) -
			  second->turned_away;

	done = min(syns, done + turned_away);
	return (struct unfinished){ syns, syns - done };
}

/*
 * Too many, and not just some of very many. What is in flight when a second
 * ends is finished in the next one, so that one bad second alone says little.
 */
static bool is_bad(struct unfinished unfinished, u64 rate, u32 threshold)
{
	return rate >= threshold && unfinished.nr >= unfinished.syns / 2;
}

static void judge_second(struct tcps_session *session, struct tcps_listener *listener,
			 unsigned long took)
{
	struct tcps_alarm *alarm = &listener->alarms[TCPSTATES_ALARM_UNFINISHED];
	const struct unfinished unfinished = count_unfinished(listener);
	const u32 threshold = session->config.unfinished;
	u64 rate = unfinished.nr * HZ / took;
	bool bad = threshold && is_bad(unfinished, rate, threshold);

	listener->unfinished = min_t(u64, rate, U32_MAX);
	listener->unfinished_max = max(listener->unfinished_max, listener->unfinished);
	listener->unfinished_ns = ktime_get_ns();
	if (tcps_alarm_is_raised(alarm)) {
		alarm->peak = max_t(u64, alarm->peak, rate);
		if (!is_bad(unfinished, rate, tcps_alarm_clears_below(threshold)))
			clear_alarm(session, listener, TCPSTATES_ALARM_UNFINISHED, rate);
	} else if (bad && listener->second.bad) {
		raise_alarm(session, listener, TCPSTATES_ALARM_UNFINISHED, rate, threshold);
	}
	listener->second.bad = bad;
}

static void begin_second(struct tcps_listener *listener)
{
	struct tcps_second *second = &listener->second;

	WRITE_ONCE(second->end, jiffies + HZ);
	second->syns = count_of(listener, TCPS_HANDSHAKE(syns));
	second->done = atomic64_read(&listener->done);
	second->turned_away = count_of(listener, TCPS_HANDSHAKE(syn_accept_queue_full));
}

/* The second is over: a listener without a SYN for long has none under way. */
static void end_second(struct tcps_session *session, struct tcps_listener *listener)
{
	unsigned long late = jiffies - listener->second.end;

	if (count_of(listener, TCPS_HANDSHAKE(syns)) != listener->second.syns ||
	    tcps_alarm_is_raised(&listener->alarms[TCPSTATES_ALARM_UNFINISHED]))
		judge_second(session, listener, HZ + late);
	/* Not in a row. */
	if (late >= HZ)
		listener->second.bad = false;
	begin_second(listener);
	/* The limits may have been changed. */
	WRITE_ONCE(listener->half_open.calm, 0);
	WRITE_ONCE(listener->accept_queue.calm, 0);
}

/* Unless another CPU has just done so. */
void tcps_listener_end_second(struct tcps_session *session, struct tcps_listener *listener)
{
	raw_spin_lock(&listener->lock);
	if (time_after_eq(jiffies, listener->second.end))
		end_second(session, listener);
	raw_spin_unlock(&listener->lock);
}

static bool any_alarm(const struct tcps_listener *listener)
{
	unsigned int kind;

	for (kind = 0; kind < TCPSTATES_NR_ALARMS; kind++)
		if (tcps_alarm_is_raised(&listener->alarms[kind]))
			return true;
	return false;
}

/* The listener of @conn is closed: nothing is too much for it any more. */
void tcps_listener_end(struct tcps_session *session, struct tcps_conn *conn)
{
	struct tcps_listeners *listeners = &session->listeners;
	struct tcps_listener *listener = tcps_listener_of(&session->listeners, conn);
	unsigned int kind;

	if (!listener)
		return;
	raw_spin_lock(&listener->lock);
	for (kind = 0; kind < TCPSTATES_NR_ALARMS; kind++)
		if (tcps_alarm_is_raised(&listener->alarms[kind]))
			clear_alarm(session, listener, kind, 0);
	raw_spin_unlock(&listener->lock);
	raw_spin_lock(&listeners->lock);
	WRITE_ONCE(listener->sk, NULL);
	hlist_del_rcu(&listener->by_sock);
	hlist_del_rcu(&listener->by_end);
	listeners->nr--;
	raw_spin_unlock(&listeners->lock);
	conn->listener = 0;
	put_listener(listener);
}

static void queue_has_shrunk(struct tcps_session *session, struct tcps_listener *listener,
			     u8 kind, u32 value)
{
	struct tcps_alarm *alarm = &listener->alarms[kind];

	if (tcps_alarm_is_raised(alarm) && value < tcps_alarm_clears_below(alarm->threshold))
		clear_alarm(session, listener, kind, value);
}

/* True while an alarm is raised. */
static bool look_after(struct tcps_session *session, struct tcps_listener *listener,
		       const struct tcps_conn *conn, void *data)
{
	const struct sock *sk = conn->sk;
	bool raised;

	raw_spin_lock(&listener->lock);
	queue_has_shrunk(session, listener, TCPSTATES_ALARM_ACCEPT_QUEUE,
			 READ_ONCE(sk->sk_ack_backlog));
	queue_has_shrunk(session, listener, TCPSTATES_ALARM_HALF_OPEN,
			 inet_csk_reqsk_queue_len(sk));
	if (time_after_eq(jiffies, listener->second.end))
		end_second(session, listener);
	raised = any_alarm(listener);
	raw_spin_unlock(&listener->lock);
	return raised;
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

		if (any_alarm(listener) && with_listening(session, listener, look_after, NULL))
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

static u16 raised_alarms(const struct tcps_listener *listener)
{
	unsigned int kind;
	u16 raised = 0;

	for (kind = 0; kind < TCPSTATES_NR_ALARMS; kind++)
		if (tcps_alarm_is_raised(&listener->alarms[kind]))
			raised |= BIT(kind);
	return raised;
}

static void describe_counts(const struct tcps_listener *listener, struct tcpstates_listener *out)
{
	__u64 *handshakes = (__u64 *)&out->handshakes;
	unsigned int i;

	out->established = tcps_count_of(listener->counts, TCPS_ESTABLISHED);
	out->closing = tcps_count_of(listener->counts, TCPS_CLOSING);
	out->timewait = tcps_count_of(listener->counts, TCPS_IN_TIMEWAIT);
	for (i = 0; i < TCPS_NR_HANDSHAKES; i++)
		handshakes[i] = count_of(listener, i);
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

	raw_spin_lock(&listener->lock);
	learn_port(listener);
	out->alarms = raised_alarms(listener);
	out->unfinished = listener->unfinished;
	out->unfinished_max = listener->unfinished_max;
	out->unfinished_ns = listener->unfinished_ns;
	raw_spin_unlock(&listener->lock);
	out->who = listener->who;
	out->since_ns = conn->since_ns;
	out->flags = conn->since_flags;
	describe_counts(listener, out);
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
