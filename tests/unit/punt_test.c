// SPDX-License-Identifier: GPL-2.0-or-later
// punt.h: which class a frame is of, and what a bucket lets through.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
// clang-format on

#include "packet_specs.h"
#include "punt.h"

enum { C = DP_PUNT_CONTROL, N = DP_PUNT_NEW, R = DP_PUNT_REST, HZ = 1000000 };

// A frame in hexadecimal: what follows the two addresses.
static const struct {
	const char *name;
	const char *hex;
	int class;
	enum nfo_punt reason;
} frames[] = {
	{"ARP", "0806 0001", C, NFO_P_NOT_IP},
	{"RARP", "8035", C, NFO_P_NOT_IP},
	{"ARP behind a tag", "8100 0005 0806", C, NFO_P_VLAN},
	{"ARP behind two tags", "88a8 0001 8100 0005 0806", C, NFO_P_VLAN},
	{"ARP behind three tags", "9100 0001 8100 0005 8100 0006 0806", C, NFO_P_VLAN},
	{"four tags", "8100 0001 8100 0005 8100 0006 8100 0007 0806", R, NFO_P_VLAN},
	{"cut in a tag", "8100 0005", R, NFO_P_LENGTH},
	{"cut before a tag's type", "8100 0005 08", R, NFO_P_LENGTH},
	{"LACP", "8809 0101", C, NFO_P_NOT_IP},
	{"LLDP", "88cc", C, NFO_P_NOT_IP},
	{"EAPOL", "888e", C, NFO_P_NOT_IP},
	{"STP", "0026 4242 03", C, NFO_P_NOT_IP},
	{"IS-IS", "05dc fefe 03", C, NFO_P_NOT_IP},
	{"no length", "05ff", C, NFO_P_NOT_IP},
	{"unknown EtherType", "0600", R, NFO_P_NOT_IP},
	{"experimental EtherType", "88b5", R, NFO_P_NOT_IP},
	{"PPPoE discovery", "8863 1109", C, NFO_P_NOT_IP},
	{"LCP", "8864 1100 0001 000a c021 0901", C, NFO_P_NOT_IP},
	{"IPCP", "8864 1100 0001 000a 8021 0101", C, NFO_P_NOT_IP},
	{"CHAP", "8864 1100 0001 000a c223 01", C, NFO_P_NOT_IP},
	{"LCP behind a tag", "8100 0007 8864 1100 0001 000a c021", C, NFO_P_VLAN},
	{"SYN in PPPoE",
		"8864 1100 0001 002a 0021 4500 0028 0000 4000 4006 0000 0a000102 0a000202"
		"9c40 0050 0000 0001 0000 0000 5002",
		N, NFO_P_NOT_IP},
	{"ACK in PPPoE",
		"8864 1100 0001 002a 0021 4500 0028 0000 4000 4006 0000 0a000102 0a000202"
		"9c40 0050 0000 0001 0000 0000 5010",
		R, NFO_P_NOT_IP},
	{"ND in PPPoE",
		"8864 1100 0001 002a 0057 60000000 0018 3aff " // 32 bytes of addresses
		"00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 8700",
		C, NFO_P_NOT_IP},
	{"PPP's other data", "8864 1100 0001 002a 0031", R, NFO_P_NOT_IP},
	{"PPPoE cut", "8864 1100 0001 002a c0", R, NFO_P_NOT_IP},
	{"MPLS", "8847", R, NFO_P_NOT_IP},
	{"IPv4 cut", "0800 4500 0028 0000 4000 4059", R, NFO_P_LENGTH},
	{"OSPF", "0800 4500 0028 0000 4000 0159 0000 0a000102 e0000005", C, NFO_P_TTL},
	{"IGMP with options", "0800 4600 0020 0000 4000 0102 0000 0a000102 e0000001 94040000 11", C,
		NFO_P_OPTIONS},
	{"PIM", "0800 4500 0028 0000 4000 0167 0000 0a000102 e000000d", C, NFO_P_TTL},
	{"VRRP", "0800 4500 0028 0000 4000 ff70 0000 0a000102 e0000012", C, NFO_P_OTHER_MAC},
	{"OSPF, later fragment", "0800 4500 0028 0000 00b9 0159 0000 0a000102 e0000005", C,
		NFO_P_FRAGMENT},
	{"ping", "0800 4500 0028 0000 4000 4001 0000 0a000102 0a000202 0800", R, NFO_P_PROTOCOL},
	{"BGP, to", "0800 4500 0028 0000 4000 4006 0000 0a000102 0a000202 9c40 00b3", C,
		NFO_P_MISS},
	{"BGP, from", "0800 4500 0028 0000 4000 4006 0000 0a000102 0a000202 00b3 9c40", C,
		NFO_P_MISS},
	{"LDP session", "0800 4500 0028 0000 4000 4006 0000 0a000102 0a000202 0286 9c40", C,
		NFO_P_MISS},
	{"TCP, cut before its flags",
		"0800 4500 0028 0000 4000 4006 0000 0a000102 0a000202 9c40 0050 0000 0001 0000 "
		"0000 50",
		R, NFO_P_LENGTH},
	{"TCP, cut in its ports", "0800 4500 0028 0000 4000 4006 0000 0a000102 0a000202 00b3 00", R,
		NFO_P_LENGTH},
	{"SYN behind options",
		"0800 4600 0028 0000 4000 4006 0000 0a000102 0a000202 01010101"
		"9c40 0050 0000 0001 0000 0000 5002",
		N, NFO_P_OPTIONS},
	{"longer header than there is",
		"0800 4f00 0028 0000 4000 4006 0000 0a000102 0a000202 00b3 00b3", R, NFO_P_OPTIONS},
	{"TCP, later fragment", "0800 4500 0028 0000 0001 4006 0000 0a000102 0a000202 00b3 00b3", R,
		NFO_P_FRAGMENT},
	{"UDP, later fragment", "0800 4500 0028 0000 0001 4011 0000 0a000102 0a000202 0043 0043", R,
		NFO_P_FRAGMENT},
	{"DHCP, first fragment", "0800 4500 0028 0000 2000 4011 0000 0a000102 0a000202 0044 0043",
		C, NFO_P_FRAGMENT},
	{"SCTP without a flow", "0800 4500 0028 0000 4000 4084 0000 0a000102 0a000202", R,
		NFO_P_PROTOCOL},
	{"GRE without a flow", "0800 4500 0028 0000 4000 402f 0000 0a000102 0a000202", N,
		NFO_P_MISS},
	{"IPv6 cut", "86dd 60000000 0018 3a", R, NFO_P_LENGTH},
};

// Of IPv6: the next header, and what is behind the addresses.
static const struct {
	const char *name;
	uint8_t next;
	const char *hex;
	int class;
	enum nfo_punt reason;
} frames6[] = {
	{"ND, solicitation", 58, "8700", C, NFO_P_PROTOCOL},
	{"ND, advertisement", 58, "8800", C, NFO_P_PROTOCOL},
	{"router advertisement", 58, "86", C, NFO_P_PROTOCOL},
	{"redirect", 58, "89", C, NFO_P_PROTOCOL},
	{"MLD report behind hop-by-hop", 0, "3a00 0502 0000 0100 8f00", C, NFO_P_OPTIONS},
	{"MLD query", 58, "82", C, NFO_P_PROTOCOL},
	{"ping", 58, "80", R, NFO_P_PROTOCOL},
	{"packet too big", 58, "02", R, NFO_P_PROTOCOL},
	{"ICMPv6 without a type", 58, "", R, NFO_P_LENGTH},
	{"OSPF", 89, "0301", C, NFO_P_PROTOCOL},
	{"PIM", 103, "", C, NFO_P_PROTOCOL},
	{"VRRP", 112, "", C, NFO_P_PROTOCOL},
	{"DHCPv6", 17, "0222 0223", C, NFO_P_MISS},
	{"RIPng", 17, "0209 0209", C, NFO_P_MISS},
	{"UDP, no flow", 17, "9c40 0035", N, NFO_P_MISS},
	{"UDP, later fragment", 44, "1100 0008 00000001 0222 0223", R, NFO_P_FRAGMENT},
	{"DHCPv6, first fragment", 44, "1100 0001 00000001 0222 0223", C, NFO_P_FRAGMENT},
	{"SYN behind destination options", 60,
		"0600 0104 0000 0000 9c40 0050 00000001 00000000 5002", N, NFO_P_OPTIONS},
	{"routing header, long", 43, "1101 0000 0000 0000 0000 0000 0000 0000 0222 0223", C,
		NFO_P_OPTIONS},
	{"extension cut", 0, "3a00 0502", R, NFO_P_LENGTH},
	{"extension longer than the frame", 0, "3aff 0502 0000 0100 8f00", R, NFO_P_OPTIONS},
	{"too many extensions", 60,
		"3c00 0104 0000 0000 3c00 0104 0000 0000 3c00 0104 0000 0000 3c00 0104 0000 0000"
		"3c00 0104 0000 0000 3c00 0104 0000 0000 3c00 0104 0000 0000 3c00 0104 0000 0000"
		"5900 0104 0000 0000",
		R, NFO_P_OPTIONS},
};

static uint16_t from_hex(const char *hex, uint8_t *to)
{
	char pair[3] = "";
	uint16_t n = 0;

	for (const char *p = hex; *p != '\0'; p++) {
		if (*p == ' ')
			continue;
		memcpy(pair, p++, 2);
		to[n++] = (uint8_t)strtoul(pair, NULL, 16);
	}
	return n;
}

// The frame lies at the end of memory that is its own, so that a sanitizer sees a step too far.
static enum dp_punt_class classify(const uint8_t *frame, uint16_t n, enum nfo_punt reason)
{
	uint8_t *copy = malloc(n ? n : 1);
	struct rte_mbuf m = {.buf_addr = copy, .data_len = n, .pkt_len = n};
	enum dp_punt_class class;

	memcpy(copy, frame, n);
	class = punt_classify(&m, reason);
	free(copy);
	return class;
}

static void test_frames(void **state)
{
	uint8_t frame[256] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};

	(void)state;
	for (unsigned int i = 0; i < RTE_DIM(frames); i++) {
		const uint16_t n = from_hex(frames[i].hex, frame + 12);
		const enum dp_punt_class class =
			classify(frame, (uint16_t)(12 + n), frames[i].reason);

		if ((int)class != frames[i].class)
			fail_msg("%s is of class %d, not %d", frames[i].name, class,
				frames[i].class);
	}
}

static void test_frames6(void **state)
{
	uint8_t frame[256] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x86, 0xdd, 0x60};

	(void)state;
	for (unsigned int i = 0; i < RTE_DIM(frames6); i++) {
		const uint16_t n = from_hex(frames6[i].hex, frame + 54);
		enum dp_punt_class class;

		frame[20] = frames6[i].next;
		class = classify(frame, (uint16_t)(54 + n), frames6[i].reason);
		if ((int)class != frames6[i].class)
			fail_msg("%s is of class %d, not %d", frames6[i].name, class,
				frames6[i].class);
	}
}

static void test_link_local(void **state)
{
	uint8_t frame[14] = {0x01, 0x80, 0xc2, 0, 0, 0x0e, 2, 0, 0, 0, 0, 2, 0x88, 0xb5};

	(void)state;
	assert_int_equal(classify(frame, 14, NFO_P_NOT_IP), C);
	frame[5] = 0x0f;
	assert_int_equal(classify(frame, 14, NFO_P_NOT_IP), C);
	frame[5] = 0x10;
	assert_int_equal(classify(frame, 14, NFO_P_NOT_IP), R);
	frame[5] = 0;
	for (uint16_t n = 0; n < 14; n++)
		assert_int_equal(classify(frame, n, NFO_P_LENGTH), R);
}

static enum dp_punt_class of_spec(const struct packet_spec *spec, enum nfo_punt reason)
{
	struct packet p;

	packet_make(&p, spec);
	return punt_classify(&p.m, reason);
}

static void test_tcp(void **state)
{
	const struct packet_spec *bases[] = {&tcp_spec, &tcp6_spec};
	const uint16_t tags[][2] = {{0}, {0x8100}, {0x88a8, 0x8100}};

	(void)state;
	for (unsigned int i = 0; i < 6; i++) {
		struct packet_spec spec = *bases[i % 2];

		spec.tag[0] = (struct packet_tag){tags[i / 2][0], 5};
		spec.tag[1] = (struct packet_tag){tags[i / 2][1], 6};
		assert_int_equal(of_spec(&spec, NFO_P_MISS), R);
		spec.tcp_flags = RTE_TCP_SYN_FLAG;
		assert_int_equal(of_spec(&spec, NFO_P_TCP_FLAGS), N);
		spec.tcp_flags = RTE_TCP_FIN_FLAG | RTE_TCP_ACK_FLAG;
		assert_int_equal(of_spec(&spec, NFO_P_VLAN), N);
		spec.tcp_flags = RTE_TCP_RST_FLAG;
		assert_int_equal(of_spec(&spec, NFO_P_OTHER_MAC), N);
		spec.dport = 179;
		assert_int_equal(of_spec(&spec, NFO_P_TCP_FLAGS), C);
	}
}

static void test_udp(void **state)
{
	const uint16_t control[] = {67, 68, 520, 521, 546, 547, 646, 3784, 3785, 4784};
	struct packet_spec spec = udp_spec;

	(void)state;
	assert_int_equal(of_spec(&spec, NFO_P_MISS), N);
	assert_int_equal(of_spec(&spec, NFO_P_VLAN), N);
	assert_int_equal(of_spec(&spec, NFO_P_SAMPLE), R);
	assert_int_equal(of_spec(&spec, NFO_P_MTU), R);
	for (unsigned int i = 0; i < RTE_DIM(control); i++) {
		spec.dport = control[i];
		assert_int_equal(of_spec(&spec, NFO_P_MISS), C);
		spec.dport++;
	}
	spec.dport = 66;
	assert_int_equal(of_spec(&spec, NFO_P_MISS), N);
	spec.sport = 67; // what a client is told is what counts
	assert_int_equal(of_spec(&spec, NFO_P_MISS), N);
}

static unsigned int passes(struct punt_bucket *b, uint64_t now, unsigned int tries)
{
	unsigned int n = 0;

	while (tries-- > 0)
		n += punt_bucket_take(b, now);
	return n;
}

static void test_no_limit(void **state)
{
	struct punt_bucket b;

	(void)state;
	punt_bucket_init(&b, 0, 4, HZ);
	assert_int_equal(passes(&b, 0, 1000000), 1000000);
	memset(&b, 0, sizeof(b));
	assert_int_equal(passes(&b, 5, 1000), 1000);
}

static void test_burst_and_rate(void **state)
{
	const uint64_t starts[] = {0, 1, HZ, UINT64_MAX - HZ / 2, UINT64_MAX / 2, UINT64_MAX};

	(void)state;
	for (unsigned int i = 0; i < RTE_DIM(starts); i++) {
		const uint64_t t = starts[i];
		struct punt_bucket b;
		unsigned int n = 0;

		punt_bucket_init(&b, 1000, 1, HZ); // 1000 cycles a packet, 100 at once
		b.due = t;
		assert_int_equal(passes(&b, t, 1000), 100);
		assert_int_equal(passes(&b, t + 999, 10), 0);
		assert_int_equal(passes(&b, t + 1000, 10), 1);
		assert_int_equal(passes(&b, t + 3999, 10), 2);
		for (uint64_t at = 4000; at < 4000 + HZ; at += 100)
			n += passes(&b, t + at, 1);
		assert_in_range(n, 999, 1001); // of 10,000, over the place where the TSC wraps
		assert_in_range(passes(&b, t + 4000 + HZ + 50000, 1000), 50, 51);
	}
}

// Idle time fills the bucket once, however long it was.
static void test_idle(void **state)
{
	const uint64_t pauses[] = {100000, 5 * HZ, 1ull << 40, 1ull << 62};
	struct punt_bucket b;
	uint64_t now = 12345;

	(void)state;
	punt_bucket_init(&b, 1000, 1, HZ);
	b.due = now;
	assert_int_equal(passes(&b, now, 1000), 100);
	for (unsigned int i = 0; i < RTE_DIM(pauses); i++) {
		now += pauses[i];
		assert_int_equal(passes(&b, now, 1000), 100);
	}
}

static void test_shares(void **state)
{
	struct punt_bucket b;

	(void)state;
	punt_bucket_init(&b, 10000, 4, HZ);
	assert_int_equal(b.cost, 400);
	assert_int_equal(passes(&b, 0, 1000), 250);
	punt_bucket_init(&b, 100, 64, HZ); // slow: no tenth of a second would be a packet
	assert_int_equal(passes(&b, 0, 1000), PUNT_MIN_BURST);
	assert_int_equal(passes(&b, HZ, 1000), 1);
	punt_bucket_init(&b, 10000000, 1, HZ); // faster than the clock
	assert_int_equal(b.cost, 1);
	assert_int_equal(passes(&b, 0, 2000000), 1000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_frames6),
		cmocka_unit_test(test_link_local),
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_udp),
		cmocka_unit_test(test_no_limit),
		cmocka_unit_test(test_burst_and_rate),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_shares),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
