// SPDX-License-Identifier: GPL-2.0-only
/* Does the timer of a request call tcp_syn_ack_timeout() by its address (until 6.18)? */
#include <net/request_sock.h>

void probe(const struct request_sock *req);
void probe(const struct request_sock *req)
{
	req->rsk_ops->syn_ack_timeout(req);
}
