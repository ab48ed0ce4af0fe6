// SPDX-License-Identifier: BSD-3-Clause
#include "gso.h"

#include <string.h>

#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>

#include "csum.h"

enum {
	CWR = 0x80,
	LAST_ONLY = RTE_TCP_FIN_FLAG | RTE_TCP_PSH_FLAG,
	MANGLED_0 = 0xffff, // means the same as 0, which UDP has for "no checksum"
};

bool gso_checksum(struct rte_mbuf *m, uint16_t start, uint16_t offset)
{
	const uint32_t field = (uint32_t)start + offset;
	uint16_t sum;

	if (field + sizeof(sum) > m->data_len)
		return false;
	sum = (uint16_t)~csum_packet(m, start, m->pkt_len - start);
	if (sum == 0)
		sum = MANGLED_0;
	memcpy(rte_pktmbuf_mtod_offset(m, void *, field), &sum, sizeof(sum));
	return true;
}

// The IP header behind Ethernet and any tags; 0 when there is none of that family before 'end'.
static uint16_t find_ip(const struct rte_mbuf *m, bool ipv6, uint32_t end)
{
	const uint16_t wanted_be =
		ipv6 ? RTE_BE16(RTE_ETHER_TYPE_IPV6) : RTE_BE16(RTE_ETHER_TYPE_IPV4);
	const uint32_t ip_bytes = ipv6 ? sizeof(struct rte_ipv6_hdr) : sizeof(struct rte_ipv4_hdr);
	uint32_t at = RTE_ETHER_HDR_LEN;
	uint16_t type_be;

	for (; at + ip_bytes <= end; at += RTE_VLAN_HLEN) {
		memcpy(&type_be, rte_pktmbuf_mtod_offset(m, void *, at - sizeof(type_be)),
			sizeof(type_be));
		if (type_be == wanted_be)
			return (uint16_t)at;
		if (type_be != RTE_BE16(RTE_ETHER_TYPE_VLAN)
			&& type_be != RTE_BE16(RTE_ETHER_TYPE_QINQ))
			return 0;
	}
	return 0;
}

static const struct rte_mbuf *skip(const struct rte_mbuf *m, uint32_t *offset)
{
	while (m != NULL && *offset >= m->data_len) {
		*offset -= m->data_len;
		m = m->next;
	}
	return m;
}

bool gso_begin(struct gso *gso, struct rte_mbuf *m, const struct virtio_net_hdr *hdr, uint32_t room)
{
	const uint8_t type = hdr->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
	const bool ipv6 = type == VIRTIO_NET_HDR_GSO_TCPV6;
	const uint32_t l4 = hdr->csum_start;
	const struct rte_tcp_hdr *tcp = rte_pktmbuf_mtod_offset(m, const struct rte_tcp_hdr *, l4);
	uint32_t headers;
	uint16_t l3;

	if ((type != VIRTIO_NET_HDR_GSO_TCPV4 && !ipv6) || hdr->gso_size == 0
		|| !(hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		|| hdr->csum_offset != offsetof(struct rte_tcp_hdr, cksum)
		|| l4 + sizeof(*tcp) > m->data_len)
		return false;
	l3 = find_ip(m, ipv6, l4);
	headers = l4 + (tcp->data_off >> 4) * 4u;
	if (l3 == 0 || headers < l4 + sizeof(*tcp) || headers > m->data_len || headers >= m->pkt_len
		|| headers + hdr->gso_size > room)
		return false;
	*gso = (struct gso){
		.packet = m,
		.at_offset = headers,
		.left = m->pkt_len - headers,
		.size = hdr->gso_size,
		.headers = headers,
		.l3 = l3,
		.l4 = (uint16_t)l4,
		.ipv6 = ipv6,
	};
	gso->at = skip(m, &gso->at_offset);
	return true;
}

static void copy_payload(struct gso *gso, uint8_t *to, uint32_t len)
{
	while (len > 0) {
		const uint32_t n = RTE_MIN(len, gso->at->data_len - gso->at_offset);

		memcpy(to, rte_pktmbuf_mtod_offset(gso->at, void *, gso->at_offset), n);
		to += n;
		len -= n;
		gso->at_offset += n;
		gso->at = skip(gso->at, &gso->at_offset);
	}
}

static void set_ip(const struct gso *gso, struct rte_mbuf *m)
{
	const uint16_t bytes = (uint16_t)(m->pkt_len - gso->l3);
	struct rte_ipv6_hdr *ip6 = rte_pktmbuf_mtod_offset(m, struct rte_ipv6_hdr *, gso->l3);
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, gso->l3);

	if (gso->ipv6) {
		ip6->payload_len = rte_cpu_to_be_16((uint16_t)(bytes - sizeof(*ip6)));
		return;
	}
	ip->total_length = rte_cpu_to_be_16(bytes);
	ip->packet_id =
		rte_cpu_to_be_16((uint16_t)(rte_be_to_cpu_16(ip->packet_id) + gso->segments));
	ip->hdr_checksum = 0;
	ip->hdr_checksum = (uint16_t)~rte_raw_cksum(ip, (ip->version_ihl & 0xf) * 4u);
}

// What the kernel has put into the field is the sum of the pseudo-header, with the whole length.
static uint16_t pseudo_sum(const struct gso *gso, uint16_t field, uint32_t len)
{
	const uint32_t whole = gso->packet->pkt_len - gso->l4;
	const uint16_t was_high = rte_cpu_to_be_16((uint16_t)(whole >> 16));
	const uint16_t was_low = rte_cpu_to_be_16((uint16_t)whole);

	return csum_fold((uint32_t)field + (uint16_t)~was_high + (uint16_t)~was_low
		    + rte_cpu_to_be_16((uint16_t)len));
}

static void set_tcp(const struct gso *gso, struct rte_mbuf *m)
{
	struct rte_tcp_hdr *tcp = rte_pktmbuf_mtod_offset(m, struct rte_tcp_hdr *, gso->l4);
	const uint32_t len = m->pkt_len - gso->l4;

	tcp->sent_seq = rte_cpu_to_be_32(rte_be_to_cpu_32(tcp->sent_seq) + gso->taken);
	if (gso->segments != 0)
		tcp->tcp_flags &= (uint8_t)~CWR;
	if (gso->left != 0)
		tcp->tcp_flags &= (uint8_t)~LAST_ONLY;
	tcp->cksum = pseudo_sum(gso, tcp->cksum, len);
	tcp->cksum = (uint16_t)~rte_raw_cksum(tcp, len);
}

struct rte_mbuf *gso_next(struct gso *gso, struct rte_mempool *pool)
{
	const uint32_t len = RTE_MIN(gso->size, gso->left);
	struct rte_mbuf *m = gso->packet != NULL ? rte_pktmbuf_alloc(pool) : NULL;
	uint8_t *data;

	if (m == NULL)
		return NULL;
	data = rte_pktmbuf_mtod(m, uint8_t *);
	m->data_len = (uint16_t)(gso->headers + len);
	m->pkt_len = m->data_len;
	memcpy(data, rte_pktmbuf_mtod(gso->packet, void *), gso->headers);
	copy_payload(gso, data + gso->headers, len);
	gso->left -= len;
	set_ip(gso, m);
	set_tcp(gso, m);
	gso->taken += len;
	gso->segments++;
	if (gso->left == 0)
		gso_end(gso);
	return m;
}
