// SPDX-License-Identifier: GPL-2.0-only
/* An activation: all that lives from --activate to --deactivate. */
#include <linux/ktime.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "cpus.h"
#include "listener_alarms.h"
#include "locks.h"
#include "seed.h"
#include "session.h"

/* Activation and deactivation, one at a time; they sleep. */
static DEFINE_MUTEX(control_lock);

/* Guards the pointer, so that a reference is taken on what is still there. */
static DEFINE_SPINLOCK(active_lock);
static struct tcps_session *active;

static u64 generations;	/* guarded by control_lock */

/* Memory is better lost than used by the kernel when it is something else. */
static void session_release(struct kref *ref)
{
	struct tcps_session *session = container_of(ref, struct tcps_session, ref);

	if (session->hooks.called)
		return;
	kvfree(session->consumed);
	tcps_listeners_destroy(&session->listeners);
	tcps_pairs_destroy(&session->pairs);
	tcps_conns_destroy(&session->conns);
	tcps_stats_destroy(&session->stats);
	tcps_rings_put(session->rings);
	if (!session->hooks.stuck)
		kvfree(session);
}

/**
 * tcps_session_put() - drop a reference
 * @session: the activation
 *
 * Context: Process context, may sleep.
 */
void tcps_session_put(struct tcps_session *session)
{
	kref_put(&session->ref, session_release);
}

/**
 * tcps_session_get() - the activation, with a reference
 *
 * Context: Process context.
 * Return: the activation; NULL: there is none.
 */
struct tcps_session *tcps_session_get(void)
{
	struct tcps_session *session;

	spin_lock(&active_lock);
	session = active;
	if (session)
		kref_get(&session->ref);
	spin_unlock(&active_lock);
	return session;
}

/* Returns what was active before. */
static struct tcps_session *set_active(struct tcps_session *session)
{
	struct tcps_session *before;

	spin_lock(&active_lock);
	before = active;
	active = session;
	spin_unlock(&active_lock);
	return before;
}

/* What the caller has left to us. */
static void choose_sizes(struct tcpstates_config *config)
{
	if (!config->ring_records)
		config->ring_records = tcps_rings_records(&config->ring_budget);
	if (!config->max_conns)
		config->max_conns = tcps_conns_default();
}

static struct tcps_session *session_create(const struct tcpstates_config *config)
{
	struct tcps_session *session = kvzalloc(sizeof(*session), GFP_KERNEL);

	if (!session)
		return NULL;
	kref_init(&session->ref);
	init_rwsem(&session->live);
	mutex_init(&session->consume_lock);
	tcps_socket_owners_init(&session->owners);
	tcps_migrations_init(&session->migrations);
	session->generation = generations + 1;
	session->config = *config;
	choose_sizes(&session->config);
	session->has_filter = !tcps_filter_empty(&config->filter);
	session->is_selective = session->has_filter || config->min_ns;
	session->rings = tcps_rings_create(session->config.ring_records, session->generation);
	if (!session->rings)
		goto err_session;
	if (tcps_stats_init(&session->stats))
		goto err_rings;
	if (tcps_conns_init(&session->conns, session->config.max_conns))
		goto err_stats;
	if (tcps_pairs_init(&session->pairs, &session->stats, config))
		goto err_conns;
	if (tcps_listeners_init(&session->listeners, session, config->max_listeners))
		goto err_pairs;
	session->consumed = kvcalloc(session->rings->nr, sizeof(*session->consumed), GFP_KERNEL);
	if (!session->consumed)
		goto err_listeners;
	if (tcps_cpus_start(session))
		goto err_consumed;
	return session;

err_consumed:
	kvfree(session->consumed);
err_listeners:
	tcps_listeners_destroy(&session->listeners);
err_pairs:
	tcps_pairs_destroy(&session->pairs);
err_conns:
	tcps_conns_destroy(&session->conns);
err_stats:
	tcps_stats_destroy(&session->stats);
err_rings:
	tcps_rings_put(session->rings);
err_session:
	kvfree(session);
	return NULL;
}

static bool ring_valid(u32 records)
{
	return !records || (is_power_of_2(records) && records >= TCPSTATES_RING_MIN &&
			    records <= TCPSTATES_RING_MAX);
}

static bool config_valid(const struct tcpstates_config *config)
{
	return config->verbose <= TCPSTATES_VERBOSE_MAX &&
	       config->hook <= TCPSTATES_HOOK_KPROBE &&
	       ring_valid(config->ring_records) &&
	       config->max_conns <= TCPSTATES_CONNS_MAX &&
	       config->max_pairs >= TCPSTATES_PAIRS_MIN &&
	       config->max_pairs <= TCPSTATES_PAIRS_MAX &&
	       config->max_listeners >= TCPSTATES_LISTENERS_MIN &&
	       config->max_listeners <= TCPSTATES_LISTENERS_MAX &&
	       tcps_filter_valid(&config->filter) &&
	       !memchr_inv(config->reserved, 0, sizeof(config->reserved));
}

/* First nobody looks into sockets any more, then no hook runs any more. */
static void session_end(struct tcps_session *session)
{
	lockdep_assert_held(&control_lock);
	down_write(&session->live);
	session->ended = true;
	up_write(&session->live);
	tcps_hooks_detach(&session->hooks);
	tcps_clocks_end(&session->clocks);
	tcps_listeners_stop(&session->listeners);
	/* What goes on calling needs it for each CPU that comes. */
	if (!session->hooks.called)
		tcps_cpus_end(session);
	tcps_rings_end(session->rings);
	tcps_rings_wake_all();
}

static int activate(const struct tcpstates_config *config, const char **failed_symbol)
{
	struct tcps_session *session;
	int err;

	lockdep_assert_held(&control_lock);
	if (active)
		return -EALREADY;
	session = session_create(config);
	if (!session)
		return -ENOMEM;
	session->activated_ns = ktime_get_ns();
	err = tcps_clocks_start(&session->clocks, session->activated_ns);
	if (err) {
		tcps_session_put(session);
		return err;
	}
	session->seeding = true;
	/* Hooks first, then the walk: what changes meanwhile is in the tree. */
	err = tcps_hooks_attach(&session->hooks, session, config->hook, failed_symbol);
	if (err) {
		session_end(session);
		tcps_session_put(session);
		return err;
	}
	tcps_seed(session);
	WRITE_ONCE(session->seeding, false);
	generations = session->generation;
	set_active(session);
	return 0;
}

/**
 * tcps_activate() - start an activation
 * @config: settings of the caller, to be checked
 * @failed_symbol: set with an error if a hook could not be attached: its name
 *
 * Context: Process context, may sleep. Takes control_lock.
 * Return: 0 or an error.
 */
int tcps_activate(const struct tcpstates_config *config, const char **failed_symbol)
{
	int err;

	if (!config_valid(config))
		return -EINVAL;
	mutex_lock(&control_lock);
	err = activate(config, failed_symbol);
	mutex_unlock(&control_lock);
	return err;
}

/**
 * tcps_deactivate() - end the activation
 *
 * Context: Process context, may sleep. Takes control_lock.
 * Return: 0; -ENOLINK: there is none.
 */
int tcps_deactivate(void)
{
	struct tcps_session *session;

	mutex_lock(&control_lock);
	session = set_active(NULL);
	if (session) {
		session_end(session);
		tcps_session_put(session);
	}
	mutex_unlock(&control_lock);
	return session ? 0 : -ENOLINK;
}

/**
 * tcps_session_memory() - bytes of an activation
 * @session: the activation
 *
 * Context: Process context.
 */
u64 tcps_session_memory(struct tcps_session *session)
{
	return sizeof(*session) + tcps_rings_memory(session->rings) +
	       tcps_stats_memory(&session->stats) + tcps_conns_memory(&session->conns) +
	       tcps_pairs_memory(&session->pairs) +
	       tcps_listeners_memory(&session->listeners);
}

/* May a report move this ring's position so? */
static int check_consumed(struct tcps_session *session, const struct tcpstates_consumed *entry)
{
	const struct tcps_rings *rings = session->rings;
	const struct tcps_cpu_ring *ring;

	lockdep_assert_held(&session->consume_lock);
	ring = entry->cpu < rings->nr ? tcps_rings_of(rings, entry->cpu) : NULL;
	if (entry->reserved || !ring)
		return -EINVAL;
	if (entry->from != session->consumed[entry->cpu].position)
		return -ESTALE;
	if (entry->to < entry->from || entry->overwritten > entry->to - entry->from ||
	    entry->to > tcps_ring_head(&ring->ring))
		return -EINVAL;
	return 0;
}

/**
 * tcps_session_consume() - move the positions of reports, all or none
 * @session: the activation
 * @entries: where to; each CPU once, in rising order
 * @nr: number of entries
 *
 * Context: Process context, may sleep. Takes @session->consume_lock.
 * Return: 0; -ESTALE: another report has moved one; -EINVAL.
 */
int tcps_session_consume(struct tcps_session *session, const struct tcpstates_consumed *entries,
			 unsigned int nr)
{
	unsigned int i;
	int err = 0;

	mutex_lock(&session->consume_lock);
	for (i = 0; i < nr && !err; i++) {
		err = check_consumed(session, &entries[i]);
		if (i && entries[i].cpu <= entries[i - 1].cpu)
			err = -EINVAL;
	}
	for (i = 0; i < nr && !err; i++) {
		struct tcps_consumed *consumed = &session->consumed[entries[i].cpu];

		consumed->position = entries[i].to;
		consumed->overwritten += entries[i].overwritten;
	}
	if (!err)
		WRITE_ONCE(session->consumed_ns, ktime_get_ns());
	mutex_unlock(&session->consume_lock);
	return err;
}

/**
 * tcps_session_consumed() - the sum of all positions
 * @session: the activation
 *
 * Context: Process context, may sleep. Takes @session->consume_lock.
 */
u64 tcps_session_consumed(struct tcps_session *session)
{
	unsigned int cpu;
	u64 sum = 0;

	mutex_lock(&session->consume_lock);
	for (cpu = 0; cpu < session->rings->nr; cpu++)
		sum += session->consumed[cpu].position;
	mutex_unlock(&session->consume_lock);
	return sum;
}
