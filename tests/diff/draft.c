// SPDX-License-Identifier: GPL-2.0-or-later
#include "draft.h"

#include <netinet/in.h>
#include <string.h>

// Of mixed batches, in percent; every fourth batch is plain, so two thirds are in all.
enum { QUIRKY = 44 };

unsigned int draft_in_mtu(const struct draft *d)
{
	return d->wires->w[d->flow->in[d->dir].port].mtu;
}

unsigned int draft_path_mtu(const struct draft *d)
{
	const unsigned int in = draft_in_mtu(d), out = d->wires->w[d->flow->in[!d->dir].port].mtu;

	return in < out ? in : out;
}

// Lengths of payloads: the short ones, odd ones, and the edge of the path's MTU.
static uint16_t payload_len(struct draft *d)
{
	const unsigned int overhead = (unsigned int)packet_overhead(&d->side, &d->spec);
	const unsigned int most = draft_path_mtu(d) - overhead;

	switch (rng_below(d->rng, 10)) {
	case 0:
		return 0;
	case 1:
		return 1;
	case 2:
		return (uint16_t)most;
	case 3:
		return (uint16_t)(most - rng_below(d->rng, 4));
	case 4:
		return (uint16_t)rng_below(d->rng, most);
	case 5:
		return (uint16_t)rng_below(d->rng, 30); // frames below 60 bytes
	default:
		return (uint16_t)rng_below(d->rng, 200);
	}
}

static void tcp_options(struct draft *d)
{
	struct spec *s = &d->spec;

	switch (rng_below(d->rng, 4)) {
	case 0:
		s->l4_options_len = 12; // NOP, NOP, timestamps
		memcpy(s->l4_options, "\1\1\10\12", 4);
		rng_fill(d->rng, s->l4_options + 4, 8);
		break;
	case 1:
		s->l4_options_len = 20; // NOP, NOP, two SACK blocks
		memcpy(s->l4_options, "\1\1\5\22", 4);
		rng_fill(d->rng, s->l4_options + 4, 16);
		break;
	case 2:
		s->l4_options_len = (uint8_t)(4 * rng_range(d->rng, 1, 10));
		memset(s->l4_options, 1, s->l4_options_len);
		break;
	default:
		break;
	}
}

static void tcp_fields(struct draft *d)
{
	struct spec *s = &d->spec;

	s->seq += rng_below(d->rng, 2000);
	s->ack += rng_percent(d->rng, 50) ? 0 : rng_below(d->rng, 2000);
	s->window = (uint16_t)rng_next(d->rng);
	s->urgent = rng_percent(d->rng, 10) ? (uint16_t)rng_next(d->rng) : 0;
	if (rng_percent(d->rng, 30)) // anything but SYN, FIN and RST
		s->tcp_flags = (uint8_t)(rng_next(d->rng) & ~(TCP_SYN | TCP_FIN | TCP_RST));
	else if (rng_percent(d->rng, 50))
		s->tcp_flags |= TCP_PSH;
	if (rng_percent(d->rng, 40))
		tcp_options(d);
}

void draft_plain(struct draft *d, const struct flow *flow, unsigned int dir)
{
	static const uint8_t ttls[] = {2, 3, 64, 64, 128, 255};
	struct spec *s = &d->spec;

	d->flow = flow;
	d->dir = dir;
	d->what = NULL;
	d->side = flow->in[dir];
	flow_spec(flow, dir, s);
	s->ttl = rng_percent(d->rng, 60) ? ttls[rng_below(d->rng, sizeof(ttls))]
					 : (uint8_t)rng_range(d->rng, 2, 255);
	s->tos = rng_percent(d->rng, 50) ? 0 : (uint8_t)rng_next(d->rng);
	s->id = rng_percent(d->rng, 20) ? 0 : (uint16_t)rng_next(d->rng);
	s->fragment = rng_percent(d->rng, 60) ? 0x4000 : 0;
	s->flow_label = rng_percent(d->rng, 50) ? 0 : (uint32_t)rng_next(d->rng);
	if (d->side.proto == IPPROTO_TCP)
		tcp_fields(d);
	else if (d->side.proto == IPPROTO_UDP && d->side.family == 4 && rng_percent(d->rng, 10))
		s->no_checksum = true;
	s->payload_len = payload_len(d);
	rng_fill(d->rng, s->payload, s->payload_len);
	if (s->payload_len >= 2 && !s->no_checksum && rng_percent(d->rng, 4)
		&& d->side.proto != IPPROTO_GRE) {
		const struct side left = side_swapped(&flow->in[!dir]);

		packet_zero_checksum(rng_percent(d->rng, 70) ? &left : &d->side, s);
	}
}

void draft_emit(const struct draft *d, struct frames *to, const uint8_t *bytes, size_t len)
{
	struct frame *f;

	if (to->n == WIRE_FRAMES_MAX)
		return;
	frames_add(to, d->side.port, bytes, len);
	f = to->f[to->n - 1];
	f->plain = d->what == NULL;
	f->what = d->what ? d->what : "plain";
}

static unsigned int weight_of(const struct draft *d, const struct quirk *q)
{
	const unsigned int family = d->side.family == 4 ? QUIRK_V4 : QUIRK_V6;

	if ((q->families & family) == 0 || (q->tags && d->no_tags)
		|| (d->without && strcmp(d->without, q->what) == 0))
		return 0;
	return q->weight;
}

static const struct quirk *pick(struct draft *d)
{
	unsigned int total = 0, at;

	for (size_t i = 0; i < n_quirks; i++)
		total += weight_of(d, &quirks[i]);
	at = rng_below(d->rng, total);
	for (size_t i = 0; i < n_quirks; i++) {
		const unsigned int weight = weight_of(d, &quirks[i]);

		if (at < weight)
			return &quirks[i];
		at -= weight;
	}
	return &quirks[0];
}

static void quirky(struct draft *d, struct frames *to)
{
	const struct quirk *q = pick(d);

	d->what = q->what;
	if (q->describe)
		q->describe(d);
	packet_build(&d->packet, &d->side, &d->spec);
	if (q->bend)
		q->bend(d);
	if (q->emit)
		q->emit(d, to);
	else
		draft_emit(d, to, d->packet.b, d->packet.len);
}

void draft_batch(
	struct draft *d, const struct flows *flows, struct frames *to, unsigned int n, bool plain)
{
	while (to->n < n) {
		const struct flow *flow = &flows->f[rng_below(d->rng, flows->n)];

		if (!flow->live)
			continue;
		draft_plain(d, flow, rng_below(d->rng, 2));
		if (!plain && rng_percent(d->rng, QUIRKY)) {
			quirky(d, to);
			continue;
		}
		packet_build(&d->packet, &d->side, &d->spec);
		draft_emit(d, to, d->packet.b, d->packet.len);
	}
}
