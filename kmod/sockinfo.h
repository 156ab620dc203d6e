/* SPDX-License-Identifier: GPL-2.0-only */
/* What is read from a socket, without its lock and from any context. */
#ifndef TCPS_SOCKINFO_H
#define TCPS_SOCKINFO_H

#include "conns.h"
#include "tcpstates.h"

void tcps_sock_tuple(const struct sock *sk, struct tcpstates_ident *who);
void tcps_sock_meters(const struct sock *sk, struct tcpstates_meters *meters);
void tcps_conn_ident(const struct tcps_conn *conn, struct tcpstates_ident *who);
void tcps_conn_own(struct tcps_conn *conn);

#endif
