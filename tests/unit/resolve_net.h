// SPDX-License-Identifier: GPL-2.0-or-later
// The network of resolve_test.c and path_test.c: twins 'lan' and 'wan', the kernel's state as plain
// memory. Include after cmocka.h.
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/rtnetlink.h>

#include "resolve.h"

enum { LAN = 1, WAN = 2, OTHER = 3, UPPER = 4, TOP = 5, LINKS = 8 };

static struct {
	struct rtnl_link link[LINKS];
	struct rtnl_neigh neigh[LINKS]; // by interface; their gateways
	struct rtnl_route to_server, to_client;
	struct rtnl_route marked; // to the server, with a mark
	int route_error;
	int multipath;
	struct rtnl_rules rules;
	const char *hooked;
	bool ipsec;
	bool marks_restored;
	bool flowtable;
	unsigned int queries;
	struct rtnl_route_key key[8];
} net;

static uint32_t ip(const char *text)
{
	uint32_t be = 0;

	inet_pton(AF_INET, text, &be);
	return be;
}

static void make_link(int i, const char *name)
{
	net.link[i] = (struct rtnl_link){.ifindex = i,
		.mtu = 1500,
		.up = true,
		.carrier = true,
		.mac = {2, 0, 0, 0, 0, (uint8_t)i}};
	strcpy(net.link[i].name, name);
	strcpy(net.link[i].kind, "tun");
}

static int set_up(void **state)
{
	(void)state;
	memset(&net, 0, sizeof(net));
	make_link(LAN, "lan");
	make_link(WAN, "wan");
	make_link(OTHER, "eth9");
	net.to_client = (struct rtnl_route){
		.oif = LAN, .type = RTN_UNICAST, .gateway.v4_be = ip("10.0.1.2")};
	net.to_server = (struct rtnl_route){.oif = WAN,
		.type = RTN_UNICAST,
		.gateway_family = NFO_IPV4,
		.gateway.v4_be = ip("10.0.2.254")};
	net.neigh[LAN] = (struct rtnl_neigh){.valid = true, .mac = {6, 0, 0, 0, 0, 1}};
	net.neigh[WAN] = (struct rtnl_neigh){.valid = true, .mac = {6, 0, 0, 0, 0, 2}};
	net.flowtable = true;
	net.marked = net.to_server;
	return 0;
}

static int route(void *arg, const struct rtnl_route_key *key, struct rtnl_route *r)
{
	(void)arg;
	net.key[net.queries++ % 8] = *key;
	if (net.route_error != 0)
		return net.route_error;
	if (key->dst.v4_be == ip("10.0.1.2"))
		*r = net.to_client;
	else
		*r = key->mark != 0 ? net.marked : net.to_server;
	return 0;
}

static int multipath(void *arg, const struct rtnl_route_key *key)
{
	(void)arg;
	assert_int_not_equal(key->iif, 0);
	return net.multipath;
}

static const struct rtnl_link *link_by_index(void *arg, int ifindex)
{
	(void)arg;
	return ifindex > 0 && ifindex < LINKS && net.link[ifindex].ifindex != 0
		       ? &net.link[ifindex]
		       : NULL;
}

static const struct rtnl_link *next_link(void *arg, int after)
{
	for (int i = after + 1; i < LINKS; i++)
		if (link_by_index(arg, i) != NULL)
			return link_by_index(arg, i);
	return NULL;
}

static const struct rtnl_neigh *neigh(
	void *arg, int ifindex, uint8_t family, const union nfo_addr *addr)
{
	const struct rtnl_route *r =
		ifindex == net.to_client.oif ? &net.to_client : &net.to_server;

	(void)arg;
	assert_int_equal(family, r->gateway_family != 0 ? r->gateway_family : NFO_IPV4);
	assert_memory_equal(addr, &r->gateway, sizeof(*addr));
	return net.neigh[ifindex].valid ? &net.neigh[ifindex] : NULL;
}

static const struct rtnl_rules *rules(void *arg, uint8_t family)
{
	(void)arg;
	(void)family;
	return &net.rules;
}

static int group(void *arg, int ifindex)
{
	(void)arg;
	return ifindex == TOP ? NFO_MAX_PORTS : -1;
}

static bool hooked(void *arg, const char *ifname)
{
	(void)arg;
	return net.hooked != NULL && strcmp(net.hooked, ifname) == 0;
}

static bool marks_restored(void *arg)
{
	(void)arg;
	return net.marks_restored;
}

static bool ipsec(void *arg)
{
	(void)arg;
	return net.ipsec;
}

static int port(void *arg, const char *ifname)
{
	(void)arg;
	return strcmp(ifname, "lan") == 0 ? 0 : strcmp(ifname, "wan") == 0 ? 1 : -1;
}

static bool flowtable(void *arg, const struct ct_conn *conn, int a, int b)
{
	(void)arg;
	(void)conn;
	if (a != b) {
		assert_int_equal(a, net.to_client.oif);
		assert_int_equal(b, net.to_server.oif);
	}
	return net.flowtable;
}

static const struct resolve_view view = {
	.path =
		{
			.link = link_by_index,
			.next_link = next_link,
			.port = port,
			.group = group,
			.hooked = hooked,
		},
	.route = route,
	.multipath = multipath,
	.neigh = neigh,
	.rules = rules,
	.marks_restored = marks_restored,
	.ipsec = ipsec,
	.flowtable = flowtable,
};

static struct resolved got;

static enum nfo_reason resolved(const struct ct_conn *conn)
{
	memset(&got, 0xee, sizeof(got));
	return resolve(&view, conn, &got);
}

static struct nfo_tuple tuple(const char *src, uint16_t sport, const char *dst, uint16_t dport)
{
	struct nfo_tuple t = {.family = NFO_IPV4,
		.proto = NFO_TCP,
		.sport_be = htons(sport),
		.dport_be = htons(dport)};

	t.src.v4_be = ip(src);
	t.dst.v4_be = ip(dst);
	return t;
}

// A client behind masquerade to a service behind DNAT: every field differs.
static struct ct_conn twice_nat(void)
{
	return (struct ct_conn){
		.orig = tuple("10.0.1.2", 40000, "198.51.100.1", 80),
		.reply = tuple("10.9.9.9", 8080, "10.0.2.1", 1024),
		.status = IPS_CONFIRMED | IPS_ASSURED | IPS_OFFLOAD,
		.tcp_state = CT_TCP_STATE_ABSENT,
	};
}
