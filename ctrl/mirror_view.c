// SPDX-License-Identifier: GPL-2.0-or-later
// What resolve() asks, answered from the kernel's state as the other modules know it.
#include <string.h>

#include <linux/if_bonding.h>
#include <linux/netfilter.h>

#include "dp_api.h"
#include "log.h"
#include "mirror_priv.h"

static int view_route(void *arg, const struct rtnl_route_key *key, struct rtnl_route *route)
{
	return routes_get(((struct mirror *)arg)->routes, key, route);
}

// By addresses alone the kernel chooses the same for a query as for a packet and for its flowtable;
// by ports its flowtable does not know, by an IPv6 flow label nobody but the packet.
static int view_multipath(void *arg, const struct rtnl_route_key *key)
{
	struct mirror *m = arg;

	if (key->family == NFO_IPV4 && !m->ipv4_l4_hash)
		return 0;
	return routes_multipath(m->routes, key);
}

static const struct rtnl_link *view_link(void *arg, int ifindex)
{
	return rtnl_link_by_index(((struct mirror *)arg)->rtnl, ifindex);
}

static const struct rtnl_link *view_next_link(void *arg, int after)
{
	return rtnl_link_next(((struct mirror *)arg)->rtnl, after);
}

static const struct rtnl_neigh *view_neigh(
	void *arg, int ifindex, uint8_t family, const union nfo_addr *addr)
{
	return rtnl_neigh_find(((struct mirror *)arg)->rtnl, ifindex, family, addr);
}

static const struct rtnl_rules *view_rules(void *arg, uint8_t family)
{
	return rtnl_rules(((struct mirror *)arg)->rtnl, family);
}

static bool view_marks_restored(void *arg)
{
	const struct mirror *m = arg;

	return m->nft != NULL && nft_restores_marks(m->nft);
}

// Not to know is no reason to send in clear.
static bool view_ipsec(void *arg)
{
	const struct mirror *m = arg;

	return m->xfrm == NULL || xfrm_policies(m->xfrm);
}

static int view_port(void *arg, const char *ifname)
{
	const struct mirror *m = arg;

	for (unsigned int i = 0; i < m->conf.n_ports; i++)
		if (strcmp(m->conf.port[i], ifname) == 0)
			return (int)i;
	return -1;
}

static int view_group(void *arg, int ifindex)
{
	const struct mirror *m = arg;

	for (int i = 0; i < NFO_MAX_PORTS; i++)
		if (m->bond[i] == ifindex)
			return NFO_MAX_PORTS + i;
	return -1;
}

// Not to know is no reason to go past what may be there.
static bool view_hooked(void *arg, const char *ifname)
{
	const struct mirror *m = arg;

	return m->hooks == NULL || hooks_on(m->hooks, ifname);
}

// --- flowtables ---

// A name, or the start of one with '*' (NFTA_DEVICE_PREFIX).
static bool names(const char *device, const char *ifname)
{
	const size_t n = strlen(device);

	if (n > 0 && device[n - 1] == '*')
		return strncmp(device, ifname, n - 1) == 0;
	return strcmp(device, ifname) == 0;
}

// The kernel hooks into either (nft_dev_forward_path(), net/netfilter/nft_flow_offload.c).
bool mirror_lists(const struct mirror *m, const struct nft_flowtable *ft, int ifindex)
{
	const struct rtnl_link *link = rtnl_link_by_index(m->rtnl, ifindex);

	for (; link != NULL; link = rtnl_link_by_index(m->rtnl, link->lower)) {
		for (unsigned int i = 0; i < ft->n_devices; i++)
			if (names(ft->devices[i], link->name))
				return true;
		if (link->lower == 0)
			return false;
	}
	return false;
}

const struct nft_flowtable *mirror_flowtable_of(
	const struct mirror *m, const struct ct_conn *conn, int a, int b)
{
	const struct nft_flowtable *ft = offer_stand_in(m, conn);

	if (ft != NULL && mirror_lists(m, ft, a) && mirror_lists(m, ft, b))
		return ft;
	if (m->nft == NULL)
		return NULL;
	for (unsigned int i = 0; i < nft_list(m->nft)->n; i++) {
		ft = &nft_list(m->nft)->list[i];
		if (nft_flowtable_fits(ft, conn->orig.family, conn->mark) && mirror_lists(m, ft, a)
			&& mirror_lists(m, ft, b))
			return ft;
	}
	return NULL;
}

static bool view_flowtable(void *arg, const struct ct_conn *conn, int a, int b)
{
	return mirror_flowtable_of(arg, conn, a, b) != NULL;
}

// --- bonds ---

bool mirror_is_bond(const struct rtnl_link *link)
{
	return link != NULL && strcmp(link->kind, "bond") == 0;
}

// A bond keeps its group as long as it exists.
static int group_of_bond(struct mirror *m, const struct rtnl_link *bond)
{
	int group = view_group(m, bond->ifindex);

	for (int i = 0; group < 0 && i < NFO_MAX_PORTS; i++)
		if (m->bond[i] == 0) {
			m->bond[i] = bond->ifindex;
			group = NFO_MAX_PORTS + i;
		}
	return group;
}

// By a slave that is not active the kernel takes no packets: it stays a port by itself.
static unsigned int group_of_port(struct mirror *m, unsigned int port)
{
	const struct rtnl_link *link = rtnl_link_by_name(m->rtnl, m->conf.port[port]);
	const struct rtnl_link *master =
		link != NULL && link->master != 0 ? rtnl_link_by_index(m->rtnl, link->master) : NULL;
	int group;

	if (!mirror_is_bond(master) || !link->slave_active)
		return port;
	group = group_of_bond(m, master);
	return group >= 0 ? (unsigned int)group : port;
}

bool mirror_sync_groups(struct mirror *m)
{
	bool changed = false;

	for (int i = 0; i < NFO_MAX_PORTS; i++)
		if (m->bond[i] != 0 && !mirror_is_bond(rtnl_link_by_index(m->rtnl, m->bond[i])))
			m->bond[i] = 0;
	for (unsigned int port = 0; port < m->conf.n_ports; port++) {
		const unsigned int group = group_of_port(m, port);

		changed |= group != m->group[port];
		m->group[port] = group;
		dp_port_group(port, group);
	}
	return changed;
}

void mirror_view_init(struct mirror *m)
{
	m->view = (struct resolve_view){
		.path =
			{
				.link = view_link,
				.next_link = view_next_link,
				.port = view_port,
				.group = view_group,
				.hooked = view_hooked,
				.arg = m,
			},
		.route = view_route,
		.multipath = view_multipath,
		.neigh = view_neigh,
		.rules = view_rules,
		.marks_restored = view_marks_restored,
		.ipsec = view_ipsec,
		.flowtable = view_flowtable,
		.arg = m,
	};
}
