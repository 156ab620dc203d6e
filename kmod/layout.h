/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The layout of tcpstates.h, as the controller asserts it too: a compiler
 * that lays it out otherwise must not build a module.
 */
#ifndef TCPS_LAYOUT_H
#define TCPS_LAYOUT_H

#include <linux/build_bug.h>
#include <linux/stddef.h>

#include "tcpstates.h"

#define ASSERT_SIZE(type, size) static_assert(sizeof(struct type) == (size))
#define ASSERT_OFFSET(type, member, offset) static_assert(offsetof(struct type, member) == (offset))

ASSERT_SIZE(tcpstates_ident, 112);
ASSERT_OFFSET(tcpstates_ident, ifindex, 104);
ASSERT_OFFSET(tcpstates_ident, cgroup, 8);
ASSERT_OFFSET(tcpstates_ident, listener_addr, 16);
ASSERT_OFFSET(tcpstates_ident, lport, 96);
ASSERT_OFFSET(tcpstates_ident, flags, 62);
ASSERT_OFFSET(tcpstates_ident, netns, 48);
ASSERT_OFFSET(tcpstates_ident, comm, 32);
ASSERT_OFFSET(tcpstates_ident, family, 100);

ASSERT_SIZE(tcpstates_meters, 72);
ASSERT_OFFSET(tcpstates_meters, snd_cwnd, 24);
ASSERT_OFFSET(tcpstates_meters, srtt_us, 64);
ASSERT_OFFSET(tcpstates_meters, unread, 68);

ASSERT_SIZE(tcpstates_record, 256);
ASSERT_OFFSET(tcpstates_record, type, 24);
ASSERT_OFFSET(tcpstates_record, who, 32);
ASSERT_OFFSET(tcpstates_record, reason, 30);
ASSERT_OFFSET(tcpstates_record, meters, 144);
ASSERT_OFFSET(tcpstates_record, error, 216);

ASSERT_SIZE(tcpstates_alarm, 256);
ASSERT_OFFSET(tcpstates_alarm, type, 24);
ASSERT_OFFSET(tcpstates_alarm, who, 32);
ASSERT_OFFSET(tcpstates_alarm, threshold, 144);
ASSERT_OFFSET(tcpstates_alarm, timewait, 180);

ASSERT_SIZE(tcpstates_ring_header, 128);
ASSERT_OFFSET(tcpstates_ring_header, head, 64);
ASSERT_OFFSET(tcpstates_ring_header, ended, 72);

ASSERT_SIZE(tcpstates_version, 40);
ASSERT_SIZE(tcpstates_addr_rule, 24);
ASSERT_SIZE(tcpstates_port_rule, 8);
ASSERT_SIZE(tcpstates_filter, 1032);
ASSERT_SIZE(tcpstates_config, 1120);
ASSERT_SIZE(tcpstates_activate, 1168);
ASSERT_SIZE(tcpstates_settings, 1176);
ASSERT_OFFSET(tcpstates_settings, config, 56);
ASSERT_SIZE(tcpstates_handshakes, 192);
ASSERT_SIZE(tcpstates_stats, 496);
ASSERT_OFFSET(tcpstates_stats, states, 136);
ASSERT_OFFSET(tcpstates_stats, alarms, 240);
ASSERT_OFFSET(tcpstates_stats, handshakes, 304);
ASSERT_SIZE(tcpstates_transition_count, 1320);
ASSERT_SIZE(tcpstates_table, 16);
ASSERT_SIZE(tcpstates_ring_state, 32);
ASSERT_SIZE(tcpstates_hook, 64);
ASSERT_SIZE(tcpstates_conn, 240);
ASSERT_OFFSET(tcpstates_conn, since_ns, 112);
ASSERT_OFFSET(tcpstates_conn, reason, 132);
ASSERT_OFFSET(tcpstates_conn, last_recv_ms, 208);
ASSERT_SIZE(tcpstates_pair, 104);
ASSERT_OFFSET(tcpstates_pair, half_open, 48);
ASSERT_OFFSET(tcpstates_pair, started, 72);
ASSERT_SIZE(tcpstates_listener, 408);
ASSERT_OFFSET(tcpstates_listener, accept_queue, 124);
ASSERT_OFFSET(tcpstates_listener, drops, 168);
ASSERT_OFFSET(tcpstates_listener, handshakes, 184);
ASSERT_SIZE(tcpstates_times, 1304);
ASSERT_SIZE(tcpstates_lives, 7800);
ASSERT_SIZE(tcpstates_cgroup, 112);
ASSERT_SIZE(tcpstates_clock, 16);
ASSERT_SIZE(tcpstates_snapshot, 24);
ASSERT_SIZE(tcpstates_consumed, 32);
ASSERT_SIZE(tcpstates_consume, 24);

#endif
