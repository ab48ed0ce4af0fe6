// SPDX-License-Identifier: GPL-2.0-or-later
#include "path.h"

#include <string.h>

#include <linux/if_bonding.h>

enum { MAX_DEPTH = 8 }; // of stacked interfaces

static bool is_kind(const struct rtnl_link *link, const char *kind)
{
	return link != NULL && strcmp(link->kind, kind) == 0;
}

static enum nfo_reason check_usable(const struct path_view *v, const struct rtnl_link *link)
{
	if (v->hooked(v->arg, link->name))
		return NFO_R_NETDEV_HOOK;
	return link->up && link->carrier ? NFO_R_OFFLOADED : NFO_R_LINK_DOWN;
}

// A VRF changes which routes are asked, which a route query knows; other masters take the packets.
static enum nfo_reason check_master(const struct path_view *v, const struct rtnl_link *link)
{
	const struct rtnl_link *master;

	if (link->master == 0)
		return NFO_R_OFFLOADED;
	master = v->link(v->arg, link->master);
	if (is_kind(master, "vrf"))
		return NFO_R_OFFLOADED;
	return is_kind(master, "bridge") ? NFO_R_BRIDGE : NFO_R_ENSLAVED;
}

// Down the VLAN interfaces; 'vlan' gets their tags, innermost first.
static enum nfo_reason descend(
	const struct path_view *v, const struct rtnl_link **link, struct nfo_vlan *vlan, int *n)
{
	for (int depth = 0; *link != NULL && (*link)->lower != 0; depth++) {
		enum nfo_reason reason = check_usable(v, *link);

		if (reason == NFO_R_OFFLOADED)
			reason = check_master(v, *link);
		if (reason == NFO_R_OFFLOADED && (*link)->vlan_qos)
			reason = NFO_R_VLAN_QOS;
		if (reason == NFO_R_OFFLOADED && (*n == NFO_MAX_VLANS || depth == MAX_DEPTH))
			reason = NFO_R_VLAN_DEPTH;
		if (reason != NFO_R_OFFLOADED)
			return reason;
		vlan[(*n)++] = (*link)->vlan;
		*link = v->link(v->arg, (*link)->lower);
	}
	return NFO_R_OFFLOADED;
}

static enum nfo_reason not_a_port(const struct rtnl_link *link)
{
	if (is_kind(link, "bridge"))
		return NFO_R_BRIDGE;
	return is_kind(link, "ppp") ? NFO_R_PPPOE : NFO_R_NOT_PORT;
}

static int slave_port(const struct path_view *v, int ifindex)
{
	const struct rtnl_link *slave = v->link(v->arg, ifindex);
	const int port = slave != NULL ? v->port(v->arg, slave->name) : -1;

	return port >= 0 && !v->hooked(v->arg, slave->name) ? port : -1;
}

bool path_bond_mode(uint8_t mode)
{
	return mode == BOND_MODE_ACTIVEBACKUP || mode == BOND_MODE_XOR || mode == BOND_MODE_8023AD;
}

static enum nfo_reason find_bond(
	const struct path_view *v, const struct rtnl_link *bond, struct path *path)
{
	const int group = v->group(v->arg, bond->ifindex);
	int port;

	if (group < 0)
		return NFO_R_NOT_PORT;
	path->in_port = (uint16_t)group;
	if (!path_bond_mode(bond->bond_mode))
		return NFO_R_BOND_MODE;
	path->spread = bond->bond_mode != BOND_MODE_ACTIVEBACKUP;
	port = path->spread ? path_out_port(v, path, 0) : slave_port(v, bond->bond_active);
	path->out_port = (uint16_t)port;
	return port >= 0 ? NFO_R_OFFLOADED : NFO_R_NOT_PORT;
}

static enum nfo_reason find_base(const struct path_view *v, struct path *path)
{
	const struct rtnl_link *base = path->base;
	const int port = v->port(v->arg, base->name);
	enum nfo_reason reason;

	if (port < 0 && !is_kind(base, "bond"))
		return not_a_port(base);
	reason = check_master(v, base);
	if (reason == NFO_R_OFFLOADED)
		reason = check_usable(v, base);
	if (reason != NFO_R_OFFLOADED)
		return reason;
	if (port < 0)
		return find_bond(v, base, path);
	path->in_port = path->out_port = (uint16_t)port;
	return NFO_R_OFFLOADED;
}

enum nfo_reason path_find(const struct path_view *v, int ifindex, struct path *path)
{
	struct nfo_vlan vlan[NFO_MAX_VLANS]; // innermost first
	enum nfo_reason reason;
	int n = 0;

	*path = (struct path){.dev = v->link(v->arg, ifindex)};
	if (path->dev == NULL)
		return NFO_R_NOT_PORT;
	path->base = path->dev;
	reason = descend(v, &path->base, vlan, &n);
	if (reason != NFO_R_OFFLOADED)
		return reason;
	if (path->base == NULL)
		return NFO_R_NOT_PORT;
	for (int i = 0; i < n; i++)
		path->vlan[i] = vlan[n - 1 - i];
	return find_base(v, path);
}

int path_out_port(const struct path_view *v, const struct path *path, uint32_t hash)
{
	int port[NFO_MAX_PORTS];
	unsigned int n = 0;

	if (!path->spread)
		return path->out_port;
	for (const struct rtnl_link *l = v->next_link(v->arg, 0); l != NULL;
		l = v->next_link(v->arg, l->ifindex)) {
		if (l->master != path->base->ifindex || !l->slave_active)
			continue;
		if (n == NFO_MAX_PORTS || (port[n] = slave_port(v, l->ifindex)) < 0)
			return -1;
		n++;
	}
	return n != 0 ? port[hash % n] : -1;
}
