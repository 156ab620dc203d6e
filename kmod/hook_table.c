// SPDX-License-Identifier: GPL-2.0-only
/* The table of hooks: what each of them is, and where its calls go. */
#include <linux/kernel.h>
#include <linux/ptrace.h>
#include <linux/timer.h>
#include <net/inet_timewait_sock.h>
#include <net/request_sock.h>
#include <net/sock.h>
#include <trace/events/sock.h>
#include <trace/events/tcp.h>

#include "compat.h"
#include "handshake.h"
#include "hook_table.h"
#include "session.h"
#include "timewait.h"
#include "transition.h"

#define IN_TRACEPOINT	BIT(TCPSTATES_HOOK_TRACEPOINT)
#define IN_KPROBE	BIT(TCPSTATES_HOOK_KPROBE)
#define IN_ALL		(IN_TRACEPOINT | IN_KPROBE)

/* Arguments of the function that is hooked, by their number. */
static __always_inline void *ptr(struct pt_regs *regs, unsigned int nr)
{
	return (void *)regs_get_kernel_argument(regs, nr);
}

/* The caller need not have extended these to a whole register. */
static __always_inline u32 number(struct pt_regs *regs, unsigned int nr)
{
	return regs_get_kernel_argument(regs, nr);
}

static __always_inline bool flag(struct pt_regs *regs, unsigned int nr)
{
	return (u8)regs_get_kernel_argument(regs, nr);
}

/* The kernel's prototypes, not ours, decide what a probe is called with. */
static inline void check_prototypes(void)
{
	check_trace_callback_type_inet_sock_set_state(tcps_transition);
	check_trace_callback_type_tcp_destroy_sock(tcps_sock_destroyed);
	check_trace_callback_type_tcp_retransmit_synack(tcps_synack_sent_again);
}

/* inet_sk_state_store(sk, new), inet_sk_set_state(sk, new) */
static void on_store_state(struct tcps_session *session, struct pt_regs *regs)
{
	const struct sock *sk = ptr(regs, 0);

	tcps_transition(&session->hooks, sk, READ_ONCE(sk->sk_state), number(regs, 1));
}

/* tcp_connect(sk) */
static void on_connect(struct tcps_session *session, struct pt_regs *regs)
{
	tcps_connecting(session, ptr(regs, 0));
}

/* security_sock_graft(sk, parent) */
static void on_sock_graft(struct tcps_session *session, struct pt_regs *regs)
{
	tcps_accepted(session, ptr(regs, 0), ptr(regs, 1));
}

/* tcp_reset(sk, skb) */
static void on_reset(struct tcps_session *session, struct pt_regs *regs)
{
	tcps_reset(session, ptr(regs, 0), ptr(regs, 1));
}

/* tcp_abort(sk, err) */
static void on_abort(struct tcps_session *session, struct pt_regs *regs)
{
	tcps_aborted(session, ptr(regs, 0));
}

/* tcp_conn_request(rsk_ops, af_ops, listener, skb) */
static void on_conn_request(struct tcps_session *session, struct pt_regs *regs)
{
	tcps_syn(session, ptr(regs, 2), ptr(regs, 3));
}

/* inet_csk_reqsk_queue_hash_add(listener, req, ...) */
static void on_request_hashed(struct tcps_session *session, struct pt_regs *regs)
{
	tcps_request_added(session, ptr(regs, 0), ptr(regs, 1));
}

/* tcp_check_req(listener, skb, req, ...) */
static void on_check_request(struct tcps_session *session, struct pt_regs *regs)
{
	tcps_request_checked(session, ptr(regs, 0), ptr(regs, 1), ptr(regs, 2));
}

/* tcp_req_err(req, seq, abort) */
static void on_request_error(struct tcps_session *session, struct pt_regs *regs)
{
	tcps_request_unreachable(session, ptr(regs, 0), number(regs, 1), flag(regs, 2));
}

/* tcp_syn_ack_timeout(req) */
static void on_request_timer(struct tcps_session *session, struct pt_regs *regs)
{
	tcps_request_timer(session, ptr(regs, 0));
}

/* reqsk_timer_handler(timer) */
static void on_request_timer_started(struct tcps_session *session, struct pt_regs *regs)
{
	struct timer_list *timer = ptr(regs, 0);

	tcps_request_timer(session, container_of(timer, struct request_sock, rsk_timer));
}

/* inet_reqsk_clone(req, listener) */
static void on_request_clone(struct tcps_session *session, struct pt_regs *regs)
{
	tcps_request_copied(session, ptr(regs, 0), ptr(regs, 1));
}

/* inet_csk_complete_hashdance(listener, child, req, own_req) */
static void on_hashdance(struct tcps_session *session, struct pt_regs *regs)
{
	if (flag(regs, 3))
		tcps_request_promoted(session, ptr(regs, 0), ptr(regs, 1), ptr(regs, 2));
}

/* tcp_v4_reqsk_destructor(req), tcp_v6_reqsk_destructor(req) */
static void on_request_free(struct tcps_session *session, struct pt_regs *regs)
{
	tcps_request_freed(session, ptr(regs, 0));
}

/* inet_csk_reqsk_queue_add(listener, req, child) */
static void on_queue_add(struct tcps_session *session, struct pt_regs *regs)
{
	tcps_child_queued(session, ptr(regs, 0), ptr(regs, 1), ptr(regs, 2));
}

/* cookie_v4_init_sequence(skb, mss), cookie_v6_init_sequence(skb, mss) */
static void on_cookie_sent(struct tcps_session *session, struct pt_regs *regs)
{
	tcps_cookie_sent(session);
}

/* cookie_v4_check(listener, skb), cookie_v6_check(listener, skb) */
static void on_cookie_check(struct tcps_session *session, struct pt_regs *regs)
{
	tcps_cookie_back(session, ptr(regs, 0), ptr(regs, 1));
}

/* tcp_get_cookie_sock(listener, skb, req, ...) */
static void on_cookie_sock(struct tcps_session *session, struct pt_regs *regs)
{
	tcps_cookie_right(session, ptr(regs, 0));
}

/* inet_twsk_hashdance(tw, sk, ...), inet_twsk_hashdance_schedule(tw, sk, ...) */
static void on_timewait_hashdance(struct tcps_session *session, struct pt_regs *regs)
{
	tcps_timewait_started(session, ptr(regs, 0), ptr(regs, 1));
}

/* __inet_twsk_schedule(tw, timeo, rearm) */
static void on_timewait_schedule(struct tcps_session *session, struct pt_regs *regs)
{
	if (flag(regs, 2))
		tcps_timewait_rearmed(session, ptr(regs, 0));
}

/* tcp_timewait_state_process(tw, skb, ...) */
static void on_timewait_packet(struct tcps_session *session, struct pt_regs *regs)
{
	tcps_timewait_packet(session, ptr(regs, 0), ptr(regs, 1));
}

/* tcp_twsk_destructor(tw) */
static void on_timewait_free(struct tcps_session *session, struct pt_regs *regs)
{
	tcps_timewait_freed(session, ptr(regs, 0));
}

/* clock_was_set(...) */
static void on_clock_set(struct tcps_session *session, struct pt_regs *regs)
{
	tcps_clocks_compare(&session->clocks);
}

/*
 * Which protocols call the hooked functions, 5.10 to 7.3, and which function keeps
 * out those that are not TCP. A subflow of MPTCP and the socket below an SMC one are TCP
 * sockets, and are recorded; an MPTCP socket itself is none. L2TP, UDP and
 * others call none of these.
 *
 *  hook                                called for              asked by
 *  inet_sock_set_state,                TCP, MPTCP, SCTP,       tcps_transition()
 *  inet_sk_state_store, _set_state     DCCP (until 6.15)
 *  inet_csk_reqsk_queue_hash_add       TCP, DCCP               tcps_request_added()
 *  inet_csk_complete_hashdance         TCP, DCCP               tcps_request_promoted()
 *  inet_csk_reqsk_queue_add            TCP, DCCP               tcps_child_queued()
 *  inet_reqsk_clone                    TCP, DCCP               tcps_request_copied()
 *  inet_twsk_hashdance, _schedule      TCP, DCCP               tcps_timewait_started()
 *  __inet_twsk_schedule                TCP, DCCP               no node, no effect
 *  security_sock_graft                 all families            tcps_accepted(); no node
 *  tcp_v4_reqsk_destructor, _v6_       TCP
 *  tcp_twsk_destructor                 TCP
 *  tcp_destroy_sock                    TCP
 *  tcp_connect, tcp_abort, tcp_reset   TCP
 *  tcp_conn_request, tcp_check_req,    TCP
 *  tcp_req_err, tcp_retransmit_synack,
 *  tcp_syn_ack_timeout
 *  reqsk_timer_handler (from 6.19)     TCP
 *  tcp_timewait_state_process          TCP
 *  cookie_v4_..., cookie_v6_...,       TCP
 *  tcp_get_cookie_sock
 *  clock_was_set                       the kernel's clock      looks at no socket
 *  seeding                             TCP's hash alone        is_ours()
 *
 * An untracked socket has nothing to change: only code that makes a node, or
 * records a step of an untracked socket, has to ask for the protocol.
 */

/*
 * In the order in which they are attached. Calls are ignored until all are.
 */
const struct tcps_hook_spec tcps_hook_table[] = {
	{
		/*
		 * No node may outlive its socket. Its CLOSE has removed it,
		 * unless the kernel missed a kprobe, or goes a way to free a
		 * socket that is not known here.
		 */
		.symbols = { "tcp_destroy_sock" },
		.id = TCPSTATES_HOOK_ID_SOCK_DESTROY,
		.modes = IN_ALL,
		.required = true,
		.probe = tcps_sock_destroyed,
	},
	{
		.symbols = { "tcp_v4_reqsk_destructor" },
		.id = TCPSTATES_HOOK_ID_V4_REQUEST_FREE,
		.near = TCPS_NEAR_IPV4,
		.modes = IN_ALL,
		.required = true,
		.sees = TCPS_SEES_V4_REQUESTS_FREED,
		.at_entry = on_request_free,
	},
	{
		.symbols = { "tcp_v6_reqsk_destructor" },
		.id = TCPSTATES_HOOK_ID_V6_REQUEST_FREE,
		.near = TCPS_NEAR_IPV6,
		.modes = IN_ALL,
		.sees = TCPS_SEES_V6_REQUESTS_FREED,
		.at_entry = on_request_free,
	},
	{
		.symbols = { "tcp_twsk_destructor" },
		.id = TCPSTATES_HOOK_ID_TIMEWAIT_FREE,
		.near = TCPS_NEAR_IPV4,
		.modes = IN_ALL,
		.required = true,
		.at_entry = on_timewait_free,
	},
	{
		.symbols = { "inet_sock_set_state" },
		.id = TCPSTATES_HOOK_ID_STATE_TRACEPOINT,
		.modes = IN_TRACEPOINT,
		.required = true,
		.probe = tcps_transition,
	},
	{
		.symbols = { "inet_sk_state_store" },
		.id = TCPSTATES_HOOK_ID_STATE_STORE,
		.near = TCPS_NEAR_ACCEPT,
		.modes = IN_KPROBE,
		.required = true,
		.by_kprobe = true,
		.at_entry = on_store_state,
	},
	{
		.symbols = { "inet_sk_set_state" },
		.id = TCPSTATES_HOOK_ID_STATE_SET,
		.near = TCPS_NEAR_ACCEPT,
		.modes = IN_KPROBE,
		.required = true,
		.by_kprobe = true,
		.at_entry = on_store_state,
	},
	{
		.symbols = { "tcp_connect" },
		.id = TCPSTATES_HOOK_ID_CONNECT,
		.near = TCPS_NEAR_OUTPUT,
		.modes = IN_ALL,
		.required = true,
		.at_entry = on_connect,
	},
	{
		.symbols = { "inet_twsk_hashdance", "inet_twsk_hashdance_schedule" },
		.id = TCPSTATES_HOOK_ID_TIMEWAIT_START,
		.near = TCPS_NEAR_ACCEPT,
		.modes = IN_ALL,
		.required = true,
		.at_entry = on_timewait_hashdance,
	},
	{
		.symbols = { "__inet_twsk_schedule" },
		.id = TCPSTATES_HOOK_ID_TIMEWAIT_TIMER,
		.near = TCPS_NEAR_ACCEPT,
		.modes = IN_ALL,
		.at_entry = on_timewait_schedule,
	},
	{
		.symbols = { "tcp_timewait_state_process" },
		.id = TCPSTATES_HOOK_ID_TIMEWAIT_PACKET,
		.near = TCPS_NEAR_IPV4,
		.modes = IN_ALL,
		.at_entry = on_timewait_packet,
	},
	{
		.symbols = { "inet_csk_complete_hashdance" },
		.id = TCPSTATES_HOOK_ID_REQUEST_DONE,
		.near = TCPS_NEAR_ACCEPT,
		.modes = IN_ALL,
		.required = true,
		.at_entry = on_hashdance,
	},
	{
		/* Only a part of the timer handler, but it is called for copies, too. */
		.symbols = { "tcp_syn_ack_timeout" },
		.id = TCPSTATES_HOOK_ID_SYNACK_TIMEOUT,
		.near = TCPS_NEAR_KEEPALIVE,
		.modes = IN_ALL,
		.sees = TCPS_SEES_REQUEST_TIMERS,
		.at_entry = on_request_timer,
	},
	{
		.symbols = { "reqsk_timer_handler" },
		.id = TCPSTATES_HOOK_ID_REQUEST_TIMER,
		.near = TCPS_NEAR_ACCEPT,
		.modes = TCPS_INLINES_SYN_ACK_TIMEOUT ? IN_ALL : 0,
		.sees = TCPS_SEES_REQUEST_TIMERS,
		.at_entry = on_request_timer_started,
	},
	{
		.symbols = { "tcp_check_req" },
		.id = TCPSTATES_HOOK_ID_REQUEST_PACKET,
		.near = TCPS_NEAR_IPV4,
		.modes = IN_ALL,
		.at_entry = on_check_request,
	},
	{
		.symbols = { "tcp_req_err" },
		.id = TCPSTATES_HOOK_ID_REQUEST_ICMP,
		.near = TCPS_NEAR_IPV4,
		.modes = IN_ALL,
		.at_entry = on_request_error,
	},
	{
		.symbols = { "tcp_abort" },
		.id = TCPSTATES_HOOK_ID_ABORT,
		.near = TCPS_NEAR_CLOSE,
		.modes = IN_ALL,
		.at_entry = on_abort,
	},
	{
		.symbols = { "tcp_reset" },
		.id = TCPSTATES_HOOK_ID_RESET,
		.near = TCPS_NEAR_OUTPUT,
		.modes = TCPS_RESET_HAS_PACKET ? IN_ALL : 0,
		.at_entry = on_reset,
	},
	{
		.symbols = { "inet_reqsk_clone" },
		.id = TCPSTATES_HOOK_ID_REQUEST_MIGRATE,
		.near = TCPS_NEAR_ACCEPT,
		.modes = TCPS_MIGRATES_REQUESTS ? IN_ALL : 0,
		.at_entry = on_request_clone,
	},
	{
		.symbols = { "inet_csk_reqsk_queue_hash_add" },
		.id = TCPSTATES_HOOK_ID_REQUEST_START,
		.near = TCPS_NEAR_ACCEPT,
		.modes = IN_ALL,
		.required = true,
		.at_entry = on_request_hashed,
	},
	{
		.symbols = { "inet_csk_reqsk_queue_add" },
		.id = TCPSTATES_HOOK_ID_CHILD_QUEUE,
		.near = TCPS_NEAR_ACCEPT,
		.modes = IN_ALL,
		.at_entry = on_queue_add,
	},
	{
		.symbols = { "security_sock_graft" },
		.id = TCPSTATES_HOOK_ID_ACCEPT,
		.modes = IN_ALL,
		.at_entry = on_sock_graft,
	},
	{
		.symbols = { "tcp_retransmit_synack" },
		.id = TCPSTATES_HOOK_ID_SYNACK_AGAIN,
		.modes = IN_ALL,
		.probe = tcps_synack_sent_again,
	},
	{
		.symbols = { "tcp_conn_request" },
		.id = TCPSTATES_HOOK_ID_SYN,
		.near = TCPS_NEAR_OUTPUT,
		.modes = IN_ALL,
		.at_entry = on_conn_request,
	},
	{
		.symbols = { "cookie_v4_init_sequence" },
		.id = TCPSTATES_HOOK_ID_V4_COOKIE_SENT,
		.near = TCPS_NEAR_COOKIES,
		.modes = IN_ALL,
		.at_entry = on_cookie_sent,
	},
	{
		.symbols = { "cookie_v6_init_sequence" },
		.id = TCPSTATES_HOOK_ID_V6_COOKIE_SENT,
		.near = TCPS_NEAR_V6_COOKIES,
		.modes = IN_ALL,
		.at_entry = on_cookie_sent,
	},
	{
		.symbols = { "cookie_v4_check" },
		.id = TCPSTATES_HOOK_ID_V4_COOKIE_CHECK,
		.near = TCPS_NEAR_COOKIES,
		.modes = IN_ALL,
		.at_entry = on_cookie_check,
	},
	{
		.symbols = { "cookie_v6_check" },
		.id = TCPSTATES_HOOK_ID_V6_COOKIE_CHECK,
		.near = TCPS_NEAR_V6_COOKIES,
		.modes = IN_ALL,
		.at_entry = on_cookie_check,
	},
	{
		.symbols = { "tcp_get_cookie_sock" },
		.id = TCPSTATES_HOOK_ID_COOKIE_SOCK,
		.near = TCPS_NEAR_COOKIES,
		.modes = IN_ALL,
		.at_entry = on_cookie_sock,
	},
	{
		.symbols = { "clock_was_set" },
		.id = TCPSTATES_HOOK_ID_CLOCK_SET,
		.near = TCPS_NEAR_TIMERS,
		.modes = IN_ALL,
		.at_entry = on_clock_set,
	},
};

const unsigned int tcps_hook_table_rows = ARRAY_SIZE(tcps_hook_table);

static_assert(ARRAY_SIZE(tcps_hook_table) <= TCPS_HOOKS_MAX);
