/* SPDX-License-Identifier: GPL-2.0-only */
/* Why a full socket goes to CLOSE. */
#ifndef TCPS_REASON_H
#define TCPS_REASON_H

#include <linux/types.h>

struct sock;
struct tcps_conn;

u8 tcps_close_reason(const struct sock *sk, const struct tcps_conn *conn, u8 old);

#endif
