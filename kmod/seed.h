/* SPDX-License-Identifier: GPL-2.0-only */
/* Connections that exist at the activation, of every network namespace. */
#ifndef TCPS_SEED_H
#define TCPS_SEED_H

struct tcps_session;

void tcps_seed(struct tcps_session *session);

#endif
