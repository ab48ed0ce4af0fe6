// SPDX-License-Identifier: GPL-2.0-or-later
// pipeline.c: what a burst becomes, and what it counts.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
// clang-format on

#include "eal.h"
#include "packet.h"
#include "rewrite.h"
#include "worker.h"

enum { LAN = 0, WAN = 1, WORKERS = 2 };

static struct {
	struct ports ports;
	struct table *table;
	struct rte_ring *events;
	struct worker *worker[WORKERS];
	uint32_t flow[2];
} t;

static const struct packet_spec up = {
	.src = "10.0.1.2",
	.dst = "10.0.2.2",
	.sport = 40000,
	.dport = 80,
	.proto = IPPROTO_TCP,
	.ttl = 64,
	.tcp_flags = RTE_TCP_ACK_FLAG,
	.payload = 10,
};
static const struct packet_spec up_out = {
	.src = "10.0.2.1", .dst = "10.0.2.2", .sport = 1024, .dport = 80};
static const struct packet_spec down = {
	.src = "10.0.2.2",
	.dst = "10.0.2.1",
	.sport = 80,
	.dport = 1024,
	.proto = IPPROTO_TCP,
	.ttl = 60,
	.tcp_flags = RTE_TCP_ACK_FLAG,
	.payload = 1000,
};
static const struct packet_spec down_out = {
	.src = "10.0.2.2", .dst = "10.0.1.2", .sport = 80, .dport = 40000};

static uint32_t add_flow(const struct packet_spec *in, const struct packet_spec *out, uint16_t from,
	uint16_t to, uint32_t sibling)
{
	struct table_content content;
	struct nfo_flow flow;
	uint32_t idx;

	packet_flow(in, out, &flow);
	flow.in_port = from;
	flow.out_port = to;
	rewrite_content(&flow, iface_get(t.ports.ifaces, from, flow.in_vlan),
		nexthop_get(t.table->nexthops, &flow), &content);
	assert_int_equal(table_add(t.table, &content, sibling, 77, &idx), 0);
	return idx;
}

static int set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	t.ports.n = 2;
	t.ports.port[LAN].mac = t.ports.port[WAN].mac = packet_mac;
	t.ports.port[LAN].iface = iface_of_group(LAN);
	t.ports.port[WAN].iface = iface_of_group(WAN);
	t.ports.ifaces = ifaces_create();
	t.table = table_create(1024, WORKERS);
	t.events = rte_ring_create_elem("events", sizeof(struct dp_event), 16, SOCKET_ID_ANY, 0);
	for (unsigned int i = 0; i < WORKERS; i++) {
		t.worker[i] = aligned_alloc(64, sizeof(struct worker));
		*t.worker[i] = (struct worker){.id = i,
			.table = t.table,
			.ports = &t.ports,
			.events = t.events,
			.tick = 5};
	}
	t.flow[0] = add_flow(&up, &up_out, LAN, WAN, DP_FLOW_NONE);
	t.flow[1] = add_flow(&down, &down_out, WAN, LAN, t.flow[0]);
	return t.events != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	table_destroy(t.table);
	ifaces_destroy(t.ports.ifaces);
	rte_ring_free(t.events);
	for (unsigned int i = 0; i < WORKERS; i++)
		free(t.worker[i]);
	return 0;
}

// One packet of 'spec' from 'port' through 'worker'; the caller looks at its buffers.
static void feed(struct worker *w, struct packet *p, const struct packet_spec *spec, uint16_t port)
{
	struct rte_mbuf *m = &p->m;

	packet_make(p, spec);
	pipeline_burst(w, &m, &port, 1);
}

static void test_forward(void **state)
{
	struct worker *w = t.worker[0];
	const struct table_entry *e = &t.table->entries[t.flow[0]];
	struct packet p;

	(void)state;
	feed(w, &p, &up, LAN);
	assert_int_equal(w->to_wire[WAN].n, 1);
	assert_ptr_equal(w->to_wire[WAN].packets[0], &p.m);
	assert_int_equal(w->to_twin[LAN].n, 0);
	assert_int_equal(packet_tcp(&p)->src_port, htons(1024));
	assert_int_equal(e->packets, 1);
	assert_int_equal(e->bytes, 50);
	assert_int_equal(e->used_tick, 5);
	assert_int_equal(w->count[LAN].offloaded_packets, 1);
	assert_int_equal(w->count[LAN].offloaded_bytes, 50);
	assert_int_equal(w->offloaded, 1);
	feed(w, &p, &down, WAN);
	assert_int_equal(w->to_wire[LAN].n, 1);
	assert_int_equal(t.table->entries[t.flow[1]].bytes, 1040);
}

// IPv6, from VLAN to VLAN: the same stages, counters without Ethernet header and tags.
static void test_forward_v6_vlan(void **state)
{
	struct packet_spec in = {
		.src = "2001:db8::1",
		.dst = "2001:db8:2::1",
		.sport = 5000,
		.dport = 53,
		.proto = IPPROTO_UDP,
		.ttl = 9,
		.payload = 100,
		.tag = {{0x8100, 0x2000 | 12}},
	};
	struct packet_spec out = in, end = in;
	struct worker *w = t.worker[0];
	struct packet p;
	uint32_t idx;

	(void)state;
	out.tag[0].tci = 13;
	out.src = "2001:db8:2::ff";
	idx = add_flow(&in, &out, LAN, WAN, DP_FLOW_NONE);
	feed(w, &p, &in, LAN);
	assert_int_equal(w->to_wire[WAN].n, 1);
	assert_int_equal(packet_ip6(&p)->hop_limits, 8);
	assert_int_equal(t.table->entries[idx].bytes, 148);
	assert_int_equal(w->count[LAN].offloaded_bytes, 148);
	in.tag[0].tci = 14;
	feed(w, &p, &in, LAN);
	assert_int_equal(w->punts[NFO_P_VLAN], 1);
	in.tag[0].tpid = 0;
	feed(w, &p, &in, LAN);
	assert_int_equal(w->punts[NFO_P_MISS], 1);
	// its MTU is that of the IP packet, whatever is before it
	end.payload = 1500 - 48;
	feed(w, &p, &end, LAN);
	assert_int_equal(w->to_wire[WAN].n, 2);
	end.payload++;
	feed(w, &p, &end, LAN);
	assert_int_equal(w->punts[NFO_P_MTU], 1);
}

// Ports of one group receive as one; a port that leaves it does not any more.
static void test_group(void **state)
{
	const uint16_t group = NFO_MAX_PORTS + 1;
	struct packet_spec in = up;
	struct worker *w = t.worker[0];
	struct packet p;

	(void)state;
	in.sport++;
	add_flow(&in, &up_out, group, WAN, DP_FLOW_NONE);
	feed(w, &p, &in, LAN);
	assert_int_equal(w->punts[NFO_P_MISS], 1);
	t.ports.port[LAN].iface = iface_of_group(group);
	feed(w, &p, &in, LAN);
	assert_int_equal(w->to_wire[WAN].n, 1);
	feed(w, &p, &up, LAN);
	assert_int_equal(w->punts[NFO_P_MISS], 2);
}

static void test_headroom(void **state)
{
	struct packet_spec in = up, out = up_out;
	struct worker *w = t.worker[0];
	struct rte_mbuf *m;
	struct packet p;
	const uint16_t port = LAN;

	(void)state;
	in.sport++;
	out.tag[0] = (struct packet_tag){0x88a8, 5};
	add_flow(&in, &out, LAN, WAN, DP_FLOW_NONE);
	packet_make(&p, &in);
	m = &p.m;
	m->buf_addr = (uint8_t *)m->buf_addr + m->data_off;
	m->data_off = 0;
	pipeline_burst(w, &m, &port, 1);
	assert_int_equal(w->punts[NFO_P_HEADROOM], 1);
	assert_int_equal(w->to_twin[LAN].n, 1);
	assert_int_equal(packet_ip(&p)->time_to_live, 64);
}

static void test_miss(void **state)
{
	struct worker *w = t.worker[0];
	struct packet_spec other = up;
	struct packet p;

	(void)state;
	feed(w, &p, &up, WAN); // the right tuple at the wrong port
	assert_int_equal(w->to_twin[WAN].n, 1);
	other.proto = IPPROTO_UDP;
	feed(w, &p, &other, LAN);
	assert_int_equal(w->to_twin[LAN].n, 1);
	assert_int_equal(packet_ip(&p)->time_to_live, 64);
	assert_int_equal(w->punts[NFO_P_MISS], 2);
	assert_int_equal(w->count[LAN].punted_packets, 1);
	assert_int_equal(w->offloaded, 0);
}

static void test_mtu(void **state)
{
	struct worker *w = t.worker[0];
	struct packet_spec big = up;
	struct packet p;

	(void)state;
	big.payload = 1500 - 40;
	feed(w, &p, &big, LAN);
	assert_int_equal(w->to_wire[WAN].n, 1);
	big.payload++;
	feed(w, &p, &big, LAN);
	assert_int_equal(w->punts[NFO_P_MTU], 1);
	assert_int_equal(w->to_twin[LAN].n, 1);
	assert_int_equal(packet_ip(&p)->time_to_live, 64); // untouched
}

static void test_syn_keeps_flow(void **state)
{
	struct packet_spec syn = up;
	struct packet p;

	(void)state;
	syn.tcp_flags = RTE_TCP_SYN_FLAG;
	feed(t.worker[0], &p, &syn, LAN);
	assert_int_equal(t.worker[0]->punts[NFO_P_TCP_FLAGS], 1);
	feed(t.worker[0], &p, &up, LAN);
	assert_int_equal(t.worker[0]->to_wire[WAN].n, 1);
}

// One packet of a flow that is to be sampled goes to the kernel as it came, and is a use; closing is not
// undone.
static void test_sample(void **state)
{
	struct worker *w = t.worker[0];
	struct packet p;

	(void)state;
	table_sample(t.table, t.flow[0]);
	feed(w, &p, &up, LAN);
	assert_int_equal(w->punts[NFO_P_SAMPLE], 1);
	assert_int_equal(w->to_twin[LAN].n, 1);
	assert_int_equal(packet_ip(&p)->time_to_live, 64);
	assert_int_equal(t.table->entries[t.flow[0]].packets, 0);
	assert_int_equal(t.table->entries[t.flow[0]].used_tick, 5);
	feed(w, &p, &up, LAN);
	assert_int_equal(w->to_wire[WAN].n, 1);
	t.table->entries[t.flow[0]].state = FLOW_CLOSING;
	table_sample(t.table, t.flow[0]);
	feed(w, &p, &up, LAN);
	assert_int_equal(w->punts[NFO_P_CLOSING], 1);
}

// What is held goes to the kernel as it came, a sample or not; a worker's closing is final.
static void test_hold(void **state)
{
	struct worker *w = t.worker[0];
	struct packet p;

	(void)state;
	table_sample(t.table, t.flow[0]);
	table_hold(t.table, t.flow[0]);
	feed(w, &p, &up, LAN);
	feed(w, &p, &up, LAN);
	assert_int_equal(w->punts[NFO_P_HELD], 2);
	assert_int_equal(w->to_twin[LAN].n, 2);
	assert_int_equal(packet_ip(&p)->time_to_live, 64);
	feed(w, &p, &down, WAN);
	assert_int_equal(w->to_wire[LAN].n, 1);
	table_release(t.table, t.flow[0]);
	feed(w, &p, &up, LAN);
	assert_int_equal(w->to_wire[WAN].n, 1);
	t.table->entries[t.flow[0]].state = FLOW_CLOSING;
	table_hold(t.table, t.flow[0]);
	table_release(t.table, t.flow[0]);
	feed(w, &p, &up, LAN);
	assert_int_equal(w->punts[NFO_P_CLOSING], 1);
}

// A next hop that changes takes its packets to the kernel, and then to the new address.
static void test_neighbour(void **state)
{
	static const uint8_t mac[] = {2, 0, 0, 0, 0, 9};
	const struct nfo_via via = {.dev = 7, .family = NFO_IPV4};
	struct worker *w = t.worker[0];
	struct nfo_flow flow;
	struct packet p;

	(void)state;
	packet_flow(&up, &up_out, &flow);
	flow.in_port = LAN;
	flow.out_port = WAN;
	flow.via = via;
	t.table->entries[t.flow[0]].nexthop = nexthop_get(t.table->nexthops, &flow);
	feed(w, &p, &up, LAN);
	assert_int_equal(w->to_wire[WAN].n, 1);
	rte_rcu_qsbr_thread_register(t.table->qsbr, w->id);
	rte_rcu_qsbr_thread_online(t.table->qsbr, w->id);
	nexthops_neigh(t.table->nexthops, &via, mac);
	nexthops_settle(t.table->nexthops); // the worker may be using it
	feed(w, &p, &up, LAN);
	assert_int_equal(w->punts[NFO_P_NEIGHBOUR], 1);
	assert_int_equal(packet_ip(&p)->time_to_live, 64);
	rte_rcu_qsbr_quiescent(t.table->qsbr, w->id);
	nexthops_settle(t.table->nexthops);
	feed(w, &p, &up, LAN);
	assert_int_equal(w->to_wire[WAN].n, 2);
	assert_memory_equal(rte_pktmbuf_mtod(&p.m, void *), mac, sizeof(mac));
}

// After a FIN or RST nothing of the connection is forwarded, in either direction, by any worker.
static void check_close(uint8_t flags)
{
	struct packet_spec end = up;
	struct packet p;
	struct dp_event event;

	end.tcp_flags = flags;
	feed(t.worker[0], &p, &end, LAN);
	assert_int_equal(t.worker[0]->to_twin[LAN].n, 1);
	feed(t.worker[0], &p, &up, LAN);
	assert_int_equal(t.worker[0]->to_twin[LAN].n, 2);
	feed(t.worker[1], &p, &down, WAN);
	assert_int_equal(t.worker[1]->to_twin[WAN].n, 1);
	assert_int_equal(t.worker[1]->punts[NFO_P_CLOSING], 1);
	feed(t.worker[0], &p, &end, LAN); // told once
	assert_int_equal(rte_ring_count(t.events), 1);
	assert_int_equal(rte_ring_dequeue_elem(t.events, &event, sizeof(event)), 0);
	assert_int_equal(event.kind, DP_EVENT_CLOSING);
	assert_int_equal(event.cookie, 77);
}

static void test_fin(void **state)
{
	(void)state;
	check_close(RTE_TCP_FIN_FLAG | RTE_TCP_ACK_FLAG);
}

static void test_rst(void **state)
{
	(void)state;
	check_close(RTE_TCP_RST_FLAG);
}

// A FIN in the middle of a burst: the packets before it are forwarded, those after it are not.
static void test_fin_within_burst(void **state)
{
	struct worker *w = t.worker[0];
	struct packet_spec fin = up;
	struct packet p[5];
	struct rte_mbuf *m[5];
	const uint16_t port[5] = {LAN, LAN, LAN, LAN, LAN};

	(void)state;
	fin.tcp_flags = RTE_TCP_FIN_FLAG;
	for (int i = 0; i < 5; i++) {
		packet_make(&p[i], i == 2 ? &fin : &up);
		m[i] = &p[i].m;
	}
	pipeline_burst(w, m, port, 5);
	assert_int_equal(w->to_wire[WAN].n, 2);
	assert_int_equal(w->to_twin[LAN].n, 3);
	for (unsigned int i = 0; i < 3; i++) // in order
		assert_ptr_equal(w->to_twin[LAN].packets[i], m[2 + i]);
}

// Packets of one flow at two workers: each counts what it saw, nothing is lost.
static void test_two_workers_count(void **state)
{
	uint64_t packets, bytes;
	uint16_t tick;
	struct packet p;

	(void)state;
	for (int i = 0; i < 30; i++) {
		struct worker *w = t.worker[i % 3 == 0];

		feed(w, &p, &up, LAN);
		w->to_wire[WAN].n = 0;
	}
	table_counters(t.table, t.flow[0], &packets, &bytes, &tick);
	assert_int_equal(packets, 30);
	assert_int_equal(bytes, 1500);
	assert_int_not_equal(t.table->entries[t.flow[0]].packets, 30);
}

// A full vector of everything: each packet ends in just one buffer.
static void test_mixed_vector(void **state)
{
	struct worker *w = t.worker[0];
	static struct packet p[WORKER_VECTOR];
	struct rte_mbuf *m[WORKER_VECTOR];
	uint16_t port[WORKER_VECTOR];
	uint64_t punted = 0;

	(void)state;
	for (unsigned int i = 0; i < WORKER_VECTOR; i++) {
		packet_make(&p[i], i % 2 ? &down : &up);
		port[i] = i % 2 ? WAN : LAN;
		m[i] = &p[i].m;
		if (i % 5 == 0)
			packet_eth(&p[i])->ether_type = RTE_BE16(RTE_ETHER_TYPE_ARP);
		if (i % 7 == 0)
			packet_ip(&p[i])->time_to_live = 1;
	}
	pipeline_burst(w, m, port, WORKER_VECTOR);
	for (unsigned int r = 0; r < NFO_N_PUNTS; r++)
		punted += w->punts[r];
	assert_int_equal(w->offloaded + punted, WORKER_VECTOR);
	assert_int_equal(w->to_wire[LAN].n + w->to_wire[WAN].n, w->offloaded);
	assert_int_equal(w->to_twin[LAN].n + w->to_twin[WAN].n, punted);
	assert_int_equal(__builtin_popcountll(w->control[LAN])
				 + __builtin_popcountll(w->control[WAN]),
		13); // ARP
	assert_int_equal(w->punts[NFO_P_NOT_IP], 13);
}

static struct rte_mbuf *pooled(struct rte_mempool *pool, const struct packet_spec *spec)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	struct packet p;

	packet_make(&p, spec);
	memcpy(rte_pktmbuf_append(m, p.m.data_len), packet_eth(&p), p.m.data_len);
	return m;
}

// Above its class's rate a packet is dropped and counted apart; the other classes, and samples,
// pass.
static void test_limited(void **state)
{
	struct rte_mempool *pool = rte_pktmbuf_pool_create("limited", 31, 0, 0, 2048, 0);
	struct packet_spec syn = up;
	struct worker *w = t.worker[0];
	struct rte_mbuf *m[8];
	uint16_t port[8] = {0};

	(void)state;
	assert_non_null(pool);
	syn.tcp_flags = RTE_TCP_SYN_FLAG;
	punt_bucket_init(&w->bucket[LAN][DP_PUNT_NEW], 1, 1, UINT64_C(1) << 40);
	w->bucket[LAN][DP_PUNT_NEW].depth = 0; // one at once
	w->bucket[LAN][DP_PUNT_REST] = w->bucket[LAN][DP_PUNT_NEW];
	w->bucket[LAN][DP_PUNT_REST].due = UINT64_MAX / 2; // none
	for (unsigned int i = 0; i < 8; i++)
		m[i] = pooled(pool, i == 7 ? &up : &syn);
	rte_pktmbuf_mtod(m[2], struct rte_ether_hdr *)->ether_type = RTE_BE16(RTE_ETHER_TYPE_ARP);
	rte_pktmbuf_mtod(m[3], struct rte_ether_hdr *)->ether_type = RTE_BE16(0x88b5);
	t.table->entries[t.flow[0]].state = FLOW_SAMPLE;
	pipeline_burst(w, m, port, 8);
	assert_int_equal(w->count[LAN].punted[DP_PUNT_NEW], 1);
	assert_int_equal(w->count[LAN].limited[DP_PUNT_NEW], 4);
	assert_int_equal(w->count[LAN].punted[DP_PUNT_CONTROL], 1);
	assert_int_equal(w->count[LAN].limited[DP_PUNT_CONTROL], 0);
	assert_int_equal(w->count[LAN].limited[DP_PUNT_REST], 1);
	assert_int_equal(w->count[LAN].punted[DP_PUNT_REST], 1); // the sample
	assert_int_equal(w->count[LAN].punted_packets, 3);
	assert_int_equal(w->punts[NFO_P_TCP_FLAGS], 1);
	assert_int_equal(w->punts[NFO_P_SAMPLE], 1);
	assert_int_equal(w->to_twin[LAN].n, 3);
	assert_int_equal(w->control[LAN], 2); // the second of these
	assert_int_equal(w->samples[LAN], 4);
	assert_ptr_equal(w->to_twin[LAN].packets[0], m[0]);
	assert_ptr_equal(w->to_twin[LAN].packets[1], m[2]);
	assert_ptr_equal(w->to_twin[LAN].packets[2], m[7]);
	assert_int_equal(rte_mempool_in_use_count(pool), 3); // what was dropped is free
	rte_mempool_free(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_forward, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_forward_v6_vlan, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_group, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_headroom, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_miss, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_mtu, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_syn_keeps_flow, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sample, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_hold, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_neighbour, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_fin, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_rst, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_fin_within_burst, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_two_workers_count, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_mixed_vector, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_limited, set_up, tear_down),
	};

	if (eal_for_test("64") < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
