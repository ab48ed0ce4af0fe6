// SPDX-License-Identifier: GPL-2.0-or-later
// nexthop.h: what is shared, and what a new address of a neighbour changes.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
// clang-format on

#include <string.h>

#include "eal.h"
#include "nexthop.h"

enum { WORKER };

static struct rte_rcu_qsbr *qsbr;
static struct nexthops *hops;
static const uint8_t mac[3][NFO_ETH_ALEN] = {
	{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}, {2, 0, 0, 0, 0, 3}};
static const struct nfo_via gateway = {.addr.v4_be = 1, .dev = 5, .family = NFO_IPV4};
static const struct nfo_via twin_of_gateway = {.addr.v4_be = 1, .dev = 6, .family = NFO_IPV4};

static struct nfo_flow flow_to(const uint8_t dst[NFO_ETH_ALEN], const struct nfo_via *via)
{
	struct nfo_flow flow = {.out_port = 1};

	memcpy(flow.eth_dst, dst, NFO_ETH_ALEN);
	if (via != NULL)
		flow.via = *via;
	return flow;
}

static uint16_t get(const uint8_t dst[NFO_ETH_ALEN], const struct nfo_via *via)
{
	const struct nfo_flow flow = flow_to(dst, via);
	const uint16_t number = nexthop_get(hops, &flow);

	assert_int_not_equal(number, NEXTHOP_NONE);
	return number;
}

static bool usable(uint16_t number)
{
	return nexthop_l2_bytes(&hops->hop[number]) != 0;
}

static void check_mac(uint16_t number, const uint8_t dst[NFO_ETH_ALEN])
{
	assert_true(usable(number));
	assert_memory_equal(hops->hop[number].l2, dst, NFO_ETH_ALEN);
}

static void settle(void)
{
	rte_rcu_qsbr_quiescent(qsbr, WORKER);
	nexthops_settle(hops);
}

// All flows to a neighbour share a next hop; numbers come back.
static void test_shared(void **state)
{
	struct nfo_flow flow = flow_to(mac[0], NULL);
	uint16_t one, other;

	(void)state;
	one = nexthop_get(hops, &flow);
	flow.match.sport_be++;
	assert_int_equal(nexthop_get(hops, &flow), one);
	flow.out_port++;
	other = nexthop_get(hops, &flow);
	assert_int_not_equal(other, one);
	nexthop_put(hops, one);
	nexthop_put(hops, other);
	flow.eth_dst[5]++;
	assert_int_equal(nexthop_get(hops, &flow), other); // free again
	assert_int_equal(hops->cold[one].refs, 1);
	nexthop_put(hops, NEXTHOP_NONE);
}

static void test_full(void **state)
{
	struct nfo_flow flow = flow_to(mac[0], NULL);

	(void)state;
	for (uint32_t i = 1; i < NEXTHOP_MAX; i++) {
		memcpy(flow.eth_dst, &i, 4);
		assert_int_not_equal(nexthop_get(hops, &flow), NEXTHOP_NONE);
	}
	memset(flow.eth_dst, 0, 6);
	assert_int_equal(nexthop_get(hops, &flow), NEXTHOP_NONE);
}

// The neighbour's next hops change, on whatever port, and no others; not before the workers are done.
static void test_new_mac(void **state)
{
	struct nfo_flow flow = flow_to(mac[0], &gateway);
	const uint16_t a = get(mac[0], &gateway), other = get(mac[0], &twin_of_gateway);
	const uint16_t unnamed = get(mac[0], NULL);
	uint16_t b;

	(void)state;
	flow.out_port++;
	b = nexthop_get(hops, &flow);
	assert_int_not_equal(a, b);
	nexthops_neigh(hops, &gateway, mac[1]);
	assert_false(usable(a) || usable(b));
	nexthops_settle(hops);
	assert_false(usable(a) || usable(b));
	settle();
	check_mac(a, mac[1]);
	check_mac(b, mac[1]);
	check_mac(other, mac[0]);
	check_mac(unnamed, mac[0]);
	// the name tells it, not the address
	assert_int_equal(get(mac[1], &gateway), a);
}

// The address that it has already is no change.
static void test_same_mac(void **state)
{
	const uint16_t a = get(mac[0], &gateway);

	(void)state;
	nexthops_neigh(hops, &gateway, mac[0]);
	assert_true(usable(a));
	assert_int_equal(get(mac[0], &gateway), a);
	assert_true(usable(a));
}

// The last of several changes counts, each has its wait.
static void test_changes(void **state)
{
	const uint16_t a = get(mac[0], &gateway);

	(void)state;
	nexthops_neigh(hops, &gateway, mac[1]);
	rte_rcu_qsbr_quiescent(qsbr, WORKER);
	nexthops_neigh(hops, &gateway, mac[2]);
	nexthops_settle(hops);
	assert_false(usable(a));
	settle();
	check_mac(a, mac[2]);
	nexthops_neigh(hops, &gateway, mac[1]);
	nexthops_neigh(hops, &gateway, mac[2]);
	settle();
	check_mac(a, mac[2]);
}

// Without an address nothing leaves, until it has one by an event or by a flow that knows it.
static void test_unknown(void **state)
{
	const uint16_t a = get(mac[0], &gateway);

	(void)state;
	nexthops_neigh(hops, &gateway, mac[1]);
	nexthops_neigh(hops, &gateway, NULL);
	settle();
	assert_false(usable(a));
	nexthops_neigh(hops, &gateway, mac[1]);
	settle();
	check_mac(a, mac[1]);
	nexthops_neigh(hops, &gateway, NULL);
	assert_int_equal(get(mac[2], &gateway), a);
	settle();
	check_mac(a, mac[2]);
}

// One that goes while it waits takes nothing along.
static void test_put_while_waiting(void **state)
{
	const uint16_t a = get(mac[0], &gateway);

	(void)state;
	nexthops_neigh(hops, &gateway, mac[1]);
	nexthop_put(hops, a);
	assert_int_equal(hops->n_draining, 0);
	assert_int_equal(get(mac[2], NULL), a);
	settle();
	check_mac(a, mac[2]);
}

static int set_up(void **state)
{
	(void)state;
	qsbr = aligned_alloc(64, rte_rcu_qsbr_get_memsize(1));
	rte_rcu_qsbr_init(qsbr, 1);
	rte_rcu_qsbr_thread_register(qsbr, WORKER);
	rte_rcu_qsbr_thread_online(qsbr, WORKER);
	hops = nexthops_create(qsbr);
	return hops != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	nexthops_destroy(hops);
	free(qsbr);
	return 0;
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_shared),
		TEST(test_full),
		TEST(test_new_mac),
		TEST(test_same_mac),
		TEST(test_changes),
		TEST(test_unknown),
		TEST(test_put_while_waiting),
	};

	if (eal_for_test("64") < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
