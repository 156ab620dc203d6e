/* SPDX-License-Identifier: GPL-2.0-only */
/* Addresses of kernel functions. */
#ifndef TCPS_ADDRESSES_H
#define TCPS_ADDRESSES_H

/*
 * Functions that are known on every kernel, most of them as struct proto of TCP
 * leads to them. Those of one source file lie together, and the files of TCP
 * one after the other.
 */
enum tcps_near {
	TCPS_NEAR_NOTHING,
	TCPS_NEAR_ACCEPT,	/* inet_csk_accept(): requests, TIME_WAIT */
	TCPS_NEAR_CLOSE,	/* tcp_close() */
	TCPS_NEAR_OUTPUT,	/* tcp_release_cb(): what sends, behind what receives */
	TCPS_NEAR_KEEPALIVE,	/* tcp_set_keepalive(): timers of TCP */
	TCPS_NEAR_IPV4,		/* tcp_v4_destroy_sock(), before what is small */
	TCPS_NEAR_IPV6,		/* tcp_v6_connect() */
	TCPS_NEAR_COOKIES,	/* __cookie_v4_check() */
	TCPS_NEAR_V6_COOKIES,	/* __cookie_v6_check() */
	TCPS_NEAR_TIMERS,	/* hrtimer_cancel() */
};

/* In process context. 0: not known. */
unsigned long tcps_address_of(const char *symbol, enum tcps_near near);

#endif
