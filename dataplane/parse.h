// SPDX-License-Identifier: BSD-3-Clause
// From a frame to the key it is looked up by, or the reason why the kernel must have it. What is
// punted here is what the kernel's nf_flow_offload_ip_hook() and nf_flow_offload_ipv6_hook() give
// back to its stack (net/netfilter/nf_flow_table_ip.c), and more where the hardware or a peer may
// lie. Tags are taken as net/core/dev.c and net/8021q/vlan_core.c do: a VLAN of 0 is a priority
// only, and so are the other bits of a tag. Frames with a priority miss the kernel's fast path where
// it hooks below the VLAN's interface, so that conntrack sees them; they are forwarded if conntrack
// would let them pass. Pure and inline: no log, no allocation, no system call.
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
#include "iface.h"
#include "table_read.h"

// No reason to punt: look it up.
#define PARSE_OK NFO_N_PUNTS

enum {
	PARSE_TCP_END = RTE_TCP_FIN_FLAG | RTE_TCP_RST_FLAG,
	PARSE_TCI_VID = 0x0fff,
	PARSE_GRE_BYTES = 4,
	PARSE_GRE_VERSION = 7,
	PARSE_IPV6_VERSION = 6,
};

// Where frames come in, and the outcome.
struct parse {
	const struct ifaces *ifaces;
	const struct rte_ether_addr *mac; // the receiving port's address
	uint16_t iface;                   // untagged
	uint16_t l3;                      // offset of the IP header
	bool priority;                    // a tag has more than a VLAN
	struct table_key *key;
};

static inline bool parse_l4_checksum_bad(const struct rte_mbuf *m)
{
	return (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_BAD;
}

static inline bool parse_l3_checksum_bad(const struct rte_mbuf *m, const struct rte_ipv4_hdr *ip)
{
	const uint64_t l3 = m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;

	if (l3 == RTE_MBUF_F_RX_IP_CKSUM_GOOD)
		return false;
	return l3 == RTE_MBUF_F_RX_IP_CKSUM_BAD || !csum_ipv4_valid(ip);
}

static inline uint32_t parse_l4_offset(uint8_t family, uint16_t l3)
{
	return l3
	       + (uint32_t)(family == NFO_IPV4 ? sizeof(struct rte_ipv4_hdr)
					       : sizeof(struct rte_ipv6_hdr));
}

// Bytes of the transport header that must be there.
static inline uint32_t parse_l4_bytes(uint8_t proto)
{
	if (proto == IPPROTO_TCP)
		return sizeof(struct rte_tcp_hdr);
	return proto == IPPROTO_UDP ? sizeof(struct rte_udp_hdr) : PARSE_GRE_BYTES;
}

// Does the transport header tell of more than the IP packet has, or of less than itself? The kernel's
// fast path does not ask, nor does it guard the machines behind.
static inline bool parse_l4_lies(const void *l4, uint32_t ip_payload, uint8_t proto)
{
	const uint32_t bytes = proto == IPPROTO_TCP
				       ? (((const struct rte_tcp_hdr *)l4)->data_off >> 4) * 4u
				       : rte_be_to_cpu_16(((const struct rte_udp_hdr *)l4)->dgram_len);

	return bytes < parse_l4_bytes(proto) || bytes > ip_payload;
}

// Completes the key and checks the transport header. 'l4' has 'len' bytes in the first segment,
// 'ip_payload' in the packet.
static inline enum nfo_punt parse_l4(const struct parse *p, const void *l4, uint32_t len,
	uint32_t ip_payload, uint8_t proto, uint8_t family)
{
	const struct rte_tcp_hdr *tcp = l4;
	const uint32_t need = parse_l4_bytes(proto);
	uint32_t ports_be;

	if (unlikely(len < need || ip_payload < need))
		return NFO_P_LENGTH;
	if (unlikely(proto == IPPROTO_GRE)) {
		p->key->word[0] = table_key_head(0, p->iface, proto, family);
		return ((const uint8_t *)l4)[1] & PARSE_GRE_VERSION ? NFO_P_PROTOCOL : PARSE_OK;
	}
	if (unlikely(parse_l4_lies(l4, ip_payload, proto)))
		return NFO_P_LENGTH;
	memcpy(&ports_be, l4, sizeof(ports_be)); // at the same place in TCP and UDP
	p->key->word[0] = table_key_head(ports_be, p->iface, proto, family);
	if (proto == IPPROTO_TCP
		&& unlikely(tcp->tcp_flags & (RTE_TCP_SYN_FLAG | PARSE_TCP_END)))
		return NFO_P_TCP_FLAGS;
	return PARSE_OK;
}

// What conntrack would find invalid of a packet of an established connection, and so not translate:
// a wrong checksum, as nf_checksum() (net/netfilter/utils.c) computes it unless the NIC has looked,
// and TCP without ACK (nf_conntrack_tcp_packet()).
static inline enum nfo_punt parse_as_conntrack(
	const struct rte_mbuf *m, uint16_t l3, uint8_t proto, uint8_t family)
{
	const struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, l3);
	const struct rte_ipv6_hdr *ip6 = (const void *)ip;
	const uint32_t at = parse_l4_offset(family, l3);
	const uint32_t bytes = family == NFO_IPV4
				       ? rte_be_to_cpu_16(ip->total_length) - (uint32_t)sizeof(*ip)
				       : rte_be_to_cpu_16(ip6->payload_len);
	const uint16_t pseudo = family == NFO_IPV4 ? rte_ipv4_phdr_cksum(ip, 0)
						   : rte_ipv6_phdr_cksum(ip6, 0);
	const void *l4 = rte_pktmbuf_mtod_offset(m, const void *, at);

	if (proto == IPPROTO_TCP
		&& !(((const struct rte_tcp_hdr *)l4)->tcp_flags & RTE_TCP_ACK_FLAG))
		return NFO_P_TCP_FLAGS;
	if (proto == IPPROTO_GRE
		|| (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_GOOD
		|| (proto == IPPROTO_UDP && ((const struct rte_udp_hdr *)l4)->dgram_cksum == 0))
		return PARSE_OK;
	return csum_fold((uint32_t)csum_packet(m, at, bytes) + pseudo) == 0xffff ? PARSE_OK
										 : NFO_P_CHECKSUM;
}

static inline bool parse_l4_known(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_GRE;
}

static inline enum nfo_punt parse_ipv4(const struct rte_mbuf *m, const struct parse *p)
{
	const struct rte_ipv4_hdr *ip =
		rte_pktmbuf_mtod_offset(m, const struct rte_ipv4_hdr *, p->l3);
	uint32_t total;

	if (unlikely(m->data_len < p->l3 + sizeof(*ip)))
		return NFO_P_LENGTH;
	if (unlikely(ip->version_ihl != RTE_IPV4_VHL_DEF))
		return (ip->version_ihl >> 4) == 4 ? NFO_P_OPTIONS : NFO_P_LENGTH;
	// as ip_is_fragment() of the kernel: the reserved bit is none of its business
	if (unlikely(ip->fragment_offset
		     & RTE_BE16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK)))
		return NFO_P_FRAGMENT;
	if (unlikely(!parse_l4_known(ip->next_proto_id)))
		return NFO_P_PROTOCOL;
	total = rte_be_to_cpu_16(ip->total_length);
	if (unlikely(total < sizeof(*ip) || total > m->pkt_len - p->l3))
		return NFO_P_LENGTH;
	if (unlikely(ip->time_to_live <= 1))
		return NFO_P_TTL;
	if (unlikely(parse_l4_checksum_bad(m) || parse_l3_checksum_bad(m, ip)))
		return NFO_P_CHECKSUM;
	memcpy(&p->key->v4, &ip->src_addr, sizeof(p->key->v4)); // both addresses
	return parse_l4(p, ip + 1, m->data_len - p->l3 - (uint32_t)sizeof(*ip),
		total - (uint32_t)sizeof(*ip), ip->next_proto_id, NFO_IPV4);
}

// An IPv6 header that another IP header follows is no reason to look further: as in the kernel, what
// is not a transport header itself is not for the fast path.
static inline enum nfo_punt parse_ipv6_next(uint8_t next)
{
	switch (next) {
	case IPPROTO_FRAGMENT:
		return NFO_P_FRAGMENT;
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
	case IPPROTO_AH:
	case IPPROTO_MH:
		return NFO_P_OPTIONS;
	default:
		return NFO_P_PROTOCOL;
	}
}

static inline enum nfo_punt parse_ipv6(const struct rte_mbuf *m, const struct parse *p)
{
	const struct rte_ipv6_hdr *ip =
		rte_pktmbuf_mtod_offset(m, const struct rte_ipv6_hdr *, p->l3);
	uint32_t payload;

	if (unlikely(m->data_len < p->l3 + sizeof(*ip)))
		return NFO_P_LENGTH;
	if (unlikely(*(const uint8_t *)ip >> 4 != PARSE_IPV6_VERSION))
		return NFO_P_LENGTH;
	if (unlikely(!parse_l4_known(ip->proto)))
		return parse_ipv6_next(ip->proto);
	payload = rte_be_to_cpu_16(ip->payload_len);
	if (unlikely(payload > m->pkt_len - p->l3 - sizeof(*ip)))
		return NFO_P_LENGTH;
	if (unlikely(ip->hop_limits <= 1))
		return NFO_P_TTL;
	if (unlikely(parse_l4_checksum_bad(m)))
		return NFO_P_CHECKSUM;
	memcpy(&p->key->v6, ip->src_addr, sizeof(p->key->v6)); // both addresses
	return parse_l4(p, ip + 1, m->data_len - p->l3 - (uint32_t)sizeof(*ip), payload, ip->proto,
		NFO_IPV6);
}

// Steps over the tags: '*type' is then the EtherType behind them.
static inline enum nfo_punt parse_vlans(const struct rte_mbuf *m, struct parse *p, uint16_t *type_be)
{
	for (unsigned int tags = 0; iface_tpid(*type_be) >= 0; tags++) {
		const uint16_t *tag = rte_pktmbuf_mtod_offset(m, const uint16_t *, p->l3);
		uint16_t vid;

		if (m->data_len < p->l3 + 2 * sizeof(*tag))
			return NFO_P_LENGTH;
		if (tags == NFO_MAX_VLANS)
			return NFO_P_VLAN;
		vid = rte_be_to_cpu_16(tag[0]) & PARSE_TCI_VID;
		p->priority |= vid == 0 || vid != rte_be_to_cpu_16(tag[0]);
		if (vid != 0)
			p->iface = iface_behind(p->ifaces, p->iface, iface_tpid(*type_be), vid);
		if (p->iface == IFACE_NONE)
			return NFO_P_VLAN;
		*type_be = tag[1];
		p->l3 = (uint16_t)(p->l3 + 2 * sizeof(*tag));
	}
	return PARSE_OK;
}

// With PARSE_OK and NFO_P_TCP_FLAGS the key is complete; the headers lie in the first segment.
static inline enum nfo_punt parse_frame(const struct rte_mbuf *m, struct parse *p)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	enum nfo_punt verdict;
	uint16_t type_be;

	p->l3 = sizeof(*eth);
	p->priority = false;
	if (unlikely(m->data_len < sizeof(*eth)))
		return NFO_P_LENGTH;
	type_be = eth->ether_type;
	if (unlikely(iface_tpid(type_be) >= 0)) {
		verdict = parse_vlans(m, p, &type_be);
		if (verdict != PARSE_OK)
			return verdict;
	}
	if (unlikely(!rte_is_same_ether_addr(&eth->dst_addr, p->mac)))
		return NFO_P_OTHER_MAC;
	if (likely(type_be == RTE_BE16(RTE_ETHER_TYPE_IPV4)))
		verdict = parse_ipv4(m, p);
	else
		verdict = type_be == RTE_BE16(RTE_ETHER_TYPE_IPV6) ? parse_ipv6(m, p) : NFO_P_NOT_IP;
	if (unlikely(p->priority) && verdict == PARSE_OK)
		return parse_as_conntrack(m, p->l3, p->key->proto, p->key->family);
	return verdict;
}

// Of a frame that parse_frame() answered NFO_P_TCP_FLAGS for: does it end the connection?
static inline bool parse_tcp_ends(
	const struct rte_mbuf *m, const struct table_key *key, uint16_t l3)
{
	const struct rte_tcp_hdr *tcp = rte_pktmbuf_mtod_offset(
		m, const struct rte_tcp_hdr *, parse_l4_offset(key->family, l3));

	return (tcp->tcp_flags & PARSE_TCP_END) != 0;
}
