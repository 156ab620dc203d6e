// SPDX-License-Identifier: GPL-2.0-only
/* Which connections are recorded. */
#include <linux/string.h>

#include "filter.h"

static bool is_zero(const void *mem, size_t len)
{
	return !memchr_inv(mem, 0, len);
}

/* Do the first @prefix bits agree? */
static bool prefix_match(const __u8 *addr, const __u8 *net, unsigned int prefix)
{
	unsigned int bytes = prefix / 8, bits = prefix % 8;

	if (memcmp(addr, net, bytes))
		return false;
	return !bits || !((addr[bytes] ^ net[bytes]) >> (8 - bits));
}

static bool addr_rule_valid(const struct tcpstates_addr_rule *rule)
{
	unsigned int byte = rule->prefix / 8;

	if (rule->prefix > 128 || rule->side >= TCPSTATES_NR_SIDES || rule->negate > 1)
		return false;
	if (rule->reserved)
		return false;
	if (byte == 16)
		return true;
	/* Bits below the prefix are zero. */
	return !(__u8)(rule->addr[byte] << (rule->prefix % 8)) &&
	       is_zero(rule->addr + byte + 1, 15 - byte);
}

static bool port_rule_valid(const struct tcpstates_port_rule *rule)
{
	return rule->low <= rule->high && rule->side < TCPSTATES_NR_SIDES && rule->negate <= 1 &&
	       is_zero(rule->reserved, sizeof(rule->reserved));
}

/**
 * tcps_filter_valid() - is a filter well-formed?
 * @filter: from the caller; all other functions want a valid one
 *
 * Context: Any.
 */
bool tcps_filter_valid(const struct tcpstates_filter *filter)
{
	unsigned int i;

	if (filter->family != 0 && filter->family != 4 && filter->family != 6)
		return false;
	if (filter->reserved || filter->nr_addrs > TCPSTATES_MAX_RULES ||
	    filter->nr_ports > TCPSTATES_MAX_RULES)
		return false;
	for (i = 0; i < filter->nr_addrs; i++)
		if (!addr_rule_valid(&filter->addrs[i]))
			return false;
	for (i = 0; i < filter->nr_ports; i++)
		if (!port_rule_valid(&filter->ports[i]))
			return false;
	return is_zero(&filter->addrs[filter->nr_addrs],
		       (TCPSTATES_MAX_RULES - filter->nr_addrs) * sizeof(filter->addrs[0])) &&
	       is_zero(&filter->ports[filter->nr_ports],
		       (TCPSTATES_MAX_RULES - filter->nr_ports) * sizeof(filter->ports[0]));
}

/**
 * tcps_filter_empty() - does a filter pass everything?
 * @filter: a valid filter
 *
 * Context: Any.
 */
bool tcps_filter_empty(const struct tcpstates_filter *filter)
{
	return !filter->netns && !filter->family && !filter->nr_addrs && !filter->nr_ports;
}

static bool addr_rule_match(const struct tcpstates_addr_rule *rule,
			    const struct tcpstates_ident *who)
{
	if (rule->ifindex && rule->ifindex != who->ifindex)
		return false;
	if (rule->side != TCPSTATES_SIDE_REMOTE &&
	    prefix_match(who->laddr, rule->addr, rule->prefix))
		return true;
	return rule->side != TCPSTATES_SIDE_LOCAL &&
	       prefix_match(who->raddr, rule->addr, rule->prefix);
}

static bool in_range(const struct tcpstates_port_rule *rule, __u16 port)
{
	return rule->low <= port && port <= rule->high;
}

static bool port_rule_match(const struct tcpstates_port_rule *rule,
			    const struct tcpstates_ident *who)
{
	if (rule->side != TCPSTATES_SIDE_REMOTE) {
		/* Not chosen yet: it may become one of them. */
		if (who->lport ? in_range(rule, who->lport) : !rule->negate)
			return true;
	}
	return rule->side != TCPSTATES_SIDE_LOCAL && in_range(rule, who->rport);
}

/*
 * What the rules of one kind said so far, by side. An expression without a
 * positive rule holds until a negated one matches.
 */
struct verdict {
	__u8 wanted;	/* sides that have a positive rule */
	__u8 met;	/* sides of which one matched */
	__u8 refused;	/* a negated rule matched */
};

static void verdict_add(struct verdict *verdict, __u8 side, __u8 negate, bool match)
{
	if (negate) {
		verdict->refused |= match;
		return;
	}
	verdict->wanted |= 1 << side;
	if (match)
		verdict->met |= 1 << side;
}

static bool verdict_holds(const struct verdict *verdict)
{
	return !verdict->refused && verdict->wanted == verdict->met;
}

static bool addrs_match(const struct tcpstates_filter *filter, const struct tcpstates_ident *who)
{
	const struct tcpstates_addr_rule *rule = filter->addrs;
	const struct tcpstates_addr_rule *end = rule + filter->nr_addrs;
	struct verdict verdict = {};

	for (; rule < end; rule++)
		verdict_add(&verdict, rule->side, rule->negate, addr_rule_match(rule, who));
	return verdict_holds(&verdict);
}

static bool ports_match(const struct tcpstates_filter *filter, const struct tcpstates_ident *who)
{
	const struct tcpstates_port_rule *rule = filter->ports;
	const struct tcpstates_port_rule *end = rule + filter->nr_ports;
	struct verdict verdict = {};

	for (; rule < end; rule++)
		verdict_add(&verdict, rule->side, rule->negate, port_rule_match(rule, who));
	return verdict_holds(&verdict);
}

/**
 * tcps_filter_match() - does a filter pass a connection?
 * @filter: a valid filter
 * @who: of which family, namespace, device, addresses and ports are read
 *
 * Context: Any.
 */
bool tcps_filter_match(const struct tcpstates_filter *filter, const struct tcpstates_ident *who)
{
	if (filter->family && filter->family != who->family)
		return false;
	if (filter->netns && filter->netns != who->netns)
		return false;
	return addrs_match(filter, who) && ports_match(filter, who);
}
