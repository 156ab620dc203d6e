// SPDX-License-Identifier: GPL-2.0-only
/* Has each namespace a number of its own from its beginning (since 5.12)? */
#include <net/net_namespace.h>

u64 probe(const struct net *net);
u64 probe(const struct net *net)
{
	return net->net_cookie;
}
