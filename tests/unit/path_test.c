// SPDX-License-Identifier: GPL-2.0-or-later
// path.c and resolve.c: VLANs, bonds, marks, rules, VRFs; what leads where.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
// clang-format on

#include "resolve_net.h"

static void make_vlan(int i, const char *name, int lower, uint16_t tpid, uint16_t vid)
{
	make_link(i, name);
	strcpy(net.link[i].kind, "vlan");
	net.link[i].lower = lower;
	net.link[i].vlan = (struct nfo_vlan){htons(tpid), vid};
	net.neigh[i] = net.neigh[WAN];
}

// wan.200.7, 802.1Q in 802.1ad: the tags outermost first, MAC and MTU of the interface on top.
static void test_qinq(void **state)
{
	const struct ct_conn conn = twice_nat();

	(void)state;
	make_vlan(UPPER, "wan.200", WAN, 0x88a8, 200);
	make_vlan(TOP, "wan.200.7", UPPER, 0x8100, 7);
	net.link[TOP].mtu = 1492;
	net.to_server.oif = net.marked.oif = TOP;
	assert_int_equal(resolved(&conn), NFO_R_OFFLOADED);
	assert_int_equal(got.dir[0].out_port, 1);
	assert_int_equal(got.dir[0].out_vlan[0].tpid_be, htons(0x88a8));
	assert_int_equal(got.dir[0].out_vlan[0].vid, 200);
	assert_int_equal(got.dir[0].out_vlan[1].vid, 7);
	assert_int_equal(got.dir[0].in_vlan[0].tpid_be, 0);
	assert_int_equal(got.dir[0].mtu, 1492);
	assert_memory_equal(got.dir[0].eth_src, net.link[TOP].mac, 6);
	assert_memory_equal(got.dir[1].in_vlan, got.dir[0].out_vlan, sizeof(got.dir[1].in_vlan));
	assert_int_equal(got.dev[0], LAN);
	assert_int_equal(got.dev[1], TOP);
	// and why not
	make_vlan(6, "wan.200.7.8", TOP, 0x8100, 8);
	net.to_server.oif = net.marked.oif = 6;
	assert_int_equal(resolved(&conn), NFO_R_VLAN_DEPTH);
	net.to_server.oif = net.marked.oif = TOP;
	net.link[UPPER].up = false;
	assert_int_equal(resolved(&conn), NFO_R_LINK_DOWN);
	net.link[UPPER].up = true;
	net.link[TOP].vlan_qos = true;
	assert_int_equal(resolved(&conn), NFO_R_VLAN_QOS);
	net.link[TOP].vlan_qos = false;
	net.hooked = "wan.200";
	assert_int_equal(resolved(&conn), NFO_R_NETDEV_HOOK);
	net.hooked = NULL;
	net.link[UPPER].lower = 7; // gone meanwhile
	assert_int_equal(resolved(&conn), NFO_R_NOT_PORT);
}

// A bond of the twins 'wan' and 'lan' towards the server, the client behind a VLAN of it.
static void make_bond(uint8_t mode)
{
	make_link(TOP, "bond0");
	strcpy(net.link[TOP].kind, "bond");
	net.link[TOP].bond_mode = mode;
	net.link[TOP].bond_active = WAN;
	net.link[WAN].master = net.link[LAN].master = TOP;
	net.link[WAN].slave_active = true;
	net.neigh[TOP] = net.neigh[WAN];
	make_vlan(UPPER, "bond0.9", TOP, 0x8100, 9);
	net.neigh[UPPER] = net.neigh[LAN];
	net.to_server.oif = net.marked.oif = TOP;
	net.to_client.oif = UPPER;
}

static void test_bond(void **state)
{
	const struct ct_conn conn = twice_nat();
	unsigned int by_lan = 0;

	(void)state;
	make_bond(1);
	assert_int_equal(resolved(&conn), NFO_R_OFFLOADED);
	assert_int_equal(got.dir[0].out_port, 1);
	assert_int_equal(got.dir[0].in_port, NFO_MAX_PORTS);
	assert_int_equal(got.dir[0].in_vlan[0].vid, 9);
	assert_int_equal(got.dir[1].out_port, 1);
	net.link[TOP].bond_active = LAN;
	assert_int_equal(resolved(&conn), NFO_R_OFFLOADED);
	assert_int_equal(got.dir[0].out_port, 0);
	net.link[TOP].bond_active = OTHER; // no twin
	assert_int_equal(resolved(&conn), NFO_R_NOT_PORT);
	net.link[TOP].bond_mode = 0; // round robin
	assert_int_equal(resolved(&conn), NFO_R_BOND_MODE);
	// 802.3ad: active slaves only, all of them, a flow by one
	make_bond(4);
	assert_int_equal(resolved(&conn), NFO_R_OFFLOADED);
	assert_int_equal(got.dir[0].out_port, 1);
	net.link[LAN].slave_active = true;
	for (uint16_t i = 0; i < 64; i++) {
		struct ct_conn c = conn;

		c.reply.dport_be = htons(1024 + i);
		net.queries = 0;
		assert_int_equal(resolved(&c), NFO_R_OFFLOADED);
		by_lan += got.dir[0].out_port == 0;
	}
	assert_in_range(by_lan, 16, 48);
	net.link[WAN].slave_active = net.link[LAN].slave_active = false;
	net.queries = 0;
	assert_int_equal(resolved(&conn), NFO_R_NOT_PORT);
}

// What a mark of conntrack leads to, and what happens without.
static void test_marks(void **state)
{
	struct ct_conn conn = twice_nat();

	(void)state;
	net.rules = (struct rtnl_rules){.n_marks = 1, .mark = {7}, .mask = {0xff}};
	net.marked.gateway.v4_be = ip("10.0.2.253");
	assert_int_equal(resolved(&conn), NFO_R_POLICY_RULE); // other routes with a mark
	net.marks_restored = true; // packets of a connection without mark have none
	net.queries = 0;
	assert_int_equal(resolved(&conn), NFO_R_OFFLOADED);
	assert_int_equal(net.key[1].mark, 0);
	net.marks_restored = false;
	net.queries = 0;
	net.to_server = net.marked; // for neigh()
	conn.mark = 0x107;
	assert_int_equal(resolved(&conn), NFO_R_OFFLOADED);
	assert_int_equal(net.key[0].mark, 0x107);
	assert_int_equal(net.key[net.queries - 1].mark, 0x107);
	net.queries = 0;
	conn.mark = 8; // no rule's; all marks lead to the same
	assert_int_equal(resolved(&conn), NFO_R_OFFLOADED);
	assert_int_equal(net.key[0].mark, 0);
}

// With rules that look at the ingress every interface of a flowtable is tried.
static int route_by_iif(void *arg, const struct rtnl_route_key *key, struct rtnl_route *r)
{
	(void)arg;
	assert_int_not_equal(key->iif, 0);
	net.queries++;
	if (key->iif == OTHER && net.queries > 100)
		return -ENETUNREACH;
	*r = key->dst.v4_be == ip("10.0.1.2") ? net.to_client : net.to_server;
	return 0;
}

static void test_all_ingresses(void **state)
{
	struct resolve_view v = view;
	const struct ct_conn conn = twice_nat();

	(void)state;
	v.route = route_by_iif;
	net.rules.iif = true;
	assert_int_equal(resolve(&v, &conn, &got), NFO_R_OFFLOADED);
	assert_int_equal(got.dev[0], LAN);
	assert_int_equal(got.dev[1], WAN);
	net.flowtable = false;
	assert_int_equal(resolve(&v, &conn, &got), NFO_R_NO_ROUTE);
}

// Two networks with the same addresses: nothing tells them apart.
static int route_twins(void *arg, const struct rtnl_route_key *key, struct rtnl_route *r)
{
	(void)arg;
	*r = key->dst.v4_be == ip("10.0.1.2") ? net.to_client : net.to_server;
	if (key->iif == OTHER)
		r->oif = UPPER;
	if (key->iif == UPPER)
		r->oif = OTHER;
	return 0;
}

static void test_ambiguous(void **state)
{
	struct resolve_view v = view;
	const struct ct_conn conn = twice_nat();

	(void)state;
	make_link(UPPER, "eth10");
	v.route = route_twins;
	net.rules.iif = true;
	assert_int_equal(resolve(&v, &conn, &got), NFO_R_AMBIGUOUS);
}

// The MTU of IPv6 may be less than the interface's.
static void test_mtu6(void **state)
{
	struct ct_conn conn = twice_nat();

	(void)state;
	net.link[WAN].mtu6 = 1400;
	assert_int_equal(resolved(&conn), NFO_R_OFFLOADED);
	assert_int_equal(got.dir[0].mtu, 1500);
	conn.orig.family = conn.reply.family = NFO_IPV6;
	net.to_client.gateway_family = net.to_server.gateway_family = NFO_IPV4; // for neigh()
	assert_int_equal(resolved(&conn), NFO_R_OFFLOADED);
	assert_int_equal(got.dir[0].mtu, 1400);
	assert_int_equal(got.dir[1].mtu, 1500);
}

static void test_gre(void **state)
{
	struct ct_conn conn = twice_nat();

	(void)state;
	conn.orig = tuple("10.0.1.2", 0, "10.9.9.9", 0);
	conn.reply = tuple("10.9.9.9", 0, "10.0.1.2", 0);
	conn.orig.proto = conn.reply.proto = NFO_GRE;
	assert_int_equal(resolved(&conn), NFO_R_OFFLOADED);
	conn.orig.sport_be = conn.reply.dport_be = htons(1); // the key of version 1
	assert_int_equal(resolved(&conn), NFO_R_PROTOCOL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_qinq, set_up),
		cmocka_unit_test_setup(test_bond, set_up),
		cmocka_unit_test_setup(test_marks, set_up),
		cmocka_unit_test_setup(test_all_ingresses, set_up),
		cmocka_unit_test_setup(test_ambiguous, set_up),
		cmocka_unit_test_setup(test_mtu6, set_up),
		cmocka_unit_test_setup(test_gre, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
