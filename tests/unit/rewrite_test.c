// SPDX-License-Identifier: GPL-2.0-or-later
// csum.h and rewrite.h: every packet against one whose checksums are computed afresh.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
// clang-format on

#include "eal.h"
#include "packet_specs.h"
#include "rewrite.h"

static struct nexthops *hops;

// 'in' through the flow that makes it 'out'.
static bool rewrite(const struct packet_spec *in, const struct packet_spec *out, struct packet *p)
{
	struct table_content content;
	struct nfo_flow flow;
	uint16_t hop;
	bool done;

	packet_flow(in, out, &flow);
	hop = nexthop_get(hops, &flow);
	assert_int_not_equal(hop, NEXTHOP_NONE);
	rewrite_content(&flow, 1, hop, &content);
	done = rewrite_frame(&p->m, p->l3, &content.entry, &hops->hop[hop]) == PARSE_OK;
	nexthop_put(hops, hop);
	return done;
}

// What leaves for 'in' must be 'out', made from scratch, one TTL less.
static void check_rewrite(const struct packet_spec *in, const struct packet_spec *out)
{
	struct packet got, expected;
	struct packet_spec less = *out;

	less.ttl = (uint8_t)(in->ttl - 1);
	packet_make(&got, in);
	packet_make(&expected, &less);
	memcpy(&packet_eth(&expected)->dst_addr, "\2\1\2\3\4\5", 6);
	memcpy(&packet_eth(&expected)->src_addr, "\2\6\7\x8\x9\xa", 6);
	assert_true(rewrite(in, out, &got));
	assert_int_equal(got.m.data_len, expected.m.data_len);
	assert_int_equal(got.m.pkt_len, expected.m.pkt_len);
	assert_memory_equal(packet_eth(&got), packet_eth(&expected), got.m.data_len);
}

static void test_rewrite_fixed(void **state)
{
	struct packet_spec out = tcp_spec;

	(void)state;
	check_rewrite(&tcp_spec, &tcp_spec); // plain routing
	out.src = "10.0.2.1";
	out.sport = 1024;
	check_rewrite(&tcp_spec, &out); // SNAT
	out.dst = "192.168.255.254";
	out.dport = 8080;
	check_rewrite(&tcp_spec, &out); // and DNAT
	out = udp_spec;
	check_rewrite(&udp_spec, &out);
	out.dst = "255.255.0.1";
	check_rewrite(&udp_spec, &out);
}

static void test_rewrite_v6(void **state)
{
	struct packet_spec out = tcp6_spec, in = tcp6_spec;

	(void)state;
	check_rewrite(&tcp6_spec, &tcp6_spec);
	out.src = "2001:db8:ffff:ffff::1";
	check_rewrite(&tcp6_spec, &out); // address only
	out.dst = "fd00::1:0:0:7";
	out.dport = 8080;
	check_rewrite(&tcp6_spec, &out);
	in.proto = out.proto = IPPROTO_UDP;
	check_rewrite(&in, &out);
}

static void test_rewrite_gre(void **state)
{
	struct packet_spec v6 = gre_spec;

	(void)state;
	check_rewrite(&gre_spec, &gre_spec);
	v6.src = "fd00::1";
	v6.dst = "fd00::2";
	check_rewrite(&v6, &v6);
}

// From and to every number of tags; the priority bits it came with are not what it leaves with.
static void test_rewrite_vlans(void **state)
{
	static const struct packet_tag stacks[][3] = {
		{{0}},
		{{0x8100, 100}},
		{{0x88a8, 4094}},
		{{0x88a8, 200}, {0x8100, 7}},
		{{0x8100, 1}, {0x8100, 2}},
	};

	(void)state;
	for (size_t i = 0; i < RTE_DIM(stacks); i++)
		for (size_t o = 0; o < RTE_DIM(stacks); o++)
			for (int v6 = 0; v6 < 2; v6++) {
				struct packet_spec in = v6 ? tcp6_spec : udp_spec, out = in;

				memcpy(in.tag, stacks[i], sizeof(in.tag));
				memcpy(out.tag, stacks[o], sizeof(out.tag));
				if (in.tag[0].tpid != 0)
					in.tag[0].tci |= 0x6000;
				check_rewrite(&in, &out);
			}
}

// Without headroom for more tags nothing is touched; with just enough it goes.
static void test_headroom(void **state)
{
	struct packet_spec out = tcp_spec;
	struct packet p, before;

	(void)state;
	out.tag[0] = (struct packet_tag){0x8100, 5};
	packet_make(&p, &tcp_spec);
	p.m.buf_addr = (uint8_t *)p.m.buf_addr + p.m.data_off - 3;
	p.m.data_off = 3;
	before = p;
	assert_false(rewrite(&tcp_spec, &out, &p));
	assert_memory_equal(&p, &before, sizeof(p));
	p.m.buf_addr = (uint8_t *)p.m.buf_addr - 1;
	p.m.data_off = 4;
	assert_true(rewrite(&tcp_spec, &out, &p));
	assert_int_equal(p.m.data_off, 0);
}

static void random_spec(struct packet_spec *s, char addr[2][40], int v6)
{
	for (int i = 0; i < 2; i++)
		if (v6)
			snprintf(addr[i], 40, "%x:%x::%x:%x", rand() & 0xffff, rand() & 0xffff,
				rand() & 0xffff, rand() & 0xffff);
		else
			snprintf(addr[i], 40, "%d.%d.%d.%d", rand() & 255, rand() & 255,
				rand() & 255, rand() & 255);
	s->src = addr[0];
	s->dst = addr[1];
	s->sport = (uint16_t)rand();
	s->dport = (uint16_t)rand();
}

static void test_rewrite_random(void **state)
{
	(void)state;
	srand(20);
	for (int i = 0; i < 200000; i++) {
		char a[2][40], b[2][40];
		struct packet_spec in = i & 1 ? tcp_spec : udp_spec, out;

		in.payload = (uint16_t)(rand() % 64);
		in.fill = (uint8_t)rand();
		in.ttl = (uint8_t)(2 + rand() % 254);
		random_spec(&in, a, i & 2);
		out = in;
		if (i % 3 != 0)
			random_spec(&out, b, i & 2);
		check_rewrite(&in, &out);
	}
}

static void test_udp_zero_checksum(void **state)
{
	struct packet_spec out = udp_spec;
	struct packet p;

	(void)state;
	out.src = "1.2.3.4";
	packet_make(&p, &udp_spec);
	packet_udp(&p)->dgram_cksum = 0;
	assert_true(rewrite(&udp_spec, &out, &p));
	assert_int_equal(packet_udp(&p)->dgram_cksum, 0);
}

// A checksum that comes out as 0 is sent as all ones: search a port that leads there.
static void test_udp_computed_zero(void **state)
{
	struct packet_spec out = udp_spec;
	struct packet p;
	int found = 0;

	(void)state;
	out.src = "10.9.8.7";
	for (unsigned int port = 1; port < 65536; port++) {
		out.sport = (uint16_t)port;
		packet_make(&p, &out);
		if (packet_udp(&p)->dgram_cksum != 0xffff)
			continue;
		found++;
		check_rewrite(&udp_spec, &out);
	}
	assert_int_not_equal(found, 0);
}

// Without NAT the transport checksum is nobody's business: even an odd one stays.
static void test_plain_keeps_l4(void **state)
{
	static const uint16_t odd[] = {0x0000, 0xffff, 0x1234};

	(void)state;
	for (size_t i = 0; i < RTE_DIM(odd); i++) {
		struct packet p;

		packet_make(&p, &tcp_spec);
		packet_tcp(&p)->cksum = odd[i];
		assert_true(rewrite(&tcp_spec, &tcp_spec, &p));
		assert_int_equal(packet_tcp(&p)->cksum, odd[i]);
	}
}

// Every header checksum with every TTL step, as ip_decrease_ttl() of the kernel computes it.
static void test_ttl_like_kernel(void **state)
{
	const uint16_t delta = csum_fold(csum_delta16(RTE_BE16(0x0100), 0));

	(void)state;
	for (uint32_t c = 0; c <= 0xffff; c++) {
		uint32_t kernel = c + RTE_BE16(0x0100);

		kernel += kernel >= 0xffff;
		assert_int_equal(csum_apply((uint16_t)c, delta), (uint16_t)kernel);
	}
}

static int set_up(void **state)
{
	(void)state;
	hops = nexthops_create(NULL);
	return hops != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	nexthops_destroy(hops);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rewrite_fixed),
		cmocka_unit_test(test_rewrite_v6),
		cmocka_unit_test(test_rewrite_gre),
		cmocka_unit_test(test_rewrite_vlans),
		cmocka_unit_test(test_headroom),
		cmocka_unit_test(test_rewrite_random),
		cmocka_unit_test(test_udp_zero_checksum),
		cmocka_unit_test(test_udp_computed_zero),
		cmocka_unit_test(test_plain_keeps_l4),
		cmocka_unit_test(test_ttl_like_kernel),
	};

	if (eal_for_test("64") < 0)
		return 1;
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
