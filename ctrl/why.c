// SPDX-License-Identifier: GPL-2.0-or-later
#include "why.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/rtnetlink.h>

#include "text.h"

// A connection while it is explained.
struct ask {
	const struct why_view *v;
	const struct ct_conn *conn;
	struct rtnl_route route[2]; // 'oif' is 0 where there is none
	struct why *why;
};

// What to do, by reason; no entry: nothing, or the step says it.
static const char *const advice[NFO_N_REASONS] = {
	[NFO_R_NEW] = "Ask again in a second.",
	[NFO_R_UNTRACKED] =
		"Compare with 'conntrack -L': no packet of it has come within its timeout, "
		"it is in another zone, a rule says 'notrack', or none needs conntrack.",
	[NFO_R_NOT_ESTABLISHED] = "It is taken up once packets have gone both ways.",
	[NFO_R_HELPER] = "Without the helper ('ct helper set', nf_conntrack_helper) it could be.",
	[NFO_R_NO_FLOWTABLE] = "List both interfaces in 'devices' of one flowtable.",
	[NFO_R_NO_ROUTE] = "Compare with 'ip route get DESTINATION from SOURCE iif INTERFACE'.",
	[NFO_R_POLICY_RULE] =
		"See 'ip rule': rules by TOS or by packet marks that conntrack does not "
		"have keep connections with the kernel.",
	[NFO_R_IPSEC] = "See 'ip xfrm policy': without policies that forward it could be.",
	[NFO_R_ASYMMETRIC] = "Make replies leave by the interface that the connection comes in by.",
	[NFO_R_NOT_PORT] = "Only paths between ports of config.ini are forwarded by the workers.",
	[NFO_R_BRIDGE] = "Give the addresses to the twin itself, without a bridge.",
	[NFO_R_PPPOE] = "The workers do not do PPPoE; the kernel does.",
	[NFO_R_BOND_MODE] = "Use the mode active-backup, balance-xor or 802.3ad.",
	[NFO_R_ENSLAVED] = "Take the twin out of that interface.",
	[NFO_R_VLAN_QOS] = "Remove the VLAN's egress-qos-map.",
	[NFO_R_NETDEV_HOOK] = "Remove what looks at the packets, or leave them to the kernel.",
	[NFO_R_LINK_DOWN] = "Look at 'ip link' and at the cable.",
	[NFO_R_NO_NEIGHBOUR] = "Look at 'ip neigh': the next hop does not answer.",
	[NFO_R_TABLE_FULL] = "Raise max-connections in config.ini.",
	[NFO_R_DUPLICATE] = "It may be once the other one has ended.",
};

const char *why_answer_word(enum why_answer answer)
{
	static const char *const words[] = {"yes", "no", "unknown"};

	return words[answer];
}

static void __attribute__((format(printf, 5, 6))) say(struct why *why, const char *name,
	enum why_answer answer, enum nfo_reason reason, const char *fmt, ...)
{
	struct why_step *step = &why->step[why->n];
	va_list args;

	if (why->n == WHY_STEPS)
		return;
	why->n++;
	step->name = name;
	step->answer = answer;
	step->reason = answer == WHY_NO ? reason : NFO_R_OFFLOADED;
	va_start(args, fmt);
	vsnprintf(step->text, sizeof(step->text), fmt, args);
	va_end(args);
}

#define say_yes(why, name, ...) say(why, name, WHY_YES, NFO_R_OFFLOADED, __VA_ARGS__)
#define say_no(why, name, reason, ...) say(why, name, WHY_NO, reason, __VA_ARGS__)

static const struct why_step *find_no(const struct why *why, enum nfo_reason reason)
{
	for (unsigned int i = 0; i < why->n; i++)
		if (why->step[i].answer == WHY_NO && why->step[i].reason == reason)
			return &why->step[i];
	return NULL;
}

// --- what conntrack says ---

static const char *tcp_state(uint8_t state)
{
	static const char *const words[] = {"NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED",
		"FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE", "SYN_SENT2"};

	return state < sizeof(words) / sizeof(words[0]) ? words[state] : "unknown";
}

static void ask_conntrack(struct ask *a)
{
	const struct ct_conn *c = a->conn;
	const char *replied = c->status & IPS_ASSURED      ? "assured"
			      : c->status & IPS_SEEN_REPLY ? "answered"
							   : "not answered yet";

	say_yes(a->why, "tracked", "conntrack has it: %s, mark 0x%x, zone %u", replied, c->mark,
		c->zone);
	if (resolve_admissible(c) == NFO_R_NOT_ESTABLISHED)
		say_no(a->why, "established", NFO_R_NOT_ESTABLISHED, "its TCP state is %s",
			tcp_state(c->tcp_state));
	else if (c->orig.proto == NFO_TCP && c->tcp_state == CT_TCP_STATE_ABSENT)
		say(a->why, "established", WHY_UNKNOWN, NFO_R_OFFLOADED,
			"conntrack does not tell its TCP state");
	else if (c->orig.proto == NFO_TCP)
		say_yes(a->why, "established", "its TCP state is %s", tcp_state(c->tcp_state));
}

static void ask_admissible(struct ask *a)
{
	const enum nfo_reason reason = resolve_admissible(a->conn);

	if (reason == NFO_R_OFFLOADED)
		say_yes(a->why, "admissible", "no helper, no adjusted sequence numbers");
	else if (reason != NFO_R_NOT_ESTABLISHED)
		say_no(a->why, "admissible", reason, "%s", nfo_reason_text(reason));
}

// --- who has taken it ---

static bool fits(const struct nft_flowtable *ft, const struct ct_conn *c)
{
	return nft_flowtable_fits(ft, c->orig.family, c->mark);
}

// Of the kernel's flowtables for this family: any, and one that rules refer to.
static void kernel_flowtables(
	const struct ask *a, const struct nft_flowtable **any, const struct nft_flowtable **used)
{
	*any = *used = NULL;
	for (unsigned int i = 0; i < a->v->flowtables(a->v->arg); i++) {
		const struct nft_flowtable *ft = a->v->flowtable(a->v->arg, i);

		if (ft->from_config || !fits(ft, a->conn))
			continue;
		*any = ft;
		if (ft->use != 0)
			*used = ft;
	}
}

static const struct nft_flowtable *stand_in(const struct ask *a, bool selected)
{
	for (unsigned int i = 0; i < a->v->flowtables(a->v->arg); i++) {
		const struct nft_flowtable *ft = a->v->flowtable(a->v->arg, i);

		if (ft->from_config && (!selected || fits(ft, a->conn)))
			return ft;
	}
	return NULL;
}

// The kernel takes TCP once it is assured, UDP from the second packet on.
static void say_not_taken(struct ask *a)
{
	const struct nft_flowtable *any, *used, *mark = stand_in(a, false);
	const char *unsupported = a->v->unsupported(a->v->arg);
	char name[TEXT_FLOWTABLE_MAX];
	const enum nfo_reason reason = NFO_R_NOT_OFFERED;

	kernel_flowtables(a, &any, &used);
	if (mark != NULL && any == NULL)
		say_no(a->why, "offered", reason,
			"its mark 0x%x is not that of [flowtable %s], 0x%x/0x%x: no rule has set it, or "
			"it is not established",
			a->conn->mark, mark->name, mark->mark_value, mark->mark_mask);
	else if (any == NULL)
		say_no(a->why, "offered", reason, "there is no flowtable for %s%s%s",
			a->conn->orig.family == NFO_IPV4 ? "IPv4" : "IPv6",
			unsupported != NULL ? ": " : "", unsupported != NULL ? unsupported : "");
	else if (used == NULL)
		say_no(a->why, "offered", reason,
			"no rule refers to flowtable %.100s: 'flow add @%.60s' is missing in a chain of "
			"hook forward",
			text_flowtable(any, name), any->name);
	else if (a->conn->orig.proto == NFO_TCP && !(a->conn->status & IPS_ASSURED))
		say_no(a->why, "offered", reason, "the kernel takes TCP once it is assured");
	else
		say_no(a->why, "offered", reason,
			"no rule has added it to flowtable %.100s: the rule with 'flow add' does not "
			"match it, or is not reached, or no packet has passed since it was loaded",
			text_flowtable(used, name));
}

static void ask_offered(struct ask *a, enum nfo_reason known)
{
	const struct nft_flowtable *selected = stand_in(a, true);

	if (a->conn->status & IPS_OFFLOAD)
		say_yes(a->why, "offered", "the kernel has put it into a flowtable");
	else if (known == NFO_R_NOT_OFFERED)
		say_not_taken(a);
	else if (selected != NULL)
		say_yes(a->why, "offered", "its mark selects [flowtable %s]", selected->name);
	else
		say_yes(a->why, "offered", "the kernel had put it into a flowtable");
}

// --- routes ---

static const char *link_name(const struct ask *a, int ifindex)
{
	const struct path_view *pv = &a->v->resolve->path;
	const struct rtnl_link *link = pv->link(pv->arg, ifindex);

	return link != NULL ? link->name : "?";
}

static const char *no_unicast(uint8_t type)
{
	switch (type) {
	case RTN_LOCAL:
		return "an address of this machine: the kernel does not forward it";
	case RTN_BLACKHOLE:
	case RTN_UNREACHABLE:
	case RTN_PROHIBIT:
		return "refused by its route (blackhole, unreachable or prohibit)";
	default:
		return "no unicast address by its route";
	}
}

static const struct nfo_tuple *target(const struct ask *a, int d)
{
	return d == 0 ? &a->conn->reply : &a->conn->orig;
}

static void ask_route(struct ask *a, int d)
{
	static const char *const names[] = {"route-original", "route-reply"};
	const struct rtnl_route *route = &a->route[d];
	const struct nfo_tuple *to = target(a, d);
	char addr[TEXT_ADDR_MAX], via[TEXT_ADDR_MAX];

	text_addr(to->family, &to->src, addr);
	if (route->oif == 0)
		return;
	if (route->type != RTN_UNICAST)
		say_no(a->why, names[d], NFO_R_NO_ROUTE, "%s is %s", addr, no_unicast(route->type));
	else if (route->encap)
		say_no(a->why, names[d], NFO_R_ROUTE_ENCAP, "the route to %s by %s encapsulates",
			addr, link_name(a, route->oif));
	else if (route->gateway_family != 0)
		say_yes(a->why, names[d], "%s by %s via %s", addr, link_name(a, route->oif),
			text_addr(route->gateway_family, &route->gateway, via));
	else
		say_yes(a->why, names[d], "%s by %s", addr, link_name(a, route->oif));
}

static void ask_routes(struct ask *a)
{
	const enum nfo_reason reason = resolve_routes(a->v->resolve, a->conn, a->route);
	const struct resolve_view *v = a->v->resolve;
	const struct nfo_tuple *to = target(a, a->route[1].oif == 0); // asked first
	char addr[TEXT_ADDR_MAX];

	ask_route(a, 0);
	ask_route(a, 1);
	if (reason == NFO_R_OFFLOADED || find_no(a->why, reason) != NULL)
		return;
	if (reason == NFO_R_NO_ROUTE && v->rules(v->arg, a->conn->orig.family)->iif)
		say_no(a->why, "routes", reason,
			"no interface of a flowtable has routes for it both ways (VRFs or ip rules look at "
			"interfaces)");
	else if (reason == NFO_R_NO_ROUTE)
		say_no(a->why, "routes", reason, "the kernel has no route to %s for packets of it",
			text_addr(to->family, &to->src, addr));
	else if (reason == NFO_R_ASYMMETRIC)
		say_no(a->why, "routes", reason,
			"replies leave by %s, where its packets do not come in",
			link_name(a, a->route[1].oif));
	else
		say_no(a->why, "routes", reason, "%s", nfo_reason_text(reason));
}

// --- interfaces ---

// The lowest of the stacked interfaces that the reason holds for.
static const struct rtnl_link *culprit(
	const struct path_view *pv, const struct rtnl_link *link, enum nfo_reason reason)
{
	const struct rtnl_link *lower;
	struct path path;

	while (link->lower != 0 && (lower = pv->link(pv->arg, link->lower)) != NULL
		&& path_find(pv, lower->ifindex, &path) == reason)
		link = lower;
	return link;
}

static void say_no_path(
	struct ask *a, const char *name, const struct rtnl_link *dev, enum nfo_reason reason)
{
	const struct path_view *pv = &a->v->resolve->path;
	const struct rtnl_link *at = culprit(pv, dev, reason);
	const char *hook = a->v->hook(a->v->arg, at->name);

	if (reason == NFO_R_LINK_DOWN)
		say_no(a->why, name, reason, "%s %s", at->name,
			at->up ? "has no carrier" : "is down");
	else if (reason == NFO_R_NETDEV_HOOK)
		say_no(a->why, name, reason, "%s has a %s, which must see every packet", at->name,
			hook != NULL ? hook : "hook");
	else if (reason == NFO_R_NOT_PORT && strcmp(at->kind, "bond") != 0)
		say_no(a->why, name, reason, "%s is no twin", at->name);
	else if (at->master != 0)
		say_no(a->why, name, reason, "%s belongs to %s: %s", at->name,
			link_name(a, at->master), nfo_reason_text(reason));
	else
		say_no(a->why, name, reason, "%s: %s", at->name, nfo_reason_text(reason));
}

static void say_path(struct ask *a, const char *name, const struct path *path)
{
	char tags[48] = "";

	for (int i = 0; i < NFO_MAX_VLANS && path->vlan[i].tpid_be != 0; i++)
		snprintf(tags + strlen(tags), sizeof(tags) - strlen(tags), "%s%u",
			i == 0 ? ", VLAN " : " in ", path->vlan[i].vid);
	if (path->dev == path->base && path->dev->lower == 0)
		say_yes(a->why, name, "%s, a %s", path->dev->name,
			strcmp(path->dev->kind, "bond") == 0 ? "bond of twins" : "twin");
	else
		say_yes(a->why, name, "%s on %s%s", path->dev->name, path->base->name, tags);
}

// Originals come in where replies leave.
static void ask_interface(struct ask *a, const char *name, const struct rtnl_route *route)
{
	const struct path_view *pv = &a->v->resolve->path;
	const struct rtnl_link *dev = pv->link(pv->arg, route->oif);
	enum nfo_reason reason;
	struct path path;

	if (dev == NULL || route->type != RTN_UNICAST) {
		say(a->why, name, WHY_UNKNOWN, NFO_R_OFFLOADED, "no route tells");
		return;
	}
	reason = path_find(pv, route->oif, &path);
	if (reason == NFO_R_OFFLOADED)
		say_path(a, name, &path);
	else
		say_no_path(a, name, dev, reason);
}

// --- flowtables ---

static int missing(const struct ask *a, const struct nft_flowtable *ft, const char *names[2])
{
	int n = 0;

	for (int d = 1; d >= 0; d--)
		if (!a->v->lists(a->v->arg, ft, a->route[d].oif))
			names[n++] = link_name(a, a->route[d].oif);
	if (n == 2 && a->route[0].oif == a->route[1].oif)
		n = 1;
	return n;
}

// The one that lacks least.
static const struct nft_flowtable *closest(const struct ask *a, const char *names[2], int *n)
{
	const struct nft_flowtable *best = NULL;

	for (unsigned int i = 0; i < a->v->flowtables(a->v->arg); i++) {
		const struct nft_flowtable *ft = a->v->flowtable(a->v->arg, i);
		const char *lacks[2];
		int now;

		if (!fits(ft, a->conn))
			continue;
		now = missing(a, ft, lacks);
		if (best != NULL && now >= *n)
			continue;
		best = ft;
		*n = now;
		memcpy(names, lacks, sizeof(lacks));
	}
	return best;
}

static void ask_flowtable(struct ask *a)
{
	const struct resolve_view *v = a->v->resolve;
	const struct rtnl_route *r = a->route;
	char name[TEXT_FLOWTABLE_MAX];
	const struct nft_flowtable *ft;
	const char *names[2];
	int n = 0;

	if (r[0].oif == 0 || r[1].oif == 0) {
		say(a->why, "flowtable", WHY_UNKNOWN, NFO_R_OFFLOADED,
			"its interfaces are not known");
		return;
	}
	ft = closest(a, names, &n);
	if (v->flowtable(v->arg, a->conn, r[1].oif, r[0].oif))
		say_yes(a->why, "flowtable", "%.100s lists both interfaces",
			ft != NULL ? text_flowtable(ft, name) : "one");
	else if (ft == NULL)
		say_no(a->why, "flowtable", NFO_R_NO_FLOWTABLE, "there is none for %s",
			a->conn->orig.family == NFO_IPV4 ? "IPv4" : "IPv6");
	else
		say_no(a->why, "flowtable", NFO_R_NO_FLOWTABLE,
			"%s%s%s %s missing in the devices of flowtable %.100s", names[0],
			n == 2 ? " and " : "", n == 2 ? names[1] : "", n == 2 ? "are" : "is",
			text_flowtable(ft, name));
}

// --- next hops ---

static void ask_next_hop(struct ask *a, int d)
{
	static const char *const names[] = {"neighbour-original", "neighbour-reply"};
	const struct rtnl_route *route = &a->route[d];
	const struct nfo_tuple *to = target(a, d);
	const struct rtnl_neigh *neigh;
	char addr[TEXT_ADDR_MAX];
	const uint8_t *mac;

	if (route->oif == 0 || route->type != RTN_UNICAST)
		return;
	text_addr(route->gateway_family != 0 ? route->gateway_family : to->family, &route->gateway,
		addr);
	neigh = resolve_next_hop(a->v->resolve, a->conn, d, route);
	if (neigh == NULL || !neigh->valid) {
		say_no(a->why, names[d], NFO_R_NO_NEIGHBOUR,
			"the MAC address of %s on %s is unknown", addr, link_name(a, route->oif));
		return;
	}
	mac = neigh->mac;
	say_yes(a->why, names[d], "%s on %s has %02x:%02x:%02x:%02x:%02x:%02x", addr,
		link_name(a, route->oif), mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

// --- the outcome ---

// Unknown to the mirror: what resolve() would refuse at once, or that nobody has offered it.
static enum nfo_reason outcome(const struct ct_conn *conn, enum nfo_reason known)
{
	const enum nfo_reason reason = resolve_admissible(conn);

	if (known != NFO_R_NOT_OFFERED)
		return known;
	if (reason != NFO_R_OFFLOADED)
		return reason;
	return conn->status & IPS_OFFLOAD ? NFO_R_NEW : NFO_R_NOT_OFFERED;
}

// A connection that nobody offers may lack more than the offer.
static const struct why_step *next_no(const struct why *why, const struct why_step *after)
{
	for (unsigned int i = 0; i < why->n; i++)
		if (&why->step[i] > after && why->step[i].answer == WHY_NO
			&& why->step[i].reason != NFO_R_NOT_OFFERED)
			return &why->step[i];
	return NULL;
}

static void give_verdict(struct why *why)
{
	const struct why_step *no = find_no(why, why->reason), *more = NULL;
	const char *todo = advice[why->reason];

	if (why->reason == NFO_R_OFFLOADED) {
		snprintf(why->verdict, sizeof(why->verdict), "The workers forward it.");
		return;
	}
	if (why->reason == NFO_R_NOT_OFFERED && no != NULL)
		more = next_no(why, no);
	snprintf(why->verdict, sizeof(why->verdict), "The kernel forwards it (%s): %s.%s%s%s%s%s",
		nfo_reason_word(why->reason), no != NULL ? no->text : nfo_reason_text(why->reason),
		more != NULL ? " It would then lack: " : "", more != NULL ? more->text : "",
		more != NULL ? "." : "", todo != NULL ? " " : "", todo != NULL ? todo : "");
}

void why_explain(const struct why_view *view, const struct ct_conn *conn, enum nfo_reason known,
	struct why *why)
{
	struct ask a = {.v = view, .conn = conn, .why = why};

	memset(why, 0, sizeof(*why));
	why->reason = outcome(conn, known);
	ask_conntrack(&a);
	ask_admissible(&a);
	ask_offered(&a, known);
	if (view->resolve->ipsec(view->resolve->arg))
		say_no(why, "no-ipsec", NFO_R_IPSEC, "the kernel has IPsec policies");
	ask_routes(&a);
	ask_interface(&a, "ingress", &a.route[1]);
	ask_interface(&a, "egress", &a.route[0]);
	ask_flowtable(&a);
	ask_next_hop(&a, 0);
	ask_next_hop(&a, 1);
	if (why->reason == NFO_R_OFFLOADED)
		say_yes(why, "forwarded", "both directions are with the workers");
	else
		say_no(why, "forwarded", why->reason, "%s", nfo_reason_text(why->reason));
	give_verdict(why);
}

void why_untracked(uint16_t zone, struct why *why)
{
	memset(why, 0, sizeof(*why));
	why->reason = NFO_R_UNTRACKED;
	say_no(why, "tracked", NFO_R_UNTRACKED, "conntrack has no such connection in zone %u",
		zone);
	snprintf(why->verdict, sizeof(why->verdict), "There is none (%s): %s. %s",
		nfo_reason_word(why->reason), why->step[0].text, advice[NFO_R_UNTRACKED]);
}
