// SPDX-License-Identifier: GPL-2.0-or-later
// Sources: ctrl/diag.c ctrl/problems_log.c ctrl/text.c
// SOCKET_DOC is the path of docs/socket.md.
// A set-up without problems, and each mistake made in it, alone.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <linux/if_bonding.h>

#include "log.h"
#include "problems_log.h"

enum { LAN = 1, WAN, UPPER, ETH0, MASTER, LINKS };

static struct {
	struct rtnl_link link[LINKS];
	unsigned int addresses[LINKS];
	bool listed[2][LINKS]; // by the flowtables
	struct nft_flowtable ft[2];
	const struct nft_flowtable *fts; // &ft[0], or others that list the same
	unsigned int n_ft;
	const char *pppoe;
	struct {
		const char *name;
		uint32_t value;
	} sysctl[4];
	struct diag_view view;
} net;

static struct diag found;
static char logged[512];

void log_line(enum log_level level, const char *area, const char *fmt, ...)
{
	const size_t n = (size_t)snprintf(logged, sizeof(logged), "%d %s ", level, area);
	va_list args;

	va_start(args, fmt);
	vsnprintf(logged + n, sizeof(logged) - n, fmt, args);
	va_end(args);
}

static const struct rtnl_link *link_at(void *arg, int ifindex)
{
	(void)arg;
	return ifindex > 0 && ifindex < LINKS && net.link[ifindex].ifindex != 0
		       ? &net.link[ifindex]
		       : NULL;
}

static const struct rtnl_link *next_link(void *arg, int after)
{
	for (int i = after + 1; i < LINKS; i++)
		if (link_at(arg, i) != NULL)
			return &net.link[i];
	return NULL;
}

static const char *twin(void *arg, unsigned int port)
{
	static const char *const names[] = {"lan", "wan"};

	(void)arg;
	return port < 2 ? names[port] : NULL;
}

static unsigned int addresses(void *arg, int ifindex)
{
	(void)arg;
	return net.addresses[ifindex];
}

static bool pppoe(void *arg, const char *ifname)
{
	(void)arg;
	return net.pppoe != NULL && strcmp(net.pppoe, ifname) == 0;
}

static unsigned int flowtables(void *arg)
{
	(void)arg;
	return net.n_ft;
}

static const struct nft_flowtable *flowtable(void *arg, unsigned int i)
{
	(void)arg;
	return &net.fts[i];
}

static bool lists(void *arg, const struct nft_flowtable *ft, int ifindex)
{
	const bool *listed = net.listed[ft == &net.ft[1]];

	(void)arg;
	return listed[ifindex]
	       || (net.link[ifindex].lower != 0 && listed[net.link[ifindex].lower]);
}

static uint32_t sysctl(void *arg, const char *name, uint32_t otherwise)
{
	(void)arg;
	for (unsigned int i = 0; i < 4; i++)
		if (net.sysctl[i].name != NULL && strcmp(net.sysctl[i].name, name) == 0)
			return net.sysctl[i].value;
	return otherwise;
}

static void set_sysctl(const char *name, uint32_t value)
{
	unsigned int i = 0;

	while (net.sysctl[i].name != NULL && strcmp(net.sysctl[i].name, name) != 0)
		i++;
	net.sysctl[i].name = name;
	net.sysctl[i].value = value;
}

static void make_link(int i, const char *name, const char *kind)
{
	net.link[i] = (struct rtnl_link){.ifindex = i, .up = true, .carrier = true};
	strcpy(net.link[i].name, name);
	strcpy(net.link[i].kind, kind);
}

// Twins lan and wan, a device of the kernel's own, a flowtable of both twins.
static int set_up(void **state)
{
	(void)state;
	memset(&net, 0, sizeof(net));
	make_link(LAN, "lan", "tun");
	make_link(WAN, "wan", "tun");
	make_link(ETH0, "eth0", "");
	net.addresses[LAN] = net.addresses[WAN] = net.addresses[ETH0] = DIAG_IPV4;
	net.listed[0][LAN] = net.listed[0][WAN] = true;
	net.ft[0] = (struct nft_flowtable){.table = "filter", .name = "f", .family = 1, .use = 1};
	net.fts = net.ft;
	net.n_ft = 1;
	net.view = (struct diag_view){
		.link = link_at,
		.next_link = next_link,
		.twin = twin,
		.addresses = addresses,
		.pppoe = pppoe,
		.flowtables = flowtables,
		.flowtable = flowtable,
		.lists = lists,
		.sysctl = sysctl,
		.conntrack = true,
	};
	return 0;
}

static void expect_documented(const char *word)
{
	static char doc[65536];
	FILE *file = fopen(SOCKET_DOC, "r");
	char row[64];

	assert_non_null(file);
	doc[fread(doc, 1, sizeof(doc) - 1, file)] = '\0';
	fclose(file);
	snprintf(row, sizeof(row), "| `%s` |", word);
	if (strstr(doc, row) == NULL)
		fail_msg("docs/socket.md does not have %s", word);
}

// That and no other.
static void expect(const char *word, const char *subject, const char *text)
{
	diag_find(&net.view, &found);
	if (found.n == 0)
		fail_msg("nothing is found, expected %s", word);
	for (unsigned int i = 1; i < found.n; i++)
		fail_msg("%s: %s", found.list[i].word, found.list[i].text);
	assert_string_equal(found.list[0].word, word);
	assert_string_equal(found.list[0].subject, subject);
	if (strstr(found.list[0].text, text) == NULL)
		fail_msg("%s: %s", word, found.list[0].text);
	expect_documented(word);
}

static void expect_none(void)
{
	diag_find(&net.view, &found);
	if (found.n != 0)
		fail_msg("%s: %s", found.list[0].word, found.list[0].text);
}

static void healthy(void **state)
{
	(void)state;
	expect_none();
	net.addresses[WAN] |= DIAG_IPV6 | DIAG_LINK_LOCAL; // a host's address by autoconfiguration
	set_sysctl("ipv6/conf/all/forwarding", 0);
	set_sysctl("ipv4/conf/all/rp_filter", 1); // as distributions have it
	set_sysctl("netfilter/nf_conntrack_events", 2);
	expect_none();
	make_link(MASTER, "vrf1", "vrf");
	net.link[LAN].master = MASTER;
	expect_none();
	net.link[LAN].master = 0;
	make_link(MASTER, "br0", "bridge"); // of others
	net.link[ETH0].master = MASTER;
	net.link[ETH0].up = false;
	expect_none();
}

static void no_flowtable(void **state)
{
	(void)state;
	net.n_ft = 0;
	expect("no-flowtable", "", "nftables has no flowtable");
	net.view.unsupported = "no CONFIG_NF_FLOW_TABLE";
	expect("no-flowtable", "", "no CONFIG_NF_FLOW_TABLE. A [flowtable NAME] in config.ini");
	net.n_ft = 1;
	net.ft[0].from_config = true;
	net.ft[0].use = 0;
	expect_none();
}

static void flowtable_unused(void **state)
{
	(void)state;
	net.ft[0].use = 0;
	expect("unused-flowtable", "inet filter f", "'flow add @f'");
	net.ft[1] = net.ft[0]; // of others
	net.ft[0].use = 1;
	net.n_ft = 2;
	expect_none();
	net.ft[0].flags = NFT_FLAG_OFFLOAD;
	expect("offload-flag", "inet filter f", "remove the flag");
}

static void device_missing(void **state)
{
	(void)state;
	net.listed[0][WAN] = false;
	expect("missing-device", "wan", "Add it to the devices of flowtable inet filter f");
	net.addresses[WAN] = DIAG_LINK_LOCAL; // nothing is routed by it
	expect_none();
	net.addresses[WAN] = DIAG_IPV6;
	expect("missing-device", "wan", "no flowtable lists it");
	make_link(MASTER, "vrf1", "vrf");
	net.link[WAN].master = MASTER;
	expect("missing-device", "wan", "no flowtable lists it");
	net.link[WAN].master = 0;
	net.ft[1] = net.ft[0];
	net.n_ft = 2;
	net.listed[1][WAN] = true; // in another one
	expect_none();
	net.n_ft = 1;
	net.listed[0][LAN] = false; // the flowtable is of others
	net.link[WAN].up = true;
	net.addresses[LAN] = DIAG_LINK_LOCAL;
	expect("missing-device", "wan", "no flowtable lists it");
}

static void vlan_missing(void **state)
{
	(void)state;
	make_link(UPPER, "wan.7", "vlan");
	net.link[UPPER].lower = WAN;
	net.addresses[UPPER] = DIAG_IPV4;
	net.addresses[WAN] = 0; // only its VLAN is used
	expect_none();
	net.listed[0][WAN] = false;
	expect("missing-vlan", "wan.7", "no flowtable lists it or wan below it");
	net.listed[0][UPPER] = true;
	expect_none();
	net.listed[0][UPPER] = false;
	net.link[UPPER].lower = ETH0; // of others
	net.listed[0][WAN] = true;
	net.addresses[WAN] = DIAG_IPV4;
	expect_none();
}

static void twin_state(void **state)
{
	(void)state;
	net.link[LAN].up = false;
	expect("twin-down", "lan", "ip link set lan up");
	net.link[LAN].up = true;
	net.link[LAN].carrier = false;
	expect("no-carrier", "lan", "cable");
	net.link[LAN].carrier = true;
	net.addresses[LAN] = 0;
	expect("no-address", "lan", "ip address add");
	net.pppoe = "lan";
	expect("pppoe", "lan", "PPPoE session");
	strcpy(net.link[LAN].name, "renamed");
	expect("twin-gone", "lan", "no interface lan");
}

static void masters(void **state)
{
	(void)state;
	make_link(MASTER, "br0", "bridge");
	net.link[LAN].master = MASTER;
	net.addresses[LAN] = 0;
	net.addresses[MASTER] = DIAG_IPV4;
	expect("bridge-port", "lan", "port of bridge br0");
	make_link(MASTER, "team0", "team");
	expect("enslaved", "lan", "team0 (team)");
	make_link(MASTER, "bond0", "bond");
	net.link[MASTER].bond_mode = BOND_MODE_ACTIVEBACKUP;
	net.listed[0][MASTER] = true;
	expect_none();
	net.link[MASTER].bond_mode = BOND_MODE_ALB;
	expect("bond-mode", "bond0", "active-backup");
	net.link[MASTER].bond_mode = BOND_MODE_8023AD;
	net.listed[0][MASTER] = false;
	expect("missing-device", "bond0", "no flowtable lists it");
	net.listed[0][MASTER] = true;
	net.link[ETH0].master = MASTER;
	expect("bond-member", "eth0", "no twin");
}

static void forwarding(void **state)
{
	(void)state;
	set_sysctl("ipv4/ip_forward", 0);
	set_sysctl("ipv4/conf/lan/forwarding", 0); // follows
	expect("no-forwarding", "IPv4", "net.ipv4.ip_forward=1");
	net.addresses[LAN] = net.addresses[WAN] = DIAG_IPV6;
	expect_none();
	set_sysctl("ipv6/conf/all/forwarding", 0);
	expect("no-forwarding", "IPv6", "net.ipv6.conf.all.forwarding=1");
	net.addresses[LAN] = net.addresses[WAN] = DIAG_IPV4;
	set_sysctl("ipv4/ip_forward", 1);
	expect("no-forwarding", "lan", "net/ipv4/conf/lan/forwarding=1");
}

static void reverse_path(void **state)
{
	(void)state;
	set_sysctl("ipv4/conf/lan/rp_filter", 1);
	set_sysctl("ipv4/conf/all/rp_filter", 0);
	expect_none();
	net.view.asymmetric = 1;
	expect("rp-filter", "lan", "rp_filter=2");
	set_sysctl("ipv4/conf/all/rp_filter", 2); // the greater counts
	expect_none();
}

static void conntrack(void **state)
{
	(void)state;
	net.view.conntrack = false;
	expect("no-conntrack", "", "nf_conntrack_netlink");
	net.view.conntrack = true;
	set_sysctl("netfilter/nf_conntrack_events", 0);
	expect("no-events", "", "nf_conntrack_events=1");
	set_sysctl("netfilter/nf_conntrack_events", 1);
	set_sysctl("netfilter/nf_conntrack_max", 1000);
	set_sysctl("netfilter/nf_conntrack_count", 899);
	expect_none();
	set_sysctl("netfilter/nf_conntrack_count", 900);
	expect("conntrack-full", "", "now 1000");
	set_sysctl("netfilter/nf_conntrack_count", 0);
	net.view.table_full = 1;
	expect("table-full", "", "max-connections");
	net.view.table_full = 0;
	net.view.ipsec = true;
	expect("ipsec", "", "ip xfrm policy");
}

// The list is bounded.
static void many(void **state)
{
	static struct nft_flowtable fts[2 * DIAG_MAX];

	(void)state;
	for (unsigned int i = 0; i < 2 * DIAG_MAX; i++)
		fts[i] = (struct nft_flowtable){.name = "f", .family = 1};
	net.fts = fts;
	net.n_ft = 2 * DIAG_MAX;
	diag_find(&net.view, &found);
	assert_int_equal(found.n, DIAG_MAX);
}

// --- the log ---

static struct problems_log state_of_log;

static const char *look(uint64_t now_ns)
{
	logged[0] = '\0';
	diag_find(&net.view, &found);
	problems_log_update(&state_of_log, &found, now_ns, 10);
	return logged;
}

static void log_lines(void **state)
{
	(void)state;
	memset(&state_of_log, 0, sizeof(state_of_log));
	net.link[LAN].up = false;
	assert_string_equal(look(100), "");
	assert_string_equal(look(109), "");
	assert_string_equal(
		look(110), "1 problem twin-down: lan is down: 'ip link set lan up'.");
	assert_string_equal(look(120), ""); // once
	net.link[LAN].up = true;
	assert_string_equal(look(130), "2 problem no longer: twin-down lan");
	assert_string_equal(look(140), "");
	net.link[LAN].up = false; // what lasts for less is told neither way
	assert_string_equal(look(150), "");
	net.link[LAN].up = true;
	assert_string_equal(look(155), "");
	net.link[LAN].up = false;
	assert_string_equal(look(160), ""); // it begins anew
	assert_string_equal(look(169), "");
	assert_int_equal(look(170)[0], '1');
}

#define TEST(fn) cmocka_unit_test_setup(fn, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(healthy),
		TEST(no_flowtable),
		TEST(flowtable_unused),
		TEST(device_missing),
		TEST(vlan_missing),
		TEST(twin_state),
		TEST(masters),
		TEST(forwarding),
		TEST(reverse_path),
		TEST(conntrack),
		TEST(many),
		TEST(log_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
