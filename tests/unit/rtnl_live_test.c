// SPDX-License-Identifier: GPL-2.0-or-later
// Sources: ctrl/rtnl.c ctrl/rtnl_decode.c ctrl/rtnl_table.c ctrl/nl.c ctrl/loop.c ctrl/log.c
// The mirror of links, neighbours and rules against the running kernel.
#include "rtnl.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "live.h"

struct told {
	struct rtnl *rtnl;
	unsigned int n[RTNL_LOST + 1];
	struct rtnl_link link;
	struct rtnl_neigh neigh;
	struct rtnl_prefix prefix;
	unsigned int links_gone;
	bool ask; // for a route, from within the handler
	int asked;
};

static struct rtnl_route_key key_to(uint8_t family, const char *dst)
{
	struct rtnl_route_key key = {.family = family};

	assert_int_equal(inet_pton(family, dst, &key.dst), 1);
	return key;
}

static void on_change(void *arg, const struct rtnl_event *event)
{
	struct told *told = arg;
	struct rtnl_route route;

	told->n[event->change]++;
	if (event->link)
		told->link = *event->link;
	told->links_gone += event->link && event->gone;
	if (event->neigh)
		told->neigh = *event->neigh;
	if (event->prefix)
		told->prefix = *event->prefix;
	if (told->ask) {
		struct rtnl_route_key key = key_to(NFO_IPV4, "10.0.1.2");
		told->asked = rtnl_route_get(told->rtnl, &key, &route);
	}
}

static const char topology[] =
	"ip link set lo up; ip link add c0 address 02:00:00:00:00:01 type veth peer c1; "
	"ip link set c1 up; ip link set c0 up; ip addr add 10.0.1.1/24 dev c0; "
	"ip addr add 10.0.2.1/24 dev c1; echo 1 >/proc/sys/net/ipv4/ip_forward";

static struct loop *start(void **state, struct told *told)
{
	struct loop *loop = live_loop(state);

	memset(told, 0, sizeof(*told));
	live_run(topology);
	told->rtnl = rtnl_create(loop, on_change, told);
	assert_non_null(told->rtnl);
	live_turns(loop, 20);
	memset(told->n, 0, sizeof(told->n));
	return loop;
}

static int index_of(const struct told *told, const char *name)
{
	const struct rtnl_link *link = rtnl_link_by_name(told->rtnl, name);

	assert_non_null(link);
	assert_ptr_equal(link, rtnl_link_by_index(told->rtnl, link->ifindex));
	return link->ifindex;
}

static const struct rtnl_neigh *neigh_at(const struct told *told, const char *dev, const char *ip)
{
	union nfo_addr addr = {0};

	assert_int_equal(inet_pton(AF_INET, ip, &addr), 1);
	return rtnl_neigh_find(told->rtnl, index_of(told, dev), NFO_IPV4, &addr);
}

static void links(void **state)
{
	struct told told;
	struct loop *loop = start(state, &told);
	const struct rtnl_link *c0 = rtnl_link_by_name(told.rtnl, "c0");

	assert_non_null(c0);
	assert_true(c0->up && c0->carrier);
	assert_string_equal(c0->kind, "veth");
	live_run("ip link add br0 type bridge && ip link set c0 master br0");
	live_until(loop, index_of(&told, "c0") && rtnl_link_by_name(told.rtnl, "c0")->master);
	assert_int_equal(rtnl_link_by_name(told.rtnl, "c0")->master, index_of(&told, "br0"));
	live_run("ip link set c0 nomaster"); // with a DELLINK of the bridge's family
	live_until(loop, !rtnl_link_by_name(told.rtnl, "c0")->master);
	live_run("ip link set c1 down");
	live_until(loop, !rtnl_link_by_name(told.rtnl, "c0")->carrier);
	live_run("ip link set c0 down; ip link set c0 name renamed");
	live_until(loop, rtnl_link_by_name(told.rtnl, "renamed") != NULL);
	assert_null(rtnl_link_by_name(told.rtnl, "c0"));
	live_run("ip link del br0; ip link del renamed");
	live_until(loop, !rtnl_link_by_name(told.rtnl, "renamed"));
	live_until(loop, told.links_gone == 3);
	assert_false(told.link.up);
	assert_int_equal(told.n[RTNL_LOST], 0);
	rtnl_destroy(told.rtnl);
}

// A tap that somebody holds open; only then it takes a carrier.
static int open_tap(const char *name)
{
	struct ifreq req = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	if (fd >= 0 && !ioctl(fd, TUNSETIFF, &req))
		return fd;
	print_message("no tap: %s\n", strerror(errno));
	skip();
	return -1;
}

static void set_link(void **state)
{
	const uint8_t mac[NFO_ETH_ALEN] = {2, 0, 0, 0, 0, 9};
	struct told told;
	struct loop *loop = start(state, &told);
	int fd = open_tap("tap0"), tap;

	live_run("ip link set tap0 up");
	live_until(loop, rtnl_link_by_name(told.rtnl, "tap0") != NULL);
	tap = index_of(&told, "tap0");
	assert_int_equal(rtnl_link_set_mtu(told.rtnl, tap, 1300), 0);
	assert_int_equal(rtnl_link_set_mac(told.rtnl, tap, mac), 0);
	assert_int_equal(rtnl_link_set_carrier(told.rtnl, tap, false), 0);
	live_until(loop, !rtnl_link_by_index(told.rtnl, tap)->carrier);
	assert_int_equal(rtnl_link_by_index(told.rtnl, tap)->mtu, 1300);
	assert_memory_equal(rtnl_link_by_index(told.rtnl, tap)->mac, mac, sizeof(mac));
	assert_int_equal(rtnl_link_set_carrier(told.rtnl, tap, true), 0);
	live_until(loop, rtnl_link_by_index(told.rtnl, tap)->carrier);
	assert_int_equal(rtnl_link_set_mtu(told.rtnl, 9999, 1300), -ENODEV);
	assert_int_equal(rtnl_link_set_mtu(told.rtnl, tap, 1), -EINVAL);
	rtnl_destroy(told.rtnl);
	close(fd);
}

static void neighbours(void **state)
{
	struct told told;
	struct loop *loop = start(state, &told);

	told.ask = true;
	live_run("ip neigh add 10.0.1.2 lladdr 02:00:00:00:00:02 dev c0 nud reachable");
	live_until(loop, told.n[RTNL_NEIGH] == 1);
	assert_int_equal(told.asked, 0); // a handler may ask
	assert_true(neigh_at(&told, "c0", "10.0.1.2")->valid);
	live_run("ip neigh change 10.0.1.2 lladdr 02:00:00:00:00:02 dev c0 nud stale");
	live_run("ip neigh change 10.0.1.2 lladdr 02:00:00:00:00:02 dev c0 nud permanent");
	live_run("ip neigh add 10.0.1.3 dev c0 nud failed"); // from nothing to nothing
	live_run("ip neigh change 10.0.1.2 lladdr 02:00:00:00:00:05 dev c0 nud permanent");
	live_until(loop, told.n[RTNL_NEIGH] > 1);
	live_turns(loop, 20);
	assert_int_equal(told.n[RTNL_NEIGH], 2);
	assert_int_equal(told.neigh.mac[5], 5);
	live_run("ip neigh change 10.0.1.2 dev c0 nud failed");
	live_until(loop, told.n[RTNL_NEIGH] == 3);
	assert_false(told.neigh.valid);
	live_run("ip neigh replace 10.0.1.2 lladdr 02:00:00:00:00:05 dev c0 nud permanent");
	live_until(loop, told.n[RTNL_NEIGH] == 4);
	live_run("ip neigh del 10.0.1.2 dev c0");
	live_until(loop, !neigh_at(&told, "c0", "10.0.1.2"));
	assert_false(told.neigh.valid);
	rtnl_destroy(told.rtnl);
}

static void rules(void **state)
{
	struct told told;
	struct loop *loop = start(state, &told);

	const struct rtnl_rules *v4 = rtnl_rules(told.rtnl, NFO_IPV4);
	const struct rtnl_rules *v6 = rtnl_rules(told.rtnl, NFO_IPV6);

	assert_int_equal(v4->n_marks, 0);
	live_run("ip rule add fwmark 1/0xff table 100; ip rule add iif c0 table 100");
	live_until(loop, v4->n_marks == 1 && v4->iif);
	assert_int_equal(v4->mark[0], 1);
	assert_int_equal(v4->mask[0], 0xff);
	assert_false(v4->other || v6->n_marks != 0 || v6->iif);
	live_until(loop, told.n[RTNL_RULES] > 0);
	assert_false(v4->src || v4->l4);
	live_run("ip -6 rule add tos 0x10 table 100; ip rule del fwmark 1/0xff table 100; "
		 "ip rule del iif c0");
	live_until(loop, v4->n_marks == 0 && !v4->iif);
	live_until(loop, v6->other);
	live_run("ip rule add from 10.0.0.0/8 table 100; ip -6 rule add ipproto tcp table 100");
	live_until(loop, v4->src && v6->l4);
	assert_false(v4->l4 || v6->src);
	// more than there is room for: as if one looked at what nobody knows
	live_run("for i in $(seq 17); do ip rule add fwmark $i table 100; done");
	live_until(loop, v4->other);
	rtnl_destroy(told.rtnl);
}

// False where the kernel has no such interfaces; the test is over then.
static bool try_run(const char *command)
{
	return system(command) == 0;
}

static const struct rtnl_link *link_at(const struct told *told, const char *name)
{
	const struct rtnl_link *link = rtnl_link_by_name(told->rtnl, name);

	return link != NULL ? link : &told->link;
}

static void vlans(void **state)
{
	struct told told;
	struct loop *loop = start(state, &told);
	const struct rtnl_link *l;

	if (!try_run("ip link add link c0 name c0.5 type vlan id 5 2>/dev/null")) {
		rtnl_destroy(told.rtnl);
		skip();
	}
	live_run("ip link add link c0 name c0.s type vlan proto 802.1ad id 4000 && "
		 "ip link add link c0.s name c0.s.7 type vlan id 7");
	live_until(loop, link_at(&told, "c0.s.7")->vlan.vid == 7);
	l = link_at(&told, "c0.5");
	assert_int_equal(l->lower, index_of(&told, "c0"));
	assert_int_equal(l->vlan.vid, 5);
	assert_int_equal(l->vlan.tpid_be, htons(0x8100));
	assert_false(l->vlan_qos);
	l = link_at(&told, "c0.s");
	assert_int_equal(l->vlan.vid, 4000);
	assert_int_equal(l->vlan.tpid_be, htons(0x88a8));
	assert_int_equal(link_at(&told, "c0.s.7")->lower, index_of(&told, "c0.s"));
	assert_int_equal(link_at(&told, "c0")->lower, 0); // though a veth has an IFLA_LINK
	live_run("ip link set c0.5 type vlan egress-qos-map 1:2");
	live_run("ip link set c0.5 mtu 1400"); // a map alone tells nobody
	live_until(loop, link_at(&told, "c0.5")->vlan_qos);
	rtnl_destroy(told.rtnl);
}

static void bonds(void **state)
{
	struct told told;
	struct loop *loop = start(state, &told);

	if (!try_run("ip link add bond9 type bond mode active-backup miimon 50 2>/dev/null")) {
		rtnl_destroy(told.rtnl);
		skip();
	}
	live_run("ip link set c0 down; ip link set c1 down; ip link set bond9 up; "
		 "ip link set c0 master bond9; ip link set c1 master bond9");
	live_until(loop, link_at(&told, "bond9")->bond_active != 0);
	assert_int_equal(link_at(&told, "bond9")->bond_mode, 1);
	live_run("ip link set bond9 type bond active_slave c0");
	live_until(loop, link_at(&told, "bond9")->bond_active == index_of(&told, "c0"));
	live_until(loop, link_at(&told, "c0")->slave_active);
	live_until(loop, !link_at(&told, "c1")->slave_active);
	live_run("ip link set bond9 type bond active_slave c1");
	live_until(loop, link_at(&told, "bond9")->bond_active == index_of(&told, "c1"));
	live_until(loop, link_at(&told, "c1")->slave_active);
	live_until(loop, !link_at(&told, "c0")->slave_active);
	rtnl_destroy(told.rtnl);
}

// A VRF: routes depend on the ingress; its links have it for a master.
static void vrfs(void **state)
{
	struct told told;
	struct loop *loop = start(state, &told);
	struct rtnl_route_key key = key_to(NFO_IPV4, "10.0.2.9");
	struct rtnl_route route;

	if (!try_run("ip link add blue type vrf table 77 2>/dev/null")) {
		rtnl_destroy(told.rtnl);
		skip();
	}
	live_run("ip link set blue up; ip link set c0 master blue; ip link set c1 master blue; "
		 "ip addr replace 10.0.1.1/24 dev c0; ip addr replace 10.0.2.1/24 dev c1");
	live_until(loop, rtnl_rules(told.rtnl, NFO_IPV4)->iif);
	live_until(loop, link_at(&told, "c1")->master == index_of(&told, "blue"));
	assert_string_equal(link_at(&told, "blue")->kind, "vrf");
	assert_int_equal(rtnl_route_get(told.rtnl, &key, &route), -ENETUNREACH);
	inet_pton(AF_INET, "10.0.1.9", &key.src);
	key.iif = index_of(&told, "c0");
	assert_int_equal(rtnl_route_get(told.rtnl, &key, &route), 0);
	assert_int_equal(route.oif, index_of(&told, "c1"));
	rtnl_destroy(told.rtnl);
}

static void multipath(void **state)
{
	struct told told;
	struct loop *loop = start(state, &told);
	struct rtnl_route_key key = key_to(NFO_IPV4, "10.9.0.1");
	struct rtnl_route_key key6 = key_to(NFO_IPV6, "2001:db8:9::1");

	assert_false(rtnl_facts(told.rtnl, NFO_IPV4)->multipath);
	live_run("ip route add 10.9.0.0/24 nexthop via 10.0.1.7 nexthop via 10.0.2.7; "
		 "ip route add 10.8.0.0/24 via 10.0.1.7; "
		 "ip -6 addr add 2001:db8::1/64 dev c0 nodad; "
		 "ip -6 route add 2001:db8:9::/64 nexthop via 2001:db8::2 nexthop via "
		 "2001:db8::3; ip -6 route add 2001:db8:8::/64 via 2001:db8::2");
	live_until(loop, rtnl_facts(told.rtnl, NFO_IPV4)->multipath);
	live_until(loop, rtnl_facts(told.rtnl, NFO_IPV6)->multipath);
	assert_false(rtnl_facts(told.rtnl, NFO_IPV6)->src);
	live_until(loop, told.n[RTNL_ROUTES] > 0);
	assert_int_equal(rtnl_route_multipath(told.rtnl, &key), 1);
	assert_int_equal(rtnl_route_multipath(told.rtnl, &key6), 1);
	key = key_to(NFO_IPV4, "10.8.0.1");
	key6 = key_to(NFO_IPV6, "2001:db8:8::1");
	assert_int_equal(rtnl_route_multipath(told.rtnl, &key), 0);
	assert_int_equal(rtnl_route_multipath(told.rtnl, &key6), 0);
	key = key_to(NFO_IPV4, "10.7.0.1");
	assert_int_equal(rtnl_route_multipath(told.rtnl, &key), -ENETUNREACH);
	rtnl_destroy(told.rtnl);
}

static void routes(void **state)
{
	struct told told;
	struct loop *loop = start(state, &told);
	struct rtnl_route_key key = key_to(NFO_IPV4, "10.9.0.1");
	struct rtnl_route route;
	int err;

	assert_int_equal(rtnl_route_get(told.rtnl, &key, &route), -ENETUNREACH);
	live_run("ip route add 10.9.0.0/24 via 10.0.2.9 mtu 1280");
	live_until(loop, told.n[RTNL_ROUTE] > 0);
	assert_int_equal(told.prefix.family, NFO_IPV4);
	assert_int_equal(told.prefix.bits, 24);
	assert_int_equal(told.prefix.addr.v4_be, inet_addr("10.9.0.0"));
	assert_int_equal(told.n[RTNL_ROUTES], 0);
	assert_int_equal(rtnl_route_get(told.rtnl, &key, &route), 0);
	assert_int_equal(route.type, RTN_UNICAST);
	assert_int_equal(route.oif, index_of(&told, "c1"));
	assert_int_equal(route.gateway_family, NFO_IPV4);
	assert_int_equal(route.gateway.v4_be, inet_addr("10.0.2.9"));
	assert_int_equal(route.mtu, 1280);
	key.iif = index_of(&told, "c0");
	key.src.v4_be = inet_addr("10.0.1.2");
	key.proto = NFO_UDP;
	key.sport_be = htons(1);
	key.dport_be = htons(2);
	key.mark = 5;
	assert_int_equal(rtnl_route_get(told.rtnl, &key, &route), 0);
	assert_int_equal(route.oif, index_of(&told, "c1"));
	live_run("ip route replace blackhole 10.9.0.0/24");
	assert_true(rtnl_route_get(told.rtnl, &key, &route) < 0);
	live_run("echo 1 >/proc/sys/net/ipv4/conf/all/rp_filter; ip route replace 10.9.0.0/24 dev "
		 "c1");
	key.src.v4_be = inet_addr("10.0.2.7");
	err = rtnl_route_get(told.rtnl, &key, &route);
	assert_true(err == -EXDEV || err == -EINVAL); // newer kernels say the latter
	rtnl_destroy(told.rtnl);
}

// Routes that were there before are looked through.
static void facts(void **state)
{
	struct loop *loop = live_loop(state);
	struct told told = {.rtnl = NULL};

	live_run(topology);
	live_run("ip route add 10.9.0.0/24 table 7 nexthop via 10.0.1.7 nexthop via 10.0.2.7; "
		 "ip -6 addr add 2001:db8::1/64 dev c0 nodad; "
		 "ip -6 route add default from 2001:db8:5::/48 via 2001:db8::2");
	told.rtnl = rtnl_create(loop, on_change, &told);
	assert_non_null(told.rtnl);
	assert_true(rtnl_facts(told.rtnl, NFO_IPV4)->multipath);
	assert_false(rtnl_facts(told.rtnl, NFO_IPV4)->src);
	assert_false(rtnl_facts(told.rtnl, NFO_IPV6)->multipath);
	assert_true(rtnl_facts(told.rtnl, NFO_IPV6)->src);
	rtnl_destroy(told.rtnl);
}

static void routes_v6(void **state)
{
	struct told told;
	struct loop *loop = start(state, &told);
	struct rtnl_route_key key = key_to(NFO_IPV6, "2001:db8:9::1");
	struct rtnl_route route;

	(void)loop;
	live_run("ip -6 addr add 2001:db8::1/64 dev c0 nodad && "
		 "ip -6 route add 2001:db8:9::/64 via 2001:db8::2");
	assert_int_equal(rtnl_route_get(told.rtnl, &key, &route), 0);
	assert_int_equal(route.oif, index_of(&told, "c0"));
	assert_int_equal(route.gateway_family, NFO_IPV6);
	rtnl_destroy(told.rtnl);
}

// More events than the socket holds while nobody reads: read again, and nothing lost or left over.
static void overrun(void **state)
{
	struct told told;
	struct loop *loop = start(state, &told);

	live_run("ip neigh add 10.0.1.2 lladdr 02:00:00:00:00:02 dev c0 nud permanent");
	live_until(loop, neigh_at(&told, "c0", "10.0.1.2") != NULL);
	live_run("i=0; while [ $i -lt 40000 ]; do "
		 "echo neigh replace 10.0.1.3 lladdr 02:00:00:00:00:0$((i % 2)) dev c0 nud "
		 "permanent; "
		 "i=$((i + 1)); done | ip -batch -");
	live_run("ip neigh del 10.0.1.2 dev c0; ip tuntap add dev tap0 mode tap");
	live_until(loop, told.n[RTNL_LOST] == 1);
	assert_null(neigh_at(&told, "c0", "10.0.1.2"));
	assert_int_equal(neigh_at(&told, "c0", "10.0.1.3")->mac[5], 1);
	assert_non_null(rtnl_link_by_name(told.rtnl, "tap0"));
	live_run("ip link del tap0");
	live_until(loop, !rtnl_link_by_name(told.rtnl, "tap0"));
	assert_int_equal(told.n[RTNL_LOST], 1);
	rtnl_destroy(told.rtnl);
}

int main(void)
{
#define live(test) cmocka_unit_test_setup_teardown(test, live_setup, live_teardown)
	const struct CMUnitTest tests[] = {
		live(links),
		live(set_link),
		live(neighbours),
		live(rules),
		live(vlans),
		live(bonds),
		live(vrfs),
		live(multipath),
		live(routes),
		live(facts),
		live(routes_v6),
		live(overrun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
