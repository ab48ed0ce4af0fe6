// SPDX-License-Identifier: GPL-2.0-or-later
// Sources: dataplane/parse.h dataplane/rewrite.h
// A frame, behind struct choices, through parse_frame() and rewrite_frame(). What is accepted must
// be a frame that the kernel's flowtable would forward; what leaves has the headers that were asked
// for, checksums as right or wrong as they were, and nothing else changed.
#include <stdlib.h>
#include <string.h>

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
	uint8_t in_port;
	uint8_t flags;
	struct {
		uint8_t addr[4], port[2];
	} src, dst; // after NAT
};

enum { ETH = 14, IP = 20, TTL = ETH + 8, IP_CKSUM = ETH + 10, ADDRS = ETH + 12, L4 = ETH + IP };

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

static uint16_t ip_sum(const uint8_t *frame)
{
	return sum(frame + ETH, IP, 0);
}

// With the addresses of the pseudo header; its other words do not change.
static uint16_t l4_sum(const uint8_t *frame, size_t size)
{
	return sum(frame + L4, size - L4, sum(frame + ADDRS, 8, 0));
}

static size_t cksum_at(const uint8_t *frame)
{
	return frame[ETH + 9] == IPPROTO_TCP ? L4 + 16 : L4 + 6;
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
static struct rte_mbuf *segment(const uint8_t *data, size_t size)
{
	struct rte_mbuf *m = NULL;
	void *room = malloc(size != 0 ? size : 1);

	check(room != NULL && posix_memalign((void **)&m, 64, sizeof(*m)) == 0);
	memset(m, 0, sizeof(*m));
	memcpy(room, data, size);
	m->buf_addr = room;
	m->buf_len = m->data_len = (uint16_t)size;
	m->pkt_len = (uint32_t)size;
	m->nb_segs = 1;
	m->refcnt = 1;
	return m;
}

static struct rte_mbuf *packet(const struct choices *c, const uint8_t *frame, size_t size)
{
	const size_t first = c->split == UINT8_MAX || c->split > size ? size : c->split;
	struct rte_mbuf *m = segment(frame, first);

	m->ol_flags = ol_flags(c->ol_flags);
	if (first == size)
		return m;
	m->next = segment(frame + first, size - first);
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
		memcpy(frame, m->buf_addr, m->data_len);
		frame += m->data_len;
	}
}

static void fix(const struct choices *c, uint8_t *frame, size_t size)
{
	uint16_t cksum;

	if ((c->flags & FIX_MAC) && size >= 6)
		memcpy(frame, &port_mac, 6);
	if ((c->flags & FIX_CKSUM) && size >= L4) {
		memset(frame + IP_CKSUM, 0, 2);
		cksum = (uint16_t)~rte_raw_cksum(frame + ETH, IP);
		memcpy(frame + IP_CKSUM, &cksum, 2);
	}
}

// What the kernel's nf_flow_offload_ip_hook() asks of a frame, and that the NIC found no fault.
static void check_accepted(
	const struct rte_mbuf *m, const uint8_t *f, uint8_t in_port, const struct table_key *key)
{
	const size_t total = (size_t)f[ETH + 2] << 8 | f[ETH + 3];
	const bool tcp = f[ETH + 9] == IPPROTO_TCP;

	check(memcmp(f, &port_mac, 6) == 0 && f[12] == 8 && f[13] == 0 && f[ETH] == 0x45);
	check((f[ETH + 6] & 0xbf) == 0 && f[ETH + 7] == 0 && f[TTL] > 1);
	check(tcp || f[ETH + 9] == IPPROTO_UDP);
	check(total >= IP + (tcp ? 20u : 8u) && ETH + total <= m->pkt_len);
	check(m->data_len >= L4 + (tcp ? 20u : 8u));
	check((m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) != RTE_MBUF_F_RX_L4_CKSUM_BAD);
	check((m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD
		|| rte_raw_cksum(f + ETH, IP) == 0xffff);
	check(!tcp || (f[L4 + 13] & (RTE_TCP_SYN_FLAG | RTE_TCP_FIN_FLAG | RTE_TCP_RST_FLAG)) == 0);
	check(memcmp(&key->src_be, f + ADDRS, 8) == 0 && memcmp(&key->sport_be, f + L4, 4) == 0);
	check(key->in_port == in_port && key->proto == f[ETH + 9] && key->zero == 0);
}

static void make_flow(const struct choices *c, const struct table_key *key, struct nfo_flow *flow)
{
	const struct nfo_tuple in = {
		.src.v4_be = key->src_be,
		.dst.v4_be = key->dst_be,
		.sport_be = key->sport_be,
		.dport_be = key->dport_be,
		.family = NFO_IPV4,
		.proto = key->proto,
	};

	*flow = (struct nfo_flow){.match = in, .out = in, .in_port = key->in_port, .mtu = 1500};
	if (c->flags & NAT_SRC) {
		memcpy(&flow->out.src, c->src.addr, 4);
		memcpy(&flow->out.sport_be, c->src.port, 2);
	}
	if (c->flags & NAT_DST) {
		memcpy(&flow->out.dst, c->dst.addr, 4);
		memcpy(&flow->out.dport_be, c->dst.port, 2);
	}
	memcpy(flow->eth_dst, next_hop, 6);
	memcpy(flow->eth_src, egress_mac, 6);
}

// 'after' but for checksums, made from 'before'.
static void expect(const struct nfo_flow *flow, const uint8_t *after, uint8_t *before)
{
	memcpy(before, next_hop, 6);
	memcpy(before + 6, egress_mac, 6);
	before[TTL]--;
	memcpy(before + IP_CKSUM, after + IP_CKSUM, 2);
	memcpy(before + ADDRS, &flow->out.src, 4);
	memcpy(before + ADDRS + 4, &flow->out.dst, 4);
	memcpy(before + L4, &flow->out.sport_be, 2);
	memcpy(before + L4 + 2, &flow->out.dport_be, 2);
	memcpy(before + cksum_at(before), after + cksum_at(before), 2);
}

static void check_rewritten(
	const struct nfo_flow *flow, const uint8_t *after, uint8_t *before, size_t size)
{
	const size_t at = cksum_at(before);
	const bool none = before[ETH + 9] == IPPROTO_UDP && before[at] == 0 && before[at + 1] == 0;
	const bool nat = memcmp(&flow->match, &flow->out, sizeof(flow->match)) != 0;

	if (rte_raw_cksum(before + ETH, IP) == 0xffff)
		check(rte_raw_cksum(after + ETH, IP) == 0xffff);
	check(ip_sum(before) == ip_sum(after));
	if (none)
		check(after[at] == 0 && after[at + 1] == 0);
	else
		check(l4_sum(before, size) == l4_sum(after, size));
	if (!none && before[ETH + 9] == IPPROTO_UDP)
		check(after[at] != 0 || after[at + 1] != 0);
	if (!nat)
		check(memcmp(before + at, after + at, 2) == 0);
	expect(flow, after, before);
	check(memcmp(before, after, size) == 0);
}

static void one(const struct choices *c, uint8_t *frame, size_t size)
{
	struct rte_mbuf *m = packet(c, frame, size);
	struct table_key key;
	struct table_entry entry;
	struct nfo_flow flow;
	enum nfo_punt verdict;
	uint8_t *after;

	memset(&key, 0xff, sizeof(key));
	verdict = parse_frame(m, &port_mac, c->in_port, &key);
	if (verdict == NFO_P_TCP_FLAGS) {
		check(parse_tcp_ends(m) == ((frame[L4 + 13] & 5) != 0));
	} else if (verdict == PARSE_OK) {
		check_accepted(m, frame, c->in_port, &key);
		make_flow(c, &key, &flow);
		rewrite_entry(&flow, &entry);
		check(memcmp(&entry.key, &key, sizeof(key)) == 0);
		rewrite_frame(m, &entry);
		after = malloc(size);
		check(after != NULL);
		gather(m, after);
		check_rewritten(&flow, after, frame, size);
		free(after);
	}
	packet_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const size_t max = 16384;
	struct choices c;
	uint8_t *frame;

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
