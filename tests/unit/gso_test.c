// SPDX-License-Identifier: GPL-2.0-or-later
// gso.c: what the kernel leaves undone becomes whole frames.
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
// clang-format on

#include <rte_mempool.h>

#include "eal.h"
#include "gso.h"
#include "packet_specs.h"

enum { ROOM = 2048, BUFFERS = 255, SEQ = 0x7fffff00, ID = 0xfffe, LONGEST = 65000 };

static struct rte_mempool *pool;

// A long packet as the kernel gives it: its TCP checksum is the sum of the pseudo-header.
struct source {
	const char *name;
	bool v6;
	uint16_t tag[2]; // TPIDs, 0: none
	uint8_t options; // of TCP, in words
	uint32_t payload;
	uint16_t size;
	uint32_t chunk; // bytes in each buffer but the first
};

static const struct source sources[] = {
	{"v4", false, {0}, 0, 10000, 1460, 1800},
	{"v6", true, {0}, 0, 10000, 1440, 1800},
	{"v4 with options", false, {0}, 3, 4344, 1448, 777},
	{"v6 with options, odd", true, {0}, 3, 4345, 1427, 333},
	{"v4 behind a tag", false, {RTE_ETHER_TYPE_VLAN}, 3, 5000, 1448, 1800},
	{"v6 behind two tags", true, {RTE_ETHER_TYPE_QINQ, RTE_ETHER_TYPE_VLAN}, 0, 5000, 999,
		1001},
	{"one byte each", false, {0}, 0, 300, 1, 7},
	{"one segment", false, {0}, 0, 1000, 1460, 1800},
	{"exactly two", true, {0}, 0, 2880, 1440, 1440},
	{"the longest", false, {0}, 3, LONGEST, 1448, 1900},
};

static uint8_t payload_byte(uint32_t i)
{
	return (uint8_t)(i * 7 + i / 251);
}

static uint16_t headers_of(const struct source *s, uint16_t *l3, uint16_t *l4)
{
	*l3 = (uint16_t)(14 + (s->tag[0] ? 4 : 0) + (s->tag[1] ? 4 : 0));
	*l4 = (uint16_t)(*l3 + (s->v6 ? 40 : 20));
	return (uint16_t)(*l4 + 20 + 4 * s->options);
}

static void make_headers(const struct source *s, struct packet *p)
{
	struct packet_spec spec = s->v6 ? tcp6_spec : tcp_spec;
	uint16_t l3, l4;
	const uint16_t headers = headers_of(s, &l3, &l4);
	const uint32_t len = headers - l4 + s->payload;

	spec.tag[0].tpid = s->tag[0];
	spec.tag[1].tpid = s->tag[1];
	spec.payload = (uint16_t)(4 * s->options);
	spec.tcp_flags = RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG | RTE_TCP_FIN_FLAG | 0x80;
	packet_make(p, &spec);
	packet_tcp(p)->sent_seq = htonl(SEQ);
	packet_tcp(p)->data_off = (uint8_t)((5 + s->options) << 4);
	if (s->v6) {
		packet_ip6(p)->payload_len = htons((uint16_t)len);
		packet_tcp(p)->cksum = rte_ipv6_phdr_cksum(packet_ip6(p), 0);
	} else {
		packet_ip(p)->packet_id = htons(ID);
		packet_ip(p)->total_length = htons((uint16_t)(20 + len));
		packet_tcp(p)->cksum = rte_ipv4_phdr_cksum(packet_ip(p), 0);
	}
}

static struct rte_mbuf *make(const struct source *s, struct virtio_net_hdr *hdr)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	struct packet p;
	uint16_t l3, l4, headers = headers_of(s, &l3, &l4);

	make_headers(s, &p);
	assert_non_null(m);
	assert_int_equal(p.m.data_len, headers);
	memcpy(rte_pktmbuf_append(m, headers), packet_eth(&p), headers);
	for (uint32_t i = 0; i < s->payload;) {
		const uint32_t n = RTE_MIN(s->payload - i, s->chunk);
		struct rte_mbuf *next = rte_pktmbuf_alloc(pool);
		uint8_t *to = (uint8_t *)rte_pktmbuf_append(next, (uint16_t)n);

		for (uint32_t j = 0; j < n; j++)
			to[j] = payload_byte(i + j);
		assert_int_equal(rte_pktmbuf_chain(m, next), 0);
		i += n;
	}
	*hdr = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = s->v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = headers,
		.gso_size = s->size,
		.csum_start = l4,
		.csum_offset = 16,
	};
	return m;
}

static bool whole(const void *l4, uint32_t len, uint16_t pseudo)
{
	return ((uint32_t)rte_raw_cksum(l4, len) + pseudo) % 0xffff == 0;
}

static void check_segment(
	const struct source *s, const struct rte_mbuf *m, uint32_t number, uint32_t at, uint32_t n)
{
	uint16_t l3, l4, headers = headers_of(s, &l3, &l4);
	const bool last = at + n == s->payload;
	const uint8_t *frame = rte_pktmbuf_mtod(m, const uint8_t *);
	const struct rte_ipv4_hdr *ip = (const void *)(frame + l3);
	const struct rte_ipv6_hdr *ip6 = (const void *)(frame + l3);
	const struct rte_tcp_hdr *tcp = (const void *)(frame + l4);
	struct packet p;

	assert_int_equal(m->nb_segs, 1);
	assert_int_equal(m->pkt_len, headers + n);
	assert_int_equal(m->data_len, m->pkt_len);
	make_headers(s, &p);
	assert_memory_equal(frame, packet_eth(&p), l3); // addresses and tags
	assert_int_equal(ntohl(tcp->sent_seq), SEQ + at);
	assert_int_equal(tcp->tcp_flags, RTE_TCP_ACK_FLAG
						 | (last ? RTE_TCP_PSH_FLAG | RTE_TCP_FIN_FLAG : 0)
						 | (number == 0 ? 0x80 : 0));
	assert_memory_equal(tcp + 1, packet_tcp(&p) + 1, 4u * s->options);
	if (s->v6) {
		assert_int_equal(ntohs(ip6->payload_len), headers - l4 + n);
		assert_memory_equal(ip6, packet_ip6(&p), 4);
		assert_memory_equal(ip6->src_addr, packet_ip6(&p)->src_addr, 32);
		assert_true(whole(tcp, m->pkt_len - l4, rte_ipv6_phdr_cksum(ip6, 0)));
	} else {
		assert_int_equal(ntohs(ip->total_length), headers - l3 + n);
		assert_int_equal(ntohs(ip->packet_id), (uint16_t)(ID + number));
		assert_int_equal(rte_raw_cksum(ip, 20), 0xffff);
		assert_true(whole(tcp, m->pkt_len - l4, rte_ipv4_phdr_cksum(ip, 0)));
	}
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(frame[headers + i], payload_byte(at + i));
}

static void test_cut(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < RTE_DIM(sources); i++) {
		const struct source *s = &sources[i];
		struct virtio_net_hdr hdr;
		struct rte_mbuf *segment;
		struct gso gso = {0};
		uint32_t number = 0, at = 0;

		print_message("%s\n", s->name);
		assert_true(gso_begin(&gso, make(s, &hdr), &hdr, ROOM));
		for (; (segment = gso_next(&gso, pool)) != NULL; number++) {
			const uint32_t n = RTE_MIN(s->payload - at, s->size);

			check_segment(s, segment, number, at, n);
			rte_pktmbuf_free(segment);
			at += n;
		}
		assert_null(gso.packet);
		assert_int_equal(at, s->payload);
		assert_int_equal(rte_mempool_in_use_count(pool), 0);
	}
}

// Without a buffer nothing is lost: it goes on where it was.
static void test_no_buffer(void **state)
{
	struct rte_mbuf *hold[BUFFERS], *segment;
	struct virtio_net_hdr hdr;
	struct gso gso = {0};
	unsigned int n = 0;

	(void)state;
	assert_true(gso_begin(&gso, make(&sources[0], &hdr), &hdr, ROOM));
	segment = gso_next(&gso, pool);
	check_segment(&sources[0], segment, 0, 0, 1460);
	rte_pktmbuf_free(segment);
	while ((hold[n] = rte_pktmbuf_alloc(pool)) != NULL)
		n++;
	assert_null(gso_next(&gso, pool));
	assert_non_null(gso.packet);
	rte_pktmbuf_free_bulk(hold, n);
	segment = gso_next(&gso, pool);
	check_segment(&sources[0], segment, 1, 1460, 1460);
	rte_pktmbuf_free(segment);
	gso_end(&gso);
	gso_end(&gso);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

static bool begins(const struct source *s, void (*change)(struct virtio_net_hdr *, uint8_t *frame))
{
	struct virtio_net_hdr hdr;
	struct gso gso = {0};
	struct rte_mbuf *m = make(s, &hdr);
	bool good;

	if (change != NULL)
		change(&hdr, rte_pktmbuf_mtod(m, uint8_t *));
	good = gso_begin(&gso, m, &hdr, ROOM);
	rte_pktmbuf_free(m);
	return good;
}

#define CHANGE(name, statement)                                      \
	static void name(struct virtio_net_hdr *hdr, uint8_t *frame) \
	{                                                            \
		(void)hdr, (void)frame;                              \
		statement;                                           \
	}

CHANGE(no_size, hdr->gso_size = 0)
CHANGE(too_long, hdr->gso_size = ROOM)
CHANGE(other_type, hdr->gso_type = VIRTIO_NET_HDR_GSO_UDP)
CHANGE(other_family, hdr->gso_type = VIRTIO_NET_HDR_GSO_TCPV6)
CHANGE(no_checksum, hdr->flags = 0)
CHANGE(other_offset, hdr->csum_offset = 6)
CHANGE(start_early, hdr->csum_start = 20)
CHANGE(start_late, hdr->csum_start = 60)
CHANGE(short_header, frame[14 + 20 + 12] = 0x40)
CHANGE(long_header, frame[14 + 20 + 12] = 0xf0)
CHANGE(no_ip, frame[12] = 0x99)
CHANGE(with_ecn, hdr->gso_type |= VIRTIO_NET_HDR_GSO_ECN)

static void test_refused(void **state)
{
	void (*const changes[])(struct virtio_net_hdr *, uint8_t *) = {no_size, too_long,
		other_type, other_family, no_checksum, other_offset, start_early, start_late,
		short_header, long_header, no_ip};
	const struct source empty = {"no payload", false, {0}, 0, 0, 1460, 1};

	(void)state;
	assert_true(begins(&sources[0], NULL));
	assert_true(begins(&sources[0], with_ecn));
	assert_false(begins(&empty, NULL));
	for (unsigned int i = 0; i < RTE_DIM(changes); i++)
		if (begins(&sources[0], changes[i]))
			fail_msg("change %u is taken", i);
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

static void test_checksum(void **state)
{
	struct packet p;

	(void)state;
	for (uint16_t payload = 0; payload < 50; payload++) {
		struct packet_spec spec = udp_spec;

		spec.payload = payload;
		packet_make(&p, &spec);
		packet_udp(&p)->dgram_cksum = rte_ipv4_phdr_cksum(packet_ip(&p), 0);
		assert_true(gso_checksum(&p.m, 34, 6));
		assert_true(
			whole(packet_udp(&p), 8u + payload, rte_ipv4_phdr_cksum(packet_ip(&p), 0)));
		assert_int_not_equal(packet_udp(&p)->dgram_cksum, 0);
	}
	assert_false(gso_checksum(&p.m, (uint16_t)(p.m.data_len - 7), 6));
	assert_true(gso_checksum(&p.m, (uint16_t)(p.m.data_len - 8), 6));
	assert_false(gso_checksum(&p.m, UINT16_MAX, 6));
}

// A sum of all ones is sent as it is, for 0 means that there is none.
static void test_checksum_zero(void **state)
{
	struct packet p;
	uint16_t value;

	(void)state;
	packet_make(&p, &udp_spec);
	value = packet_udp(&p)->dgram_cksum;
	memcpy(packet_udp(&p) + 1, &(uint16_t){0}, 2);
	packet_checksums(&p);
	value = packet_udp(&p)->dgram_cksum;
	memcpy(packet_udp(&p) + 1, &value, 2);
	packet_udp(&p)->dgram_cksum = rte_ipv4_phdr_cksum(packet_ip(&p), 0);
	assert_true(gso_checksum(&p.m, 34, 6));
	assert_int_equal(packet_udp(&p)->dgram_cksum, 0xffff);
}

// Over buffers of odd lengths, with sums that carry.
static void test_checksum_chain(void **state)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool), *next;
	const uint32_t initial = 0xfdfd; // what is in the field
	uint64_t total = 0;
	uint32_t at = 0;

	(void)state;
	memset(rte_pktmbuf_append(m, 101), 0xfd, 101);
	for (unsigned int i = 0; i < 5; i++) {
		next = rte_pktmbuf_alloc(pool);
		memset(rte_pktmbuf_append(next, (uint16_t)(1001 + 2 * i)), 0xfe, 1001 + 2 * i);
		rte_pktmbuf_chain(m, next);
	}
	assert_true(gso_checksum(m, 14, 16));
	// by bytes, the slow way: the result has taken the place of what was there
	for (const struct rte_mbuf *b = m; b != NULL; b = b->next)
		for (uint32_t i = b == m ? 14 : 0; i < b->data_len; i++, at++)
			total += (uint64_t)rte_pktmbuf_mtod(b, uint8_t *)[i] << (at % 2 ? 0 : 8);
	assert_int_equal(total % 0xffff, 0xffff - initial);
	rte_pktmbuf_free(m);
}

static int set_up(void **state)
{
	(void)state;
	if (eal_for_test("32") < 0)
		return -1;
	pool = rte_pktmbuf_pool_create("test", BUFFERS, 0, 0, RTE_PKTMBUF_HEADROOM + ROOM, 0);
	return pool != NULL ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_no_buffer),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_checksum),
		cmocka_unit_test(test_checksum_zero),
		cmocka_unit_test(test_checksum_chain),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
