// SPDX-License-Identifier: GPL-2.0-only
/*
 * Alarms of listeners: queues that are full, and SYNs that stay unfinished.
 *
 * An alarm of a queue is one of a socket, that of unfinished SYNs one of the whole
 * endpoint. They are raised by hooks; while one is raised, a worker looks each
 * second whether it may be cleared.
 */
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/string.h>
#include <net/inet_connection_sock.h>

#include "listener_alarms.h"
#include "listener_slots.h"
#include "listeners.h"
#include "session.h"
#include "shared.h"

/* Interval of looks at listeners while an alarm is raised. */
#define TICK	HZ

static void sum_members(struct tcps_session *session, struct tcps_endpoint *end,
			struct tcps_listener_counts *sum)
{
	struct tcps_listener *member;

	lockdep_assert_held(&end->lock);
	*sum = (struct tcps_listener_counts){};
	list_for_each_entry(member, &end->members, beside) {
		struct tcps_listener_counts of_member;

		tcps_listener_sum(session, member, &of_member);
		tcps_listener_add_counts(sum, &of_member);
	}
}

/* A queue is one socket's; what is unfinished, that of all of them. */
static void sum_subject(struct tcps_session *session, struct tcps_listener *listener, u8 kind,
			struct tcps_listener_counts *sum)
{
	if (kind == TCPSTATES_ALARM_UNFINISHED)
		sum_members(session, listener->end, sum);
	else
		tcps_listener_sum(session, listener, sum);
}

/* @listener's socket is alive: the record names it. */
static void raise_alarm(struct tcps_session *session, struct tcps_listener *listener, u8 kind,
			u64 value, u64 threshold)
{
	struct tcps_listener_counts sum;
	const struct tcps_alarm_subject subject = {
		.kind = kind,
		.who = &listener->who,
		.counts = sum.classes,
	};

	lockdep_assert_held(&listener->end->lock);
	tcps_listener_update_address(listener);
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

	lockdep_assert_held(&listener->end->lock);
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

	lockdep_assert_held(&listener->end->lock);
	listener->full_at[kind] = limit;
	if (!end->full[kind]++)
		raise_alarm(session, listener, kind, value, limit);
}

/* The last one whose queue no longer is clears it. */
static void queue_is_not_full(struct tcps_session *session, struct tcps_listener *listener,
			      u8 kind, u32 value)
{
	struct tcps_endpoint *end = listener->end;

	lockdep_assert_held(&listener->end->lock);
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
 * A queue of @listener has grown. @full is the length at which it is full according
 * to the present settings, which are read again each second.
 */
static void look_at_queue(struct tcps_session *session, struct tcps_listener *listener,
			  struct tcps_queue *queue, u8 kind, u32 value, u32 full)
{
	struct tcps_endpoint *end = listener->end;
	struct tcps_alarm *alarm = &end->alarms[kind];

	lockdep_assert_irqs_disabled();
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

/**
 * tcps_half_open_limit() - the number of requests at which a SYN is dropped or gets a cookie
 * @sk: listening socket
 */
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

/**
 * tcps_listener_look_at_half_open() - tcps_listener_half_open(), when it may matter
 * @session: the activation
 * @listener: entry
 * @sk: its socket, which is alive
 * @value: requests
 *
 * Context: Any, interrupts off. Takes the lock of the endpoint.
 */
void tcps_listener_look_at_half_open(struct tcps_session *session, struct tcps_listener *listener,
				     const struct sock *sk, u32 value)
{
	look_at_queue(session, listener, &listener->half_open, TCPSTATES_ALARM_HALF_OPEN, value,
		      max(tcps_half_open_limit(sk), 1U));
}

/**
 * tcps_listener_look_at_accept_queue() - tcps_listener_accept_queue(), likewise
 * @session: the activation
 * @listener: entry
 * @sk: its socket, which is alive
 * @value: connections in the queue
 *
 * Context: Any, interrupts off. Takes the lock of the endpoint.
 */
void tcps_listener_look_at_accept_queue(struct tcps_session *session,
					struct tcps_listener *listener, const struct sock *sk,
					u32 value)
{
	/* It takes one more than its limit. */
	look_at_queue(session, listener, &listener->accept_queue, TCPSTATES_ALARM_ACCEPT_QUEUE,
		      value, READ_ONCE(sk->sk_max_ack_backlog) + 1);
}

/* SYNs of a second, and those of them that stay unfinished. */
struct unfinished {
	u64 syns;
	u64 nr;
};

static struct unfinished unfinished_of(const struct tcps_second *second)
{
	return (struct unfinished){ second->syns, second->syns - min(second->syns, second->done) };
}

/*
 * At least the threshold, and half of all. Handshakes in flight when a second ends
 * are finished in the next one, so that one bad second alone raises no alarm.
 */
static bool is_bad(struct unfinished unfinished, u64 rate, u32 threshold)
{
	return rate >= threshold && unfinished.nr >= unfinished.syns / 2;
}

/* What @listener has counted since its last second ended; a new one starts. */
static struct tcps_second next_second(struct tcps_session *session,
				      struct tcps_listener *listener)
{
	const struct tcps_second now = tcps_listener_sum_second(session, listener);
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
 * The second of the endpoint has ended; @listener is the one that noticed. Without
 * a SYN for long, no second is running.
 */
static void end_second(struct tcps_session *session, struct tcps_listener *listener)
{
	struct tcps_endpoint *end = listener->end;
	bool raised = tcps_alarm_is_raised(&end->alarms[TCPSTATES_ALARM_UNFINISHED]);
	unsigned long late = jiffies - end->second_end;
	struct tcps_second second, sum = {};
	struct tcps_listener *member;
	u64 now = ktime_get_ns();

	lockdep_assert_held(&end->lock);
	/* CPUs that come now need not wait for the lock. */
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

/**
 * tcps_listener_end_second() - a second may have ended
 * @session: the activation
 * @listener: entry, whose socket is alive
 *
 * Does nothing if another CPU has just done it, or the listener is being closed.
 *
 * Context: Any, interrupts off. Takes the lock of the endpoint.
 */
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

/**
 * tcps_listener_clear_alarms() - a listener is being closed
 * @session: the activation
 * @listener: entry; what is unfinished may still be too much for other members
 *
 * Context: Any, interrupts off. The lock of the endpoint of @listener.
 */
void tcps_listener_clear_alarms(struct tcps_session *session, struct tcps_listener *listener)
{
	struct tcps_endpoint *end = listener->end;
	unsigned int kind;

	lockdep_assert_held(&end->lock);
	for (kind = 0; kind < TCPSTATES_NR_ALARMS; kind++)
		if (listener->full_at[kind])
			queue_is_not_full(session, listener, kind, 0);
	if (end->nr == 1 && tcps_alarm_is_raised(&end->alarms[TCPSTATES_ALARM_UNFINISHED]))
		clear_alarm(session, listener, TCPSTATES_ALARM_UNFINISHED, 0);
}

/**
 * tcps_listener_raised_alarms() - alarms of a listener's queues and of its endpoint
 * @listener: entry
 *
 * Context: Any, interrupts off. The lock of the endpoint of @listener.
 * Return: bits of TCPSTATES_ALARM_*.
 */
u16 tcps_listener_raised_alarms(const struct tcps_listener *listener)
{
	unsigned int kind;
	u16 raised = 0;

	lockdep_assert_held(&listener->end->lock);
	for (kind = 0; kind < TCPSTATES_NR_ALARMS; kind++)
		if (listener->full_at[kind])
			raised |= BIT(kind);
	if (tcps_alarm_is_raised(&listener->end->alarms[TCPSTATES_ALARM_UNFINISHED]))
		raised |= BIT(TCPSTATES_ALARM_UNFINISHED);
	return raised;
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

/* A first look without a lock, at an entry that may be unused. */
static bool may_need_care(const struct tcps_listener *listener)
{
	const struct tcps_endpoint *end = READ_ONCE(listener->end);

	return end && any_alarm(end);
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

		if (may_need_care(listener) &&
		    tcps_with_listener(session, listener, look_after, NULL))
			again = true;
	}
	up_read(&session->live);
	if (again)
		schedule_delayed_work(&listeners->tick, TICK);
}

static void start_ticking(struct irq_work *work)
{
	struct tcps_listeners *listeners = container_of(work, struct tcps_listeners, kick);

	schedule_delayed_work(&listeners->tick, TICK);
}

/**
 * tcps_listener_alarms_init() - prepare the worker that clears alarms
 * @listeners: the table
 *
 * Context: Process context.
 */
void tcps_listener_alarms_init(struct tcps_listeners *listeners)
{
	init_irq_work(&listeners->kick, start_ticking);
	INIT_DELAYED_WORK(&listeners->tick, tick);
}

/**
 * tcps_listeners_stop() - the worker that clears alarms ends
 * @listeners: the table
 *
 * Context: Process context, may sleep. The hooks are detached.
 */
void tcps_listeners_stop(struct tcps_listeners *listeners)
{
	irq_work_sync(&listeners->kick);
	cancel_delayed_work_sync(&listeners->tick);
}
