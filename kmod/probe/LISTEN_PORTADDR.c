// SPDX-License-Identifier: GPL-2.0-only
/* Are listeners linked in lhash2 by a node of its own (until 5.18)? */
#include <net/inet_connection_sock.h>
#include <net/inet_hashtables.h>

bool probe(struct inet_hashinfo *hashinfo, struct sock *sk);
bool probe(struct inet_hashinfo *hashinfo, struct sock *sk)
{
	return hashinfo->lhash2[0].head.first == &inet_csk(sk)->icsk_listen_portaddr_node;
}
