/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is read from a socket of any kind, without its lock and from any
 * context: single words, each of them what the socket held at some moment of
 * the read. A lock would cost more than a meter that is a packet old.
 */
#ifndef TCPS_SOCKINFO_H
#define TCPS_SOCKINFO_H

#include <linux/cgroup.h>
#include <linux/string.h>
#include <linux/uidgid.h>
#include <net/inet_sock.h>
#include <net/ipv6.h>
#include <net/request_sock.h>
#include <net/sock.h>

#include "compat.h"
#include "conns.h"
#include "tcpstates.h"

/*
 * Functions that TCP shares with other protocols (DCCP, MPTCP) are hooked: who
 * is about to make a node, or to show a step, asks. Full sockets only.
 */
static __always_inline bool tcps_is_tcp(const struct sock *sk)
{
	return likely(sk->sk_protocol == IPPROTO_TCP);
}

/* ::ffff:a.b.c.d; @addr is aligned as the words of struct tcpstates_ident are. */
static inline void tcps_set_v4(__u8 *addr, __be32 v4)
{
	*(__be64 *)addr = 0;
	*(__be32 *)(addr + 8) = htonl(0xffff);
	*(__be32 *)(addr + 12) = v4;
}

static inline void tcps_sock_laddr(const struct sock *sk, __u8 *addr)
{
#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6) {
		memcpy(addr, &sk->sk_v6_rcv_saddr, sizeof(sk->sk_v6_rcv_saddr));
		return;
	}
#endif
	tcps_set_v4(addr, sk->sk_rcv_saddr);
}

/* Both addresses; returns the family, 4 or 6. */
static __always_inline u8 tcps_sock_addrs(const struct sock *sk, __u8 *laddr, __u8 *raddr)
{
#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6) {
		memcpy(laddr, &sk->sk_v6_rcv_saddr, sizeof(sk->sk_v6_rcv_saddr));
		memcpy(raddr, &sk->sk_v6_daddr, sizeof(sk->sk_v6_daddr));
		return 6;
	}
#endif
	tcps_set_v4(laddr, sk->sk_rcv_saddr);
	tcps_set_v4(raddr, sk->sk_daddr);
	return 4;
}

/*
 * Addresses, ports and family are in struct sock_common, which all kinds
 * begin with; but the local port of a full socket is taken from inet_sport,
 * which outlives skc_num on the way to CLOSE.
 */
static __always_inline void tcps_sock_tuple(const struct sock *sk, u8 kind,
					    struct tcpstates_ident *who)
{
	who->family = tcps_sock_addrs(sk, who->laddr, who->raddr);
	if (likely(kind == TCPS_FULL))
		who->lport = ntohs(READ_ONCE(inet_sk(sk)->inet_sport));
	else
		who->lport = sk->sk_num;
	who->rport = ntohs(READ_ONCE(sk->sk_dport));
}

static inline u32 tcps_sock_netns(const struct sock *sk)
{
	return sock_net(sk)->ns.inum;
}

/* A kuid is the number in the initial user namespace. Full sockets only. */
static inline u32 tcps_sock_uid(const struct sock *sk)
{
	return __kuid_val(READ_ONCE(sk->sk_uid));
}

/* The cgroup in which the socket was made; 0: not known. Full sockets only. */
static inline u64 tcps_sock_cgroup(const struct sock *sk)
{
#ifdef CONFIG_SOCK_CGROUP_DATA
	struct cgroup *cgroup = sock_cgroup_ptr((struct sock_cgroup_data *)&sk->sk_cgrp_data);

	return cgroup ? cgroup_id(cgroup) : 0;
#else
	return 0;
#endif
}

/**
 * tcps_conn_ident() - the identity of a connection
 * @sk: its socket, of which no pointer is followed
 * @kind: enum tcps_kind of @sk
 * @conn: its node
 * @who: the identity
 *
 * Context: Any. The lock of the shard of @conn.
 */
static __always_inline void tcps_conn_ident(const struct sock *sk, u8 kind,
					    const struct tcps_conn *conn,
					    struct tcpstates_ident *who)
{
	tcps_sock_tuple(sk, kind, who);
	memcpy(who, &conn->known, sizeof(conn->known));
	who->role = conn->role;
	who->ifindex = READ_ONCE(sk->sk_bound_dev_if);
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

/*
 * Inode number of the struct socket of a full socket, 0: it has none. It is
 * freed after a grace period, which RCU does not let pass while interrupts are
 * off.
 */
static inline u64 tcps_sock_ino(const struct sock *sk)
{
	struct socket *sock = READ_ONCE(sk->sk_socket);

	return sock ? SOCK_INODE(sock)->i_ino : 0;
}

/* The first SYN-ACK and those sent again. */
static inline u16 tcps_request_synacks(const struct sock *sk)
{
	return 1 + READ_ONCE(inet_reqsk((struct sock *)sk)->num_retrans);
}

/* Meters and SYN-ACKs, as far as the kind has them; the TCPSTATES_HAS_* of them. */
static inline u16 tcps_sock_measure(const struct sock *sk, u8 kind,
				    struct tcpstates_meters *meters, __u16 *synacks)
{
	if (likely(kind == TCPS_FULL)) {
		tcps_sock_meters(sk, meters);
		return TCPSTATES_HAS_METERS;
	}
	if (kind == TCPS_REQUEST) {
		*synacks = tcps_request_synacks(sk);
		return TCPSTATES_HAS_SYNACKS;
	}
	return 0;
}

#endif
