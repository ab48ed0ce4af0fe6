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

#include "flow.h"

struct packet {
	struct rte_mbuf m;
	uint16_t l3; // offset of the IP header
	uint8_t room[RTE_PKTMBUF_HEADROOM + 2048] __attribute__((aligned(64)));
};

// Of IPv6 if 'src' has a colon.
struct packet_spec {
	const char *src, *dst;
	uint16_t sport, dport;
	uint8_t proto;
	uint8_t ttl;
	uint8_t tcp_flags;
	uint16_t payload;
	uint8_t fill;
	int no_udp_csum;
	struct packet_tag {
		uint16_t tpid, tci; // tpid 0: no tag
	} tag[3];
};

static const struct rte_ether_addr packet_mac = {{2, 0, 0, 0, 0, 1}};

static inline int packet_is_v6(const struct packet_spec *s)
{
	return strchr(s->src, ':') != NULL;
}

static inline struct rte_ether_hdr *packet_eth(struct packet *p)
{
	return rte_pktmbuf_mtod(&p->m, struct rte_ether_hdr *);
}

static inline struct rte_ipv4_hdr *packet_ip(struct packet *p)
{
	return rte_pktmbuf_mtod_offset(&p->m, struct rte_ipv4_hdr *, p->l3);
}

static inline struct rte_ipv6_hdr *packet_ip6(struct packet *p)
{
	return rte_pktmbuf_mtod_offset(&p->m, struct rte_ipv6_hdr *, p->l3);
}

static inline void *packet_l4(struct packet *p)
{
	if (packet_ip(p)->version_ihl >> 4 == 6)
		return packet_ip6(p) + 1;
	return packet_ip(p) + 1;
}

static inline struct rte_tcp_hdr *packet_tcp(struct packet *p)
{
	return packet_l4(p);
}

static inline struct rte_udp_hdr *packet_udp(struct packet *p)
{
	return packet_l4(p);
}

static inline uint16_t packet_l4_cksum(struct packet *p)
{
	if (packet_ip(p)->version_ihl >> 4 == 6)
		return rte_ipv6_udptcp_cksum(packet_ip6(p), packet_l4(p));
	return rte_ipv4_udptcp_cksum(packet_ip(p), packet_l4(p));
}

// Checksums are computed by DPDK from scratch, not by the code under test.
static inline void packet_checksums(struct packet *p)
{
	struct rte_ipv4_hdr *ip = packet_ip(p);
	const int v6 = ip->version_ihl >> 4 == 6;
	const uint8_t proto = v6 ? packet_ip6(p)->proto : ip->next_proto_id;

	if (!v6) {
		ip->hdr_checksum = 0;
		ip->hdr_checksum = rte_ipv4_cksum(ip);
	}
	if (proto == IPPROTO_TCP) {
		packet_tcp(p)->cksum = 0;
		packet_tcp(p)->cksum = packet_l4_cksum(p);
	} else if (proto == IPPROTO_UDP) {
		packet_udp(p)->dgram_cksum = 0;
		packet_udp(p)->dgram_cksum = packet_l4_cksum(p);
	}
}

static inline uint16_t packet_l4_bytes(const struct packet_spec *s)
{
	if (s->proto == IPPROTO_GRE)
		return 4;
	return s->proto == IPPROTO_UDP ? 8 : 20;
}

// The Ethernet header and its tags.
static inline void packet_make_l2(struct packet *p, const struct packet_spec *s)
{
	uint16_t *type = &packet_eth(p)->ether_type;

	packet_eth(p)->dst_addr = packet_mac;
	for (int i = 0; i < 3 && s->tag[i].tpid != 0; i++) {
		*type++ = htons(s->tag[i].tpid);
		*type++ = htons(s->tag[i].tci);
	}
	*type = htons(packet_is_v6(s) ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4);
}

static inline void packet_make_l3(struct packet *p, const struct packet_spec *s, uint16_t bytes)
{
	if (packet_is_v6(s)) {
		*packet_ip6(p) = (struct rte_ipv6_hdr){
			.vtc_flow = htonl(6u << 28),
			.payload_len = htons(bytes),
			.proto = s->proto,
			.hop_limits = s->ttl,
		};
		inet_pton(AF_INET6, s->src, packet_ip6(p)->src_addr);
		inet_pton(AF_INET6, s->dst, packet_ip6(p)->dst_addr);
		return;
	}
	*packet_ip(p) = (struct rte_ipv4_hdr){
		.version_ihl = 0x45,
		.total_length = htons((uint16_t)(20 + bytes)),
		.fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG),
		.time_to_live = s->ttl,
		.next_proto_id = s->proto,
	};
	inet_pton(AF_INET, s->src, &packet_ip(p)->src_addr);
	inet_pton(AF_INET, s->dst, &packet_ip(p)->dst_addr);
}

static inline void packet_make_l4(struct packet *p, const struct packet_spec *s)
{
	if (s->proto == IPPROTO_GRE) {
		memset(packet_l4(p), 0, 4);
		return;
	}
	packet_tcp(p)->src_port = htons(s->sport);
	packet_tcp(p)->dst_port = htons(s->dport);
	if (s->proto == IPPROTO_UDP) {
		packet_udp(p)->dgram_len = htons((uint16_t)(8 + s->payload));
	} else {
		packet_tcp(p)->data_off = 0x50;
		packet_tcp(p)->tcp_flags = s->tcp_flags;
	}
}

static inline void packet_make(struct packet *p, const struct packet_spec *s)
{
	const uint16_t bytes = (uint16_t)(packet_l4_bytes(s) + s->payload);

	memset(p, 0, sizeof(*p));
	p->l3 = 14;
	for (int i = 0; i < 3 && s->tag[i].tpid != 0; i++)
		p->l3 = (uint16_t)(p->l3 + 4);
	p->m.buf_addr = p->room;
	p->m.buf_len = sizeof(p->room);
	p->m.data_off = RTE_PKTMBUF_HEADROOM;
	p->m.data_len = (uint16_t)(p->l3 + (packet_is_v6(s) ? 40 : 20) + bytes);
	p->m.pkt_len = p->m.data_len;
	p->m.nb_segs = 1;
	p->m.refcnt = 1;
	memset(packet_eth(p), s->fill, p->m.data_len);
	packet_make_l2(p, s);
	packet_make_l3(p, s, bytes);
	packet_make_l4(p, s);
	packet_checksums(p);
	if (s->proto == IPPROTO_UDP && s->no_udp_csum)
		packet_udp(p)->dgram_cksum = 0;
}

static inline void packet_addr(const char *text, union nfo_addr *addr)
{
	memset(addr, 0, sizeof(*addr));
	inet_pton(strchr(text, ':') != NULL ? AF_INET6 : AF_INET, text, addr->bytes);
}

static inline void packet_vlans(const struct packet_spec *s, struct nfo_vlan *vlan)
{
	for (int i = 0; i < NFO_MAX_VLANS; i++)
		vlan[i] = (struct nfo_vlan){htons(s->tag[i].tpid), s->tag[i].tci & 0xfff};
}

// The flow that makes a packet of 'in' one of 'out'.
static inline void packet_flow(
	const struct packet_spec *in, const struct packet_spec *out, struct nfo_flow *flow)
{
	memset(flow, 0, sizeof(*flow));
	flow->match.family = flow->out.family = packet_is_v6(in) ? NFO_IPV6 : NFO_IPV4;
	flow->match.proto = flow->out.proto = in->proto;
	packet_addr(in->src, &flow->match.src);
	packet_addr(in->dst, &flow->match.dst);
	packet_addr(out->src, &flow->out.src);
	packet_addr(out->dst, &flow->out.dst);
	flow->match.sport_be = htons(in->sport);
	flow->match.dport_be = htons(in->dport);
	flow->out.sport_be = htons(out->sport);
	flow->out.dport_be = htons(out->dport);
	packet_vlans(in, flow->in_vlan);
	packet_vlans(out, flow->out_vlan);
	flow->mtu = 1500;
	memcpy(flow->eth_dst, "\2\1\2\3\4\5", 6);
	memcpy(flow->eth_src, "\2\6\7\x8\x9\xa", 6);
}
