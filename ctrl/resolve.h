// SPDX-License-Identifier: GPL-2.0-or-later
// From a connection to the two flows that forward it, or the reason why there are none. A pure
// function of the connection and what 'view' answers: the kernel's state in the daemon, anything a
// test likes otherwise.
#pragma once

#include <stdbool.h>

#include "ct.h"
#include "flow.h"
#include "rtnl.h"

struct resolve_view {
	int (*route)(void *arg, const struct rtnl_route_key *key, struct rtnl_route *route);
	const struct rtnl_link *(*link)(void *arg, int ifindex);
	const struct rtnl_neigh *(*neigh)(
		void *arg, int ifindex, uint8_t family, const union nfo_addr *addr);
	// True if a rule looks at what a route query does not know of.
	bool (*policy_rules)(void *arg, uint8_t family);
	bool (*ipsec)(void *arg);                   // true if an IPsec policy may apply
	int (*port)(void *arg, const char *ifname); // its index or -1
	// True if one flowtable for 'family' lists both (which may be the same).
	bool (*flowtable)(void *arg, const struct ct_conn *conn, const char *a, const char *b);
	void *arg;
};

// Fills both directions and returns NFO_R_OFFLOADED, or leaves them undefined.
enum nfo_reason resolve(
	const struct resolve_view *view, const struct ct_conn *conn, struct nfo_flow dir[2]);

// The tests that need nothing but the conntrack entry; what nft_flow_offload_eval() refuses
// (net/netfilter/nft_flow_offload.c), the mirror refuses too.
enum nfo_reason resolve_admissible(const struct ct_conn *conn);
