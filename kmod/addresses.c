// SPDX-License-Identifier: GPL-2.0-only
/*
 * Addresses of kernel functions. A kprobe that looks up a function by its name
 * keeps the CPU for milliseconds, because the kernel compares the names of all
 * symbols. The loader knows the addresses of exported functions; the others are
 * found among the symbols next to a known address.
 */
#include <linux/hrtimer.h>
#include <linux/kallsyms.h>
#include <linux/kernel.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <net/tcp.h>

#include "addresses.h"

/*
 * Exports and prototypes differ between kernels: these symbols are weak, so 0 if
 * the loader finds none, and declared under names of our own.
 */
#define EXPORTED(name)	extern const char exported_##name[] asm(#name) __weak

EXPORTED(__cookie_v4_check);
EXPORTED(__cookie_v6_check);
EXPORTED(__inet_twsk_schedule);
EXPORTED(inet_csk_complete_hashdance);
EXPORTED(inet_csk_reqsk_queue_add);
EXPORTED(inet_csk_reqsk_queue_hash_add);
EXPORTED(inet_sk_set_state);
EXPORTED(inet_twsk_hashdance);
EXPORTED(inet_twsk_hashdance_schedule);
EXPORTED(security_sock_graft);
EXPORTED(tcp_abort);
EXPORTED(tcp_check_req);
EXPORTED(tcp_conn_request);
EXPORTED(tcp_connect);
EXPORTED(tcp_get_cookie_sock);
EXPORTED(tcp_req_err);
EXPORTED(tcp_syn_ack_timeout);
EXPORTED(tcp_timewait_state_process);
EXPORTED(tcp_twsk_destructor);
EXPORTED(tcpv6_prot);

static const struct {
	const char *symbol;
	const char *address;
} exported[] = {
	{ "__cookie_v4_check", exported___cookie_v4_check },
	{ "__cookie_v6_check", exported___cookie_v6_check },
	{ "__inet_twsk_schedule", exported___inet_twsk_schedule },
	{ "inet_csk_complete_hashdance", exported_inet_csk_complete_hashdance },
	{ "inet_csk_reqsk_queue_add", exported_inet_csk_reqsk_queue_add },
	{ "inet_csk_reqsk_queue_hash_add", exported_inet_csk_reqsk_queue_hash_add },
	{ "inet_sk_set_state", exported_inet_sk_set_state },
	{ "inet_twsk_hashdance", exported_inet_twsk_hashdance },
	{ "inet_twsk_hashdance_schedule", exported_inet_twsk_hashdance_schedule },
	{ "security_sock_graft", exported_security_sock_graft },
	{ "tcp_abort", exported_tcp_abort },
	{ "tcp_check_req", exported_tcp_check_req },
	{ "tcp_conn_request", exported_tcp_conn_request },
	{ "tcp_connect", exported_tcp_connect },
	{ "tcp_get_cookie_sock", exported_tcp_get_cookie_sock },
	{ "tcp_req_err", exported_tcp_req_err },
	{ "tcp_syn_ack_timeout", exported_tcp_syn_ack_timeout },
	{ "tcp_timewait_state_process", exported_tcp_timewait_state_process },
	{ "tcp_twsk_destructor", exported_tcp_twsk_destructor },
};

/* Most symbols that are checked on each side of a known address. */
#define STEPS_MAX	600

/* ... between two calls of cond_resched(). */
#define STEPS_AT_A_TIME	16

/* What lies at an address. */
struct symbol {
	char name[KSYM_SYMBOL_LEN];
	unsigned long start;
	unsigned long size;
};

static bool look_up(unsigned long address, struct symbol *symbol)
{
	unsigned long offset;
	char *end;

	sprint_symbol(symbol->name, address);
	end = strrchr(symbol->name, '+');
	if (!end || sscanf(end, "+%lx/%lx", &offset, &symbol->size) != 2)
		return false;
	*end = '\0';
	symbol->start = address - offset;
	return symbol->size;
}

/* From @address, which is known, to higher or lower addresses. */
static unsigned long search(const char *name, unsigned long address, bool up)
{
	struct symbol symbol;
	unsigned int i;

	for (i = 0; i < STEPS_MAX && look_up(address, &symbol); i++) {
		if (!strcmp(symbol.name, name))
			return symbol.start;
		address = up ? symbol.start + symbol.size : symbol.start - 1;
		if (i % STEPS_AT_A_TIME == 0)
			cond_resched();
	}
	return 0;
}

static unsigned long address_of_exported(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(exported); i++)
		if (!strcmp(exported[i].symbol, name))
			return (unsigned long)exported[i].address;
	return 0;
}

static unsigned long address_near(enum tcps_near near)
{
	const struct proto *v6 = (const struct proto *)exported_tcpv6_prot;

	switch (near) {
	case TCPS_NEAR_ACCEPT:
		return (unsigned long)tcp_prot.accept;
	case TCPS_NEAR_CLOSE:
		return (unsigned long)tcp_prot.close;
	case TCPS_NEAR_OUTPUT:
		return (unsigned long)tcp_prot.release_cb;
	case TCPS_NEAR_KEEPALIVE:
		return (unsigned long)tcp_prot.keepalive;
	case TCPS_NEAR_IPV4:
		return (unsigned long)tcp_prot.destroy;
	case TCPS_NEAR_IPV6:
		return v6 ? (unsigned long)v6->connect : 0;
	case TCPS_NEAR_COOKIES:
		return address_of_exported("__cookie_v4_check");
	case TCPS_NEAR_V6_COOKIES:
		return address_of_exported("__cookie_v6_check");
	case TCPS_NEAR_TIMERS:
		return (unsigned long)hrtimer_cancel;
	default:
		return 0;
	}
}

/**
 * tcps_address_of() - the address of a function of the kernel
 * @symbol: its name
 * @near: a known function whose neighbour it is
 *
 * Context: Process context, may sleep.
 * Return: the address; 0: not known.
 */
unsigned long tcps_address_of(const char *symbol, enum tcps_near near)
{
	unsigned long address = address_of_exported(symbol);

	/* The step of length 0 is a check: it may be that of a stub that leads there. */
	if (address)
		return search(symbol, address, true);
	address = address_near(near);
	if (!address)
		return 0;
	return search(symbol, address, true) ?: search(symbol, address, false);
}
