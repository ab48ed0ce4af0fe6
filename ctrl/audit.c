// SPDX-License-Identifier: GPL-2.0-or-later
// Samples tell whether the kernel forwards a flow as the workers do. One that it sends otherwise is held by
// the worker that saw it; a moment later, when messages about whatever has changed were read, its routes are
// asked for again. If the outcome is what the kernel did it goes on so; otherwise, and when the kernel does
// not send the samples at all, the connection is the kernel's.
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
	mirror_withdraw(m, slot, NFO_R_AUDIT);
	m->stats.withdrawn++;
}

void audit_event(struct mirror *m, const struct dp_event *event)
{
	if (!is_direction(m, event))
		return; // of a flow that has changed since
	m->stats.differed++;
	if (m->n_audits == MIRROR_AUDITS) {
		end(m, event->cookie);
		return;
	}
	m->audit[m->n_audits++] = (struct audit){
		.event = *event, .due_ns = loop_now_ns(m->loop) + PAUSE_MS * MS_NS};
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

static const char *l2_text(const uint8_t *l2, unsigned int bytes, char text[L2_TEXT_MAX])
{
	for (unsigned int i = 0; i < bytes; i++)
		snprintf(text + 3 * i, 4, "%02x%s", l2[i], i + 1 < bytes ? ":" : "");
	return text;
}

static void say(const struct mirror *m, const struct nfo_flow *flow, const struct dp_event *event)
{
	static struct log_limit limit;
	char src[TEXT_ADDR_MAX], dst[TEXT_ADDR_MAX], seen[L2_TEXT_MAX], expected[L2_TEXT_MAX];
	const struct nfo_tuple *t = &flow->match;
	uint8_t l2[sizeof(event->l2)];
	unsigned int missed;

	if (!log_ratelimit(&limit, 1, &missed))
		return;
	log_warning("audit",
		"the kernel sends %s to %s by %s with %s, expected %s with %s; it is the kernel's now "
		"(%u more of the kind were not told)",
		text_addr(t->family, &t->src, src), text_addr(t->family, &t->dst, dst),
		m->conf.port[event->port], l2_text(event->l2, event->l2_bytes, seen),
		m->conf.port[flow->out_port], l2_text(l2, l2_of(flow, l2), expected), missed);
}

// Asks the kernel anew.
static void judge(struct mirror *m, const struct dp_event *event)
{
	struct conn *c = &m->conns.slot[event->cookie];
	struct nfo_flow flow;
	int d;

	if (!is_direction(m, event))
		return;
	d = c->idx[0] == event->idx ? 0 : 1;
	routes_doubt(m->routes, c->answer[0]);
	routes_doubt(m->routes, c->answer[1]);
	mirror_resolve(m, event->cookie);
	if (c->reason != NFO_R_OFFLOADED)
		return;
	flow = c->dir[d];
	mirror_set_mac(m, &flow);
	if (agrees(m, &flow, event)) {
		m->stats.corrected++;
		dp_flow_release(c->idx[d]);
		return;
	}
	say(m, &flow, event);
	end(m, event->cookie);
}

void audit_tick(struct mirror *m)
{
	unsigned int n = 0;

	while (n < m->n_audits && m->audit[n].due_ns <= loop_now_ns(m->loop))
		judge(m, &m->audit[n++].event);
	m->n_audits -= n;
	memmove(m->audit, m->audit + n, m->n_audits * sizeof(m->audit[0]));
}

// The kernel's flowtable of Linux 6.1 loses packets of IPv4 by a next hop of IPv6; the slow path, which the
// workers follow, does not.
static bool loses_samples(const struct nfo_flow *flow)
{
	return flow->via.family != flow->match.family;
}

// Arms both directions whether or not packets pass, so that the kernel sees each of a flow of few.
void audit_sample(struct mirror *m, uint32_t slot)
{
	struct conn *c = &m->conns.slot[slot];

	m->stats.sampled++;
	for (int d = 0; d < 2; d++) {
		switch (dp_flow_sample(c->idx[d])) {
		case DP_SAMPLE_DONE:
			c->unseen[d] = 0;
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
	if (c->unseen[0] >= UNSEEN_MAX || c->unseen[1] >= UNSEEN_MAX)
		end(m, slot);
}
