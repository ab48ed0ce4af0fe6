// SPDX-License-Identifier: GPL-2.0-or-later
// Sources: ctrl/why.c ctrl/why_request.c ctrl/path.c ctrl/resolve.c ctrl/text.c dataplane/flow.c
// and what they need. The network of resolve_net.h: each test breaks one thing and reads why.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
// clang-format on

#include <arpa/inet.h>

#include <linux/netfilter.h>

#include "resolve_net.h"
#include "why.h"
#include "why_request.h"

static struct nft_flowtable tables[2];
static unsigned int n_tables;
static bool listed[LINKS];
static struct ct_conn conn;
static struct why why;

static unsigned int flowtables(void *arg)
{
	(void)arg;
	return n_tables;
}

static const struct nft_flowtable *flowtable_at(void *arg, unsigned int i)
{
	(void)arg;
	return &tables[i];
}

static bool lists(void *arg, const struct nft_flowtable *ft, int ifindex)
{
	(void)arg;
	return ft == &tables[0] && listed[ifindex]; // the second one lists nothing
}

static const char *unsupported(void *arg)
{
	(void)arg;
	return n_tables == 0 ? "no CONFIG_NF_FLOW_TABLE" : NULL;
}

static const char *hook(void *arg, const char *ifname)
{
	return hooked(arg, ifname) ? "qdisc" : NULL;
}

static const struct why_view why_view = {
	.resolve = &view,
	.flowtables = flowtables,
	.flowtable = flowtable_at,
	.lists = lists,
	.unsupported = unsupported,
	.hook = hook,
};

static int set_up_why(void **state)
{
	set_up(state);
	n_tables = 1;
	tables[0] = (struct nft_flowtable){
		.family = NFPROTO_INET, .table = "filter", .name = "f", .use = 1};
	memset(listed, 0, sizeof(listed));
	listed[LAN] = listed[WAN] = true;
	conn = twice_nat();
	return 0;
}

static const struct why_step *step(const char *name)
{
	for (unsigned int i = 0; i < why.n; i++)
		if (strcmp(why.step[i].name, name) == 0)
			return &why.step[i];
	return NULL;
}

static void expect(const char *name, enum why_answer answer, const char *text)
{
	const struct why_step *s = step(name);

	if (s == NULL)
		fail_msg("no step '%s'", name);
	if (s->answer != answer || strstr(s->text, text) == NULL)
		fail_msg("%s: %s, %s", name, why_answer_word(s->answer), s->text);
}

// What the mirror would say: an explanation has to end with it, and a step has to carry it.
static void explain(enum nfo_reason want)
{
	const enum nfo_reason reason = resolved(&conn);
	bool carried = reason == NFO_R_OFFLOADED;

	assert_int_equal(reason, want);
	why_explain(&why_view, &conn, reason, &why);
	assert_int_equal(why.reason, reason);
	for (unsigned int i = 0; i + 1 < why.n; i++) // the last one repeats it
		carried |= why.step[i].answer == WHY_NO && why.step[i].reason == reason;
	if (!carried)
		fail_msg("no step tells of %s", nfo_reason_word(reason));
	if (reason != NFO_R_OFFLOADED && strstr(why.verdict, nfo_reason_word(reason)) == NULL)
		fail_msg("%s", why.verdict);
}

static void offloaded(void **state)
{
	(void)state;
	explain(NFO_R_OFFLOADED);
	for (unsigned int i = 0; i < why.n; i++)
		assert_int_not_equal(why.step[i].answer, WHY_NO);
	expect("tracked", WHY_YES, "assured");
	expect("established", WHY_UNKNOWN, "TCP state");
	expect("offered", WHY_YES, "the kernel has put it");
	expect("route-original", WHY_YES, "10.9.9.9 by wan via 10.0.2.254");
	expect("route-reply", WHY_YES, "10.0.1.2 by lan");
	expect("ingress", WHY_YES, "lan, a twin");
	expect("egress", WHY_YES, "wan, a twin");
	expect("flowtable", WHY_YES, "inet filter f");
	expect("neighbour-original", WHY_YES, "10.0.2.254 on wan has 06:00:00:00:00:02");
	expect("neighbour-reply", WHY_YES, "10.0.1.2 on lan has 06:00:00:00:00:01");
	expect("forwarded", WHY_YES, "both directions");
	assert_string_equal(why.verdict, "The workers forward it.");
}

static void entry(void **state)
{
	(void)state;
	conn.tcp_state = TCP_CONNTRACK_FIN_WAIT;
	explain(NFO_R_NOT_ESTABLISHED);
	expect("established", WHY_NO, "FIN_WAIT");
	conn.tcp_state = TCP_CONNTRACK_ESTABLISHED;
	conn.has_helper = true;
	explain(NFO_R_HELPER);
	expect("established", WHY_YES, "ESTABLISHED");
	expect("admissible", WHY_NO, "helper");
	conn.has_helper = false;
	net.ipsec = true;
	explain(NFO_R_IPSEC);
}

static void missing_devices(void **state)
{
	(void)state;
	net.flowtable = false;
	listed[WAN] = false;
	explain(NFO_R_NO_FLOWTABLE);
	expect("flowtable", WHY_NO, "wan is missing in the devices of flowtable inet filter f");
	n_tables = 2; // the one that lacks least is named
	tables[1] = tables[0];
	strcpy(tables[1].name, "g");
	explain(NFO_R_NO_FLOWTABLE);
	expect("flowtable", WHY_NO, "wan is missing in the devices of flowtable inet filter f");
	n_tables = 1;
	listed[LAN] = false;
	explain(NFO_R_NO_FLOWTABLE);
	expect("flowtable", WHY_NO, "lan and wan are missing");
	tables[0].family = NFPROTO_IPV6;
	explain(NFO_R_NO_FLOWTABLE);
	expect("flowtable", WHY_NO, "there is none for IPv4");
}

static void routes(void **state)
{
	(void)state;
	net.route_error = -ENETUNREACH;
	explain(NFO_R_NO_ROUTE);
	expect("routes", WHY_NO, "no route to 10.0.1.2");
	expect("ingress", WHY_UNKNOWN, "");
	net.rules.iif = true;
	explain(NFO_R_NO_ROUTE);
	expect("routes", WHY_NO, "no interface of a flowtable");
	net.rules.iif = false;
	net.route_error = 0;
	net.to_server.type = RTN_LOCAL;
	explain(NFO_R_NO_ROUTE);
	expect("route-original", WHY_NO, "10.9.9.9 is an address of this machine");
	net.to_server.type = RTN_UNICAST;
	net.to_server.encap = true;
	explain(NFO_R_ROUTE_ENCAP);
	net.to_server.encap = false;
	net.multipath = 1;
	why_explain(&why_view, &conn, resolved(&conn), &why);
	assert_int_equal(why.reason, NFO_R_AMBIGUOUS);
	expect("forwarded", WHY_NO, "more than one pair");
	net.rules.other = true;
	net.multipath = 0;
	explain(NFO_R_POLICY_RULE);
	expect("routes", WHY_NO, "ip rule");
}

static void interfaces(void **state)
{
	(void)state;
	net.link[WAN].carrier = false;
	explain(NFO_R_LINK_DOWN);
	expect("egress", WHY_NO, "wan has no carrier");
	expect("ingress", WHY_YES, "lan");
	net.link[WAN].carrier = true;
	net.hooked = "lan";
	explain(NFO_R_NETDEV_HOOK);
	expect("ingress", WHY_NO, "lan has a qdisc");
	net.hooked = NULL;
	net.to_server.oif = OTHER;
	explain(NFO_R_NOT_PORT);
	expect("egress", WHY_NO, "eth9 is no twin");
}

// The one of a stack that is to blame is named.
static void stacked(void **state)
{
	(void)state;
	make_link(UPPER, "wan.7");
	net.link[UPPER].lower = WAN;
	net.link[UPPER].vlan = (struct nfo_vlan){.tpid_be = htons(0x8100), .vid = 7};
	net.to_server.oif = UPPER;
	net.neigh[UPPER] = net.neigh[WAN];
	listed[UPPER] = true;
	explain(NFO_R_OFFLOADED);
	expect("egress", WHY_YES, "wan.7 on wan, VLAN 7");
	net.link[WAN].up = false;
	explain(NFO_R_LINK_DOWN);
	expect("egress", WHY_NO, "wan is down");
	net.link[WAN].up = true;
	net.link[UPPER].up = false;
	explain(NFO_R_LINK_DOWN);
	expect("egress", WHY_NO, "wan.7 is down");
	net.link[UPPER].up = true;
	make_link(TOP, "br0");
	strcpy(net.link[TOP].kind, "bridge");
	net.link[WAN].master = TOP;
	explain(NFO_R_BRIDGE);
	expect("egress", WHY_NO, "wan belongs to br0");
}

static void no_neighbour(void **state)
{
	(void)state;
	net.neigh[WAN].valid = false;
	explain(NFO_R_NO_NEIGHBOUR);
	expect("neighbour-original", WHY_NO, "10.0.2.254 on wan is unknown");
	expect("neighbour-reply", WHY_YES, "10.0.1.2");
}

// Of those that the mirror alone has, or has still.
static void by_the_mirror(void **state)
{
	(void)state;
	why_explain(&why_view, &conn, NFO_R_TABLE_FULL, &why);
	expect("forwarded", WHY_NO, "max-connections");
	assert_non_null(strstr(why.verdict, "Raise max-connections"));
	why_explain(&why_view, &conn, NFO_R_NO_NEIGHBOUR, &why);
	assert_int_equal(why.reason, NFO_R_NO_NEIGHBOUR);
	assert_non_null(strstr(why.verdict, "no-neighbour"));
}

static void not_offered(const char *text)
{
	why_explain(&why_view, &conn, NFO_R_NOT_OFFERED, &why);
	assert_int_equal(why.reason, NFO_R_NOT_OFFERED);
	expect("offered", WHY_NO, text);
	assert_non_null(strstr(why.verdict, text));
}

static void offers(void **state)
{
	(void)state;
	why_explain(&why_view, &conn, NFO_R_NOT_OFFERED, &why);
	assert_int_equal(why.reason, NFO_R_NEW); // the bit is set
	conn.status &= ~(uint32_t)IPS_OFFLOAD;
	not_offered("no rule has added it to flowtable inet filter f");
	conn.status &= ~(uint32_t)IPS_ASSURED;
	conn.tcp_state = TCP_CONNTRACK_ESTABLISHED;
	not_offered("takes TCP once it is assured");
	tables[0].use = 0;
	not_offered("no rule refers to flowtable inet filter f");
	n_tables = 0;
	not_offered("there is no flowtable for IPv4: no CONFIG_NF_FLOW_TABLE");
	n_tables = 1;
	tables[0] = (struct nft_flowtable){
		.from_config = true, .name = "bypass", .mark_value = 16, .mark_mask = 16};
	not_offered("its mark 0x0 is not that of [flowtable bypass], 0x10/0x10");
	// what it would lack besides is told too
	net.link[WAN].up = false;
	not_offered("not that of [flowtable bypass]");
	assert_non_null(strstr(why.verdict, "It would then lack: wan is down."));
	net.link[WAN].up = true;
	conn.mark = 16;
	why_explain(&why_view, &conn, NFO_R_OFFLOADED, &why);
	expect("offered", WHY_YES, "selects [flowtable bypass]");
	conn.tcp_state = TCP_CONNTRACK_SYN_SENT;
	why_explain(&why_view, &conn, NFO_R_NOT_OFFERED, &why);
	assert_int_equal(why.reason, NFO_R_NOT_ESTABLISHED);
}

static void untracked(void **state)
{
	(void)state;
	why_untracked(3, &why);
	expect("tracked", WHY_NO, "zone 3");
	assert_non_null(strstr(why.verdict, "conntrack -L"));
}

// --- the request ---

static struct ct_match match;

static bool parse(const char *text, const char **error, const char **expected)
{
	json_t *request = json_loads(text, 0, NULL);
	bool good;

	assert_non_null(request);
	*error = *expected = NULL;
	good = why_request(request, &match, error, expected);
	json_decref(request);
	return good;
}

static void requests(void **state)
{
	const char *error, *expected;

	(void)state;
	assert_true(parse("{\"proto\": \"tcp\", \"src\": \"10.0.1.2\", \"sport\": 40000, "
			  "\"dst\": \"198.51.100.1\", \"dport\": 80, \"zone\": 7}",
		&error, &expected));
	assert_memory_equal(&match.tuple, &conn.orig, sizeof(conn.orig));
	assert_int_equal(match.zone, 7);
	assert_true(match.has_sport && match.has_dst && match.has_dport);
	assert_true(parse("{\"proto\": \"gre\", \"src\": \"fd00::1\"}", &error, &expected));
	assert_int_equal(match.tuple.family, NFO_IPV6);
	assert_false(match.has_sport || match.has_dst || match.has_dport);
}

static void bad_requests(void **state)
{
	static const char *const bad[][2] = {
		{"{}", "no 'proto'"},
		{"{\"proto\": \"icmp\"}", "'proto' is none"},
		{"{\"proto\": 6}", "no 'proto'"},
		{"{\"proto\": \"tcp\"}", "no 'src'"},
		{"{\"proto\": \"tcp\", \"src\": \"lan\"}", "'src' is not"},
		{"{\"proto\": \"tcp\", \"src\": 1}", "'src' is not"},
		{"{\"proto\": \"tcp\", \"src\": \"1.2.3.4\", \"dst\": \"\"}", "'dst' is not"},
		{"{\"proto\": \"tcp\", \"src\": \"1.2.3.4\", \"dst\": \"::1\"}", "another family"},
		{"{\"proto\": \"tcp\", \"src\": \"::1\", \"sport\": 0}", "'sport'"},
		{"{\"proto\": \"tcp\", \"src\": \"::1\", \"sport\": \"80\"}", "'sport'"},
		{"{\"proto\": \"tcp\", \"src\": \"::1\", \"dport\": 65536}", "'dport' is not"},
		{"{\"proto\": \"tcp\", \"src\": \"::1\", \"dport\": 80}", "without 'dst'"},
		{"{\"proto\": \"gre\", \"src\": \"::1\", \"sport\": 80}", "GRE"},
		{"{\"proto\": \"tcp\", \"src\": \"::1\", \"zone\": -1}", "'zone'"},
	};
	const char *error, *expected;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(parse(bad[i][0], &error, &expected));
		if (strstr(error, bad[i][1]) == NULL || expected == NULL)
			fail_msg("%s: %s", bad[i][0], error);
	}
}

static void expect_match(
	bool want, const char *src, uint16_t sport, const char *dst, uint16_t dport)
{
	struct ct_match m = {.tuple = tuple(src, sport, dst != NULL ? dst : "0.0.0.0", dport),
		.has_sport = sport != 0,
		.has_dst = dst != NULL,
		.has_dport = dport != 0};

	assert_int_equal(ct_match(&m, &conn), want);
	m.zone = 1;
	assert_false(ct_match(&m, &conn));
	m.zone = 0;
	m.tuple.proto = NFO_UDP;
	assert_false(ct_match(&m, &conn));
}

// Ends as before and behind both translations, in either direction.
static void matches(void **state)
{
	(void)state;
	expect_match(true, "10.0.1.2", 40000, "198.51.100.1", 80);
	expect_match(true, "198.51.100.1", 80, "10.0.1.2", 40000);
	expect_match(true, "10.9.9.9", 8080, "10.0.2.1", 1024);
	expect_match(true, "10.0.2.1", 1024, "10.9.9.9", 8080);
	expect_match(true, "10.0.1.2", 0, NULL, 0);
	expect_match(true, "10.9.9.9", 8080, NULL, 0);
	expect_match(true, "10.0.2.1", 0, "10.9.9.9", 8080);
	expect_match(false, "10.0.1.2", 40001, NULL, 0);
	expect_match(false, "10.0.1.2", 40000, "10.9.9.9", 8080); // of two tuples
	expect_match(false, "10.0.1.3", 0, NULL, 0);
	expect_match(false, "10.0.1.2", 40000, "198.51.100.1", 81);
}

#define TEST(fn) cmocka_unit_test_setup(fn, set_up_why)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(offloaded),
		TEST(entry),
		TEST(missing_devices),
		TEST(routes),
		TEST(interfaces),
		TEST(stacked),
		TEST(no_neighbour),
		TEST(by_the_mirror),
		TEST(offers),
		TEST(untracked),
		TEST(requests),
		TEST(bad_requests),
		TEST(matches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
