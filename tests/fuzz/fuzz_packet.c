// SPDX-License-Identifier: GPL-2.0-or-later
// Sources: dataplane/audit.c dataplane/iface.c dataplane/parse.h dataplane/rewrite.h
// A frame, behind struct choices, through parse_frame() and rewrite_frame(). What is accepted must
// be a frame that the kernel's flowtable would forward; what leaves has the tags and headers that
// were asked for, checksums as right or wrong as they were, and nothing else changed.
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "parse.h"
#include "rewrite.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	FIX_MAC = 1,   // the frame is for the port
	FIX_CKSUM = 2, // its IPv4 header checksum is right
	NAT_SRC = 4,
	NAT_DST = 8,
};

struct choices {
	uint8_t ol_flags; // bits 0-1: what the NIC says of the IPv4 checksum, 2-3: of TCP's or
			  // UDP's
	uint8_t split;    // length of the first segment; 255: all
	uint8_t flags;
	struct {
		uint8_t addr[16], port[2];
	} src, dst; // after NAT

	uint8_t out_tags; // 0 to 2, modulo
	uint8_t headroom; // in units of 2 bytes
};

// By which a frame is looked at that was accepted.
struct shape {
	bool v6;
	uint8_t proto;
	size_t l3, ttl, addrs, addr_bytes, l4, cksum;
};

enum { VLAN = 100, OUTER = 200, INNER = 7, OUT_VID = 0x123 };

static struct ifaces *ifaces;
static const struct rte_ether_addr port_mac = {{2, 0, 0, 0, 0, 1}};
static const uint8_t next_hop[6] = {2, 0, 0, 0, 0, 2}, egress_mac[6] = {2, 0, 0, 0, 0, 3};

static void check(bool good)
{
	if (!good)
		abort();
}

// Of whole words, as they lie in memory; the odd last byte is padded.
static uint16_t sum(const uint8_t *p, size_t n, uint64_t start)
{
	uint64_t total = start;

	for (size_t i = 0; i < n; i++)
		total += (uint64_t)p[i] << (i % 2 * 8);
	return (uint16_t)(total % 0xffff);
}

static uint16_t ip_sum(const uint8_t *frame, const struct shape *s)
{
	return sum(frame + s->l3, 20, 0);
}

// With the addresses of the pseudo header; its other words do not change.
static uint16_t l4_sum(const uint8_t *frame, size_t size, const struct shape *s)
{
	return sum(frame + s->l4, size - s->l4, sum(frame + s->addrs, 2 * s->addr_bytes, 0));
}

static uint64_t ol_flags(uint8_t choice)
{
	static const uint64_t l3[] = {0, RTE_MBUF_F_RX_IP_CKSUM_BAD, RTE_MBUF_F_RX_IP_CKSUM_GOOD,
		RTE_MBUF_F_RX_IP_CKSUM_NONE};
	static const uint64_t l4[] = {0, RTE_MBUF_F_RX_L4_CKSUM_BAD, RTE_MBUF_F_RX_L4_CKSUM_GOOD,
		RTE_MBUF_F_RX_L4_CKSUM_NONE};

	return l3[choice & 3] | l4[choice >> 2 & 3];
}

// Each segment in memory of its exact size.
static struct rte_mbuf *segment(const uint8_t *data, size_t size, uint16_t headroom)
{
	struct rte_mbuf *m = NULL;
	uint8_t *room = malloc(size + headroom != 0 ? size + headroom : 1);

	check(room != NULL && posix_memalign((void **)&m, 64, sizeof(*m)) == 0);
	memset(m, 0, sizeof(*m));
	memcpy(room + headroom, data, size);
	m->buf_addr = room;
	m->buf_len = (uint16_t)(size + headroom);
	m->data_off = headroom;
	m->data_len = (uint16_t)size;
	m->pkt_len = (uint32_t)size;
	m->nb_segs = 1;
	m->refcnt = 1;
	return m;
}

static struct rte_mbuf *packet(const struct choices *c, const uint8_t *frame, size_t size)
{
	const size_t first = c->split == UINT8_MAX || c->split > size ? size : c->split;
	struct rte_mbuf *m = segment(frame, first, (uint16_t)(c->headroom * 2));

	m->ol_flags = ol_flags(c->ol_flags);
	if (first == size)
		return m;
	m->next = segment(frame + first, size - first, 0);
	m->nb_segs = 2;
	m->pkt_len = (uint32_t)size;
	return m;
}

static void packet_free(struct rte_mbuf *m)
{
	while (m != NULL) {
		struct rte_mbuf *next = m->next;

		free(m->buf_addr);
		free(m);
		m = next;
	}
}

static void gather(const struct rte_mbuf *m, uint8_t *frame)
{
	for (; m != NULL; m = m->next) {
		memcpy(frame, rte_pktmbuf_mtod(m, const void *), m->data_len);
		frame += m->data_len;
	}
}

static bool is_tag(const uint8_t *type)
{
	return (type[0] == 0x81 && type[1] == 0) || (type[0] == 0x88 && type[1] == 0xa8);
}

// Behind at most two tags.
static size_t l3_of(const uint8_t *frame, size_t size)
{
	size_t l3 = 14;

	for (int tags = 0; tags < 2 && l3 + 4 <= size && is_tag(frame + l3 - 2); tags++)
		l3 += 4;
	return l3;
}

static void fix(const struct choices *c, uint8_t *frame, size_t size)
{
	const size_t l3 = size >= 14 ? l3_of(frame, size) : size;
	uint16_t cksum;

	if ((c->flags & FIX_MAC) && size >= 6)
		memcpy(frame, &port_mac, 6);
	if ((c->flags & FIX_CKSUM) && size >= l3 + 20 && frame[l3] == 0x45) {
		memset(frame + l3 + 10, 0, 2);
		cksum = (uint16_t)~rte_raw_cksum(frame + l3, 20);
		memcpy(frame + l3 + 10, &cksum, 2);
	}
}

static void shape_of(const uint8_t *f, size_t size, struct shape *s)
{
	*s = (struct shape){.l3 = l3_of(f, size)};
	s->v6 = f[s->l3] >> 4 == 6;
	s->proto = f[s->l3 + (s->v6 ? 6 : 9)];
	s->ttl = s->l3 + (s->v6 ? 7 : 8);
	s->addrs = s->l3 + (s->v6 ? 8 : 12);
	s->addr_bytes = s->v6 ? 16 : 4;
	s->l4 = s->l3 + (s->v6 ? 40 : 20);
	s->cksum = s->l4 + (s->proto == IPPROTO_TCP ? 16 : 6);
}

static size_t l4_bytes(const struct shape *s)
{
	if (s->proto == IPPROTO_GRE)
		return 4;
	return s->proto == IPPROTO_TCP ? 20 : 8;
}

// The interface that the tags name, by the two stacks that LLVMFuzzerTestOneInput() has made.
static void check_iface(const uint8_t *f, const struct shape *s, const struct table_key *key)
{
	uint16_t vid[2] = {0, 0}, tpid[2] = {0, 0};
	unsigned int n = 0;

	for (size_t at = 12; at + 2 < s->l3; at += 4) {
		const uint16_t v = (uint16_t)((f[at + 2] & 15) << 8 | f[at + 3]);

		if (v == 0)
			continue;
		tpid[n] = (uint16_t)(f[at] << 8 | f[at + 1]);
		vid[n++] = v;
	}
	if (n == 0)
		check(key->iface == iface_of_group(0));
	else if (n == 1) // one of the two tables of the port
		check((tpid[0] == 0x8100 && vid[0] == VLAN)
			|| (tpid[0] == 0x88a8 && vid[0] == OUTER));
	else
		check(tpid[0] == 0x88a8 && vid[0] == OUTER && tpid[1] == 0x8100 && vid[1] == INNER);
}

// What nf_flow_offload_ip_hook() asks of a frame, and that the NIC found no fault.
static void check_ipv4(const struct rte_mbuf *m, const uint8_t *f, const struct shape *s)
{
	const size_t total = (size_t)f[s->l3 + 2] << 8 | f[s->l3 + 3];

	check(f[s->l3 - 2] == 8 && f[s->l3 - 1] == 0 && f[s->l3] == 0x45);
	check((f[s->l3 + 6] & 0x3f) == 0 && f[s->l3 + 7] == 0);
	check(total >= 20 + l4_bytes(s) && s->l3 + total <= m->pkt_len);
	check((m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD
		|| rte_raw_cksum(f + s->l3, 20) == 0xffff);
}

static void check_ipv6(const struct rte_mbuf *m, const uint8_t *f, const struct shape *s)
{
	const size_t payload = (size_t)f[s->l3 + 4] << 8 | f[s->l3 + 5];

	check(f[s->l3 - 2] == 0x86 && f[s->l3 - 1] == 0xdd);
	check(payload >= l4_bytes(s) && s->l4 + payload <= m->pkt_len);
}

static void check_accepted(const struct rte_mbuf *m, const uint8_t *f, const struct shape *s,
	const struct table_key *key)
{
	check(memcmp(f, &port_mac, 6) == 0 && f[s->ttl] > 1);
	check(s->proto == IPPROTO_TCP || s->proto == IPPROTO_UDP || s->proto == IPPROTO_GRE);
	check(m->data_len >= s->l4 + l4_bytes(s));
	check((m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) != RTE_MBUF_F_RX_L4_CKSUM_BAD);
	if (s->v6)
		check_ipv6(m, f, s);
	else
		check_ipv4(m, f, s);
	if (s->proto == IPPROTO_TCP)
		check(f[s->l4 + 12] >> 4 >= 5);
	if (s->proto == IPPROTO_TCP)
		check((f[s->l4 + 13] & (RTE_TCP_SYN_FLAG | RTE_TCP_FIN_FLAG | RTE_TCP_RST_FLAG))
			== 0);
	if (s->proto == IPPROTO_GRE)
		check((f[s->l4 + 1] & 7) == 0 && key->sport_be == 0 && key->dport_be == 0);
	else
		check(memcmp(&key->sport_be, f + s->l4, 4) == 0);
	check(memcmp(&key->v4, f + s->addrs, 2 * s->addr_bytes) == 0);
	check(key->proto == s->proto && key->family == (s->v6 ? NFO_IPV6 : NFO_IPV4));
	check_iface(f, s, key);
}

static void make_flow(const struct choices *c, const struct shape *s, const struct table_key *key,
	struct nfo_flow *flow)
{
	struct nfo_tuple in = {
		.sport_be = key->sport_be,
		.dport_be = key->dport_be,
		.family = key->family,
		.proto = key->proto,
	};

	memcpy(&in.src, (const uint8_t *)&key->v4, s->addr_bytes);
	memcpy(&in.dst, (const uint8_t *)&key->v4 + s->addr_bytes, s->addr_bytes);
	memset(flow, 0, sizeof(*flow));
	flow->match = flow->out = in;
	if ((c->flags & NAT_SRC) && s->proto != IPPROTO_GRE) {
		memcpy(&flow->out.src, c->src.addr, s->addr_bytes);
		memcpy(&flow->out.sport_be, c->src.port, 2);
	}
	if ((c->flags & NAT_DST) && s->proto != IPPROTO_GRE) {
		memcpy(&flow->out.dst, c->dst.addr, s->addr_bytes);
		memcpy(&flow->out.dport_be, c->dst.port, 2);
	}
	for (int i = 0; i < c->out_tags % 3; i++)
		flow->out_vlan[i] = (struct nfo_vlan){RTE_BE16(0x8100), (uint16_t)(OUT_VID + i)};
	memcpy(flow->eth_dst, next_hop, 6);
	memcpy(flow->eth_src, egress_mac, 6);
}

static void make_hop(const struct nfo_flow *flow, struct nexthop *hop)
{
	*hop = (struct nexthop){.l2_bytes = 12};
	memcpy(hop->l2, flow->eth_dst, 6);
	memcpy(hop->l2 + 6, flow->eth_src, 6);
	for (int i = 0; i < 2 && flow->out_vlan[i].tpid_be != 0; i++) {
		const uint16_t tag[2] = {RTE_BE16(0x8100), htons(flow->out_vlan[i].vid)};

		memcpy(hop->l2 + hop->l2_bytes, tag, 4);
		hop->l2_bytes = (uint8_t)(hop->l2_bytes + 4);
	}
}

// The IP packet 'after' but for checksums, made from 'before', which starts with its IP header.
static void expect(
	const struct nfo_flow *flow, const uint8_t *after, uint8_t *before, const struct shape *s)
{
	const size_t l3 = s->l3;

	before[s->ttl - l3]--;
	if (!s->v6)
		memcpy(before + 10, after + 10, 2);
	memcpy(before + s->addrs - l3, &flow->out.src, s->addr_bytes);
	memcpy(before + s->addrs - l3 + s->addr_bytes, &flow->out.dst, s->addr_bytes);
	if (s->proto == IPPROTO_GRE)
		return;
	memcpy(before + s->l4 - l3, &flow->out.sport_be, 2);
	memcpy(before + s->l4 - l3 + 2, &flow->out.dport_be, 2);
	memcpy(before + s->cksum - l3, after + s->cksum - l3, 2);
}

static void check_l4(
	bool nat, const uint8_t *after, const uint8_t *before, size_t size, const struct shape *s)
{
	const uint8_t *was = before + s->cksum, *is = after + s->cksum;
	const bool udp = s->proto == IPPROTO_UDP, none = udp && was[0] == 0 && was[1] == 0;

	if (s->proto == IPPROTO_GRE)
		return;
	if (none)
		check(is[0] == 0 && is[1] == 0);
	else
		check(l4_sum(before, size, s) == l4_sum(after, size, s));
	if (!none && udp)
		check(is[0] != 0 || is[1] != 0);
	if (!nat)
		check(memcmp(was, is, 2) == 0);
}

// 'after' is the frame with 'shift' bytes less before its IP header than 'before'.
static void check_rewritten(const struct nfo_flow *flow, const struct nexthop *hop,
	const uint8_t *after, uint8_t *before, size_t size, const struct shape *s)
{
	const uint8_t *moved = after + hop->l2_bytes + 2 - s->l3; // its IP header at s->l3

	check(memcmp(after, hop->l2, hop->l2_bytes) == 0);
	check(memcmp(moved + s->l3 - 2, before + s->l3 - 2, 2) == 0);
	if (!s->v6) {
		if (rte_raw_cksum(before + s->l3, 20) == 0xffff)
			check(rte_raw_cksum(moved + s->l3, 20) == 0xffff);
		check(ip_sum(before, s) == ip_sum(moved, s));
	}
	check_l4(rewrite_is_nat(&flow->match, &flow->out), moved, before, size, s);
	expect(flow, moved + s->l3, before + s->l3, s);
	check(memcmp(before + s->l3, moved + s->l3, size - s->l3) == 0);
}

static void through(const struct choices *c, struct rte_mbuf *m, uint8_t *frame, size_t size,
	const struct table_key *key, uint16_t l3)
{
	struct table_content content;
	struct nexthop hop;
	struct nfo_flow flow;
	struct shape s;
	uint8_t *after;
	bool room;

	shape_of(frame, size, &s);
	check(s.l3 == l3);
	check_accepted(m, frame, &s, key);
	make_flow(c, &s, key, &flow);
	make_hop(&flow, &hop);
	rewrite_content(&flow, key->iface, 1, &content);
	check(memcmp(&content.entry.key, key, s.v6 ? 40 : 16) == 0);
	room = hop.l2_bytes + 2 <= l3 + m->data_off;
	check(rewrite_frame(m, l3, &content.entry, &hop) == (room ? PARSE_OK : NFO_P_HEADROOM));
	if (!room)
		return;
	check(m->pkt_len == size + hop.l2_bytes + 2 - l3);
	after = malloc(m->pkt_len);
	check(after != NULL);
	gather(m, after);
	check_rewritten(&flow, &hop, after, frame, size, &s);
	free(after);
}

// As the kernel's own frame it has the key of the other direction, if it can be forwarded.
static void as_kernels(const struct rte_mbuf *m, const struct table_key *key, uint16_t l3, bool forwarded)
{
	struct table_key other;
	uint16_t at;

	if (!audit_key(m, ifaces, iface_of_group(0), &other, &at)) {
		check(!forwarded);
		return;
	}
	if (!forwarded)
		return;
	check(at == l3 && other.iface == key->iface && other.sport_be == key->dport_be
		&& other.dport_be == key->sport_be && other.proto == key->proto
		&& other.family == key->family);
	if (key->family == NFO_IPV4)
		check(other.v4.src_be == key->v4.dst_be && other.v4.dst_be == key->v4.src_be);
	else
		check(memcmp(other.v6.src, key->v6.dst, 16) == 0
			&& memcmp(other.v6.dst, key->v6.src, 16) == 0);
}

static void one(const struct choices *c, uint8_t *frame, size_t size)
{
	struct rte_mbuf *m = packet(c, frame, size);
	struct table_key key;
	struct parse in = {
		.ifaces = ifaces,
		.mac = &port_mac,
		.iface = iface_of_group(0),
		.key = &key,
	};
	enum nfo_punt verdict;

	memset(&key, 0xff, sizeof(key));
	verdict = parse_frame(m, &in);
	as_kernels(m, &key, in.l3, verdict == PARSE_OK || verdict == NFO_P_TCP_FLAGS);
	if (verdict == NFO_P_TCP_FLAGS)
		check(parse_tcp_ends(m, &key, in.l3)
			== ((frame[parse_l4_offset(key.family, in.l3) + 13] & 5) != 0));
	else if (verdict == PARSE_OK)
		through(c, m, frame, size, &key, in.l3);
	packet_free(m);
}

static void make_ifaces(void)
{
	static const struct nfo_vlan q[] = {{RTE_BE16(0x8100), VLAN}, {0, 0}};
	static const struct nfo_vlan qinq[] = {
		{RTE_BE16(0x88a8), OUTER}, {RTE_BE16(0x8100), INNER}};

	ifaces = ifaces_create();
	check(ifaces != NULL && iface_get(ifaces, 0, q) != IFACE_NONE
		&& iface_get(ifaces, 0, qinq) != IFACE_NONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const size_t max = 16384;
	struct choices c;
	uint8_t *frame;

	if (ifaces == NULL)
		make_ifaces();
	if (size < sizeof(c))
		return 0;
	memcpy(&c, data, sizeof(c));
	size = size - sizeof(c) < max ? size - sizeof(c) : max;
	frame = malloc(size + 1);
	check(frame != NULL);
	memcpy(frame, data + sizeof(c), size);
	fix(&c, frame, size);
	one(&c, frame, size);
	free(frame);
	return 0;
}
