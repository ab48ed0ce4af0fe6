// SPDX-License-Identifier: BSD-3-Clause
// What a forwarded packet becomes, as nf_flow_offload_ip_hook() and nf_flow_offload_ipv6_hook() do
// it: NAT of addresses and ports with their checksums, TTL or hop limit less one, the next hop's
// Ethernet header and tags in place of those it came with. Pure and inline.
#pragma once

#include "csum.h"
#include "nexthop.h"
#include "parse.h"
#include "table.h"

// PARSE_OK, or why the packet is as it was: its next hop is not usable now, or it has no room for a
// longer Ethernet header.
static inline enum nfo_punt rewrite_l2(struct rte_mbuf *m, uint16_t l3, const struct nexthop *hop)
{
	const uint8_t l2_bytes = nexthop_l2_bytes(hop);
	const int more = l2_bytes + (int)sizeof(uint16_t) - l3;

	if (unlikely(l2_bytes == 0))
		return NFO_P_NEIGHBOUR;
	if (unlikely(more != 0)) {
		if (more > rte_pktmbuf_headroom(m))
			return NFO_P_HEADROOM;
		m->data_off = (uint16_t)(m->data_off - more);
		m->data_len = (uint16_t)(m->data_len + more);
		m->pkt_len = (uint32_t)((int)m->pkt_len + more);
	}
	memcpy(rte_pktmbuf_mtod(m, void *), hop->l2, 2 * NFO_ETH_ALEN);
	if (unlikely(l2_bytes != 2 * NFO_ETH_ALEN))
		memcpy(rte_pktmbuf_mtod_offset(m, void *, 2 * NFO_ETH_ALEN),
			hop->l2 + 2 * NFO_ETH_ALEN, l2_bytes - 2u * NFO_ETH_ALEN);
	return PARSE_OK;
}

static inline void rewrite_l4(void *l4, const struct table_entry *e, uint16_t delta)
{
	struct rte_tcp_hdr *tcp = l4;
	struct rte_udp_hdr *udp = l4;

	if (unlikely(e->key.proto == IPPROTO_GRE))
		return;
	tcp->src_port = e->sport_be; // at the same place in UDP
	tcp->dst_port = e->dport_be;
	if (e->key.proto == IPPROTO_TCP) {
		tcp->cksum = csum_apply(tcp->cksum, delta);
	} else if (udp->dgram_cksum != 0) {
		// 0 says "no checksum" and stays; a computed 0 is sent as all ones (RFC 768)
		udp->dgram_cksum = csum_apply(udp->dgram_cksum, delta);
		if (unlikely(udp->dgram_cksum == 0))
			udp->dgram_cksum = 0xffff;
	}
}

static inline void rewrite_ipv4(struct rte_ipv4_hdr *ip, const struct table_entry *e)
{
	ip->time_to_live--;
	ip->hdr_checksum = csum_apply(ip->hdr_checksum, e->v4.l3_delta);
	ip->src_addr = e->v4.src_be;
	ip->dst_addr = e->v4.dst_be;
	rewrite_l4(ip + 1, e, e->v4.l4_delta);
}

static inline void rewrite_ipv6(
	struct rte_ipv6_hdr *ip, const struct table_entry *e, const struct table_second *second)
{
	ip->hop_limits--;
	memcpy(ip->src_addr, second->src, sizeof(second->src) + sizeof(second->dst));
	rewrite_l4(ip + 1, e, second->l4_delta);
}

// The frame has passed parse_frame() with PARSE_OK, its IP header lies at 'l3', and it matches 'e',
// whose next hop is 'hop'. Returns what rewrite_l2() does.
static inline enum nfo_punt rewrite_frame(
	struct rte_mbuf *m, uint16_t l3, const struct table_entry *e, const struct nexthop *hop)
{
	void *ip = rte_pktmbuf_mtod_offset(m, void *, l3);
	const enum nfo_punt verdict = rewrite_l2(m, l3, hop);

	if (unlikely(verdict != PARSE_OK))
		return verdict;
	if (e->key.family == NFO_IPV4)
		rewrite_ipv4(ip, e);
	else
		rewrite_ipv6(ip, e, table_second(e));
	return PARSE_OK;
}

static inline uint32_t rewrite_sum(const union nfo_addr *a, unsigned int bytes, uint16_t invert)
{
	uint32_t sum = 0;

	for (unsigned int i = 0; i < bytes; i += 2) {
		uint16_t word;

		memcpy(&word, a->bytes + i, sizeof(word));
		sum += (uint16_t)(word ^ invert);
	}
	return sum;
}

// The sum of ~old and new over both addresses: not 0 unless nothing is.
static inline uint32_t rewrite_addresses(const struct nfo_tuple *in, const struct nfo_tuple *out)
{
	const unsigned int bytes = in->family == NFO_IPV4 ? 4 : 16;

	return rewrite_sum(&in->src, bytes, 0xffff) + rewrite_sum(&in->dst, bytes, 0xffff)
	       + rewrite_sum(&out->src, bytes, 0) + rewrite_sum(&out->dst, bytes, 0);
}

static inline bool rewrite_is_nat(const struct nfo_tuple *in, const struct nfo_tuple *out)
{
	return memcmp(&in->src, &out->src, sizeof(in->src)) != 0
	       || memcmp(&in->dst, &out->dst, sizeof(in->dst)) != 0
	       || in->sport_be != out->sport_be || in->dport_be != out->dport_be;
}

// The entry for one direction: everything that rewrite_frame() needs, precomputed. 'flow' is TCP,
// UDP, or GRE without NAT.
static inline void rewrite_content(const struct nfo_flow *flow, uint16_t iface, uint16_t nexthop,
	struct table_content *content)
{
	const struct nfo_tuple *in = &flow->match, *out = &flow->out;
	const uint32_t addresses = rewrite_addresses(in, out);
	const uint32_t ports = csum_delta16(in->sport_be, out->sport_be)
			       + csum_delta16(in->dport_be, out->dport_be);
	const uint16_t l4_delta =
		rewrite_is_nat(in, out) ? csum_fold(csum_fold(addresses) + ports) : 0;
	struct table_entry *e = &content->entry;

	memset(content, 0, sizeof(*content));
	e->key.sport_be = in->sport_be;
	e->key.dport_be = in->dport_be;
	e->key.iface = iface;
	e->key.proto = in->proto;
	e->key.family = in->family;
	e->sport_be = out->sport_be;
	e->dport_be = out->dport_be;
	e->mtu = flow->mtu;
	e->nexthop = nexthop;
	if (in->family == NFO_IPV4) {
		e->key.v4.src_be = in->src.v4_be;
		e->key.v4.dst_be = in->dst.v4_be;
		e->v4.src_be = out->src.v4_be;
		e->v4.dst_be = out->dst.v4_be;
		// the TTL is the first byte of its word
		e->v4.l3_delta = csum_fold(
			csum_fold(addresses) + csum_delta16(RTE_BE16(0x0100), RTE_BE16(0x0000)));
		e->v4.l4_delta = l4_delta;
	} else {
		memcpy(e->key.v6.src, in->src.bytes, sizeof(e->key.v6.src));
		memcpy(e->key.v6.dst, in->dst.bytes, sizeof(e->key.v6.dst));
		memcpy(content->v6.src, out->src.bytes, sizeof(content->v6.src));
		memcpy(content->v6.dst, out->dst.bytes, sizeof(content->v6.dst));
		content->v6.l4_delta = l4_delta;
	}
}
