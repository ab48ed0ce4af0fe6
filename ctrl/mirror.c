// SPDX-License-Identifier: GPL-2.0-or-later
#include "mirror.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netfilter/nf_conntrack_common.h>

#include "dp_api.h"
#include "log.h"
#include "mirror_priv.h"

#define MS_NS 1000000ull

enum {
	CT_RCVBUF_BYTES = 32 << 20,
	LOST_PAUSE_MS = 250, // between dumps while messages are being lost
	SPARE_ANSWERS = 4096, // of routes, beyond two for each connection
};

void mirror_counters(const struct conn *c, struct nfo_counters counters[2])
{
	for (int d = 0; d < 2; d++) {
		struct nfo_counters now = {0};

		if (c->reason == NFO_R_OFFLOADED)
			dp_flow_counters(c->idx[d], &now);
		counters[d].packets = c->done[d].packets + now.packets;
		counters[d].bytes = c->done[d].bytes + now.bytes;
		counters[d].used_ns = now.used_ns != 0 ? now.used_ns : c->done[d].used_ns;
	}
}

uint64_t mirror_used_ns(const struct conn *c, const struct nfo_counters counters[2])
{
	uint64_t used_ns = c->since_ns;

	for (int d = 0; d < 2; d++)
		if (counters[d].used_ns > used_ns)
			used_ns = counters[d].used_ns;
	return used_ns;
}

static void set_reason(struct mirror *m, struct conn *c, enum nfo_reason reason)
{
	if (c->reason == reason)
		return;
	m->stats.by_reason[c->reason]--;
	m->stats.by_reason[reason]++;
	c->reason = (uint8_t)reason;
	c->since_ns = loop_now_ns(m->loop);
}

bool mirror_follows(enum nfo_reason reason)
{
	return reason == NFO_R_OFFLOADED || reason == NFO_R_NO_NEIGHBOUR;
}

// Depends on these answers, and no others, from now on.
static void set_answers(struct mirror *m, struct conn *c, const uint32_t answer[2])
{
	for (int d = 0; d < 2; d++) {
		routes_ref(m->routes, answer[d]);
		routes_unref(m->routes, c->answer[d]);
		c->answer[d] = answer[d];
	}
}

uint32_t mirror_versions(const struct mirror *m, const struct conn *c)
{
	return routes_version(m->routes, c->answer[0]) + routes_version(m->routes, c->answer[1]);
}

// Only a neighbour that is known again brings a connection back by itself. Otherwise the kernel has
// to offer it anew: its flowtable has let go of the connection too, and would ask the rules again.
static bool needs_offer(enum nfo_reason reason)
{
	return reason != NFO_R_NO_NEIGHBOUR;
}

void mirror_withdraw(struct mirror *m, uint32_t slot, enum nfo_reason reason)
{
	static const uint32_t none[2] = {ROUTES_NONE, ROUTES_NONE};
	struct conn *c = &m->conns.slot[slot];

	if (!mirror_follows(reason))
		set_answers(m, c, none);
	c->held = false;
	if (c->reason == NFO_R_OFFLOADED) {
		mirror_counters(c, c->done);
		dp_flow_del(c->idx[0]);
		dp_flow_del(c->idx[1]);
		c->hold_ns = needs_offer(reason) ? loop_now_ns(m->loop) : 0;
		c->round = m->round; // shows its reason for some seconds at least
	}
	set_reason(m, c, reason);
}

void mirror_forget(struct mirror *m, uint32_t slot)
{
	mirror_withdraw(m, slot, NFO_R_NEW);
	m->stats.by_reason[NFO_R_NEW]--;
	m->stats.connections--;
	conns_del(&m->conns, slot);
}

static enum nfo_reason install_error(int error)
{
	return error == -EEXIST ? NFO_R_DUPLICATE : NFO_R_TABLE_FULL;
}

// Where no flowtable of the kernel has made conntrack take segments beyond the windows that it saw,
// it must do so before it misses the first.
static void make_liberal(struct mirror *m, struct conn *c)
{
	if (c->ct.orig.proto != NFO_TCP || c->liberal || (c->ct.status & IPS_OFFLOAD))
		return;
	c->liberal = ct_set_liberal(m->ct, &c->ct) == 0 && ct_flush(m->ct) == 0;
}

// Both directions or none.
static enum nfo_reason install(struct mirror *m, uint32_t slot, const struct nfo_flow dir[2])
{
	struct conn *c = &m->conns.slot[slot];
	int ret;

	make_liberal(m, c);
	ret = dp_flow_add(&dir[0], DP_FLOW_NONE, slot, &c->idx[0]);
	if (ret < 0)
		return install_error(ret);
	ret = dp_flow_add(&dir[1], c->idx[0], slot, &c->idx[1]);
	if (ret < 0) {
		dp_flow_del(c->idx[0]);
		return install_error(ret);
	}
	audit_begin(m, c);
	c->hold_ns = 0;
	m->stats.installed++;
	return NFO_R_OFFLOADED;
}

// The neighbour's MAC address is the dataplane's, which was told by dp_neigh_set().
static bool same_flow(const struct nfo_flow *a, const struct nfo_flow *b)
{
	struct nfo_flow other = *b;

	memcpy(other.eth_dst, a->eth_dst, sizeof(other.eth_dst));
	return memcmp(a, &other, sizeof(other)) == 0;
}

// The rewrite changed under an installed connection.
static enum nfo_reason update(struct mirror *m, struct conn *c, const struct nfo_flow dir[2])
{
	int ret = 0;

	for (int d = 0; d < 2 && ret == 0; d++)
		if (!same_flow(&dir[d], &c->dir[d]))
			ret = dp_flow_replace(&c->idx[d], &dir[d]);
	if (ret < 0)
		return install_error(ret);
	m->stats.replaced++;
	return NFO_R_OFFLOADED;
}

static bool same_ingress(const struct nfo_flow *a, const struct nfo_flow *b)
{
	return a->in_port == b->in_port && memcmp(a->in_vlan, b->in_vlan, sizeof(a->in_vlan)) == 0;
}

static enum nfo_reason apply_path(struct mirror *m, uint32_t slot, const struct resolved *path)
{
	struct conn *c = &m->conns.slot[slot];

	if (c->reason != NFO_R_OFFLOADED)
		return install(m, slot, path->dir);
	if (same_flow(&c->dir[0], &path->dir[0]) && same_flow(&c->dir[1], &path->dir[1]))
		return NFO_R_OFFLOADED;
	if (!same_ingress(&c->dir[0], &path->dir[0])
		|| !same_ingress(&c->dir[1], &path->dir[1]))
		return NFO_R_WAITING;
	return update(m, c, path->dir);
}

// By other interfaces other rules may apply: the kernel has to accept it again.
static bool moved(const struct conn *c, const struct resolved *path)
{
	return mirror_follows(c->reason) && c->dev[0] != 0 && path->dev[0] != 0
	       && memcmp(c->dev, path->dev, sizeof(c->dev)) != 0;
}

void mirror_release(struct conn *c)
{
	if (!c->held)
		return;
	dp_flow_release(c->idx[0]);
	dp_flow_release(c->idx[1]);
	c->held = false;
}

void mirror_resolve(struct mirror *m, uint32_t slot)
{
	struct conn *c = &m->conns.slot[slot];
	const bool was_in = c->reason == NFO_R_OFFLOADED;
	struct resolved path;
	enum nfo_reason reason;

	c->generation = m->generation;
	c->upheaval = m->upheaval;
	reason = resolve(&m->view, &c->ct, &path);
	set_answers(m, c, path.answer);
	c->versions = mirror_versions(m, c);
	if (moved(c, &path)) {
		reason = NFO_R_WAITING;
		c->hold_ns = loop_now_ns(m->loop);
	}
	if (path.dev[0] != 0)
		memcpy(c->dev, path.dev, sizeof(c->dev));
	if (reason == NFO_R_OFFLOADED) {
		reason = apply_path(m, slot, &path);
		memcpy(c->dir, path.dir, sizeof(c->dir));
		c->has_path = true;
	}
	if (reason == NFO_R_OFFLOADED) {
		set_reason(m, c, reason);
		mirror_release(c);
		return;
	}
	if (was_in)
		m->stats.withdrawn++;
	mirror_withdraw(m, slot, reason);
}

// --- life ---

static void closing(struct mirror *m, uint32_t slot)
{
	// an event may be older than the slot's present use: closing a live connection costs speed
	// only, until the next dump
	if (slot >= m->conns.top || !m->conns.slot[slot].used
		|| m->conns.slot[slot].reason != NFO_R_OFFLOADED)
		return;
	mirror_withdraw(m, slot, NFO_R_CLOSING);
	m->stats.closed++;
}

static void take_events(struct mirror *m)
{
	struct dp_event event[64];
	unsigned int n;

	do {
		n = dp_events(event, 64);
		for (unsigned int i = 0; i < n; i++)
			if (event[i].kind == DP_EVENT_AUDIT)
				audit_event(m, &event[i]);
			else
				closing(m, event[i].cookie);
	} while (n == 64);
}

static void tick(void *arg)
{
	struct mirror *m = arg;

	take_events(m);
	follow_tick(m);
	audit_tick(m);
	if (m->dump_again && loop_now_ns(m->loop) > m->round_start_ns + LOST_PAUSE_MS * MS_NS)
		offer_dump(m);
	if (m->ct != NULL)
		ct_flush(m->ct);
	if (++m->ticks % MIRROR_TICKS_HOUSEKEEP == 0)
		dp_housekeep();
}

// IPsec policies, or hooks on devices.
static void obstacles_changed(void *arg)
{
	follow_upheaval(arg);
}

static int start_sources(struct mirror *m)
{
	if (m->conf.no_sources)
		return 0;
	m->xfrm = xfrm_create(m->loop, obstacles_changed, m);
	if (m->xfrm == NULL)
		log_warning("mirror", "cannot follow IPsec policies: %s; nothing will be offloaded",
			strerror(errno));
	m->hooks = hooks_create(m->loop, obstacles_changed, m);
	if (m->hooks == NULL)
		log_warning("mirror", "cannot follow hooks on devices: %s; nothing will be offloaded",
			strerror(errno));
	m->nft = nft_create(m->loop, follow_flowtables, m);
	if (m->nft == NULL)
		log_warning("mirror", "cannot follow nf_tables: %s", strerror(errno));
	m->ct = ct_create(m->loop, CT_RCVBUF_BYTES, offer_event, m);
	if (m->ct == NULL) {
		log_warning("mirror", "cannot follow conntrack: %s; nothing will be offloaded",
			strerror(errno));
		return 0;
	}
	ct_on_gone(m->ct, offer_gone, m);
	m->dump = loop_timer_add(m->loop, m->conf.dump_interval_ms * MS_NS, offer_dump_timed, m);
	m->scan = loop_timer_add(m->loop, REFRESH_STEP_MS * MS_NS, refresh_scan, m);
	return m->dump != NULL && m->scan != NULL ? 0 : -ENOMEM;
}

struct mirror *mirror_create(struct loop *loop, struct rtnl *rtnl, const struct mirror_conf *conf)
{
	struct mirror *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	m->conf = *conf;
	m->loop = loop;
	m->rtnl = rtnl;
	m->generation = 1;
	m->round = FIRST_ROUND;
	mirror_view_init(m);
	mirror_sync_groups(m);
	m->routes = routes_create(rtnl, 2 * conf->max_connections + SPARE_ANSWERS);
	if (m->routes == NULL || conns_init(&m->conns, conf->max_connections) < 0)
		goto fail;
	refresh_read_sysctls(m);
	m->tick = loop_timer_add(loop, MIRROR_TICK_MS * MS_NS, tick, m);
	if (m->tick == NULL || start_sources(m) < 0)
		goto fail;
	offer_dump(m);
	return m;
fail:
	mirror_destroy(m);
	errno = ENOMEM;
	return NULL;
}

void mirror_configure(struct mirror *m, const struct mirror_conf *conf, bool other_stand_ins)
{
	if (m->dump != NULL && conf->dump_interval_ms != m->conf.dump_interval_ms)
		loop_timer_set_period(m->dump, conf->dump_interval_ms * MS_NS);
	m->conf = *conf;
	refresh_read_sysctls(m);
	if (other_stand_ins)
		follow_stand_ins(m);
}

void mirror_destroy(struct mirror *m)
{
	if (m == NULL)
		return;
	for (uint32_t i = 0; i < m->conns.top; i++)
		if (m->conns.slot[i].used)
			mirror_forget(m, i);
	loop_timer_del(m->tick);
	loop_timer_del(m->dump);
	loop_timer_del(m->scan);
	ct_destroy(m->ct);
	nft_destroy(m->nft);
	hooks_destroy(m->hooks);
	xfrm_destroy(m->xfrm);
	conns_fini(&m->conns);
	routes_destroy(m->routes);
	free(m);
}
