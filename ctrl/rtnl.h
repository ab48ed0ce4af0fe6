// SPDX-License-Identifier: GPL-2.0-or-later
// Links, neighbours, rules and routes by rtnetlink. Links and neighbours are mirrored (dump, then
// events, dump again after an overrun); a route is asked of the kernel each time, so that its
// decision is the kernel's own. Control thread only.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "flow.h"

struct loop;
struct nlmsghdr;
struct rtnl;

struct rtnl_link {
	int ifindex;
	int master; // ifindex of the bridge, bond or VRF it belongs to; 0: none
	uint32_t mtu;
	uint32_t mtu6; // of IPv6 (net.ipv6.conf.NAME.mtu); 0: not told
	uint8_t mac[NFO_ETH_ALEN];
	bool up;      // IFF_UP
	bool carrier; // IFLA_CARRIER
	char name[NFO_NAME_LEN];
	char kind[16]; // IFLA_INFO_KIND: tun, vlan, ...; "" for hardware
	// of kind vlan
	int lower; // ifindex of the interface below; 0 for every other kind
	struct nfo_vlan vlan;
	bool vlan_qos; // maps priorities to tags on egress
	// of kind bond
	uint8_t bond_mode; // BOND_MODE_* of linux/if_bonding.h
	int bond_active;   // ifindex of the active slave, 0 if the mode has none
	// of a bond's slave
	bool slave_active; // packets go in and out by it
};

struct rtnl_neigh {
	int ifindex;
	uint8_t family;
	union nfo_addr addr;
	uint8_t mac[NFO_ETH_ALEN];
	bool valid; // NUD_VALID and has a MAC address
};

struct rtnl_route_key {
	union nfo_addr src, dst;
	int iif; // ifindex; 0: as a local sender, 'src' is then ignored
	uint32_t mark;
	uint16_t sport_be, dport_be;
	uint8_t family;
	uint8_t proto;
	uint8_t tos;
};

struct rtnl_route {
	int oif;
	uint8_t type;           // RTN_UNICAST, RTN_LOCAL, ...
	bool encap;             // the route adds an encapsulation (MPLS, IP, SRv6...)
	bool multipath;         // one of several next hops; only of rtnl_route_multipath()
	uint8_t gateway_family; // 0: on-link, 'gateway' is then the destination
	union nfo_addr gateway;
	uint32_t mtu;    // RTAX_MTU, 0: the link's
	uint32_t answer; // routes.h; 0 elsewhere
};

// Do packets go the same way?
static inline bool rtnl_route_same(const struct rtnl_route *a, const struct rtnl_route *b)
{
	return a->oif == b->oif && a->type == b->type && a->encap == b->encap && a->mtu == b->mtu
	       && a->gateway_family == b->gateway_family
	       && memcmp(&a->gateway, &b->gateway, sizeof(a->gateway)) == 0;
}

// What one rule looks at besides addresses, ports and protocol, which a route query knows.
struct rtnl_rule {
	uint8_t family;
	uint32_t mark, mask; // mask 0: not at the mark
	bool iif;            // at the ingress interface, or its VRF
	bool src;            // at the source address
	bool l4;             // at protocol or ports
	bool other;          // at more than is known: TOS, DSCP, flow label, the absence of a mark
};

// All rules of a family.
enum { RTNL_MAX_MARKS = 16 };

struct rtnl_rules {
	bool iif, src, l4;
	bool other; // or more marks than fit
	unsigned int n_marks;
	uint32_t mark[RTNL_MAX_MARKS], mask[RTNL_MAX_MARKS];
};

// What routes of a family, in whatever table, depend on besides the destination. Once seen it stays.
struct rtnl_facts {
	bool multipath; // some have several next hops
	bool src;       // some are for some sources only
};

// The destinations of a route.
struct rtnl_prefix {
	union nfo_addr addr;
	uint8_t family;
	uint8_t bits;
};

enum rtnl_change {
	RTNL_LINK,   // a link is new, gone or changed
	RTNL_NEIGH,  // a neighbour is new, gone, or has another MAC address or validity; nothing is
		     // told of one that neither was nor is valid
	RTNL_ROUTE,  // a route is new, gone or changed
	RTNL_ROUTES, // any routes may have changed: next hops, addresses
	RTNL_RULES,  // rules changed: any routes, and what they are asked for
	RTNL_LOST,   // overrun: everything was read again
};

// One of the pointers is not NULL, or none. A link or neighbour is as it is now; one that is gone as
// it last was, with 'up' or 'valid' false.
struct rtnl_event {
	enum rtnl_change change;
	bool gone;
	const struct rtnl_link *link;
	const struct rtnl_neigh *neigh;
	const struct rtnl_prefix *prefix;
};

typedef void (*rtnl_changed_fn)(void *arg, const struct rtnl_event *event);

// Dumps links, neighbours and rules before it returns, and reads through the routes for rtnl_facts(); 'changed' is called for later changes only.
struct rtnl *rtnl_create(struct loop *loop, rtnl_changed_fn changed, void *arg);
void rtnl_destroy(struct rtnl *rtnl);

// Pointers are good until the loop runs again.
const struct rtnl_link *rtnl_link_by_index(const struct rtnl *rtnl, int ifindex);
const struct rtnl_link *rtnl_link_by_name(const struct rtnl *rtnl, const char *name);
const struct rtnl_neigh *rtnl_neigh_find(
	const struct rtnl *rtnl, int ifindex, uint8_t family, const union nfo_addr *addr);
// The link with the least ifindex above 'after', NULL at the end.
const struct rtnl_link *rtnl_link_next(const struct rtnl *rtnl, int after);
const struct rtnl_rules *rtnl_rules(const struct rtnl *rtnl, uint8_t family);
const struct rtnl_facts *rtnl_facts(const struct rtnl *rtnl, uint8_t family);

// RTM_GETROUTE, answered at once by the kernel. Returns 0 or a negative errno (-ENETUNREACH,
// -EHOSTUNREACH; -EXDEV or, by newer kernels, -EINVAL for a reverse path failure; ...).
int rtnl_route_get(struct rtnl *rtnl, const struct rtnl_route_key *key, struct rtnl_route *route);
// Does the entry of the routing table that answers 'key' have several next hops (RTM_F_FIB_MATCH)?
// 1, 0, or a negative errno.
int rtnl_route_multipath(struct rtnl *rtnl, const struct rtnl_route_key *key);

// Sets IFLA_CARRIER (a tap refuses, -EPERM, while nobody has it open), IFLA_MTU or IFLA_ADDRESS of
// a link; 0 or a negative errno.
int rtnl_link_set_carrier(struct rtnl *rtnl, int ifindex, bool on);
int rtnl_link_set_mtu(struct rtnl *rtnl, int ifindex, uint32_t mtu);
int rtnl_link_set_mac(struct rtnl *rtnl, int ifindex, const uint8_t mac[NFO_ETH_ALEN]);

// Decoders, pure: 0 or -EBADMSG.
int rtnl_decode_link(const struct nlmsghdr *nlh, struct rtnl_link *link);
int rtnl_decode_neigh(const struct nlmsghdr *nlh, struct rtnl_neigh *neigh);
int rtnl_decode_route(const struct nlmsghdr *nlh, struct rtnl_route *route);
// Of a route in a table; -EBADMSG too for what the kernel derived from one. 'facts' gets what it adds.
int rtnl_decode_prefix(
	const struct nlmsghdr *nlh, struct rtnl_prefix *prefix, struct rtnl_facts *facts);
int rtnl_decode_rule(const struct nlmsghdr *nlh, struct rtnl_rule *rule);
