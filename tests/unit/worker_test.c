// SPDX-License-Identifier: GPL-2.0-or-later
// worker.c: what a worker gives to a twin that has room for all of it, and for a part. The wire is
// a ring, the twin is the test's.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
// clang-format on

#include <rte_eth_ring.h>
#include <rte_ring.h>

#include "eal.h"
#include "packet_specs.h"
#include "rewrite.h"
#include "worker.h"

enum { FRAMES = 20, UNKNOWN = 0x88b5 };

static struct {
	struct rte_mempool *pool;
	struct rte_ring *wire;
	struct ports ports;
	struct worker worker;
	unsigned int room; // of the twin
	unsigned int n;    // that it has been given
	uint8_t got[FRAMES];
} t;

unsigned int twin_room(struct twin *twin, unsigned int queue)
{
	(void)twin;
	(void)queue;
	return t.room;
}

static uint8_t number_of(const uint8_t *frame)
{
	const bool ipv4 = frame[12] == 0x08 && frame[13] == 0;

	return frame[ipv4 ? 14 + 20 + 1 : 14]; // of a sample, its source port
}

unsigned int twin_tx(
	struct twin *twin, unsigned int queue, struct rte_mbuf **frames, unsigned int n)
{
	(void)twin;
	(void)queue;
	for (unsigned int i = 0; i < n && i < t.room; i++)
		t.got[t.n++] = number_of(rte_pktmbuf_mtod(frames[i], uint8_t *));
	rte_pktmbuf_free_bulk(frames, n);
	return RTE_MIN(n, t.room);
}

unsigned int twin_rx(
	struct twin *twin, unsigned int queue, struct rte_mbuf **frames, unsigned int n)
{
	(void)twin;
	(void)queue;
	(void)frames;
	(void)n;
	return 0;
}

// Of a flow that is sampled; it tells its number too.
static void arrive_sample(uint8_t number)
{
	const struct packet_spec in = {.src = tcp_spec.src,
		.dst = tcp_spec.dst,
		.sport = number,
		.dport = 80,
		.proto = IPPROTO_TCP,
		.ttl = 64,
		.tcp_flags = RTE_TCP_ACK_FLAG};
	struct rte_mbuf *m = rte_pktmbuf_alloc(t.pool);
	struct table_content content;
	struct nfo_flow flow;
	struct packet p;
	uint32_t idx;

	packet_flow(&in, &in, &flow);
	rewrite_content(&flow, iface_get(t.ports.ifaces, 0, flow.in_vlan),
		nexthop_get(t.worker.table->nexthops, &flow), &content);
	assert_int_equal(table_add(t.worker.table, &content, DP_FLOW_NONE, 0, &idx), 0);
	table_sample(t.worker.table, idx);
	packet_make(&p, &in);
	memcpy(rte_pktmbuf_append(m, p.m.data_len), packet_eth(&p), p.m.data_len);
	assert_int_equal(rte_ring_enqueue(t.wire, m), 0);
}

// A frame that tells its number; those of 'arps' are ARP.
static void arrive(uint8_t number, uint32_t arps)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(t.pool);
	struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);

	m->data_len = 60;
	m->pkt_len = 60;
	memset(eth, 0, m->data_len);
	eth->dst_addr = packet_mac;
	eth->ether_type = htons(arps >> number & 1 ? RTE_ETHER_TYPE_ARP : UNKNOWN);
	((uint8_t *)eth)[14] = number;
	assert_int_equal(rte_ring_enqueue(t.wire, m), 0);
}

static void burst(uint32_t arps, unsigned int room)
{
	t.room = room;
	t.n = 0;
	t.worker.count[0] = (struct worker_port){.punted_packets = 0};
	for (uint8_t i = 0; i < FRAMES; i++)
		arrive(i, arps);
	assert_int_equal(worker_poll(&t.worker), FRAMES);
	assert_int_equal(t.n, RTE_MIN(room, (unsigned int)FRAMES));
	assert_int_equal(t.worker.count[0].punted_packets, FRAMES);
	assert_int_equal(t.worker.count[0].twin_dropped, FRAMES - t.n);
	assert_int_equal(rte_mempool_in_use_count(t.pool), 0);
}

static void test_in_order(void **state)
{
	(void)state;
	burst(1u << 7 | 1u << 19, FRAMES);
	for (uint8_t i = 0; i < FRAMES; i++)
		assert_int_equal(t.got[i], i);
	burst(UINT32_MAX, UINT_MAX);
	for (uint8_t i = 0; i < FRAMES; i++)
		assert_int_equal(t.got[i], i);
}

static void test_control_first(void **state)
{
	static const uint8_t some[] = {2, 7, 19, 0, 1, 3, 4};

	(void)state;
	burst(1u << 2 | 1u << 7 | 1u << 19, 7);
	assert_memory_equal(t.got, some, sizeof(some));
	burst(1u << 2 | 1u << 7 | 1u << 19, 2);
	assert_memory_equal(t.got, some, 2);
	burst(0, 3); // what was control in the burst before is so no more
	assert_int_equal(t.got[0], 0);
	assert_int_equal(t.got[2], 2);
	burst(UINT32_MAX, 4);
	assert_int_equal(t.got[3], 3);
	burst(UINT32_MAX, 0);
}

// Control, samples, others.
static void test_samples_next(void **state)
{
	static const uint8_t some[] = {7, 3, 5, 0, 1};

	(void)state;
	t.room = sizeof(some);
	t.n = 0;
	for (uint8_t i = 0; i < FRAMES; i++) {
		if (i == 3 || i == 5)
			arrive_sample(i);
		else
			arrive(i, 1u << 7);
	}
	assert_int_equal(worker_poll(&t.worker), FRAMES);
	assert_int_equal(t.worker.punts[NFO_P_SAMPLE], 2);
	assert_int_equal(t.n, sizeof(some));
	assert_memory_equal(t.got, some, sizeof(some));
	burst(0, 6); // what was a sample in the burst before is so no more
	assert_int_equal(t.got[5], 5);
	assert_int_equal(t.got[3], 3);
	assert_int_equal(t.got[0], 0);
}

static int set_up(void **state)
{
	struct rte_eth_conf eth = {.rxmode.mq_mode = RTE_ETH_MQ_RX_NONE};
	int port;

	(void)state;
	if (eal_for_test("64") < 0)
		return -1;
	t.pool = rte_pktmbuf_pool_create("test", 255, 0, 0, 2048, 0);
	t.wire = rte_ring_create("wire", 64, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
	t.ports = (struct ports){.n = 1, .ifaces = ifaces_create()};
	port = t.wire != NULL ? rte_eth_from_ring(t.wire) : -1;
	if (t.pool == NULL || port < 0 || t.ports.ifaces == NULL
		|| rte_eth_dev_configure((uint16_t)port, 1, 1, &eth) < 0
		|| rte_eth_rx_queue_setup((uint16_t)port, 0, 64, 0, NULL, t.pool) < 0
		|| rte_eth_tx_queue_setup((uint16_t)port, 0, 64, 0, NULL) < 0
		|| rte_eth_dev_start((uint16_t)port) < 0)
		return -1;
	t.ports.port[0] = (struct port){
		.wire = (uint16_t)port, .mac = packet_mac, .iface = iface_of_group(0)};
	t.worker = (struct worker){
		.table = table_create(64, 1),
		.ports = &t.ports,
		.n_wire = 1,
		.wire = {{.ethdev = (uint16_t)port}},
		.until_housekeep = WORKER_HOUSEKEEP,
	};
	return t.worker.table != NULL ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order),
		cmocka_unit_test(test_control_first),
		cmocka_unit_test(test_samples_next),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
