// SPDX-License-Identifier: GPL-2.0-or-later
// What the mirror does about connections whose routes, neighbours, links or flowtables change
// (mirror_hands.h).
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
// clang-format on

#include "mirror_hands.h"

// The ruleset was loaded anew, with a flowtable like the old one: what was accepted by the old
// rules waits for the new ones.
static void test_reload(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	tell(CT_EVENT_UPDATE, &c);
	k.epoch++;
	k.nft_changed(k.mirror);
	assert_int_equal(k.n_flows, 0);
	assert_int_equal(the_flow().reason, NFO_R_WAITING);
	pass_ms(50);
	assert_int_equal(k.n_flows, 0);
	tell(CT_EVENT_UPDATE, &c); // on its way before the reload
	assert_int_equal(k.n_flows, 0);
	for (int i = 0; i < 4; i++)
		dump_with(&c); // the kernel has accepted it again
	assert_int_equal(k.n_flows, 2);
}

// A route that moves to another interface may meet other rules; one that stays there does not.
static void test_route_moves(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	tell(CT_EVENT_UPDATE, &c);
	k.wan = WAN2;
	tell_route("10.0.2.0", 24);
	pass_ms(20);
	assert_int_equal(k.n_flows, 0);
	assert_int_equal(the_flow().reason, NFO_R_WAITING);
	for (int i = 0; i < 4; i++)
		dump_with(&c);
	assert_int_equal(k.n_flows, 2);
	assert_int_equal(k.flow[0].out_port, 2);
}

// Nothing is done to flows that a change is not about, nor to those that it does not move.
static void test_untouched(void **state)
{
	struct ct_conn c = tcp(1);
	unsigned int queries;

	(void)state;
	tell(CT_EVENT_UPDATE, &c);
	queries = k.queries;
	tell_route("10.0.3.0", 24);
	tell_route("10.0.2.0", 31); // 10.0.2.2 is beside it
	tell_link(WAN2);
	pass_ms(50);
	assert_int_equal(k.queries, queries);
	tell_route("10.0.2.2", 31);
	pass_ms(50);
	assert_int_equal(k.queries, queries + 1);
	tell_routes();
	pass_ms(50);
	assert_in_range(k.queries, queries + 3, queries + 4);
	tell_link(WAN);
	pass_ms(50);
	assert_int_equal(k.n_flows, 2);
	assert_int_equal(k.replaced, 0);
}

// One query serves all connections to a destination.
static void test_shared_answer(void **state)
{
	struct ct_conn c = tcp(1);
	unsigned int queries;

	(void)state;
	tell(CT_EVENT_UPDATE, &c);
	queries = k.queries;
	c = tcp(2);
	tell(CT_EVENT_UPDATE, &c);
	assert_int_equal(k.n_flows, 4);
	assert_int_equal(k.queries, queries);
	// where the source matters, or ports do, it does not
	k.rules.src = k.rules.l4 = true;
	tell_rules();
	pass_ms(50);
	assert_in_range(k.queries, queries + 4, queries + 6);
	assert_int_equal(k.n_flows, 4);
	assert_int_equal(k.replaced, 0);
}

// A path that stays, but for its MTU: replaced in place, and held in between.
static void test_mtu_changes(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	tell(CT_EVENT_UPDATE, &c);
	k.link[WAN].mtu = 1400;
	tell_link(WAN);
	pass_ms(20);
	assert_int_equal(k.n_flows, 2);
	assert_int_equal(k.holds, 2);
	assert_int_equal(k.flow[0].mtu, 1400);
	assert_int_equal(k.flow[1].mtu, 1500);
	assert_false(k.held[0] || k.held[1]);
}

static void test_flowtable_goes(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	tell(CT_EVENT_UPDATE, &c);
	k.fts.n = 0;
	k.nft_changed(k.mirror);
	assert_int_equal(k.n_flows, 0); // at once, not by and by
	assert_int_equal(the_flow().reason, NFO_R_NO_FLOWTABLE);
	k.fts.n = 1;
	k.nft_changed(k.mirror);
	pass_ms(20);
	assert_int_equal(k.n_flows, 0); // the kernel has let go of it
	for (int i = 0; i < 4; i++)
		dump_with(&c);
	assert_int_equal(k.n_flows, 2);
	k.ft.n_devices = 1; // a device leaves it
	k.nft_changed(k.mirror);
	assert_int_equal(k.n_flows, 0);
	k.ft.n_devices = 3;
	k.ft.family = NFPROTO_IPV6;
	k.nft_changed(k.mirror);
	pass_ms(20);
	assert_int_equal(k.n_flows, 0);
}

static void test_neighbour(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	k.neigh[WAN].valid = false;
	tell(CT_EVENT_UPDATE, &c);
	assert_int_equal(the_flow().reason, NFO_R_NO_NEIGHBOUR);
	k.neigh[WAN].valid = true;
	tell_neigh(WAN);
	pass_ms(20);
	assert_int_equal(k.n_flows, 2);
	k.neigh[WAN].mac[5] = 99; // fails over
	tell_neigh(WAN);
	assert_int_equal(k.flow[0].eth_dst[5], 99); // at once
	assert_int_equal(k.flow[1].eth_dst[5], LAN);
	pass_ms(20);
	assert_int_equal(k.replaced + k.holds, 0); // and no flow is touched
	assert_int_equal(the_flow().dir[0].eth_dst[5], 99);
	k.neigh[LAN].valid = false;
	tell_neigh(LAN);
	pass_ms(20);
	assert_int_equal(k.n_flows, 0);
}

static void test_route_goes(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	tell(CT_EVENT_UPDATE, &c);
	k.route_error = -ENETUNREACH;
	tell_route("0.0.0.0", 0);
	pass_ms(20);
	assert_int_equal(k.n_flows, 0);
	assert_int_equal(the_flow().reason, NFO_R_NO_ROUTE);
}

// A rule that leads packets of a mark elsewhere: which mark its packets have, nobody tells.
static void test_rule_by_mark(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	tell(CT_EVENT_UPDATE, &c);
	k.rules.n_marks = 1;
	k.rules.mark[0] = 1;
	k.rules.mask[0] = 0xff;
	tell_rules();
	assert_int_equal(k.holds, 2); // at once
	pass_ms(20);
	assert_int_equal(k.n_flows, 0);
	assert_int_equal(the_flow().reason, NFO_R_POLICY_RULE);
}

static void test_ipsec_policy(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	tell(CT_EVENT_UPDATE, &c);
	k.ipsec = true;
	k.xfrm_changed(k.mirror);
	pass_ms(20);
	assert_int_equal(k.n_flows, 0);
	assert_int_equal(the_flow().reason, NFO_R_IPSEC);
}

// A chain or tc on a twin would see every packet: the flow leaves, and comes back with a new offer.
static void test_netdev_hook(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	tell(CT_EVENT_UPDATE, &c);
	k.hooked = "wan";
	k.hooks_changed(k.mirror);
	pass_ms(20);
	assert_int_equal(k.n_flows, 0);
	assert_int_equal(the_flow().reason, NFO_R_NETDEV_HOOK);
	k.hooked = NULL;
	k.hooks_changed(k.mirror);
	pass_ms(3000);
	dump_with(&c);
	assert_int_equal(k.n_flows, 2);
}

// The twins of both ports become active slaves of a bond, then one of them is on its own again.
static void test_bond_groups(void **state)
{
	(void)state;
	strcpy(k.link[WAN2].kind, "bond");
	k.link[LAN].master = k.link[WAN].master = WAN2;
	k.link[LAN].slave_active = k.link[WAN].slave_active = true;
	tell_link(LAN);
	assert_int_equal(k.group[0], NFO_MAX_PORTS);
	assert_int_equal(k.group[1], NFO_MAX_PORTS);
	k.link[LAN].slave_active = false;
	tell_link(LAN);
	assert_int_equal(k.group[0], 0);
	assert_int_equal(k.group[1], NFO_MAX_PORTS);
	k.link[WAN2].kind[0] = '\0'; // another interface has its number now
	tell_link(WAN2);
	assert_int_equal(k.group[1], 1);
}

static struct ct_conn marked(uint16_t sport, uint32_t mark)
{
	struct ct_conn c = tcp(sport);

	c.orig.proto = c.reply.proto = NFO_UDP;
	c.status &= ~(uint32_t)IPS_OFFLOAD;
	c.mark = mark;
	return c;
}

// Another mark: a flow that has it too goes on untouched, another leaves at once, and what has the new
// one only is asked for, even while a dump of the old one is under way.
static void test_configure_stand_in(void **state)
{
	struct mirror_conf conf = usual_conf(true);
	struct ct_conn stays = marked(1, 0x3000), goes = marked(2, 0x1000), comes = marked(3, 0x2000);
	unsigned int queries, dumps;

	(void)state;
	use_stand_in();
	tell(CT_EVENT_DUMP_END, NULL); // of the mirror before this one
	tell(CT_EVENT_UPDATE, &stays);
	tell(CT_EVENT_UPDATE, &goes);
	tell(CT_EVENT_UPDATE, &comes);
	assert_int_equal(k.n_flows, 4);
	queries = k.queries;
	dumps = k.dumps;
	assert_true(k.dumping);
	k.stand_in.mark_value = k.stand_in.mark_mask = 0x2000;
	mirror_configure(k.mirror, &conf, true);
	assert_int_equal(k.n_flows, 2);
	tell(CT_EVENT_DUMP_END, NULL);
	pass_ms(300);
	assert_int_equal(k.dumps, dumps + 1); // not by the timer, which would let a second pass
	assert_int_equal(k.filter.mark_value, 0x2000);
	assert_int_equal(k.queries, queries);
	tell(CT_EVENT_DUMP, &stays);
	tell(CT_EVENT_DUMP, &comes);
	tell(CT_EVENT_DUMP_END, NULL);
	assert_int_equal(k.n_flows, 4);
	assert_int_equal(k.holds, 0);
	assert_int_equal(k.replaced, 0);
	conf.n_stand_in = 0;
	mirror_configure(k.mirror, &conf, true);
	assert_int_equal(k.n_flows, 0);
}

static void test_configure_times(void **state)
{
	struct mirror_conf conf = usual_conf(false);
	struct ct_conn c = tcp(1);
	unsigned int dumps;

	(void)state;
	tell(CT_EVENT_DUMP_END, NULL);
	pass_ms(2000);
	tell(CT_EVENT_DUMP_END, NULL);
	conf.dump_interval_ms = 10000;
	conf.tcp_idle_s = 5;
	mirror_configure(k.mirror, &conf, false);
	tell(CT_EVENT_DUMP_END, NULL);
	tell(CT_EVENT_UPDATE, &c);
	dumps = k.dumps;
	pass_ms(9000);
	assert_int_equal(k.dumps, dumps);
	assert_int_equal(k.n_flows, 0); // idle
	assert_int_equal(the_flow().reason, NFO_R_IDLE);
	pass_ms(1100);
	assert_int_equal(k.dumps, dumps + 1);
}

static void test_overruns(void **state)
{
	struct mirror_stats stats;

	(void)state;
	k.overruns = 5;
	mirror_rtnl_changed(k.mirror, &(struct rtnl_event){.change = RTNL_LOST});
	mirror_stats(k.mirror, &stats);
	assert_int_equal(stats.rtnl_overruns, 1);
	assert_int_equal(stats.nft_overruns, 5);
	assert_int_equal(stats.xfrm_overruns, 6);
	assert_int_equal(stats.hooks_overruns, 7);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(reload),
		TEST(route_moves),
		TEST(untouched),
		TEST(shared_answer),
		TEST(mtu_changes),
		TEST(flowtable_goes),
		TEST(neighbour),
		TEST(route_goes),
		TEST(rule_by_mark),
		TEST(ipsec_policy),
		TEST(netdev_hook),
		TEST(bond_groups),
		TEST(configure_stand_in),
		TEST(configure_times),
		TEST(overruns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
