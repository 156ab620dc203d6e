/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is read from a socket, without its lock and from any context: single
 * words, each of them what the socket held at some moment of the read. A
 * lock would cost more than a meter that is a packet old.
 */
#ifndef TCPS_SOCKINFO_H
#define TCPS_SOCKINFO_H

#include <linux/string.h>
#include <linux/uidgid.h>
#include <net/inet_sock.h>
#include <net/ipv6.h>
#include <net/sock.h>

#include "compat.h"
#include "conns.h"
#include "tcpstates.h"

/* ::ffff:a.b.c.d; @addr is aligned as the words of struct tcpstates_ident are. */
static inline void tcps_set_v4(__u8 *addr, __be32 v4)
{
	*(__be64 *)addr = 0;
	*(__be32 *)(addr + 8) = htonl(0xffff);
	*(__be32 *)(addr + 12) = v4;
}

static inline void tcps_sock_addrs(const struct sock *sk, struct tcpstates_ident *who)
{
#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6) {
		memcpy(who->laddr, &sk->sk_v6_rcv_saddr, sizeof(who->laddr));
		memcpy(who->raddr, &sk->sk_v6_daddr, sizeof(who->raddr));
		who->family = 6;
		return;
	}
#endif
	tcps_set_v4(who->laddr, sk->sk_rcv_saddr);
	tcps_set_v4(who->raddr, sk->sk_daddr);
	who->family = 4;
}

/*
 * Addresses, ports, family and namespace. The local port is taken from
 * inet_sport, which outlives inet_num on the way to CLOSE.
 */
static inline void tcps_sock_tuple(const struct sock *sk, struct tcpstates_ident *who)
{
	tcps_sock_addrs(sk, who);
	who->lport = ntohs(READ_ONCE(inet_sk(sk)->inet_sport));
	who->rport = ntohs(READ_ONCE(inet_sk(sk)->inet_dport));
	who->netns = sock_net(sk)->ns.inum;
}

/* All of the identity; of a socket without a node, what the socket tells. */
static inline void tcps_sock_ident(const struct sock *sk, const struct tcps_conn *conn,
				   struct tcpstates_ident *who)
{
	static const struct tcps_conn nobody;

	if (!conn)
		conn = &nobody;
	tcps_sock_tuple(sk, who);
	who->conn = conn->id;
	who->pid = conn->pid;
	/* A kuid is the number in the initial user namespace. */
	who->uid = __kuid_val(sk->sk_uid);
	memcpy(who->comm, conn->comm, sizeof(who->comm));
	who->role = conn->role;
	who->flags = conn->flags | TCPSTATES_HAS_UID;
}

static inline void tcps_sock_meters(const struct sock *sk, struct tcpstates_meters *meters)
{
	const struct tcp_sock *tp = tcp_sk(sk);

	meters->bytes_sent = READ_ONCE(tp->bytes_sent);
	meters->bytes_acked = READ_ONCE(tp->bytes_acked);
	meters->bytes_received = READ_ONCE(tp->bytes_received);
	meters->snd_cwnd = tcps_snd_cwnd(tp);
	meters->snd_wnd = READ_ONCE(tp->snd_wnd);
	meters->rcv_wnd = READ_ONCE(tp->rcv_wnd);
	meters->sndbuf = READ_ONCE(sk->sk_sndbuf);
	meters->sndbuf_used = READ_ONCE(sk->sk_wmem_queued);
	meters->rcvbuf = READ_ONCE(sk->sk_rcvbuf);
	meters->rcvbuf_used = atomic_read(&sk->sk_rmem_alloc);
	meters->backlog = READ_ONCE(sk->sk_ack_backlog);
	meters->max_backlog = READ_ONCE(sk->sk_max_ack_backlog);
	meters->retrans = READ_ONCE(tp->total_retrans);
	meters->srtt_us = READ_ONCE(tp->srtt_us) >> 3;
}

#endif
