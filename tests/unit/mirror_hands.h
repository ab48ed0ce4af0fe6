// SPDX-License-Identifier: GPL-2.0-or-later
// The mirror under a clock of the test's own, and the test's hands: conntrack, nf_tables, rtnetlink and
// the dataplane are played by mirror_fakes.h; conn.c, resolve.c, routes.c, loop.c and the mirror are
// real. Include after cmocka.h.
#pragma once

#include "mirror_fakes.h"

static inline uint64_t clock_ns(void *arg)
{
	(void)arg;
	return k.now_ns;
}

static inline void pass_ms(unsigned int ms)
{
	for (unsigned int t = 0; t < ms; t += 10) {
		k.now_ns += 10000000;
		loop_run_once(k.loop, 0);
	}
}

static inline struct mirror_conf usual_conf(bool stand_in)
{
	return (struct mirror_conf){.max_connections = 8,
		.dump_interval_ms = 1000,
		.tcp_idle_s = 30,
		.udp_idle_s = 30,
		.n_ports = 3,
		.port = {"lan", "wan", "wan2"},
		.stand_in = &k.stand_in,
		.n_stand_in = stand_in};
}

static inline void create(bool stand_in)
{
	const struct mirror_conf conf = usual_conf(stand_in);

	k.stand_in = (struct nft_flowtable){.family = NFPROTO_INET,
		.n_devices = 3,
		.devices = k.devices,
		.from_config = true,
		.mark_value = 0x1000,
		.mark_mask = 0x1000};
	k.mirror = mirror_create(k.loop, NULL, &conf);
	assert_non_null(k.mirror);
}

static inline int set_up(void **state)
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
		k.neigh[i] = (struct rtnl_neigh){.ifindex = i,
			.family = NFO_IPV4,
			.addr.v4_be = inet_addr(i == LAN ? "10.0.1.2" : "10.0.2.2"),
			.valid = true,
			.mac = {6, 0, 0, 0, 0, (uint8_t)i}};
	}
	create(false);
	return 0;
}

static inline int tear_down(void **state)
{
	(void)state;
	mirror_destroy(k.mirror);
	assert_int_equal(k.n_flows, 0); // it takes its flows with it
	loop_destroy(k.loop);
	return 0;
}

static inline void use_stand_in(void)
{
	mirror_destroy(k.mirror);
	k.fts.n = 0;
	create(true);
}

static inline struct ct_conn tcp(uint16_t sport)
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

static inline void tell(enum ct_event event, const struct ct_conn *c)
{
	if (event == CT_EVENT_DUMP_END)
		k.dumping = false;
	k.ct_event(k.ct_arg, event, c);
}

static inline void tell_route(const char *to, uint8_t bits)
{
	const struct rtnl_prefix prefix = {
		.addr.v4_be = inet_addr(to), .family = NFO_IPV4, .bits = bits};

	mirror_rtnl_changed(k.mirror,
		&(struct rtnl_event){.change = RTNL_ROUTE, .prefix = &prefix});
}

static inline void tell_routes(void)
{
	mirror_rtnl_changed(k.mirror, &(struct rtnl_event){.change = RTNL_ROUTES});
}

static inline void tell_rules(void)
{
	mirror_rtnl_changed(k.mirror, &(struct rtnl_event){.change = RTNL_RULES});
}

static inline void tell_link(int i)
{
	mirror_rtnl_changed(k.mirror,
		&(struct rtnl_event){.change = RTNL_LINK, .link = &k.link[i]});
}

static inline void tell_neigh(int i)
{
	mirror_rtnl_changed(k.mirror,
		&(struct rtnl_event){.change = RTNL_NEIGH, .neigh = &k.neigh[i]});
}

// The next round of dumps, with 'c' in it or nothing.
static inline void dump_with(const struct ct_conn *c)
{
	const unsigned int before = k.dumps;

	tell(CT_EVENT_DUMP_END, NULL); // of the one under way, if any
	for (int i = 0; i < 10000 && k.dumps == before; i++) // sooner or later, by that one's length
		pass_ms(10);
	assert_int_equal(k.dumps, before + 1);
	if (c != NULL)
		tell(CT_EVENT_DUMP, c);
	tell(CT_EVENT_DUMP_END, NULL);
}

static inline struct mirror_flow the_flow(void)
{
	struct mirror_flow flow;

	for (uint32_t i = 0; i < mirror_slots(k.mirror); i++)
		if (mirror_get(k.mirror, i, &flow))
			return flow;
	fail_msg("no connection");
	return flow;
}

static inline uint32_t connections(void)
{
	struct mirror_stats stats;

	mirror_stats(k.mirror, &stats);
	return stats.connections;
}

static inline void traffic(void)
{
	for (int i = 0; i < FLOWS; i++)
		if (k.in[i]) {
			k.counters[i].packets++;
			k.counters[i].used_ns = k.now_ns;
		}
}
