// SPDX-License-Identifier: GPL-2.0-or-later
// Three sockets: events; dumps; and queries, apart from the dumps, so that a handler that is told
// of a change in the midst of a dump may ask for a route.
#include "rtnl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>

#include "log.h"
#include "loop.h"
#include "nl.h"
#include "rtnl_table.h"

enum {
	EVENTS_A_TURN = 256,
	DISCARD_MAX = 100000,
	EVENT_BUF_BYTES = 8 << 20,
	TRIES = 8, // of dumps that a change interrupts
	RETRY_NS = 200000000,
};

struct rtnl {
	struct loop *loop;
	struct nl events, dumps, queries;
	struct loop_fd *watch;
	struct loop_timer *retry;
	struct link_table links;
	struct neigh_table neighs;
	struct rtnl_rules rules[2]; // IPv4, IPv6
	struct rtnl_facts facts[2];
	bool quiet; // nothing is told: rtnl_create() has not returned yet
	bool routes_changed, rules_changed, failed; // in this turn
	rtnl_changed_fn changed;
	void *arg;
};

static void tell(struct rtnl *r, const struct rtnl_event *event)
{
	if (!r->quiet)
		r->changed(r->arg, event);
}

static void tell_link(struct rtnl *r, const struct rtnl_link *link, bool gone)
{
	tell(r, &(struct rtnl_event){.change = RTNL_LINK, .gone = gone, .link = link});
}

static void tell_neigh(struct rtnl *r, const struct rtnl_neigh *neigh, bool gone)
{
	tell(r, &(struct rtnl_event){.change = RTNL_NEIGH, .gone = gone, .neigh = neigh});
}

static void link_gone(struct rtnl *r, struct rtnl_link *was)
{
	was->up = false;
	tell_link(r, was, true);
}

static void neigh_gone(struct rtnl *r, struct rtnl_neigh *was)
{
	if (!was->valid)
		return;
	was->valid = false;
	tell_neigh(r, was, true);
}

static void on_link(struct rtnl *r, const struct nlmsghdr *nlh)
{
	struct rtnl_link link, was;
	int put;

	if (rtnl_decode_link(nlh, &link))
		return;
	if (nlh->nlmsg_type == RTM_DELLINK) {
		if (link_table_take(&r->links, link.ifindex, &was))
			link_gone(r, &was);
		return;
	}
	put = link_table_put(&r->links, &link);
	if (put < 0)
		r->failed = true;
	else if (put != TABLE_SAME)
		tell_link(r, &link, false);
}

static void on_neigh(struct rtnl *r, const struct nlmsghdr *nlh)
{
	struct rtnl_neigh neigh, was;
	bool was_valid;
	int put;

	if (rtnl_decode_neigh(nlh, &neigh))
		return;
	if (nlh->nlmsg_type == RTM_DELNEIGH) {
		if (neigh_table_take(&r->neighs, &neigh, &was))
			neigh_gone(r, &was);
		return;
	}
	put = neigh_table_put(&r->neighs, &neigh, &was_valid);
	if (put < 0)
		r->failed = true;
	else if (put != TABLE_SAME && (neigh.valid || was_valid))
		tell_neigh(r, &neigh, false);
}

static void on_route(struct rtnl *r, const struct nlmsghdr *nlh)
{
	struct rtnl_facts facts = {.multipath = false};
	struct rtnl_prefix prefix;
	struct rtnl_facts *known;

	if (rtnl_decode_prefix(nlh, &prefix, &facts))
		return;
	known = &r->facts[prefix.family == NFO_IPV6];
	if (facts.multipath > known->multipath || facts.src > known->src) {
		known->multipath |= facts.multipath;
		known->src |= facts.src;
		r->routes_changed = true;
	}
	tell(r, &(struct rtnl_event){.change = RTNL_ROUTE, .prefix = &prefix});
}

// A group of next hops may stand behind routes that do not tell (rtnl_facts()).
static void on_nexthop(struct rtnl *r, const struct nlmsghdr *nlh)
{
	const struct nlattr *tb[NHA_GROUP + 1];

	r->routes_changed = true;
	if (!nl_has_header(nlh, sizeof(struct nhmsg)))
		return;
	nl_parse(nlh, sizeof(struct nhmsg), tb, NHA_GROUP);
	if (tb[NHA_GROUP])
		r->facts[0].multipath = r->facts[1].multipath = true;
}

static uint8_t family_of(const struct nlmsghdr *nlh)
{
	return nl_has_header(nlh, sizeof(struct rtgenmsg))
		       ? ((const struct rtgenmsg *)mnl_nlmsg_get_payload(nlh))->rtgen_family
		       : AF_UNSPEC;
}

// Events and the answers of dumps, which are alike. Of addresses the kernel tells what routes come and
// go with them, but for those that IPv4 drops with the address that they prefer.
static void on_message(void *arg, const struct nlmsghdr *nlh)
{
	struct rtnl *r = arg;

	switch (nlh->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		on_link(r, nlh);
		break;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		on_neigh(r, nlh);
		break;
	case RTM_NEWRULE:
	case RTM_DELRULE:
		r->rules_changed = true;
		break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		on_route(r, nlh);
		break;
	case RTM_NEWNEXTHOP:
	case RTM_DELNEXTHOP:
		on_nexthop(r, nlh);
		break;
	case RTM_DELADDR:
		r->routes_changed |= family_of(nlh) == AF_INET;
		break;
	}
}

static struct nlmsghdr *put_request(void *buf, uint16_t type, uint16_t flags, size_t header)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	mnl_nlmsg_put_extra_header(nlh, header);
	return nlh;
}

static int dump_links(struct rtnl *r)
{
	char buf[64] __attribute__((aligned(4)));
	struct nlmsghdr *nlh = put_request(buf, RTM_GETLINK, NLM_F_DUMP, sizeof(struct ifinfomsg));

	mnl_attr_put_u32(nlh, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	link_table_unsee(&r->links);
	return nl_request(&r->dumps, nlh, on_message, r);
}

static int dump_neighs(struct rtnl *r)
{
	char buf[64] __attribute__((aligned(4)));
	struct nlmsghdr *nlh = put_request(buf, RTM_GETNEIGH, NLM_F_DUMP, sizeof(struct ndmsg));

	neigh_table_unsee(&r->neighs);
	return nl_request(&r->dumps, nlh, on_message, r);
}

static void add_rule(struct rtnl_rules *rules, const struct rtnl_rule *rule)
{
	rules->iif |= rule->iif;
	rules->src |= rule->src;
	rules->l4 |= rule->l4;
	rules->other |= rule->other;
	if (!rule->mask)
		return;
	if (rules->n_marks == RTNL_MAX_MARKS) {
		rules->other = true;
		return;
	}
	rules->mark[rules->n_marks] = rule->mark;
	rules->mask[rules->n_marks++] = rule->mask;
}

static void on_rule(void *arg, const struct nlmsghdr *nlh)
{
	struct rtnl_rules *rules = arg;
	struct rtnl_rule rule;

	if (!rtnl_decode_rule(nlh, &rule))
		add_rule(&rules[rule.family == NFO_IPV6], &rule);
}

static int dump_rules(struct rtnl *r)
{
	char buf[64] __attribute__((aligned(4)));
	struct nlmsghdr *nlh =
		put_request(buf, RTM_GETRULE, NLM_F_DUMP, sizeof(struct fib_rule_hdr));
	struct rtnl_rules rules[2] = {0};
	int err = nl_request(&r->dumps, nlh, on_rule, rules);

	if (err == -EOPNOTSUPP) // a kernel without policy routing
		err = 0;
	if (!err)
		memcpy(r->rules, rules, sizeof(rules));
	return err;
}

static void on_fact(void *arg, const struct nlmsghdr *nlh)
{
	struct rtnl *r = arg;
	struct rtnl_prefix prefix;
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);

	if (nl_has_header(nlh, sizeof(*rtm)))
		rtnl_decode_prefix(nlh, &prefix, &r->facts[rtm->rtm_family == NFO_IPV6]);
}

// Nothing of the routes is kept but what they depend on.
static int dump_facts(struct rtnl *r)
{
	static const uint8_t families[] = {NFO_IPV4, NFO_IPV6};
	int err = 0;

	for (size_t i = 0; i < MNL_ARRAY_SIZE(families) && (err == 0 || err == -EOPNOTSUPP); i++) {
		char buf[64] __attribute__((aligned(4)));
		struct nlmsghdr *nlh =
			put_request(buf, RTM_GETROUTE, NLM_F_DUMP, sizeof(struct rtmsg));

		((struct rtmsg *)mnl_nlmsg_get_payload(nlh))->rtm_family = families[i];
		err = nl_request(&r->dumps, nlh, on_fact, r);
	}
	return err == -EOPNOTSUPP ? 0 : err; // a kernel without IPv6
}

static int uninterrupted(struct rtnl *r, int (*dump)(struct rtnl *r))
{
	int err = -EINTR;

	for (int i = 0; err == -EINTR && i < TRIES; i++)
		err = dump(r);
	return err;
}

// Reads everything; what is not there any more goes.
static int read_all(struct rtnl *r)
{
	struct rtnl_link link;
	struct rtnl_neigh neigh;
	int err;

	r->failed = false;
	err = uninterrupted(r, dump_links);
	while (!err && link_table_take_unseen(&r->links, &link))
		link_gone(r, &link);
	if (!err)
		err = uninterrupted(r, dump_neighs);
	while (!err && neigh_table_take_unseen(&r->neighs, &neigh))
		neigh_gone(r, &neigh);
	if (!err)
		err = uninterrupted(r, dump_rules);
	if (!err) {
		// what a change under way adds is told by its event
		err = dump_facts(r);
		err = err == -EINTR ? 0 : err;
	}
	return err || !r->failed ? err : -ENOMEM;
}

static void read_again(void *arg);

static void retry_later(struct rtnl *r)
{
	if (!r->retry)
		r->retry = loop_timer_add(r->loop, RETRY_NS, read_again, r);
}

static void discard(void *arg, const struct nlmsghdr *nlh)
{
	(void)arg;
	(void)nlh;
}

// After an overrun: the dumps that follow know more than the events still queued.
static void read_again(void *arg)
{
	struct rtnl *r = arg;
	int err;

	loop_timer_del(r->retry);
	r->retry = NULL;
	nl_drain(&r->events, DISCARD_MAX, discard, NULL);
	err = read_all(r);
	if (err) {
		log_warning("rtnl", "cannot read links, neighbours and rules: %s; trying again",
			strerror(-err));
		retry_later(r);
		return;
	}
	tell(r, &(struct rtnl_event){.change = RTNL_LOST});
}

static void events_readable(void *arg, uint32_t epoll_events)
{
	struct rtnl *r = arg;
	int err;

	(void)epoll_events;
	r->routes_changed = r->rules_changed = r->failed = false;
	err = nl_drain(&r->events, EVENTS_A_TURN, on_message, r);
	if (err < 0 || r->failed) {
		log_warning_rarely(
			"rtnl", "messages were lost; reading links, neighbours and rules again");
		read_again(r);
		return;
	}
	if (r->rules_changed && uninterrupted(r, dump_rules))
		retry_later(r);
	if (r->rules_changed)
		tell(r, &(struct rtnl_event){.change = RTNL_RULES});
	else if (r->routes_changed)
		tell(r, &(struct rtnl_event){.change = RTNL_ROUTES});
}

static int join(struct rtnl *r)
{
	const unsigned int groups[] = {RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_ROUTE,
		RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE, RTNLGRP_IPV4_IFADDR,
		RTNLGRP_IPV6_IFADDR};
	const unsigned int nexthop = RTNLGRP_NEXTHOP;
	int err = nl_join(&r->events, groups, MNL_ARRAY_SIZE(groups));

	if (!err)
		nl_join(&r->events, &nexthop, 1); // since Linux 5.3; without, routes tell
	return err;
}

static int open_sockets(struct rtnl *r)
{
	int err = nl_open_events(&r->events, NETLINK_ROUTE, EVENT_BUF_BYTES);

	if (!err)
		err = nl_open(&r->dumps, NETLINK_ROUTE, 0);
	if (!err)
		err = nl_open(&r->queries, NETLINK_ROUTE, 0);
	if (!err)
		err = nl_option(&r->dumps, NETLINK_GET_STRICT_CHK, 1);
	if (!err)
		err = nl_option(&r->queries, NETLINK_GET_STRICT_CHK, 1);
	return err ? err : join(r);
}

static int start(struct rtnl *r)
{
	int err = open_sockets(r);

	if (err)
		return err;
	r->watch = loop_fd_add(r->loop, nl_fd(&r->events), EPOLLIN, events_readable, r);
	if (!r->watch)
		return -errno;
	r->quiet = true;
	err = read_all(r);
	r->quiet = false;
	return err;
}

struct rtnl *rtnl_create(struct loop *loop, rtnl_changed_fn changed, void *arg)
{
	struct rtnl *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return NULL;
	r->loop = loop;
	r->changed = changed;
	r->arg = arg;
	err = start(r);
	if (!err)
		return r;
	rtnl_destroy(r);
	errno = -err;
	return NULL;
}

void rtnl_destroy(struct rtnl *r)
{
	if (!r)
		return;
	loop_timer_del(r->retry);
	loop_fd_del(r->watch);
	nl_close(&r->events);
	nl_close(&r->dumps);
	nl_close(&r->queries);
	link_table_fini(&r->links);
	neigh_table_fini(&r->neighs);
	free(r);
}

const struct rtnl_link *rtnl_link_by_index(const struct rtnl *r, int ifindex)
{
	return link_table_find(&r->links, ifindex);
}

const struct rtnl_link *rtnl_link_by_name(const struct rtnl *r, const char *name)
{
	return link_table_find_name(&r->links, name);
}

const struct rtnl_neigh *rtnl_neigh_find(
	const struct rtnl *r, int ifindex, uint8_t family, const union nfo_addr *addr)
{
	return neigh_table_find(&r->neighs, ifindex, family, addr);
}

const struct rtnl_link *rtnl_link_next(const struct rtnl *r, int after)
{
	return link_table_next(&r->links, after);
}

const struct rtnl_rules *rtnl_rules(const struct rtnl *r, uint8_t family)
{
	return &r->rules[family == NFO_IPV6];
}

const struct rtnl_facts *rtnl_facts(const struct rtnl *r, uint8_t family)
{
	return &r->facts[family == NFO_IPV6];
}

static struct nlmsghdr *put_route_request(
	void *buf, const struct rtnl_route_key *key, unsigned int flags)
{
	const uint8_t bytes = key->family == NFO_IPV4 ? 4 : 16;
	struct nlmsghdr *nlh = put_request(buf, RTM_GETROUTE, 0, sizeof(struct rtmsg));
	struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);

	rtm->rtm_family = key->family;
	rtm->rtm_tos = key->tos;
	rtm->rtm_flags = flags;
	rtm->rtm_dst_len = bytes * 8;
	mnl_attr_put(nlh, RTA_DST, bytes, key->dst.bytes);
	if (key->iif) {
		rtm->rtm_src_len = bytes * 8;
		mnl_attr_put(nlh, RTA_SRC, bytes, key->src.bytes);
		mnl_attr_put_u32(nlh, RTA_IIF, (uint32_t)key->iif);
	}
	if (key->mark)
		mnl_attr_put_u32(nlh, RTA_MARK, key->mark);
	// the kernel knows no others here (rtm_getroute_parse_ip_proto())
	if (key->proto == NFO_TCP || key->proto == NFO_UDP) {
		mnl_attr_put_u8(nlh, RTA_IP_PROTO, key->proto);
		mnl_attr_put_u16(nlh, RTA_SPORT, key->sport_be);
		mnl_attr_put_u16(nlh, RTA_DPORT, key->dport_be);
	}
	return nlh;
}

struct route_answer {
	struct rtnl_route *route;
	int err;
};

static void on_answer(void *arg, const struct nlmsghdr *nlh)
{
	struct route_answer *a = arg;

	if (nlh->nlmsg_type == RTM_NEWROUTE)
		a->err = rtnl_decode_route(nlh, a->route);
}

static int get_route(struct rtnl *r, const struct rtnl_route_key *key, unsigned int flags,
	struct rtnl_route *route)
{
	char buf[256] __attribute__((aligned(4)));
	struct route_answer a = {.route = route, .err = -EBADMSG};
	int err = nl_request(&r->queries, put_route_request(buf, key, flags), on_answer, &a);

	return err ? err : a.err;
}

int rtnl_route_get(struct rtnl *r, const struct rtnl_route_key *key, struct rtnl_route *route)
{
	return get_route(r, key, 0, route);
}

int rtnl_route_multipath(struct rtnl *r, const struct rtnl_route_key *key)
{
	struct rtnl_route route;
	int err = get_route(r, key, RTM_F_FIB_MATCH, &route);

	return err ? err : route.multipath;
}

static int set_link(struct rtnl *r, int ifindex, uint16_t attr, const void *value, size_t bytes)
{
	char buf[128] __attribute__((aligned(4)));
	struct nlmsghdr *nlh = put_request(buf, RTM_NEWLINK, 0, sizeof(struct ifinfomsg));
	struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);

	ifi->ifi_index = ifindex;
	mnl_attr_put(nlh, attr, bytes, value);
	return nl_request(&r->queries, nlh, NULL, NULL);
}

int rtnl_link_set_carrier(struct rtnl *r, int ifindex, bool on)
{
	const uint8_t value = on;

	return set_link(r, ifindex, IFLA_CARRIER, &value, sizeof(value));
}

int rtnl_link_set_mtu(struct rtnl *r, int ifindex, uint32_t mtu)
{
	return set_link(r, ifindex, IFLA_MTU, &mtu, sizeof(mtu));
}

int rtnl_link_set_mac(struct rtnl *r, int ifindex, const uint8_t mac[NFO_ETH_ALEN])
{
	return set_link(r, ifindex, IFLA_ADDRESS, mac, NFO_ETH_ALEN);
}
