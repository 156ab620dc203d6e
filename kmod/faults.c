// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fault injection: fail_tcpstates in debugfs, and /proc/self/fail-nth, which
 * counts these calls together with the kernel's allocations.
 */
#include <linux/debugfs.h>
#include <linux/fault-inject.h>

#include "faults.h"

static DECLARE_FAULT_ATTR(fail_tcpstates);
static struct dentry *folder;

/**
 * tcps_fault() - shall the caller fail as if there were no memory?
 *
 * Context: Any.
 */
bool tcps_fault(void)
{
	return should_fail(&fail_tcpstates, 1);
}

/**
 * tcps_faults_load() - make fail_tcpstates in debugfs
 *
 * Without debugfs no fault can be injected, which is no error.
 *
 * Context: Process context, may sleep.
 */
void tcps_faults_load(void)
{
	folder = fault_create_debugfs_attr("fail_tcpstates", NULL, &fail_tcpstates);
}

/**
 * tcps_faults_unload() - remove it
 *
 * Context: Process context, may sleep.
 */
void tcps_faults_unload(void)
{
	debugfs_remove_recursive(folder);
}
