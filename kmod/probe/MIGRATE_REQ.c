// SPDX-License-Identifier: GPL-2.0-only
/* Can requests go to another listener (5.14)? */
#include <net/sock_reuseport.h>

struct sock *probe(struct sock *sk);
struct sock *probe(struct sock *sk)
{
	return reuseport_migrate_sock(sk, NULL, NULL);
}
