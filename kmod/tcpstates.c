// SPDX-License-Identifier: GPL-2.0-only
/*
 * tcpstates: records TCP state transitions and keeps every live connection,
 * for diagnose-tools. Loading it only makes the device; all else starts with
 * an activation (session.c).
 */
#include <linux/cpumask.h>
#include <linux/module.h>
#include <linux/moduleparam.h>

#include "cpus.h"
#include "device.h"
#include "faults.h"
#include "layout.h"
#include "pool.h"
#include "session.h"
#include "shared.h"

DEFINE_PER_CPU(unsigned long, tcps_shared_ops);

static int get_shared_ops(char *buffer, const struct kernel_param *param)
{
	unsigned long sum = 0;
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu(tcps_shared_ops, cpu));
	return sprintf(buffer, "%lu\n", sum);
}

static const struct kernel_param_ops shared_ops = { .get = get_shared_ops };

module_param_cb(shared_ops, &shared_ops, NULL, 0400);
MODULE_PARM_DESC(shared_ops, "atomic operations of hooks on what CPUs share, since it was loaded");

static int __init tcpstates_init(void)
{
	int err = tcps_pool_load();

	if (err)
		return err;
	err = tcps_cpus_load();
	if (err)
		goto err_pool;
	err = tcps_device_register();
	if (err)
		goto err_cpus;
	tcps_faults_load();
	return 0;

err_cpus:
	tcps_cpus_unload();
err_pool:
	tcps_pool_unload();
	return err;
}

/*
 * An open file holds a reference on the module, so nobody is inside of the
 * device here; an activation does not, and is ended.
 */
static void __exit tcpstates_exit(void)
{
	tcps_faults_unload();
	tcps_device_unregister();
	tcps_deactivate();
	tcps_cpus_unload();
	tcps_pool_unload();
}

module_init(tcpstates_init);
module_exit(tcpstates_exit);

MODULE_DESCRIPTION("diagnose-tools: recorder of TCP state transitions");
MODULE_AUTHOR("diagnose-tools developers");
MODULE_LICENSE("GPL");
MODULE_VERSION(TCPS_MODULE_VERSION);
