// SPDX-License-Identifier: GPL-2.0-only
/* Does a SYN for a TIME_WAIT carry its number itself (until 6.9)? */
#include <net/tcp.h>

u32 probe(const struct sk_buff *skb);
u32 probe(const struct sk_buff *skb)
{
	return TCP_SKB_CB(skb)->tcp_tw_isn;
}
