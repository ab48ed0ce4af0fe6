// SPDX-License-Identifier: BSD-3-Clause
// What a forwarded packet becomes, as nf_flow_offload_ip_hook() does it: NAT of addresses and ports
// with their checksums, TTL less one, the next hop's Ethernet header. Pure and inline.
#pragma once

#include "csum.h"
#include "parse.h"
#include "table.h"

// The frame has passed parse_frame() with PARSE_OK and matches 'e'.
static inline void rewrite_frame(struct rte_mbuf *m, const struct table_entry *e)
{
	struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
	struct rte_ipv4_hdr *ip = (void *)(eth + 1);

	memcpy(&eth->dst_addr, e->eth_dst, NFO_ETH_ALEN);
	memcpy(&eth->src_addr, e->eth_src, NFO_ETH_ALEN);
	ip->time_to_live--;
	ip->hdr_checksum = csum_apply(ip->hdr_checksum, e->l3_delta);
	ip->src_addr = e->src_be;
	ip->dst_addr = e->dst_be;
	if (e->key.proto == IPPROTO_TCP) {
		struct rte_tcp_hdr *tcp = (void *)(ip + 1);

		tcp->src_port = e->sport_be;
		tcp->dst_port = e->dport_be;
		tcp->cksum = csum_apply(tcp->cksum, e->l4_delta);
	} else {
		struct rte_udp_hdr *udp = (void *)(ip + 1);

		udp->src_port = e->sport_be;
		udp->dst_port = e->dport_be;
		// 0 says "no checksum" and stays; a computed 0 is sent as all ones (RFC 768)
		if (udp->dgram_cksum != 0) {
			udp->dgram_cksum = csum_apply(udp->dgram_cksum, e->l4_delta);
			if (unlikely(udp->dgram_cksum == 0))
				udp->dgram_cksum = 0xffff;
		}
	}
}

// The entry for one direction: everything that rewrite_frame() needs, precomputed. 'flow' is IPv4
// TCP or UDP.
static inline void rewrite_entry(const struct nfo_flow *flow, struct table_entry *e)
{
	const struct nfo_tuple *in = &flow->match, *out = &flow->out;
	const uint32_t addresses = csum_delta32(in->src.v4_be, out->src.v4_be)
				   + csum_delta32(in->dst.v4_be, out->dst.v4_be);
	const uint32_t ports = csum_delta16(in->sport_be, out->sport_be)
			       + csum_delta16(in->dport_be, out->dport_be);
	const bool nat = in->src.v4_be != out->src.v4_be || in->dst.v4_be != out->dst.v4_be
			 || in->sport_be != out->sport_be || in->dport_be != out->dport_be;

	*e = (struct table_entry){
		.key =
			{
				.src_be = in->src.v4_be,
				.dst_be = in->dst.v4_be,
				.sport_be = in->sport_be,
				.dport_be = in->dport_be,
				.in_port = flow->in_port,
				.proto = in->proto,
			},
		.src_be = out->src.v4_be,
		.dst_be = out->dst.v4_be,
		.sport_be = out->sport_be,
		.dport_be = out->dport_be,
		// the TTL is the first byte of its word
		.l3_delta = csum_fold(
			csum_fold(addresses) + csum_delta16(RTE_BE16(0x0100), RTE_BE16(0x0000))),
		.l4_delta = nat ? csum_fold(csum_fold(addresses) + ports) : 0,
		.mtu = flow->mtu,
		.out_port = (uint8_t)flow->out_port,
	};
	memcpy(e->eth_dst, flow->eth_dst, NFO_ETH_ALEN);
	memcpy(e->eth_src, flow->eth_src, NFO_ETH_ALEN);
}
