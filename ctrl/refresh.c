// SPDX-License-Identifier: GPL-2.0-or-later
// Use sync: packets that workers forward do not reach conntrack, so its timeout is set for them
// (docs/design.md). Idle flows go back to the kernel, and what conntrack no longer offers is
// forgotten.
#include <stdio.h>
#include <stdlib.h>

#include <linux/netfilter/nf_conntrack_common.h>

#include "dp_api.h"
#include "mirror_priv.h"

#define S_NS 1000000000ull

static uint32_t sysctl(const char *name, uint32_t otherwise)
{
	char path[128];
	unsigned int value;
	FILE *f;
	int n;

	snprintf(path, sizeof(path), "/proc/sys/net/netfilter/%s", name);
	f = fopen(path, "re");
	if (f == NULL)
		return otherwise;
	n = fscanf(f, "%u", &value);
	fclose(f);
	return n == 1 ? value : otherwise;
}

// The kernel's defaults stand for what it does not have.
void refresh_read_sysctls(struct mirror *m)
{
	m->tcp_established_s = sysctl("nf_conntrack_tcp_timeout_established", 432000);
	m->udp_stream_s = sysctl("nf_conntrack_udp_timeout_stream", 120);
	m->udp_s = sysctl("nf_conntrack_udp_timeout", 30);
	m->flow_tcp_s = m->conf.tcp_idle_s != 0 ? m->conf.tcp_idle_s
						: sysctl("nf_flowtable_tcp_timeout", 30);
	m->flow_udp_s = m->conf.udp_idle_s != 0 ? m->conf.udp_idle_s
						: sysctl("nf_flowtable_udp_timeout", 30);
}

uint32_t refresh_timeout(const struct mirror *m, const struct conn *c)
{
	if (c->ct.orig.proto == NFO_TCP)
		return m->tcp_established_s;
	return c->ct.status & IPS_ASSURED ? m->udp_stream_s : m->udp_s;
}

// Conntrack calls UDP unreplied while the replies that it would have seen are forwarded here, and
// kernels since 6.12 end such an entry with their flowtable entry: it hears of replies, and while
// there are none the kernel's own entry is kept by a packet now and then.
static void refresh_udp(struct mirror *m, struct conn *c, const struct nfo_counters counters[2])
{
	const uint32_t replied = IPS_SEEN_REPLY | IPS_ASSURED;

	if ((c->ct.status & replied) == replied)
		return;
	if (counters[1].packets == 0)
		dp_flow_sample(c->idx[0]);
	else if (ct_set_assured(m->ct, &c->ct) == 0)
		c->ct.status |= replied;
}

static void refresh(struct mirror *m, uint32_t slot)
{
	struct conn *c = &m->conns.slot[slot];
	const uint32_t idle_s = c->ct.orig.proto == NFO_TCP ? m->flow_tcp_s : m->flow_udp_s;
	struct nfo_counters counters[2];
	uint64_t packets;

	mirror_counters(c, counters);
	packets = counters[0].packets + counters[1].packets;
	if (packets != c->packets_refreshed) {
		c->packets_refreshed = packets;
		if (c->ct.orig.proto == NFO_UDP)
			refresh_udp(m, c, counters);
		if (ct_set_timeout(m->ct, &c->ct, refresh_timeout(m, c)) == 0)
			m->stats.refreshed++;
		return;
	}
	if (loop_now_ns(m->loop) > mirror_used_ns(c, counters) + idle_s * S_NS) {
		mirror_withdraw(m, slot, NFO_R_IDLE);
		m->stats.idled++;
	}
}

void refresh_scan(void *arg)
{
	struct mirror *m = arg;
	uint32_t n = m->conns.top * (uint64_t)REFRESH_STEP_MS / REFRESH_PERIOD_MS + 1;

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
	ct_flush(m->ct);
}
