/* SPDX-License-Identifier: GPL-2.0-only */
/* What happens from the arrival of a SYN to the accept queue. */
#ifndef TCPS_HANDSHAKE_H
#define TCPS_HANDSHAKE_H

#include <linux/types.h>

struct request_sock;
struct sk_buff;
struct sock;
struct tcps_session;
struct tcpstates_handshakes;

void tcps_syn(struct tcps_session *session, const struct sock *listener,
	      const struct sk_buff *skb);
void tcps_request_added(struct tcps_session *session, const struct sock *listener,
			struct request_sock *req);
void tcps_request_checked(struct tcps_session *session, const struct sock *listener,
			  const struct sk_buff *skb, struct request_sock *req);
void tcps_request_unreachable(struct tcps_session *session, const struct sock *sk, u32 seq,
			      bool abort);
void tcps_request_timer(struct tcps_session *session, struct request_sock *req);
void tcps_request_copied(struct tcps_session *session, struct request_sock *req,
			 const struct sock *listener);
void tcps_request_promoted(struct tcps_session *session, const struct sock *listener,
			   const struct sock *child, struct request_sock *req);
void tcps_request_freed(struct tcps_session *session, struct request_sock *req);

void tcps_child_queued(struct tcps_session *session, const struct sock *listener,
		       struct request_sock *req, const struct sock *child);
void tcps_subflow_cloned(struct tcps_session *session, const struct sock *sk);
void tcps_forget_clone(struct tcps_session *session, const struct sock *sk);

/* A probe of a tracepoint, which passes on the session as it was given it. */
void tcps_synack_sent_again(void *data, const struct sock *sk, const struct request_sock *req);

void tcps_cookie_sent(struct tcps_session *session);
void tcps_cookie_back(struct tcps_session *session, const struct sock *listener,
		      const struct sk_buff *skb);
void tcps_cookie_right(struct tcps_session *session, const struct sock *listener);
void tcps_settle_cookies(struct tcpstates_handshakes *handshakes);

#endif
