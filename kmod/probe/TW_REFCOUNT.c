// SPDX-License-Identifier: GPL-2.0-only
/* Timewait sockets of a namespace are counted by a refcount_t since 5.18 (and 6.1). */
#include <net/net_namespace.h>

refcount_t *probe(struct net *net);
refcount_t *probe(struct net *net)
{
	return &net->ipv4.tcp_death_row.tw_refcount;
}
