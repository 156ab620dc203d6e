// SPDX-License-Identifier: GPL-2.0-only
/* The device: who may call, and the calls of tcpstates.h. */
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>

#include "device.h"
#include "cgroups.h"
#include "session.h"
#include "snapshot.h"
#include "tcpstates.h"

/* An open file. */
struct reader {
	struct mutex lock;	/* guards all below */
	struct tcps_cursor cursor;
	u64 seen_generation;	/* 0: TCPSTATES_SEEN was never called */
	u64 seen;
};

static int copy_out(unsigned long arg, const void *from, size_t len)
{
	return copy_to_user((void __user *)arg, from, len) ? -EFAULT : 0;
}

static int copy_in(void *to, unsigned long arg, size_t len)
{
	return copy_from_user(to, (const void __user *)arg, len) ? -EFAULT : 0;
}

static int get_version(unsigned long arg)
{
	struct tcpstates_version version = {
		.call_version = TCPSTATES_CALL_VERSION,
		.record_version = TCPSTATES_RECORD_VERSION,
		.module_version = TCPS_MODULE_VERSION,
	};

	return copy_out(arg, &version, sizeof(version));
}

static int activate(unsigned long arg)
{
	struct tcpstates_activate *call = memdup_user((void __user *)arg, sizeof(*call));
	const char *failed = NULL;
	int err;

	if (IS_ERR(call))
		return PTR_ERR(call);
	err = tcps_activate(&call->config, &failed);
	memset(call->failed_symbol, 0, sizeof(call->failed_symbol));
	if (err && failed) {
		strscpy(call->failed_symbol, failed, sizeof(call->failed_symbol));
		/* The error of the activation says more than -EFAULT. */
		copy_out(arg, call, sizeof(*call));
	}
	kfree(call);
	return err;
}

static void fill_settings(struct tcps_session *session, struct tcpstates_settings *settings)
{
	settings->active = 1;
	settings->hook_used = session->hooks.mode;
	settings->generation = session->generation;
	settings->nr_rings = session->rings->nr;
	settings->nr_hooks = session->hooks.nr;
	settings->ring_bytes = session->rings->bytes;
	settings->memory_bytes = tcps_session_memory(session);
	settings->activated_ns = session->activated_ns;
	settings->consumed_ns = READ_ONCE(session->consumed_ns);
	settings->config = session->config;
}

/* Answered without a session, too: all zero. */
static int get_settings(unsigned long arg)
{
	struct tcpstates_settings *settings = kzalloc(sizeof(*settings), GFP_KERNEL);
	struct tcps_session *session;
	int err;

	if (!settings)
		return -ENOMEM;
	session = tcps_session_get();
	if (session) {
		fill_settings(session, settings);
		tcps_session_put(session);
	}
	err = copy_out(arg, settings, sizeof(*settings));
	kfree(settings);
	return err;
}

static void fill_consumed(struct tcps_session *session, struct tcpstates_stats *stats)
{
	unsigned int cpu;

	mutex_lock(&session->consume_lock);
	for (cpu = 0; cpu < session->rings->nr; cpu++) {
		const struct tcps_consumed *consumed = &session->consumed[cpu];

		stats->overwritten += consumed->overwritten;
		stats->reported += consumed->position - consumed->overwritten;
	}
	mutex_unlock(&session->consume_lock);
}

static void fill_stats(struct tcps_session *session, struct tcpstates_stats *stats)
{
	stats->generation = session->generation;
	stats->activated_ns = session->activated_ns;
	fill_consumed(session, stats);
	tcps_clocks_compare(&session->clocks);
	stats->clocks = tcps_clocks_changes(&session->clocks);
	stats->kprobe_missed = tcps_hooks_missed(&session->hooks);
	stats->nodes = READ_ONCE(session->conns.pool.nodes);
	tcps_stats_sum(&session->stats, stats);
	tcps_pairs_sum(&session->pairs, stats);
	tcps_listeners_sum(&session->listeners, stats);
}

/* Answered without a session, too: the clocks only. */
static int get_stats(unsigned long arg)
{
	struct tcps_session *session = tcps_session_get();
	struct tcpstates_stats stats = {};
	ktime_t now;

	if (session) {
		fill_stats(session, &stats);
		tcps_session_put(session);
	}
	/* One read of the clock, so that their difference is exact. */
	now = ktime_get();
	stats.now_ns = ktime_to_ns(now);
	stats.now_real_ns = ktime_to_ns(ktime_mono_to_real(now));
	return copy_out(arg, &stats, sizeof(stats));
}

/* How a table call fills one element; false leaves it out. */
typedef bool (*table_fill_t)(struct tcps_session *session, unsigned int index, void *element);

struct table_spec {
	table_fill_t fill;
	size_t size;
};

static bool fill_transition_count(struct tcps_session *session, unsigned int index, void *element)
{
	return tcps_stats_sum_transition(&session->stats, index / TCPSTATES_NR_STATES,
					 index % TCPSTATES_NR_STATES, element);
}

static bool fill_ring(struct tcps_session *session, unsigned int index, void *element)
{
	const struct tcps_cpu_ring *ring = tcps_rings_of(session->rings, index);
	struct tcpstates_ring_state *state = element;

	if (!ring)
		return false;
	state->cpu = index;
	mutex_lock(&session->consume_lock);
	state->head = tcps_ring_head(&ring->ring);
	state->consumed = session->consumed[index].position;
	state->overwritten = session->consumed[index].overwritten;
	mutex_unlock(&session->consume_lock);
	return true;
}

static bool fill_hook(struct tcps_session *session, unsigned int index, void *element)
{
	tcps_hook_describe(&session->hooks.hook[index], element);
	return true;
}

/* It reads a socket: not once the hooks are being detached. */
static bool fill_listener(struct tcps_session *session, unsigned int index, void *element)
{
	bool filled;

	down_read(&session->live);
	filled = !session->ended && tcps_listener_describe(session, index, element);
	up_read(&session->live);
	return filled;
}

static bool fill_pair(struct tcps_session *session, unsigned int index, void *element)
{
	return tcps_pair_describe(&session->pairs, index, element);
}

static int copy_table(struct tcps_session *session, const struct table_spec *spec,
		      unsigned int rows, struct tcpstates_table *table, void *element)
{
	void __user *user = u64_to_user_ptr(table->entries);
	unsigned int index;

	table->count = 0;
	for (index = 0; index < rows; index++) {
		memset(element, 0, spec->size);
		if (!spec->fill(session, index, element))
			continue;
		if (table->count < table->capacity &&
		    copy_to_user(user + table->count * spec->size, element, spec->size))
			return -EFAULT;
		table->count++;
		cond_resched();
	}
	return table->count > table->capacity ? -ENOSPC : 0;
}

static int get_table(struct tcps_session *session, const struct table_spec *spec,
		     unsigned int rows, unsigned long arg)
{
	struct tcpstates_table table;
	void *element;
	int err;

	if (copy_in(&table, arg, sizeof(table)))
		return -EFAULT;
	element = kzalloc(spec->size, GFP_KERNEL);
	if (!element)
		return -ENOMEM;
	err = copy_table(session, spec, rows, &table, element);
	kfree(element);
	if ((!err || err == -ENOSPC) && copy_out(arg, &table, sizeof(table)))
		return -EFAULT;
	return err;
}

static int get_transition_counts(struct tcps_session *session, struct reader *reader,
				 unsigned long arg)
{
	static const struct table_spec spec = {
		fill_transition_count, sizeof(struct tcpstates_transition_count)
	};

	return get_table(session, &spec, TCPSTATES_NR_STATES * TCPSTATES_NR_STATES, arg);
}

static int get_rings(struct tcps_session *session, struct reader *reader, unsigned long arg)
{
	static const struct table_spec spec = { fill_ring, sizeof(struct tcpstates_ring_state) };

	return get_table(session, &spec, session->rings->nr, arg);
}

static int get_hooks(struct tcps_session *session, struct reader *reader, unsigned long arg)
{
	static const struct table_spec spec = { fill_hook, sizeof(struct tcpstates_hook) };

	return get_table(session, &spec, session->hooks.nr, arg);
}

static int get_listeners(struct tcps_session *session, struct reader *reader, unsigned long arg)
{
	static const struct table_spec spec = {
		fill_listener, sizeof(struct tcpstates_listener)
	};

	return get_table(session, &spec, tcps_table_taken(&session->listeners.table), arg);
}

static int get_pairs(struct tcps_session *session, struct reader *reader, unsigned long arg)
{
	static const struct table_spec spec = { fill_pair, sizeof(struct tcpstates_pair) };

	return get_table(session, &spec, tcps_table_taken(&session->pairs.table), arg);
}

static int get_lives(struct tcps_session *session, struct reader *reader, unsigned long arg)
{
	struct tcpstates_lives *lives = kzalloc(sizeof(*lives), GFP_KERNEL);
	int err;

	if (!lives)
		return -ENOMEM;
	tcps_stats_sum_lives(&session->stats, lives);
	err = copy_out(arg, lives, sizeof(*lives));
	kfree(lives);
	return err;
}

/* The element is copied from the table that was counted. */
static int get_cgroups(struct tcps_session *session, struct reader *reader, unsigned long arg)
{
	struct tcps_cgroups *cgroups;
	struct tcpstates_table table;
	int err;

	if (copy_in(&table, arg, sizeof(table)))
		return -EFAULT;
	cgroups = tcps_cgroups_count(session);
	if (IS_ERR(cgroups))
		return PTR_ERR(cgroups);
	table.count = cgroups->nr;
	err = table.count > table.capacity ? -ENOSPC : 0;
	if (!err && copy_to_user(u64_to_user_ptr(table.entries), cgroups->entries,
				 table.count * sizeof(cgroups->entries[0])))
		err = -EFAULT;
	tcps_cgroups_free(cgroups);
	if ((!err || err == -ENOSPC) && copy_out(arg, &table, sizeof(table)))
		return -EFAULT;
	return err;
}

static bool fill_clock(struct tcps_session *session, unsigned int index, void *element)
{
	return tcps_clocks_get(&session->clocks, index, element);
}

static int get_clocks(struct tcps_session *session, struct reader *reader, unsigned long arg)
{
	static const struct table_spec spec = { fill_clock, sizeof(struct tcpstates_clock) };

	tcps_clocks_compare(&session->clocks);
	return get_table(session, &spec, tcps_clocks_nr(&session->clocks), arg);
}

static int snapshot(struct tcps_session *session, struct reader *reader, unsigned long arg)
{
	struct tcpstates_snapshot call;
	int err;

	if (copy_in(&call, arg, sizeof(call)))
		return -EFAULT;
	if (mutex_lock_interruptible(&reader->lock))
		return -ERESTARTSYS;
	err = tcps_snapshot(session, &reader->cursor, &call);
	mutex_unlock(&reader->lock);
	return err ?: copy_out(arg, &call, sizeof(call));
}

static int consume(struct tcps_session *session, struct reader *reader, unsigned long arg)
{
	struct tcpstates_consumed *entries;
	struct tcpstates_consume call;
	int err;

	if (copy_in(&call, arg, sizeof(call)))
		return -EFAULT;
	if (call.reserved || call.count > session->rings->nr)
		return -EINVAL;
	if (call.generation != session->generation)
		return -ESTALE;
	entries = vmemdup_user(u64_to_user_ptr(call.entries), call.count * sizeof(*entries));
	if (IS_ERR(entries))
		return PTR_ERR(entries);
	err = tcps_session_consume(session, entries, call.count);
	kvfree(entries);
	return err;
}

static int seen(struct tcps_session *session, struct reader *reader, unsigned long arg)
{
	u64 total;

	if (copy_in(&total, arg, sizeof(total)))
		return -EFAULT;
	if (mutex_lock_interruptible(&reader->lock))
		return -ERESTARTSYS;
	reader->seen_generation = session->generation;
	reader->seen = total;
	mutex_unlock(&reader->lock);
	return 0;
}

/* The calls that need an activation. */
static const struct session_call {
	unsigned int cmd;
	int (*run)(struct tcps_session *session, struct reader *reader, unsigned long arg);
} session_calls[] = {
	{ TCPSTATES_GET_TRANSITION_COUNTS, get_transition_counts },
	{ TCPSTATES_GET_RINGS, get_rings },
	{ TCPSTATES_GET_HOOKS, get_hooks },
	{ TCPSTATES_SNAPSHOT, snapshot },
	{ TCPSTATES_CONSUME, consume },
	{ TCPSTATES_SEEN, seen },
	{ TCPSTATES_GET_LISTENERS, get_listeners },
	{ TCPSTATES_GET_PAIRS, get_pairs },
	{ TCPSTATES_GET_LIVES, get_lives },
	{ TCPSTATES_GET_CGROUPS, get_cgroups },
	{ TCPSTATES_GET_CLOCKS, get_clocks },
};

static int run_session_call(const struct session_call *call, struct reader *reader,
			    unsigned long arg)
{
	struct tcps_session *session = tcps_session_get();
	int ret;

	if (!session)
		return -ENOLINK;
	ret = call->run(session, reader, arg);
	tcps_session_put(session);
	return ret;
}

static long device_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	unsigned int i;

	switch (cmd) {
	case TCPSTATES_GET_VERSION:
		return get_version(arg);
	case TCPSTATES_ACTIVATE:
		return activate(arg);
	case TCPSTATES_DEACTIVATE:
		return tcps_deactivate();
	case TCPSTATES_GET_SETTINGS:
		return get_settings(arg);
	case TCPSTATES_GET_STATS:
		return get_stats(arg);
	}
	for (i = 0; i < ARRAY_SIZE(session_calls); i++)
		if (session_calls[i].cmd == cmd)
			return run_session_call(&session_calls[i], file->private_data, arg);
	return -ENOTTY;
}

static int device_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct tcps_session *session = tcps_session_get();
	int err;

	if (!session)
		return -ENOLINK;
	err = tcps_rings_mmap(session->rings, vma);
	tcps_session_put(session);
	return err;
}

/* Is there anything that this reader has not seen? */
static bool has_news(struct tcps_session *session, struct reader *reader)
{
	u64 seen;

	mutex_lock(&reader->lock);
	seen = reader->seen_generation == session->generation ? reader->seen :
	       tcps_session_consumed(session);
	mutex_unlock(&reader->lock);
	return tcps_rings_produced(session->rings) != seen;
}

static __poll_t device_poll(struct file *file, poll_table *wait)
{
	struct tcps_session *session;
	__poll_t events;

	tcps_rings_poll_wait(file, wait);
	session = tcps_session_get();
	if (!session)
		return EPOLLHUP;
	events = has_news(session, file->private_data) ? EPOLLIN | EPOLLRDNORM : 0;
	tcps_session_put(session);
	return events;
}

/*
 * The device's mode keeps other users out; this keeps out the root of a user
 * namespace to whom somebody has handed the node.
 */
static int device_open(struct inode *inode, struct file *file)
{
	struct reader *reader;

	if (!capable(CAP_NET_ADMIN))
		return -EPERM;
	reader = kzalloc(sizeof(*reader), GFP_KERNEL);
	if (!reader)
		return -ENOMEM;
	mutex_init(&reader->lock);
	file->private_data = reader;
	return 0;
}

static int device_release(struct inode *inode, struct file *file)
{
	kfree(file->private_data);
	return 0;
}

static const struct file_operations device_fops = {
	.owner = THIS_MODULE,
	.open = device_open,
	.release = device_release,
	.unlocked_ioctl = device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = device_mmap,
	.poll = device_poll,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = TCPSTATES_DEVICE_NAME,
	.fops = &device_fops,
	.mode = 0600,
};

/**
 * tcps_device_register() - make the device
 *
 * Context: Process context, may sleep.
 * Return: 0 or an error.
 */
int tcps_device_register(void)
{
	return misc_register(&device);
}

/**
 * tcps_device_unregister() - remove the device
 *
 * Context: Process context, may sleep. No file is open.
 */
void tcps_device_unregister(void)
{
	misc_deregister(&device);
}
