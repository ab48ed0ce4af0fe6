// SPDX-License-Identifier: BSD-3-Clause
#include "punt.h"

#include <netinet/in.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

enum {
	MAX_TAGS = 3,
	MAX_EXTENSIONS = 8, // headers of IPv6 before the transport's
	FIRST_ETHERTYPE = 0x0600,
	TYPE_OLD_QINQ = 0x9100,
	PPP_BYTES = 8, // PPPoE's header and the protocol
	PPP_IPV4 = 0x21,
	PPP_IPV6 = 0x57,
	PPP_CONTROL = 0x8000, // network control, link control and authentication have this bit
};

// What is left of a frame.
struct view {
	const uint8_t *at;
	uint32_t len;
};

static bool skip(struct view *v, uint32_t n)
{
	if (n > v->len)
		return false;
	v->at += n;
	v->len -= n;
	return true;
}

// Of two bytes that are known to be there.
static uint16_t be16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static bool is_control_udp_port(uint16_t port)
{
	switch (port) {
	case 67: // DHCP
	case 68:
	case 520: // RIP
	case 521: // RIPng
	case 546: // DHCPv6
	case 547:
	case 646:  // LDP
	case 3784: // BFD: single hop, echo, multihop
	case 3785:
	case 4784:
		return true;
	default:
		return false;
	}
}

static bool is_control_tcp_port(uint16_t port)
{
	return port == 179 || port == 646; // BGP, LDP
}

static enum dp_punt_class of_tcp(struct view l4)
{
	enum { CHANGES = RTE_TCP_SYN_FLAG | RTE_TCP_FIN_FLAG | RTE_TCP_RST_FLAG };

	if (l4.len < 4)
		return DP_PUNT_REST;
	if (is_control_tcp_port(be16(l4.at)) || is_control_tcp_port(be16(l4.at + 2)))
		return DP_PUNT_CONTROL;
	if (l4.len <= offsetof(struct rte_tcp_hdr, tcp_flags))
		return DP_PUNT_REST;
	return l4.at[offsetof(struct rte_tcp_hdr, tcp_flags)] & CHANGES ? DP_PUNT_NEW
									: DP_PUNT_REST;
}

// What is not TCP has no sign of its beginning but that there is no flow.
static enum dp_punt_class of_flow(enum nfo_punt reason)
{
	return reason == NFO_P_MISS || reason == NFO_P_VLAN ? DP_PUNT_NEW : DP_PUNT_REST;
}

static enum dp_punt_class of_transport(struct view l4, uint8_t proto, enum nfo_punt reason)
{
	switch (proto) {
	case IPPROTO_IGMP:
	case IPPROTO_PIM:
	case 89:  // OSPF
	case 112: // VRRP
		return DP_PUNT_CONTROL;
	case IPPROTO_TCP:
		return of_tcp(l4);
	case IPPROTO_UDP:
		if (l4.len >= 4 && is_control_udp_port(be16(l4.at + 2)))
			return DP_PUNT_CONTROL;
		return of_flow(reason);
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return DP_PUNT_REST;
	default:
		return of_flow(reason);
	}
}

static enum dp_punt_class of_ipv4(struct view ip, enum nfo_punt reason)
{
	const struct rte_ipv4_hdr *h = (const void *)ip.at;
	const uint8_t *fragment = ip.at + offsetof(struct rte_ipv4_hdr, fragment_offset);
	uint8_t proto;

	if (ip.len < sizeof(*h))
		return DP_PUNT_REST;
	proto = ip.at[offsetof(struct rte_ipv4_hdr, next_proto_id)];
	// behind the header of a later fragment there are no ports
	if (!skip(&ip, (ip.at[0] & 0xf) * 4u) || be16(fragment) & RTE_IPV4_HDR_OFFSET_MASK)
		ip.len = 0;
	return of_transport(ip, proto, reason);
}

static bool is_control_icmpv6(const struct view *v)
{
	if (v->len == 0)
		return false;
	switch (v->at[0]) {
	case 130: // MLD: query, report, done; version 2's report
	case 131:
	case 132:
	case 143:
	case 133: // ND: routers and neighbours, solicited and not; redirect
	case 134:
	case 135:
	case 136:
	case 137:
		return true;
	default:
		return false;
	}
}

// Steps over the extension headers. A later fragment has nothing behind them.
static uint8_t skip_extensions(struct view *v, uint8_t next)
{
	for (unsigned int i = 0; i < MAX_EXTENSIONS; i++) {
		const uint8_t *at = v->at;

		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS
			&& next != IPPROTO_FRAGMENT)
			break;
		if (!skip(v, 8) || (next != IPPROTO_FRAGMENT && !skip(v, at[1] * 8u))) {
			v->len = 0;
			return IPPROTO_NONE;
		}
		if (next == IPPROTO_FRAGMENT && be16(at + 2) & ~7u) {
			v->len = 0;
			return at[0];
		}
		next = at[0];
	}
	return next;
}

static enum dp_punt_class of_ipv6(struct view ip, enum nfo_punt reason)
{
	uint8_t next;

	if (ip.len < sizeof(struct rte_ipv6_hdr))
		return DP_PUNT_REST;
	next = ip.at[offsetof(struct rte_ipv6_hdr, proto)];
	skip(&ip, sizeof(struct rte_ipv6_hdr));
	next = skip_extensions(&ip, next);
	if (next == IPPROTO_ICMPV6 && is_control_icmpv6(&ip))
		return DP_PUNT_CONTROL;
	return of_transport(ip, next, reason);
}

static enum dp_punt_class of_pppoe_session(struct view v, enum nfo_punt reason)
{
	uint16_t protocol;

	if (v.len < PPP_BYTES)
		return DP_PUNT_REST;
	protocol = be16(v.at + PPP_BYTES - 2);
	skip(&v, PPP_BYTES);
	if (protocol & PPP_CONTROL)
		return DP_PUNT_CONTROL;
	if (protocol == PPP_IPV4)
		return of_ipv4(v, reason);
	return protocol == PPP_IPV6 ? of_ipv6(v, reason) : DP_PUNT_REST;
}

static enum dp_punt_class of_ethertype(struct view v, uint16_t type, enum nfo_punt reason)
{
	if (type < FIRST_ETHERTYPE)
		return DP_PUNT_CONTROL; // 802.3 with LLC: spanning trees, IS-IS
	switch (type) {
	case RTE_ETHER_TYPE_ARP:
	case RTE_ETHER_TYPE_RARP:
	case RTE_ETHER_TYPE_SLOW:
	case RTE_ETHER_TYPE_LLDP:
	case RTE_ETHER_TYPE_PPPOE_DISCOVERY:
	case 0x888e: // EAPOL
		return DP_PUNT_CONTROL;
	case RTE_ETHER_TYPE_PPPOE_SESSION:
		return of_pppoe_session(v, reason);
	case RTE_ETHER_TYPE_IPV4:
		return of_ipv4(v, reason);
	case RTE_ETHER_TYPE_IPV6:
		return of_ipv6(v, reason);
	default:
		return DP_PUNT_REST;
	}
}

static bool is_tag(uint16_t type)
{
	return type == RTE_ETHER_TYPE_VLAN || type == RTE_ETHER_TYPE_QINQ || type == TYPE_OLD_QINQ;
}

enum dp_punt_class punt_classify(const struct rte_mbuf *m, enum nfo_punt reason)
{
	// 01:80:c2:00:00:00 to :0f, which no bridge forwards
	static const uint8_t link_local[] = {0x01, 0x80, 0xc2, 0, 0};
	struct view v = {rte_pktmbuf_mtod(m, const uint8_t *), m->data_len};
	const uint8_t *dst = v.at;
	uint16_t type;

	if (!skip(&v, RTE_ETHER_HDR_LEN))
		return DP_PUNT_REST;
	if (memcmp(dst, link_local, sizeof(link_local)) == 0 && dst[5] <= 0x0f)
		return DP_PUNT_CONTROL;
	type = be16(v.at - 2);
	for (unsigned int i = 0; i < MAX_TAGS && is_tag(type); i++) {
		if (!skip(&v, RTE_VLAN_HLEN))
			return DP_PUNT_REST;
		type = be16(v.at - 2);
	}
	return of_ethertype(v, type, reason);
}

void punt_bucket_set(struct punt_bucket *bucket, uint32_t pps, unsigned int workers, uint64_t hz)
{
	const uint32_t burst = RTE_MAX(pps / 10 / workers, (uint32_t)PUNT_MIN_BURST);
	const uint64_t cost = pps != 0 ? RTE_MAX(hz * workers / pps, UINT64_C(1)) : 0;

	__atomic_store_n(&bucket->depth, cost * (burst - 1), __ATOMIC_RELAXED);
	__atomic_store_n(&bucket->cost, cost, __ATOMIC_RELAXED);
}

void punt_bucket_init(struct punt_bucket *bucket, uint32_t pps, unsigned int workers, uint64_t hz)
{
	*bucket = (struct punt_bucket){.cost = 0};
	punt_bucket_set(bucket, pps, workers, hz);
}
