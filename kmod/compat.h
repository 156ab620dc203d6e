/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The only file that knows how kernels differ. TCPS_HAVE_X is set when
 * probe/X.c compiles, see Kbuild.
 */
#ifndef TCPS_COMPAT_H
#define TCPS_COMPAT_H

#include <linux/ftrace.h>
#include <linux/kprobes.h>
#include <linux/mm.h>
#include <linux/tcp.h>
#include <net/inet_hashtables.h>
#include <net/net_namespace.h>
#include <net/tcp.h>

#if BITS_PER_LONG != 64
#error "tcpstates needs a 64-bit kernel: its counters are read without a lock"
#endif

static inline void tcps_vm_forbid(struct vm_area_struct *vma, unsigned long flags)
{
#ifdef TCPS_HAVE_VM_FLAGS_CLEAR
	vm_flags_clear(vma, flags);
#else
	vma->vm_flags &= ~flags;
#endif
}

static inline void tcps_vm_set(struct vm_area_struct *vma, unsigned long flags)
{
#ifdef TCPS_HAVE_VM_FLAGS_CLEAR
	vm_flags_set(vma, flags);
#else
	vma->vm_flags |= flags;
#endif
}

static inline u32 tcps_snd_cwnd(const struct tcp_sock *tp)
{
#ifdef TCPS_HAVE_TCP_SND_CWND
	return tcp_snd_cwnd(tp);
#else
	return tp->snd_cwnd;
#endif
}

/*
 * Functions hooked by ftrace: it saves all registers (until 5.10), or, which
 * costs less, only those that carry arguments, in the same places.
 */
#if defined(CONFIG_DYNAMIC_FTRACE_WITH_REGS) && defined(TCPS_HAVE_FTRACE_PT_REGS)
#define TCPS_HAVE_FTRACE
#define TCPS_FTRACE_FLAGS \
	(FTRACE_OPS_FL_SAVE_REGS | FTRACE_OPS_FL_RECURSION_SAFE | FTRACE_OPS_FL_PERMANENT)
#define tcps_ftrace_pt_regs(regs)	(regs)
#define tcps_ftrace_regs			struct pt_regs
#elif defined(CONFIG_DYNAMIC_FTRACE_WITH_ARGS) && defined(TCPS_HAVE_FTRACE_REGS)
#define TCPS_HAVE_FTRACE
#define TCPS_FTRACE_FLAGS		FTRACE_OPS_FL_PERMANENT
#define tcps_ftrace_pt_regs(fregs)	(&(fregs)->regs)
#define tcps_ftrace_regs			struct ftrace_regs
#elif defined(CONFIG_DYNAMIC_FTRACE_WITH_ARGS) && defined(TCPS_HAVE_ARCH_FTRACE_REGS)
#define TCPS_HAVE_FTRACE
#define TCPS_FTRACE_FLAGS		FTRACE_OPS_FL_PERMANENT
#define tcps_ftrace_pt_regs(fregs)	(&arch_ftrace_regs(fregs)->regs)
#define tcps_ftrace_regs			struct ftrace_regs
#endif

/*
 * Frees the filter of an ops that is no longer registered. Before modules could
 * call ftrace_free_filter() (6.1.9), the only way needed memory, and leaked without.
 */
#ifdef TCPS_HAVE_FTRACE
static inline void tcps_ftrace_free_filter(struct ftrace_ops *ops)
{
#ifdef TCPS_HAVE_FTRACE_FREE_FILTER
	ftrace_free_filter(ops);
#else
	ftrace_set_filter(ops, NULL, 0, 1);
#endif
}
#endif

/* Does a request go to another listener of its port when its own is closed? */
#ifdef TCPS_HAVE_MIGRATE_REQ
#define TCPS_MIGRATES_REQUESTS	true
#else
#define TCPS_MIGRATES_REQUESTS	false
#endif

/*
 * May the timer of a request contain tcp_syn_ack_timeout() instead of calling it?
 * Until 6.18 it was called by its address; since then, link-time optimisation may
 * inline it. (From 7.2 on it may not, which no probe can find out.)
 */
#if defined(CONFIG_LTO_CLANG) && !defined(TCPS_HAVE_SYN_ACK_TIMEOUT_OP)
#define TCPS_INLINES_SYN_ACK_TIMEOUT	true
#else
#define TCPS_INLINES_SYN_ACK_TIMEOUT	false
#endif

/* Does tcp_reset() say which packet has led to it? */
#ifdef TCPS_HAVE_TCP_RESET_SKB
#define TCPS_RESET_HAS_PACKET	true
#else
#define TCPS_RESET_HAS_PACKET	false
#endif

/* Has this namespace as many timewait sockets as it may have? */
static inline bool tcps_timewait_is_full(const struct net *net)
{
	const struct inet_timewait_death_row *row = &net->ipv4.tcp_death_row;

#ifdef TCPS_HAVE_TW_REFCOUNT
	/* The namespace itself has one. */
	return (int)refcount_read(&row->tw_refcount) - 1 >= READ_ONCE(row->sysctl_max_tw_buckets);
#else
	return atomic_read(&row->tw_count) >= READ_ONCE(row->sysctl_max_tw_buckets);
#endif
}

/* Is this SYN for a TIME_WAIT that it takes over? It passes on a number then. */
static inline bool tcps_takes_over_timewait(const struct sk_buff *skb)
{
#ifdef TCPS_HAVE_TW_ISN_IN_SKB
	return TCP_SKB_CB(skb)->tcp_tw_isn;
#else
	return __this_cpu_read(tcp_tw_isn);
#endif
}

/* Has this listener sent SYN cookies recently? */
static inline bool tcps_synq_overflowed(const struct sock *listener)
{
#ifdef CONFIG_SYN_COOKIES
	return !tcp_synq_no_recent_overflow(listener);
#else
	return false;
#endif
}

/* Unlike the inode number it is never used again. Before 5.12 not every namespace has one. */
static inline u64 tcps_net_cookie(const struct net *net)
{
#ifdef TCPS_HAVE_NET_COOKIE
	return net->net_cookie;
#else
	return 0;
#endif
}

/* Since 6.1 a namespace may have an established hash of its own. */
static inline struct inet_hashinfo *tcps_hashinfo(const struct net *net)
{
	return net->ipv4.tcp_death_row.hashinfo;
}

/*
 * Listening sockets: all of them are in lhash2, linked by the socket's nulls
 * node or, until 5.18, by a node for lhash2 alone. Call next with NULL first, under
 * the bucket's lock.
 */
static inline unsigned int tcps_nr_listen_buckets(const struct inet_hashinfo *hashinfo)
{
	return hashinfo->lhash2_mask + 1;
}

#ifdef TCPS_HAVE_LISTEN_PORTADDR
static inline struct sock *tcps_next_listener(const struct inet_listen_hashbucket *bucket,
					      const struct sock *sk)
{
	struct hlist_node *node = sk ? inet_csk(sk)->icsk_listen_portaddr_node.next :
				  bucket->head.first;
	struct inet_connection_sock *icsk;

	icsk = hlist_entry_safe(node, struct inet_connection_sock, icsk_listen_portaddr_node);
	return (struct sock *)icsk;
}
#else
static inline struct sock *tcps_next_listener(const struct inet_listen_hashbucket *bucket,
					      const struct sock *sk)
{
	struct hlist_nulls_node *node = sk ? sk->sk_nulls_node.next : bucket->nulls_head.first;

	return is_a_nulls(node) ? NULL : hlist_nulls_entry(node, struct sock, sk_nulls_node);
}
#endif

#endif
