/* SPDX-License-Identifier: GPL-2.0-only */
/* The parts of an activation that belong to one CPU, from before it comes online. */
#ifndef TCPS_CPUS_H
#define TCPS_CPUS_H

struct tcps_session;

int tcps_cpus_load(void);
void tcps_cpus_unload(void);

/* For all CPUs that are online, and from now on for those that come. */
int tcps_cpus_start(struct tcps_session *session);
void tcps_cpus_end(struct tcps_session *session);

#endif
