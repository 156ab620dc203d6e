/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which connections are recorded; tcpstates.h defines the semantics. It
 * also compiles in user space (tests/shim), where it is tested against the
 * controller's filter.
 */
#ifndef TCPS_FILTER_H
#define TCPS_FILTER_H

#include <linux/types.h>

#include "tcpstates.h"

bool tcps_filter_valid(const struct tcpstates_filter *filter);
bool tcps_filter_empty(const struct tcpstates_filter *filter);
bool tcps_filter_match(const struct tcpstates_filter *filter, const struct tcpstates_ident *who);

#endif
