// SPDX-License-Identifier: GPL-2.0-or-later
// The mirror's world for mirror_test.c: conntrack, nf_tables, rtnetlink and the dataplane as plain
// state 'k' that the test sets and looks at. Include after cmocka.h.
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/rtnetlink.h>

#include "dp_api.h"
#include "hooks.h"
#include "loop.h"
#include "mirror.h"
#include "xfrm.h"

#define S_NS 1000000000ull

enum { FLOWS = 64, LAN = 1, WAN = 2, WAN2 = 3 };

static struct {
	struct loop *loop;
	uint64_t now_ns;
	struct mirror *mirror;
	struct nft_flowtable stand_in;
	// dataplane
	struct nfo_flow flow[FLOWS];
	struct nfo_counters counters[FLOWS];
	uint32_t cookie[FLOWS];
	bool in[FLOWS], held[FLOWS];
	unsigned int replaced, holds;
	bool moves; // replaced entries get another index, as they do
	unsigned int n_flows;
	unsigned int neighs_set;
	int add_error;
	struct dp_event event;
	unsigned int n_events;
	// conntrack
	ct_event_fn ct_event;
	ct_gone_fn ct_gone;
	void *ct_arg;
	unsigned int dumps, checks, liberals;
	unsigned int samples;
	enum dp_sample sample[FLOWS]; // what became of the last one
	bool dumping;
	struct ct_filter filter;
	// the rest
	nft_changed_fn nft_changed;
	uint32_t epoch;
	uint64_t overruns; // of nf_tables' events
	void (*xfrm_changed)(void *arg);
	bool ipsec;
	void (*hooks_changed)(void *arg);
	const char *hooked;
	struct nft_flowtable ft;
	struct nft_flowtables fts;
	char devices[3][NFO_NAME_LEN];
	struct rtnl_link link[4];
	struct rtnl_neigh neigh[4];
	int route_error;
	unsigned int queries;
	struct rtnl_rules rules;
	struct rtnl_facts facts;
	int wan; // the interface towards the server
	unsigned int group[NFO_MAX_PORTS];
} k;

// --- the dataplane ---

int dp_flow_add(const struct nfo_flow *flow, uint32_t sibling, uint32_t cookie, uint32_t *idx)
{
	(void)sibling;
	if (k.add_error != 0)
		return k.add_error;
	for (*idx = 0; k.in[*idx]; (*idx)++)
		assert_true(*idx < FLOWS - 1);
	k.in[*idx] = true;
	k.held[*idx] = false;
	k.flow[*idx] = *flow;
	k.cookie[*idx] = cookie;
	k.counters[*idx] = (struct nfo_counters){0};
	k.n_flows++;
	return 0;
}

int dp_flow_replace(uint32_t *idx, const struct nfo_flow *flow)
{
	const uint32_t old = *idx;

	assert_true(k.in[*idx]);
	while (k.moves && k.in[*idx])
		*idx = (*idx + 1) % FLOWS;
	k.in[old] = false;
	k.in[*idx] = true;
	k.cookie[*idx] = k.cookie[old];
	k.flow[*idx] = *flow;
	k.held[*idx] = false;
	k.replaced++;
	return 0;
}

void dp_flow_del(uint32_t idx)
{
	assert_true(k.in[idx]);
	k.in[idx] = false;
	k.n_flows--;
}

void dp_flow_counters(uint32_t idx, struct nfo_counters *counters)
{
	assert_true(k.in[idx]);
	*counters = k.counters[idx];
}

void dp_flow_hold(uint32_t idx)
{
	assert_true(k.in[idx] && !k.held[idx]);
	k.held[idx] = true;
	k.holds++;
}

void dp_flow_release(uint32_t idx)
{
	assert_true(k.in[idx]);
	k.held[idx] = false;
}

void dp_neigh_set(const struct nfo_via *via, const uint8_t mac[NFO_ETH_ALEN])
{
	k.neighs_set++;
	for (int i = 0; i < FLOWS; i++)
		if (k.in[i] && mac != NULL && memcmp(&k.flow[i].via, via, sizeof(*via)) == 0)
			memcpy(k.flow[i].eth_dst, mac, NFO_ETH_ALEN);
}

void dp_settle(void)
{
}

enum dp_sample dp_flow_sample(uint32_t idx)
{
	assert_true(k.in[idx]);
	k.samples++;
	return k.sample[idx];
}

unsigned int dp_events(struct dp_event *events, unsigned int n)
{
	const unsigned int got = k.n_events;

	assert_true(n >= got);
	if (got != 0)
		events[0] = k.event;
	k.n_events = 0;
	return got;
}

void dp_housekeep(void)
{
}

// --- conntrack ---

struct ct *ct_create(struct loop *loop, size_t rcvbuf_bytes, ct_event_fn fn, void *arg)
{
	(void)loop;
	(void)rcvbuf_bytes;
	k.ct_event = fn;
	k.ct_arg = arg;
	return (void *)&k;
}

void ct_destroy(struct ct *ct)
{
	(void)ct;
}

int ct_dump(struct ct *ct, const struct ct_filter *filter)
{
	(void)ct;
	if (k.dumping)
		return -EBUSY;
	k.filter = *filter;
	k.dumps++;
	k.dumping = true;
	return 0;
}

void ct_on_gone(struct ct *ct, ct_gone_fn fn, void *arg)
{
	(void)ct;
	(void)arg;
	k.ct_gone = fn;
}

int ct_check(struct ct *ct, const struct ct_conn *conn)
{
	(void)ct;
	(void)conn;
	k.checks++;
	return 0;
}

int ct_set_liberal(struct ct *ct, const struct ct_conn *conn)
{
	(void)ct;
	(void)conn;
	assert_int_equal(k.n_flows, 0); // before the first packet misses conntrack
	k.liberals++;
	return 0;
}

int ct_flush(struct ct *ct)
{
	(void)ct;
	return 0;
}

void ct_stats(const struct ct *ct, struct ct_stats *stats)
{
	(void)ct;
	memset(stats, 0, sizeof(*stats));
}

// --- nf_tables and rtnetlink ---

struct nft *nft_create(struct loop *loop, nft_changed_fn changed, void *arg)
{
	(void)loop;
	k.nft_changed = changed;
	changed(arg); // as the real one may
	return (void *)&k;
}

void nft_destroy(struct nft *nft)
{
	(void)nft;
}

const struct nft_flowtables *nft_list(const struct nft *nft)
{
	(void)nft;
	return &k.fts;
}

struct xfrm *xfrm_create(struct loop *loop, void (*changed)(void *arg), void *arg)
{
	(void)loop;
	(void)arg;
	k.xfrm_changed = changed;
	return (void *)&k;
}

void xfrm_destroy(struct xfrm *xfrm)
{
	(void)xfrm;
}

bool xfrm_policies(const struct xfrm *xfrm)
{
	(void)xfrm;
	return k.ipsec;
}

struct hooks *hooks_create(struct loop *loop, void (*changed)(void *arg), void *arg)
{
	(void)loop;
	(void)arg;
	k.hooks_changed = changed;
	return (void *)&k;
}

void hooks_destroy(struct hooks *hooks)
{
	(void)hooks;
}

bool hooks_on(const struct hooks *hooks, const char *ifname)
{
	(void)hooks;
	return k.hooked != NULL && strcmp(k.hooked, ifname) == 0;
}

const char *hooks_text(const struct hooks *hooks, const char *ifname)
{
	return hooks_on(hooks, ifname) ? "qdisc" : NULL;
}

uint32_t nft_epoch(const struct nft *nft)
{
	(void)nft;
	return k.epoch;
}

uint64_t nft_overruns(const struct nft *nft)
{
	(void)nft;
	return k.overruns;
}

uint64_t xfrm_overruns(const struct xfrm *xfrm)
{
	(void)xfrm;
	return k.overruns + 1;
}

uint64_t hooks_overruns(const struct hooks *hooks)
{
	(void)hooks;
	return k.overruns + 2;
}

bool nft_restores_marks(struct nft *nft)
{
	(void)nft;
	return false;
}

const char *nft_unsupported(const struct nft *nft)
{
	(void)nft;
	return NULL;
}

void nft_kick(struct nft *nft)
{
	(void)nft;
}

int rtnl_route_get(struct rtnl *rtnl, const struct rtnl_route_key *key, struct rtnl_route *route)
{
	(void)rtnl;
	k.queries++;
	*route = (struct rtnl_route){
		.type = RTN_UNICAST,
		.gateway = key->dst,
		.oif = key->dst.v4_be == inet_addr("10.0.1.2") ? LAN
		       : key->mark != 0                          ? WAN2
								 : k.wan,
	};
	return k.route_error;
}

const struct rtnl_link *rtnl_link_by_index(const struct rtnl *rtnl, int ifindex)
{
	(void)rtnl;
	return ifindex > 0 && ifindex < 4 ? &k.link[ifindex] : NULL;
}

const struct rtnl_neigh *rtnl_neigh_find(
	const struct rtnl *rtnl, int ifindex, uint8_t family, const union nfo_addr *addr)
{
	(void)rtnl;
	(void)family;
	(void)addr;
	return &k.neigh[ifindex];
}

const struct rtnl_link *rtnl_link_next(const struct rtnl *rtnl, int after)
{
	(void)rtnl;
	return after + 1 < 4 ? &k.link[after + 1] : NULL;
}

const struct rtnl_link *rtnl_link_by_name(const struct rtnl *rtnl, const char *name)
{
	(void)rtnl;
	for (int i = 0; i < 4; i++)
		if (strcmp(k.link[i].name, name) == 0)
			return &k.link[i];
	return NULL;
}

const struct rtnl_rules *rtnl_rules(const struct rtnl *rtnl, uint8_t family)
{
	(void)rtnl;
	(void)family;
	return &k.rules;
}

const struct rtnl_facts *rtnl_facts(const struct rtnl *rtnl, uint8_t family)
{
	(void)rtnl;
	(void)family;
	return &k.facts;
}

int rtnl_route_multipath(struct rtnl *rtnl, const struct rtnl_route_key *key)
{
	(void)rtnl;
	(void)key;
	return 0;
}

int dp_port_group(unsigned int port, unsigned int group)
{
	assert_in_range(port, 0, NFO_MAX_PORTS - 1);
	k.group[port] = group;
	return 0;
}
