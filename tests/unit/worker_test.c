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
#include "packet.h"
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

unsigned int twin_tx(
	struct twin *twin, unsigned int queue, struct rte_mbuf **frames, unsigned int n)
{
	(void)twin;
	(void)queue;
	for (unsigned int i = 0; i < n && i < t.room; i++)
		t.got[t.n++] = rte_pktmbuf_mtod(frames[i], uint8_t *)[14];
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
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
