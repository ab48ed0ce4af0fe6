// SPDX-License-Identifier: GPL-2.0-or-later
// From the interface that a route names down to the dataplane's ports: VLAN interfaces, then a twin
// or a bond of twins. What the kernel finds by dev_fill_forward_path() (net/core/dev.c) and by the
// devices' own transmit functions. Pure: it looks at links only.
#pragma once

#include <stdbool.h>

#include "flow.h"
#include "rtnl.h"

// Where links and ports come from.
struct path_view {
	const struct rtnl_link *(*link)(void *arg, int ifindex);
	// The link with the least ifindex above 'after', NULL at the end.
	const struct rtnl_link *(*next_link)(void *arg, int after);
	int (*port)(void *arg, const char *ifname); // its index or -1
	int (*group)(void *arg, int ifindex);       // of a bond, or -1
	// True if something on this interface must see every packet (netdev chains, tc).
	bool (*hooked)(void *arg, const char *ifname);
	void *arg;
};

// A way in or out.
struct path {
	const struct rtnl_link *dev;  // what the route names: MAC address, MTU
	const struct rtnl_link *base; // the twin, or the bond
	struct nfo_vlan vlan[NFO_MAX_VLANS]; // outermost first
	uint16_t in_port;  // a port or a group
	bool spread;       // a bond that balances: path_out_port() chooses
	uint16_t out_port; // unless 'spread'
};

// Can the workers choose the port that a bond of this mode sends a packet by?
bool path_bond_mode(uint8_t mode);

// Fills 'path' and returns NFO_R_OFFLOADED, or the reason why packets by 'ifindex' are the kernel's.
enum nfo_reason path_find(const struct path_view *view, int ifindex, struct path *path);

// The port that a flow leaves by: 'out_port', or for a bond that balances by hash one of its active
// slaves, the same for the same 'hash'. -1 when none is active.
int path_out_port(const struct path_view *view, const struct path *path, uint32_t hash);
