/* SPDX-License-Identifier: GPL-2.0-only */
/* What happens when a socket changes its state, or is destroyed. */
#ifndef TCPS_TRANSITION_H
#define TCPS_TRANSITION_H

struct sock;
struct tcps_session;

void tcps_transition(struct tcps_session *session, const struct sock *sk, int old, int new);
void tcps_sock_destroyed(struct tcps_session *session, const struct sock *sk);

#endif
