/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The node of a connection: how it is added, moved from socket to socket, and
 * removed, what is learned of its owner and listener, and its class, by which its
 * pair and its listener count it.
 */
#ifndef TCPS_NODE_H
#define TCPS_NODE_H

#include <linux/rbtree.h>
#include <linux/types.h>

#include "conns.h"
#include "locks.h"
#include "session.h"

struct tcps_conn *tcps_node_add(struct tcps_session *session, struct tcps_shard *shard,
				const struct sock *sk, u8 kind, u8 state, u64 now);
struct tcps_conn *tcps_node_start(struct tcps_session *session, struct tcps_shard *shard,
				  const struct sock *sk, u8 kind, u8 state, u64 now);
void tcps_node_remove_closed(struct tcps_session *session, struct tcps_shard *shard,
			     struct tcps_conn *conn);
void tcps_node_drop_stale(struct tcps_session *session, struct tcps_shard *shard,
			  struct tcps_conn *conn);
void tcps_node_change_class(struct tcps_session *session, struct tcps_conn *conn,
			    unsigned int from, unsigned int to);

void tcps_node_set_creator(struct tcps_conn *conn, const struct sock *sk);
void tcps_node_set_owner(struct tcps_conn *conn, const struct sock *sk);
void tcps_known_set_task(struct tcps_known *known);
void tcps_node_set_listener(struct tcps_conn *conn, const struct sock *listener);
void tcps_node_join_listener(struct tcps_session *session, struct tcps_conn *conn,
			     const struct sock *sk, struct tcps_listener *listener);
void tcps_node_hint(struct tcps_session *session, const struct sock *sk, u8 reason);

/**
 * tcps_node_vacate() - the insertion point of a new socket
 * @session: the activation
 * @shard: shard of @sk
 * @sk: new socket; a node that an earlier one at this address has left is removed
 *
 * Context: Any, interrupts off. The lock of @shard.
 */
static inline struct tcps_insert_point tcps_node_vacate(struct tcps_session *session,
							struct tcps_shard *shard,
							const struct sock *sk)
{
	struct tcps_insert_point point = tcps_conns_insert_point(shard, sk);

	if (unlikely(point.conn)) {
		tcps_node_drop_stale(session, shard, point.conn);
		point = tcps_conns_insert_point(shard, sk);
	}
	return point;
}

/**
 * tcps_node_move() - another socket stands for the connection from now on
 * @session: the activation
 * @from: shard of the node
 * @to: shard of @sk
 * @conn: node
 * @sk: socket without a node of this connection's
 *
 * Context: Any, interrupts off. The locks of both shards.
 */
static inline void tcps_node_move(struct tcps_session *session, struct tcps_shard *from,
				  struct tcps_shard *to, struct tcps_conn *conn,
				  const struct sock *sk)
{
	lockdep_assert_held(&from->lock);
	lockdep_assert_held(&to->lock);
	rb_erase(&conn->rb, &from->root);
	/* Looked for only now: both may be one tree. */
	tcps_conns_link(to, tcps_node_vacate(session, to, sk), conn, sk);
}

#endif
