// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is read from a socket, without its lock and from any context: single
 * words, each of them what the socket held at some moment of the read. A
 * lock would cost more than a meter that is a packet old.
 */
#include <linux/cred.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/uidgid.h>
#include <net/inet_sock.h>
#include <net/ipv6.h>
#include <net/sock.h>

#include "compat.h"
#include "sockinfo.h"

static void set_v4(__u8 *addr, __be32 v4)
{
	struct in6_addr mapped;

	ipv6_addr_set_v4mapped(v4, &mapped);
	memcpy(addr, &mapped, sizeof(mapped));
}

static void set_addrs(const struct sock *sk, struct tcpstates_ident *who)
{
#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6) {
		memcpy(who->laddr, &sk->sk_v6_rcv_saddr, sizeof(who->laddr));
		memcpy(who->raddr, &sk->sk_v6_daddr, sizeof(who->raddr));
		return;
	}
#endif
	set_v4(who->laddr, sk->sk_rcv_saddr);
	set_v4(who->raddr, sk->sk_daddr);
}

/*
 * Addresses, ports, family, namespace and user. The local port is taken from
 * inet_sport, which outlives inet_num on the way to CLOSE.
 */
void tcps_sock_tuple(const struct sock *sk, struct tcpstates_ident *who)
{
	set_addrs(sk, who);
	who->lport = ntohs(READ_ONCE(inet_sk(sk)->inet_sport));
	who->rport = ntohs(READ_ONCE(inet_sk(sk)->inet_dport));
	who->family = sk->sk_family == AF_INET6 ? 6 : 4;
	who->netns = sock_net(sk)->ns.inum;
	who->uid = from_kuid_munged(&init_user_ns, sk->sk_uid);
	who->flags |= TCPSTATES_HAS_UID;
}

void tcps_sock_meters(const struct sock *sk, struct tcpstates_meters *meters)
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

/* What the node knows beyond its socket. */
void tcps_conn_ident(const struct tcps_conn *conn, struct tcpstates_ident *who)
{
	who->conn = conn->id;
	who->role = conn->role;
	who->flags |= conn->flags;
	if (conn->flags & TCPSTATES_HAS_OWNER) {
		who->pid = conn->pid;
		memcpy(who->comm, conn->comm, sizeof(who->comm));
	}
}

/* The current task owns the connection. Only for what runs in its context. */
void tcps_conn_own(struct tcps_conn *conn)
{
	const struct task_struct *leader = current->group_leader;

	conn->pid = task_tgid_nr(current);
	/* A task that renames itself meanwhile may tear the name, not its end. */
	memcpy(conn->comm, leader->comm, sizeof(conn->comm));
	conn->comm[sizeof(conn->comm) - 1] = '\0';
	conn->flags |= TCPSTATES_HAS_OWNER;
}
