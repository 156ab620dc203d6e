/* SPDX-License-Identifier: GPL-2.0-only */
/* The device: who may call, and the calls of tcpstates.h. */
#ifndef TCPS_DEVICE_H
#define TCPS_DEVICE_H

#define TCPS_MODULE_VERSION "0.1.0"

int tcps_device_register(void);
void tcps_device_unregister(void);

#endif
