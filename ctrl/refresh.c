// SPDX-License-Identifier: GPL-2.0-or-later
// Use sync by sampled punt: packets that workers forward reach neither the kernel's flowtable nor
// conntrack nor the neighbours, so that each would die. Now and then the next packet of each
// direction takes the kernel's way, and all of them live as long as the kernel wants
// (docs/design.md). Idle flows go back to the kernel; what conntrack no longer offers is forgotten.
#include "dp_api.h"
#include "mirror_priv.h"
#include "sysctl.h"

#define S_NS 1000000000ull

enum { FLOW_TIMEOUT_S = 30 };

// The kernel's defaults stand for what it does not have. The shorter of the two times bounds the
// period: of three samples two may be lost.
void refresh_read_sysctls(struct mirror *m)
{
	bool ipv4_l4_hash;
	uint32_t shortest;

	m->flow_tcp_s = m->conf.tcp_idle_s != 0 ? m->conf.tcp_idle_s
						: sysctl_net("netfilter/nf_flowtable_tcp_timeout", 30);
	m->flow_udp_s = m->conf.udp_idle_s != 0 ? m->conf.udp_idle_s
						: sysctl_net("netfilter/nf_flowtable_udp_timeout", 30);
	shortest = sysctl_net("netfilter/nf_conntrack_udp_timeout", 30);
	if (m->flow_tcp_s < shortest)
		shortest = m->flow_tcp_s;
	if (m->flow_udp_s < shortest)
		shortest = m->flow_udp_s;
	m->sample_ns = shortest * S_NS / 3;
	ipv4_l4_hash = sysctl_net("ipv4/fib_multipath_hash_policy", 0) != 0;
	if (ipv4_l4_hash != m->ipv4_l4_hash)
		follow_upheaval(m);
	m->ipv4_l4_hash = ipv4_l4_hash;
}

// GRE has no sysctl: NF_FLOW_TIMEOUT.
static uint32_t idle_limit_s(const struct mirror *m, uint8_t proto)
{
	if (proto == NFO_GRE)
		return m->conf.udp_idle_s != 0 ? m->conf.udp_idle_s : FLOW_TIMEOUT_S;
	return proto == NFO_TCP ? m->flow_tcp_s : m->flow_udp_s;
}

void refresh_check(struct mirror *m, struct conn *c)
{
	c->listed_ns = loop_now_ns(m->loop);
	ct_check(m->ct, &c->ct);
}

// Messages were lost, and the dump that followed does not hold it: its end may have been one of them.
static bool missed(const struct mirror *m, const struct conn *c)
{
	return c->listed_ns <= m->lost_ns && m->lost_ns != 0 && m->n_filters == 0 && !m->dump_again;
}

static void refresh(struct mirror *m, uint32_t slot)
{
	struct conn *c = &m->conns.slot[slot];
	const uint32_t idle_s = idle_limit_s(m, c->ct.orig.proto);
	const uint64_t now = loop_now_ns(m->loop);
	struct nfo_counters counters[2];

	if (missed(m, c))
		refresh_check(m, c);
	if (now < c->refreshed_ns + m->sample_ns)
		return;
	mirror_counters(c, counters);
	if (counters[0].packets + counters[1].packets != c->packets_seen) {
		c->packets_seen = counters[0].packets + counters[1].packets;
		refresh_check(m, c); // its end may have been told to nobody
	} else if (now > mirror_used_ns(c, counters) + idle_s * S_NS) {
		mirror_withdraw(m, slot, NFO_R_IDLE);
		m->stats.idled++;
		return;
	}
	c->refreshed_ns = now;
	audit_sample(m, slot);
}

void refresh_scan(void *arg)
{
	struct mirror *m = arg;
	uint64_t n = m->conns.top * (uint64_t)REFRESH_STEP_MS / REFRESH_PERIOD_MS + 1;

	if (m->scan_next == 0)
		refresh_read_sysctls(m);
	for (; n > 0 && m->scan_next < m->conns.top; n--, m->scan_next++) {
		const struct conn *c = &m->conns.slot[m->scan_next];

		if (!c->used)
			continue;
		if (c->reason == NFO_R_OFFLOADED)
			refresh(m, m->scan_next);
		else if (c->round + 2 < m->round) // two whole rounds without it
			mirror_forget(m, m->scan_next);
	}
	if (m->scan_next >= m->conns.top)
		m->scan_next = 0;
	routes_age(m->routes);
	ct_flush(m->ct);
}
