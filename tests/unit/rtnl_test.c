// SPDX-License-Identifier: GPL-2.0-or-later
// Sources: ctrl/rtnl_decode.c ctrl/rtnl_table.c ctrl/nl.c
// The messages of rtnetlink, decoded. rtnl_live_test.c has the rest.
#include "rtnl.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include "recorded/rtnl.h"
#include "rtnl_table.h"

static struct rtnl_link link_of(const uint8_t *msg)
{
	struct rtnl_link link;

	memset(&link, 0x55, sizeof(link));
	assert_int_equal(rtnl_decode_link(recorded_msg(msg), &link), 0);
	return link;
}

static struct rtnl_neigh neigh_of(const uint8_t *msg)
{
	struct rtnl_neigh neigh;

	memset(&neigh, 0x55, sizeof(neigh));
	assert_int_equal(rtnl_decode_neigh(recorded_msg(msg), &neigh), 0);
	return neigh;
}

static struct rtnl_route route_of(const uint8_t *msg)
{
	struct rtnl_route route;

	memset(&route, 0x55, sizeof(route));
	assert_int_equal(rtnl_decode_route(recorded_msg(msg), &route), 0);
	return route;
}

static void assert_addr(const union nfo_addr *addr, uint8_t family, const char *text)
{
	char buf[INET6_ADDRSTRLEN];

	assert_non_null(inet_ntop(family, addr->bytes, buf, sizeof(buf)));
	assert_string_equal(buf, text);
}

static void links(void **state)
{
	struct rtnl_link tap = link_of(link_tap), veth = link_of(link_veth_up);
	struct rtnl_link port = link_of(link_enslaved), del = link_of(link_del);

	(void)state;
	assert_string_equal(tap.name, "tap0");
	assert_string_equal(tap.kind, "tun");
	assert_int_equal(tap.mtu, 1500);
	assert_false(tap.up);
	assert_int_equal(tap.master, 0);
	assert_string_equal(veth.name, "c0");
	assert_string_equal(veth.kind, "veth");
	assert_int_equal(veth.mtu, 1400);
	assert_true(veth.up);
	assert_true(veth.carrier);
	assert_int_equal(port.ifindex, tap.ifindex);
	assert_int_not_equal(port.master, 0);
	assert_memory_equal(port.mac, tap.mac, NFO_ETH_ALEN);
	assert_int_equal(del.ifindex, tap.ifindex);
	assert_int_equal(del.master, 0);
}

// A bridge tells of its ports in messages of the same types: one that leaves the bridge is not
// gone.
static void bridge_ports_are_no_links(void **state)
{
	struct rtnl_link link;

	(void)state;
	assert_int_equal(((const struct nlmsghdr *)link_bridge_del)->nlmsg_type, RTM_DELLINK);
	assert_int_equal(rtnl_decode_link(recorded_msg(link_bridge_del), &link), -EBADMSG);
	assert_int_equal(rtnl_decode_link(recorded_msg(link_bridge_family), &link), -EBADMSG);
}

static void neighbours(void **state)
{
	const uint8_t mac[] = {2, 0, 0, 0, 0, 0x77}, mac6[] = {2, 0, 0, 0, 0, 0x78};
	struct rtnl_neigh four = neigh_of(neigh_permanent), six = neigh_of(neigh_stale_v6);
	struct rtnl_neigh failed = neigh_of(neigh_failed), del = neigh_of(neigh_del), fdb;

	(void)state;
	assert_int_equal(four.family, NFO_IPV4);
	assert_addr(&four.addr, NFO_IPV4, "10.0.1.77");
	assert_true(four.valid);
	assert_memory_equal(four.mac, mac, sizeof(mac));
	assert_int_equal(six.family, NFO_IPV6);
	assert_addr(&six.addr, NFO_IPV6, "2001:db8::77");
	assert_true(six.valid);
	assert_memory_equal(six.mac, mac6, sizeof(mac6));
	assert_int_equal(four.ifindex, six.ifindex);
	assert_addr(&failed.addr, NFO_IPV4, "10.0.1.99");
	assert_false(failed.valid);
	assert_memory_equal(&del.addr, &four.addr, sizeof(four.addr));
	assert_int_equal(rtnl_decode_neigh(recorded_msg(neigh_fdb), &fdb), -EBADMSG);
}

static void routes(void **state)
{
	struct rtnl_route onlink = route_of(route_onlink), gw = route_of(route_gateway_mtu);
	struct rtnl_route via = route_of(route_via_inet6), local = route_of(route_local);
	struct rtnl_route six = route_of(route_v6_gateway);

	(void)state;
	assert_int_equal(onlink.type, RTN_UNICAST);
	assert_int_equal(onlink.gateway_family, 0);
	assert_addr(&onlink.gateway, NFO_IPV4, "10.0.2.2");
	assert_int_equal(onlink.mtu, 0);
	assert_int_equal(gw.gateway_family, NFO_IPV4);
	assert_addr(&gw.gateway, NFO_IPV4, "10.0.2.2");
	assert_int_equal(gw.mtu, 1300);
	assert_int_equal(gw.oif, onlink.oif);
	assert_int_equal(via.gateway_family, NFO_IPV6);
	assert_addr(&via.gateway, NFO_IPV6, "fe80::1");
	assert_int_equal(local.type, RTN_LOCAL);
	assert_int_equal(six.gateway_family, NFO_IPV6);
	assert_addr(&six.gateway, NFO_IPV6, "2001:db8:1::2");
	assert_int_equal(six.oif, onlink.oif);
}

static void rules(void **state)
{
	const struct {
		const uint8_t *msg;
		struct rtnl_rule expected;
	} all[] = {
		{rule_plain, {.family = NFO_IPV4}},
		{rule_fwmark, {.family = NFO_IPV4, .mark = 1, .mask = 0xff}},
		{rule_tos, {.family = NFO_IPV4, .other = true}},
		{rule_mark_zero, {.family = NFO_IPV4, .mask = 0xf, .other = true}},
		{rule_fwmark_v6, {.family = NFO_IPV6, .mark = 2, .mask = UINT32_MAX}},
		{rule_from_v6, {.family = NFO_IPV6, .src = true}},
	};

	(void)state;
	for (size_t i = 0; i < MNL_ARRAY_SIZE(all); i++) {
		struct rtnl_rule rule;

		assert_int_equal(rtnl_decode_rule(recorded_msg(all[i].msg), &rule), 0);
		assert_int_equal(rule.family, all[i].expected.family);
		assert_int_equal(rule.mark, all[i].expected.mark);
		assert_int_equal(rule.mask, all[i].expected.mask);
		assert_int_equal(rule.iif, all[i].expected.iif);
		assert_int_equal(rule.src, all[i].expected.src);
		assert_int_equal(rule.l4, all[i].expected.l4);
		assert_int_equal(rule.other, all[i].expected.other);
	}
}

static void cut_short(void **state)
{
	(void)state;
	for (size_t i = 0; i < MNL_ARRAY_SIZE(recorded_rtnl); i++) {
		for (size_t n = sizeof(struct nlmsghdr); n < recorded_rtnl[i].bytes; n++) {
			struct nlmsghdr *nlh = recorded_cut(&recorded_rtnl[i], n);
			struct rtnl_link link;
			struct rtnl_neigh neigh;
			struct rtnl_route route;
			struct rtnl_rule rule;
			struct rtnl_prefix prefix;
			struct rtnl_facts facts;
			rtnl_decode_link(nlh, &link);
			rtnl_decode_neigh(nlh, &neigh);
			rtnl_decode_route(nlh, &route);
			rtnl_decode_prefix(nlh, &prefix, &facts);
			rtnl_decode_rule(nlh, &rule);
			free(nlh);
		}
	}
}

// The n-th neighbour of a large network.
static struct rtnl_neigh nth(uint32_t n)
{
	struct rtnl_neigh neigh = {.ifindex = 1 + (int)(n % 3), .family = NFO_IPV4, .valid = true};

	neigh.addr.v4_be = htonl(0x0a000000 + n / 3);
	memcpy(neigh.mac, &n, sizeof(n));
	return neigh;
}

static const struct rtnl_neigh *find_nth(const struct neigh_table *t, uint32_t n)
{
	struct rtnl_neigh key = nth(n);

	return neigh_table_find(t, key.ifindex, key.family, &key.addr);
}

static void many_neighbours(void **state)
{
	const uint32_t n = 100000;
	struct neigh_table t = {0};
	struct rtnl_neigh neigh, was;
	bool was_valid;

	(void)state;
	assert_null(find_nth(&t, 0));
	assert_false(neigh_table_take_unseen(&t, &was));
	for (uint32_t i = 0; i < n; i++) {
		neigh = nth(i);
		assert_int_equal(neigh_table_put(&t, &neigh, &was_valid), TABLE_NEW);
		assert_int_equal(neigh_table_put(&t, &neigh, &was_valid), TABLE_SAME);
	}
	assert_int_equal(t.n, n);
	for (uint32_t i = 0; i < n; i += 2) {
		neigh = nth(i);
		assert_true(neigh_table_take(&t, &neigh, &was));
		assert_memory_equal(was.mac, neigh.mac, NFO_ETH_ALEN);
		assert_false(neigh_table_take(&t, &neigh, &was));
	}
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(find_nth(&t, i) != NULL, i % 2);
	neigh_table_fini(&t);
}

static void vanished_neighbours(void **state)
{
	const uint32_t n = 10000;
	struct neigh_table t = {0};
	struct rtnl_neigh neigh, was;
	unsigned int gone = 0;
	bool was_valid;

	(void)state;
	for (uint32_t i = 0; i < n; i++) {
		neigh = nth(i);
		neigh_table_put(&t, &neigh, &was_valid);
	}
	neigh_table_unsee(&t);
	for (uint32_t i = 0; i < n; i += 10) {
		neigh = nth(i);
		neigh.valid = i % 20;
		assert_int_equal(neigh_table_put(&t, &neigh, &was_valid),
			neigh.valid ? TABLE_SAME : TABLE_CHANGED);
		assert_true(was_valid);
	}
	for (; neigh_table_take_unseen(&t, &was); gone++)
		assert_null(neigh_table_find(&t, was.ifindex, was.family, &was.addr));
	assert_int_equal(gone, n - n / 10);
	assert_int_equal(t.n, n / 10);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(find_nth(&t, i) != NULL, i % 10 == 0);
	neigh_table_fini(&t);
}

static void link_tables(void **state)
{
	struct rtnl_link link = {.name = "x"}, was;
	struct link_table t = {0};

	(void)state;
	for (int i = 500; i > 0; i--) {
		link.ifindex = i * 7 % 501;
		assert_int_equal(link_table_put(&t, &link), TABLE_NEW);
	}
	assert_int_equal(link_table_put(&t, &link), TABLE_SAME);
	link.carrier = true;
	strcpy(link.name, "y");
	assert_int_equal(link_table_put(&t, &link), TABLE_CHANGED);
	assert_ptr_equal(link_table_find_name(&t, "y"), link_table_find(&t, link.ifindex));
	assert_null(link_table_find_name(&t, "z"));
	for (int i = 1; i <= 500; i++)
		assert_int_equal(link_table_find(&t, i)->ifindex, i);
	assert_true(link_table_take(&t, 250, &was));
	assert_null(link_table_find(&t, 250));
	link_table_unsee(&t);
	link_table_put(&t, &link);
	for (int i = 0; i < 498; i++)
		assert_true(link_table_take_unseen(&t, &was));
	assert_false(link_table_take_unseen(&t, &was));
	assert_int_equal(t.n, 1);
	link_table_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links),
		cmocka_unit_test(bridge_ports_are_no_links),
		cmocka_unit_test(neighbours),
		cmocka_unit_test(routes),
		cmocka_unit_test(rules),
		cmocka_unit_test(cut_short),
		cmocka_unit_test(many_neighbours),
		cmocka_unit_test(vanished_neighbours),
		cmocka_unit_test(link_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
