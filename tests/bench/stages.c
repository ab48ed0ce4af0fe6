// SPDX-License-Identifier: GPL-2.0-or-later
// stages [FLOWS...]: TSC cycles a packet of pipeline_burst(): parse, lookup, verify, rewrite and
// count, without ports. 64-byte frames of UDP with source and destination NAT, random flows, full
// vectors. Prints the median of its rounds, with the least and the most.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_random.h>

#include "rewrite.h"
#include "worker.h"

enum { ROUNDS = 15, BURSTS = 4000, LAN = 0, WAN = 1, ROOM = 256 };

static const struct rte_ether_addr mac = {{2, 0, 0, 0, 0, 1}};
static struct worker w;
static struct ports ports;
static struct rte_mbuf mbuf[WORKER_VECTOR];
static uint8_t room[WORKER_VECTOR][ROOM] __rte_cache_aligned;

static void tuple_of(uint32_t i, uint8_t family, struct nfo_tuple *t)
{
	*t = (struct nfo_tuple){
		.sport_be = rte_cpu_to_be_16((uint16_t)(1024 + i)),
		.dport_be = RTE_BE16(53),
		.family = family,
		.proto = NFO_UDP,
	};
	t->src.v4_be = rte_cpu_to_be_32(0x0a000000 + i);
	t->dst.v4_be = RTE_BE32(0xc0000202);
	if (family == NFO_IPV6) {
		t->src.bytes[15] = 1;
		t->dst.bytes[15] = 2;
	}
}

static void add(uint32_t i, uint8_t family)
{
	struct nfo_flow flow = {.in_port = LAN, .out_port = WAN, .mtu = 1500};
	struct table_content content;
	uint32_t idx;

	tuple_of(i, family, &flow.match);
	flow.out = flow.match;
	flow.out.src.v4_be = RTE_BE32(0xcb007101);
	flow.out.dst.v4_be = RTE_BE32(0xcb007102);
	flow.eth_dst[5] = (uint8_t)(i % 64); // as many next hops
	rewrite_content(&flow, iface_of_group(LAN), nexthop_get(w.table->nexthops, &flow), &content);
	if (table_add(w.table, &content, DP_FLOW_NONE, 0, &idx) != 0)
		rte_exit(1, "flow %u does not fit\n", i);
}

static void make_ipv4(struct rte_ether_hdr *eth, const struct nfo_tuple *t)
{
	struct rte_ipv4_hdr *ip = (void *)(eth + 1);

	eth->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	*ip = (struct rte_ipv4_hdr){
		.version_ihl = RTE_IPV4_VHL_DEF,
		.total_length = RTE_BE16(46),
		.time_to_live = 64,
		.next_proto_id = NFO_UDP,
		.src_addr = t->src.v4_be,
		.dst_addr = t->dst.v4_be,
	};
	ip->hdr_checksum = rte_ipv4_cksum(ip);
}

static void make_ipv6(struct rte_ether_hdr *eth, const struct nfo_tuple *t)
{
	struct rte_ipv6_hdr *ip = (void *)(eth + 1);

	eth->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV6);
	*ip = (struct rte_ipv6_hdr){
		.vtc_flow = RTE_BE32(0x60000000),
		.payload_len = RTE_BE16(8),
		.proto = NFO_UDP,
		.hop_limits = 64,
	};
	memcpy(ip->src_addr, t->src.bytes, 16);
	memcpy(ip->dst_addr, t->dst.bytes, 16);
}

static struct rte_mbuf *make(unsigned int n, uint32_t i, uint8_t family)
{
	struct rte_mbuf *m = &mbuf[n];
	struct rte_ether_hdr *eth = (void *)(room[n] + 128);
	struct rte_udp_hdr *udp = (void *)((uint8_t *)(eth + 1) + (family == NFO_IPV4 ? 20 : 40));
	struct nfo_tuple t;

	tuple_of(i, family, &t);
	m->buf_addr = room[n];
	m->buf_len = ROOM;
	m->data_off = 128;
	m->data_len = (uint16_t)(family == NFO_IPV4 ? 60 : 62);
	m->pkt_len = m->data_len;
	eth->dst_addr = mac;
	if (family == NFO_IPV4)
		make_ipv4(eth, &t);
	else
		make_ipv6(eth, &t);
	*udp = (struct rte_udp_hdr){t.sport_be, t.dport_be, RTE_BE16(8), RTE_BE16(0x1234)};
	return m;
}

static double one_round(uint32_t flows, uint8_t family)
{
	struct rte_mbuf *packets[WORKER_VECTOR];
	uint16_t in_port[WORKER_VECTOR] = {LAN};
	uint64_t cycles = 0;

	for (unsigned int b = 0; b < BURSTS; b++) {
		uint64_t start;

		for (unsigned int n = 0; n < WORKER_VECTOR; n++)
			packets[n] = make(n, (uint32_t)rte_rand_max(flows), family);
		start = rte_rdtsc();
		pipeline_burst(&w, packets, in_port, WORKER_VECTOR);
		cycles += rte_rdtsc() - start;
		w.to_wire[WAN].n = w.to_twin[LAN].n = 0;
	}
	return (double)cycles / (BURSTS * WORKER_VECTOR);
}

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(uint32_t flows, uint8_t family)
{
	double result[ROUNDS];

	w.table = table_create(family == NFO_IPV4 ? 2 * flows : 4 * flows, 1);
	if (w.table == NULL)
		rte_exit(1, "no memory for %u flows\n", flows);
	for (uint32_t i = 0; i < flows; i++)
		add(i, family);
	for (int r = 0; r < ROUNDS; r++)
		result[r] = one_round(flows, family);
	qsort(result, ROUNDS, sizeof(*result), compare);
	printf("%s %8u flows: %5.1f cycles a packet (%.1f to %.1f)\n",
		family == NFO_IPV4 ? "IPv4" : "IPv6", flows, result[ROUNDS / 2], result[0],
		result[ROUNDS - 1]);
	if (w.offloaded != (uint64_t)ROUNDS * BURSTS * WORKER_VECTOR)
		rte_exit(1, "not all packets were forwarded\n");
	w.offloaded = 0;
	table_destroy(w.table);
}

int main(int argc, char **argv)
{
	static char *eal[] = {"stages", "--no-pci", "--no-telemetry", "--in-memory",
		"--log-level=error", "-l", "0", NULL};

	if (rte_eal_init(7, eal) < 0)
		return 1;
	ports.port[LAN].mac = ports.port[WAN].mac = mac;
	ports.port[LAN].iface = iface_of_group(LAN);
	ports.ifaces = ifaces_create();
	ports.n = 2;
	w.ports = &ports;
	for (int i = 1; i < argc || i == 1; i++) {
		const uint32_t flows = argc > 1 ? (uint32_t)atoi(argv[i]) : 65536;

		measure(flows, NFO_IPV4);
		measure(flows, NFO_IPV6);
	}
	return 0;
}
