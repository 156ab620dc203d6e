// SPDX-License-Identifier: GPL-2.0-only
/*
 * Why a full socket goes to CLOSE, from what the kernel has left in it: the
 * first cause, in order of time. Who ends a connection for an error sets
 * sk_err before the state; all other reasons follow from the old state and
 * from what was read, sent or accepted.
 */
#include <linux/errno.h>
#include <net/net_namespace.h>
#include <net/sock.h>
#include <net/tcp.h>

#include "compat.h"
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
	/* Nothing is in flight: the peer's window is zero, or nothing is left to send. */
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

/*
 * Does the error end the connection, or has it been there before? One that an
 * ICMP message left for the program (IP_RECVERR) ends nothing, and stays until
 * it is read. But what is not ESTABLISHED yet is ended by it at once; and when
 * time-outs give up, the error is taken from sk_err_soft.
 */
static bool is_cause(const struct sock *sk, u8 old, int error)
{
	switch (error) {
	case 0:
		return false;
	case ETIMEDOUT:
	case ECONNRESET:
	case EPIPE:
	case ECONNABORTED:
		return true;
	}
	return old == TCP_SYN_SENT || old == TCP_SYN_RECV ||
	       error == READ_ONCE(sk->sk_err_soft);
}

/* connect() failed before it sent a SYN. */
static u8 connect_reason(const struct sock *sk, const struct tcps_conn *conn)
{
	/* TCP_FASTOPEN_CONNECT: it did not fail, and waited for the first data. */
	if (conn && conn->connecting)
		return TCPSTATES_REASON_CANCELLED;
	if (!inet_sk(sk)->inet_sport || sk->sk_userlocks & SOCK_BINDPORT_LOCK)
		return TCPSTATES_REASON_NO_PORT;
	return TCPSTATES_REASON_UNREACHABLE;
}

/* Nobody reads what has come. */
static bool has_unread_data(const struct sock *sk)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	/* A FIN takes a sequence number, but nobody reads it. */
	u32 fin = sock_flag(sk, SOCK_DONE) ? 1 : 0;

	return (s32)(READ_ONCE(tp->rcv_nxt) - fin - READ_ONCE(tp->copied_seq)) > 0;
}

/* Has the peer acknowledged all that was sent, our FIN too? */
static bool all_is_acked(const struct sock *sk)
{
	const struct tcp_sock *tp = tcp_sk(sk);

	return READ_ONCE(tp->snd_una) == READ_ONCE(tp->write_seq);
}

/*
 * The kernel gives up an orphan, with a reset: because of memory (as
 * tcp_check_oom() sees it), else there are too many orphans.
 */
static u8 over_limit(const struct sock *sk)
{
	const struct proto *prot = READ_ONCE(sk->sk_prot);

	if (READ_ONCE(sk->sk_wmem_queued) > SOCK_MIN_SNDBUF && prot->memory_allocated &&
	    atomic_long_read(prot->memory_allocated) > READ_ONCE(prot->sysctl_mem[2]))
		return TCPSTATES_REASON_OUT_OF_MEMORY;
	return TCPSTATES_REASON_OUT_OF_ORPHANS;
}

/* No error, and neither FIN is missing here. */
static u8 both_closed_reason(const struct sock *sk, u8 old)
{
	if (all_is_acked(sk))
		/* The next state would be TIME_WAIT instead of CLOSE. */
		return old == TCP_CLOSING ? TCPSTATES_REASON_OUT_OF_TIMEWAIT :
					    TCPSTATES_REASON_NONE;
	if (sock_flag(sk, SOCK_DEAD))
		return over_limit(sk);
	/* disconnect() sends a reset only where data has not been sent. */
	return READ_ONCE(tcp_sk(sk)->snd_nxt) != READ_ONCE(tcp_sk(sk)->write_seq) ?
		       TCPSTATES_REASON_RESET_SENT :
		       TCPSTATES_REASON_NONE;
}

/* No error; our FIN has gone out, or is about to. */
static u8 half_closed_reason(const struct sock *sk, u8 old)
{
	/* The FIN came, and no timewait socket was to be had. */
	if (old == TCP_FIN_WAIT2 && sock_flag(sk, SOCK_DONE))
		return TCPSTATES_REASON_OUT_OF_TIMEWAIT;
	/* close() or disconnect() by a process that has it open: a reset. */
	if (!sock_flag(sk, SOCK_DEAD))
		return has_unread_data(sk) ? TCPSTATES_REASON_UNREAD_DATA :
					     TCPSTATES_REASON_RESET_SENT;
	if (old == TCP_FIN_WAIT1)
		return over_limit(sk);
	if (READ_ONCE(tcp_sk(sk)->linger2) >= 0 && tcps_timewait_is_full(sock_net(sk)))
		return TCPSTATES_REASON_OUT_OF_TIMEWAIT;
	/* TCP_LINGER2, data that came after close(), or no FIN for too long. */
	return TCPSTATES_REASON_RESET_SENT;
}

/* No error, and not by the usual way of FINs. */
static u8 abrupt_reason(const struct sock *sk)
{
	/* Only accept() gives a child its struct socket. */
	if (!READ_ONCE(sk->sk_socket) && !sock_flag(sk, SOCK_DEAD))
		return TCPSTATES_REASON_LISTENER_CLOSED;
	if (has_unread_data(sk))
		return TCPSTATES_REASON_UNREAD_DATA;
	return TCPSTATES_REASON_RESET_SENT;
}

static u8 reason_without_error(const struct sock *sk, const struct tcps_conn *conn, u8 old)
{
	switch (old) {
	case TCP_SYN_SENT:
		return READ_ONCE(tcp_sk(sk)->segs_out) ? TCPSTATES_REASON_CANCELLED :
							 connect_reason(sk, conn);
	case TCP_LISTEN:
		return TCPSTATES_REASON_CLOSED_LOCAL;
	case TCP_LAST_ACK:
	case TCP_CLOSING:
		if (!all_is_acked(sk) && !check_net(sock_net(sk)))
			return TCPSTATES_REASON_NETNS_GONE;
		return both_closed_reason(sk, old);
	}
	if (!check_net(sock_net(sk)))
		return TCPSTATES_REASON_NETNS_GONE;
	if (old == TCP_FIN_WAIT1 || old == TCP_FIN_WAIT2)
		return half_closed_reason(sk, old);
	return abrupt_reason(sk);
}

/**
 * tcps_close_reason() - why a full socket is about to go to CLOSE
 * @sk: the socket
 * @conn: its node; NULL: none
 * @old: its state
 *
 * Context: Any. @sk is alive, and its state does not change.
 * Return: TCPSTATES_REASON_*; none: what was seen of the end before (who closed
 *	first) is all.
 */
u8 tcps_close_reason(const struct sock *sk, const struct tcps_conn *conn, u8 old)
{
	int error = READ_ONCE(sk->sk_err);

	if (conn && conn->hint)
		return conn->hint;
	if (unlikely(tcp_sk(sk)->repair) && old != TCP_LISTEN)
		return TCPSTATES_REASON_REPAIR;
	if (is_cause(sk, old, error))
		return error_reason(sk, old, error);
	return reason_without_error(sk, conn, old);
}
