/* SPDX-License-Identifier: GPL-2.0-only */
/* What happens to a connection that a timewait socket stands for. */
#ifndef TCPS_TIMEWAIT_H
#define TCPS_TIMEWAIT_H

struct inet_timewait_sock;
struct sk_buff;
struct sock;
struct tcps_session;

void tcps_timewait_started(struct tcps_session *session, const struct inet_timewait_sock *tw,
			   const struct sock *sk);
void tcps_timewait_rearmed(struct tcps_session *session, const struct inet_timewait_sock *tw);
void tcps_timewait_packet(struct tcps_session *session, const struct inet_timewait_sock *tw,
			  const struct sk_buff *skb);
void tcps_timewait_freed(struct tcps_session *session, const struct inet_timewait_sock *tw);

#endif
