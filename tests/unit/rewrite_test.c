// SPDX-License-Identifier: GPL-2.0-or-later
// csum.h, parse.h and rewrite.h: every packet against one whose checksums are computed afresh.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
// clang-format on

#include "packet.h"
#include "rewrite.h"

static const struct packet_spec tcp_spec = {
	.src = "10.0.1.2",
	.dst = "10.0.2.2",
	.sport = 40000,
	.dport = 80,
	.proto = IPPROTO_TCP,
	.ttl = 64,
	.tcp_flags = RTE_TCP_ACK_FLAG,
	.payload = 100,
	.fill = 0x5a,
};

static const struct packet_spec udp_spec = {
	.src = "10.0.1.2",
	.dst = "10.0.2.2",
	.sport = 5000,
	.dport = 53,
	.proto = IPPROTO_UDP,
	.ttl = 64,
	.payload = 11,
	.fill = 0xa5,
};

static enum nfo_punt parse(struct packet *p, struct table_key *key)
{
	return parse_frame(&p->m, &packet_mac, 3, key);
}

static enum nfo_punt parse_spec(const struct packet_spec *spec)
{
	struct packet p;
	struct table_key key;

	packet_make(&p, spec);
	return parse(&p, &key);
}

static void test_key(void **state)
{
	struct packet p;
	struct table_key key;

	(void)state;
	memset(&key, 0xff, sizeof(key));
	packet_make(&p, &tcp_spec);
	assert_int_equal(parse(&p, &key), PARSE_OK);
	assert_int_equal(key.src_be, packet_ip(&p)->src_addr);
	assert_int_equal(key.dst_be, packet_ip(&p)->dst_addr);
	assert_int_equal(key.sport_be, htons(40000));
	assert_int_equal(key.dport_be, htons(80));
	assert_int_equal(key.in_port, 3);
	assert_int_equal(key.proto, IPPROTO_TCP);
	assert_int_equal(key.zero, 0);
	assert_int_equal(parse_spec(&udp_spec), PARSE_OK);
}

// Each mangles a good packet in one way.
static void m_ether(struct packet *p)
{
	packet_eth(p)->ether_type = RTE_BE16(RTE_ETHER_TYPE_VLAN);
}
static void m_short(struct packet *p)
{
	p->m.data_len = p->m.pkt_len = 33;
}
static void m_mac(struct packet *p)
{
	packet_eth(p)->dst_addr.addr_bytes[5]++;
}
static void m_broadcast(struct packet *p)
{
	memset(&packet_eth(p)->dst_addr, 0xff, 6);
}
static void m_options(struct packet *p)
{
	packet_ip(p)->version_ihl = 0x46;
}
static void m_version(struct packet *p)
{
	packet_ip(p)->version_ihl = 0x65;
}
static void m_more_fragments(struct packet *p)
{
	packet_ip(p)->fragment_offset = RTE_BE16(RTE_IPV4_HDR_MF_FLAG);
	packet_checksums(p);
}
static void m_fragment_offset(struct packet *p)
{
	packet_ip(p)->fragment_offset = RTE_BE16(1);
	packet_checksums(p);
}
static void m_reserved_bit(struct packet *p)
{
	packet_ip(p)->fragment_offset = RTE_BE16(0x8000);
	packet_checksums(p);
}
static void m_icmp(struct packet *p)
{
	packet_ip(p)->next_proto_id = IPPROTO_ICMP;
	packet_checksums(p);
}
static void m_total_long(struct packet *p)
{
	packet_ip(p)->total_length = htons((uint16_t)(p->m.pkt_len - 14 + 1));
	packet_checksums(p);
}
static void m_total_short(struct packet *p)
{
	packet_ip(p)->total_length = htons(39); // one less than IP and TCP headers
	packet_ip(p)->hdr_checksum = 0;
	packet_ip(p)->hdr_checksum = rte_ipv4_cksum(packet_ip(p));
}
static void m_total_tiny(struct packet *p)
{
	packet_ip(p)->total_length = htons(19);
	packet_ip(p)->hdr_checksum = 0;
	packet_ip(p)->hdr_checksum = rte_ipv4_cksum(packet_ip(p));
}
static void m_l4_in_next_segment(struct packet *p)
{
	p->m.data_len = 14 + 20 + 19;
}
static void m_ttl1(struct packet *p)
{
	packet_ip(p)->time_to_live = 1;
	packet_checksums(p);
}
static void m_ttl0(struct packet *p)
{
	packet_ip(p)->time_to_live = 0;
	packet_checksums(p);
}
static void m_checksum(struct packet *p)
{
	packet_ip(p)->hdr_checksum ^= 1;
}
static void m_nic_l3_bad(struct packet *p)
{
	p->m.ol_flags = RTE_MBUF_F_RX_IP_CKSUM_BAD;
}
static void m_nic_l4_bad(struct packet *p)
{
	p->m.ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_BAD;
}
static void m_syn(struct packet *p)
{
	packet_tcp(p)->tcp_flags = RTE_TCP_SYN_FLAG;
}
static void m_fin(struct packet *p)
{
	packet_tcp(p)->tcp_flags = RTE_TCP_FIN_FLAG | RTE_TCP_ACK_FLAG;
}
static void m_rst(struct packet *p)
{
	packet_tcp(p)->tcp_flags = RTE_TCP_RST_FLAG;
}

static void test_punts(void **state)
{
	static const struct {
		void (*mangle)(struct packet *);
		enum nfo_punt expected;
	} rows[] = {
		{m_ether, NFO_P_NOT_IPV4},
		{m_short, NFO_P_NOT_IPV4},
		{m_mac, NFO_P_OTHER_MAC},
		{m_broadcast, NFO_P_OTHER_MAC},
		{m_options, NFO_P_OPTIONS},
		{m_version, NFO_P_LENGTH},
		{m_more_fragments, NFO_P_FRAGMENT},
		{m_fragment_offset, NFO_P_FRAGMENT},
		{m_reserved_bit, NFO_P_FRAGMENT},
		{m_icmp, NFO_P_PROTOCOL},
		{m_total_long, NFO_P_LENGTH},
		{m_total_short, NFO_P_LENGTH},
		{m_total_tiny, NFO_P_LENGTH},
		{m_l4_in_next_segment, NFO_P_LENGTH},
		{m_ttl1, NFO_P_TTL},
		{m_ttl0, NFO_P_TTL},
		{m_checksum, NFO_P_CHECKSUM},
		{m_nic_l3_bad, NFO_P_CHECKSUM},
		{m_nic_l4_bad, NFO_P_CHECKSUM},
		{m_syn, NFO_P_TCP_FLAGS},
		{m_fin, NFO_P_TCP_FLAGS},
		{m_rst, NFO_P_TCP_FLAGS},
	};

	(void)state;
	for (size_t i = 0; i < RTE_DIM(rows); i++) {
		struct packet p;
		struct table_key key;
		enum nfo_punt got;

		packet_make(&p, &tcp_spec);
		rows[i].mangle(&p);
		got = parse(&p, &key);
		if (got != rows[i].expected)
			fail_msg("row %zu: %s, expected %s", i,
				got == PARSE_OK ? "ok" : nfo_punt_word(got),
				nfo_punt_word(rows[i].expected));
	}
}

static void test_tcp_ends(void **state)
{
	struct packet p;

	(void)state;
	packet_make(&p, &tcp_spec);
	m_syn(&p);
	assert_false(parse_tcp_ends(&p.m));
	m_fin(&p);
	assert_true(parse_tcp_ends(&p.m));
	m_rst(&p);
	assert_true(parse_tcp_ends(&p.m));
}

// A NIC's word for a good header saves the computation; without it a bad one is found.
static void test_nic_checksum_good(void **state)
{
	struct packet p;
	struct table_key key;

	(void)state;
	packet_make(&p, &tcp_spec);
	m_checksum(&p);
	p.m.ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD;
	assert_int_equal(parse(&p, &key), PARSE_OK);
}

static void flow_of(const struct packet_spec *in, const struct packet_spec *out,
	struct nfo_flow *flow)
{
	memset(flow, 0, sizeof(*flow));
	flow->match.family = flow->out.family = NFO_IPV4;
	flow->match.proto = flow->out.proto = in->proto;
	inet_pton(AF_INET, in->src, &flow->match.src.v4_be);
	inet_pton(AF_INET, in->dst, &flow->match.dst.v4_be);
	inet_pton(AF_INET, out->src, &flow->out.src.v4_be);
	inet_pton(AF_INET, out->dst, &flow->out.dst.v4_be);
	flow->match.sport_be = htons(in->sport);
	flow->match.dport_be = htons(in->dport);
	flow->out.sport_be = htons(out->sport);
	flow->out.dport_be = htons(out->dport);
	flow->mtu = 1500;
	memcpy(flow->eth_dst, "\2\1\2\3\4\5", 6);
	memcpy(flow->eth_src, "\2\6\7\x8\x9\xa", 6);
}

// What leaves for 'in' must be 'out', made from scratch, one TTL less.
static void check_rewrite(const struct packet_spec *in, const struct packet_spec *out)
{
	struct packet got, expected;
	struct packet_spec less = *out;
	struct table_entry entry;
	struct nfo_flow flow;

	less.ttl = (uint8_t)(in->ttl - 1);
	packet_make(&got, in);
	packet_make(&expected, &less);
	memcpy(&packet_eth(&expected)->dst_addr, "\2\1\2\3\4\5", 6);
	memcpy(&packet_eth(&expected)->src_addr, "\2\6\7\x8\x9\xa", 6);
	flow_of(in, out, &flow);
	rewrite_entry(&flow, &entry);
	rewrite_frame(&got.m, &entry);
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

static void random_spec(struct packet_spec *s, char addr[2][16])
{
	for (int i = 0; i < 2; i++)
		snprintf(addr[i], 16, "%d.%d.%d.%d", rand() & 255, rand() & 255, rand() & 255,
			rand() & 255);
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
		char a[2][16], b[2][16];
		struct packet_spec in = i & 1 ? tcp_spec : udp_spec, out;

		in.payload = (uint16_t)(rand() % 64);
		in.fill = (uint8_t)rand();
		in.ttl = (uint8_t)(2 + rand() % 254);
		random_spec(&in, a);
		out = in;
		if (i % 3 != 0)
			random_spec(&out, b);
		check_rewrite(&in, &out);
	}
}

static void test_udp_zero_checksum(void **state)
{
	struct packet_spec out = udp_spec;
	struct packet p;
	struct table_entry entry;
	struct nfo_flow flow;

	(void)state;
	out.src = "1.2.3.4";
	flow_of(&udp_spec, &out, &flow);
	rewrite_entry(&flow, &entry);
	packet_make(&p, &udp_spec);
	packet_udp(&p)->dgram_cksum = 0;
	rewrite_frame(&p.m, &entry);
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
	struct table_entry entry;
	struct nfo_flow flow;

	(void)state;
	flow_of(&tcp_spec, &tcp_spec, &flow);
	rewrite_entry(&flow, &entry);
	for (size_t i = 0; i < RTE_DIM(odd); i++) {
		struct packet p;

		packet_make(&p, &tcp_spec);
		packet_tcp(&p)->cksum = odd[i];
		rewrite_frame(&p.m, &entry);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_key),
		cmocka_unit_test(test_punts),
		cmocka_unit_test(test_tcp_ends),
		cmocka_unit_test(test_nic_checksum_good),
		cmocka_unit_test(test_rewrite_fixed),
		cmocka_unit_test(test_rewrite_random),
		cmocka_unit_test(test_udp_zero_checksum),
		cmocka_unit_test(test_udp_computed_zero),
		cmocka_unit_test(test_plain_keeps_l4),
		cmocka_unit_test(test_ttl_like_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
