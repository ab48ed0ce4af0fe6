// SPDX-License-Identifier: GPL-2.0-or-later
// audit.h: what the kernel sends for a flow, right and otherwise.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
// clang-format on

#include <rte_ring.h>

#include "audit.h"
#include "eal.h"
#include "packet_specs.h"
#include "rewrite.h"

enum { LAN = 0, WAN = 1, WAN2 = 2, PORTS = 3, EVENTS = 8, COOKIE = 77 };

static struct {
	struct ports ports;
	struct rte_ring *events;
	struct worker *w;
	uint32_t flow[2];
} t;

static const struct packet_spec v4_out = {.src = "10.0.2.1", .dst = "10.0.2.2", .sport = 1024, .dport = 80};
static const struct packet_spec v6_out = {
	.src = "2001:db8:2::1", .dst = "2001:db8:2::2", .sport = 1024, .dport = 80};

// 'in' enters by LAN and leaves by WAN as 'out', behind its tags; and the other way.
static void add_flows(const struct packet_spec *in, const struct packet_spec *out)
{
	struct nfo_flow flow[2];
	struct table_content content;
	const struct packet_spec back_in = {.src = out->dst,
		.dst = out->src,
		.sport = out->dport,
		.dport = out->sport,
		.proto = in->proto};
	const struct packet_spec back_out = {
		.src = in->dst, .dst = in->src, .sport = in->dport, .dport = in->sport};

	packet_flow(in, out, &flow[0]);
	packet_flow(&back_in, &back_out, &flow[1]);
	flow[0].in_port = flow[1].out_port = LAN;
	flow[0].out_port = flow[1].in_port = WAN;
	for (int i = 0; i < 2 && out->tag[i].tpid != 0; i++)
		flow[0].out_vlan[i] = flow[1].in_vlan[i] =
			(struct nfo_vlan){htons(out->tag[i].tpid), out->tag[i].tci & 0xfff};
	for (int d = 0; d < 2; d++) {
		rewrite_content(&flow[d],
			iface_get(t.ports.ifaces, flow[d].in_port, flow[d].in_vlan),
			nexthop_get(t.w->table->nexthops, &flow[d]), &content);
		assert_int_equal(table_add(t.w->table, &content, d == 0 ? DP_FLOW_NONE : t.flow[0],
					 COOKIE, &t.flow[d]),
			0);
	}
}

// As the worker would send it: the rewritten one.
static void sent(struct packet *p, const struct packet_spec *in)
{
	struct table_entry *e = &t.w->table->entries[t.flow[0]];

	packet_make(p, in);
	assert_int_equal(rewrite_frame(&p->m, p->l3, e, &t.w->table->nexthops->hop[e->nexthop]),
		PARSE_OK);
}

static void audit(struct packet *p, unsigned int port)
{
	struct rte_mbuf *m = &p->m;

	audit_frames(t.w, port, &m, 1);
}

static uint8_t state_of(int d)
{
	return t.w->table->entries[t.flow[d]].state;
}

// One packet of 'in' as a sample; the flow waits for it to be seen.
static void sample(const struct packet_spec *in)
{
	struct packet p;
	struct rte_mbuf *m = &p.m;
	const uint16_t port = LAN;

	assert_int_not_equal(table_sample(t.w->table, t.flow[0]), DP_SAMPLE_WAITS);
	packet_make(&p, in);
	pipeline_burst(t.w, &m, &port, 1);
	assert_int_equal(t.w->to_twin[LAN].n, 1);
	t.w->to_twin[LAN].n = 0;
	assert_int_equal(state_of(0), FLOW_SAMPLED);
}

static void check_told(unsigned int port, const struct packet *p)
{
	struct dp_event event;

	assert_int_equal(state_of(0), FLOW_HELD);
	assert_int_equal(rte_ring_dequeue_elem(t.events, &event, sizeof(event)), 0);
	assert_int_equal(event.kind, DP_EVENT_AUDIT);
	assert_int_equal(event.cookie, COOKIE);
	assert_int_equal(event.idx, t.flow[0]);
	assert_int_equal(event.port, port);
	assert_memory_equal(event.l2, rte_pktmbuf_mtod(&p->m, void *), event.l2_bytes);
	assert_int_equal(rte_ring_count(t.events), 0);
}

static void check_seen(const struct packet_spec *in, const struct packet_spec *out)
{
	struct packet p;

	add_flows(in, out);
	sample(in);
	sent(&p, in);
	audit(&p, LAN); // by the wrong twin: nobody's
	assert_int_equal(state_of(0), FLOW_SAMPLED);
	audit(&p, WAN);
	assert_int_equal(state_of(0), FLOW_FORWARD);
	assert_int_equal(table_sample(t.w->table, t.flow[0]), DP_SAMPLE_DONE);
	assert_int_equal(table_sample(t.w->table, t.flow[0]), DP_SAMPLE_WAITS);
	assert_int_equal(rte_ring_count(t.events), 0);
}

static void test_seen(void **state)
{
	(void)state;
	check_seen(&tcp_spec, &v4_out);
}

static void test_seen_v6(void **state)
{
	(void)state;
	check_seen(&tcp6_spec, &v6_out);
}

static void test_seen_udp(void **state)
{
	(void)state;
	check_seen(&udp_spec, &v4_out);
}

static void test_seen_gre(void **state)
{
	(void)state;
	check_seen(&gre_spec, &gre_spec);
}

static void test_seen_tags(void **state)
{
	struct packet_spec out = v4_out;
	struct packet p;

	(void)state;
	out.tag[0] = (struct packet_tag){0x88a8, 200};
	out.tag[1] = (struct packet_tag){0x8100, 5};
	check_seen(&tcp_spec, &out);
	sent(&p, &tcp_spec);
	rte_pktmbuf_mtod(&p.m, uint8_t *)[14] |= 0xe0; // a priority
	audit(&p, WAN);
	assert_int_equal(rte_ring_count(t.events), 0);
	rte_pktmbuf_mtod(&p.m, uint8_t *)[15]++; // another VLAN: another interface
	audit(&p, WAN);
	assert_int_equal(rte_ring_count(t.events), 0);
}

static void test_unseen(void **state)
{
	(void)state;
	add_flows(&tcp_spec, &v4_out);
	sample(&tcp_spec);
	assert_int_equal(table_sample(t.w->table, t.flow[0]), DP_SAMPLE_UNSEEN);
}

// Another address of the neighbour or of the interface: told once, and held at once.
static void check_differs(unsigned int at)
{
	struct packet p;

	sample(&tcp_spec);
	sent(&p, &tcp_spec);
	rte_pktmbuf_mtod(&p.m, uint8_t *)[at]++;
	audit(&p, WAN);
	audit(&p, WAN);
	check_told(WAN, &p);
	assert_int_equal(state_of(1), FLOW_FORWARD);
	table_release(t.w->table, t.flow[0]);
}

static void test_differs(void **state)
{
	(void)state;
	add_flows(&tcp_spec, &v4_out);
	check_differs(0);
	check_differs(5);
	check_differs(6);
	check_differs(11);
}

// The worker that takes the sample, and the one that reads the twin, are two. Both see a difference; it is told
// once.
static void test_workers(void **state)
{
	struct worker *other = aligned_alloc(64, sizeof(*other));
	const uint16_t port = LAN;
	struct packet p;
	struct rte_mbuf *m = &p.m;

	(void)state;
	assert_non_null(other);
	*other = (struct worker){
		.id = 1, .table = t.w->table, .ports = &t.ports, .events = t.events};
	add_flows(&tcp_spec, &v4_out);
	sample(&tcp_spec);
	packet_make(&p, &tcp_spec);
	pipeline_burst(other, &m, &port, 1);
	assert_int_equal(other->to_wire[WAN].n, 1); // one is enough
	assert_int_equal(state_of(0), FLOW_SAMPLED);
	audit_frames(other, WAN, &m, 1); // the first, as the kernel sends it
	assert_int_equal(state_of(0), FLOW_FORWARD);
	rte_pktmbuf_mtod(m, uint8_t *)[0]++;
	audit_frames(other, WAN, &m, 1);
	audit_frames(t.w, WAN, &m, 1);
	check_told(WAN, &p);
	free(other);
}

// By another port that receives for the same flows: not of a bond, but wrong; of a bond, right.
static void test_ports(void **state)
{
	struct packet p;

	(void)state;
	add_flows(&tcp_spec, &v4_out);
	sent(&p, &tcp_spec);
	t.ports.port[WAN2].iface = t.ports.port[WAN].iface;
	audit(&p, WAN2);
	assert_int_equal(rte_ring_count(t.events), 0);
	t.ports.port[WAN].iface = iface_of_group(5); // the flow's port has left the group
	audit(&p, WAN2);
	check_told(WAN2, &p);
}

// What is closing, held, or whose next hop changes is in doubt anyhow.
static void test_left_alone(void **state)
{
	struct packet p;
	struct table_entry *e;
	struct nexthop *hop;

	(void)state;
	add_flows(&tcp_spec, &v4_out);
	e = &t.w->table->entries[t.flow[0]];
	sent(&p, &tcp_spec);
	rte_pktmbuf_mtod(&p.m, uint8_t *)[0]++;
	e->state = FLOW_CLOSING;
	audit(&p, WAN);
	assert_int_equal(e->state, FLOW_CLOSING);
	e->state = FLOW_HELD;
	audit(&p, WAN);
	assert_int_equal(e->state, FLOW_HELD);
	e->state = FLOW_FORWARD;
	hop = &t.w->table->nexthops->hop[e->nexthop];
	hop->l2_bytes = 0;
	audit(&p, WAN);
	assert_int_equal(e->state, FLOW_FORWARD);
	assert_int_equal(rte_ring_count(t.events), 0);
}

static unsigned int closed;

static void count_closed(uint32_t cookie)
{
	assert_int_equal(cookie, COOKIE);
	closed++;
}

// Without room for the event it is closed, whatever control does with it meanwhile, and found so.
static void test_cannot_tell(void **state)
{
	struct dp_event event = {.kind = DP_EVENT_CLOSING};
	struct packet p;

	(void)state;
	add_flows(&tcp_spec, &v4_out);
	sent(&p, &tcp_spec);
	rte_pktmbuf_mtod(&p.m, uint8_t *)[0]++;
	while (rte_ring_enqueue_elem(t.events, &event, sizeof(event)) == 0)
		;
	audit(&p, WAN);
	table_release(t.w->table, t.flow[0]);
	assert_int_equal(state_of(0), FLOW_CLOSING);
	assert_int_equal(t.w->events_lost, 1);
	closed = 0;
	table_fold(t.w->table, 0, 64, count_closed);
	assert_int_equal(closed, 1);
}

// One that is too long is a sample too: of what the kernel makes of it, the first fragment tells.
static void test_over_mtu(void **state)
{
	struct packet p;

	(void)state;
	add_flows(&tcp_spec, &v4_out);
	t.w->table->entries[t.flow[0]].mtu = 20;
	sample(&tcp_spec);
	sent(&p, &tcp_spec);
	packet_ip(&p)->fragment_offset = htons(RTE_IPV4_HDR_MF_FLAG);
	audit(&p, WAN);
	assert_int_equal(state_of(0), FLOW_FORWARD);
}

// What is no packet of a flow, or is cut short, is nobody's.
static void test_others(void **state)
{
	struct table_key key;
	struct packet p;
	uint16_t l3;

	(void)state;
	add_flows(&tcp_spec, &v4_out);
	packet_make(&p, &tcp_spec); // not translated
	audit(&p, WAN);
	assert_int_equal(rte_ring_count(t.events), 0);
	packet_make(&p, &tcp_spec);
	packet_ip(&p)->next_proto_id = IPPROTO_ICMP;
	assert_false(audit_key(&p.m, t.ports.ifaces, 1, &key, &l3));
	packet_make(&p, &tcp_spec);
	packet_ip(&p)->version_ihl = 0x46;
	assert_false(audit_key(&p.m, t.ports.ifaces, 1, &key, &l3));
	packet_make(&p, &tcp_spec);
	packet_ip(&p)->fragment_offset = htons(RTE_IPV4_HDR_MF_FLAG);
	assert_true(audit_key(&p.m, t.ports.ifaces, 1, &key, &l3)); // the first has the ports
	packet_ip(&p)->fragment_offset = htons(1);
	assert_false(audit_key(&p.m, t.ports.ifaces, 1, &key, &l3));
	for (uint16_t len = 0; len < 14 + 20 + 4; len++) {
		packet_make(&p, &tcp_spec);
		p.m.data_len = len;
		assert_false(audit_key(&p.m, t.ports.ifaces, 1, &key, &l3));
	}
	for (uint16_t len = 0; len < 14 + 40 + 4; len++) {
		packet_make(&p, &tcp6_spec);
		p.m.data_len = len;
		assert_false(audit_key(&p.m, t.ports.ifaces, 1, &key, &l3));
	}
}

static int set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	t.ports.n = PORTS;
	for (uint16_t i = 0; i < PORTS; i++)
		t.ports.port[i] = (struct port){.mac = packet_mac, .iface = iface_of_group(i)};
	t.ports.ifaces = ifaces_create();
	t.events = rte_ring_create_elem(
		"events", sizeof(struct dp_event), EVENTS, SOCKET_ID_ANY, 0);
	t.w = aligned_alloc(64, sizeof(struct worker));
	*t.w = (struct worker){.table = table_create(64, 2), .ports = &t.ports, .events = t.events};
	return t.events != NULL && t.w->table != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	table_destroy(t.w->table);
	ifaces_destroy(t.ports.ifaces);
	rte_ring_free(t.events);
	free(t.w);
	return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(seen),
		TEST(seen_v6),
		TEST(seen_udp),
		TEST(seen_gre),
		TEST(seen_tags),
		TEST(unseen),
		TEST(differs),
		TEST(workers),
		TEST(ports),
		TEST(left_alone),
		TEST(cannot_tell),
		TEST(over_mtu),
		TEST(others),
	};

	if (eal_for_test("64") < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
