// SPDX-License-Identifier: GPL-2.0-or-later
#include "resolve.h"

#include <string.h>

#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/rtnetlink.h>

// The interfaces and routes of both directions; [0] is the original one.
struct path {
	const struct rtnl_link *in[2], *out[2];
	struct rtnl_route route[2];
};

// Kernels before 5.18 put a connection into the flowtable at its SYN/ACK; conntrack then never sees
// it established.
static bool tcp_admissible(const struct ct_conn *conn)
{
	if (conn->tcp_state == CT_TCP_STATE_ABSENT || conn->tcp_state == TCP_CONNTRACK_ESTABLISHED)
		return true;
	return (conn->status & IPS_OFFLOAD) && conn->tcp_state == TCP_CONNTRACK_SYN_RECV;
}

enum nfo_reason resolve_admissible(const struct ct_conn *conn)
{
	if (conn->orig.family != NFO_IPV4)
		return NFO_R_PROTOCOL;
	if (conn->orig.proto != NFO_TCP && conn->orig.proto != NFO_UDP)
		return NFO_R_PROTOCOL;
	if (conn->orig.proto == NFO_TCP && !tcp_admissible(conn))
		return NFO_R_NOT_ESTABLISHED;
	if (conn->has_helper)
		return NFO_R_HELPER;
	if (conn->status & IPS_SEQ_ADJUST)
		return NFO_R_SEQ_ADJUST;
	if (conn->status & IPS_UNTRACKED) // the bit is IPS_NAT_CLASH outside the kernel
		return NFO_R_NAT_CLASH;
	return NFO_R_OFFLOADED;
}

// A route as a packet of direction 'd' that entered by 'iif' meets it: after DNAT, before SNAT.
static int ask_route(const struct resolve_view *v, const struct ct_conn *c, int d, int iif,
	struct rtnl_route *route)
{
	const struct nfo_tuple *from = d == 0 ? &c->orig : &c->reply;
	const struct nfo_tuple *to = d == 0 ? &c->reply : &c->orig;
	const struct rtnl_route_key key = {
		.src = from->src,
		.dst = to->src,
		.sport_be = from->sport_be,
		.dport_be = to->sport_be,
		.family = from->family,
		.proto = from->proto,
		.iif = iif,
	};

	return v->route(v->arg, &key, route);
}

// Conntrack does not tell the interfaces. As nft_flow_route() does, each direction's ingress is
// taken to be the other's egress: start with the route back to the originator, and accept a pair
// that confirms itself.
static enum nfo_reason find_routes(
	const struct resolve_view *v, const struct ct_conn *c, struct path *p)
{
	int in;

	if (ask_route(v, c, 1, 0, &p->route[1]) != 0)
		return NFO_R_NO_ROUTE;
	for (int try = 0; try < 2; try++) {
		in = p->route[1].oif;
		if (ask_route(v, c, 0, in, &p->route[0]) != 0 || p->route[0].type != RTN_UNICAST
			|| ask_route(v, c, 1, p->route[0].oif, &p->route[1]) != 0
			|| p->route[1].type != RTN_UNICAST)
			return NFO_R_NO_ROUTE;
		if (p->route[1].oif == in)
			return NFO_R_OFFLOADED;
	}
	return NFO_R_ASYMMETRIC;
}

static enum nfo_reason check_link(const struct resolve_view *v, const struct rtnl_link *link)
{
	if (link == NULL || v->port(v->arg, link->name) < 0)
		return NFO_R_NOT_PORT;
	if (link->master != 0)
		return NFO_R_ENSLAVED;
	return link->up && link->carrier ? NFO_R_OFFLOADED : NFO_R_LINK_DOWN;
}

static enum nfo_reason find_links(
	const struct resolve_view *v, const struct ct_conn *c, struct path *p)
{
	enum nfo_reason reason;

	for (int d = 0; d < 2; d++) {
		p->out[d] = p->in[1 - d] = v->link(v->arg, p->route[d].oif);
		reason = check_link(v, p->out[d]);
		if (reason != NFO_R_OFFLOADED)
			return reason;
	}
	return v->flowtable(v->arg, c, p->in[0]->name, p->out[0]->name) ? NFO_R_OFFLOADED
									: NFO_R_NO_FLOWTABLE;
}

static struct nfo_tuple swapped(const struct nfo_tuple *t)
{
	return (struct nfo_tuple){
		.src = t->dst,
		.dst = t->src,
		.sport_be = t->dport_be,
		.dport_be = t->sport_be,
		.family = t->family,
		.proto = t->proto,
	};
}

static enum nfo_reason fill_flow(const struct resolve_view *v, const struct ct_conn *c,
	const struct path *p, int d, struct nfo_flow *flow)
{
	const struct nfo_tuple *other = d == 0 ? &c->reply : &c->orig;
	const struct rtnl_route *route = &p->route[d];
	const struct rtnl_link *out = p->out[d];
	const struct rtnl_neigh *neigh = v->neigh(v->arg, route->oif,
		route->gateway_family != 0 ? route->gateway_family : other->family,
		&route->gateway);
	uint32_t mtu = out->mtu;

	if (neigh == NULL || !neigh->valid)
		return NFO_R_NO_NEIGHBOUR;
	if (route->mtu != 0 && route->mtu < mtu)
		mtu = route->mtu;
	memset(flow, 0, sizeof(*flow)); // flows are compared as bytes
	flow->match = d == 0 ? c->orig : c->reply;
	flow->out = swapped(other);
	flow->in_port = (uint16_t)v->port(v->arg, p->in[d]->name);
	flow->out_port = (uint16_t)v->port(v->arg, out->name);
	flow->mtu = (uint16_t)(mtu < UINT16_MAX ? mtu : UINT16_MAX);
	memcpy(flow->eth_dst, neigh->mac, NFO_ETH_ALEN);
	memcpy(flow->eth_src, out->mac, NFO_ETH_ALEN);
	return NFO_R_OFFLOADED;
}

enum nfo_reason resolve(
	const struct resolve_view *v, const struct ct_conn *conn, struct nfo_flow dir[2])
{
	enum nfo_reason reason = resolve_admissible(conn);
	struct path path;

	if (reason == NFO_R_OFFLOADED && v->ipsec(v->arg))
		reason = NFO_R_IPSEC;
	if (reason == NFO_R_OFFLOADED && v->policy_rules(v->arg, conn->orig.family))
		reason = NFO_R_POLICY_RULE;
	if (reason == NFO_R_OFFLOADED)
		reason = find_routes(v, conn, &path);
	if (reason == NFO_R_OFFLOADED)
		reason = find_links(v, conn, &path);
	for (int d = 0; d < 2 && reason == NFO_R_OFFLOADED; d++)
		reason = fill_flow(v, conn, &path, d, &dir[d]);
	return reason;
}
