// SPDX-License-Identifier: GPL-2.0-or-later
// resolve.c as a pure function: a small network of its own in place of the kernel's state.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
// clang-format on

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/rtnetlink.h>

#include "resolve.h"

enum { LAN = 1, WAN = 2, OTHER = 3 };

static struct {
	struct rtnl_link link[4];
	struct rtnl_neigh neigh[3]; // by interface; their gateways
	struct rtnl_route to_server, to_client;
	int route_error;
	bool policy;
	bool ipsec;
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
	return 0;
}

static int route(void *arg, const struct rtnl_route_key *key, struct rtnl_route *r)
{
	(void)arg;
	assert_true(net.queries < 8);
	net.key[net.queries++] = *key;
	if (net.route_error != 0)
		return net.route_error;
	*r = key->dst.v4_be == ip("10.0.1.2") ? net.to_client : net.to_server;
	return 0;
}

static const struct rtnl_link *link_by_index(void *arg, int ifindex)
{
	(void)arg;
	return ifindex > 0 && ifindex < 4 ? &net.link[ifindex] : NULL;
}

static const struct rtnl_neigh *neigh(
	void *arg, int ifindex, uint8_t family, const union nfo_addr *addr)
{
	const struct rtnl_route *r = ifindex == LAN ? &net.to_client : &net.to_server;

	(void)arg;
	assert_int_equal(family, r->gateway_family != 0 ? r->gateway_family : NFO_IPV4);
	assert_memory_equal(addr, &r->gateway, sizeof(*addr));
	return net.neigh[ifindex].valid ? &net.neigh[ifindex] : NULL;
}

static bool policy_rules(void *arg, uint8_t family)
{
	(void)arg;
	return family == NFO_IPV4 && net.policy;
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

static bool flowtable(void *arg, const struct ct_conn *conn, const char *a, const char *b)
{
	(void)arg;
	(void)conn;
	assert_string_equal(a, "lan");
	assert_string_equal(b, "wan");
	return net.flowtable;
}

static const struct resolve_view view = {
	.route = route,
	.link = link_by_index,
	.neigh = neigh,
	.policy_rules = policy_rules,
	.ipsec = ipsec,
	.port = port,
	.flowtable = flowtable,
};

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

static void assert_tuple(const struct nfo_tuple *got, struct nfo_tuple expected)
{
	assert_memory_equal(&got->src, &expected.src, sizeof(got->src));
	assert_memory_equal(&got->dst, &expected.dst, sizeof(got->dst));
	assert_int_equal(got->sport_be, expected.sport_be);
	assert_int_equal(got->dport_be, expected.dport_be);
	assert_int_equal(got->family, expected.family);
	assert_int_equal(got->proto, expected.proto);
}

static void test_both_directions(void **state)
{
	const struct ct_conn conn = twice_nat();
	struct nfo_flow dir[2];

	(void)state;
	net.link[LAN].mtu = 9000;
	assert_int_equal(resolve(&view, &conn, dir), NFO_R_OFFLOADED);
	assert_tuple(&dir[0].match, conn.orig);
	assert_tuple(&dir[0].out, tuple("10.0.2.1", 1024, "10.9.9.9", 8080));
	assert_tuple(&dir[1].match, conn.reply);
	assert_tuple(&dir[1].out, tuple("198.51.100.1", 80, "10.0.1.2", 40000));
	assert_int_equal(dir[0].in_port, 0);
	assert_int_equal(dir[0].out_port, 1);
	assert_int_equal(dir[1].in_port, 1);
	assert_int_equal(dir[1].out_port, 0);
	assert_int_equal(dir[0].mtu, 1500);
	assert_int_equal(dir[1].mtu, 9000);
	assert_memory_equal(dir[0].eth_dst, net.neigh[WAN].mac, 6);
	assert_memory_equal(dir[0].eth_src, net.link[WAN].mac, 6);
	assert_memory_equal(dir[1].eth_dst, net.neigh[LAN].mac, 6);
	assert_memory_equal(dir[1].eth_src, net.link[LAN].mac, 6);
}

// The kernel is asked as forwarded packets ask it: after DNAT and before SNAT, by the ingress
// interface.
static void test_route_keys(void **state)
{
	const struct ct_conn conn = twice_nat();
	struct nfo_flow dir[2];

	(void)state;
	assert_int_equal(resolve(&view, &conn, dir), NFO_R_OFFLOADED);
	assert_int_equal(net.queries, 3);
	assert_int_equal(net.key[0].iif, 0);
	assert_int_equal(net.key[0].dst.v4_be, ip("10.0.1.2"));
	assert_int_equal(net.key[1].iif, LAN);
	assert_int_equal(net.key[1].src.v4_be, ip("10.0.1.2"));
	assert_int_equal(net.key[1].dst.v4_be, ip("10.9.9.9"));
	assert_int_equal(net.key[1].sport_be, htons(40000));
	assert_int_equal(net.key[1].dport_be, htons(8080));
	assert_int_equal(net.key[2].iif, WAN);
	assert_int_equal(net.key[2].src.v4_be, ip("10.9.9.9"));
	assert_int_equal(net.key[2].dst.v4_be, ip("10.0.1.2"));
	assert_int_equal(net.key[2].sport_be, htons(8080));
	assert_int_equal(net.key[2].dport_be, htons(40000));
}

static void test_route_mtu(void **state)
{
	const struct ct_conn conn = twice_nat();
	struct nfo_flow dir[2];

	(void)state;
	net.to_server.mtu = 1400;
	net.to_client.mtu = 9999; // more than the link carries
	assert_int_equal(resolve(&view, &conn, dir), NFO_R_OFFLOADED);
	assert_int_equal(dir[0].mtu, 1400);
	assert_int_equal(dir[1].mtu, 1500);
}

static void test_ipv6_gateway(void **state)
{
	const struct ct_conn conn = twice_nat();
	struct nfo_flow dir[2];

	(void)state;
	net.to_server.gateway_family = NFO_IPV6;
	memset(&net.to_server.gateway, 0xfe, 16);
	assert_int_equal(resolve(&view, &conn, dir), NFO_R_OFFLOADED);
}

static struct ct_conn conn_under_test;

static void c_ipv6(void)
{
	conn_under_test.orig.family = NFO_IPV6;
}
static void c_icmp(void)
{
	conn_under_test.orig.proto = 1;
}
static void c_closing(void)
{
	conn_under_test.tcp_state = TCP_CONNTRACK_FIN_WAIT;
}
static void c_syn(void)
{
	conn_under_test.tcp_state = TCP_CONNTRACK_SYN_RECV;
	conn_under_test.status &= ~(uint32_t)IPS_OFFLOAD;
}
static void c_syn_taken_by_kernel(void)
{
	conn_under_test.tcp_state = TCP_CONNTRACK_SYN_RECV;
}
static void c_helper(void)
{
	conn_under_test.has_helper = true;
}
static void c_seq(void)
{
	conn_under_test.status |= IPS_SEQ_ADJUST;
}
static void c_clash(void)
{
	conn_under_test.status |= IPS_UNTRACKED;
}
static void n_policy(void)
{
	net.policy = true;
}
static void n_ipsec(void)
{
	net.ipsec = true;
}
static void n_unreachable(void)
{
	net.route_error = -ENETUNREACH;
}
static void n_local(void)
{
	net.to_server.type = RTN_LOCAL;
}
static void n_blackhole_back(void)
{
	net.to_client.type = RTN_BLACKHOLE;
}
static void n_not_port(void)
{
	net.to_server.oif = OTHER;
}
static void n_no_link(void)
{
	net.to_server.oif = 17;
}
static void n_enslaved(void)
{
	net.link[WAN].master = 5;
}
static void n_down(void)
{
	net.link[WAN].up = false;
}
static void n_no_carrier(void)
{
	net.link[LAN].carrier = false;
}
static void n_flowtable(void)
{
	net.flowtable = false;
}
static void n_neigh_out(void)
{
	net.neigh[WAN].valid = false;
}
static void n_neigh_back(void)
{
	net.neigh[LAN].valid = false;
}

static void test_reasons(void **state)
{
	static const struct {
		void (*spoil)(void);
		enum nfo_reason expected;
	} rows[] = {
		{c_ipv6, NFO_R_PROTOCOL},
		{c_icmp, NFO_R_PROTOCOL},
		{c_closing, NFO_R_NOT_ESTABLISHED},
		{c_syn, NFO_R_NOT_ESTABLISHED},
		{c_syn_taken_by_kernel, NFO_R_OFFLOADED},
		{c_helper, NFO_R_HELPER},
		{c_seq, NFO_R_SEQ_ADJUST},
		{c_clash, NFO_R_NAT_CLASH},
		{n_policy, NFO_R_POLICY_RULE},
		{n_ipsec, NFO_R_IPSEC},
		{n_unreachable, NFO_R_NO_ROUTE},
		{n_local, NFO_R_NO_ROUTE},
		{n_blackhole_back, NFO_R_NO_ROUTE},
		{n_not_port, NFO_R_NOT_PORT},
		{n_no_link, NFO_R_NOT_PORT},
		{n_enslaved, NFO_R_ENSLAVED},
		{n_down, NFO_R_LINK_DOWN},
		{n_no_carrier, NFO_R_LINK_DOWN},
		{n_flowtable, NFO_R_NO_FLOWTABLE},
		{n_neigh_out, NFO_R_NO_NEIGHBOUR},
		{n_neigh_back, NFO_R_NO_NEIGHBOUR},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct nfo_flow dir[2];
		enum nfo_reason got;

		set_up(state);
		conn_under_test = twice_nat();
		rows[i].spoil();
		got = resolve(&view, &conn_under_test, dir);
		if (got != rows[i].expected)
			fail_msg("row %zu: %s, expected %s", i, nfo_reason_word(got),
				nfo_reason_word(rows[i].expected));
	}
}

// Replies leave by another interface than the originals come in by: seen from iif WAN the route to
// the client leads elsewhere.
static int route_asymmetric(void *arg, const struct rtnl_route_key *key, struct rtnl_route *r)
{
	(void)arg;
	*r = key->dst.v4_be == ip("10.0.1.2") ? net.to_client : net.to_server;
	if (key->dst.v4_be == ip("10.0.1.2"))
		r->oif = net.queries++ % 2 == 0 ? LAN : OTHER;
	return 0;
}

static void test_asymmetric(void **state)
{
	struct resolve_view v = view;
	const struct ct_conn conn = twice_nat();
	struct nfo_flow dir[2];

	(void)state;
	v.route = route_asymmetric;
	assert_int_equal(resolve(&v, &conn, dir), NFO_R_ASYMMETRIC);
}

// The first guess of the ingress is wrong, the second confirms itself.
static int route_second_guess(void *arg, const struct rtnl_route_key *key, struct rtnl_route *r)
{
	(void)arg;
	*r = key->dst.v4_be == ip("10.0.1.2") ? net.to_client : net.to_server;
	if (key->dst.v4_be == ip("10.0.1.2") && key->iif == 0)
		r->oif = OTHER;
	return 0;
}

static void test_second_guess(void **state)
{
	struct resolve_view v = view;
	const struct ct_conn conn = twice_nat();
	struct nfo_flow dir[2];

	(void)state;
	v.route = route_second_guess;
	assert_int_equal(resolve(&v, &conn, dir), NFO_R_OFFLOADED);
	assert_int_equal(dir[0].in_port, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_both_directions, set_up),
		cmocka_unit_test_setup(test_route_keys, set_up),
		cmocka_unit_test_setup(test_route_mtu, set_up),
		cmocka_unit_test_setup(test_ipv6_gateway, set_up),
		cmocka_unit_test_setup(test_reasons, set_up),
		cmocka_unit_test_setup(test_asymmetric, set_up),
		cmocka_unit_test_setup(test_second_guess, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
