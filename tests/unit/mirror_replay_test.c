// SPDX-License-Identifier: GPL-2.0-or-later
// A connection in each state meets each event (mirror_hands.h has the world): what becomes of it is one
// letter in the table below. After each case everything is as it should be again and the kernel offers
// the connection: it has to be forwarded, whatever was before. 'mirror_replay_test print' prints the
// table as it is.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
// clang-format on

#include "log.h"
#include "mirror_hands.h"

static struct ct_conn conn;

// --- the world, made right ---

static void dumps(unsigned int n, const struct ct_conn *c)
{
	for (; n > 0; n--)
		if (k.fts.n > 0)
			dump_with(c);
		else
			pass_ms(1010); // nothing is listed for nobody
}

static void set_route(int wan, int error)
{
	k.wan = wan;
	k.route_error = error;
	tell_route("10.0.2.0", 24);
	tell_route("10.0.1.0", 24);
}

static void set_neigh(bool valid)
{
	k.neigh[WAN].valid = valid;
	tell_neigh(WAN);
}

static void set_link(bool up)
{
	k.link[WAN].up = up;
	tell_link(WAN);
}

static void set_mtu(uint32_t mtu)
{
	k.link[WAN].mtu = mtu;
	tell_link(WAN);
}

static void set_name(const char *name)
{
	strcpy(k.link[WAN].name, name);
	tell_link(WAN);
}

static void set_flowtables(unsigned int n)
{
	k.fts.n = n;
	k.nft_changed(k.mirror);
}

static void set_devices(unsigned int n)
{
	k.ft.n_devices = n;
	k.nft_changed(k.mirror);
}

static void set_ipsec(bool on)
{
	k.ipsec = on;
	k.xfrm_changed(k.mirror);
}

static void set_hook(const char *on)
{
	k.hooked = on;
	k.hooks_changed(k.mirror);
}

static void mend(void)
{
	k.add_error = 0;
	set_route(WAN, 0);
	set_neigh(true);
	set_link(true);
	set_mtu(1500);
	set_name("wan");
	set_devices(3);
	set_flowtables(1);
	set_ipsec(false);
	set_hook(NULL);
	pass_ms(30);
}

// --- states ---

static void offer(void)
{
	tell(CT_EVENT_UPDATE, &conn);
}

static void unknown(void) {}

static void forwarded(void)
{
	offer();
	traffic();
}

static void no_neighbour(void)
{
	set_neigh(false);
	offer();
}

static void lost_neighbour(void)
{
	forwarded();
	set_neigh(false);
}

static void no_route(void)
{
	set_route(WAN, -ENETUNREACH);
	offer();
}

static void lost_route(void)
{
	forwarded();
	set_route(WAN, -ENETUNREACH);
}

static void moved(void)
{
	forwarded();
	set_route(WAN2, 0);
}

static void link_is_down(void)
{
	set_link(false);
	offer();
}

static void no_flowtable(void)
{
	forwarded();
	set_flowtables(0);
}

static void reloaded(void)
{
	forwarded();
	k.epoch++;
	set_flowtables(1);
}

static void closing(void)
{
	forwarded();
	k.event = (struct dp_event){.cookie = k.cookie[0]};
	k.n_events = 1;
}

static void idle(void)
{
	forwarded();
	for (int s = 0; s < 60 && the_flow().reason != NFO_R_IDLE; s++)
		dumps(1, s < 30 ? &conn : NULL);
}

static void full(void)
{
	k.add_error = -ENOSPC;
	offer();
}

static void ipsec(void)
{
	set_ipsec(true);
	offer();
}

// --- events ---

static void update(void)
{
	offer();
}

static void update_plain(void)
{
	struct ct_conn c = conn;

	c.status &= ~(uint32_t)IPS_OFFLOAD;
	tell(CT_EVENT_UPDATE, &c);
}

static void update_fin(void)
{
	struct ct_conn c = conn;

	c.status &= ~(uint32_t)IPS_OFFLOAD;
	c.tcp_state = TCP_CONNTRACK_FIN_WAIT;
	tell(CT_EVENT_UPDATE, &c);
}

static void destroy(void)
{
	tell(CT_EVENT_DESTROY, &conn);
}

static void destroy_other(void)
{
	struct ct_conn c = conn;

	c.id++;
	tell(CT_EVENT_DESTROY, &c);
}

static void reused(void)
{
	conn.id++;
	tell(CT_EVENT_UPDATE, &conn);
}

static void gone(void)
{
	k.ct_gone(k.mirror, &conn.orig, 0);
}

static void listed(void)
{
	dumps(1, &conn);
}

static void listed_again(void)
{
	dumps(4, &conn);
}

static void not_listed(void)
{
	for (int i = 0; i < 4; i++) {
		traffic();
		dumps(1, NULL);
	}
}

static void fin(void)
{
	k.event = (struct dp_event){.cookie = 0};
	k.n_events = 1;
}

static void route_same(void)
{
	tell_route("10.0.2.0", 24);
}

static void route_moves(void)
{
	set_route(WAN2, 0);
}

static void route_goes(void)
{
	set_route(WAN, -ENETUNREACH);
}

static void route_returns(void)
{
	set_route(WAN, 0);
}

static void rules_change(void)
{
	k.rules.src = !k.rules.src;
	tell_rules();
}

static void mac_changes(void)
{
	k.neigh[WAN].mac[5]++;
	tell_neigh(WAN);
}

static void neigh_fails(void)
{
	set_neigh(false);
}

static void neigh_returns(void)
{
	set_neigh(true);
}

static void link_down(void)
{
	set_link(false);
}

static void link_flaps(void)
{
	set_link(false);
	pass_ms(20);
	set_link(true);
}

static void mtu_changes(void)
{
	set_mtu(1400);
}

static void renamed(void)
{
	set_name("uplink");
}

static void flowtable_goes(void)
{
	set_flowtables(0);
}

static void flowtable_reloads(void)
{
	k.epoch++;
	set_flowtables(1);
}

static void device_leaves(void)
{
	set_devices(1);
}

static void ipsec_begins(void)
{
	set_ipsec(true);
}

static void hook_begins(void)
{
	set_hook("wan");
}

static void ct_lost(void)
{
	tell(CT_EVENT_LOST, NULL);
}

static void rtnl_lost(void)
{
	mirror_rtnl_changed(k.mirror, &(struct rtnl_event){.change = RTNL_LOST});
}

// The kernel's flowtable lets go of what has no packets.
static void quiet_minute(void)
{
	dumps(30, &conn);
	dumps(30, NULL);
}

static void busy_minute(void)
{
	for (int i = 0; i < 60; i++) {
		traffic();
		dumps(1, &conn);
	}
}

// --- the table ---

#define EVENTS(X)                                                                               \
	X(update) X(update_plain) X(update_fin) X(destroy) X(destroy_other) X(reused) X(gone)   \
	X(listed) X(listed_again) X(not_listed) X(fin) X(route_same) X(route_moves)             \
	X(route_goes) X(route_returns) X(rules_change) X(mac_changes) X(neigh_fails)            \
	X(neigh_returns) X(link_down) X(link_flaps) X(mtu_changes) X(renamed)                   \
	X(flowtable_goes) X(flowtable_reloads) X(device_leaves) X(ipsec_begins) X(hook_begins)  \
	X(ct_lost) X(rtnl_lost) X(quiet_minute) X(busy_minute)

static const struct {
	const char *name;
	void (*act)(void);
} events[] = {
#define X(name) {#name, name},
	EVENTS(X)
#undef X
};

enum { N_EVENTS = sizeof(events) / sizeof(events[0]) };

// A letter for what became of it: '-' forgotten, 'F' forwarded, others by reason.
static char letter(void)
{
	static const struct {
		enum nfo_reason reason;
		char letter;
	} letters[] = {
		{NFO_R_OFFLOADED, 'F'},
		{NFO_R_NO_NEIGHBOUR, 'n'},
		{NFO_R_NO_ROUTE, 'r'},
		{NFO_R_WAITING, 'w'},
		{NFO_R_LINK_DOWN, 'd'},
		{NFO_R_NO_FLOWTABLE, 't'},
		{NFO_R_CLOSING, 'c'},
		{NFO_R_IDLE, 'i'},
		{NFO_R_TABLE_FULL, 'f'},
		{NFO_R_IPSEC, 's'},
		{NFO_R_NOT_PORT, 'p'},
		{NFO_R_NETDEV_HOOK, 'h'},
	};

	if (connections() == 0)
		return '-';
	for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]); i++)
		if (letters[i].reason == the_flow().reason)
			return letters[i].letter;
	return '?';
}

static const struct {
	const char *name;
	void (*make)(void);
	const char *after; // a letter for each event
} states[] = {
	{"unknown", unknown, "F----F-FF----------------------F"},
	{"forwarded", forwarded, "FFc-FF-FFFcFwrFFFnFddFptwtshFF-F"},
	{"no_neighbour", no_neighbour, "nnn-nn-nn-nnwrnnnnFddnptntshnn-n"},
	{"lost_neighbour", lost_neighbour, "nnn-nn-nn-nnwrnnnnFddnptntshnn-n"},
	{"no_route", no_route, "rrr-rr-rr-rrrrrrrrrrrrrrrrrrrr-r"},
	{"lost_route", lost_route, "rrr-rr-rr-rrrrrrrrrrrrrrrrrrrr-r"},
	{"moved", moved, "www-wF-wF-wwwwwwwwwwwwwwwwwwww-F"},
	{"link_is_down", link_is_down, "ddd-dd-dd-dddddddddddddddddddd-d"},
	{"no_flowtable", no_flowtable, "ttt-tt-t--tttttttttttttttttttt--"},
	{"reloaded", reloaded, "www-wF-wF-wwwwwwwwwwwwwwwwwwww-F"},
	{"closing", closing, "ccc-cF-cF-cccccccccccccccccccc-F"},
	{"idle", idle, "iii-iF-iF-iiiiiiiiiiiiiiiiiiii-F"},
	{"full", full, "fff-ff-ff-ffffffffffffffffffff-f"},
	{"ipsec", ipsec, "sss-ss-ss-ssssssssssssssssssss-s"},
};

enum { N_STATES = sizeof(states) / sizeof(states[0]) };

// What is true whatever happens.
static void check_world(void)
{
	struct mirror_stats stats;
	uint32_t sum = 0;

	mirror_stats(k.mirror, &stats);
	for (int i = 0; i < NFO_N_REASONS; i++)
		sum += stats.by_reason[i];
	assert_int_equal(sum, stats.connections);
	assert_int_equal(stats.by_reason[NFO_R_NEW], 0);
	assert_int_equal(k.n_flows, 2 * stats.by_reason[NFO_R_OFFLOADED]);
	for (int i = 0; i < FLOWS; i++)
		assert_false(k.in[i] && k.held[i]); // nobody is forgotten there
}

static char play(unsigned int s, unsigned int e)
{
	char after;

	set_up(NULL);
	conn = tcp(1);
	dumps(1, NULL);
	states[s].make();
	pass_ms(50);
	events[e].act();
	pass_ms(50);
	check_world();
	after = letter();
	mend();
	check_world();
	dumps(6, &conn);
	assert_int_equal(letter(), 'F');
	traffic();
	tell(CT_EVENT_DESTROY, &conn);
	pass_ms(20);
	check_world();
	assert_int_equal(letter(), '-');
	tear_down(NULL);
	return after;
}

static void test_state(void **state)
{
	const unsigned int s = *(const unsigned int *)*state;

	log_set_level(LOG_ERROR);
	assert_int_equal(strlen(states[s].after), N_EVENTS);
	for (unsigned int e = 0; e < N_EVENTS; e++) {
		const char after = play(s, e);

		if (after != states[s].after[e])
			fail_msg("%s, %s: became '%c', expected '%c'", states[s].name,
				events[e].name, after, states[s].after[e]);
	}
}

static int print(void)
{
	log_set_level(LOG_ERROR);
	for (unsigned int s = 0; s < N_STATES; s++) {
		printf("%-16s", states[s].name);
		for (unsigned int e = 0; e < N_EVENTS; e++)
			putchar(play(s, e));
		putchar('\n');
	}
	return 0;
}

int main(int argc, char **argv)
{
	static unsigned int number[N_STATES];
	struct CMUnitTest tests[N_STATES];

	if (argc == 2 && strcmp(argv[1], "print") == 0)
		return print();
	for (unsigned int s = 0; s < N_STATES; s++) {
		number[s] = s;
		tests[s] = (struct CMUnitTest){
			.name = states[s].name, .test_func = test_state, .initial_state = &number[s]};
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
