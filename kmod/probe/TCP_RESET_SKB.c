// SPDX-License-Identifier: GPL-2.0-only
/* Since 5.13, tcp_reset() is given the packet. */
#include <net/tcp.h>

void (*probe)(struct sock *sk, struct sk_buff *skb) = tcp_reset;
