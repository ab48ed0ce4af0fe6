// SPDX-License-Identifier: GPL-2.0-or-later
#include "resolve.h"

#include <string.h>

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/rtnetlink.h>

enum { MAX_CANDIDATES = 64 }; // ingress interfaces to try, where routes depend on it

// The routes of both directions; [0] is the original one. Each one's egress is the other's ingress.
struct route_pair {
	struct rtnl_route dir[2];
	uint32_t mark; // that they were asked with
};

static bool is_nat(const struct ct_conn *c)
{
	return memcmp(&c->orig.src, &c->reply.dst, sizeof(c->orig.src)) != 0
	       || memcmp(&c->orig.dst, &c->reply.src, sizeof(c->orig.dst)) != 0
	       || c->orig.sport_be != c->reply.dport_be || c->orig.dport_be != c->reply.sport_be;
}

// Kernels before 5.18 put a connection into the flowtable at its SYN/ACK; conntrack then never sees
// it established.
static bool tcp_admissible(const struct ct_conn *conn)
{
	if (conn->tcp_state == CT_TCP_STATE_ABSENT || conn->tcp_state == TCP_CONNTRACK_ESTABLISHED)
		return true;
	return (conn->status & IPS_OFFLOAD) && conn->tcp_state == TCP_CONNTRACK_SYN_RECV;
}

// Conntrack has keys of GRE version 1 (PPTP) where ports are.
static bool gre_admissible(const struct ct_conn *c)
{
	return !is_nat(c) && c->orig.sport_be == 0 && c->orig.dport_be == 0;
}

enum nfo_reason resolve_admissible(const struct ct_conn *conn)
{
	const uint8_t proto = conn->orig.proto;

	if (proto == NFO_GRE ? !gre_admissible(conn) : proto != NFO_TCP && proto != NFO_UDP)
		return NFO_R_PROTOCOL;
	if (proto == NFO_TCP && !tcp_admissible(conn))
		return NFO_R_NOT_ESTABLISHED;
	if (conn->has_helper)
		return NFO_R_HELPER;
	if (conn->status & IPS_SEQ_ADJUST)
		return NFO_R_SEQ_ADJUST;
	if (conn->status & IPS_UNTRACKED) // the bit is IPS_NAT_CLASH outside the kernel
		return NFO_R_NAT_CLASH;
	return NFO_R_OFFLOADED;
}

// As a packet of direction 'd' that entered by 'iif' asks for its route: after DNAT, before SNAT.
static struct rtnl_route_key route_key(const struct ct_conn *c, int d, int iif, uint32_t mark)
{
	const struct nfo_tuple *from = d == 0 ? &c->orig : &c->reply;
	const struct nfo_tuple *to = d == 0 ? &c->reply : &c->orig;

	return (struct rtnl_route_key){
		.src = from->src,
		.dst = to->src,
		.sport_be = from->sport_be,
		.dport_be = to->sport_be,
		.family = from->family,
		.proto = from->proto,
		.iif = iif,
		.mark = mark,
	};
}

static bool ask_route(const struct resolve_view *v, const struct ct_conn *c, int d, int iif,
	uint32_t mark, struct rtnl_route *route)
{
	const struct rtnl_route_key key = route_key(c, d, iif, mark);

	return v->route(v->arg, &key, route) == 0;
}

// Conntrack does not tell the interfaces. As nft_flow_route() does, each direction's ingress is
// taken to be the other's egress. True if packets that come in by 'in' find routes that confirm it.
static bool confirmed(const struct resolve_view *v, const struct ct_conn *c, int in, uint32_t mark,
	struct route_pair *r)
{
	return ask_route(v, c, 0, in, mark, &r->dir[0]) && r->dir[0].type == RTN_UNICAST
	       && ask_route(v, c, 1, r->dir[0].oif, mark, &r->dir[1])
	       && r->dir[1].type == RTN_UNICAST && r->dir[1].oif == in;
}

// Starts with the route back to the originator.
static enum nfo_reason find_plain(
	const struct resolve_view *v, const struct ct_conn *c, uint32_t mark, struct route_pair *r)
{
	int in;

	if (!ask_route(v, c, 1, 0, mark, &r->dir[1]))
		return NFO_R_NO_ROUTE;
	in = r->dir[1].oif;
	if (confirmed(v, c, in, mark, r))
		return NFO_R_OFFLOADED;
	if (r->dir[0].type != RTN_UNICAST || r->dir[1].type != RTN_UNICAST)
		return NFO_R_NO_ROUTE;
	if (r->dir[1].oif != in && confirmed(v, c, r->dir[1].oif, mark, r))
		return NFO_R_OFFLOADED;
	return NFO_R_ASYMMETRIC;
}

// Where routes depend on the ingress (a VRF, a rule), every interface of a flowtable may be it; just
// one of them must fit.
static enum nfo_reason find_among_all(
	const struct resolve_view *v, const struct ct_conn *c, uint32_t mark, struct route_pair *r)
{
	const struct path_view *pv = &v->path;
	struct route_pair try;
	int tried = 0, found = 0;

	for (const struct rtnl_link *l = pv->next_link(pv->arg, 0); l != NULL;
		l = pv->next_link(pv->arg, l->ifindex)) {
		if (!l->up || !v->flowtable(v->arg, c, l->ifindex, l->ifindex))
			continue;
		if (tried++ == MAX_CANDIDATES)
			return NFO_R_AMBIGUOUS;
		memset(&try, 0, sizeof(try));
		try.mark = mark;
		if (!confirmed(v, c, l->ifindex, mark, &try))
			continue;
		if (found++ != 0)
			return NFO_R_AMBIGUOUS;
		*r = try;
	}
	return found != 0 ? NFO_R_OFFLOADED : NFO_R_NO_ROUTE;
}

static enum nfo_reason find_routes(
	const struct resolve_view *v, const struct ct_conn *c, uint32_t mark, struct route_pair *r)
{
	memset(r, 0, sizeof(*r));
	r->mark = mark;
	return v->rules(v->arg, c->orig.family)->iif ? find_among_all(v, c, mark, r)
						     : find_plain(v, c, mark, r);
}

// Rules look at the packets' mark, of which conntrack may know nothing. If no mark of a rule leads
// elsewhere, it does not matter.
static enum nfo_reason any_mark(const struct resolve_view *v, const struct ct_conn *c,
	const struct rtnl_rules *rules, struct route_pair *r)
{
	enum nfo_reason reason = find_routes(v, c, 0, r);

	for (unsigned int i = 0; i < rules->n_marks && reason == NFO_R_OFFLOADED; i++) {
		struct route_pair other;

		if (find_routes(v, c, rules->mark[i], &other) != NFO_R_OFFLOADED
			|| !rtnl_route_same(&r->dir[0], &other.dir[0])
			|| !rtnl_route_same(&r->dir[1], &other.dir[1]))
			reason = NFO_R_POLICY_RULE;
	}
	return reason;
}

// A connection's mark is its packets' one where the ruleset gives it back to them, 0 included. It is
// taken for that too when an ip rule selects it: what else would it be there for?
static bool mark_is_known(const struct resolve_view *v, const struct ct_conn *c,
	const struct rtnl_rules *rules)
{
	for (unsigned int i = 0; i < rules->n_marks; i++)
		if ((c->mark & rules->mask[i]) == (rules->mark[i] & rules->mask[i]))
			return true;
	return v->marks_restored(v->arg);
}

static enum nfo_reason find_by_rules(
	const struct resolve_view *v, const struct ct_conn *c, struct route_pair *r)
{
	const struct rtnl_rules *rules = v->rules(v->arg, c->orig.family);

	if (rules->other)
		return NFO_R_POLICY_RULE;
	if (rules->n_marks == 0)
		return find_routes(v, c, 0, r);
	return mark_is_known(v, c, rules) ? find_routes(v, c, c->mark, r)
					  : any_mark(v, c, rules, r);
}

enum nfo_reason resolve_routes(
	const struct resolve_view *v, const struct ct_conn *conn, struct rtnl_route dir[2])
{
	struct route_pair routes = {0};
	const enum nfo_reason reason = find_by_rules(v, conn, &routes);

	memcpy(dir, routes.dir, sizeof(routes.dir));
	return reason;
}

// Does conntrack tell too little to know which of several next hops packets take?
static enum nfo_reason check_multipath(
	const struct resolve_view *v, const struct ct_conn *c, const struct route_pair *r)
{
	for (int d = 0; d < 2; d++) {
		const struct rtnl_route_key key = route_key(c, d, r->dir[1 - d].oif, r->mark);

		if (v->multipath(v->arg, &key) != 0)
			return NFO_R_AMBIGUOUS;
	}
	return NFO_R_OFFLOADED;
}

// out[d] is where direction d leaves, and the other one enters.
static enum nfo_reason find_paths(const struct resolve_view *v, const struct ct_conn *c,
	const struct route_pair *r, struct path out[2])
{
	enum nfo_reason reason = NFO_R_OFFLOADED;

	for (int d = 0; d < 2 && reason == NFO_R_OFFLOADED; d++) {
		reason = path_find(&v->path, r->dir[d].oif, &out[d]);
		if (reason == NFO_R_OFFLOADED && r->dir[d].encap)
			reason = NFO_R_ROUTE_ENCAP;
	}
	if (reason == NFO_R_OFFLOADED
		&& !v->flowtable(v->arg, c, r->dir[1].oif, r->dir[0].oif))
		reason = NFO_R_NO_FLOWTABLE;
	return reason;
}

// The least of what bounds it: ip_dst_mtu_maybe_forward(), ip6_dst_mtu_maybe_forward().
static uint16_t path_mtu(
	const struct rtnl_route *route, const struct rtnl_link *dev, uint8_t family)
{
	uint32_t mtu = dev->mtu < UINT16_MAX ? dev->mtu : UINT16_MAX;

	if (family == NFO_IPV6 && dev->mtu6 != 0 && dev->mtu6 < mtu)
		mtu = dev->mtu6;
	if (route->mtu != 0 && route->mtu < mtu)
		mtu = route->mtu;
	return (uint16_t)mtu;
}

// By addresses and ports of the flow, for a bond that balances.
static uint32_t spread_hash(const struct nfo_tuple *t)
{
	uint32_t h = t->sport_be ^ t->dport_be, word;

	for (unsigned int i = 0; i < sizeof(t->src); i += sizeof(word)) {
		memcpy(&word, t->src.bytes + i, sizeof(word));
		h ^= word;
		memcpy(&word, t->dst.bytes + i, sizeof(word));
		h ^= word;
	}
	h ^= h >> 16;
	return (h ^ h >> 8) & 0xff;
}

const struct rtnl_neigh *resolve_next_hop(const struct resolve_view *v, const struct ct_conn *c,
	int d, const struct rtnl_route *route)
{
	const uint8_t family = d == 0 ? c->reply.family : c->orig.family;

	return v->neigh(v->arg, route->oif,
		route->gateway_family != 0 ? route->gateway_family : family, &route->gateway);
}

static enum nfo_reason fill_flow(const struct resolve_view *v, const struct ct_conn *c,
	const struct route_pair *r, const struct path out[2], int d, struct nfo_flow *flow)
{
	const struct nfo_tuple *other = d == 0 ? &c->reply : &c->orig;
	const struct rtnl_route *route = &r->dir[d];
	const struct rtnl_neigh *neigh = resolve_next_hop(v, c, d, route);
	int out_port;

	if (neigh == NULL || !neigh->valid)
		return NFO_R_NO_NEIGHBOUR;
	memset(flow, 0, sizeof(*flow)); // flows are compared as bytes
	flow->match = d == 0 ? c->orig : c->reply;
	flow->out = nfo_tuple_swapped(other);
	flow->in_port = out[1 - d].in_port;
	memcpy(flow->in_vlan, out[1 - d].vlan, sizeof(flow->in_vlan));
	out_port = path_out_port(&v->path, &out[d], spread_hash(&flow->out));
	if (out_port < 0)
		return NFO_R_NOT_PORT;
	flow->out_port = (uint16_t)out_port;
	memcpy(flow->out_vlan, out[d].vlan, sizeof(flow->out_vlan));
	flow->mtu = path_mtu(route, out[d].dev, other->family);
	memcpy(flow->eth_dst, neigh->mac, NFO_ETH_ALEN);
	memcpy(flow->eth_src, out[d].dev->mac, NFO_ETH_ALEN);
	flow->via.addr = route->gateway;
	flow->via.dev = (uint32_t)route->oif;
	flow->via.family = neigh->family;
	return NFO_R_OFFLOADED;
}

enum nfo_reason resolve(
	const struct resolve_view *v, const struct ct_conn *conn, struct resolved *out)
{
	enum nfo_reason reason = resolve_admissible(conn);
	struct path paths[2];
	struct route_pair routes;

	memset(out->dev, 0, sizeof(out->dev));
	memset(out->answer, 0, sizeof(out->answer));
	if (reason == NFO_R_OFFLOADED && v->ipsec(v->arg))
		reason = NFO_R_IPSEC;
	if (reason == NFO_R_OFFLOADED)
		reason = find_by_rules(v, conn, &routes);
	if (reason != NFO_R_OFFLOADED)
		return reason;
	for (int d = 0; d < 2; d++) {
		out->dev[1 - d] = routes.dir[d].oif;
		out->answer[d] = routes.dir[d].answer;
	}
	reason = find_paths(v, conn, &routes, paths);
	if (reason == NFO_R_OFFLOADED)
		reason = check_multipath(v, conn, &routes);
	for (int d = 0; d < 2 && reason == NFO_R_OFFLOADED; d++)
		reason = fill_flow(v, conn, &routes, paths, d, &out->dir[d]);
	return reason;
}
