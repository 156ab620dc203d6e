// SPDX-License-Identifier: GPL-2.0-only
/*
 * An empty probe at the tracepoint of transitions: what any recorder that
 * uses it costs at least. For measuring only.
 */
#include <linux/module.h>
#include <linux/string.h>
#include <linux/tracepoint.h>
#include <net/sock.h>
#include <trace/events/sock.h>

static struct tracepoint *found;

static void on_set_state(void *data, const struct sock *sk, const int old, const int new)
{
}

static void match(struct tracepoint *tracepoint, void *data)
{
	if (!strcmp(tracepoint->name, "inet_sock_set_state"))
		found = tracepoint;
}

static int __init floor_init(void)
{
	check_trace_callback_type_inet_sock_set_state(on_set_state);
	for_each_kernel_tracepoint(match, NULL);
	return found ? tracepoint_probe_register(found, on_set_state, NULL) : -ENOENT;
}

static void __exit floor_exit(void)
{
	tracepoint_probe_unregister(found, on_set_state, NULL);
	tracepoint_synchronize_unregister();
}

module_init(floor_init);
module_exit(floor_exit);
MODULE_DESCRIPTION("An empty probe, to measure what others cost beyond it");
MODULE_LICENSE("GPL");
