/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Fault injection, on kernels that are built with it: failures that cannot be
 * caused by those of the kernel's own allocations. Other kernels have none of this.
 */
#ifndef TCPS_FAULTS_H
#define TCPS_FAULTS_H

#include <linux/types.h>

#ifdef CONFIG_FAULT_INJECTION
bool tcps_fault(void);
void tcps_faults_load(void);
void tcps_faults_unload(void);
#else
static inline bool tcps_fault(void)
{
	return false;
}

static inline void tcps_faults_load(void)
{
}

static inline void tcps_faults_unload(void)
{
}
#endif

#endif
