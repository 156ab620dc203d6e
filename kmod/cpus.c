// SPDX-License-Identifier: GPL-2.0-only
/*
 * The parts of an activation that belong to one CPU: a ring and counters. A CPU
 * gets them before it comes online, when no hook can run on it, and keeps them
 * until the activation ends: it may come online again, and its events may not
 * have been read yet.
 *
 * A CPU for which there is no memory for a ring comes online without one: what
 * happens on it is counted (ringless). Counters are a small part of what the
 * kernel itself takes for a CPU, and one set of them is kept in reserve; a CPU
 * for which not even that is left does not come online for now, as when the
 * kernel's own preparations for it fail.
 *
 * Locking rule: the kernel makes these calls one at a time. It holds
 * cpu_hotplug_lock, so they take no lock inside of which that is taken.
 */
#include <linux/cpuhotplug.h>
#include <linux/cpumask.h>

#include "cpus.h"
#include "session.h"

static enum cpuhp_state state;

/* @cpu is about to come online; or it is online, at an activation. */
static int prepare(unsigned int cpu, struct hlist_node *node)
{
	struct tcps_session *session = hlist_entry(node, struct tcps_session, cpus);
	struct tcps_ring *ring = tcps_rings_add(session->rings, cpu);

	/* An activation without a ring for each CPU that is online fails. */
	if (!ring && cpu_online(cpu))
		return -ENOMEM;
	return tcps_stats_add(&session->stats, cpu, ring, session->is_selective);
}

/**
 * tcps_cpus_start() - give ring and counters to all CPUs online, and to those that come
 * @session: the activation
 *
 * Context: Process context, may sleep. Takes the lock of CPUs (cpu_hotplug_lock).
 * Return: 0 or -ENOMEM.
 */
int tcps_cpus_start(struct tcps_session *session)
{
	return cpuhp_state_add_instance(state, &session->cpus);
}

/**
 * tcps_cpus_end() - CPUs that come get nothing any more
 * @session: the activation
 *
 * Context: Process context, may sleep. Takes the lock of CPUs.
 */
void tcps_cpus_end(struct tcps_session *session)
{
	cpuhp_state_remove_instance_nocalls(state, &session->cpus);
}

/**
 * tcps_cpus_load() - register for CPUs that come online
 *
 * Context: Process context, may sleep.
 * Return: 0 or an error.
 */
int tcps_cpus_load(void)
{
	int err = cpuhp_setup_state_multi(CPUHP_BP_PREPARE_DYN, "net/tcpstates:prepare",
					  prepare, NULL);

	if (err < 0)
		return err;
	state = err;
	return 0;
}

/**
 * tcps_cpus_unload() - unregister
 *
 * Context: Process context, may sleep. No activation is left.
 */
void tcps_cpus_unload(void)
{
	cpuhp_remove_multi_state(state);
}
