// SPDX-License-Identifier: GPL-2.0-or-later
// Samples tell whether the kernel forwards a flow as the workers do. One that it sends otherwise is held by
// the worker that saw it; a moment later, when messages about whatever has changed were read, its routes are
// asked for again. If the outcome is what the kernel did it goes on so; otherwise, and when the kernel does
// not send the samples at all, the connection is the kernel's. Where that happened before, the first packets
// that come are samples.
#include <stdio.h>
#include <string.h>

#include "dp_api.h"
#include "log.h"
#include "mirror_priv.h"
#include "text.h"

#define MS_NS 1000000ull

enum {
	PAUSE_MS = 30, // for messages that are on their way
	UNSEEN_MAX = 2, // samples in a row; one may be lost
	PROBE_MS = 1000, // from those of a connection in doubt to the look at them
	DOUBTS_MAX = 8,  // so that the longest pause is some four minutes
	L2_TEXT_MAX = 3 * sizeof(((struct dp_event *)NULL)->l2),
};

static bool is_direction(const struct mirror *m, const struct dp_event *event)
{
	const struct conn *c;

	if (event->cookie >= m->conns.top)
		return false;
	c = &m->conns.slot[event->cookie];
	return c->used && c->reason == NFO_R_OFFLOADED
	       && (c->idx[0] == event->idx || c->idx[1] == event->idx);
}

static void end(struct mirror *m, uint32_t slot)
{
	struct conn *c = &m->conns.slot[slot];

	if (c->doubts < DOUBTS_MAX)
		c->doubts++;
	mirror_withdraw(m, slot, NFO_R_AUDIT);
	m->stats.withdrawn++;
}

// The Ethernet header that frames of 'flow' get, without the EtherType. Returns its bytes.
static unsigned int l2_of(const struct nfo_flow *flow, uint8_t *l2)
{
	unsigned int n = 2 * NFO_ETH_ALEN;

	memcpy(l2, flow->eth_dst, NFO_ETH_ALEN);
	memcpy(l2 + NFO_ETH_ALEN, flow->eth_src, NFO_ETH_ALEN);
	for (int i = 0; i < NFO_MAX_VLANS && flow->out_vlan[i].tpid_be != 0; i++, n += 4) {
		memcpy(l2 + n, &flow->out_vlan[i].tpid_be, 2);
		l2[n + 2] = (uint8_t)(flow->out_vlan[i].vid >> 8);
		l2[n + 3] = (uint8_t)flow->out_vlan[i].vid;
	}
	return n;
}

static bool agrees(const struct mirror *m, const struct nfo_flow *flow, const struct dp_event *event)
{
	uint8_t expected[sizeof(event->l2)], seen[sizeof(event->l2)];

	if (l2_of(flow, expected) != event->l2_bytes
		|| m->group[flow->out_port] != m->group[event->port])
		return false;
	memcpy(seen, event->l2, event->l2_bytes);
	for (unsigned int at = 2 * NFO_ETH_ALEN; at < event->l2_bytes; at += 4)
		seen[at + 2] &= 0x0f; // a priority
	return memcmp(seen, expected, event->l2_bytes) == 0;
}

// As addresses are written; tags follow.
static const char *l2_text(const uint8_t *l2, unsigned int bytes, char text[L2_TEXT_MAX])
{
	for (unsigned int i = 0; i < bytes; i++)
		snprintf(text + 3 * i, 4, "%02x%s", l2[i], i + 1 < bytes ? ":" : "");
	return text;
}

static void say(const struct mirror *m, const struct audit *a, bool corrected)
{
	static struct log_limit limit[2];
	char tuple[TEXT_TUPLE_MAX], seen[L2_TEXT_MAX], expected[L2_TEXT_MAX];
	const struct dp_event *event = &a->event;
	unsigned int missed;

	if (!log_ratelimit(&limit[corrected], 1, &missed))
		return;
	log_line(corrected ? LOG_NOTICE : LOG_WARNING, "audit",
		"the kernel sends %s by %s with %s, expected %s with %s; %s "
		"(%u more of the kind were not told)",
		text_tuple(&a->match, tuple), m->conf.port[event->port],
		l2_text(event->l2, event->l2_bytes, seen), m->conf.port[a->port],
		l2_text(a->l2, a->l2_bytes, expected),
		corrected ? "corrected" : "it is the kernel's now", missed);
}

void audit_event(struct mirror *m, const struct dp_event *event)
{
	struct audit a = {.event = *event, .due_ns = loop_now_ns(m->loop) + PAUSE_MS * MS_NS};
	const struct conn *c;
	struct nfo_flow flow;

	if (!is_direction(m, event))
		return; // of a flow that has changed since
	m->stats.differed++;
	c = &m->conns.slot[event->cookie];
	a.direction = c->idx[0] == event->idx ? 0 : 1;
	flow = c->dir[a.direction];
	mirror_set_mac(m, &flow);
	a.match = flow.match;
	a.l2_bytes = (uint8_t)l2_of(&flow, a.l2);
	a.port = (uint8_t)flow.out_port;
	if (m->n_audits < MIRROR_AUDITS) {
		m->audit[m->n_audits++] = a;
		return;
	}
	say(m, &a, false);
	end(m, event->cookie);
}

// Does the kernel, asked anew, say what it did?
static bool explained(struct mirror *m, const struct audit *a)
{
	const uint32_t slot = a->event.cookie;
	struct conn *c = &m->conns.slot[slot];
	struct nfo_flow flow;

	routes_doubt(m->routes, c->answer[0]);
	routes_doubt(m->routes, c->answer[1]);
	mirror_resolve(m, slot);
	flow = c->dir[a->direction];
	mirror_set_mac(m, &flow);
	return c->reason == NFO_R_OFFLOADED && agrees(m, &flow, &a->event);
}

static void judge(struct mirror *m, const struct audit *a)
{
	const uint32_t slot = a->event.cookie;
	struct conn *c = &m->conns.slot[slot];
	const bool replaced = c->idx[a->direction] != a->event.idx;

	if (!c->used || memcmp(&c->dir[a->direction].match, &a->match, sizeof(a->match)) != 0)
		return;
	if (c->reason == NFO_R_OFFLOADED && explained(m, a)) {
		say(m, a, true);
		m->stats.corrected++;
		dp_flow_release(c->idx[a->direction]);
		return;
	}
	if (c->reason == NFO_R_OFFLOADED && replaced)
		return; // what was seen may be older than the new entry, which is looked at by itself
	say(m, a, false);
	if (c->reason == NFO_R_OFFLOADED)
		end(m, slot);
}

void audit_tick(struct mirror *m)
{
	unsigned int n = 0;

	while (n < m->n_audits && m->audit[n].due_ns <= loop_now_ns(m->loop))
		judge(m, &m->audit[n++]);
	m->n_audits -= n;
	memmove(m->audit, m->audit + n, m->n_audits * sizeof(m->audit[0]));
}

// The kernel's flowtable of Linux 6.1 loses packets of IPv4 by a next hop of IPv6; the slow path, which the
// workers follow, does not.
static bool loses_samples(const struct nfo_flow *flow)
{
	return flow->via.family != flow->match.family;
}

static void say_unseen(const struct nfo_tuple *tuple)
{
	static struct log_limit limit;
	char text[TEXT_TUPLE_MAX];
	unsigned int missed;

	if (log_ratelimit(&limit, 1, &missed))
		log_warning("audit",
			"the kernel was given samples of %s and did not send them; it is the kernel's now "
			"(%u more of the kind were not told)",
			text_tuple(tuple, text), missed);
}

void audit_begin(struct mirror *m, struct conn *c)
{
	c->unseen[0] = c->unseen[1] = c->doubts > 0 ? UNSEEN_MAX - 1 : 0;
	c->refreshed_ns = loop_now_ns(m->loop);
	if (c->doubts == 0)
		return;
	if (m->sample_ns > PROBE_MS * MS_NS)
		c->refreshed_ns -= m->sample_ns - PROBE_MS * MS_NS; // due so much earlier
	dp_flow_sample(c->idx[0]);
	dp_flow_sample(c->idx[1]);
}

// Arms both directions whether or not packets pass, so that the kernel sees each of a flow of few.
void audit_sample(struct mirror *m, uint32_t slot)
{
	struct conn *c = &m->conns.slot[slot];
	bool sent = false;

	m->stats.sampled++;
	for (int d = 0; d < 2; d++) {
		switch (dp_flow_sample(c->idx[d])) {
		case DP_SAMPLE_DONE:
			c->unseen[d] = 0;
			sent = true;
			break;
		case DP_SAMPLE_UNSEEN:
			m->stats.unseen++;
			if (!loses_samples(&c->dir[d]))
				c->unseen[d]++;
			break;
		case DP_SAMPLE_WAITS:
			break;
		}
	}
	for (int d = 0; d < 2; d++)
		if (c->unseen[d] >= UNSEEN_MAX) {
			say_unseen(&c->dir[d].match);
			end(m, slot);
			return;
		}
	if (sent && c->unseen[0] + c->unseen[1] == 0)
		c->doubts = 0;
}
