// SPDX-License-Identifier: GPL-2.0-or-later
// From a connection to the two flows that forward it, or the reason why there are none. A pure
// function of the connection and what 'view' answers: the kernel's state in the daemon, anything a
// test likes otherwise.
#pragma once

#include <stdbool.h>

#include "ct.h"
#include "flow.h"
#include "path.h"
#include "rtnl.h"

struct resolve_view {
	struct path_view path;
	int (*route)(void *arg, const struct rtnl_route_key *key, struct rtnl_route *route);
	// 1 if the packet of 'key' may take another next hop than route() tells, 0, or an errno.
	int (*multipath)(void *arg, const struct rtnl_route_key *key);
	const struct rtnl_neigh *(*neigh)(
		void *arg, int ifindex, uint8_t family, const union nfo_addr *addr);
	const struct rtnl_rules *(*rules)(void *arg, uint8_t family);
	// True if rules give connections' marks back to packets.
	bool (*marks_restored)(void *arg);
	bool (*ipsec)(void *arg); // true if an IPsec policy may apply
	// True if one flowtable that may hold 'conn' lists both (which may be the same).
	bool (*flowtable)(void *arg, const struct ct_conn *conn, int ifindex_a, int ifindex_b);
	void *arg;
};

struct resolved {
	struct nfo_flow dir[2]; // padding is zero: they are compared as bytes
	int dev[2];             // ifindex of the original direction's ingress and egress
	uint32_t answer[2];     // route.answer of each direction, that of route()
};

// Fills 'out' and returns NFO_R_OFFLOADED, or leaves it undefined but for 'dev' and 'answer', which are
// 0 if it did not come to choose routes.
enum nfo_reason resolve(
	const struct resolve_view *view, const struct ct_conn *conn, struct resolved *out);

// The tests that need nothing but the conntrack entry; what nft_flow_offload_eval() refuses
// (net/netfilter/nft_flow_offload.c), the mirror refuses too.
enum nfo_reason resolve_admissible(const struct ct_conn *conn);

// Parts of resolve(), for those who explain its outcome (why.h).
// The routes that it takes, or a reason: dir[0] is the one of the original direction. With a reason,
// what was found at last; 'oif' is 0 where no route was.
enum nfo_reason resolve_routes(
	const struct resolve_view *view, const struct ct_conn *conn, struct rtnl_route dir[2]);
// The next hop of direction 'd' by 'route': NULL if it is unknown, or not 'valid'.
const struct rtnl_neigh *resolve_next_hop(const struct resolve_view *view,
	const struct ct_conn *conn, int d, const struct rtnl_route *route);
