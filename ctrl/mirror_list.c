// SPDX-License-Identifier: GPL-2.0-or-later
// The mirror as listings see it.
#include <string.h>

#include "dp_api.h"
#include "mirror_priv.h"

static void copy_name(const struct mirror *m, int ifindex, char name[NFO_NAME_LEN])
{
	const struct rtnl_link *link = rtnl_link_by_index(m->rtnl, ifindex);

	if (link != NULL)
		memcpy(name, link->name, NFO_NAME_LEN);
}

uint32_t mirror_slots(const struct mirror *m)
{
	return m->conns.top;
}

void mirror_set_mac(const struct mirror *m, struct nfo_flow *flow)
{
	const struct rtnl_neigh *neigh = rtnl_neigh_find(
		m->rtnl, (int)flow->via.dev, flow->via.family, &flow->via.addr);

	if (neigh != NULL && neigh->valid)
		memcpy(flow->eth_dst, neigh->mac, sizeof(flow->eth_dst));
}

bool mirror_get(const struct mirror *m, uint32_t slot, struct mirror_flow *flow)
{
	const uint64_t now = loop_now_ns(m->loop);
	const struct conn *c;
	uint64_t used_ns;

	if (slot >= m->conns.top || !m->conns.slot[slot].used)
		return false;
	c = &m->conns.slot[slot];
	*flow = (struct mirror_flow){
		.conn = c->ct,
		.reason = c->reason,
		.has_path = c->has_path,
		.age_ns = now - c->since_ns,
	};
	if (c->has_path) {
		memcpy(flow->dir, c->dir, sizeof(flow->dir));
		mirror_set_mac(m, &flow->dir[0]);
		mirror_set_mac(m, &flow->dir[1]);
		copy_name(m, c->dev[0], flow->in);
		copy_name(m, c->dev[1], flow->out);
		flow->flowtable = mirror_flowtable_of(m, &c->ct, c->dev[0], c->dev[1]);
	}
	mirror_counters(c, flow->counters);
	used_ns = mirror_used_ns(c, flow->counters);
	flow->idle_ns = now > used_ns ? now - used_ns : 0; // 'now' is this turn's
	return true;
}

void mirror_stats(const struct mirror *m, struct mirror_stats *stats)
{
	*stats = m->stats;
	stats->nft_overruns = m->nft != NULL ? nft_overruns(m->nft) : 0;
	stats->xfrm_overruns = m->xfrm != NULL ? xfrm_overruns(m->xfrm) : 0;
	stats->hooks_overruns = m->hooks != NULL ? hooks_overruns(m->hooks) : 0;
}

unsigned int mirror_flowtables(const struct mirror *m)
{
	return m->conf.n_stand_in + (m->nft != NULL ? nft_list(m->nft)->n : 0);
}

const struct nft_flowtable *mirror_flowtable(const struct mirror *m, unsigned int i)
{
	if (i < m->conf.n_stand_in)
		return &m->conf.stand_in[i];
	return &nft_list(m->nft)->list[i - m->conf.n_stand_in];
}

const char *mirror_nft_unsupported(const struct mirror *m)
{
	if (m->conf.no_sources)
		return "static flows, the kernel is not asked";
	return m->nft != NULL ? nft_unsupported(m->nft) : "nf_tables cannot be followed";
}

void mirror_routes_stats(const struct mirror *m, struct routes_stats *stats)
{
	routes_stats(m->routes, stats);
}

bool mirror_ct_stats(const struct mirror *m, struct ct_stats *stats)
{
	if (m->ct == NULL)
		return false;
	ct_stats(m->ct, stats);
	return true;
}
