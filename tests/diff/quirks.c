// SPDX-License-Identifier: GPL-2.0-or-later
// What may be special about a packet; see struct quirk.
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "draft.h"

static void low_ttl(struct draft *d)
{
	d->spec.ttl = (uint8_t)rng_below(d->rng, 2);
}

// Longer than the way out takes, where a longer one can come in.
static void over_mtu(struct draft *d)
{
	const unsigned int overhead = (unsigned int)packet_overhead(&d->side, &d->spec);
	const unsigned int path = draft_path_mtu(d), in = draft_in_mtu(d);
	const unsigned int len =
		rng_percent(d->rng, 50) ? path + 1 : rng_range(d->rng, path + 1, in);

	if (path >= in)
		return;
	d->spec.payload_len = (uint16_t)(len - overhead);
	rng_fill(d->rng, d->spec.payload, d->spec.payload_len);
}

static void fit(struct draft *d)
{
	const unsigned int overhead = (unsigned int)packet_overhead(&d->side, &d->spec);

	if (overhead + d->spec.payload_len > draft_path_mtu(d))
		d->spec.payload_len = (uint16_t)(draft_path_mtu(d) - overhead);
}

// Not the time stamp: the routers would write each their time into it.
static void ip_options(struct draft *d)
{
	static const uint8_t some[][8] = {
		{1, 1, 1, 1, 1, 1, 1, 0},    // NOP, end
		{7, 7, 4, 0, 0, 0, 0, 0},    // record route, one place free
		{7, 7, 8, 10, 0, 0, 1, 0},   // record route, full
		{148, 4, 0, 0, 1, 1, 1, 1},  // router alert
		{131, 7, 4, 10, 0, 2, 2, 0}, // loose source route
		{94, 4, 1, 2, 0, 0, 0, 0},   // unknown
		{7, 60, 4, 0, 0, 0, 0, 0},   // longer than the header
	};

	d->spec.ext_len = 8;
	if (rng_percent(d->rng, 10))
		rng_fill(d->rng, d->spec.ext + 1, 7), d->spec.ext[0] = 94;
	else
		memcpy(d->spec.ext, some[rng_below(d->rng, sizeof(some) / sizeof(some[0]))], 8);
	fit(d);
}

// A chain of one or two extension headers of 8 bytes.
static void extensions(struct draft *d)
{
	static const uint8_t kinds[] = {0, 60, 60, 43, 135, 139};
	struct spec *s = &d->spec;
	const unsigned int n = rng_range(d->rng, 1, 2);

	s->ext_len = (uint8_t)(8 * n);
	memset(s->ext, 0, s->ext_len);
	s->ext_proto = kinds[rng_below(d->rng, sizeof(kinds))];
	for (unsigned int i = 0; i < n; i++) {
		uint8_t *header = s->ext + (size_t)8 * i;

		header[0] = i + 1 < n ? 60 : d->side.proto;
		memcpy(header + 2, "\1\4\0\0\0\0", 6); // PadN
	}
	if (rng_percent(d->rng, 20)) // an option that nobody knows, with what to do then
		s->ext[2] = (uint8_t)(rng_next(d->rng) & 0xfe);
	fit(d);
}

// Ports that no flow has, another pair each time: a clash of NAT would be solved by chance.
static void no_flow(struct draft *d)
{
	static uint16_t used;

	if (d->side.proto == IPPROTO_GRE) {
		d->side.proto = 253;
		return;
	}
	d->side.sport = (uint16_t)(55000 + used % 10000);
	d->side.dport = (uint16_t)(16000 + used % 39000);
	used++;
}

static void other_protocol(struct draft *d)
{
	static const uint8_t protos[] = {2, 4, 50, 51, 103, 132, 136, 253};

	d->side.proto = protos[rng_below(d->rng, sizeof(protos))];
	if (d->spec.payload_len < 24)
		d->spec.payload_len = 24;
	rng_fill(d->rng, d->spec.payload, d->spec.payload_len);
}

static void echo(struct draft *d)
{
	const uint8_t kind = d->side.family == 4 ? 8 : 128;

	d->side.proto = d->side.family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	d->spec.payload_len = 40;
	d->spec.payload[0] = kind;
	d->spec.payload[1] = 0;
	packet_icmp_checksum(&d->side, &d->spec);
}

static void wrong_mac(struct draft *d)
{
	switch (rng_below(d->rng, 4)) {
	case 0:
		memset(d->side.l2, 0xff, 6);
		break;
	case 1:
		memcpy(d->side.l2, "\1\0\136\1\2\3", 6);
		break;
	default:
		d->side.l2[rng_below(d->rng, 5) + 1] ^= 0x10;
	}
}

static void insert_tag(struct side *side, size_t at, uint16_t tpid, uint16_t tci)
{
	if (side->l2_len + 4 > PACKET_L2_MAX)
		return;
	memmove(side->l2 + at + 4, side->l2 + at, side->l2_len - at);
	packet_put16(side->l2 + at, tpid);
	packet_put16(side->l2 + at + 2, tci);
	side->l2_len += 4;
}

static void vlan_more(struct draft *d)
{
	const uint16_t tpid = rng_percent(d->rng, 70) ? 0x8100 : 0x88a8;
	const uint16_t tci = rng_percent(d->rng, 40) ? 0 : (uint16_t)rng_next(d->rng);
	const size_t at = 12 + 4 * rng_below(d->rng, 2) * (d->side.l2_len > 14);

	insert_tag(&d->side, at, tpid, tci);
	if (rng_percent(d->rng, 30))
		insert_tag(&d->side, 12, 0x8100, (uint16_t)rng_next(d->rng));
}

// Other bits in the flow's own tag: priority, drop eligible, or another VLAN.
static void vlan_bits(struct draft *d)
{
	const size_t at = 12 + 4 * rng_below(d->rng, (uint32_t)(d->side.l2_len - 14) / 4) + 2;

	if (d->side.l2_len < 18) {
		vlan_more(d);
		return;
	}
	switch (rng_below(d->rng, 4)) {
	case 0:
		packet_put16(d->side.l2 + at, (uint16_t)rng_next(d->rng));
		break;
	case 1: // one tag less
		memmove(d->side.l2 + 12, d->side.l2 + 16, d->side.l2_len - 16u);
		d->side.l2_len -= 4;
		break;
	default:
		d->side.l2[at] |= (uint8_t)(rng_range(d->rng, 1, 15) << 4);
	}
}

static void reserved_bit(struct draft *d)
{
	d->spec.fragment |= 0x8000;
}

static void bad_ip_checksum(struct draft *d)
{
	d->packet.b[d->packet.l3 + 10] ^= (uint8_t)rng_range(d->rng, 1, 255);
}

static void l4_checksum(struct draft *d)
{
	const size_t at = packet_checksum_at(&d->packet, &d->side);
	const uint16_t values[] = {0, 0xffff, (uint16_t)rng_next(d->rng)};

	if (at != 0)
		packet_put16(d->packet.b + at, values[rng_below(d->rng, 3)]);
}

// What short frames get on a real wire, and more of it.
static void padding(struct draft *d)
{
	const size_t room = draft_in_mtu(d) - packet_ip_len(&d->packet);
	const size_t n = 1 + rng_below(d->rng, room < 60 ? (uint32_t)room : 60);

	if (room == 0)
		return;
	rng_fill(d->rng, d->packet.b + d->packet.len, n);
	d->packet.len += n;
}

static void truncated(struct draft *d)
{
	const size_t headers = d->packet.l4 + 24;
	const size_t most =
		rng_percent(d->rng, 60) && headers < d->packet.len ? headers : d->packet.len;

	d->packet.len = rng_range(d->rng, 15, (uint32_t)most - 1);
}

static void ip_length(struct draft *d)
{
	const bool v4 = d->side.family == 4;
	uint8_t *at = d->packet.b + d->packet.l3 + (v4 ? 2 : 4);
	const uint16_t right = packet_get16(at);

	switch (rng_below(d->rng, 4)) {
	case 0:
		packet_put16(at, (uint16_t)(right + rng_range(d->rng, 1, 40)));
		break;
	case 1:
		packet_put16(at, (uint16_t)rng_below(d->rng, 44));
		break;
	case 2:
		packet_put16(at, (uint16_t)rng_next(d->rng));
		break;
	default:
		packet_put16(at, (uint16_t)rng_below(d->rng, right));
	}
	packet_fix_ip(&d->packet);
}

static void ip_version(struct draft *d)
{
	d->packet.b[d->packet.l3] =
		rng_percent(d->rng, 50)
			? (uint8_t)rng_next(d->rng)
			: (uint8_t)((d->packet.b[d->packet.l3] & 0xf0) | rng_below(d->rng, 5));
	if (d->packet.b[d->packet.l3] >> 4 == 4 && (d->packet.b[d->packet.l3] & 15) >= 5)
		packet_fix_ip(&d->packet);
}

// The length in the UDP header, the data offset of TCP, flags and version of GRE.
static void l4_lies(struct draft *d)
{
	uint8_t *l4 = d->packet.b + d->packet.l4;

	switch (d->side.proto) {
	case IPPROTO_UDP:
		packet_put16(
			l4 + 4, (uint16_t)(packet_get16(l4 + 4) + rng_range(d->rng, 1, 30) - 16));
		break;
	case IPPROTO_TCP:
		l4[12] = (uint8_t)(rng_below(d->rng, 16) << 4 | (l4[12] & 15));
		break;
	default:
		l4[0] = (uint8_t)rng_next(d->rng);
		l4[1] = (uint8_t)rng_below(d->rng, 8);
	}
}

static void ether_type(struct draft *d)
{
	packet_put16(d->packet.b + d->packet.l3 - 2,
		rng_percent(d->rng, 50) ? (d->side.family == 4 ? 0x86dd : 0x0800) : 0x88b5);
}

// Pieces of one packet, at times out of order or not all of them. Alone, since a random packet is
// not likely to be fragmented right.
static void emit_fragments(struct draft *d, struct frames *to)
{
	static struct spec piece;
	static struct packet packet;
	struct side raw = d->side;
	const size_t l4_len = d->packet.len - d->packet.l4;
	const bool v4 = d->side.family == 4;
	const uint16_t step = (uint16_t)(8 * rng_range(d->rng, 1, 1 + (uint32_t)l4_len / 16));
	const unsigned int lost = rng_percent(d->rng, 15) ? rng_below(d->rng, 3) : ~0u;
	const uint32_t id = (uint32_t)rng_next(d->rng);
	const size_t first = to->n;
	unsigned int n = 0;

	piece = d->spec;
	for (size_t at = 0; at < l4_len && n < 12; at += step, n++) {
		const bool more = at + step < l4_len && n < 11;
		const size_t len = more ? step : l4_len - at;

		if (n == lost)
			continue;
		memcpy(piece.payload, d->packet.b + d->packet.l4 + at, len);
		piece.payload_len = (uint16_t)len;
		piece.id = (uint16_t)id;
		piece.fragment = (uint16_t)(at / 8 | (more ? 0x2000 : 0));
		if (!v4) {
			const uint16_t word = (uint16_t)(at | more);

			piece.ext_proto = 44;
			piece.ext_len = 8;
			piece.ext[0] = d->side.proto;
			piece.ext[1] = 0;
			packet_put16(piece.ext + 2, word);
			memcpy(piece.ext + 4, &id, 4);
		}
		packet_build_raw(&packet, &raw, &piece);
		if (packet_ip_len(&packet) <= draft_in_mtu(d))
			draft_emit(d, to, packet.b, packet.len);
	}
	if (to->n > first + 1 && rng_percent(d->rng, 20)) {
		struct frame *f = to->f[first];

		to->f[first] = to->f[to->n - 1];
		to->f[to->n - 1] = f;
	}
}

// An error that someone behind the router sends about a packet of the flow: it comes in where the
// packet went out, and quotes it as it was there.
static void icmp_error(struct draft *d)
{
	static const uint8_t v4[][2] = {
		{3, 0}, {3, 1}, {3, 3}, {3, 4}, {3, 13}, {11, 0}, {11, 1}, {12, 0}};
	static const uint8_t v6[][2] = {{1, 0}, {1, 3}, {1, 4}, {2, 0}, {3, 0}, {3, 1}, {4, 0}};
	static struct packet quoted;
	const struct side was = side_swapped(&d->side);
	const bool is4 = d->side.family == 4;
	const uint8_t *kind = is4 ? v4[rng_below(d->rng, 8)] : v6[rng_below(d->rng, 7)];
	struct spec *s = &d->spec;
	size_t n;

	packet_build(&quoted, &was, s);
	n = packet_ip_len(&quoted);
	if (rng_percent(d->rng, 50) && n > (is4 ? 28 : 48))
		n = is4 ? 28 : 48;
	if (n > 520)
		n = 520;
	flow_spec(d->flow, d->dir, s);
	memset(s->payload, 0, 8);
	s->payload[0] = kind[0];
	s->payload[1] = kind[1];
	if (kind[0] == 3 && kind[1] == 4 && is4)
		packet_put16(s->payload + 6, 1280);
	else if (kind[0] == 2 && !is4)
		packet_put16(s->payload + 6, 1280);
	memcpy(s->payload + 8, quoted.b + quoted.l3, n);
	s->payload_len = (uint16_t)(8 + n);
	d->side.proto = is4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	packet_icmp_checksum(&d->side, s);
	if (rng_percent(d->rng, 5))
		s->payload[2] ^= 1;
}

const struct quirk quirks[] = {
	{"TTL of 0 or 1", 10, QUIRK_ANY, low_ttl, NULL, NULL},
	{"longer than the MTU", 10, QUIRK_ANY, over_mtu, NULL, NULL},
	{"IP options", 10, QUIRK_V4, ip_options, NULL, NULL},
	{"extension headers", 16, QUIRK_V6, extensions, NULL, NULL},
	{"fragments", 5, QUIRK_ANY, NULL, NULL, emit_fragments},
	{"no flow", 5, QUIRK_ANY, no_flow, NULL, NULL},
	{"other protocol", 3, QUIRK_ANY, other_protocol, NULL, NULL},
	{"echo request", 2, QUIRK_ANY, echo, NULL, NULL},
	{"other MAC address", 6, QUIRK_ANY, wrong_mac, NULL, NULL},
	{"other tags", 10, QUIRK_ANY, vlan_bits, NULL, NULL, true},
	{"more tags", 5, QUIRK_ANY, vlan_more, NULL, NULL, true},
	{"reserved bit", 2, QUIRK_V4, reserved_bit, NULL, NULL},
	{"bad IP checksum", 6, QUIRK_V4, NULL, bad_ip_checksum, NULL},
	{"bad L4 checksum", 10, QUIRK_ANY, NULL, l4_checksum, NULL},
	{"padding", 12, QUIRK_ANY, NULL, padding, NULL},
	{"truncated", 8, QUIRK_ANY, NULL, truncated, NULL},
	{"lying IP length", 8, QUIRK_ANY, NULL, ip_length, NULL},
	{"wrong version or header length", 4, QUIRK_ANY, NULL, ip_version, NULL},
	{"lying L4 header", 6, QUIRK_ANY, NULL, l4_lies, NULL},
	{"other EtherType", 3, QUIRK_ANY, NULL, ether_type, NULL},
	{"ICMP error", 8, QUIRK_ANY, icmp_error, NULL, NULL},
};
const size_t n_quirks = sizeof(quirks) / sizeof(quirks[0]);
