// SPDX-License-Identifier: GPL-2.0-only
/* Is snd_cwnd read by a function (5.18)? */
#include <net/tcp.h>

u32 probe(const struct tcp_sock *tp);
u32 probe(const struct tcp_sock *tp)
{
	return tcp_snd_cwnd(tp);
}
