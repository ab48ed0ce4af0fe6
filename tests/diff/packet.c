// SPDX-License-Identifier: GPL-2.0-or-later
#include "packet.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

uint16_t packet_get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

void packet_put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
	packet_put16(at, (uint16_t)(value >> 16));
	packet_put16(at + 2, (uint16_t)value);
}

static uint64_t sum(const uint8_t *data, size_t n)
{
	uint64_t total = 0;

	for (size_t i = 0; i + 1 < n; i += 2)
		total += packet_get16(data + i);
	return n % 2 ? total + (uint64_t)(data[n - 1] << 8) : total;
}

static uint16_t fold(uint64_t total)
{
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return (uint16_t)~total;
}

static uint64_t pseudo_sum(const struct side *side, size_t l4_len)
{
	const size_t n = side->family == 4 ? 4 : 16;

	return sum(side->src, n) + sum(side->dst, n) + side->proto + l4_len;
}

static size_t ip_header(const struct side *side, const struct spec *spec)
{
	return (side->family == 4 ? 20u : 40u) + spec->ext_len;
}

static size_t l4_header(const struct side *side, const struct spec *spec)
{
	switch (side->proto) {
	case IPPROTO_TCP:
		return 20u + spec->l4_options_len;
	case IPPROTO_UDP:
		return 8;
	case IPPROTO_GRE:
		return 4;
	default:
		return 0;
	}
}

size_t packet_overhead(const struct side *side, const struct spec *spec)
{
	return ip_header(side, spec) + l4_header(side, spec);
}

static void put_tcp(uint8_t *l4, const struct side *side, const struct spec *spec)
{
	packet_put16(l4, side->sport);
	packet_put16(l4 + 2, side->dport);
	put32(l4 + 4, spec->seq);
	put32(l4 + 8, spec->ack);
	l4[12] = (uint8_t)((20 + spec->l4_options_len) / 4 << 4);
	l4[13] = spec->tcp_flags;
	packet_put16(l4 + 14, spec->window);
	packet_put16(l4 + 16, 0);
	packet_put16(l4 + 18, spec->urgent);
	memcpy(l4 + 20, spec->l4_options, spec->l4_options_len);
}

static void put_udp(uint8_t *l4, const struct side *side, size_t l4_len)
{
	packet_put16(l4, side->sport);
	packet_put16(l4 + 2, side->dport);
	packet_put16(l4 + 4, (uint16_t)l4_len);
	packet_put16(l4 + 6, 0);
}

// Version 0 without options; what it carries calls itself IPv4.
static void put_gre(uint8_t *l4)
{
	packet_put16(l4, 0);
	packet_put16(l4 + 2, 0x0800);
}

static size_t checksum_offset(uint8_t proto)
{
	return proto == IPPROTO_TCP ? 16 : proto == IPPROTO_UDP ? 6 : 0;
}

static void put_l4(struct packet *p, const struct side *side, const struct spec *spec)
{
	const size_t header = l4_header(side, spec), l4_len = header + spec->payload_len;
	uint8_t *l4 = p->b + p->l4;
	uint16_t check;

	memcpy(l4 + header, spec->payload, spec->payload_len);
	if (side->proto == IPPROTO_TCP)
		put_tcp(l4, side, spec);
	else if (side->proto == IPPROTO_UDP)
		put_udp(l4, side, l4_len);
	else if (side->proto == IPPROTO_GRE)
		put_gre(l4);
	if (checksum_offset(side->proto) == 0 || spec->no_checksum)
		return;
	check = fold(pseudo_sum(side, l4_len) + sum(l4, l4_len));
	if (side->proto == IPPROTO_UDP && check == 0)
		check = 0xffff;
	packet_put16(l4 + checksum_offset(side->proto), check);
}

static void put_ipv4(struct packet *p, const struct side *side, const struct spec *spec)
{
	uint8_t *ip = p->b + p->l3;

	ip[0] = (uint8_t)(0x40 | (20 + spec->ext_len) / 4);
	ip[1] = spec->tos;
	packet_put16(ip + 2, (uint16_t)(p->len - p->l3));
	packet_put16(ip + 4, spec->id);
	packet_put16(ip + 6, spec->fragment);
	ip[8] = spec->ttl;
	ip[9] = side->proto;
	memcpy(ip + 12, side->src, 4);
	memcpy(ip + 16, side->dst, 4);
	memcpy(ip + 20, spec->ext, spec->ext_len);
	packet_fix_ip(p);
}

static void put_ipv6(struct packet *p, const struct side *side, const struct spec *spec)
{
	uint8_t *ip = p->b + p->l3;

	put32(ip, 0x60000000u | (uint32_t)spec->tos << 20 | (spec->flow_label & 0xfffff));
	packet_put16(ip + 4, (uint16_t)(p->len - p->l3 - 40));
	ip[6] = spec->ext_len ? spec->ext_proto : side->proto;
	ip[7] = spec->ttl;
	memcpy(ip + 8, side->src, 16);
	memcpy(ip + 24, side->dst, 16);
	memcpy(ip + 40, spec->ext, spec->ext_len);
}

static void put_l3(struct packet *p, const struct side *side, const struct spec *spec)
{
	memcpy(p->b, side->l2, side->l2_len);
	if (side->family == 4)
		put_ipv4(p, side, spec);
	else
		put_ipv6(p, side, spec);
}

void packet_build(struct packet *p, const struct side *side, const struct spec *spec)
{
	p->l3 = side->l2_len;
	p->l4 = p->l3 + ip_header(side, spec);
	p->len = p->l4 + l4_header(side, spec) + spec->payload_len;
	put_l4(p, side, spec);
	put_l3(p, side, spec);
}

void packet_build_raw(struct packet *p, const struct side *side, const struct spec *spec)
{
	p->l3 = side->l2_len;
	p->l4 = p->l3 + ip_header(side, spec);
	p->len = p->l4 + spec->payload_len;
	memcpy(p->b + p->l4, spec->payload, spec->payload_len);
	put_l3(p, side, spec);
}

void packet_icmp_checksum(const struct side *side, struct spec *spec)
{
	uint64_t total = side->family == 4 ? 0 : pseudo_sum(side, spec->payload_len);

	packet_put16(spec->payload + 2, 0);
	total += sum(spec->payload, spec->payload_len);
	packet_put16(spec->payload + 2, fold(total));
}

void packet_fix_ip(struct packet *p)
{
	uint8_t *ip = p->b + p->l3;

	if (ip[0] >> 4 != 4)
		return;
	packet_put16(ip + 10, 0);
	packet_put16(ip + 10, fold(sum(ip, (size_t)(ip[0] & 15) * 4)));
}

size_t packet_ip_len(const struct packet *p)
{
	return p->len - p->l3;
}

size_t packet_checksum_at(const struct packet *p, const struct side *side)
{
	const size_t offset = checksum_offset(side->proto);

	return offset == 0 ? 0 : p->l4 + offset;
}

void packet_zero_checksum(const struct side *out, struct spec *spec)
{
	static struct packet scratch;
	const size_t even = spec->payload_len & ~1u;
	uint16_t check;

	memset(spec->payload + even - 2, 0, 2);
	packet_build(&scratch, out, spec);
	check = packet_get16(scratch.b + packet_checksum_at(&scratch, out));
	packet_put16(spec->payload + even - 2, check);
}

struct side side_swapped(const struct side *side)
{
	struct side s = *side;

	memcpy(s.l2, side->l2 + 6, 6);
	memcpy(s.l2 + 6, side->l2, 6);
	memcpy(s.src, side->dst, 16);
	memcpy(s.dst, side->src, 16);
	s.sport = side->dport;
	s.dport = side->sport;
	return s;
}

// Length of the Ethernet header with its tags, or 0.
static size_t l2_length(const uint8_t *frame, size_t len)
{
	size_t at = 12;

	while (at + 2 <= len && at + 2 <= PACKET_L2_MAX) {
		const uint16_t type = packet_get16(frame + at);

		if (type != 0x8100 && type != 0x88a8)
			return at + 2;
		at += 4;
	}
	return 0;
}

bool packet_answer(struct side *side, uint8_t port, const uint8_t *frame, size_t len)
{
	const size_t l2 = l2_length(frame, len);
	const uint8_t *ip = frame + l2;
	size_t header, n;

	if (l2 == 0 || len < l2 + 24)
		return false;
	*side = (struct side){.port = port, .l2_len = (uint8_t)l2, .family = ip[0] >> 4};
	header = side->family == 4 ? (size_t)(ip[0] & 15) * 4 : 40;
	if ((side->family != 4 && side->family != 6) || len < l2 + header + 4)
		return false;
	n = side->family == 4 ? 4 : 16;
	side->proto = side->family == 4 ? ip[9] : ip[6];
	memcpy(side->l2, frame, l2);
	memcpy(side->src, ip + (side->family == 4 ? 12 : 8), n);
	memcpy(side->dst, ip + (side->family == 4 ? 16 : 24), n);
	if (side->proto == IPPROTO_TCP || side->proto == IPPROTO_UDP) {
		side->sport = packet_get16(ip + header);
		side->dport = packet_get16(ip + header + 2);
	} else if (side->proto != IPPROTO_GRE) {
		return false;
	}
	*side = side_swapped(side);
	return true;
}

bool side_address(uint8_t *family, uint8_t address[16], const char *text)
{
	memset(address, 0, 16);
	*family = strchr(text, ':') ? 6 : 4;
	return inet_pton(*family == 6 ? AF_INET6 : AF_INET, text, address) == 1;
}
