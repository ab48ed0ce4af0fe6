// SPDX-License-Identifier: GPL-2.0-or-later
#include "diag.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "path.h"
#include "text.h"

enum {
	MAX_DEPTH = 8, // of stacked interfaces
	MAX_CONF = 64, // interfaces whose sysctls are read: each costs system calls
};

// A search under way.
struct search {
	const struct diag_view *v;
	struct diag *out;
	unsigned int confs; // interfaces whose sysctls were read
};

static void __attribute__((format(printf, 4, 5)))
tell(const struct search *s, const char *word, const char *subject, const char *fmt, ...)
{
	struct diag_problem *p = &s->out->list[s->out->n];
	va_list args;

	if (s->out->n == DIAG_MAX)
		return;
	s->out->n++;
	p->word = word;
	snprintf(p->subject, sizeof(p->subject), "%s", subject);
	va_start(args, fmt);
	vsnprintf(p->text, sizeof(p->text), fmt, args);
	va_end(args);
}

static bool is_kind(const struct rtnl_link *link, const char *kind)
{
	return link != NULL && strcmp(link->kind, kind) == 0;
}

static const struct rtnl_link *first_link(const struct diag_view *v)
{
	return v->next_link(v->arg, 0);
}

static const struct rtnl_link *link_after(const struct diag_view *v, const struct rtnl_link *link)
{
	return v->next_link(v->arg, link->ifindex);
}

// --- whose interfaces they are ---

static bool is_twin(const struct diag_view *v, const struct rtnl_link *link)
{
	const char *name;

	for (unsigned int i = 0; (name = v->twin(v->arg, i)) != NULL; i++)
		if (strcmp(name, link->name) == 0)
			return true;
	return false;
}

static bool has_twin_slave(const struct diag_view *v, const struct rtnl_link *bond)
{
	for (const struct rtnl_link *l = first_link(v); l != NULL; l = link_after(v, l))
		if (l->master == bond->ifindex && is_twin(v, l))
			return true;
	return false;
}

// A twin, or a bond of twins, or a VLAN upon one.
static bool is_ours(const struct diag_view *v, const struct rtnl_link *link)
{
	for (int i = 0; i < MAX_DEPTH && link != NULL && link->lower != 0; i++)
		link = v->link(v->arg, link->lower);
	if (link == NULL)
		return false;
	return is_twin(v, link) || (is_kind(link, "bond") && has_twin_slave(v, link));
}

static bool has_vlan(const struct diag_view *v, const struct rtnl_link *link)
{
	for (const struct rtnl_link *l = first_link(v); l != NULL; l = link_after(v, l))
		if (l->lower == link->ifindex)
			return true;
	return false;
}

// Packets are routed from and to it.
static bool is_routed(const struct diag_view *v, const struct rtnl_link *link)
{
	const struct rtnl_link *master = link->master != 0 ? v->link(v->arg, link->master) : NULL;

	return link->up && is_ours(v, link) && (master == NULL || is_kind(master, "vrf"))
	       && (v->addresses(v->arg, link->ifindex) & (DIAG_IPV4 | DIAG_IPV6));
}

// How many routed interfaces have addresses of the family.
static unsigned int count_routed(const struct diag_view *v, unsigned int family)
{
	unsigned int n = 0;

	for (const struct rtnl_link *l = first_link(v); l != NULL; l = link_after(v, l))
		n += is_routed(v, l) && (v->addresses(v->arg, l->ifindex) & family);
	return n;
}

// --- flowtables ---

static bool lists_ours(const struct diag_view *v, const struct nft_flowtable *ft)
{
	for (const struct rtnl_link *l = first_link(v); l != NULL; l = link_after(v, l))
		if (is_ours(v, l) && v->lists(v->arg, ft, l->ifindex))
			return true;
	return false;
}

// One that lists interfaces of ours, else any.
static const struct nft_flowtable *our_flowtable(const struct diag_view *v)
{
	const unsigned int n = v->flowtables(v->arg);

	for (unsigned int i = 0; i < n; i++)
		if (lists_ours(v, v->flowtable(v->arg, i)))
			return v->flowtable(v->arg, i);
	return n != 0 ? v->flowtable(v->arg, 0) : NULL;
}

static void check_flowtable(const struct search *s, const struct nft_flowtable *ft)
{
	char name[TEXT_FLOWTABLE_MAX];

	if (ft->from_config || !lists_ours(s->v, ft))
		return;
	text_flowtable(ft, name);
	if (ft->use == 0)
		tell(s, "unused-flowtable", name,
			"No rule adds connections to flowtable %.100s: a chain of type filter hook forward "
			"needs a rule with 'flow add @%.60s'.",
			name, ft->name);
	if (ft->flags & NFT_FLAG_OFFLOAD)
		tell(s, "offload-flag", name,
			"Flowtable %.100s has 'flags offload', which is for NICs of the kernel's: remove "
			"the flag, the workers need none.",
			name);
}

static void check_flowtables(const struct search *s)
{
	const struct diag_view *v = s->v;
	const unsigned int n = v->flowtables(v->arg);

	if (n == 0 && v->unsupported != NULL)
		tell(s, "no-flowtable", "",
			"Nothing is offloaded, since there are no flowtables: %s. A [flowtable NAME] in "
			"config.ini can stand in.",
			v->unsupported);
	else if (n == 0)
		tell(s, "no-flowtable", "",
			"Nothing is offloaded, since nftables has no flowtable: load one that lists the "
			"twins, such as config/flowtable.nft.");
	for (unsigned int i = 0; i < n; i++)
		check_flowtable(s, v->flowtable(v->arg, i));
}

static bool is_listed(const struct diag_view *v, const struct rtnl_link *link)
{
	for (unsigned int i = 0; i < v->flowtables(v->arg); i++)
		if (v->lists(v->arg, v->flowtable(v->arg, i), link->ifindex))
			return true;
	return false;
}

static void check_listed(const struct search *s, const struct rtnl_link *link)
{
	const struct rtnl_link *lower =
		link->lower != 0 ? s->v->link(s->v->arg, link->lower) : NULL;
	const struct nft_flowtable *ft;
	char name[TEXT_FLOWTABLE_MAX];

	if (is_listed(s->v, link) || (ft = our_flowtable(s->v)) == NULL)
		return;
	text_flowtable(ft, name);
	if (lower != NULL)
		tell(s, "missing-vlan", link->name,
			"Connections by %s stay with the kernel: no flowtable lists it or %s below it. Add "
			"either to the devices of flowtable %.100s.",
			link->name, lower->name, name);
	else
		tell(s, "missing-device", link->name,
			"Connections by %s stay with the kernel: no flowtable lists it. Add it to the "
			"devices of flowtable %.100s.",
			link->name, name);
}

// --- interfaces ---

// Of a bond: it has to be one of twins alone, in a mode that the workers can do.
static void check_bond(const struct search *s, const struct rtnl_link *bond)
{
	const struct diag_view *v = s->v;

	if (!is_kind(bond, "bond") || !has_twin_slave(v, bond))
		return;
	if (!path_bond_mode(bond->bond_mode))
		tell(s, "bond-mode", bond->name,
			"Connections by %s stay with the kernel: its mode spreads packets of a connection. "
			"Use active-backup, balance-xor or 802.3ad.",
			bond->name);
	for (const struct rtnl_link *l = first_link(v); l != NULL; l = link_after(v, l))
		if (l->master == bond->ifindex && !is_twin(v, l))
			tell(s, "bond-member", l->name,
				"%s is no twin, but belongs to %s as twins do: connections by %s stay with "
				"the kernel.",
				l->name, bond->name, bond->name);
}

static void check_master(const struct search *s, const struct rtnl_link *twin)
{
	const struct rtnl_link *master =
		twin->master != 0 ? s->v->link(s->v->arg, twin->master) : NULL;

	if (master == NULL || is_kind(master, "vrf") || is_kind(master, "bond"))
		return;
	if (is_kind(master, "bridge"))
		tell(s, "bridge-port", twin->name,
			"%s is a port of bridge %s, and paths over a bridge stay with the kernel: give the "
			"addresses to %s itself.",
			twin->name, master->name, twin->name);
	else
		tell(s, "enslaved", twin->name,
			"%s belongs to %s (%s), which the workers do not know: its connections stay with "
			"the kernel.",
			twin->name, master->name, master->kind);
}

static void check_twin(const struct search *s, const struct rtnl_link *twin)
{
	const struct diag_view *v = s->v;
	const bool pppoe = v->pppoe(v->arg, twin->name);

	if (!twin->up) {
		tell(s, "twin-down", twin->name, "%s is down: 'ip link set %s up'.", twin->name,
			twin->name);
		return;
	}
	if (!twin->carrier)
		tell(s, "no-carrier", twin->name,
			"The port of %s has no link: look at the cable and at the other end.",
			twin->name);
	check_master(s, twin);
	if (pppoe)
		tell(s, "pppoe", twin->name,
			"A PPPoE session runs over %s: its connections stay with the kernel, since the "
			"workers do not do PPPoE.",
			twin->name);
	if (twin->master == 0 && !pppoe && !has_vlan(v, twin)
		&& v->addresses(v->arg, twin->ifindex) == 0)
		tell(s, "no-address", twin->name,
			"%s has no address: 'ip address add ADDRESS/LENGTH dev %s'.", twin->name,
			twin->name);
}

static void check_twins_exist(const struct search *s)
{
	const struct diag_view *v = s->v;
	const struct rtnl_link *l;
	const char *name;

	for (unsigned int i = 0; (name = v->twin(v->arg, i)) != NULL; i++) {
		for (l = first_link(v); l != NULL && strcmp(l->name, name) != 0;)
			l = link_after(v, l);
		if (l == NULL)
			tell(s, "twin-gone", name,
				"There is no interface %s any more: give it back its name, or restart the "
				"daemon.",
				name);
	}
}

// --- sysctls ---

static uint32_t conf4(const struct diag_view *v, const char *ifname, const char *key)
{
	char name[80];

	snprintf(name, sizeof(name), "ipv4/conf/%s/%s", ifname, key);
	return v->sysctl(v->arg, name, UINT32_MAX);
}

// ip_route_input_slow() looks at the interface that a packet comes in by. Of IPv6, ip6_forward()
// looks at 'all' alone.
static void check_forwarding(const struct search *s, bool forwards)
{
	const struct diag_view *v = s->v;

	if (!forwards && count_routed(v, DIAG_IPV4) != 0)
		tell(s, "no-forwarding", "IPv4",
			"The kernel does not forward IPv4: 'sysctl -w net.ipv4.ip_forward=1'.");
	if (count_routed(v, DIAG_IPV6) > 1 && v->sysctl(v->arg, "ipv6/conf/all/forwarding", 1) == 0)
		tell(s, "no-forwarding", "IPv6",
			"The kernel does not forward IPv6: 'sysctl -w net.ipv6.conf.all.forwarding=1'.");
}

// The greater of both values counts, and 1 is strict. Where all routes are symmetric it does no
// harm.
static bool filters_reverse_path(const struct diag_view *v, const char *ifname)
{
	const uint32_t all = conf4(v, "all", "rp_filter"), own = conf4(v, ifname, "rp_filter");

	return (own == 1 || all == 1) && own <= 1 && all <= 1;
}

static void check_ipv4_conf(struct search *s, const struct rtnl_link *link, bool forwards)
{
	const struct diag_view *v = s->v;

	if (!(v->addresses(v->arg, link->ifindex) & DIAG_IPV4) || s->confs++ >= MAX_CONF)
		return;
	if (forwards && conf4(v, link->name, "forwarding") == 0)
		tell(s, "no-forwarding", link->name,
			"The kernel does not forward IPv4 that comes in by %s: 'sysctl -w "
			"net/ipv4/conf/%s/forwarding=1'.",
			link->name, link->name);
	if (v->asymmetric != 0 && filters_reverse_path(v, link->name))
		tell(s, "rp-filter", link->name,
			"rp_filter of %s is strict, but directions of connections use different interfaces: "
			"the kernel drops their packets. 'sysctl -w net/ipv4/conf/%s/rp_filter=2'.",
			link->name, link->name);
}

// --- conntrack and tables ---

static void check_conntrack(const struct search *s)
{
	const struct diag_view *v = s->v;
	const uint64_t count = v->sysctl(v->arg, "netfilter/nf_conntrack_count", 0);
	const uint64_t max = v->sysctl(v->arg, "netfilter/nf_conntrack_max", 0);

	if (!v->conntrack) {
		tell(s, "no-conntrack", "",
			"Nothing is offloaded, since the kernel has no conntrack or it cannot be read: "
			"'modprobe nf_conntrack_netlink', and CAP_NET_ADMIN.");
		return;
	}
	if (v->sysctl(v->arg, "netfilter/nf_conntrack_events", 1) == 0)
		tell(s, "no-events", "",
			"Conntrack tells no events, so connections are taken up late: 'sysctl -w "
			"net.netfilter.nf_conntrack_events=1'.");
	if (max != 0 && 10 * count >= 9 * max)
		tell(s, "conntrack-full", "",
			"Conntrack's table is nearly full, and new connections will be dropped: raise "
			"net.netfilter.nf_conntrack_max, now %llu.",
			(unsigned long long)max);
}

static void check_mirror(const struct search *s)
{
	if (s->v->table_full != 0)
		tell(s, "table-full", "",
			"Connections stay with the kernel, since the workers' table is full: raise "
			"max-connections in config.ini.");
	if (s->v->ipsec)
		tell(s, "ipsec", "",
			"All connections stay with the kernel while it has IPsec policies: see 'ip xfrm "
			"policy'.");
}

void diag_find(const struct diag_view *v, struct diag *diag)
{
	const bool forwards = v->sysctl(v->arg, "ipv4/ip_forward", 1) != 0;
	struct search s = {.v = v, .out = diag};

	diag->n = 0;
	check_conntrack(&s);
	check_mirror(&s);
	check_flowtables(&s);
	check_forwarding(&s, forwards);
	check_twins_exist(&s);
	for (const struct rtnl_link *l = first_link(v); l != NULL; l = link_after(v, l)) {
		if (is_twin(v, l))
			check_twin(&s, l);
		check_bond(&s, l);
		if (!is_routed(v, l))
			continue;
		check_listed(&s, l);
		check_ipv4_conf(&s, l, forwards);
	}
}
