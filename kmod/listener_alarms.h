/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Alarms of listeners: queues that are full, and SYNs that stay unfinished.
 *
 * Hooks call this with interrupts off, for a listener whose socket is alive.
 */
#ifndef TCPS_LISTENER_ALARMS_H
#define TCPS_LISTENER_ALARMS_H

#include <linux/jiffies.h>

#include "listeners.h"

void tcps_listener_alarms_init(struct tcps_listeners *listeners);
void tcps_listeners_stop(struct tcps_listeners *listeners);
void tcps_listener_clear_alarms(struct tcps_session *session, struct tcps_listener *listener);
u16 tcps_listener_raised_alarms(const struct tcps_listener *listener);
void tcps_listener_end_second(struct tcps_session *session, struct tcps_listener *listener);
void tcps_listener_look_at_half_open(struct tcps_session *session, struct tcps_listener *listener,
				     const struct sock *sk, u32 value);
void tcps_listener_look_at_accept_queue(struct tcps_session *session,
					struct tcps_listener *listener, const struct sock *sk,
					u32 value);
u32 tcps_half_open_limit(const struct sock *sk);

/**
 * tcps_listener_syn() - a SYN is about to be counted
 * @session: the activation
 * @listener: entry
 *
 * Context: Any, interrupts off. May take the lock of the endpoint.
 */
static inline void tcps_listener_syn(struct tcps_session *session, struct tcps_listener *listener)
{
	if (unlikely(time_after_eq(jiffies, READ_ONCE(listener->end->second_end))))
		tcps_listener_end_second(session, listener);
}

static inline bool tcps_queue_is_calm(const struct tcps_queue *queue, u32 value)
{
	return value <= READ_ONCE(queue->max) && value < READ_ONCE(queue->calm);
}

/**
 * tcps_listener_half_open() - the queue of requests has changed, or is about to
 * @session: the activation
 * @listener: entry
 * @sk: its socket
 * @value: requests
 *
 * Context: Any, interrupts off. May take the lock of the endpoint.
 */
static inline void tcps_listener_half_open(struct tcps_session *session,
					   struct tcps_listener *listener, const struct sock *sk,
					   u32 value)
{
	if (!tcps_queue_is_calm(&listener->half_open, value))
		tcps_listener_look_at_half_open(session, listener, sk, value);
}

/**
 * tcps_listener_accept_queue() - the accept queue has changed, or is about to
 * @session: the activation
 * @listener: entry
 * @sk: its socket
 * @value: connections in the queue
 *
 * Context: Any, interrupts off. May take the lock of the endpoint.
 */
static inline void tcps_listener_accept_queue(struct tcps_session *session,
					      struct tcps_listener *listener,
					      const struct sock *sk, u32 value)
{
	if (!tcps_queue_is_calm(&listener->accept_queue, value))
		tcps_listener_look_at_accept_queue(session, listener, sk, value);
}

#endif
