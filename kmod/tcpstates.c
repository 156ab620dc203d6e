// SPDX-License-Identifier: GPL-2.0-only
/*
 * tcpstates: records TCP state transitions and keeps every live connection,
 * for diagnose-tools. Loading it only makes the device; all else begins with
 * an activation (session.c).
 */
#include <linux/module.h>

#include "device.h"
#include "faults.h"
#include "layout.h"
#include "pool.h"
#include "session.h"

static int __init tcpstates_init(void)
{
	int err = tcps_pool_load();

	if (err)
		return err;
	err = tcps_device_register();
	if (err) {
		tcps_pool_unload();
		return err;
	}
	tcps_faults_load();
	return 0;
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
	tcps_pool_unload();
}

module_init(tcpstates_init);
module_exit(tcpstates_exit);

MODULE_DESCRIPTION("diagnose-tools: recorder of TCP state transitions");
MODULE_AUTHOR("diagnose-tools developers");
MODULE_LICENSE("GPL");
MODULE_VERSION(TCPS_MODULE_VERSION);
