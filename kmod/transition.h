/* SPDX-License-Identifier: GPL-2.0-only */
/* What happens when a full socket changes its state, connects, is accepted or destroyed. */
#ifndef TCPS_TRANSITION_H
#define TCPS_TRANSITION_H

struct sk_buff;
struct sock;
struct socket;
struct tcps_session;

/* Probes of tracepoints: @data is the struct tcps_hooks. */
void tcps_transition(void *data, const struct sock *sk, int old, int new);
void tcps_sock_destroyed(void *data, struct sock *sk);

void tcps_connecting(struct tcps_session *session, const struct sock *sk);
void tcps_accepted(struct tcps_session *session, const struct sock *sk,
		   const struct socket *parent);
void tcps_aborted(struct tcps_session *session, const struct sock *sk);
void tcps_reset(struct tcps_session *session, const struct sock *sk, const struct sk_buff *skb);

#endif
