// SPDX-License-Identifier: GPL-2.0-or-later
// What changes below connections: routes, rules, neighbours, links, flowtables. Each change marks what it
// may be about; the next tick asks the kernel, holds what may go another way, and resolves it again, some
// thousand connections a tick.
#include "dp_api.h"
#include "mirror_priv.h"

#define MS_NS 1000000ull

static void changed(struct mirror *m)
{
	if (m->change_ns == 0)
		m->change_ns = loop_now_ns(m->loop);
	m->generation++;
	m->swept = 0;
}

// All flows go the way that the kernel knows now.
static void settled(struct mirror *m)
{
	if (m->change_ns == 0)
		return;
	m->stats.settle_ms = (uint32_t)((loop_now_ns(m->loop) - m->change_ns) / MS_NS);
	m->change_ns = 0;
}

void follow_upheaval(struct mirror *m)
{
	m->upheaval++;
	changed(m);
}

// May its way be another one than the dataplane's?
static bool outdated(const struct mirror *m, const struct conn *c)
{
	return c->upheaval != m->upheaval || mirror_versions(m, c) != c->versions
	       // of what is not kept nothing tells
	       || ((c->answer[0] == ROUTES_NONE || c->answer[1] == ROUTES_NONE)
		       && c->generation != m->generation);
}

static bool waits(const struct mirror *m, const struct conn *c)
{
	return routes_in_doubt(m->routes, c->answer[0]) || routes_in_doubt(m->routes, c->answer[1]);
}

// Until its way is known, the kernel has what may go another one than it did.
static void hold_outdated(struct mirror *m)
{
	for (uint32_t i = 0; i < m->conns.top; i++) {
		struct conn *c = &m->conns.slot[i];

		if (!c->used || c->reason != NFO_R_OFFLOADED || c->held
			|| !(waits(m, c) || outdated(m, c)))
			continue;
		dp_flow_hold(c->idx[0]);
		dp_flow_hold(c->idx[1]);
		c->held = true;
		m->stats.held++;
	}
}

// The links that stand upon 'ifindex', and it: what leaves by them leaves by it. A link may stand upon
// one of another namespace, whose number means nothing here: 'depth' ends a circle.
static void links_changed(struct mirror *m, int ifindex, int depth)
{
	const struct rtnl_link *l = NULL;

	routes_link_changed(m->routes, ifindex);
	while (depth > 0 && (l = rtnl_link_next(m->rtnl, l != NULL ? l->ifindex : 0)) != NULL)
		if (l->lower == ifindex)
			links_changed(m, l->ifindex, depth - 1);
}

static void link_changed(struct mirror *m, const struct rtnl_link *link)
{
	const struct rtnl_link *master = rtnl_link_by_index(m->rtnl, link->master);

	// no nf_tables event tells of a device that leaves a flowtable with its end
	if (m->nft != NULL)
		nft_kick(m->nft);
	// what a bond does is told by its slaves too, and any link may be the ingress that a rule
	// looks at
	if (mirror_sync_groups(m) || mirror_is_bond(link) || mirror_is_bond(master)
		|| rtnl_rules(m->rtnl, NFO_IPV4)->iif || rtnl_rules(m->rtnl, NFO_IPV6)->iif)
		m->upheaval++;
	links_changed(m, link->ifindex, NFO_MAX_VLANS);
	changed(m);
}

static void neigh_changed(struct mirror *m, const struct rtnl_neigh *neigh)
{
	const struct nfo_via via = {
		.addr = neigh->addr,
		.dev = (uint32_t)neigh->ifindex,
		.family = neigh->family,
	};

	dp_neigh_set(&via, neigh->valid ? neigh->mac : NULL);
	if (neigh->valid && m->stats.by_reason[NFO_R_NO_NEIGHBOUR] == 0)
		return; // nobody has waited for it
	routes_neigh_changed(m->routes, neigh);
	changed(m);
}

void mirror_rtnl_changed(struct mirror *m, const struct rtnl_event *event)
{
	switch (event->change) {
	case RTNL_LINK:
		link_changed(m, event->link);
		break;
	case RTNL_NEIGH:
		neigh_changed(m, event->neigh);
		break;
	case RTNL_ROUTE:
		routes_changed(m->routes, event->prefix);
		break;
	case RTNL_LOST:
		m->stats.rtnl_overruns++;
		if (m->nft != NULL)
			nft_kick(m->nft);
		mirror_sync_groups(m);
		follow_upheaval(m);
		routes_all_changed(m->routes);
		break;
	case RTNL_ROUTES:
		routes_all_changed(m->routes);
		break;
	case RTNL_RULES:
		follow_upheaval(m);
		routes_all_changed(m->routes);
		hold_outdated(m);
		break;
	}
}

static bool flowtable_lost(const struct mirror *m, const struct conn *c)
{
	return mirror_flowtable_of(m, &c->ct, c->dev[0], c->dev[1]) == NULL;
}

// Connections of flowtables that are gone, and if the kernel's were loaded anew, all of those.
static void withdraw_lost(struct mirror *m, bool renewed)
{
	for (uint32_t i = 0; i < m->conns.top; i++) {
		const struct conn *c = &m->conns.slot[i];
		const bool lost = c->used && c->reason == NFO_R_OFFLOADED && flowtable_lost(m, c);

		if (!lost
			&& !(renewed && c->used && c->reason == NFO_R_OFFLOADED
				&& offer_stand_in(m, &c->ct) == NULL))
			continue;
		mirror_withdraw(m, i, lost ? NFO_R_NO_FLOWTABLE : NFO_R_WAITING);
		m->stats.withdrawn++;
	}
}

// A dump under way asks for the marks of before.
void follow_stand_ins(struct mirror *m)
{
	withdraw_lost(m, false);
	follow_upheaval(m);
	m->dump_again = m->dump_again || m->n_filters != 0;
	offer_dump(m);
}

// A flowtable may be gone, or may be another of the same name: its flows leave at once, with no
// need to ask for routes.
void follow_flowtables(void *arg)
{
	struct mirror *m = arg;
	bool renewed;

	if (m->nft == NULL) // called from nft_create()
		return;
	renewed = m->nft_epoch != nft_epoch(m->nft);
	m->nft_epoch = nft_epoch(m->nft);
	withdraw_lost(m, renewed);
	follow_upheaval(m);
	offer_dump(m);
}

static void review_routes(struct mirror *m)
{
	bool versions_changed;
	const uint32_t left = routes_review(m->routes, MIRROR_REVIEW, &versions_changed);

	if (left == 0 && !versions_changed)
		return;
	hold_outdated(m);
	changed(m);
}

static void sweep(struct mirror *m)
{
	unsigned int looks = MIRROR_LOOK, resolves = MIRROR_RESOLVE;

	for (; m->swept < m->conns.top && looks > 0 && resolves > 0; looks--) {
		struct conn *c;

		if (m->sweep >= m->conns.top)
			m->sweep = 0;
		c = &m->conns.slot[m->sweep];
		if (c->used && mirror_follows(c->reason)) {
			if (waits(m, c)) {
				m->sweep_again = true;
			} else if (outdated(m, c)) {
				mirror_resolve(m, m->sweep);
				resolves--;
			} else {
				mirror_release(c);
			}
		}
		m->sweep++;
		m->swept++;
	}
	if (m->swept < m->conns.top)
		return;
	if (m->sweep_again)
		m->swept = 0;
	else
		settled(m);
	m->sweep_again = false;
}

void follow_tick(struct mirror *m)
{
	dp_settle();
	review_routes(m);
	sweep(m);
}
