// SPDX-License-Identifier: GPL-2.0-or-later
// parse.h and iface.h: which key a frame has, and why one has none.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
// clang-format on

#include "packet_specs.h"
#include "parse.h"

enum { PORT = 3 };

static struct ifaces *ifaces;
static uint16_t parsed_l3;

static enum nfo_punt parse(struct packet *p, struct table_key *key)
{
	struct parse in = {
		.ifaces = ifaces,
		.mac = &packet_mac,
		.iface = iface_of_group(PORT),
		.key = key,
	};
	const enum nfo_punt verdict = parse_frame(&p->m, &in);

	parsed_l3 = in.l3;
	return verdict;
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
	assert_int_equal(key.v4.src_be, packet_ip(&p)->src_addr);
	assert_int_equal(key.v4.dst_be, packet_ip(&p)->dst_addr);
	assert_int_equal(key.sport_be, htons(40000));
	assert_int_equal(key.dport_be, htons(80));
	assert_int_equal(key.iface, iface_of_group(PORT));
	assert_int_equal(key.proto, IPPROTO_TCP);
	assert_int_equal(key.family, NFO_IPV4);
	assert_int_equal(parsed_l3, 14);
	assert_int_equal(parse_spec(&udp_spec), PARSE_OK);
}

static void test_key_v6(void **state)
{
	struct packet p;
	struct table_key key;

	(void)state;
	packet_make(&p, &tcp6_spec);
	assert_int_equal(parse(&p, &key), PARSE_OK);
	assert_memory_equal(key.v6.src, packet_ip6(&p)->src_addr, 16);
	assert_memory_equal(key.v6.dst, packet_ip6(&p)->dst_addr, 16);
	assert_int_equal(key.sport_be, htons(40000));
	assert_int_equal(key.family, NFO_IPV6);
}

static void test_key_gre(void **state)
{
	struct packet p;
	struct table_key key;

	(void)state;
	packet_make(&p, &gre_spec);
	memset(&key, 0xff, sizeof(key));
	assert_int_equal(parse(&p, &key), PARSE_OK);
	assert_int_equal(key.sport_be | key.dport_be, 0);
	((uint8_t *)packet_l4(&p))[1] = 1; // the version of PPTP
	assert_int_equal(parse(&p, &key), NFO_P_PROTOCOL);
	((uint8_t *)packet_l4(&p))[1] = 0xf8; // other bits of that byte are no version
	assert_int_equal(parse(&p, &key), PARSE_OK);
}

// A stack of tags names an interface only if a flow has asked for it; the priority is no part of it.
static void test_vlans(void **state)
{
	static const struct nfo_vlan q[] = {{RTE_BE16(0x8100), 100}, {0, 0}};
	static const struct nfo_vlan qinq[] = {{RTE_BE16(0x88a8), 200}, {RTE_BE16(0x8100), 7}};
	const uint16_t known = iface_get(ifaces, PORT, q), deep = iface_get(ifaces, PORT, qinq);
	static const struct {
		struct packet_tag tag[3];
		int iface; // 0: untagged, 1: q, 2: qinq, -1: unknown
	} rows[] = {
		{{{0x8100, 100}}, 1},
		{{{0x8100, 0xf000 | 100}}, 1},
		{{{0x8100, 101}}, -1},
		{{{0x88a8, 100}}, -1},
		{{{0x88a8, 200}}, -2}, // a node on the way, without flows: another number
		{{{0x88a8, 200}, {0x8100, 7}}, 2},
		{{{0x88a8, 200}, {0x88a8, 7}}, -1},
		{{{0x8100, 200}, {0x8100, 7}}, -1},
		{{{0x8100, 7}, {0x88a8, 200}}, -1},
		{{{0x8100, 0xe000}}, 0},
		{{{0x8100, 0}, {0x8100, 100}}, 1},
		{{{0x8100, 100}, {0x8100, 0}}, 1},
		{{{0x8100, 0}, {0x8100, 0}}, 0},
		{{{0x8100, 0}, {0x88a8, 200}, {0x8100, 7}}, -1},
	};

	(void)state;
	assert_int_not_equal(known, IFACE_NONE);
	assert_int_equal(iface_get(ifaces, PORT, q), known);
	assert_int_not_equal(iface_get(ifaces, PORT + 1, q), known);
	for (size_t i = 0; i < RTE_DIM(rows); i++) {
		struct packet_spec s = i % 2 ? tcp6_spec : tcp_spec;
		struct table_key key;
		struct packet p;
		enum nfo_punt got;

		memcpy(s.tag, rows[i].tag, sizeof(s.tag));
		packet_make(&p, &s);
		got = parse(&p, &key);
		if (got != (rows[i].iface == -1 ? NFO_P_VLAN : PARSE_OK))
			fail_msg("row %zu: verdict %d", i, got);
		if (rows[i].iface == -1)
			continue;
		assert_int_equal(parsed_l3, p.l3);
		if (rows[i].iface == 0)
			assert_int_equal(key.iface, iface_of_group(PORT));
		else
			assert_int_equal(key.iface == known, rows[i].iface == 1);
		assert_int_equal(key.iface == deep, rows[i].iface == 2);
	}
}

// Of frames with a priority only those pass that conntrack would let pass, by the NIC's word or by
// the checksum itself, in one segment or more.
static void test_priority(void **state)
{
	static const struct nfo_vlan q[] = {{RTE_BE16(0x8100), 100}, {0, 0}};
	const struct packet_spec *specs[] = {&tcp_spec, &udp_spec, &tcp6_spec};

	(void)state;
	iface_get(ifaces, PORT, q);
	for (int i = 0; i < 3; i++)
		for (int tci = 0; tci < 4; tci++) {
			static const uint16_t tcis[] = {100, 0x1000 | 100, 0xe000 | 100, 0};
			struct packet_spec s = *specs[i];
			struct packet p, rest;
			struct table_key key;

			s.tag[0] = (struct packet_tag){0x8100, tcis[tci]};
			packet_make(&p, &s);
			assert_int_equal(parse(&p, &key), PARSE_OK);
			rest = p; // the last three bytes in a segment of their own
			rest.m.buf_addr = rest.room;
			rest.m.data_off = (uint16_t)(rest.m.data_off + rest.m.data_len - 3);
			rest.m.data_len = 3;
			p.m.data_len = (uint16_t)(p.m.data_len - 3);
			p.m.next = &rest.m;
			p.m.nb_segs = 2;
			assert_int_equal(parse(&p, &key), PARSE_OK);
			if (s.proto == IPPROTO_UDP)
				packet_udp(&p)->dgram_cksum ^= 1;
			else
				packet_tcp(&p)->sent_seq ^= 1;
			assert_int_equal(
				parse(&p, &key), tci == 0 ? PARSE_OK : NFO_P_CHECKSUM);
			p.m.ol_flags = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
			assert_int_equal(parse(&p, &key), PARSE_OK);
			p.m.ol_flags = 0;
			if (s.proto == IPPROTO_UDP) {
				packet_udp(&p)->dgram_cksum = 0;
				assert_int_equal(parse(&p, &key), PARSE_OK);
				continue;
			}
			packet_tcp(&p)->tcp_flags = RTE_TCP_PSH_FLAG;
			assert_int_equal(
				parse(&p, &key), tci == 0 ? PARSE_OK : NFO_P_TCP_FLAGS);
		}
}

// Each mangles a good packet in one way.
static void m_ether(struct packet *p)
{
	packet_eth(p)->ether_type = RTE_BE16(RTE_ETHER_TYPE_ARP);
}
static void m_short(struct packet *p)
{
	p->m.data_len = p->m.pkt_len = 33;
}
static void m_tiny(struct packet *p)
{
	p->m.data_len = p->m.pkt_len = 13;
}
static void m_cut_tag(struct packet *p)
{
	packet_eth(p)->ether_type = RTE_BE16(RTE_ETHER_TYPE_VLAN);
	p->m.data_len = p->m.pkt_len = 17;
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
static void m_tcp_header_short(struct packet *p)
{
	packet_tcp(p)->data_off = 0x40;
}
static void m_tcp_header_long(struct packet *p)
{
	p->m.data_len = p->m.pkt_len = 14 + 20 + 20 + 3;
	packet_ip(p)->total_length = htons(43);
	packet_tcp(p)->data_off = 0x60;
	packet_checksums(p);
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

// The same for IPv6.
static void m6_version(struct packet *p)
{
	*(uint8_t *)packet_ip6(p) = 0x75;
}
static void m6_short(struct packet *p)
{
	p->m.data_len = p->m.pkt_len = 14 + 39;
}
static void m6_hop1(struct packet *p)
{
	packet_ip6(p)->hop_limits = 1;
}
static void m6_hop0(struct packet *p)
{
	packet_ip6(p)->hop_limits = 0;
}
static void m6_long(struct packet *p)
{
	packet_ip6(p)->payload_len = htons((uint16_t)(p->m.pkt_len - 14 - 40 + 1));
}
static void m6_no_room(struct packet *p)
{
	packet_ip6(p)->payload_len = htons(19);
}
static void m6_hopopts(struct packet *p)
{
	packet_ip6(p)->proto = IPPROTO_HOPOPTS;
}
static void m6_dstopts(struct packet *p)
{
	packet_ip6(p)->proto = IPPROTO_DSTOPTS;
}
static void m6_routing(struct packet *p)
{
	packet_ip6(p)->proto = IPPROTO_ROUTING;
}
static void m6_ah(struct packet *p)
{
	packet_ip6(p)->proto = IPPROTO_AH;
}
static void m6_fragment(struct packet *p)
{
	packet_ip6(p)->proto = IPPROTO_FRAGMENT;
}
static void m6_icmp(struct packet *p)
{
	packet_ip6(p)->proto = IPPROTO_ICMPV6;
}
static void m6_wrong_ethertype(struct packet *p)
{
	packet_eth(p)->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
}
static void m6_syn(struct packet *p)
{
	packet_tcp(p)->tcp_flags = RTE_TCP_SYN_FLAG;
}

static void test_punts_v6(void **state)
{
	static const struct {
		void (*mangle)(struct packet *);
		enum nfo_punt expected;
	} rows[] = {
		{m6_version, NFO_P_LENGTH},
		{m6_short, NFO_P_LENGTH},
		{m6_hop1, NFO_P_TTL},
		{m6_hop0, NFO_P_TTL},
		{m6_long, NFO_P_LENGTH},
		{m6_no_room, NFO_P_LENGTH},
		{m6_hopopts, NFO_P_OPTIONS},
		{m6_dstopts, NFO_P_OPTIONS},
		{m6_routing, NFO_P_OPTIONS},
		{m6_ah, NFO_P_OPTIONS},
		{m6_fragment, NFO_P_FRAGMENT},
		{m6_icmp, NFO_P_PROTOCOL},
		{m6_wrong_ethertype, NFO_P_LENGTH},
		{m6_syn, NFO_P_TCP_FLAGS},
		{m_mac, NFO_P_OTHER_MAC},
		{m_nic_l4_bad, NFO_P_CHECKSUM},
	};

	(void)state;
	for (size_t i = 0; i < RTE_DIM(rows); i++) {
		struct packet p;
		struct table_key key;

		packet_make(&p, &tcp6_spec);
		rows[i].mangle(&p);
		if (parse(&p, &key) != rows[i].expected)
			fail_msg("row %zu: not %s", i, nfo_punt_word(rows[i].expected));
	}
}

static void test_punts(void **state)
{
	static const struct {
		void (*mangle)(struct packet *);
		enum nfo_punt expected;
	} rows[] = {
		{m_ether, NFO_P_NOT_IP},
		{m_short, NFO_P_LENGTH},
		{m_tiny, NFO_P_LENGTH},
		{m_cut_tag, NFO_P_LENGTH},
		{m_mac, NFO_P_OTHER_MAC},
		{m_broadcast, NFO_P_OTHER_MAC},
		{m_options, NFO_P_OPTIONS},
		{m_version, NFO_P_LENGTH},
		{m_more_fragments, NFO_P_FRAGMENT},
		{m_fragment_offset, NFO_P_FRAGMENT},
		{m_reserved_bit, PARSE_OK},
		{m_icmp, NFO_P_PROTOCOL},
		{m_total_long, NFO_P_LENGTH},
		{m_total_short, NFO_P_LENGTH},
		{m_total_tiny, NFO_P_LENGTH},
		{m_tcp_header_short, NFO_P_LENGTH},
		{m_tcp_header_long, NFO_P_LENGTH},
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

static void test_udp_length(void **state)
{
	struct packet p;
	struct table_key key;

	(void)state;
	for (uint16_t length = 0; length < 30; length++) { // 8 + 11 bytes are there
		packet_make(&p, &udp_spec);
		packet_udp(&p)->dgram_len = htons(length);
		assert_int_equal(parse(&p, &key),
			length >= 8 && length <= 19 ? PARSE_OK : NFO_P_LENGTH);
	}
}

static void test_tcp_ends(void **state)
{
	const struct packet_spec *specs[] = {&tcp_spec, &tcp6_spec};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct table_key key;
		struct packet p;

		packet_make(&p, specs[i]);
		parse(&p, &key);
		m_syn(&p);
		assert_false(parse_tcp_ends(&p.m, &key, parsed_l3));
		m_fin(&p);
		assert_true(parse_tcp_ends(&p.m, &key, parsed_l3));
		m_rst(&p);
		assert_true(parse_tcp_ends(&p.m, &key, parsed_l3));
	}
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

static int set_up(void **state)
{
	(void)state;
	ifaces = ifaces_create();
	return ifaces != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	ifaces_destroy(ifaces);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_key),
		cmocka_unit_test(test_key_v6),
		cmocka_unit_test(test_key_gre),
		cmocka_unit_test(test_vlans),
		cmocka_unit_test(test_priority),
		cmocka_unit_test(test_punts),
		cmocka_unit_test(test_punts_v6),
		cmocka_unit_test(test_udp_length),
		cmocka_unit_test(test_tcp_ends),
		cmocka_unit_test(test_nic_checksum_good),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
