// SPDX-License-Identifier: GPL-2.0-or-later
// The mirror's decisions, under a clock of the test's own: conntrack, nf_tables, rtnetlink and the
// dataplane are played by mirror_fakes.h; conn.c, resolve.c, loop.c and the mirror are real.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
// clang-format on

#include "mirror_fakes.h"

// --- the test's hands ---

static uint64_t clock_ns(void *arg)
{
	(void)arg;
	return k.now_ns;
}

static void pass_ms(unsigned int ms)
{
	for (unsigned int t = 0; t < ms; t += 10) {
		k.now_ns += 10000000;
		loop_run_once(k.loop, 0);
	}
}

static void create(bool stand_in)
{
	struct mirror_conf conf = {.max_connections = 8,
		.dump_interval_ms = 1000,
		.tcp_idle_s = 30,
		.udp_idle_s = 30,
		.n_ports = 3,
		.port = {"lan", "wan", "wan2"},
		.stand_in = &k.stand_in,
		.n_stand_in = stand_in};

	k.stand_in = (struct nft_flowtable){.family = NFPROTO_INET,
		.n_devices = 3,
		.devices = k.devices,
		.from_config = true,
		.mark_value = 0x1000,
		.mark_mask = 0x1000};
	k.mirror = mirror_create(k.loop, NULL, &conf);
	assert_non_null(k.mirror);
}

static int set_up(void **state)
{
	(void)state;
	memset(&k, 0, sizeof(k));
	k.now_ns = 1000 * S_NS;
	k.loop = loop_create();
	loop_set_clock(k.loop, clock_ns, NULL);
	strcpy(k.devices[0], "wan");
	strcpy(k.devices[1], "lan");
	strcpy(k.devices[2], "wan2");
	k.ft = (struct nft_flowtable){.family = NFPROTO_INET,
		.n_devices = 3,
		.devices = k.devices,
		.table = "filter",
		.name = "f"};
	k.fts = (struct nft_flowtables){.list = &k.ft, .n = 1};
	k.wan = WAN;
	for (int i = LAN; i <= WAN2; i++) {
		static const char *const names[] = {"", "lan", "wan", "wan2"};

		k.link[i] =
			(struct rtnl_link){.ifindex = i, .mtu = 1500, .up = true, .carrier = true};
		strcpy(k.link[i].name, names[i]);
		k.neigh[i] = (struct rtnl_neigh){.valid = true, .mac = {6, 0, 0, 0, 0, (uint8_t)i}};
	}
	create(false);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	mirror_destroy(k.mirror);
	assert_int_equal(k.n_flows, 0); // it takes its flows with it
	loop_destroy(k.loop);
	return 0;
}

static void use_stand_in(void)
{
	mirror_destroy(k.mirror);
	k.fts.n = 0;
	create(true);
}

static struct ct_conn tcp(uint16_t sport)
{
	struct ct_conn c = {
		.status = IPS_CONFIRMED | IPS_SEEN_REPLY | IPS_ASSURED | IPS_OFFLOAD,
		.tcp_state = TCP_CONNTRACK_ESTABLISHED,
		.id = 100u + sport,
	};

	c.orig = (struct nfo_tuple){.family = NFO_IPV4,
		.proto = NFO_TCP,
		.src.v4_be = inet_addr("10.0.1.2"),
		.dst.v4_be = inet_addr("10.0.2.2"),
		.sport_be = htons(sport),
		.dport_be = htons(80)};
	c.reply = (struct nfo_tuple){.family = NFO_IPV4,
		.proto = NFO_TCP,
		.src.v4_be = inet_addr("10.0.2.2"),
		.dst.v4_be = inet_addr("10.0.2.1"),
		.sport_be = htons(80),
		.dport_be = htons(sport)};
	return c;
}

static void tell(enum ct_event event, const struct ct_conn *c)
{
	if (event == CT_EVENT_DUMP_END)
		k.dumping = false;
	k.ct_event(k.ct_arg, event, c);
}

// The next round of dumps, with 'c' in it or nothing.
static void dump_with(const struct ct_conn *c)
{
	const unsigned int before = k.dumps;

	tell(CT_EVENT_DUMP_END, NULL); // of the one under way, if any
	pass_ms(1010);
	assert_int_equal(k.dumps, before + 1);
	if (c != NULL)
		tell(CT_EVENT_DUMP, c);
	tell(CT_EVENT_DUMP_END, NULL);
}

static struct mirror_flow the_flow(void)
{
	struct mirror_flow flow;

	for (uint32_t i = 0; i < mirror_slots(k.mirror); i++)
		if (mirror_get(k.mirror, i, &flow))
			return flow;
	fail_msg("no connection");
	return flow;
}

static uint32_t connections(void)
{
	struct mirror_stats stats;

	mirror_stats(k.mirror, &stats);
	return stats.connections;
}

static void traffic(void)
{
	for (int i = 0; i < FLOWS; i++)
		if (k.in[i]) {
			k.counters[i].packets++;
			k.counters[i].used_ns = k.now_ns;
		}
}

// --- the tests ---

static void test_offered_and_ended(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	c.status &= ~(uint32_t)IPS_OFFLOAD;
	tell(CT_EVENT_UPDATE, &c);
	assert_int_equal(connections(), 0); // the kernel has not accepted it
	c.status |= IPS_OFFLOAD;
	tell(CT_EVENT_UPDATE, &c);
	assert_int_equal(k.n_flows, 2);
	assert_int_equal(k.checks, 1);   // is it still there?
	assert_int_equal(k.liberals, 0); // the kernel has done so
	tell(CT_EVENT_UPDATE, &c);
	assert_int_equal(k.n_flows, 2);
	tell(CT_EVENT_DESTROY, &c);
	assert_int_equal(k.n_flows, 0);
	assert_int_equal(connections(), 0);
}

static void test_destroy_of_another(void **state)
{
	struct ct_conn c = tcp(1), older = tcp(1);

	(void)state;
	tell(CT_EVENT_UPDATE, &c);
	older.id = 5; // had the same tuple; its end comes late
	tell(CT_EVENT_DESTROY, &older);
	assert_int_equal(k.n_flows, 2);
	older.id = 500; // has the tuple now
	tell(CT_EVENT_UPDATE, &older);
	assert_int_equal(k.n_flows, 2);
	assert_int_equal(the_flow().conn.id, 500);
}

static void test_gone(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	tell(CT_EVENT_UPDATE, &c);
	k.ct_gone(k.ct_arg, &c.orig, 0);
	assert_int_equal(k.n_flows, 0);
	assert_int_equal(connections(), 0);
}

// The kernel's own entry starves and its bit clears; that is no end. Conntrack's states are.
static void test_bit_clears(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	tell(CT_EVENT_UPDATE, &c);
	c.status &= ~(uint32_t)IPS_OFFLOAD;
	c.tcp_state = CT_TCP_STATE_ABSENT;
	tell(CT_EVENT_UPDATE, &c);
	assert_int_equal(k.n_flows, 2);
	for (int i = 0; i < 20; i++) {
		traffic();
		dump_with(NULL);
	}
	assert_int_equal(k.n_flows, 2);
	c.tcp_state = TCP_CONNTRACK_FIN_WAIT;
	tell(CT_EVENT_UPDATE, &c);
	assert_int_equal(k.n_flows, 0);
}

static void test_late_insertion_by_dump(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	c.tcp_state = CT_TCP_STATE_ABSENT; // as dumps of offloaded entries are
	dump_with(&c);
	assert_int_equal(k.filter.status_value, IPS_OFFLOAD);
	assert_int_equal(k.filter.status_mask, IPS_OFFLOAD);
	assert_int_equal(k.n_flows, 2);
}

static void test_closing(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	tell(CT_EVENT_UPDATE, &c);
	k.event.cookie = k.cookie[0];
	k.n_events = 1;
	pass_ms(10);
	assert_int_equal(k.n_flows, 0);
	assert_int_equal(the_flow().reason, NFO_R_CLOSING);
	// what was on its way then does not bring it back
	tell(CT_EVENT_UPDATE, &c);
	dump_with(&c);
	assert_int_equal(k.n_flows, 0);
	// a forged RST: the kernel goes on offering it
	for (int i = 0; i < 4; i++)
		dump_with(&c);
	assert_int_equal(k.n_flows, 2);
}

static void test_closed_is_forgotten(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	tell(CT_EVENT_UPDATE, &c);
	k.event.cookie = k.cookie[0];
	k.n_events = 1;
	pass_ms(10);
	for (int i = 0; i < 6; i++)
		dump_with(NULL);
	assert_int_equal(connections(), 0);
}

static void test_idle(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	tell(CT_EVENT_UPDATE, &c);
	traffic();
	pass_ms(29000);
	assert_int_equal(k.n_flows, 2);
	pass_ms(13000);
	assert_int_equal(k.n_flows, 0);
}

// In use: it lives on, and the kernel sees a packet of each direction now and then. In use or not,
// so that it sees every packet of a flow that has few.
static void test_sampled(void **state)
{
	struct ct_conn c = tcp(1);
	unsigned int samples, checks;

	(void)state;
	tell(CT_EVENT_UPDATE, &c);
	for (int i = 0; i < 10; i++) {
		samples = k.samples;
		checks = k.checks;
		traffic();
		pass_ms(13000);
		assert_int_equal(k.n_flows, 2);
		assert_true(k.samples >= samples + 2);
		assert_true(k.checks > checks);
	}
	samples = k.samples;
	pass_ms(13000);
	assert_true(k.samples >= samples + 2);
}

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
	mirror_rtnl_changed(k.mirror, RTNL_ROUTE);
	pass_ms(20);
	assert_int_equal(k.n_flows, 0);
	assert_int_equal(the_flow().reason, NFO_R_WAITING);
	for (int i = 0; i < 4; i++)
		dump_with(&c);
	assert_int_equal(k.n_flows, 2);
	assert_int_equal(k.flow[0].out_port, 2);
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
	mirror_rtnl_changed(k.mirror, RTNL_NEIGH);
	pass_ms(20);
	assert_int_equal(k.n_flows, 2);
	k.neigh[WAN].mac[5] = 99; // fails over
	mirror_rtnl_changed(k.mirror, RTNL_NEIGH);
	pass_ms(20);
	assert_int_equal(k.flow[0].eth_dst[5], 99);
	assert_int_equal(k.flow[1].eth_dst[5], LAN);
	k.neigh[LAN].valid = false;
	mirror_rtnl_changed(k.mirror, RTNL_NEIGH);
	pass_ms(20);
	assert_int_equal(k.n_flows, 0);
}

static void test_route_goes(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	tell(CT_EVENT_UPDATE, &c);
	k.route_error = -ENETUNREACH;
	mirror_rtnl_changed(k.mirror, RTNL_ROUTE);
	pass_ms(20);
	assert_int_equal(k.n_flows, 0);
	assert_int_equal(the_flow().reason, NFO_R_NO_ROUTE);
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
	mirror_rtnl_changed(k.mirror, RTNL_LINK);
	assert_int_equal(k.group[0], NFO_MAX_PORTS);
	assert_int_equal(k.group[1], NFO_MAX_PORTS);
	k.link[LAN].slave_active = false;
	mirror_rtnl_changed(k.mirror, RTNL_LINK);
	assert_int_equal(k.group[0], 0);
	assert_int_equal(k.group[1], NFO_MAX_PORTS);
	k.link[WAN2].kind[0] = '\0'; // another interface has its number now
	mirror_rtnl_changed(k.mirror, RTNL_LINK);
	assert_int_equal(k.group[1], 1);
}

static void test_dataplane_full(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	k.add_error = -ENOSPC;
	tell(CT_EVENT_UPDATE, &c);
	assert_int_equal(the_flow().reason, NFO_R_TABLE_FULL);
	k.add_error = 0;
	dump_with(&c);
	assert_int_equal(k.n_flows, 2);
}

static void test_mirror_full(void **state)
{
	struct mirror_stats stats;

	(void)state;
	for (uint16_t i = 0; i < 10; i++) {
		struct ct_conn c = tcp(i);

		tell(CT_EVENT_UPDATE, &c);
	}
	mirror_stats(k.mirror, &stats);
	assert_int_equal(stats.connections, 8);
	assert_int_equal(stats.refused, 2);
	assert_int_equal(stats.by_reason[NFO_R_OFFLOADED], 8);
}

static void test_lost_messages(void **state)
{
	unsigned int before;

	(void)state;
	dump_with(NULL);
	before = k.dumps;
	tell(CT_EVENT_LOST, NULL);
	pass_ms(300);
	assert_int_equal(k.dumps, before + 1);
	tell(CT_EVENT_LOST, NULL); // while one is under way: another follows it
	pass_ms(300);
	assert_int_equal(k.dumps, before + 1);
	tell(CT_EVENT_DUMP_END, NULL);
	pass_ms(300);
	assert_int_equal(k.dumps, before + 2);
	k.dumping = false; // that one fails, which is all that is told
	tell(CT_EVENT_LOST, NULL);
	pass_ms(300);
	assert_int_equal(k.dumps, before + 3);
}

static void test_stand_in(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	use_stand_in();
	c.status &= ~(uint32_t)IPS_OFFLOAD;
	tell(CT_EVENT_UPDATE, &c);
	assert_int_equal(k.n_flows, 0); // no mark
	c.mark = 0x1001;
	c.tcp_state = CT_TCP_STATE_ABSENT;
	tell(CT_EVENT_UPDATE, &c);
	assert_int_equal(k.n_flows, 0); // not known to be established
	c.tcp_state = TCP_CONNTRACK_ESTABLISHED;
	c.status &= ~(uint32_t)IPS_ASSURED;
	tell(CT_EVENT_UPDATE, &c);
	assert_int_equal(k.n_flows, 0); // not assured
	c.status |= IPS_ASSURED;
	dump_with(&c);
	assert_int_equal(k.filter.mark_value, 0x1000);
	assert_int_equal(k.n_flows, 2);
	assert_int_equal(k.liberals, 1);
	assert_int_equal(the_flow().conn.mark, 0x1001);
}

// A stand-in's mark never goes; after idleness a packet that conntrack saw brings the flow back.
static void test_stand_in_idle(void **state)
{
	struct ct_conn c = tcp(1);

	(void)state;
	use_stand_in();
	c.status &= ~(uint32_t)IPS_OFFLOAD;
	c.mark = 0x1000;
	c.timeout_s = 400000;
	dump_with(&c);
	assert_int_equal(k.n_flows, 2);
	for (int i = 0; i < 45; i++) {
		c.timeout_s--;
		dump_with(&c);
	}
	assert_int_equal(k.n_flows, 0);
	assert_int_equal(the_flow().reason, NFO_R_IDLE);
	c.timeout_s = 432000;
	dump_with(&c);
	assert_int_equal(k.n_flows, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(offered_and_ended),
		TEST(destroy_of_another),
		TEST(gone),
		TEST(bit_clears),
		TEST(late_insertion_by_dump),
		TEST(closing),
		TEST(closed_is_forgotten),
		TEST(idle),
		TEST(sampled),
		TEST(reload),
		TEST(route_moves),
		TEST(flowtable_goes),
		TEST(neighbour),
		TEST(route_goes),
		TEST(ipsec_policy),
		TEST(netdev_hook),
		TEST(bond_groups),
		TEST(dataplane_full),
		TEST(mirror_full),
		TEST(lost_messages),
		TEST(stand_in),
		TEST(stand_in_idle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
