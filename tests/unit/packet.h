// SPDX-License-Identifier: GPL-2.0-or-later
// Frames for tests: an mbuf on the test's own memory, no EAL needed.
#pragma once

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>
#include <rte_udp.h>

struct packet {
	struct rte_mbuf m;
	uint8_t room[RTE_PKTMBUF_HEADROOM + 2048] __attribute__((aligned(64)));
};

struct packet_spec {
	const char *src, *dst;
	uint16_t sport, dport;
	uint8_t proto;
	uint8_t ttl;
	uint8_t tcp_flags;
	uint16_t payload;
	uint8_t fill;
	int no_udp_csum;
};

static const struct rte_ether_addr packet_mac = {{2, 0, 0, 0, 0, 1}};

static inline struct rte_ether_hdr *packet_eth(struct packet *p)
{
	return rte_pktmbuf_mtod(&p->m, struct rte_ether_hdr *);
}

static inline struct rte_ipv4_hdr *packet_ip(struct packet *p)
{
	return (void *)(packet_eth(p) + 1);
}

static inline struct rte_tcp_hdr *packet_tcp(struct packet *p)
{
	return (void *)(packet_ip(p) + 1);
}

static inline struct rte_udp_hdr *packet_udp(struct packet *p)
{
	return (void *)(packet_ip(p) + 1);
}

// Checksums are computed by DPDK from scratch, not by the code under test.
static inline void packet_checksums(struct packet *p)
{
	struct rte_ipv4_hdr *ip = packet_ip(p);

	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	if (ip->next_proto_id == IPPROTO_TCP) {
		packet_tcp(p)->cksum = 0;
		packet_tcp(p)->cksum = rte_ipv4_udptcp_cksum(ip, packet_tcp(p));
	} else if (ip->next_proto_id == IPPROTO_UDP) {
		packet_udp(p)->dgram_cksum = 0;
		packet_udp(p)->dgram_cksum = rte_ipv4_udptcp_cksum(ip, packet_udp(p));
	}
}

static inline void packet_make(struct packet *p, const struct packet_spec *s)
{
	const uint16_t l4 = s->proto == IPPROTO_UDP ? 8 : 20;
	const uint16_t total = (uint16_t)(20 + l4 + s->payload);
	struct rte_ipv4_hdr *ip;

	memset(p, 0, sizeof(*p));
	p->m.buf_addr = p->room;
	p->m.buf_len = sizeof(p->room);
	p->m.data_off = RTE_PKTMBUF_HEADROOM;
	p->m.data_len = (uint16_t)(14 + total);
	p->m.pkt_len = p->m.data_len;
	p->m.nb_segs = 1;
	p->m.refcnt = 1;
	memset(packet_eth(p), s->fill, p->m.data_len);
	packet_eth(p)->dst_addr = packet_mac;
	packet_eth(p)->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	ip = packet_ip(p);
	*ip = (struct rte_ipv4_hdr){
		.version_ihl = 0x45,
		.total_length = htons(total),
		.fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG),
		.time_to_live = s->ttl,
		.next_proto_id = s->proto,
	};
	inet_pton(AF_INET, s->src, &ip->src_addr);
	inet_pton(AF_INET, s->dst, &ip->dst_addr);
	packet_tcp(p)->src_port = htons(s->sport);
	packet_tcp(p)->dst_port = htons(s->dport);
	if (s->proto == IPPROTO_UDP) {
		packet_udp(p)->dgram_len = htons((uint16_t)(8 + s->payload));
	} else {
		packet_tcp(p)->data_off = 0x50;
		packet_tcp(p)->tcp_flags = s->tcp_flags;
	}
	packet_checksums(p);
	if (s->proto == IPPROTO_UDP && s->no_udp_csum)
		packet_udp(p)->dgram_cksum = 0;
}
