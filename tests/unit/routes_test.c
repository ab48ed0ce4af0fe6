// SPDX-License-Identifier: GPL-2.0-or-later
// routes.h: what is asked of the kernel, what is not, and what a change brings into doubt.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
// clang-format on

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include <linux/rtnetlink.h>

#include "routes.h"

enum { LAN = 1, WAN = 2, MAX = 200, ALL = 1000 };

// The kernel.
static struct {
	struct rtnl_rules rules[2];
	struct rtnl_facts facts[2];
	int oif;
	int err;
	int multipath;
	unsigned int queries;
	struct rtnl_route_key key; // of the last one
} kernel;

static struct routes *routes;

const struct rtnl_rules *rtnl_rules(const struct rtnl *rtnl, uint8_t family)
{
	(void)rtnl;
	return &kernel.rules[family == NFO_IPV6];
}

const struct rtnl_facts *rtnl_facts(const struct rtnl *rtnl, uint8_t family)
{
	(void)rtnl;
	return &kernel.facts[family == NFO_IPV6];
}

int rtnl_route_get(struct rtnl *rtnl, const struct rtnl_route_key *key, struct rtnl_route *route)
{
	(void)rtnl;
	kernel.queries++;
	kernel.key = *key;
	*route = (struct rtnl_route){.oif = kernel.oif, .type = RTN_UNICAST, .gateway = key->dst};
	return kernel.err;
}

int rtnl_route_multipath(struct rtnl *rtnl, const struct rtnl_route_key *key)
{
	(void)rtnl;
	(void)key;
	kernel.queries++;
	return kernel.multipath;
}

// --- hands ---

static struct rtnl_route_key to(const char *dst)
{
	struct rtnl_route_key key = {.family = strchr(dst, ':') != NULL ? NFO_IPV6 : NFO_IPV4,
		.iif = LAN,
		.proto = NFO_TCP,
		.sport_be = htons(1),
		.dport_be = htons(80)};

	assert_int_equal(inet_pton(key.family, dst, &key.dst), 1);
	key.src.bytes[0] = 9;
	return key;
}

// The answer's number; the kernel is asked 'queries' times.
static uint32_t get(const struct rtnl_route_key *key, unsigned int queries)
{
	const unsigned int before = kernel.queries;
	struct rtnl_route route;

	assert_int_equal(routes_get(routes, key, &route), 0);
	assert_int_equal(kernel.queries - before, queries);
	assert_int_equal(route.oif, kernel.oif);
	return route.answer;
}

static uint32_t get_to(const char *dst, unsigned int queries)
{
	const struct rtnl_route_key key = to(dst);

	return get(&key, queries);
}

static void change(const char *dst, uint8_t bits)
{
	const struct rtnl_route_key key = to(dst);
	const struct rtnl_prefix prefix = {.addr = key.dst, .family = key.family, .bits = bits};

	routes_changed(routes, &prefix);
}

// Reviews all; the kernel is asked 'queries' times.
static bool reviewed(unsigned int queries)
{
	const unsigned int before = kernel.queries;
	bool changed;

	assert_int_equal(routes_review(routes, ALL, &changed), 0);
	assert_int_equal(kernel.queries - before, queries);
	return changed;
}

static uint32_t held(const char *dst)
{
	const uint32_t answer = get_to(dst, 1);

	assert_int_not_equal(answer, ROUTES_NONE);
	routes_ref(routes, answer);
	return answer;
}

// --- tests ---

// By destination, ingress and mark; the rest only where rules or routes look at it.
static void test_key(void **state)
{
	struct rtnl_route_key key = to("10.0.0.1");
	uint32_t answer;

	(void)state;
	answer = get(&key, 1);
	key.src.bytes[0]++;
	key.sport_be++;
	key.proto = NFO_UDP;
	assert_int_equal(get(&key, 0), answer);
	key.iif = WAN;
	assert_int_not_equal(get(&key, 1), answer);
	key.mark = 5;
	get(&key, 1);
	get_to("10.0.0.2", 1);
	kernel.rules[0].src = true;
	reviewed(0);
	get_to("10.0.0.1", 1);
	key = to("10.0.0.1");
	key.sport_be++;
	get(&key, 0);
	key.src.bytes[0]++;
	get(&key, 1);
	assert_int_equal(kernel.key.src.bytes[0], 10);
	kernel.rules[0].l4 = true;
	get(&key, 1);
	get(&key, 0);
	key.sport_be++;
	get(&key, 1);
	assert_int_equal(kernel.key.sport_be, key.sport_be);
}

// What looks at the source may say no to one and yes to the next.
static void test_errors(void **state)
{
	const struct rtnl_route_key key = to("10.0.0.1");
	struct rtnl_route route;

	(void)state;
	kernel.err = -EXDEV;
	for (unsigned int i = 1; i < 4; i++) {
		assert_int_equal(routes_get(routes, &key, &route), -EXDEV);
		assert_int_equal(route.answer, ROUTES_NONE);
		assert_int_equal(kernel.queries, i);
	}
	kernel.err = 0;
	get(&key, 1);
	get(&key, 0);
}

// A prefix brings what it covers into doubt, to the bit, and no more.
static void test_prefixes(void **state)
{
	static const struct {
		const char *prefix;
		uint8_t bits;
		unsigned int four, six;
	} cases[] = {
		{"0.0.0.0", 0, 1, 0},
		{"10.1.2.128", 25, 1, 0},
		{"10.1.2.0", 25, 0, 0},
		{"10.1.2.129", 32, 1, 0},
		{"10.1.2.128", 32, 0, 0},
		{"10.1.2.128", 31, 1, 0},
		{"11.0.0.0", 8, 0, 0},
		{"10.0.0.0", 7, 1, 0},
		{"::", 0, 0, 1},
		{"2001:db8::", 32, 0, 1},
		{"2001:db8:8000::", 33, 0, 0},
		{"2001:db8::1", 128, 0, 1},
		{"2001:db8::2", 128, 0, 0},
		{"2001:db8::", 127, 0, 1},
	};
	const uint32_t four = held("10.1.2.129"), six = held("2001:db8::1");

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		change(cases[i].prefix, cases[i].bits);
		change(cases[i].prefix, cases[i].bits); // twice is once
		assert_false(reviewed(cases[i].four + cases[i].six));
	}
	kernel.oif = LAN;
	change("10.1.2.129", 32);
	assert_true(reviewed(1));
	assert_int_equal(routes_version(routes, four), routes_version(routes, six) + 1);
	assert_int_equal(get_to("10.1.2.129", 0), four);
}

// More changes than are told apart concern all.
static void test_many_prefixes(void **state)
{
	char dst[32];

	(void)state;
	held("2001:db8::1");
	for (int i = 0; i < 64; i++) {
		snprintf(dst, sizeof(dst), "10.0.%d.0", i);
		change(dst, 24);
	}
	assert_false(reviewed(0));
	for (int i = 0; i < 65; i++) {
		snprintf(dst, sizeof(dst), "10.0.%d.0", i);
		change(dst, 24);
	}
	assert_false(reviewed(1));
}

// In doubt until asked again, a few at a time; who asks meanwhile gets the new answer.
static void test_budget(void **state)
{
	const uint32_t one = held("10.0.0.1"), two = held("10.0.0.2"), three = held("10.0.0.3");
	bool changed;

	(void)state;
	routes_all_changed(routes);
	kernel.oif = LAN;
	assert_int_equal(routes_review(routes, 1, &changed), 2);
	assert_true(changed);
	assert_false(routes_in_doubt(routes, one));
	assert_true(routes_in_doubt(routes, two) && routes_in_doubt(routes, three));
	get_to("10.0.0.1", 0);
	assert_int_equal(get_to("10.0.0.2", 1), two);
	assert_int_equal(routes_version(routes, two), routes_version(routes, one));
	assert_int_equal(routes_review(routes, 1, &changed), 1);
	assert_int_equal(routes_review(routes, 1, &changed), 0);
	assert_true(changed);
	assert_int_equal(routes_version(routes, three), routes_version(routes, one));
	assert_false(reviewed(0));
}

static void test_route_goes(void **state)
{
	const uint32_t answer = held("10.0.0.1");
	const uint32_t version = routes_version(routes, answer);
	struct rtnl_route route;
	const struct rtnl_route_key key = to("10.0.0.1");

	(void)state;
	kernel.err = -ENETUNREACH;
	change("10.0.0.0", 8);
	assert_true(reviewed(1));
	assert_int_not_equal(routes_version(routes, answer), version);
	assert_int_equal(routes_get(routes, &key, &route), -ENETUNREACH); // asks again each time
	kernel.err = 0;
	assert_int_equal(get(&key, 1), answer);
	assert_int_equal(get(&key, 0), answer);
}

static void test_links_and_neighbours(void **state)
{
	const uint32_t answer = held("10.0.0.1");
	uint32_t version = routes_version(routes, answer);
	struct rtnl_neigh neigh = {.ifindex = WAN, .family = NFO_IPV4};

	(void)state;
	routes_link_changed(routes, 7);
	assert_false(reviewed(0));
	routes_link_changed(routes, WAN);
	assert_true(reviewed(1));
	assert_int_not_equal(routes_version(routes, answer), version);
	version = routes_version(routes, answer);
	routes_link_changed(routes, LAN); // where it comes in
	assert_true(reviewed(1));
	neigh.addr.v4_be = inet_addr("10.0.0.2");
	routes_neigh_changed(routes, &neigh);
	neigh.addr.v4_be = inet_addr("10.0.0.1");
	neigh.ifindex = LAN;
	routes_neigh_changed(routes, &neigh);
	assert_false(reviewed(0));
	neigh.ifindex = WAN;
	routes_neigh_changed(routes, &neigh);
	assert_true(reviewed(0));
}

// Where a source matters that did not, or the other way, nothing old is found.
static void test_relevance(void **state)
{
	const uint32_t answer = held("10.0.0.1");
	const uint32_t version = routes_version(routes, answer);

	(void)state;
	kernel.facts[0].multipath = true;
	assert_true(reviewed(0));
	assert_int_not_equal(routes_version(routes, answer), version);
	assert_int_not_equal(get_to("10.0.0.1", 1), answer);
	routes_doubt(routes, answer);
	routes_unref(routes, answer);
	assert_false(reviewed(0));
	assert_false(reviewed(0));
}

static void test_multipath(void **state)
{
	const struct rtnl_route_key key = to("10.0.0.1");

	(void)state;
	kernel.multipath = 1;
	get(&key, 1);
	assert_int_equal(routes_multipath(routes, &key), 0); // there is none at all
	assert_int_equal(kernel.queries, 1);
	kernel.facts[0].multipath = true;
	reviewed(0);
	routes_ref(routes, get(&key, 1));
	for (int i = 0; i < 3; i++)
		assert_int_equal(routes_multipath(routes, &key), 1);
	assert_int_equal(kernel.queries, 3);
	kernel.multipath = 0;
	change("10.0.0.1", 32);
	reviewed(1);
	assert_int_equal(routes_multipath(routes, &key), 0);
}

static uint32_t answers(void)
{
	struct routes_stats stats;

	routes_stats(routes, &stats);
	return stats.answers;
}

static void age(unsigned int times)
{
	while (times-- > 0) {
		routes_age(routes);
		reviewed(0);
	}
}

// An answer that nobody needs stays for a while and is then forgotten; the others are asked for again
// by and by.
static void test_age(void **state)
{
	unsigned int queries;
	bool changed;

	(void)state;
	get_to("10.0.0.1", 1);
	age(1);
	assert_int_equal(answers(), 1);
	age(200);
	assert_int_equal(answers(), 0);
	held("10.0.0.1");
	queries = kernel.queries;
	kernel.oif = LAN; // nobody told
	for (int i = 0; i < 200; i++)
		routes_age(routes);
	routes_review(routes, ALL, &changed);
	assert_true(changed);
	assert_true(kernel.queries > queries);
	assert_int_equal(answers(), 1);
}

// Full: answers go through, but are not kept.
static void test_full(void **state)
{
	char dst[32];

	(void)state;
	for (int i = 0; i < MAX; i++) {
		snprintf(dst, sizeof(dst), "10.0.1.%d", i);
		held(dst);
	}
	assert_int_equal(get_to("10.0.2.1", 1), ROUTES_NONE);
	assert_int_equal(get_to("10.0.2.1", 1), ROUTES_NONE);
	assert_int_equal(answers(), MAX);
}

static int set_up(void **state)
{
	(void)state;
	memset(&kernel, 0, sizeof(kernel));
	kernel.oif = WAN;
	routes = routes_create(NULL, MAX);
	return routes != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	routes_destroy(routes);
	return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(key),
		TEST(errors),
		TEST(prefixes),
		TEST(many_prefixes),
		TEST(budget),
		TEST(route_goes),
		TEST(links_and_neighbours),
		TEST(relevance),
		TEST(multipath),
		TEST(age),
		TEST(full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
