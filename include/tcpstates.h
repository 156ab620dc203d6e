/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * The one ABI between the kernel module tcpstates.ko and its controller.
 *
 * Read by the module (C) and, through bindgen, by the controller (Rust).
 * Rules: fixed-width words, natural alignment, no enum, no bit-field, no
 * implicit padding. Reserved fields are zero: the module refuses a call
 * whose reserved fields are not, and never writes any into a record. A new
 * meaning gets a new command number; a retired number keeps its name.
 *
 * All times are CLOCK_MONOTONIC nanoseconds of the host (ktime_get_ns()).
 * TCPSTATES_GET_CLOCKS gives what turns them into wall-clock time: the time
 * of an event stays what it was when the wall clock is set later. Addresses
 * are in network order, ports and everything else in host order. No kernel
 * pointer is ever stored in any of these structures.
 */
#ifndef TCPSTATES_H
#define TCPSTATES_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define TCPSTATES_MODULE_NAME	"tcpstates"
#define TCPSTATES_DEVICE_NAME	"diagnose-tcpstates"

/*
 * Two versions, compared when the device is opened. A change of any ioctl
 * structure raises the first, a change of the ring or of what a record
 * means raises the second.
 */
#define TCPSTATES_CALL_VERSION		7
#define TCPSTATES_RECORD_VERSION	5

/*
 * States are the kernel's (include/net/tcp_states.h), which are those of
 * RFC 9293 and NEW_SYN_RECV, the state of a request socket. 0 is the old
 * state of a connection that a SYN starts; conntrack calls it NONE.
 */
#define TCPSTATES_STATE_NEW	0
#define TCPSTATES_NR_STATES	13

/* tcpstates_ident.role: which side of the connection this socket is. */
#define TCPSTATES_ROLE_UNKNOWN	0
#define TCPSTATES_ROLE_CLIENT	1	/* it sent the first SYN */
#define TCPSTATES_ROLE_SERVER	2	/* a listener accepted its SYN */
#define TCPSTATES_ROLE_LISTENER	3
#define TCPSTATES_NR_ROLES	4

/* tcpstates_ident.flags */
#define TCPSTATES_HAS_OWNER	0x0001	/* pid and comm are known */
#define TCPSTATES_HAS_UID	0x0002	/* uid is known */
#define TCPSTATES_SEEDED	0x0004	/* older than the activation */
#define TCPSTATES_HAS_LISTENER	0x0008	/* listener_addr and listener_port are known */
#define TCPSTATES_IS_SUBFLOW	0x0010	/* of an MPTCP connection */

/*
 * The identity of a connection, from the socket (struct sock_common,
 * struct inet_sock, struct inet_request_sock, struct inet_timewait_sock). An
 * IPv4 address is stored as ::ffff:a.b.c.d.
 *
 * The owner is the process that called connect(), listen() or accept().
 */
struct tcpstates_ident {
	__u64 conn;		/* own id, unique in one activation; 0: not tracked */
	__u64 cgroup;		/* id of the owner's cgroup, else of the socket's; 0: unknown */
	__u8  listener_addr[16]; /* laddr of the listener that got the SYN */
	__u8  comm[16];		/* of the owner thread group's leader, NUL padded */
	__u32 netns;		/* inode number of the network namespace */
	__u32 pid;		/* of the owner: thread group, in the initial pid namespace */
	__u32 uid;		/* sk_uid, in the initial user namespace */
	__u16 listener_port;
	__u16 flags;		/* TCPSTATES_HAS_*, TCPSTATES_SEEDED */
	__u8  laddr[16];	/* skc_rcv_saddr or skc_v6_rcv_saddr */
	__u8  raddr[16];	/* skc_daddr or skc_v6_daddr */
	__u16 lport;		/* inet_sport, ir_num, tw_sport; 0: not chosen yet */
	__u16 rport;		/* inet_dport, ir_rmt_port, tw_dport */
	__u8  family;		/* the socket's: 4 or 6 */
	__u8  role;		/* TCPSTATES_ROLE_* */
	__u8  reserved[2];
	__u32 ifindex;		/* skc_bound_dev_if: the device that it is bound to; 0: none */
	__u32 reserved1;
};

/*
 * The socket's own meters at one moment. Only a full socket has
 * them (TCPSTATES_HAS_METERS), a request or timewait socket has not.
 */
struct tcpstates_meters {
	__u64 bytes_sent;	/* tcp_sock.bytes_sent, retransmitted ones too */
	__u64 bytes_acked;	/* tcp_sock.bytes_acked */
	__u64 bytes_received;	/* tcp_sock.bytes_received */
	__u32 snd_cwnd;		/* tcp_sock.snd_cwnd, segments */
	__u32 snd_wnd;		/* tcp_sock.snd_wnd, bytes */
	__u32 rcv_wnd;		/* tcp_sock.rcv_wnd, bytes */
	__u32 sndbuf;		/* sock.sk_sndbuf, bytes */
	__u32 sndbuf_used;	/* sock.sk_wmem_queued, bytes */
	__u32 rcvbuf;		/* sock.sk_rcvbuf, bytes */
	__u32 rcvbuf_used;	/* sock.sk_backlog.rmem_alloc, bytes */
	__u32 backlog;		/* sock.sk_ack_backlog: waiting for accept() */
	__u32 max_backlog;	/* sock.sk_max_ack_backlog: its limit */
	__u32 retrans;		/* tcp_sock.total_retrans, segments */
	__u32 srtt_us;		/* tcp_sock.srtt_us >> 3; 0: not measured */
	__u32 unread;		/* tcp_sock.rcv_nxt - copied_seq; a FIN is 1. 0 in records */
};

/* tcpstates_record.type, tcpstates_alarm.type */
#define TCPSTATES_REC_TRANSITION	1
#define TCPSTATES_REC_ALARM		2

/* tcpstates_record.flags and tcpstates_conn.flags */
#define TCPSTATES_SINCE_KNOWN	0x0001	/* the time in the state is known ... */
#define TCPSTATES_SINCE_EXACT	0x0002	/* ... and not only a lower bound */
#define TCPSTATES_HAS_METERS	0x0004	/* meters are known */
#define TCPSTATES_HAS_SYNACKS	0x0008	/* synacks is known */
#define TCPSTATES_HAS_LAST_RECV	0x0010	/* last_recv_ms is known */
#define TCPSTATES_HAS_LAST_SENT	0x0020	/* last_sent_ms is known */

/*
 * tcpstates_record.reason, tcpstates_conn.reason: why a connection ends, from
 * the first sign of it on; or, on its first record, how it started.
 */
#define TCPSTATES_REASON_NONE			0	/* no end in sight, or not known why */
#define TCPSTATES_REASON_CLOSED_LOCAL		1	/* our FIN came first */
#define TCPSTATES_REASON_CLOSED_PEER		2	/* the peer's FIN came first */
#define TCPSTATES_REASON_CLOSED_BOTH		3	/* the FINs crossed */
#define TCPSTATES_REASON_RESET_SENT		4	/* linger 0, disconnect, data after close */
#define TCPSTATES_REASON_RESET_RECEIVED		5
#define TCPSTATES_REASON_TIMEOUT_RETRANSMIT	6	/* data was never acknowledged */
#define TCPSTATES_REASON_TIMEOUT_KEEPALIVE	7
#define TCPSTATES_REASON_TIMEOUT_PROBE		8	/* the window stayed zero */
#define TCPSTATES_REASON_TIMEOUT_SYN		9	/* no answer to our SYN or SYN-ACK */
#define TCPSTATES_REASON_REFUSED		10	/* a reset answered our SYN */
#define TCPSTATES_REASON_UNREACHABLE		11	/* ICMP or routing said so, see error */
#define TCPSTATES_REASON_UNREAD_DATA		12	/* closed before all was read: reset sent */
#define TCPSTATES_REASON_ABORTED		13	/* by the administrator (`ss -K`) */
#define TCPSTATES_REASON_LISTENER_CLOSED	14	/* before accept() */
#define TCPSTATES_REASON_NETNS_GONE		15
#define TCPSTATES_REASON_ACCEPT_QUEUE_FULL	16	/* the handshake's last ACK was dropped */
#define TCPSTATES_REASON_NO_PORT		17	/* connect() found no local port */
#define TCPSTATES_REASON_FIN_TIMEOUT		18	/* the peer's FIN never came */
#define TCPSTATES_REASON_REUSED			19	/* a new connection took over a TIME_WAIT */
#define TCPSTATES_REASON_DUPLICATE		20	/* two CPUs served the same SYN */
#define TCPSTATES_REASON_SYN_COOKIE		21	/* started: by the return of a SYN cookie */
#define TCPSTATES_REASON_FAST_OPEN		22	/* started: by a SYN with its cookie */
#define TCPSTATES_REASON_OUT_OF_TIMEWAIT	23	/* no timewait socket: tcp_max_tw_buckets */
#define TCPSTATES_REASON_OUT_OF_ORPHANS		24	/* too many orphans: tcp_max_orphans */
#define TCPSTATES_REASON_OUT_OF_MEMORY		25	/* tcp_mem, or no memory for an orphan */
#define TCPSTATES_REASON_CANCELLED		26	/* connect() was given up unanswered */
#define TCPSTATES_REASON_REPAIR			27	/* closed in repair mode, silently */
#define TCPSTATES_NR_REASONS			28
#define TCPSTATES_REASONS_MAX			40	/* size of tables by reason */
#define TCPSTATES_NR_ENDS	(TCPSTATES_NR_ROLES * TCPSTATES_REASONS_MAX)

/*
 * One record of a ring: 16 to a page, so that none crosses one. @seq is the
 * record's seqlock: (position + 1) * 2 when the record is whole, the same
 * plus 1 while it is being written, 0 before its slot was ever used.
 */
struct tcpstates_record {
	__u64 seq;
	__u64 ts;
	__u64 in_old_ns;	/* time in the old state, see TCPSTATES_SINCE_* */
	__u16 type;		/* TCPSTATES_REC_* */
	__u8  old_state;
	__u8  new_state;
	__u16 flags;		/* TCPSTATES_SINCE_*, TCPSTATES_HAS_* */
	__u16 reason;		/* TCPSTATES_REASON_* */
	struct tcpstates_ident who;
	struct tcpstates_meters meters;
	__u16 error;		/* sk_err at CLOSE: an errno; 0: none */
	__u16 synacks;		/* SYN-ACKs sent, see TCPSTATES_HAS_SYNACKS */
	__u32 reserved0;
	__u64 reserved[4];
};

/*
 * tcpstates_alarm.kind: what is too much. Raised at the threshold, cleared
 * below 80 % of it.
 *
 * Listeners of one namespace, address, port and device (SO_REUSEPORT) have one
 * alarm of a kind at a time. Their unfinished handshakes are added up. Of their
 * queues the first one that is full raises the alarm, with its own length and
 * limit, and the last one that is still full clears it; @peak is the longest of
 * all of them. Closing one of them is the same as an empty queue.
 */
#define TCPSTATES_ALARM_PAIR		1	/* connections of one pair of addresses */
#define TCPSTATES_ALARM_ACCEPT_QUEUE	2	/* connections that wait for accept() */
#define TCPSTATES_ALARM_HALF_OPEN	3	/* a listener's half-open requests */
#define TCPSTATES_ALARM_UNFINISHED	4	/* unfinished handshakes of listeners, a second */
#define TCPSTATES_NR_ALARMS		5

/*
 * A record of type TCPSTATES_REC_ALARM: something has become too much, or no
 * longer is. It has the size of a struct tcpstates_record, and its head.
 *
 * @who of a pair is the connection that raised or cleared the alarm, of the
 * others the listener, or one of several. The counts are those of struct
 * tcpstates_pair and struct tcpstates_listener, with TCPSTATES_ALARM_UNFINISHED
 * of all of them.
 */
struct tcpstates_alarm {
	__u64 seq;
	__u64 ts;
	__u64 value;		/* at this moment */
	__u16 type;		/* TCPSTATES_REC_ALARM */
	__u8  kind;		/* TCPSTATES_ALARM_* */
	__u8  raised;		/* 1: raised, 0: cleared */
	__u32 reserved0;
	struct tcpstates_ident who;
	__u64 threshold;	/* that @value has reached when it was raised */
	__u64 raised_ns;	/* when it was raised */
	__u64 peak;		/* highest @value since then */
	__u32 half_open;
	__u32 established;
	__u32 closing;
	__u32 timewait;
	__u64 reserved[9];
};

/*
 * A ring is mapped read-only, one mapping per CPU: a page that starts with
 * this header, then @capacity records. Every word is written by the module
 * only, @head by the hooks of the CPU that owns the ring, the others before
 * the ring can be mapped, @ended by the deactivation.
 *
 * A mapping of ring N starts at file offset N * tcpstates_settings.ring_bytes
 * and is ring_bytes long. Slot of position P: P & (capacity - 1).
 *
 * Reader: load-acquire @head; for each position below it, load-acquire the
 * record's seq, copy the record, read barrier, load seq again. Equal and
 * (position + 1) * 2: whole. Higher: overwritten, the record is lost to
 * this reader. These pair with the barriers in kmod/ring.h.
 */
#define TCPSTATES_RING_MAGIC	0x54435053	/* "TCPS" */

struct tcpstates_ring_header {
	__u32 magic;
	__u32 record_version;
	__u32 record_size;
	__u32 cpu;
	__u64 capacity;		/* records, a power of two */
	__u64 generation;	/* of the activation that made the ring */
	__u64 reserved0[4];
	__u64 head;		/* position of the next record: produced so far */
	__u32 ended;		/* 1: deactivated, nothing more will come */
	__u32 reserved1;
	__u64 reserved2[6];
};

/* TCPSTATES_GET_VERSION: this layout never changes. */
struct tcpstates_version {
	__u32 call_version;
	__u32 record_version;
	__u8  module_version[32];	/* MODULE_VERSION(), NUL padded */
};

/* tcpstates_addr_rule.side and tcpstates_port_rule.side */
#define TCPSTATES_SIDE_EITHER	0
#define TCPSTATES_SIDE_LOCAL	1
#define TCPSTATES_SIDE_REMOTE	2
#define TCPSTATES_NR_SIDES	3

struct tcpstates_addr_rule {
	__u8 addr[16];		/* IPv4: mapped, and 96 added to the prefix */
	__u8 prefix;		/* 0 ... 128 bits; the bits below it are 0 */
	__u8 side;
	__u8 negate;		/* 0 or 1 */
	__u8 reserved;
	__u32 ifindex;		/* of a scoped address (fe80::1%eth0); 0: any */
};

struct tcpstates_port_rule {
	__u16 low;
	__u16 high;		/* low <= high */
	__u8  side;
	__u8  negate;		/* 0 or 1 */
	__u8  reserved[2];
};

#define TCPSTATES_MAX_RULES	32

/*
 * What is recorded. The rules of one side are one expression: it holds when
 * any rule without @negate matches (or there is none) and no rule with
 * @negate does. All expressions must hold. A rule of TCPSTATES_SIDE_EITHER
 * matches when the local or the remote end does. A local port of 0 is not
 * known yet: it meets every rule without @negate, and none with it.
 */
struct tcpstates_filter {
	__u32 netns;		/* inode number, 0: any */
	__u8  family;		/* 4, 6, 0: both */
	__u8  nr_addrs;		/* used entries of @addrs */
	__u8  nr_ports;		/* used entries of @ports */
	__u8  reserved;
	struct tcpstates_addr_rule addrs[TCPSTATES_MAX_RULES];
	struct tcpstates_port_rule ports[TCPSTATES_MAX_RULES];
};

/* tcpstates_config.hook and tcpstates_settings.hook_used */
#define TCPSTATES_HOOK_AUTO		0
#define TCPSTATES_HOOK_TRACEPOINT	1
#define TCPSTATES_HOOK_KPROBE		2

#define TCPSTATES_RING_MIN	64
#define TCPSTATES_RING_MAX	0x400000
#define TCPSTATES_CONNS_MIN	1
#define TCPSTATES_CONNS_MAX	0x1000000
#define TCPSTATES_PAIRS_MIN	1
#define TCPSTATES_PAIRS_MAX	0x100000
#define TCPSTATES_LISTENERS_MIN	1
#define TCPSTATES_LISTENERS_MAX	0x10000
#define TCPSTATES_VERBOSE_MAX	2

struct tcpstates_config {
	__u32 verbose;		/* kept for the controller: what a bare report shows */
	__u32 hook;		/* TCPSTATES_HOOK_* */
	__u32 ring_records;	/* per CPU, a power of two; 0: as ring_budget allows */
	__u32 max_conns;	/* 0: what the kernel's own limits and memory allow */
	__u64 min_ns;		/* record only if the old state lasted at least this long */
	struct tcpstates_filter filter;
	__u32 threshold;	/* connections that raise TCPSTATES_ALARM_PAIR, 0: off */
	__u32 unfinished;	/* a second, that raise TCPSTATES_ALARM_UNFINISHED, 0: off */
	__u32 max_pairs;	/* pairs of addresses that are counted */
	__u32 max_listeners;	/* listeners that are counted */
	__u64 ring_budget;	/* bytes, of the rings of all online CPUs; 0: a default */
	__u64 reserved[5];
};

#define TCPSTATES_SYMBOL_LEN	48

/* TCPSTATES_ACTIVATE */
struct tcpstates_activate {
	struct tcpstates_config config;
	__u8  failed_symbol[TCPSTATES_SYMBOL_LEN];	/* out: with -ENOENT */
};

/* TCPSTATES_GET_SETTINGS */
struct tcpstates_settings {
	__u32 active;		/* 0: all below is zero */
	__u32 hook_used;	/* TCPSTATES_HOOK_TRACEPOINT or _KPROBE */
	__u64 generation;	/* counts activations since the module was loaded */
	__u32 nr_rings;		/* numbered 0 ... nr_rings - 1, by CPU; not every CPU has one */
	__u32 nr_hooks;
	__u64 ring_bytes;	/* length of one mapping */
	__u64 memory_bytes;	/* rings, nodes, shards and counters together */
	__u64 activated_ns;
	__u64 consumed_ns;	/* last TCPSTATES_CONSUME, 0: none */
	struct tcpstates_config config;	/* with what was chosen where it had 0 */
};

/*
 * Handshakes on the side of listeners, counted since the activation. Those
 * that a hook feeds which is not attached stay 0: see TCPSTATES_GET_HOOKS.
 *
 * Of the SYNs, some become requests, Fast Open children or SYN cookies, and
 * the rest was dropped. Each request, the @seeded ones too, is promoted once,
 * ends for one of the reasons from @expired to @unknown, or is still there.
 */
struct tcpstates_handshakes {
	__u64 syns;			/* SYNs that came to a listener */
	__u64 requests;			/* half-open requests that they started */
	__u64 seeded;			/* half-open requests found at the activation */
	__u64 fast_open;		/* connections that started with data in the SYN */
	__u64 cookies_sent;		/* SYN cookies */
	__u64 cookies_accepted;		/* that came back right */
	__u64 cookies_rejected;		/* that came back wrong, or too late */
	__u64 syn_queue_full;		/* SYNs dropped: half-open queue full, no cookies */
	__u64 syn_accept_queue_full;	/* SYNs dropped: accept queue full */
	__u64 ack_accept_queue_full;	/* last ACKs dropped: accept queue full */
	__u64 migrated;			/* given to another listener of the port */

	__u64 promoted;			/* to the accept queue */
	__u64 expired;			/* no answer to the last SYN-ACK */
	__u64 accept_queue_full;	/* expired after a dropped ACK, or reset for it */
	__u64 reset_received;
	__u64 reset_sent;		/* a SYN came that does not belong */
	__u64 unreachable;		/* ICMP */
	__u64 aborted;			/* by the administrator (`ss -K`) */
	__u64 listener_closed;
	__u64 netns_gone;
	__u64 duplicate;		/* two CPUs served the same SYN */
	__u64 unknown;
	__u64 synacks_sent_again;
	__u64 reserved[1];
};

/*
 * TCPSTATES_GET_STATS: totals since the activation, and gauges. None of them
 * depends on the rings being read.
 */
struct tcpstates_stats {
	__u64 generation;	/* 0: not active, all below but the clocks is zero */
	__u64 now_ns;		/* CLOCK_MONOTONIC and CLOCK_REALTIME, */
	__u64 now_real_ns;	/* read together */
	__u64 activated_ns;

	/* Totals balance: seen + alarms = recorded + filtered + too_short + ringless */
	__u64 seen;		/* transitions that reached the hook */
	__u64 filtered;		/* not recorded: outside of the filter */
	__u64 too_short;	/* not recorded: min_ns */
	__u64 recorded;		/* written to a ring: the sum of all heads */
	__u64 reported;		/* consumed by reports, and read by them */
	__u64 overwritten;	/* consumed by reports, but overwritten before */

	__u64 kprobe_missed;	/* transitions the kernel did not let us see */

	/* The tree of live connections */
	__u64 tracked;		/* gauge: nodes in the tree */
	__u64 untracked;	/* connections that found no free node */
	__u64 unmatched;	/* transitions of a socket that was not in the tree */
	__u64 stale;		/* nodes whose end was not seen, removed later */
	__u64 seeded;		/* connections found at the activation */
	__u64 nodes;		/* gauge: nodes allocated, used or free */
	__u64 states[TCPSTATES_NR_STATES];	/* gauge: tracked, by state */

	__u64 alarms;		/* records of alarms, raised and cleared ones */
	__u64 pairs;		/* gauge: pairs of addresses that are known */
	__u64 evicted;		/* pairs without a connection, taken out for others: table full */
	__u64 uncounted;	/* connections not counted: no pair could be evicted */
	__u64 listeners;	/* gauge: listeners that are known */
	__u64 unlisted;		/* listeners not counted: table full */
	__u64 clocks;		/* times that the wall clock was set: see TCPSTATES_GET_CLOCKS */
	__u64 ringless;		/* not recorded: on a CPU that has no ring */
	struct tcpstates_handshakes handshakes;
};

/*
 * Log-linear histogram of times in a state: bucket 0 holds what is shorter
 * than 2^TCPSTATES_HIST_MIN_SHIFT ns; from there each power of two is split
 * into 2^TCPSTATES_HIST_SUB_BITS equal buckets; the last bucket holds all
 * that is longer.
 */
#define TCPSTATES_HIST_MIN_SHIFT	10
#define TCPSTATES_HIST_SUB_BITS		2
#define TCPSTATES_HIST_BUCKETS		160

struct tcpstates_transition_count {
	__u8  old_state;
	__u8  new_state;
	__u8  reserved[6];
	__u64 count;		/* transitions old -> new */
	__u64 timed;		/* those whose time in the old state was exact; */
	__u64 total_ns;		/* the rest is of these */
	__u64 max_ns;
	__u64 hist[TCPSTATES_HIST_BUCKETS];	/* all 0: none is kept of old -> new */
};

/* Durations: their number, sum, maximum, and a histogram as above. */
struct tcpstates_times {
	__u64 count;
	__u64 total_ns;
	__u64 max_ns;
	__u64 hist[TCPSTATES_HIST_BUCKETS];
};

/*
 * TCPSTATES_GET_LIVES: connections that have ended since the activation, by
 * role and reason (TCPSTATES_REASON_*), and how long they lived: from
 * ESTABLISHED to CLOSE, with TIME_WAIT and an orphan's FIN_WAIT2; of those
 * only that were seen to become ESTABLISHED. Handshakes that ended half-open
 * are counted in @ends, too. Element @ends[role * TCPSTATES_REASONS_MAX + reason].
 */
struct tcpstates_lives {
	__u64 ends[TCPSTATES_NR_ENDS];
	struct tcpstates_times life[TCPSTATES_NR_ROLES];
	struct tcpstates_times accept_wait;	/* from the accept queue to accept() */
};

/*
 * TCPSTATES_GET_CGROUPS: live connections by cgroup (tcpstates_ident.cgroup)
 * and state, at the moment of the call. At most TCPSTATES_CGROUPS_MAX: the
 * connections of those that do not fit are counted in one more element,
 * whose @cgroup is TCPSTATES_CGROUP_OTHERS.
 */
#define TCPSTATES_CGROUPS_MAX	0x2000
#define TCPSTATES_CGROUP_OTHERS	0xffffffffffffffffULL

struct tcpstates_cgroup {
	__u64 cgroup;		/* 0: unknown */
	__u64 states[TCPSTATES_NR_STATES];
};

/*
 * TCPSTATES_GET_CLOCKS: wall-clock time (CLOCK_REALTIME) of what happened at
 * @since_ns or later, until the @since_ns of the next element, is its time
 * plus @offset_ns. The first element is that of the activation and holds for
 * all before it, too. One is added each time the clock is set (by
 * settimeofday(), a step of NTP, a leap second, resume from suspend); not when
 * it is slewed, which CLOCK_MONOTONIC follows. Of more than
 * TCPSTATES_CLOCKS_MAX the oldest but the first are forgotten.
 */
#define TCPSTATES_CLOCKS_MAX	64

struct tcpstates_clock {
	__u64 since_ns;
	__s64 offset_ns;
};

/*
 * The calls that fill a table: @entries is the address of an array of
 * @capacity elements, @count comes back as the number written. A table that
 * is too small is -ENOSPC, with the needed number in @count.
 */
struct tcpstates_table {
	__u64 entries;
	__u32 capacity;
	__u32 count;
};

/* TCPSTATES_GET_RINGS: one element per ring, in order. */
struct tcpstates_ring_state {
	__u32 cpu;
	__u32 reserved;
	__u64 head;		/* produced so far */
	__u64 consumed;		/* position from which the next report goes on */
	__u64 overwritten;	/* of those consumed, overwritten before */
};

/* tcpstates_hook.flags */
#define TCPSTATES_HOOK_IS_KPROBE	0x0001	/* none of the ways: a tracepoint */
#define TCPSTATES_HOOK_REQUIRED		0x0002
#define TCPSTATES_HOOK_ATTACHED		0x0004
#define TCPSTATES_HOOK_IS_FTRACE	0x0008	/* a function's entry, by ftrace */

/*
 * tcpstates_hook.id: which event a hook reports, whatever the function is called
 * on this kernel. An id is never given another meaning. The controller has the
 * text of what is lost without each of them. In the comments: the function or
 * tracepoint, or the first of its names.
 */
#define TCPSTATES_HOOK_ID_SOCK_DESTROY		1	/* tcp_destroy_sock */
#define TCPSTATES_HOOK_ID_V4_REQUEST_FREE	2	/* tcp_v4_reqsk_destructor */
#define TCPSTATES_HOOK_ID_V6_REQUEST_FREE	3	/* tcp_v6_reqsk_destructor */
#define TCPSTATES_HOOK_ID_TIMEWAIT_FREE		4	/* tcp_twsk_destructor */
#define TCPSTATES_HOOK_ID_STATE_TRACEPOINT	5	/* inet_sock_set_state */
#define TCPSTATES_HOOK_ID_STATE_STORE		6	/* inet_sk_state_store */
#define TCPSTATES_HOOK_ID_STATE_SET		7	/* inet_sk_set_state */
#define TCPSTATES_HOOK_ID_CONNECT		8	/* tcp_connect */
#define TCPSTATES_HOOK_ID_TIMEWAIT_START	9	/* inet_twsk_hashdance */
#define TCPSTATES_HOOK_ID_TIMEWAIT_TIMER	10	/* __inet_twsk_schedule */
#define TCPSTATES_HOOK_ID_TIMEWAIT_PACKET	11	/* tcp_timewait_state_process */
#define TCPSTATES_HOOK_ID_REQUEST_DONE		12	/* inet_csk_complete_hashdance */
#define TCPSTATES_HOOK_ID_SYNACK_TIMEOUT	13	/* tcp_syn_ack_timeout */
#define TCPSTATES_HOOK_ID_REQUEST_TIMER		14	/* reqsk_timer_handler */
#define TCPSTATES_HOOK_ID_REQUEST_PACKET	15	/* tcp_check_req */
#define TCPSTATES_HOOK_ID_REQUEST_ICMP		16	/* tcp_req_err */
#define TCPSTATES_HOOK_ID_ABORT			17	/* tcp_abort */
#define TCPSTATES_HOOK_ID_RESET			18	/* tcp_reset */
#define TCPSTATES_HOOK_ID_REQUEST_MIGRATE	19	/* inet_reqsk_clone */
#define TCPSTATES_HOOK_ID_REQUEST_START		20	/* inet_csk_reqsk_queue_hash_add */
#define TCPSTATES_HOOK_ID_CHILD_QUEUE		21	/* inet_csk_reqsk_queue_add */
#define TCPSTATES_HOOK_ID_ACCEPT		22	/* security_sock_graft */
#define TCPSTATES_HOOK_ID_SYNACK_AGAIN		23	/* tcp_retransmit_synack */
#define TCPSTATES_HOOK_ID_SYN			24	/* tcp_conn_request */
#define TCPSTATES_HOOK_ID_V4_COOKIE_SENT	25	/* cookie_v4_init_sequence */
#define TCPSTATES_HOOK_ID_V6_COOKIE_SENT	26	/* cookie_v6_init_sequence */
#define TCPSTATES_HOOK_ID_V4_COOKIE_CHECK	27	/* cookie_v4_check */
#define TCPSTATES_HOOK_ID_V6_COOKIE_CHECK	28	/* cookie_v6_check */
#define TCPSTATES_HOOK_ID_COOKIE_SOCK		29	/* tcp_get_cookie_sock */
#define TCPSTATES_HOOK_ID_CLOCK_SET		30	/* clock_was_set */
#define TCPSTATES_NR_HOOK_IDS			31	/* 0 is no hook */

/* TCPSTATES_GET_HOOKS: one element per hook of the activation. */
struct tcpstates_hook {
	__u8  symbol[TCPSTATES_SYMBOL_LEN];	/* tracepoint's or function's name, NUL padded */
	__u32 flags;		/* TCPSTATES_HOOK_IS_*, _REQUIRED, _ATTACHED */
	__u32 id;		/* TCPSTATES_HOOK_ID_* */
	__u64 missed;		/* calls that the kernel could not pass on */
};

/* tcpstates_conn: one live connection, from TCPSTATES_SNAPSHOT. */
struct tcpstates_conn {
	struct tcpstates_ident who;
	__u64 since_ns;		/* entry of the state, see TCPSTATES_SINCE_* */
	__u64 first_seen_ns;
	__u8  state;
	__u8  reserved0;
	__u16 flags;		/* TCPSTATES_SINCE_*, TCPSTATES_HAS_* */
	__u16 reason;		/* TCPSTATES_REASON_* */
	__u16 synacks;		/* SYN-ACKs sent, see TCPSTATES_HAS_SYNACKS */
	struct tcpstates_meters meters;

	/* Likewise only of a full socket: TCPSTATES_HAS_METERS, _LAST_RECV, _LAST_SENT */
	__u64 last_recv_ms;	/* ago, data came: icsk_ack.lrcvtime; first the handshake */
	__u64 last_sent_ms;	/* ago, data was sent: tcp_sock.lsndtime; first the handshake */
	__u64 ino;		/* socket's inode number, as in /proc/PID/fd; 0: none */
	__u32 unacked;		/* tcp_sock.packets_out, segments */
	__u8  retransmits;	/* icsk_retransmits: time-outs in a row */
	__u8  probes;		/* icsk_probes_out: zero window or keepalive, unanswered */
	__u16 sock_flags;	/* TCPSTATES_SOCK_* */
};

/* tcpstates_conn.sock_flags */
#define TCPSTATES_SOCK_KEEPALIVE	0x0001	/* SO_KEEPALIVE */
#define TCPSTATES_SOCK_ORPHAN		0x0002	/* no process has it open any more */
#define TCPSTATES_SOCK_USER_TIMEOUT	0x0004	/* TCP_USER_TIMEOUT */

/*
 * TCPSTATES_GET_PAIRS: the connections between two addresses, whichever side
 * opened them. Of a host's connection with its own address, both ends count.
 * A pair without a connection is kept until it is evicted for another one.
 *
 * All is exact when nothing moves. But @peak, below half of the threshold, may
 * miss up to 64 connections of each CPU but one that were there at the same time.
 */
struct tcpstates_pair {
	__u8  laddr[16];
	__u8  raddr[16];
	__u32 netns;
	__u8  family;		/* 4 or 6 */
	__u8  alarm;		/* 1: TCPSTATES_ALARM_PAIR is raised */
	__u8  reserved[2];
	__u32 ifindex;		/* as in tcpstates_ident: on two devices they are two pairs */
	__u32 reserved1;
	__u32 half_open;	/* SYN_SENT, SYN_RECV */
	__u32 established;
	__u32 closing;		/* FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT, CLOSING, LAST_ACK */
	__u32 timewait;
	__u64 peak;		/* most at once, without those in TIME_WAIT: see below */
	__u64 started;		/* connections, with those found at the activation */
	__u64 unfinished;	/* requests that ended half-open */
	__u64 first_ns;		/* since when it is known */
	__u64 last_ns;		/* when a connection last started */
};

/*
 * TCPSTATES_GET_LISTENERS: one listening socket. @handshakes are its own, as
 * far as a hook sees for which listener they are. The counts are of the
 * connections that came to it; those found at the activation are given to a
 * listener of their address and port.
 */
struct tcpstates_listener {
	struct tcpstates_ident who;
	__u64 since_ns;		/* listens since, see TCPSTATES_SINCE_* */
	__u16 flags;		/* TCPSTATES_SINCE_* */
	__u16 alarms;		/* raised, of its own queues and for all of its port: 1 << ... */
	__u32 accept_queue;	/* sk_ack_backlog */
	__u32 accept_queue_max;	/* highest since the activation */
	__u32 accept_queue_limit; /* sk_max_ack_backlog: full at one more than this */
	__u32 half_open;	/* icsk_accept_queue.qlen */
	__u32 half_open_max;	/* highest since the activation */
	__u32 half_open_limit;	/* at which SYNs are dropped, or answered by cookies */
	__u32 unfinished;	/* handshakes in the last whole second with a SYN */
	__u32 unfinished_max;	/* highest since the activation */
	__u32 established;
	__u32 closing;
	__u32 timewait;
	__u64 drops;		/* sk_drops, since the listener was made */
	__u64 unfinished_ns;	/* when that second ended */
	struct tcpstates_handshakes handshakes;
	__u64 accepted;		/* connections whose wait for accept() was seen, */
	__u64 accept_wait_ns;	/* the sum of their waits, */
	__u64 accept_wait_max_ns; /* and the longest */
	__u64 reserved[1];
};

/*
 * TCPSTATES_SNAPSHOT: the next live connections. The position belongs to the
 * open file: @restart begins anew, @count 0 comes back when all were given.
 * A connection that lives through the whole snapshot is given exactly once.
 */
struct tcpstates_snapshot {
	__u64 entries;		/* array of struct tcpstates_conn */
	__u32 capacity;
	__u32 count;
	__u32 restart;		/* 0 or 1 */
	__u32 reserved;
};

/*
 * TCPSTATES_CONSUME: a report is done with [from, to) of these rings, of
 * which @overwritten could not be read. All or nothing; -ESTALE when another
 * report moved a position in between, or the generation has changed.
 */
struct tcpstates_consumed {
	__u32 cpu;
	__u32 reserved;
	__u64 from;
	__u64 to;
	__u64 overwritten;
};

struct tcpstates_consume {
	__u64 generation;
	__u64 entries;		/* array of struct tcpstates_consumed */
	__u32 count;
	__u32 reserved;
};

/*
 * poll(): readable while more was recorded than this open file said it has
 * seen (TCPSTATES_SEEN, the sum of its positions; until then: than was
 * consumed); hung up when not active.
 */

/*
 * Calls. Without an activation, those marked (A) fail with -ENOLINK. An
 * unknown command is -ENOTTY, a non-zero reserved field or a value out of
 * its range -EINVAL, a bad address -EFAULT.
 */
#define TCPSTATES_IOC_MAGIC	0xda
#define TCPSTATES_IO(nr)	_IO(TCPSTATES_IOC_MAGIC, nr)
#define TCPSTATES_IOR(nr, type)	_IOR(TCPSTATES_IOC_MAGIC, nr, type)
#define TCPSTATES_IOW(nr, type)	_IOW(TCPSTATES_IOC_MAGIC, nr, type)
#define TCPSTATES_IOWR(nr, type) _IOWR(TCPSTATES_IOC_MAGIC, nr, type)

#define TCPSTATES_GET_VERSION	TCPSTATES_IOR(0x00, struct tcpstates_version)
/* -EALREADY: active. -ENOENT: a required hook is missing, failed_symbol names it. */
#define TCPSTATES_ACTIVATE	TCPSTATES_IOWR(0x01, struct tcpstates_activate)
#define TCPSTATES_DEACTIVATE	TCPSTATES_IO(0x02)	/* (A) */
#define TCPSTATES_GET_SETTINGS	TCPSTATES_IOR(0x03, struct tcpstates_settings)
#define TCPSTATES_GET_STATS	TCPSTATES_IOR(0x04, struct tcpstates_stats)
/* (A) Array of struct tcpstates_transition_count, only those with a count. */
#define TCPSTATES_GET_TRANSITION_COUNTS	TCPSTATES_IOWR(0x05, struct tcpstates_table)
/* (A) Array of struct tcpstates_ring_state. */
#define TCPSTATES_GET_RINGS	TCPSTATES_IOWR(0x06, struct tcpstates_table)
/* (A) Array of struct tcpstates_hook. */
#define TCPSTATES_GET_HOOKS	TCPSTATES_IOWR(0x07, struct tcpstates_table)
#define TCPSTATES_SNAPSHOT	TCPSTATES_IOWR(0x08, struct tcpstates_snapshot)	/* (A) */
#define TCPSTATES_CONSUME	TCPSTATES_IOW(0x09, struct tcpstates_consume)	/* (A) */
#define TCPSTATES_SEEN		TCPSTATES_IOW(0x0a, __u64)	/* (A) */
/* (A) Array of struct tcpstates_listener. */
#define TCPSTATES_GET_LISTENERS	TCPSTATES_IOWR(0x0b, struct tcpstates_table)
/* (A) Array of struct tcpstates_pair. */
#define TCPSTATES_GET_PAIRS	TCPSTATES_IOWR(0x0c, struct tcpstates_table)
#define TCPSTATES_GET_LIVES	TCPSTATES_IOR(0x0d, struct tcpstates_lives)	/* (A) */
/* (A) Array of struct tcpstates_cgroup. */
#define TCPSTATES_GET_CGROUPS	TCPSTATES_IOWR(0x0e, struct tcpstates_table)
/* (A) Array of struct tcpstates_clock, oldest first. */
#define TCPSTATES_GET_CLOCKS	TCPSTATES_IOWR(0x0f, struct tcpstates_table)

#endif
