/* SPDX-License-Identifier: GPL-2.0-only */
/* The only file that knows kernel versions. */
#ifndef TCPS_COMPAT_H
#define TCPS_COMPAT_H

#include <linux/mm.h>
#include <linux/tcp.h>
#include <linux/version.h>
#include <net/inet_hashtables.h>
#include <net/net_namespace.h>
#include <net/tcp.h>

#if BITS_PER_LONG != 64
#error "tcpstates needs a 64-bit kernel: its counters are read without a lock"
#endif

/* 6.3 made vm_flags read-only. */
static inline void tcps_vm_forbid(struct vm_area_struct *vma, unsigned long flags)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_clear(vma, flags);
#else
	vma->vm_flags &= ~flags;
#endif
}

/* 5.18 wrapped snd_cwnd to catch zeroes. */
static inline u32 tcps_snd_cwnd(const struct tcp_sock *tp)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 18, 0)
	return tcp_snd_cwnd(tp);
#else
	return tp->snd_cwnd;
#endif
}

/* Since 6.1 a namespace may have an established hash of its own. */
static inline struct inet_hashinfo *tcps_hashinfo(const struct net *net)
{
	return net->ipv4.tcp_death_row.hashinfo;
}

/*
 * Listening sockets: all of them are in lhash2, linked by its own node up to
 * 5.16 and by the socket's nulls node after.
 */
static inline unsigned int tcps_nr_listen_buckets(const struct inet_hashinfo *hashinfo)
{
	return hashinfo->lhash2_mask + 1;
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 17, 0)
typedef struct hlist_nulls_node tcps_listen_node_t;

#define tcps_for_each_listener(sk, node, bucket) \
	sk_nulls_for_each(sk, node, &(bucket)->nulls_head)
#else
typedef struct hlist_node tcps_listen_node_t;

#define tcps_for_each_listener(sk, node, bucket) \
	for (node = NULL, sk = tcps_listener_of((bucket)->head.first); sk; \
	     sk = tcps_listener_of(inet_csk(sk)->icsk_listen_portaddr_node.next))

static inline struct sock *tcps_listener_of(struct hlist_node *node)
{
	struct inet_connection_sock *icsk;

	if (!node)
		return NULL;
	icsk = hlist_entry(node, struct inet_connection_sock, icsk_listen_portaddr_node);
	return (struct sock *)icsk;
}
#endif

#endif
