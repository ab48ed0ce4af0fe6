// SPDX-License-Identifier: BSD-3-Clause
// From a frame to the key it is looked up by, or the reason why the kernel must have it. What is
// punted here is what the kernel's nf_flow_offload_ip_hook() gives back to its stack
// (net/netfilter/nf_flow_table_ip.c), and more where the hardware or a peer may lie. Pure and
// inline: no log, no allocation, no system call.
#pragma once

#include <netinet/in.h>
#include <stdint.h>

#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "csum.h"
#include "table.h"

// No reason to punt: look it up.
#define PARSE_OK NFO_N_PUNTS

enum { PARSE_TCP_END = RTE_TCP_FIN_FLAG | RTE_TCP_RST_FLAG };

static inline bool parse_checksum_bad(const struct rte_mbuf *m, const struct rte_ipv4_hdr *ip)
{
	const uint64_t l3 = m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;

	if ((m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_BAD)
		return true;
	if (l3 == RTE_MBUF_F_RX_IP_CKSUM_GOOD)
		return false;
	return l3 == RTE_MBUF_F_RX_IP_CKSUM_BAD || !csum_ipv4_valid(ip);
}

// Fills the ports of 'key' and checks the transport header. 'l4' has 'len' bytes in the first
// segment, 'ip_payload' in the packet.
static inline enum nfo_punt parse_l4(
	const void *l4, uint32_t len, uint32_t ip_payload, struct table_key *key)
{
	const struct rte_tcp_hdr *tcp = l4;

	if (key->proto == IPPROTO_UDP) {
		if (unlikely(len < sizeof(struct rte_udp_hdr)
			     || ip_payload < sizeof(struct rte_udp_hdr)))
			return NFO_P_LENGTH;
	} else if (unlikely(len < sizeof(*tcp) || ip_payload < sizeof(*tcp))) {
		return NFO_P_LENGTH;
	}
	key->sport_be = tcp->src_port; // at the same place in both
	key->dport_be = tcp->dst_port;
	if (key->proto == IPPROTO_TCP
		&& unlikely(tcp->tcp_flags & (RTE_TCP_SYN_FLAG | PARSE_TCP_END)))
		return NFO_P_TCP_FLAGS;
	return PARSE_OK;
}

// 'mac' is the receiving port's address. With PARSE_OK and NFO_P_TCP_FLAGS 'key' is complete; the
// Ethernet, IPv4 and transport headers lie in the first segment.
static inline enum nfo_punt parse_frame(const struct rte_mbuf *m, const struct rte_ether_addr *mac,
	uint16_t in_port, struct table_key *key)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	const struct rte_ipv4_hdr *ip = (const void *)(eth + 1);
	const uint32_t l3_len = m->data_len - (uint32_t)sizeof(*eth);
	uint32_t total;

	if (unlikely(m->data_len < sizeof(*eth) + sizeof(*ip)
		     || eth->ether_type != RTE_BE16(RTE_ETHER_TYPE_IPV4)))
		return NFO_P_NOT_IPV4;
	if (unlikely(!rte_is_same_ether_addr(&eth->dst_addr, mac)))
		return NFO_P_OTHER_MAC;
	if (unlikely(ip->version_ihl != RTE_IPV4_VHL_DEF))
		return (ip->version_ihl >> 4) == 4 ? NFO_P_OPTIONS : NFO_P_LENGTH;
	if (unlikely(ip->fragment_offset & ~RTE_BE16(RTE_IPV4_HDR_DF_FLAG)))
		return NFO_P_FRAGMENT;
	if (unlikely(ip->next_proto_id != IPPROTO_TCP && ip->next_proto_id != IPPROTO_UDP))
		return NFO_P_PROTOCOL;
	total = rte_be_to_cpu_16(ip->total_length);
	if (unlikely(total < sizeof(*ip) || total > m->pkt_len - sizeof(*eth)))
		return NFO_P_LENGTH;
	if (unlikely(ip->time_to_live <= 1))
		return NFO_P_TTL;
	if (unlikely(parse_checksum_bad(m, ip)))
		return NFO_P_CHECKSUM;
	key->src_be = ip->src_addr;
	key->dst_be = ip->dst_addr;
	key->in_port = in_port;
	key->proto = ip->next_proto_id;
	key->zero = 0;
	return parse_l4(ip + 1, l3_len - (uint32_t)sizeof(*ip), total - (uint32_t)sizeof(*ip), key);
}

// Of a frame that parse_frame() answered NFO_P_TCP_FLAGS for: does it end the connection?
static inline bool parse_tcp_ends(const struct rte_mbuf *m)
{
	const struct rte_tcp_hdr *tcp = rte_pktmbuf_mtod_offset(m, const struct rte_tcp_hdr *,
		sizeof(struct rte_ether_hdr) + sizeof(struct rte_ipv4_hdr));

	return (tcp->tcp_flags & PARSE_TCP_END) != 0;
}
