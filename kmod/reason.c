// SPDX-License-Identifier: GPL-2.0-only
/*
 * Why a full socket goes to CLOSE, from what the kernel has left in it: who
 * ends a connection for an error sets sk_err before the state; everybody else
 * is told from the state that is left and from what was read, sent or accepted.
 */
#include <linux/errno.h>
#include <net/net_namespace.h>
#include <net/sock.h>
#include <net/tcp.h>

#include "conns.h"
#include "reason.h"
#include "tcpstates.h"

/* ETIMEDOUT: which of the timers gave up? */
static u8 timeout_reason(const struct sock *sk, u8 old)
{
	const struct tcp_sock *tp = tcp_sk(sk);

	if (old == TCP_SYN_SENT || old == TCP_SYN_RECV)
		return TCPSTATES_REASON_TIMEOUT_SYN;
	if (READ_ONCE(inet_csk(sk)->icsk_retransmits))
		return TCPSTATES_REASON_TIMEOUT_RETRANSMIT;
	/* Nothing is in flight: either there is no room for the rest, or no rest. */
	if (READ_ONCE(tp->write_seq) != READ_ONCE(tp->snd_nxt))
		return TCPSTATES_REASON_TIMEOUT_PROBE;
	return TCPSTATES_REASON_TIMEOUT_KEEPALIVE;
}

static u8 error_reason(const struct sock *sk, u8 old, int error)
{
	switch (error) {
	case ECONNREFUSED:
		return old == TCP_SYN_SENT ? TCPSTATES_REASON_REFUSED :
					     TCPSTATES_REASON_UNREACHABLE;
	case ECONNRESET:
	case EPIPE:
		return TCPSTATES_REASON_RESET_RECEIVED;
	case ETIMEDOUT:
		return timeout_reason(sk, old);
	case ECONNABORTED:
		return TCPSTATES_REASON_ABORTED;
	default:
		return TCPSTATES_REASON_UNREACHABLE;
	}
}

/* connect() failed before it sent a SYN. */
static u8 connect_reason(const struct sock *sk)
{
	if (!inet_sk(sk)->inet_sport || sk->sk_userlocks & SOCK_BINDPORT_LOCK)
		return TCPSTATES_REASON_NO_PORT;
	return TCPSTATES_REASON_UNREACHABLE;
}

static bool has_unread_data(const struct sock *sk)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	/* A FIN takes a sequence number, but nobody reads it. */
	u32 fin = sock_flag(sk, SOCK_DONE) ? 1 : 0;

	return (s32)(READ_ONCE(tp->rcv_nxt) - fin - READ_ONCE(tp->copied_seq)) > 0;
}

/* No error, and not by the usual way of FINs. */
static u8 abrupt_reason(const struct sock *sk)
{
	if (!check_net(sock_net(sk)))
		return TCPSTATES_REASON_NETNS_GONE;
	/* Only accept() gives a child its struct socket. */
	if (!READ_ONCE(sk->sk_socket) && !sock_flag(sk, SOCK_DEAD))
		return TCPSTATES_REASON_LISTENER_CLOSED;
	if (has_unread_data(sk))
		return TCPSTATES_REASON_UNREAD_DATA;
	return TCPSTATES_REASON_RESET_SENT;
}

/*
 * @sk, in @old, is about to be CLOSE. @conn may be NULL. None means that what
 * has been seen of the end before, who closed first, is all there is to it.
 */
u8 tcps_close_reason(const struct sock *sk, const struct tcps_conn *conn, u8 old)
{
	int error = READ_ONCE(sk->sk_err);

	if (conn && conn->hint)
		return conn->hint;
	if (error)
		return error_reason(sk, old, error);
	switch (old) {
	case TCP_SYN_SENT:
		return READ_ONCE(tcp_sk(sk)->segs_out) ? TCPSTATES_REASON_CLOSED_LOCAL :
							 connect_reason(sk);
	case TCP_LISTEN:
		return TCPSTATES_REASON_CLOSED_LOCAL;
	case TCP_LAST_ACK:
		return TCPSTATES_REASON_NONE;
	case TCP_FIN_WAIT1:
	case TCP_FIN_WAIT2:
	case TCP_CLOSING:
		/* The FIN came, but no timewait socket was to be had. */
		if (sock_flag(sk, SOCK_DONE))
			return TCPSTATES_REASON_NONE;
		return check_net(sock_net(sk)) ? TCPSTATES_REASON_RESET_SENT :
						 TCPSTATES_REASON_NETNS_GONE;
	default:
		return abrupt_reason(sk);
	}
}
