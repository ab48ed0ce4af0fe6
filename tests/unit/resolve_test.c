// SPDX-License-Identifier: GPL-2.0-or-later
// resolve.c as a pure function: routes, reasons, what leaves.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
// clang-format on

#include "resolve_net.h"

static void assert_tuple(const struct nfo_tuple *is, struct nfo_tuple expected)
{
	assert_memory_equal(&is->src, &expected.src, sizeof(is->src));
	assert_memory_equal(&is->dst, &expected.dst, sizeof(is->dst));
	assert_int_equal(is->sport_be, expected.sport_be);
	assert_int_equal(is->dport_be, expected.dport_be);
	assert_int_equal(is->family, expected.family);
	assert_int_equal(is->proto, expected.proto);
}

static void test_both_directions(void **state)
{
	const struct ct_conn conn = twice_nat();

	(void)state;
	net.link[LAN].mtu = 9000;
	assert_int_equal(resolved(&conn), NFO_R_OFFLOADED);
	assert_tuple(&got.dir[0].match, conn.orig);
	assert_tuple(&got.dir[0].out, tuple("10.0.2.1", 1024, "10.9.9.9", 8080));
	assert_tuple(&got.dir[1].match, conn.reply);
	assert_tuple(&got.dir[1].out, tuple("198.51.100.1", 80, "10.0.1.2", 40000));
	assert_int_equal(got.dir[0].in_port, 0);
	assert_int_equal(got.dir[0].out_port, 1);
	assert_int_equal(got.dir[1].in_port, 1);
	assert_int_equal(got.dir[1].out_port, 0);
	assert_int_equal(got.dir[0].mtu, 1500);
	assert_int_equal(got.dir[1].mtu, 9000);
	assert_memory_equal(got.dir[0].eth_dst, net.neigh[WAN].mac, 6);
	assert_memory_equal(got.dir[0].eth_src, net.link[WAN].mac, 6);
	assert_memory_equal(got.dir[1].eth_dst, net.neigh[LAN].mac, 6);
	assert_memory_equal(got.dir[1].eth_src, net.link[LAN].mac, 6);
}

// The kernel is asked as forwarded packets ask it: after DNAT and before SNAT, by the ingress
// interface.
static void test_route_keys(void **state)
{
	const struct ct_conn conn = twice_nat();

	(void)state;
	assert_int_equal(resolved(&conn), NFO_R_OFFLOADED);
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

	(void)state;
	net.to_server.mtu = 1400;
	net.to_client.mtu = 9999; // more than the link carries
	assert_int_equal(resolved(&conn), NFO_R_OFFLOADED);
	assert_int_equal(got.dir[0].mtu, 1400);
	assert_int_equal(got.dir[1].mtu, 1500);
}

static void test_ipv6_gateway(void **state)
{
	const struct ct_conn conn = twice_nat();

	(void)state;
	net.to_server.gateway_family = NFO_IPV6;
	memset(&net.to_server.gateway, 0xfe, 16);
	assert_int_equal(resolved(&conn), NFO_R_OFFLOADED);
}

static struct ct_conn conn_under_test;

static void c_gre_nat(void)
{
	conn_under_test.orig.proto = conn_under_test.reply.proto = NFO_GRE;
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
static void n_tos_rule(void)
{
	net.rules.other = true;
}
static void n_mark_elsewhere(void)
{
	net.rules = (struct rtnl_rules){.n_marks = 1, .mark = {7}, .mask = {0xff}};
	net.marked.oif = OTHER;
}
static void n_multipath(void)
{
	net.multipath = 1;
}
static void n_encap(void)
{
	net.to_server.encap = true;
}
static void n_hooked(void)
{
	net.hooked = "lan";
}
static void n_bridged(void)
{
	make_link(5, "br0");
	strcpy(net.link[5].kind, "bridge");
	net.link[WAN].master = 5;
}
static void n_bridge(void)
{
	make_link(TOP, "br0");
	strcpy(net.link[TOP].kind, "bridge");
	net.to_server.oif = TOP;
}
static void n_ppp(void)
{
	make_link(TOP, "ppp0");
	strcpy(net.link[TOP].kind, "ppp");
	net.to_server.oif = TOP;
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
		{c_gre_nat, NFO_R_PROTOCOL},
		{c_icmp, NFO_R_PROTOCOL},
		{c_closing, NFO_R_NOT_ESTABLISHED},
		{c_syn, NFO_R_NOT_ESTABLISHED},
		{c_syn_taken_by_kernel, NFO_R_OFFLOADED},
		{c_helper, NFO_R_HELPER},
		{c_seq, NFO_R_SEQ_ADJUST},
		{c_clash, NFO_R_NAT_CLASH},
		{n_tos_rule, NFO_R_POLICY_RULE},
		{n_mark_elsewhere, NFO_R_POLICY_RULE},
		{n_multipath, NFO_R_AMBIGUOUS},
		{n_encap, NFO_R_ROUTE_ENCAP},
		{n_hooked, NFO_R_NETDEV_HOOK},
		{n_bridged, NFO_R_BRIDGE},
		{n_bridge, NFO_R_BRIDGE},
		{n_ppp, NFO_R_PPPOE},
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
			enum nfo_reason reason;

		set_up(state);
		conn_under_test = twice_nat();
		rows[i].spoil();
		reason = resolved(&conn_under_test);
		if (reason != rows[i].expected)
			fail_msg("row %zu: %s, expected %s", i, nfo_reason_word(reason),
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

	(void)state;
	v.route = route_asymmetric;
	assert_int_equal(resolve(&v, &conn, &got), NFO_R_ASYMMETRIC);
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

	(void)state;
	v.route = route_second_guess;
	assert_int_equal(resolve(&v, &conn, &got), NFO_R_OFFLOADED);
	assert_int_equal(got.dir[0].in_port, 0);
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
