// SPDX-License-Identifier: GPL-2.0-only
/*
 * What happens from the arrival of a SYN to the accept queue.
 *
 * A SYN makes a request socket, which is the connection in SYN_RECV. It is
 * promoted, when the last ACK makes a full socket, its child; or it is dropped
 * and then freed. Only these two end it here, because only they are sure: who
 * drops a request may find that another CPU has just promoted it. What leads
 * to a drop leaves the reason in the node, for the case that it ends.
 */
#include <linux/ktime.h>
#include <linux/minmax.h>
#include <linux/skbuff.h>
#include <net/inet_connection_sock.h>
#include <net/net_namespace.h>
#include <net/request_sock.h>
#include <net/tcp.h>

#include "change.h"
#include "compat.h"
#include "handshake.h"
#include "listener_alarms.h"
#include "listener_slots.h"
#include "mptcp.h"
#include "seed.h"
#include "session.h"
#include "sockinfo.h"

/* Several hooks of one SYN look up its listener. */
static struct tcps_listener *entry_of(struct tcps_session *session, const struct sock *sk)
{
	struct tcps_listener *last = tcps_stats_this_cpu(&session->stats)->listener;

	if (likely(last && READ_ONCE(last->sk) == sk))
		return last;
	return tcps_listener_find(session, sk);
}

/*
 * Count what happened to a handshake: for all, and for its listener, if that
 * is known.
 */
static void count_nr(struct tcps_session *session, struct tcps_listener *entry, unsigned int nr)
{
	struct tcps_cpu_stats *stats = tcps_stats_this_cpu(&session->stats);
	__u64 *counters = (__u64 *)&stats->handshakes;

	tcps_add(counters[nr], 1);
	if (likely(entry))
		tcps_listener_count(stats, entry, nr);
}

#define count(session, entry, member) count_nr(session, entry, TCPS_HANDSHAKE(member))

/* The same for a SYN, which may count as @dropped as well (else TCPS_NR_HANDSHAKES). */
static void count_syn(struct tcps_session *session, struct tcps_listener *entry,
		      unsigned int dropped)
{
	struct tcps_cpu_stats *stats = tcps_stats_this_cpu(&session->stats);
	__u64 *counters = (__u64 *)&stats->handshakes;
	struct tcps_listener_counts *counts = NULL;

	tcps_add(stats->handshakes.syns, 1);
	if (unlikely(dropped < TCPS_NR_HANDSHAKES))
		tcps_add(counters[dropped], 1);
	if (likely(entry))
		counts = tcps_listener_counts(stats, entry);
	if (unlikely(!counts))
		return;
	tcps_add(counts->handshakes[TCPS_HANDSHAKE(syns)], 1);
	if (unlikely(dropped < TCPS_NR_HANDSHAKES))
		tcps_add(counts->handshakes[dropped], 1);
	tcps_listener_counted(entry, counts);
}

/* A handshake was finished; it may have been that of a request that was @promoted. */
static __always_inline void count_done(struct tcps_session *session,
				       struct tcps_listener *entry, bool promoted)
{
	struct tcps_cpu_stats *stats = tcps_stats_this_cpu(&session->stats);
	struct tcps_listener_counts *counts;

	tcps_add(stats->handshakes.promoted, promoted);
	if (unlikely(!entry))
		return;
	counts = tcps_listener_counts(stats, entry);
	if (unlikely(!counts))
		return;
	tcps_add(counts->handshakes[TCPS_HANDSHAKE(promoted)], promoted);
	tcps_add(counts->done, 1);
	tcps_listener_counted(entry, counts);
}

/* Will the kernel answer this SYN with a cookie if it must? */
static bool gives_cookies(const struct sock *listener)
{
	return IS_ENABLED(CONFIG_SYN_COOKIES) &&
	       READ_ONCE(sock_net(listener)->ipv4.sysctl_tcp_syncookies);
}

/**
 * tcps_syn() - a SYN has come, before the kernel checks it
 * @session: the activation
 * @listener: the listening socket
 * @skb: the packet
 *
 * Context: Any: a hook. May take the locks of the listener and its endpoint.
 */
void tcps_syn(struct tcps_session *session, const struct sock *listener,
	      const struct sk_buff *skb)
{
	unsigned int dropped = TCPS_NR_HANDSHAKES;
	struct tcps_listener *entry;
	unsigned long flags;

	local_irq_save(flags);
	entry = entry_of(session, listener);
	if (likely(entry))
		tcps_listener_syn(session, entry);
	/* One that takes over a TIME_WAIT is let in where others are not. */
	if (unlikely(inet_csk_reqsk_queue_is_full(listener)) && !gives_cookies(listener) &&
	    !tcps_takes_over_timewait(skb))
		dropped = TCPS_HANDSHAKE(syn_queue_full);
	else if (unlikely(sk_acceptq_is_full(listener)))
		dropped = TCPS_HANDSHAKE(syn_accept_queue_full);
	count_syn(session, entry, dropped);
	local_irq_restore(flags);
}

/* A request is counted, and, if there is one, the half-open connection that it stands for. */
static __always_inline void count_request(struct tcps_session *session,
					  struct tcps_listener *entry, struct tcps_conn *conn)
{
	struct tcps_cpu_stats *stats = tcps_stats_this_cpu(&session->stats);
	struct tcps_listener_counts *counts;

	tcps_add(stats->handshakes.requests, 1);
	if (unlikely(!entry))
		return;
	counts = tcps_listener_counts(stats, entry);
	if (unlikely(!counts))
		return;
	tcps_add(counts->handshakes[TCPS_HANDSHAKE(requests)], 1);
	if (likely(conn)) {
		tcps_listener_count_join(counts, TCPS_HALF_OPEN);
		conn->listener = entry->number;
	}
	tcps_listener_counted(entry, counts);
}

/**
 * tcps_request_added() - a request is about to be hashed: a connection is half-open
 * @session: the activation
 * @listener: the listening socket
 * @req: the request
 *
 * Context: Any: a hook. Takes the lock of the shard of @req.
 */
void tcps_request_added(struct tcps_session *session, const struct sock *listener,
			struct request_sock *req)
{
	const struct tcps_step step = {
		.old = TCPSTATES_STATE_NEW,
		.new = TCP_NEW_SYN_RECV,
		.kind = TCPS_REQUEST,
	};
	const struct sock *sk = req_to_sk(req);
	struct tcps_shard *shard = tcps_conns_shard(&session->conns, sk);
	struct tcps_listener *entry;
	struct tcps_conn *conn;
	unsigned long flags;
	u64 now;

	if (!tcps_is_tcp(listener) || !tcps_hooks_free_requests(&session->hooks, req))
		return;
	raw_spin_lock_irqsave(&shard->lock, flags);
	now = ktime_get_ns();
	entry = entry_of(session, listener);
	conn = tcps_node_start(session, shard, sk, TCPS_REQUEST, TCPSTATES_STATE_NEW, now);
	if (likely(conn))
		tcps_node_set_listener(conn, listener);
	count_request(session, entry, conn);
	tcps_change_first(session, conn, sk, step, now);
	if (likely(entry))
		tcps_listener_half_open(session, entry, listener,
					inet_csk_reqsk_queue_len(listener) + 1);
	raw_spin_unlock_irqrestore(&shard->lock, flags);
	tcps_rings_wake(session->rings);
}

/* A bare ACK is ignored for a while if the listener waits for data. */
static bool is_deferred(const struct sock *listener, const struct sk_buff *skb,
			const struct request_sock *req)
{
	const struct request_sock_queue *queue = &inet_csk(listener)->icsk_accept_queue;

	return req->num_timeout < READ_ONCE(queue->rskq_defer_accept) &&
	       TCP_SKB_CB(skb)->end_seq == tcp_rsk(req)->rcv_isn + 1;
}

/* The ACK that would complete the handshake finds the accept queue full. */
static noinline void ack_finds_queue_full(struct tcps_session *session, const struct sock *listener,
					  const struct sk_buff *skb, struct request_sock *req)
{
	struct tcps_listener *entry;
	unsigned long flags;

	if (TCP_SKB_CB(skb)->ack_seq != tcp_rsk(req)->snt_isn + 1 ||
	    is_deferred(listener, skb, req))
		return;
	local_irq_save(flags);
	entry = entry_of(session, listener);
	count(session, entry, ack_accept_queue_full);
	local_irq_restore(flags);
	tcps_node_hint(session, req_to_sk(req), TCPSTATES_REASON_ACCEPT_QUEUE_FULL);
}

/*
 * The last ACK of a subflow that joins an MPTCP connection makes a child that
 * never waits for accept(): the request is dropped, and no hook is called with
 * both. One CPU does all of this with softirqs off: it checks the packet for the
 * request, clones the listener, drops the request, and makes the child's first
 * step. The child is forgotten then at the latest, so it is alive while it is known
 * here.
 */
static noinline void subflow_checked(struct tcps_session *session, const struct request_sock *req)
{
	struct tcps_cpu_stats *stats;
	unsigned long flags;

	local_irq_save(flags);
	stats = tcps_stats_this_cpu(&session->stats);
	stats->checked = req;
	stats->clone = NULL;
	local_irq_restore(flags);
}

/**
 * tcps_subflow_cloned() - a listener was cloned for the request that was checked last
 * @session: the activation
 * @sk: the clone
 *
 * Context: Any: a hook.
 */
void tcps_subflow_cloned(struct tcps_session *session, const struct sock *sk)
{
	struct tcps_cpu_stats *stats;
	unsigned long flags;

	local_irq_save(flags);
	stats = tcps_stats_this_cpu(&session->stats);
	if (stats->checked)
		stats->clone = sk;
	local_irq_restore(flags);
}

/**
 * tcps_forget_clone() - a socket is no fresh clone any more
 * @session: the activation
 * @sk: untracked socket that changes its state
 *
 * Context: Any, interrupts off.
 */
void tcps_forget_clone(struct tcps_session *session, const struct sock *sk)
{
	struct tcps_cpu_stats *stats = tcps_stats_this_cpu(&session->stats);

	if (stats->clone == sk) {
		stats->clone = NULL;
		stats->checked = NULL;
	}
}

/**
 * tcps_request_checked() - a packet for a request, which may end it
 * @session: the activation
 * @listener: the listening socket
 * @skb: the packet
 * @req: the request
 *
 * Leaves the reason in the node, for the case that it does.
 *
 * Context: Any: a hook. Takes the lock of the shard of @req.
 */
void tcps_request_checked(struct tcps_session *session, const struct sock *listener,
			  const struct sk_buff *skb, struct request_sock *req)
{
	const struct tcphdr *th = tcp_hdr(skb);

	if (unlikely(rsk_is_mptcp(req)))
		subflow_checked(session, req);
	if (unlikely(th->rst))
		tcps_node_hint(session, req_to_sk(req), TCPSTATES_REASON_RESET_RECEIVED);
	else if (unlikely(th->syn))
		tcps_node_hint(session, req_to_sk(req), TCPSTATES_REASON_RESET_SENT);
	else if (unlikely(sk_acceptq_is_full(listener)))
		ack_finds_queue_full(session, listener, skb, req);
}

/**
 * tcps_request_unreachable() - an ICMP error about a SYN-ACK
 * @session: the activation
 * @sk: the request
 * @seq: sequence number in it
 * @abort: whether it is one that ends a request
 *
 * Context: Any: a hook. Takes the lock of the shard of @sk.
 */
void tcps_request_unreachable(struct tcps_session *session, const struct sock *sk, u32 seq,
			      bool abort)
{
	if (abort && seq == tcp_rsk(inet_reqsk((struct sock *)sk))->snt_isn)
		tcps_node_hint(session, sk, TCPSTATES_REASON_UNREACHABLE);
}

/* Why a request that was not promoted ends. It still holds its listener. */
static u8 end_reason(const struct request_sock *req, u8 hint, bool sees_timers)
{
	const struct sock *listener = req->rsk_listener;

	if (listener && !check_net(sock_net(listener)))
		return TCPSTATES_REASON_NETNS_GONE;
	if (listener && READ_ONCE(listener->sk_state) != TCP_LISTEN)
		return TCPSTATES_REASON_LISTENER_CLOSED;
	/* A subflow that cannot join is reset. */
	if (!hint && rsk_drop_req(req))
		return TCPSTATES_REASON_RESET_SENT;
	/* No packet ever came for it, nor its timer: it was not in the hash. */
	if (!hint && sees_timers)
		return TCPSTATES_REASON_DUPLICATE;
	return hint;
}

/* Where the end of a request for this reason is counted. */
static unsigned int counter_of(u8 reason)
{
	switch (reason) {
	case TCPSTATES_REASON_TIMEOUT_SYN:
		return TCPS_HANDSHAKE(expired);
	case TCPSTATES_REASON_ACCEPT_QUEUE_FULL:
		return TCPS_HANDSHAKE(accept_queue_full);
	case TCPSTATES_REASON_RESET_RECEIVED:
		return TCPS_HANDSHAKE(reset_received);
	case TCPSTATES_REASON_RESET_SENT:
		return TCPS_HANDSHAKE(reset_sent);
	case TCPSTATES_REASON_UNREACHABLE:
		return TCPS_HANDSHAKE(unreachable);
	case TCPSTATES_REASON_ABORTED:
		return TCPS_HANDSHAKE(aborted);
	case TCPSTATES_REASON_LISTENER_CLOSED:
		return TCPS_HANDSHAKE(listener_closed);
	case TCPSTATES_REASON_NETNS_GONE:
		return TCPS_HANDSHAKE(netns_gone);
	case TCPSTATES_REASON_DUPLICATE:
		return TCPS_HANDSHAKE(duplicate);
	default:
		return TCPS_HANDSHAKE(unknown);
	}
}

/* @req is about to be freed: if it stood for a connection, that ends. */
static noinline void end_request(struct tcps_session *session, struct tcps_shard *shard,
				 struct request_sock *req)
{
	struct tcps_step step = {
		.old = TCP_NEW_SYN_RECV,
		.new = TCP_CLOSE,
		.kind = TCPS_REQUEST,
	};
	const struct sock *sk = req_to_sk(req);
	struct tcps_conn *conn;
	unsigned long flags;

	raw_spin_lock_irqsave(&shard->lock, flags);
	conn = tcps_conns_find(shard, sk);
	if (conn) {
		step.reason = end_reason(req, conn->hint,
					 session->hooks.sees & TCPS_SEES_REQUEST_TIMERS);
		count_nr(session, tcps_listener_of(&session->listeners, conn),
			 counter_of(step.reason));
		tcps_pair_unfinished(session, conn);
		tcps_change(session, shard, conn, sk, step, ktime_get_ns());
	}
	raw_spin_unlock_irqrestore(&shard->lock, flags);
	if (conn)
		tcps_rings_wake(session->rings);
}

/* @to, which stands for no connection yet, replaces @req. */
static struct tcps_conn *hand_over(struct tcps_session *session, struct request_sock *req,
				   const struct sock *to, const struct sock *listener, u8 kind)
{
	const struct sock *from = req_to_sk(req);
	struct tcps_shard *near = tcps_conns_shard(&session->conns, from);
	struct tcps_shard *far = tcps_conns_shard(&session->conns, to);
	struct tcps_conn *conn;

	tcps_shards_lock(near, far);
	conn = tcps_conns_find(near, from) ?: tcps_seed_early(session, near, from);
	if (conn) {
		tcps_node_move(session, near, far, conn, to);
		conn->kind = kind;
		if (listener != req->rsk_listener)
			tcps_node_join_listener(session, conn, listener,
						entry_of(session, listener));
		if (kind == TCPS_FULL) {
			conn->hint = TCPSTATES_REASON_NONE;
			/* Subflows that join never are. */
			conn->queued = !rsk_drop_req(req);
			tcps_mark_subflow(conn, to);
			tcps_set_state(session, conn, TCP_SYN_RECV);
		}
	}
	tcps_shards_unlock(near, far);
	return conn;
}

/* The child that was made of @req, if it joined an MPTCP connection; NULL: it did not. */
static const struct sock *joined_child(struct tcps_session *session,
				       const struct request_sock *req)
{
	const struct tcps_cpu_stats *stats = tcps_stats_this_cpu(&session->stats);

	if (stats->checked != req || !stats->clone ||
	    READ_ONCE(stats->clone->sk_state) != TCP_SYN_RECV)
		return NULL;
	return stats->clone;
}

/* Did @req become a subflow of a connection that is there already? Then that goes on with it. */
static noinline bool request_joined(struct tcps_session *session, struct request_sock *req)
{
	const struct sock *listener = req->rsk_listener;
	struct tcps_listener *entry;
	const struct sock *child;
	unsigned long flags;

	local_irq_save(flags);
	child = joined_child(session, req);
	if (child) {
		entry = entry_of(session, listener);
		count_done(session, entry,
			   hand_over(session, req, child, listener, TCPS_FULL));
		tcps_forget_clone(session, child);
	}
	local_irq_restore(flags);
	return child;
}

/* Do packets find @req? Another CPU may change it. */
static bool is_hashed(struct request_sock *req)
{
	return !hlist_unhashed_lockless(&req_to_sk(req)->sk_node);
}

/**
 * tcps_request_copied() - a request is about to be copied for another listener
 * @session: the activation
 * @req: the request, whose listener has closed
 * @listener: the other listener
 *
 * In the hash it is half-open, and its timer goes on with the copy. Otherwise a
 * child stands for the connection, and only the accept queue gets the copy.
 *
 * Context: Any: a hook. May take the lock of migrations.
 */
void tcps_request_copied(struct tcps_session *session, struct request_sock *req,
			 const struct sock *listener)
{
	unsigned long flags;

	if (!tcps_is_tcp(listener) || !tcps_hooks_free_requests(&session->hooks, req))
		return;
	local_irq_save(flags);
	if (is_hashed(req))
		tcps_migrations_expect(&session->migrations, req, listener);
	else
		count(session, entry_of(session, listener), migrated);
	local_irq_restore(flags);
}

/* Its timer has gone off for @req: it may be a copy that was made just now, by that. */
static noinline void take_over(struct tcps_session *session, struct request_sock *req)
{
	const struct sock *listener = req->rsk_listener;
	struct request_sock *original;
	unsigned long flags;
	bool has_node = true;

	local_irq_save(flags);
	original = tcps_migrations_original(&session->migrations, req);
	if (original) {
		count(session, entry_of(session, listener), migrated);
		has_node = hand_over(session, original, req_to_sk(req), listener, TCPS_REQUEST);
	}
	local_irq_restore(flags);
	if (!has_node)
		tcps_migrations_forget(&session->migrations, req);
}

/**
 * tcps_request_timer() - a SYN-ACK was not answered in time
 * @session: the activation
 * @req: the request
 *
 * It is sent again, or the request expires. This is also called for the SYN-ACK of
 * a Fast Open child, which has no node.
 *
 * Context: Any: a hook. Takes the lock of the shard of @req. May take that of
 *	migrations before.
 */
void tcps_request_timer(struct tcps_session *session, struct request_sock *req)
{
	const struct sock *sk = req_to_sk(req);
	struct tcps_shard *shard = tcps_conns_shard(&session->conns, sk);
	struct tcps_conn *conn;
	unsigned long flags;

	if (unlikely(tcps_migrations_any(&session->migrations)))
		take_over(session, req);
	raw_spin_lock_irqsave(&shard->lock, flags);
	conn = tcps_conns_find(shard, sk);
	/* It was answered, but the accept queue was full. */
	if (conn && conn->hint != TCPSTATES_REASON_ACCEPT_QUEUE_FULL)
		conn->hint = TCPSTATES_REASON_TIMEOUT_SYN;
	raw_spin_unlock_irqrestore(&shard->lock, flags);
}

/* @req was copied, and is promoted all the same: its node is the copy's. */
static noinline struct tcps_conn *hand_over_copy(struct tcps_session *session,
						 const struct request_sock *req,
						 const struct sock *child,
						 const struct sock *listener)
{
	struct tcps_migrations *migrations = &session->migrations;
	struct tcps_conn *conn = NULL;
	struct request_sock *copy;

	raw_spin_lock(&migrations->lock);
	copy = tcps_migrations_copy(migrations, req);
	if (copy)
		conn = hand_over(session, copy, child, listener, TCPS_FULL);
	raw_spin_unlock(&migrations->lock);
	return conn;
}

/**
 * tcps_request_freed() - a request is about to be freed
 * @session: the activation
 * @req: the request
 *
 * Most often it was promoted, and has no node any more. If it has, its connection
 * ends.
 *
 * Context: Any: a hook. Takes the lock of the shard of @req.
 */
void tcps_request_freed(struct tcps_session *session, struct request_sock *req)
{
	struct tcps_shard *shard = tcps_conns_shard(&session->conns, req_to_sk(req));

	if (unlikely(tcps_migrations_any(&session->migrations)))
		tcps_migrations_forget(&session->migrations, req);
	if (tcps_shard_lacks(shard))
		return;
	if (unlikely(rsk_drop_req(req)) && request_joined(session, req))
		return;
	end_request(session, shard, req);
}

/* A connection is about to wait for accept(); it may be one whose request was @promoted. */
static __always_inline void queue_child(struct tcps_session *session,
					struct tcps_listener *entry,
					const struct sock *listener, bool promoted)
{
	count_done(session, entry, promoted);
	if (unlikely(!entry))
		return;
	tcps_listener_accept_queue(session, entry, listener,
				   READ_ONCE(listener->sk_ack_backlog) + 1);
}

/**
 * tcps_request_promoted() - a handshake is complete: the child goes to the accept queue
 * @session: the activation
 * @listener: the listening socket
 * @child: the child, locked, so that its state does not change
 * @req: the request
 *
 * Context: Any: a hook. Takes the locks of the shards of @req and @child.
 */
void tcps_request_promoted(struct tcps_session *session, const struct sock *listener,
			   const struct sock *child, struct request_sock *req)
{
	struct tcps_listener *entry;
	struct tcps_conn *conn;
	unsigned long flags;

	if (!tcps_is_tcp(listener))
		return;
	local_irq_save(flags);
	entry = entry_of(session, listener);
	conn = hand_over(session, req, child, listener, TCPS_FULL);
	if (unlikely(!conn) && tcps_migrations_any(&session->migrations))
		conn = hand_over_copy(session, req, child, listener);
	queue_child(session, entry, listener, conn);
	local_irq_restore(flags);
}

/* The connection of a child that was made by a SYN, or by an ACK with a cookie. */
static __always_inline void start_child(struct tcps_session *session, struct tcps_shard *shard,
					struct tcps_listener *entry, const struct sock *listener,
					const struct sock *child, bool fast_open)
{
	const struct tcps_step step = {
		.old = TCPSTATES_STATE_NEW,
		.new = TCP_SYN_RECV,
		.kind = TCPS_FULL,
		.reason = fast_open ? TCPSTATES_REASON_FAST_OPEN : TCPSTATES_REASON_SYN_COOKIE,
	};
	u64 now = ktime_get_ns();
	struct tcps_conn *conn;

	conn = tcps_node_start(session, shard, child, TCPS_FULL, TCPSTATES_STATE_NEW, now);
	if (conn)
		tcps_node_join_listener(session, conn, listener, entry);
	tcps_change(session, shard, conn, child, step, now);
	if (!conn)
		return;
	conn->queued = true;
	tcps_mark_subflow(conn, child);
	/* It may be accepted before it is ESTABLISHED. */
	tcps_conn_establish(conn, now);
	/* The reason of its start is not one of its end. */
	conn->reason = TCPSTATES_REASON_NONE;
	/* The kernel kept nothing of the SYN, nor of its time. */
	if (!fast_open)
		conn->since_flags = 0;
}

/**
 * tcps_child_queued() - a child goes to the accept queue
 * @session: the activation
 * @listener: the listening socket
 * @req: the request
 * @child: the child
 *
 * Of a request that was half-open it stands for the connection already; but a SYN
 * with a Fast Open cookie, or an ACK with a SYN cookie, makes a child at once.
 *
 * Context: Any: a hook. Takes the lock of the shard of @child.
 */
void tcps_child_queued(struct tcps_session *session, const struct sock *listener,
		       struct request_sock *req, const struct sock *child)
{
	bool fast_open = tcp_rsk(req)->tfo_listener;
	struct tcps_listener *entry;
	struct tcps_shard *shard;
	unsigned long flags;

	if (likely(!fast_open && req->rsk_listener) || !tcps_is_tcp(listener))
		return;
	shard = tcps_conns_shard(&session->conns, child);
	raw_spin_lock_irqsave(&shard->lock, flags);
	entry = entry_of(session, listener);
	if (fast_open)
		count(session, entry, fast_open);
	else
		count(session, entry, cookies_accepted);
	if (!tcps_conns_find(shard, child)) {
		start_child(session, shard, entry, listener, child, fast_open);
		queue_child(session, entry, listener, false);
	}
	raw_spin_unlock_irqrestore(&shard->lock, flags);
	tcps_rings_wake(session->rings);
}

/**
 * tcps_synack_sent_again() - a SYN-ACK was sent again
 * @data: struct tcps_hooks of the activation
 * @sk: the listening socket
 * @req: the request
 *
 * Context: Any: a hook.
 */
void tcps_synack_sent_again(void *data, const struct sock *sk, const struct request_sock *req)
{
	struct tcps_session *session = tcps_hooks_session(data);
	unsigned long flags;

	if (unlikely(!session))
		return;
	local_irq_save(flags);
	count(session, entry_of(session, sk), synacks_sent_again);
	local_irq_restore(flags);
}

/**
 * tcps_cookie_sent() - a SYN is answered with a cookie
 * @session: the activation
 *
 * Context: Any: a hook.
 */
void tcps_cookie_sent(struct tcps_session *session)
{
	unsigned long flags;

	local_irq_save(flags);
	/* This CPU has just found the listener of the SYN, and serves one at a time. */
	count(session, tcps_stats_this_cpu(&session->stats)->listener, cookies_sent);
	local_irq_restore(flags);
}

/*
 * Will the kernel take this ACK, which belongs to no connection, for the return
 * of a cookie? One that a BPF program has checked has its request with it.
 */
static bool is_cookie(const struct sock *listener, const struct sk_buff *skb)
{
	const struct tcphdr *th = tcp_hdr(skb);

	return gives_cookies(listener) && th->ack && !th->rst &&
	       (tcps_synq_overflowed(listener) || skb->sk);
}

/**
 * tcps_cookie_back() - an ACK that belongs to no connection has come
 * @session: the activation
 * @listener: the listening socket
 * @skb: the packet
 *
 * If it is a cookie, it is counted as rejected, see tcps_settle_cookies().
 *
 * Context: Any: a hook.
 */
void tcps_cookie_back(struct tcps_session *session, const struct sock *listener,
		      const struct sk_buff *skb)
{
	unsigned long flags;

	if (!is_cookie(listener, skb))
		return;
	local_irq_save(flags);
	count(session, entry_of(session, listener), cookies_rejected);
	local_irq_restore(flags);
}

/**
 * tcps_cookie_right() - a cookie was right: the listener is about to get a child
 * @session: the activation
 * @listener: the listening socket
 *
 * It is counted as accepted when the child goes to the accept queue; if that is
 * full, here.
 *
 * Context: Any: a hook.
 */
void tcps_cookie_right(struct tcps_session *session, const struct sock *listener)
{
	struct tcps_listener *entry;
	unsigned long flags;

	if (likely(!sk_acceptq_is_full(listener)))
		return;
	local_irq_save(flags);
	entry = entry_of(session, listener);
	count(session, entry, cookies_accepted);
	count(session, entry, ack_accept_queue_full);
	local_irq_restore(flags);
}

/**
 * tcps_settle_cookies() - rejected cookies, of all that came back
 * @handshakes: sums over all CPUs
 *
 * Hooks count all cookies that came back as rejected: which were accepted is known
 * only later.
 *
 * Context: Any.
 */
void tcps_settle_cookies(struct tcpstates_handshakes *handshakes)
{
	handshakes->cookies_rejected -= min(handshakes->cookies_rejected,
					    handshakes->cookies_accepted);
}
